"""What an energy U is trained by: functions of U and samples, each a scalar to descend.

U is a function (batch, ...) -> (batch,), of the density e^{−U(x)}/Z; the score of x is −∇U(x). Noise is an
argument: who draws it says how often. Regularisers are added to any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Energy = Callable[[Any], Any]


def one_each(u: Any, x: Any) -> Any:
    """The energies u of points x, if they are (batch,); ValueError if not."""
    if jnp.shape(u) != (len(x),):
        problem = f"U gave shape {jnp.shape(u)} for points of shape {jnp.shape(x)}, expected {(len(x),)}"
        mend = "give one energy a point: squeeze or sum the other axes"
        if jnp.ndim(u) == 2:
            mend += "; of classes give y, or energy_of(model) for −log Σ exp"
        raise ValueError(f"{problem}; {mend}")
    return u


def gradient(U: Energy, x: Any) -> Any:
    """∇U(x) of each point, of the shape of x: energies of a batch do not depend on each other."""
    return jax.grad(lambda x: U(x).sum())(x)


def inner(a: Any, b: Any) -> Any:
    """Inner products of each example: (batch,)."""
    return (a * b).reshape(len(a), -1).sum(-1)


def contrastive(real: Any, fake: Any) -> Any:
    """mean U(real) − mean U(fake), of energies: its gradient is that of −log p where fakes are samples of p.

    Fakes of chains that go on from update to update: PCD (Tieleman 2008); that begin at the data: CD-k
    (Hinton 2002). No gradient may go through how the fakes were made.
    """
    return real.mean() - fake.mean()


def denoising(U: Energy, x: Any, noise: Any, sigma: Any) -> Any:
    """½ mean ‖σ ∇U(x + σ ξ) − ξ‖², ξ ~ N(0, I): denoising score matching, weighted by σ² (Vincent 2011).

    Least where −∇U is the score of the data blurred by σ, a number or (batch,).
    """
    sigma = jnp.reshape(sigma, (-1, *[1] * (x.ndim - 1)))
    error = sigma * gradient(U, x + sigma * noise) - noise
    return inner(error, error).mean() / 2


def sliced(U: Energy, x: Any, v: Any) -> Any:
    """mean ½ ‖∇U(x)‖² − vᵀ ∇²U(x) v, v ~ N(0, I) or ±1: sliced score matching (Song et al. 2019).

    Of variance reduced, as its ½ ‖∇U‖² is exact. Least where −∇U is the data's score.
    """
    g, curvature = jax.jvp(lambda x: gradient(U, x), (x,), (v,))
    return (inner(g, g) / 2 - inner(v, curvature)).mean()


def noise_contrastive(real: Any, fake: Any, log_q_real: Any, log_q_fake: Any) -> Any:
    """Logistic loss of telling data from samples of q, by energies and log q (Gutmann & Hyvärinen 2010).

    As many fakes as data. Least where −U is the data's log-density *with* its −log Z, so U needs an offset.
    """
    return jax.nn.softplus(real + log_q_real).mean() + jax.nn.softplus(-fake - log_q_fake).mean()


def energy_penalty(real: Any, fake: Any) -> Any:
    """mean U(real)² + mean U(fake)²: BOTH are added, else |U| → ∞ pays (Du & Mordatch 2019)."""
    return (real**2).mean() + (fake**2).mean()


def gradient_penalty(U: Energy, x: Any) -> Any:
    """mean ‖∇U(x)‖² at points x: on data it is R1 (Mescheder et al. 2018)."""
    g = gradient(U, x)
    return inner(g, g).mean()
