"""Objectives against closed forms of Gaussians and each other; scores and log Z that they recover."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supple.energy import objectives

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(200, 3)), jnp.float32)
A = jnp.asarray([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])


def quadratic(x):
    """½ xᵀ A x, of gradient A x and Hessian A."""
    return 0.5 * ((x @ A) * x).sum(-1)


def test_gradient_of_a_quadratic() -> None:
    np.testing.assert_allclose(objectives.gradient(quadratic, X), X @ A, rtol=1e-5)


def test_contrastive_is_a_difference_of_means_and_penalties_add_both_squares() -> None:
    real, fake = jnp.array([1.0, 3.0]), jnp.array([-1.0, 0.0])
    assert objectives.contrastive(real, fake) == pytest.approx(2.5)
    assert objectives.energy_penalty(real, fake) == pytest.approx(5 + 0.5)


def test_gradient_penalty_of_a_quadratic() -> None:
    expected = ((X @ A) ** 2).sum(-1).mean()
    assert objectives.gradient_penalty(quadratic, X) == pytest.approx(float(expected), rel=1e-5)


def test_denoising_by_its_definition() -> None:
    noise = jnp.asarray(RNG.normal(size=X.shape), jnp.float32)
    sigma = jnp.linspace(0.1, 1.0, len(X))
    blurred = X + sigma[:, None] * noise
    expected = 0.5 * ((sigma[:, None] * (blurred @ A) - noise) ** 2).sum(-1).mean()
    assert objectives.denoising(quadratic, X, noise, sigma) == pytest.approx(float(expected), rel=1e-5)


def test_sliced_by_its_definition() -> None:
    v = jnp.asarray(RNG.choice([-1.0, 1.0], size=X.shape), jnp.float32)
    expected = (0.5 * ((X @ A) ** 2).sum(-1) - ((v @ A) * v).sum(-1)).mean()
    assert objectives.sliced(quadratic, X, v) == pytest.approx(float(expected), rel=1e-4)


def test_noise_contrastive_at_the_truth_cannot_tell_q_from_q() -> None:
    log_q = lambda x: -0.5 * (x**2).sum(-1)  # noqa: E731
    found = objectives.noise_contrastive(-log_q(X), -log_q(X), log_q(X), log_q(X))
    assert found == pytest.approx(2 * np.log(2), rel=1e-5)


def test_score_matching_of_a_gaussian_is_least_at_its_precision() -> None:
    """Of U = ½ a x² and data of variance s², DSM is least at a = 1/(s² + σ²), SSM at a = 1/s²."""
    s, sigma, n = 2.0, 0.5, 200_000
    x = jnp.asarray(s * RNG.normal(size=(n, 1)), jnp.float32)
    noise = jnp.asarray(RNG.normal(size=(n, 1)), jnp.float32)

    def U(a):
        return lambda x: 0.5 * a * (x**2).sum(-1)

    dsm = jax.grad(lambda a: objectives.denoising(U(a), x, noise, sigma))
    ssm = jax.grad(lambda a: objectives.sliced(U(a), x, jnp.ones_like(x)))
    for slope, least in (dsm, 1 / (s**2 + sigma**2)), (ssm, 1 / s**2):
        # both are quadratic in a: their least point follows from two slopes
        low, high = float(slope(0.0)), float(slope(1.0))
        assert -low / (high - low) == pytest.approx(least, rel=0.02)
