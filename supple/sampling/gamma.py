"""Gamma distributions and those made of them, reparameterised implicitly (Figurnov et al. 2018).

A sample z of the CDF F(z; α) moves with α so that F stays: dz/dα = -(∂F/∂α) / f. Samples are drawn as log z:
at α = .001 one in two is below 1e-300.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from supple.sampling.distributions import Distribution
from supple.sampling.parameters import finite, only_where, positive, tiny
from supple.sampling.seeds import Seed, split
from supple.sampling.special import (
    at_least,
    at_most,
    digamma,
    gamma_slope,
    gammainc,
    half_step,
    half_step_slope,
    lgamma,
    log1p_square,
)

TERMS = 7  # of the power series of F, which is for z below SMALL: the next is below 1e-12
SMALL = 0.1
HUGE = 1e30  # finite, so that times 0 it is 0


def log_gamma(alpha: Any, shape: tuple[Any, ...], seed: Seed) -> Any:
    """log z of z ∼ Gamma(α, 1), with the implicit gradient: log z′ + log(u) / α of z′ ∼ Gamma(α + 1, 1)."""
    alpha = ops.broadcast_to(alpha, shape)
    fixed = ops.stop_gradient(alpha)
    first, second = split(seed, 2)
    z = keras.random.gamma(shape, fixed + 1, dtype=alpha.dtype, seed=first)
    u = keras.random.uniform(shape, dtype=alpha.dtype, seed=second)  # from 0 to below 1
    return moving(at_least(ops.log(z) + ops.log1p(-u) / fixed, -HUGE), alpha)


def moving(log_z: Any, alpha: Any) -> Any:
    """`log_z` with the gradient by α of a sample of Gamma(α, 1)."""
    fixed = ops.stop_gradient(alpha)
    return ops.stop_gradient(log_z) + (alpha - fixed) * ops.stop_gradient(log_slope(fixed, log_z))


def log_slope(alpha: Any, log_z: Any) -> Any:
    """d(log z)/dα of a sample of Gamma(α, 1), of log z as low as it may be.

    Below SMALL by F = z^α / Γ(α + 1) · S with S = 1 + Σ (-z)ⁿ / n! · α / (α + n).
    """
    z = ops.exp(at_most(log_z, math.log(SMALL)))
    s, slope, term = 1.0, 0.0, 1.0  # S, ∂S/∂α, (-z)ⁿ / n!
    for n in range(1, TERMS + 1):
        term = -term * z / n
        s = s + term * alpha / (alpha + n)
        slope = slope + term * n / (alpha + n) ** 2
    small = -(s * (log_z - digamma(alpha + 1)) + slope) * ops.exp(z) / alpha
    z = ops.exp(at_least(log_z, math.log(SMALL)))
    return ops.clip(ops.where(log_z < math.log(SMALL), small, gamma_slope(alpha, z) / z), -HUGE, HUGE)


def xlogy(x: Any, y: Any) -> Any:
    """x log y, 0 where both are 0."""
    return x * ops.log(ops.where((x == 0) & (y == 0), 1.0, y))


class Gamma(Distribution):
    """Density ∝ z^(α - 1) exp(-rate · z) for z > 0."""

    alpha: Any
    rate: Any

    def __init__(self, alpha: Any, rate: Any = 1.0) -> None:
        super().__init__(alpha=positive("alpha", alpha), rate=positive("rate", rate))

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        z = ops.exp(log_gamma(self.alpha, shape, seed)) / self.rate
        return at_least(z, tiny(self.dtype))

    def moved(self, z: Any) -> Any:
        log_z = ops.log(at_least(z * ops.stop_gradient(self.rate), tiny(self.dtype)))
        return ops.exp(moving(log_z, ops.broadcast_to(self.alpha, ops.shape(log_z)))) / self.rate

    def cdf(self, z: Any) -> Any:
        return gammainc(self.alpha, at_least(z * self.rate, 0.0))

    def log_prob(self, z: Any) -> Any:
        z = self.point(z)
        y = ops.where(z >= 0, z, 1.0) * self.rate
        return only_where(z >= 0, xlogy(self.alpha - 1, y) - y - lgamma(self.alpha) + ops.log(self.rate))

    def mean(self) -> Any:
        return self.alpha / self.rate

    def variance(self) -> Any:
        return self.alpha / self.rate / self.rate

    def entropy(self) -> Any:
        a = self.alpha
        return a - ops.log(self.rate) + lgamma(a) + (1 - a) * digamma(a)

    def divergence(self, other: Gamma) -> Any:
        a, b, ratio = self.alpha, other.alpha, other.rate / self.rate
        return (a - b) * digamma(a) - lgamma(a) + lgamma(b) - b * ops.log(ratio) + a * (ratio - 1)


class Dirichlet(Distribution):
    """Density ∝ Π z^(α - 1) over z `(..., K)` of sum 1, which `log_prob` takes for granted."""

    event_dims = 1
    alpha: Any

    def __init__(self, alpha: Any) -> None:
        super().__init__(alpha=positive("alpha", alpha))
        if not self.shape:
            raise ValueError("alpha is a single number; give one for each category, in the last dimension")

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        z = ops.softmax(log_gamma(self.alpha, shape, seed), -1)
        return at_least(z, tiny(self.dtype))

    def log_prob(self, z: Any) -> Any:
        z = self.point(z)
        terms = xlogy(self.alpha - 1, ops.where(z >= 0, z, 1.0))
        return only_where(ops.all(z >= 0, -1), ops.sum(terms, -1) - self.log_normaliser())

    def log_normaliser(self) -> Any:
        """log of the multivariate beta function Π Γ(α) / Γ(Σ α)."""
        return ops.sum(lgamma(self.alpha), -1) - lgamma(ops.sum(self.alpha, -1))

    def mean_log(self) -> Any:
        """E[log z]."""
        return digamma(self.alpha) - digamma(ops.sum(self.alpha, -1, keepdims=True))

    def mean(self) -> Any:
        return self.alpha / ops.sum(self.alpha, -1, keepdims=True)

    def variance(self) -> Any:
        return self.mean() * (1 - self.mean()) / (ops.sum(self.alpha, -1, keepdims=True) + 1)

    def entropy(self) -> Any:
        return self.log_normaliser() - ops.sum((self.alpha - 1) * self.mean_log(), -1)

    def divergence(self, other: Dirichlet) -> Any:
        moved = ops.sum((self.alpha - other.alpha) * self.mean_log(), -1)
        return moved + other.log_normaliser() - self.log_normaliser()


class Beta(Distribution):
    """Density ∝ z^(a - 1) (1 - z)^(b - 1) for 0 < z < 1: the first of a Dirichlet distribution of two."""

    a: Any
    b: Any

    def __init__(self, a: Any, b: Any) -> None:
        super().__init__(a=positive("a", a), b=positive("b", b))

    def pair(self) -> Dirichlet:
        """The distribution of (z, 1 - z)."""
        return Dirichlet(ops.stack([self.a, self.b], -1))

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        z = self.pair().draw((*shape, 2), seed)[..., 0]
        return at_most(z, 1 - float(np.finfo(keras.backend.standardize_dtype(self.dtype)).epsneg))

    def log_prob(self, z: Any) -> Any:
        z = self.point(z)
        inside = (z >= 0) & (z <= 1)
        y = ops.where(inside, z, 0.5)
        value = xlogy(self.a - 1, y) + xlogy(self.b - 1, 1 - y)
        return only_where(inside, value - self.pair().log_normaliser())

    def mean(self) -> Any:
        return self.a / (self.a + self.b)

    def variance(self) -> Any:
        return self.mean() * (self.b / (self.a + self.b)) / (self.a + self.b + 1)

    def entropy(self) -> Any:
        return self.pair().entropy()

    def divergence(self, other: Beta) -> Any:
        return self.pair().divergence(other.pair())


class StudentT(Distribution):
    """loc + scale · t, with t = x / √(2 g / df) of a normal x and g ∼ Gamma(df / 2, 1).

    Its mean is NaN up to df = 1, its variance NaN up to 1 and infinite up to 2.
    """

    df: Any
    loc: Any
    scale: Any

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(df=positive("df", df), loc=finite("loc", loc), scale=positive("scale", scale))

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        first, second = split(seed, 2)
        x = keras.random.normal(shape, dtype=self.dtype, seed=first)
        log_g = log_gamma(self.df / 2, shape, second)
        stretch = 0.5 * (ops.log(self.df / 2) - log_g)
        return self.loc + self.scale * x * ops.exp(at_most(stretch, -0.25 * math.log(tiny(self.dtype))))

    def log_prob(self, z: Any) -> Any:
        y = (self.point(z) - self.loc) / self.scale
        tail = (self.df + 1) / 2 * log1p_square(y / ops.sqrt(self.df))
        return half_step(self.df / 2) - 0.5 * ops.log(math.pi * self.df) - tail - ops.log(self.scale)

    def mean(self) -> Any:
        return ops.where(self.df > 1, self.loc, math.nan)

    def variance(self) -> Any:
        finite_variance = self.df / ops.where(self.df > 2, self.df - 2, 1.0) * self.scale * self.scale
        undefined = ops.where(self.df > 1, ops.cast(math.inf, self.dtype), math.nan)
        return ops.where(self.df > 2, finite_variance, undefined)

    def entropy(self) -> Any:
        half = self.df / 2
        log_beta = 0.5 * math.log(math.pi) - half_step(half)
        tail = (half + 0.5) * half_step_slope(half)
        return tail + 0.5 * ops.log(self.df) + log_beta + ops.log(self.scale)
