"""A probe sees what layers compute, wherever they run, and changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from supple.errors import InputError
from supple.training import capture, probe
from supple.training.paths import layers_of

pytestmark = pytest.mark.backend

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


class Gated(keras.layers.Layer):
    """A layer with a local tensor that it marks, and a sublayer that it calls twice."""

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.dense = keras.layers.Dense(units)
        self.gate = keras.layers.Dense(units, activation="sigmoid")

    def call(self, x: Any) -> Any:
        gate = probe.mark("gate", self.gate(x))
        return self.dense(self.dense(x) * gate)


class Network(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = [Gated(4), Gated(4)]
        self.last = keras.layers.Dense(1)
        self.calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1  # of Python: one a trace where it is compiled
        for block in self.blocks:
            x = block(x)
        return self.last(x)


def network(**compiled: Any) -> Network:
    keras.utils.set_random_seed(0)
    model = Network()
    model(X)
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | compiled)
    return model


def numpy(value: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(value))


def dense(layer: Any, x: np.ndarray, sigmoid: bool = False) -> np.ndarray:
    y = x @ numpy(layer.kernel) + numpy(layer.bias)
    return 1 / (1 + np.exp(-y)) if sigmoid else y


def expected(model: Network, x: np.ndarray = X) -> dict[str, list[np.ndarray]]:
    """All that a network computes, by NumPy."""
    found: dict[str, list[np.ndarray]] = {}
    for number, block in enumerate(model.blocks):
        gate = dense(block.gate, x, sigmoid=True)
        first = dense(block.dense, x)
        second = dense(block.dense, first * gate)
        path = f"blocks/{number}"
        found |= {
            f"{path}:gate": [gate],
            f"{path}/gate": [gate],
            f"{path}/dense": [first, second],
            path: [second],
        }
        x = second
    return found | {"last": [dense(model.last, x)]}


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(numpy(a), b, rtol=2e-4, atol=1e-5)


def agree(seen: Any, model: Network, x: np.ndarray = X) -> None:
    """What was seen in one call is what NumPy computes."""
    want = expected(model, x)
    assert seen
    for name, values in seen.items():
        assert len(values) == len(want[name])
        for value, other in zip(values, want[name], strict=True):
            close(value, other)


# What is seen


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["blocks/0"], ["blocks/0"]),
        (["blocks/*"], ["blocks/0", "blocks/1"]),
        (["blocks/*/dense", "last"], ["blocks/0/dense", "blocks/1/dense", "last"]),
        (["blocks/*:gate"], ["blocks/0:gate", "blocks/1:gate"]),
        (
            ["**"],
            [
                "blocks/0/gate",
                "blocks/0/dense",
                "blocks/0",
                "blocks/1/gate",
                "blocks/1/dense",
                "blocks/1",
                "last",
            ],
        ),
        (["**", "**:*"], None),
    ],
)
def test_names_and_patterns(patterns: list[str], names: list[str] | None) -> None:
    model = network()
    with probe(model, *patterns) as seen:
        model(X)
    agree(seen, model)
    assert list(seen) == names or names is None
    assert all(isinstance(value, np.ndarray) for values in seen.values() for value in values)


def test_every_call_counts_in_its_order() -> None:
    model = network()
    with probe(model, "last") as seen:
        model(X)
        model(X[:2])
    assert [value.shape for value in seen["last"]] == [(6, 1), (2, 1)]


def test_a_shared_layer_is_seen_under_all_its_names() -> None:
    x, shared = keras.Input((4,)), keras.layers.Dense(4, name="shared")
    left, right = (keras.Sequential([shared], name=name) for name in ("left", "right"))
    model = keras.Model(x, left(x) + right(x))
    with probe(model, "*/shared") as seen:
        model(X)
    for name in "left/shared", "right/shared":
        assert len(seen[name]) == 2
        close(seen[name][0], dense(shared, X))


def test_outputs_that_are_trees() -> None:
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.LSTM(3, return_state=True, name="lstm")])
    with probe(model, "lstm") as seen:
        output, h, c = (numpy(value) for value in model(np.ones((2, 5, 4), "float32")))
    for a, b in zip(seen["lstm"][0], (output, h, c), strict=True):
        close(a, b)


def test_a_mark_is_its_value_and_costs_nothing_alone() -> None:
    value = object()
    assert probe.mark("anything", value) is value


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def project(layer: Any, x: np.ndarray) -> np.ndarray:
    return np.einsum("btd,dhk->bhtk", x, numpy(layer.kernel)) + numpy(layer.bias)[:, None]


@pytest.mark.parametrize("dropout", [0.0, 0.3])  # with it Keras has no fused kernel
@pytest.mark.parametrize("masked", [False, True])
def test_scores_of_attention_are_read_without_editing_it(masked: bool, dropout: float) -> None:
    """keras 20621, 20267: there was no way to have them from a layer within a model."""
    x = np.random.default_rng(1).normal(size=(2, 5, 6)).astype("float32")
    mask = np.tril(np.ones((2, 5, 5), bool)) if masked else None
    keras.utils.set_random_seed(0)
    attention = keras.layers.MultiHeadAttention(3, 4, dropout=dropout)

    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def call(self, x: Any) -> Any:
            return self.attention(x, x, attention_mask=mask)

    model = Model()
    plain = numpy(model(x))
    scores = project(attention._query_dense, x) @ project(attention._key_dense, x).swapaxes(-1, -2) / 2
    want = softmax(scores if mask is None else np.where(mask[:, None], scores, -1e9))
    with probe(model, "attention:attention_scores", "attention") as seen:
        output = numpy(model(x))
    close(seen["attention:attention_scores"][0], want)
    assert np.array_equal(seen["attention"][0], output)
    np.testing.assert_allclose(output, plain, atol=1e-6)
    close(capture(model, x, "**:attention_scores", verbose=False)["attention:attention_scores"], want)


def test_scores_of_grouped_attention() -> None:
    x = np.random.default_rng(1).normal(size=(2, 5, 6)).astype("float32")
    attention = keras.layers.GroupQueryAttention(4, 4, 2)
    model = keras.Sequential([keras.layers.Lambda(lambda x: x), Self(attention)])
    model(x)
    query, key = project(attention._query_dense, x), project(attention._key_dense, x)
    want = softmax(query @ np.repeat(key, 2, axis=1).swapaxes(-1, -2) / 2)
    with probe(model, "**:attention_scores") as seen:
        model(x)
    [values] = seen.values()
    close(values[0], want)


class Self(keras.layers.Layer):
    """Attention of a sequence to itself."""

    def __init__(self, attention: keras.layers.Layer):
        super().__init__()
        self.attention = attention

    def call(self, x: Any) -> Any:
        return self.attention(x, x)


# Where it is seen


@pytest.mark.parametrize("eager", [False, True])
def test_predict_evaluate_and_batches_are_seen(eager: bool) -> None:
    model = network(run_eagerly=eager)
    with probe(model, "**", "**:gate") as seen:
        model.predict(X, verbose=0)
    agree(seen, model)
    with probe(model, "blocks/1") as seen:
        model.predict_on_batch(X)
        model.evaluate(X, Y, verbose=0)
        model.test_on_batch(X, Y)
    assert len(seen["blocks/1"]) == 3
    for value in seen["blocks/1"]:
        close(value, expected(model)["blocks/1"][0])


@pytest.mark.parametrize("eager", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_training_steps_are_seen_and_stay_the_same_bit_for_bit(eager: bool) -> None:
    plain, probed = network(run_eagerly=eager), network(run_eagerly=eager)
    losses, first = [], expected(probed)
    for _ in range(2):
        losses.append(plain.train_on_batch(X, Y))
    losses += plain.fit(X, Y, batch_size=3, epochs=2, shuffle=False, verbose=0).history["loss"]
    found = []
    with probe(probed, "blocks/*:gate", "last") as seen:
        for _ in range(2):
            found.append(probed.train_on_batch(X, Y))
        found += probed.fit(X, Y, batch_size=3, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert [float(loss) for loss in found] == [float(loss) for loss in losses]
    assert len(seen["last"]) == 6 and seen["last"][2].shape == (3, 1)
    close(seen["last"][0], first["last"][0])
    close(seen["blocks/1:gate"][0], first["blocks/1:gate"][0])
    for a, b in zip(plain.weights, probed.weights, strict=True):
        assert np.array_equal(numpy(a), numpy(b))


def compiled(function: Any) -> Any:
    """A function, compiled as one does on this backend."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False)
    return function


def test_code_that_one_compiles_oneself_is_seen() -> None:
    model = network()
    with probe(model, "**", "**:gate") as seen:
        compiled(lambda x: model(x))(X)
    agree(seen, model)


@pytest.mark.skipif(BACKEND != "jax", reason="transformations of JAX")
def test_under_grad_vmap_and_scan_of_jax() -> None:
    import jax

    model = network()
    state = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]

    def loss(weights: Any) -> Any:
        return model.stateless_call(weights, state[1], X)[0].sum()

    plain = jax.jit(jax.grad(loss))(state[0])
    with probe(model, "last") as seen:
        found = jax.jit(jax.grad(loss))(state[0])
    assert len(seen["last"]) == 1 and all(map(np.array_equal, plain, found))

    def step(x: Any, _: Any) -> Any:
        return x * 0.5, model(x)

    with probe(model, "last") as seen:
        _, ys = jax.jit(lambda x: jax.lax.scan(step, x, None, length=3))(X)
    close(np.stack(seen["last"]), numpy(ys))


# What is left as it was


def callables(model: keras.Model) -> list[Any]:
    layers = [model, *layers_of(model).values()]
    return [vars(layer).get("call") for layer in layers] + [model.predict_function, model.train_function]


def test_when_nobody_looks_layers_and_compiled_functions_are_the_same_objects() -> None:
    model = network()
    model.predict(X, verbose=0)
    model.train_on_batch(X, Y)
    before, calls = callables(model), model.calls
    with probe(model, "last"):
        model(X)
        assert callables(model) != before
    during = model.calls - calls
    assert callables(model) == before
    model.predict(X, verbose=0)
    model.train_on_batch(X, Y)
    if BACKEND != "torch":  # which runs Python each time
        assert model.calls == calls + during  # nothing is compiled again


@pytest.mark.skipif(BACKEND != "jax", reason="on other backends a probe has functions of its own")
def test_a_second_probe_compiles_nothing() -> None:
    model = network()
    for _ in range(2):
        with probe(model, "last") as seen:
            model.predict(X, verbose=0)
        agree(seen, model)
        calls, model.calls = model.calls, 0
    assert calls == 0


def test_after_an_exception_all_is_as_before() -> None:
    model = network()
    before = callables(model)
    with pytest.raises(ZeroDivisionError), probe(model, "last"):
        model(X)
        raise ZeroDivisionError
    assert callables(model) == before
    with pytest.raises(Exception, match=r"shape|dimension|size|mat1|incompat"), probe(model, "last"):
        model(X[:, :3])
    assert callables(model) == before
    with probe(model, "last") as seen:
        model(X)
    agree(seen, model)


def test_a_step_function_that_is_compiled_within_a_probe_is_of_the_new_optimizer() -> None:
    model = network()
    model.train_on_batch(X, Y)
    with probe(model, "last"):
        model.compile(keras.optimizers.SGD(0.0), "mse")
    before = numpy(model.last.kernel)
    model.train_on_batch(X, Y)
    assert np.array_equal(numpy(model.last.kernel), before)


def test_probes_within_probes_see_what_each_asks_for() -> None:
    model = network()
    with probe(model, "last") as outer:
        model(X)
        with probe(model, "blocks/0", "last") as inner:
            model(X)
        model(X)
    assert len(outer["last"]) == 3 and len(inner["last"]) == 1 and list(outer) == ["last"]
    agree(inner, model)


def test_a_probe_of_a_part_of_a_model() -> None:
    model = network()
    with probe(model.blocks[1], "dense") as seen:
        model(X)
    for value, want in zip(seen["dense"], expected(model)["blocks/1/dense"], strict=True):
        close(value, want)


def test_other_threads_are_not_heard() -> None:
    model = network()
    with probe(model, "last") as seen:
        thread = threading.Thread(target=lambda: model(X))
        thread.start()
        thread.join()
        assert not seen
        model(X)
    assert len(seen["last"]) == 1


def test_what_is_seen_stays_when_the_probe_is_over() -> None:
    model = network()
    with probe(model, "last") as seen:
        model(X)
    value = seen["last"][0].copy()
    model.fit(X, Y, epochs=2, verbose=0)
    assert np.array_equal(seen["last"][0], value) and len(seen["last"]) == 1


# Over a data set


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        part = slice(2 * index, 2 * index + 2)
        return X[part], Y[part]


def pairs() -> Iterator[Any]:
    yield from (Batches()[index] for index in range(3))


def arrays() -> Iterator[Any]:
    yield from (x for x, _ in pairs())


@pytest.mark.parametrize("data", [X, Batches(), pairs, arrays], ids=["array", "dataset", "pairs", "arrays"])
@pytest.mark.parametrize("eager", [False, True])
def test_capture_over_arrays_datasets_and_iterables(data: Any, eager: bool) -> None:
    model = network(run_eagerly=eager)
    found = capture(model, data() if callable(data) else data, ["blocks/1", "**:gate"], verbose=False)
    assert set(found) == {"blocks/1", "blocks/0:gate", "blocks/1:gate"}
    for name, value in found.items():
        close(value, expected(model)[name][0])


@pytest.mark.parametrize("batch_size", [1, 2, 4, 6, 100])
def test_captures_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    model = network()
    close(capture(model, X, "last", batch_size=batch_size, verbose=False)["last"], expected(model)["last"][0])


def test_a_layer_called_twice_gives_two_arrays() -> None:
    model = network()
    found = capture(model, X, "blocks/0/dense", batch_size=4, verbose=False)["blocks/0/dense"]
    assert isinstance(found, list)
    for value, want in zip(found, expected(model)["blocks/0/dense"], strict=True):
        close(value, want)


def test_models_of_several_inputs() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model(
        {"a": a, "b": b}, keras.layers.Dense(1, name="last")(keras.layers.Add(name="sum")([a, b]))
    )
    close(capture(model, {"a": X, "b": 2 * X}, "sum", batch_size=4, verbose=False)["sum"], 3 * X)


def test_capture_is_of_inference() -> None:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dropout(0.5, name="dropout"), keras.layers.Dense(1)]
    )
    close(capture(model, X, "dropout", verbose=False)["dropout"], X)


class Deep(keras.layers.Layer):
    """Counts its calls in Python, and fails when it is asked to."""

    calls = 0

    def call(self, x: Any) -> Any:
        Deep.calls += 1
        return x


def test_capture_runs_no_deeper_than_asked() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="first"), Deep(name="deep")])
    model.compile(run_eagerly=True)
    Deep.calls = 0
    capture(model, X, "first", batch_size=1, verbose=False)
    assert Deep.calls == 1  # in the first batch, which tells how much there is


@pytest.mark.parametrize(
    ("data", "pattern", "problem"),
    [
        (X, "lost", "no layer matches 'lost'; near it: 'last'"),
        (X, "blocks/0:gates", "nothing was computed for 'blocks/0:gates'; near it: 'blocks/0:gate'"),
        (X[:0], "last", "there is nothing in the data; give at least one row"),
        ([], "last", "there is nothing in the data; give at least one row|expected arrays"),
        (3, "last", "expected arrays or batches of them, not int"),
        ({"a": X, "b": X[:2]}, "last", r"the arrays have \[2, 6\] rows"),
        ([3, 4], "last", "expected batches of arrays, not of int"),
    ],
)
def test_what_cannot_be_captured_is_told_of(data: Any, pattern: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        capture(network(), data, pattern, verbose=False)


def test_other_mistakes_are_told_of() -> None:
    model = network()
    with pytest.raises(InputError, match="batch_size is 0; give 1 or more"):
        capture(model, X, "last", batch_size=0, verbose=False)
    problem = "no call made the mark 'blocks/0:gates'; near it: 'blocks/0:gate'"
    with pytest.raises(InputError, match=problem), probe(model, "blocks/0:gates"):
        model(X)
    with probe(model, "last") as seen:
        pass
    with pytest.raises(KeyError, match="nothing was computed under 'blocks/0' for 'last'"):
        seen["blocks/0"]


def test_batches_of_different_lengths_are_told_to_be_padded() -> None:
    model = keras.Sequential([keras.layers.Dense(2, name="dense")])
    data = [np.ones((2, 3, 4), "float32"), np.ones((2, 5, 4), "float32")]
    model(data[0])
    with pytest.raises(
        InputError, match=r"'dense' has shapes .* in different batches; pad them to one length"
    ):
        capture(model, iter(data), "dense", verbose=False)


@pytest.mark.skipif(BACKEND != "jax", reason="loops that JAX compiles apart")
def test_a_loop_that_is_compiled_apart_is_for_a_probe() -> None:
    import jax

    class Loop(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return jax.lax.fori_loop(0, 3, lambda _, y: probe.mark("inside", y * 2), x)

    model = keras.Sequential([keras.Input((4,)), Loop(name="loop")])
    with pytest.raises(InputError, match=r"'loop:inside' is computed in a loop .*; use probe"):
        capture(model, X, "loop:inside", verbose=False)
    with probe(model, "loop:inside") as seen:
        model(X)
    assert len(seen["loop:inside"]) == 3
    close(seen["loop:inside"][2], 8 * X)
