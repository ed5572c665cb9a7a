"""What distributions do with what they are given: one dtype, one shape, and a clear error."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from supple.smooth.numbers import concrete, widened


def tensors(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters in the widest of their dtypes, float32 at least; plain numbers take that of the others."""
    plain = {name for name, x in parameters.items() if type(x) in (int, float)}
    wide = {name: widened(x, name)[0] for name, x in parameters.items() if name not in plain}
    double = any(keras.backend.standardize_dtype(x.dtype) == "float64" for x in wide.values())
    dtype = "float64" if double else "float32"
    return {
        name: ops.convert_to_tensor(x, dtype) if name in plain else ops.cast(wide[name], dtype)
        for name, x in parameters.items()
    }


def common_shape(tensors: dict[str, Any]) -> tuple[Any, ...]:
    """The shape that tensors broadcast to; ValueError if they do not."""
    shapes = {name: tuple(x.shape) for name, x in tensors.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except TypeError:  # TensorFlow, which may know a size only when it runs
        return tuple(ops.shape(sum(tensors.values())))
    except ValueError:
        given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"shapes do not broadcast: {given}") from None


def finite(name: str, x: Any) -> Any:
    """`x`; ValueError if it holds NaN or infinities."""
    known = concrete(x)
    if known is not None and not np.isfinite(known).all():
        raise ValueError(f"{name} has values that are not finite numbers")
    return x


def positive(name: str, x: Any) -> Any:
    """`x`; ValueError unless it is above 0 and finite."""
    known = concrete(finite(name, x))
    if known is not None and not (known > 0).all():
        raise ValueError(f"{name} is {known.min():g} at least once; it should be above 0")
    return x


def tiny(dtype: Any) -> float:
    """The least positive number of full precision."""
    return float(np.finfo(keras.backend.standardize_dtype(dtype)).tiny)


def only_where(support: Any, value: Any) -> Any:
    """`value` there, -inf elsewhere."""
    return ops.where(support, value, ops.cast(-np.inf, value.dtype))
