"""Whether training an energy of scikit-learn's digits, 8 × 8, runs its length: 5 seeds, two rates.

The recipe of MNIST in small, and the same at a rate that is too high. For each: rollbacks of the guard, the
last gap of energies, and AUROC of U, digits against uniform noise and inverted digits. A run must end, and
say what it went back from.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
from machine import circumstances
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from supple.energy import auroc, energies_at, fit
from supple.energy.networks import convolutional
from supple.energy.recipes import MNIST

HERE = Path(__file__).resolve().parent
CAREFUL = replace(MNIST, steps=1000, buffer=1000)
RECIPES = {"careful": CAREFUL, "rate × 100": replace(CAREFUL, rate=100 * CAREFUL.rate)}


def main(
    *, seeds: int = 5, steps: int = 1000, out: Path = HERE / "results" / "energy_stability.json"
) -> None:
    """Train, print a line a run, and write the figures as JSON.

    Args:
        seeds: Runs of each recipe.
        steps: Updates of each run.
        out: The JSON file.
    """
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[..., None], digits.target
    runs = [
        {"recipe": name} | trained(x, y, replace(recipe, steps=steps, seed=seed))
        for name, recipe in RECIPES.items()
        for seed in range(seeds)
    ]
    show(runs)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"runs": runs, "machine": circumstances()}, indent=1) + "\n", "utf-8")


def trained(x: np.ndarray, y: np.ndarray, recipe: Any) -> dict[str, Any]:
    """The figures of a run; `end` says why it was given up, if it was."""
    found: dict[str, Any] = {"seed": recipe.seed, "end": "ran its length"}
    try:
        run = fit(convolutional(x.shape[1:], 16, classes=10, seed=recipe.seed), x, recipe, y=y)
    except RuntimeError as error:
        return found | {"end": str(error)}
    u, noise = energies_at(run.model(), x), np.random.default_rng(0).random(x.shape, np.float32)
    history = run.history()
    return found | {
        "rollbacks": run.rollbacks,
        "gap": float(history["fake"][-1] - history["real"][-1]),
        "noise": auroc(u, energies_at(run.model(), noise)),
        "inverted": auroc(u, energies_at(run.model(), 1 - x)),
    }


def show(runs: list[dict[str, Any]]) -> None:
    table = Table(title="energies of 8 × 8 digits", box=box.SIMPLE_HEAD)
    for name in ("recipe", "seed", "rollbacks", "gap", "AUROC noise", "AUROC inverted", "end"):
        table.add_column(name)
    for r in runs:
        numbers = [f"{r[name]:.3f}" if name in r else "" for name in ("gap", "noise", "inverted")]
        table.add_row(r["recipe"], str(r["seed"]), str(r.get("rollbacks", "")), *numbers, r["end"])
    Console(width=120, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
