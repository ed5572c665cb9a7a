"""Games of two players: a critic φ that climbs L₁ and a generator θ that descends L₂, as one flow.

Training in the limit of small steps is the ODE φ̇ = ∇φ L₁(φ, θ), θ̇ = −∇θ L₂(φ, θ). Whatever moves along a
flow (`supple.adversarial.integrators`) or looks at one takes a `Game`, or the field itself: a function
(state, batch) -> velocity. A toy and real networks differ only in what φ, θ and the batch are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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


def consensus_field(game: Game | Field, strength: float) -> Field:
    """The flow v − γ ∇ ½‖v‖² = v − γ Jᵀv, where J is the Jacobian of v and γ = `strength`."""

    def field(x: Any, batch: Any = None) -> Any:
        v, back = jax.vjp(partial(vector_field, game, batch=batch), x)
        return jax.tree.map(lambda v, pull: v - strength * pull, v, back(v)[0])

    return field


def adjusted_field(game: Game | Field, strength: float) -> Field:
    """The flow v − λ Aᵀv, A = (J − Jᵀ)/2, λ = `strength`; the sign of λ is chosen at each point.

    It is turned where ⟨v, Jᵀv⟩ ⟨Aᵀv, Jᵀv⟩ / n > 0.1, so as not to be drawn to an unstable fixed point
    (Balduzzi et al. 2018).
    """

    def field(x: Any, batch: Any = None) -> Any:
        f = partial(vector_field, game, batch=batch)
        v, back = jax.vjp(f, x)
        pull = back(v)[0]  # Jᵀv
        adjustment = jax.tree.map(lambda a, b: (a - b) / 2, pull, jax.jvp(f, (x,), (v,))[1])  # Aᵀv
        aligned = dot(v, pull) * dot(adjustment, pull) / sum(leaf.size for leaf in jax.tree.leaves(v))
        signed = jnp.where(aligned > 0.1, -strength, strength)
        return jax.tree.map(lambda v, a: v - signed.astype(v.dtype) * a, v, adjustment)

    return field


def dot(a: Any, b: Any) -> Any:
    """The inner product of two pytrees."""
    return sum(jnp.vdot(p, q) for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
