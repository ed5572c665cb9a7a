"""Chains of known autocorrelation, areas and distances of closed form, scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from supple.energy.evaluate import (
    auroc,
    autocorrelation,
    effective_sample_size,
    frechet_distance,
    gaussian_frechet,
    normal_scores,
    plain_r_hat,
    r_hat,
)


def ar1(rho: float, chains: int, draws: int, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    """Stationary chains x' = ρ x + √(1 − ρ²) ξ of variance 1, their means `shift` times 0, 1, 2, …"""
    rng = np.random.default_rng(seed)
    x = np.empty((chains, draws))
    x[:, 0] = rng.normal(size=chains)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * rng.normal(size=chains)
    return x + shift * np.arange(chains)[:, None]


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_ess_of_ar1(rho: float) -> None:
    x = ar1(rho, 8, 20_000)
    assert effective_sample_size(x) == pytest.approx(x.size * (1 - rho) / (1 + rho), rel=0.08)


def test_autocorrelation_of_ar1_falls_as_its_powers() -> None:
    found = autocorrelation(ar1(0.8, 20, 20_000))
    assert found[:10] == pytest.approx(0.8 ** np.arange(10), abs=0.02)


def test_ess_and_r_hat_take_every_coordinate_alone() -> None:
    x = np.stack([ar1(0.0, 4, 1000), ar1(0.9, 4, 1000, seed=1)], -1)
    for f in (effective_sample_size, r_hat):
        assert f(x).tolist() == pytest.approx([float(f(x[..., i])) for i in (0, 1)])


def test_r_hat_of_chains_that_agree_is_one() -> None:
    assert r_hat(ar1(0.3, 8, 10_000)) == pytest.approx(1, abs=2e-3)


def test_plain_r_hat_of_shifted_normals() -> None:
    # means 0 and 2 vary by 2, draws within chains by 1: √(1 + 2)
    assert plain_r_hat(ar1(0.0, 2, 50_000, shift=2.0)) == pytest.approx(np.sqrt(3), rel=0.01)


def test_r_hat_sees_location_scale_and_drift() -> None:
    x = ar1(0.0, 4, 4000)
    assert r_hat(x + np.arange(4)[:, None]) > 1.3
    assert r_hat(x * np.array([[1], [1], [1], [4]])) > 1.1  # equal means: only the folded ranks see it
    assert r_hat(x + np.linspace(0, 3, 4000)) > 1.2  # all drift alike: only the halves see it


def test_r_hat_knows_ranks_alone() -> None:
    x = ar1(0.5, 4, 500)
    assert plain_r_hat(x) != pytest.approx(plain_r_hat(np.exp(5 * x)), abs=1e-3)
    # of a rising function the ranks are the same; those of distances from the median are not
    assert normal_scores(np.exp(5 * x)) == pytest.approx(normal_scores(x))


def test_a_chain_that_never_moves_has_no_size() -> None:
    assert np.isnan(effective_sample_size(np.ones((4, 100)))) and np.isnan(r_hat(np.ones((4, 100))))


@pytest.mark.parametrize("f", [autocorrelation, effective_sample_size, r_hat])
def test_chains_are_checked(f) -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\); give \(chains, draws, ...\) with 4 draws or more"):
        f(np.zeros(3))
    with pytest.raises(ValueError, match="not finite; leave out those that diverged"):
        f(np.full((2, 10), np.nan))


scores = st.lists(st.integers(0, 5), min_size=1, max_size=30)


@given(scores, scores)
def test_auroc_is_scikit_learns_with_ties(inside, outside) -> None:
    labels = [0] * len(inside) + [1] * len(outside)
    assert auroc(inside, outside) == pytest.approx(roc_auc_score(labels, inside + outside), abs=1e-12)


def test_auroc_is_checked() -> None:
    with pytest.raises(ValueError, match="0 scores inside and 1 outside; give 1 or more"):
        auroc([], [1.0])
    with pytest.raises(ValueError, match="none of them NaN"):
        auroc([np.nan], [1.0])


def test_frechet_of_commuting_gaussians() -> None:
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    s, t, mean = rng.uniform(0.1, 2, 5), rng.uniform(0.1, 2, 5), rng.normal(size=5)
    found = gaussian_frechet(mean, q * s**2 @ q.T, 0 * mean, q * t**2 @ q.T)
    assert found == pytest.approx((mean**2).sum() + ((s - t) ** 2).sum())


def test_frechet_of_any_two_gaussians_in_the_plane() -> None:
    # (Σ₁Σ₂)^½ of 2 × 2 matrices has trace √(tr Σ₁Σ₂ + 2 √det Σ₁Σ₂)
    rng = np.random.default_rng(1)
    a, b = (x @ x.T for x in rng.normal(size=(2, 2, 2)))
    overlap = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    found = gaussian_frechet([0, 0], a, [0, 0], b)
    assert found == pytest.approx(np.trace(a) + np.trace(b) - 2 * overlap)


def test_frechet_of_samples() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(40_000, 3)), 2 * rng.normal(size=(40_000, 3)) + [1, 0, 0]
    assert frechet_distance(a, b) == pytest.approx(1 + 3, rel=0.05)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    flat = np.concatenate([a, a[:, :1]], 1)  # of a singular covariance
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)


def test_features_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2\) and \(4, 3\); give \(n, d\) and \(m, d\)"):
        frechet_distance(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="leave out images that diverged"):
        frechet_distance(np.full((4, 2), np.inf), np.zeros((4, 2)))
