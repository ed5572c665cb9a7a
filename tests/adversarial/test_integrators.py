"""Integrators against their known rates on a bilinear game, against each other, and against exact flows."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from supple.adversarial.dirac import bilinear, wgan_gp
from supple.adversarial.games import Game, Players, vector_field
from supple.adversarial.integrators import (
    adaptive,
    alternating,
    averaged,
    consensus,
    extragradient,
    ode_gan,
    optimistic,
    play,
    rk4,
    simultaneous,
    symplectic_gradient_adjustment,
)

GAME = bilinear().game
START = Players(np.array([1.0]), np.array([0.3]))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def radii(trajectory):
    return np.asarray(jnp.hypot(trajectory.phi, trajectory.theta)[:, 0])


def growth(integrator, steps=2000):
    """The factor of the radius in one step, from its logarithm's slope."""
    radius = radii(play(integrator, START, steps))
    return np.exp(np.polyfit(np.arange(steps // 2), np.log(radius[steps // 2 : -1]), 1)[0])


# Of the multipliers of one step on φ̇ = −θ, θ̇ = φ, whose eigenvalues are ±i.
RATES = {
    simultaneous: lambda h: np.sqrt(1 + h**2),
    alternating: lambda h: 1.0,  # symplectic
    extragradient: lambda h: np.sqrt(1 - h**2 + h**4),
    optimistic: lambda h: np.sqrt((1 + np.sqrt(1 - 4 * h**2)) / 2),
    rk4: lambda h: np.sqrt(1 - h**6 / 72 + h**8 / 576),
}


@pytest.mark.parametrize("method", RATES)
@pytest.mark.parametrize("h", [0.05, 0.2, 0.4])
def test_rates_on_the_bilinear_game(method, h) -> None:
    # The ellipse of alternating play is passed at different places.
    tolerance = {"abs": 1e-3} if method is alternating else {"rel": 1e-5}
    assert growth(method(GAME, h)) == pytest.approx(RATES[method](h), **tolerance)


@pytest.mark.parametrize("method", [consensus, symplectic_gradient_adjustment])
@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_corrections_contract_the_bilinear_game(method, strength) -> None:
    expected = np.abs(1 - 0.1 * strength + 0.1j)
    assert growth(method(GAME, 0.1, strength), 400) == pytest.approx(expected, rel=1e-6)


def test_what_is_gained_a_step_is_of_the_known_order() -> None:
    """1 − |multiplier| goes as h² for extragradient and optimistic play, h for consensus."""
    for make, order in (
        (lambda h: extragradient(GAME, h), 2),
        (lambda h: optimistic(GAME, h), 2),
        (lambda h: consensus(GAME, h, 0.5), 1),
        (lambda h: simultaneous(GAME, h), 2),  # it loses as much
    ):
        gains = [abs(1 - growth(make(h))) for h in (0.02, 0.01)]
        assert np.log2(gains[0] / gains[1]) == pytest.approx(order, abs=0.05)


def test_alternating_play_conserves_a_modified_energy() -> None:
    h = 0.3
    x = play(alternating(GAME, h), START, 1000)
    energy = x.phi**2 + x.theta**2 - h * x.phi * x.theta
    np.testing.assert_allclose(energy, np.ones_like(energy) * energy[0], rtol=1e-10)


@pytest.mark.parametrize(
    ("method", "order"), [(rk4, 4), (simultaneous, 1), (extragradient, 1), (optimistic, 1)]
)
def test_order_of_the_error_after_a_given_time(method, order) -> None:
    game = wgan_gp(0.3, 0.0)  # linear: solved by its eigenvectors
    J = np.array([[-0.6, -1.0], [1.0, 0.0]])
    values, vectors = np.linalg.eig(J)
    start = np.array([START.phi[0], START.theta[0]])
    exact = (vectors @ (np.exp(2 * values) * np.linalg.solve(vectors, start))).real
    errors = []
    for n in (40, 80):
        x = play(method(game.game, 2 / n), START, n)
        errors.append(np.hypot(x.phi[-1, 0] - exact[0], x.theta[-1, 0] - exact[1]))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_the_adaptive_integrator_keeps_its_tolerance() -> None:
    x = play(adaptive(GAME, 0.7, 1e-10), START, 100)
    t = 0.7 * np.arange(101)
    np.testing.assert_allclose(x.phi[:, 0], np.cos(t) - 0.3 * np.sin(t), atol=1e-8)
    np.testing.assert_allclose(x.theta[:, 0], 0.3 * np.cos(t) + np.sin(t), atol=1e-8)


def test_ode_gan_is_rk4_and_a_descent_of_the_generators_gradient() -> None:
    h, c = 0.1, 0.3  # on the bilinear game ‖θ̇‖² = φ², whose gradient is 2φ
    plain, found = (play(method, START, 1) for method in (rk4(GAME, h), ode_gan(GAME, h, c)))
    np.testing.assert_allclose(found.theta[1], plain.theta[1], rtol=1e-12)
    np.testing.assert_allclose(found.phi[1], plain.phi[1] - h * c * 2 * START.phi, rtol=1e-12)


METHODS = [simultaneous, alternating, extragradient, optimistic]


@pytest.mark.parametrize("method", METHODS)
def test_a_number_is_the_optimiser_sgd_and_one_optimiser_a_pair(method) -> None:
    plain = play(method(GAME, 0.1), START, 20)
    for rule in optax.sgd(0.1), (0.1, optax.sgd(0.1)):
        jax.tree.map(np.testing.assert_array_equal, play(method(GAME, rule), START, 20), plain)


def test_optimistic_adam_is_that_of_optax() -> None:
    """Which has one player; here both are, as Adam acts coordinate by coordinate."""
    found = play(optimistic(GAME, optax.adam(0.1)), START, 20)
    theirs = play(simultaneous(GAME, optax.optimistic_adam_v2(0.1, nesterov=False)), START, 20)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), found, theirs)


def test_extra_adam_remembers_both_moves() -> None:
    adam = optax.adam(0.1, 0.5)
    x, memory = START, adam.init(START)
    for _ in range(3):
        at = x
        for _ in "look ahead", "step from where one was":
            change, memory = adam.update(jax.tree.map(jnp.negative, vector_field(GAME, at)), memory, x)
            at = optax.apply_updates(x, change)
        x = at
    found = play(extragradient(GAME, adam), START, 3)
    np.testing.assert_allclose(found.theta[-1], x.theta, rtol=1e-12)


def test_the_generator_waits_for_the_critics_steps() -> None:
    x = play(alternating(GAME, (0.1, optax.adam(0.01)), critic_steps=3), START, 6)
    moved = np.diff(x.theta[:, 0]) != 0
    assert moved.tolist() == [False, False, True, False, False, True]
    assert np.diff(x.theta[:, 0])[2] == pytest.approx(0.01, rel=1e-6)  # Adam's first step
    assert (np.diff(x.phi[:, 0]) != 0).all()


def test_each_step_sees_its_batch_and_every_skips_records() -> None:
    game = Game(lambda phi, theta, batch: phi @ batch, lambda phi, theta, batch: -theta @ batch)
    batches = np.arange(12.0)[:, None]
    x = play(simultaneous(game, 1.0), Players(np.zeros(1), np.zeros(1)), 12, batches, every=4)
    np.testing.assert_allclose(x.phi[:, 0], [0, 6, 28, 66])
    np.testing.assert_allclose(x.theta, x.phi)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="steps = 10 should be a multiple of every = 3"):
        play(simultaneous(GAME, 0.1), START, 10, every=3)
    with pytest.raises(ValueError, match="3 batches for 10 steps; stack one for each"):
        play(simultaneous(GAME, 0.1), START, 10, np.zeros(3))
    with pytest.raises(ValueError, match="critic_steps = 0 should be 1 or more"):
        alternating(GAME, 0.1, critic_steps=0)
    with pytest.raises(ValueError, match="decay = 2 should be from 0 to 1"):
        averaged(np.zeros(3), 2)


def test_the_average_of_an_orbit_is_its_centre() -> None:
    """The trajectory stays 1 away; its EMA comes as near as the orbit is fast for its memory: (1 − β) / h."""
    h, decay = 0.1, 0.999
    x = play(rk4(GAME, h), Players(np.array([1.0]), np.array([0.0])), 20_000)
    assert radii(x)[-1] == pytest.approx(1, abs=1e-3)
    mean = radii(averaged(x, decay))[-1]
    assert mean == pytest.approx(abs((1 - decay) / (1 - decay * np.exp(-1j * h))), rel=1e-2)  # .01
    whole = radii(averaged(x, decay))
    assert whole[0] == pytest.approx(1)  # of one point: corrected for its start


def test_an_average_is_the_weighted_mean_that_it_says() -> None:
    x = np.random.default_rng(0).normal(size=(30, 2))
    weights = 0.9 ** np.arange(30)[::-1]
    np.testing.assert_allclose(averaged(x, 0.9)[-1], weights @ x / weights.sum(), rtol=1e-9)
