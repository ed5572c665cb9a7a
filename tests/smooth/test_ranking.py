"""Metrics of order tend to scikit-learn's, share ties, and are never NaN."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
from sklearn import metrics as sk

from supple import smooth
from tests.numerics import compiled, compiled_gradient, double, numpy, slope, value_and_gradient

pytestmark = pytest.mark.backend

N = 30
COLD = 1e-4
RNG = np.random.default_rng(0)
SCORES = RNG.permutation(3 * N).reshape(N, 3).astype("float32") / N  # without ties
TRUTH = RNG.integers(0, 2, (N, 3))
WEIGHTS = RNG.uniform(0, 3, N)
GAINS = RNG.integers(0, 4, (3, N))
PAIRS: dict[str, Callable[..., Any]] = {
    "auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
}
every_pair = pytest.mark.parametrize("name", PAIRS)
every_name = pytest.mark.parametrize("name", [*PAIRS, "ndcg", "mrr"])


def soft(name: str, y_true: Any, y_pred: Any, temperature: float = COLD, **options: Any) -> np.ndarray:
    return numpy(getattr(smooth, name)(y_true, y_pred, temperature=temperature, **options))


def close(found: Any, want: Any, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(found, want, rtol=rtol, atol=1e-6)


@every_pair
def test_of_examples_at_temperature_0_they_are_those_of_scikit_learn(name: str) -> None:
    for weight in None, WEIGHTS:
        want = PAIRS[name](TRUTH[:, 0], SCORES[:, 0], sample_weight=weight)
        close(soft(name, TRUTH[:, 0], SCORES[:, 0], sample_weight=weight), want)
        for average in "macro", "weighted", None:
            want = PAIRS[name](TRUTH, SCORES, average=average, sample_weight=weight)
            found = soft(name, TRUTH, SCORES, average=average, sample_weight=weight, multi_label=True)
            close(found, want)
    classes = RNG.integers(0, 3, N)
    close(soft(name, classes, SCORES), PAIRS[name](np.eye(3)[classes], SCORES))


@pytest.mark.parametrize("k", [None, 1, 5, N, N + 9])
def test_ndcg_at_temperature_0_is_that_of_scikit_learn(k: int | None) -> None:
    weight = np.array([1.0, 0.0, 2.5])
    for w in None, weight:
        want = sk.ndcg_score(GAINS, SCORES.T, k=k, sample_weight=w)
        close(soft("ndcg", GAINS, SCORES.T, k=k, sample_weight=w), want)


def test_mrr_at_temperature_0_is_the_mean_of_reciprocal_ranks() -> None:
    one = np.eye(N)[RNG.integers(0, N, 3)]
    close(soft("mrr", one, SCORES.T), sk.label_ranking_average_precision_score(one, SCORES.T))
    best = [1 + np.flatnonzero(y[np.argsort(-x)])[0] for x, y in zip(SCORES.T, TRUTH.T, strict=True)]
    close(soft("mrr", TRUTH.T, SCORES.T), np.mean(1 / np.array(best)))
    close(soft("mrr", TRUTH.T, SCORES.T, sample_weight=[0, 2, 0]), 1 / best[1])


def test_auc_is_that_of_the_soft_ranks() -> None:
    """Mann and Whitney's: the ranks of positives, from below, less the least they can be."""
    y, x = TRUTH[:, 0], SCORES[:, 0]
    n = y.sum()
    for temperature in 0.01, 0.5, 20.0:
        from_below = N + 1 - numpy(smooth.rank(x, temperature))
        want = (from_below[y > 0].sum() - n * (n + 1) / 2) / (n * (N - n))
        close(soft("auc", y, x, temperature), want)


def test_ties_share() -> None:
    x = np.array([2, 2, 1, 1, 1], "float32")
    y = np.array([1, 0, 1, 0, 0])
    close(soft("auc", y, x), sk.roc_auc_score(y, x))
    # Positives have ranks 1½ and 4 among all, where those that are tied share; 1 and 2 among positives.
    close(soft("average_precision", y, x), (1 / 1.5 + 2 / 4) / 2)
    close(soft("ndcg", y[None], x[None]), (1 / np.log2(2.5) + 1 / np.log2(5)) / (1 + 1 / np.log2(3)))
    close(soft("mrr", y[None], x[None]), 1 / 1.5)


@every_name
def test_what_does_not_count_is_as_if_it_were_not_there(name: str) -> None:
    some = np.arange(N) % 3 > 0
    y, x = (part.T if name in ("ndcg", "mrr") else part[:, 0] for part in (TRUTH, SCORES))
    want = soft(name, y[..., some], x[..., some], 0.5)
    close(soft(name, np.where(some, y, -1), x, 0.5), want)
    close(soft(name, y, np.where(some, x, -np.inf).astype("float32"), 0.5), want)
    close(soft(name, y, x + 7, 0.5), soft(name, y, x, 0.5), rtol=1e-4)
    order = RNG.permutation(N)
    close(soft(name, y[..., order], x[..., order], 0.5), soft(name, y, x, 0.5))


def test_the_rule_for_no_positives() -> None:
    y = TRUTH * [1, 1, 0]
    for name in PAIRS:
        each = soft(name, y, SCORES, average=None, multi_label=True)
        assert each[2] == 0
        close(soft(name, y, SCORES, multi_label=True), each.mean())
        close(soft(name, y, SCORES, multi_label=True, zero_division=1.0), (each[0] + each[1] + 1) / 3)
        close(soft(name, y, SCORES, multi_label=True, zero_division=None), each[:2].mean())
        assert soft(name, y * 0, SCORES, multi_label=True, zero_division=None) == 0
    for name in "ndcg", "mrr":
        both = soft(name, y.T[:2], SCORES.T[:2])
        for empty in 0, -1:  # no item is relevant; none is there
            rows = np.where([[False], [False], [True]], empty, y.T)
            close(soft(name, rows, SCORES.T), both * 2 / 3)
            close(soft(name, rows, SCORES.T, zero_division=1.0), (2 * both + 1) / 3)
            close(soft(name, rows, SCORES.T, zero_division=None), both)


def test_gradients_are_slopes() -> None:
    """Of a sum of all of them, each with a factor of its own."""
    y, x, weight = TRUTH[:8, :2], RNG.normal(size=(8, 2)), WEIGHTS[:8]
    shared = {"temperature": 0.7, "sample_weight": weight}
    columns = {"multi_label": True, "average": "weighted", **shared}

    def f(x: Any) -> Any:
        pairs = smooth.auc(y, x, **columns) + 2 * smooth.average_precision(y, x, **columns)
        return pairs + 3 * smooth.ndcg(y, x, k=1, **shared) + 4 * smooth.mrr(y, x, **shared)

    fast = compiled(f)
    with double():
        _, gradient = value_and_gradient(fast, x)
        want = slope(lambda x: numpy(fast(keras.ops.convert_to_tensor(x))), x)
    np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-7)


INF = np.inf
TRAPS = np.array([[0, 0, 0], [1e4, -1e4, 0], [-INF, 1, 2], [-INF, -INF, -1e4], [3, 3, -INF]], "float32")


@pytest.mark.parametrize("dtype", ["float16", pytest.param("bfloat16", marks=pytest.mark.slow), "float32"])
def test_values_and_gradients_are_finite(dtype: str) -> None:
    def all_scores(x: Any, y: Any, t: Any) -> Any:
        low = keras.ops.cast(x, dtype)
        found = [getattr(smooth, name)(y, low, temperature=t, multi_label=True) for name in PAIRS]
        found += [smooth.ndcg(y, low, temperature=t, k=2), smooth.mrr(y, low, temperature=t)]
        assert {keras.backend.standardize_dtype(each.dtype) for each in found} == {dtype}
        return keras.ops.stack([keras.ops.cast(each, "float32") for each in found])

    fast = compiled_gradient(all_scores)
    for y, t in product(([0, 1, 0, 1, 1], [0, 0, 0, 0, 0], [-1, -1, -1, -1, -1]), (1e-6, 1.0, 1e6)):
        labels = np.repeat(np.array(y, "float32")[:, None], 3, 1)
        value, gradient = fast(TRAPS, labels, np.float32(t))
        assert np.isfinite(value).all() and not np.isnan(gradient).any()
        assert np.isfinite(gradient).all() or dtype == "float16"  # whose slopes of 1 / τ are no numbers
        assert not gradient[TRAPS == -INF].any()


ONES = np.ones((4, 3), "float32")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (
            lambda: smooth.auc(TRUTH, SCORES, average="micro"),
            "average = 'micro' should be 'macro', 'weighted'",
        ),
        (lambda: smooth.auc(TRUTH, SCORES, temperature=0.0), "temperature = 0.0 should be above 0"),
        (lambda: smooth.auc(TRUTH[:, :2], SCORES), r"y_true has shape \(30, 2\) and y_pred \(30, 3\)"),
        (lambda: smooth.ndcg(ONES[0], ONES[0]), r"y_true has shape \(3,\) .* give both as \(lists, items\)"),
        (lambda: smooth.ndcg(ONES[:, :2], ONES), r"y_true has shape \(4, 2\) and y_pred \(4, 3\)"),
        (lambda: smooth.ndcg(ONES, ONES, k=0), "k = 0 should be a number of places of ndcg, 1 or more"),
        (
            lambda: smooth.mrr(ONES, ONES, sample_weight=ONES),
            r"\(4, 3\), and lists \(4,\): give one weight a",
        ),
        (lambda: smooth.SoftMRR(average=None), "mrr is a mean over lists: leave out average"),
        (lambda: smooth.SoftMRR(k=3), "k = 3 should be a number of places of ndcg"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
