"""Running averages of a model's weights, several decays at once, that leave the weights alone.

With w_n the weights after step n, an average of decay β is the exact weighted mean
Σ β^(N-n) w_n / Σ β^(N-n) over the steps so far; β = 1 is the uniform mean of SWA (Izmailov 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from supple.errors import InputError
from supple.training.arrays import blend, copies


class Average:
    """Averages of a model's trainable weights and BatchNorm statistics, one for each of `decays`.

    `update()` after every step, in `fit` or in a loop of your own; `with average.applied():` the model has
    the averages, after it the weights it had. Bit for bit, training is the same with and without.

    `warmup` w > 0 holds the decay after n updates down to n / (n + w), so that early weights are forgotten
    sooner; with decay 1, weights then count about as n^w (Shamir & Zhang 2013). The first `start` updates
    only count. Without `bias_correction` averages start from the weights as they are now. `batch_norm="raw"`
    leaves BatchNorm statistics out. Raises ValueError if the model has no weights to average.
    """

    def __init__(
        self,
        model: keras.Layer,
        decays: float | Sequence[float] = 0.999,
        *,
        warmup: float = 0,
        start: int = 0,
        bias_correction: bool = True,
        batch_norm: Literal["average", "raw"] = "average",
    ):
        self.model, self.warmup, self.start = model, warmup, start
        self.decays = tuple(decays) if isinstance(decays, Sequence) else (decays,)
        check(self.decays, warmup, start, bias_correction, batch_norm)
        self.variables = averaged_variables(model, batch_norm)
        self.updates = 0
        # Of each mean the sum Σ β^(N-n). One that begins at 1 / (1 - β) stays there: no correction.
        self.masses = [0.0 if bias_correction else 1 / (1 - decay) for decay in self.decays]
        begin = [
            ops.cast(array, keras.backend.result_type(array.dtype, "float32")) for array in self.arrays()
        ]
        self.averages = [copies(begin) for _ in self.decays]
        if bias_correction:  # mean + (weight - mean) * 1 is the weight, to the last bit, only from zero
            self.averages = [[ops.zeros_like(mean) for mean in average] for average in self.averages]
        self.raw: list[Any] | None = None  # the weights, while the averages are in their place

    def update(self, arrays: Sequence[Any] | None = None) -> None:
        """Take the weights in; or, if a loop holds them, `arrays`, one for each of `variables`."""
        if self.raw is not None:
            raise RuntimeError("the model has its averages, not its weights: call reset() before training on")
        before = self.updates - self.start
        if before >= 0:
            reach = before / (before + self.warmup) if self.warmup else 1.0
            pairs = zip(self.decays, self.masses, strict=True)
            masses = [min(decay, reach) * mass + 1 for decay, mass in pairs]
            arrays = self.arrays() if arrays is None else list(arrays)
            self.averages = blend(self.averages, arrays, [1 / mass for mass in masses])
            self.masses = masses
        self.updates += 1

    @property
    def ready(self) -> bool:
        """Whether there is an average yet."""
        return self.updates > self.start

    def values(self, decay: float | None = None) -> list[Any]:
        """A copy of the average of `decay`, of the first decay if not given: arrays like `variables`."""
        if not self.ready:
            raise RuntimeError(
                f"no average yet after {self.updates} updates: the first {self.start} only count"
            )
        decay = self.decays[0] if decay is None else decay
        if decay not in self.decays:
            raise ValueError(f"no average of decay {decay}; there are {', '.join(map(str, self.decays))}")
        return copies(self.averages[self.decays.index(decay)])

    def apply(self, decay: float | None = None) -> None:
        """Put an average in the place of the weights, until `reset`; RuntimeError if one is there already."""
        self.refuse_twice()
        values, raw = self.values(decay), copies(self.arrays())
        self.raw = raw
        try:
            assign(self.variables, values)
        except BaseException:
            self.reset()
            raise

    def reset(self) -> None:
        """Put the weights back in their place; RuntimeError if they are there."""
        if self.raw is None:
            raise RuntimeError("the model has its weights already: reset() undoes one apply()")
        try:
            self.sync()  # an `evaluate` that raised left the averages with JAX's trainer, to come back later
        finally:
            assign(self.variables, self.raw)
            self.raw = None

    @contextmanager
    def applied(self, decay: float | None = None) -> Iterator[None]:
        """Within it the model has an average, after it its weights, whatever was raised."""
        self.refuse_twice()
        try:
            self.apply(decay)
            yield
        finally:
            if self.raw is not None:
                self.reset()

    def refuse_twice(self) -> None:
        if self.raw is not None:
            raise RuntimeError("the model has its averages already: call reset() before another apply()")

    def recompute(self, batches: Iterable[Any], decay: float | None = None) -> None:
        """Make the BatchNorm statistics of an average those of `batches`, inputs or (inputs, ...), under it.

        The means over batches of what the averaged weights make of them (Izmailov 2018, section 3.2).
        """
        layers = batch_norms(self.model)
        places = [i for i, variable in enumerate(self.variables) if not variable.trainable]
        if not places:
            raise ValueError("no BatchNorm statistics to recompute: none in the model, or batch_norm='raw'")
        state = [(variable, copies([variable.value])[0]) for variable in self.model.non_trainable_variables]
        momenta, n = [layer.momentum for layer in layers], None
        with self.applied(decay):
            try:
                for n, batch in enumerate(batches):
                    for layer in layers:
                        layer.momentum = n / (n + 1)
                    self.model(batch[0] if isinstance(batch, tuple) else batch, training=True)
                if n is None:
                    raise ValueError("no batches to recompute BatchNorm statistics from")
                found = copies([self.variables[i].value for i in places])
            finally:
                for layer, momentum in zip(layers, momenta, strict=True):
                    layer.momentum = momentum
                assign(*zip(*state, strict=True))  # seeds of dropout too
        average = self.averages[0 if decay is None else self.decays.index(decay)]
        for i, value in zip(places, found, strict=True):
            average[i] = ops.cast(value, average[i].dtype)

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs to go on, as arrays for `np.savez(path, **average.state())`."""
        means = {
            f"{k}_{i}": mean for k, average in enumerate(self.averages) for i, mean in enumerate(average)
        }
        counts = {"decays": self.decays, "masses": self.masses, "updates": self.updates}
        return {name: np.array(value) for name, value in counts.items()} | {
            name: ops.convert_to_numpy(mean) for name, mean in means.items()
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state()`; InputError if it is of other decays or of weights of other shapes."""
        mend = "build it as it was, or start anew"
        if tuple(state["decays"].tolist()) != self.decays:
            problem = f"averages of decays {state['decays'].tolist()} were saved, not of {list(self.decays)}"
            raise InputError(f"{problem}; {mend}")
        saved = sum(name.startswith("0_") for name in state)
        if saved != len(self.variables):
            problem = f"averages of {saved} weights were saved, and the model has {len(self.variables)}"
            raise InputError(f"{problem}; {mend}")
        averages = [[state[f"{k}_{i}"] for i in range(saved)] for k in range(len(self.decays))]
        for variable, mean in zip(self.variables, averages[0], strict=True):
            if mean.shape != tuple(variable.shape):
                problem = (
                    f"the average of {variable.path} was saved with shape {mean.shape}, and the weight has"
                )
                raise InputError(f"{problem} {tuple(variable.shape)}; {mend}")
        self.averages = [copies([ops.convert_to_tensor(mean) for mean in average]) for average in averages]
        self.masses, self.updates = state["masses"].tolist(), int(state["updates"])

    def arrays(self) -> list[Any]:
        """The present weights; RuntimeError if they are those of a part of a model in JAX's `fit`."""
        self.sync()
        if any(variable._value is None for variable in self.variables):
            raise RuntimeError(
                "the weights are with a `fit` of another model: average that one, not its part"
            )
        return [variable.value for variable in self.variables]

    def sync(self) -> None:
        """Have JAX's trainer, which holds the weights while `fit` runs, put them into the variables."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()


def check(decays: tuple[float, ...], warmup: float, start: int, correct: bool, batch_norm: str) -> None:
    """ValueError if an argument of `Average` is out of range."""
    if not decays or not all(0 <= decay <= 1 for decay in decays) or len(set(decays)) < len(decays):
        raise ValueError(f"decays should be different numbers from 0 to 1, not {list(decays)}")
    if not correct and 1 in decays:
        raise ValueError("without bias_correction an average of decay 1 never moves: correct it, or lower it")
    if warmup < 0 or start < 0:
        raise ValueError(f"warmup and start should be 0 or more, not {warmup} and {start}")
    if batch_norm not in ("average", "raw"):
        raise ValueError(f"batch_norm should be 'average' or 'raw', not {batch_norm!r}")


def averaged_variables(model: keras.Layer, batch_norm: str) -> list[keras.Variable]:
    """What to average: trainable weights, then BatchNorm statistics; nothing that is frozen."""
    if not model.built:
        raise ValueError(f"{model.name} has no weights yet: call it on a batch, or build it, to average them")
    if not model.trainable_variables:
        raise ValueError(f"{model.name} has no trainable weights: there is nothing to average")
    layers = batch_norms(model) if batch_norm == "average" else []
    return [*model.trainable_variables, *(v for layer in layers for v in layer.non_trainable_variables)]


def batch_norms(model: keras.Layer) -> list[keras.layers.BatchNormalization]:
    """The BatchNorm layers of a model, however deep, that are trained."""
    layers = model._flatten_layers()
    return [
        layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def assign(variables: Iterable[Any], values: Iterable[Any]) -> None:
    """Set variables to values of the same shapes."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
