"""Bounds hold, wherever one searches for a violation, and are near to what is reached."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from supple import smooth
from supple.smooth import bound, temperature_for
from supple.smooth.bounds import BOUNDS, STAIRS
from tests.numerics import numpy

pytestmark = pytest.mark.backend

HARD: dict[str, Callable[[np.ndarray], Any]] = {
    "max": lambda x: x.max(-1),
    "min": lambda x: x.min(-1),
    "softmax": lambda x: np.eye(len(x))[x.argmax()],
    "cumax": lambda x: np.arange(len(x)) >= x.argmax(),
    "argmax": lambda x: x.argmax(),
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, 0),
    "clip": lambda x: np.clip(x, -1, 2),
    "sign": np.sign,
    "step": lambda x: np.heaviside(x, 0.5),
    "equal": lambda x: x == 0,
    "floor": np.floor,
    "round": lambda x: np.floor(x + 0.5),
}
HARD |= {"one_hot_argmax": HARD["softmax"], "greater": HARD["step"]}
KEYS = [*BOUNDS, *STAIRS]
SPECIAL = {
    "clip": lambda x, t: smooth.clip(x, -1, 2, t),
    "equal": lambda x, t: smooth.equal(x, 0 * x, t),
    "greater": lambda x, t: smooth.greater(x, 0 * x, t),
}
every_bound = pytest.mark.parametrize("key", KEYS)


def error(key: str, x: np.ndarray, t: float) -> np.ndarray:
    """|soft - hard|, for probabilities its sum."""
    name, _, form = key.partition(":")
    options = {"form": form} if form else {}
    soft = SPECIAL.get(name) or partial(getattr(smooth, name), **options)
    found = np.abs(numpy(soft(x, t)).astype("float64") - HARD[name](x))
    if name == "cumax":
        return found.max()
    return found.sum() if name.endswith("max") and found.ndim else found


def bound_of(key: str, *args: Any, **options: Any) -> Any:
    name, _, form = key.partition(":")
    return bound(name, *args, form=form or None, **options)


ROWS = arrays(np.float32, st.integers(2, 8), elements=st.floats(-9, 9, width=32))


@every_bound
@given(x=ROWS, t=st.floats(0.01, 10))
def test_no_input_is_farther_than_its_bound(key: str, x: np.ndarray, t: float) -> None:
    rounding = 2e-5 * (1 + np.abs(x).max() + t)  # of float32
    if key in STAIRS:
        x = x[np.abs(x + STAIRS[key] - np.round(x + STAIRS[key])) > 1e-3]  # not on a step, to rounding
    found, at_most = error(key, x, t), bound_of(key, x, temperature=t)
    assert (found <= at_most + rounding).all()
    assert (at_most <= bound_of(key, temperature=t, n=len(x)) * (1 + 1e-9)).all()


WORST: dict[str, tuple[Any, float]] = {  # inputs at temperature 1 that come near the worst, and how near
    "max:lse": ([0.0, 0, 0], 1),
    "max:mean": ([0.0, -99, -99], 1),
    "max:boltzmann": ([1.4630555, 0, 0], 1),  # 1 + W₀(2 / e) above the others
    "softmax": ([0.0, 0, 0], 1),
    "cumax": ([1e-6, 0, 0], 1),
    "argmax": ([1e-6, 0, 0], 1),
    "abs:tanh": ([0.6392323], 1),
    "abs:log": ([0.0], 1),
    "abs:sqrt": ([0.0], 1),
    "relu:softplus": ([0.0], 1),
    "relu:silu": ([-1.2784645], 1),
    "relu:gelu": ([-0.7517916], 1),
    "clip": ([-1.0], 0.93),
    "sign": ([1e-4], 1),
    "step": ([1e-4], 1),
    "equal": ([1e-4], 1),
}


@pytest.mark.parametrize("key", WORST)
def test_the_worst_case_is_reached(key: str) -> None:
    x, share = WORST[key]
    found = np.max(error(key, np.array(x, "float32"), 1.0))
    assert found == pytest.approx(bound_of(key, n=len(x)), rel=1e-3) or share < 1
    assert found >= 0.999 * share * bound_of(key, n=len(x))


@every_bound
@given(tolerance=st.floats(1e-3, 2), n=st.integers(2, 100), gap=st.floats(0.01, 0.4))
def test_a_temperature_for_a_tolerance_keeps_it(key: str, tolerance: float, n: int, gap: float) -> None:
    name, _, form = key.partition(":")
    t = temperature_for(name, tolerance, n=n, gap=gap, form=form or None)
    x = np.array([gap - STAIRS.get(key, 0), *[0.0] * (n - 1)], "float64")[: None if BOUNDS.get(key) else 1]
    if key in BOUNDS and not BOUNDS[key].rows:
        x = x[:1]
    assert (
        t > 0 and (bound_of(key, -x if name == "min" else x, temperature=t) <= tolerance * (1 + 1e-6)).all()
    )
    if key in BOUNDS and BOUNDS[key].power:
        t = temperature_for(name, tolerance, n=n, form=form or None)
        assert bound_of(key, temperature=t, n=n) == pytest.approx(tolerance)


def test_rows_with_masks_and_of_one_element() -> None:
    x = np.array([[3.0, 1.0, 2.5], [3.0, 1.0, 2.5]])
    mask = np.array([[True, True, False], [True, False, False]])
    found = bound("softmax", x, mask=mask, temperature=0.5)
    np.testing.assert_allclose(found, [2 * np.exp(-4), 0])
    np.testing.assert_allclose(bound("max", x.T, axis=0), np.log1p(2 * np.exp(-0.5)))


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: bound("sine"), "no bound of 'sine'; there are those of abs, argmax"),
        (lambda: bound("max", form="soft", n=2), "form = 'soft' should be one of lse, mean, boltzmann"),
        (lambda: bound("max"), "n = None should be the number of elements that max is over"),
        (lambda: bound("abs", temperature=0), "temperature = 0 should be above 0"),
        (
            lambda: temperature_for("step", 0.1),
            "step jumps: say how far inputs keep from the jump, with gap=",
        ),
        (lambda: temperature_for("floor", 0.1), "floor jumps"),
        (lambda: temperature_for("abs", 0.0), "tolerance = 0.0 should be above 0"),
        (lambda: temperature_for("abs", 0.1, gap=-1.0), "gap = -1.0 should be above 0"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
