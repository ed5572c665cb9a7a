"""The von Mises distribution on the circle, reparameterised implicitly (Figurnov et al. 2018)."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from supple.sampling.distributions import Distribution
from supple.sampling.parameters import finite, positive
from supple.sampling.seeds import Seed, Words, split
from supple.sampling.special import arcsin, arctan, at_most, bessel_gap, log_i0e, sin, tan

ROUNDS = 32  # of rejection: a proposal is taken with a probability of .657 at least, so 1e-15 are left over
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)  # of quadrature on [-1, 1]
FADED = 25.0  # what is exp(-25) times as dense is left out of an integral


class VonMises(Distribution):
    """Density exp(κ cos(z - loc)) / 2π I₀(κ), z in radians from -π to π.

    `mean` is the mean direction, `variance` that of the circle: 1 - E[cos(z - loc)].
    """

    circular = True
    loc: Any
    kappa: Any

    def __init__(self, loc: Any, kappa: Any) -> None:
        super().__init__(loc=finite("loc", loc), kappa=positive("kappa", kappa))

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        kappa = ops.broadcast_to(self.kappa, shape)
        return wrapped(self.loc + moving(angles(ops.stop_gradient(kappa), seed), kappa))

    def log_prob(self, z: Any) -> Any:
        """At any z, as if wrapped into the circle."""
        return -self.kappa * versine(self.point(z) - self.loc) - self.log_normaliser()

    def log_normaliser(self) -> Any:
        """log(2π I₀(κ)) - κ."""
        return math.log(2 * math.pi) + log_i0e(self.kappa)

    def mean(self) -> Any:
        return wrapped(self.loc)

    def variance(self) -> Any:
        return bessel_gap(self.kappa)

    def entropy(self) -> Any:
        return self.log_normaliser() + self.kappa * bessel_gap(self.kappa)

    def divergence(self, other: VonMises) -> Any:
        gap, apart = bessel_gap(self.kappa), versine(self.loc - other.loc)
        return other.log_normaliser() + other.kappa * (gap + (1 - gap) * apart) - self.entropy()


def versine(x: Any) -> Any:
    """1 - cos x, without the cancellation at small x."""
    return 2 * sin(x / 2) ** 2


def wrapped(x: Any) -> Any:
    """From -π to π."""
    return x - 2 * math.pi * ops.stop_gradient(ops.round(x / (2 * math.pi)))


def angles(kappa: Any, seed: Seed) -> Any:
    """Samples about 0, one for each κ, by rejection from a wrapped Cauchy distribution (Best & Fisher 1979).

    With r = √(1 + 4κ²) + 2κ their proposal is 2 arctan(c / √r), c of the Cauchy distribution, which is taken
    with the probability y exp(1 - y), y = (1 + 1 / r) / 2 + 2κ c² / (r + c²): nothing here cancels at any κ.
    """
    r = ops.sqrt(1 + 4 * kappa * kappa) + 2 * kappa
    words = split(seed, 1)[0].words

    def propose(i: Any, z: Any, waits: Any) -> tuple[Any, Any, Any]:
        shape = (2, *ops.shape(kappa))
        u = keras.random.uniform(shape, dtype=kappa.dtype, seed=Words(words + ops.cast(i, words.dtype)))
        c = tan(math.pi * (u[0] - 0.5))
        y = 0.5 * (1 + 1 / r) + 2 * kappa * (c * c / (r + c * c))
        z = ops.where(waits, 2 * arctan(c / ops.sqrt(r)), z)
        return i + 1, z, waits & (u[1] >= y * ops.exp(1 - y))

    start = (ops.cast(0, "int32"), kappa * 0, kappa > 0)
    return ops.while_loop(lambda i, z, waits: ops.any(waits), propose, start, maximum_iterations=ROUNDS)[1]


def moving(z: Any, kappa: Any) -> Any:
    """Samples `z` about 0, with their gradient by κ."""
    fixed = ops.stop_gradient(kappa)
    return ops.stop_gradient(z) + (kappa - fixed) * ops.stop_gradient(slope(fixed, z))


def slope(kappa: Any, z: Any) -> Any:
    """dz/dκ = -(∂F/∂κ) / f of samples about 0: -∫ exp(κ (cos φ - cos z)) (cos φ - A) dφ from 0 to z.

    A is E[cos z]. Beyond cos z = A it is the integral from z to π: so no integrand changes its sign, nothing
    cancels, and no exponent is above 1. Good to 1e-10, in float32 to 1e-4.
    """
    t, gap = ops.abs(z), bessel_gap(kappa)
    inner = versine(t) < gap
    faded = 2 * arcsin(ops.sqrt(at_most(sin(t / 2) ** 2 + FADED / (2 * kappa), 1.0)))
    low, high = ops.where(inner, 0.0, t)[..., None], ops.where(inner, t, faded)[..., None]
    nodes, weights = (ops.cast(x, z.dtype) for x in (NODES, WEIGHTS))
    phi = low + (high - low) * (nodes + 1) / 2  # (..., nodes)
    rise = -2 * sin((phi + t[..., None]) / 2) * sin((phi - t[..., None]) / 2)  # cos φ - cos z
    f = ops.exp(kappa[..., None] * rise) * (gap[..., None] - versine(phi))
    integral = ops.sum(weights * f, -1) * ops.squeeze(high - low, -1) / 2
    return ops.sign(z) * ops.where(inner, -integral, integral)
