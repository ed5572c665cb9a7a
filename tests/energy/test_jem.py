"""A classifier's logits as energies (Grathwohl et al. 2020)."""

from __future__ import annotations

import jax.numpy as jnp
import keras
import numpy as np
import pytest

from supple.energy.jem import class_probabilities, energies, energy_of

LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
Y = np.array([0, 3, 1, 2, 2, 0])


def test_the_joint_and_the_marginal_make_the_softmax() -> None:
    """p(y|x) = exp(−U(x, y)) / exp(−U(x))."""
    softmax = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    joint, marginal = np.asarray(energies(LOGITS, Y)), np.asarray(energies(jnp.asarray(LOGITS)))
    assert np.exp(marginal - joint) == pytest.approx(softmax[np.arange(6), Y], rel=1e-5)
    found = class_probabilities(lambda x: x, LOGITS)
    assert np.asarray(found) == pytest.approx(softmax, rel=1e-5)


def test_of_a_keras_classifier() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    x = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    logits = keras.ops.convert_to_numpy(model(x))
    for y, expected in (None, -np.log(np.exp(logits).sum(1))), (Y, -logits[np.arange(6), Y]):
        call, weights, state = energy_of(model, y)
        assert np.asarray(call(weights, state, x)[0]) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert energy_of(model).call == energy_of(model, Y).call  # so that what is compiled is shared


def test_an_energy_without_classes_is_itself() -> None:
    call, weights, state = energy_of(lambda x: x.sum(-1))
    assert np.asarray(call(weights, state, LOGITS)[0]) == pytest.approx(LOGITS.sum(1), rel=1e-5)


def test_outputs_are_checked() -> None:
    with pytest.raises(ValueError, match=r"shape \(6, 1\); give \(batch,\), or \(batch, classes\) with 2"):
        energies(LOGITS[:, :1])
    with pytest.raises(ValueError, match=r"there are classes, and the energy gives \(batch,\)"):
        energies(LOGITS[:, 0], Y)
    with pytest.raises(ValueError, match=r"outputs have shape \(6,\); classes need \(batch, classes\)"):
        class_probabilities(lambda x: x.sum(-1), LOGITS)
