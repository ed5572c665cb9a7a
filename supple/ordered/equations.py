"""A step of ON-LSTM, and its gradient, written out.

Symbols of Shen et al. (2019): B sequences, D units in n levels, z = W x + U h₋ + b of width 4D + 2n, its
columns in the order master input, master forget (n each), output, cell, input, forget (D each). A step is

    c = a c₋ + b ĉ,  h = o tanh(c),  d = 1 - mean(f̃),  where  a = f̃ (1 - ĩ (1 - f)),  b = ĩ (1 - f̃ (1 - i)):

in the paper's terms, of ω = f̃ ĩ, a = ω f + f̃ - ω is what of c₋ is kept, b = ω i + ĩ - ω what of ĉ is written.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from supple.sampling.relaxed import straight_through
from supple.smooth.functions import tanh
from supple.smooth.numbers import widened

MASTER_INPUTS = "symmetric", "paper"


class Gates(NamedTuple):
    """Of N steps, in float32 at least: what is kept of z for the gradient, in its order."""

    p_i: Any  # the softmaxes of the masters, (N, n)
    p_f: Any
    o: Any  # these four (N, D)
    c_hat: Any
    i: Any
    f: Any


def gates(z: Any, size: int) -> Gates:
    """The gates of z (N, 4D + 2n), where D is `size`."""
    z, _ = widened(z, "z")
    n = (z.shape[-1] - 4 * size) // 2
    z_i, z_f, o, c_hat, i, f = ops.split(z, np.cumsum([n, n, size, size, size]), -1)
    return Gates(softmax(z_i), softmax(z_f), sigmoid(o), tanh(c_hat), sigmoid(i), sigmoid(f))


def masters(g: Gates, master_input: str, hard: bool) -> tuple[Any, Any]:
    """ĩ, which falls from level to level, and f̃, which rises to 1, of each unit: (N, D)."""
    n = g.p_f.shape[-1]
    until = triangle(n, g.p_f.dtype)
    # Products: JAX makes of `cumsum` log n passes, slower on a CPU.
    i_master = 1 - g.p_i @ until if master_input == "paper" else g.p_i @ ops.transpose(until)
    f_master = g.p_f @ until
    if hard:
        i_master, f_master = rounded(i_master), rounded(f_master)
    chunk = g.o.shape[-1] // n
    return ops.repeat(i_master, chunk, -1), ops.repeat(f_master, chunk, -1)


def shares(i_master: Any, f_master: Any, i: Any, f: Any) -> tuple[Any, Any]:
    """a / f̃ and b / ĩ."""
    return 1 - i_master * (1 - f), 1 - f_master * (1 - i)


def sigmoid(z: Any) -> Any:
    """Within 1e-7, of float32: for XLA a tanh takes less time than an exp."""
    return 0.5 + 0.5 * tanh(0.5 * z)


def softmax(z: Any) -> Any:
    return ops.exp(ops.log_softmax(z, -1))  # `ops.softmax` warns of one level


def triangle(n: int, dtype: Any) -> Any:
    """1 where the row is at most the column: x @ triangle are the sums of x up to each place."""
    return ops.convert_to_tensor(np.triu(np.ones((n, n))), dtype)


def rounded(gate: Any) -> Any:
    """0 or 1, whichever is nearer, with the gradient of `gate`."""
    return straight_through(ops.cast(gate > 0.5, gate.dtype), gate)


def step(
    z: Any, h: Any, c: Any, mask: Any = None, *, master_input: str = "symmetric", hard: bool = False
) -> tuple[Any, Any, Any, Gates]:
    """h and c (B, D) after a step with z (B, 4D + 2n), its level d (B) and its gates.

    h is in the dtype of z, the rest in float32 at least. Where `mask` (B, 1) is False, h and c stay, d is 0.
    """
    g = gates(z, c.shape[-1])
    i_master, f_master = masters(g, master_input, hard)
    kept, written = shares(i_master, f_master, g.i, g.f)
    c_now = f_master * kept * c + i_master * written * g.c_hat
    h_now = ops.cast(g.o * tanh(c_now), z.dtype)
    d = 1 - ops.sum(f_master, -1) / c.shape[-1]  # Keras takes means of float64 in float32
    if mask is None:
        return h_now, c_now, d, g
    return ops.where(mask, h_now, h), ops.where(mask, c_now, c), ops.where(mask[:, 0], d, 0.0), g


class Slopes(NamedTuple):
    """What gradients are multiplied by in N steps: those by h (N, D), or those by c."""

    o: Any  # dz of the output gate from dh
    c: Any  # dc from dh; all that follows is from dc
    c_hat: Any
    i: Any
    f: Any
    i_master: Any  # summed over a chunk, the gradients by ĩ and f̃
    f_master: Any
    before: Any  # dc of the step before
    p_i: Any  # the softmaxes of the masters (N, n)
    p_f: Any


def slopes(g: Gates, c_before: Any, c: Any, mask: Any, master_input: str, hard: bool) -> Slopes:
    """Of N steps, from their gates and c (N, D) before and after; where `mask` (N, 1) is False, c stays."""
    i_master, f_master = masters(g, master_input, hard)
    o, c_hat, i, f = g.o, g.c_hat, g.i, g.f
    kept, written = shares(i_master, f_master, i, f)
    lost, new, t = f_master * (1 - f), i_master * (1 - i), tanh(c)
    others: tuple[Any, ...] = (
        t * o * (1 - o),
        o * (1 - t**2),
        i_master * written * (1 - c_hat**2),
        c_hat * f_master * i * new,
        c_before * i_master * f * lost,
        c_hat * written - c_before * lost,
        c_before * kept - c_hat * new,
    )
    before = f_master * kept
    if mask is not None:
        others, before = tuple(ops.where(mask, x, 0.0) for x in others), ops.where(mask, before, 1.0)
    return Slopes._make([*others, before, g.p_i, g.p_f])


def step_back(dh: Any, dc: Any, dd: Any, s: Slopes, until: Any, master_input: str) -> tuple[Any, Any]:
    """The gradients by z (B, 4D + 2n) and by c before a step from those by h, c (B, D) and d (B)."""
    n = until.shape[0]
    dc = dc + dh * s.c
    by_i, by_f = (dc * part for part in (s.i_master, s.f_master))
    by_i, by_f = (ops.sum(ops.reshape(x, (-1, n, x.shape[-1] // n)), -1) for x in (by_i, by_f))
    by_f = by_f - dd[:, None] / n
    by_p_i = -by_i @ ops.transpose(until) if master_input == "paper" else by_i @ until
    by_p_f = by_f @ ops.transpose(until)
    masters = by_logits(s.p_i, by_p_i), by_logits(s.p_f, by_p_f)
    return ops.concatenate([*masters, dh * s.o, dc * s.c_hat, dc * s.i, dc * s.f], -1), dc * s.before


def by_logits(p: Any, by_p: Any) -> Any:
    """The gradient by the logits of a softmax p from that by p."""
    return p * (by_p - ops.sum(p * by_p, -1, keepdims=True))
