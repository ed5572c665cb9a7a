"""Smooth order statistics: top-k as the solution of one equation; sorting, k-th values, quantiles from it.

`x`, `temperature`, `axis` and `mask` are as in `supple.smooth.functions`; n is the number that counts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from supple.smooth.numbers import concrete, valid_of, warmth, widened

ROUNDS = 40  # of Newton's steps, and halvings of the bracket where such a step would leave it


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
    count = ops.sum(ops.cast(valid, x.dtype), -1, keepdims=True)
    place = 1 + (1 - q) * ops.maximum(count - 1, 0.0)  # from the top
    above = ops.floor(place)
    below = ops.minimum(above + 1, ops.maximum(count, 1.0))
    part = ops.squeeze(place - above, -1)
    upper, lower = (value_at(x, ops.cast(k, "int32"), t, valid) for k in (above, below))
    return back(upper + part * (lower - upper))


def median(x: Any, temperature: Any = 1.0, axis: int = -1, mask: Any = None) -> Any:
    """The smooth ½-quantile."""
    return quantile(x, 0.5, temperature, axis, mask)


def rank(x: Any, temperature: Any = 1.0, axis: int = -1, mask: Any = None) -> Any:
    """½ + Σ σ((x_j - x_i) / τ) over j: 1 for the largest, n for the smallest; of sum n (n + 1) / 2.

    What does not count has rank 0. Time and memory grow with n².
    """
    x, t, valid, back = rows(x, temperature, axis, mask)
    above = ops.sigmoid((x[..., None, :] - x[..., None]) / t[..., None])
    found = 0.5 + ops.sum(ops.where(valid[..., None, :], above, 0.0), -1)
    return back(ops.moveaxis(ops.where(valid, found, 0.0), -1, axis))


def sort(x: Any, temperature: Any = 1.0, axis: int = -1, *, descending: bool = False) -> Any:
    """All the smooth k-th values in their order: a doubly stochastic matrix times `x`, of sum Σ x.

    Time and memory grow with n².
    """
    x, t, valid, back = rows(x, temperature, axis, None)
    k = ops.reshape(ops.arange(1, x.shape[-1] + 1), (-1, 1))
    values = value_at(x[..., None, :], k, t[..., None], valid[..., None, :])
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
    return ops.moveaxis(k, axis, -1) if k.shape else ops.reshape(k, [1] * dimensions)


def check(k: Any, least: int, valid: Any, name: str) -> None:
    """ValueError unless k is from `least` to the number that counts, where values are known."""
    known, counting = concrete(k), concrete(valid)
    if known is None or counting is None:
        return
    most = counting.sum(-1, keepdims=True)
    if (known < least).any() or (known > most).any():
        raise ValueError(f"{name} = {known.squeeze()} should be from {least} to {int(most.min())}")


def value_at(x: Any, k: Any, t: Any, valid: Any) -> Any:
    weights = ops.maximum(shares(x, k, t, valid) - shares(x, k - 1, t, valid), 0.0)
    return ops.sum(weights * x, -1)


def shares(x: Any, k: Any, t: Any, valid: Any) -> Any:
    """The p of `top_k` along the last axis, 0 for what does not count.

    With a and b the k-th and next largest, λ is within log(n + 1) of the interval from b / τ to a / τ.
    """
    n = x.shape[-1]
    count = ops.sum(ops.cast(valid, "int32"), -1, keepdims=True)
    ordered = -ops.sort(ops.where(valid, -x, math.inf), -1)
    lead = ops.broadcast_to(k + 0 * count, (*ops.shape(k + 0 * count)[:-1], 1))
    ordered = ops.broadcast_to(ordered, (*ops.shape(lead)[:-1], n))
    a = ops.take_along_axis(ordered, ops.clip(lead - 1, 0, n - 1), -1)
    b = ops.take_along_axis(ordered, ops.clip(lead, 0, n - 1), -1)
    inner = ops.logical_and(k > 0, k < count)  # else all or none are among the k largest
    a, b = (ops.stop_gradient(ops.where(inner, edge, 0.0)) for edge in (a, b))
    u = ops.where(valid, (x - (a + b) / 2) / t, 0.0)
    wanted = ops.cast(k, x.dtype)

    def at(level: Any) -> Any:
        return ops.where(valid, ops.sigmoid(u - level), 0.0)

    def closer(_: int, bracket: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        low, level, high = bracket
        p = at(level)
        excess = ops.sum(p, -1, keepdims=True) - wanted
        low, high = ops.where(excess > 0, level, low), ops.where(excess > 0, high, level)
        newton = level + excess / ops.maximum(ops.sum(p * (1 - p), -1, keepdims=True), 1e-30)
        inside = ops.logical_and(newton > low, newton < high)
        return low, ops.where(inside, newton, (low + high) / 2), high

    half = (a - b) / (2 * t) + math.log(n + 1)
    _, level, _ = ops.fori_loop(0, ROUNDS, closer, (-half, 0 * half, half))
    level = ops.stop_gradient(level)
    p = at(level)
    slope = ops.stop_gradient(ops.sum(p * (1 - p), -1, keepdims=True))
    step = (ops.sum(p, -1, keepdims=True) - wanted) / ops.maximum(slope, 1e-30)
    p = at(level + ops.where(slope > 1e-30, step, 0.0))  # whose gradient is that of the implicit function
    everything = ops.cast(ops.logical_and(valid, k > 0), x.dtype)
    return ops.where(inner, p, everything)
