"""Facts of one player: gradient descent is Euler's method, momentum a damped flow, and steps have an error.

A flow here is a field, as in `supple.adversarial.games`: play it with any integrator. `loss` is a function
x -> scalar of any pytree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from supple.adversarial.games import Field, dot

Loss = Callable[[Any], Any]


def gradient_flow(loss: Loss) -> Field:
    """ẋ = −∇L: `simultaneous(gradient_flow(loss), h)` is gradient descent with the learning rate h."""

    def field(x: Any, batch: Any = None) -> Any:
        return jax.tree.map(jnp.negative, jax.grad(loss)(x))

    return field


def modified_flow(loss: Loss, rate: float) -> Field:
    """ẋ = −∇(L + ¼ γ ‖∇L‖²), which gradient descent with the rate γ follows one order more closely.

    Backward error analysis: after a given time they differ by O(γ²), from the gradient flow by O(γ)
    (Barrett & Dherin 2021).
    """

    def modified(x: Any) -> Any:
        slope = jax.grad(loss)(x)
        return loss(x) + rate / 4 * dot(slope, slope)

    return gradient_flow(modified)


def unit_decay_flow(loss: Loss) -> Field:
    """ẋ = −L ∇L / ‖∇L‖², along which L falls as e^(−t) whatever the loss, down to a minimum of 0."""

    def field(x: Any, batch: Any = None) -> Any:
        value, slope = jax.value_and_grad(loss)(x)
        return jax.tree.map(lambda g: -value * g / dot(slope, slope), slope)

    return field


def damped_flow(loss: Loss, damping: float) -> Field:
    """The flow ẍ + λẋ = −∇L of a ball with friction, of states (place, velocity), λ = `damping`."""

    def field(state: tuple[Any, Any], batch: Any = None) -> tuple[Any, Any]:
        x, v = state
        return v, jax.tree.map(lambda v, g: -damping * v - g, v, jax.grad(loss)(x))

    return field


def momentum_of(damping: float, step: float) -> tuple[float, float]:
    """The learning rate α and the momentum β with which heavy-ball descent follows the damped flow.

    x⁺ = x + β (x − x⁻) − α ∇L is the central difference of `damped_flow` with the time step γ if
    β = (1 − λγ/2) / (1 + λγ/2) and α = γ² / (1 + λγ/2). So γ is about √α: steps of time larger than α.
    """
    half = damping * step / 2
    return step**2 / (1 + half), (1 - half) / (1 + half)


def damping_of(rate: float, momentum: float) -> tuple[float, float]:
    """The friction λ and the time step γ of heavy-ball descent: the inverse of `momentum_of`."""
    step = (2 * rate / (1 + momentum)) ** 0.5
    return 2 * (1 - momentum) / (1 + momentum) / step, step


def rescaled_momentum(momentum: float, ratio: float) -> float:
    """The momentum that keeps the damped flow when the learning rate becomes r times what it was.

    1 − (1 − β) √r, to first order in 1 − β.
    """
    return 1 - (1 - momentum) * ratio**0.5
