"""Top-k has its five properties for every k, and all else that it is made into is what it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from supple import smooth
from tests.numerics import BACKEND, compiled, double, numpy, slope, value_and_gradient

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
VECTORS = arrays(np.float32, st.integers(1, 9), elements=st.floats(-30, 30, width=32))
TEMPERATURES = st.sampled_from([1e-6, 1e-3, 0.1, 1.0, 30.0, 1e6])


def reference(x: np.ndarray, k: int, t: float) -> np.ndarray:
    """The equation solved by bisection in float64."""
    low, high = x.min() / t - 50, x.max() / t + 50
    for _ in range(200):
        middle = (low + high) / 2
        p = 1 / (1 + np.exp(-np.clip(x / t - middle, -700, 700)))
        low, high = (middle, high) if p.sum() > k else (low, middle)
    return p


@given(VECTORS, TEMPERATURES, st.data())
def test_the_five_properties_of_top_k(x: np.ndarray, t: float, data: Any) -> None:
    """The known recipes fail: above 1, out of order, or of another sum (see the specification's counts)."""
    k = data.draw(st.integers(0, len(x)))
    shift = np.float32(data.draw(st.integers(-8, 8)))
    p = numpy(smooth.top_k(x, k, t))
    assert p.min() >= 0 and p.max() <= 1
    assert p.sum() == pytest.approx(k, abs=2e-5 * len(x))
    assert (np.diff(p[np.argsort(x, kind="stable")]) >= -1e-6).all()
    order = np.argsort(data.draw(st.permutations(range(len(x)))))
    np.testing.assert_allclose(numpy(smooth.top_k(x[order], k, t)), p[order], atol=1e-5)
    if t >= 0.1:
        np.testing.assert_allclose(numpy(smooth.top_k(x + shift, k, t)), p, atol=2e-4)
        np.testing.assert_allclose(p, reference(x.astype("float64"), k, t) if k else 0, atol=2e-4)


@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_top_k_has_the_gradient_of_the_implicit_function(k: int) -> None:
    x, weights = X.astype("float64"), np.random.default_rng(1).normal(size=X.shape)
    with double():
        value, gradient = value_and_gradient(lambda x: smooth.top_k(x, k, 0.7) * weights, x)
    want = slope(
        lambda x: sum((reference(r, k, 0.7) if k else 0 * r) @ w for r, w in zip(x, weights, strict=True)), x
    )
    np.testing.assert_allclose(gradient, want if 0 < k < 5 else 0 * x, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        value.sum(),
        sum(reference(r, k, 0.7) @ w for r, w in zip(x, weights, strict=True)) if k else 0,
        atol=1e-5,
    )


def test_known_values() -> None:
    """Where p of the maximum is above ½, k = 1 is no softmax: σ(1) of the middle of (2, 0)."""
    np.testing.assert_allclose(numpy(smooth.top_k([2.0, 0.0], 1)), [0.7310586, 0.2689414], rtol=1e-5)
    np.testing.assert_allclose(numpy(smooth.top_k([1.0, 1.0, 1.0], 2)), [2 / 3] * 3, rtol=1e-5)


def test_every_row_may_have_a_k_of_its_own() -> None:
    k = np.array([[1], [3], [5]])
    found = numpy(smooth.top_k(X, k, 0.5))
    for row, x, own in zip(found, X, k[:, 0], strict=True):
        np.testing.assert_allclose(row, numpy(smooth.top_k(x, int(own), 0.5)), atol=1e-5)


HARD: dict[str, tuple[Callable[..., Any], Callable[[np.ndarray], np.ndarray]]] = {
    "top_k": (
        lambda x, t, **o: smooth.top_k(x, 2, t, **o),
        lambda x: (x >= np.sort(x, -1)[..., -2:-1]).astype(float),
    ),
    "kth_value": (lambda x, t, **o: smooth.kth_value(x, 2, t, **o), lambda x: np.sort(x, -1)[..., -2]),
    "quantile": (lambda x, t, **o: smooth.quantile(x, 0.3, t, **o), lambda x: np.quantile(x, 0.3, axis=-1)),
    "median": (smooth.median, lambda x: np.median(x, -1)),
    "rank": (smooth.rank, lambda x: np.argsort(np.argsort(-x, -1), -1) + 1.0),
    "sort": (smooth.sort, lambda x: np.sort(x, -1)),
}
every_function = pytest.mark.parametrize("name", HARD)


@every_function
def test_the_limit_at_temperature_0_is_the_hard_function(name: str) -> None:
    soft, hard = HARD[name]
    np.testing.assert_allclose(numpy(soft(X, 1e-4)), hard(X), atol=1e-4)


@every_function
def test_gradients_are_slopes(name: str) -> None:
    soft, _ = HARD[name]
    with double():
        x = X.astype("float64")
        _, gradient = value_and_gradient(lambda x: soft(x, 0.7) ** 2, x)
        np.testing.assert_allclose(
            gradient, slope(lambda x: numpy(soft(x, 0.7)) ** 2, x, 1e-5), rtol=1e-4, atol=1e-5
        )


@every_function
@pytest.mark.parametrize("axis", [0, 1])
def test_axes_and_compiled_code(name: str, axis: int) -> None:
    soft, _ = HARD[name]
    x = X[:, :3]
    want = numpy(soft(np.moveaxis(x, axis, -1), 0.7))
    want = np.moveaxis(want, -1, axis) if want.ndim == 2 else want
    np.testing.assert_allclose(
        numpy(compiled(lambda x: soft(x, 0.7, axis=axis))(x)), want, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", [name for name in HARD if name != "sort"])
def test_what_is_masked_is_as_if_it_were_not_there(name: str) -> None:
    soft, _ = HARD[name]
    mask = np.array([True, False, True, True, False])
    found, want = numpy(soft(X, 0.4, mask=mask)), numpy(soft(X[:, mask], 0.4))
    if found.ndim == 2:
        assert not found[:, ~mask].any()
        found = found[:, mask]
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


@every_function
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_values_and_gradients_are_finite(name: str, dtype: str) -> None:
    soft, _ = HARD[name]
    inf = 0 if name == "sort" else -np.inf
    x = np.array([[0, 0, 0, 0], [1e4, -1e4, 0, 1e4], [inf, 1, 2, 2], [inf, inf, -1e4, 5]], "float32")
    for temperature in 1e-6, 1e-3, 1.0, 1e6:

        def wide(x: Any, temperature: float = temperature) -> Any:
            return keras.ops.cast(soft(keras.ops.cast(x, dtype), temperature), "float32")

        value, gradient = value_and_gradient(wide, x)
        steep = dtype == "float16" and temperature < 1e-4
        assert np.isfinite(value).all()
        assert np.isfinite(gradient).all() or (steep and not np.isnan(gradient).any())
        assert keras.backend.standardize_dtype(soft(keras.ops.cast(x, dtype), 1.0).dtype) == dtype


@given(VECTORS, st.floats(0.05, 20))
def test_ranks_and_sorted_values_keep_their_sums(x: np.ndarray, t: float) -> None:
    n = len(x)
    ranks = numpy(smooth.rank(x, t))
    assert ranks.sum() == pytest.approx(n * (n + 1) / 2, rel=1e-5)
    ordered = numpy(smooth.sort(x, t))
    assert ordered.sum() == pytest.approx(x.sum(), abs=1e-2)
    assert (np.diff(ordered) >= -1e-3).all()
    np.testing.assert_allclose(numpy(smooth.sort(x, t, descending=True)), ordered[::-1], atol=1e-5)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: smooth.top_k(X, 6), "k = 6.0 should be from 0 to 5"),
        (lambda: smooth.top_k(X, -1), "k = -1.0 should be from 0 to 5"),
        (lambda: smooth.top_k(X, 2.5), "k = 2.5 should be a whole number"),
        (lambda: smooth.top_k(X, 3, mask=np.array([1, 1, 0, 0, 0], bool)), "should be from 0 to 2"),
        (lambda: smooth.kth_value(X, 0), "k = 0.0 should be from 1 to 5"),
        (lambda: smooth.quantile(X, 1.5), "q = 1.5 should be from 0 to 1"),
        (lambda: smooth.sort(X, 0.0), "should be above 0"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()


@pytest.mark.skipif(BACKEND == "torch", reason="tensors of PyTorch have values always")
def test_a_row_in_which_nothing_counts_is_never_nan() -> None:
    mask = np.array([[True] * 5, [False] * 5, [True] * 5])
    for name, (soft, _) in HARD.items():
        if name != "sort":
            found = numpy(compiled(lambda x, soft=soft: soft(x, 1.0, mask=mask))(X))
            assert not np.isnan(found).any() and not found[1].any()
