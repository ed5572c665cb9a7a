"""MALA and HMC leave the density as it is: detailed balance to rounding, and moments of what is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supple.energy import effective_sample_size, hmc, mala, sample, ula
from supple.energy.samplers import Noise
from supple.energy.targets import banana, gaussian, mixture, rings
from tests.numerics import double

TARGETS = {
    "gaussian": gaussian([1, -1], [[1.0, 0.6], [0.6, 0.8]]),
    "mixture": mixture([[1, 0], [-1, 0.5]], 0.7, [0.3, 0.7]),
    "rings": rings([1.5], 0.5),
    "banana": banana(bend=0.5, sd=0.6),
}
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


def moved(sampler, U, x, xi):
    """Where a step takes points x (n, 2) by noise ξ if accepted, and with which probability."""
    state = sampler.init(U, x)
    after = sampler.step(U, state, Noise(xi, jnp.full(len(x), 1e-300)), 0.0)
    return np.asarray(after.x), np.asarray(after.accepted)


def slopes(U, x):
    return np.asarray(jax.grad(lambda x: U(x).sum())(x))


@every_target
@pytest.mark.parametrize(("epsilon", "temperature"), [(0.02, 1.0), (0.5, 0.4), (2.0, 2.5)])
def test_detailed_balance_of_mala(target, epsilon: float, temperature: float) -> None:
    # p(x) q(x → y) a(x → y) is symmetric at any x and y: q by the textbook, a by the sampler
    rng = np.random.default_rng(1)
    x, scale = 2 * rng.normal(size=(1000, 2)), np.array([1.3, 0.6])
    with double():
        mean = x - epsilon / 2 * scale**2 * slopes(target.U, x)
        y = mean + np.sqrt(epsilon * temperature) * scale * 1.5 * rng.normal(size=x.shape)

        def log_flow(x, y):
            mean = x - epsilon / 2 * scale**2 * slopes(target.U, x)
            xi = (y - mean) / (np.sqrt(epsilon * temperature) * scale)
            reached, acceptance = moved(mala(epsilon, temperature, scale), target.U, x, xi)
            with np.errstate(divide="ignore"):
                flow = -np.asarray(target.U(x)) / temperature - (xi**2).sum(1) / 2 + np.log(acceptance)
            return reached, flow

        (reached, there), (_, back) = log_flow(x, y), log_flow(y, x)
    some = (there > -600) & (back > -600)  # else a flow is below what float64 can hold
    assert some.mean() > 0.2
    assert there[some] == pytest.approx(back[some], abs=1e-8)
    assert reached[some] == pytest.approx(y[some], abs=1e-10)


@every_target
@pytest.mark.parametrize(("h", "leapfrogs"), [(0.1, 6), (0.5, 1), (0.8, 3)])
def test_detailed_balance_of_hmc(target, h: float, leapfrogs: int) -> None:
    # trajectories keep volume and come back when momentum is turned; acceptance is by ΔH: all that it takes
    rng, temperature = np.random.default_rng(2), 0.7
    x, xi = rng.normal(size=(2, 1000, 2))

    def H(x, p):
        return (np.asarray(target.U(x)) + (p**2).sum(1) / 2) / temperature

    def trajectory(x, p):  # from the textbook, of unit mass
        for _ in range(leapfrogs):
            p = p - h / 2 * slopes(target.U, x)
            x = x + h * p
            p = p - h / 2 * slopes(target.U, x)
        return x, p

    with double():
        p = temperature**0.5 * xi
        y, q = trajectory(x, p)
        reached, acceptance = moved(hmc(h, leapfrogs, temperature), target.U, x, xi)
        drop = H(x, p) - H(y, q)
        assert acceptance == pytest.approx(np.exp(np.minimum(0, drop)), rel=1e-6, abs=1e-12)
        tame = drop > -20
        assert reached[tame] == pytest.approx(y[tame], abs=1e-9)
        back, turned = trajectory(y[tame], -q[tame])
        assert back == pytest.approx(x[tame], abs=1e-6)
        assert -turned == pytest.approx(p[tame], abs=1e-6)


def test_hmc_of_one_leapfrog_is_mala() -> None:
    U, x = TARGETS["mixture"].U, TARGETS["mixture"].sample(100, 1)
    with double():
        scale, temperature = np.array([0.7, 1.4]), 1.7
        a = sample(U, x, mala(0.36, temperature, scale), 30, seed=3)
        b = sample(U, x, hmc(0.6, 1, temperature, scale), 30, seed=3)
    assert np.asarray(a.x) == pytest.approx(np.asarray(b.x), abs=1e-9)
    assert np.asarray(a.accepted) == pytest.approx(np.asarray(b.accepted), abs=1e-9)


SAMPLERS = {"mala": mala(0.3), "hmc": hmc(0.25, 8), "large steps": mala(1.5)}


@pytest.mark.parametrize("name", SAMPLERS)
@every_target
def test_exact_samples_stay_exact(target, name: str) -> None:
    n = 10_000
    chains = sample(target.U, target.sample(n, 5), SAMPLERS[name], 60, seed=6)
    x = np.asarray(chains.x, "float64") - target.mean
    assert (np.abs(x.mean(0)) < 4.5 * x.std(0) / np.sqrt(n)).all()
    products = x[:, :, None] * x[:, None]
    assert (np.abs(products.mean(0) - target.covariance) < 4.5 * products.std(0) / np.sqrt(n)).all()
    assert 0.2 < float(chains.accepted.mean()) < 1


def test_ula_goes_where_its_own_density_is() -> None:
    target, epsilon, n = TARGETS["gaussian"], 0.8, 10_000
    x = np.asarray(sample(target.U, target.sample(n, 5), ula(epsilon), 60, seed=6).x, "float64")
    axes = np.linalg.eigvalsh(target.covariance)
    biased = axes / (1 - epsilon / (4 * axes))  # in each of the Gaussian's axes
    trace, error = ((x - target.mean) ** 2).sum(1).mean(), np.sqrt(2 * (biased**2).sum() / n)
    assert abs(trace - biased.sum()) < 4.5 * error
    assert biased.sum() > 1.4 * axes.sum()


def test_chains_from_afar_come_to_the_target() -> None:
    target = TARGETS["mixture"]
    chains = sample(target.U, np.full((50, 2), 6.0), hmc(0.3, 8), 700, seed=7, keep=1)
    draws = np.asarray(chains.kept, "float64")[:, 100:]
    x = draws.reshape(-1, 2) - target.mean
    for products, expected in ((draws - target.mean, 0.0), ((draws - target.mean) ** 2, None)):
        values = np.diagonal(target.covariance) if expected is None else expected
        z = (products.mean((0, 1)) - values) / (
            products.std((0, 1)) / np.sqrt(effective_sample_size(products))
        )
        assert (np.abs(z) < 4.5).all()
    assert x.shape == (50 * 600, 2)


def test_a_proposal_without_energy_is_rejected() -> None:
    def U(x):  # NaN outside the unit disk
        square = (x**2).sum(-1)
        return jnp.where(square < 1, 0.0, jnp.nan) + 0 * square

    for sampler in mala(0.5), hmc(0.7, 3):
        chains = sample(U, np.zeros((2000, 2)), sampler, 100, seed=8)
        x = np.asarray(chains.x, "float64")
        square = (x**2).sum(-1)  # uniform in the disk: its square radius is uniform from 0 to 1
        assert square.max() < 1
        assert abs(square.mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / len(x))
        assert 0 < float(chains.accepted.mean()) < 1
