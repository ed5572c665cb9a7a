"""Mixtures, reparameterised implicitly through the CDFs of their components."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from supple.sampling.distributions import Categorical, Distribution
from supple.sampling.parameters import common_shape, tensors
from supple.sampling.seeds import Seed, split


class Mixture(Distribution):
    """z of component k with the probability softmax(logits)_k.

    `components`: one distribution of numbers, the last dimension of whose shape is k; logits `(..., K)`
    broadcast to it. `rsample` is there for components that have a CDF here; of VonMises there is no mean.
    """

    def __init__(self, logits: Any, components: Distribution) -> None:
        if components.event_dims or not components.shape:
            raise ValueError(
                f"components are {components.name} of shape {components.shape}; "
                "give a distribution of numbers, with the components in its last dimension"
            )
        named = {f"components.{name}": x for name, x in components.parameters.items()}
        self.parameters = tensors({"logits": logits, **named})
        shape = common_shape(self.parameters)
        if shape[-1:] != self.parameters["logits"].shape[-1:]:
            raise ValueError(
                f"logits has shape {self.parameters['logits'].shape}; give one for each component"
            )
        self.shape = shape[:-1]
        self.dtype = self.parameters["logits"].dtype
        self.discrete = components.discrete
        self.choice = Categorical(ops.broadcast_to(self.parameters["logits"], shape))
        self.components = components.replace(
            **{name: self.parameters[f"components.{name}"] for name in components.parameters}
        )

    def replace(self, **parameters: Any) -> Mixture:
        now = {**self.parameters, **parameters}
        return Mixture(
            now["logits"],
            self.components.replace(
                **{name: now[f"components.{name}"] for name in self.components.parameters}
            ),
        )

    def draw(self, shape: tuple[Any, ...], seed: Seed) -> Any:
        first, second = split(seed, 2)
        full = (*shape, self.choice.shape[-1])
        chosen = self.choice.draw(full, first)
        return ops.sum(chosen * self.components.draw(full, second), -1)

    def rsample(self, shape: tuple[int, ...] = (), *, seed: Seed = None) -> Any:
        return super().rsample() if self.discrete else self.moved(self.sample(shape, seed=seed))

    def moved(self, z: Any) -> Any:
        """dz = Σ r_k dz_k - Σ F_k(z) dw_k / f(z), of the components' probabilities w_k, posteriors r_k and
        CDFs F_k; dz_k is as if z were a sample of component k."""
        each = z[..., None]
        log_f = ops.stop_gradient(self.log_prob(z))[..., None]
        r = ops.stop_gradient(ops.exp(self.joint(each) - log_f))
        w, F = self.choice.mean(), self.components.cdf(each)
        F = ops.stop_gradient((F - ops.sum(w * F, -1, keepdims=True)) * ops.exp(-log_f))
        move = ops.sum(r * self.components.moved(each) - F * w, -1)
        return z + (move - ops.stop_gradient(move))

    def joint(self, each: Any) -> Any:
        """log w_k + log f_k(z)."""
        return ops.where(self.choice.allowed, self.choice.log_p + self.components.log_prob(each), -math.inf)

    def log_prob(self, z: Any) -> Any:
        return logsumexp(self.joint(self.point(z)[..., None]))

    def point(self, z: Any) -> Any:
        z = ops.cast(z, self.dtype)
        common_shape({"z": z[..., None], **self.parameters})
        return z

    def mean(self) -> Any:
        self.check_line()
        return self.average(self.components.mean())

    def variance(self) -> Any:
        self.check_line()
        apart = self.components.mean() - self.mean()[..., None]
        return self.average(self.components.variance() + apart * apart)

    def average(self, x: Any) -> Any:
        allowed = self.choice.allowed
        return ops.sum(ops.where(allowed, self.choice.mean() * ops.where(allowed, x, 0.0), 0.0), -1)

    def check_line(self) -> None:
        if self.components.circular:
            raise ValueError(f"a mixture of {self.components.name} has no mean here; average cos z and sin z")


def logsumexp(x: Any) -> Any:
    """Over the last axis, -inf where all are; no NaN in its gradient."""
    top = ops.stop_gradient(ops.max(x, -1, keepdims=True))
    top = ops.where(ops.abs(top) < math.inf, top, 0.0)
    there = x > -math.inf
    total = ops.sum(ops.where(there, ops.exp(ops.where(there, x, top) - top), 0.0), -1)
    some = total > 0
    return ops.squeeze(top, -1) + ops.where(some, ops.log(ops.where(some, total, 1.0)), -math.inf)
