"""What `supple.training` adds to the steps of the extractor's full network in `fit`, all variants in turn.

A run is some steps on batches of the commonest shape; its ratio is to the two runs without helpers of the
same round. Figures are medians. The floor of an average: of each weight 4 bytes are read twice, written once.
Keras's own average, `use_ema`, is not among them: in Keras 3.15 a second `fit` fails with it on JAX.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cyclopts
import jax
import numpy as np
from extraction_training import DATA, HERE, prepared
from machine import alternate, circumstances, timed
from rich import box
from rich.console import Console
from rich.table import Table

from supple.extraction import read_examples, read_schema
from supple.extraction.batches import Batches
from supple.extraction.network import TripleNetwork
from supple.extraction.settings import Settings
from supple.training import WeightAverage, probe

import keras  # isort: skip  # after Supple, which chooses the backend

Figures = dict[str, Any]


def main(
    *,
    rows: int = 2000,
    steps: int = 8,
    rounds: int = 9,
    out: Path = HERE / "results" / "training_overhead.json",
) -> None:
    """Time every variant: print a table, and write the figures as JSON.

    Args:
        rows: Training rows that batches are made of.
        steps: Steps of a run.
        rounds: Runs of each variant.
        out: The JSON file.
    """
    path = DATA / "duie" / "train.jsonl"
    if not path.exists():
        print(f"skipped: no {path}; set SUPPLE_DATA to the folder of duie/")
        return
    load = os.getloadavg()
    schema = read_schema(HERE.parent / "supple" / "models" / "zh" / "schema.json")
    examples = list(read_examples(path, schema))[:rows]
    network, batches = prepared(Settings(word_epochs=1), schema, examples)
    seconds = alternate(variants(network, Kept(commonest(batches), steps)), rounds)
    report = figures(seconds, steps)
    weights = sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)
    floor = 12 * weights / copy_rate()
    show(report, weights, floor)
    machine = circumstances() | {"jax": jax.__version__, "load": [load, os.getloadavg()]}
    report |= {"weights": weights, "floor_of_an_average_ms": 1000 * floor, "machine": machine}
    out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


class Kept(keras.utils.PyDataset):
    """Batches made beforehand, again and again, so that steps alone are timed."""

    def __init__(self, batches: list[Any], steps: int):
        super().__init__()
        self.batches, self.steps = batches, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> Any:
        return self.batches[index % len(self.batches)]


def commonest(batches: Batches) -> list[Any]:
    """The batches of the commonest shape: others would only be compiled too."""
    by_shape: dict[tuple[int, ...], list[Any]] = {}
    for index in range(len(batches)):
        x, y = batches[index]
        by_shape.setdefault(x["characters"].shape + x["rows"].shape, []).append((x, y))
    return max(by_shape.values(), key=len)


def variants(network: TripleNetwork, data: Kept) -> dict[str, Callable[[], object]]:
    """Runs by what helps in them."""

    def fit(*callbacks: keras.callbacks.Callback) -> None:
        network.fit(data, shuffle=False, verbose=0, callbacks=list(callbacks))

    def watched(*patterns: str) -> None:
        with probe(network, *patterns):
            fit()

    averages = {count: WeightAverage([0.999, 0.9999][:count], warmup=10) for count in (1, 2)}
    return {
        "none": fit,
        "none, again": fit,  # what is left of the difference is noise
        "average": lambda: fit(averages[1]),
        "two averages": lambda: fit(averages[2]),
        "probe, one tensor": lambda: watched("blocks/3"),
        "probe, all blocks": lambda: watched("blocks/*"),
        "none, after probes": fit,
    }


def figures(seconds: dict[str, list[float]], steps: int) -> Figures:
    """Milliseconds a step, and the ratio to a step without, by variant."""
    without = np.mean([seconds["none"], seconds["none, again"]], axis=0)
    return {
        name: {
            "ms_per_step": 1000 * median(times) / steps,
            "ratio": float(np.median(times / without)),
            "seconds": times,
        }
        for name, times in seconds.items()
    }


def copy_rate(size: int = 1 << 26) -> float:
    """Bytes a second, read and written, of one core's `a += b`."""
    a, b = np.zeros(size // 4, np.float32), np.ones(size // 4, np.float32)
    return 3 * size / min(timed(lambda: np.add(a, b, out=a)) for _ in range(10))


def show(report: Figures, weights: int, floor: float) -> None:
    """A line a variant."""
    title = f"a step of {weights:,} weights; floor of an average {1000 * floor:.2f} ms"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("with", "ms a step", "ratio"):
        table.add_column(column, justify="left" if column == "with" else "right")
    for name, row in report.items():
        table.add_row(name, f"{row['ms_per_step']:.1f}", f"{row['ratio']:.4f}")
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
