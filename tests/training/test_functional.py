"""A model as a pure function: it gives what the model gives, and keeps what training changes beside it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from supple.training.functional import assign, functional, need_jax

if keras.backend.backend() != "jax":
    pytest.skip("of JAX", allow_module_level=True)

import jax

X = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    layer = keras.layers.SpectralNormalization(keras.layers.Dense(4))
    return keras.Sequential([keras.Input((3,)), layer, keras.layers.BatchNormalization()])


def test_it_gives_what_the_model_gives_and_leaves_the_model_alone() -> None:
    model = network()
    before = [np.array(v) for v in model.variables]
    call, weights, state = functional(model)
    y, after = jax.jit(call, static_argnames="training")(weights, state, X, training=True)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_allclose(y, model(X, training=True), rtol=1e-5)
    for value, variable in zip(after, model.non_trainable_variables, strict=True):
        np.testing.assert_allclose(value, variable, rtol=1e-5)


def test_weights_go_back_into_the_model() -> None:
    model = network()
    call, weights, state = functional(model)
    weights = [w + 1 for w in weights]
    assign(model, weights, state)
    np.testing.assert_allclose(model(X), call(weights, state, X)[0], rtol=1e-5)


def test_functions_and_pairs_are_models_too() -> None:
    def double(x: np.ndarray) -> np.ndarray:
        return 2 * x

    def scaled(w: float, x: np.ndarray) -> np.ndarray:
        return w * x

    for given in double, (scaled, 2.0), functional(double):
        call, weights, state = functional(given)
        y, after = call(weights, state, X)
        np.testing.assert_array_equal(y, 2 * X)
        assert after == state


def test_the_same_model_is_the_same_static_argument() -> None:
    model = network()
    for given in model, np.sum, (np.multiply, 2.0):
        assert functional(given).call == functional(given).call
        assert hash(functional(given).call) == hash(functional(given).call)


def test_what_is_no_model_or_not_built_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"is not built; call it on an example"):
        functional(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match=r"expected a Keras model, a function.*got int"):
        functional(3)


def test_another_backend_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ImportError, match="energy needs JAX, and Keras runs on torch: set KERAS_BACKEND=jax"):
        need_jax("supple.energy")
