"""Sorting and ranking in O(n log n): projections onto a permutahedron (Blondel et al. 2020).

The permutahedron of w is the convex hull of its permutations. For s and w in descending order the projection
of s onto it is s - v, with the v that falls and is nearest to s - w: an isotonic regression. It has a value
for each block of neighbours, the mean of s - w in it; so in a block the projection is w's mean plus what s is
above its own. Only where blocks begin is computed outside of Keras; the gradient is that of the means.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.optimize import isotonic_regression

from supple.smooth.numbers import at_least


def projection(s: Any, w: Any) -> Any:
    """`s` projected onto the permutahedron of `w`; both (..., n), descending along the last axis.

    Where `s` is -inf, at the end, the projection is `w`.
    """
    n = w.shape[-1]
    start = block_starts(ops.stop_gradient(s), ops.stop_gradient(w))
    s = ops.where(s > -math.inf, s, 0.0)
    flat = ops.reshape(start, (-1, n))
    row = ops.expand_dims(ops.arange(ops.shape(flat)[0], dtype="int32") * n, -1)
    ids = ops.reshape(flat + row, (-1,))  # a block's name: the place where it begins
    # From a block's first element on, numbers are small: sums lose nothing to rounding.
    above = s - ops.take_along_axis(s, start, -1)
    below = w - ops.take_along_axis(w, start, -1)
    # `ops.segment_sum` of float64 sums in float32 on PyTorch, and `ops.scatter` is a loop in Python there.
    zeros = ops.zeros(ops.shape(ids), s.dtype)
    total, count = (
        ops.scatter_update(zeros, ids[:, None], ops.reshape(part, (-1,)), "add")
        for part in (below - above, ops.ones_like(s))
    )
    mean = ops.reshape(ops.take(total / at_least(count, 1.0), ids), ops.shape(s))
    return ops.take_along_axis(w, start, -1) + above + mean


def block_starts(s: Any, w: Any) -> Any:
    """For each element the place where its block begins, int32 (..., n)."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        shape = jax.ShapeDtypeStruct(w.shape, "int32")
        return jax.pure_callback(starts, shape, s, w, vmap_method="broadcast_all")
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.numpy_function(starts, [s, w], tf.int32)
        return tf.ensure_shape(found, w.shape)
    return ops.convert_to_tensor(starts(ops.convert_to_numpy(s), ops.convert_to_numpy(w)))


def starts(s: Any, w: Any) -> np.ndarray:
    """The same, in NumPy."""
    shape = np.shape(s)
    y = (np.asarray(s, np.float64) - np.asarray(w, np.float64)).reshape(-1, shape[-1])
    low = y.min(-1, keepdims=True, initial=0, where=np.isfinite(y))
    y = np.where(np.isneginf(y), low - 1 - np.arange(y.shape[-1]), y)  # each a block of its own
    found = np.broadcast_to(np.arange(y.shape[-1], dtype=np.int32), y.shape).copy()
    for row in np.flatnonzero((np.diff(y) >= 0).any(-1)):  # in the others each element is a block
        begin = isotonic_regression(y[row], increasing=False).blocks
        found[row] = np.repeat(begin[:-1], np.diff(begin))
    return found.reshape(shape)
