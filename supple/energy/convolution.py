"""Convolutions of images that are quick on a CPU, and so are their gradients by the image.

On a CPU XLA's own convolution is slower than PyTorch's, and its gradient by the image, on which a chain
spends its time, more so (`benchmarks/langevin_speed.py`). Here a kernel of 2 × 2 or 3 × 3 becomes 9 or 16
products of matrices for each 2 × 2 of outputs, where the plain sum takes 16 or 36 (Winograd 1980; Lavin &
Gray 2016), and stride 2 is stride 1 on the four phases of the image. Images are (batch, height, width,
channels). On an accelerator they are XLA's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
from keras import ops

FEW = 16  # input channels; with fewer a product of matrices costs less than what is around it

Matrix = Sequence[Sequence[float]]

# For kernels of 2 and 3 the matrices Bᵀ, G, Aᵀ of y = Aᵀ ((G w) ∘ (Bᵀ x)), two outputs y of an input x.
WINOGRAD: dict[int, tuple[Matrix, Matrix, Matrix]] = {
    2: ([[1, -1, 0], [0, 1, 0], [0, -1, 1]], [[1, 0], [1, 1], [0, 1]], [[1, 1, 0], [0, 1, 1]]),
    3: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
}


def convolve(x: Any, kernel: Any, stride: int = 1) -> Any:
    """Images x (batch, height, width, in) with a kernel (k, k, in, out), no padding, a stride of 1 or 2.

    To rounding what `jax.lax.conv_general_dilated` gives, and as differentiable. ValueError for another
    stride.
    """
    if stride not in (1, 2):
        raise ValueError(f"stride = {stride} should be 1 or 2; for others use keras.layers.Conv2D")
    if jax.default_backend() != "cpu":
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=numbers)
    k = kernel.shape[0]
    height, width = ((n - k) // stride + 1 for n in x.shape[1:3])
    if stride == 2:
        kernel = jnp.pad(kernel, ((0, k % 2), (0, k % 2), (0, 0), (0, 0)))
        kernel = phases(kernel[None])[0]
        x = phases(jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0))))
        k = kernel.shape[0]
    if k in WINOGRAD and x.shape[-1] >= FEW:
        rows, columns = height + height % 2 + k - 1, width + width % 2 + k - 1
        below, right = max(rows - x.shape[1], 0), max(columns - x.shape[2], 0)
        x = jnp.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))[:, :rows, :columns]
        return winograd(x, kernel)[:, :height, :width]
    return unfolded(x, kernel)[:, :height, :width]


def winograd(x: Any, kernel: Any) -> Any:
    """Stride 1, even numbers of outputs: a product of matrices for each element of a transformed tile."""
    k = kernel.shape[0]
    into, of_kernel, out = WINOGRAD[k]
    x = jax.lax.optimization_barrier(x)  # else what makes x is computed anew for each place in a tile
    batch, rows, columns = x.shape[0], x.shape[1] - k + 1, x.shape[2] - k + 1
    strips = combined(into, [x[:, i : i + rows - 1 : 2] for i in range(k + 1)])
    tiles = [combined(into, [s[:, :, j : j + columns - 1 : 2] for j in range(k + 1)]) for s in strips]
    weights = [combined(of_kernel, list(row)) for row in combined(of_kernel, list(kernel))]
    found = [[t @ w for t, w in zip(*both, strict=True)] for both in zip(tiles, weights, strict=True)]
    found = [combined(out, list(column)) for column in zip(*found, strict=True)]
    found = [combined(out, list(row)) for row in zip(*found, strict=True)]  # of each tile its 2 × 2 outputs
    y = jnp.stack([jnp.stack(row, 3) for row in found], 2)
    return y.reshape(batch, rows, columns, -1)


def combined(matrix: Matrix, parts: list[Any]) -> list[Any]:
    """Sums of arrays, one for each row of coefficients; what is 0 or 1 costs nothing."""
    sums = []
    for row in matrix:
        terms = [part if c == 1 else c * part for c, part in zip(row, parts, strict=True) if c]
        sums.append(sum(terms[1:], terms[0]))
    return sums


def unfolded(x: Any, kernel: Any) -> Any:
    """Stride 1: one product with the patches k × k."""
    k = kernel.shape[0]
    rows, columns = x.shape[1] - k + 1, x.shape[2] - k + 1
    x = jax.lax.optimization_barrier(x)
    patches = [x[:, i : i + rows, j : j + columns] for i in range(k) for j in range(k)]
    return jnp.concatenate(patches, -1) @ kernel.reshape(-1, kernel.shape[-1])


def phases(x: Any) -> Any:
    """The four images of every second row and column, as channels: (batch, height/2, width/2, 4, ...)."""
    n, height, width, channels, *rest = x.shape
    x = x.reshape(n, height // 2, 2, width // 2, 2, channels, *rest).swapaxes(2, 3)
    return x.reshape(n, height // 2, width // 2, 4 * channels, *rest)


@keras.saving.register_keras_serializable("supple")
class Conv2D(keras.layers.Conv2D):
    """Keras's layer, quick on a CPU: the same weights, options and results, to rounding.

    What `convolve` does not do, such as dilation or groups, is left to Keras.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        square, (stride, other) = kernel.shape[0] == kernel.shape[1], self.strides
        plain = self.groups == 1 and tuple(self.dilation_rate) == (1, 1)
        if not (square and stride == other in (1, 2) and plain and self.data_format == "channels_last"):
            return super().convolution_op(inputs, kernel)
        if self.padding == "same":
            inputs = ops.pad(
                inputs, [(0, 0), *(same(n, kernel.shape[0], stride) for n in inputs.shape[1:3]), (0, 0)]
            )
        return convolve(inputs, ops.convert_to_tensor(kernel), stride)  # a Variable is no array


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """The zeros before and after `size` pixels with which there are size / stride outputs, rounded up."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
