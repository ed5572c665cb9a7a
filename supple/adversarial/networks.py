"""Small generators z (batch, latent) -> x, as pairs (f, weights) like the networks of `supple.energy`.

Those are critics too: a critic is an energy with its sign turned. Images are (batch, height, width,
channels), of numbers from 0 to 1. The function f of equal arguments is always the same: it is compiled once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import jax

from supple.energy.networks import Network, Weights, affine, convolved, dense, leaky


def perceptron(
    inputs: int, shape: Sequence[int], sizes: Sequence[int] = (128, 128), seed: int = 0
) -> Network:
    """Points of shape (d,) or images, through leaky hidden layers of these sizes; of shape () a critic.

    The perceptron of `supple.energy.networks` is smooth, as a score should be; this one has kinks.
    """
    widths = [inputs, *sizes, math.prod(shape)]
    keys = jax.random.split(jax.random.key(seed), len(widths) - 1)
    weights = {f"dense_{i}": dense(key, *widths[i : i + 2]) for i, key in enumerate(keys)}
    return perceptron_call(tuple(shape)), weights


@lru_cache
def perceptron_call(shape: tuple[int, ...]) -> Callable[..., Any]:
    def call(weights: Weights, x: Any) -> Any:
        x = x.reshape(len(x), -1)
        for i in range(len(weights)):
            x = affine(weights[f"dense_{i}"], leaky(x) if i else x)
        x = x.reshape(-1, *shape)
        return jax.nn.sigmoid(x) if len(shape) > 1 else x

    return call


def convolutional(latent: int, shape: Sequence[int], width: int = 32, seed: int = 0) -> Network:
    """Images from a layer of a quarter of their height and breadth, doubled twice by convolutions 3 × 3.

    ValueError if a side is no multiple of 4.
    """
    height, breadth, channels = quarters(shape)
    keys = jax.random.split(jax.random.key(seed), 3)
    weights = {
        "dense": dense(keys[0], latent, height * breadth * 2 * width),
        "middle": dense(keys[1], 9 * 2 * width, 4 * width),
        "last": dense(keys[2], 9 * width, 4 * channels),
    }
    return convolutional_call(height, breadth), weights


@lru_cache
def convolutional_call(height: int, breadth: int) -> Callable[..., Any]:
    def call(weights: Weights, z: Any) -> Any:
        x = leaky(affine(weights["dense"], z)).reshape(len(z), height, breadth, -1)
        x = leaky(spread(convolved(weights["middle"], x, 3)))
        return jax.nn.sigmoid(spread(convolved(weights["last"], x, 3)))

    return call


def residual(
    latent: int, shape: Sequence[int], widths: Sequence[int] = (256, 256, 128, 128), seed: int = 0
) -> Network:
    """Images by residual blocks, one a width after the first, each of which doubles what is 4 × 4 at first.

    The like of `supple.energy.networks.residual`, and without normalisation like it. ValueError unless so
    many doublings make the image.
    """
    side = 4 * 2 ** (len(widths) - 1)
    if tuple(shape[:2]) != (side, side):
        raise ValueError(f"{len(widths)} widths make images of {side} × {side}, not {tuple(shape)}")
    keys = iter(jax.random.split(jax.random.key(seed), 3 * len(widths)))
    weights = {"first": dense(next(keys), latent, 16 * widths[0])}
    for i, (before, after) in enumerate(pairwise(widths)):
        weights[f"block_{i}"] = {
            "one": dense(next(keys), 9 * before, after),
            "two": dense(next(keys), 9 * after, after),
            "past": dense(next(keys), before, after),
        }
    weights["output"] = dense(next(keys), 9 * widths[-1], shape[-1])
    return residual_call, weights


def residual_call(weights: Weights, z: Any) -> Any:
    x = affine(weights["first"], z).reshape(len(z), 4, 4, -1)
    for i in range(len(weights) - 2):
        block = weights[f"block_{i}"]
        x = doubled(x)
        y = convolved(block["one"], leaky(x), 3)
        y = convolved(block["two"], leaky(y), 3)
        x = (affine(block["past"], x) + y) / math.sqrt(2)  # of the variance of either
    return jax.nn.sigmoid(convolved(weights["output"], leaky(x), 3))


def doubled(x: Any) -> Any:
    """Each pixel as four."""
    return x.repeat(2, 1).repeat(2, 2)


def spread(x: Any) -> Any:
    """(batch, h, w, 4 c) as (batch, 2h, 2w, c): channels become pixels."""
    n, height, breadth, channels = x.shape
    x = x.reshape(n, height, breadth, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * breadth, channels // 4)


def quarters(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or shape[0] % 4 or shape[1] % 4:
        raise ValueError(f"shape = {tuple(shape)}; give (height, width, channels), sides multiples of 4")
    return shape[0] // 4, shape[1] // 4, shape[2]
