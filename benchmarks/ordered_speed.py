"""Three layers of ON-LSTM beside three of LSTM, forward and backward, in turn; and beside what products cost.

The LSTM is Keras's, save on PyTorch, and, where PyTorch is installed, torch.nn's, which is fused. That has a
process of its own, just after: threads of one library wait busily, and slow those of another. A ratio is to
the fastest. On JAX `products` are the matrix products of such layers alone, in the same order, with no gates
between: what is above their time is the price of the gates. On TensorFlow layers are compiled by XLA, which
Keras does on a CPU only if it is asked to: beside them they are without. On JAX and PyTorch the layer is
without a C compiler, too. On PyTorch, on a processor of AMD, where products are oneDNN's, one has MKL's; and
`plain` is an ON-LSTM as one writes it down: a step is a product of inputs, one of states and the gates, and
autograd does the rest.
Figures are medians: of the windows of a process, then of processes, as those differ more than windows do.
Windows are of 20 rows and 70 steps, and nothing is dropped.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import cyclopts
import numpy as np
from processor import processor
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from supple.ordered.layer import ONLSTM

import keras  # isort: skip  # after Supple, which chooses the backend
from keras import ops  # isort: skip

HERE = Path(__file__).parent
ROWS, STEPS, CHUNK = 20, 70, 10
LSTMS = "Keras's LSTM", "torch.nn's LSTM", "Keras's LSTM without XLA"
SIZES = {"small": (200, 400, 400, 200), "paper": (400, 1150, 1150, 400)}  # what goes in, then units

Runs = dict[str, Callable[[], Any]]


def main(*, rounds: int = 9, processes: int = 5, size: str = "all", out: Path = HERE / "results") -> None:
    """Time both sizes: print a table, and write the figures as JSON.

    Args:
        rounds: Windows that each variant reads in a process.
        processes: How many processes there are, one after another.
        size: small, paper or all.
        out: The folder of the JSON file, which is named by the backend; what it has of another size stays.
    """
    backend, load, rows = keras.backend.backend(), os.getloadavg(), []
    path, sizes = out / f"ordered_speed_{backend}.json", list(SIZES) if size == "all" else [size]
    for name in sizes:
        found = []
        for _ in track(range(processes), name, console=Console(stderr=True)):
            parts = [apart(alternate, kind, name, rounds) for kind in (backend, "fused")]
            found.append(parts[0] | parts[1])
        rows += [{"size": name, **row} for row in figures(found, name)]
    show(rows, backend)
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    machine |= {name: version(name) for name in sorted({backend, "torch"}) if find_spec(name)}
    machine["load"] = [load, os.getloadavg()]
    if path.exists():  # sizes that were not run stay as they were
        rows += [row for row in json.loads(path.read_text("utf-8"))["rows"] if row["size"] not in sizes]
    path.write_text(json.dumps({"rows": rows, "machine": machine}, indent=1) + "\n", "utf-8")


def apart(f: Callable[..., Any], *x: Any) -> Any:
    """f(*x), of a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(f, *x).result()


def alternate(kind: str, size: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of each variant in each round; before them come two that only warm up."""
    variants = {"jax": of_jax, "torch": of_torch, "tensorflow": of_tensorflow, "fused": fused}[kind]
    x = np.random.default_rng(0).normal(size=(ROWS, STEPS, SIZES[size][0])).astype("float32")
    runs = variants(x, SIZES[size])
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(2 + rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: times[2:] for name, times in seconds.items()}


def figures(processes: list[dict[str, list[float]]], size: str) -> list[dict[str, Any]]:
    """Of each variant the time of a window, its ratio to the fastest LSTM's, and what comes of it."""
    rows, seconds = [], {name: median(median(p[name]) for p in processes) for name in processes[0]}
    fastest = min((name for name in seconds if name in LSTMS), key=seconds.__getitem__)
    for name, time_ in seconds.items():
        ratios = [median(p[name]) / median(p[fastest]) for p in processes]
        found = {
            "variant": name,
            "milliseconds": 1e3 * time_,
            "ratio": median(ratios),
            "ratios": sorted(ratios),
            "tokens_per_second": ROWS * STEPS / time_,
        }
        masters = 0 if name in LSTMS else 2 / CHUNK
        found["gflop_per_second"] = 1e-9 * flop(SIZES[size], masters) * found["tokens_per_second"]
        rows.append(found)
    return rows


def flop(sizes: tuple[int, ...], masters: float) -> float:
    """Of a token's products, forward and twice that backward; a master gate is 1 / chunk_size as wide."""
    return sum(3 * 2 * (a + b) * (4 + masters) * b for a, b in pairwise(sizes))


def layers(kind: str, sizes: tuple[int, ...]) -> list[keras.Layer]:
    """Keras's layers, built."""
    found = []
    for size, units in pairwise(sizes):
        options = {"return_sequences": True}
        layer = ONLSTM(units, CHUNK, **options) if kind == "ON-LSTM" else keras.layers.LSTM(units, **options)
        layer.build((ROWS, STEPS, size))
        found.append(layer)
    return found


def of_jax(x: np.ndarray, sizes: tuple[int, ...]) -> Runs:
    import jax

    from supple.ordered import jax_compiled, recurrence

    def run(kind: str) -> Callable[[], Any]:
        stack = layers(kind, sizes)
        variables = [variable for layer in stack for variable in layer.trainable_variables]
        others = [variable for layer in stack for variable in layer.non_trainable_variables]

        def loss(weights: list[Any], x: Any) -> Any:
            values = list(zip(variables + others, weights + [v.value for v in others], strict=True))
            with keras.StatelessScope(state_mapping=values):
                for layer in stack:
                    x = layer(x)
            return ops.mean(x**2)

        slope, weights = jax.jit(jax.value_and_grad(loss, (0, 1))), [v.value for v in variables]
        return lambda: jax.block_until_ready(slope(weights, x))

    fresh = {form: recurrence.differentiable(form) for form in recurrence.RECURRENCES}
    with patch.object(jax_compiled, "library", lambda: None), patch.dict(recurrence.RECURRENCES, fresh):
        without_c = run("ON-LSTM")
        without_c()  # compiles it
    others = {LSTMS[0]: run("LSTM"), "products": products(x, sizes)}
    return {"ON-LSTM": run("ON-LSTM"), "ON-LSTM without C": without_c, **others}


def products(x: np.ndarray, sizes: tuple[int, ...]) -> Callable[[], Any]:
    """The products of such layers of ON-LSTM, forward and backward."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    shapes = [(a, b, 4 * b + 2 * b // CHUNK) for a, b in pairwise(sizes)]
    weights = [[rng.normal(size=(n, width)).astype("float32") / n for n in (a, b)] for a, b, width in shapes]

    def both(x: Any, weights: Any) -> Any:
        kept = []
        for w, u in weights:  # x and all states are (T, B, units)
            zx = (x.reshape(-1, x.shape[-1]) @ w).reshape(STEPS, ROWS, -1)

            def step(h: Any, z: Any, u: Any = u) -> tuple[Any, Any]:
                h = (z + h @ u)[:, : u.shape[0]]
                return h, h

            _, h = jax.lax.scan(step, jnp.zeros((ROWS, u.shape[0])), zx)
            kept.append((x, h))
            x = h
        found, dh = [], x
        for (x, h), (w, u) in zip(reversed(kept), reversed(weights), strict=True):

            def back(dh: Any, dy: Any, turned: Any = u.T) -> tuple[Any, Any]:
                dz = jnp.pad(dh + dy, ((0, 0), (0, turned.shape[0] - turned.shape[1])))
                return dz @ turned, dz

            _, dz = jax.lax.scan(back, jnp.zeros_like(h[0]), dh, reverse=True)
            dz = dz.reshape(-1, u.shape[1])
            found += [x.reshape(-1, x.shape[-1]).T @ dz, h.reshape(-1, u.shape[0]).T @ dz]
            dh = (dz @ w.T).reshape(x.shape)
        return found, dh

    compiled, given = jax.jit(both), jax.device_put((x.swapaxes(0, 1), weights))
    return lambda: jax.block_until_ready(compiled(*given))


def of_torch(x: np.ndarray, sizes: tuple[int, ...]) -> Runs:
    from supple.ordered import torch_compiled, torch_products

    ours, (plain, weights) = layers("ON-LSTM", sizes), plain_layers(sizes)
    variables = [variable.value for layer in ours for variable in layer.trainable_variables]
    run = gradient_of(x, ours, variables)

    def without_c() -> None:
        with patch.object(torch_compiled, "library", lambda: None):
            run()

    def by_mkl() -> None:
        with patch.object(torch_products, "AMD", False):
            run()

    found = {"ON-LSTM": run, "ON-LSTM without C": without_c}
    found |= {"ON-LSTM by MKL": by_mkl} if torch_products.AMD else {}
    return found | {"plain": gradient_of(x, plain, weights)}


def fused(x: np.ndarray, sizes: tuple[int, ...]) -> Runs:
    """torch.nn's LSTM, if PyTorch is there."""
    if not find_spec("torch"):
        return {}
    import torch

    stack = [torch.nn.LSTM(a, b, batch_first=True) for a, b in pairwise(sizes)]
    first = [lambda x, layer=layer: layer(x)[0] for layer in stack]
    return {LSTMS[1]: gradient_of(x, first, [weight for layer in stack for weight in layer.parameters()])}


def gradient_of(x: np.ndarray, stack: list[Callable[[Any], Any]], weights: list[Any]) -> Callable[[], Any]:
    """What `of_jax` runs, on PyTorch."""
    import torch

    tensor = torch.tensor(x).requires_grad_()

    def run() -> Any:
        y = tensor
        for layer in stack:
            y = layer(y)
        return torch.autograd.grad(y.square().mean(), [tensor, *weights])

    return run


def of_tensorflow(x: np.ndarray, sizes: tuple[int, ...]) -> Runs:
    import tensorflow as tf

    tensor = tf.constant(x)

    def run(kind: str, xla: bool = True) -> Callable[[], Any]:
        stack = layers(kind, sizes)
        variables = [v.value for layer in stack for v in layer.trainable_variables]

        @tf.function(jit_compile=xla)
        def slope(x: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = x
                for layer in stack:
                    y = layer(y)
                loss = ops.mean(y**2)
            return tape.gradient(loss, [x, *variables])

        return lambda: slope(tensor)[0].numpy()

    without = {"ON-LSTM without XLA": run("ON-LSTM", xla=False), LSTMS[2]: run("LSTM", xla=False)}
    return {"ON-LSTM": run("ON-LSTM"), LSTMS[0]: run("LSTM")} | without


def plain_layers(sizes: tuple[int, ...]) -> tuple[list[Callable[[Any], Any]], list[Any]]:
    """The equations of Shen et al. (2019), step by step, and all weights."""
    import torch
    from torch.nn.functional import linear

    def layer(inputs: int, units: int) -> tuple[Callable[[Any], Any], list[Any]]:
        n = units // CHUNK
        bound = units**-0.5
        w, u, b = (
            torch.empty(shape).uniform_(-bound, bound).requires_grad_()
            for shape in ((4 * units + 2 * n, inputs), (4 * units + 2 * n, units), (4 * units + 2 * n,))
        )

        def forward(x: Any) -> Any:
            h, c, found = x.new_zeros(len(x), units), x.new_zeros(len(x), n, CHUNK), []
            for x_t in x.unbind(1):
                z_i, z_f, *gates = (linear(x_t, w, b) + linear(h, u)).split([n, n, *[units] * 4], -1)
                i_master = (1 - z_i.softmax(-1).cumsum(-1))[..., None]
                f_master = z_f.softmax(-1).cumsum(-1)[..., None]
                o, c_hat, i, f = (gate.reshape(-1, n, CHUNK) for gate in gates)
                both = i_master * f_master
                f = f.sigmoid() * both + f_master - both
                i = i.sigmoid() * both + i_master - both
                c = f * c + i * c_hat.tanh()
                h = (o.sigmoid() * c.tanh()).reshape(-1, units)
                found.append(h)
            return torch.stack(found, 1)

        return forward, [w, u, b]

    pairs = [layer(a, b) for a, b in pairwise(sizes)]
    return [forward for forward, _ in pairs], [w for _, weights in pairs for w in weights]


def show(rows: list[dict[str, Any]], backend: str) -> None:
    """A line a size and variant."""
    title = f"three layers on {backend}, forward and backward, of {ROWS} × {STEPS} tokens ({processor()})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in (
        "size",
        "variant",
        "ms",
        "of the fastest LSTM's time",
        "of processes",
        "tokens/s",
        "GFLOP/s",
    ):
        table.add_column(column, justify="left" if column in ("size", "variant") else "right")
    for row in rows:
        ratios = f"{row['ratio']:.2f}", f"{row['ratios'][0]:.2f} to {row['ratios'][-1]:.2f}"
        rates = f"{row['tokens_per_second']:,.0f}", f"{row['gflop_per_second']:.1f}"
        table.add_row(row["size"], row["variant"], f"{row['milliseconds']:.0f}", *ratios, *rates)
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
