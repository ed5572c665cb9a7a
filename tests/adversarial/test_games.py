"""The field of a game, of toys and of networks, and its corrections."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supple.adversarial.games import Game, Players, adjusted_field, consensus_field, vector_field


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def network(phi, x):
    return jnp.tanh(x @ phi["w"] + phi["b"]) @ phi["out"]


def network_game():
    """A critic of one hidden layer and a linear generator; the batch is data and noise."""

    def L1(phi, theta, batch):
        real, z = batch
        return network(phi, real).mean() - network(phi, z @ theta[0] + theta[1]).mean()

    return Game(L1, lambda phi, theta, batch: -network(phi, batch[1] @ theta[0] + theta[1]).mean())


def network_players():
    draw = np.random.default_rng(0).normal
    phi = {name: draw(size=size) for name, size in {"w": (3, 5), "b": 5, "out": 5}.items()}
    return Players(phi, [draw(size=(2, 3)), draw(size=3)]), (draw(size=(16, 3)), draw(size=(16, 2)))


def test_the_critic_climbs_and_the_generator_descends() -> None:
    game, (x, batch) = network_game(), network_players()
    v = jax.jit(partial(vector_field, game))(x, batch)
    assert jax.tree.structure(v) == jax.tree.structure(x)
    still = jax.tree.map(jnp.zeros_like, v)
    for name, objective, sign in (("phi", game.L1, 1), ("theta", game.L2, -1)):
        towards = still._replace(**{name: getattr(v, name)})
        speed = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(towards))
        f = jax.jit(lambda x, f=objective: f(*x, batch))
        assert slope(f, x, towards) == pytest.approx(sign * speed, rel=1e-6)


def slope(f, x, v, h=1e-6):
    """The derivative of f at x along v, by central differences."""
    there, back = (f(jax.tree.map(lambda x, v, s=s: x + s * v, x, v)) for s in (h, -h))
    return (there - back) / (2 * h)


def test_a_field_is_taken_for_a_game() -> None:
    assert vector_field(lambda x, batch: x * batch, 3.0, 2.0) == 6.0


def test_an_objective_that_is_no_number_is_refused() -> None:
    game = Game(lambda phi, theta, batch: phi * theta, lambda phi, theta, batch: phi @ theta)
    with pytest.raises(ValueError, match=r"L1 has shape \(2,\); give one number, say its mean"):
        vector_field(game, Players(jnp.ones(2), jnp.ones(2)))


def test_consensus_descends_half_the_square_of_the_speed() -> None:
    game, (x, batch) = network_game(), network_players()

    def half_square(x):
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(vector_field(game, x, batch))) / 2

    @jax.jit
    def expected(x):
        return jax.tree.map(lambda v, g: v - 0.3 * g, vector_field(game, x, batch), jax.grad(half_square)(x))

    found = jax.jit(consensus_field(game, 0.3))(x, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, expected(x))


def linear_field(J):
    return lambda x, batch=None: J @ x


def test_symplectic_adjustment_is_that_of_the_antisymmetric_part() -> None:
    J = np.random.default_rng(0).normal(size=(4, 4)) - 2.5 * np.eye(4)
    x = np.array([0.1, -0.2, 0.05, 0.3])
    expected = J @ x - 0.7 * ((J - J.T) / 2).T @ J @ x
    np.testing.assert_allclose(adjusted_field(linear_field(J), 0.7)(x), expected, rtol=1e-12)


def test_symplectic_adjustment_is_not_drawn_to_an_unstable_point() -> None:
    rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
    x = np.array([2.0, 1.0])
    outward = [adjusted_field(linear_field(rotation + c * np.eye(2)), 0.5)(x) @ x for c in (1.0, 0.0, -1.0)]
    assert outward[0] > x @ x > 0  # repelled, and more so than without it
    np.testing.assert_allclose(outward[1], -0.5 * x @ x)  # a centre becomes a sink
    assert outward[2] < -x @ x
