"""`supple.training` on handwritten digits: attention maps, averaged weights, data that outlives a kill.

    pip install "supple[learn]" scikit-learn matplotlib
    python examples/training_helpers.py

Takes about a minute, and writes two pictures to `examples/pictures`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.datasets import load_digits

import supple  # noqa: F401  # before Keras: it chooses the backend

EPOCHS, BATCH = 40, 64
STEPS_OF_KILLED, KILLED_AT, SAVED_EVERY = 60, 37, 10
PICTURES = Path(__file__).resolve().parent / "pictures"

IMAGES, DIGITS = load_digits(return_X_y=True)  # 1,797 images of 8 x 8 pixels
IMAGES = (IMAGES.reshape(-1, 8, 8) / 16).astype("float32")
TRAIN, TEST = slice(0, 1200), slice(1200, None)  # other people wrote the last ones


class Training:
    """The images to train on, each with its digit."""

    def __len__(self) -> int:
        return TRAIN.stop

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return IMAGES[index], DIGITS[index]


def noisy(item: tuple[np.ndarray, int], rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """An image with noise, which is another one in every epoch."""
    image, digit = item
    return image + rng.normal(0, 0.15, image.shape).astype("float32"), digit


def data(workers: int = 0):
    from supple.training import Dataset

    return Dataset(Training(), noisy, batch_size=BATCH, seed=0, workers=workers)


def network():
    """A small vision transformer: 16 patches and one token that answers, which sees them by attention."""
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8))
    patches = ops.reshape(image, (-1, 4, 2, 4, 2))
    patches = ops.reshape(ops.transpose(patches, (0, 1, 3, 2, 4)), (-1, 16, 4))
    x = layers.Dense(48)(ops.pad(patches, ((0, 0), (1, 0), (0, 0))))  # the answering token comes first
    x = x + layers.Embedding(17, 48)(ops.arange(17))
    for block in 1, 2:
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 12, name=f"attention_{block}")(y, y)
        y = layers.Dense(96, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(48)(layers.Dropout(0.1)(y))
    model = keras.Model(image, layers.Dense(10)(layers.LayerNormalization()(x[:, 0])))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    return model


def same_batches() -> None:
    """The batches of two epochs from 0, 1 and 4 processes."""
    for workers in 0, 1, 4:
        digest = sha256()
        with data(workers) as batches:
            for _ in range(2):
                for images, digits in batches:
                    digest.update(images.tobytes() + digits.tobytes())
        print(f"  {workers} workers: sha256 of all batches {digest.hexdigest()[:16]}…")


def averaged_fit():
    """A model with averaged weights, and a picture of its validation accuracy with and without them."""
    import keras

    from supple.training import DatasetProgress, WeightAverage

    test = IMAGES[TEST], DIGITS[TEST]
    raw: list[float] = []

    class Raw(keras.callbacks.Callback):  # callbacks of `fit` itself see the weights as they are
        def on_epoch_end(self, epoch, logs=None):
            raw.append(self.model.evaluate(*test, verbose=0, return_dict=True)["accuracy"])

    model, batches, averages = network(), data(), WeightAverage(0.99, warmup=10)
    callbacks = [averages, Raw(), DatasetProgress(batches)]
    fitted = model.fit(
        batches,
        validation_data=test,
        epochs=EPOCHS,
        shuffle=False,
        callbacks=callbacks,
        verbose=0,
    )
    averages.average.apply()
    draw_curves(raw, fitted.history["val_accuracy"], PICTURES / "averages.svg")
    last = slice(EPOCHS // 2, None)
    for name, curve in ("raw", raw), ("averaged", fitted.history["val_accuracy"]):
        mean, spread = np.mean(curve[last]), np.std(curve[last])
        print(f"  {name:8} weights: accuracy {mean:.4f} ± {spread:.4f} over the last {EPOCHS // 2} epochs")
    return model


def attention_maps(model) -> None:
    """A picture of what the answering token looks at, read from layers that know nothing of it."""
    from supple.training import capture, paths

    print("  names:", ", ".join(path for path in paths(model) if ":" in path))
    shown = [TEST.start + int(np.flatnonzero(DIGITS[TEST] == digit)[0]) for digit in range(10)]
    seen = capture(model, IMAGES[shown], "attention_*:attention_scores", verbose=False)
    maps = [scores[:, :, 0, 1:].mean(1).reshape(-1, 4, 4) for scores in seen.values()]  # mean of the heads
    draw_attention(IMAGES[shown], maps, PICTURES / "attention.svg")


def train(folder: Path, steps: int, killed_at: int | None = None) -> None:
    """Train to a number of steps from what the folder holds; perhaps the system kills us on the way."""
    from supple.training import Average

    done, model, batches = 0, network(), data()
    model.optimizer.build(model.trainable_variables)
    average = Average(model, 0.99, warmup=10)
    variables = [*model.variables, *model.optimizer.variables]  # a .keras file would lack dropout's seeds
    if (folder / "state.json").exists():
        done, place = json.loads((folder / "state.json").read_text())
        batches.restore(place)
        with np.load(folder / f"{done}.npz") as state:
            average.restore(state)
            for number, variable in enumerate(variables):
                variable.assign(state[f"variable_{number}"])
    while done < steps:
        for images, digits in batches:
            model.train_on_batch(images, digits)
            average.update()
            done += 1
            if done % SAVED_EVERY == 0:
                values = {f"variable_{i}": np.array(v) for i, v in enumerate(variables)}
                np.savez(folder / f"{done}.npz", **values, **average.state())
                (folder / "state.json").write_text(json.dumps([done, batches.state()]))
            if done == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if done == steps:
                break


def killed_and_resumed() -> None:
    """One training in one go, another killed in the midst of an epoch and resumed: the same, bit for bit."""
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        runs = [(one, None), (other, KILLED_AT), (other, None)]
        for folder, killed_at in runs:
            run = multiprocessing.get_context("spawn").Process(
                target=train, args=(Path(folder), STEPS_OF_KILLED, killed_at)
            )
            run.start()
            run.join()
            fate = f"killed at step {killed_at}" if run.exitcode else f"{STEPS_OF_KILLED} steps"
            print(f"  exit code {run.exitcode}: {fate}")
        last = f"{STEPS_OF_KILLED}.npz"
        with np.load(Path(one) / last) as a, np.load(Path(other) / last) as b:
            same = all(np.array_equal(a[name], b[name]) for name in a.files)
        print("  weights, averages, optimizer:", "the same, bit for bit" if same else "DIFFERENT")


def draw_curves(raw: list[float], averaged: list[float], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    epochs = range(1, len(raw) + 1)
    axes.plot(epochs, raw, color="#9aa5b1", label="weights as trained")
    axes.plot(epochs, averaged, color="#2b6cb0", linewidth=2, label="their average, decay .99")
    axes.set(xlabel="epoch", ylabel="accuracy on 597 unseen digits", ylim=(0.8, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None})


def draw_attention(images: np.ndarray, maps: list[np.ndarray], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(maps) + 1, len(images), figsize=(8, 2.7), layout="constrained")
    for column, image in enumerate(images):
        axes[0, column].imshow(image, cmap="gray_r")
        for row, scores in enumerate(maps, 1):
            axes[row, column].imshow(image, cmap="gray_r", extent=(0, 4, 4, 0))
            axes[row, column].imshow(scores[column], cmap="Oranges", alpha=0.75, extent=(0, 4, 4, 0), vmin=0)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for row, name in enumerate(["digit", *(f"block {n}" for n in range(1, len(maps) + 1))]):
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    print("The same batches from any number of processes")
    same_batches()
    print(f"Averages of the weights, and the weights; {PICTURES / 'averages.svg'}")
    trained = averaged_fit()
    print(f"Where attention looks; {PICTURES / 'attention.svg'}")
    attention_maps(trained)
    print("Killed and resumed")
    killed_and_resumed()
