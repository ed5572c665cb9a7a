"""Smooth order statistics: top-k as the solution of one equation, and what is made from it; sort and rank.

`x`, `temperature`, `axis` and `mask` are as in `supple.smooth.functions`; n is the number that counts.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from keras import ops

from supple.smooth.numbers import at_least, at_most, concrete, valid_of, warmth, widened
from supple.smooth.projection import projection

ROUNDS = 6  # Newton's method squares the error: after five it was rounding alone, in all that was tried


def top_k(x: Any, k: Any, temperature: Any = 1.0, axis: int = -1, mask: Any = None) -> Any:
    """p = σ(x / τ - λ) with the λ for which Σ p = k: how far each element is among the k largest.

    In [0, 1], of sum k, rising with x, the same for x + c; as τ goes to 0, 1 for the k largest and 0 for the
    rest. The gradient is that of the implicit function λ(x). `k`: a number from 0 to n, or an integer for
    each row, of shape 1 along `axis`; else ValueError.
    """
    x, t, valid, back = rows(x, temperature, axis, mask)
    k = places(k, axis, len(x.shape))
    check(k, 0, valid, "k")
    return back(ops.moveaxis(shares(x, k, t, valid), -1, axis))


def kth_value(x: Any, k: Any, temperature: Any = 1.0, axis: int = -1, mask: Any = None) -> Any:
    """The k-th largest, softly: Σ w x with the weights w by which `top_k` of k is above that of k - 1."""
    x, t, valid, back = rows(x, temperature, axis, mask)
    k = places(k, axis, len(x.shape))
    check(k, 1, valid, "k")
    return back(value_at(x, k, t, valid))


def quantile(x: Any, q: float, temperature: Any = 1.0, axis: int = -1, mask: Any = None) -> Any:
    """The q-quantile, softly: between the two k-th values that the place 1 + q (n - 1) is between."""
    if not 0 <= q <= 1:
        raise ValueError(f"q = {q} should be from 0 to 1")
    x, t, valid, back = rows(x, temperature, axis, mask)
    count = at_least(ops.sum(ops.cast(valid, x.dtype), -1, keepdims=True), 1.0)
    place = 1 + (1 - q) * (count - 1)  # from the top
    above = place // 1
    below = ops.where(above < count, above + 1, count)
    part = ops.squeeze(place - above, -1)
    upper, lower = (value_at(x, ops.cast(k, "int32"), t, valid) for k in (above, below))
    return back(upper + part * (lower - upper))


def median(x: Any, temperature: Any = 1.0, axis: int = -1, mask: Any = None) -> Any:
    """The smooth ½-quantile."""
    return quantile(x, 0.5, temperature, axis, mask)


def rank(
    x: Any,
    temperature: Any = 1.0,
    axis: int = -1,
    mask: Any = None,
    *,
    form: Literal["sigmoid", "projection"] = "sigmoid",
) -> Any:
    """Soft ranks of sum n (n + 1) / 2, 1 for the largest and n for the smallest; 0 for what does not count.

    "sigmoid": ½ + Σ σ((x_j - x_i) / τ) over j; time and memory grow with n². "projection": the nearest point
    to -x / τ among means of permutations of 1 … n (Blondel et al. 2020), in O(n log n), by SciPy, which
    TensorFlow's `jit_compile` does not take; exact as soon as all gaps are τ or more.
    """
    x, t, valid, back = rows(x, temperature, axis, mask)
    if form == "sigmoid":
        above = ops.sigmoid((x[..., None, :] - x[..., None]) / t[..., None])
        found = 0.5 + ops.sum(ops.where(valid[..., None, :], above, 0.0), -1)
    elif form == "projection":
        found = projected_rank(x, t, valid)
    else:
        raise ValueError(f"form = {form!r} should be one of sigmoid, projection")
    return back(ops.moveaxis(ops.where(valid, found, 0.0), -1, axis))


def sort(
    x: Any,
    temperature: Any = 1.0,
    axis: int = -1,
    *,
    descending: bool = False,
    form: Literal["top_k", "projection"] = "top_k",
) -> Any:
    """Soft order: values that rise, or fall with `descending`, and keep the sum of `x`; -inf stays -inf.

    "top_k": all the smooth k-th values, a doubly stochastic matrix times `x`; time and memory grow with n².
    "projection": the nearest point to (1 … n) / τ among means of permutations of `x` (Blondel et al. 2020),
    in O(n log n), by SciPy as in `rank`. Its τ is a strength, of unit 1 / x: exact as soon as no gap is above
    1 / τ.
    """
    x, t, valid, back = rows(x, temperature, axis, None)
    n = x.shape[-1]
    k = ops.arange(1, n + 1)
    inside = k <= ops.sum(ops.cast(valid, "int32"), -1, keepdims=True)
    if form == "top_k":
        values = value_at(x[..., None, :], k[:, None], t[..., None], valid[..., None, :])
    elif form == "projection":
        w = ops.where(inside, -ops.sort(ops.where(valid, -x, math.inf), -1), 0.0)
        values = projection(ops.where(inside, falling(n, x) / t, -math.inf), w)
    else:
        raise ValueError(f"form = {form!r} should be one of top_k, projection")
    values = ops.where(inside, values, -math.inf)
    return back(ops.moveaxis(values if descending else ops.flip(values, -1), -1, axis))


def rows(x: Any, temperature: Any, axis: int, mask: Any) -> tuple[Any, Any, Any, Any]:
    """`x` without -inf, with `axis` last; τ of as many dimensions; what counts; and how to cast back."""
    x, back = widened(x)
    t = warmth(temperature, x)
    valid = ops.moveaxis(valid_of(x, mask, axis), axis, -1)
    t = ops.moveaxis(ops.reshape(t, [1] * (len(x.shape) - len(t.shape)) + list(t.shape)), axis, -1)
    return ops.where(valid, ops.moveaxis(x, axis, -1), 0.0), t, valid, back


def places(k: Any, axis: int, dimensions: int) -> Any:
    """k as integers with `axis` last."""
    known = concrete(k)
    if known is not None and not np.array_equal(known, np.round(known)):
        raise ValueError(f"k = {k} should be a whole number")
    k = ops.cast(k, "int32")
    return ops.moveaxis(k, axis, -1) if len(k.shape) else ops.reshape(k, [1] * dimensions)


def check(k: Any, least: int, valid: Any, name: str) -> None:
    """ValueError unless k is from `least` to the number that counts, where values are known."""
    known, counting = concrete(k), concrete(valid)
    if known is None or counting is None:
        return
    most = counting.sum(-1, keepdims=True)
    if (known < least).any() or (known > most).any():
        raise ValueError(f"{name} = {known.squeeze()} should be from {least} to {int(most.min())}")


def falling(n: int, like: Any) -> Any:
    """n, n - 1, … 1."""
    return ops.cast(ops.arange(n, 0, -1), like.dtype)


def projected_rank(x: Any, t: Any, valid: Any) -> Any:
    """Ranks by projection; what does not count lies below all else, and so takes the last ranks."""
    n = x.shape[-1]
    order = ops.argsort(ops.where(valid, -x, math.inf), -1)
    s = ops.where(valid, at_most(at_least(x / t, -1e30), 1e30), -math.inf)
    s = ops.take_along_axis(s, order, -1)
    ranks = n + 1 - projection(s, ops.broadcast_to(falling(n, x), x.shape))
    return ops.take_along_axis(ranks, ops.argsort(order, -1), -1)


def value_at(x: Any, k: Any, t: Any, valid: Any) -> Any:
    weights = at_least(shares(x, k, t, valid) - shares(x, k - 1, t, valid), 0.0)
    return ops.sum(weights * x, -1)


def shares(x: Any, k: Any, t: Any, valid: Any) -> Any:
    """The p of `top_k` along the last axis, 0 for what does not count."""
    count = ops.sum(ops.cast(valid, "int32"), -1, keepdims=True)
    ordered = ops.stop_gradient(-ops.sort(ops.where(valid, -x, math.inf), -1))
    place = ops.arange(1, x.shape[-1] + 1)
    inside = place <= count
    ordered = ops.where(inside, ordered, 0.0)
    a, b = (ops.sum(ops.where(place == edge, ordered, 0.0), -1, keepdims=True) for edge in (k, k + 1))
    middle = (a + b) / 2
    upper, lower = place <= k, ops.logical_and(place > k, inside)
    level = threshold((ordered - middle) / t, upper, lower)
    u = ops.where(valid, (x - middle) / t, 0.0)
    p = ops.where(valid, ops.sigmoid(u - level), 0.0)
    slope = ops.stop_gradient(ops.sum(p * (1 - p), -1, keepdims=True))
    # Of value 0, and of the gradient that the implicit function λ(u) has.
    moved = ops.sum(p, -1, keepdims=True) / ops.where(slope > 1e-30, slope, math.inf)
    p = ops.sigmoid(u - level - (moved - ops.stop_gradient(moved)))
    inner = ops.logical_and(k > 0, k < count)  # else none or all are among the k largest
    everything = ops.cast(k > 0, x.dtype)
    return ops.where(valid, ops.where(inner, p, everything), 0.0)


def threshold(u: Any, upper: Any, lower: Any) -> Any:
    """The λ for which Σ σ(u - λ) is the number of `upper` elements: what they lack is what `lower` ones have.

    `u` descends, and 0 is half way from the last upper element to the first lower one. With n elements
    |λ| ≤ log n, however far apart they are, and the difference of the logarithms of what is lacked and had
    rises with a slope from ½ to 2: Newton's method needs no bracket.
    """
    size = ops.abs(ops.stop_gradient(u))
    counts = ops.logical_or(upper, lower)
    nearest = ops.min(ops.where(counts, size, math.inf), -1, keepdims=True)
    share = ops.where(counts, ops.exp(nearest - size), 0.0)  # as exp(-size), but they never all underflow
    e = ops.exp(-size)

    def log_sum(side: Any, growth: Any) -> tuple[Any, Any]:
        """log Σ σ of one side, but for what both sides have in it; and how far its slope is below 1."""
        r = e * growth
        part = ops.where(side, share / (1 + r), 0.0)
        total = ops.sum(part, -1, keepdims=True)
        total = ops.where(total > 0, total, 1.0)  # an empty side: k is 0 or n, and any λ will do
        return ops.log(total), ops.sum(part * (r / (1 + r)), -1, keepdims=True) / total

    level = ops.zeros_like(nearest)
    for _ in range(ROUNDS):
        lacked, loss = log_sum(upper, ops.exp(level))
        had, gain = log_sum(lower, ops.exp(-level))
        level = level - (2 * level + lacked - had) / (2 - loss - gain)
    return level
