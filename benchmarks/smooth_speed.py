"""Sort, rank and top-k of `supple.smooth` beside other libraries, forward and with the gradient, all in turn.

Runs on the backend that KERAS_BACKEND names, jax or torch, beside the libraries for it that can be imported,
and writes a section of the JSON, so that one file serves several environments. A run computes a batch of
rows of n numbers, again and again for 20 ms; figures are medians of milliseconds a batch, and ratios to the
fastest other library of the same round. The floor is what NumPy takes to sort the rows, n log₂ n compares
each, to rank them, or to part them at the k-th value, n compares: a soft function must find the order too.
Reading and writing each number once is another floor, of 8 bytes.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import cyclopts
import numpy as np
from machine import alternate, circumstances, timed
from rich import box
from rich.console import Console
from rich.table import Table

from supple import smooth

import keras  # isort: skip  # after Supple, which chooses the backend

HERE = Path(__file__).parent
OURS = "supple"
SQUARE = 100  # forms that take n² of memory go no further
LONG = 0.02  # seconds of a run
PATIENCE = 5  # seconds of a batch, above which a function is left out
DIRECTIONS = ("forward", "with gradient")

Function = Callable[[Any], Any]
Figures = dict[str, Any]

# The nearest to ours that other libraries have, in the fastest form they have it in; from a module and k.
PROJECTED = {"method": "fast_soft_sort", "mode": "c0", "softness": 1.0, "standardize": False}
THEIRS: dict[str, dict[str, Callable[[Any, int], Function]]] = {
    "torchsort": {"sort": lambda peer, k: peer.soft_sort, "rank": lambda peer, k: peer.soft_rank},
    "fast_soft_sort": {"sort": lambda peer, k: peer.soft_sort, "rank": lambda peer, k: peer.soft_rank},
    "softtorch": {
        "sort": lambda peer, k: lambda x: peer.sort(x, return_indices=False, **PROJECTED).values,
        "rank": lambda peer, k: lambda x: peer.rank(x, dim=-1, **PROJECTED),
        "top-k, n²": lambda peer, k: lambda x: peer.topk(x, k, dim=-1).indices.sum(-2),
    },
    "softjax": {
        "sort": lambda peer, k: lambda x: peer.sort(x, axis=-1, **PROJECTED),
        "rank": lambda peer, k: lambda x: peer.rank(x, axis=-1, **PROJECTED),
        "top-k, n²": lambda peer, k: lambda x: peer.top_k(x, k)[1].sum(-2),
    },
    "entmax": {"top-k": lambda peer, k: lambda x: peer.budget_bisect(x, budget=k)},
}


def main(
    *,
    sizes: list[int] | None = None,
    rows: int = 32,
    rounds: int = 9,
    quick: bool = False,
    out: Path = HERE / "results" / "smooth_speed.json",
) -> None:
    """Time every function at every size: print tables, and write the figures as a section of the JSON.

    Args:
        sizes: Numbers in a row.
        rows: Rows of a batch.
        rounds: Runs of each function.
        quick: Only see whether all of it runs: two small sizes, two rounds, no file.
        out: The JSON file.
    """
    backend = keras.backend.backend()
    if backend not in ("jax", "torch"):
        print(f"skipped: no library to compare on {backend}; set KERAS_BACKEND to jax or torch")
        return
    sizes = [10, 100] if quick else sizes or [10, 100, 1000, 10_000, 100_000]
    load = os.getloadavg()
    peers, skipped = found(backend)
    for name, reason in skipped.items():
        print(f"skipped: {name}: {reason}")
    report: Figures = {}
    for task in ("sort", "rank", "top-k"):
        report[task] = {n: compared(task, n, rows, peers, 2 if quick else rounds) for n in sizes}
        show(backend, task, rows, report[task])
    if quick:
        return
    versions = {name: version_of(name) for name in ("keras", backend, *peers)}
    machine = circumstances() | {"load": [load, os.getloadavg()]}
    known = json.loads(out.read_text("utf-8")) if out.exists() else {}
    known[backend] = {"rows": rows, "versions": versions, "skipped": skipped, "machine": machine} | report
    out.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


def found(backend: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The other libraries of a backend, and why some are not among them."""
    names = {"jax": ["softjax"], "torch": ["torchsort", "fast_soft_sort.pytorch_ops", "softtorch", "entmax"]}
    peers, skipped = {}, {}
    for name in names[backend]:
        try:
            peers[name.partition(".")[0]] = import_module(name)
        except Exception as error:  # a library that is there and broken is skipped too, with its reason
            skipped[name.partition(".")[0]] = f"{type(error).__name__}: {error}"
    return peers, skipped


def version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a copy that was not installed
        return "unknown"


def most(n: int) -> int:
    """The k of top-k."""
    return max(1, n // 10)


def functions(task: str, n: int, peers: dict[str, Any]) -> dict[str, Function]:
    """Who can do a task on rows of n numbers, ours first; forms that take n² only where n is small."""
    k, small = most(n), n <= SQUARE
    ours: dict[str, dict[str, Function]] = {
        "sort": {
            f"{OURS} projection": lambda x: smooth.sort(x, 1.0, form="projection"),
            f"{OURS} top_k, n²": lambda x: smooth.sort(x, 1.0),
        },
        "rank": {
            f"{OURS} projection": lambda x: smooth.rank(x, 1.0, form="projection"),
            f"{OURS} sigmoid, n²": lambda x: smooth.rank(x, 1.0),
        },
        "top-k": {OURS: lambda x: smooth.top_k(x, k, 1.0)},
    }
    theirs = {
        name + what.removeprefix(task): make(peer, k)
        for name, peer in peers.items()
        for what, make in THEIRS[name].items()
        if what.partition(",")[0] == task
    }
    return {name: f for name, f in (ours[task] | theirs).items() if small or not name.endswith("n²")}


def prepared(f: Function, x: np.ndarray) -> dict[str, Callable[[], object]]:
    """Runs of a function, and of it with the gradient of a weighted sum; compiled on JAX."""
    if keras.backend.backend() == "jax":
        import jax

        tensor = jax.numpy.asarray(x)
        weights = jax.numpy.cos(jax.numpy.arange(x.shape[-1]))

        def total(x: Any) -> Any:
            return jax.numpy.sum(f(x) * weights)

        forward, both = jax.jit(f), jax.jit(jax.grad(total))
        return {
            "forward": lambda: jax.block_until_ready(forward(tensor)),
            "with gradient": lambda: jax.block_until_ready(both(tensor)),
        }
    import torch

    tensor = torch.tensor(x)
    variable = torch.tensor(x, requires_grad=True)
    weights = torch.cos(torch.arange(x.shape[-1]))

    def quietly() -> Any:
        with torch.no_grad():
            return f(tensor)

    def with_gradient() -> Any:
        return torch.autograd.grad((f(variable) * weights).sum(), variable)

    return {"forward": quietly, "with gradient": with_gradient}


def compared(task: str, n: int, rows: int, peers: dict[str, Any], rounds: int) -> Figures:
    """Milliseconds and ratios of all that do a task, and the floors."""
    x = np.random.default_rng(0).standard_normal((rows, n), np.float32)
    hard = {"sort": np.sort, "rank": np.argsort, "top-k": lambda x: np.partition(x, -most(n))}[task]
    runs: dict[tuple[str, str], Callable[[], object]] = {("floor", "forward"): lambda: hard(x)}
    for name, f in functions(task, n, peers).items():
        runs |= {(name, way): run for way, run in prepared(f, x).items()}
    once = {key: warm(run) for key, run in runs.items()}
    repeats = {key: max(1, int(LONG / time)) for key, time in once.items() if time < PATIENCE}
    seconds = alternate({key: again(runs[key], times) for key, times in repeats.items()}, rounds)
    ms = {key: 1000 * np.array(times) / repeats[key] for key, times in seconds.items()}
    floor = float(np.median(ms.pop(("floor", "forward"))))
    figures: Figures = {
        "compares": rows * n * (1 if task == "top-k" else math.log2(n)),
        "floor_ms": floor,
        "bytes": 8 * rows * n,
        "left_out_seconds": {" ".join(key): time for key, time in once.items() if key not in repeats},
        "runs": {},
    }
    for (name, way), times in ms.items():
        others = [ms[other] for other in ms if other[1] == way and not other[0].startswith(OURS)]
        figures["runs"].setdefault(name, {})[way] = {
            "ms": median(times),
            "ratio_to_fastest_peer": float(np.median(times / np.min(others, axis=0))) if others else None,
            "times_floor": median(times) / floor,
            "all_ms": times.tolist(),
        }
    return figures


def warm(run: Callable[[], object]) -> float:
    """The seconds of a run after the first, which compiles."""
    run()
    return timed(run)


def again(run: Callable[[], object], times: int) -> Callable[[], object]:
    return lambda: [run() for _ in range(times)]


def show(backend: str, task: str, rows: int, report: Figures) -> None:
    """A line for each library at each size."""
    title = f"{task} of {rows} rows of n numbers on {backend}; × floor, and × the fastest other library"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("n", "floor ms", "with", *(f"{way} ms" for way in DIRECTIONS), "× floor", "× other"):
        table.add_column(column, justify="left" if column == "with" else "right")
    for n, figures in report.items():
        for name, ways in figures["runs"].items():
            done = [ways.get(way, {}) for way in DIRECTIONS]
            ratios = [way.get("ratio_to_fastest_peer") for way in done]
            table.add_row(
                f"{n:,}",
                f"{figures['floor_ms']:.4f}",
                name,
                *(f"{way['ms']:.4f}" if way else "left out" for way in done),
                " ".join(f"{way['times_floor']:.3g}" for way in done if way),
                " ".join("-" if ratio is None else f"{ratio:.3g}" for ratio in ratios),
            )
    Console(width=110, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
