"""Schedules are their formulas; compiled steps see what the callback sets, and a resumed `fit` goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from supple.sampling.schedules import Cosine, Exponential, Geometric, Linear, TemperatureSchedule

pytestmark = pytest.mark.backend

X = np.ones((8, 2), "float32")
HALVED = Geometric(0.5)


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (Exponential(1e-3), lambda t: max(0.5, math.exp(-1e-3 * t))),
        (Geometric(), lambda t: 0.01 + 0.99 * 0.999**t),
        (Cosine(1000, 2.0, 0.5), lambda t: 1.25 + 0.75 * math.cos(math.pi * min(t, 1000) / 1000)),
        (Linear(1000, 2.0, 0.5), lambda t: max(2 - 0.0015 * t, 0.5)),
    ],
)
def test_schedules_are_their_formulas(schedule: Any, wanted: Callable[[int], float]) -> None:
    steps = [0, 1, 10, 500, 999, 1000, 10_000, 10**7]
    assert [schedule(t) for t in steps] == pytest.approx([wanted(t) for t in steps])
    assert type(schedule)(**asdict(schedule)) == schedule


class Times(keras.layers.Layer):
    """x times its temperature, by a compiled step."""

    def build(self, shape: Any) -> None:
        self.temperature = self.add_weight(shape=(), trainable=False, initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.temperature


class Losses(keras.callbacks.Callback):
    """What each step saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        total = float(logs["loss"]) * (batch + 1)  # as it is the mean of the steps of the epoch
        self.seen.append(total - sum(self.seen[len(self.seen) - batch :]))


def model() -> keras.Model:
    """Its loss is the temperature; it has a weight, as without one there are no steps to count."""
    layer = Times()
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(0.5))
    made = keras.Sequential([keras.Input((2,)), dense, layer])
    made.compile("sgd", loss=lambda y, p: p)
    made.optimizer.learning_rate = 0.0
    return made


def fitted(made: keras.Model, *callbacks: Any, epochs: int = 1, **options: Any) -> list[float]:
    """The temperatures that the steps saw, four an epoch."""
    losses = Losses()
    made.fit(X, X[:, :1], batch_size=2, epochs=epochs, verbose=0, callbacks=[*callbacks, losses], **options)
    return losses.seen


def test_every_compiled_step_sees_its_temperature() -> None:
    made = model()
    found = fitted(made, TemperatureSchedule(HALVED, made.layers[-1]), epochs=2)
    assert found == pytest.approx([HALVED(t) for t in range(8)], rel=1e-4)
    variable = made.layers[-1].temperature
    again = fitted(made, TemperatureSchedule(HALVED, variable, every=2))  # goes on at step 8
    assert again == pytest.approx([HALVED(t) for t in (8, 8, 10, 10)], rel=1e-3)


def test_a_model_that_is_loaded_goes_on() -> None:
    first = model()
    fitted(first, TemperatureSchedule(HALVED, first.layers[-1]))
    saved = [variable.numpy() for variable in (*first.variables, *first.optimizer.variables)]
    second = model()
    second.optimizer.build(second.trainable_variables)
    for variable, value in zip((*second.variables, *second.optimizer.variables), saved, strict=True):
        variable.assign(value)
    found = fitted(second, TemperatureSchedule(HALVED, second.layers[-1]))
    assert found == pytest.approx([HALVED(t) for t in range(4, 8)], rel=1e-3)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore")  # of Keras, when it restores
def test_an_interrupted_fit_goes_on(tmp_path: Path) -> None:
    def parts(made: keras.Model) -> tuple[Any, Any]:
        return TemperatureSchedule(HALVED, made.layers[-1]), keras.callbacks.BackupAndRestore(str(tmp_path))

    made = model()
    with pytest.raises(KeyboardInterrupt):
        fitted(made, *parts(made), Interrupt(), epochs=2)
    made = model()
    found = fitted(made, *parts(made), epochs=2)
    assert found == pytest.approx([HALVED(t) for t in range(4, 8)], rel=1e-3)


def test_wrong_arguments_are_told_of() -> None:
    with pytest.raises(ValueError, match="every = 0 should be 1 or more steps"):
        TemperatureSchedule(HALVED, keras.Variable(1.0), every=0)
    with pytest.raises(
        ValueError, match="the temperature of Dense is no Keras variable; make it with add_weight"
    ):
        TemperatureSchedule(HALVED, keras.layers.Dense(1))
    with pytest.raises(ValueError, match="does not track the variable of TemperatureSchedule"):
        fitted(model(), TemperatureSchedule(HALVED, keras.Variable(1.0)))
    with pytest.raises(ValueError, match="steps = 0 should be above 0"):
        Linear(0)
    with pytest.raises(ValueError, match="floor = -1 should be above 0"):
        Exponential(1e-3, floor=-1)
