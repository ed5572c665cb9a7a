"""Langevin dynamics against what is known of it on Gaussians, and what it says of itself."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from supple.energy import hmc, mala, report, sample, ula
from supple.energy.samplers import Noise, at, effective_temperature, energy_and_gradient

CHAINS = 20_000


def quadratic(scales: tuple[float, ...]):  # ½ Σ (x / σ)²
    return lambda x: ((x / jnp.array(scales)) ** 2).sum(-1) / 2


def z_of_variance(x: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """z-scores of the mean squares of independent normal numbers (n, ...) of this variance."""
    return ((x**2).mean(0) / variance - 1) / np.sqrt(2 / len(x))


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_ula_has_exactly_the_bias_of_theory(epsilon: float, temperature: float) -> None:
    scales = np.array([0.6, 1.0, 1.5])
    expected = temperature * scales**2 / (1 - epsilon / (4 * scales**2))
    x = expected**0.5 * np.random.default_rng(0).normal(size=(CHAINS, 3))  # it stays as it is
    chains = sample(quadratic(tuple(scales)), x, ula(epsilon, temperature), 200, seed=1)
    assert (np.abs(z_of_variance(np.asarray(chains.x), expected)) < 4.5).all()
    assert (np.abs(np.asarray(chains.x).mean(0)) < 4.5 * np.sqrt(expected / CHAINS)).all()


def test_ula_comes_to_rest_from_anywhere_at_the_rate_of_theory() -> None:
    epsilon, steps = 0.5, 7  # mean and variance after n steps: a AR(1) process of coefficient 1 − ε/2
    chains = sample(quadratic((1.0,)), np.full((CHAINS, 1), 5.0), ula(epsilon), steps, seed=2)
    rho = 1 - epsilon / 2
    variance = epsilon * (1 - rho ** (2 * steps)) / (1 - rho**2)
    x = np.asarray(chains.x, "float64")[:, 0]
    assert abs(x.mean() - 5 * rho**steps) < 4.5 * np.sqrt(variance / CHAINS)
    assert abs(z_of_variance(x - 5 * rho**steps, variance)) < 4.5


def test_one_step_is_the_formula() -> None:
    x, xi = jnp.array([[1.0, -2.0]]), jnp.array([[0.5, 3.0]])
    U, noise = quadratic((1.0, 1.0)), Noise(xi, jnp.array([0.5]))

    def stepped(*args, **kwargs):
        sampler = ula(*args, **kwargs)
        return np.asarray(sampler.step(U, sampler.init(U, x), noise, 0.0).x)

    assert stepped(0.04) == pytest.approx(np.array([[1 - 0.02 + 0.1, -2 + 0.04 + 0.6]]))
    assert stepped(0.04, 0.25) == pytest.approx(np.array([[1 - 0.02 + 0.05, -2 + 0.04 + 0.3]]))
    assert stepped(20.0, noise=0.01, clip=0.1) == pytest.approx(np.array([[1 - 1 + 0.005, -2 + 1 + 0.03]]))
    assert stepped(0.04, clamp=(-1.0, 1.0)) == pytest.approx(np.array([[1.0, -1.0]]))
    scaled = stepped(0.04, scale=jnp.array([2.0, 1.0]))
    assert scaled == pytest.approx(np.array([[1 - 0.08 + 0.2, -2 + 0.04 + 0.6]]))


def test_scale_is_a_change_of_variables() -> None:
    # as all coordinates of the Gaussian have spread 1 in units of their scale, they have one bias
    scales = np.array([0.01, 1.0, 100.0])
    x = scales * np.random.default_rng(1).normal(size=(CHAINS, 3))
    chains = sample(quadratic(tuple(scales)), x, ula(1.0, scale=jnp.array(scales)), 100, seed=3)
    assert (np.abs(z_of_variance(np.asarray(chains.x), scales**2 / (1 - 1 / 4))) < 4.5).all()


def test_annealing_goes_geometrically_from_one_number_to_the_other() -> None:
    assert [at((8.0, 0.5), t) for t in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([8, 4, 2, 0.5])
    assert at(3.0, 0.7) == 3
    chains = sample(quadratic((1.0,)), np.zeros((CHAINS, 1)), ula(0.2, (20.0, 0.5)), 400, seed=4)
    x = np.asarray(chains.x)
    variance = float((x**2).mean())
    assert 0.5 < variance < 0.6  # a little behind the last temperature, 0.5 / (1 − 0.05)


def test_effective_temperature() -> None:
    assert effective_temperature(ula(20.0, noise=0.005)) == pytest.approx(1.25e-6)
    assert effective_temperature(ula(0.1, 0.3)) == 0.3
    assert effective_temperature(ula(0.1, (5.0, 0.3))) == 0.3
    epsilon = 0.3
    a, b = (
        sample(quadratic((1.0,)), np.ones((50, 1)), sampler, 20, seed=5).x
        for sampler in (ula(epsilon, 0.7), ula(epsilon, noise=(epsilon * 0.7) ** 0.5))
    )
    assert np.asarray(a) == pytest.approx(np.asarray(b), abs=1e-5)


def test_report_says_what_a_run_samples() -> None:
    short = report(ula(20.0, noise=0.005, clip=0.01, clamp=(0.0, 1.0)), 60)
    assert "1.25e-06" in short
    assert "a short-run sampler, not a density" in short
    assert "samples exp(−U) with a bias that grows with epsilon" in report(ula(0.1), 1000)
    assert "samples exp(−U/0.5) without bias" in report(mala(0.1, 0.5), 1000)
    assert "samples exp(−U) without bias" in report(hmc(0.1), 1000)
    assert "samples exp(−U/0.05) without bias" in report(mala(0.01, 0.05), 1000)  # cold, and exact
    assert "points that stick to the walls of [0, 1]" in report(ula(0.1, clamp=(0.0, 1.0)), 1000)


def test_gradients_are_those_of_each_point() -> None:
    u, g = energy_and_gradient(quadratic((1.0, 2.0)), jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    assert np.asarray(u) == pytest.approx([1.0, 6.5])
    assert np.asarray(g) == pytest.approx(np.array([[1.0, 0.5], [3.0, 1.0]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ula([1.0, 0.1]), r"epsilon = \[1.0, 0.1\] should be a number, or two as a tuple"),
        (lambda: ula(0.0), "epsilon = 0.0 should be a number above 0"),
        (lambda: ula(float("nan")), "epsilon = nan should be a number above 0"),
        (lambda: ula(0.1, -1.0), "temperature = -1.0 should be a number 0 or more"),
        (lambda: ula(0.1, (1.0, 0.0)), r"temperature = \(1.0, 0.0\) should be two numbers above 0"),
        (lambda: ula(0.1, noise=-0.1), "noise = -0.1 should be a number 0 or more"),
        (lambda: ula(0.1, clip=0.0), "clip = 0.0 should be a number above 0"),
        (lambda: ula(0.1, clamp=(1.0, 0.0)), r"clamp = \(1.0, 0.0\) should be \(low, high\)"),
        (lambda: mala(0.1, 0.0), "temperature = 0.0 should be a number above 0"),
        (lambda: hmc(-1.0), "step_size = -1.0 should be a number above 0"),
        (lambda: hmc(0.1, 0), "leapfrogs = 0 should be 1 or more"),
        (lambda: hmc(0.1, temperature=-1.0), "temperature = -1.0 should be a number above 0"),
    ],
)
def test_numbers_out_of_range(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
