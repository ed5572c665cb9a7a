"""Variance and cost of every estimator of `supple.sampling`, beside the order that the papers claim.

Costs are those of a small network, squared, of 8 Bernoulli or of 4 × 4 categorical latents whose logits are
normal, with f evaluated twice an estimate (REBAR: six times, as it also asks at soft samples). Sums over
coordinates against enumeration; a claim holds if the difference is above 0 by three standard errors, and is
contradicted if it is below by three. Time is that of an estimate when many are computed at once; variance
times time is what is left of the variance when averages have had a second.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cyclopts
import jax
import numpy as np
from machine import circumstances
from rich import box
from rich.console import Console
from rich.table import Table

from supple.sampling.diagnose import Diagnosis, Measured, diagnose
from supple.sampling.distributions import Bernoulli, Categorical

from keras import ops  # isort: skip  # after Supple, which chooses the backend

HERE = Path(__file__).resolve().parent
CLAIMS = [  # (of what, the less, the more, who says so)
    ("variance", "disarm", "leave-one-out", "Dong et al. 2020"),
    ("variance", "leave-one-out", "score", "Kool et al. 2019"),
    ("variance", "rebar", "leave-one-out", "Tucker et al. 2017, of a cheaper baseline"),
    ("variance", "gumbel_rao", "hard gumbel_softmax", "Paulus et al. 2021"),
    ("bias²", "reinmax", "straight_through", "Liu et al. 2023"),
    ("bias²", "score", "straight_through", "by theory"),
]


def main(*, repeats: int = 300_000, seed: int = 0, out: Path = HERE / "results" / "estimators.json") -> None:
    """Diagnose all methods on both kinds of latents: print tables, and write the figures as JSON.

    Args:
        repeats: Estimates of each method.
        seed: Of logits, weights and samples.
        out: The JSON file.
    """
    load = os.getloadavg()
    report: dict[str, Any] = {"repeats": repeats}
    for name, (f, d) in cases(seed).items():
        found = diagnose(f, d, samples=2, repeats=repeats, seed=seed)
        report[name] = {"methods": figures(found), "claims": claims(found)}
        show(name, report[name])
    report["machine"] = circumstances() | {"jax": jax.__version__, "load": [load, os.getloadavg()]}
    out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def cases(seed: int) -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """Costs and distributions."""
    rng = np.random.default_rng(seed)

    def network(size: int) -> Callable[[Any], Any]:
        w1, w2 = (rng.normal(size=s).astype("float32") / math.sqrt(s[0]) for s in ((size, 16), (16, 8)))

        def f(z: Any) -> Any:
            return ops.sum((ops.tanh(2 * ops.reshape(z, (-1, size)) @ w1) @ w2 - 0.5) ** 2, -1)

        return f

    return {
        "bernoulli": (network(8), Bernoulli(rng.normal(size=8).astype("float32"))),
        "categorical": (network(16), Categorical(rng.normal(size=(4, 4)).astype("float32"))),
    }


def figures(found: Diagnosis) -> dict[str, dict[str, Any]]:
    """By method: totals with their errors, cosine, cost, and variance times time."""
    return {
        name: {part: list(x) for part, x in q.total.items()}
        | {
            "cosine": [float(x) for x in q.cosine],
            "evaluations": q.evaluations,
            "microseconds": 1e6 * q.seconds,
            "variance_times_microseconds": float(q.total["variance"].value) * 1e6 * q.seconds,
        }
        for name, q in found.methods.items()
    }


def claims(found: Diagnosis) -> list[dict[str, Any]]:
    """Whether what papers say is so, where both methods take the distribution."""
    verdicts = []
    for part, less, more, paper in CLAIMS:
        if less in found.methods and more in found.methods:
            a, b = (found.methods[name].total[part] for name in (less, more))
            z = float((b.value - a.value) / math.hypot(a.error, b.error))
            verdict = "holds" if z > 3 else "contradicted" if z < -3 else "open"
            verdicts.append({"claim": f"{part}: {less} < {more}", "paper": paper, "z": z, "verdict": verdict})
    return verdicts


def show(name: str, report: dict[str, Any]) -> None:
    """A line a method, and a line a claim."""
    console, table = Console(width=120, highlight=False), Table(title=name, box=box.SIMPLE_HEAD)
    for column in ("method", "bias²", "variance", "cosine", "f", "µs", "variance × µs"):
        table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
    for method, q in report["methods"].items():
        measured = [str(Measured(*q[part])) for part in ("bias²", "variance", "cosine")]
        cost = f"{q['microseconds']:.2f}", f"{q['variance_times_microseconds']:.3g}"
        table.add_row(method, *measured, str(q["evaluations"]), *cost)
    console.print(table)
    for claim in report["claims"]:
        console.print(f"  {claim['claim']} ({claim['paper']}): {claim['verdict']}, z = {claim['z']:.1f}")


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
