"""`gumbel_softmax` beside torch.nn.functional's on PyTorch, and beside one line of jax.nn on JAX, in turn.

A run is as many calls as take a while; its ratio is to the other's of the same round, below 1 if ours is
faster. Figures are medians. On JAX both also are timed compiled, with their gradients too. On PyTorch a
small sample is what its calls cost, of which ours makes more: the ratio falls as samples grow.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cyclopts
import numpy as np
from processor import processor
from rich import box
from rich.console import Console
from rich.table import Table

from supple.sampling import gumbel_softmax

import keras  # isort: skip  # after Supple, which chooses the backend

HERE = Path(__file__).parent
SHAPES = [(64, 10), (2000, 10), (20_000, 10), (64, 50_000)]
TEMPERATURE = 0.5
Runs = dict[str, Callable[[], Any]]


def main(*, rounds: int = 9, elements: int = 4_000_000, out: Path = HERE / "results") -> None:
    """Time every shape and way of calling: print a table, and write the figures as JSON.

    Args:
        rounds: Runs of each variant.
        elements: How many a run draws at least, in as many calls as that takes; at most 200.
        out: The folder of the JSON file, which is named by the backend.
    """
    backend, load = keras.backend.backend(), os.getloadavg()
    variants = {"jax": of_jax, "torch": of_torch}.get(backend)
    if variants is None:
        print(f"skipped: nothing to compare with on {backend}; set KERAS_BACKEND to jax or torch")
        return
    rows = []
    for shape in SHAPES:
        calls = min(200, -(-elements // int(np.prod(shape))))
        logits = np.random.default_rng(0).normal(size=shape).astype("float32")
        for name, (ours, theirs) in variants(logits).items():
            seconds = alternate({"ours": ours, "theirs": theirs}, calls, rounds)
            rows.append({"shape": list(shape), "variant": name, **figures(seconds, calls)})
    show(rows, backend)
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    machine |= {backend: version(backend), "load": [load, os.getloadavg()]}
    path = out / f"gumbel_softmax_speed_{backend}.json"
    path.write_text(json.dumps({"rows": rows, "machine": machine}, indent=1) + "\n", "utf-8")


def of_jax(logits: np.ndarray) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Pairs of calls, ours and by hand; each waits for its result."""
    import jax

    x, key = jax.numpy.asarray(logits), jax.random.key_data(jax.random.key(0))

    def ours(x: Any, key: Any) -> Any:
        return gumbel_softmax(x, TEMPERATURE, seed=key)

    def by_hand(x: Any, key: Any) -> Any:
        return jax.nn.softmax((x + jax.random.gumbel(key, x.shape)) / TEMPERATURE)

    def waits(f: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: jax.block_until_ready(f(x, key))

    def gradient(f: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(jax.grad(lambda x, key: (f(x, key) ** 2).sum()))

    ways = {"eager": lambda f: f, "jit": jax.jit, "jit, gradient": gradient}
    return {name: (waits(way(ours)), waits(way(by_hand))) for name, way in ways.items()}


def of_torch(logits: np.ndarray) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    import torch

    x = torch.tensor(logits)
    weight = x.clone().requires_grad_()

    def ours(x: Any) -> Any:
        return gumbel_softmax(x, TEMPERATURE)

    def theirs(x: Any) -> Any:
        return torch.nn.functional.gumbel_softmax(x, TEMPERATURE)

    def gradient(f: Callable[[Any], Any]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(f(weight).square().sum(), weight)

    return {
        "eager": (lambda: ours(x), lambda: theirs(x)),
        "gradient": (gradient(ours), gradient(theirs)),
    }


def alternate(runs: Runs, calls: int, rounds: int) -> dict[str, list[float]]:
    """The seconds of so many calls in each round; before them comes a round that only warms up.

    As in `machine.py`, which needs ONNX, and that is not in the environment of PyTorch.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 + rounds):
        for name, call in runs.items():
            start = time.perf_counter()
            for _ in range(calls):
                call()
            seconds[name].append(time.perf_counter() - start)
    return {name: times[1:] for name, times in seconds.items()}


def figures(seconds: dict[str, list[float]], calls: int) -> dict[str, float]:
    """Microseconds a call, and their ratio round by round."""
    ratios = [ours / theirs for ours, theirs in zip(seconds["ours"], seconds["theirs"], strict=True)]
    each = {name: 1e6 * median(times) / calls for name, times in seconds.items()}
    return {"ours_us": each["ours"], "theirs_us": each["theirs"], "ratio": median(ratios)}


def version(backend: str) -> str:
    return str(__import__(backend).__version__)


def show(rows: list[dict[str, Any]], backend: str) -> None:
    """A line a shape and way of calling."""
    title = f"gumbel_softmax on {backend}, microseconds a call"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("shape", "called", "ours", "theirs", "ratio"):
        table.add_column(column, justify="left" if column in ("shape", "called") else "right")
    for row in rows:
        shape = " × ".join(map(str, row["shape"]))
        numbers = f"{row['ours_us']:.0f}", f"{row['theirs_us']:.0f}", f"{row['ratio']:.2f}"
        table.add_row(shape, row["variant"], *numbers)
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
