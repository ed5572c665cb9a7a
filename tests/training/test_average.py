"""Averages are the weighted means of theory, and the weights come back, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.training.average import Average

pytestmark = pytest.mark.backend

STEPS = 6


def network(units: int = 3, dtype: str = "float32") -> keras.Model:
    """Dense layers, BatchNorm and dropout, with weights of a fixed seed."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(units, dtype=dtype),
            layers.BatchNormalization(dtype=dtype),
            layers.Dropout(0.5, dtype=dtype),
            layers.Dense(1, dtype=dtype),
        ]
    )


def numpy(arrays: list[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(array) for array in arrays]


def same(a: list[Any], b: list[Any]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(numpy(a), numpy(b), strict=True))


def train(
    model: keras.Model, *averages: Average, steps: int = STEPS, seed: int = 0
) -> list[list[np.ndarray]]:
    """A loop of one's own along fixed gradients; the averaged variables' values after each step."""
    rng = np.random.default_rng(seed)
    optimizer, history = keras.optimizers.SGD(0.5), []
    for _ in range(steps):
        gradients = [rng.normal(size=v.shape).astype("float32") for v in model.trainable_variables]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], model.trainable_variables)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.moving_mean.assign(rng.normal(size=layer.moving_mean.shape).astype("float32"))
        for average in averages:
            average.update()
        history.append(numpy(averages[0].variables if averages else model.trainable_variables))
    return history


def weighted(history: list[list[np.ndarray]], weights: list[float]) -> list[np.ndarray]:
    """The weighted mean of each variable over steps, in double precision."""
    weights = np.array(weights, np.float64) / np.sum(weights)
    return [np.tensordot(weights, np.array(column, np.float64), 1) for column in zip(*history, strict=True)]


def close(values: list[Any], expected: list[np.ndarray]) -> None:
    for value, mean in zip(numpy(values), expected, strict=True):
        np.testing.assert_allclose(value, mean, rtol=1e-5, atol=1e-6)


def test_averages_are_exactly_weighted_means() -> None:
    model, decays = network(), [0.999, 0.5, 0.0, 1.0]
    average = Average(model, decays)
    history = train(model, average)
    for decay in decays:
        close(average.values(decay), weighted(history, [decay ** (STEPS - 1 - n) for n in range(STEPS)]))
    assert same(average.values(), average.values(0.999))


@pytest.mark.parametrize("warmup", [1, 4, 9.5])
def test_a_warmed_up_mean_is_polynomial_decay_averaging(warmup: float) -> None:
    """Shamir & Zhang 2013, section 4: mean_t = (1 - (η+1)/(t+η)) mean_(t-1) + (η+1)/(t+η) w_t."""
    model = network()
    average = Average(model, 1.0, warmup=warmup)
    history = train(model, average)
    means = [np.zeros(value.shape) for value in history[0]]
    for step, values in enumerate(history, 1):
        share = (warmup + 1) / (step + warmup)
        means = [(1 - share) * mean + share * value for mean, value in zip(means, values, strict=True)]
    close(average.values(), means)


def test_warmup_ends_where_the_decay_begins() -> None:
    model = network()
    warm, plain = Average(model, 0.5, warmup=3), Average(model, 0.5)
    history = train(model, warm, plain)
    decays = [min(0.5, n / (n + 3)) for n in range(STEPS)]  # 0, 1/4, 2/5, 1/2, 1/2, 1/2
    close(warm.values(), weighted(history, [float(np.prod(decays[n + 1 :])) for n in range(STEPS)]))
    assert not same(warm.values(), plain.values())


def test_without_bias_correction_an_average_starts_from_the_weights() -> None:
    model = network()
    average = Average(model, 0.9, bias_correction=False)
    means = numpy(average.variables)
    for values in train(model, average):
        means = [0.9 * mean + 0.1 * value for mean, value in zip(means, values, strict=True)]
    close(average.values(), means)


def test_the_first_updates_only_count() -> None:
    model = network()
    average = Average(model, 1.0, start=4)
    history = train(model, average)
    close(average.values(), weighted(history, [0, 0, 0, 0, 1, 1]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3, unique=True), st.floats(0, 20), st.integers(1, 8))
def test_an_average_lies_between_the_weights(decays: list[float], warmup: float, steps: int) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    average = Average(model, decays, warmup=warmup)
    columns = list(zip(*train(model, average, steps=steps, seed=steps), strict=True))
    for decay in decays:
        for value, column in zip(numpy(average.values(decay)), columns, strict=True):
            assert (np.min(column, 0) - 1e-5 <= value).all() and (value <= np.max(column, 0) + 1e-5).all()


def test_what_does_not_change_is_its_average_to_the_last_bit() -> None:
    model = network()
    average = Average(model, [0.3, 0.99], warmup=5)
    for _ in range(STEPS):
        average.update()
    assert same(average.values(0.3), average.variables) and same(average.values(0.99), average.variables)


def test_low_precision_is_averaged_in_single() -> None:
    """In bfloat16, 1 + 0.001 * (2 - 1) would be 1 for ever."""
    model = network(dtype="bfloat16")
    average = Average(model, 0.999, bias_correction=False)
    before = numpy(average.variables)[0].astype("float32")
    average.variables[0].assign(before + 1)
    for _ in range(100):
        average.update()
    np.testing.assert_allclose(numpy(average.values())[0], before + 1 - 0.999**100, rtol=0.01)
    with average.applied():
        assert average.variables[0].dtype == "bfloat16"


def test_a_loop_may_hold_the_weights_itself() -> None:
    """As loops of JAX do, where the model's variables stand still."""
    model, other = network(), network()
    average, usual = Average(model, 0.9), Average(other, 0.9)
    for values in train(other, usual):
        average.update([keras.ops.convert_to_tensor(value) for value in values])
    assert same(average.values(), usual.values())


def test_training_is_the_same_without() -> None:
    model, other = network(), network()
    train(model, Average(model, [0.9, 0.99]))
    train(other)
    assert same(model.trainable_variables, other.trainable_variables)


def test_applied_puts_averages_and_weights_in_their_places() -> None:
    model = network()
    average = Average(model, [0.9, 0.5])
    train(model, average)
    raw = numpy(model.variables)
    for decay in (None, 0.5):
        with average.applied(decay):
            assert same(average.variables, average.values(decay))
        assert same(model.variables, raw)
    train(model, average)  # and training goes on


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_weights_come_back_whatever_is_raised(kind: type[BaseException]) -> None:
    """keras 18949, and a validation after which the weights were never restored."""
    model = network()
    average = Average(model)
    train(model, average)
    raw = numpy(model.variables)
    with pytest.raises(kind), average.applied():
        model.variables[0].assign(keras.ops.zeros_like(model.variables[0].value))
        raise kind
    assert same(model.variables, raw) and average.raw is None


def test_an_interrupted_swap_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    average = Average(model)
    train(model, average)
    raw, assign, calls = numpy(model.variables), keras.Variable.assign, []

    def interrupted(variable: keras.Variable, value: Any) -> None:
        calls.append(variable)
        if len(calls) == 3:
            raise KeyboardInterrupt
        assign(variable, value)

    for use in (average.apply, lambda: average.applied().__enter__()):
        calls.clear()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(keras.Variable, "assign", interrupted)
            use()
        assert len(calls) > 3 and same(model.variables, raw) and average.raw is None


def test_swapping_twice_is_an_error() -> None:
    model = network()
    average = Average(model)
    train(model, average)
    raw = numpy(model.variables)
    with pytest.raises(RuntimeError, match=r"weights already: reset\(\) undoes one apply"):
        average.reset()
    average.apply()
    with pytest.raises(RuntimeError, match=r"averages already: call reset\(\) before another apply"):
        average.apply()
    with pytest.raises(RuntimeError, match=r"averages already"), average.applied():
        pass
    assert same(average.variables, average.values())  # the failed swaps changed nothing
    with pytest.raises(RuntimeError, match=r"has its averages, not its weights: call reset\(\)"):
        average.update()
    average.reset()
    assert same(model.variables, raw)


@pytest.mark.parametrize("start", [0, STEPS])
def test_applying_before_the_first_update_is_an_error(start: int) -> None:
    """lightning 21724: validation swapped in averages that had never been updated."""
    model = network()
    average = Average(model, start=start)
    train(model, average, steps=start)
    raw = numpy(model.variables)
    for use in (average.apply, average.values, lambda: average.applied().__enter__()):
        with pytest.raises(RuntimeError, match=f"no average yet after {start} updates"):
            use()
    assert same(model.variables, raw)


def test_averages_share_no_memory_with_weights() -> None:
    """JAX's trainer destroys the arrays it is given, PyTorch changes them in place."""
    model = network()
    average = Average(model)
    train(model, average)
    before = numpy(average.values())
    average.apply()
    for variable in average.variables:
        variable.assign(keras.ops.zeros_like(variable.value))
    assert same(average.values(), before)
    average.reset()
    state = average.state()
    average.restore(state)
    train(model, average)
    assert same(average.variables, average.variables) and same(
        before, [state[f"0_{i}"] for i in range(len(before))]
    )


def test_a_restored_average_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    model, options = network(), {"decays": [0.9, 1.0], "warmup": 2, "start": 2}
    average = Average(model, **options)
    train(model, average)
    np.savez(tmp_path / "average.npz", **average.state())
    other = network()
    again = Average(other, **options)
    with np.load(tmp_path / "average.npz", allow_pickle=False) as state:
        again.restore(state)
    other.set_weights(model.get_weights())
    train(model, average)
    train(other, again)
    assert all(same(average.values(decay), again.values(decay)) for decay in (0.9, 1.0))


@pytest.mark.parametrize(
    ("other", "decays", "problem"),
    [
        (
            lambda: network(5),
            0.9,
            r"the average of \S+kernel was saved with shape \(4, 3\), .* \(4, 5\); build it",
        ),
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]),
            0.9,
            "of 8 weights .* has 2; build",
        ),
        (network, [0.9, 0.99], r"of decays \[0.9\] were saved, not of \[0.9, 0.99\]; build it as it was"),
    ],
)
def test_an_average_of_another_network_is_refused(other: Callable, decays: Any, problem: str) -> None:
    model = network()
    average, stranger = Average(model, 0.9), Average(other(), decays)
    train(model, average)
    with pytest.raises(InputError, match=problem):
        stranger.restore(average.state())
    assert not stranger.ready


def test_statistics_of_batch_norm_are_averaged_or_left() -> None:
    model, raw = network(), network()
    average, without = Average(model, 0.9), Average(raw, 0.9, batch_norm="raw")
    history = train(model, average)
    train(raw, without)
    assert [v.path.split("/")[-1] for v in average.variables[-2:]] == ["moving_mean", "moving_variance"]
    close(average.values(), weighted(history, [0.9 ** (STEPS - 1 - n) for n in range(STEPS)]))
    assert len(without.variables) == len(raw.trainable_variables) == len(average.variables) - 2
    with without.applied():
        close([raw.layers[1].moving_mean], [history[-1][-2]])


def test_what_is_frozen_is_not_averaged() -> None:
    model = network()
    model.layers[0].trainable = model.layers[1].trainable = False
    assert [v.path for v in Average(model).variables] == [v.path for v in model.layers[3].variables]


def test_recomputed_statistics_are_those_of_the_data_under_the_average() -> None:
    """Izmailov et al. 2018, section 3.2; the statistics and seeds of training stay as they are."""
    model = network()
    average = Average(model, [0.5, 1.0])
    train(model, average)
    raw, before = numpy(model.variables), numpy(average.values(0.5))
    batches = [np.random.default_rng(n).normal(n, 1, (8, 4)).astype("float32") for n in range(3)]
    average.recompute([(batch, None) for batch in batches], 1.0)
    assert same(model.variables, raw) and same(average.values(0.5), before)
    kernel, bias, *_, mean, variance = numpy(average.values(1.0))
    hidden = [batch @ kernel + bias for batch in batches]
    np.testing.assert_allclose(mean, np.mean([h.mean(0) for h in hidden], 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, np.mean([h.var(0) for h in hidden], 0), rtol=1e-4)
    assert model.layers[1].momentum == 0.99
    with pytest.raises(ValueError, match="no batches to recompute"):
        average.recompute([])
    with pytest.raises(ValueError, match=r"no BatchNorm statistics to recompute: .* batch_norm='raw'"):
        Average(model, batch_norm="raw").recompute(batches)


def unbuilt() -> keras.Model:
    return keras.Sequential([keras.layers.Dense(1)])


def frozen() -> keras.Model:
    model = network()
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("model", "options", "problem"),
    [
        (unbuilt, {}, "has no weights yet: call it on a batch, or build it"),
        (frozen, {}, "has no trainable weights: there is nothing to average"),
        (network, {"decays": 1.5}, r"different numbers from 0 to 1, not \[1.5\]"),
        (network, {"decays": []}, r"different numbers from 0 to 1, not \[\]"),
        (network, {"decays": [0.9, 0.9]}, "different numbers"),
        (network, {"decays": 1.0, "bias_correction": False}, "average of decay 1 never moves"),
        (network, {"warmup": -1}, "should be 0 or more, not -1 and 0"),
        (network, {"start": -1}, "should be 0 or more, not 0 and -1"),
        (network, {"batch_norm": "copy"}, "should be 'average' or 'raw', not 'copy'"),
    ],
)
def test_what_cannot_be_averaged_is_an_error(model: Callable, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Average(model(), **options)


def test_an_unknown_decay_is_an_error() -> None:
    model = network()
    average = Average(model, [0.9, 0.99])
    train(model, average)
    with pytest.raises(ValueError, match=r"no average of decay 0.5; there are 0.9, 0.99"):
        average.apply(0.5)
    assert average.raw is None
