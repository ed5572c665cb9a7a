"""Energies in the plane of which all is known: what Langevin dynamics, MALA and HMC make of them.

    pip install "supple[learn,plot]"
    python examples/energy_2d.py

Three energies (eight Gaussians on a circle, two rings, a banana), chains of three samplers from one point
each. Prints errors of moments, R̂ and effective sample sizes, log Z between two bounds, and how the bias of
unadjusted Langevin dynamics grows with its step; long steps would throw it off the banana altogether. Writes
examples/pictures/energy_2d.png (landscapes and chains), energy_2d_bias.svg (the bias beside its formula) and
energy_2d.gif (100 chains on their way). Takes half a minute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

from supple.energy import effective_sample_size, hmc, mala, r_hat, report, sample, ula
from supple.energy.normaliser import log_z_bracket
from supple.energy.pictures import CHAIN, dots, film, landscape, paths
from supple.energy.targets import Target, banana, gaussian, mixture, rings

PICTURES = Path(__file__).resolve().parent / "pictures"
BOX = (-4.5, 4.5, -4.5, 4.5)
CHAINS, STEPS = 300, 1000

ANGLES = np.pi / 4 * np.arange(8)
TARGETS = {
    "eight Gaussians": mixture(3 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1), 0.6),
    "two rings": rings([1.5, 3.2], 0.3),
    "banana": banana(1.2, 0.5, 0.6),
}
SAMPLERS = {"ULA": ula(0.04), "MALA": mala(0.15), "HMC": hmc(0.25, 8)}
COSTS = {"ULA": 1, "MALA": 1, "HMC": 8}  # gradients a step


def row(target: Target, kept: Any, gradients: int) -> list[str]:
    """Of draws (chains, draws, 2): errors of the mean and of the covariance, R̂, and what a draw is worth."""
    x = np.asarray(kept, "float64")[:, STEPS // 4 :]  # the first quarter is for getting there
    flat = x.reshape(-1, 2)
    mean = np.abs(flat.mean(0) - target.mean).max()
    spread = np.trace(np.cov(flat.T)) / np.trace(target.covariance) - 1
    independent = effective_sample_size(x).min() / (x.shape[0] * x.shape[1] * gradients)
    return [f"{mean:.3f}", f"{spread:+.1%}", f"{r_hat(x).max():.3f}", f"{1000 * independent:.1f}"]


def moments(console: Console) -> dict[str, dict[str, np.ndarray]]:
    """The table of all samplers on all targets; the draws of their chains."""
    table = Table(title=f"{CHAINS} chains of {STEPS} steps, all from one point", title_justify="left")
    for column in (
        "energy",
        "sampler",
        "|error of mean|",
        "error of variance",
        "R̂",
        "draws per 1,000 gradients",
    ):
        table.add_column(column, justify="left" if column in ("energy", "sampler") else "right")
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, target in TARGETS.items():
        start = np.tile([0.3, 0.1], (CHAINS, 1))
        for which, sampler in SAMPLERS.items():
            kept = np.asarray(sample(target.U, start, sampler, STEPS, seed=1, keep=1).kept)
            found.setdefault(name, {})[which] = kept
            table.add_row(name, which, *row(target, kept, COSTS[which]))
    console.print(table)
    name, target = next(iter(TARGETS.items()))
    bracket = log_z_bracket(target.U, target.sample(500, 2), hmc((1.0, 0.3), 3), 200, sd=2.5)
    lower, upper = (f"{x:.3f} ± {e:.3f}" for x, e in zip(bracket[:2], bracket[3:5], strict=True))
    console.print(
        f"{name}: log Z = {target.log_z:.4f}; annealed importance sampling says from {lower} to {upper}"
    )
    return found


def bias(console: Console) -> None:
    """Variances of ULA on N(0, 1), measured and by the formula 1 / (1 − ε/4); MALA's beside them."""
    epsilons = np.array([0.05, 0.25, 0.5, 1.0, 1.5, 2.0])
    target = gaussian([0], [[1.0]])
    start = target.sample(20_000, 3)
    variances = {
        name: [
            float((np.asarray(sample(target.U, start, make(e), 60, seed=4).x) ** 2).mean()) for e in epsilons
        ]
        for name, make in {"ULA": ula, "MALA": mala}.items()
    }
    figure, axes = plt.subplots(figsize=(4.6, 3.2), layout="constrained")
    fine = np.linspace(0, 2.1, 100)
    axes.plot(fine, 1 / (1 - fine / 4), color="#a0aec0", label="1 / (1 − ε/4)")
    axes.plot(epsilons, variances["ULA"], "o", color=CHAIN, label="ULA")
    axes.plot(epsilons, variances["MALA"], "s", color="#2b6cb0", markerfacecolor="white", label="MALA")
    axes.set(xlabel="step ε", ylabel="variance of N(0, 1)", ylim=(0.9, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(PICTURES / "energy_2d_bias.svg")
    shown = ", ".join(f"{v:.3f} at ε = {e:g}" for e, v in zip(epsilons, variances["ULA"], strict=True))
    console.print(f"variance of ULA on N(0, 1): {shown}", soft_wrap=True)


def draw(found: dict[str, dict[str, np.ndarray]]) -> None:
    """A row an energy: its density, the way of three chains at equal cost, and all chains at their end."""
    figure, grid = plt.subplots(3, 4, figsize=(9.2, 7.2), layout="constrained")
    for axes, (name, kept) in zip(grid, found.items(), strict=True):
        for panel in axes:
            landscape(panel, TARGETS[name].U, BOX)
        axes[0].set_ylabel(name)
        for panel, which in zip(axes, SAMPLERS, strict=False):
            paths(panel, kept[which][:3, : 100 // COSTS[which]])
        dots(axes[3], kept["HMC"][:, -1], 5)
    for panel, title in zip(grid[0], [f"{name}, 100 gradients" for name in SAMPLERS], strict=False):
        panel.set_title(title, fontsize=10)
    grid[0, 3].set_title(f"HMC, {CHAINS} chains at the end", fontsize=10)
    figure.savefig(PICTURES / "energy_2d.png", dpi=110)
    plt.close(figure)


def main() -> None:
    console = Console(width=110, highlight=False)
    PICTURES.mkdir(exist_ok=True)
    found = moments(console)
    bias(console)
    draw(found)
    start = np.random.default_rng(5).uniform(-4.5, 4.5, (100, 2))
    runs = {
        name: (target.U, sample(target.U, start, ula(0.04), 240, seed=6, keep=6).kept)
        for name, target in TARGETS.items()
    }
    film(PICTURES / "energy_2d.gif", runs, BOX, tail=3, every=6)
    for sampler, steps in (ula(0.04), 240), (ula(20.0, noise=0.005, clip=0.01, clamp=(0.0, 1.0)), 60):
        console.print(report(sampler, steps), soft_wrap=True)
    console.print(f"pictures: {PICTURES}/energy_2d*")


if __name__ == "__main__":
    main()
