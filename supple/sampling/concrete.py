"""Relaxed distributions whose samples are logarithms, so that their densities are finite at low temperatures.

As in `supple.sampling.distributions`: half precision becomes float32, in which samples and densities are.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from supple.sampling.distributions import Distribution, minus_infinity
from supple.sampling.parameters import positive
from supple.sampling.relaxed import LOW, check_rows, gumbel, uniform
from supple.sampling.seeds import Seed


class RelaxedBernoulli(Distribution):
    """Logits z = (logits + logistic noise) / τ of binary Concrete variables σ(z) (Maddison et al. 2017)."""

    logits: Any
    temperature: Any

    def __init__(self, logits: Any, temperature: Any) -> None:
        super().__init__(logits=logits, temperature=positive("temperature", temperature))

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        u = uniform(shape, seed, self.dtype)
        return (self.logits + ops.log(u) - ops.log1p(-u)) / self.temperature

    def log_prob(self, z: Any) -> Any:
        """That of z, a logit: log τ + d - 2 log(1 + exp(d)) with d = logits - τ z."""
        d = self.logits - self.temperature * self.point(z)
        return ops.log(self.temperature) - ops.softplus(d) - ops.softplus(-d)


class RelaxedCategorical(Distribution):
    """Logarithms z (..., K) of Concrete variables: log softmax((logits + Gumbel noise) / τ).

    `temperature` is a number, or a tensor of size 1 in its last dimension; logits of -inf are categories that
    never happen, whose z is -inf (ExpConcrete: Maddison et al. 2017).
    """

    event_dims = 1
    logits: Any
    temperature: Any

    def __init__(self, logits: Any, temperature: Any) -> None:
        super().__init__(logits=logits, temperature=positive("temperature", temperature))
        shape = tuple(self.parameters["temperature"].shape)
        if shape and shape[-1] != 1:
            raise ValueError(f"temperature has shape {shape}; give a number, or size 1 in the last dimension")
        if not self.shape:
            raise ValueError("logits is a single number; give one for each category, in the last dimension")
        self.allowed = self.logits > -math.inf
        self.finite = ops.where(self.allowed, self.logits, LOW)
        check_rows(ops.max(self.finite, -1))

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        z = self.finite + gumbel(shape, seed, self.dtype)
        return ops.log_softmax(z / self.temperature, -1) + minus_infinity(~self.allowed, z)

    def log_prob(self, z: Any) -> Any:
        """The density of the log-ratios z_i - z_K for i < K (of K categories that happen):

        log (K - 1)! + (K - 1) log τ + Σ log softmax(logits - τ z).
        """
        z = self.point(z)
        d = self.finite - self.temperature * ops.where(self.allowed, ops.where(z < LOW, LOW, z), 0.0)
        terms = ops.where(self.allowed, ops.log_softmax(d, -1), 0.0)
        others = ops.cumsum(ops.cast(self.allowed, d.dtype), -1) - 1  # 0 to K - 1 where allowed
        inner = ops.logical_and(self.allowed, others > 0)
        scale = ops.where(inner, ops.log(self.temperature * ops.where(inner, others, 1.0)), 0.0)
        outside = ops.any(ops.logical_and(z > -math.inf, ~self.allowed), -1)
        return ops.sum(terms + scale, -1) + minus_infinity(outside, d)


def kl_relaxed(q: Any, p: Any, samples: int = 1000, seed: Seed = None) -> tuple[Any, Any]:
    """KL(q ‖ p) in nats by the mean of log q(z) - log p(z) over samples z of q, and its standard error.

    Differentiable; ValueError if there are fewer than 2 samples.
    """
    if samples < 2:
        raise ValueError(f"samples = {samples} should be 2 or more: their spread gives the standard error")
    z = q.rsample((samples,), seed=seed)
    ratio = q.log_prob(z) - p.log_prob(z)
    return ops.mean(ratio, 0), ops.std(ratio, 0) / math.sqrt(samples - 1)
