"""Samples a second from `supple.training.Dataset` and its peers: the same two jobs, every loader in its turn.

Items, function, batch size and number of processes are the same for all: "text" is Python work that gives
small arrays, "image" NumPy work that gives large ones. Every loader is asked for batches without end; what
it takes to start is not timed, and what it made ahead while others ran counts for it (Keras: ten batches).
For a sample to be a function of its index, as with Supple and grain, Keras and PyTorch need a generator made
by the index; with `--one-generator` they give that up. The floor is the function alone, over the number of
processes. Peers that are not installed are left out.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import cyclopts
import numpy as np
from machine import CORES, alternate, circumstances
from rich import box
from rich.console import Console
from rich.table import Table

from supple.training import Dataset

import keras  # isort: skip  # after Supple, which chooses the backend
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter  # isort: skip

HERE = Path(__file__).resolve().parent
BATCH = 64
CHARACTERS = {chr(0x4E00 + i): i + 1 for i in range(3000)}
LENGTH = 64
IMAGE, CROP = 96, 80
Figures = dict[str, Any]


class Texts:
    """JSON lines of made-up text."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        texts = ["".join(chr(0x4E00 + c) for c in rng.integers(0, 3000, LENGTH)) for _ in range(4096)]
        self.lines = [json.dumps({"text": text, "label": i % 10}) for i, text in enumerate(texts)]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> str:
        return self.lines[index]


def text_sample(line: str, rng: np.random.Generator) -> tuple[np.ndarray, np.int64]:
    """The ids of a row's characters, a tenth of them hidden, and its label."""
    row = json.loads(line)
    ids = np.array([CHARACTERS.get(character, 0) for character in row["text"]], np.int32)
    return np.where(rng.random(LENGTH) < 0.1, 0, ids), np.int64(row["label"])


class Images:
    """Random images."""

    def __init__(self) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (512, IMAGE, IMAGE, 3), np.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], index % 10


def image_sample(item: tuple[np.ndarray, int], rng: np.random.Generator) -> tuple[np.ndarray, np.int64]:
    """A part of an image, perhaps mirrored, as numbers from 0 to 1, and its label."""
    image, label = item
    top, left = rng.integers(0, IMAGE - CROP + 1, 2)
    part = image[top : top + CROP, left : left + CROP][:, :: 1 - 2 * int(rng.integers(2))]
    return part.astype(np.float32) / 255, np.int64(label)


JOBS = {"text": (Texts, text_sample), "image": (Images, image_sample)}


class Samples:
    """Items as samples, with random numbers by their index or, which is cheaper, all from one generator."""

    by_index = True

    def __init__(self, source: Any, sample: Callable[..., Any]):
        self.source, self.sample = source, sample
        self.rng = None if self.by_index else np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        return self.sample(self.source[index], self.rng or np.random.default_rng((0, index)))


class Plain(keras.utils.PyDataset):
    """Batches of samples as Keras's guide makes them."""

    def __init__(self, samples: Samples, workers: int):
        super().__init__(workers=max(workers, 1), use_multiprocessing=workers > 0)
        self.samples = samples
        self.order = np.random.default_rng(0).permutation(len(samples))

    def __len__(self) -> int:
        return len(self.order) // BATCH

    def __getitem__(self, index: int) -> Any:
        samples = [self.samples[i] for i in self.order[index * BATCH : (index + 1) * BATCH]]
        return tuple(map(np.stack, zip(*samples, strict=True)))


def alone(source: Any, sample: Callable[..., Any], workers: int) -> Iterator[Any]:
    """The function alone, in this process: nothing put together, nothing sent."""
    rng = np.random.default_rng(0)
    while True:
        for begin in range(0, len(source), BATCH):
            yield [sample(source[index], rng) for index in range(begin, begin + BATCH)]


def of_supple(source: Any, sample: Callable[..., Any], workers: int) -> Iterator[Any]:
    with Dataset(source, sample, batch_size=BATCH, workers=workers) as data:
        while True:
            yield from data


def of_keras(source: Any, sample: Callable[..., Any], workers: int) -> Iterator[Any]:
    adapter = PyDatasetAdapter(Plain(Samples(source, sample), workers), shuffle=True)
    while True:
        adapter.on_epoch_begin()
        yield from islice(adapter._get_iterator(), len(source) // BATCH)
        adapter.on_epoch_end()


def of_torch(source: Any, sample: Callable[..., Any], workers: int) -> Iterator[Any]:
    from torch.utils.data import DataLoader

    started = {"multiprocessing_context": "spawn", "persistent_workers": True} if workers else {}
    loader = DataLoader(Samples(source, sample), BATCH, shuffle=True, num_workers=workers, **started)
    while True:
        yield from loader


def of_grain(source: Any, sample: Callable[..., Any], workers: int) -> Iterator[Any]:
    import grain
    from absl import flags

    flags.FLAGS([""], known_only=True)
    made = grain.MapDataset.source(source).seed(0).shuffle().random_map(sample).batch(BATCH).repeat()
    if not workers:
        return iter(made.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)))
    rows = made.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2))
    return iter(rows.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)))


LOADERS = {"alone": alone, "supple": of_supple, "keras": of_keras, "torch": of_torch, "grain": of_grain}


def loading(job: str, batches: int, rounds: int) -> Figures:
    """Samples a second by loader and number of workers, as medians, all in turn."""
    make, sample = JOBS[job]
    source, runs = make(), {}
    for name, loader in LOADERS.items():
        if name in ("torch", "grain") and not find_spec(name):
            continue
        for workers in (0, CORES) if name != "alone" else (0,):
            iterator = loader(source, sample, workers)
            runs[name, workers] = partial(take, iterator, batches)
    seconds = alternate(runs, rounds)
    best = {
        w: min(median(s) for (n, k), s in seconds.items() if k == w and n in ("keras", "torch", "grain"))
        for w in (0, CORES)
    }
    return {
        f"{name}, {workers} workers": {
            "samples_per_s": batches * BATCH / median(times),
            "times_best_peer": best[workers] / median(times),
            "of_floor": median(seconds["alone", 0]) / max(workers, 1) / median(times),
            "seconds": times,
        }
        for (name, workers), times in seconds.items()
    }


def take(iterator: Iterator[Any], count: int) -> None:
    """Use up so many items."""
    deque(islice(iterator, count), maxlen=0)


def main(
    *,
    batches: int = 200,
    rounds: int = 5,
    one_generator: bool = False,
    out: Path = HERE / "results" / "training_loaders.json",
) -> None:
    """Time every loader on both jobs: print a table a job, and write the figures as JSON.

    Args:
        batches: Batches of a run.
        rounds: Runs of each loader.
        one_generator: Let all samples of Keras and PyTorch draw from one generator.
        out: The JSON file.
    """
    load = os.getloadavg()
    Samples.by_index = not one_generator
    report = {job: loading(job, batches, rounds) for job in JOBS}
    for job, figures in report.items():
        show(job, figures)
    machine = circumstances() | {"load": [load, os.getloadavg()]}
    out.write_text(json.dumps(report | {"machine": machine}, indent=1) + "\n", "utf-8")


def show(job: str, figures: Figures) -> None:
    """A line a loader."""
    table = Table(title=job, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("loader", "samples a second", "ratio to the best peer", "ratio to the floor"):
        table.add_column(column, justify="left" if column == "loader" else "right")
    for loader, row in figures.items():
        ratios = row["times_best_peer"], row["of_floor"]
        table.add_row(loader, f"{row['samples_per_s']:,.0f}", *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
