"""Eigenvalues by products with the Jacobian, against the matrix itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supple.adversarial.games import Game, Players, vector_field
from supple.adversarial.spectrum import jacobian_spectrum


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def critic(phi, x):
    return jnp.tanh(x @ phi["w"]) @ phi["out"]


def game_of_networks():
    """56 weights with rotation and friction, away from an equilibrium; and the batch."""
    draw = np.random.default_rng(3).normal
    phi = {"w": draw(size=(4, 8)), "out": draw(size=8)}

    def L1(phi, theta, batch):
        real, z = batch
        decay = sum((leaf**2).sum() for leaf in jax.tree.leaves(phi))
        return critic(phi, real).mean() - critic(phi, z @ theta).mean() - 0.1 * decay

    game = Game(L1, lambda phi, theta, batch: -critic(phi, batch[1] @ theta).mean())
    batch = draw(size=(64, 4)), draw(size=(64, 4))
    return game, Players(phi, np.eye(4) + 0.3), batch


def jacobian(game, x, batch):
    flat, back = jax.flatten_util.ravel_pytree(x)
    flow = jax.jit(lambda flat: jax.flatten_util.ravel_pytree(vector_field(game, back(flat), batch))[0])
    h = 1e-5
    return np.stack([(flow(flat + h * e) - flow(flat - h * e)) / (2 * h) for e in np.eye(flat.size)], 1)


PARTS = {"whole": lambda J: J, "symmetric": lambda J: (J + J.T) / 2, "antisymmetric": lambda J: (J - J.T) / 2}


@pytest.mark.parametrize("part", PARTS)
def test_arnoldi_finds_what_finite_differences_find(part) -> None:
    game, x, batch = game_of_networks()
    expected = np.linalg.eigvals(PARTS[part](jacobian(game, x, batch)))
    every = jacobian_spectrum(game, x, batch, part=part)
    assert every.shape == (56,) and (np.diff(every.real) <= 1e-9).all()
    for found in every:
        assert np.abs(found - expected).min() < 1e-6
    keys = {"LM": np.abs, "LI": lambda z: np.abs(z.imag)} | ({"LR": np.real} if part == "whole" else {})
    for which, key in keys.items():
        if part == "symmetric" and which == "LI":
            continue  # they have none
        found = key(jacobian_spectrum(game, x, batch, k=4, which=which, part=part))
        np.testing.assert_allclose(np.sort(found)[::-1], np.sort(key(every))[::-1][:4], rtol=1e-6)


def test_a_field_of_another_state_has_a_spectrum_too() -> None:
    J = np.diag([3.0, -1.0, 2.0])
    np.testing.assert_allclose(jacobian_spectrum(lambda x, batch: J @ x, np.ones(3)), [3, 2, -1])


def test_float32_networks_are_taken_as_they_are() -> None:
    game, x, batch = game_of_networks()
    exact = jacobian_spectrum(game, x, batch, k=2, which="LM")
    with jax.enable_x64(False):
        x, batch = jax.tree.map(lambda leaf: jnp.asarray(leaf, "float32"), (x, batch))
        found = jacobian_spectrum(game, x, batch, k=2, which="LM")
    np.testing.assert_allclose(np.abs(found), np.abs(exact), rtol=1e-4)


def test_too_many_eigenvalues_to_iterate_are_refused() -> None:
    with pytest.raises(ValueError, match=r"k = 3 should be from 1 to 2, two below the 4 weights"):
        jacobian_spectrum(lambda x, batch: x, np.ones(4), k=3)


def test_an_unknown_part_is_told() -> None:
    game, x, batch = game_of_networks()
    with pytest.raises(
        ValueError, match="part = 'symetric' should be one of whole, symmetric, antisymmetric"
    ):
        jacobian_spectrum(game, x, batch, part="symetric")  # type: ignore[arg-type]
