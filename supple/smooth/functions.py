"""Smooth stand-ins for max, argmax, abs, step, round and their like; each tends to the hard function as the
temperature τ goes to 0, and `supple.smooth.bound` says how far it is.

`x` is a tensor of floats; half precision computes in float32 inside and comes back as it was. `temperature`
is above 0, a number or a tensor that broadcasts to `x` (with `axis`: to `x` of size 1 along it). What is
-inf, or False in the boolean `mask`, does not count. ValueError says what was wrong; in code that is being
compiled values are not known, and a row in which nothing counts gives probabilities of 0, a maximum of -inf.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import keras
from keras import ops

from supple.smooth.numbers import at_least, at_most, valid_of, warmth, widened


class Exponentials(NamedTuple):
    """`e` is exp((x - top) / τ), 0 where x does not count; `top` the maximum, 0 in rows without one."""

    e: Any
    top: Any
    valid: Any  # what counts
    some: Any  # whether anything in the row does
    finite: Any  # x, 0 where it does not count


def exponentials(x: Any, t: Any, axis: int, mask: Any) -> Exponentials:
    """What softmax and the maxima are made of; no step of it has an infinite gradient."""
    valid = valid_of(x, mask, axis)
    some = ops.any(valid, axis, keepdims=True)
    finite = ops.where(valid, x, 0.0)
    top = ops.max(ops.where(valid, x, -math.inf), axis, keepdims=True)
    top = ops.stop_gradient(ops.where(some, top, 0.0))
    e = ops.where(valid, ops.exp(ops.where(valid, finite - top, 0.0) / t), 0.0)
    return Exponentials(e, top, valid, some, finite)


def softmax(x: Any, temperature: Any = 1.0, axis: int = -1, mask: Any = None) -> Any:
    """p = exp(x / τ) / Σ exp(x / τ), of the shape of `x`; as τ goes to 0, one-hot at the maximum.

    With a gap g from the maximum to what comes next among n, ‖p - one-hot‖₁ ≤ 2 (n - 1) exp(-g / τ).
    """
    x, back = widened(x)
    return back(probabilities(x, warmth(temperature, x), axis, mask))


one_hot_argmax = softmax


def probabilities(x: Any, t: Any, axis: int, mask: Any) -> Any:
    """A softmax of what is wide already."""
    e, _, _, some, _ = exponentials(x, t, axis, mask)
    return e / ops.where(some, ops.sum(e, axis, keepdims=True), 1.0)


def cumax(x: Any, temperature: Any = 1.0, axis: int = -1, mask: Any = None, *, reverse: bool = False) -> Any:
    """Cumulative sums of a softmax: how probable it is that the maximum is here or before; or, with
    `reverse`, here or after (Shen et al. 2019)."""
    x, back = widened(x)
    p = probabilities(x, warmth(temperature, x), axis, mask)
    p = ops.cumsum(ops.flip(p, axis) if reverse else p, axis)
    return back(at_most(ops.flip(p, axis) if reverse else p, 1.0))


def max(
    x: Any,
    temperature: Any = 1.0,
    axis: int = -1,
    mask: Any = None,
    *,
    form: Literal["lse", "mean", "boltzmann"] = "lse",
    keepdims: bool = False,
) -> Any:
    """A smooth maximum over `axis` of n elements, in one of three forms.

    "lse": τ log Σ exp(x / τ), from max to max + τ log n. "mean": τ log of the mean of exp(x / τ), from
    max - τ log n to max. "boltzmann": Σ p x of the softmax p, from max - τ W₀((n - 1) / e) to max; not
    monotone in x.
    """
    x, back = widened(x)
    t = warmth(temperature, x)
    e, top, valid, some, finite = exponentials(x, t, axis, mask)
    total = ops.where(some, ops.sum(e, axis, keepdims=True), 1.0)
    if form == "boltzmann":
        y = top + ops.sum(e * (finite - top), axis, keepdims=True) / total
    elif form == "lse":
        y = top + t * ops.log(total)
    elif form == "mean":
        count = ops.sum(ops.cast(valid, e.dtype), axis, keepdims=True)
        y = top + t * ops.log(total / at_least(count, 1.0))
    else:
        raise ValueError(f"form = {form!r} should be one of lse, mean, boltzmann")
    y = ops.where(some, y, -math.inf)
    return back(y if keepdims else ops.squeeze(y, axis))


def min(x: Any, temperature: Any = 1.0, axis: int = -1, mask: Any = None, **options: Any) -> Any:
    """A smooth minimum: minus the smooth maximum of -x, its forms and bounds too; +inf does not count."""
    return -max(-ops.convert_to_tensor(x), temperature, axis, mask, **options)


def argmax(
    x: Any,
    temperature: Any = 1.0,
    axis: int = -1,
    mask: Any = None,
    *,
    return_probabilities: bool = False,
) -> Any:
    """The expected index Σ i p_i under the softmax p; with `return_probabilities`, p too.

    Near-ties of distant indices give an index between them that nobody chose: then p tells more.
    """
    x, back = widened(x)
    p = probabilities(x, warmth(temperature, x), axis, mask)
    shape = [1] * len(x.shape)
    shape[axis] = -1
    index = ops.sum(p * ops.reshape(ops.arange(x.shape[axis], dtype=x.dtype), shape), axis)
    return (back(index), back(p)) if return_probabilities else back(index)


def abs(x: Any, temperature: Any = 1.0, *, form: Literal["tanh", "log", "sqrt"] = "tanh") -> Any:
    """A smooth |x|: x tanh(x / τ), below by at most .2785 τ; τ log(exp(x / τ) + exp(-x / τ)), above by at
    most τ log 2; or √(x² + τ²), above by at most τ."""
    x, back = widened(x)
    t = warmth(temperature, x)
    if form == "tanh":
        return back(x * tanh(x / t))
    if form == "log":
        return back(t * ops.softplus(2 * x / t) - x)
    if form == "sqrt":
        return back(ops.sqrt(x * x + t * t))
    raise ValueError(f"form = {form!r} should be one of tanh, log, sqrt")


def tanh(x: Any) -> Any:
    """Of float64 in float64, where Keras on JAX computes in float32."""
    double = keras.backend.standardize_dtype(x.dtype) == "float64"
    return 2 * ops.sigmoid(2 * x) - 1 if double else ops.tanh(x)


def sign(x: Any, temperature: Any = 1.0) -> Any:
    """tanh(x / τ), within 1 - tanh(|x| / τ) of the sign."""
    x, back = widened(x)
    return back(tanh(x / warmth(temperature, x)))


def step(x: Any, temperature: Any = 1.0) -> Any:
    """σ(x / τ), within σ(-|x| / τ) of the step from 0 to 1, which is ½ at 0."""
    x, back = widened(x)
    return back(ops.sigmoid(x / warmth(temperature, x)))


def relu(x: Any, temperature: Any = 1.0, *, form: Literal["softplus", "silu", "gelu"] = "softplus") -> Any:
    """A smooth max(x, 0): τ log(1 + exp(x / τ)), above by at most τ log 2; x σ(x / τ), below by at most
    .2785 τ; or x Φ(x / τ) with the normal distribution's Φ, below by at most .1700 τ."""
    x, back = widened(x)
    t = warmth(temperature, x)
    if form == "softplus":
        return back(t * ops.softplus(x / t))
    if form == "silu":
        return back(x * ops.sigmoid(x / t))
    if form == "gelu":
        return back(x * (1 + ops.erf(x / t * math.sqrt(0.5))) / 2)
    raise ValueError(f"form = {form!r} should be one of softplus, silu, gelu")


def clip(x: Any, low: float, high: float, temperature: Any = 1.0) -> Any:
    """A smooth min(max(x, low), high), within τ log 2 of it and strictly between `low` and `high`."""
    if not low < high:
        raise ValueError(f"low = {low} should be less than high = {high}")
    x, back = widened(x)
    t = warmth(temperature, x)
    return back(low + t * (ops.softplus((x - low) / t) - ops.softplus((x - high) / t)))


STEPS = 9  # on either side: what is left out is below 2e-8 for τ up to ½
WAVES = 2  # from τ of ½ on, the third is below 1e-12


def floor(x: Any, temperature: Any = 1.0) -> Any:
    """A staircase Σ σ((x - k) / τ) of sigmoid steps at all whole numbers k, less those below 0.

    With the distance d to the nearest step, within exp(-d / τ) / (1 - exp(-1 / τ)) of the floor.
    As τ grows it goes to x - ½: above τ = ½ it is computed by its Fourier series.
    """
    x, back = widened(x)
    return back(staircase(x, warmth(temperature, x)))


def staircase(x: Any, t: Any) -> Any:
    whole = ops.stop_gradient(x) // 1
    part = x - whole
    low, high = at_most(t, 0.5), at_least(t, 0.5)
    steps = whole
    for k in range(STEPS):
        steps = steps + ops.sigmoid((part - 1 - k) / low) - ops.sigmoid((-k - part) / low)
    waves = x - 0.5
    for n in range(1, WAVES + 1):
        # 2π high / sinh(2π² n high), and no overflow
        height = 4 * math.pi * high * ops.exp(-2 * math.pi**2 * n * high)
        waves = waves + height * ops.sin(2 * math.pi * n * part)
    return ops.where(t <= 0.5, steps, waves)


def round(x: Any, temperature: Any = 1.0) -> Any:
    """The smooth floor of x + ½: a staircase with steps half way between whole numbers, and their bound."""
    x, back = widened(x)
    return back(staircase(x + 0.5, warmth(temperature, x)))


def equal(x: Any, y: Any, temperature: Any = 1.0) -> Any:
    """sech²((x - y) / 2τ): 1 where x = y, elsewhere at most 4 exp(-|x - y| / τ)."""
    x, back = widened(x)
    y, _ = widened(y, "y")
    p = ops.sigmoid((x - y) / warmth(temperature, x))
    return back(4 * p * (1 - p))


def greater(x: Any, y: Any, temperature: Any = 1.0) -> Any:
    """σ((x - y) / τ): how true it is that x > y; ½ where they are equal."""
    x, back = widened(x)
    y, _ = widened(y, "y")
    return back(ops.sigmoid((x - y) / warmth(temperature, x)))


def logical_not(p: Any) -> Any:
    """1 - p: exact for 0 and 1, for probabilities that of the opposite."""
    p, back = widened(p, "p")
    return back(1 - p)


def logical_and(p: Any, q: Any) -> Any:
    """p q: exact for 0 and 1, for probabilities of independent events that of both."""
    p, back = widened(p, "p")
    return back(p * widened(q, "q")[0])


def logical_or(p: Any, q: Any) -> Any:
    """p + q - p q: exact for 0 and 1, for probabilities of independent events that of one at least."""
    p, back = widened(p, "p")
    q, _ = widened(q, "q")
    return back(p + q - p * q)
