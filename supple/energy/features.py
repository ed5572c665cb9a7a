"""Features of a small classifier that is trained here, for Fréchet distances of images.

A distance of these features orders samples of one data set as an FID does, and is not to be compared with
one of an Inception network: say "FID of features of a classifier trained on …" where it is told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from supple.energy.evaluate import frechet_distance
from supple.energy.networks import convolutional, convolutional_call, convolutional_features

BATCH = 500  # images at once


class Features(NamedTuple):
    """A classifier's weights, and how many of the images that it was not trained on it names rightly."""

    weights: Any
    accuracy: float

    def of(self, images: Any) -> np.ndarray:
        """What the classifier's last layer sees, (n, 64), of images (n, height, width, channels)."""
        parts = [hidden(self.weights, images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
        return np.concatenate([np.asarray(part) for part in parts])

    def distance(self, real: Any, fake: Any) -> float:
        """The Fréchet distance of two sets of images: of as many for each figure that is compared."""
        return frechet_distance(self.of(real), self.of(fake))


def train_features(
    images: Any, labels: Any, *, steps: int = 600, batch: int = 128, seed: int = 0
) -> Features:
    """A classifier of images (n, height, width, channels) in [0, 1], by Adam; a tenth is held out to test it.

    ValueError if there is not a label for each image, or not a batch of them.
    """
    images, labels = np.asarray(images, "float32"), np.asarray(labels, "int32")
    if labels.shape != images.shape[:1] or len(images) < 2 * batch:
        shapes = f"images {images.shape} and labels {labels.shape}"
        raise ValueError(f"{shapes} do not fit; give a label an image, and {2 * batch} or more")
    order = np.random.default_rng(seed).permutation(len(images))
    test, train = np.split(order, [len(order) // 10])
    _, weights = convolutional(images.shape[1:], width=16, classes=int(labels.max()) + 1, seed=seed)
    rule = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    moments, rng = rule.init(weights), np.random.default_rng(seed + 1)

    @jax.jit
    def step(weights: Any, moments: Any, x: Any, y: Any) -> tuple[Any, Any]:
        slope = jax.grad(cross_entropy)(weights, x, y)
        updates, moments = rule.update(slope, moments)
        return optax.apply_updates(weights, updates), moments

    for _ in range(steps):
        rows = rng.choice(train, batch)
        weights, moments = step(weights, moments, images[rows], labels[rows])
    features = Features(weights, 0.0)
    logits = features.of(images[test]) @ np.asarray(weights["output"]["kernel"]) + weights["output"]["bias"]
    return features._replace(accuracy=float((np.asarray(logits).argmax(1) == labels[test]).mean()))


def cross_entropy(weights: Any, x: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(convolutional_call(weights, x), y).mean()


hidden = jax.jit(convolutional_features)
