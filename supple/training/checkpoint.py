"""Where a run on JAX stands, as one `.npz` without pickle: any pytree of arrays, and what it belongs to."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np

from supple.errors import InputError

ABOUT, NOTES = "about.json", "notes.json"
ARCHITECTURE = "architecture"  # of `about`: a checksum, which tells nobody anything


def save_tree(path: Path, tree: Any, about: Mapping[str, Any], notes: Any = None) -> None:
    """Write a pytree of arrays, numbers and keys, whole or not at all; `about` and `notes` as JSON beside."""
    arrays: dict[str, Any] = {name: packed(leaf) for name, leaf in named(tree).items()}
    arrays[ABOUT] = np.array(json.dumps(dict(about), sort_keys=True))
    arrays[NOTES] = np.array(json.dumps(notes))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(part, path)


def load_tree(path: Path, like: Any, about: Mapping[str, Any]) -> Any:
    """The pytree of a file, of the structure, shapes and types of `like`.

    InputError names the first thing that differs, of `about` or of the arrays, and if the file is none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        before = json.loads(str(arrays.pop(ABOUT)))
        arrays.pop(NOTES, None)
    except FileNotFoundError:
        raise InputError("there is no such checkpoint; start without resuming", path=path) from None
    except Exception as error:  # numpy says in many ways that a file is no .npz
        raise InputError(f"cannot be read as a checkpoint ({error}); start anew", path=path) from None
    now = json.loads(json.dumps(dict(about)))
    differs = {key for key in before.keys() | now if before.get(key) != now.get(key)}
    if odd := sorted(differs - {ARCHITECTURE}):
        change = f"{odd[0]} = {before.get(odd[0])!r}, and this one has {now.get(odd[0])!r}"
        raise InputError(f"is of a run with {change}; take it back, or start anew", path=path)
    leaves = named(like)
    if odd := sorted(arrays.keys() ^ leaves.keys()):
        which = "lacks" if odd[0] in leaves else "has, and this run does not,"
        raise InputError(f"{which} {odd[0]}: it is of another architecture; start anew", path=path)
    for name, leaf in leaves.items():
        found, wanted = arrays[name], packed(leaf)
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            problem = f"{name} is {found.dtype} {found.shape}, expected {wanted.dtype} {wanted.shape}"
            raise InputError(f"{problem}: it is of another architecture; start anew", path=path)
    if differs:
        raise InputError(
            "its networks or losses compute something else: of another architecture; start anew", path=path
        )
    values = [unpacked(arrays[name], leaf) for name, leaf in leaves.items()]
    return jax.tree.unflatten(jax.tree.structure(like), values)


def load_notes(path: Path) -> Any:
    """What `save_tree` was given as `notes`; of a file that `load_tree` has read."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file[NOTES])) if NOTES in file else None


@contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM, which schedulers send, ends a run by SystemExit, as Ctrl-C does by an exception.

    So that it writes its checkpoint. Nothing where SIGTERM has a handler already, or in another thread.
    """
    free = threading.current_thread() is threading.main_thread()
    free = free and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if free:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if free:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end(number: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their paths, in order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def packed(leaf: Any) -> np.ndarray:
    """A leaf as an array that `.npz` can hold: keys as their numbers, bfloat16 and the like as their bits."""
    array = np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array


def unpacked(array: np.ndarray, leaf: Any) -> Any:
    """The array of a file as a leaf of the type of `leaf`."""
    if is_key(leaf):
        return jax.random.wrap_key_data(jax.numpy.asarray(array), impl=jax.random.key_impl(leaf))
    if isinstance(leaf, (bool, int, float)):
        return type(leaf)(array)
    return (jax.numpy.asarray if isinstance(leaf, jax.Array) else np.asarray)(array.view(leaf.dtype))


def is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
