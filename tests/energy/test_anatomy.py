"""Numbers of training against closed forms."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from supple.energy.anatomy import anatomy_of, memory

RNG = np.random.default_rng(0)


def test_of_half_a_square() -> None:
    """Of U = ½‖x‖² mean U is d s²/2 on N(0, s²), and ‖∇U‖ = ‖x‖ = s √(π/2) in the plane."""
    real, fake = (jnp.asarray(s * RNG.normal(size=(100_000, 2)), jnp.float32) for s in (1.0, 2.0))
    found = anatomy_of(lambda x: (x**2).sum(-1) / 2, real, fake, np.array([1, 3]))
    assert found.real == pytest.approx(1, rel=0.02) and found.fake == pytest.approx(4, rel=0.02)
    assert found.gap == pytest.approx(3, rel=0.03)
    assert found.slope == pytest.approx(2 * np.sqrt(np.pi / 2), rel=0.02)
    assert found.real_sd == pytest.approx(1, rel=0.03) and found.fake_sd == pytest.approx(4, rel=0.03)
    assert found.age == 2
    weighted = lambda w, x: w * (x**2).sum(-1) / 2  # noqa: E731
    np.testing.assert_allclose(anatomy_of((weighted, 1.0), real, fake)[:6], found[:6], rtol=1e-5)


def test_memory_of_chains_that_freeze_or_forget() -> None:
    fresh = RNG.normal(size=(50, 200, 3))
    assert memory(fresh, [1, 5]) == pytest.approx([0, 0], abs=0.05)
    frozen = np.repeat(fresh[:, :1], 200, 1) + 1e-6 * fresh
    assert memory(frozen, [1, 100]) == pytest.approx([1, 1], abs=1e-3)
