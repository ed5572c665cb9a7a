"""F1 itself as the loss, on noisy handwritten digits: is it an 8?

    pip install "supple[learn]" scikit-learn matplotlib
    python examples/smooth_f1.py

One image in ten is an 8. A linear model is trained by cross-entropy, by the smooth F1 of each batch, by the
same with moving counts, and by the one and then the other. Takes two minutes, and writes a picture to
`examples/pictures`: F1 of a batch is not an unbiased part of the F1 of all data, unless counts move along;
and what each way of training reaches at the threshold ½, beside cross-entropy with a threshold tuned on
other data, which is what a loss of F1 has to be compared with. Such a threshold does as well here.

The task's settings (noise of ½, which digit, ten runs) were chosen after trying others: without noise
cross-entropy was often level with the losses of F1, or ahead.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, precision_recall_curve

import supple  # noqa: F401  # before Keras: it chooses the backend

SEEDS, EPOCHS, FINE_TUNING, BATCH, RATE = 10, 30, 15, 8, 0.01
SIZES = [8, 16, 64, 256]
NOISE, COPIES = 0.5, 10  # of pixels from 0 to 1; each image to test on has ten kinds of noise
PICTURES = Path(__file__).resolve().parent / "pictures"


def task(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Half of the 1,797 images to train on, a fifth to choose thresholds, the others to test on."""
    images, digits = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    parts = dict(zip(("train", "choose", "test"), np.split(order, [898, 1257]), strict=True))
    parts["test"] = np.tile(parts["test"], COPIES)
    return {
        name: (
            (images[part] / 16 + rng.normal(0, NOISE, (len(part), 64))).astype("float32"),
            digits[part] == 8,
        )
        for name, part in parts.items()
    }


def linear(seed: int = 0):
    import keras

    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(1)])


def train(model, data, loss, rate: float = RATE, epochs: int = EPOCHS, batch: int = BATCH):
    import keras

    model.compile(keras.optimizers.Adam(rate), loss)
    return model.fit(*data, batch_size=batch, epochs=epochs, verbose=0).history["loss"]


def loss_of(name: str, model):
    import keras

    from supple import smooth

    if name == "cross-entropy":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    f1 = smooth.SoftFBeta(from_logits=True)
    return f1 if name == "F1 of the batch" else smooth.MovingCounts(f1, decay=0.99).attach(model)


def scores(seed: int) -> dict[str, float]:
    """The F1 on unseen images of each way of training."""
    data, found = task(seed), {}
    x, y = data["test"]
    for name in "cross-entropy", "F1 of the batch", "F1, moving counts":
        model = linear(seed)
        train(model, data["train"], loss_of(name, model))
        found[name] = f1_score(y, model.predict(x, verbose=0) > 0)
        if name == "cross-entropy":
            threshold = best_threshold(data["choose"][1], model.predict(data["choose"][0], verbose=0))
            found["cross-entropy, tuned threshold"] = f1_score(y, model.predict(x, verbose=0) > threshold)
            train(model, data["train"], loss_of("F1, moving counts", model), RATE / 3, FINE_TUNING)
            found["cross-entropy, then F1"] = f1_score(y, model.predict(x, verbose=0) > 0)
    return found


def best_threshold(y: np.ndarray, logits: np.ndarray) -> float:
    """Half way from the logit at which F1 is highest to the next below."""
    precision, recall, at = precision_recall_curve(y, logits[:, 0])
    best = int(np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-9)))
    return float(np.mean(at[max(best - 1, 0) : best + 1]))


def biases() -> tuple[dict[str, list[float]], float]:
    """The smooth F1 that training reports by batch size, of a model that stays as it is; and the true."""
    from supple import smooth

    data = task(0)["train"]
    trained = linear()
    train(trained, data, loss_of("cross-entropy", trained))
    reported: dict[str, list[float]] = {"F1 of the batch": [], "F1, moving counts": []}
    for name, values in reported.items():
        for size in SIZES:
            model = linear()
            model.set_weights(trained.get_weights())
            history = train(model, data, loss_of(name, model), rate=0.0, epochs=20, batch=size)
            values.append(1 - np.mean(history[10:]))
    whole = smooth.f_beta(data[1], trained.predict(data[0], verbose=0), from_logits=True)
    return reported, float(whole)


ORDER = [
    "cross-entropy",
    "cross-entropy, tuned threshold",
    "F1 of the batch",
    "F1, moving counts",
    "cross-entropy, then F1",
]
COLOURS = {"F1 of the batch": "#c05621", "F1, moving counts": "#2b6cb0", "cross-entropy, then F1": "#2b6cb0"}


def draw(reported: dict[str, list[float]], whole: float, found: list[dict[str, float]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=[1, 1.35]
    )
    for name, values in reported.items():
        left.plot(SIZES, values, "o-", color=COLOURS[name], label=name)
    left.axhline(whole, color="#1a202c", linestyle=":", label="F1 of all data at once")
    left.set_xscale("log", base=2)
    left.set_xticks(SIZES, [str(size) for size in SIZES])
    left.set(xlabel="batch size", ylabel="smooth F1, mean over batches", title="One model, as batches see it")
    left.set_ylim(0, 1.12 * whole)
    left.legend(frameon=False, loc="lower right")
    for row, name in enumerate(reversed(ORDER)):
        values, colour = [run[name] for run in found], COLOURS.get(name, "#718096")
        right.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.35, markeredgewidth=0)
        right.errorbar(np.mean(values), row, xerr=np.std(values, ddof=1), fmt="D", color=colour, capsize=3)
    right.set_yticks(range(len(ORDER)), reversed(ORDER))
    right.set(xlabel="F1 on unseen images", ylim=(-0.5, len(ORDER) - 0.5))
    right.set_title(f"{len(found)} runs of each; mean and standard deviation")
    right.locator_params(axis="x", nbins=5)
    right.grid(axis="x", color="#e2e8f0")
    right.set_axisbelow(True)
    for axes in left, right:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    console = Console()
    reported, whole = biases()
    table = Table(title=f"Smooth F1 of one model; {whole:.3f} of all data")
    for head in ("batch size", *map(str, SIZES)):
        table.add_column(head, justify="left" if head == "batch size" else "right")
    for name, values in reported.items():
        table.add_row(name, *(f"{value:.3f}" for value in values))
    console.print(table)
    found = [scores(seed) for seed in range(SEEDS)]
    title = f"F1 on unseen images: {SEEDS} runs, batches of {BATCH}"
    table = Table("trained by", "mean ± deviation", "above cross-entropy", title=title)
    for name in ORDER:
        values = [run[name] for run in found]
        above = sum(run[name] > run["cross-entropy"] for run in found)
        mean = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
        table.add_row(name, mean, "" if name == "cross-entropy" else f"{above} of {SEEDS} runs")
    console.print(table)
    PICTURES.mkdir(exist_ok=True)
    draw(reported, whole, found, PICTURES / "smooth_f1.svg")
    console.print(f"{PICTURES / 'smooth_f1.svg'}")


if __name__ == "__main__":
    main()
