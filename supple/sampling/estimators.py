"""Estimates of L(θ) = E f(z), z ∼ p_θ, and of its gradient, by one call for all methods.

    estimate(f, logits, "reinmax", seed=0).gradient     # as it is
    loss = surrogate(f, logits, "reinmax", seed=seed)   # a scalar whose gradient it is, for training

`logits` of shape (*batch, *latents, K) are those of one-hot samples; any distribution of this room may stand
in their place. f maps samples of shape (samples, *d.shape) to costs of shape (samples, *batch), by which it
tells how many of the first axes are examples, each of which has to do with its own cost alone; the latents
of an example share its cost. Samples are hard, but where a method says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from supple.sampling.autodiff import gradients
from supple.sampling.controls import rebar, relax
from supple.sampling.costs import Costs, checked, distribution
from supple.sampling.distributions import Distribution
from supple.sampling.relaxations import (
    gumbel_rao,
    gumbel_softmax,
    pathwise,
    perturbed,
    reinmax,
    straight_through,
)
from supple.sampling.score import Moving, disarm, exact, score, vimco
from supple.sampling.seeds import Seed, split

METHODS: dict[str, Callable[..., Any]] = {
    "exact": exact,
    "score": score,
    "rebar": rebar,
    "relax": relax,
    "disarm": disarm,
    "vimco": vimco,
    "gumbel_softmax": gumbel_softmax,
    "straight_through": straight_through,
    "gumbel_rao": gumbel_rao,
    "reinmax": reinmax,
    "pathwise": pathwise,
    "perturbed": perturbed,
}


class Estimate(NamedTuple):
    """`value` (*batch), of E f; `gradient` of its sum over the batch, of the shape of the logits, or by the
    name of the distribution's parameter; `baseline` for the next call, where this one had a `Moving`."""

    value: Any
    gradient: Any
    baseline: Any = None


def estimate(
    f: Costs,
    logits: Any,
    method: str = "reinmax",
    samples: int = 1,
    seed: Seed = None,
    **options: Any,
) -> Estimate:
    """E f(z) and its gradient by a method of `METHODS`, whose options are its own; f itself is held fixed.

    Where f depends on the logits too, or has weights to train, take `surrogate`. In compiled code give a
    tensor as `seed`. ValueError for a method that does not take the distribution, or costs of a wrong shape.
    """
    (words,) = split(seed, 1)  # here, as what is differentiated should change no state
    bare = not isinstance(logits, Distribution)
    parameters = {"logits": logits} if bare else logits.parameters
    distribution(logits)  # for its own errors, before the backend has one

    def total(*values: Any) -> tuple[Any, Any]:
        d = values[0] if bare else logits.replace(**dict(zip(parameters, values, strict=True)))
        value = ops.mean(costs_of(f, d, method, samples, words, options), 0)
        return ops.sum(value), value

    found, value = gradients(total, list(parameters.values()))
    value, moving = ops.stop_gradient(value), options.get("baseline")
    gradient = found[0] if bare else dict(zip(parameters, found, strict=True))
    return Estimate(value, gradient, moving.updated(value) if isinstance(moving, Moving) else None)


def surrogate(
    f: Costs,
    logits: Any,
    method: str = "reinmax",
    samples: int = 1,
    seed: Seed = None,
    **options: Any,
) -> Any:
    """A scalar, the sum of `estimate`'s values, whose ordinary gradient is the estimate.

    It reaches all that the logits come from, and f's own weights, whose gradient is that of f at the samples.
    """
    return ops.sum(ops.mean(costs_of(f, logits, method, samples, split(seed, 1)[0], options), 0))


def costs_of(f: Costs, logits: Any, method: str, n: int, seed: Seed, options: dict[str, Any]) -> Any:
    """What the method makes of f; ValueError for one that there is not."""
    if method not in METHODS:
        raise ValueError(f"method = {method!r} should be one of {', '.join(METHODS)}")
    if n < 1:
        raise ValueError(f"samples = {n} should be 1 or more")
    d = distribution(logits)
    return METHODS[method](checked(f, d), d, n, seed, **options)
