"""GANs as flows: films and portraits of Dirac's GAN, in one dimension and in two.

    pip install "supple[learn,plot]"
    python examples/dirac_gan.py

The real point is 0, the fake point θ, the critic D(x) = x·φ. Prints what becomes of every game, and writes to
examples/pictures: `dirac_portraits.svg`, flows in one dimension; `dirac_paths.svg`, the fake point's path in
two; `dirac_integrators.svg`, the bilinear game by each integrator; and films, in each the game in one
dimension and in two:

- `dirac_non_saturating.gif`, `dirac_wgan.gif`, `dirac_wgan_gp.gif`, `dirac_wgan_div.gif`, `dirac_gan_qp.gif`,
  the five that are known;
- `dirac_saturating.gif`; `dirac_friction.gif`, three remedies; `dirac_average.gif`, the average of weights
  that finds the centre; `dirac_integrators.gif`, what steps make of a circle.

Takes a minute or two.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

from supple.adversarial import dirac, portraits
from supple.adversarial.games import Players
from supple.adversarial.integrators import (
    alternating,
    averaged,
    consensus,
    extragradient,
    ode_gan,
    optimistic,
    play,
    rk4,
    simultaneous,
    symplectic_gradient_adjustment,
)
from supple.adversarial.verdict import judge

PICTURES = Path(__file__).resolve().parent / "pictures"
STEP = 0.02

FILMS = {  # file: (game, how much farther out it starts, units of time in one dimension, in two)
    "non_saturating": ("non-saturating", 10, 150, 150),
    "wgan": ("WGAN", 1, 6, 12),
    "wgan_gp": ("WGAN-GP, c = 1", 1, 60, 60),
    "wgan_div": ("WGAN-GP, c = 0", 1, 40, 40),
    "gan_qp": ("GAN-QP", 1, 60, 60),
    "saturating": ("saturating", 1, 40, 40),
}


def flow(name: str, d: int, time: float, size: float = 1.0, points: int = 800) -> Players:
    """A trajectory by RK4, recorded so often."""
    every = max(1, round(time / STEP / points))
    steps = every * points
    return play(rk4(dirac.TABLE[name].field, time / steps), dirac.start(d, size), steps, every=every)


def table(console: Console) -> None:
    """What becomes of each game."""
    found = Table("game", "one dimension", "two dimensions")
    for name, row in dirac.TABLE.items():
        method = rk4(row.field, STEP)
        verdicts = [judge(method, dirac.start(d), 100_000, every=25, time=STEP) for d in (1, 2)]
        found.add_row(name, *map(str, verdicts))
    console.print(found)


def draw_portraits(path: Path) -> None:
    """Flows in one dimension, each with a trajectory."""
    figure, grid = plt.subplots(3, 4, figsize=(11, 8.6), layout="constrained")
    times = {"non-saturating": 250, "GAN-QP": 100, "WGAN": 4, "WGAN, spectral norm": 4}
    for axes, (name, row) in zip(grid.flat, dirac.TABLE.items(), strict=True):
        trajectory = flow(name, 1, times.get(name, 60))
        portraits.phase_portrait(axes, row.field, 1.1 * max(np.abs(part).max() for part in trajectory))
        portraits.draw_trajectory(axes, trajectory)
        axes.set_title(f"{name}: {row.verdicts[0]}", fontsize=10)
    figure.savefig(path, metadata={"Date": None})


def draw_paths(path: Path) -> None:
    """The fake point in two dimensions."""
    figure, grid = plt.subplots(3, 4, figsize=(11, 8.6), layout="constrained")
    times = {"WGAN": 20, "WGAN, spectral norm": 20, "non-saturating": 150}
    for axes, (name, row) in zip(grid.flat, dirac.TABLE.items(), strict=True):
        portraits.draw_trajectory(axes, flow(name, 2, times.get(name, 60)))
        axes.set_title(f"{name}: {row.verdicts[1]}", fontsize=10)
    figure.savefig(path, metadata={"Date": None})


def methods(h: float) -> dict[str, object]:
    """All integrators of the bilinear game, with steps of the same size."""
    game = dirac.bilinear().game
    return {
        "simultaneous": simultaneous(game, h),
        "alternating": alternating(game, h),
        "extragradient": extragradient(game, h),
        "optimistic": optimistic(game, h),
        "consensus, γ = .3": consensus(game, h, 0.3),
        "SGA, λ = .3": symplectic_gradient_adjustment(game, h, 0.3),
        "RK4": rk4(game, h),
        "ODE-GAN, λ = .3": ode_gan(game, h, 0.3),
    }


def draw_integrators(path: Path) -> None:
    figure, grid = plt.subplots(2, 4, figsize=(11, 5.8), layout="constrained")
    for axes, (name, method) in zip(grid.flat, methods(0.2).items(), strict=True):
        trajectory = play(method, dirac.start(1), 120)
        portraits.phase_portrait(axes, dirac.bilinear().field, 0.3 if name != "simultaneous" else 2.6)
        portraits.draw_trajectory(axes, trajectory)
        axes.set_title(name, fontsize=10)
    figure.savefig(path, metadata={"Date": None})


def make_films() -> None:
    for file, (name, size, *times) in FILMS.items():
        one, two = f"{name}: one dimension", "two dimensions"
        runs = {one: flow(name, 1, times[0], size), two: flow(name, 2, times[1], size)}
        portraits.film(PICTURES / f"dirac_{file}.gif", runs, games={one: dirac.TABLE[name].field})
    names = ["GAN-QP + L2", "non-saturating + R1", "consensus"]
    portraits.film(PICTURES / "dirac_friction.gif", {name: flow(name, 2, 60) for name in names})
    circles = {
        f"{name}, and its average": flow(name, 2, time) for name, time in (("GAN-QP", 60), ("WGAN", 12))
    }
    means = {name: averaged(circle, 0.998) for name, circle in circles.items()}
    portraits.film(PICTURES / "dirac_average.gif", circles, averages=means)
    chosen = ["simultaneous", "alternating", "extragradient"]
    made = {name: play(methods(0.1)[name], dirac.start(1), 320) for name in chosen}
    portraits.film(PICTURES / "dirac_integrators.gif", made)


if __name__ == "__main__":
    console = Console()
    PICTURES.mkdir(exist_ok=True)
    table(console)
    draw_portraits(PICTURES / "dirac_portraits.svg")
    draw_paths(PICTURES / "dirac_paths.svg")
    draw_integrators(PICTURES / "dirac_integrators.svg")
    make_films()
    console.print(f"pictures and films: {PICTURES}")
