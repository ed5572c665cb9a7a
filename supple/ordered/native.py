"""What a step of ON-LSTM calls so often that, on PyTorch, Keras's way to it takes longer than it does.

On PyTorch these are its own functions, elsewhere Keras's. All are of the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import numpy as np

if keras.backend.backend() == "torch":
    import torch

    addmm, sigmoid, tanh, where = torch.addmm, torch.sigmoid, torch.tanh, torch.where

    def cast(x: Any, dtype: Any) -> Any:
        return x.to(dtype)

    def wide(x: Any) -> Any:
        return x if x.dtype == torch.float64 else x.float()

    def split(x: Any, sizes: Sequence[int]) -> Any:
        return x.split(sizes, -1)

    def joined(parts: Sequence[Any]) -> Any:
        return torch.cat(parts, -1)

    def transposed(x: Any) -> Any:
        return x.T

    def reshaped(x: Any, shape: tuple[int, ...]) -> Any:
        return x.reshape(shape)

    def total(x: Any, keepdims: bool = False) -> Any:
        return x.sum(-1, keepdim=keepdims)

    def softmax(x: Any) -> Any:
        return torch.softmax(x, -1)

    def triangle(n: int, like: Any) -> Any:
        return made_triangle(n, like.dtype, like.device)

    @lru_cache
    def made_triangle(n: int, dtype: Any, device: Any) -> Any:
        return torch.ones(n, n, dtype=dtype, device=device).triu()

else:
    from keras import ops

    from supple.smooth import functions
    from supple.smooth.numbers import widened

    cast, reshaped, transposed = ops.cast, ops.reshape, ops.transpose
    sigmoid, tanh, where = ops.sigmoid, functions.tanh, ops.where

    def addmm(x: Any, a: Any, b: Any) -> Any:
        """x + a b."""
        return x + a @ b

    def wide(x: Any) -> Any:
        """In float32 at least."""
        return widened(x, "z")[0]

    def split(x: Any, sizes: Sequence[int]) -> Any:
        """Parts of these sizes."""
        return ops.split(x, np.cumsum(sizes[:-1]), -1)

    def joined(parts: Sequence[Any]) -> Any:
        return ops.concatenate(parts, -1)

    def total(x: Any, keepdims: bool = False) -> Any:
        """Sums."""
        return ops.sum(x, -1, keepdims=keepdims)

    def softmax(x: Any) -> Any:
        return ops.exp(ops.log_softmax(x, -1))  # `ops.softmax` warns of one level

    def triangle(n: int, like: Any) -> Any:
        """1 where the row is at most the column: x @ triangle are the sums of x up to each place."""
        return ops.convert_to_tensor(np.triu(np.ones((n, n))), like.dtype)
