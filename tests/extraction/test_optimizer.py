"""The averages are the weighted means of theory, and the weights those of plain Adam, bit by bit."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from supple.extraction.optimizer import AveragingAdam

pytestmark = pytest.mark.backend

SHAPES = [(3, 2), (4,)]
STEPS = 5


class Adam(keras.optimizers.Adam):
    """Plain Adam; PyTorch gets a fused one, which rounds otherwise, for Keras's own and for no subclass."""


def trajectory(optimizer: keras.optimizers.Optimizer) -> tuple[list[keras.Variable], list[list[np.ndarray]]]:
    """The variables after a few steps along fixed gradients, and their values after each step."""
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in SHAPES]
    values = []
    for _ in range(STEPS):
        gradients = [keras.ops.array(rng.normal(size=shape), "float32") for shape in SHAPES]
        optimizer.apply(gradients, variables)
        values.append([keras.ops.convert_to_numpy(variable) for variable in variables])
    return variables, values


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_averages_are_exponentially_weighted_means(decay: float) -> None:
    optimizer = AveragingAdam(0.1, decay=decay)
    _, values = trajectory(optimizer)
    weights = np.array([decay ** (STEPS - 1 - step) for step in range(STEPS)])
    for number, average in enumerate(optimizer.averaged()):
        column = np.array([step[number] for step in values], np.float64)
        expected = np.tensordot(weights / weights.sum(), column, 1)
        np.testing.assert_allclose(average, expected, rtol=1e-4, atol=1e-5)


def test_weights_are_those_of_plain_adam() -> None:
    schedule = keras.optimizers.schedules.CosineDecay(0.1, STEPS)
    options = {"learning_rate": schedule, "global_clipnorm": 1.0}
    _, plain = trajectory(Adam(**options))
    variables, values = trajectory(AveragingAdam(**options, decay=0.9))
    assert all(
        np.array_equal(a, b)
        for one, two in zip(plain, values, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    assert not np.array_equal(values[0][0], values[-1][0]) and len(variables) == len(SHAPES)


def test_an_average_can_be_built_before_the_first_step() -> None:
    optimizer = AveragingAdam(0.1, decay=0.9)
    variable = keras.Variable(np.ones(3), dtype="float32")
    optimizer.build([variable])
    with pytest.raises(RuntimeError, match="no step"):
        optimizer.averaged()
    optimizer.apply([keras.ops.ones(3)], [variable])
    np.testing.assert_allclose(optimizer.averaged()[0], keras.ops.convert_to_numpy(variable), rtol=1e-5)
