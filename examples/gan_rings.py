"""Which GANs lose modes? Gaussians on a grid and on a ring, by loss, penalty and average of weights.

    pip install "supple[learn,plot]"
    python examples/gan_rings.py
    python examples/gan_rings.py --steps 30000 --every-pair

Trains every pair of PAIRS on 25 Gaussians with so many seeds, and on 8 with one, and counts the modes that
have a good one among 2,500 samples, of the generator's last weights and of two running averages of them.
Prints tables, and writes to examples/pictures `gan_rings.png`, samples of each pair, and `gan_rings.gif`, how
the first came to them. Figures of each run are kept in runs/gan_rings, from where an interrupted one goes on.

A critic is an energy, and a generator makes samples from noise: at the end the latents of one generator are
moved by MALA down the energy ½‖z‖² − D(G(z)), by which samples where D is low become rare (Che et al. 2020).

Takes five minutes on two cores.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cyclopts
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import supple  # noqa: F401  # before Keras: it chooses the backend

import jax  # isort: skip
import matplotlib.pyplot as plt  # isort: skip

from supple.adversarial import networks, pictures  # isort: skip
from supple.adversarial.recipes import RECIPES, Recipe  # isort: skip
from supple.adversarial.rings import Mixture, coverage, grid, ring  # isort: skip
from supple.adversarial.steps import Data  # isort: skip
from supple.adversarial.trainer import critic_energy, generate, train  # isort: skip
from supple.energy.chains import sample  # isort: skip
from supple.energy.latent import latent_energy  # isort: skip
from supple.energy.metropolis import mala  # isort: skip

HERE = Path(__file__).resolve().parent
RUNS, PICTURES = HERE.parent / "runs" / "gan_rings", HERE / "pictures"
SIZES = (64, 64, 64)
SAMPLES = 2500
PIECES = 40  # of a run, after each of which samples are drawn
MIXTURES = {"25 on a grid": grid(), "8 on a ring": ring(sd=0.05)}


class Pair(NamedTuple):
    """A loss, and what holds the critic."""

    loss: str
    penalty: str
    strength: float = 1.0
    spectral_norm: bool = False

    def __str__(self) -> str:
        held = "spectral norm" if self.spectral_norm else self.penalty
        return f"{self.loss}, {held}" + (f" {self.strength:g}" if held == self.penalty != "none" else "")


PAIRS = [
    Pair("non-saturating", "R1", 0.1),
    Pair("non-saturating", "none"),
    Pair("Wasserstein", "WGAN-GP", 1.0),
    Pair("Wasserstein", "zero-centred", 0.1),
    Pair("non-saturating", "none", spectral_norm=True),
    Pair("hinge", "none", spectral_norm=True),
    Pair("relativistic", "R1", 0.1),
    Pair("Wasserstein", "GAN-QP", 1.0),
]
HELD = [("none", 1.0), ("R1", 0.1), ("R2", 0.1), ("WGAN-GP", 1.0), ("zero-centred", 0.1), ("DRAGAN", 1.0)]
EVERY_PAIR = [
    Pair(loss, *held)
    for loss in ("non-saturating", "Wasserstein", "hinge", "relativistic", "least squares")
    for held in HELD
]


def players(recipe: Recipe) -> tuple[Any, Any]:
    """A critic and a generator of that seed."""
    seeds = 2 * recipe.seed, 2 * recipe.seed + 1
    critic = networks.perceptron(2, (), SIZES, seeds[0])
    return critic, networks.perceptron(recipe.latent, (2,), SIZES, seeds[1])


def run(pair: Pair, mixture: Mixture, steps: int, seed: int) -> tuple[dict[str, Any], np.ndarray, Any]:
    """The record of a training; samples on the way, each piece of steps two rows; and how it ended."""
    base = RECIPES["plane"]
    recipe = replace(base, **pair._asdict(), steps=steps, seed=seed)
    critic, generator = players(recipe)
    decays, frames = (None, *recipe.averages), []

    def watch(training: Any) -> None:
        found = [generate(generator, training, recipe, SAMPLES, decay=decay) for decay in decays]
        frames.append(np.stack(found).astype(np.float32))

    began = time.perf_counter()
    data, every = Data(Mixture.sample, mixture), steps // PIECES
    trained = train(critic, generator, data, recipe, every=every, watch=watch, progress=False)
    record = {
        "pair": str(pair),
        "seed": seed,
        "steps": steps,
        "diverged": trained.diverged,
        "seconds": time.perf_counter() - began,
        "coverage": [[coverage(mixture, x) for x in frame] for frame in frames[3::4]],  # ten times
    }
    return record, np.array(frames), trained.training


def two_at_once(
    jobs: list[tuple[Pair, int]], mixture: Mixture, steps: int, console: Console
) -> Iterator[Any]:
    """Each job and what `run` makes of it, in order; networks so small keep no more than one core busy."""
    pool = ThreadPoolExecutor(2)
    try:
        runs = pool.map(lambda job: run(job[0], mixture, steps, job[1]), jobs)
        done = zip(jobs, runs, strict=True)
        title = f"{len(mixture.modes)} Gaussians"
        yield from track(done, title, len(jobs), console=console, transient=True)
    finally:
        pool.shutdown(cancel_futures=True)


def refined(pair: Pair, mixture: Mixture, training: Any) -> str:
    """What MALA on ½‖z‖² − D(G(z)) makes of the last weights' samples."""
    recipe = replace(RECIPES["plane"], **pair._asdict())
    critic, generator = players(recipe)
    G, theta = generator[0], training.played.x.theta
    U = latent_energy(critic_energy(critic, training, recipe), (G, theta))
    z = jax.random.normal(jax.random.key(0), (SAMPLES, recipe.latent))
    chains = sample(U, z, mala(1e-3), 500)
    before, after = (coverage(mixture, G(theta, z)) for z in (z, chains.x))
    return (
        f"MALA on ½‖z‖² − D(G(z)), last weights of {pair}: good samples {before.quality:.1%} before, "
        f"{after.quality:.1%} after 500 steps (accepted {float(chains.accepted.mean()):.0%})"
    )


def show(records: list[dict[str, Any]], name: str, console: Console) -> None:
    """A line a pair: the least and the mean number of modes over seeds, and the share of good samples."""
    modes = len(MIXTURES[name].modes)
    table = Table(
        title=f"{name}: modes found, least over seeds (mean), and good samples", title_justify="left"
    )
    for head in ("loss, penalty", "seeds", "last weights", "average .99", "average .999", "s a run"):
        table.add_column(head)
    for pair in dict.fromkeys(r["pair"] for r in records):
        of_pair = [r for r in records if r["pair"] == pair]
        cells = []
        for k in range(3):
            found = [r["coverage"][-1][k] for r in of_pair if r["coverage"]]
            if not found:
                cells.append("diverged")
                continue
            counts, quality = [f[0] for f in found], np.mean([f[1] for f in found])
            mark = "*" if min(counts) == modes else ""
            cells.append(f"{min(counts)}{mark} ({np.mean(counts):.1f}), {quality:.0%}")
        lost = sum(r["diverged"] for r in of_pair)
        seeds = str(len(of_pair)) + (f", {lost} diverged" if lost else "")
        table.add_row(pair, seeds, *cells, f"{np.mean([r['seconds'] for r in of_pair]):.0f}")
    console.print(table)


def draw(samples: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """For each mixture two rows: samples of the last weights and of the average, a column a pair."""
    width = max(map(len, samples.values()))
    figure, axes = plt.subplots(
        2 * len(samples), width, figsize=(2 * width, 4.4 * len(samples)), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for i, (name, frames) in enumerate(samples.items()):
        for j, (pair, frame) in enumerate(frames.items()):
            for k, (row, x) in enumerate((("last weights", frame[0]), ("average .99", frame[1]))):
                axis = axes[2 * i + k, j]
                axis.axis("on")
                pictures.scatter(axis, MIXTURES[name], x[:1000], pair.replace(", ", "\n") if k == 0 else "")
                if j == 0:
                    axis.set_ylabel(row, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main(
    *,
    steps: int = 10_000,
    seeds: int = 5,
    every_pair: bool = False,
    out: Path = RUNS,
    pictures_to: Path = PICTURES,
) -> None:
    """Train all pairs, print tables, and write a picture and a film.

    Args:
        steps: Steps of a run, 40 or a multiple of it.
        seeds: Runs of a pair on the grid.
        every_pair: Five losses, each with six penalties: four times as long.
        out: Folder of the figures of runs, from which an interrupted one goes on.
        pictures_to: Folder of the pictures.
    """
    if steps < PIECES or steps % PIECES:
        raise SystemExit(f"--steps {steps} should be {PIECES} or a multiple of it")
    out.mkdir(parents=True, exist_ok=True)
    console = Console(width=118, highlight=False)
    last: dict[str, dict[str, np.ndarray]] = {}
    films: dict[str, np.ndarray] = {}
    for name, mixture in MIXTURES.items():
        path, records = out / f"{len(mixture.modes)}-{steps}.json", []
        if path.exists():
            records = json.loads(path.read_text())
        pairs = EVERY_PAIR if every_pair else PAIRS
        kept = {pair: out / f"{len(mixture.modes)}-{steps}-{pair}.npy" for pair in pairs}
        known = {(r["pair"], r["seed"]) for r in records}
        jobs = [(pair, seed) for seed in range(seeds if name == "25 on a grid" else 1) for pair in pairs]
        jobs = [(pair, seed) for pair, seed in jobs if (str(pair), seed) not in known]
        for (pair, seed), (record, frames, training) in two_at_once(jobs, mixture, steps, console):
            if pair == PAIRS[0] and seed == 0:
                console.print(refined(pair, mixture, training))
            if seed == 0 and len(frames):
                np.save(kept[pair], frames[:, :2, :1000])
            records.append(record)
            part = path.with_suffix(".part")  # the record is written last, and whole
            part.write_text(json.dumps(records))
            part.replace(path)
        last[name] = {str(pair): np.load(file)[-1] for pair, file in kept.items() if file.exists()}
        if name == "25 on a grid" and kept[PAIRS[0]].exists():
            frames = np.load(kept[PAIRS[0]])
            films = {"last weights": frames[:, 0], "average .99": frames[:, 1]}
        show(records, name, console)
    pictures_to.mkdir(parents=True, exist_ok=True)
    draw(last, pictures_to / "gan_rings.png")
    if films:
        pictures.film(pictures_to / "gan_rings.gif", MIXTURES["25 on a grid"], films, steps // PIECES)
    console.print(f"pictures in {pictures_to}")


if __name__ == "__main__":
    cyclopts.run(main)
