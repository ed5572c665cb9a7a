"""What estimators of gradients are made of: costs that keep their value and are given a gradient.

An estimator takes f, a distribution d, a number n of samples and a seed. It gives costs of shape (m, *batch)
whose mean over the first axis has the value and the gradient of the estimate. f maps samples of shape
(n, *d.shape) to costs (n, *batch); batch is what d.shape begins with, the rest are latents of one example.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from supple.sampling.autodiff import gradients
from supple.sampling.distributions import Bernoulli, Categorical, Distribution

Costs = Callable[[Any], Any]


def distribution(logits: Any) -> Any:
    """A distribution as it is, a `Categorical` of bare logits."""
    return logits if isinstance(logits, Distribution) else Categorical(logits)


def batch_shape(d: Any) -> tuple[Any, ...]:
    """The shape of a sample without what one log-probability covers."""
    return tuple(d.shape)[: len(d.shape) - d.event_dims]


def checked(f: Costs, d: Any) -> Costs:
    """`f`, with a ValueError where its costs have another shape than (n, *batch)."""

    def costs(z: Any) -> Any:
        found = ops.convert_to_tensor(f(z))
        given, batch = tuple(found.shape), batch_shape(d)
        if not given or given[0] != z.shape[0] or given[1:] != batch[: len(given) - 1]:
            raise ValueError(
                f"f gave costs of shape {given} for samples of shape {tuple(z.shape)}; they should have "
                f"({z.shape[0]}, *batch), one a sample and example, batch being what {batch} begins with"
            )
        float_already = keras.backend.is_float_dtype(keras.backend.standardize_dtype(found.dtype))
        return found if float_already else ops.cast(found, z.dtype)

    return costs


def tangent(x: Any) -> Any:
    """0 with the gradient of `x`; without one where `x` is infinite."""
    x = ops.where(ops.isfinite(x), x, 0.0)
    return x - ops.stop_gradient(x)


def of_example(x: Any, costs: Any) -> Any:
    """The sum of `x`, of shape (n, *d.shape) or less, over the latents of each example."""
    axes = tuple(range(len(costs.shape), len(x.shape)))
    return ops.sum(x, axes) if axes else x


def slope(f: Costs, z: Any) -> Any:
    """∇ f at each sample, as a constant."""
    (found,), _ = gradients(lambda z: (ops.sum(f(z)), None), [ops.stop_gradient(z)])
    return ops.stop_gradient(found)


def categories(d: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Logits of the categories of a discrete `d`, and what makes a sample of d of a one-hot one.

    A Bernoulli variable with logit θ has the categories 1 and 0 with the logits θ and 0.
    """
    if isinstance(d, Categorical):
        return d.parameters["logits"], lambda z: z
    if isinstance(d, Bernoulli):
        logits = d.parameters["logits"]
        return ops.stack([logits, ops.zeros_like(logits)], -1), lambda z: z[..., 0]
    raise ValueError(
        f"this method relaxes discrete samples, and {type(d).__name__} is none of Categorical and Bernoulli; "
        "for a continuous distribution take pathwise, or score"
    )


def times(x: Any, n: int) -> Any:
    """`x` for each of n samples: (n, *x.shape)."""
    return ops.broadcast_to(x, (n, *x.shape))
