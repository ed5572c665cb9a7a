"""The network of a language model: embedding, recurrent layers, and a softmax tied to the embedding.

Symbols: B rows, T steps, V words, E the size of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from supple.ordered.equations import gates, masters, shares
from supple.ordered.layer import ONLSTM
from supple.ordered.recipes import Recipe


class LSTM(keras.layers.LSTM):
    """Keras's LSTM with weight drop; gives its outputs, h and c."""

    def __init__(self, units: int, weight_drop: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(units, return_sequences=True, return_state=True, **options)
        self.weight_drop = keras.layers.Dropout(weight_drop, seed=seed)

    def call(self, sequences: Any, initial_state: Any, mask: Any = None, training: bool = False) -> Any:
        kernel, recurrent, bias = self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias
        dropped = self.weight_drop(recurrent.value, training=training)
        values = [(kernel, kernel.value), (recurrent, dropped), (bias, bias.value)]
        with keras.StatelessScope(state_mapping=values):
            return super().call(sequences, initial_state, mask, training=training)


def recurrent(recipe: Recipe, units: int, seed: int, name: str) -> keras.Layer:
    """A recurrent layer that gives outputs (B, T, units), h and c."""
    if recipe.layer == "lstm":
        return LSTM(units, recipe.weight_drop, seed, name=name)
    return ONLSTM(
        units,
        recipe.chunk_size,
        recipe.master_input,
        return_sequences=True,
        return_state=True,
        recurrent_dropout=recipe.weight_drop,
        seed=seed,
        name=name,
    )


class Reading(NamedTuple):
    """What a network makes of ids (B, T)."""

    raw: Any  # the last layer's outputs (B, T, E)
    dropped: Any  # these after their dropout
    state: list[Any]  # h and c of each layer, (B, units), in turn


class Network(keras.Model):
    """A language model of `words` words; the matrix of its softmax is the embedding (Press & Wolf 2017)."""

    def __init__(self, recipe: Recipe, words: int) -> None:
        super().__init__(name="network")
        self.embedding = self.add_weight(
            (words, recipe.embedding), keras.initializers.RandomUniform(-0.1, 0.1), name="embedding"
        )
        self.bias = self.add_weight((words,), "zeros", name="bias")
        self.units = [recipe.hidden] * (recipe.layers - 1) + [recipe.embedding]
        # Seeds that are given: without, on PyTorch, noise comes from a state that no checkpoint has.
        seeds = iter(
            np.random.default_rng(recipe.seed).integers(1 << 30, size=2 * recipe.layers + 2).tolist()
        )
        self.recurrent = [
            recurrent(recipe, units, next(seeds), f"layer_{number}")
            for number, units in enumerate(self.units, 1)
        ]
        between = [recipe.hidden_dropout] * (recipe.layers - 1) + [recipe.output_dropout]
        self.word_dropout = keras.layers.Dropout(recipe.embedding_dropout, seed=next(seeds))
        self.dropouts = [
            keras.layers.Dropout(rate, (None, 1, None), next(seeds))  # the same places at every step
            for rate in (recipe.input_dropout, *between)
        ]
        for layer, size in zip(self.recurrent, [recipe.embedding, *self.units], strict=False):
            layer.build((None, None, size))
        self.built = True

    def zero_state(self, rows: int) -> list[Any]:
        """The state of rows of which nothing has been read."""
        return [ops.zeros((rows, units)) for units in self.units for _ in "hc"]

    def call(self, tokens: Any, state: list[Any], training: bool = False) -> Reading:
        words = self.word_dropout(ops.ones((self.embedding.shape[0], 1)), training=training)
        x = ops.take(self.embedding, tokens, 0) * ops.take(words, tokens, 0)
        x = self.dropouts[0](x, training=training)
        after = []
        for number, (layer, dropout) in enumerate(zip(self.recurrent, self.dropouts[1:], strict=True)):
            y, h, c = layer(x, initial_state=state[2 * number : 2 * number + 2], training=training)
            x = dropout(y, training=training)
            after += [h, c]
        return Reading(y, x, after)

    def levels(self, tokens: Any, state: list[Any]) -> Any:
        """Levels (B, 1 + layers, T) of tokens (B, T): the mean renewal of all layers, then d of each."""
        x, found = ops.take(self.embedding, tokens, 0), []
        for number, layer in enumerate(self.recurrent):
            y, *_ = layer(x, initial_state=state[2 * number : 2 * number + 2])
            before = ops.concatenate([state[2 * number][:, None], y[:, :-1]], 1)
            found.append(read_gates(layer, x, before))
            x = y
        erased, renewed = zip(*found, strict=True)
        return ops.stack([sum(renewed) / len(renewed), *erased], 1)

    def logits(self, hidden: Any) -> Any:
        """Logits (N, V) of the words after hidden states (N, E)."""
        return hidden @ ops.transpose(self.embedding) + self.bias

    def nll(self, hidden: Any, targets: Any) -> Any:
        """-log p of the target words (B, T) after hidden states (B, T, E).

        The logits of targets come from their rows of the embedding: so of all B T V logits, whose products
        with hidden states and embeddings are most of the time that this takes, only logsumexp is needed.
        """
        h, y = ops.reshape(hidden, (-1, hidden.shape[-1])), ops.reshape(targets, (-1,))
        chosen = ops.sum(h * ops.take(self.embedding, y, 0), -1) + ops.take(self.bias, y, 0)
        return ops.reshape(ops.logsumexp(self.logits(h), -1) - chosen, ops.shape(targets))


def read_gates(layer: keras.Layer, x: Any, h_before: Any) -> tuple[Any, Any]:
    """d and the renewal (B, T) of the steps of a layer, from what it reads and from h before each.

    A step is c = a c₋ + b ĉ. d, the level of Shen et al. (2019), is 1 - mean(f̃) of ON-LSTM, of LSTM
    1 - mean(f). The renewal, ½ (1 - mean(a) + mean(b)), is how much of the cells is erased and written anew.
    """
    z = x @ layer.cell.kernel + h_before @ layer.cell.recurrent_kernel + layer.cell.bias
    units = layer.cell.units
    if isinstance(layer, LSTM):
        b, a = (ops.mean(ops.sigmoid(part), -1) for part in (z[..., :units], z[..., units : 2 * units]))
        d = 1 - a
    else:
        g = gates(ops.reshape(z, (-1, z.shape[-1])), units)
        i_master, f_master = masters(g, **layer.cell.form)
        kept, written = shares(i_master, f_master, g.i, g.f)
        a, b, f = (ops.mean(part, 1) for part in (f_master * kept, i_master * written, f_master))
        a, b, d = (ops.reshape(part, ops.shape(z)[:2]) for part in (a, b, 1 - f))
    return d, (1 - a + b) / 2


def activation_terms(reading: Reading) -> tuple[Any, Any]:
    """AR, the mean square of the outputs dropped, and TAR, that of the change of the outputs in a step.

    Merity, McCann & Socher 2017.
    """
    change = reading.raw[:, 1:] - reading.raw[:, :-1]
    return ops.mean(reading.dropped**2), ops.mean(change**2)


def stateless(network: Network, f: Callable[..., Any]) -> Callable[..., tuple[Any, list[Any]]]:
    """f(*args) as a function of all weights: of (weights, others, *args) it gives (f(*args), others)."""

    def apply(weights: list[Any], others: list[Any], *args: Any) -> tuple[Any, list[Any]]:
        variables = [*network.trainable_variables, *network.non_trainable_variables]
        values = list(zip(variables, [*weights, *others], strict=True))
        with keras.StatelessScope(state_mapping=values) as scope:
            result = f(*args)
        return result, [scope.get_current_value(variable) for variable in network.non_trainable_variables]

    return apply
