"""Langevin dynamics beside torchebm's and beside loops of PyTorch: steps of chains a second, in turn.

Two energies: a mixture of 8 Gaussians in the plane, 10,000 chains × 1000 steps; and a convnet on images
32 × 32 × 3 (a convolution 3 × 3, three 4 × 4 of stride 2, SiLU between), 64 chains × 60 steps. PyTorch runs
in a process of its own, that of `--torch`, and a round runs every variant once. A ratio is to the fastest
of torchebm's variants in the same round (of PyTorch's, without torchebm); figures are medians.

The floor is timed too: `noise alone` moves the same chains without an energy, and `products alone` are the
convnet's products of matrices, forward and backward, as plain convolutions need them.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cyclopts
from processor import processor
from rich import box
from rich.console import Console
from rich.table import Table

from supple.energy import sample, ula
from supple.energy.convolution import convolve
from supple.energy.targets import mixture

import jax  # isort: skip  # after Supple, as Keras is
import jax.numpy as jnp  # isort: skip
import numpy as np  # isort: skip

HERE = Path(__file__).parent
POINTS, POINT_STEPS, MODES, RADIUS, SD = 10_000, 1000, 8, 4.0, 0.5
IMAGES, IMAGE_STEPS = 64, 60
SAMPLER = ula(0.02)
# (height of the output, kernel, in, out) of each convolution
LAYERS = (32, 3, 3, 32), (16, 4, 32, 64), (8, 4, 64, 64), (4, 4, 64, 64)
FLOP = (
    2 * 2 * sum(h * h * k * k * a * b for h, k, a, b in LAYERS)
)  # of an image's step, as plain convolutions

Runs = dict[str, Callable[[], float]]  # seconds of each


def main(
    *,
    rounds: int = 5,
    energy: str = "all",
    torch: Path = Path(sys.executable),
    out: Path = HERE / "results",
) -> None:
    """Time both energies: print a table, and write the figures as JSON.

    Args:
        rounds: How often each variant runs.
        energy: mixture, convnet or all.
        torch: A Python that has torch, and torchebm if that is to be timed.
        out: The folder of the JSON file.
    """
    load = os.getloadavg()
    runs = {name: clocked(run) for name, run in ours().items()}
    peer, said = start(torch)
    runs |= {name: asked(peer, name) for name in said["runs"]}
    runs = {name: run for name, run in runs.items() if energy in ("all", name.split("/")[0])}
    seconds = alternate(runs, rounds)
    rows = figures(seconds)
    show(rows)
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    machine |= {"jax": jax.__version__, "torch": said["torch"], "torchebm": said["torchebm"]}
    machine |= {"load": [load, os.getloadavg()]}
    content = {"rows": rows, "convnet_gflop_a_step": 1e-9 * FLOP * IMAGES, "machine": machine}
    (out / "langevin_speed.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    if peer:
        peer.terminate()


def ours() -> dict[str, Callable[[], Any]]:
    """Supple's variants, and the floor."""
    rng = np.random.default_rng(0)
    points, images = rng.normal(size=(POINTS, 2)), rng.uniform(size=(IMAGES, 32, 32, 3))
    angle = 2 * np.pi * np.arange(MODES) / MODES
    means = RADIUS * np.stack([np.cos(angle), np.sin(angle)], 1)
    target = mixture(means, SD)

    def plain(x: Any) -> Any:  # as one writes it down
        return -jax.nn.logsumexp(-((x[:, None] - means) ** 2).sum(-1) / (2 * SD**2), -1)

    def chains(U: Any, x: np.ndarray, steps: int) -> Callable[[], Any]:
        x = jnp.asarray(x, "float32")
        return lambda: sample(U, x, SAMPLER, steps).x

    weights = network(rng)
    return {
        "mixture/supple": chains(target.U, points, POINT_STEPS),
        "mixture/supple, autodiff": chains(plain, points, POINT_STEPS),
        "mixture/noise alone": chains(flat, points, POINT_STEPS),
        "convnet/supple": chains((U, weights), images, IMAGE_STEPS),
        "convnet/supple, XLA's convolutions": chains((U_by_xla, weights), images, IMAGE_STEPS),
        "convnet/noise alone": chains(flat, images, IMAGE_STEPS),
        "convnet/products alone": products(rng),
    }


def flat(x: Any) -> Any:
    return 0 * x.reshape(len(x), -1).sum(-1)


def network(rng: np.random.Generator) -> list[Any]:
    kernels = [rng.normal(size=(k, k, a, b)) / (k * a**0.5) for _, k, a, b in LAYERS]
    return [jnp.asarray(w, "float32") for w in (*kernels, rng.normal(size=1024) / 32)]


def U(weights: list[Any], x: Any, convolution: Callable[..., Any] = convolve) -> Any:
    *kernels, final = weights
    for kernel in kernels:
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = jax.nn.silu(convolution(x, kernel, 1 if len(kernel) == 3 else 2))
    return x.reshape(len(x), -1) @ final


def U_by_xla(weights: list[Any], x: Any) -> Any:
    def convolution(x: Any, kernel: Any, stride: int) -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=numbers)

    return U(weights, x, convolution)


def products(rng: np.random.Generator) -> Callable[[], Any]:
    """The products of patches with kernels, and of gradients with kernels, as often as there are steps."""
    kernels = [jnp.asarray(rng.normal(size=(k * k * a, b)), "float32") for _, k, a, b in LAYERS]
    patches = [jnp.ones((IMAGES * h * h, k * k * a)) for h, k, a, _ in LAYERS]

    @jax.jit
    def run(patches: list[Any]) -> list[Any]:
        def step(_: Any, patches: list[Any]) -> list[Any]:
            return [(p @ w) @ w.T for p, w in zip(patches, kernels, strict=True)]

        return jax.lax.fori_loop(0, IMAGE_STEPS, step, patches)

    return lambda: run(patches)


def clocked(run: Callable[[], Any]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        jax.block_until_ready(run())
        return time.perf_counter() - start

    return seconds


def start(python: Path) -> tuple[Any, dict[str, Any]]:
    """The process of PyTorch and what it says of itself; no runs where there is none."""
    command = [python, HERE / "langevin_peers.py"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()  # type: ignore[union-attr]
    if not line.startswith("{"):
        print("without PyTorch's rows: give --torch a Python that has torch and torchebm")
        return None, {"runs": [], "torch": None, "torchebm": None}
    return process, json.loads(line)


def asked(peer: Any, name: str) -> Callable[[], float]:
    def seconds() -> float:
        peer.stdin.write(name + "\n")
        peer.stdin.flush()
        return float(peer.stdout.readline())

    return seconds


def alternate(runs: Runs, rounds: int) -> dict[str, list[float]]:
    """Seconds of each run in each round; one before them only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 + rounds):
        for name, run in runs.items():
            seconds[name].append(run())
    return {name: times[1:] for name, times in seconds.items()}


def figures(seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Of each variant the time of a step, steps of chains a second, and the ratio of speeds to the peer's."""
    rows = []
    for name, times in seconds.items():
        task, variant = name.split("/")
        chains, steps = (POINTS, POINT_STEPS) if task == "mixture" else (IMAGES, IMAGE_STEPS)
        peers = [t for other, t in seconds.items() if other.startswith(f"{task}/torchebm")]
        peers = peers or [t for other, t in seconds.items() if other.startswith(f"{task}/torch")]
        best = min(peers, key=median, default=None)
        row = {"energy": task, "variant": variant, "milliseconds_a_step": 1e3 * median(times) / steps}
        row["chain_steps_a_second"] = chains * steps / median(times)
        row["speed_to_torchebm"] = best and median(a / b for a, b in zip(best, times, strict=True))
        rows.append(row)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """A line a variant."""
    table = Table(title="Langevin dynamics", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("energy", "variant", "ms a step", "chains × steps/s", "speed to torchebm's best"):
        table.add_column(column, justify="left" if column in ("energy", "variant") else "right")
    for row in rows:
        ratio = "" if row["speed_to_torchebm"] is None else f"{row['speed_to_torchebm']:.2f}"
        speeds = f"{row['milliseconds_a_step']:.3g}", f"{row['chain_steps_a_second']:,.0f}"
        table.add_row(row["energy"], row["variant"], *speeds, ratio)
    Console(width=110, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
