"""Adam that also keeps the exponential average of what it trains."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


class AveragingAdam(keras.optimizers.Adam):
    """Adam with a bias-corrected moving average of every weight, updated in the compiled step.

    Unlike `use_ema=True` it never touches the weights themselves, at the end of `fit` either.
    """

    def __init__(self, *args: Any, decay: float = 0.999, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.decay = decay

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)
            self.averages = [self.add_variable_from_reference(v, name="average") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(gradient, variable, learning_rate)
        average = self.averages[self._get_variable_index(variable)]
        self.assign_add(average, (variable - average) * (1 - self.decay))

    def averaged(self) -> list[np.ndarray]:
        """The average of each trainable weight: exact weighted means, whatever the number of steps so far."""
        steps = int(ops.convert_to_numpy(self.iterations))
        if not steps:
            raise RuntimeError("no step was taken yet: there is nothing to average")
        return [ops.convert_to_numpy(a) / (1 - self.decay**steps) for a in self.averages]
