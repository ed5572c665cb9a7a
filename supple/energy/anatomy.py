"""What training by chains does, in numbers: energy gap, mean gradient, memory (Nijkamp et al. 2020).

The gap d_s about 0, of both signs: the chains keep pace with U. Long above 0: they lag behind, and U expands;
below 0: they are where U is lower than at the data. The mean gradient r_t tells short-run samplers, whose
drift ½ε‖∇U‖ is far above their noise, from Langevin dynamics, where both come to balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from supple.energy.evaluate import autocorrelation
from supple.energy.objectives import Energy, gradient, inner, one_each
from supple.training.functional import functional


class Anatomy(NamedTuple):
    """Of a batch: d_s, r_t, the energies' means and standard deviations, the mean age of chains."""

    gap: Any
    slope: Any
    real: Any
    fake: Any
    real_sd: Any
    fake_sd: Any
    age: Any


def energy_gap(real: Any, fake: Any) -> Any:
    """d_s = mean U(fake) − mean U(real), of energies."""
    return fake.mean() - real.mean()


def mean_gradient(U: Energy, x: Any) -> Any:
    """mean ‖∇U(x)‖ over points x (batch, ...)."""
    g = gradient(U, x)
    return jnp.sqrt(inner(g, g)).mean()


def anatomy_of(model: Any, real: Any, fake: Any, age: Any = 0) -> Anatomy:
    """All of these, for data and samples of chains, and the age of each; the model gives (batch,)."""
    call, weights, state = functional(model)

    def U(x: Any) -> Any:
        return one_each(call(weights, state, x)[0], x)

    u, v = U(real), U(fake)
    gap, slope = energy_gap(u, v), mean_gradient(U, fake)
    return Anatomy(gap, slope, u.mean(), v.mean(), u.std(), v.std(), jnp.asarray(age).mean())


def memory(states: Any, lags: Sequence[int]) -> np.ndarray:
    """The mean autocorrelation of states (chains, steps, ...) at some lags: 1 is frozen, 0 forgotten."""
    x = np.asarray(states, "float64")
    moving = autocorrelation(x.reshape(*x.shape[:2], -1))
    return moving[list(lags)].mean(-1)
