"""Matrix products on PyTorch, by oneDNN on processors of AMD, as torch.nn's LSTM has them everywhere.

MKL, which PyTorch takes for them, is slow on the one that was measured (`benchmarks/ordered_speed.py`).
"""

from __future__ import annotations

from typing import Any

import torch

# What torch.compile makes of linear layers; elsewhere than on x86, and in old versions, there is none.
linear: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
reorder: Any = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)
capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)
AMD = "AMD" in capabilities().get("cpu_name", "") and None not in (linear, reorder)


def by_onednn(x: Any) -> bool:
    """Whether products with x are for `onednn`, which torch.compile puts in by itself."""
    plain = x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0  # of none it refuses
    return AMD and plain and not torch.compiler.is_compiling()


def onednn(x: Any, w: Any, b: Any = None) -> Any:
    """x wᵀ + b for x (N, K) and w (M, K), perhaps `packed`, of which there is no gradient."""
    return linear(x, w, b, "none", [], "")


def packed(w: Any) -> Any:
    """A contiguous matrix as oneDNN wants it, for many products."""
    return reorder(w)


class Affine(torch.autograd.Function):
    """x w + b for x (N, K) and w (K, M)."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
        ctx.save_for_backward(x, w)
        return onednn(x, w.T, b)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Any) -> tuple[Any, ...]:
        (x, w), (for_x, for_w, for_b) = ctx.saved_tensors, ctx.needs_input_grad
        by_x, by_w = onednn(dy, w) if for_x else None, onednn(x.T, dy.T) if for_w else None
        return by_x, by_w, dy.sum(0) if for_b else None


def affine(x: Any, w: Any, b: Any) -> Any:
    """x w + b for x (N, K) and w (K, M)."""
    return Affine.apply(x, w, b) if by_onednn(x) else torch.addmm(b, x, w)


def product(x: Any, w: Any) -> Any:
    """x w for x (N, K) and w (K, M), of which there is no gradient."""
    return onednn(x, w.T) if by_onednn(x) else x @ w
