"""Discrete samples, and relaxations of them that gradients go through.

Noise, sums and argmax are in float32 at least, whatever the dtype of `logits`: with noise of half precision hard
samples are biased. `logits` may be -inf, or False in the boolean `mask`, for what is not allowed. `temperature`
is above 0, a number or a tensor that broadcasts as in `supple.smooth`. ValueError says what was wrong; in code
that is being compiled values are not known, and a row in which nothing is allowed gives zeros.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from supple import smooth
from supple.sampling.seeds import Seed, seeded
from supple.smooth.functions import probabilities
from supple.smooth.numbers import valid_of, warmth, widened


def gumbel(shape: Any, seed: Seed = None, dtype: str = "float32") -> Any:
    """Noise -log E with E of the exponential distribution; float32 or float64, from -4.5 to 16.7."""
    u = keras.random.uniform(shape, dtype=dtype, seed=seeded(seed))
    return -ops.log(-ops.log(ops.clip(u, 1e-38, 1 - 2**-24)))


def gumbel_max(logits: Any, mask: Any = None, axis: int = -1, seed: Seed = None) -> Any:
    """One-hot samples of softmax(logits) along `axis`: one at argmax(logits + Gumbel noise)."""
    x, back = widened(logits, "logits")
    valid = valid_of(x, mask, axis)
    z = ops.where(valid, x, -math.inf) + gumbel(ops.shape(x), seed, x.dtype)
    return back(one_hot_argmax(z, axis))


def gumbel_softmax(
    logits: Any,
    temperature: Any = 1.0,
    hard: bool = False,
    mask: Any = None,
    axis: int = -1,
    seed: Seed = None,
) -> Any:
    """softmax((logits + Gumbel noise) / τ) along `axis` (Jang et al. 2017; Maddison et al. 2017).

    With `hard` one-hot samples that have its gradient. Its argmax is a sample of softmax(logits) at every τ;
    its mean is another distribution.
    """
    x, back = widened(logits, "logits")
    t = warmth(temperature, x)
    z = x + gumbel(ops.shape(x), seed, x.dtype)
    y = probabilities(z, t, axis, mask)
    if not hard:
        return back(y)
    valid = valid_of(x, mask, axis)
    return back(straight_through(one_hot_argmax(ops.where(valid, z, -math.inf), axis), y))


def straight_through(hard: Any, soft: Any) -> Any:
    """`hard` exactly, with the gradient of `soft`, which should be finite (Bengio et al. 2013)."""
    return ops.stop_gradient(hard) + (soft - ops.stop_gradient(soft))


def conditional_gumbels(logits: Any, one_hot: Any, seed: Seed = None) -> Any:
    """logits + Gumbel noise, given that `one_hot` is at its argmax over the last axis; at least float32.

    Differentiable in `logits` (Tucker et al. 2017; Paulus et al. 2021).
    """
    x, _ = widened(logits, "logits")
    return truncated_gumbels(x, ops.cast(one_hot, x.dtype), gumbel(ops.shape(one_hot), seed, x.dtype))


def truncated_gumbels(logits: Any, one_hot: Any, noise: Any) -> Any:
    """T = LSE(logits) + noise of the winner; the others -log(exp(-logits - noise) + exp(-T)), below T."""
    top = smooth.max(logits, keepdims=True) + ops.sum(one_hot * noise, -1, keepdims=True)
    gap = ops.softplus(top - (logits + noise))
    gap = ops.maximum(gap, 2.0**-22 * ops.abs(top) + 1e-30)  # else rounding makes ties
    return top - (1 - one_hot) * gap


def one_hot_argmax(z: Any, axis: int) -> Any:
    """One-hot at the maximum, zeros in a row of -inf."""
    found = ops.one_hot(ops.argmax(z, axis), z.shape[axis], axis=axis, dtype=z.dtype)
    return ops.where(z > -math.inf, found, 0.0)
