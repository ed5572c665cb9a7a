"""Special functions that `keras.ops` lacks: the backend's own where it has one that is right."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

lgamma: Any
digamma: Any
gammainc: Any  # of (α, x): the CDF of Gamma(α, 1)
i0e: Any
i1e: Any
random_gamma_grad: Any
trigonometry: Any = ops
if keras.backend.backend() == "jax":
    from jax import lax, numpy
    from jax.scipy import special as jsp

    lgamma, digamma, gammainc = jsp.gammaln, jsp.digamma, jsp.gammainc
    i0e, i1e, random_gamma_grad = jsp.i0e, jsp.i1e, lax.random_gamma_grad
    trigonometry = numpy  # that of Keras takes float64 for float32
elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    lgamma, digamma, gammainc = tf.math.lgamma, tf.math.digamma, tf.math.igamma
    i0e, i1e = tf.math.bessel_i0e, tf.math.bessel_i1e

    def random_gamma_grad(alpha: Any, z: Any) -> Any:
        return tf.raw_ops.RandomGammaGrad(alpha=alpha, sample=z)
else:
    import torch

    lgamma, digamma, gammainc = torch.special.gammaln, torch.special.digamma, torch.special.gammainc
    i0e, i1e, random_gamma_grad = torch.special.i0e, torch.special.i1e, torch._standard_gamma_grad
sin, tan, arcsin, arctan = trigonometry.sin, trigonometry.tan, trigonometry.arcsin, trigonometry.arctan

NORMAL = 1e3  # the α from which a Gamma is taken for its expansion about a normal distribution
LARGE = 500.0  # the κ from which Bessel functions are taken for their expansions


def gamma_slope(alpha: Any, z: Any) -> Any:
    """dz/dα of a sample of Gamma(α, 1) at a fixed value of its CDF: -(∂F/∂α) / f.

    From α = 1000 on by the expansion of Cornish and Fisher, z = α + x √α + (x² - 1) / 3 + …, with x normal:
    there TensorFlow is wrong by up to the whole, and float32 of JAX by 5e-3. PyTorch is good to 1e-3 only,
    and to .02 at α < .1 in the far upper tail.
    """
    x = 3 * ops.sqrt(alpha) * ((z / alpha) ** (1 / 3) - 1 + 1 / (9 * alpha))  # Wilson and Hilferty
    large = 1 + x / (2 * ops.sqrt(alpha)) - (x**3 - 7 * x) / (72 * alpha * ops.sqrt(alpha))
    known = alpha < NORMAL
    return ops.where(known, random_gamma_grad(ops.where(known, alpha, 1.0), ops.where(known, z, 1.0)), large)


def half_step(x: Any) -> Any:
    """log Γ(x + ½) - log Γ(x), without the cancellation at large x."""
    far = at_least(x, 30.0)
    large = 0.5 * ops.log(far) - 1 / (8 * far) + 1 / (192 * far**3) - 1 / (640 * far**5)
    near = at_most(x, 30.0)
    return ops.where(x > 30, large, lgamma(near + 0.5) - lgamma(near))


def half_step_slope(x: Any) -> Any:
    """ψ(x + ½) - ψ(x), the derivative of `half_step`."""
    far = at_least(x, 30.0)
    large = 1 / (2 * far) + 1 / (8 * far**2) - 1 / (64 * far**4) + 1 / (128 * far**6)
    near = at_most(x, 30.0)
    return ops.where(x > 30, large, digamma(near + 0.5) - digamma(near))


def log_i0e(kappa: Any) -> Any:
    """log(exp(-κ) I₀(κ)), and a gradient that does not cancel at large κ."""
    far = at_least(kappa, LARGE)
    series = 1 / (8 * far) + 9 / (128 * far**2) + 75 / (1024 * far**3) + 3675 / (32768 * far**4)
    large = ops.log1p(series) - 0.5 * ops.log(2 * math.pi * far)
    return ops.where(kappa > LARGE, large, ops.log(i0e(at_most(kappa, LARGE))))


def bessel_gap(kappa: Any) -> Any:
    """1 - I₁(κ) / I₀(κ): one less the mean cosine of a von Mises distribution."""
    far = at_least(kappa, LARGE)
    large = 1 / (2 * far) + 1 / (8 * far**2) + 1 / (8 * far**3) + 25 / (128 * far**4)
    near = at_most(kappa, LARGE)
    return ops.where(kappa > LARGE, large, 1 - i1e(near) / i0e(near))


def log1p_square(x: Any) -> Any:
    """log(1 + x²), for which x² need not be a number."""
    far = ops.abs(x) > 1e9
    near = ops.where(far, 0.0, x)
    return ops.where(far, 2 * ops.log(ops.where(far, ops.abs(x), 1.0)), ops.log1p(near * near))


def at_least(x: Any, low: float) -> Any:
    """max(x, low): that of Keras with a number makes float32 of float64 on PyTorch."""
    return ops.where(x < low, low, x)


def at_most(x: Any, high: float) -> Any:
    """min(x, high), likewise."""
    return ops.where(x > high, high, x)
