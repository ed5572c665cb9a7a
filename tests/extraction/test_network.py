"""The network is its formulas, on every backend; padding and what nobody looked for change nothing."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from supple.extraction import network as module
from supple.extraction.network import (
    Convolution,
    GatedBlock,
    NetworkConfig,
    SelfAttention,
    TripleNetwork,
    cross_entropy,
)
from supple.training import capture
from tests.extraction import tiny

pytestmark = pytest.mark.backend

LENGTHS, TIME = [75, 7, 1], 80  # longer than the reach of relative positions
SUBJECTS = [(0, 2, 9), (0, 74, 74), (1, 0, 3), (1, 5, 6), (2, 0, 0)]  # row, start, end


@pytest.fixture(scope="module")
def full() -> TripleNetwork:
    """The full form with words and prior."""
    return tiny.network("full")


@pytest.fixture(scope="module")
def fast() -> TripleNetwork:
    """The fast form as published: characters alone."""
    return tiny.network("fast", words=0, prior=False)


@pytest.fixture(params=["full", "fast"])
def net(request: pytest.FixtureRequest) -> TripleNetwork:
    return request.getfixturevalue(request.param)


# The formulas in float64, a sentence at a time and without padding.


def run(net: TripleNetwork, x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return dict(net.predict_on_batch(x))


def weights(layer: Any) -> list[np.ndarray]:
    return [ops.convert_to_numpy(weight).astype(np.float64) for weight in layer.weights]


def dense(layer: Any, x: np.ndarray) -> np.ndarray:
    kernel, *bias = weights(layer)
    return sum(bias, x @ kernel)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -x)


def convolved(x: np.ndarray, layer: Convolution) -> np.ndarray:
    kernel, bias = weights(layer)
    y = np.tile(bias, (len(x), 1))
    for t in range(len(x)):
        for tap in range(3):
            source = t + (tap - 1) * layer.dilation
            if 0 <= source < len(x):
                y[t] += x[source] @ kernel[tap]
    return y


def gated(x: np.ndarray, block: GatedBlock) -> np.ndarray:
    a, g = np.split(convolved(x, block.convolution), 2, axis=-1)
    return x * (1 - sigmoid(g)) + a * sigmoid(g)


def attended(x: np.ndarray, layer: SelfAttention) -> np.ndarray:
    q, k, v = (dense(layer.project, x).reshape(len(x), 3, layer.heads, layer.size)[:, i] for i in range(3))
    heads = []
    for h in range(layer.heads):
        scores = np.exp(q[:, h] @ k[:, h].T / np.sqrt(layer.size))
        heads.append(scores / scores.sum(1, keepdims=True) @ v[:, h])
    return np.concatenate(heads, 1)


def recurrent(x: np.ndarray, layer: Any) -> np.ndarray:
    """The last state of a gated recurrent unit (Cho 2014, its reset gate behind the product)."""
    kernel, recurrent_kernel, bias = weights(layer)
    state = np.zeros(len(recurrent_kernel))
    for step in x:
        from_x = np.split(step @ kernel + bias[0], 3)
        from_state = np.split(state @ recurrent_kernel + bias[1], 3)
        update, reset = (sigmoid(from_x[i] + from_state[i]) for i in range(2))
        state = update * state + (1 - update) * np.tanh(from_x[2] + reset * from_state[2])
    return state


def encoded(net: TripleNetwork, characters: np.ndarray, words: Any, prior: Any) -> dict[str, np.ndarray]:
    x = weights(net.character)[0][characters] + weights(net.position)[0][: len(characters)]
    if net.config.words:
        x += dense(net.word_mix, weights(net.word)[0][words])
    for block in net.blocks:
        x = gated(x, block)
    full = net.config.form == "full"
    helper = log_sigmoid(dense(net.helper, x))
    views = [*([attended(x, net.attention)] if full else []), x, *([prior] if net.config.prior else [])]
    hidden = np.maximum(convolved(np.concatenate(views, 1), net.subject_hidden), 0)
    views = [*([attended(x, net.object_attention)] if full else []), x]
    return {
        "subject": log_sigmoid(dense(net.subject_edges, hidden)) + helper,
        "hidden": x,
        "base": convolved(np.concatenate(views, 1), net.object_hidden),
        "helper": helper,
        "gate": log_sigmoid(dense(net.gate, x.max(0))),
    }


def objects(net: TripleNetwork, state: dict[str, np.ndarray], start: int, end: int, prior: Any) -> np.ndarray:
    x, time = state["hidden"], len(state["hidden"])
    if net.config.form == "full":
        inside = x[[start + round((end - start) * i / 5) for i in range(6)]]
        reader = net.subject_reader
        subject = np.concatenate(
            [recurrent(inside, reader.forward_layer), recurrent(inside[::-1], reader.backward_layer)]
        )
    else:
        subject = np.concatenate([x[start], x[end]])
    y = state["base"] * (1 + dense(net.subject_scale, subject)) + dense(net.subject_shift, subject)
    for table, edge in (net.from_start, start), (net.from_end, end):
        y += weights(table)[0][
            [max(-module.REACH, min(module.REACH, t - edge)) + module.REACH for t in range(time)]
        ]
    if net.config.prior:
        y += convolved(prior.reshape(time, -1), net.object_prior)
    edges = log_sigmoid(dense(net.object_edges, np.maximum(y, 0))).reshape(time, -1, 2)
    return edges + state["helper"][:, None] + state["gate"][:, None]


@pytest.mark.parametrize(("dilation", "time"), [(1, 7), (2, 7), (5, 7), (5, 4)])
def test_convolution_is_a_sum_over_three_taps(dilation: int, time: int) -> None:
    layer = Convolution(4, dilation)
    x = np.random.default_rng(0).normal(size=(2, time, 3)).astype(np.float32)
    y = ops.convert_to_numpy(layer(x))
    layer.bias.assign([1, 2, 3, 4])
    moved = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(moved, [convolved(row, layer) for row in x], atol=1e-5)
    np.testing.assert_allclose(moved - y, np.broadcast_to([1, 2, 3, 4], y.shape), atol=1e-5)


def test_gated_block_mixes_its_input_with_a_convolution() -> None:
    block, rng = GatedBlock(4, 2, 0.5), np.random.default_rng(0)
    x, mask = rng.normal(size=(2, 7, 4)).astype(np.float32), np.ones((2, 7, 4), np.float32)
    mask[1, 5:] = 0
    y = ops.convert_to_numpy(block(x, mask))
    np.testing.assert_allclose(y, np.stack([gated(row, block) for row in x]) * mask, atol=1e-5)


def test_dropout_of_a_gate_takes_whole_channels() -> None:
    keras.utils.set_random_seed(0)
    block, x = GatedBlock(32, 1, 0.5), np.random.default_rng(0).normal(size=(1, 9, 32)).astype(np.float32)
    y = ops.convert_to_numpy(block(x, np.ones_like(x), training=True))[0]
    a, g = np.split(convolved(x[0], block.convolution), 2, axis=-1)
    dropped, kept = (
        np.isclose(y, x[0] + (a - x[0]) * gate, atol=1e-4).all(0) for gate in (0.5, sigmoid(2 * g))
    )
    assert (dropped ^ kept).all() and 0 < dropped.sum() < 32


def test_attention_is_a_softmax_over_what_is_no_padding() -> None:
    layer, rng = SelfAttention(2, 3), np.random.default_rng(0)
    x, mask = rng.normal(size=(3, 6, 5)).astype(np.float32) * 3, np.zeros((3, 6, 1), np.float32)
    for row, length in enumerate([6, 4, 1]):
        mask[row, :length] = 1
        x[row, length:] = rng.normal(size=(6 - length, 5)) * 100
    y = ops.convert_to_numpy(layer(x, mask))
    for row, length in enumerate([6, 4, 1]):
        np.testing.assert_allclose(y[row, :length], attended(x[row, :length], layer), atol=1e-5)


def test_attention_shows_what_it_looks_at(full: TripleNetwork) -> None:
    """Over their sum, the marked weights are scores: rows of one for what is no padding."""
    batch = tiny.inputs(full, LENGTHS, TIME, SUBJECTS, np.random.default_rng(0))
    seen = capture(full, iter([batch]), "*attention:weights", verbose=False)
    assert set(seen) == {"attention:weights", "object_attention:weights"}
    for weights in seen.values():
        scores = weights / weights.sum(-1, keepdims=True)
        assert scores.shape == (3, full.config.heads, TIME, TIME)
        assert not scores[1, :, :, 7:].any() and scores[1, :, :, :7].min() > 0


def test_network_is_its_formula(net: TripleNetwork) -> None:
    x = tiny.inputs(net, LENGTHS, TIME, SUBJECTS, np.random.default_rng(1))
    got = run(net, x)
    assert got["subject"].shape == (3, TIME, 2) and got["objects"].shape == (5, TIME, 3, 2)
    states = []
    for row, n in enumerate(LENGTHS):
        words, prior = (x[name][row, :n] if name in x else None for name in ("words", "subject_prior"))
        states.append(encoded(net, x["characters"][row, :n], words, prior))
        np.testing.assert_allclose(got["subject"][row, :n], states[row]["subject"], rtol=1e-4, atol=1e-4)
    for slot, (row, start, end) in enumerate(SUBJECTS):
        n = LENGTHS[row]
        prior = x["object_prior"][slot, :n] if "object_prior" in x else None
        expected = objects(net, states[row], start, end, prior)
        np.testing.assert_allclose(got["objects"][slot, :n], expected, rtol=1e-4, atol=1e-4)


def test_a_sentence_alone_is_what_it_is_among_others(net: TripleNetwork) -> None:
    together = tiny.inputs(net, LENGTHS, TIME, SUBJECTS, np.random.default_rng(1))
    row, n, slots = 1, LENGTHS[1], [2, 3]
    alone = {name: together[name][slots] for name in ("starts", "ends")} | {"rows": np.zeros(2, np.int32)}
    alone |= {
        name: array[row : row + 1, :n] for name, array in together.items() if array.shape[:2] == (3, TIME)
    }
    if net.config.prior:
        alone["object_prior"] = together["object_prior"][slots, :n]
    a, b = run(net, together), run(net, alone)
    np.testing.assert_allclose(a["subject"][row, :n], b["subject"][0], atol=1e-5)
    np.testing.assert_allclose(a["objects"][slots, :n], b["objects"], atol=1e-5)


def test_each_prior_changes_what_it_is_about(full: TripleNetwork) -> None:
    x = tiny.inputs(full, LENGTHS, TIME, SUBJECTS, np.random.default_rng(1))
    for name, changed, same in (
        ("subject_prior", "subject", "objects"),
        ("object_prior", "objects", "subject"),
    ):
        a, b = run(full, x), run(full, x | {name: 1 - x[name]})
        assert np.abs(a[changed] - b[changed]).max() > 0.01
        np.testing.assert_array_equal(a[same], b[same])


@pytest.mark.slow  # JAX compiles the initialiser of every shape
def test_published_form_has_some_three_million_parameters() -> None:
    net = TripleNetwork(NetworkConfig(5000, 49, words=10_000))
    tiny.build(net)
    table, blocks = 5000 * 128, 12 * (3 * 128 + 1) * 256
    assert net.character.count_params() == table
    assert sum(block.count_params() for block in net.blocks) == blocks
    assert net.word.count_params() == 10_000 * 64 and not net.word.trainable_weights
    assert 2e6 < sum(math.prod(weight.shape) for weight in net.trainable_weights) < 3e6


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: ops.convert_to_tensor(array) for name, array in arrays.items()}


class Batch:
    """Two rows and a padding row: one has 导演 and 主演 annotated, the other 导演; the last slot is empty."""

    lengths, time = (5, 3, 0), 6
    subjects = (0, 0, 1), (1, 1, 1), (0, 2, 4), (0, 0, 0)

    def __init__(self, net: TripleNetwork, seed: int = 0):
        rng = np.random.default_rng(seed)
        slots = (len(self.subjects), self.time, net.config.predicates, 2)
        self.x = tiny.inputs(net, self.lengths, self.time, self.subjects, rng)
        self.y = {
            "subject": rng.integers(2, size=(3, self.time, 2)).astype(np.uint8),
            "objects": rng.integers(2, size=slots).astype(np.uint8),
            "annotated": np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]], np.float32),
            "used": np.array([1, 1, 1, 0], np.float32),
        }
        self.predicted = {
            "subject": np.log(rng.uniform(0.05, 0.95, (3, self.time, 2))).astype(np.float32),
            "objects": np.log(rng.uniform(0.05, 0.95, slots)).astype(np.float32),
        }

    def loss(self, net: TripleNetwork) -> float:
        return float(net.compute_loss(*map(tensors, (self.x, self.y, self.predicted))))


def loss_by_hand(batch: Batch) -> float:
    def cost(target: int, log_p: float) -> float:
        p = np.exp(np.float64(log_p))
        return -np.log(p if target else 1 - p)

    y, predicted = batch.y, batch.predicted
    subject = 0.0
    for row, length in enumerate(batch.lengths):
        share = y["annotated"][row].sum() / 3
        for t in range(length):
            for edge in range(2):
                target = y["subject"][row, t, edge]
                subject += cost(target, predicted["subject"][row, t, edge]) * (1 if target else share)
    total, characters = 0.0, 0
    for slot, (row, _, _) in enumerate(batch.subjects):
        if y["used"][slot]:
            characters += batch.lengths[row]
            for t, p, edge in np.ndindex(batch.lengths[row], 3, 2):
                if y["annotated"][row, p]:
                    total += cost(y["objects"][slot, t, p, edge], predicted["objects"][slot, t, p, edge])
    return subject / sum(batch.lengths) + total / max(characters, 1)


def test_loss_is_the_sum_by_hand(fast: TripleNetwork) -> None:
    batch = Batch(fast)
    assert batch.loss(fast) == pytest.approx(loss_by_hand(batch), rel=1e-5)
    batch.y["used"][:] = 0
    assert batch.loss(fast) == pytest.approx(loss_by_hand(batch), rel=1e-5)


def lack_by_hand(batch: Batch) -> float:
    """1 - 2 Σ w y p / Σ w (y + p), of subject edges and of object edges."""
    y, p = batch.y, {name: np.exp(value.astype(float)) for name, value in batch.predicted.items()}
    subject, objects = np.zeros(2), np.zeros(2)
    for row, length in enumerate(batch.lengths):
        share = y["annotated"][row].sum() / 3
        for t, edge in np.ndindex(length, 2):
            target, weight = y["subject"][row, t, edge], 1.0 if y["subject"][row, t, edge] else share
            q = p["subject"][row, t, edge]
            subject += 2 * weight * target * q, weight * (target + q)
    for slot, (row, _, _) in enumerate(batch.subjects):
        for t, predicate, edge in np.ndindex(batch.lengths[row], 3, 2):
            if y["used"][slot] and y["annotated"][row, predicate]:
                target, q = y["objects"][slot, t, predicate, edge], p["objects"][slot, t, predicate, edge]
                objects += 2 * target * q, target + q
    return sum(1 - part[0] / part[1] for part in (subject, objects) if part[1])


def test_soft_f1_adds_what_f1_lacks(fast: TripleNetwork) -> None:
    batch = Batch(fast)
    plain = batch.loss(fast)
    fast.soft_f1 = True
    try:
        assert batch.loss(fast) - plain == pytest.approx(lack_by_hand(batch), rel=1e-4)
        batch.y["subject"][:], batch.y["objects"][:] = 0, 0  # nothing to find: F1 has nothing to say
        with_f1 = batch.loss(fast)
    finally:
        fast.soft_f1 = False
    assert with_f1 == pytest.approx(batch.loss(fast))


def test_loss_does_not_look_at_padding_empty_slots_and_what_nobody_annotated(fast: TripleNetwork) -> None:
    batch = Batch(fast)
    before = batch.loss(fast)
    for values in (batch.y, batch.predicted):
        flip = (lambda v: 1 - v) if values is batch.y else (lambda v: v - 3)
        values["objects"][3] = flip(values["objects"][3])
        for row, length in enumerate(batch.lengths):
            values["subject"][row, length:] = flip(values["subject"][row, length:])
        for slot, (row, _, _) in enumerate(batch.subjects):
            values["objects"][slot, batch.lengths[row] :] = flip(
                values["objects"][slot, batch.lengths[row] :]
            )
            hidden = batch.y["annotated"][row] == 0
            values["objects"][slot][:, hidden] = flip(values["objects"][slot][:, hidden])
    assert batch.loss(fast) == before
    batch.predicted["objects"][0, 0, 0] -= 1
    assert batch.loss(fast) != before


def test_what_nobody_annotated_is_not_learned() -> None:
    net = tiny.network("fast", words=0, prior=False)
    net.compile(keras.optimizers.SGD(0.1))
    batch = Batch(net)
    before = [ops.convert_to_numpy(w).copy() for layer in (net.object_edges, net.gate) for w in layer.weights]
    net.train_on_batch(tensors(batch.x), tensors(batch.y))
    after = [ops.convert_to_numpy(w) for layer in (net.object_edges, net.gate) for w in layer.weights]
    for old, new in zip(before, after, strict=True):
        same = (old == new).reshape(*old.shape[:-1], 3, -1)  # edges of predicate 2 are the last two columns
        assert same[..., 2, :].all() and not same[..., 0, :].all() and not same[..., 1, :].all()
    for layer, sure in (net.object_edges, 100.0), (net.subject_edges, -100.0):
        layer.bias.assign(np.full(layer.bias.shape, sure))
    assert np.isfinite(net.train_on_batch(tensors(batch.x), tensors(batch.y)))
    assert all(np.isfinite(ops.convert_to_numpy(weight)).all() for weight in net.weights)


@pytest.mark.parametrize("target", [0, 1])
def test_cross_entropy_is_the_textbook_formula(target: int) -> None:
    log_p = -np.geomspace(1e-3, 15, 200).astype(np.float32)
    p = np.exp(log_p.astype(np.float64))
    expected = -target * np.log(p) - (1 - target) * np.log1p(-p)
    value = ops.convert_to_numpy(cross_entropy(ops.array(target), ops.array(log_p)))
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("log_p", [0.0, -1e-9, -1e4, -1e30])
def test_cross_entropy_is_finite_at_the_ends(log_p: float, target: int) -> None:
    value = float(cross_entropy(ops.array(target), ops.array(log_p, "float32")))
    right = target == (log_p > -1)
    assert 0 <= value < 1e-5 if right else 10 < value < np.inf
