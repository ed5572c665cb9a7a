"""Small networks for energies, as pairs (f, weights) of a pure function and a dict of arrays.

f(weights, x) gives (batch,), an energy, or with `classes` (batch, classes), logits for `supple.energy.jem`.
Images are (batch, height, width, channels), values in [0, 1]. Every kernel is a matrix (inputs, outputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from supple.energy.convolution import convolve

Weights = dict[str, Any]
Network = tuple[Callable[..., Any], Weights]  # (f, weights)


def perceptron(
    shape: Sequence[int], sizes: Sequence[int] = (128, 128), classes: int | None = None, seed: int = 0
) -> Network:
    """An energy of points or images of any shape, through hidden layers of these sizes."""
    widths = [math.prod(shape), *sizes, classes or 1]
    keys = jax.random.split(jax.random.key(seed), len(widths) - 1)
    weights = {f"dense_{i}": dense(key, *widths[i : i + 2]) for i, key in enumerate(keys)}
    return flat_call, weights


def flat_call(weights: Weights, x: Any) -> Any:
    x = x.reshape(len(x), -1)
    for i in range(len(weights)):
        x = affine(weights[f"dense_{i}"], jax.nn.silu(x) if i else x)
    return squeezed(x)


def convolutional(
    shape: Sequence[int], width: int = 32, features: int = 64, classes: int | None = None, seed: int = 0
) -> Network:
    """An energy of images: three convolutions 4 × 4 of stride 2, a hidden layer of `features`, the output."""
    height, breadth, channels = checked_shape(shape, least=8)
    widths = [channels, width, 2 * width, 2 * width]
    keys = jax.random.split(jax.random.key(seed), 5)
    weights = {f"convolution_{i}": dense(keys[i], 16 * widths[i], widths[i + 1]) for i in range(3)}
    weights["dense"] = dense(keys[3], (height // 8) * (breadth // 8) * widths[3], features)
    weights["output"] = dense(keys[4], features, classes or 1)
    return convolutional_call, weights


def convolutional_call(weights: Weights, x: Any) -> Any:
    return squeezed(affine(weights["output"], convolutional_features(weights, x)))


def convolutional_features(weights: Weights, x: Any) -> Any:
    """What the last layer sees: (batch, features)."""
    x = 2 * x - 1
    for i in range(3):
        x = jax.nn.silu(convolved(weights[f"convolution_{i}"], x, 4, stride=2))
    return jax.nn.silu(affine(weights["dense"], x.reshape(len(x), -1)))


def residual(
    shape: Sequence[int],
    widths: Sequence[int] = (128, 128, 256, 256),
    classes: int | None = None,
    spectral: bool = True,
    seed: int = 0,
) -> Network:
    """A residual energy of images as of Du & Mordatch 2019: a block a width, each halving the image.

    With `spectral` every matrix is divided by its largest singular value. Without normalisation of batches,
    whose statistics would tie chains to each other.
    """
    checked_shape(shape, least=2 ** len(widths))
    keys = iter(jax.random.split(jax.random.key(seed), 3 * len(widths) + 2))
    weights = {"first": dense(next(keys), 9 * shape[-1], widths[0])}
    for i, (before, after) in enumerate(zip([widths[0], *widths], widths, strict=False)):
        weights[f"block_{i}"] = {
            "one": dense(next(keys), 9 * before, after),
            "two": dense(next(keys), 9 * after, after),
            "past": dense(next(keys), before, after),
        }
    weights["output"] = dense(next(keys), widths[-1], classes or 1)
    return partial(residual_call, spectral=spectral), weights


def residual_call(weights: Weights, x: Any, spectral: bool = True) -> Any:
    if spectral:
        weights = jax.tree.map(lambda w: w / spectral_norm(w) if w.ndim == 2 else w, weights)
    x = convolved(weights["first"], 2 * x - 1, 3)
    for i in range(len(weights) - 2):
        block = weights[f"block_{i}"]
        y = convolved(block["one"], leaky(x), 3)
        y = convolved(block["two"], leaky(y), 3)
        x = halved(y + affine(block["past"], x))
    return squeezed(affine(weights["output"], leaky(x).sum((1, 2))))


def dense(key: Any, before: int, after: int) -> Weights:
    """Weights of variance 1.5 / before: what a smooth rectifier has shrunk keeps its size."""
    kernel = jax.random.normal(key, (before, after)) * math.sqrt(1.5 / before)
    return {"kernel": kernel, "bias": jnp.zeros(after)}


def affine(layer: Weights, x: Any) -> Any:
    return x @ layer["kernel"] + layer["bias"]


def convolved(layer: Weights, x: Any, size: int, stride: int = 1) -> Any:
    """A convolution with kernels size × size and a border of 1 of zeros."""
    kernel = layer["kernel"].reshape(size, size, x.shape[-1], -1)
    return convolve(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), kernel, stride) + layer["bias"]


def spectral_norm(matrix: Any, rounds: int = 40) -> Any:
    """The largest singular value from below, uᵀWv after so many power iterations; its gradient is u vᵀ.

    From a fixed start, so that it needs no state: of an error (σ₂/σ₁)^(4 rounds), and 0 for a matrix of zeros
    would divide by 0, so never below 1e-12 (Miyato et al. 2018).
    """
    held = jax.lax.stop_gradient(matrix)
    v = jnp.ones(matrix.shape[1]) + 0.1 * jnp.cos(jnp.arange(matrix.shape[1]))  # no symmetry to be caught in
    v = jax.lax.fori_loop(0, rounds, lambda _, v: unit(held.T @ unit(held @ v)), v.astype(matrix.dtype))
    u = unit(held @ v)
    return jnp.maximum(u @ matrix @ v, 1e-12)


def unit(v: Any) -> Any:
    return v / jnp.maximum(jnp.linalg.norm(v), 1e-12)


def halved(x: Any) -> Any:
    """Means of 2 × 2 pixels; an odd last row or column is left out."""
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def leaky(x: Any) -> Any:
    return jax.nn.leaky_relu(x, 0.2)


def squeezed(x: Any) -> Any:
    """(batch, 1) as (batch,)."""
    return x[:, 0] if x.shape[1] == 1 else x


def checked_shape(shape: Sequence[int], least: int) -> tuple[int, ...]:
    if len(shape) != 3 or min(shape[:2]) < least:
        raise ValueError(f"shape = {tuple(shape)}; give (height, width, channels) of {least} pixels or more")
    return tuple(shape)
