"""Temperatures by step, as data, and the callback that sets them while a model is trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops


def check(**numbers: float) -> None:
    """ValueError unless all are above 0."""
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{name} = {value} should be above 0")


@dataclass(frozen=True)
class Exponential:
    """max(floor, start exp(-rate step)), as of Jang et al. 2017."""

    rate: float
    start: float = 1.0
    floor: float = 0.5

    def __post_init__(self) -> None:
        check(start=self.start, floor=self.floor)

    def __call__(self, step: int) -> float:
        return max(self.floor, self.start * math.exp(-self.rate * step))


@dataclass(frozen=True)
class Geometric:
    """floor + (start - floor) decay^step: by default .01 + .99 · .999^step."""

    decay: float = 0.999
    start: float = 1.0
    floor: float = 0.01

    def __post_init__(self) -> None:
        check(decay=self.decay, start=self.start, floor=self.floor)

    def __call__(self, step: int) -> float:
        return self.floor + (self.start - self.floor) * self.decay**step


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from `start` to `end` in so many steps, then `end`."""

    steps: int
    start: float = 1.0
    end: float = 0.1

    def __post_init__(self) -> None:
        check(steps=self.steps, start=self.start, end=self.end)

    def __call__(self, step: int) -> float:
        part = min(step / self.steps, 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * part)) / 2


@dataclass(frozen=True)
class Linear:
    """A line from `start` to `end` in so many steps, then `end`."""

    steps: int
    start: float = 1.0
    end: float = 0.1

    def __post_init__(self) -> None:
        check(steps=self.steps, start=self.start, end=self.end)

    def __call__(self, step: int) -> float:
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


class TemperatureSchedule(keras.callbacks.Callback):
    """Sets a temperature to `schedule(step)` before each step of `fit`, or every so many steps.

    `target` is a Keras variable that the model tracks, such as `layer.add_weight(trainable=False)`, or a
    layer with one called `temperature`; else ValueError. The steps are those of the model's optimizer: one
    that was loaded, or restored by BackupAndRestore, goes on where it was. With `every` above 1 `fit` is
    faster on JAX, where each change puts all variables back into the model.
    """

    def __init__(self, schedule: Callable[[int], float], target: Any, every: int = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"every = {every} should be 1 or more steps")
        self.variable = getattr(target, "temperature", target)
        if not isinstance(self.variable, keras.Variable):
            problem = f"the temperature of {type(target).__name__} is no Keras variable"
            raise ValueError(f"{problem}; make it with add_weight(shape=(), trainable=False)")
        self.schedule, self.every = schedule, every

    def on_train_begin(self, logs: Any = None) -> None:
        if not any(variable is self.variable for variable in self.model.variables):
            problem = (
                "the model does not track the variable of TemperatureSchedule, and compiled steps miss it"
            )
            raise ValueError(
                f"{problem}; make it with add_weight(shape=(), trainable=False) of a layer in it"
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # Not when training begins: BackupAndRestore may restore the optimizer after that.
        self.before = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        self.value: float | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        step = (self.before + batch) // self.every * self.every
        value = self.schedule(step)
        if value == self.value:
            return
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # else the next step takes the variables of the last one
        self.variable.assign(value)
        self.value = value
