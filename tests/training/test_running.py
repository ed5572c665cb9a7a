"""Running means of pytrees are the weighted means they say, and those of `Average`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("of JAX", allow_module_level=True)

import jax
import jax.numpy as jnp

from supple.training import Average
from supple.training.running import begin, update

X = np.random.default_rng(0).normal(size=(50, 3))


def tree(x):
    return {"a": jnp.asarray(x[:2]), "b": (jnp.asarray(x[2]),)}


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 1.0])
def test_it_is_the_weighted_mean(decay: float) -> None:
    with jax.enable_x64(True):
        running = begin(tree(X[0]))
        for n, x in enumerate(X):
            running = jax.jit(update)(running, tree(x), decay)
            if n == 0:
                assert (np.asarray(running.mean["a"]) == x[:2]).all()
        weights = decay ** np.arange(len(X))[::-1]
        expected = weights @ X / weights.sum()
        np.testing.assert_allclose(running.mean["a"], expected[:2], rtol=1e-12)
        np.testing.assert_allclose(running.mean["b"][0], expected[2], rtol=1e-12)


def test_it_is_that_of_a_keras_model() -> None:
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    average = Average(layer, (0.9, 1.0))
    runnings = [begin([v.value for v in layer.trainable_variables]) for _ in average.decays]
    for x in X:
        layer.kernel.assign(np.outer(x, x[:2]))
        layer.bias.assign(x[1:])
        average.update()
        values = [v.value for v in layer.trainable_variables]
        runnings = [update(r, values, decay) for r, decay in zip(runnings, average.decays, strict=True)]
    for running, decay in zip(runnings, average.decays, strict=True):
        for a, b in zip(running.mean, average.values(decay), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_weights_of_half_precision_are_averaged_in_single() -> None:
    """In bfloat16 an average of long memory would stand still: near 1 its numbers are 1/128 apart."""
    running = begin(jnp.ones(3, jnp.bfloat16))
    for n in range(400):
        running = update(running, jnp.full(3, n % 2, jnp.bfloat16), 1.0)
    assert running.mean.dtype == "float32"
    np.testing.assert_allclose(running.mean, 0.5, rtol=1e-5)
