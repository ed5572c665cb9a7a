"""A checkpoint gives back every bit, or says in one line why it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("of JAX", allow_module_level=True)

import jax
import jax.numpy as jnp

from supple.errors import InputError
from supple.training.checkpoint import load_tree, save_tree

ABOUT = {"layers": (2, 3), "rate": 0.1}


def tree() -> dict[str, Any]:
    return {
        "weights": [jnp.arange(6.0).reshape(2, 3) / 7, jnp.array([1, 2], jnp.bfloat16) / 3],
        "keys": (jax.random.key(3), jax.random.split(jax.random.key(1, impl="rbg"), 2)),
        "steps": 7,
        "rate": 0.1,
        "buffer": np.arange(4, dtype="uint8"),
    }


def raw(leaf: Any) -> np.ndarray:
    keys = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if keys else leaf)


def test_every_bit_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.npz"
    save_tree(path, tree(), ABOUT)
    blank = jax.tree.map(lambda leaf: leaf, tree()) | {"steps": 0, "rate": 0.0}
    found = load_tree(path, blank, ABOUT)
    assert jax.tree.structure(found) == jax.tree.structure(tree())
    for old, new in zip(jax.tree.leaves(tree()), jax.tree.leaves(found), strict=True):
        assert type(old) is type(new) and raw(old).dtype == raw(new).dtype
        np.testing.assert_array_equal(raw(old), raw(new))
    assert (jax.random.normal(found["keys"][0], 3) == jax.random.normal(jax.random.key(3), 3)).all()
    assert [file.name for file in path.parent.iterdir()] == ["run.npz"]


@pytest.mark.parametrize(
    ("changes", "about", "problem"),
    [
        ({}, {"layers": [2, 4], "rate": 0.1}, r"layers = \[2, 3\], and this one has \[2, 4\]; take it back"),
        ({"more": 1}, ABOUT, "lacks more: it is of another architecture"),
        ({"steps": 1.0}, ABOUT, r"steps is int64 \(\), expected float64 \(\)"),
        ({"buffer": np.zeros(5, "uint8")}, ABOUT, r"buffer is uint8 \(4,\), expected uint8 \(5,\)"),
        ({"keys": ()}, ABOUT, r"has, and this run does not, keys/0"),
    ],
)
def test_what_differs_is_named(
    tmp_path: Path, changes: dict[str, Any], about: dict[str, Any], problem: str
) -> None:
    save_tree(tmp_path / "run.npz", tree(), ABOUT)
    with pytest.raises(InputError, match=problem):
        load_tree(tmp_path / "run.npz", tree() | changes, about)


def test_no_file_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such checkpoint"):
        load_tree(tmp_path / "run.npz", tree(), ABOUT)
    (tmp_path / "run.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        load_tree(tmp_path / "run.npz", tree(), ABOUT)
