"""A GAN on MNIST: samples, and what averages of weights are worth.

    pip install "supple[learn,plot]"
    python examples/gan_mnist.py
    python examples/gan_mnist.py --dataset cifar10 --images images.npz     # on a GPU

MNIST's files are looked for in the folder SUPPLE_DATA, else ../shared/data. For CIFAR-10, `images.npz` holds
the images `x` (n, 32, 32, 3) as bytes and their labels `y`. Writes to examples/pictures `gan_mnist.png`,
samples by the average of weights, and `gan_mnist.gif`, how they came about. An interrupted run goes on from
runs/gan_mnist with --resume.

The Fréchet distance is of features of a classifier that is trained here: it orders these samples, and is not
to be compared with published FIDs. Beside it stands that of images held out: no generator is to do better.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cyclopts
import mnist
import numpy as np
from rich.console import Console
from rich.table import Table

import supple  # noqa: F401  # before Keras: it chooses the backend

from supple.adversarial import networks  # isort: skip
from supple.adversarial.recipes import RECIPES  # isort: skip
from supple.adversarial.steps import from_array  # isort: skip
from supple.adversarial.trainer import generate, train  # isort: skip
from supple.energy import frechet_distance  # isort: skip
from supple.energy import networks as energies  # isort: skip
from supple.energy.features import train_features  # isort: skip
from supple.energy.pictures_images import save_film, save_sheet  # isort: skip

HERE = Path(__file__).resolve().parent
RUNS, PICTURES = HERE.parent / "runs" / "gan_mnist", HERE / "pictures"
FRAMES = 20  # of the film, and lines of the table


def chosen(x: np.ndarray, n: int) -> np.ndarray:
    """n images of all, not the first, which few people wrote, from 0 to 1."""
    return np.random.default_rng(0).permutation(x)[:n] / np.float32(255)


def players(dataset: str, latent: int, seed: int) -> tuple[Any, Any]:
    """A critic, which is an energy, and a generator."""
    if dataset == "mnist":
        shape = 28, 28, 1
        critic = energies.convolutional(shape, width=16, seed=2 * seed)
        return critic, networks.convolutional(latent, shape, width=16, seed=2 * seed + 1)
    shape = 32, 32, 3
    critic = energies.residual(shape, spectral=False, seed=2 * seed)
    return critic, networks.residual(latent, shape, seed=2 * seed + 1)


class Watched:
    """What was seen on the way, a file a time: an interrupted run has it too when it goes on."""

    def __init__(self, folder: Path, resume: bool) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for file in () if resume else folder.glob("*.npz"):
            file.unlink()

    def add(self, steps: int, distances: list[float], samples: np.ndarray) -> None:
        np.savez(self.folder / f"{steps:09}.npz", distances=distances, samples=samples)

    def until(self, steps: int) -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
        """Steps, distances and samples of all times so far."""
        times = sorted(time for file in self.folder.glob("*.npz") if (time := int(file.stem)) <= steps)
        files = [np.load(self.folder / f"{time:09}.npz") for time in times]
        return times, [file["distances"] for file in files], [file["samples"] for file in files]


def main(
    *,
    dataset: Literal["mnist", "cifar10"] = "mnist",
    images: Path | None = None,
    loss: str | None = None,
    penalty: str | None = None,
    strength: float | None = None,
    rate: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    n: int = 5000,
    resume: bool = False,
    runs: Path = RUNS,
    pictures: Path = PICTURES,
) -> None:
    """Train, print a table of distances, and write samples and a film.

    Args:
        dataset: Which images; with CIFAR-10 larger networks, for a GPU.
        images: File of CIFAR-10.
        loss: A name of supple.adversarial.losses.LOSSES.
        penalty: A name of supple.adversarial.penalties.PENALTIES.
        strength: Of the penalty.
        rate: Of both players.
        steps: Of training.
        seed: Of networks and noise.
        n: Samples, and images, for a distance.
        resume: Go on from the checkpoint.
        runs: Folder of the checkpoint.
        pictures: Folder of the pictures.
    """
    rates = {"critic_rate": rate, "generator_rate": rate}
    given = {"loss": loss, "penalty": penalty, "strength": strength, "steps": steps, "seed": seed, **rates}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    recipe = replace(RECIPES[{"mnist": "MNIST", "cifar10": "CIFAR-10"}[dataset]], **changes)
    console = Console(width=100, highlight=False)
    x, y, held, _ = mnist.data_of(dataset, images)
    features = train_features(x / np.float32(255), y)
    console.print(f"classifier: {features.accuracy:.2%} right on images it was not trained on")
    real, others = features.of(chosen(x, n)), features.of(chosen(held, n))
    critic, generator = players(dataset, recipe.latent, seed)
    decays, best, folder = (None, *recipe.averages), recipe.averages[0], runs / dataset
    watched = Watched(folder / "watched", resume)

    def watch(training: Any) -> None:
        found = [np.asarray(generate(generator, training, recipe, n, decay=decay)) for decay in decays]
        watched.add(training.steps, [frechet_distance(real, features.of(x)) for x in found], found[1][:50])

    every = max(1, recipe.steps // FRAMES)
    trained = train(
        critic,
        generator,
        from_array(x),
        recipe,
        folder=folder,
        resume=resume,
        every=every,
        watch=watch,
    )
    if trained.diverged:
        reached = trained.training.steps
        problem = f"diverged after step {reached:,}: lower the rates of the recipe, or give another penalty"
        if not reached:
            raise SystemExit(problem)
        console.print(problem)
    heads = "last weights", *(f"average {decay}" for decay in recipe.averages)
    table = Table("step", *heads, title="Fréchet distance of samples")
    steps_made, distances, frames = watched.until(trained.training.steps)
    for made, row in zip(steps_made, distances, strict=True):
        table.add_row(f"{made:,}", *(f"{distance:.2f}" for distance in row))
    console.print(table)
    console.print(f"of {len(others):,} images held out: {frechet_distance(real, others):.2f}")
    samples = generate(generator, trained.training, recipe, 100, seed=1, decay=best)
    pictures.mkdir(parents=True, exist_ok=True)
    save_sheet(pictures / f"gan_{dataset}.png", samples)
    save_film(pictures / f"gan_{dataset}.gif", np.stack(frames, 1), scale=1, rate=4)
    console.print(f"pictures in {pictures}")


if __name__ == "__main__":
    cyclopts.run(main)
