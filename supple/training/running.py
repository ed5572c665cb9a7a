"""The averages of `Average` as pure functions of pytrees on JAX, for trainings whose state is one value.

Such an average goes back with the weights when a run does, and into checkpoints with them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Running(NamedTuple):
    """The weighted mean Σ β^(N−n) xₙ / m of what came so far, and its mass m = Σ β^(N−n); at first both 0."""

    mean: Any
    mass: Any


def begin(like: Any) -> Running:
    """The average of nothing yet, for a pytree of arrays; its mean is in float32 at least."""

    def zeros(x: Any) -> Any:
        return jnp.zeros(jnp.shape(x), jnp.promote_types(jnp.result_type(x), jnp.float32))

    return Running(jax.tree.map(zeros, like), jnp.zeros(()))


def update(running: Running, x: Any, decay: Any) -> Running:
    """The average with x taken in; decay 1 is the uniform mean."""
    mass = decay * running.mass + 1
    fraction = (1 / mass).astype
    mean = jax.tree.map(lambda mean, x: mean + (x - mean) * fraction(mean.dtype), running.mean, x)
    return Running(mean, mass)
