"""How fast the extractor trains here: characters a second, both forms in turn, against the machine's peak.

A run is a pass over the same rows, making of batches and augmentation included, as in training. Rates are
medians over the rounds. The floor is three times a forward pass's FLOPs, at the best rate of products.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cyclopts
import jax
import numpy as np
from machine import CORES, alternate, circumstances, peak_runs
from rich import box
from rich.console import Console
from rich.table import Table

from supple.extraction import Example, Schema, read_examples, read_schema
from supple.extraction.augment import Augmenter
from supple.extraction.batches import Batches, Labels
from supple.extraction.fit import WARMUP, build
from supple.extraction.network import TripleNetwork
from supple.extraction.settings import Settings
from supple.extraction.vocabulary import build_lexicon
from supple.training import WeightAverage

import keras  # isort: skip  # after Supple, which chooses the backend

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SUPPLE_DATA", HERE.parents[1] / "shared" / "data"))
MATRIX = 2048
Figures = dict[str, Any]


def main(
    *, rows: int = 2000, rounds: int = 5, out: Path = HERE / "results" / "extraction_training.json"
) -> None:
    """Time both forms: print a table, and write the figures as JSON.

    Args:
        rows: Training rows of a run.
        rounds: Runs of each form.
        out: The JSON file.
    """
    path = DATA / "duie" / "train.jsonl"
    if not path.exists():
        print(f"skipped: no {path}; set SUPPLE_DATA to the folder of duie/")
        return
    schema = read_schema(HERE.parent / "supple" / "models" / "zh" / "schema.json")
    examples = list(read_examples(path, schema))[:rows]
    load = os.getloadavg()
    networks = {
        form: prepared(Settings(form=form, word_epochs=1), schema, examples) for form in ("full", "fast")
    }
    peak = peak_runs(MATRIX)["onnxruntime", CORES]
    runs = {
        form: partial(run, network, batches, WeightAverage(Settings().average, warmup=WARMUP))
        for form, (network, batches) in networks.items()
    }
    seconds = alternate(runs | {"peak": peak}, rounds)
    rate = CORES * 8 * MATRIX**3 / min(seconds.pop("peak"))
    characters = sum(len(example.text) for example in examples)
    report: Figures = {form: figures(*networks[form], characters, seconds[form], rate) for form in seconds}
    show(report)
    report["machine"] = circumstances() | {"jax": jax.__version__, "load": [load, os.getloadavg()]}
    report["rows"], report["peak_gflop_per_s"] = len(examples), rate / 1e9
    out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def prepared(settings: Settings, schema: Schema, rows: list[Example]) -> tuple[TripleNetwork, Batches]:
    """A network as `supple train` makes it, and the batches of an epoch."""
    lexicon = build_lexicon([row.text for row in rows], settings)
    network = build(settings, lexicon, schema)
    network.compile(keras.optimizers.Adam(settings.learning_rate, global_clipnorm=1.0))
    labels = Labels(schema, lexicon.vocabulary, bool(lexicon.words), None, settings.spans)
    augment = Augmenter(rows, settings.augment)
    return network, Batches(rows, labels, characters=settings.batch_characters, seed=0, augment=augment)


def run(network: TripleNetwork, batches: Batches, averaging: WeightAverage) -> None:
    """Train for an epoch, the first again and again."""
    batches.epoch = 0
    network.fit(batches, shuffle=False, verbose=0, callbacks=[averaging])


def figures(
    network: TripleNetwork, batches: Batches, characters: int, seconds: list[float], peak: float
) -> Figures:
    """What the seconds of a network's runs amount to."""
    taken, inputs = median(seconds), [batches[index][0] for index in range(len(batches))]
    padded = sum(x["characters"].size for x in inputs)
    flops_of = {
        x["characters"].shape: step_flops(network, x) for x in {len(x["rows"]): x for x in inputs}.values()
    }
    flops = sum(flops_of[x["characters"].shape] for x in inputs)
    return {
        "seconds": seconds,
        "characters_per_s": characters / taken,
        "padded_characters_per_s": padded / taken,
        "ms_per_step": 1000 * taken / len(batches),
        "mflop_per_padded_character": flops / padded / 1e6,
        "fraction_of_peak": flops / taken / peak,
    }


def step_flops(network: TripleNetwork, x: dict[str, np.ndarray]) -> float:
    """FLOPs of a training step: three times what XLA counts for the forward pass."""
    weights = [
        [variable.value for variable in group]
        for group in (network.trainable_variables, network.non_trainable_variables)
    ]
    forward = jax.jit(lambda x: network.stateless_call(*weights, x)[0])
    return 3 * forward.lower(x).compile().cost_analysis()["flops"]


def show(report: Figures) -> None:
    """A line a form."""
    keys = (
        "characters_per_s",
        "padded_characters_per_s",
        "ms_per_step",
        "mflop_per_padded_character",
        "fraction_of_peak",
    )
    table = Table(title=f"training on {CORES} cores", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("form", *keys):
        table.add_column(column.replace("_", " "), justify="left" if column == "form" else "right")
    for form, row in report.items():
        table.add_row(form, *(f"{row[key]:,.3g}" if row[key] < 100 else f"{row[key]:,.0f}" for key in keys))
    Console(width=120, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
