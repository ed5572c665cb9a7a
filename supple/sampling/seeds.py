"""Seeds: an int gives the same numbers at every call, a SeedGenerator new ones; a tensor may be compiled."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

Seed = Any  # an int, a keras.random.SeedGenerator, None for Keras's own, or two integers in a tensor

DTYPE = "uint32" if keras.backend.backend() == "jax" else "int32"  # of the words that backends take


class Words(keras.random.SeedGenerator):
    """A seed of two integers that is a tensor already; gives the same numbers at every call, like an int."""

    def __init__(self, words: Any) -> None:
        self.words = words

    def next(self, ordered: bool = True) -> Any:
        return self.words


def seeded(seed: Seed) -> Any:
    """What `keras.random` takes as a seed; ValueError for what is none."""
    if seed is None or isinstance(seed, keras.random.SeedGenerator):
        return seed
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        return int(seed)
    shape = getattr(seed, "shape", None)
    kind = keras.backend.standardize_dtype(seed.dtype) if hasattr(seed, "dtype") else ""
    if shape is not None and tuple(shape) in [(), (2,)] and "int" in kind:
        words = ops.stack([seed, seed * 0]) if tuple(shape) == () else seed
        return Words(ops.cast(words, DTYPE))
    raise ValueError(f"seed = {seed!r} should be an int, a SeedGenerator, or a tensor of one or two integers")


def split(seed: Seed, n: int) -> list[Words]:
    """`n` seeds of independent draws from one."""
    words = keras.random.randint((n, 2), 0, 2**31 - 1, "int32", seeded(seed))
    words = ops.cast(words, DTYPE)
    return [Words(words[i]) for i in range(n)]
