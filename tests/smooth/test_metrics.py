"""Metrics of counts are scikit-learn's on hard input, homogeneous in the counts, and never NaN."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from supple import smooth
from supple.smooth.metrics import CountScore
from tests.numerics import compiled, compiled_gradient, double, numpy, slope, value_and_gradient

pytestmark = pytest.mark.backend

N, C = 40, 4
RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, C, N), RNG.integers(0, C, N)
LABELS = RNG.integers(0, 2, (N, 3)), RNG.integers(0, 2, (N, 3))
WEIGHTS = RNG.uniform(0, 3, N)

RATIOS: dict[str, Callable[..., Any]] = {  # scikit-learn's
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "jaccard": sk.jaccard_score,
    "f_beta": sk.fbeta_score,
    "specificity": lambda t, p, **options: sk.recall_score(1 - t, 1 - p, **options),
}
WHOLES: dict[str, Callable[..., Any]] = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
    "cohen_kappa": lambda t, p, **options: sk.cohen_kappa_score(t, p, replace_undefined_by=0.0, **options),
}
BETAS = [("f_beta", {"beta": beta}) for beta in (0.0, 0.5, 1.0, 2.0)]
EVERY_RATIO = [("precision", {}), ("recall", {}), ("jaccard", {}), *BETAS]

every_name = pytest.mark.parametrize("name", [*RATIOS, *WHOLES])
every_average = pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])


def hot(classes: np.ndarray, n: int = C) -> np.ndarray:
    return np.eye(n, dtype="float32")[classes]


def soft(name: str, *args: Any, **options: Any) -> np.ndarray:
    return numpy(getattr(smooth, name)(*args, **options))


@every_average
@pytest.mark.parametrize(("name", "options"), EVERY_RATIO)
@pytest.mark.parametrize("present", [C, 2])  # 2: two of the classes neither occur nor are predicted
def test_ratios_of_classes_are_those_of_scikit_learn(
    name: str, options: dict[str, float], average: Any, present: int
) -> None:
    t, p = (x % present for x in CLASSES)
    for weight, zero in (None, 0.0), (WEIGHTS, 1.0):
        given = {"average": average, "sample_weight": weight, "zero_division": zero, **options}
        want = RATIOS[name](t, p, labels=range(C), **given)
        np.testing.assert_allclose(soft(name, t, hot(p), **given), want, rtol=1e-5)


def test_classes_may_be_numbers_a_column_of_them_or_one_hot() -> None:
    t, p = CLASSES
    found = [soft("f_beta", labels, hot(p)) for labels in (t, t[:, None], hot(t), t.astype("float32"))]
    assert found == [found[0]] * 4


@every_average
@pytest.mark.parametrize(("name", "options"), [*EVERY_RATIO, ("specificity", {})])
def test_ratios_of_labels_are_those_of_scikit_learn(
    name: str, options: dict[str, float], average: Any
) -> None:
    t, p = LABELS
    t, p = t * [1, 1, 0], p * [1, 1, 0]  # the last label never occurs
    for weight in None, WEIGHTS:
        want = RATIOS[name](t, p, average=average, sample_weight=weight, zero_division=0.0, **options)
        if (name, average) == ("specificity", "weighted"):  # ours by the positives, as all the others
            each = RATIOS[name](t, p, average=None, sample_weight=weight, zero_division=0.0)
            want = np.average(each, weights=np.average(t, 0, weight))
        found = soft(
            name,
            t,
            p.astype("float32"),
            average=average,
            sample_weight=weight,
            multi_label=True,
            **options,
        )
        np.testing.assert_allclose(found, want, rtol=1e-5)


@pytest.mark.parametrize("name", WHOLES)
def test_metrics_of_all_classes_are_those_of_scikit_learn(name: str) -> None:
    """Of 4 classes, of 2 of them, of one; of one label; and label by label."""
    t, p = CLASSES
    for weight in None, WEIGHTS:
        for present in C, 2, 1:
            if present > 1 or name == "accuracy":
                want = WHOLES[name](t % present, p % present, sample_weight=weight)
                found = soft(name, t % present, hot(p % present), sample_weight=weight)
                np.testing.assert_allclose(found, want, rtol=1e-5)
        want = WHOLES[name](t % 2, p % 2, sample_weight=weight)
        for shape in (N,), (N, 1):
            y, q = (np.reshape(x % 2, shape).astype("float32") for x in (t, p))
            np.testing.assert_allclose(soft(name, y, q, sample_weight=weight), want, rtol=1e-5)
        y, q = LABELS
        each = [WHOLES[name](y[:, i], q[:, i], sample_weight=weight) for i in range(3)]
        found = soft(
            name,
            y,
            q.astype("float32"),
            multi_label=True,
            average=None,
            sample_weight=weight,
            class_mask=None,
        )
        np.testing.assert_allclose(found, each, rtol=1e-5)


@pytest.mark.parametrize("name", ["mcc", "cohen_kappa"])
def test_one_class_alone_is_no_agreement(name: str) -> None:
    """The denominator is 0, and not noise of rounding, whatever the weights."""
    assert soft(name, np.zeros(N, int), hot(np.zeros(N, int)), sample_weight=WEIGHTS) == 0
    assert soft(name, np.zeros(N, int), hot(np.zeros(N, int)), zero_division=1.0) == 1


def test_classes_that_do_not_occur_may_be_left_out_of_the_mean() -> None:
    t, p = (x % 2 for x in CLASSES)
    want = sk.f1_score(t, p, average="macro")  # of the classes that occur
    np.testing.assert_allclose(soft("f_beta", t, hot(p), zero_division=None), want, rtol=1e-6)
    t[0], want = 2, sk.recall_score(t, p, average="macro", labels=[0, 1])
    assert soft("precision", t[:1], hot(p[:1]) * 0, zero_division=None) == 0  # and if none occurs


@every_average
def test_class_masks_are_the_labels_of_scikit_learn(average: Any) -> None:
    t, p = CLASSES
    mask = [True, False, True, True]
    for name in "precision", "recall", "jaccard":
        want = RATIOS[name](t, p, average=average, labels=[0, 2, 3])
        found = soft(name, t, hot(p), average=average, class_mask=mask)
        np.testing.assert_allclose(found, want, rtol=1e-6)


def test_what_is_below_0_does_not_count() -> None:
    t = CLASSES[0]
    some = np.where(np.arange(N) % 3, t, -1)
    q = RNG.dirichlet(np.ones(C), N).astype("float32")
    rows = np.where(some[:, None] < 0, -1, hot(t))
    for name in [*RATIOS, *WHOLES]:
        want = soft(name, t[some >= 0], q[some >= 0])
        np.testing.assert_allclose(soft(name, some, q), want, rtol=1e-5)
        np.testing.assert_allclose(soft(name, rows, q), want, rtol=1e-5)
    y, q = np.array([[1, 0], [-1, 1], [1, -1]]), q[:3, :2]
    weight = (y >= 0).astype("float32")
    np.testing.assert_allclose(
        soft("f_beta", y, q, multi_label=True),
        soft("f_beta", np.maximum(y, 0), q, multi_label=True, sample_weight=weight),
    )


def test_more_axes_are_more_examples() -> None:
    q = RNG.dirichlet(np.ones(C), (5, 8)).astype("float32")
    t, weight = CLASSES[0].reshape(5, 8), WEIGHTS.reshape(5, 8)
    for w in weight, weight[:, 0], weight[..., None]:
        flat = np.broadcast_to(w.reshape(5, -1), (5, 8)).ravel()
        want = soft("f_beta", t.ravel(), q.reshape(N, C), sample_weight=flat)
        np.testing.assert_allclose(soft("f_beta", t, q, sample_weight=w), want, rtol=1e-5)


def test_confusion_matrix() -> None:
    t, p = CLASSES
    for weight in None, WEIGHTS:
        want = sk.confusion_matrix(t, p, sample_weight=weight)
        np.testing.assert_allclose(
            numpy(smooth.confusion_matrix(t, hot(p), sample_weight=weight)), want, rtol=1e-5
        )
        two = (x % 2 for x in CLASSES)
        want = sk.confusion_matrix(*(x % 2 for x in CLASSES), sample_weight=weight)
        found = smooth.confusion_matrix(*(x.astype("float32") for x in two), sample_weight=weight)
        np.testing.assert_allclose(numpy(found), want, rtol=1e-5)
    q = RNG.dirichlet(np.ones(C), N).astype("float32")
    found = numpy(smooth.confusion_matrix(t, q))
    np.testing.assert_allclose(found, [q[t == i].sum(0) for i in range(C)], rtol=1e-5)
    sums = numpy(CountScore("accuracy").sums(t, q))
    np.testing.assert_allclose(sums[0], np.diag(found), rtol=1e-5)
    np.testing.assert_allclose(sums[1] + sums[0], found.sum(0), rtol=1e-5)
    np.testing.assert_allclose(sums[2] + sums[0], found.sum(1), rtol=1e-5)
    np.testing.assert_allclose(sums.sum(0), [N] * C, rtol=1e-5)


@every_name
def test_logits_at_temperature_0_give_the_hard_metric(name: str) -> None:
    t = CLASSES[0]
    x = RNG.normal(size=(N, C)).astype("float32")
    found = soft(name, t, x, from_logits=True, temperature=1e-6)
    np.testing.assert_allclose(found, soft(name, t, hot(x.argmax(1))), rtol=1e-5)
    one = soft(name, t % 2, x[:, 0], from_logits=True, temperature=1e-6)
    np.testing.assert_allclose(one, soft(name, t % 2, (x[:, 0] > 0).astype("float32")), rtol=1e-5)


LOGITS = arrays(np.float32, (6, 3), elements=st.floats(-9, 9, width=32))
SIX = arrays(np.int64, 6, elements=st.integers(0, 2))
SIX_WEIGHTS = arrays(np.float32, 6, elements=st.floats(0.125, 8, width=32))


@compiled
def accuracies(t: Any, x: Any, hard: Any, w: Any) -> Any:
    one = {"sample_weight": w, "multi_label": True}
    p, q = keras.ops.softmax(x), keras.ops.sigmoid(x)
    y, above = (keras.ops.cast(part, "float32") for part in (x[::-1] > 0, x > 0))
    return keras.ops.stack(
        [
            smooth.accuracy(t, p, sample_weight=w),
            smooth.accuracy(t, hard, sample_weight=w),
            smooth.accuracy_certificate(t, p, sample_weight=w),
            smooth.accuracy(y, q, **one),
            smooth.accuracy(y, above, **one),
            smooth.accuracy_certificate(y, q, **one),
        ]
    )


@given(SIX, LOGITS, SIX_WEIGHTS)
def test_accuracy_is_within_its_certificate(t: np.ndarray, x: np.ndarray, w: np.ndarray) -> None:
    found = numpy(accuracies(t, x, hot(x.argmax(1), 3), w)).reshape(2, 3)
    for smoothed, hard, certificate in found:
        assert abs(smoothed - hard) <= certificate + 1e-6


def test_the_certificate_is_the_mean_of_what_the_likeliest_lacks() -> None:
    p = RNG.dirichlet(np.ones(C), N).astype("float32")
    t = np.where(np.arange(N) % 4, 0, -1)
    found = numpy(smooth.accuracy_certificate(t, p, sample_weight=WEIGHTS))
    want = np.average(1 - p.max(1), weights=WEIGHTS * (t >= 0))
    np.testing.assert_allclose(found, want, rtol=1e-5)
    all_wrong = smooth.accuracy((p.argmax(1) + 1) % C, p)  # reached by one that is sure of two classes
    assert numpy(all_wrong) <= numpy(smooth.accuracy_certificate(t * 0, p)) + 1e-6


def test_gradients_are_slopes() -> None:
    """Of a sum of all metrics, each with a factor of its own."""
    x = RNG.normal(size=(7, 3))
    t = np.array([0, 1, 2, 2, 1, 0, 0])
    y = hot(t, 3).astype("float64")

    def f(x: Any) -> Any:
        both = 0.0
        for factor, name in enumerate([*RATIOS, *WHOLES], 2):
            one = getattr(smooth, name)(t, x, from_logits=True, temperature=0.7)
            other = getattr(smooth, name)(y, x, from_logits=True, multi_label=True, average="weighted")
            both = both + factor * (one**2 + factor * other)
        return both

    fast = compiled(f)
    with double():
        _, gradient = value_and_gradient(fast, x)
        want = slope(lambda x: numpy(fast(keras.ops.convert_to_tensor(x))), x)
    np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-6)


INF = np.inf
TRAPS = np.array([[0, 0, 0], [1e4, -1e4, 0], [-INF, 1, 2], [-INF, -INF, -1e4], [3, 3, -INF]], "float32")


@pytest.mark.parametrize("dtype", ["float16", pytest.param("bfloat16", marks=pytest.mark.slow), "float32"])
def test_values_and_gradients_are_finite(dtype: str) -> None:
    """Of all metrics, at any temperature, where classes are absent and where nothing counts."""

    def all_scores(x: Any, y: Any, t: Any) -> Any:
        found, low = [], keras.ops.cast(x, dtype)
        for options in {}, {"multi_label": True, "average": "weighted"}:
            options = {"from_logits": True, "temperature": t, **options}
            sums = CountScore("accuracy", **options).sums(y, low)
            for name in [*RATIOS, *WHOLES]:
                beta = {"beta": 1.0} if name == "f_beta" else {}
                found += [CountScore(name, **options, **beta).value(sums)]
        return keras.ops.stack(found)

    fast = compiled_gradient(all_scores)
    for classes, t in product(([0, 0, 1, 1, 1], [0, 0, 0, 0, 0], [-1, -1, -1, -1, -1]), (1e-6, 1.0, 1e6)):
        y = np.where(np.array(classes)[:, None] < 0, -1, hot(np.array(classes), 3)).astype("float32")
        value, gradient = fast(TRAPS, y, np.float32(t))
        assert np.isfinite(value).all() and not np.isnan(gradient).any()
        assert np.isfinite(gradient).all() or dtype == "float16"  # whose slopes of 1 / τ are no numbers
        if classes[0] < 0:
            assert not value.any() and not gradient.any()


def test_dtypes_come_back() -> None:
    for dtype in "float16", "bfloat16", "float32":
        x = keras.ops.cast(TRAPS, dtype)
        for name in "mcc", "accuracy_certificate":
            found = getattr(smooth, name)([0, 1, 2, 0, 1], x, from_logits=True)
            assert keras.backend.standardize_dtype(found.dtype) == dtype


def test_probabilities_that_are_almost_none_have_a_gradient() -> None:
    """The square of a denominator may be no float32."""

    @compiled
    def scores(p: Any) -> Any:
        t = np.array([0, 0, 1])
        return smooth.precision(t, p) + smooth.mcc(t, p) + smooth.f_beta(t, p)

    for tiny in 0.0, 1e-30, 1e-20, 1e-14:
        value, gradient = value_and_gradient(scores, np.array([[1 - tiny, tiny]] * 3, "float32"))
        assert np.isfinite(value) and np.isfinite(gradient).all()


@given(st.floats(1e-12, 1e12), st.sampled_from([*RATIOS, *WHOLES]))
def test_the_unit_of_weights_does_not_matter(unit: float, name: str) -> None:
    counts = np.array([[3, 1, 4], [1, 5, 9], [2, 6, 5], [14, 8, 2]], "float32")
    given = {"beta": 1.0} if name == "f_beta" else {}
    score = CountScore(name, **given, average="weighted")
    found = numpy(score.value(keras.ops.convert_to_tensor(counts * np.float32(unit))))
    np.testing.assert_allclose(found, numpy(score.value(keras.ops.convert_to_tensor(counts))), rtol=1e-4)


def test_f_beta_of_counts() -> None:
    tp, fp, fn = np.array([[3.0, 0, 1], [1, 0, 0], [2, 0, 4]], "float32")
    found = numpy(smooth.f_beta_of_counts(tp, fp, fn, 2.0, zero_division=1.0))
    np.testing.assert_allclose(found, [15 / 24, 1, 5 / 21], rtol=1e-6)
    with pytest.raises(ValueError, match="beta = -1"):
        smooth.f_beta_of_counts(tp, fp, fn, -1)


P = np.full((4, 3), 1 / 3, "float32")
T = np.array([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: smooth.recall(T, P * 9 - 1), "y_pred is from 2 to 2; probabilities .* say from_logits=True"),
        (lambda: smooth.recall(T, P * np.nan), "y_pred is from nan to nan"),
        (lambda: smooth.recall(T + 1, P), "y_true holds class 3, and y_pred has 3 classes, from 0"),
        (lambda: smooth.recall(T, P, temperature=0.5), "divides logits: say from_logits=True too"),
        (
            lambda: smooth.recall(T, P, from_logits=True, temperature=0.0),
            "temperature = 0.0 should be above 0",
        ),
        (lambda: smooth.recall(T, P, average="samples"), "average = 'samples' should be 'macro', 'micro'"),
        (lambda: smooth.f_beta(T, P, beta=-1.0), "beta = -1.0 should be 0 or more"),
        (lambda: smooth.recall(T, P, multi_label=True), r"y_true has shape \(4,\) and y_pred \(4, 3\)"),
        (
            lambda: smooth.recall(np.eye(4), P),
            "give class numbers without the last axis, or one column a class",
        ),
        (
            lambda: smooth.recall(T, P, class_mask=[True]),
            "should be 3 booleans, True for a class that counts",
        ),
        (lambda: smooth.recall(T, P, class_mask=[1, 0, 1]), "should be 3 booleans"),
        (lambda: smooth.recall(T, P, sample_weight=P), "an example has one weight, but for multi_label=True"),
        (lambda: smooth.recall(T, [[1, 0, 0]] * 4), "y_pred has dtype int32; give floating-point numbers"),
        (lambda: smooth.accuracy_certificate(T, P, average="weighted"), "the certificate is of all classes"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
