"""Penalties and their gradients against finite differences, and against what Dirac's GAN says of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supple.adversarial import dirac
from supple.adversarial.games import Game, Players, vector_field
from supple.adversarial.losses import LOSSES
from supple.adversarial.penalties import PENALTIES, between, dragan, normalised, quadratic, slopes
from tests.numerics import double, slope

SHAPES = (3, 5), (5,), (5, 1)
SIZES = [math.prod(shape) for shape in SHAPES]
KEY = 7


@pytest.fixture(autouse=True, scope="module")
def in_double() -> Iterator[None]:
    """In float64."""
    with double():
        yield


def split(phi: Any) -> list[Any]:
    parts = jnp.split(jnp.asarray(phi), np.cumsum(SIZES)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, SHAPES, strict=True)]


def critic(phi: Any, x: Any) -> Any:
    """A small network of flat weights (25,) on points (batch, 3)."""
    w, b, v = split(phi)
    return (jnp.tanh(x @ w + b) @ v)[:, 0]


def linear(phi: Any, x: Any) -> Any:
    return x @ phi


RNG = np.random.default_rng(0)
PHI, REAL, FAKE = RNG.normal(size=sum(SIZES)), RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3)) + 1


def slopes_by_differences(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(slope(lambda x: np.asarray(critic(PHI, x)), x), axis=1)


@pytest.mark.parametrize("name", PENALTIES)
def test_value_is_that_of_slopes_by_finite_differences(name: str) -> None:
    key = jax.random.key(KEY)
    u = np.asarray(jax.random.uniform(key, (6,), "float64"))[:, None]
    noise = np.asarray(jax.random.normal(key, (6, 3), "float64"))
    mixed, around = slopes_by_differences(u * REAL + (1 - u) * FAKE), REAL + REAL.std() / 2 * noise
    rise = np.asarray(critic(PHI, REAL) - critic(PHI, FAKE))
    expected = {
        "none": 0.0,
        "WGAN-GP": ((mixed - 1) ** 2).mean(),
        "zero-centred": (mixed**2).mean(),
        "WGAN-div": (mixed**6).mean(),
        "R1": (slopes_by_differences(REAL) ** 2).mean() / 2,
        "R2": (slopes_by_differences(FAKE) ** 2).mean() / 2,
        "DRAGAN": ((slopes_by_differences(around) - 1) ** 2).mean(),
        "GAN-QP": (rise**2 / (2 * np.linalg.norm(REAL - FAKE, axis=1))).mean(),
        "L2": (PHI**2).sum() / 2,
    }
    found = PENALTIES[name](critic, jnp.asarray(PHI), jnp.asarray(REAL), jnp.asarray(FAKE), key)
    np.testing.assert_allclose(found, expected[name], rtol=1e-7)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    key = jax.random.key(KEY)

    @jax.jit
    def value(phi: Any, fake: Any) -> Any:
        return PENALTIES[name](critic, phi, jnp.asarray(REAL), fake, key)

    by_weights, by_fake = jax.grad(value, (0, 1))(jnp.asarray(PHI), jnp.asarray(FAKE))
    expected = slope(lambda phi: np.asarray(value(phi, FAKE)), PHI)
    np.testing.assert_allclose(by_weights, expected, rtol=1e-6, atol=1e-7)
    expected = slope(lambda fake: np.asarray(value(PHI, fake)), FAKE)  # what consensus and ODE-GAN see
    np.testing.assert_allclose(by_fake, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_flat_critic_and_equal_points_have_finite_gradients(name: str) -> None:
    zero, x, key = jnp.zeros(3), jnp.ones((4, 3)), jax.random.key(0)
    assert jnp.isfinite(jax.grad(PENALTIES[name], 1)(linear, zero, x, x, key)).all()


def test_images_have_one_slope_each() -> None:
    phi, x = jnp.asarray(RNG.normal(size=(4, 4, 2))), jnp.asarray(RNG.normal(size=(3, 4, 4, 2)))

    def dot(phi: Any, x: Any) -> Any:
        return (phi * x).sum((1, 2, 3))

    np.testing.assert_allclose(slopes(dot, phi, x), np.full(3, np.linalg.norm(phi)), rtol=1e-12)
    half = between(x, -x, jnp.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(half, np.stack([-x[0], 0 * x[0], x[2]]), atol=1e-12)
    dragan(dot, phi, x, x, jax.random.key(0))
    np.testing.assert_allclose(
        quadratic(dot, phi, x, -x), np.mean(2 * dot(phi, x) ** 2 / jnp.sqrt((4 * x**2).sum((1, 2, 3))))
    )


GAMES = {  # of the table of `dirac`: a loss, a penalty, and λ
    "bilinear": ("Wasserstein", "none", 0.0),
    "saturating": ("saturating", "none", 0.0),
    "non-saturating": ("non-saturating", "none", 0.0),
    "WGAN-GP, c = 1": ("Wasserstein", "WGAN-GP", 0.1),
    "WGAN-GP, c = 0": ("Wasserstein", "zero-centred", 0.1),
    "GAN-QP": ("Wasserstein", "GAN-QP", 1.0),
    "saturating + R1": ("saturating", "R1", 0.1),
    "non-saturating + R1": ("non-saturating", "R1", 0.1),
    "non-saturating + R1 ": ("non-saturating", "R2", 0.1),
}


@pytest.mark.parametrize("name", GAMES)
def test_losses_and_penalties_have_the_fields_of_dirac_gans(name: str) -> None:
    loss, penalty, strength = GAMES[name]

    def scored(phi: Any, theta: Any) -> tuple[Any, Any]:
        return linear(phi, jnp.zeros_like(theta)[None]), linear(phi, theta[None])

    def L1(phi: Any, theta: Any, batch: Any) -> Any:
        points = jnp.zeros_like(theta)[None], theta[None]
        held = PENALTIES[penalty](linear, phi, *points, jax.random.key(0))
        return -LOSSES[loss].critic(*scored(phi, theta)) - strength * held

    game = Game(L1, lambda phi, theta, batch: LOSSES[loss].generator(*scored(phi, theta)))
    state = Players(jnp.array([0.3, -0.7]), jnp.array([0.5, 0.2]))
    found, expected = vector_field(game, state), dirac.TABLE[name.strip()].field(state)
    np.testing.assert_allclose(found.phi, expected.phi, rtol=1e-12)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-12)


def test_spectral_norm_is_that_of_svd() -> None:
    weights = {"w": jnp.asarray(RNG.normal(size=(30, 7))), "b": jnp.ones(7)}
    kernel = jnp.asarray(RNG.normal(size=(3, 3, 4, 20)))
    found = normalised([weights, kernel])
    matrices = found[0]["w"], found[1].reshape(-1, 20)
    for w in matrices:  # σ is found from below, in a few rounds of power iteration
        assert 1 - 1e-12 < np.linalg.svd(w, compute_uv=False)[0] < 1.05
    np.testing.assert_array_equal(found[0]["b"], np.ones(7))
    ratio = np.asarray(found[1] / kernel)
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-12)
    low_rank = jnp.outer(jnp.arange(1.0, 5), jnp.arange(2.0, 5))
    np.testing.assert_allclose(np.linalg.norm(normalised(low_rank), 2), 1, rtol=1e-12)
    assert jnp.isfinite(jax.grad(lambda w: normalised(w).sum())(low_rank)).all()


def test_spectral_norm_of_large_noise_is_within_a_part_of_fifty() -> None:
    """Its singular values lie close together, which is the worst for power iteration."""
    for shape in (256, 256), (1024, 128):
        w = jnp.asarray(RNG.normal(size=shape))
        assert 1 - 1e-12 < np.linalg.norm(normalised(w), 2) < 1.02


def test_gradient_of_what_is_normalised_is_that_of_svd() -> None:
    left, _, right = np.linalg.svd(RNG.normal(size=(4, 3)), full_matrices=False)
    w = left @ np.diag([5.0, 1.0, 0.5]) @ right  # far apart: of an error of 5^-32 in σ
    a = RNG.normal(size=(4, 3))
    found = jax.grad(lambda w: (jnp.asarray(a) * normalised(w)).sum())(jnp.asarray(w))
    np.testing.assert_allclose(found, slope(lambda w: a * w / np.linalg.norm(w, 2), w), rtol=1e-5, atol=1e-7)
