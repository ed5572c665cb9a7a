"""No value and no gradient is NaN, in a million cases drawn from the traps that other libraries fall into.

Scores and metrics that are made of these functions have such tests of their own, on fewer cases.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from keras import ops

from supple import smooth
from tests.numerics import BACKEND, compiled, differentiated, numpy

pytestmark = pytest.mark.backend

CASES, N = 10_000, 6
Function = Callable[..., Any]


class Traps(NamedTuple):
    """Rows of numbers; a temperature, a mask, and a k for each; and whether nothing in them counts."""

    x: np.ndarray  # (CASES, N)
    t: np.ndarray  # (CASES, 1)
    mask: np.ndarray  # (CASES, N)
    k: np.ndarray  # (CASES, 1), from 1 on
    nothing: np.ndarray  # (CASES,)


def traps(seed: int) -> Traps:
    """Numbers up to ±1e4, near or far; ties; -inf; masks; temperatures from 1e-6 to 1e6."""
    random = np.random.default_rng(seed)
    scale = random.choice([0, 1e-6, 1e-3, 1, 30, 1e4], (CASES, 1))
    x = scale * random.standard_normal((CASES, N)) + random.choice([0, 0, 1, -1e4, 1e4], (CASES, 1))
    x = np.where(random.random((CASES, 1)) < 0.3, np.round(x), x)
    x = np.where(random.random((CASES, N)) < 0.1, random.choice([-1e4, 0, 1e4], (CASES, N)), x)
    x = np.clip(x, -1e4, 1e4).astype("float32")
    t = 10 ** random.uniform(-6, 6, (CASES, 1))
    t = np.where(random.random((CASES, 1)) < 0.2, random.choice([1e-6, 1, 1e6], (CASES, 1)), t)
    x[random.random((CASES, N)) < random.choice([0, 0, 0.3, 0.9], (CASES, 1))] = -np.inf
    mask = random.random((CASES, N)) >= random.choice([0, 0, 0.3, 0.9], (CASES, 1))
    nothing = ~(mask & (x > -np.inf)).any(-1)
    if BACKEND == "torch":  # where values are always known, such a row is an error
        x[nothing, 0], mask[nothing, 0] = 1, True
        nothing[:] = False
    count = (mask & (x > -np.inf)).sum(-1, keepdims=True)
    k = random.integers(1, np.maximum(count, 1) + 1).astype("int32")
    return Traps(x, t.astype("float32"), mask, k, nothing)


def of_rows(f: Function) -> Function:
    return lambda x, t, mask, k: f(x, t, mask=mask)


def of_numbers(f: Function) -> Function:
    return lambda x, t, mask, k: f(ops.where(x > -np.inf, x, 0.0), t)


def others(x: Any) -> Any:
    return ops.stop_gradient(ops.flip(x, -1))


def logic(p: Any) -> Any:
    return smooth.logical_or(smooth.logical_and(p, others(p)), smooth.logical_not(p))


GROUPS: dict[str, dict[str, Function]] = {
    "rows": {
        "softmax": of_rows(smooth.softmax),
        "cumax": of_rows(smooth.cumax),
        "cumax back": of_rows(partial(smooth.cumax, reverse=True)),
        "argmax": of_rows(smooth.argmax),
        **{f"max {form}": of_rows(partial(smooth.max, form=form)) for form in ("lse", "mean", "boltzmann")},
        "min": lambda x, t, mask, k: smooth.min(-x, t, mask=mask),
    },
    "numbers": {
        **{f"abs {form}": of_numbers(partial(smooth.abs, form=form)) for form in ("tanh", "log", "sqrt")},
        **{
            f"relu {form}": of_numbers(partial(smooth.relu, form=form))
            for form in ("softplus", "silu", "gelu")
        },
        "sign": of_numbers(smooth.sign),
        "step": of_numbers(smooth.step),
        "floor": of_numbers(smooth.floor),
        "round": of_numbers(smooth.round),
        "clip": of_numbers(lambda x, t: smooth.clip(x, -1, 2, t)),
        "equal": of_numbers(lambda x, t: smooth.equal(x, others(x), t)),
        "greater": of_numbers(lambda x, t: smooth.greater(x, others(x), t)),
        "logic": of_numbers(lambda x, t: logic(ops.sigmoid(x))),
    },
    "orders": {
        "top_k": lambda x, t, mask, k: smooth.top_k(x, k - 1, t, mask=mask),
        "kth_value": lambda x, t, mask, k: smooth.kth_value(x, k, t, mask=mask),
        "quantile": of_rows(lambda x, t, mask: smooth.quantile(x, 0.3, t, mask=mask)),
        "rank": of_rows(smooth.rank),
        "rank by projection": of_rows(partial(smooth.rank, form="projection")),
        "sort": of_numbers(smooth.sort),
        "sort by projection": of_numbers(partial(smooth.sort, form="projection")),
    },
}


@cache
def runner(group: str, dtype: str) -> Function:
    """Values (CASES, …) of a group's functions side by side, and the gradient of each by an `x` of its own.

    Values are weighted, as the gradient of a softmax's sum is 0.
    """

    def of(x: Any, *rest: Any) -> Any:
        weights = ops.linspace(1.0, 2.0, N, dtype="float32")
        found = []
        for i, f in enumerate(GROUPS[group].values()):
            y = ops.cast(f(ops.cast(x[i], dtype), *rest), "float32")
            found.append(y * weights if len(y.shape) == 2 else ops.expand_dims(y, 1))
        return ops.concatenate(found, 1)

    return differentiated(compiled(of))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.slow
def test_nothing_is_nan_in_ten_thousand_cases(group: str, dtype: str) -> None:
    never_nan(group, dtype, rounds=1)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_nothing_is_nan_in_a_million_cases(group: str, dtype: str) -> None:
    never_nan(group, dtype, rounds=100)


def never_nan(group: str, dtype: str, rounds: int) -> None:
    """What is infinite is truly so: the maximum of nothing; or in float16, which ends at 65504, τ log n of a
    high temperature and 1 / τ of a low one."""
    for seed in range(rounds):
        drawn = traps(seed)
        x = numpy(ops.cast(ops.cast(drawn.x, dtype), "float32"))
        x = np.broadcast_to(x, (len(GROUPS[group]), CASES, N))
        rest = (drawn.t, drawn.mask, drawn.k)
        values, gradients = runner(group, dtype)(x, *rest)
        assert not np.isnan(values).any()
        assert not np.isnan(gradients).any(), culprits(group, np.isnan(gradients))
        if dtype == "float16":
            wide_values, wide_gradients = runner(group, "float32")(x, *rest)
            values = np.where(np.abs(wide_values) > 65000, 0, values)
            gradients = np.where(np.abs(wide_gradients) > 65000, 0, gradients)
        assert np.isfinite(values[~drawn.nothing]).all()
        assert np.isfinite(gradients).all(), culprits(group, ~np.isfinite(gradients))


def culprits(group: str, wrong: np.ndarray) -> str:
    return ", ".join(f"{name}: {count}" for name, count in zip(GROUPS[group], wrong.sum((1, 2)), strict=True))
