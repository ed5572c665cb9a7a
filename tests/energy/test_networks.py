"""Convolutions against JAX's, the spectral norm against the SVD, shapes; features tell digits apart."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

from supple.energy import networks
from supple.energy.features import train_features

X = jnp.asarray(np.random.default_rng(0).random((3, 16, 12, 2)), jnp.float32)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 2)])
def test_a_layer_is_a_convolution_with_a_border(size: int, stride: int) -> None:
    kernel = jax.random.normal(jax.random.key(0), (size, size, 2, 5))
    layer = {"kernel": kernel.reshape(-1, 5), "bias": jnp.arange(5.0)}
    found = networks.convolved(layer, X, size, stride) - layer["bias"]
    numbers = ("NHWC", "HWIO", "NHWC")
    expected = jax.lax.conv_general_dilated(
        X, kernel, (stride, stride), [(1, 1), (1, 1)], None, None, numbers
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 8), (5, 30), (1, 1)])
def test_spectral_norm_is_the_largest_singular_value(shape) -> None:
    matrix = jax.random.normal(jax.random.key(1), shape)
    u, s, v = np.linalg.svd(matrix)
    found, slope = jax.value_and_grad(lambda m: networks.spectral_norm(m, rounds=200))(matrix)
    assert found == pytest.approx(s[0], rel=1e-4)
    np.testing.assert_allclose(slope, np.outer(u[:, 0], v[0]), atol=5e-3)
    assert 0.9 * s[0] < networks.spectral_norm(matrix) <= s[0] * (1 + 1e-6)
    assert np.isfinite(networks.spectral_norm(jnp.zeros(shape)))


@pytest.mark.parametrize("make", [networks.perceptron, networks.convolutional, networks.residual])
def test_energies_and_logits_have_their_shapes(make) -> None:
    options = {"widths": (4, 6)} if make is networks.residual else {}
    for classes, expected in (None, (3,)), (10, (3, 10)):
        f, weights = make((16, 12, 2), classes=classes, **options)
        found = jax.jit(f)(weights, X)
        assert found.shape == expected and np.isfinite(found).all()
    other, again = make((16, 12, 2), seed=1, **options)[1], make((16, 12, 2), seed=1, **options)[1]
    jax.tree.map(np.testing.assert_array_equal, other, again)


@pytest.mark.slow
def test_a_spectral_residual_energy_does_not_change_with_the_scale_of_its_weights() -> None:
    f, weights = networks.residual((16, 12, 2), widths=(4, 6))
    twice = jax.tree.map(lambda w: 2 * w if w.ndim == 2 else w, weights)
    np.testing.assert_allclose(f(weights, X), f(twice, X), rtol=1e-4)


def test_shapes_are_checked() -> None:
    with pytest.raises(
        ValueError, match=r"shape = \(4, 4, 1\); give \(height, width, channels\) of 8 pixels"
    ):
        networks.convolutional((4, 4, 1))


@pytest.mark.slow
def test_features_tell_digits_apart() -> None:
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    features = train_features(images, digits.target, steps=150, batch=64)
    assert features.accuracy > 0.8
    ones, others = images[digits.target == 1], images[digits.target != 1]
    assert features.of(ones).shape == (len(ones), 64)
    near, far = features.distance(others[::2], others[1::2]), features.distance(ones, others)
    assert near < far / 10
    with pytest.raises(ValueError, match="give a label an image, and 256 or more"):
        train_features(images[:100], digits.target[:100])
