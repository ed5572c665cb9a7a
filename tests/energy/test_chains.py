"""Chains are a function of seed, number and step alone; what goes wrong is one clear error."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from supple.energy import chains as module
from supple.energy import hmc, mala, sample, ula
from supple.energy.chains import points
from supple.energy.targets import mixture
from supple.training.functional import functional

TARGET = mixture([[1, 0], [-1, 0]], 0.5)
SAMPLERS = {"ula": ula(0.1), "mala": mala(0.1), "hmc": hmc(0.3, 3)}
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
START = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")


@every_sampler
def test_the_same_result_for_any_batching(sampler) -> None:
    whole = sample(TARGET.U, START, sampler, 30, seed=1, keep=10)
    for size in 7, 13:
        parts = [
            sample(TARGET.U, START[i : i + size], sampler, 30, seed=1, keep=10, first=i)
            for i in range(0, 20, size)
        ]
        assert np.concatenate([part.x for part in parts]) == pytest.approx(np.asarray(whole.x), abs=1e-5)
        kept = np.concatenate([part.kept for part in parts])
        assert kept == pytest.approx(np.asarray(whole.kept), abs=1e-5)


@every_sampler
def test_a_run_in_parts_is_the_run_at_once(sampler) -> None:
    whole = sample(TARGET.U, START, sampler, 30, seed=1)
    first = sample(TARGET.U, START, sampler, 12, seed=1)
    rest = sample(TARGET.U, first.x, sampler, 18, seed=1, done=12)
    assert np.asarray(rest.x) == pytest.approx(np.asarray(whole.x), abs=1e-5)


@every_sampler
def test_chains_that_begin_where_the_energy_is_nan_are_told(sampler) -> None:
    with pytest.raises(ValueError, match="1 of 3 chains are not finite, after 2 steps"):
        sample(lambda x: jnp.sqrt(x[:, 0]), np.array([[1.0], [-1.0], [4.0]], "float32"), sampler, 2)


@every_sampler
def test_the_same_bits_for_the_same_seed_and_others_for_another(sampler) -> None:
    a, b, c = (sample(TARGET.U, START, sampler, 10, seed=seed).x for seed in (1, 1, 2))
    assert (np.asarray(a) == np.asarray(b)).all()
    assert (np.asarray(a) != np.asarray(c)).any(1).all()


@every_sampler
def test_what_is_kept_lies_on_the_way(sampler) -> None:
    every = sample(TARGET.U, START, sampler, 12, seed=3, keep=1)
    some = sample(TARGET.U, START, sampler, 12, seed=3, keep=4)
    none = sample(TARGET.U, START, sampler, 12, seed=3)
    assert every.kept.shape == (20, 12, 2)
    assert np.asarray(some.kept) == pytest.approx(np.asarray(every.kept[:, 3::4]), abs=1e-5)
    assert (np.asarray(every.kept[:, -1]) == np.asarray(every.x)).all()
    assert none.kept is None
    assert np.asarray(none.x) == pytest.approx(np.asarray(every.x), abs=1e-5)


def test_statistics_are_kept_in_place_of_points() -> None:
    def both(U, x):
        return {"energy": U(x), "radius": jnp.linalg.norm(x, axis=-1)}

    kept = sample(TARGET.U, START, mala(0.1), 6, seed=4, keep=2, statistic=both).kept
    at = sample(TARGET.U, START, mala(0.1), 6, seed=4, keep=2, statistic=points).kept
    assert np.asarray(kept["energy"][:, 1]) == pytest.approx(np.asarray(TARGET.U(at[:, 1])), abs=1e-4)
    assert np.asarray(kept["radius"]) == pytest.approx(np.linalg.norm(at, axis=-1), abs=1e-5)


def test_neighbours_are_independent() -> None:
    # 40,000 steps of pure noise: no correlation between chains, coordinates or successive steps
    def flat(x):
        return 0 * x.sum(-1)

    path = sample(flat, np.zeros((8, 2)), ula(1.0), 5000, seed=5, keep=1).kept
    xi = np.diff(np.asarray(path, "float64"), axis=1, prepend=0)
    assert abs(xi.mean()) < 4.5 / np.sqrt(xi.size)
    assert abs((xi**2).mean() - 1) < 4.5 * np.sqrt(2 / xi.size)
    assert abs((xi**4).mean() - 3) < 4.5 * np.sqrt(96 / xi.size)
    series = np.concatenate([xi[:, 1:], xi[:, :-1]], -1).transpose(1, 0, 2).reshape(4999, -1)
    correlation = np.corrcoef(series.T)
    off = correlation[~np.eye(len(correlation), dtype=bool)]
    same = np.abs(off) > 0.5  # a series beside itself, a step later
    assert not same.any()
    assert np.abs(off).max() < 5 / np.sqrt(4999)


@pytest.mark.parametrize("shape", [(3,), (4, 4, 1), ()])
def test_states_of_any_shape(shape) -> None:
    def U(x):
        return (x.reshape(len(x), -1) ** 2).sum(-1) / 2

    for sampler in SAMPLERS.values():
        assert sample(U, np.ones((5, *shape)), sampler, 4, keep=2).kept.shape == (5, 2, *shape)


def test_other_weights_numbers_and_seeds_compile_nothing_anew() -> None:
    def U(weights, x):
        return ((x - weights["middle"]) ** 2).sum(-1)

    def far(middle, epsilon, seed):
        weights = {"middle": jnp.array(middle)}
        return sample((U, weights), np.zeros((400, 2)), ula(epsilon), 200, seed=seed).x.mean(0)

    assert np.asarray(far([3.0, 1.0], 0.1, 0)) == pytest.approx([3, 1], abs=0.2)
    before = module.compiled._cache_size()
    assert np.asarray(far([-2.0, 5.0], 0.2, 1)) == pytest.approx([-2, 5], abs=0.2)
    assert module.compiled._cache_size() == before


def test_a_keras_model_and_its_pure_function_are_the_same() -> None:
    model = keras.Sequential([keras.layers.Dense(8, "tanh"), keras.layers.Dense(1), keras.layers.Flatten()])
    model.add(keras.layers.Reshape(()))
    model.build((None, 2))
    a = sample(model, START, mala(0.1), 20, seed=6)
    call, weights, state = functional(model)
    b = sample(lambda x: call(weights, state, x)[0], START, mala(0.1), 20, seed=6)
    assert np.asarray(a.x) == pytest.approx(np.asarray(b.x), abs=1e-4)


def test_double_precision_stays() -> None:
    with jax.enable_x64(True):
        assert sample(TARGET.U, START.astype("float64"), mala(0.1), 2).x.dtype == "float64"


def test_an_energy_of_wrong_shape() -> None:
    for U in lambda x: x, lambda x: (x**2).sum(), lambda x: (x**2).sum(-1, keepdims=True):
        for sampler in SAMPLERS.values():
            with pytest.raises(ValueError, match=r"expected \(20,\); give one energy a point"):
                sample(U, START, sampler, 3)


def test_numbers_that_are_not_finite() -> None:
    broken = START.copy()
    broken[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 20 chains are not finite, the points given"):
        sample(TARGET.U, broken, ula(0.1), 3)
    with pytest.raises(ValueError, match="20 of 20 chains are not finite, after 200 steps; lower the step"):
        sample(lambda x: (x**4).sum(-1), 3 + START, ula(1.0), 200)


def test_steps_and_what_is_kept_fit() -> None:
    with pytest.raises(ValueError, match=r"steps = 10, keep = 3; give .* a multiple of keep"):
        sample(TARGET.U, START, ula(0.1), 10, keep=3)
    with pytest.raises(ValueError, match="steps = 0"):
        sample(TARGET.U, START, ula(0.1), 0)
