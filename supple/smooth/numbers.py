"""What every smooth function does before and after: at least float32 inside, masks, clear errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def widened(x: Any, name: str = "x") -> tuple[Any, Callable[[Any], Any]]:
    """`x` in float32 or wider, and a function that casts results back; ValueError if it holds no floats."""
    x = ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(f"{name} has dtype {dtype}; give floating-point numbers")
    return ops.cast(x, "float64" if dtype == "float64" else "float32"), lambda y: ops.cast(y, dtype)


def warmth(temperature: Any, like: Any) -> Any:
    """A temperature, number or tensor, in the dtype of `like`; ValueError unless it is above 0."""
    checked_temperature(temperature)
    return ops.cast(temperature, like.dtype)


def checked_temperature(temperature: Any) -> None:
    """ValueError unless it is above 0, as far as that is known."""
    known = concrete(temperature)
    if known is not None and not np.all(known > 0):
        raise ValueError(f"temperature = {temperature} should be above 0; the hard function is its limit")


def at_least(x: Any, low: float) -> Any:
    """max(x, low) in the dtype of `x`; `ops.maximum` of float64 and a number is float32 on PyTorch."""
    return ops.where(x > low, x, low)


def at_most(x: Any, high: float) -> Any:
    """min(x, high) in the dtype of `x`."""
    return ops.where(x < high, x, high)


def concrete(x: Any) -> np.ndarray | None:
    """The value of `x`; None while code is being compiled."""
    if isinstance(x, float | int | np.ndarray | np.generic | list | tuple):
        return np.asarray(x, np.float64)
    try:
        return np.asarray(ops.convert_to_numpy(x), np.float64)
    except Exception:  # each backend has its own error for a tensor without a value
        return None


def valid_of(x: Any, mask: Any, axis: int) -> Any:
    """Where `x` counts: not at -inf, nor where `mask` is False; ValueError if nothing in a row does."""
    valid = x > -np.inf
    if mask is not None:
        mask = ops.convert_to_tensor(mask)
        if keras.backend.standardize_dtype(mask.dtype) != "bool":
            raise ValueError(f"mask has dtype {mask.dtype}; give booleans, True where x counts")
        try:
            np.broadcast_shapes(*(known_shape(y) for y in (mask, x)))
        except (ValueError, TypeError):
            problem = f"mask has shape {tuple(mask.shape)} and x {tuple(x.shape)}"
            raise ValueError(f"{problem}; give one that broadcasts to x") from None
        valid = ops.logical_and(valid, mask)
    known = concrete(valid)
    if known is not None and not known.any(axis).all():
        raise ValueError(
            "a row has no element that counts: all are masked or -inf; leave it out, or unmask one"
        )
    return valid


def known_shape(x: Any) -> tuple[int, ...]:
    """With 1 for a size that is not known yet."""
    return tuple(1 if n is None else n for n in x.shape)
