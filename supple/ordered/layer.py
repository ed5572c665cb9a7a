"""The ON-LSTM layer: an LSTM whose cells are in order, from fine to coarse (Shen et al. 2019)."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import keras
import numpy as np
from keras import ops

from supple.ordered.equations import MASTER_INPUTS, step
from supple.ordered.recurrence import affine, flat, recurrence

register = keras.saving.register_keras_serializable("supple")


@register
class ONLSTMCell(keras.layers.Layer):
    """One step of `ONLSTM`, with its weights, for `keras.layers.RNN`."""

    def __init__(
        self,
        units: int,
        chunk_size: int,
        master_input: str = "symmetric",
        hard: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        counts = all(isinstance(n, Integral) and n >= 1 for n in (units, chunk_size))
        if not (counts and units % chunk_size == 0):
            problem = f"units = {units!r} and chunk_size = {chunk_size!r}"
            raise ValueError(f"{problem}: give a chunk_size that divides units, both integers of at least 1")
        if master_input not in MASTER_INPUTS:
            raise ValueError(f"master_input = {master_input!r} should be one of {', '.join(MASTER_INPUTS)}")
        if hard not in (True, False):
            raise ValueError(f"hard = {hard!r} should be True or False")
        self.units, self.chunk_size = int(units), int(chunk_size)
        self.form: dict[str, Any] = {"master_input": master_input, "hard": bool(hard)}
        self.state_size = [self.units, self.units]
        self.output_size = self.units

    def build(self, input_shape: Any) -> None:
        width = 4 * self.units + 2 * self.units // self.chunk_size
        self.kernel = self.add_weight((input_shape[-1], width), "glorot_uniform", name="kernel")
        self.recurrent_kernel = self.add_weight((self.units, width), "orthogonal", name="recurrent_kernel")
        self.bias = self.add_weight((width,), "zeros", name="bias")

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        h, c = states
        z = ops.cast(inputs, self.compute_dtype) @ self.kernel + h @ self.recurrent_kernel + self.bias
        h, c, *_ = step(z, h, c, **self.form)
        return h, [h, ops.cast(c, self.compute_dtype)]

    def get_config(self) -> dict[str, Any]:
        sizes = {"units": self.units, "chunk_size": self.chunk_size}
        return {**super().get_config(), **sizes, **self.form}


@register
class ONLSTM(keras.layers.RNN):
    """ON-LSTM over sequences (batch, time, in), with masks and states as in `keras.layers.LSTM`.

    Gives, as it is asked: every h (batch, time, units) or the last; the levels (batch, time), in float32 at
    least, from 0, where the master forget gate keeps every chunk, to 1 - chunk_size / units, where it keeps
    the last alone; h and c (batch, units). A step that is masked changes nothing and has level 0.

    `chunk_size`, which divides `units`, cells share a master gate. Where `master_input` is "paper" the last
    chunk is lost: from a state of zeros it stays 0, but for rounding. With `hard` master gates are 0 or 1,
    and have the gradient of soft ones. `dropout` is of the inputs, a mask for a sequence; `recurrent_dropout`
    of the recurrent matrix, a mask for a call (Merity et al. 2018). `unroll` has no effect. In
    `Bidirectional` levels are among the states, those of the backward layer in the order in which it reads.
    """

    def __init__(
        self,
        units: int,
        chunk_size: int,
        master_input: str = "symmetric",
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        return_levels: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        hard: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        for name, rate in ("dropout", dropout), ("recurrent_dropout", recurrent_dropout):
            if not (isinstance(rate, Real) and 0 <= rate < 1):
                raise ValueError(f"{name} = {rate!r} should be a number, at least 0 and less than 1")
        super().__init__(
            ONLSTMCell(units, chunk_size, master_input, hard, dtype=kwargs.get("dtype")),
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            **kwargs,
        )
        self.return_levels = return_levels
        self.dropout, self.recurrent_dropout, self.seed = dropout, recurrent_dropout, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    @property
    def return_state(self) -> bool:
        """Whether there is more than one output: what `Bidirectional` wants to know."""
        return self.gives_state or self.return_levels

    @return_state.setter
    def return_state(self, value: bool) -> None:
        self.gives_state = value

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        super().build(sequences_shape, initial_state_shape)
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: sequences_shape[-1]})
        if self.stateful:  # Keras leaves them out of the variables, and JAX's `fit` and `predict` lose them
            shape = sequences_shape[0], self.cell.units
            self.states = [self.add_weight(shape, "zeros", trainable=False, name=name) for name in "hc"]

    @property
    def weights(self) -> list[Any]:
        """Without the states, which are a run's, as in `keras.layers.LSTM`: what `set_weights` takes."""
        states = self.states or []
        return [weight for weight in super().weights if not any(weight is state for state in states)]

    def save_own_variables(self, store: Any) -> None:
        """States are a run's, of its batch size: no part of what is saved."""

    def load_own_variables(self, store: Any) -> None:
        pass

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        if sequences.shape[1] == 0:
            raise ValueError(f"sequences have shape {tuple(sequences.shape)}: give a step or more")
        x = self.in_order(ops.cast(sequences, self.compute_dtype))
        h, c = self.start(initial_state, sequences)
        u = ops.convert_to_tensor(self.cell.recurrent_kernel)
        if training and self.dropout:
            x = keras.random.dropout(x, self.dropout, (1, None, None), self.seed_generator)
        if training and self.recurrent_dropout:
            u = keras.random.dropout(u, self.recurrent_dropout, seed=self.seed_generator)
        # Flat: XLA's gradient of a product of three dimensions is slower.
        zx = affine(flat(x), self.cell.kernel, self.cell.bias)
        zx = ops.reshape(zx, (*ops.shape(x)[:2], u.shape[1]))
        masks = [] if mask is None else [self.in_order(whole(mask, sequences))[..., None]]
        outputs, c, levels = recurrence(zx, u, h, c, *masks, **self.cell.form)
        h = outputs[-1]
        if self.stateful:
            for variable, value in zip(self.states, (h, c), strict=True):
                variable.assign(value)
        if masks and self.zero_output_for_mask:
            outputs = ops.where(masks[0], outputs, 0.0)
        found = [ops.swapaxes(outputs, 0, 1) if self.return_sequences else outputs[-1]]
        found += [ops.transpose(levels)] if self.return_levels else []
        found += [h, ops.cast(c, self.compute_dtype)] if self.gives_state else []
        return tuple(found) if len(found) > 1 else found[0]

    def in_order(self, x: Any) -> Any:
        """(batch, time, …) as (time, batch, …), in the order in which the layer reads."""
        x = ops.swapaxes(x, 0, 1)
        return ops.flip(x, 0) if self.go_backwards else x

    def start(self, initial_state: Any, sequences: Any) -> tuple[Any, Any]:
        """h and c before the first step; c is in float32 at least."""
        batch = ops.shape(sequences)[0]
        if initial_state is None:
            initial_state = self.states if self.stateful else self.get_initial_state(batch)
        expected = sequences.shape[0], self.cell.units
        shapes = [tuple(np.shape(state)) for state in initial_state]
        if len(shapes) != 2 or not all(fits(shape, expected) for shape in shapes):
            problem = f"states have shapes {shapes}; for these sequences give h and c of shape {expected}"
            if initial_state is self.states:
                problem += ": a stateful layer keeps the batch size that it was built with"
            raise ValueError(problem)
        # Copies: on PyTorch the variables of a stateful layer change in place before the gradient.
        h, c = (ops.copy(ops.convert_to_tensor(state)) for state in initial_state)
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        return ops.cast(h, self.compute_dtype), ops.cast(c, wide)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        shape = super().compute_output_shape(sequences_shape, initial_state_shape)
        if not self.return_levels:
            return shape
        outputs, *states = shape
        return outputs, tuple(sequences_shape[:2]), *(states if self.gives_state else [])

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        cell = config.pop("cell")["config"]
        of_cell = {name: cell[name] for name in ("units", "chunk_size", "master_input", "hard")}
        names = "return_levels", "dropout", "recurrent_dropout", "seed"
        own = {name: getattr(self, name) for name in names}
        return {**config, "return_state": self.gives_state, **of_cell, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ONLSTM:
        return cls(**config)


def whole(mask: Any, sequences: Any) -> Any:
    """A mask of booleans, (batch, time) as the sequences: where it has a size of 1 it is repeated."""
    expected = tuple(sequences.shape[:2])
    mask = ops.cast(mask, "bool")
    if not fits([None if n == 1 else n for n in mask.shape], expected):
        raise ValueError(f"mask has shape {tuple(mask.shape)}; for these sequences give {expected}")
    return ops.broadcast_to(mask, ops.shape(sequences)[:2])


def fits(shape: Any, expected: Any) -> bool:
    """Whether it is the shape expected, as far as both are known."""
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(n == m or None in (n, m) for n, m in pairs)
