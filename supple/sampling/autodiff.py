"""The gradient of a function of tensors, on whatever backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops


def gradients(f: Callable[..., tuple[Any, Any]], inputs: Sequence[Any]) -> tuple[list[Any], Any]:
    """The gradient, by each input, of the scalar that `f(*inputs)` gives first; and what else it gives."""
    backend = keras.backend.backend()
    inputs = [ops.convert_to_tensor(x) for x in inputs]
    if backend == "jax":
        import jax

        found, aux = jax.grad(f, argnums=tuple(range(len(inputs))), has_aux=True)(*inputs)
        return list(found), aux
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for x in inputs:
                tape.watch(x)
            y, aux = f(*inputs)
        found = tape.gradient(y, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return list(found), aux
    import torch

    with torch.enable_grad():
        inputs = [x.detach().requires_grad_() for x in inputs]
        y, aux = f(*inputs)
        if not y.requires_grad:
            return [torch.zeros_like(x) for x in inputs], aux
        found = torch.autograd.grad(y, inputs, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)], aux
