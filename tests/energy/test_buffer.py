"""Chains go back into the slots they came from; ages and classes are theirs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supple.energy.buffer import Draw, draw, new_buffer, put, take, uniform_start

START = uniform_start((2, 3))


def test_a_new_buffer_has_the_frequencies_of_labels() -> None:
    labels = [7] * 30 + [2] * 10
    buffer = new_buffer(START, 400, jax.random.key(0), labels)
    assert buffer.x.shape == (400, 2, 3) and buffer.age.sum() == 0
    assert (buffer.y == 7).sum() == 300 and (buffer.y == 2).sum() == 100
    assert new_buffer(START, 5, jax.random.key(0)).y.tolist() == [0] * 5


def test_moved_chains_go_back_into_their_slots_and_no_others() -> None:
    buffer = new_buffer(START, 50, jax.random.key(0), range(10))
    taken = draw(buffer, 20, START, jax.random.key(1), fresh=0.0)
    assert len(set(taken.slots.tolist())) == 20
    np.testing.assert_array_equal(taken.x, buffer.x[taken.slots])
    after = put(buffer, taken, taken.x + 5)
    others = np.setdiff1d(np.arange(50), taken.slots)
    np.testing.assert_array_equal(after.x[taken.slots], taken.x + 5)
    np.testing.assert_array_equal(after.x[others], buffer.x[others])
    np.testing.assert_array_equal(after.y, buffer.y)
    assert after.age[taken.slots].tolist() == [1] * 20 and after.age[others].tolist() == [0] * 30


def test_fresh_chains_begin_anew_and_keep_their_class() -> None:
    buffer = new_buffer(START, 4, jax.random.key(0), [0, 1, 2, 3])._replace(age=jnp.arange(4) + 5)
    states = jnp.full((2, 2, 3), 9.0)
    taken = take(buffer, jnp.array([3, 1]), jnp.array([True, False]), states)
    assert isinstance(taken, Draw)
    np.testing.assert_array_equal(taken.x[0], states[0])
    np.testing.assert_array_equal(taken.x[1], buffer.x[1])
    assert taken.age.tolist() == [0, 6] and taken.y.tolist() == [3, 1]


def test_so_many_are_fresh_as_was_asked() -> None:
    buffer = new_buffer(lambda key, n: jnp.zeros((n, 1)), 10_000, jax.random.key(0))
    taken = draw(buffer, 10_000, lambda key, n: jnp.ones((n, 1)), jax.random.key(1), fresh=0.05)
    assert float(taken.x.mean()) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 10_000))


def test_ages_become_geometric() -> None:
    """Where each step takes half of the chains, and each begins anew with p = .2, P(age ≥ n) = .8ⁿ."""
    start = uniform_start((1,))

    @jax.jit
    def step(buffer, key):
        taken = draw(buffer, 500, start, key, fresh=0.2)
        return put(buffer, taken, taken.x), None

    buffer = new_buffer(start, 1000, jax.random.key(0))
    buffer, _ = jax.lax.scan(step, buffer, jax.random.split(jax.random.key(1), 200))
    ages = np.asarray(buffer.age)  # after a run: 1 more than when it began
    assert [(ages > n).mean() for n in range(1, 6)] == pytest.approx([0.8**n for n in range(1, 6)], abs=0.05)


def test_sizes_are_checked() -> None:
    buffer = new_buffer(START, 5, jax.random.key(0))
    with pytest.raises(ValueError, match="6 chains from a buffer of 5; make the buffer larger, or the batch"):
        draw(buffer, 6, START, jax.random.key(0))
    with pytest.raises(ValueError, match="a buffer of 0 chains; give it 1 or more"):
        new_buffer(START, 0, jax.random.key(0))
