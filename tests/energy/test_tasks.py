"""Tasks on Gaussians, of which every answer is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supple.energy import latent_energy, log_z_bracket, mala, sample, targets, ula
from supple.energy.anatomy import anatomy_of
from supple.energy.buffer import new_buffer
from supple.energy.jem import energy_of
from supple.energy.tasks import (
    denoise,
    denoise_at_once,
    energies_at,
    generate,
    given,
    in_turn,
    inpaint,
    mixture,
    observed,
    product,
)

COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.0]])
GAUSSIAN = targets.gaussian([0.5, -0.5], COVARIANCE)
N = 2000
X = np.linspace(-2, 2, 10).reshape(5, 2).astype(np.float32)


def energy(model, x):
    call, weights, state = energy_of(model)
    return np.asarray(call(weights, state, jnp.asarray(x))[0])


def normal(mean: float, sd: float):
    return lambda x: (((x - mean) / sd) ** 2).sum(-1) / 2


def test_generated_points_are_of_their_class() -> None:
    """Classes at −3 and 3."""
    model = lambda x: jnp.concatenate([-((x + 3) ** 2) / 2, -((x - 3) ** 2) / 2], 1)  # noqa: E731
    y = np.arange(400) % 2
    film = generate(model, np.zeros((400, 1), "float32"), ula(0.2), 60, y=y, keep=20)
    assert film.shape == (400, 3, 1)
    last = generate(model, np.zeros((400, 1), "float32"), ula(0.2), 60, y=y)
    np.testing.assert_array_equal(film[:, -1], last)
    means = [float(last[y == c].mean()) for c in (0, 1)]
    assert means == pytest.approx([-3, 3], abs=0.3)
    np.testing.assert_array_equal(
        generate(model, X[:, :1], ula(0.2), 3, y=1), generate(model, X[:, :1], ula(0.2), 3, y=[1] * 5)
    )
    for wrong in 2, -1:
        with pytest.raises(ValueError, match=f"classes go from {wrong} to {wrong}, and the energy has 2"):
            generate(model, X[:, :1], ula(0.2), 3, y=wrong)
    with pytest.raises(ValueError, match=r"classes have shape \(2,\) for 5 points; give one each"):
        generate(model, X[:, :1], ula(0.2), 3, y=[0, 1])


def test_inpainting_samples_the_conditional() -> None:
    """Of x₂ given x₁ = 1: mean μ₂ + ρ (1 − μ₁), variance 1 − ρ²."""
    x = np.tile(np.array([[1.0, 99.0]], "float32"), (N, 1))
    found = np.asarray(inpaint(GAUSSIAN.U, x, [True, False], np.zeros_like(x), mala(0.3), 60))
    assert (found[:, 0] == 1).all()
    assert found[:, 1].mean() == pytest.approx(-0.5 + 0.8 * 0.5, abs=0.06)
    assert found[:, 1].var() == pytest.approx(1 - 0.8**2, rel=0.12)


def test_given_sees_only_the_unknown() -> None:
    held = given(GAUSSIAN.U, X, np.array([True, False]))
    mixed = np.stack([X[:, 0], X[:, 1] + 1], 1)
    assert energy(held, X + 1) == pytest.approx(np.asarray(GAUSSIAN.U(mixed)), rel=1e-5)
    with pytest.raises(ValueError, match=r"known has shape \(3,\) for x of shape \(5, 2\)"):
        given(GAUSSIAN.U, X, [True, False, True])


def test_denoising_samples_the_posterior() -> None:
    """Of N(0, 4) seen at 3 with noise of sd 1: mean 3 · 4/5, variance 4/5; by the blurred energy at once."""
    noisy = np.full((N, 1), 3.0, "float32")
    found = np.asarray(denoise(normal(0.0, 2.0), noisy, 1.0, mala(0.5), 40))
    assert found.mean() == pytest.approx(2.4, abs=0.08)
    assert found.var() == pytest.approx(0.8, rel=0.12)
    at_once = np.asarray(denoise_at_once(normal(0.0, np.sqrt(5)), noisy, 1.0))
    assert at_once == pytest.approx(np.full((N, 1), 2.4), rel=1e-5)


def test_sigma_is_checked() -> None:
    for f in observed, denoise_at_once:
        with pytest.raises(ValueError, match="sigma = 0 should be above 0"):
            f(GAUSSIAN.U, X, 0)


def test_products_and_negations_of_gaussians_are_gaussians() -> None:
    a, b = normal(1.0, 1.0), normal(-2.0, 2.0)
    both = product([a, b])  # precision 1 + 1/4, mean (1 − 2/4) / (5/4)
    assert energy(both, X) - energy(both, X[:1]) == pytest.approx(
        energy(normal(0.4, np.sqrt(0.8)), X) - energy(normal(0.4, np.sqrt(0.8)), X[:1]), abs=1e-4
    )
    a_not_b = product([a, b], [1.0, -1.0])
    assert energy(a_not_b, X) == pytest.approx(np.asarray(a(X) - b(X)), abs=1e-4)


def test_a_mixture_is_the_log_of_a_sum_and_can_be_composed_again() -> None:
    a, b = normal(1.0, 1.0), normal(-2.0, 2.0)
    either = mixture([a, b], [0.25, 0.75])
    expected = -np.log(0.25 * np.exp(-np.asarray(a(X))) + 0.75 * np.exp(-np.asarray(b(X))))
    assert energy(either, X) == pytest.approx(expected, rel=1e-5)
    assert energy(product([either, a]), X) == pytest.approx(expected + np.asarray(a(X)), rel=1e-5)
    with pytest.raises(ValueError, match="3 numbers for 2 models"):
        mixture([a, b], [1.0, 2.0, 3.0])


def test_energies_come_in_order_whatever_the_batch() -> None:
    x = np.random.default_rng(0).normal(size=(23, 2)).astype(np.float32)
    np.testing.assert_allclose(energies_at(GAUSSIAN.U, x, batch=5), GAUSSIAN.U(x), rtol=1e-5)


def test_two_models_share_one_buffer() -> None:
    """In turn on N(∓1, 1): each model pulls chains its way, so that they end between, wider than either."""
    buffer = new_buffer(lambda key, n: jnp.full((n, 1), 5.0), N, jax.random.key(0))
    moved = in_turn([normal(-1.0, 1.0), normal(1.0, 1.0)], buffer, ula(0.1), steps=5, rounds=60, batch=N // 2)
    assert float(moved.x.mean()) == pytest.approx(0, abs=0.15)
    assert 1.0 < float(moved.x.var()) < 2.0
    # 2 × 60 batches of half the chains
    assert float(moved.age.mean()) == pytest.approx(60)
    with pytest.raises(ValueError, match="make the buffer larger"):
        in_turn([normal(0.0, 1.0)], buffer, ula(0.1), 1, 1, batch=N + 1)


def test_chains_in_turn_keep_their_classes() -> None:
    model = lambda x: jnp.concatenate([-((x + 3) ** 2) / 2, -((x - 3) ** 2) / 2], 1)  # noqa: E731
    buffer = new_buffer(lambda key, n: jnp.zeros((n, 1)), 200, jax.random.key(0), [0, 1])
    moved = in_turn([model, model], buffer, ula(0.2), steps=30, rounds=1, batch=200)
    means = [float(moved.x[moved.y == c].mean()) for c in (0, 1)]
    assert means == pytest.approx([-3, 3], abs=0.4)


def test_a_forgotten_sum_is_told() -> None:
    """Also where an energy for each coordinate could pass for one of each class."""
    U = lambda x: (x**2) / 2  # noqa: E731
    buffer = new_buffer(lambda key, n: jnp.zeros((n, 2)), 10, jax.random.key(0))
    z = np.zeros((2, 2), "float32")
    for task in (
        lambda: generate(U, X, ula(0.1), 2),
        lambda: inpaint(U, X, [True, False], X, ula(0.1), 2),
        lambda: denoise(U, X, 1.0, ula(0.1), 2),
        lambda: denoise_at_once(U, X, 1.0),
        lambda: generate(product([GAUSSIAN.U, U]), X, ula(0.1), 2),
        lambda: generate(mixture([U]), X, ula(0.1), 2),
        lambda: energies_at(U, X),
        lambda: anatomy_of(U, X, X),
        lambda: log_z_bracket(U, X, mala(0.1), 2),
        lambda: sample(latent_energy(U, lambda z: z), z, ula(0.1), 2),  # (2, 2) + (2,) is no error
    ):
        with pytest.raises(ValueError, match=r"U gave shape \((\d), 2\) .* expected \(\1,\); give one"):
            task()
    with pytest.raises(ValueError, match=r"outputs have shape \(5, 2\), of classes, and the chains have"):
        in_turn([U], buffer, ula(0.1), 1, 1, batch=5)


def test_classes_without_one_are_asked_for_by_name() -> None:
    model = lambda x: jnp.concatenate([-((x + 3) ** 2) / 2, -((x - 3) ** 2) / 2], 1)  # noqa: E731
    x = X[:, :1]
    with pytest.raises(ValueError, match=r"of classes give y, or energy_of\(model\) for −log Σ exp"):
        energies_at(model, x)
    expected = -np.logaddexp(*np.asarray(model(x)).T)
    np.testing.assert_allclose(energies_at(energy_of(model), x), expected, rtol=1e-6)
