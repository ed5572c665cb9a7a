"""ONLSTM beside the published layer and Keras's own loop and LSTM; masks, states, dropout, saving, errors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from supple.ordered.layer import ONLSTM, ONLSTMCell
from supple.ordered.recurrence import recurrence
from supple.sampling.autodiff import gradients
from tests.numerics import compiled, double, numpy

pytestmark = pytest.mark.backend

B, T, IN, D, CHUNK = 3, 6, 4, 8, 2
X = np.random.default_rng(0).normal(size=(B, T, IN)).astype("float32")
STATE = np.zeros((B, D), "float32")
MASK = np.array([[1, 1, 0, 1, 0, 1], [0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], bool)


def run(layer: Any, *args: Any, **options: Any) -> Any:
    """Outputs as numpy arrays."""
    return keras.tree.map_structure(lambda y: numpy(ops.stop_gradient(y)), layer(*args, **options))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


ALL = {"return_sequences": True, "return_state": True, "return_levels": True}
WIDTH = 4 * D + 2 * D // CHUNK
WEIGHTS = [np.random.default_rng(1).normal(size=shape) / 2 for shape in ((IN, WIDTH), (D, WIDTH), (WIDTH,))]


def dressed(layer: Any, *shape: int) -> Any:
    """The layer with weights that are the same for all."""
    layer.build(shape or X.shape)
    for weight, value in zip(layer.trainable_weights, WEIGHTS, strict=True):
        weight.assign(value)
    return layer


LAYER = dressed(ONLSTM(D, CHUNK, **ALL))


def test_the_published_layers_are_reproduced(data: Path) -> None:
    """Three layers in float64: outputs, states and levels, and gradients of Σ output² by x and every U."""
    reference = np.load(data / "trees" / "onlstm_reference.npz")
    states = [(reference[f"h0_{k}"], reference[f"c0_{k}"].reshape(3, -1)) for k in range(3)]
    us = [reference[f"U_{k}"].T for k in range(3)]
    with double():
        x = ops.convert_to_tensor(reference["x"].swapaxes(0, 1))
        for k, state in enumerate(states):
            layer = ONLSTM(us[k].shape[0], int(reference["chunk_size"]), "paper", **ALL, dtype="float64")
            layer.build(x.shape)
            layer.set_weights([reference[f"W_{k}"].T, us[k], reference[f"b_ih_{k}"] + reference[f"b_hh_{k}"]])
            x, d, h, c = layer(x, initial_state=list(map(ops.convert_to_tensor, state)))
            found = [numpy(ops.stop_gradient(y)) for y in (d, h, c)]
            wanted = reference["forget_distance"][k].T, reference[f"hT_{k}"], reference[f"cT_{k}"]
            for got, want in zip(found, wanted, strict=True):
                np.testing.assert_allclose(got, want.reshape(got.shape), atol=1e-10)
        np.testing.assert_allclose(
            numpy(ops.stop_gradient(x)), reference["output"].swapaxes(0, 1), atol=1e-10
        )

        @compiled
        def by_x_and_us(x: Any, *us: Any) -> Any:
            def squares(x: Any, *us: Any) -> tuple[Any, None]:
                for k, (u, state) in enumerate(zip(us, states, strict=True)):
                    b = reference[f"b_ih_{k}"] + reference[f"b_hh_{k}"]
                    w, b, h, c = map(ops.convert_to_tensor, (reference[f"W_{k}"].T, b, *state))
                    x = recurrence(x @ w + b, u, h, c, master_input="paper")[0]
                return ops.sum(x * x), None

            return gradients(squares, [x, *us])[0]

        by_x, *by_us = by_x_and_us(*map(ops.convert_to_tensor, (reference["x"], *us)))
    np.testing.assert_allclose(numpy(by_x), reference["grad_x_of_sum_output_squared"], atol=1e-10)
    for k, by_u in enumerate(by_us):
        np.testing.assert_allclose(numpy(by_u), reference[f"grad_U_{k}"].T, atol=1e-10)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize(("master_input", "backwards"), [("symmetric", False), ("paper", True)])
def test_it_is_its_cell_in_the_loop_of_keras(master_input: str, backwards: bool, mask: Any) -> None:
    options = {"return_sequences": True, "return_state": True, "go_backwards": backwards}
    ours = dressed(ONLSTM(D, CHUNK, master_input, **options))
    keras_rnn = dressed(layers.RNN(ONLSTMCell(D, CHUNK, master_input), **options))
    for zeros in False, True:
        ours.zero_output_for_mask = keras_rnn.zero_output_for_mask = zeros
        for found, want in zip(run(ours, X, mask=mask), run(keras_rnn, X, mask=mask), strict=True):
            np.testing.assert_allclose(found, want, atol=1e-6)


def test_training_moves_its_weights_as_autodiff_would() -> None:
    """One step of SGD with a rate of 1 on a loss of outputs and, beside them, the loop of Keras."""
    ours, theirs = dressed(ONLSTM(D, CHUNK)), dressed(layers.RNN(ONLSTMCell(D, CHUNK)))
    for layer in ours, theirs:
        model = keras.Sequential([layers.Input((T, IN)), layers.Masking(), layer])
        model.compile(keras.optimizers.SGD(1.0), loss="mse")
        model.fit(X * MASK[..., None], np.ones((B, D)), batch_size=B, verbose=0)
    for found, want in zip(ours.trainable_weights, theirs.trainable_weights, strict=True):
        np.testing.assert_allclose(numpy(found.value), numpy(want.value), atol=1e-6)


@settings(max_examples=10)
@given(st.lists(st.booleans(), min_size=T, max_size=T).filter(any), st.integers(0, 9))
def test_masked_steps_change_nothing(steps: list[bool], seed: int) -> None:
    """What is left of a sequence gives what it gives alone, whatever stands in the steps that are masked."""
    mask = np.array(steps)
    x = np.where(mask[:, None], X[0], 99 * np.random.default_rng(seed).normal(size=(T, IN)))
    outputs, levels, h, _ = run(LAYER, x[None].astype("float32"), mask=mask[None])
    packed = np.concatenate([X[0][mask], X[0][~mask]])[None]  # the same length: compiled once
    want_outputs, want_levels, *_ = run(LAYER, packed)
    count = mask.sum()
    np.testing.assert_allclose(outputs[0, mask], want_outputs[0, :count], atol=1e-6)
    np.testing.assert_allclose(levels[0, mask], want_levels[0, :count], atol=1e-6)
    np.testing.assert_allclose(h[0], want_outputs[0, count - 1], atol=1e-6)
    assert not levels[0, ~mask].any()
    for t in np.flatnonzero(~mask):
        np.testing.assert_array_equal(outputs[0, t], outputs[0, t - 1] if t else np.zeros(D))


def test_states_go_on_where_they_were() -> None:
    want, levels, *last = run(LAYER, X)
    first_half, first_levels, *between = run(LAYER, X[:, :3])
    second_half, second_levels, *end = run(LAYER, X[:, 3:], initial_state=between)
    np.testing.assert_allclose(np.concatenate([first_half, second_half], 1), want, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([first_levels, second_levels], 1), levels, atol=1e-6)
    np.testing.assert_allclose(end, last, atol=1e-6)

    stateful = dressed(ONLSTM(D, CHUNK, stateful=True, return_sequences=True), B, 3, IN)
    for _ in range(2):
        parts = [run(stateful, X[:, :3]), run(stateful, X[:, 3:])]
        np.testing.assert_allclose(np.concatenate(parts, 1), want, atol=1e-6)
        np.testing.assert_allclose([numpy(state.value) for state in stateful.states], last, atol=1e-6)
        stateful.reset_state()


def test_states_last_in_predict_and_fit_and_are_not_saved(tmp_path: Path) -> None:
    """From batch to batch. A state is no part of the gradient, and changes before that is taken."""
    inputs = layers.Input(batch_shape=(B, 3, IN))
    layer = dressed(ONLSTM(D, CHUNK, stateful=True), B, 3, IN)
    model = keras.Model(inputs, layer(inputs))
    halves = np.concatenate([X[:, :3], X[:, 3:]])
    for _ in range(2):
        found = model.predict(halves, batch_size=B, verbose=0)
        np.testing.assert_allclose(found[B:], run(LAYER, X)[2], atol=1e-6)
        layer.reset_state()
    model.compile("sgd", "mse")
    model.fit(halves, np.zeros((2 * B, D)), batch_size=B, shuffle=False, verbose=0)
    assert all(numpy(state.value).any() for state in layer.states)

    model.save_weights(tmp_path / "model.weights.h5")
    one = layers.Input(batch_shape=(1, 1, IN))
    generator = keras.Model(one, ONLSTM(D, CHUNK, stateful=True)(one))
    generator.load_weights(tmp_path / "model.weights.h5")
    found, want = (m.layers[-1].trainable_weights for m in (generator, model))
    np.testing.assert_array_equal(numpy(found[0].value), numpy(want[0].value))
    assert not any(numpy(state.value).any() for state in generator.layers[-1].states)


def test_bidirectional_is_one_layer_each_way_and_comes_back_from_a_file(tmp_path: Path) -> None:
    tokens = np.array([[1, 2, 3, 0, 0], [4, 1, 2, 3, 5]])
    both = layers.Bidirectional(ONLSTM(D, CHUNK, "paper", return_sequences=True, name="both"))
    ids = layers.Input((None,), dtype="int32")
    x = both(layers.Embedding(6, IN, mask_zero=True)(ids))
    levels = ONLSTM(D, D // 2, hard=True, return_levels=True, recurrent_dropout=0.5, seed=3)
    model = keras.Model(ids, levels(x))
    outputs = model.predict(tokens, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for found, want in zip(again.predict(tokens, verbose=0), outputs, strict=True):
        np.testing.assert_array_equal(found, want)
    assert again.layers[-1].get_config() == levels.get_config()
    assert [tuple(shape) for shape in model.output_shape] == [(None, D), (None, None)]

    there, back = both.forward_layer, both.backward_layer
    assert back.go_backwards and not there.go_backwards
    want = np.concatenate([run(there, X), run(back, X)[:, ::-1]], -1)
    np.testing.assert_allclose(run(both, X), want, atol=1e-6)
    there.set_weights(back.get_weights())
    np.testing.assert_allclose(run(there, X[:, ::-1]), run(back, X), atol=1e-6)


@pytest.mark.parametrize("asked", range(8))
def test_it_gives_what_it_is_asked_for_in_order(asked: int) -> None:
    sequences, state, levels = (bool(asked & bit) for bit in (1, 2, 4))
    layer = dressed(ONLSTM(D, CHUNK, return_sequences=sequences, return_state=state, return_levels=levels))
    every_h, every_level, h, c = run(LAYER, X)
    want = [every_h if sequences else h, *[every_level] * levels, *[h, c] * state]
    found = run(layer, X)
    found = found if isinstance(found, tuple) else (found,)
    promised = layer(layers.Input((None, IN)))
    promised = promised if isinstance(promised, tuple | list) else (promised,)
    for value, expected, symbol in zip(found, want, promised, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)
        assert symbol.shape[-1] in (value.shape[-1], None) and len(symbol.shape) == value.ndim


def test_both_directions_give_their_levels() -> None:
    both = layers.Bidirectional(ONLSTM(D, CHUNK, return_sequences=True, return_levels=True))
    outputs, there, back = run(both, X)
    ours, levels = run(both.forward_layer, X)
    np.testing.assert_allclose(there, levels, atol=1e-6)
    np.testing.assert_allclose(back, run(both.backward_layer, X)[1], atol=1e-6)
    np.testing.assert_allclose(outputs[..., :D], ours, atol=1e-6)
    assert [tuple(s.shape) for s in both(layers.Input((5, IN)))] == [(None, 5, 2 * D), (None, 5), (None, 5)]


def test_with_one_level_it_is_an_lstm() -> None:
    """f̃ = ĩ = 1 there. Keras's order of gates is input, forget, cell, output."""
    ours, lstm = ONLSTM(D, D, **ALL), layers.LSTM(D, return_sequences=True, return_state=True)
    weights = [weight[..., : 4 * D + 2] for weight in WEIGHTS]
    for layer in ours, lstm:
        layer.build(X.shape)
    ours.set_weights(weights)
    gates = [np.split(weight[..., 2:], 4, -1) for weight in weights]
    lstm.set_weights([np.concatenate([i, f, c, o], -1) for o, c, i, f in gates])
    outputs, levels, *states = run(ours, X)
    for found, want in zip([outputs, *states], run(lstm, X), strict=True):
        np.testing.assert_allclose(found, want, atol=1e-6)
    assert not levels.any()


def with_output_gate_only(rate: float, seed: int) -> Any:
    """A layer of 64 units whose recurrent matrix reaches o only, so that its h shows the matrix."""
    layer = ONLSTM(64, 64, return_sequences=True, recurrent_dropout=rate, seed=seed)
    layer.build((64, 3, IN))
    u = np.zeros((64, 4 * 64 + 2))
    u[:, 2 : 2 + 64] = 1
    layer.cell.recurrent_kernel.assign(u)
    layer.cell.kernel.assign(np.zeros((IN, 4 * 64 + 2)))
    layer.cell.bias.assign(np.r_[np.zeros(2), np.zeros(64), np.ones(192)])
    return layer


def test_weight_drop_is_one_mask_of_the_matrix_for_a_call() -> None:
    """From h₀ = the identity each of 64 sequences shows a row of the matrix in its first o, σ(row)."""
    start = [np.eye(64, dtype="float32"), np.zeros((64, 64), "float32")]
    zeros = np.zeros((64, 3, IN), "float32")
    rate = 0.25
    layer = with_output_gate_only(rate, 5)
    whole, dropped, other = (run(layer, zeros, initial_state=start, training=t) for t in (False, True, True))
    before = np.concatenate([start[0][:, None], whole[:, :-1]], 1)
    tanh_c = whole / sigmoid(before.sum(-1, keepdims=True))  # the same for both
    o = dropped / tanh_c
    matrix = np.log(o[:, 0] / (1 - o[:, 0]))
    kept = matrix > 0.5
    np.testing.assert_allclose(matrix, kept / (1 - rate), atol=1e-4)
    assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / kept.size)
    for t in 1, 2:  # and in every step
        np.testing.assert_allclose(o[:, t], sigmoid(dropped[:, t - 1] @ matrix), atol=1e-4)
    assert np.abs(other - dropped).max() > 0.1
    np.testing.assert_array_equal(
        run(with_output_gate_only(rate, 5), zeros, initial_state=start, training=True), dropped
    )


def test_dropout_is_one_mask_for_a_sequence() -> None:
    layer = ONLSTM(D, CHUNK, dropout=0.5, return_levels=True, seed=1)
    layer.build(X.shape)
    layer.cell.recurrent_kernel.assign(np.zeros(layer.cell.recurrent_kernel.shape))
    layer.cell.kernel.assign(np.random.default_rng(0).normal(size=layer.cell.kernel.shape))
    steady = np.ones((64, T, IN), "float32")
    _, levels = run(layer, steady, training=True)
    np.testing.assert_allclose(levels, levels[:, :1] + np.zeros(T), atol=1e-6)
    assert len(np.unique(levels[:, 0].round(4))) > 8  # of 16 masks
    _, whole = run(layer, steady)
    assert len(np.unique(whole.round(4))) == 1


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 4e-3), ("bfloat16", 4e-2)])
def test_mixed_precision_keeps_master_gates_and_levels_in_float32(dtype: str, tolerance: float) -> None:
    """Values and the gradient by the inputs beside those of float32, in parts of the largest."""

    def squares(layer: Any, x: Any) -> tuple[Any, Any]:
        found = layer(x)
        return ops.sum(ops.square(ops.cast(found[0], "float32"))), found

    layer = dressed(ONLSTM(D, CHUNK, **ALL, dtype=f"mixed_{dtype}"))
    by_x, found = gradients(partial(squares, layer), [X])
    want_by_x, wanted = gradients(partial(squares, LAYER), [X])
    assert [keras.backend.standardize_dtype(y.dtype) for y in found] == [dtype, "float32", dtype, dtype]
    for got, want in zip([*found, *by_x], [*wanted, *want_by_x], strict=True):
        got, want = (numpy(ops.cast(ops.stop_gradient(y), "float32")) for y in (got, want))
        np.testing.assert_allclose(got, want, atol=tolerance * np.abs(want).max())


def test_c_adds_up_in_float32() -> None:
    """400 times 1 / 128, where bfloat16 stops at 2: the next number after it is 1 / 64 more."""
    layer = ONLSTM(1, 1, return_state=True, dtype="mixed_bfloat16")
    layer.build((1, 400, 1))
    bias = np.array([0, 0, 0, 1 / 128, 30, 30])
    layer.set_weights([np.zeros((1, 6)), np.zeros((1, 6)), bias])
    *_, c = layer(np.zeros((1, 400, 1)))
    np.testing.assert_allclose(numpy(ops.cast(c, "float32")), 400 / 128, rtol=1 / 128)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"chunk_size": 3}, "units = 8 and chunk_size = 3: give a chunk_size that divides units"),
        ({"units": 0, "chunk_size": 1}, "units = 0 and chunk_size = 1.*at least 1"),
        ({"chunk_size": 0}, "chunk_size = 0"),
        ({"units": 8.0}, "units = 8.0 and chunk_size = 2.*both integers"),
        ({"chunk_size": "2"}, "chunk_size = '2'"),
        ({"master_input": "both"}, "master_input = 'both' should be one of symmetric, paper"),
        ({"hard": "no"}, "hard = 'no' should be True or False"),
        ({"dropout": 1.0}, "dropout = 1.0 should be a number, at least 0 and less than 1"),
        ({"dropout": None}, "dropout = None should be a number"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout = -0.1 should be"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ONLSTM(**{"units": D, "chunk_size": CHUNK, **options})


def test_arguments_of_numpy_and_unroll_are_taken() -> None:
    """And make a layer that comes back from its configuration; `unroll` changes nothing."""
    layer = dressed(ONLSTM(np.int64(D), np.int32(CHUNK), hard=np.bool_(False), unroll=True, **ALL))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    assert layer(layers.Input((None, IN)))[0].shape == (None, None, D)
    assert_same(run(layer, X), run(LAYER, X))


def assert_same(found: Any, want: Any) -> None:
    for got, wanted in zip(found, want, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", [int, bool])
def test_whole_numbers_are_taken_as_inputs(dtype: Any) -> None:
    ones, states = np.ones(X.shape, dtype), [STATE, STATE]
    assert_same(run(LAYER, ones), run(LAYER, ones.astype("float32")))
    found, want = (run(LAYER.cell, x[:, 0], states)[0] for x in (ones, ones.astype("float32")))
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda states: [h.tolist() for h in states]])
def test_states_are_taken_in_any_form(kind: Any) -> None:
    states = [np.full((B, D), value, "float32") for value in (0.5, 2)]
    assert_same(run(LAYER, X, initial_state=kind(states)), run(LAYER, X, initial_state=states))


@pytest.mark.parametrize(
    ("states", "shapes"),
    [
        ([STATE[:2], STATE[:2]], r"\(2, 8\), \(2, 8\)"),
        ([STATE, STATE[:, 1:]], r"\(3, 8\), \(3, 7\)"),
        ([STATE], r"\(3, 8\)"),
        ([STATE, STATE, STATE], r"\(3, 8\), \(3, 8\), \(3, 8\)"),
        ([None, None], r"\(\), \(\)"),
        (STATE, r"\(8,\), \(8,\), \(8,\)"),
    ],
    ids=["batch", "units", "one", "three", "None", "h"],
)
def test_wrong_states_are_named(states: Any, shapes: str) -> None:
    match = rf"states have shapes \[{shapes}\]; for these sequences give h and c of shape \(3, 8\)"
    with pytest.raises(ValueError, match=match) as error:
        LAYER(X, initial_state=states)
    assert "stateful" not in str(error.value)


def test_weights_of_a_stateful_layer_are_those_of_another() -> None:
    """States are none, and variables still, so that JAX's `fit` and `predict` keep them."""
    stateful = ONLSTM(D, CHUNK, stateful=True)
    stateful(X)
    plain = ONLSTM(D, CHUNK)
    plain(X)
    plain.set_weights(stateful.get_weights())
    assert [weight.name for weight in stateful.weights] == ["kernel", "recurrent_kernel", "bias"]
    assert stateful.count_params() == plain.count_params()
    assert {"h", "c"} <= {variable.name for variable in stateful.non_trainable_variables}


def test_a_stateful_layer_says_that_its_batch_size_stays() -> None:
    stateful = ONLSTM(D, CHUNK, stateful=True)
    stateful(X)
    with pytest.raises(ValueError, match=r"of shape \(2, 8\): a stateful layer keeps the batch size"):
        stateful(X[:2])


@pytest.mark.parametrize("mask", [MASK[:1], MASK[:, :1], MASK[:1].astype(int)], ids=["time", "batch", "int"])
def test_masks_are_broadcast(mask: np.ndarray) -> None:
    """Values and gradients."""

    def found(mask: np.ndarray) -> Any:
        by_x, y = gradients(lambda x: (ops.sum(y := LAYER(x, mask=mask)[0]), y), [X])
        return [numpy(ops.stop_gradient(part)) for part in (*by_x, y)]

    assert_same(found(mask), found(np.broadcast_to(mask, (B, T)).astype(bool)))


@pytest.mark.parametrize(
    "mask", [MASK[..., None], MASK[:, 1:], MASK[:2], MASK[0]], ids=["rank", "time", "batch", "flat"]
)
def test_wrong_masks_are_named(mask: np.ndarray) -> None:
    shape = ", ".join(map(str, mask.shape))
    with pytest.raises(ValueError, match=rf"mask has shape \({shape},?\); .* give \(3, 6\)"):
        LAYER(X, mask=mask)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (X[..., 1:], rf"expected axis -1 of input shape to have value {IN}"),
        (X[:, :0], r"sequences have shape \(3, 0, \d+\): give a step or more"),
    ],
    ids=["width", "steps"],
)
def test_wrong_sequences_are_named(x: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        LAYER(x)


def test_masks_and_states_may_have_sizes_that_are_not_known_yet() -> None:
    x, mask = layers.Input((None, IN)), layers.Input((None,), dtype="bool")
    h, c = layers.Input((D,)), layers.Input((D,))
    model = keras.Model([x, mask, h, c], LAYER(x, initial_state=[h, c], mask=mask))
    given = X, MASK, STATE + 0.5, STATE + 2
    want = run(LAYER, X, initial_state=list(given[2:]), mask=MASK)
    for found, wanted in zip(model.predict(given, verbose=0), want, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_levels_are_of_the_master_forget_gate_alone() -> None:
    """From 0, where it keeps every chunk, to 1 - 1 / n, where it keeps the last; i and f may erase all."""
    layer, n = dressed(ONLSTM(D, CHUNK, **ALL)), D // CHUNK
    for first, master in enumerate(np.eye(n)):
        bias = np.r_[99 * np.eye(n)[-1], 99 * master, np.zeros(2 * D), np.full(2 * D, -99)]
        layer.set_weights([np.zeros((IN, WIDTH)), np.zeros((D, WIDTH)), bias])
        _, levels, _, c = run(layer, X, initial_state=[STATE, STATE + 1])
        np.testing.assert_allclose(levels, first / n, atol=1e-6)
        np.testing.assert_allclose(c, 0, atol=1e-6)


def test_of_paper_the_last_chunk_is_lost() -> None:
    h = run(dressed(ONLSTM(D, CHUNK, "paper")), X)
    np.testing.assert_allclose(h[:, -CHUNK:], 0, atol=1e-6)
    assert (np.abs(h[:, :-CHUNK]) > 1e-3).any()
