"""Estimators that send a gradient through samples: pathwise, relaxations of discrete ones, perturb-and-MAP.

f must be differentiable. Those of discrete distributions have a bias unless f is simple, and ask f at hard
samples, but for `gumbel_softmax`. Symbols: logits θ; noise G of the Gumbel distribution; and the derivative
J(p) = diag p - p pᵀ of p = softmax(θ). What they are made of: `supple.sampling.costs`.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from supple.sampling.costs import Costs, categories, of_example, slope, tangent, times
from supple.sampling.distributions import Bernoulli, Categorical
from supple.sampling.relaxed import conditional_gumbels, gumbel, one_hot_argmax
from supple.sampling.seeds import Seed, split
from supple.smooth.functions import probabilities
from supple.smooth.numbers import warmth


def pathwise(f: Costs, d: Any, n: int, seed: Seed) -> Any:
    """The gradient through reparameterised samples of a continuous distribution; without bias."""
    if isinstance(d, Bernoulli | Categorical):
        raise ValueError(
            f"pathwise takes continuous distributions; {type(d).__name__} is discrete: take reinmax or score"
        )
    return f(d.rsample((n,), seed=seed))


def perturbed_logits(logits: Any, n: int, seed: Seed) -> Any:
    """θ + G, of shape (n, *θ.shape): its argmax is a sample."""
    return logits + gumbel((n, *logits.shape), seed, logits.dtype)


def soft(x: Any, temperature: Any) -> Any:
    """softmax(x / τ) of the last axis."""
    return probabilities(x, warmth(temperature, x), -1, None)


def derivative(p: Any, x: Any) -> Any:
    """J(p) x: linear in x, so that its gradient, J being symmetric, takes a slope v to J(p) v."""
    p, x = ops.stop_gradient(p), ops.where(ops.isfinite(x), x, 0.0)
    return p * (x - ops.sum(p * x, -1, keepdims=True))


def gumbel_softmax(f: Costs, d: Any, n: int, seed: Seed, temperature: Any = 1.0, hard: bool = False) -> Any:
    """E f(y) of soft samples y = softmax((θ + G) / τ), value too (Jang et al. 2017; Maddison et al. 2017).

    With `hard`, f is asked at the one-hot argmax, and the gradient is that of y ("ST Gumbel-softmax").
    """
    logits, pick = categories(d)
    x = perturbed_logits(logits, n, seed)
    y = soft(x, temperature)
    return f(pick(one_hot_argmax(x, -1) + tangent(y) if hard else y))


def straight_through(f: Costs, d: Any, n: int, seed: Seed, temperature: Any = 1.0) -> Any:
    """The slope of f at a sample, times the derivative of softmax(θ / τ) (Bengio et al. 2013).

    With τ = 1 exact for f linear in each latent.
    """
    logits, pick = categories(d)
    z = one_hot_argmax(perturbed_logits(logits, n, seed), -1)
    return f(pick(z + tangent(times(soft(logits, temperature), n))))


def gumbel_rao(f: Costs, d: Any, n: int, seed: Seed, temperature: Any = 1.0, draws: int = 10) -> Any:
    """Hard `gumbel_softmax`, its derivative the mean over `draws` of noise given z (Paulus et al. 2021).

    Of the same mean and less variance; f is asked no more often.
    """
    logits, pick = categories(d)
    first, again = split(seed, 2)
    z = one_hot_argmax(perturbed_logits(logits, n, first), -1)
    x = ops.stop_gradient(conditional_gumbels(logits, times(z, draws), again))
    change = ops.mean(derivative(soft(x, temperature), logits), 0) / warmth(temperature, logits)
    return f(pick(z + tangent(change)))


def reinmax(f: Costs, d: Any, n: int, seed: Seed, temperature: Any = 1.0) -> Any:
    """The slope of f at a sample D, times 2 J((D + p) / 2) - J(p) / 2 (Liu et al. 2023).

    In (D + p) / 2, p is softmax(θ / τ). With τ = 1 exact for quadratic f: for those the mean of the slopes at
    both ends is that of the line between them.
    """
    logits, pick = categories(d)
    z = one_hot_argmax(perturbed_logits(logits, n, seed), -1)
    middle = (z + soft(logits, temperature)) / 2
    change = 2 * derivative(middle, logits) - derivative(soft(logits, 1.0), logits) / 2
    return f(pick(z + tangent(change)))


def perturbed(f: Costs, d: Any, n: int, seed: Seed, strength: float = 1.0) -> Any:
    """(z - z′) / λ of z = argmax(θ + G) and z′ = argmax(θ + G - λ ∇f(z)), λ the strength: perturb-and-MAP
    with implicit maximum-likelihood estimation, IMLE (Niepert et al. 2021).

    For f = c · z its mean is (softmax(θ) - softmax(θ - λ c)) / λ, exact as λ goes to 0, while its variance
    grows as 1 / λ.
    """
    if not strength > 0:
        raise ValueError(f"strength = {strength} should be above 0")
    logits, pick = categories(d)
    x = perturbed_logits(logits, n, seed)
    z = one_hot_argmax(x, -1)
    target = one_hot_argmax(x - strength * slope(lambda z: f(pick(z)), z), -1)
    costs = f(pick(z))
    return costs + of_example((z - target) / strength * tangent(logits), costs)
