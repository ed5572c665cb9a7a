"""The recurrence of ON-LSTM over a sequence, with a gradient that costs one product for its matrix.

Symbols of Shen et al. (2019): T steps, B sequences, D units in n levels, z = W x + U h₋ + b of width 4D + 2n,
its columns in the order master input, master forget (n each), output, cell, input, forget (D each).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import keras
import numpy as np
from keras import ops

from supple.sampling.autodiff import gradients
from supple.sampling.relaxed import straight_through
from supple.smooth.functions import tanh
from supple.smooth.numbers import widened

MASTER_INPUTS = "symmetric", "paper"


def step(
    z: Any, h: Any, c: Any, mask: Any = None, *, master_input: str = "symmetric", hard: bool = False
) -> tuple[Any, Any, Any]:
    """h and c (B, D) after a step with z (B, 4D + 2n), and its level d (B).

    With ω = f̃ ĩ, c = ω (f c₋ + i ĉ) + (f̃ - ω) c₋ + (ĩ - ω) ĉ, h = o tanh(c) and d = 1 - mean(f̃). h is in the
    dtype of z, the rest in float32 at least. Where `mask` (B, 1) is False, h and c stay and d is 0.
    """
    wide, back = widened(z, "z")
    size = c.shape[-1]
    n = (z.shape[-1] - 4 * size) // 2
    z_i, z_f, o, c_hat, i, f = ops.split(wide, np.cumsum([n, n, size, size, size]), -1)
    i_master, f_master = masters(z_i, z_f, master_input, hard)
    d = 1 - ops.sum(f_master, -1) / n  # Keras takes means of float64 in float32
    i_master, f_master = i_master[..., None], f_master[..., None]  # (B, n, 1), one value for a chunk
    o, c_hat, i, f, c_before = (ops.reshape(x, (-1, n, size // n)) for x in (o, c_hat, i, f, c))

    o, i, f, c_hat = ops.sigmoid(o), ops.sigmoid(i), ops.sigmoid(f), tanh(c_hat)
    both = f_master * i_master
    c_now = both * (f * c_before + i * c_hat) + (f_master - both) * c_before + (i_master - both) * c_hat
    h_now, c_now = (ops.reshape(x, (-1, size)) for x in (o * tanh(c_now), c_now))
    h_now = back(h_now)
    if mask is None:
        return h_now, c_now, d
    return ops.where(mask, h_now, h), ops.where(mask, c_now, c), ops.where(mask[:, 0], d, 0.0)


def masters(z_i: Any, z_f: Any, master_input: str, hard: bool) -> tuple[Any, Any]:
    """The master gates ĩ, which falls from level to level, and f̃, which rises to 1 (B, n)."""
    n = z_f.shape[-1]
    until = ops.convert_to_tensor(np.triu(np.ones((n, n))), z_f.dtype)
    # Products: JAX makes of `cumsum` log n passes, slower on a CPU. `ops.softmax` warns of n = 1.
    p_i, p_f = ops.exp(ops.log_softmax(z_i, -1)), ops.exp(ops.log_softmax(z_f, -1))
    i, f = (1 - p_i @ until if master_input == "paper" else p_i @ ops.transpose(until)), p_f @ until
    return (rounded(i), rounded(f)) if hard else (i, f)


def rounded(gate: Any) -> Any:
    """0 or 1, whichever is nearer, with the gradient of `gate`."""
    return straight_through(ops.cast(gate > 0.5, gate.dtype), gate)


def forward(advance: Callable[..., Any], zx: Any, u: Any, h0: Any, c0: Any, *mask: Any) -> tuple[Any, Any]:
    """What `recurrence` gives, and what its gradient needs."""

    def body(state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state
        z = x[0] + h @ u
        h, c, d = advance(z, h, c, *x[1:])
        return (h, c), (z, h, c, d)

    (_, c_last), (z, h, c, d) = scan(body, (h0, c0), (zx, *mask))
    return (h, c_last, d), (z, h, c, u, h0, c0, *mask)


def backward(advance: Callable[..., Any], kept: Any, gradient: Any) -> tuple[Any, ...]:
    """The gradients of the arguments of `forward` from those of its value, step by step from the last."""
    z, h, c, u, h0, c0, *mask = kept
    by_h, by_c_last, by_d = gradient
    h_before, c_before = (ops.concatenate([x0[None], x[:-1]]) for x0, x in ((h0, h), (c0, c)))
    u_t = ops.transpose(u)  # before the loop: in it, each of T products would be of the turned matrix

    def body(state: Any, x: Any) -> tuple[Any, Any]:
        dh, dc = state
        by_h, by_d, z, h, c, *mask = x
        given = dh + by_h, dc, by_d

        def score(z: Any, h: Any, c: Any) -> tuple[Any, None]:
            values = advance(z, h, c, *mask)
            return sum(ops.cast(ops.sum(y * dy), c.dtype) for y, dy in zip(values, given, strict=True)), None

        (dz, dh, dc), _ = gradients(score, (z, h, c))
        return (dh + dz @ u_t, dc), dz

    start = ops.zeros_like(h0), by_c_last
    (dh0, dc0), dz = scan(body, start, (by_h, by_d, z, h_before, c_before, *mask), reverse=True)
    du = ops.transpose(flat(h_before)) @ flat(dz)  # Σ_t h₋ᵀ dz, which autodiff would make T products of
    return dz, du, dh0, dc0, *(None for _ in mask)


def flat(x: Any) -> Any:
    return ops.reshape(x, (-1, x.shape[-1]))


def recurrence(
    zx: Any, u: Any, h0: Any, c0: Any, *mask: Any, master_input: str = "symmetric", hard: bool = False
) -> tuple[Any, Any, Any]:
    """Every h (T, B, D), the last c (B, D) and the levels (T, B).

    Of W x + b (T, B, 4D + 2n), U (D, 4D + 2n), h₀ and c₀ (B, D), where c₀ is in float32 at least, and perhaps
    a mask (T, B, 1). Can be differentiated: twice on JAX; once elsewhere, where a second time is an error.
    """
    return RECURRENCES[master_input, hard](zx, u, h0, c0, *mask)


# What each backend has a way of its own for: gradients that one writes, and loops.

ONCE = "the recurrence of ON-LSTM has a second derivative on JAX only: use JAX, or do without create_graph"

if keras.backend.backend() == "jax":
    import jax

    def scan(f: Callable[..., Any], init: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
        return jax.lax.scan(f, init, xs, reverse=reverse)

    def differentiable(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
        """x ↦ forward(*x)[0], of gradients backward(forward(*x)[1], gradients of the value)."""
        f = jax.custom_vjp(lambda *x: forward(*x)[0])
        f.defvjp(forward, backward)
        return jax.jit(f)

elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def scan(f: Callable[..., Any], init: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
        """As `jax.lax.scan`; `ops.scan` gives back no more than what has the shapes of `init`."""
        first = tf.nest.map_structure(lambda x: x[0], xs)
        blank = tf.nest.map_structure(tf.zeros_like, f(init, first)[1])
        states, ys = tf.scan(lambda state, x: f(state[0], x), xs, (init, blank), reverse=reverse)
        return tf.nest.map_structure(lambda x: x[0 if reverse else -1], states), ys

    def differentiable(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
        def once(x: Any) -> Any:
            return x if x is None else tf.raw_ops.PreventGradient(input=x, message=ONCE)

        @tf.custom_gradient
        def f(*x: Any) -> tuple[Any, Any]:
            y, kept = forward(*x)
            return y, lambda *dy: tuple(map(once, backward(kept, dy)))

        return lambda *x: f(*map(tf.identity, x))  # variables as tensors, which it takes only

else:
    import torch

    def scan(f: Callable[..., Any], init: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
        return ops.scan(f, init, xs, reverse=reverse)

    def differentiable(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
        class Recurrence(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *x: Any) -> Any:
                y, kept = forward(*x)
                ctx.save_for_backward(*kept)
                return y

            @staticmethod
            def backward(ctx: Any, *dy: Any) -> Any:
                if torch.is_grad_enabled():  # `once_differentiable` says nothing where dy is constant
                    raise RuntimeError(ONCE)
                return backward(ctx.saved_tensors, dy)

        return Recurrence.apply


def made(master_input: str, hard: bool) -> Callable[..., Any]:
    advance = partial(step, master_input=master_input, hard=hard)
    return differentiable(partial(forward, advance), partial(backward, advance))


RECURRENCES = {form: made(*form) for form in product(MASTER_INPUTS, (False, True))}
