"""Distributions: what all of them share, the discrete ones, and those of a location and a scale.

Parameters are floats that broadcast. Half precision becomes float32, and so is what comes out: in float16 a
sample could be no number of the support. `seed` is an int, a SeedGenerator, a tensor of integers or None.
ValueError says what was wrong; in code that is being compiled values are not known, and not checked. Where a
mean or variance does not exist it is NaN or infinite.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from supple import smooth
from supple.sampling.parameters import common_shape, finite, positive, tensors
from supple.sampling.relaxed import gumbel_max
from supple.sampling.seeds import Seed, seeded
from supple.smooth.numbers import concrete


class Distribution:
    """What every distribution does; each of its own adds `draw`, `log_prob` and, where known, the rest.

    `parameters`: by name, in the order of the constructor; `shape`: that of one sample, whose last
    `event_dims` dimensions have one probability.
    """

    event_dims = 0
    discrete = False
    circular = False
    parameters: dict[str, Any]
    shape: tuple[Any, ...]

    def __init__(self, **parameters: Any) -> None:
        self.parameters = tensors(parameters)
        self.shape = common_shape(self.parameters)
        self.dtype = next(iter(self.parameters.values())).dtype
        for name, x in self.parameters.items():
            setattr(self, name, ops.broadcast_to(x, self.shape))

    def replace(self, **parameters: Any) -> Distribution:
        """The distribution with other parameters."""
        return type(self)(**{**self.parameters, **parameters})

    def sample(self, shape: tuple[int, ...] = (), *, seed: Seed = None) -> Any:
        """Samples of shape `(*shape, *d.shape)`, without a gradient."""
        return ops.stop_gradient(self.draw((*shape, *self.shape), seed))

    def rsample(self, shape: tuple[int, ...] = (), *, seed: Seed = None) -> Any:
        """Samples with the gradient of a reparameterisation; ValueError if the distribution is discrete."""
        if self.discrete:
            raise ValueError(
                f"samples of {self.name} have no gradient; relax them, or estimate: supple.sampling.estimate"
            )
        return self.draw((*shape, *self.shape), seed)

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        """Samples of the full `shape`, differentiable unless `discrete`."""
        raise NotImplementedError

    def moved(self, z: Any) -> Any:
        """Samples `z`, to which the gradient of the parameters is given that `rsample` would give."""
        raise self.no_mixture()

    def cdf(self, z: Any) -> Any:
        """The probability of values up to z; without a gradient."""
        raise self.no_mixture()

    def no_mixture(self) -> ValueError:
        return ValueError(f"samples of a mixture of {self.name} have no gradient here; use sample")

    def log_prob(self, z: Any) -> Any:
        """The logarithm of the probability, or density, of z; -inf where there is none."""
        raise NotImplementedError

    def mean(self) -> Any:
        """E[z], of the shape of a sample."""
        raise NotImplementedError

    def variance(self) -> Any:
        """The variance of each number of a sample."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """-E[log p(z)] in nats."""
        raise ValueError(f"{self.name} has no closed entropy; estimate it: -log_prob(z) over samples z")

    def kl(self, other: Distribution) -> Any:
        """KL(self ‖ other) = E[log p(z) - log q(z)] in nats; ValueError where no closed form is known."""
        if type(other) is not type(self) or type(self).divergence is Distribution.divergence:
            raise ValueError(
                f"no closed form of KL({self.name} ‖ {type(other).__name__}); estimate it: "
                "p.log_prob(z) - q.log_prob(z) over samples z of p"
            )
        common_shape(
            {f"{d}.{name}": x for d, at in (("p", self), ("q", other)) for name, x in at.parameters.items()}
        )
        return self.divergence(other)

    def divergence(self, other: Any) -> Any:
        """The KL of two of this class."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        return type(self).__name__

    def point(self, z: Any) -> Any:
        """`z` as a tensor of the distribution's dtype; ValueError if its shape does not broadcast."""
        z = ops.cast(z, self.dtype)
        common_shape({"z": z, **self.parameters})
        return z


class Bernoulli(Distribution):
    """z = 1 with probability σ(logits), else 0."""

    discrete = True
    logits: Any

    def __init__(self, logits: Any) -> None:
        super().__init__(logits=logits)
        known = concrete(self.logits)
        if known is not None and not np.isfinite(known).all():
            raise ValueError("logits should be finite; take a large one for a probability of 0 or 1")

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        u = keras.random.uniform(shape, dtype=self.dtype, seed=seeded(seed))
        return ops.cast(u < ops.sigmoid(self.logits), self.dtype)

    def log_prob(self, z: Any) -> Any:
        """z log σ(logits) + (1 - z) log σ(-logits): of z from 0 to 1 the cross-entropy, negated."""
        z = self.point(z)
        return -z * ops.softplus(-self.logits) - (1 - z) * ops.softplus(self.logits)

    def mean(self) -> Any:
        return ops.sigmoid(self.logits)

    def variance(self) -> Any:
        return ops.sigmoid(self.logits) * ops.sigmoid(-self.logits)

    def entropy(self) -> Any:
        return -self.log_prob(self.mean())

    def divergence(self, other: Bernoulli) -> Any:
        return self.log_prob(self.mean()) - other.log_prob(self.mean())


class Categorical(Distribution):
    """One-hot z `(..., K)` with the probabilities softmax(logits); what is at -inf never happens."""

    discrete = True
    event_dims = 1
    logits: Any

    def __init__(self, logits: Any) -> None:
        super().__init__(logits=logits)
        if not self.shape:
            raise ValueError("logits is a single number; give one for each category, in the last dimension")
        known = concrete(self.logits)
        if known is not None and not (known < math.inf).all():  # nor is NaN
            raise ValueError("logits should be finite, or -inf for what never happens")
        self.allowed = self.logits > -math.inf
        # 0 instead of -inf: no infinity is computed with, so that there is none in a gradient
        top = smooth.max(self.logits, keepdims=True)
        self.log_p = ops.where(self.allowed, ops.where(self.allowed, self.logits, 0.0) - top, 0.0)

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        return gumbel_max(ops.broadcast_to(self.logits, shape), seed=seed)

    def log_prob(self, z: Any) -> Any:
        """Σ z log p: of probabilities z the cross-entropy, negated."""
        z = self.point(z)
        return ops.sum(z * self.log_p, -1) + minus_infinity(ops.any((z > 0) & ~self.allowed, -1), z)

    def mean(self) -> Any:
        return ops.where(self.allowed, ops.exp(self.log_p), 0.0)

    def variance(self) -> Any:
        return self.mean() * (1 - self.mean())

    def entropy(self) -> Any:
        return -ops.sum(self.mean() * self.log_p, -1)

    def divergence(self, other: Categorical) -> Any:
        return -self.entropy() - other.log_prob(self.mean())


class LocationScale(Distribution):
    """loc + scale · noise, the noise of a fixed distribution."""

    loc: Any
    scale: Any
    unit_mean = 0.0  # of the noise
    unit_variance: float
    unit_entropy: float

    def __init__(self, loc: Any, scale: Any) -> None:
        super().__init__(loc=finite("loc", loc), scale=positive("scale", scale))

    def noise(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        raise NotImplementedError

    def log_density(self, x: Any) -> Any:
        """That of the noise."""
        raise NotImplementedError

    def cumulative(self, x: Any) -> Any:
        """The CDF of the noise."""
        raise NotImplementedError

    def standard(self, z: Any) -> Any:
        return (self.point(z) - self.loc) / self.scale

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        return self.loc + self.scale * self.noise(shape, seed)

    def moved(self, z: Any) -> Any:
        return self.loc + self.scale * ops.stop_gradient(self.standard(z))

    def cdf(self, z: Any) -> Any:
        return self.cumulative(self.standard(z))

    def log_prob(self, z: Any) -> Any:
        return self.log_density(self.standard(z)) - ops.log(self.scale)

    def mean(self) -> Any:
        return self.loc + self.scale * self.unit_mean

    def variance(self) -> Any:
        return self.scale * self.scale * self.unit_variance

    def entropy(self) -> Any:
        return ops.log(self.scale) + self.unit_entropy


class Normal(LocationScale):
    """The normal distribution of mean `loc` and standard deviation `scale`."""

    unit_variance = 1.0
    unit_entropy = 0.5 * math.log(2 * math.pi * math.e)

    def noise(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        return keras.random.normal(shape, dtype=self.dtype, seed=seeded(seed))

    def log_density(self, x: Any) -> Any:
        return -0.5 * x * x - 0.5 * math.log(2 * math.pi)

    def cumulative(self, x: Any) -> Any:
        return 0.5 * (1 + ops.erf(x * math.sqrt(0.5)))

    def divergence(self, other: Normal) -> Any:
        ratio = self.scale / other.scale
        distance = (self.loc - other.loc) / other.scale
        return 0.5 * (ratio * ratio - 1 + distance * distance) - ops.log(ratio)


def minus_infinity(where: Any, like: Any) -> Any:
    """-inf there, 0 elsewhere, without a gradient."""
    return ops.where(where, ops.cast(-math.inf, like.dtype), ops.cast(0.0, like.dtype))
