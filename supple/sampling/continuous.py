"""Distributions whose samples are elementary functions of noise, and so is their gradient."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from supple.sampling.distributions import Distribution, LocationScale, Normal
from supple.sampling.parameters import finite, only_where, positive, tiny
from supple.sampling.relaxed import gumbel
from supple.sampling.seeds import Seed, seeded, split
from supple.sampling.special import arctan, at_least, lgamma, log1p_square, tan
from supple.smooth.numbers import concrete

EULER = float(np.euler_gamma)


def exponential(shape: tuple[Any, ...], dtype: Any, seed: Seed) -> Any:
    """Noise of density exp(-x), x ≥ 0; finite."""
    return -ops.log1p(-keras.random.uniform(shape, dtype=dtype, seed=seeded(seed)))


class Laplace(LocationScale):
    """Density ∝ exp(-|z - loc| / scale)."""

    unit_variance = 2.0
    unit_entropy = 1 + math.log(2)

    def noise(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        first, second = split(seed, 2)
        return exponential(shape, self.dtype, first) - exponential(shape, self.dtype, second)

    def log_density(self, x: Any) -> Any:
        return -ops.abs(x) - math.log(2)

    def cumulative(self, x: Any) -> Any:
        tail = 0.5 * ops.exp(-ops.abs(x))
        return ops.where(x < 0, tail, 1 - tail)

    def divergence(self, other: Laplace) -> Any:
        distance, ratio = ops.abs(self.loc - other.loc), self.scale / other.scale
        return distance / other.scale + ratio * ops.exp(-distance / self.scale) - 1 - ops.log(ratio)


class Logistic(LocationScale):
    """The distribution with the CDF σ((z - loc) / scale): of differences of Gumbel noise."""

    unit_variance = math.pi**2 / 3
    unit_entropy = 2.0

    def noise(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        first, second = split(seed, 2)
        return gumbel(shape, first, self.dtype) - gumbel(shape, second, self.dtype)

    def log_density(self, x: Any) -> Any:
        return -x - 2 * ops.softplus(-x)

    def cumulative(self, x: Any) -> Any:
        return ops.sigmoid(x)


class Cauchy(LocationScale):
    """Density ∝ 1 / (1 + ((z - loc) / scale)²); its mean and variance are NaN."""

    unit_mean = math.nan
    unit_variance = math.nan
    unit_entropy = math.log(4 * math.pi)

    def noise(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        u = keras.random.uniform(shape, dtype=self.dtype, seed=seeded(seed))
        return tan(math.pi * (u - 0.5))

    def log_density(self, x: Any) -> Any:
        return -math.log(math.pi) - log1p_square(x)

    def cumulative(self, x: Any) -> Any:
        return 0.5 + arctan(x) / math.pi

    def divergence(self, other: Cauchy) -> Any:
        """log(((s + t)² + (l - m)²) / 4st), of Chyzak and Nielsen 2019."""
        s, t, distance = self.scale, other.scale, self.loc - other.loc
        return log1p_square(distance / (s + t)) + 2 * ops.log((s + t) / 2) - ops.log(s) - ops.log(t)


class Gumbel(LocationScale):
    """The distribution with the CDF exp(-exp(-(z - loc) / scale))."""

    unit_mean = EULER
    unit_variance = math.pi**2 / 6
    unit_entropy = 1 + EULER

    def noise(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        return gumbel(shape, seed, self.dtype)

    def log_density(self, x: Any) -> Any:
        return -x - ops.exp(-x)

    def cumulative(self, x: Any) -> Any:
        return ops.exp(-ops.exp(-x))

    def divergence(self, other: Gumbel) -> Any:
        ratio, distance = self.scale / other.scale, (self.loc - other.loc) / other.scale
        return ops.exp(lgamma(1 + ratio) - distance) + distance + EULER * (ratio - 1) - 1 - ops.log(ratio)


class LogNormal(Distribution):
    """exp(x) of a normal x of mean `loc` and standard deviation `scale`."""

    loc: Any
    scale: Any

    def __init__(self, loc: Any, scale: Any) -> None:
        super().__init__(loc=finite("loc", loc), scale=positive("scale", scale))
        self.normal = Normal(self.loc, self.scale)

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        return ops.exp(self.normal.draw(shape, seed))

    def moved(self, z: Any) -> Any:
        return ops.exp(self.normal.moved(ops.log(at_least(z, tiny(self.dtype)))))

    def cdf(self, z: Any) -> Any:
        return self.normal.cdf(ops.log(at_least(z, 0.0)))

    def log_prob(self, z: Any) -> Any:
        z = self.point(z)
        x = ops.log(ops.where(z > 0, z, 1.0))
        return only_where(z > 0, self.normal.log_prob(x) - x)

    def mean(self) -> Any:
        return ops.exp(self.loc + 0.5 * self.scale * self.scale)

    def variance(self) -> Any:
        return ops.expm1(self.scale * self.scale) * self.mean() ** 2

    def entropy(self) -> Any:
        return self.normal.entropy() + self.loc

    def divergence(self, other: LogNormal) -> Any:
        return self.normal.divergence(other.normal)


class Uniform(Distribution):
    """From `low` to `high`."""

    low: Any
    high: Any

    def __init__(self, low: Any, high: Any) -> None:
        super().__init__(low=finite("low", low), high=finite("high", high))
        known = concrete(self.low < self.high)
        if known is not None and not known.all():
            raise ValueError("low should be less than high, everywhere")
        self.width = self.high - self.low

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        return self.low + self.width * keras.random.uniform(shape, dtype=self.dtype, seed=seeded(seed))

    def moved(self, z: Any) -> Any:
        return self.low + self.width * ops.stop_gradient((z - self.low) / self.width)

    def cdf(self, z: Any) -> Any:
        return ops.clip((z - self.low) / self.width, 0.0, 1.0)

    def log_prob(self, z: Any) -> Any:
        z = self.point(z)
        return only_where((z >= self.low) & (z <= self.high), -ops.log(self.width) + 0 * z)

    def mean(self) -> Any:
        return 0.5 * (self.low + self.high)

    def variance(self) -> Any:
        return self.width * self.width / 12

    def entropy(self) -> Any:
        return ops.log(self.width)

    def divergence(self, other: Uniform) -> Any:
        """Infinite unless `other` covers `self`."""
        covered = (other.low <= self.low) & (self.high <= other.high)
        return ops.where(covered, ops.log(other.width / self.width), ops.cast(math.inf, self.dtype))


class Exponential(Distribution):
    """Density rate · exp(-rate · z) for z ≥ 0."""

    rate: Any

    def __init__(self, rate: Any) -> None:
        super().__init__(rate=positive("rate", rate))

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        return exponential(shape, self.dtype, seed) / self.rate

    def moved(self, z: Any) -> Any:
        return ops.stop_gradient(z * self.rate) / self.rate

    def cdf(self, z: Any) -> Any:
        return -ops.expm1(-self.rate * at_least(z, 0.0))

    def log_prob(self, z: Any) -> Any:
        z = self.point(z)
        return only_where(z >= 0, ops.log(self.rate) - self.rate * z)

    def mean(self) -> Any:
        return 1 / self.rate

    def variance(self) -> Any:
        return 1 / self.rate / self.rate

    def entropy(self) -> Any:
        return 1 - ops.log(self.rate)

    def divergence(self, other: Exponential) -> Any:
        ratio = other.rate / self.rate
        return ratio - 1 - ops.log(ratio)
