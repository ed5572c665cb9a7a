"""Every cell of the table of Dirac's GAN: fields, conserved quantities, eigenvalues, radii and verdicts."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.adversarial import dirac, losses
from supple.adversarial.games import Game, Players, vector_field
from supple.adversarial.integrators import averaged, play, rk4, simultaneous
from supple.adversarial.spectrum import jacobian_spectrum
from supple.adversarial.verdict import along, drift, judge, rate_of_change, rise

every_game = pytest.mark.parametrize("name", dirac.TABLE)
every_dimension = pytest.mark.parametrize("d", [1, 2])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def players(d, seed):
    return Players(*np.random.default_rng(seed).normal(size=(2, d)))


COMPILED = {
    name: jax.jit(lambda z, row=row: (vector_field(row.game, z), row.field(z)))
    for name, row in dirac.TABLE.items()
}


@every_game
@pytest.mark.parametrize("d", [1, 3])
def test_the_field_by_autodiff_is_the_closed_form(name, d) -> None:
    for seed in range(5):
        found, expected = COMPILED[name](players(d, seed))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@every_game
def test_the_speed_of_the_distance_and_of_what_is_conserved(name) -> None:
    """∇Q·v at random points: an identity, where a trajectory would only be an example."""
    row = dirac.TABLE[name]
    rates = jax.jit(
        lambda z: (
            rate_of_change(dirac.energy, row.field, z) - row.energy_rate(z),
            [rate_of_change(quantity, row.field, z) for quantity in row.conserved.values()],
        )
    )
    for seed in range(5):
        for rate in jax.tree.leaves(rates(players(3, seed))):
            np.testing.assert_allclose(rate, jnp.zeros_like(rate), atol=1e-10)


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_the_non_saturating_gan_loses_2_s_tanh_half_s(z) -> None:
    with jax.enable_x64(True):
        at = Players(np.array(z[:2]), np.array(z[2:]))
        v = COMPILED["non-saturating"](at)[0]
        s = at.theta @ at.phi
        found = 2 * (at.phi @ v.phi + at.theta @ v.theta)
        assert found == pytest.approx(-2 * s * np.tanh(s / 2), abs=1e-12)


@cache
def flow(name, d):
    """A trajectory of 200 units of time, 16 turns and more, with half a unit between points."""
    return play(rk4(dirac.TABLE[name].field, 0.005), dirac.start(d), 40_000, every=100)


@pytest.mark.parametrize("name", [name for name, row in dirac.TABLE.items() if row.conserved])
def test_conserved_quantities_stay_along_trajectories(name) -> None:
    trajectory = flow(name, 2)
    for quantity in dirac.TABLE[name].conserved.values():
        assert drift(quantity, trajectory) < 1e-6
    if "φ∧θ" in dirac.TABLE[name].conserved:
        assert along(dirac.angular_momentum, trajectory)[-1, 0, 1] == pytest.approx(-0.03, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["non-saturating", "GAN-QP", "WGAN-GP, c = 0", "non-saturating + R1", "consensus"]
)
def test_the_distance_is_a_lyapunov_function(name) -> None:
    trajectory = play(rk4(dirac.TABLE[name].field, 0.05), dirac.start(2), 4000, every=10)
    assert rise(dirac.energy, trajectory) < 1e-12
    assert drift(dirac.energy, trajectory) > 0.03


CIRCLES = {  # name: (radius of θ, of φ, period, time to settle) from (.1, .2, .2, .1)
    "non-saturating": (np.sqrt(0.03), np.sqrt(0.03), 4 * np.pi, 2000),
    "GAN-QP": (np.sqrt(0.03), np.sqrt(0.03), 2 * np.pi, 1000),
    "WGAN-GP, c = 1": (1.0, 1.0, 2 * np.pi, 400),
}


@pytest.mark.parametrize("name", CIRCLES)
def test_radius_and_period_of_circles(name) -> None:
    theta, phi, period, settled = CIRCLES[name]
    row = dirac.TABLE[name]
    before = play(rk4(row.field, 0.05), dirac.start(2), 20 * settled, every=20 * settled)
    now = play(rk4(row.field, period / 200), jax.tree.map(lambda x: x[-1], before), 200)
    np.testing.assert_allclose(np.linalg.norm(now.theta, axis=1), theta, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(now.phi, axis=1), phi, atol=1e-3)
    np.testing.assert_allclose(along(lambda z: z.theta @ z.phi, now), 0, atol=1e-3)
    np.testing.assert_allclose(now.theta[-1], now.theta[0], atol=2e-3)
    if name != "WGAN-GP, c = 1":
        assert theta == pytest.approx(0.17321, abs=5e-6)


def test_the_bilinear_circle_and_the_saturating_one() -> None:
    for name in "bilinear", "saturating":
        radius = np.sqrt(along(dirac.energy, flow(name, 2)))
        np.testing.assert_allclose(radius, np.sqrt(0.1), atol=1e-6)


def test_the_critic_of_wgan_keeps_its_norm_and_in_one_dimension_the_fake_point_flees() -> None:
    line, plane = (flow("WGAN", d) for d in (1, 2))
    np.testing.assert_allclose(line.phi, 0.1, atol=1e-12)
    np.testing.assert_allclose(line.theta[:, 0], 0.2 + 0.5 * np.arange(401), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(plane.phi, axis=1), np.sqrt(0.05), atol=1e-6)


@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_wgan_gp_in_one_dimension_swings_by_its_closed_form(strength) -> None:
    trajectory = play(rk4(dirac.wgan_gp(strength).field, 0.005), dirac.start(1), 60_000, every=5)
    swing = 2 * strength / np.tanh(np.pi * strength / (2 * np.sqrt(1 - strength**2)))
    assert np.abs(trajectory.theta[-4000:]).max() == pytest.approx(swing, abs=1e-3)


def test_wgan_gp_in_one_dimension_stops_at_a_wrong_place_if_the_penalty_is_strong() -> None:
    trajectory = play(rk4(dirac.wgan_gp(1.5).field, 0.01), dirac.start(1), 3000)
    assert np.abs(trajectory.theta[-1, 0]) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("d", [1, 3])
def test_eigenvalues_of_the_zero_centred_penalty(strength, d) -> None:
    origin = Players(jnp.zeros(d), jnp.zeros(d))
    found = jacobian_spectrum(dirac.wgan_gp(strength, center=0.0).game, origin)
    root = np.sqrt(complex(strength**2 - 1))
    expected = np.repeat([-strength + root, -strength - root], d)
    np.testing.assert_allclose(in_order(found), in_order(expected), atol=1e-8)
    assert (np.abs(found.imag) > 1e-3).all() == (strength < 1)  # critical at λ = 1


@pytest.mark.parametrize("name", [name for name, row in dirac.TABLE.items() if row.eigenvalues])
def test_eigenvalues_at_the_equilibrium(name) -> None:
    found = jacobian_spectrum(dirac.TABLE[name].game, Players(jnp.zeros(2), jnp.zeros(2)))
    expected = np.repeat(dirac.TABLE[name].eigenvalues, 2)
    np.testing.assert_allclose(in_order(found), in_order(expected), atol=1e-8)


def in_order(values):
    """Sorted with rounding put aside, which would else decide between equal parts."""
    return values[np.lexsort((values.real.round(6), values.imag.round(6)))]


LAWS = {  # (name, dimensions): law and rate, from eigenvalues or from d‖z‖²/dt
    ("non-saturating", 1): ("power", -1 / 2),
    ("GAN-QP", 1): ("power", -1),
    ("WGAN", 1): ("power", 1),
    ("WGAN, spectral norm", 1): ("power", 1),
    ("WGAN-GP, c = 0", 1): ("exponential", -0.1),
    ("WGAN-GP, c = 0", 2): ("exponential", -0.1),
    ("GAN-QP + L2", 1): ("exponential", -0.05),
    ("GAN-QP + L2", 2): ("exponential", -0.05),
    ("saturating + R1", 1): ("exponential", -0.05),
    ("saturating + R1", 2): ("exponential", -0.05),
    ("non-saturating + R1", 1): ("exponential", -0.05),
    ("non-saturating + R1", 2): ("exponential", -0.05),
    ("consensus", 1): ("exponential", -0.1),
    ("consensus", 2): ("exponential", -0.1),
}


@every_game
@every_dimension
def test_verdicts(name, d) -> None:
    row = dirac.TABLE[name]
    found = judge(rk4(row.field, 0.02), dirac.start(d), 100_000, every=25, time=0.02)
    assert found.kind == row.verdicts[d > 1], found
    law, rate = LAWS.get((name, d), (None, None))
    assert found.law == law
    if law == "exponential":
        assert found.rate == pytest.approx(rate, rel=0.02)
    elif law == "power":
        assert found.rate == pytest.approx(rate, abs=0.1)
    elif d > 1 and name in CIRCLES:
        assert found.radius == pytest.approx(CIRCLES[name][0], abs=1e-3)


def test_the_average_of_the_weights_finds_the_centre_of_an_orbit() -> None:
    """The fake point goes round the real one at .173; its EMA of the last 100 units of time comes near."""
    trajectory = play(rk4(dirac.TABLE["non-saturating"].field, 0.05), dirac.start(2), 40_000, every=4)
    assert np.linalg.norm(trajectory.theta[-1]) == pytest.approx(0.1732, abs=1e-3)
    mean = averaged(trajectory, 1 - 0.2 / 100)
    expected = 0.1732 * abs(0.002 / (1 - 0.998 * np.exp(0.1j)))  # a turn of .1 from point to point
    assert np.linalg.norm(mean.theta[-1]) == pytest.approx(expected, rel=0.01)
    assert expected < 0.004


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("saturating", losses.saturating),
        ("non-saturating", losses.non_saturating),
        ("bilinear", losses.wasserstein),
    ],
)
def test_the_losses_of_networks_make_the_same_games(name, loss) -> None:
    def scores(phi, theta):
        return jnp.zeros(1), (theta @ phi)[None]

    game = Game(
        lambda phi, theta, batch: -loss.critic(*scores(phi, theta)),
        lambda phi, theta, batch: loss.generator(*scores(phi, theta)),
    )
    z = players(3, 0)
    jax.tree.map(np.testing.assert_allclose, vector_field(game, z), dirac.TABLE[name].field(z))


@pytest.mark.parametrize(
    ("name", "radius"),
    [("non-saturating", lambda h: np.sqrt(h)), ("GAN-QP", lambda h: 3 * np.pi / 4 * h / np.sqrt(2))],
)
def test_plain_steps_in_one_dimension_come_to_a_cycle_where_their_growth_meets_the_friction(
    name, radius
) -> None:
    """h r² / 4 meets r⁴ / 8 on average, and h r² meets 4 r³ / 3π."""
    h = 0.1
    found = judge(simultaneous(dirac.TABLE[name].field, h), dirac.start(1), 20_000, every=5, time=h)
    assert found.kind == "limit cycle"
    assert found.radius == pytest.approx(radius(h), rel=0.01)
