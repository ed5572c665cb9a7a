"""Energies of latents, where generator and energy are so simple that the density of z is known."""

from __future__ import annotations

import jax.numpy as jnp
import keras
import numpy as np
import pytest

from supple.energy import mala, sample
from supple.energy.latent import latent_energy
from supple.energy.targets import gaussian

A, SHIFT = np.array([[1.0, 0.5], [0.0, 2.0]]), np.array([0.5, -1.0])
TARGET = gaussian([0, 1], [[1.0, 0.4], [0.4, 0.8]])


def linear(weights, z):
    return z @ weights["A"].T + weights["shift"]


GENERATOR = linear, {"A": jnp.array(A), "shift": jnp.array(SHIFT)}


@pytest.mark.parametrize("prior", [True, False])
def test_of_a_linear_generator_the_latents_are_gaussian(prior: bool) -> None:
    n, inverse = 5000, np.linalg.inv(TARGET.covariance)
    precision = A.T @ inverse @ A + prior * np.eye(2)
    covariance = np.linalg.inv(precision)
    mean = covariance @ A.T @ inverse @ (TARGET.mean - SHIFT)
    U = latent_energy(TARGET.U, GENERATOR, prior)
    z = np.asarray(sample(U, np.zeros((n, 2)), mala(0.2), 150, seed=1).x, "float64")
    assert (np.abs(z.mean(0) - mean) < 4.5 * np.sqrt(np.diagonal(covariance) / n)).all()
    centred = z - mean
    products = centred[:, :, None] * centred[:, None]
    assert (np.abs(products.mean(0) - covariance) < 4.5 * products.std(0) / np.sqrt(n)).all()


def test_the_best_critic_makes_the_generator_right() -> None:
    # G(z) = 2z ~ N(0, 4), p = N(1, 1), U = −log(p / p_G) + const
    def U(x):
        return ((x - 1) ** 2 / 2 - x**2 / 8).sum(-1)

    n = 10_000
    start = np.random.default_rng(2).normal(size=(n, 1))
    x = 2 * np.asarray(sample(latent_energy(U, lambda z: 2 * z), start, mala(0.3), 100, seed=2).x, "float64")
    assert abs(x.mean() - 1) < 4.5 / np.sqrt(n)
    assert abs(((x - 1) ** 2).mean() - 1) < 4.5 * np.sqrt(2 / n)


def test_of_keras_models() -> None:
    generator = keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(3)])
    critic = keras.Sequential(
        [keras.layers.Dense(4, "tanh"), keras.layers.Dense(1), keras.layers.Reshape(())]
    )
    generator.build((None, 2))
    critic.build((None, 3))
    z = np.random.default_rng(3).normal(size=(6, 2)).astype("float32")
    call, weights, state = latent_energy(critic, generator)
    expected = np.asarray(critic(generator(z))) + (z**2).sum(1) / 2
    assert np.asarray(call(weights, state, z)[0]) == pytest.approx(expected, abs=1e-5)
    assert sample(latent_energy(critic, generator), z, mala(0.1), 3).x.shape == (6, 2)


def test_the_same_two_are_the_same_function() -> None:
    assert latent_energy(TARGET.U, GENERATOR).call is latent_energy(TARGET.U, GENERATOR).call
