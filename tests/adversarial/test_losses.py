"""Losses against the critics that theory says are best, and against each other."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from supple.adversarial.losses import LOSSES, cross_entropy
from tests.numerics import double

# Ten real and ten fake points at three places. Losses are means: over all pairs they are expectations.
REAL, FAKE = np.repeat([0, 1, 2], [5, 3, 2]), np.repeat([0, 1, 2], [1, 3, 6])
X, Y = np.repeat(REAL, 10), np.tile(FAKE, 10)
P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
LOG_RATIO = np.log(P / Q)

BEST = {
    "saturating": LOG_RATIO,
    "non-saturating": LOG_RATIO,
    "least squares": P / (P + Q),
    "relativistic": LOG_RATIO,
    "KL": LOG_RATIO,
    "reverse KL": LOG_RATIO,
    "Jensen-Shannon": LOG_RATIO,
    "Pearson": LOG_RATIO,
    "Hellinger": LOG_RATIO,
}


@pytest.fixture(autouse=True, scope="module")
def in_double() -> Iterator[None]:
    """In float64."""
    with double():
        yield


def best_critic(name: str) -> np.ndarray:
    def lost(d: jax.Array) -> jax.Array:
        return LOSSES[name].critic(d[X], d[Y])

    slope = jax.jit(jax.value_and_grad(lost))
    found = minimize(
        lambda d: tuple(map(np.asarray, slope(jnp.asarray(d)))), np.zeros(3), jac=True, tol=1e-12
    )
    return found.x


@pytest.mark.parametrize("name", BEST)
def test_best_critic_is_what_theory_says(name: str) -> None:
    found, expected = best_critic(name), BEST[name]
    if name == "relativistic":  # which sees differences only
        found, expected = found - found.mean(), expected - expected.mean()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_best_hinge_critic_is_the_sign_and_what_the_generator_then_lowers_is_total_variation() -> None:
    d = jnp.asarray(np.sign(P - Q))
    least = float(LOSSES["hinge"].critic(d[X], d[Y]))
    np.testing.assert_allclose(least, 2 - abs(P - Q).sum(), rtol=1e-12)  # 2 − 2 TV
    for off in np.random.default_rng(0).normal(size=(200, 3)):
        assert LOSSES["hinge"].critic((d + off)[X], (d + off)[Y]) >= least - 1e-12


def test_at_the_best_critic_cross_entropy_is_twice_jensen_shannon() -> None:
    m = (P + Q) / 2
    divergence = float((P * np.log(P / m) + Q * np.log(Q / m)).sum()) / 2
    d = jnp.asarray(LOG_RATIO)
    np.testing.assert_allclose(cross_entropy(d[X], d[Y]), 2 * np.log(2) - 2 * divergence, rtol=1e-12)
    np.testing.assert_allclose(LOSSES["Jensen-Shannon"].generator(d[X], d[Y]), divergence, rtol=1e-12)


@pytest.mark.parametrize("name", ["relativistic", "relativistic average", "Wasserstein"])
def test_losses_of_differences_do_not_see_a_constant(name: str) -> None:
    rng = np.random.default_rng(1)
    real, fake = jnp.asarray(rng.normal(size=(2, 50)))
    value = LOSSES[name].critic
    np.testing.assert_allclose(value(real, fake), value(real + 3, fake + 3), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_generator_wants_a_higher_score_of_its_points_and_the_critic_a_lower_one(name: str) -> None:
    rng = np.random.default_rng(2)
    real, fake = jnp.asarray(rng.uniform(0.1, 0.9, (2, 50)))  # between the targets of least squares
    loss = LOSSES[name]
    critic, generator = (jax.grad(f, (0, 1))(real, fake) for f in loss)
    assert (critic[0] < 0).all() and (critic[1] > 0).all()
    assert (generator[1] < 0).all()
    assert jnp.shape(loss.critic(real, fake)) == jnp.shape(loss.generator(real, fake)) == ()


def test_zero_sum_games_are_so() -> None:
    real, fake = jnp.asarray(np.random.default_rng(3).normal(size=(2, 50)))
    for name in "saturating", "Wasserstein", "KL", "Hellinger":
        critic, generator = (jax.grad(f, 1)(real, fake) for f in LOSSES[name])
        np.testing.assert_allclose(critic, -generator, rtol=1e-9)
