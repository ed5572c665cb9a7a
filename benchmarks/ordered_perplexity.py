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

from supple.ordered.recipes import RECIPES, Recipe

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SUPPLE_DATA", HERE.parents[1] / "shared" / "data"))
LAYERS = "onlstm", "lstm"


def main(
    *,
    epochs: int = 12,
    seed: int = 0,
    work: Path = HERE / "work" / "ordered",
    out: Path = HERE / "results" / "ordered_perplexity.json",
) -> None:
    """Train both: print a table of them and of other seeds so far, and write the figures as JSON.

    Args:
        epochs: Readings of the training text, of 0.93 M tokens.
        seed: That of the recipe.
        work: Folder for models and checkpoints.
        out: The JSON file; what it has of other seeds and as many epochs stays.
    """
    if not (DATA / "trees").is_dir():
        print(f"skipped: no trees/ in {DATA}; set SUPPLE_DATA to the folder that holds it")
        return
    with ProcessPoolExecutor(len(LAYERS), get_context("spawn")) as pool:
        recipes = [replace(RECIPES["short"], layer=layer, epochs=epochs, seed=seed) for layer in LAYERS]
        folders = [work / f"ptb-{epochs}" / f"{layer}-{seed}" for layer in LAYERS]
        rows = list(pool.map(trained, recipes, range(len(LAYERS)), folders))
    if out.exists() and (before := json.loads(out.read_text("utf-8")))["epochs"] == epochs:
        rows += [row for row in before["rows"] if row["seed"] != seed]
    rows.sort(key=lambda row: (row["seed"], LAYERS.index(row["layer"])))
    show(rows, epochs)
    report = {"epochs": epochs, "rows": rows, "machine": circumstances() | {"jax": version("jax")}}
    out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def trained(recipe: Recipe, core: int, folder: Path) -> dict[str, Any]:
    """The figures of a model, which is trained by one core."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})
    from supple.ordered.lm_training import fit

    train, valid, test = (DATA / "trees" / f"ptb.{part}.txt" for part in ("train", "valid", "test"))
    model = fit(recipe, train, valid, folder, resume=True)
    with np.load(folder / "checkpoint" / "state.npz") as file:
        reports = json.loads(str(file["numbers"]))["reports"]
    return {
        "layer": recipe.layer,
        "seed": recipe.seed,
        "parameters": model.network.count_params(),
        "minutes": recipe.epochs * min(report["seconds"] for report in reports) / 60,
        "valid": model.evaluate(valid).perplexity,
        "test": model.evaluate(test).perplexity,
        "epochs": reports,
    }


def show(rows: list[dict[str, Any]], epochs: int) -> None:
    title = f"Penn Treebank, short recipe, {epochs} epochs"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in "layer", "seed", "parameters", "minutes of a core", "perplexity: valid", "test":
        table.add_column(column, justify="left" if column == "layer" else "right")
    for row in rows:
        figures = f"{row['minutes']:.0f}", f"{row['valid']:.1f}", f"{row['test']:.1f}"
        table.add_row(row["layer"], f"{row['seed']}", f"{row['parameters']:,}", *figures)
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
