"""What targets say of themselves, against integrals over a grid and against their own samples."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from supple.energy import targets
from supple.energy.targets import Target
from tests.numerics import double

RING_OF_4 = [[2, 0], [0, 2], [-2, 0], [0, -2]]
TARGETS = {
    "gaussian": targets.gaussian([1, -1], [[2.0, 0.9], [0.9, 1.0]]),
    "mixture": targets.mixture(RING_OF_4, 0.4, [0.1, 0.2, 0.3, 0.5]),
    "rings": targets.rings([1, 3], 0.5),
    "disk": targets.rings([0], 1),
    "banana": targets.banana(bend=0.4),
}
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


@every_target
def test_log_z_and_moments_are_those_of_the_grid(target: Target) -> None:
    side = np.linspace(-9, 15, 801)
    x = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    with double():
        p = np.exp(-np.asarray(target.U(x)))
    z = p.sum()
    assert np.log(z) + 2 * np.log(side[1] - side[0]) == pytest.approx(target.log_z, abs=1e-6)
    mean = p @ x / z
    assert mean == pytest.approx(target.mean, abs=1e-6)
    assert (x.T * p) @ x / z - np.outer(mean, mean) == pytest.approx(target.covariance, abs=1e-5)


@every_target
def test_samples_have_the_moments(target: Target) -> None:
    n = 100_000
    x = target.sample(n, seed=1)
    errors = np.sqrt(np.diagonal(target.covariance) / n)
    assert (np.abs(x.mean(0) - target.mean) < 4.5 * errors).all()
    centred = x - target.mean
    products = centred[:, :, None] * centred[:, None]
    z = (products.mean(0) - target.covariance) / (products.std(0) / np.sqrt(n))
    assert (np.abs(z) < 4.5).all()


@every_target
def test_mean_energy_of_samples_is_that_of_the_grid(target: Target) -> None:
    # it sees what moments do not: that samples lie where U is low
    side = np.linspace(-9, 15, 801)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    with double():
        u, of_samples = (np.asarray(target.U(x)) for x in (grid, target.sample(50_000, seed=2)))
    p = np.exp(-u)
    assert abs(of_samples.mean() - p @ u / p.sum()) < 4.5 * of_samples.std() / np.sqrt(50_000)


@every_target
def test_gradients_are_finite(target: Target) -> None:
    x = np.zeros((1, 2), "float32")
    assert np.isfinite(jax.grad(lambda x: target.U(x).sum())(x)).all()


def test_what_is_no_density_is_an_error() -> None:
    with pytest.raises(ValueError, match="should be a positive definite 2 × 2 matrix"):
        targets.gaussian([0, 0], [[1, 2], [2, 1]])
    with pytest.raises(ValueError, match="sd = 0 should be above 0"):
        targets.mixture(RING_OF_4, 0)
    with pytest.raises(ValueError, match=r"radii = .* should be one or more numbers, 0 or more"):
        targets.rings([], 1)
    with pytest.raises(ValueError, match="width = -1 should be above 0"):
        targets.banana(width=-1)
