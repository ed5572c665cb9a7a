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

    What does not depend on gradients, the slopes, is computed for many steps at once.
    """
    g, c, h, u, h0, c0, *mask = kept
    by_h, by_c_last, by_d = gradient
    c_before, h_before = (ops.concatenate([first[None], all[:-1]]) for first, all in ((c0, c), (h0, h)))
    until, turned = triangle(g.p_i.shape[-1], c0.dtype), ops.transpose(u)  # turned once, not in each step

    def prepare(by_h: Any, by_d: Any, g: Gates, c_before: Any, c: Any, *mask: Any) -> tuple[Any, ...]:
        places = [flat(part) for part in mask] or [None]
        found = slopes(Gates(*map(flat, g)), flat(c_before), flat(c), places[0], *form)
        s = Slopes(*(ops.reshape(part, (*ops.shape(by_h)[:2], part.shape[-1])) for part in found))
        return by_h, by_d, s, *mask

    def body(state: Any, x: Any) -> tuple[Any, Any]:
        dh, dc = state
        by_h, by_d, s, *mask = x
        dh = dh + by_h
        dz, dc = step_back(dh, dc, by_d, s, until, form[0])
        dz = ops.cast(dz, u.dtype)
        before = ops.cast(dz @ turned, dh.dtype)
        return (before + ops.where(mask[0], 0.0, dh) if mask else before, dc), dz

    by_h, by_d = ops.cast(by_h, c0.dtype), ops.where(mask[0][..., 0], by_d, 0.0) if mask else by_d
    last, xs = (ops.zeros_like(c0), by_c_last), (by_h, by_d, g, c_before, c, *mask)
    (dh0, dc0), dz = scan(body, last, xs, prepare, reverse=True)
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


def as_is(*x: Any) -> tuple[Any, ...]:
    return x


ONCE = "the recurrence of ON-LSTM has a second derivative on JAX only: use JAX, or do without create_graph"

if keras.backend.backend() == "jax":
    import jax

    from supple.ordered.jax_compiled import derivable, takes

    def scan(
        f: Callable[..., Any], init: Any, xs: Any, prepare: Callable[..., Any] = as_is, reverse: bool = False
    ) -> tuple[Any, Any]:
        return jax.lax.scan(f, init, prepare(*xs), reverse=reverse)

    IN_C = derivable(forward, backward)

    def place(*x: Any) -> Any:
        """Forward and backward for c and other such arrays."""
        return IN_C if takes(*x) else (forward, backward)

    def differentiable(form: tuple[str, bool]) -> Callable[..., Any]:
        """x ↦ y, where y, kept = forward(form, *x), of gradients backward(form, kept, those of y)."""

        def there(*x: Any) -> Any:
            return place(*x[3::-1])[0](form, *x)

        def back(kept: Any, dy: Any) -> Any:
            return place(*kept[1:4])[1](form, kept, dy)

        f = jax.custom_vjp(lambda *x: forward(form, *x)[0])
        f.defvjp(there, back)
        return jax.jit(f)

elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    each = tf.nest.map_structure
    BLOCK = 10  # steps that are compiled together where their number is not known

    def scan(
        f: Callable[..., Any], init: Any, xs: Any, prepare: Callable[..., Any] = as_is, reverse: bool = False
    ) -> tuple[Any, Any]:
        """As `jax.lax.scan` of prepare(*xs).

        In a graph XLA compiles the steps, even where it compiles nothing else, as Keras has it on a CPU:
        in blocks, if a graph is for sequences of any length, as all would be compiled anew for each length.
        """
        length = ops.shape(xs[0])[0]
        if tf.executing_eagerly() or (isinstance(length, int) and length < BLOCK):
            return loop(f, init, prepare(*xs), length, reverse)

        @partial(tf.function, jit_compile=True, autograph=False)
        def block(state: Any, x: Any) -> Any:
            xs, count = x
            return loop(f, state, prepare(*xs), count, reverse)

        if isinstance(length, int):
            return block(init, (xs, length))
        n = -(-length // BLOCK)

        def blocks(x: Any) -> Any:
            x = tf.pad(x, [(0, n * BLOCK - length), *[(0, 0)] * (len(x.shape) - 1)])
            return tf.reshape(x, (n, BLOCK, *ops.shape(x)[1:]))

        counts = tf.minimum(BLOCK, length - BLOCK * tf.range(n))
        state, ys = loop(block, init, (each(blocks, xs), counts), n, reverse)
        return state, each(lambda y: tf.reshape(y, (n * BLOCK, *ops.shape(y)[2:]))[:length], ys)

    def loop(f: Callable[..., Any], state: Any, xs: Any, count: Any, reverse: bool) -> tuple[Any, Any]:
        """As `jax.lax.scan` of the first `count` of xs; what f gives of the others is zeros."""

        def x(t: Any) -> Any:
            return each(lambda part: tf.gather(part, t), xs)  # part[t] would be compiled for each `count`

        size = ops.shape(tf.nest.flatten(xs)[0])[0]
        ys = each(lambda y: tf.TensorArray(y.dtype, size, element_shape=y.shape), f(state, x(0))[1])

        def body(done: Any, state: Any, ys: Any) -> Any:
            t = count - 1 - done if reverse else done
            state, y = f(state, x(t))
            return done + 1, state, each(lambda all, one: all.write(t, one), ys, y)

        _, state, ys = tf.while_loop(lambda done, *_: done < count, body, (0, state, ys))
        return state, each(lambda y: y.stack(), ys)

    def differentiable(form: tuple[str, bool]) -> Callable[..., Any]:
        def again(*_: Any) -> Any:
            raise LookupError(ONCE)

        @tf.custom_gradient
        def f(*x: Any) -> tuple[Any, Any]:
            y, kept = forward(form, *map(tf.stop_gradient, x))  # tapes cannot follow what is compiled

            @tf.custom_gradient
            def back(x: Any, dy: Any) -> tuple[Any, Any]:
                found = backward(form, kept, each(tf.stop_gradient, dy))
                return [part for part in found if part is not None], again

            return y, lambda *dy: [*back(x, dy), *(None for _ in x[4:])]

        return lambda *x: f(*map(tf.identity, x))  # variables as tensors, which it takes only

else:
    import torch

    from supple.ordered import torch_compiled, torch_products, torch_recurrence

    def place(*x: Any) -> Any:
        """Where forward and backward are for such tensors."""
        return torch_compiled if torch_compiled.takes(*x) else torch_recurrence

    def differentiable(form: tuple[str, bool]) -> Callable[..., Any]:
        class Recurrence(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *x: Any) -> Any:
                ctx.place = place(*x[:4])
                y, kept = ctx.place.forward(form, *x)
                ctx.save_for_backward(*kept)
                return y

            @staticmethod
            def backward(ctx: Any, *dy: Any) -> Any:
                if torch.is_grad_enabled():  # `once_differentiable` says nothing where dy is constant
                    raise RuntimeError(ONCE)
                return ctx.place.backward(form, ctx.saved_tensors, dy)

        def f(*x: Any) -> Any:
            if torch.is_grad_enabled():
                return Recurrence.apply(*x)
            return place(*x[:4]).forward(form, *x, keep=False)[0]

        return f


def affine(x: Any, w: Any, b: Any) -> Any:
    """x w + b for x (N, in)."""
    if keras.backend.backend() == "torch":
        return torch_products.affine(*map(ops.convert_to_tensor, (x, w, b)))
    return x @ w + b


RECURRENCES = {form: differentiable(form) for form in product(MASTER_INPUTS, (False, True))}
