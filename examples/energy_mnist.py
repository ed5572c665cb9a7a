"""An energy of MNIST's digits, trained with chains: samples, missing halves, and what is no digit.

    pip install "supple[learn,plot]"
    python examples/energy_mnist.py
    python examples/energy_mnist.py --steps 20000 --chain-steps 40 --width 64
    python examples/energy_mnist.py --dataset cifar10 --images images.npz     # on a GPU

The images, `mnist/*-ubyte.gz`, are looked for in the folder SUPPLE_DATA, else ../shared/data. A network of
three convolutions gives U(x, y) for each digit y; training (PCD, `supple.energy.recipes.MNIST`) lowers it at
images, and raises it where 64 chains of 5,000 have come by 20 steps each. Chains keep their digit, weights
are averaged, and a run that diverges goes back by itself. The sampler is a short-run one, not Langevin
dynamics at temperature 1: it says so, and log-likelihoods would mean nothing.

Reported: AUROC of U(x) = −log Σ exp −U(x, y), test digits against Fashion-MNIST, uniform noise and inverted
digits; the Fréchet distance of features of a small classifier trained here, which is no FID of an Inception
network; p(y|x). A run that was stopped, by Ctrl-C too, goes on to the same bits with --resume.

With CIFAR-10, of which `images.npz` holds the images `x` (n, 32, 32, 3) as bytes and their labels `y`, the
recipe is `CIFAR10`, and the network residual, with spectral norm.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cyclopts
import mnist
import numpy as np

import supple  # noqa: F401  # before Keras: it chooses the backend

from supple.energy import auroc, frechet_distance  # isort: skip
from supple.energy.features import train_features  # isort: skip
from supple.energy.jem import class_probabilities, energy_of  # isort: skip
from supple.energy.networks import convolutional, residual  # isort: skip
from supple.energy.pictures_images import save_film, save_sheet  # isort: skip
from supple.energy.recipes import CIFAR10, MNIST  # isort: skip
from supple.energy.steps import sampler_of  # isort: skip
from supple.energy.tasks import energies_at, generate, inpaint  # isort: skip
from supple.energy.trainer import Run, fit  # isort: skip

HERE = Path(__file__).resolve().parent
PICTURES, RUNS = HERE / "pictures", HERE.parent / "runs"
CLASSES = np.arange(10)


def noise(n: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Where chains begin: uniform noise (n, height, width, channels)."""
    return np.random.default_rng(seed).random((n, *shape), np.float32)


def draw_samples(model: Any, sampler: Any, steps: int, shape: tuple[int, ...], path: str) -> None:
    """Ten chains of each class, from noise: a sheet, and a film of the first forty."""
    y, every = np.tile(CLASSES, 10), max(1, steps // 50)
    film = generate(model, noise(100, shape, 1), sampler, steps - steps % every, seed=1, y=y, keep=every)
    save_sheet(f"{path}_samples.png", film[:, -1])
    save_film(f"{path}_chains.gif", film[:40], scale=1)


def draw_halves(model: Any, sampler: Any, steps: int, test: np.ndarray, y: np.ndarray, path: str) -> None:
    """Images; their lower halves gone; two completions of each."""
    x, classes, shape = test[:10], y[:10], test.shape[1:]
    known = np.zeros(shape, bool)
    known[: shape[0] // 2] = True
    rows = [x, np.where(known, x, 0.3)]
    for seed in 2, 3:
        rows.append(inpaint(model, x, known, noise(10, shape, seed), sampler, steps, seed, y=classes))
    save_sheet(f"{path}_inpainting.png", np.concatenate(rows))


def foreign(model: Any, test: np.ndarray, path: str) -> dict[str, float]:
    """AUROC of U, test images against what is none; a histogram of U."""
    others = {"uniform noise": noise(1000, test.shape[1:], 5), "inverted images": 1 - test[:1000]}
    if test.shape[1:] == (28, 28, 1):
        others = {"Fashion-MNIST": mnist.scaled(mnist.fashion())} | others
    model = energy_of(model)  # U(x), of no class
    u = energies_at(model, test)
    found = {name: energies_at(model, x) for name, x in others.items()}
    draw_energies({"test images": u} | found, f"{path}_ood.svg")
    return {name: auroc(u, other) for name, other in found.items()}


def draw_energies(energies: dict[str, np.ndarray], path: str) -> None:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
    low, high = min(u.min() for u in energies.values()), max(u.max() for u in energies.values())
    for colour, (name, u) in zip(
        ("#08306b", "#d95f02", "#7570b3", "#1b9e77"), energies.items(), strict=False
    ):
        bins = np.linspace(low, high, 120)
        axis.hist(u, bins, density=True, histtype="stepfilled", alpha=0.75, color=colour, label=name)
    axis.set(xlabel="U(x)", ylabel="density", yscale="log")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="upper center")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_history(run: Run, path: str) -> None:
    """Energies of data and fakes as training went, and the age of chains."""
    import matplotlib.pyplot as plt

    history = run.history()
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 4), sharex=True, layout="constrained")
    above.plot(history["step"], history["real"], color="#08306b", label="data")
    above.plot(history["step"], history["fake"], color="#d95f02", label="chains")
    above.set(ylabel="mean U")
    above.legend(frameon=False)
    below.plot(history["step"], history["age"], color="#666666")
    below.set(xlabel="step of training", ylabel="mean age of chains, runs")
    for axis in above, below:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def distances(run: Run, images: np.ndarray, labels: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Fréchet distances from test images, 2,000 each: of the buffer's chains, and of training images."""
    third, rng = len(images) // 3, np.random.default_rng(6)  # the others are compared
    features = train_features(images[:third], labels[:third])

    def some(x: Any) -> np.ndarray:  # in the files writers come one after the other
        return np.asarray(x)[rng.permutation(len(x))[:2000]]

    real = features.of(some(test))
    fakes = {"chains": some(run.buffer.x), "training images": some(images[third:])}  # type: ignore[union-attr]
    found = {name: frechet_distance(real, features.of(x)) for name, x in fakes.items()}
    return found | {"classifier's accuracy": features.accuracy}


def main(
    *,
    dataset: Literal["mnist", "cifar10"] = "mnist",
    images: Path | None = None,
    steps: int | None = None,
    chain_steps: int | None = None,
    width: int = 32,
    sample_steps: int = 300,
    seed: int = 0,
    minutes: float | None = None,
    resume: bool = False,
    runs: Path = RUNS,
    pictures: Path = PICTURES,
) -> None:
    """Train the energy, and show what it is good for.

    Args:
        dataset: Which images; with CIFAR-10 a larger network, for a GPU.
        images: File of CIFAR-10.
        steps: Updates of the weights.
        chain_steps: Steps of a chain for each.
        width: Channels of the first convolution; twice as many of the others. Of MNIST's network.
        sample_steps: Steps of the chains that are shown, from noise.
        seed: Of all that is random.
        minutes: Stop training after so many; --resume goes on.
        resume: Go on where an earlier run stopped.
        runs: The folder of the checkpoint and the figures.
        pictures: The folder of pictures.
    """
    recipe = replace({"mnist": MNIST, "cifar10": CIFAR10}[dataset], seed=seed)
    recipe = replace(recipe, steps=steps or recipe.steps, chain_steps=chain_steps or recipe.chain_steps)
    pixels, labels, held, test_labels = mnist.data_of(dataset, images)
    x, test = mnist.scaled(pixels), mnist.scaled(held)
    path, runs = f"{pictures}/energy_{dataset}", runs / f"energy_{dataset}"
    runs.mkdir(parents=True, exist_ok=True)
    pictures.mkdir(parents=True, exist_ok=True)
    sampler, shape = sampler_of(recipe), x.shape[1:]
    if dataset == "mnist":
        network = convolutional(shape, width, classes=10, seed=seed)
    else:
        network = residual(shape, classes=10, seed=seed)
    began = time.perf_counter()
    run = fit(network, x, recipe, y=labels, checkpoint=runs / "run.npz", resume=resume, minutes=minutes)
    seconds, model = time.perf_counter() - began, run.model()
    print(f"{run.steps} steps, {seconds:.0f} s of training, {len(run.rollbacks)} rollbacks")
    draw_history(run, f"{path}_training.svg")
    draw_samples(model, sampler, sample_steps, shape, path)
    draw_halves(model, sampler, sample_steps, test, test_labels, path)
    scores = foreign(model, test, path)
    right = np.asarray(class_probabilities(model, test)).argmax(1) == test_labels
    found = {
        "steps": run.steps,
        "seconds of training": seconds,
        "rollbacks": run.rollbacks,
        "AUROC of test images against": scores,
        "Fréchet distance of our features to test images": distances(run, x, labels, test),
        "accuracy of p(y|x), which nothing trained": float(right.mean()),
        "seconds": time.perf_counter() - began,
    }
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text)
    (runs / "results.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    cyclopts.run(main)
