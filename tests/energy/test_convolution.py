"""Quick convolutions are convolutions: beside XLA's own, values and gradients, and beside Keras's layer."""

from __future__ import annotations

import jax
import keras
import numpy as np
import pytest

from supple.energy.convolution import FEW, WINOGRAD, Conv2D, convolve
from tests.numerics import double


def plain(x, kernel, stride: int):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=numbers)


@pytest.mark.parametrize("k", WINOGRAD)
def test_the_matrices_make_two_outputs_of_a_convolution(k: int) -> None:
    into, of_kernel, out = map(np.array, WINOGRAD[k])
    x, w = np.random.default_rng(k).normal(size=(2, k + 1))
    w = w[:k]
    assert out @ ((of_kernel @ w) * (into @ x)) == pytest.approx(np.correlate(x, w, "valid"))


@pytest.mark.parametrize(
    ("k", "stride", "channels", "height", "width"),
    [
        (1, 1, 2, 5, 6),
        (2, 1, FEW, 7, 6),
        (3, 1, FEW, 8, 9),
        (3, 1, 1, 7, 7),
        (4, 1, FEW, 6, 7),
        (1, 2, FEW, 5, 6),
        (3, 2, FEW, 9, 8),
        (4, 2, FEW, 8, 9),
        (4, 2, 3, 8, 8),
        (5, 2, FEW, 9, 10),
        (7, 2, FEW, 10, 9),
    ],
)
def test_values_and_gradients_are_those_of_a_convolution(k, stride, channels, height, width) -> None:
    rng = np.random.default_rng(0)

    def pulled(f):
        def both(x, w, pull):
            y, back = jax.vjp(lambda x, w: f(x, w, stride), x, w)
            return y, *back(pull)

        return jax.jit(both)

    with double():
        x, kernel = rng.normal(size=(2, height, width, channels)), rng.normal(size=(k, k, channels, 3))
        pull = rng.normal(size=plain(x, kernel, stride).shape)
        for ours, known in zip(
            pulled(convolve)(x, kernel, pull), pulled(plain)(x, kernel, pull), strict=True
        ):
            np.testing.assert_allclose(ours, known, atol=1e-11)


def test_an_accelerator_uses_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, kernel = np.ones((1, 7, 6, FEW), np.float32), np.ones((3, 3, FEW, 2), np.float32)
    np.testing.assert_array_equal(convolve(x, kernel, 2), plain(x, kernel, 2))
    assert "conv_general_dilated" in str(jax.make_jaxpr(convolve)(x, kernel))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(3, 1), (3, 2), (4, 2), (5, 1)])
def test_the_layer_is_keras_layer(padding: str, size: tuple[int, int]) -> None:
    x = np.random.default_rng(1).normal(size=(2, 9, 8, FEW)).astype("float32")
    keras.utils.set_random_seed(0)
    known = keras.layers.Conv2D(4, size[0], size[1], padding, activation="silu")
    ours = Conv2D.from_config(known.get_config())
    expected = known(x)
    ours.build(x.shape)
    ours.set_weights(known.get_weights())
    np.testing.assert_allclose(ours(x), expected, atol=2e-5)
    assert ours.compute_output_shape(x.shape) == expected.shape


def test_what_it_cannot_do_is_left_to_keras() -> None:
    x = np.random.default_rng(2).normal(size=(1, 12, 12, 4)).astype("float32")
    for options in {"strides": 3}, {"dilation_rate": 2}, {"groups": 2}, {"kernel_size": (1, 3)}:
        settings = {"filters": 4, "kernel_size": 3} | options
        known, ours = keras.layers.Conv2D(**settings), Conv2D(**settings)
        expected = known(x)
        ours.build(x.shape)
        ours.set_weights(known.get_weights())
        np.testing.assert_array_equal(ours(x), expected)


def test_a_model_with_it_is_saved_and_loaded(tmp_path) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), Conv2D(2, 3)])
    model.save(tmp_path / "model.keras")
    x = np.ones((1, 8, 8, 3))
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


def test_other_strides() -> None:
    with pytest.raises(ValueError, match="stride = 3 should be 1 or 2; for others"):
        convolve(np.ones((1, 8, 8, 1)), np.ones((3, 3, 1, 1)), 3)
