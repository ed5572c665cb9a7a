"""log Z of an energy between two bounds, by annealed importance sampling in both directions.

Along U_β = (1 − β) U₀ + β U, from a Gaussian of log Z₀ = 0 to U, transitions leave each e^{−U_β} as it is.
The mean of log w forwards, from samples of the Gaussian, is at most log Z; backwards, from samples of U, at
least log Z (Neal 2001; Grosse et al. 2015). With more steps both come nearer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from supple.energy.chains import finite
from supple.energy.metropolis import HMC, MALA
from supple.energy.noise import normal, uniform
from supple.energy.objectives import one_each
from supple.energy.samplers import Noise
from supple.training.functional import functional


class Bracket(NamedTuple):
    """`lower` ≤ log Z ≤ `upper` in expectation, with standard errors, and the mean acceptance of transitions.

    `estimate` is log mean w of the forward runs, whose w is without bias.
    """

    lower: float
    upper: float
    estimate: float
    lower_error: float
    upper_error: float
    accepted: float


def log_z_bracket(
    model: Any,
    samples: Any,
    sampler: MALA | HMC,
    steps: int = 1000,
    *,
    mean: Any = 0.0,
    sd: Any = 1.0,
    seed: int = 0,
) -> Bracket:
    """Bounds of log ∫ e^{−U}, by as many runs each way as there are `samples` (n, ...) of e^{−U}.

    The upper one holds for exact samples; with those of chains that have not mixed it may be too low. A pair
    as the sampler's step size goes with β from U₀, a Gaussian of this mean and sd, to U. ValueError for a
    sampler that is not exact, sd not above 0, or energies that are not (n,).
    """
    x = jnp.asarray(samples)
    if not isinstance(sampler, MALA | HMC):
        raise ValueError(f"{type(sampler).__name__} leaves no density as it is; give mala(...) or hmc(...)")
    finite(x, "the samples given", "leave them out")
    if not (np.asarray(sd) > 0).all():
        raise ValueError(f"sd = {sd} should be above 0: the Gaussian where the forward runs begin")
    call, weights, state = functional(model)
    keys = jax.random.split(jax.random.key(seed), 3)
    begin = mean + sd * jax.random.normal(keys[0], x.shape, x.dtype)
    runs = [
        annealed(call, weights, state, points, sampler, steps, mean, sd, key, backwards)
        for points, key, backwards in ((begin, keys[1], False), (x, keys[2], True))
    ]
    (forward, a), (back, b) = [(np.asarray(w, "float64"), float(accepted.mean())) for w, accepted in runs]
    n = len(x)
    estimate = np.logaddexp.reduce(forward) - np.log(n)
    errors = [w.std(ddof=1) / np.sqrt(n) for w in (forward, back)]
    return Bracket(*map(float, (forward.mean(), back.mean(), estimate, *errors, (a + b) / 2)))


@partial(jax.jit, static_argnames=("call", "steps", "backwards"))
def annealed(
    call: Callable[..., Any],
    weights: Any,
    state: Any,
    x: Any,
    sampler: Any,
    steps: int,
    mean: Any,
    sd: Any,
    key: Any,
    backwards: bool,
) -> tuple[Any, Any]:
    """log w of each run (n,), and its mean acceptance."""
    wide = jnp.broadcast_to(jnp.asarray(sd, x.dtype), x.shape[1:])
    log_z_0 = jnp.log(wide).sum() + 0.5 * wide.size * jnp.log(2 * jnp.pi)

    def both(x: Any) -> tuple[Any, Any]:
        z = ((x - mean) / sd).reshape(len(x), -1)
        return 0.5 * (z**2).sum(1) + log_z_0, one_each(call(weights, state, x)[0], x)

    def move(x: Any, beta: Any, i: Any) -> tuple[Any, Any]:
        now, numbers = jax.random.fold_in(key, i), jnp.arange(len(x))
        noise = Noise(
            normal(now, numbers, x.shape[1:]).astype(x.dtype), uniform(now, numbers).astype(x.dtype)
        )

        def U(x: Any) -> Any:
            u_0, u = both(x)
            return (1 - beta) * u_0 + beta * u

        after = sampler.step(U, sampler.init(U, x), noise, beta)
        return after.x, after.accepted

    def step(carry: Any, i: Any) -> tuple[Any, None]:
        x, log_w, accepted = carry
        beta, before = i / steps, (i - 1) / steps
        if backwards:
            x, taken = move(x, beta, i)
        u_0, u = both(x)
        log_w = log_w + (beta - before) * (u_0 - u)  # U of β before − U of β
        if not backwards:
            x, taken = move(x, beta, i)
        return (x, log_w, accepted + taken / steps), None

    zeros = jnp.zeros(len(x), x.dtype)
    order = jnp.arange(1, steps + 1)
    (_, log_w, accepted), _ = jax.lax.scan(step, (x, zeros, zeros), order[::-1] if backwards else order)
    return log_w, accepted
