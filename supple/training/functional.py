"""A Keras model, or any function of arrays, as a pure function with its weights beside it. For JAX."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import keras

from supple.training.arrays import copies


class Functional(NamedTuple):
    """`call(weights, state, x, training=False) -> (outputs, state)`, pure, and what it starts with.

    `weights` are trained, any pytree; `state` is what else a model has: moving averages, the vectors of
    spectral norm, seeds. `call` of the same model or function is always equal, so that it can be a static
    argument of `jax.jit`.
    """

    call: Callable[..., tuple[Any, Any]]
    weights: Any
    state: Any


def functional(model: Any) -> Functional:
    """Of a built Keras model, its copies; of f, (f, weights) or a Functional, f(x) or f(weights, x) as one.

    ValueError if the model has no weights yet, or is nothing of these.
    """
    if isinstance(model, Functional):
        return model
    if isinstance(model, keras.Layer):
        if not model.built:
            raise ValueError(
                f"{model.name!r} is not built; call it on an example, or build(shape) it, before"
            )
        variables = model.trainable_variables, model.non_trainable_variables
        return Functional(model.stateless_call, *(copies([v.value for v in part]) for part in variables))
    if isinstance(model, tuple) and len(model) == 2 and callable(model[0]):
        return Functional(with_weights(model[0]), model[1], [])
    if callable(model):
        return Functional(without_weights(model), [], [])
    raise ValueError(
        f"expected a Keras model, a function, or (function, weights); got {type(model).__name__}"
    )


@lru_cache(maxsize=64)
def with_weights(f: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    return lambda weights, state, x, training=False: (f(weights, x), state)


@lru_cache(maxsize=64)
def without_weights(f: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    return lambda weights, state, x, training=False: (f(x), state)


def architecture(f: Callable[..., Any], *arguments: Any) -> int:
    """A checksum of what a function computes of such arguments, whatever their numbers are."""
    import jax

    program = str(jax.make_jaxpr(f)(*arguments))
    return zlib.crc32(re.sub(" at 0x[0-9a-f]+", "", program).encode())


def assign(model: keras.Layer, weights: Any, state: Any) -> None:
    """Set a Keras model's weights and state to those of a run."""
    for variables, values in (model.trainable_variables, weights), (model.non_trainable_variables, state):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def need_jax(room: str) -> None:
    """ImportError where Keras runs on another backend than JAX."""
    if keras.backend.backend() != "jax":
        raise ImportError(
            f"{room} needs JAX, and Keras runs on {keras.backend.backend()}: set KERAS_BACKEND=jax before "
            "Keras is imported, and install 'supple[learn]'"
        )
