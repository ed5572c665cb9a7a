"""Whether training an energy of digits runs its length, over 5 seeds, and what is an energy of no digit.

MNIST's recipe at its default length; the same in small, of scikit-learn's digits of 8 × 8; that without its
energy penalty, at a hundred times its rate, which cannot go well at first. For each run: rollbacks of the
guard, the last gap of energies, and AUROC of U, digits against what is none. A run must end, and say what it
went back from. MNIST, some 5 minutes a run, is looked for in the folder SUPPLE_DATA, and left out without it.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cyclopts
import numpy as np
from machine import circumstances
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from supple.energy import auroc, energies_at, energy_of, fit
from supple.energy.networks import convolutional
from supple.energy.recipes import MNIST, Recipe

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "examples"))
import mnist  # noqa: E402

SMALL = replace(MNIST, steps=1000, buffer=1000)
RECKLESS = replace(SMALL, rate=100 * SMALL.rate, energy_penalty=0.0)
COLUMNS = "seed", "steps", "rollbacks", "gap", "AUROC noise", "AUROC inverted", "AUROC Fashion-MNIST"


class Digits(NamedTuple):
    """Images to train on, their digits, others that energies are compared at, and clothes."""

    x: np.ndarray
    y: np.ndarray
    test: np.ndarray
    fashion: np.ndarray | None = None


def main(*, seeds: int = 5, only: str = "", out: Path = HERE / "results" / "energy_stability.json") -> None:
    """Train, print a line a run, then all as a table, and write the figures as JSON.

    Args:
        seeds: Runs of each recipe.
        only: A recipe's name; all without it. What the JSON file has of the others stays.
        out: The JSON file.
    """
    runs = json.loads(out.read_text("utf-8"))["runs"] if only and out.exists() else {}
    recipes = {
        "8 × 8": (small_digits, 16, SMALL),
        "8 × 8, reckless": (small_digits, 16, RECKLESS),
        "MNIST": (large_digits, 32, MNIST),
    }
    for name, (read, width, recipe) in recipes.items():
        if only not in ("", name):
            continue
        if read is large_digits and not (mnist.DATA / "mnist").is_dir():
            print(f"left out: no mnist/ in {mnist.DATA}; set SUPPLE_DATA to the folder that holds it")
            continue
        digits, runs[name] = read(), []
        for seed in range(seeds):
            runs[name].append(trained(digits, width, replace(recipe, seed=seed)))
            print(name, json.dumps(runs[name][-1]), flush=True)
    show(runs)
    out.parent.mkdir(parents=True, exist_ok=True)
    found = {"runs": runs, "machine": circumstances()}
    out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def small_digits() -> Digits:
    digits = load_digits()
    x = (digits.images / 16).astype("float32")[..., None]
    return Digits(x[:1500], digits.target[:1500], x[1500:])


def large_digits() -> Digits:
    train, test = (mnist.scaled(mnist.images(part)) for part in ("train", "t10k"))
    return Digits(train, mnist.labels("train"), test, mnist.scaled(mnist.fashion()))


def trained(digits: Digits, width: int, recipe: Recipe) -> dict[str, Any]:
    """The figures of a run; `end` says why it was given up, if it was."""
    x, y, test, fashion = digits
    began, found = time.perf_counter(), {"seed": recipe.seed, "end": "ran its length"}
    try:
        run = fit(convolutional(x.shape[1:], width, classes=10, seed=recipe.seed), x, recipe, y=y)
    except RuntimeError as error:
        return found | {"end": str(error)}
    seconds, history = time.perf_counter() - began, run.history()
    noise = np.random.default_rng(0).random((1000, *x.shape[1:]), np.float32)
    foreign = {"noise": noise, "inverted": 1 - test} | ({} if fashion is None else {"Fashion-MNIST": fashion})
    model = energy_of(run.model())
    u = energies_at(model, test)
    return found | {
        "steps": run.steps,
        "rollbacks": run.rollbacks,
        "gap": float(history["fake"][-1] - history["real"][-1]),
        **{f"AUROC {name}": auroc(u, energies_at(model, x)) for name, x in foreign.items()},
        "seconds": seconds,
    }


def show(runs: dict[str, list[dict[str, Any]]]) -> None:
    table = Table(title="energies of digits", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("recipe", *COLUMNS, "end"):
        table.add_column(name)
    for recipe, each in runs.items():
        for run in each:
            run = run | {"rollbacks": len(run.get("rollbacks", []))}
            table.add_row(recipe, *(cell(run.get(name, "")) for name in COLUMNS), run["end"])
        table.add_section()
    Console(width=140, highlight=False).print(table)


def cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
