"""Smooth functions are their formulas, keep the invariants of the hard ones, and are never NaN."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

from supple import smooth
from tests.numerics import BACKEND, compiled, double, numpy, slope, value_and_gradient

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
FORMS: dict[str, Callable[..., Any]] = {
    "softmax": smooth.softmax,
    "cumax": smooth.cumax,
    "cumax back": partial(smooth.cumax, reverse=True),
    "argmax": smooth.argmax,
    **{f"max {form}": partial(smooth.max, form=form) for form in ("lse", "mean", "boltzmann")},
    **{f"min {form}": partial(smooth.min, form=form) for form in ("lse", "mean", "boltzmann")},
    **{f"abs {form}": partial(smooth.abs, form=form) for form in ("tanh", "log", "sqrt")},
    **{f"relu {form}": partial(smooth.relu, form=form) for form in ("softplus", "silu", "gelu")},
    "sign": smooth.sign,
    "step": smooth.step,
    "floor": smooth.floor,
    "round": smooth.round,
    "clip": lambda x, temperature: smooth.clip(x, -0.5, 0.5, temperature),
    "equal": lambda x, temperature: smooth.equal(x, x * 0 + 0.25, temperature),
    "greater": lambda x, temperature: smooth.greater(x, x * 0 + 0.25, temperature),
}
ROWS = [name for name in FORMS if name.split()[0] in ("softmax", "cumax", "argmax", "max", "min")]
every_form = pytest.mark.parametrize("name", FORMS)
every_row_form = pytest.mark.parametrize("name", ROWS)


def p(x: np.ndarray, t: float) -> np.ndarray:
    return np.exp(log_softmax(x / t, axis=-1))


FORMULAS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "softmax": p,
    "cumax": lambda x, t: np.cumsum(p(x, t), -1),
    "cumax back": lambda x, t: np.cumsum(p(x, t)[..., ::-1], -1)[..., ::-1],
    "argmax": lambda x, t: p(x, t) @ np.arange(x.shape[-1]),
    "max lse": lambda x, t: t * logsumexp(x / t, axis=-1),
    "max mean": lambda x, t: t * logsumexp(x / t, axis=-1) - t * np.log(x.shape[-1]),
    "max boltzmann": lambda x, t: (p(x, t) * x).sum(-1),
    "min lse": lambda x, t: -t * logsumexp(-x / t, axis=-1),
    "min mean": lambda x, t: -t * logsumexp(-x / t, axis=-1) + t * np.log(x.shape[-1]),
    "min boltzmann": lambda x, t: (p(-x, t) * x).sum(-1),
    "abs tanh": lambda x, t: x * np.tanh(x / t),
    "abs log": lambda x, t: t * np.logaddexp(x / t, -x / t),
    "abs sqrt": lambda x, t: np.sqrt(x**2 + t**2),
    "relu softplus": lambda x, t: t * np.logaddexp(x / t, 0),
    "relu silu": lambda x, t: x / (1 + np.exp(-x / t)),
    "relu gelu": lambda x, t: x * norm.cdf(x / t),
    "sign": lambda x, t: np.tanh(x / t),
    "step": lambda x, t: 1 / (1 + np.exp(-x / t)),
    "floor": lambda x, t: stairs(x, t),
    "round": lambda x, t: stairs(x + 0.5, t),
    "clip": lambda x, t: -0.5 + t * (np.logaddexp((x + 0.5) / t, 0) - np.logaddexp((x - 0.5) / t, 0)),
    "equal": lambda x, t: 1 / np.cosh((x - 0.25) / (2 * t)) ** 2,
    "greater": lambda x, t: 1 / (1 + np.exp(-(x - 0.25) / t)),
}


def stairs(x: np.ndarray, t: float) -> np.ndarray:
    """Steps at 1, 2, … up from 0, and at 0, -1, … down."""
    k = np.arange(1, 400)
    up = 1 / (1 + np.exp(-np.clip((x[..., None] - k) / t, -700, 700)))
    down = 1 / (1 + np.exp(np.clip((x[..., None] + k - 1) / t, -700, 700)))
    return up.sum(-1) - down.sum(-1)


@every_form
@pytest.mark.parametrize("temperature", [0.05, 0.3, 0.5, 0.7, 4.0])
def test_functions_are_their_formulas(name: str, temperature: float) -> None:
    x = 3 * X.astype("float64")
    with double():
        found = numpy(FORMS[name](x, temperature))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, FORMULAS[name](x, temperature), rtol=1e-7, atol=2e-8)


@every_form
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_gradients_are_slopes(name: str, temperature: float) -> None:
    x = X.astype("float64")
    with double():
        _, found = value_and_gradient(lambda x: FORMS[name](x, temperature) ** 2, x)
    want = slope(lambda x: FORMULAS[name](x, temperature) ** 2, x)
    np.testing.assert_allclose(found, want, rtol=2e-5, atol=2e-6)


HARD: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax": lambda x: (x == x.max(-1, keepdims=True)).astype(float),
    "argmax": lambda x: x.argmax(-1),
    "max lse": lambda x: x.max(-1),
    "max mean": lambda x: x.max(-1),
    "max boltzmann": lambda x: x.max(-1),
    "min lse": lambda x: x.min(-1),
    "abs tanh": np.abs,
    "abs log": np.abs,
    "abs sqrt": np.abs,
    "relu softplus": lambda x: np.maximum(x, 0),
    "relu silu": lambda x: np.maximum(x, 0),
    "relu gelu": lambda x: np.maximum(x, 0),
    "sign": np.sign,
    "step": lambda x: np.heaviside(x, 0.5),
    "floor": np.floor,
    "round": np.round,
    "clip": lambda x: np.clip(x, -0.5, 0.5),
    "greater": lambda x: np.heaviside(x - 0.25, 0.5),
}


@pytest.mark.parametrize("name", HARD)
def test_the_limit_at_temperature_0_is_the_hard_function(name: str) -> None:
    found = numpy(FORMS[name](3 * X, 1e-5))
    np.testing.assert_allclose(found, HARD[name](3 * X), atol=1e-4)


@every_form
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes_come_back_and_compute_in_float32(name: str, dtype: str) -> None:
    x = keras.ops.cast(X, dtype)
    found = FORMS[name](x, 0.5)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    want = FORMS[name](keras.ops.cast(x, "float32"), 0.5)
    assert np.array_equal(numpy(keras.ops.cast(want, dtype)), numpy(found))


INF = np.inf
TRAPS = np.array(  # ties, far apart, masked, and but one that is not
    [[0, 0, 0, 0], [1e4, -1e4, 0, 1e4], [-INF, 1, 2, -INF], [-INF, -INF, -1e4, -INF]], "float32"
)


@every_form
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_values_and_gradients_are_finite(name: str, dtype: str) -> None:
    x = -TRAPS if name.startswith("min") else TRAPS
    if name not in ROWS:
        x = np.nan_to_num(x, posinf=0, neginf=0)
    for temperature in 1e-6, 1e-3, 1.0, 1e6:

        def wide(x: Any, temperature: float = temperature) -> Any:
            y = FORMS[name](keras.ops.cast(x, dtype), temperature)
            return keras.ops.cast(y, "float32")

        value, gradient = value_and_gradient(wide, x)
        # In half precision neither τ log n nor slopes of 1 / τ are numbers at the ends.
        extreme = dtype == "float16" and not 1e-4 < temperature < 1e4
        for found in value, gradient:
            assert np.isfinite(found).all() or (extreme and not np.isnan(found).any())
        assert not gradient[~np.isfinite(x)].any()


@every_row_form
def test_what_is_masked_is_as_if_it_were_not_there(name: str) -> None:
    mask = np.array([True, False, True, True, False])
    found = numpy(FORMS[name](X, 0.7, mask=mask))
    want = numpy(FORMS[name](X[:, mask], 0.7))
    if name == "argmax":
        want = p(X[:, mask], 0.7) @ np.flatnonzero(mask)
    if found.ndim == 2:
        assert name.startswith("cumax") or not found[:, ~mask].any()
        found = found[:, mask]
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    minus = np.where(mask, X, np.inf if name.startswith("min") else -np.inf)
    np.testing.assert_array_equal(numpy(FORMS[name](minus, 0.7)), numpy(FORMS[name](X, 0.7, mask=mask)))


def test_a_model_takes_masks_of_a_batch_that_is_not_known() -> None:
    x, mask = keras.Input((5,)), keras.Input((5,), dtype="bool")
    model = keras.Model([x, mask], smooth.softmax(x, 0.7, mask=mask))
    some = np.array([True, False, True, True, False]) | np.zeros((3, 1), bool)
    want = numpy(smooth.softmax(X, 0.7, mask=some))
    np.testing.assert_allclose(numpy(model([X, some])), want, rtol=1e-6)


@every_row_form
def test_a_row_in_which_nothing_counts(name: str) -> None:
    """An error where values are known; never NaN where they are not."""
    mask = np.array([[True] * 5, [False] * 5, [True] * 5])
    with pytest.raises(ValueError, match="a row has no element that counts: all are masked or -inf"):
        FORMS[name](X, 1.0, mask=mask)
    if BACKEND != "torch":  # which has values always
        found = numpy(compiled(lambda x: FORMS[name](x, 1.0, mask=mask))(X))
        empty = {"max": -np.inf, "min": np.inf}.get(name.split()[0], 0.0)
        assert not np.isnan(found).any() and (found[1] == empty).all()


@every_row_form
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_axes(name: str, axis: int) -> None:
    found = numpy(FORMS[name](X, 0.7, axis))
    want = numpy(FORMS[name](np.moveaxis(X, axis, -1), 0.7))
    want = np.moveaxis(want, -1, axis) if want.ndim == 2 else want
    np.testing.assert_allclose(found, want, rtol=1e-6)


@every_form
def test_temperatures_may_differ_from_row_to_row(name: str) -> None:
    ts = np.array([[0.2], [1.0], [3.0]], "float32")
    found = numpy(FORMS[name](X, ts))
    want = [numpy(FORMS[name](row[None], float(t[0])))[0] for row, t in zip(X, ts, strict=True)]
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)


FLOATS = st.floats(-20, 20, width=32)
VECTORS = arrays(np.float32, st.sampled_from([1, 2, 5]), elements=FLOATS)  # each size is compiled
TEMPERATURES = st.floats(0.05, 20)


@given(VECTORS, TEMPERATURES, st.floats(-9, 9), st.randoms())
def test_invariants_of_rows(x: np.ndarray, t: float, shift: float, random: Any) -> None:
    """Shifts and permutations do what they do to the hard functions; probabilities are such."""
    order = list(range(len(x)))
    random.shuffle(order)
    probabilities = numpy(smooth.softmax(x, t))
    assert probabilities.min() >= 0 and probabilities.sum() == pytest.approx(1, abs=1e-5)
    close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
    close(numpy(smooth.softmax(x + np.float32(shift), t)), probabilities)
    close(numpy(smooth.softmax(x[order], t)), probabilities[order])
    for form in "lse", "mean", "boltzmann":
        value = numpy(smooth.max(x, t, form=form))
        close(numpy(smooth.max(x + np.float32(shift), t, form=form)), value + shift)
        close(numpy(smooth.max(x[order], t, form=form)), value)
        close(numpy(smooth.min(-x, t, form=form)), -value)
    rising, falling = numpy(smooth.cumax(x, t)), numpy(smooth.cumax(x, t, reverse=True))
    close(rising + falling, 1 + probabilities)
    assert (np.diff(rising) >= 0).all() and rising.max() <= 1


@given(arrays(np.float32, 20, elements=st.floats(-30, 30, width=32)), st.floats(0.02, 5))
def test_stairs_rise_and_go_up_by_one(x: np.ndarray, t: float) -> None:
    x = np.sort(x)
    found = numpy(smooth.floor(x, t))
    assert (np.diff(found) >= -1e-5 * 30).all()
    np.testing.assert_allclose(numpy(smooth.floor(x + 1, t)), found + 1, atol=1e-4)
    np.testing.assert_allclose(numpy(smooth.round(x, t)), numpy(smooth.floor(x + 0.5, t)), atol=1e-4)


def test_ties_share_the_gradient() -> None:
    _, gradient = value_and_gradient(lambda x: smooth.max(x, 1e-3), np.array([1.0, 2.0, 2.0], "float32"))
    np.testing.assert_allclose(gradient, [0, 0.5, 0.5], atol=1e-6)


def test_argmax_gives_probabilities_on_request() -> None:
    index, probabilities = smooth.argmax(X, 0.3, return_probabilities=True)
    np.testing.assert_allclose(numpy(probabilities), p(X, 0.3), rtol=1e-5)
    np.testing.assert_allclose(numpy(index), numpy(smooth.argmax(X, 0.3)))


def test_logic() -> None:
    truth = np.array([0.0, 0.0, 1.0, 1.0], "float32"), np.array([0.0, 1.0, 0.0, 1.0], "float32")
    assert numpy(smooth.logical_and(*truth)).tolist() == [0, 0, 0, 1]
    assert numpy(smooth.logical_or(*truth)).tolist() == [0, 1, 1, 1]
    assert numpy(smooth.logical_not(truth[0])).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: smooth.max(X, 0.0), "temperature = 0.0 should be above 0; the hard function is its limit"),
        (lambda: smooth.softmax(X, -1.0), "temperature = -1.0 should be above 0"),
        (lambda: smooth.softmax(X, np.array([[1.0], [0.0], [1.0]])), "should be above 0"),
        (lambda: smooth.softmax([1, 2]), "x has dtype int32; give floating-point numbers"),
        (lambda: smooth.logical_and([0.5], [1]), "q has dtype int32"),
        (lambda: smooth.max(X, mask=np.ones(4, bool)), r"mask has shape \(4,\) and x \(3, 5\)"),
        (lambda: smooth.max(X, mask=np.ones(5)), "give booleans, True where x counts"),
        (lambda: smooth.max(X, form="soft"), "form = 'soft' should be one of lse, mean, boltzmann"),
        (lambda: smooth.abs(X, form="soft"), "should be one of tanh, log, sqrt"),
        (lambda: smooth.relu(X, form="soft"), "should be one of softplus, silu, gelu"),
        (lambda: smooth.clip(X, 1.0, 1.0), "low = 1.0 should be less than high = 1.0"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
