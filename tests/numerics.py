"""Values and gradients on whatever backend, in double precision where that can be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from supple.sampling.autodiff import gradients

BACKEND = keras.backend.backend()


def numpy(x: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


@contextmanager
def double() -> Iterator[None]:
    """Lets JAX compute in float64."""
    if BACKEND != "jax":
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


def value_and_gradient(f: Callable[[Any], Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(x) and the gradient of its sum."""
    return differentiated(f)(x)


def differentiated(f: Callable[..., Any]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """A function of x and more that gives f(x, …) and the gradient of its sum by x; compiled once on JAX."""
    if BACKEND == "jax":
        import jax

        @jax.jit
        def both(x: Any, *rest: Any) -> tuple[Any, Any]:
            y, back = jax.vjp(lambda x: f(x, *rest), x)
            return y, back(ops.ones_like(y))[0]

        return lambda x, *rest: tuple(numpy(y) for y in both(x, *rest))
    return lambda x, *rest: eagerly(lambda x: f(x, *rest), x)


def eagerly(f: Callable[[Any], Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if BACKEND == "tensorflow":
        import tensorflow as tf

        variable = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(variable)
            y = f(variable)
        return numpy(y), numpy(tape.gradient(y, variable))
    import torch

    variable = torch.tensor(x, requires_grad=True)
    y = f(variable)
    y.sum().backward()
    return y.detach().numpy(), variable.grad.numpy()


def slope(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """The gradient of the sum of f by central differences."""
    found = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        there = np.zeros_like(x)
        there[place] = h
        found[place] = (np.sum(f(x + there)) - np.sum(f(x - there))) / (2 * h)
    return found


def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function compiled as one does on this backend."""
    if BACKEND == "jax":
        import jax

        return jax.jit(f)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(f, autograph=False)
    return f


def compiled_gradient(f: Callable[..., Any]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """f and the gradient of its sum by its first argument, compiled once for all values of the others."""

    @compiled
    def both(x: Any, *others: Any) -> tuple[Any, Any]:
        def summed(x: Any) -> tuple[Any, Any]:
            y = f(x, *others)
            return ops.sum(y), y

        (gradient,), y = gradients(summed, [x])
        return y, gradient

    return lambda *given: tuple(
        numpy(ops.stop_gradient(part)) for part in both(*map(ops.convert_to_tensor, given))
    )
