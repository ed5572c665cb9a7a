"""Averages of lists of arrays: compiled on JAX and TensorFlow, in place on JAX and PyTorch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def copies(arrays: list[Any]) -> list[Any]:
    """Arrays that share no memory with these: JAX's trainer destroys what it is given."""
    return [ops.copy(ops.stop_gradient(array)) for array in arrays]


def blend(averages: list[list[Any]], arrays: list[Any], fractions: list[Any]) -> list[list[Any]]:
    """Each average moved its fraction of the way to the arrays; the averages given are used up."""
    return [
        [
            mean + (ops.cast(array, mean.dtype) - mean) * ops.cast(fraction, mean.dtype)
            for mean, array in zip(average, arrays, strict=True)
        ]
        for average, fraction in zip(averages, fractions, strict=True)
    ]


if keras.backend.backend() == "jax":
    import jax

    copies, blend = jax.jit(copies), jax.jit(blend, donate_argnums=0)
elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    graph = tf.function(blend)

    def blend(averages: list[list[Any]], arrays: list[Any], fractions: list[Any]) -> list[list[Any]]:
        return graph(averages, arrays, [tf.constant(fraction) for fraction in fractions])  # floats retrace

else:

    def blend(averages: list[list[Any]], arrays: list[Any], fractions: list[Any]) -> list[list[Any]]:
        for average, fraction in zip(averages, fractions, strict=True):
            for mean, array in zip(average, arrays, strict=True):
                mean.lerp_(array.detach().to(mean.dtype), fraction)
        return averages
