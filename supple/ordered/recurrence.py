"""The recurrence of ON-LSTM over a sequence, with a gradient that costs one product for its matrix.

T steps, and otherwise the symbols of `supple.ordered.equations`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import keras
from keras import ops

from supple.ordered.equations import MASTER_INPUTS, Gates, Slopes, slopes, step, step_back, triangle


def forward(form: tuple[str, bool], zx: Any, u: Any, h0: Any, c0: Any, *mask: Any) -> tuple[Any, Any]:
    """What `recurrence` gives, and what its gradient needs."""
    master_input, hard = form

    def body(state: Any, x: Any) -> tuple[Any, Any]:
        h, c = state
        z = x[0] + h @ u
        h, c, d, g = step(z, h, c, *x[1:], master_input=master_input, hard=hard)
        return (h, c), (g, h, c, d)

    (_, c_last), (g, h, c, d) = scan(body, (h0, c0), (zx, *mask))
    return (h, c_last, d), (g, c, h, u, h0, c0, *mask)


def backward(form: tuple[str, bool], kept: Any, gradient: Any) -> tuple[Any, ...]:
    """The gradients of the arguments of `forward` from those of its value.

    What does not depend on gradients, the slopes, is computed for all steps at once.
    """
    g, c, h, u, h0, c0, *mask = kept
    by_h, by_c_last, by_d = gradient
    c_before, h_before = (ops.concatenate([first[None], all[:-1]]) for first, all in ((c0, c), (h0, h)))
    places = [flat(part) for part in mask] or [None]
    found = slopes(Gates(*map(flat, g)), flat(c_before), flat(c), places[0], *form)
    s = Slopes(*(ops.reshape(part, (*ops.shape(h)[:2], part.shape[-1])) for part in found))
    until = triangle(s.p_i.shape[-1], c0.dtype)

    def body(state: Any, x: Any) -> tuple[Any, Any]:
        dh, dc = state
        by_h, by_d, s, *mask = x
        dh = dh + by_h
        dz, dc = step_back(dh, dc, by_d, s, until, form[0])
        dz = ops.cast(dz, u.dtype)
        before = ops.cast(ops.einsum("bz,dz->bd", dz, u), dh.dtype)  # not @ uᵀ: that turns u, once or T times
        return (before + ops.where(mask[0], 0.0, dh) if mask else before, dc), dz

    by_h, by_d = ops.cast(by_h, c0.dtype), ops.where(mask[0][..., 0], by_d, 0.0) if mask else by_d
    (dh0, dc0), dz = scan(body, (ops.zeros_like(c0), by_c_last), (by_h, by_d, s, *mask), reverse=True)
    du = ops.transpose(flat(h_before)) @ flat(dz)  # Σ_t h₋ᵀ dz, which autodiff would make T products of
    return dz, du, ops.cast(dh0, h0.dtype), dc0, *(None for _ in mask)


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

    from supple.ordered import torch_recurrence

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

        return lambda *x: Recurrence.apply(*x) if torch.is_grad_enabled() else forward(*x, keep=False)[0]


def affine(x: Any, w: Any, b: Any) -> Any:
    """x w + b for x (N, in), which PyTorch writes once if it is one call."""
    if keras.backend.backend() == "torch":
        return torch.addmm(*map(ops.convert_to_tensor, (b, x, w)))
    return x @ w + b


def made(*form: Any) -> Callable[..., Any]:
    both = forward, backward
    if keras.backend.backend() == "torch":
        both = torch_recurrence.forward, torch_recurrence.backward
    return differentiable(*(partial(f, form) for f in both))


RECURRENCES = {form: made(*form) for form in product(MASTER_INPUTS, (False, True))}
