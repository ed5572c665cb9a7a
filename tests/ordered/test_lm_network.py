"""The network is tied, drops what it should, and scores as a softmax does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from supple.ordered.layer import ONLSTM
from supple.ordered.lm_network import LSTM, Network, activation_terms, read_gates, recurrent, stateless
from supple.ordered.recipes import changed
from tests.numerics import numpy
from tests.ordered.toy_language import TINY, UNTOUCHED

pytestmark = pytest.mark.backend

WORDS = 9
SURE = changed(TINY, UNTOUCHED | {"layer": "lstm"})


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(SURE, WORDS)


def value(x: Any) -> np.ndarray:
    return numpy(ops.stop_gradient(x))


def ids(rows: int, steps: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, WORDS, (rows, steps), dtype=np.int32)


@pytest.mark.parametrize("layer", ["onlstm", "lstm"])
def test_the_softmax_has_the_matrix_of_the_embedding(layer: str) -> None:
    network = Network(changed(SURE, {"layer": layer}), WORDS)
    of_words = [v for v in network.trainable_variables if WORDS in v.shape]
    assert [tuple(v.shape) for v in of_words] == [(WORDS, SURE.embedding), (WORDS,)]
    assert len(network.trainable_variables) == 2 + 3 * SURE.layers
    hidden = ops.eye(SURE.embedding)
    before = value(network.logits(hidden))
    network.embedding.assign(2 * network.embedding)
    np.testing.assert_allclose(value(network.logits(hidden)), 2 * before, rtol=1e-6)


def test_layers_grow_and_shrink_again() -> None:
    network = Network(changed(SURE, {"layers": 3}), WORDS)
    shapes = [tuple(layer.cell.kernel.shape) for layer in network.recurrent]
    assert shapes == [(12, 4 * 16), (16, 4 * 16), (16, 4 * 12)]
    assert [tuple(part.shape) for part in network.zero_state(5)] == [(5, 16)] * 4 + [(5, 12)] * 2


def test_scores_are_log_probabilities(network: Network) -> None:
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(3, 4, SURE.embedding)).astype(np.float32)
    network.bias.assign(rng.normal(size=WORDS))
    scores = hidden @ numpy(network.embedding).T + numpy(network.bias)
    log_p = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    targets = ids(3, 4)
    expected = -np.take_along_axis(log_p, targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(numpy(network.nll(hidden, targets)), expected, atol=1e-5)


def test_at_first_all_words_are_alike() -> None:
    """Logits have mean 0 and are small, so that perplexity is about the number of words."""
    network = Network(changed(SURE, {"layer": "lstm", "embedding": 20}), 1000)
    tokens = np.random.default_rng(0).integers(0, 1000, (4, 50), dtype=np.int32)
    reading = network(tokens, network.zero_state(4))
    perplexity = np.exp(numpy(network.nll(reading.raw, np.roll(tokens, -1))).mean())
    assert abs(perplexity - 1000) < 20


@pytest.mark.parametrize("layer", ["onlstm", "lstm"])
def test_reading_goes_on_from_the_state(layer: str) -> None:
    network = Network(changed(SURE, {"layer": layer}), WORDS)
    tokens = ids(2, 8)
    whole = network(tokens, network.zero_state(2))
    first = network(tokens[:, :4], network.zero_state(2))
    second = network(tokens[:, 4:], first.state)
    levels = [
        value(network.levels(part, state))
        for part, state in ((tokens[:, :4], network.zero_state(2)), (tokens[:, 4:], first.state))
    ]
    expected = value(network.levels(tokens, network.zero_state(2)))
    np.testing.assert_allclose(np.concatenate(levels, -1), expected, atol=1e-6)
    raw = [value(part.raw) for part in (first, second)]
    np.testing.assert_allclose(np.concatenate(raw, 1), value(whole.raw), atol=1e-6)


def states(units: int, sizes: tuple[int, ...] = (2, 4, 3)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a layer reads, h and c."""
    rng = np.random.default_rng(0)
    h, c = (rng.normal(size=(sizes[0], units)).astype(np.float32) for _ in "hc")
    return rng.normal(size=sizes).astype(np.float32), h, c


def test_the_level_of_an_lstm_is_what_its_forget_gate_erases() -> None:
    """And the renewal the mean of that and of what its input gate writes."""
    layer, (x, h, c) = LSTM(5, 0.0), states(5)
    y, *_ = (value(part) for part in layer(x, initial_state=[h, c]))
    before = np.concatenate([h[:, None], y[:, :-1]], 1)
    d, renewal = (value(part) for part in read_gates(layer, x, before))
    kernel, recurrent, bias = (numpy(v) for v in layer.trainable_variables)

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    for t in range(4):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(d[:, t], 1 - sigmoid(f).mean(-1), atol=1e-5)
        np.testing.assert_allclose(renewal[:, t], (d[:, t] + sigmoid(i).mean(-1)) / 2, atol=1e-5)
        np.testing.assert_allclose(y[:, t], h, atol=1e-5)


@pytest.mark.parametrize("master_input", ["symmetric", "paper"])
def test_the_renewal_of_an_onlstm_is_what_its_cells_lose_and_are_given(master_input: str) -> None:
    """c after a step is linear in c before, a c₋ + b ĉ: two steps tell a and b."""
    options = {"return_sequences": True, "return_state": True, "return_levels": True}
    layer, (x, h, _) = ONLSTM(6, 2, master_input, **options), states(6, (2, 1, 3))
    layer.build(x.shape)
    layer.cell.bias.assign(np.repeat([0.0, 4.0, 0.0], [12, 6, 12]))  # no ĉ near 0, which b is divided by
    nothing = np.zeros_like(h)
    _, levels, _, written = (value(part) for part in layer(x, initial_state=[h, nothing]))
    *_, both = (value(part) for part in layer(x, initial_state=[h, nothing + 1]))
    kernel, recurrent, bias = (numpy(v) for v in layer.trainable_variables)
    z = (x[:, 0] @ kernel + h @ recurrent + bias)[:, 12:18]
    a, b = both - written, written / np.tanh(z)
    d, renewal = (value(part) for part in read_gates(layer, x, h[:, None]))
    np.testing.assert_allclose(d, levels, atol=1e-6)
    np.testing.assert_allclose(renewal[:, 0], (1 - a.mean(-1) + b.mean(-1)) / 2, atol=1e-5)


def test_levels_are_those_of_the_layers_and_first_the_mean_of_what_they_renew() -> None:
    network = Network(changed(SURE, {"layer": "onlstm"}), WORDS)
    tokens, state = ids(2, 5), network.zero_state(2)
    x, expected = ops.take(network.embedding, tokens, 0), []
    for layer, (h, c) in zip(network.recurrent, zip(state[::2], state[1::2], strict=True), strict=True):
        layer.return_levels = True
        y, d, *_ = layer(x, initial_state=[h, c])
        expected.append(
            (value(d), value(read_gates(layer, x, ops.concatenate([h[:, None], y[:, :-1]], 1))[1]))
        )
        layer.return_levels, x = False, y
    levels = value(network.levels(tokens, state))
    np.testing.assert_allclose(levels[:, 1:], np.stack([d for d, _ in expected], 1), atol=1e-6)
    np.testing.assert_allclose(levels[:, 0], np.mean([r for _, r in expected], 0), atol=1e-6)


def test_weight_drop_is_an_lstm_of_fewer_recurrent_weights() -> None:
    dropped = []
    layer, plain = LSTM(6, 0.5), keras.layers.LSTM(6, return_sequences=True)
    inner = layer.weight_drop.call
    layer.weight_drop.call = lambda u, training: dropped.append(inner(u, training=training)) or dropped[-1]
    state = [np.ones((2, 6), np.float32)] * 2
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    y, other = (value(layer(x, initial_state=state, training=True)[0]) for _ in "12")
    assert np.abs(y - other).max() > 1e-3
    u = value(dropped[0])
    kernel, recurrent, bias = (value(v.value) for v in layer.trainable_variables)
    gone = u == 0
    assert 40 < gone.sum() < 104  # of 144, four deviations from a half
    np.testing.assert_allclose(u[~gone], 2 * recurrent[~gone], rtol=1e-6)
    plain.build((2, 5, 3))
    plain.set_weights([kernel, u, bias])
    np.testing.assert_allclose(y, value(plain(x, initial_state=state)), atol=1e-6)


def test_what_an_onlstm_drops_are_recurrent_weights() -> None:
    layer = recurrent(changed(SURE, {"layer": "onlstm", "weight_drop": 0.4}), 8, 0, "layer")
    assert layer.recurrent_dropout == 0.4 and layer.dropout == 0


def test_dropout_takes_whole_words_and_the_same_places_at_every_step() -> None:
    seen = []
    network = Network(changed(SURE, {"embedding_dropout": 0.5}), WORDS)
    network.embedding.assign(np.ones((WORDS, SURE.embedding)))
    inner = network.dropouts[0].call
    network.dropouts[0].call = lambda x, training=None: seen.append(x) or inner(x, training=training)
    tokens = ids(4, 20)
    network(tokens, network.zero_state(4), training=True)
    x = value(seen[-1])
    assert set(np.unique(x)) == {0.0, 2.0}
    for word in range(WORDS):
        assert len(np.unique(x[tokens == word])) == 1  # every place of the word, in every row

    locked = changed(SURE, {"input_dropout": 0.5, "output_dropout": 0.5})
    network = Network(locked, WORDS)
    reading = network(tokens, network.zero_state(4), training=True)
    dropped, raw = (value(part) for part in (reading.dropped, reading.raw))
    gone = dropped == 0
    assert (gone == gone[:, :1]).all() and 0.2 < gone[:, 0].mean() < 0.8
    np.testing.assert_allclose(dropped[~gone], 2 * raw[~gone], rtol=1e-5)


def test_penalties_are_mean_squares_of_outputs_and_of_their_change(network: Network) -> None:
    rng = np.random.default_rng(3)
    raw, dropped = (rng.normal(size=(2, 5, 4)) for _ in range(2))
    reading = network(ids(2, 5), network.zero_state(2))._replace(
        raw=ops.convert_to_tensor(raw), dropped=ops.convert_to_tensor(dropped)
    )
    ar, tar = (float(numpy(part)) for part in activation_terms(reading))
    assert ar == pytest.approx((dropped**2).mean(), rel=1e-5)
    assert tar == pytest.approx(np.mean([(raw[:, t + 1] - raw[:, t]) ** 2 for t in range(4)]), rel=1e-5)


def test_a_pure_function_of_the_weights_leaves_the_network_alone(network: Network) -> None:
    weights = [numpy(v) for v in network.trainable_variables]
    hidden = ops.ones((1, SURE.embedding))
    pure = stateless(network, network.logits)
    other = [ops.convert_to_tensor(2 * w) for w in weights]
    found, _ = pure(other, [v.value for v in network.non_trainable_variables], hidden)
    np.testing.assert_allclose(value(found), 2 * value(network.logits(hidden)), rtol=1e-5)
    assert all(np.array_equal(numpy(v), w) for v, w in zip(network.trainable_variables, weights, strict=True))
