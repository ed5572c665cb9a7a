"""Mixtures in the plane, and what of them a generator has found."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from supple.adversarial.rings import coverage, grid, ring


@pytest.mark.parametrize("mixture", [ring(), grid()])
def test_the_mixture_itself_is_covered(mixture) -> None:
    x = np.asarray(mixture.sample(jax.random.key(0), 20_000))
    found = coverage(mixture, x)
    assert found.modes == len(mixture.modes)
    good = 1 - np.exp(-4.5)  # of a normal point of the plane, within three deviations
    assert abs(found.quality - good) < 4 * np.sqrt(good * (1 - good) / len(x))
    assert found.kl < 4 * len(mixture.modes) / (2 * len(x))  # 2n KL is about χ² of k − 1 degrees
    assert abs(x.mean(0)).max() < 4 * x.std() / np.sqrt(len(x))


def test_places_of_modes() -> None:
    np.testing.assert_allclose(np.linalg.norm(ring().modes, axis=1), 2, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(np.diff(ring().modes, axis=0), axis=1), 4 * np.sin(np.pi / 8))
    assert {tuple(mode) for mode in grid().modes} == {
        (x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)
    }


def test_what_is_lost_is_counted() -> None:
    mixture = grid()
    two = np.repeat(mixture.modes[[3, 8]], [30, 10], axis=0)
    found = coverage(mixture, np.concatenate([two, np.full((60, 2), 1.0), np.full((100, 2), np.nan)]))
    share = np.array([0.75, 0.25])
    assert found.modes == 2 and found.quality == 0.2
    np.testing.assert_allclose(found.kl, np.log(25) + (share * np.log(share)).sum())
    nothing = coverage(mixture, np.ones((7, 2)))
    assert nothing[:2] == (0, 0.0) and nothing.kl == pytest.approx(np.log(25))


def test_the_edge_of_a_mode_is_three_deviations() -> None:
    mixture = ring(sd=0.1)
    at = mixture.modes[:1] + np.array([[0.0, 0.2999], [0.0, 0.3001]])
    assert coverage(mixture, at).quality == 0.5


@pytest.mark.parametrize("shape", [(5, 3), (5,), (0, 2)])
def test_wrong_shapes_are_told(shape) -> None:
    with pytest.raises(ValueError, match=r"give points \(n, 2\)"):
        coverage(ring(), np.zeros(shape))
