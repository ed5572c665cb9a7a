"""Estimators that ask f for its values alone: enumeration, the score function, DisARM, VIMCO.

They are without bias, and f need not be differentiable. What they are made of: `supple.sampling.costs`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from supple.sampling.autodiff import gradients
from supple.sampling.costs import Costs, batch_shape, categories, of_example, tangent
from supple.sampling.distributions import Bernoulli
from supple.sampling.seeds import Seed, seeded, split

BASELINES = "none, mean, leave-one-out, optimal, a Moving, or a number or tensor"


class Moving(NamedTuple):
    """The exponential mean of earlier costs, as a baseline: hand `updated(costs)` to the next call.

    A mean that contained the current cost would shrink the gradient, to `decay` times what it is.
    """

    total: Any = 0.0
    weight: Any = 0.0

    @property
    def value(self) -> Any:
        """The mean, 0 before the first costs."""
        return self.total / ops.maximum(self.weight, 1e-30)

    def updated(self, costs: Any, decay: float = 0.9) -> Moving:
        """The mean with the mean of new costs in it."""
        cost = ops.stop_gradient(ops.mean(costs))
        return Moving(decay * self.total + (1 - decay) * cost, decay * self.weight + 1 - decay)


def exact(f: Costs, d: Any, n: int, seed: Seed, at_most: int = 2**16) -> Any:
    """Σ p(z) f(z) over all Kᴰ configurations of the D latents of an example; ValueError for more than
    `at_most`. It draws no samples."""
    logits, pick = categories(d)
    batch = f(d.sample((1,), seed=seed)).shape[1:]
    latents, k = batch_shape(d)[len(batch) :], logits.shape[-1]
    size = math.prod(latents)
    if k**size > at_most:
        raise ValueError(
            f"{size} latents of {k} categories: {k}**{size} configurations, more than at_most = {at_most}; "
            "take a method that samples"
        )
    index = np.arange(k**size)[:, None] // k ** np.arange(size) % k  # (kᴰ, D)
    one_hot = np.eye(k)[index].reshape(-1, *(1 for _ in batch), *latents, k)
    z = ops.broadcast_to(pick(ops.cast(one_hot, logits.dtype)), (len(index), *d.shape))
    costs = f(z)
    log_p = of_example(d.log_prob(z), costs)
    costs = ops.where(log_p > -math.inf, costs, 0.0)  # whatever they are where nothing is
    return ops.sum(ops.exp(log_p) * costs, 0, keepdims=True)


def score(f: Costs, d: Any, n: int, seed: Seed, baseline: Any = "none", others: int = 16) -> Any:
    """(f - b) ∇ log p, the score-function estimator or REINFORCE (Williams 1992), of any distribution.

    The baseline b is "none"; "mean", the mean of f over `others` independent samples; "leave-one-out", the
    mean over the rest of the samples (RLOO, Kool et al. 2019); "optimal", E[f s²] / E[s²] over the rest, for
    each coordinate of the score s, which of two samples is the same; a `Moving` mean; or a number or tensor
    that broadcasts to the costs: a network's output, say, which `surrogate` fits to them by least squares.
    """
    draw, more = split(seed, 2)
    z = d.sample((n,), seed=draw)
    costs = f(z)
    if isinstance(baseline, str) and baseline in ("leave-one-out", "optimal") and n < 2:
        raise ValueError(
            f"baseline = {baseline!r} is made of the other samples: samples = {n} should be 2 or more"
        )
    if isinstance(baseline, str) and baseline == "optimal":
        return costs + optimal(d, z, ops.stop_gradient(costs))
    log_p = of_example(d.log_prob(z), costs)
    b = level(baseline, costs, lambda: f(d.sample((others,), seed=more)))
    fit = (b - ops.stop_gradient(costs)) ** 2 / 2
    return costs + ops.stop_gradient(costs - b) * tangent(log_p) + tangent(fit)


def level(baseline: Any, costs: Any, afresh: Any) -> Any:
    """The value of a baseline that is the same for all coordinates."""
    if isinstance(baseline, Moving):
        return ops.stop_gradient(ops.cast(baseline.value, costs.dtype))
    if not isinstance(baseline, str):
        b = ops.cast(baseline, costs.dtype)
        if not fits(b, costs):
            shapes = f"baseline has shape {tuple(b.shape)}, costs have {tuple(costs.shape)}"
            raise ValueError(f"{shapes}: give a baseline that broadcasts to them")
        return b
    if baseline == "none":
        return ops.zeros_like(costs[0])
    if baseline == "mean":
        return ops.stop_gradient(ops.mean(afresh(), 0))
    if baseline == "leave-one-out":
        return ops.stop_gradient(ops.tensordot(rest(costs), costs, 1) / (costs.shape[0] - 1))
    raise ValueError(f"baseline = {baseline!r} should be one of {BASELINES}")


def fits(x: Any, y: Any) -> bool:
    """Whether `x` broadcasts to the shape of `y`."""
    beside = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return len(x.shape) <= len(y.shape) and all(m in (1, n) for m, n in beside)


def rest(costs: Any) -> Any:
    """(n, n), 1 where a sample is another one. A sum less its own term would lose small terms beside it."""
    return ops.cast(1 - np.eye(costs.shape[0]), costs.dtype)


def optimal(d: Any, z: Any, costs: Any) -> Any:
    """0 with the gradient (f - b) s, the baseline b of each coordinate being Σ f s² / Σ s² over the rest."""
    names = list(d.parameters)
    if not all(fits(x, z) for x in d.parameters.values()):
        raise ValueError(
            f"baseline = 'optimal' is one of each coordinate, and parameters of {type(d).__name__} have no "
            "coordinate of their own; take leave-one-out"
        )
    values = [ops.broadcast_to(x, z.shape) for x in d.parameters.values()]
    wide = lifted(costs, z)

    def log_p(*parameters: Any) -> Any:
        return ops.sum(d.replace(**dict(zip(names, parameters, strict=True))).log_prob(z)), None

    found, _ = gradients(log_p, values)
    total = ops.zeros_like(costs)
    for x, s in zip(d.parameters.values(), found, strict=True):
        weights = ops.tensordot(rest(costs), s * s, 1)
        b = ops.tensordot(rest(costs), wide * s * s, 1) / ops.where(weights > 0, weights, 1.0)
        total = total + of_example(ops.stop_gradient((wide - b) * s) * tangent(x), costs)
    return total


def lifted(costs: Any, z: Any) -> Any:
    """Costs (n, *batch) with as many axes as z."""
    return ops.reshape(costs, (*costs.shape, *(1 for _ in z.shape[len(costs.shape) :])))


def disarm(f: Costs, d: Any, n: int, seed: Seed) -> Any:
    """Antithetic pairs of Bernoulli samples, weighed as RLOO's would be on average (Dong et al. 2020).

    `n`, even, counts the samples of all pairs.
    """
    if not isinstance(d, Bernoulli):
        raise ValueError(f"disarm takes Bernoulli variables, not {type(d).__name__}; take reinmax or score")
    if n % 2:
        raise ValueError(f"samples = {n} should be even: disarm takes them in pairs")
    logits = d.parameters["logits"]
    u = keras.random.uniform((n // 2, *d.shape), dtype=logits.dtype, seed=seeded(seed))
    noise = ops.log(u) - ops.log1p(-u)
    z, other = ops.cast(logits > noise, logits.dtype), ops.cast(logits > -noise, logits.dtype)
    costs = f(ops.concatenate([z, other]))
    here, there = costs[: n // 2], costs[n // 2 :]
    g = lifted(here - there, z) / 2 * (z - other) * ops.sigmoid(ops.abs(logits))
    return (here + there) / 2 + of_example(ops.stop_gradient(g) * tangent(logits), here)


def vimco(f: Costs, d: Any, n: int, seed: Seed) -> Any:
    """The bound log(Σ exp f(z_i) / n) of n samples, f giving log weights (Mnih & Rezende 2016).

    Its expectation grows with n: maximise it. The baseline of a sample is the bound with the geometric mean
    of the other weights in place of its own.
    """
    if n < 2:
        raise ValueError(f"samples = {n} should be 2 or more: vimco's bound is that of several samples")
    z = d.sample((n,), seed=seed)
    log_w = f(z)
    bound = ops.logsumexp(log_w, 0) - math.log(n)
    others = lifted(rest(log_w), log_w[None])  # (n, n, *batch)
    mean = ops.tensordot(rest(log_w), log_w, 1) / (n - 1)
    without = ops.logsumexp(others * log_w[None] + (1 - others) * mean[:, None], 1) - math.log(n)
    log_p = of_example(d.log_prob(z), log_w)
    return (bound + ops.sum(ops.stop_gradient(bound - without) * tangent(log_p), 0))[None]
