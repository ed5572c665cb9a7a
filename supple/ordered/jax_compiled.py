"""The recurrence of ON-LSTM on JAX by `jax_step.c`: all of a step but its product is one call.

For float32 on a CPU and machines with a C compiler, which takes a third of a second, once in a process; and
where a gradient is wanted, as a program that calls C can be exported to no other machine. Gates are written
over W x + b, and dz over gates: XLA copies what has another use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from supple.ordered import compiled
from supple.ordered.equations import Gates

FORWARD, BACKWARD = "supple_onlstm_forward", "supple_onlstm_backward"
CELLS = 2**15  # of a step: where there are more, XLA has them share its threads, and C does not
REGISTERED: list[Any] = []  # the library that XLA has; a second is an error
LOCK = Lock()


@cache
def library() -> Any:
    """`jax_step.c`, compiled, which XLA then has by the names above; None where that fails."""
    found = compiled.library("jax_step.c", ["-fopenmp-simd", f"-I{jax.ffi.include_dir()}"])
    with LOCK:
        if found and not REGISTERED:
            for name in FORWARD, BACKWARD:
                jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(found, name)))
            REGISTERED.append(found)
    return found


def takes(c: Any, *x: Any) -> bool:
    """Whether it is for such arrays, of which c is (…, B, D)."""
    plain = all(part.dtype == "float32" for part in (c, *x)) and jax.default_backend() == "cpu"
    return plain and c.shape[-2] * c.shape[-1] <= CELLS and library() is not None


def forward(form: tuple[str, bool], zx: Any, u: Any, h0: Any, c0: Any, *mask: Any) -> tuple[Any, Any]:
    """As that of `supple.ordered.recurrence`, save that it keeps arrays that C can write to."""
    steps, rows, _ = zx.shape

    def body(t: Any, state: Any) -> Any:
        return call(FORWARD, form, state, (rows, 2 * c0.shape[1]), t, state[0][t] @ u, *mask)

    h_all, c_all = (jnp.pad(first[None], ((0, steps), (0, 0), (0, 0))) for first in (h0, c0))
    d = jnp.zeros((steps, rows), "float32")
    h_all, c_all, gates, d = jax.lax.fori_loop(0, steps, body, (h_all, c_all, zx, d))
    return (h_all[1:], c_all[-1], d), (gates, c_all, h_all, u, *mask)


def backward(form: tuple[str, bool], kept: Any, gradient: Any) -> tuple[Any, ...]:
    """The gradients of the arguments of `forward` from those of its value."""
    gates, c_all, h_all, u, *mask = kept
    by_h, by_c_last, by_d = gradient
    (steps, rows, width), size, turned = gates.shape, c_all.shape[2], u.T

    def body(done: Any, state: Any) -> Any:
        (y, *written), t = state, steps - 1 - done
        dh, dc, dz = call(BACKWARD, form, written, (rows, 4 * size), t, y, by_h, by_d, c_all, *mask)
        return dz[t] @ turned, dh, dc, dz

    nothing = jnp.zeros_like(by_c_last)
    y, dh, dc, dz = jax.lax.fori_loop(0, steps, body, (nothing, nothing, by_c_last, gates))
    du = h_all[:-1].reshape(-1, size).T @ dz.reshape(-1, width)
    return dz, du, dh + y, dc, *(None for _ in mask)


def call(name: str, form: tuple[str, bool], written: Any, room: tuple[int, int], t: Any, *read: Any) -> Any:
    """What step t makes of the arrays `written`, which are given up; `room` is the shape of what it needs."""
    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in (*(x.shape for x in written), room)]
    places = {1 + len(read) + k: k for k in range(len(written))}  # argument → result
    f = jax.ffi.ffi_call(name, shapes, input_output_aliases=places, vmap_method="sequential")
    of_form = {"paper": np.int32(form[0] == "paper"), "hard": np.int32(form[1])}
    return tuple(f(jnp.int32(t), *read, *written, **of_form)[:-1])


def derivable(plain_forward: Callable[..., Any], plain_backward: Callable[..., Any]) -> Any:
    """`forward` and `backward`, of the derivatives of those of `supple.ordered.recurrence`."""

    def alike_forward(form: tuple[str, bool], *x: Any) -> tuple[Any, Any]:
        y, (g, c, h, u, h0, c0, *mask) = plain_forward(form, *x)
        c_all, h_all = (jnp.concatenate([first[None], all]) for first, all in ((c0, c), (h0, h)))
        return y, (jnp.concatenate(g, -1), c_all, h_all, u, *mask)

    def alike_backward(form: tuple[str, bool], kept: Any, gradient: Any) -> tuple[Any, ...]:
        gates, c, h, u, *mask = kept
        size = c.shape[2]
        n = (gates.shape[2] - 4 * size) // 2
        g = Gates(*jnp.split(gates, np.cumsum([n, n, size, size, size]), -1))
        return plain_backward(form, (g, c[1:], h[1:], u, h[0], c[0], *mask), gradient)

    def alike(f: Callable[..., Any], g: Callable[..., Any]) -> Callable[..., Any]:
        found = jax.custom_jvp(f, nondiff_argnums=(0,))
        found.defjvp(lambda form, x, dx: jax.jvp(partial(g, form), x, dx))
        return found

    return alike(forward, alike_forward), alike(backward, alike_backward)
