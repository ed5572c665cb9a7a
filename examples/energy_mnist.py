"""An energy of MNIST's digits, trained with chains: samples, missing halves, and what is no digit.

    pip install "supple[learn,plot]"
    python examples/energy_mnist.py
    python examples/energy_mnist.py --steps 20000 --chain-steps 40 --width 64

The images, `mnist/*-ubyte.gz`, are looked for in the folder SUPPLE_DATA, else ../shared/data. A network of
three convolutions gives U(x, y) for each digit y; training (PCD, `supple.energy.recipes.MNIST`) lowers it at
images, and raises it where 64 chains of 5,000 have come by 20 steps each. Chains keep their digit, weights
are averaged, and a run that diverges goes back by itself. The sampler is a short-run one, not Langevin
dynamics at temperature 1: it says so, and log-likelihoods would mean nothing.

Reported: AUROC of U(x) = −log Σ exp −U(x, y), test digits against Fashion-MNIST, uniform noise and inverted
digits; the Fréchet distance of features of a small classifier trained here, which is no FID of an Inception
network; p(y|x). A run that was stopped, by Ctrl-C too, goes on to the same bits with --resume.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cyclopts
import mnist
import numpy as np

import supple  # noqa: F401  # before Keras: it chooses the backend

from supple.energy import auroc, frechet_distance, ula  # isort: skip
from supple.energy.features import train_features  # isort: skip
from supple.energy.jem import class_probabilities  # isort: skip
from supple.energy.networks import convolutional  # isort: skip
from supple.energy.pictures_images import save_film, save_sheet  # isort: skip
from supple.energy.recipes import MNIST, Recipe  # isort: skip
from supple.energy.tasks import energies_at, generate, inpaint  # isort: skip
from supple.energy.trainer import Run, fit  # isort: skip

HERE = Path(__file__).resolve().parent
PICTURES, RUNS = HERE / "pictures", HERE.parent / "runs" / "energy_mnist"
DIGITS = np.arange(10)


def noise(n: int, seed: int) -> np.ndarray:
    """Where chains begin: uniform noise (n, 28, 28, 1)."""
    return np.random.default_rng(seed).random((n, 28, 28, 1), np.float32)


def sampler_of(recipe: Recipe) -> Any:
    return ula(recipe.epsilon, recipe.temperature, recipe.noise, recipe.clip, recipe.clamp)


def draw_samples(model: Any, sampler: Any, steps: int, folder: Path) -> None:
    """Ten chains of each digit, from noise: a sheet, and a film of the first forty."""
    y, every = np.tile(DIGITS, 10), max(1, steps // 50)
    film = generate(model, noise(100, 1), sampler, steps - steps % every, seed=1, y=y, keep=every)
    save_sheet(folder / "energy_mnist_samples.png", film[:, -1])
    save_film(folder / "energy_mnist_chains.gif", film[:40], scale=1)


def draw_halves(model: Any, sampler: Any, steps: int, test: np.ndarray, y: np.ndarray, folder: Path) -> None:
    """Digits; their lower halves gone; two completions of each."""
    x, digits = test[:10], y[:10]
    known = np.zeros((28, 28, 1), bool)
    known[:14] = True
    rows = [x, np.where(known, x, 0.3)]
    for seed in 2, 3:
        rows.append(inpaint(model, x, known, noise(10, seed), sampler, steps, seed, y=digits))
    save_sheet(folder / "energy_mnist_inpainting.png", np.concatenate(rows))


def foreign(model: Any, test: np.ndarray, folder: Path) -> dict[str, float]:
    """AUROC of U, digits against what is none; a histogram of U."""
    others = {
        "Fashion-MNIST": mnist.scaled(mnist.fashion()),
        "uniform noise": noise(1000, 5),
        "inverted digits": 1 - test[:1000],
    }
    u = energies_at(model, test)
    found = {name: energies_at(model, x) for name, x in others.items()}
    draw_energies({"test digits": u} | found, folder / "energy_mnist_ood.svg")
    return {name: auroc(u, other) for name, other in found.items()}


def draw_energies(energies: dict[str, np.ndarray], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
    low, high = min(u.min() for u in energies.values()), max(u.max() for u in energies.values())
    for colour, (name, u) in zip(("#08306b", "#d95f02", "#7570b3", "#1b9e77"), energies.items(), strict=True):
        bins = np.linspace(low, high, 120)
        axis.hist(u, bins, density=True, histtype="stepfilled", alpha=0.75, color=colour, label=name)
    axis.set(xlabel="U(x)", ylabel="density", yscale="log")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="upper center")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_history(run: Run, path: Path) -> None:
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
    features, rng = train_features(images[:20_000], labels[:20_000]), np.random.default_rng(6)

    def some(x: Any) -> np.ndarray:  # in the files writers come one after the other
        return np.asarray(x)[rng.permutation(len(x))[:2000]]

    real = features.of(some(test))
    fakes = {"chains": some(run.buffer.x), "training images": some(images[20_000:])}  # type: ignore[union-attr]
    found = {name: frechet_distance(real, features.of(x)) for name, x in fakes.items()}
    return found | {"classifier's accuracy": features.accuracy}


def main(
    *,
    steps: int = MNIST.steps,
    chain_steps: int = MNIST.chain_steps,
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
        steps: Updates of the weights.
        chain_steps: Steps of a chain for each.
        width: Channels of the first convolution; twice as many of the others.
        sample_steps: Steps of the chains that are shown, from noise.
        seed: Of all that is random.
        minutes: Stop training after so many; --resume goes on.
        resume: Go on where an earlier run stopped.
        runs: The folder of the checkpoint and the figures.
        pictures: The folder of pictures.
    """
    recipe = replace(MNIST, steps=steps, chain_steps=chain_steps, seed=seed)
    images, labels = mnist.scaled(mnist.images("train")), mnist.labels("train")
    test, test_labels = mnist.scaled(mnist.images("t10k")), mnist.labels("t10k")
    runs.mkdir(parents=True, exist_ok=True)
    pictures.mkdir(parents=True, exist_ok=True)
    sampler, network = sampler_of(recipe), convolutional((28, 28, 1), width, classes=10, seed=seed)
    began = time.perf_counter()
    run = fit(network, images, recipe, y=labels, checkpoint=runs / "run.npz", resume=resume, minutes=minutes)
    seconds, model = time.perf_counter() - began, run.model()
    print(f"{run.steps} steps, {seconds:.0f} s of training, {len(run.rollbacks)} rollbacks")
    draw_history(run, pictures / "energy_mnist_training.svg")
    draw_samples(model, sampler, sample_steps, pictures)
    draw_halves(model, sampler, sample_steps, test, test_labels, pictures)
    scores = foreign(model, test, pictures)
    right = np.asarray(class_probabilities(model, test)).argmax(1) == test_labels
    found = {
        "steps": run.steps,
        "seconds of training": seconds,
        "rollbacks": run.rollbacks,
        "AUROC of test digits against": scores,
        "Fréchet distance of our features to test images": distances(run, images, labels, test),
        "accuracy of p(y|x), which nothing trained": float(right.mean()),
        "seconds": time.perf_counter() - began,
    }
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text)
    (runs / "results.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    cyclopts.run(main)
