"""What workers make in the tests of datasets; nothing here imports Keras, so that they start in a moment."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np


class Numbers:
    """0, 1, 2, …"""

    def __init__(self, size: int):
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index


class Sequences(Numbers):
    """Item i is `lengths[i]` times i + 1."""

    def __init__(self, lengths: list[int]):
        super().__init__(len(lengths))
        self.lengths = lengths

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full(self.lengths[index], index + 1)


def drawn(item: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """An item, random numbers for it, and the process that made it."""
    return {"item": np.asarray(item), "drawn": rng.normal(size=3)}


LARGE = 1 << 16  # bytes


def large(item: int, rng: np.random.Generator) -> np.ndarray:
    return np.full(LARGE, item, np.uint8)


def maker(item: int, rng: np.random.Generator) -> tuple[int, int]:
    """The process that makes the item, which takes some time."""
    time.sleep(0.05)
    return item, os.getpid()


def labelled(item: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A point and a target that a line fits."""
    x = rng.normal(size=2).astype(np.float32)
    return x, (x.sum(keepdims=True) + item % 2).astype(np.float32)


def mixed(samples: list[np.ndarray], length: int | None, rng: np.random.Generator) -> np.ndarray:
    """Sums of samples in an order drawn for the batch."""
    return np.stack(samples)[rng.permutation(len(samples))]


def raises(item: int, rng: np.random.Generator) -> int:
    """Item 7 is bad."""
    if item == 7:
        raise ValueError("a bad picture")
    return item


def dies(item: int, rng: np.random.Generator) -> int:
    """Item 7 is so large that the system kills the process."""
    if item == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def forks_and_dies(item: int, rng: np.random.Generator) -> int:
    """Item 7 kills the process, which had a child that holds all that it had open."""
    if item == 7:
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,)).start()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def leaves(item: int, rng: np.random.Generator) -> int:
    """Item 7 ends the process, as a library may."""
    if item == 7:
        os._exit(3)
    return item


def double(x: int) -> int:
    return 2 * x


def pooled(item: int, rng: np.random.Generator) -> int:
    """Twice the item, computed by processes of the sample's own."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(double, [item])[0]


def sleeps(item: int, rng: np.random.Generator) -> int:
    """An item that takes a minute, after the first."""
    time.sleep(60 * (item > 0))
    return item


def unsendable(samples: list[Any], length: int | None, rng: np.random.Generator) -> Any:
    return lambda: samples


class Here:
    """Items are of this process only: each tells whether it was opened in the process that reads it."""

    def __init__(self) -> None:
        self.process = os.getpid()

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> bool:
        return self.process == os.getpid()

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle an open file")


class Broken(Numbers):
    """A source that can be sent, and not be received."""

    def __setstate__(self, state: Any) -> None:
        raise OSError("no such disk")


class Rows:
    """Pairs of an array's rows and their numbers."""

    def __init__(self, array: np.ndarray):
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> tuple[np.ndarray, bool]:
        return self.array[index], in_file(self.array)


def in_file(array: Any) -> bool:
    """Whether an array lies in a mapped file, not in memory."""
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return isinstance(array, np.memmap)


def arrow_rows(path: Path) -> Any:
    """An Arrow file, mapped: rows as dicts."""
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()

    class Table:
        def __len__(self) -> int:
            return table.num_rows

        def __getitem__(self, index: int) -> dict[str, Any]:
            return table.slice(index, 1).to_pylist()[0]

    return Table()


def stray(item: int, rng: np.random.Generator) -> tuple[float, float]:
    """What the global generators give, which no one seeds."""
    return random.random(), np.random.random()


def padded(arrays: list[np.ndarray], length: int | None, rng: np.random.Generator) -> Any:
    """Sequences padded to their bucket, and targets."""
    rows = np.stack([np.pad(array, (0, (length or 0) - len(array))) for array in arrays])
    return rows.astype(np.int32), np.ones((len(rows), 4), np.float32)
