"""Steps of training against Keras's optimizers, formulas and finite differences."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from supple.ordered.lm_network import Network
from supple.ordered.lm_steps import adamw, clipped, initial_moments, rate_at, sgd, train_step
from supple.ordered.recipes import RECIPES, changed
from supple.training.arrays import copies
from tests.numerics import numpy
from tests.ordered.toy_language import TINY, UNTOUCHED

pytestmark = pytest.mark.backend


def arrays(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in [(3, 2), (4,)]]


def test_adamw_is_that_of_keras() -> None:
    start, steps = arrays(0), [arrays(seed) for seed in (1, 2, 3)]
    variables = [keras.Variable(value) for value in start]
    reference = keras.optimizers.AdamW(0.1, weight_decay=0.3, beta_2=0.99, epsilon=1e-8)
    weights = [ops.convert_to_tensor(value) for value in start]
    moments = initial_moments(TINY, weights)
    for count, gradient in enumerate(steps, 1):
        gradient = [ops.convert_to_tensor(part) for part in gradient]
        reference.apply(gradient, variables)
        weights, moments = adamw(weights, gradient, moments, 0.1, ops.convert_to_tensor(float(count)), 0.3)
    for found, expected in zip(weights, variables, strict=True):
        np.testing.assert_allclose(numpy(found), numpy(ops.stop_gradient(expected.value)), atol=1e-5)


def test_sgd_is_gradient_descent_with_a_penalty() -> None:
    weights, gradient = arrays(0), arrays(1)
    for found, w, g in zip(sgd(weights, gradient, 0.5, 0.2), weights, gradient, strict=True):
        np.testing.assert_allclose(found, w - 0.5 * (g + 0.2 * w), rtol=1e-6)


def test_long_gradients_are_shortened_and_short_ones_not() -> None:
    gradient = [ops.full((2, 2), 3.0), ops.full((4,), 4.0)]  # of norm 10
    length = np.sqrt(sum(np.sum(numpy(part) ** 2) for part in clipped(gradient, 2.0)))
    assert length == pytest.approx(2, rel=1e-5)
    for found, part in zip(clipped(gradient, 11.0), gradient, strict=True):
        np.testing.assert_allclose(numpy(found), numpy(part))


def test_rates_rise_and_fall() -> None:
    recipe = changed(TINY, {"learning_rate": 2.0, "warmup": 0.2})
    assert [rate_at(recipe, at, 12) for at in (0.1, 0.2, 0.6, 1.0)] == pytest.approx([1, 2, 1.01, 0.02])
    awd = RECIPES["awd"]
    assert [rate_at(awd, 0.5, length) for length in (70, 35)] == pytest.approx([30, 15])


def test_a_step_goes_down_the_slope_of_the_loss_that_it_states() -> None:
    """By plain descent: weights change by rate times the gradient, here by finite differences."""
    sizes = {"optimizer": "sgd", "clip": 1e9, "embedding": 4, "hidden": 4, "layers": 1, "activation": 2.0}
    recipe = changed(TINY, UNTOUCHED | sizes | {"temporal": 3.0, "weight_decay": 0.5, "layer": "lstm"})
    network = Network(recipe, 5)
    rng = np.random.default_rng(0)
    for variable in network.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    tokens, targets = rng.integers(0, 5, (2, 2, 3), dtype=np.int32)
    real = np.array([[1, 1, 1], [1, 1, 0]], np.float32)
    before = [numpy(v).copy() for v in network.trainable_variables]

    def loss() -> float:
        reading = network(tokens, network.zero_state(2))
        raw = numpy(ops.stop_gradient(reading.raw)).astype(float)
        nll = numpy(ops.stop_gradient(network.nll(reading.raw, targets))).astype(float)
        penalties = 2 * (raw**2).mean() + 3 * (np.diff(raw, axis=1) ** 2).mean()
        return (nll * real).sum() / 5 + penalties

    step = train_step(network, recipe)
    weights, others, state = copies(before_tensors(network)), network_others(network), network.zero_state(2)
    weights, _, _, after, nll = step(
        weights, others, [], state, (tokens, targets, real), np.float32(0.1), np.float32(1)
    )
    reading = network(tokens, network.zero_state(2))
    scores = numpy(ops.stop_gradient(network.nll(reading.raw, targets)))
    assert float(nll) == pytest.approx((scores * real).sum(), rel=1e-4)
    np.testing.assert_allclose(numpy(after[0]), numpy(ops.stop_gradient(reading.state[0])), atol=1e-5)
    for place, variable in enumerate(network.trainable_variables):
        index = tuple(0 for _ in variable.shape)
        ends = []
        for h in (1e-2, -1e-2):
            moved = before[place].copy()
            moved[index] += h
            variable.assign(moved)
            ends.append(loss())
        variable.assign(before[place])
        slope = (ends[0] - ends[1]) / 2e-2 + 0.5 * before[place][index]
        found = (before[place][index] - numpy(weights[place])[index]) / 0.1
        assert found == pytest.approx(slope, abs=2e-3), variable.path


def test_a_step_is_no_longer_than_rate_times_clip() -> None:
    sizes = {"optimizer": "sgd", "clip": 0.01, "weight_decay": 0.0, "layers": 1, "layer": "lstm"}
    recipe = changed(TINY, UNTOUCHED | sizes)
    network = Network(recipe, 5)
    before = [numpy(value).copy() for value in before_tensors(network)]
    window = np.array([[1, 2, 3]], np.int32), np.array([[2, 3, 4]], np.int32), np.ones((1, 3), np.float32)
    start = copies(before_tensors(network)), network_others(network), [], network.zero_state(1)
    weights, *_ = train_step(network, recipe)(*start, window, np.float32(0.5), np.float32(1))
    moved = [numpy(after) - first for after, first in zip(weights, before, strict=True)]
    assert np.sqrt(sum(np.sum(part**2) for part in moved)) == pytest.approx(0.5 * 0.01, rel=1e-2)


def before_tensors(network: Network) -> list:
    return [v.value for v in network.trainable_variables]


def network_others(network: Network) -> list:
    return copies([v.value for v in network.non_trainable_variables])
