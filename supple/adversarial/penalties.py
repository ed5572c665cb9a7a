"""Penalties on a critic D: what holds it smooth, so that the generator has somewhere to go.

A penalty takes the critic as a function (φ, x) -> scores (batch,), its weights φ, real and fake points
(batch, …), and a key if it draws; the critic's loss grows by a strength λ times its value.

| penalty | value | names |
|---|---|---|
| `gradient_penalty` | E (‖∇D(x̂)‖ − c)², x̂ between real and fake points | c = 1 WGAN-GP, c = 0 zero-centred |
| `divergence_penalty` | E ‖∇D(x̂)‖⁶ | WGAN-div (Wu et al. 2018), λ = 2 |
| `r1`, `r2` | ½ E ‖∇D‖² at real points, at fake ones | R1, R2 (Mescheder et al. 2018), λ = γ |
| `dragan` | E (‖∇D(x̂)‖ − 1)², x̂ around real points | DRAGAN (Kodali et al. 2017) |
| `quadratic` | E (D(x) − D(y))² / 2d(x, y) | GAN-QP (Su 2018), λ = 1/λ of the paper |
| `weight_decay` | ½ ‖φ‖² | L2 |

Spectral norm is no penalty but a change of coordinates: the critic's matrices W are W/σ(W), which
`normalised` makes of the weights, whatever the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from supple.energy.networks import spectral_norm

Critic = Callable[[Any, Any], Any]  # (weights, x) -> scores (batch,)
Penalty = Callable[[Critic, Any, Any, Any, Any], Any]  # (critic, φ, real, fake, key) -> a number


def squared_slopes(critic: Critic, phi: Any, x: Any) -> Any:
    """‖∇ₓD‖² (batch,), if no score depends on another's point, as with BatchNorm it would."""
    gradient = jax.grad(lambda x: critic(phi, x).sum())(x)
    return (gradient**2).reshape(len(x), -1).sum(1)


def slopes(critic: Critic, phi: Any, x: Any) -> Any:
    """‖∇ₓD‖ (batch,), with the gradient 0 where it is 0."""
    square = squared_slopes(critic, phi, x)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def between(real: Any, fake: Any, u: Any) -> Any:
    """Points on the lines from fake (u = 0) to real points (u = 1); u is (batch,)."""
    u = u.reshape(-1, *(1,) * (real.ndim - 1))
    return u * real + (1 - u) * fake


def anywhere_between(real: Any, fake: Any, key: Any) -> Any:
    return between(real, fake, jax.random.uniform(key, (len(real),), real.dtype))


def gradient_penalty(critic: Critic, phi: Any, real: Any, fake: Any, key: Any, *, center: float = 1.0) -> Any:
    """E (‖∇D‖ − c)² between real and fake points, c = `center` (Gulrajani et al. 2017)."""
    x = anywhere_between(real, fake, key)
    if center == 0:
        return squared_slopes(critic, phi, x).mean()
    return ((slopes(critic, phi, x) - center) ** 2).mean()


def divergence_penalty(critic: Critic, phi: Any, real: Any, fake: Any, key: Any) -> Any:
    """E ‖∇D‖⁶ between real and fake points."""
    return (squared_slopes(critic, phi, anywhere_between(real, fake, key)) ** 3).mean()


def r1(critic: Critic, phi: Any, real: Any, fake: Any, key: Any = None) -> Any:
    """½ E ‖∇D‖² at real points."""
    return squared_slopes(critic, phi, real).mean() / 2


def r2(critic: Critic, phi: Any, real: Any, fake: Any, key: Any = None) -> Any:
    """½ E ‖∇D‖² at fake points."""
    return squared_slopes(critic, phi, fake).mean() / 2


def dragan(critic: Critic, phi: Any, real: Any, fake: Any, key: Any) -> Any:
    """E (‖∇D‖ − 1)² at real points with noise of half the deviation of all numbers of the batch."""
    x = real + real.std() / 2 * jax.random.normal(key, real.shape, real.dtype)
    return ((slopes(critic, phi, x) - 1) ** 2).mean()


def quadratic(critic: Critic, phi: Any, real: Any, fake: Any, key: Any = None) -> Any:
    """E (D(x) − D(y))² / 2d(x, y) of pairs of a real and a fake point, d their Euclidean distance."""
    rise = critic(phi, real) - critic(phi, fake)
    square = ((real - fake) ** 2).reshape(len(real), -1).sum(1)
    apart = square > 0  # of two equal points the rise is 0 too
    return jnp.where(apart, rise**2 / (2 * jnp.sqrt(jnp.where(apart, square, 1))), 0).mean()


def weight_decay(critic: Critic, phi: Any, real: Any, fake: Any, key: Any = None) -> Any:
    """½ ‖φ‖², biases included."""
    return sum((w**2).sum() for w in jax.tree.leaves(phi)) / 2


PENALTIES: Mapping[str, Penalty] = MappingProxyType(
    {
        "none": lambda critic, phi, real, fake, key: jnp.zeros(()),
        "WGAN-GP": gradient_penalty,
        "zero-centred": partial(gradient_penalty, center=0.0),
        "WGAN-div": divergence_penalty,
        "R1": r1,
        "R2": r2,
        "DRAGAN": dragan,
        "GAN-QP": quadratic,
        "L2": weight_decay,
    }
)


def normalised(weights: Any) -> Any:
    """W / σ(W) for each weight of two dimensions or more, σ the largest singular value (Miyato et al. 2018).

    A kernel of a convolution counts as a matrix of one column an output, whose σ is not quite that of the
    map of images. Keras's own SpectralNormalization does not serve on JAX: there it normalises in training
    only, and what it stores is not normalised.
    """

    def scaled(w: Any) -> Any:
        return w / spectral_norm(w.reshape(-1, w.shape[-1])) if w.ndim > 1 else w

    return jax.tree.map(scaled, weights)
