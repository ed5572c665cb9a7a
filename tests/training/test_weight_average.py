"""`fit` validates and checkpoints on averages, trains on from the weights, and never leaves them swapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from supple.errors import InputError
from supple.training import Average, WeightAverage

pytestmark = pytest.mark.backend

EPOCHS, BATCHES, ROWS = 3, 4, 8
DECAY = 0.8
X = np.random.default_rng(0).normal(size=(BATCHES * ROWS, 4)).astype("float32")
Y = (X.sum(1, keepdims=True) > 0).astype("float32")
XV, YV = X[::-1] + 0.1, Y[::-1]


def network(**compiled: Any) -> keras.Model:
    """Dense layers, BatchNorm and dropout, with weights of a fixed seed."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5),
            layers.BatchNormalization(momentum=0.7),
            layers.Dropout(0.3, seed=1),
            layers.Dense(1),
        ]
    )
    model.compile(**{"optimizer": keras.optimizers.Adam(0.05), "loss": "mse"} | compiled)
    return model


class Recorder(keras.callbacks.Callback):
    """Keeps what it sees: the weights after each step and at the end of each epoch, the logs, the losses."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[list[np.ndarray]] = []
        self.ends: list[list[np.ndarray]] = []
        self.logs: list[dict[str, float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append(weights(self.model))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append(weights(self.model))
        self.logs.append(dict(logs or {}))


class Raise(keras.callbacks.Callback):
    """Raises somewhere."""

    def __init__(self, where: str, error: type[BaseException] = ValueError):
        super().__init__()

        def fail(*_: Any, **__: Any) -> None:
            raise error("stop here")

        setattr(self, where, fail)


def weights(model: keras.Model) -> list[np.ndarray]:
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
    return [np.array(keras.ops.convert_to_numpy(v)) for v in averaged(model)]


def averaged(model: keras.Model) -> list[Any]:
    """Trainable weights, and statistics of BatchNorm."""
    return [v for v in model.weights if "seed" not in v.path]


def trainable(model: keras.Model, arrays: list[Any]) -> list[np.ndarray]:
    """Arrays of an `Average`, as the callback orders them, in the order of `averaged`."""
    places = {v.path: array for v, array in zip(Average(model).variables, arrays, strict=True)}
    return [np.asarray(keras.ops.convert_to_numpy(places[v.path])) for v in averaged(model)]


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback, **options: Any) -> dict[str, list[float]]:
    options = {"epochs": EPOCHS, "validation_data": (XV, YV), "batch_size": ROWS, "verbose": 0} | options
    return model.fit(X, Y, callbacks=list(callbacks), **options).history


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def close(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6)


def mean(steps: list[list[np.ndarray]], decay: float) -> list[np.ndarray]:
    """What the average of decay β is of weights after each step: Σ β^(N-n) w_n / Σ β^(N-n)."""
    factors = decay ** np.arange(len(steps))[::-1]
    return [
        np.tensordot(factors / factors.sum(), np.array(c, np.float64), 1) for c in zip(*steps, strict=True)
    ]


# What is averaged


@pytest.mark.parametrize(
    "compiled", [{}, {"run_eagerly": True}, {"optimizer": keras.optimizers.SGD(0.1, 0.9)}]
)
def test_training_is_the_same_bit_for_bit_with_it(compiled: dict[str, Any]) -> None:
    if "optimizer" in compiled:
        compiled = {"optimizer": keras.optimizers.SGD.from_config(compiled["optimizer"].get_config())}
    plain, beside, model, recorder = network(**compiled), Recorder(), None, Recorder()
    losses = fit(plain, beside)["loss"]
    if "optimizer" in compiled:
        compiled = {"optimizer": keras.optimizers.SGD.from_config(compiled["optimizer"].get_config())}
    model = network(**compiled)
    history = fit(model, WeightAverage([DECAY, 1.0], warmup=3), recorder)
    assert history["loss"] == losses and history["val_loss"] != losses
    assert len(recorder.steps) == EPOCHS * BATCHES
    assert all(same(a, b) for a, b in zip(recorder.steps, beside.steps, strict=True))
    assert same(weights(model), weights(plain))


def test_averages_are_those_of_the_weights_after_each_step() -> None:
    """All decays in one run; keras 18949: the weights there were those before the step's update."""
    model, average, recorder = network(), WeightAverage([DECAY, 0.0, 1.0]), Recorder()
    fit(model, average, recorder)
    for decay in DECAY, 0.0, 1.0:
        close(trainable(model, average.average.values(decay)), mean(recorder.steps, decay))
    assert average.average.updates == EPOCHS * BATCHES


def test_weights_are_averaged_without_anyone_else_to_look_at_batches() -> None:
    """Then Keras asks for no `on_train_batch_end`."""
    watched, recorder = network(), Recorder()
    fit(watched, recorder)
    model, average = network(), WeightAverage(DECAY)
    fit(model, average)
    close(trainable(model, average.average.values()), mean(recorder.steps, DECAY))


def test_warm_up_and_start_are_those_of_the_average() -> None:
    model, recorder = network(), Recorder()
    callback = WeightAverage(0.99, warmup=2, start=3, batch_norm="raw")
    fit(model, callback, recorder)
    other = network()
    alone = Average(other, 0.99, warmup=2, start=3, batch_norm="raw")
    for step in recorder.steps:
        values = dict(zip((v.path for v in averaged(other)), step, strict=True))
        for variable in alone.variables:
            variable.assign(values[variable.path])
        alone.update()
    assert alone.updates == callback.average.updates
    for a, b in zip(callback.average.values(), alone.values(), strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), rtol=2e-5, atol=1e-6
        )


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras refuses it on PyTorch")
def test_several_steps_an_execution_are_one_update() -> None:
    model, average, recorder = network(steps_per_execution=2), WeightAverage(0.0), Recorder()
    fit(model, average, recorder)
    assert average.average.updates == EPOCHS * BATCHES // 2
    close(trainable(model, average.average.values()), recorder.ends[-1])


def test_a_second_fit_goes_on_with_the_average() -> None:
    """lightning 21724 lost its averages when training was taken up again."""
    model, average, recorder = network(), WeightAverage(DECAY), Recorder()
    fit(model, average, recorder)
    fit(model, average, recorder)
    assert average.average.updates == 2 * EPOCHS * BATCHES
    close(trainable(model, average.average.values()), mean(recorder.steps, DECAY))


def test_frozen_layers_are_left_alone() -> None:
    model = network()
    model.layers[0].trainable = False
    model.compile(keras.optimizers.Adam(0.05), "mse")
    average = WeightAverage(DECAY)
    fit(model, average)
    assert (
        not any("dense/" in v.path for v in average.average.variables[:2])
        and len(average.average.variables) == 6
    )


def test_models_of_several_outputs() -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    hidden = keras.layers.Dense(3)(x)
    model = keras.Model(
        x, {"a": keras.layers.Dense(1, name="a")(hidden), "b": keras.layers.Dense(1, name="b")(x)}
    )
    model.compile("sgd", "mse")
    average, recorder = WeightAverage(DECAY), Recorder()
    model.fit(X, {"a": Y, "b": Y}, batch_size=ROWS, verbose=0, callbacks=[average, recorder])
    close(trainable(model, average.average.values()), mean(recorder.steps, DECAY))


# Validation and checkpoints


def test_validation_is_of_the_first_average() -> None:
    model, average, recorder = network(), WeightAverage([DECAY, 1.0]), Recorder()
    history = fit(model, average, recorder)
    check = network()
    for epoch, found in enumerate(history["val_loss"]):
        for variable, value in zip(
            averaged(check), mean(recorder.steps[: (epoch + 1) * BATCHES], DECAY), strict=True
        ):
            variable.assign(value)
        assert check.evaluate(XV, YV, verbose=0, batch_size=ROWS) == pytest.approx(found, rel=1e-4)
    # Others see the weights at the end of an epoch.
    assert all(
        same(end, step)
        for end, step in zip(recorder.ends, recorder.steps[BATCHES - 1 :: BATCHES], strict=True)
    )


def test_before_the_start_validation_is_of_the_weights() -> None:
    raw = fit(network())["val_loss"]
    found = fit(network(), WeightAverage(DECAY, start=BATCHES))["val_loss"]
    assert found[0] == raw[0] and found[2] != raw[2]


def test_an_evaluation_of_ones_own_is_of_the_weights() -> None:
    class Evaluates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            losses.append(self.model.evaluate(XV, YV, batch_size=ROWS, verbose=0))

    losses: list[float] = []
    raw = fit(network(), Evaluates())["val_loss"]
    losses.clear()
    history = fit(network(), WeightAverage(DECAY), Evaluates())
    np.testing.assert_allclose(losses, raw, rtol=1e-6)
    assert history["val_loss"] != losses


def test_checkpoints_inside_are_of_the_average_and_outside_of_the_weights(tmp_path: Path) -> None:
    """nequip 590: a checkpoint that was written while the weights were swapped."""
    inside = keras.callbacks.ModelCheckpoint(tmp_path / "average.weights.h5", save_weights_only=True)
    outside = keras.callbacks.ModelCheckpoint(tmp_path / "raw.weights.h5", save_weights_only=True)
    model, average, recorder = network(), WeightAverage(DECAY, callbacks=[inside]), Recorder()
    fit(model, average, outside, recorder)
    found = network()
    found.optimizer.build(found.trainable_variables)
    found.load_weights(tmp_path / "average.weights.h5")
    close(weights(found), mean(recorder.steps, DECAY))
    found.load_weights(tmp_path / "raw.weights.h5")
    assert same(weights(found), recorder.steps[-1])


def test_the_best_of_the_averages_may_be_kept(tmp_path: Path) -> None:
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_loss", save_best_only=True)
    model = network()
    history = fit(model, WeightAverage(DECAY, callbacks=[best]))["val_loss"]
    found = keras.models.load_model(tmp_path / "best.keras")
    assert found.evaluate(XV, YV, batch_size=ROWS, verbose=0) == pytest.approx(min(history), rel=1e-4)


def test_early_stopping_sees_averages_inside_and_stops_training() -> None:
    stopping = keras.callbacks.EarlyStopping("val_loss", min_delta=100)
    history = fit(network(), WeightAverage(DECAY, callbacks=[stopping]))
    assert len(history["loss"]) == 2  # Keras never stops after the first epoch


@pytest.mark.parametrize("kind", ["checkpoint", "stopping"])
def test_the_best_raw_weights_by_the_score_of_an_average_are_refused(kind: str, tmp_path: Path) -> None:
    if kind == "checkpoint":
        keeps: Any = keras.callbacks.ModelCheckpoint(
            tmp_path / "x.keras", monitor="val_loss", save_best_only=True
        )
    else:
        keeps = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    with pytest.raises(ValueError, match=r"would keep raw weights by the score of their average.*callbacks="):
        fit(network(), WeightAverage(DECAY), keeps)
    fit(network(), WeightAverage(DECAY), keras.callbacks.EarlyStopping("loss", restore_best_weights=True))


def test_after_fit_an_average_may_be_put_in_place() -> None:
    model, average, recorder = network(), WeightAverage([DECAY, 1.0]), Recorder()
    fit(model, average, recorder)
    assert same(weights(model), recorder.steps[-1])
    with average.average.applied(1.0):
        close(weights(model), mean(recorder.steps, 1.0))
    assert same(weights(model), recorder.steps[-1])
    average.average.apply()
    with pytest.raises(RuntimeError, match=r"call average.reset\(\) before fit"):
        fit(model, average)
    average.average.reset()
    fit(model, average)


# What goes wrong: the weights are never left swapped


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize(
    ("where", "inside"),
    [
        ("on_train_batch_begin", False),
        ("on_train_batch_end", False),
        ("on_test_batch_end", False),
        ("on_test_end", False),
        ("on_epoch_end", False),
        ("on_epoch_end", True),
    ],
)
def test_whatever_is_raised_the_weights_come_back(
    where: str, error: type[BaseException], inside: bool
) -> None:
    """Elsewhere they stayed swapped when a validation had failed: lightning 21724."""
    model, recorder, bad = network(), Recorder(), Raise(where, error)
    average = WeightAverage(DECAY, callbacks=[bad] if inside else [])
    with pytest.raises(error, match="stop here"):
        fit(model, average, recorder, *([] if inside else [bad]))
    assert average.average.raw is None
    assert same(weights(model), recorder.steps[-1] if recorder.steps else weights(network()))
    before = average.average.updates
    average.callbacks.clear()
    fit(model, average, epochs=1)
    assert average.average.updates == before + BATCHES
    model.evaluate(XV, YV, verbose=0)


def test_a_step_that_fails_leaves_the_weights_and_is_not_counted() -> None:
    def batches() -> Any:
        yield X[:ROWS], Y[:ROWS]
        yield X[:ROWS], Y[:ROWS]
        raise ValueError("a bad row")

    model, average = network(), WeightAverage(DECAY)
    with pytest.raises(Exception, match="a bad row"):
        model.fit(batches(), steps_per_epoch=4, shuffle=False, verbose=0, callbacks=[average])
    assert average.average.raw is None and average.average.updates <= 2
    fit(model, average)


def test_two_of_them_in_a_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="two WeightAverage in a fit: give one of them all the decays"):
        fit(network(), WeightAverage(0.9), WeightAverage(0.99))


def test_models_without_weights_to_train_are_refused() -> None:
    model = network()
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no trainable weights: there is nothing to average"):
        fit(model, WeightAverage(DECAY))


def test_a_model_that_is_not_built_is_built_by_fit_or_refused() -> None:
    """On TensorFlow Keras builds it in the first step, when callbacks have begun."""
    model, average, recorder = keras.Sequential([keras.layers.Dense(1)]), WeightAverage(DECAY), Recorder()
    model.compile("sgd", "mse")
    if keras.backend.backend() == "tensorflow":
        with pytest.raises(ValueError, match="has no weights yet: call it on a batch, or build it"):
            fit(model, average)
        model.build((None, 4))
    fit(model, average, recorder)
    close(trainable(model, average.average.values()), mean(recorder.steps, DECAY))


def test_callbacks_that_cannot_be_inside_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="BackupAndRestore keeps the weights"):
        WeightAverage(callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    with pytest.raises(ValueError, match=r"save_freq=10 in WeightAverage: .*; use save_freq='epoch'"):
        WeightAverage(callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "x.keras", save_freq=10)])


# Interrupted and taken up again


class Kill(keras.callbacks.Callback):
    """Ends a fit as a kill would, in an epoch."""

    def __init__(self, epoch: int):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


def resumable(
    folder: Path, *others: keras.callbacks.Callback, units: int = 5
) -> tuple[keras.Model, WeightAverage]:
    """A fit of a model without dropout, as Keras does not keep where its random numbers stood."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    average = WeightAverage([DECAY, 1.0], warmup=2, backup=folder / "averages")
    backup = keras.callbacks.BackupAndRestore(folder / "model")
    try:
        fit(model, backup, average, *others, shuffle=False)
    except KeyboardInterrupt:
        assert list((folder / "averages").glob("*.npz"))
    return model, average


def test_a_run_that_was_killed_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model, average = resumable(tmp_path / "whole")
    resumable(tmp_path / "part", Kill(2))
    again, resumed = resumable(tmp_path / "part")
    assert same(weights(model), weights(again)) and resumed.average.updates == EPOCHS * BATCHES
    for decay in DECAY, 1.0:
        found, expected = (trainable(model, a.average.values(decay)) for a in (average, resumed))
        assert same(found, expected)
    assert not list((tmp_path / "part" / "averages").glob("*"))  # as BackupAndRestore, after a whole run


def test_averages_of_another_run_are_refused(tmp_path: Path) -> None:
    resumable(tmp_path, Kill(2))
    (path,) = (tmp_path / "averages").glob(f"{2 * BATCHES}.npz")
    path.rename(path.with_stem("5"))
    with pytest.raises(InputError, match="holds the averages of step 5, and the model is at step 8; resume"):
        resumable(tmp_path)


def test_averages_of_other_shapes_are_refused(tmp_path: Path) -> None:
    resumable(tmp_path, Kill(2))
    with np.load(tmp_path / "averages" / f"{2 * BATCHES}.npz") as state:
        saved = dict(state)
    keras.utils.set_random_seed(0)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(1)])
    with pytest.raises(
        InputError, match=r"kernel was saved with shape \(4, 5\), and the weight has \(4, 6\)"
    ):
        Average(other, [DECAY, 1.0]).restore(saved)


def test_a_backup_counts_the_steps_of_an_optimizer(tmp_path: Path) -> None:
    model = network(optimizer=None) if keras.backend.backend() == "torch" else network()
    model.optimizer = None
    average = WeightAverage(backup=tmp_path)
    average.set_model(model)
    with pytest.raises(ValueError, match="backup counts an optimizer's steps, and there is none"):
        average.on_train_begin()
