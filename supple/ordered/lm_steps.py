"""A step of training, as a function of arrays that is compiled once for each shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from supple.ordered.lm_network import Network, activation_terms, stateless
from supple.ordered.recipes import Recipe
from supple.sampling.autodiff import gradients

BETAS = 0.9, 0.99
EPSILON = 1e-8


def compiled(f: Callable[..., Any], donate: Sequence[int] = ()) -> Callable[..., Any]:
    """A function of arrays compiled as one does on this backend; on JAX arguments `donate` are used up."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.jit(f, donate_argnums=tuple(donate))
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(f, autograph=False, reduce_retracing=True)
    return lambda *args: f(*keras.tree.map_structure(ops.convert_to_tensor, args))


def clipped(gradient: list[Any], norm: float) -> list[Any]:
    """A gradient, shortened to this norm where it is longer."""
    length = ops.sqrt(sum(ops.sum(part**2) for part in gradient))
    return [part * ops.minimum(1.0, norm / (length + 1e-6)) for part in gradient]


def sgd(weights: list[Any], gradient: list[Any], rate: Any, decay: float) -> list[Any]:
    """Weights after a step of gradient descent with an L2 penalty, as published for AWD-LSTM."""
    return [w - rate * (g + decay * w) for w, g in zip(weights, gradient, strict=True)]


# Not Keras's optimizers: without state of their own they do not run on TensorFlow.
def adamw(
    weights: list[Any], gradient: list[Any], moments: list[Any], rate: Any, count: Any, decay: float
) -> tuple[list[Any], list[Any]]:
    """Weights after step `count`, from 1, of AdamW, and the moments: all first, all second ones.

    Loshchilov & Hutter 2019.
    """
    n = len(weights)
    first, second = (
        [beta * m + (1 - beta) * g**power for m, g in zip(moments[place : place + n], gradient, strict=True)]
        for beta, power, place in zip(BETAS, (1, 2), (0, n), strict=True)
    )
    bias_1, bias_2 = (1 - ops.power(beta, count) for beta in BETAS)
    after = [
        w - rate * (m / bias_1 / (ops.sqrt(v / bias_2) + EPSILON) + decay * w)
        for w, m, v in zip(weights, first, second, strict=True)
    ]
    return after, [*first, *second]


def initial_moments(recipe: Recipe, weights: list[Any]) -> list[Any]:
    """What an optimizer knows before its first step."""
    return [ops.zeros_like(w) for _ in BETAS for w in weights] if recipe.optimizer == "adamw" else []


def rate_at(recipe: Recipe, progress: float, length: int) -> float:
    """The learning rate for a window of so many steps, at the end of which `progress` of training is done.

    AdamW: a linear rise, then half a cosine down to a hundredth. Windows of random lengths: in proportion.
    """
    rate = recipe.learning_rate * (length / recipe.bptt if recipe.random_bptt else 1)
    if recipe.optimizer == "sgd":
        return rate
    if progress < recipe.warmup:
        return rate * progress / recipe.warmup
    falling = (progress - recipe.warmup) / (1 - recipe.warmup)
    return rate * (0.01 + 0.99 * (1 + math.cos(math.pi * falling)) / 2)


def train_step(network: Network, recipe: Recipe) -> Callable[..., Any]:
    """One step, compiled: (weights, others, moments, state, window, rate, count), the first four used up.

    It gives them anew, and the sum of -log p over the tokens of the window. What falls is the mean of that
    over tokens + `activation` AR + `temporal` TAR.
    """

    def objective(tokens: Any, targets: Any, real: Any, state: list[Any]) -> tuple[Any, Any]:
        reading = network(tokens, state, training=True)
        nll = ops.sum(network.nll(reading.dropped, targets) * real)
        ar, tar = activation_terms(reading)
        loss = nll / ops.sum(real) + recipe.activation * ar + recipe.temporal * tar
        return loss, ([ops.stop_gradient(part) for part in reading.state], ops.stop_gradient(nll))

    pure = stateless(network, objective)

    def step(
        weights: list[Any],
        others: list[Any],
        moments: list[Any],
        state: list[Any],
        window: tuple[Any, Any, Any],
        rate: Any,
        count: Any,
    ) -> tuple[Any, ...]:
        def loss_of(*weights: Any) -> tuple[Any, Any]:
            (loss, rest), after = pure(list(weights), others, *window, state)
            return loss, (rest, after)

        gradient, ((state, nll), others) = gradients(loss_of, weights)
        gradient = clipped(gradient, recipe.clip)
        if recipe.optimizer == "sgd":
            weights = sgd(weights, gradient, rate, recipe.weight_decay)
        else:
            weights, moments = adamw(weights, gradient, moments, rate, count, recipe.weight_decay)
        return weights, others, moments, state, nll

    return compiled(step, donate=(0, 1, 2, 3))


def score_step(network: Network) -> Callable[..., Any]:
    """Of (weights, others, window, state) the sum of -log p over the window and the state; compiled."""

    def score(tokens: Any, targets: Any, real: Any, state: list[Any]) -> tuple[Any, list[Any]]:
        reading = network(tokens, state)
        return ops.sum(network.nll(reading.raw, targets) * real), reading.state

    pure = stateless(network, score)
    return compiled(lambda weights, others, window, state: pure(weights, others, *window, state)[0])
