"""The recurrence of ON-LSTM on PyTorch by `step.c`: all of a step but its product is one call.

For float32 on a CPU and machines with a C compiler, which takes a third of a second, once in a process.
"""

from __future__ import annotations

import ctypes
from functools import cache, partial
from typing import Any

import torch

from supple.ordered import compiled
from supple.ordered.torch_products import product
from supple.ordered.torch_recurrence import Times, add


@cache
def library() -> Any:
    """`step.c`, compiled, for one thread where the compiler has no OpenMP; None where that fails."""
    found = compiled.library("step.c", ["-fopenmp"], ["-fopenmp-simd"])
    if found:
        number, tensor = ctypes.c_int, ctypes.c_void_p
        found.forward.argtypes = [number] * 6 + [tensor] * 7 + [number, tensor, number]
        found.backward.argtypes = [number] * 5 + [tensor] * 9 + [number, tensor, number]
    return found


def takes(*x: Any) -> bool:
    """Whether it is for these tensors; what torch.compile traces is not."""
    plain = all(part.dtype == torch.float32 and part.device.type == "cpu" for part in x)
    return plain and not torch.compiler.is_compiling() and library() is not None


def forward(
    form: tuple[str, bool], zx: Any, u: Any, h0: Any, c0: Any, *mask: Any, keep: bool = True
) -> tuple[Any, Any]:
    """As that of `supple.ordered.recurrence`; without `keep` there is nothing for a gradient."""
    (steps, rows, width), size, zx = zx.shape, c0.shape[1], zx.contiguous()
    mask = tuple(m.contiguous() for m in mask)
    gates, d = c0.new_empty(steps if keep else 1, rows, width), c0.new_empty(steps, rows)
    h_all, c_all = (first.new_empty(1 + steps, rows, size) for first in (h0, c0))
    h_all[0], c_all[0] = h0, c0
    room = c0.new_empty(rows, 2, size)
    call = partial(library().forward, *numbers(form, u, rows), keep)
    call = partial(call, *starts(zx, *mask or [None], h_all, c_all, gates, d, room))
    with torch.inference_mode():
        times_u = Times(u.T, h0)
        for t, h in enumerate(times_u.split(h_all[:-1])):
            y = times_u(h)
            call(t, y[0].data_ptr(), len(y))
    return (h_all[1:], c_all[-1].clone(), d), (gates, c_all, h_all, u, *mask)


def backward(form: tuple[str, bool], kept: Any, gradient: Any) -> tuple[Any, ...]:
    """The gradients of the arguments of `forward` from those of its value."""
    gates, c_all, h_all, u, *mask = kept
    by_h, dc, by_d = (x.contiguous() for x in gradient)
    dh, dc, dz = torch.zeros_like(dc), dc.clone(), torch.empty_like(gates)
    room = dc.new_empty(len(dc), 4, dc.shape[1])
    call = partial(library().backward, *numbers(form, u, len(dc)))
    call = partial(call, *starts(by_h, by_d, *mask or [None], c_all, gates, dh, dc, dz, room))
    with torch.inference_mode():
        times_u, y = Times(u, dh), (torch.zeros_like(dh),)
        dz_parts = times_u.split(dz)
        for t in reversed(range(len(dz))):
            call(t, y[0].data_ptr(), len(y))
            y = times_u(dz_parts[t])
    du = product(h_all[:-1].flatten(0, 1).T, dz.flatten(0, 1))
    return dz, du, add(dh, y), dc, *(None for _ in mask)


def numbers(form: tuple[str, bool], u: Any, rows: int) -> tuple[int, ...]:
    """Those that say what a step is like."""
    size, width = u.shape
    return rows, size, (width - 4 * size) // 2, form[0] == "paper", form[1]


def starts(*x: Any) -> list[int | None]:
    """Where tensors begin, or None of what is None."""
    return [None if part is None else part.data_ptr() for part in x]
