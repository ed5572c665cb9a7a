"""A classifier is an energy (Grathwohl et al. 2020): logits f(x)[y] = −U(x, y), up to log Z of p(x, y).

So is any conditional model: one of outputs (batch, classes) gives U(x, y) = −f(x)[y] for each class,
U(x) = −log Σ_y exp f(x)[y], and p(y|x) = softmax f(x). One of outputs (batch,) gives U(x) itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from supple.training.functional import Functional, functional


def energies(outputs: Any, y: Any = None) -> Any:
    """U(x), or U(x, y) of classes y (batch,), from a model's outputs, (batch,) or (batch, classes).

    ValueError for outputs of another shape, or for classes where the model has none.
    """
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        if y is None:
            return -jax.nn.logsumexp(outputs, -1)
        return -jnp.take_along_axis(outputs, y[:, None], 1)[:, 0]
    if outputs.ndim != 1:
        problem = f"the energy's outputs have shape {outputs.shape}"
        raise ValueError(f"{problem}; give (batch,), or (batch, classes) with 2 classes or more")
    if y is not None:
        raise ValueError("there are classes, and the energy gives (batch,); give it outputs (batch, classes)")
    return outputs


def energy_of(model: Any, y: Any = None) -> Functional:
    """U(x), or with a class y (batch,) for each row U(x, y), of a model; what samplers take.

    The model: built Keras, a function, (f, weights), or a Functional. The energies of one share what is
    compiled.
    """
    call, weights, state = functional(model)
    return Functional(as_energy(call), weights, (state, None if y is None else jnp.asarray(y, jnp.int32)))


@lru_cache(maxsize=64)
def as_energy(call: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    def energy(weights: Any, state: Any, x: Any, training: bool = False) -> tuple[Any, Any]:
        state, y = state
        outputs, state = call(weights, state, x, training=training)
        return energies(outputs, y), (state, y)

    return energy


def class_probabilities(model: Any, x: Any) -> Any:
    """p(y|x) = softmax f(x), (batch, classes). ValueError if the model has no classes."""
    call, weights, state = functional(model)
    outputs, _ = call(weights, state, jnp.asarray(x))
    if outputs.ndim != 2:
        raise ValueError(f"outputs have shape {outputs.shape}; classes need (batch, classes)")
    return jax.nn.softmax(outputs)
