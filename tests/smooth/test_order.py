"""Top-k has its five properties for every k; what is made of it, ranks and order are what they should be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from supple import smooth
from tests.numerics import BACKEND, compiled, differentiated, double, numpy, slope

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
N = 7  # of hypothesis's vectors: one size is compiled once
VECTORS = arrays(np.float32, (N,), elements=st.floats(-30, 30, width=32))
TEMPERATURES = st.sampled_from([1e-6, 1e-3, 0.1, 1.0, 30.0, 1e6])


def reference(x: np.ndarray, k: int, t: float) -> np.ndarray:
    """The equation solved by bisection in float64."""
    if k in (0, len(x)):
        return np.full(len(x), k > 0, float)
    low, high = x.min() / t - 50, x.max() / t + 50
    for _ in range(200):
        middle = (low + high) / 2
        p = 1 / (1 + np.exp(-np.clip(x / t - middle, -700, 700)))
        low, high = (middle, high) if p.sum() > k else (low, middle)
    return p


top_k = compiled(lambda x, k, t: smooth.top_k(x, k, t))


@given(VECTORS, TEMPERATURES, st.integers(0, N), st.integers(-8, 8), st.permutations(range(N)))
def test_the_five_properties_of_top_k(x: np.ndarray, t: float, k: int, shift: int, order: list[int]) -> None:
    """The known recipes fail: above 1, out of order, or of another sum (see the specification's counts)."""
    p = numpy(top_k(x, k, t))
    assert p.min() >= 0 and p.max() <= 1
    assert p.sum() == pytest.approx(k, abs=1e-5 * N)
    assert (np.diff(p[np.argsort(x, kind="stable")]) >= -1e-6).all()
    np.testing.assert_allclose(numpy(top_k(x[order], k, t)), p[order], atol=1e-5)
    if t >= 0.1:
        np.testing.assert_allclose(numpy(top_k(x + np.float32(shift), k, t)), p, atol=2e-4)
        np.testing.assert_allclose(p, reference(x.astype("float64"), k, t), atol=2e-4)


@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0, 1e4])
def test_newton_s_method_ends_at_the_root(spread: float) -> None:
    """In double precision, for every k: normal, heavy-tailed and two-valued elements."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=40), rng.standard_cauchy(40), rng.integers(0, 2, 40)]).repeat(39, 0)
    k = np.tile(np.arange(1, 40), 3)[:, None]
    with double():
        p = numpy(top_k(spread * x, k, 1.0))
    np.testing.assert_allclose(p.sum(-1), k[:, 0], rtol=1e-12)
    assert p.min() >= 0 and p.max() <= 1


@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_top_k_has_the_gradient_of_the_implicit_function(k: int) -> None:
    x, weights = X.astype("float64"), np.random.default_rng(1).normal(size=X.shape)
    with double():
        value, gradient = differentiated(
            lambda x: smooth.top_k(x, k, 0.7) * keras.ops.convert_to_tensor(weights)
        )(x)
    want = slope(lambda x: sum(reference(r, k, 0.7) @ w for r, w in zip(x, weights, strict=True)), x)
    np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        value.sum(-1), [reference(r, k, 0.7) @ w for r, w in zip(x, weights, strict=True)], atol=1e-7
    )


def test_a_temperature_has_a_gradient_too() -> None:
    x, weights = X.astype("float64"), np.random.default_rng(1).normal(size=X.shape)
    with double():
        _, gradient = differentiated(lambda t: smooth.top_k(x, 2, t) * keras.ops.convert_to_tensor(weights))(
            np.array([0.7])
        )
    want = [
        sum(reference(r, 2, t) @ w for r, w in zip(x, weights, strict=True)) for t in (0.7 - 1e-6, 0.7 + 1e-6)
    ]
    np.testing.assert_allclose(gradient, (want[1] - want[0]) / 2e-6, rtol=1e-6)


def test_known_values() -> None:
    """Where p of the maximum is above ½, k = 1 is no softmax: σ(1) of the middle of (2, 0)."""
    np.testing.assert_allclose(numpy(smooth.top_k([2.0, 0.0], 1)), [0.7310586, 0.2689414], rtol=1e-5)
    np.testing.assert_allclose(numpy(smooth.top_k([1.0, 1.0, 1.0], 2)), [2 / 3] * 3, rtol=1e-5)


def test_every_row_may_have_a_k_of_its_own() -> None:
    k = np.array([[1], [3], [5]])
    found = numpy(smooth.top_k(X, k, 0.5))
    for row, x, own in zip(found, X, k[:, 0], strict=True):
        np.testing.assert_allclose(row, reference(x.astype("float64"), own, 0.5), atol=1e-5)


HARD: dict[str, tuple[Callable[..., Any], Callable[[np.ndarray], np.ndarray]]] = {
    "top_k": (
        lambda x, t, **o: smooth.top_k(x, 2, t, **o),
        lambda x: (x >= np.sort(x, -1)[..., -2:-1]).astype(float),
    ),
    "kth_value": (lambda x, t, **o: smooth.kth_value(x, 2, t, **o), lambda x: np.sort(x, -1)[..., -2]),
    "quantile": (lambda x, t, **o: smooth.quantile(x, 0.3, t, **o), lambda x: np.quantile(x, 0.3, axis=-1)),
    "median": (smooth.median, lambda x: np.median(x, -1)),
    "rank": (smooth.rank, lambda x: np.argsort(np.argsort(-x, -1), -1) + 1.0),
    "rank projection": (
        partial(smooth.rank, form="projection"),
        lambda x: np.argsort(np.argsort(-x, -1), -1) + 1.0,
    ),
    "sort": (smooth.sort, lambda x: np.sort(x, -1)),
    "sort projection": (partial(smooth.sort, form="projection"), lambda x: np.sort(x, -1)),
}
MASKED = [name for name in HARD if not name.startswith("sort")]
every_function = pytest.mark.parametrize("name", HARD)


@every_function
def test_the_limit_at_temperature_0_is_the_hard_function(name: str) -> None:
    soft, hard = HARD[name]
    np.testing.assert_allclose(numpy(compiled(lambda x: soft(x, 1e-4))(X)), hard(X), atol=1e-4)


@every_function
def test_gradients_are_slopes(name: str) -> None:
    soft, _ = HARD[name]
    x = X.astype("float64")
    with double():
        _, gradient = differentiated(lambda x: soft(x, 0.7) ** 2)(x)
        function = compiled(lambda x: soft(x, 0.7))
        want = slope(lambda x: numpy(function(x)) ** 2, x)
    np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-7)


@every_function
@pytest.mark.parametrize("axis", [0, 1])
def test_axes(name: str, axis: int) -> None:
    soft, _ = HARD[name]
    x = X[:, :3]
    want = numpy(compiled(lambda x: soft(x, 0.7))(np.moveaxis(x, axis, -1)))
    want = np.moveaxis(want, -1, axis) if want.ndim == 2 else want
    found = numpy(compiled(lambda x: soft(x, 0.7, axis=axis))(x))
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MASKED)
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
    inf = np.inf if name in MASKED else 0
    x = np.array([[0, 0, 0, 0], [1e4, -1e4, 0, 1e4], [-inf, 1, 2, 2], [-inf, -inf, -1e4, 5]], "float32")

    @differentiated
    def wide(x: Any, t: Any) -> Any:
        y = soft(keras.ops.cast(x, dtype), t)
        assert keras.backend.standardize_dtype(y.dtype) == dtype
        return keras.ops.cast(y, "float32")

    for temperature in 1e-6, 1e-3, 1.0, 1e6:
        value, gradient = wide(x, np.float32(temperature))
        steep = dtype == "float16" and temperature < 1e-4
        assert np.isfinite(value).all()
        assert np.isfinite(gradient).all() or (steep and not np.isnan(gradient).any())


RANKS = {form: compiled(partial(smooth.rank, form=form)) for form in ("sigmoid", "projection")}
SORTS = {form: compiled(partial(smooth.sort, form=form)) for form in ("top_k", "projection")}


@given(VECTORS, st.floats(0.05, 20))
def test_ranks_and_sorted_values_keep_their_sums_and_order(x: np.ndarray, t: float) -> None:
    for rank in RANKS.values():
        ranks = numpy(rank(x, t))
        assert ranks.sum() == pytest.approx(N * (N + 1) / 2, rel=1e-5)
        assert (np.diff(ranks[np.argsort(-x, kind="stable")]) >= -1e-4).all()
    for sort in SORTS.values():
        ordered = numpy(sort(x, t))
        assert ordered.sum() == pytest.approx(x.sum(), abs=1e-2)
        assert (np.diff(ordered) >= -1e-3).all()


@pytest.mark.parametrize("form", SORTS)
def test_falling_order_is_rising_order_turned_round(form: str) -> None:
    found = numpy(smooth.sort(X, 0.3, form=form, descending=True))
    np.testing.assert_allclose(found, numpy(smooth.sort(X, 0.3, form=form))[:, ::-1], rtol=1e-6)


@given(VECTORS, st.floats(0.02, 50))
def test_projections_are_the_nearest_points_of_the_permutahedron(x: np.ndarray, t: float) -> None:
    """The nearest point y to z in the hull of points v is where (z - y) · (v - y) ≤ 0 for all of them."""
    x = x[:5].astype("float64")
    for y, z, of in (
        (6 - numpy(smooth.rank(x, t, form="projection")), x / t, np.arange(1, 6)),
        (numpy(smooth.sort(x, t, form="projection")), np.arange(1, 6) / t, x),
    ):
        corners = of[np.array(list(permutations(range(5))))]
        scale = (1 + np.abs(z).max() + np.abs(of).max()) * (1 + np.abs(of).max())
        assert ((corners - y) @ (z - y)).max() <= 1e-5 * scale
        # Within the hull: no k elements have more than the k largest.
        largest = np.cumsum(np.sort(of)[::-1])
        assert (np.cumsum(np.sort(y)[::-1]) <= largest + 1e-4 * (1 + np.abs(of).max())).all()


@pytest.mark.parametrize("form", SORTS)
def test_minus_infinity_is_sorted_to_its_end(form: str) -> None:
    x = np.array([[2.0, -np.inf, 1.5, 3.0]], "float32")
    found = numpy(smooth.sort(x, 0.4, form=form))
    assert found[0, 0] == -np.inf
    np.testing.assert_allclose(found[:, 1:], numpy(smooth.sort(x[:, [0, 2, 3]], 0.4, form=form)), rtol=1e-5)
    assert (
        smooth.bound("sort", x, form=form).shape == x.shape and smooth.bound("sort", x, form=form)[0, 0] == 0
    )


def test_projections_are_exact_below_a_temperature() -> None:
    x = np.array([[3.0, -1.0, 1.0, 0.5]], "float32")
    np.testing.assert_array_equal(numpy(smooth.rank(x, 0.5, form="projection")), [[1, 4, 2, 3]])
    assert np.abs(numpy(smooth.rank(x, 0.6, form="projection")) - [[1, 4, 2, 3]]).max() > 0.05
    np.testing.assert_array_equal(numpy(smooth.sort(x, 0.5, form="projection")), np.sort(x))
    assert np.abs(numpy(smooth.sort(x, 0.6, form="projection")) - np.sort(x)).max() > 0.05


def test_a_hundred_thousand_elements_are_ranked_and_sorted() -> None:
    """Far apart ones are exact, and those of one block have their mean."""
    x = np.random.default_rng(0).permutation(100_000).astype("float32")
    np.testing.assert_array_equal(numpy(smooth.rank(x, 1.0, form="projection")), 100_000 - x)
    np.testing.assert_array_equal(numpy(smooth.sort(x, 0.5, form="projection")), np.arange(100_000))
    np.testing.assert_allclose(numpy(smooth.rank(x, 1e9, form="projection")), 50_000.5, rtol=2e-4)
    np.testing.assert_allclose(numpy(smooth.sort(x, 1e9, form="projection")), 49_999.5, rtol=2e-4)


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
        (lambda: smooth.sort(X, form="soft"), "form = 'soft' should be one of top_k, projection"),
        (lambda: smooth.rank(X, form="soft"), "form = 'soft' should be one of sigmoid, projection"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()


@pytest.mark.skipif(BACKEND == "torch", reason="tensors of PyTorch have values always")
@pytest.mark.parametrize("name", MASKED)
def test_a_row_in_which_nothing_counts_is_never_nan(name: str) -> None:
    soft, _ = HARD[name]
    mask = np.array([[True] * 5, [False] * 5, [True] * 5])
    value, gradient = differentiated(compiled(lambda x: soft(x, 1.0, mask=mask)))(X)
    assert np.isfinite(value).all() and np.isfinite(gradient).all()
    assert not value[1].any() and not gradient[1].any()
