"""Bounds of order statistics hold, wherever one searches for a violation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from supple import smooth
from supple.smooth import bound, temperature_for
from tests.numerics import compiled, double, numpy

pytestmark = pytest.mark.backend

N, K, Q = 6, 2, 0.3
CASES: dict[str, tuple[Callable[..., Any], Callable[[np.ndarray], np.ndarray], dict[str, Any]]] = {
    "top_k": (partial(smooth.top_k, k=K), lambda x: np.arange(N) < K, {"k": K}),
    "kth_value": (partial(smooth.kth_value, k=K), lambda x: np.sort(x, -1)[..., -K], {"k": K}),
    "quantile": (partial(smooth.quantile, q=Q), lambda x: np.quantile(x, Q, -1), {"q": Q}),
    "median": (smooth.median, lambda x: np.median(x, -1), {}),
    "rank": (smooth.rank, lambda x: rankdata(-x, axis=-1), {"form": "sigmoid"}),
    "rank projection": (
        partial(smooth.rank, form="projection"),
        lambda x: rankdata(-x, axis=-1),
        {"form": "projection"},
    ),
    "sort": (smooth.sort, lambda x: np.sort(x, -1), {"form": "top_k"}),
    "sort projection": (
        partial(smooth.sort, form="projection"),
        lambda x: np.sort(x, -1),
        {"form": "projection"},
    ),
    "cumax": (smooth.cumax, lambda x: np.arange(N) >= x.argmax(-1)[..., None], {}),
}
SOFT = {
    name: compiled(lambda x, t, soft=soft: soft(x, temperature=t)) for name, (soft, _, _) in CASES.items()
}
every_case = pytest.mark.parametrize("name", CASES)
ROWS = arrays(np.float64, (4, N), elements=st.sampled_from([0.0, 0.5, 1.0]) | st.floats(-9, 9, width=16))


@every_case
@given(x=ROWS, t=st.sampled_from([0.02, 0.3, 1.0, 4.0]), spread=st.sampled_from([0.1, 1.0, 10.0]))
def test_no_input_is_farther_than_its_bound(name: str, x: np.ndarray, t: float, spread: float) -> None:
    _, hard, options = CASES[name]
    x = spread * (-np.sort(-x, -1) if name == "top_k" else x)
    with double():
        found = np.abs(numpy(SOFT[name](x, t)) - hard(x))
    if name in ("top_k", "cumax"):
        found = found.sum(-1) if name == "top_k" else found.max(-1)
    at_most = bound(name.split()[0], x, temperature=t, **options)
    assert at_most.shape == found.shape
    assert (found <= at_most + 1e-6 * (1 + np.abs(x).max())).all()
    if name != "sort projection":
        worst = bound(name.split()[0], temperature=t, n=N, **options)
        assert (at_most <= worst * (1 + 1e-9)).all()


def test_bounds_that_are_reached() -> None:
    """Ties: nothing is chosen, all have the mean."""
    x = np.zeros((1, N), "float32")
    off = 2 * K * (N - K) / N  # each of K has K / N instead of 1, the others as much instead of 0
    assert np.abs(numpy(smooth.top_k(x, K)) - CASES["top_k"][1](x)).sum() == pytest.approx(off)
    assert bound("top_k", x, k=K) == pytest.approx(off) and bound("top_k", k=K, n=N) == pytest.approx(off)
    y = np.arange(N, dtype="float32")  # far below the temperature
    assert numpy(smooth.rank(y, 1e9))[0] == pytest.approx(N - bound("rank", n=N))
    assert numpy(smooth.rank(y, 1e9, form="projection"))[0] == pytest.approx(N - bound("rank", n=N))
    found = numpy(smooth.sort(y, 1e9, form="projection"))
    at_most = bound("sort", y, temperature=1e9, form="projection")
    np.testing.assert_allclose(np.abs(found - y)[[0, -1]], at_most[[0, -1]], rtol=1e-5)


def test_bounds_that_are_nothing() -> None:
    """Far from any jump, and where a projection is exact."""
    x = np.array([3.0, 1.0, 2.0, 0.0])
    assert bound("top_k", x, k=2, temperature=0.01) < 1e-20
    assert not bound("rank", x, temperature=1.0, form="projection").any()
    assert bound("rank", x, temperature=1.1, form="projection").all()
    assert not bound("sort", x, temperature=1.0, form="projection").any()
    assert bound("sort", x, temperature=1.1, form="projection").any()
    for k in 0, 4:
        assert bound("top_k", x, k=k) == 0


def test_masked_elements_do_not_count() -> None:
    x, mask = np.array([3.0, 9.0, 1.0, 2.0]), np.array([True, False, True, True])
    for name, options in {"top_k": {"k": 2}, "median": {}, "kth_value": {"k": 1}}.items():
        np.testing.assert_allclose(bound(name, x, mask=mask, **options), bound(name, x[mask], **options))
    ranks = bound("rank", x, mask=mask)
    assert ranks[1] == 0
    np.testing.assert_allclose(ranks[mask], bound("rank", x[mask]))
    np.testing.assert_allclose(bound("rank", np.stack([x, x], 1), axis=0)[:, 1], bound("rank", x))


@pytest.mark.parametrize("tolerance", [0.01, 0.5])
def test_a_temperature_for_a_tolerance_keeps_it(tolerance: float) -> None:
    for name, options in {"kth_value": {"k": 3}, "quantile": {"q": 0.2}, "median": {}, "sort": {}}.items():
        t = temperature_for(name, tolerance, n=N, **options)
        assert bound(name, temperature=t, n=N, **options) == pytest.approx(tolerance)
    t = temperature_for("top_k", tolerance, n=N, k=K, gap=0.5)
    assert bound("top_k", np.array([1.5] * K + [1.0] * (N - K)), k=K, temperature=t) <= tolerance * (1 + 1e-9)
    x = 0.5 * np.arange(N)
    t = temperature_for("rank", tolerance, n=N, gap=0.5)
    assert (bound("rank", x, temperature=t) <= tolerance).all()
    t = temperature_for("rank", tolerance, n=N, gap=0.5, form="projection")
    assert t == pytest.approx(0.5) and not bound("rank", x, temperature=t, form="projection").any()


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: bound("top_k", n=5), "k = None should be from 0 to 5"),
        (lambda: bound("kth_value", n=5, k=0), "k = 0 should be from 1 to 5"),
        (lambda: bound("quantile", n=5), "q = None should be from 0 to 1"),
        (lambda: bound("rank", n=5, form="soft"), "form = 'soft' should be one of sigmoid, projection"),
        (lambda: bound("sort"), "n = None should be the number of elements that sort is over"),
        (lambda: bound("sort", n=5, form="projection"), "give x"),
        (lambda: temperature_for("rank", 0.1, n=5), "rank jumps: say how far"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
