"""Perplexity on the Penn Treebank, as Mikolov split it: ON-LSTM and LSTM by the short recipe, side by side.

Each has a core and a process of its own; the minutes are those of its shortest epoch, times epochs, as other
work may have been beside. Unlike models of `ordered_parsing.py`, whose trees are to be scored, these read all
of the training text. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
from machine import circumstances
from rich import box
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SUPPLE_DATA", HERE.parents[1] / "shared" / "data"))
LAYERS = "onlstm", "lstm"


def main(
    *,
    epochs: int = 12,
    work: Path = HERE / "work" / "ordered",
    out: Path = HERE / "results" / "ordered_perplexity.json",
) -> None:
    """Train both: print a table, and write the figures as JSON.

    Args:
        epochs: Readings of the training text, of 0.93 M tokens.
        work: Folder for models and checkpoints.
        out: The JSON file.
    """
    if not (DATA / "trees").is_dir():
        print(f"skipped: no trees/ in {DATA}; set SUPPLE_DATA to the folder that holds it")
        return
    with ProcessPoolExecutor(len(LAYERS), get_context("spawn")) as pool:
        folders = [work / f"ptb-{epochs}" / layer for layer in LAYERS]
        rows = list(pool.map(trained, LAYERS, range(len(LAYERS)), [epochs] * len(LAYERS), folders))
    show(rows, epochs)
    report = {"epochs": epochs, "rows": rows, "machine": circumstances() | {"jax": version("jax")}}
    out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def trained(layer: str, core: int, epochs: int, folder: Path) -> dict[str, Any]:
    """The figures of a model, which is trained by one core."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})
    from supple.ordered.lm_training import fit
    from supple.ordered.recipes import RECIPES

    train, valid, test = (DATA / "trees" / f"ptb.{part}.txt" for part in ("train", "valid", "test"))
    model = fit(replace(RECIPES["short"], layer=layer, epochs=epochs), train, valid, folder, resume=True)
    with np.load(folder / "checkpoint" / "state.npz") as file:
        reports = json.loads(str(file["numbers"]))["reports"]
    return {
        "layer": layer,
        "parameters": model.network.count_params(),
        "minutes": epochs * min(report["seconds"] for report in reports) / 60,
        "valid": model.evaluate(valid).perplexity,
        "test": model.evaluate(test).perplexity,
        "epochs": reports,
    }


def show(rows: list[dict[str, Any]], epochs: int) -> None:
    title = f"Penn Treebank, short recipe, {epochs} epochs"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in "layer", "parameters", "minutes of a core", "perplexity: valid", "test":
        table.add_column(column, justify="left" if column == "layer" else "right")
    for row in rows:
        figures = f"{row['minutes']:.0f}", f"{row['valid']:.1f}", f"{row['test']:.1f}"
        table.add_row(row["layer"], f"{row['parameters']:,}", *figures)
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
