"""What becomes of every game of Dirac's GAN under every integrator: the convergence table, measured.

All start from (φ, θ) = (.1, .2, .2, .1), in one dimension from (.1, .2), and run for the same time. In a
cell, → converges, ■ comes to rest too, but so far from the real point; ○ orbits and ◎ is a limit cycle, with
the radius of the fake point; ↗ diverges. Rates are by time: of e^(rate t), or of t^rate. The first column is
the flow itself, by small steps of RK4.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cyclopts
import jax
import numpy as np
from machine import circumstances
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from supple.adversarial import dirac
from supple.adversarial.integrators import (
    Integrator,
    alternating,
    consensus,
    extragradient,
    ode_gan,
    optimistic,
    rk4,
    simultaneous,
    symplectic_gradient_adjustment,
)
from supple.adversarial.verdict import Verdict, judge

HERE = Path(__file__).resolve().parent
FINE = 0.02  # step of the flow
MARKS = {"converges": "→", "orbits": "○", "limit cycle": "◎", "diverges": "↗"}


def methods(step: float, strength: float) -> dict[str, tuple[Callable[[Any], Integrator], float]]:
    """By name: what makes the integrator of a game, and its step."""
    return {
        "flow": (partial(rk4, step=FINE), FINE),
        "simultaneous": (partial(simultaneous, rule=step), step),
        "alternating": (partial(alternating, rule=step), step),
        "extragradient": (partial(extragradient, rule=step), step),
        "optimistic": (partial(optimistic, rule=step), step),
        "consensus": (partial(consensus, rule=step, strength=strength), step),
        "SGA": (partial(symplectic_gradient_adjustment, rule=step, strength=strength), step),
        "RK4": (partial(rk4, step=step), step),
        "ODE-GAN": (partial(ode_gan, step=step, strength=strength), step),
    }


def main(
    *,
    step: float = 0.1,
    strength: float = 0.1,
    time: float = 2000.0,
    out: Path = HERE / "results" / "gan_dynamics.json",
) -> None:
    """Judge all games under all integrators: print a table a dimension, and write the verdicts as JSON.

    Args:
        step: Of every integrator but the flow.
        strength: γ of consensus, λ of symplectic gradient adjustment and of ODE-GAN.
        time: How long each run is, in units of the flow.
        out: The JSON file.
    """
    load = os.getloadavg()
    report: dict[str, Any] = {"step": step, "strength": strength, "time": time}
    console = Console(width=160, highlight=False)
    runs = methods(step, strength)
    with jax.enable_x64(True):
        for d in (1, 2):
            table = Table(title=f"{d}-D, step {step}, strength {strength}", box=box.SIMPLE_HEAD)
            for head in ("game", *runs):
                table.add_column(head, no_wrap=True)
            report[f"{d}-D"] = {}
            for name, row in track(
                dirac.TABLE.items(), "games", console=Console(stderr=True), transient=True
            ):
                found = {key: run(row.game, d, make, h, time) for key, (make, h) in runs.items()}
                report[f"{d}-D"][name] = {key: plain(verdict) for key, verdict in found.items()}
                table.add_row(name, *map(cell, found.values()))
            console.print(table)
    report["machine"] = circumstances() | {"jax": jax.__version__, "load": [load, os.getloadavg()]}
    out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def run(game: Any, d: int, make: Callable[[Any], Integrator], step: float, time: float) -> Verdict:
    """The verdict on one cell, from about 4,000 points."""
    every = max(1, round(time / step / 4000))
    return judge(make(game), dirac.start(d), every * round(time / step / every), every=every, time=step)


def cell(found: Verdict) -> str:
    if found.rate is None:
        return f"{MARKS[found.kind]} {found.radius:.4f}"
    if found.kind == "converges" and place(found) > 0.1:
        return f"■ {place(found):.2f}"
    if math.isinf(found.rate):
        return f"{MARKS[found.kind]} at once"
    law = f"e^{found.rate:.2g}t" if found.law == "exponential" else f"t^{found.rate:.2f}"
    return f"{MARKS[found.kind]} {law}"


def place(found: Verdict) -> float:
    """How far from the real point, 0, the fake point is in the mean."""
    return float(np.linalg.norm(found.centre.theta)) if found.centre else math.inf


def plain(found: Verdict) -> dict[str, Any]:
    """A verdict for JSON, which has no infinity."""

    def number(x: float | None) -> float | None:
        return float(f"{x:.6g}") if x is not None and math.isfinite(x) else None

    numbers = {"rate": found.rate, "radius": found.radius, "place": place(found)}
    evidence = {name: number(value) for name, value in found.evidence.items()}
    numbers = {name: number(value) for name, value in numbers.items()}
    return {"verdict": found.kind, "law": found.law, **numbers, "evidence": evidence}


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
