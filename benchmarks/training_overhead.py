"""What `supple.training` adds to the steps of the extractor's full network in `fit`, all variants in turn.

A run is a pass over the same rows; its ratio is to the run without helpers of the same round. Figures are
medians. The floor of an average: for each weight 4 bytes are read twice and written once.
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
from supple.extraction.network import TripleNetwork
from supple.extraction.settings import Settings
from supple.training import WeightAverage, probe

import keras  # isort: skip  # after Supple, which chooses the backend

Figures = dict[str, Any]


def main(
    *, rows: int = 1500, rounds: int = 9, out: Path = HERE / "results" / "training_overhead.json"
) -> None:
    """Time every variant: print a table, and write the figures as JSON.

    Args:
        rows: Training rows of a run.
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
    other, _ = prepared(Settings(word_epochs=1), schema, examples)
    other.compile(keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.999, global_clipnorm=1.0))
    kept = [batches[index] for index in range(len(batches))]
    seconds = alternate(variants(network, other, Kept(kept)), rounds)
    report = figures(seconds, len(kept))
    weights = sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)
    floor = 12 * weights / copy_rate()
    show(report, weights, floor)
    machine = circumstances() | {"jax": jax.__version__, "load": [load, os.getloadavg()]}
    report |= {"weights": weights, "floor_of_an_average_ms": 1000 * floor, "machine": machine}
    out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


class Kept(keras.utils.PyDataset):
    """Batches made beforehand, so that steps alone are timed."""

    def __init__(self, batches: list[Any]):
        super().__init__()
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]


def variants(network: TripleNetwork, other: TripleNetwork, data: Kept) -> dict[str, Callable[[], object]]:
    """Runs by what helps in them."""

    def fit(net: TripleNetwork = network, *callbacks: keras.callbacks.Callback) -> None:
        net.fit(data, shuffle=False, verbose=0, callbacks=list(callbacks))

    def watched(*patterns: str) -> None:
        with probe(network, *patterns):
            fit()

    averages = {count: WeightAverage([0.999, 0.9999][:count], warmup=10) for count in (1, 2)}
    return {
        "none": fit,
        "none, again": fit,  # what is left of the difference is noise
        "average": lambda: fit(network, averages[1]),
        "two averages": lambda: fit(network, averages[2]),
        "Keras's use_ema": lambda: fit(other),
        "probe, one tensor": lambda: watched("blocks/3"),
        "probe, all blocks": lambda: watched("blocks/*"),
        "none, after probes": fit,
    }


def figures(seconds: dict[str, list[float]], steps: int) -> Figures:
    """Milliseconds a step, and the ratio to a step without, by variant."""
    return {
        name: {
            "ms_per_step": 1000 * median(times) / steps,
            "ratio": median(own / without for own, without in zip(times, seconds["none"], strict=True)),
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
