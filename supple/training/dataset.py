"""Batches for `fit` and for loops, each sample a function of (seed, epoch, index) alone.

So they are the same from any number of processes, and after a resume in the midst of an epoch.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import keras
import numpy as np

from supple.errors import InputError
from supple.workers import AHEAD, Recipe, Task, Workers, make, mixed, opened, stack

ROUNDS = 6  # of the shuffle
BLOCK = 4096  # positions that are shuffled together, as one alone takes almost as long


class Bucket(NamedTuple):
    """Samples that share a padded length: `size` of them, all if `members` is None; `rows` a batch."""

    length: int | None
    rows: int
    size: int
    members: np.ndarray | None = None


class Dataset(keras.utils.PyDataset):
    """Batches of `sample(source[index], rng)`, whose `rng` depends on (seed, epoch, index) alone.

    `source` has `len` and `[index]`, or is a function that opens such a thing, called once in each process.
    Batches hold `batch_size` samples, or samples of like length: `lengths` are those of all items, `buckets`
    maps each padded length to its number of rows. `collate(samples, length, rng)` makes a batch; by default
    it stacks tuples and dicts of arrays and pads them with 0. With `shuffle`, every epoch has an order of its
    own, which takes no memory. `workers` processes make batches ahead of their use; 0 makes them here.

    `data[i]` is the i-th batch that is left of `data.epoch`; a loop over `data` ends in the next epoch. In
    `fit`, pass `shuffle=False` and `callbacks=[DatasetProgress(data)]`. InputError if an argument is wrong;
    RuntimeError names the sample that raises, or in which a worker dies.
    """

    def __init__(
        self,
        source: Any,
        sample: Callable[[Any, np.random.Generator], Any] | None = None,
        *,
        batch_size: int | None = None,
        lengths: Sequence[int] | np.ndarray | None = None,
        buckets: Mapping[int, int] | None = None,
        collate: Callable[[list[Any], int | None, np.random.Generator], Any] = stack,
        seed: int = 0,
        shuffle: bool = True,
        workers: int = 0,
    ):
        super().__init__()
        for name, value, least in ("seed", seed, 0), ("workers", workers, 0):
            check(name, value, least)
        here = opened(source)
        self._here, self._there = (Recipe(place, sample, collate, seed) for place in (here, source))
        self.buckets = grouped(len(here), batch_size, lengths, buckets)
        self.batches = [math.ceil(bucket.size / bucket.rows) for bucket in self.buckets]
        self.seed, self.shuffle, self.processes = seed, shuffle, workers
        self._pool: Workers | None = None
        self._lock = threading.RLock()  # TensorFlow asks from threads of its own
        self.epoch = 0

    @property
    def epoch(self) -> int:
        """The epoch that batches are of; setting it goes to its beginning."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._go(epoch, 0)

    def _go(self, epoch: int, batch: int) -> None:
        self._epoch, self._start, self._done = epoch, batch, batch
        self._passing, self._reached = False, -1  # whether Keras reads an epoch, and how far it came
        self._read = -1  # the epoch that Keras has read to its end, and nobody set anew

    def __len__(self) -> int:
        return sum(self.batches) - self._start

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        if self._passing:
            if index > self._reached + 1:
                raise RuntimeError("fit changes the order of batches; pass shuffle=False: a Dataset shuffles")
            self._reached = max(self._reached, index)
        elif index == 1 and keras.backend.backend() == "tensorflow":
            index = self._unlike()
        return self._batch(self._epoch, self._start + index)

    def _unlike(self) -> int:
        """The first batch of another length than batch 0.

        For TensorFlow Keras asks for batches 0 and 1 before it reads an epoch: in what they differ, it lets
        all batches differ.
        """
        of = [self._place(self._epoch, self._start + index)[0] for index in range(min(len(self), 1000))]
        return next((index for index, bucket in enumerate(of) if bucket != of[0]), 1)

    def __iter__(self) -> Iterator[Any]:
        for number in range(self._start, self._start + len(self)):
            yield self._next(number)  # in no variable: its memory may be free for the batch that follows
        self.epoch += 1

    def _next(self, number: int) -> Any:
        batch = self._batch(self._epoch, number)
        self._done = number + 1
        return batch

    def _batch(self, epoch: int, batch: int) -> Any:
        """A batch, made here or by the workers, who go on with those that follow."""
        if not self.processes:
            return make(self._here, self._task(epoch, batch))
        with self._lock:
            try:
                self._pool = self._pool or Workers(self._there, self.processes)
                end = min(batch + 1 + AHEAD * self.processes, sum(self.batches))
                wanted = [(epoch, number) for number in range(batch, end)]
                asked = self._pool.asked()
                for key in wanted:
                    if key not in asked:
                        self._pool.ask(self._task(*key))
                return self._pool.take(wanted[0], keep=set(wanted))
            except BaseException:
                self.close()
                raise

    def _task(self, epoch: int, batch: int) -> Task:
        """The samples of a batch."""
        number, within = self._place(epoch, batch)
        length, rows, size, members = self.buckets[number]
        begin, end = within * rows, min((within + 1) * rows, size)
        key = (self.seed, epoch, 3, number)
        indices = shuffled(begin, end, size, key) if self.shuffle else np.arange(begin, end)
        return Task(epoch, batch, length, indices if members is None else members[indices])

    def _place(self, epoch: int, batch: int) -> tuple[int, int]:
        """The bucket of a batch, and which of the bucket's batches it is."""
        if self.shuffle:
            [batch] = shuffled(batch, batch + 1, sum(self.batches), (self.seed, epoch, 2, 0)).tolist()
        ends = np.cumsum(self.batches)
        number = int(np.searchsorted(ends, batch, "right"))
        return number, batch - int(ends[number]) + self.batches[number]

    def state(self) -> dict[str, Any]:
        """Where the data stands, for JSON: after the last batch that a loop got, or that `fit` trained on."""
        over = self._done == sum(self.batches)
        place = {"epoch": self._epoch + over, "batch": 0 if over else self._done}
        return place | {"dataset": self._fixed()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; InputError if it was of other data, or is no state."""
        fixed = self._fixed()
        try:
            before, epoch, batch = dict(state["dataset"]), state["epoch"], state["batch"]
        except (TypeError, KeyError, ValueError) as error:
            raise InputError(f"{state!r} is no state of a dataset; give what `state()` returned") from error
        if wrong := [name for name in fixed if before.get(name) != fixed[name]]:
            was = ", ".join(f"{name} {before.get(name)} (here {fixed[name]})" for name in wrong)
            raise InputError(f"the state is of a dataset with {was}; restore it into the same dataset")
        check("epoch", epoch, 0)
        check("batch", batch, 0)
        self._go(epoch, batch)

    def _fixed(self) -> dict[str, Any]:
        """What a state is only good for: all that the order of samples depends on."""
        buckets = [[bucket.length, bucket.rows, bucket.size] for bucket in self.buckets]
        samples = sum(bucket.size for bucket in self.buckets)
        return {"samples": samples, "seed": self.seed, "shuffle": self.shuffle, "buckets": buckets}

    def on_epoch_begin(self) -> None:
        """Keras begins to read an epoch."""
        if self.shuffle and self._read == self._epoch:
            hint = (
                "in fit, pass callbacks=[DatasetProgress(data)]; for evaluation, make it with shuffle=False"
            )
            warnings.warn(f"epoch {self._epoch} of a shuffled Dataset is read again; {hint}", stacklevel=2)
        self._passing, self._reached = True, -1

    def on_epoch_end(self) -> None:
        """Keras has read an epoch."""
        if self._passing and self._reached + 1 == len(self):
            self._read = self._epoch
        self._passing = False

    def close(self) -> None:
        """End the workers; they come again when needed."""
        with self._lock:
            if self._pool:
                self._pool.close()
            self._pool = None

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DatasetProgress(keras.callbacks.Callback):
    """Has a `Dataset` follow `fit`: its epoch, and the batches trained on, whatever Keras fetched ahead.

    After a restore in the midst of an epoch, `fit` that epoch alone, as its number of steps is another.
    """

    def __init__(self, data: Dataset):
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        data = self.data
        if data.state()["batch"] and epoch != data.epoch:
            raise RuntimeError(f"the dataset stands in epoch {data.epoch}; pass initial_epoch={data.epoch}")
        if data.epoch != epoch:
            data.epoch = epoch
        if self.params["steps"] != len(data):
            problem = (
                f"epoch {epoch} has {len(data)} batches left and fit takes {self.params['steps']} an epoch"
            )
            mend = f"after a restore call fit(initial_epoch={epoch}, epochs={epoch + 1}) first"
            raise RuntimeError(f"{problem}; pass no steps_per_epoch, and {mend}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.data._done = self.data._start + batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.data.epoch = epoch + 1

    def on_train_end(self, logs: Any = None) -> None:
        self.data.close()


def check(name: str, value: Any, least: int) -> None:
    """InputError unless `value` is a whole number and not less than `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} = {value!r} should be a whole number, {least} or more; correct it")


def grouped(size: int, batch_size: Any, lengths: Any, buckets: Any) -> list[Bucket]:
    """The buckets of `size` samples; InputError if there are none, or if one fits into no bucket."""
    if not size:
        raise InputError("the source is empty; give it at least one item")
    if (lengths is None) != (buckets is None) or (batch_size is None) != (buckets is not None):
        raise InputError("give either batch_size, or lengths and buckets")
    if buckets is None:
        check("batch_size", batch_size, 1)
        return [Bucket(None, int(batch_size), size)]
    for length, rows in buckets.items():
        check("a bucket's length", length, 1)
        check("a bucket's number of rows", rows, 1)
    if len(lengths) != size:
        raise InputError(f"there are {len(lengths)} lengths and {size} items; give one length an item")
    edges, lengths = sorted(buckets), np.asarray(lengths)
    number = np.searchsorted(edges, lengths)  # of the shortest bucket that is long enough
    if number.max() == len(edges):
        index = int(lengths.argmax())
        raise InputError(f"item {index} has length {lengths[index]}, and the longest bucket is {edges[-1]}")
    members = [np.flatnonzero(number == n) for n in range(len(edges))]
    return [Bucket(e, int(buckets[e]), len(m), m) for e, m in zip(edges, members, strict=True) if len(m)]


def shuffled(begin: int, end: int, size: int, key: tuple[int, ...]) -> np.ndarray:
    """Positions from `begin` to `end` of a random permutation of 0, …, size - 1, one for each key."""
    first, last = begin // BLOCK, (end - 1) // BLOCK
    blocks = np.concatenate([block(number, size, key) for number in range(first, last + 1)])
    return blocks[begin - first * BLOCK : end - first * BLOCK]


@lru_cache(maxsize=64)
def block(number: int, size: int, key: tuple[int, ...]) -> np.ndarray:
    """The part of a permutation from position `number * BLOCK` on."""
    return permuted(np.arange(number * BLOCK, min((number + 1) * BLOCK, size)), size, key)


def permuted(positions: np.ndarray, size: int, key: tuple[int, ...]) -> np.ndarray:
    """Where a random permutation of 0, …, size - 1, one for each key, has the positions (n,); int64 (n,).

    A Feistel network over pairs (left, right), cycle-walking out of those beyond `size` (Black and Rogaway
    2002): no table, so that shuffling takes no memory and resuming no time.
    """
    rows = math.isqrt(size - 1) + 1
    columns = -(-size // rows)
    keys = np.random.SeedSequence(key).generate_state(2 * ROUNDS, np.uint64)

    def once(x: np.ndarray) -> np.ndarray:
        left, right = x // columns, x % columns
        for even, odd in zip(keys[::2], keys[1::2], strict=True):
            left = (left + mixed(right ^ even) % rows) % rows
            right = (right + mixed(left ^ odd) % columns) % columns
        return left * columns + right

    x = once(positions.astype(np.uint64))
    while (outside := x >= size).any():
        x[outside] = once(x[outside])
    return x.astype(np.int64)
