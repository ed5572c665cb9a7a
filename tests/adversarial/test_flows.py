"""Facts of one player: each against an exact flow, or with its order."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.adversarial.flows import (
    damped_flow,
    damping_of,
    gradient_flow,
    modified_flow,
    momentum_of,
    rescaled_momentum,
    unit_decay_flow,
)
from supple.adversarial.integrators import play, rk4, simultaneous


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


START = np.array([0.8, -0.5])


def loss(x):
    """Not quadratic, with its minimum 0 at 0."""
    return jnp.log(jnp.cosh(x[0])) + x[1] ** 2 / 2 + (x[0] * x[1]) ** 2


slope = jax.jit(jax.grad(loss))


def descend(optimiser, steps):
    x, memory = jnp.asarray(START), optimiser.init(START)
    for _ in range(steps):
        change, memory = optimiser.update(slope(x), memory)
        x = x + change
    return x


def test_gradient_descent_is_eulers_method() -> None:
    found = play(simultaneous(gradient_flow(loss), 0.1), START, 20)
    np.testing.assert_allclose(found[-1], descend(optax.sgd(0.1), 20), rtol=1e-12)


@pytest.mark.slow
def test_descent_follows_the_modified_flow_one_order_more_closely() -> None:
    def gap(flow, steps):
        there = play(rk4(flow(1 / steps), 0.01), START, 100)[-1]  # exact to 1e-9
        found = play(simultaneous(gradient_flow(loss), 1 / steps), START, steps)[-1]
        return np.linalg.norm(found - there)

    def modified(rate):
        return modified_flow(loss, rate)

    def plain(rate):
        return gradient_flow(loss)

    for flow, order in (plain, 1), (modified, 2):
        assert np.log2(gap(flow, 20) / gap(flow, 40)) == pytest.approx(order, abs=0.1)
    assert gap(modified, 40) < gap(plain, 40) / 20


def test_the_loss_falls_as_e_to_the_minus_t() -> None:
    t = 0.1 * np.arange(51)
    found = jax.vmap(loss)(play(rk4(unit_decay_flow(loss), 0.1), START, 50))
    np.testing.assert_allclose(found, found[0] * np.exp(-t), rtol=1e-4)


@pytest.mark.parametrize("damping", [0.5, 2.0])
def test_heavy_ball_descent_follows_the_damped_flow_with_order_two(damping) -> None:
    exact = play(rk4(damped_flow(loss, damping), 0.01), (START, np.zeros(2)), 200)[0][-1]
    errors = []
    for n in (20, 40):
        rate, momentum = momentum_of(damping, 2 / n)
        # From rest the central difference begins with x⁺ = x⁻, and so with a step of α / (1 + β).
        x, before = START - rate / (1 + momentum) * slope(START), START
        for _ in range(n - 1):
            x, before = x + momentum * (x - before) - rate * slope(x), x
        errors.append(np.linalg.norm(x - exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)


def test_the_recurrence_is_that_of_optax() -> None:
    rate, momentum = momentum_of(1.0, 0.2)
    x, before = jnp.asarray(START), START
    for _ in range(10):
        x, before = x + momentum * (x - before) - rate * slope(x), x
    np.testing.assert_allclose(descend(optax.sgd(rate, momentum), 10), x, rtol=1e-10)


@given(st.floats(0.01, 5), st.floats(0.001, 0.3))
def test_damping_and_momentum_are_inverses(damping, step) -> None:
    rate, momentum = momentum_of(damping, step)
    assert momentum == pytest.approx((1 - damping * step / 2) / (1 + damping * step / 2))
    assert rate == pytest.approx(step**2 / (1 + damping * step / 2))
    assert damping_of(rate, momentum) == pytest.approx((damping, step), rel=1e-9)


@given(st.floats(0.1, 10), st.floats(0.25, 4))
def test_rescaled_momentum_keeps_the_friction_to_first_order(damping, ratio) -> None:
    gaps = []
    for step in (1e-3, 5e-4):
        rate, momentum = momentum_of(damping, step)
        kept, _ = damping_of(ratio * rate, rescaled_momentum(momentum, ratio))
        gaps.append(abs(kept / damping - 1))
    assert gaps[0] < 2 * damping * 1e-3
    assert gaps[1] <= 0.51 * gaps[0] + 1e-9
