"""Many chains of any sampler on any energy, in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from supple.energy.noise import normal, uniform
from supple.energy.samplers import Energy, Noise
from supple.training.functional import functional

Statistic = Callable[[Energy, Any], Any]  # (U, x) -> a pytree of (chains, ...)


class Chains(NamedTuple):
    """The last points x (chains, ...), and what was kept on the way (chains, draws, ...) or None.

    `accepted` (chains,) is the mean probability of acceptance, None for a sampler that accepts everything.
    """

    x: Any
    kept: Any
    accepted: Any


def points(U: Energy, x: Any) -> Any:
    """The statistic that keeps the points themselves."""
    return x


def sample(
    U: Any,
    x: Any,
    sampler: Any,
    steps: int,
    seed: int = 0,
    *,
    keep: int | None = None,
    statistic: Statistic = points,
    first: int = 0,
    done: int = 0,
) -> Chains:
    """Run chains from points x (chains, ...) for so many steps; U is a Keras model, f(x), or (f, weights).

    Every `keep`-th step a statistic of each chain, `statistic(U, x)`, is kept: the points, if none is given.
    Compiled once for a model, a shape, `steps`, `keep` and a statistic: other weights, other numbers of the
    sampler and other seeds run the same code. `first` is the number of the first chain: chains that are run
    in parts, each with its own `first`, do what they would do together. `done` is how many steps were made
    before: a run that goes on from its last points, with the same seed, does what it would have done at once;
    with `done=0` it would have the noise of its beginning again. ValueError if U gives a wrong shape, `steps`
    is no multiple of `keep`, or points are not finite, given or reached.
    """
    if steps < 1 or (keep is not None and (keep < 1 or steps % keep)):
        raise ValueError(f"steps = {steps}, keep = {keep}; give 1 or more steps, a multiple of keep")
    x = jnp.asarray(x)
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
    finite(x, "the points given", "leave them out")
    model = functional(U)
    chains = compiled(
        model.call,
        model.weights,
        model.state,
        x,
        sampler,
        jax.random.key(seed),
        first,
        done,
        steps,
        keep,
        statistic,
    )
    finite(chains.x, f"after {steps} steps", "lower the step size, clip, or see where U is not finite")
    return chains


@partial(jax.jit, static_argnames=("call", "steps", "keep", "statistic"))
def compiled(
    call: Any,
    weights: Any,
    state: Any,
    x: Any,
    sampler: Any,
    key: Any,
    first: Any,
    done: Any,
    steps: int,
    keep: int | None,
    statistic: Statistic,
) -> Chains:
    return run(lambda x: call(weights, state, x)[0], x, sampler, steps, key, keep, statistic, first, done)


def run(
    U: Energy,
    x: Any,
    sampler: Any,
    steps: int,
    key: Any,
    keep: int | None = None,
    statistic: Statistic = points,
    first: Any = 0,
    done: Any = 0,
) -> Chains:
    """`sample` as a pure function of U: (batch, ...) -> (batch,), points and a key, for compiled code."""
    numbers = first + jnp.arange(len(x))

    def step(state: Any, i: Any) -> tuple[Any, None]:
        now = jax.random.fold_in(key, done + i)
        noise = Noise(
            normal(now, numbers, x.shape[1:]).astype(x.dtype), uniform(now, numbers).astype(x.dtype)
        )
        return sampler.step(U, state, noise, i / max(steps - 1, 1)), None

    def draw(state: Any, indices: Any) -> tuple[Any, Any]:
        state, _ = jax.lax.scan(step, state, indices)
        return state, statistic(U, state.x) if keep else None

    indices = jnp.arange(steps).reshape(-1, keep or steps)
    state, kept = jax.lax.scan(draw, sampler.init(U, x), indices)
    kept = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), kept)
    return Chains(state.x, kept, state.accepted / steps if hasattr(state, "accepted") else None)


def finite(x: Any, where: str, mend: str) -> None:
    """ValueError if a chain has a number that is not finite."""
    bad = int((~jnp.isfinite(x)).reshape(len(x), -1).any(1).sum())
    if bad:
        raise ValueError(f"{bad} of {len(x)} chains are not finite, {where}; {mend}")
