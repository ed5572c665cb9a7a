"""Games of two players: a critic φ that climbs L₁ and a generator θ that descends L₂, as one flow.

Training in the limit of small steps is the ODE φ̇ = ∇φ L₁(φ, θ), θ̇ = −∇θ L₂(φ, θ). Whatever moves along a
flow (`supple.adversarial.integrators`) or looks at one takes a `Game`, or the field itself: a function
(state, batch) -> velocity. A toy and real networks differ only in what φ, θ and the batch are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Field = Callable[[Any, Any], Any]  # (state, batch) -> velocity, a pytree like the state


class Players(NamedTuple):
    """The state of a game, or its velocity: `phi` of the critic and `theta` of the generator, any pytrees."""

    phi: Any
    theta: Any


class Game(NamedTuple):
    """Two objectives (φ, θ, batch) -> scalar: the critic climbs `L1`, the generator descends `L2`.

    The batch is all else that they depend on: data, noise, and for networks the weights that are not trained
    (the vectors of spectral norm, say), so that the flow of a batch is a function of the state alone. A toy
    has none: its batch is None. In one compiled step XLA computes the same forward pass only once: asking an
    objective for its value, or a network for its next untrained weights, beside the field is free.
    """

    L1: Callable[[Any, Any, Any], Any]
    L2: Callable[[Any, Any, Any], Any]


def vector_field(game: Game | Field, state: Any, batch: Any = None) -> Any:
    """The velocity (φ̇, θ̇) = (∇φ L₁, −∇θ L₂) of a game at a state; of a field, what it says.

    Pure: compile it, differentiate it, map it. ValueError if an objective is no scalar.
    """
    if not isinstance(game, Game):
        return game(state, batch)
    phi, theta = state
    climb = jax.grad(lambda phi: scalar("L1", game.L1(phi, theta, batch)))(phi)
    descend = jax.grad(lambda theta: scalar("L2", game.L2(phi, theta, batch)))(theta)
    return Players(climb, jax.tree.map(jnp.negative, descend))


def scalar(name: str, value: Any) -> Any:
    """The value, with a ValueError if it is not one number."""
    if jnp.shape(value) != ():
        raise ValueError(f"{name} has shape {jnp.shape(value)}; give one number, say its mean over the batch")
    return value
