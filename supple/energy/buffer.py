"""A replay buffer: the last states of many chains, as plain data (Tieleman 2008; Du & Mordatch 2019).

`draw` some chains, move them with any energy, `put` them back *into the slots they came from*. Nothing in it
belongs to a model: several that sample jointly share one (`supple.energy.tasks.in_turn`), and training may
begin with another's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Buffer(NamedTuple):
    """Chains x (size, ...); the class y (size,) of each, fixed, 0 without classes; its age (size,).

    The age counts the runs of its chain since it began.
    """

    x: Any
    y: Any
    age: Any


class Draw(NamedTuple):
    """Chains taken out: the slots (n,) they came from, and x, y, age of each."""

    slots: Any
    x: Any
    y: Any
    age: Any


Start = Callable[[Any, int], Any]  # (key, n) -> fresh states (n, ...)


def uniform_start(shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Start:
    """Fresh states from the uniform distribution over a box."""
    return lambda key, n: jax.random.uniform(key, (n, *shape), minval=low, maxval=high)


def new_buffer(start: Start, size: int, key: Any, labels: Any = None) -> Buffer:
    """`size` fresh chains; their classes are as frequent as in `labels`. ValueError if size is below 1."""
    if size < 1:
        raise ValueError(f"a buffer of {size} chains; give it 1 or more, and no fewer than a batch")
    y = np.zeros(size, np.int32)
    if labels is not None:  # every k-th of the sorted labels: as frequent, without chance
        y = np.sort(np.asarray(labels, np.int32))[np.arange(size) * len(labels) // size]
    return Buffer(start(key, size), jnp.asarray(y), jnp.zeros(size, jnp.int32))


def take(buffer: Buffer, slots: Any, fresh: Any, states: Any) -> Draw:
    """The chains in `slots` (n,), begun anew from `states` (n, ...) where `fresh` (n,) is True."""
    wide = fresh.reshape(-1, *[1] * (states.ndim - 1))
    x = jnp.where(wide, states, buffer.x[slots])
    return Draw(slots, x, buffer.y[slots], jnp.where(fresh, 0, buffer.age[slots]))


def draw(buffer: Buffer, n: int, start: Start, key: Any, fresh: float = 0.05) -> Draw:
    """`n` different chains, of which each begins anew with probability `fresh`.

    ValueError if the buffer has fewer.
    """
    check_size(buffer, n)
    which, whether, states = jax.random.split(key, 3)
    slots = jax.random.choice(which, len(buffer.x), (n,), replace=False)
    return take(buffer, slots, jax.random.bernoulli(whether, fresh, (n,)), start(states, n))


def put(buffer: Buffer, taken: Draw, x: Any) -> Buffer:
    """The buffer with the chains moved to `x` back in their slots, each a run older."""
    return buffer._replace(
        x=buffer.x.at[taken.slots].set(x), age=buffer.age.at[taken.slots].set(taken.age + 1)
    )


def check_size(buffer: Buffer, n: int) -> None:
    """ValueError if a buffer has fewer chains than a batch takes."""
    if n > len(buffer.x):
        problem = f"a batch of {n} chains from a buffer of {len(buffer.x)}"
        raise ValueError(f"{problem}; make the buffer larger, or the batch smaller")
