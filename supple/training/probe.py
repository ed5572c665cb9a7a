"""Any tensor of a Keras model by name: `probe` as the model runs, `capture` over a data set."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
from keras import tree
from rich.progress import track

from supple.errors import InputError
from supple.training.paths import check_patterns, matches, near
from supple.training.watch import BACKEND, LOCK, RUNNING, Tape, listening, settle, tell

if BACKEND == "jax":
    import jax
    import jax.extend
elif BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "torch":
    import torch

# Tapes for the next probe of a model that looks for the same: what JAX compiled for them is used again.
FREE: WeakKeyDictionary[keras.Layer, dict[tuple[str, ...], list[Tape]]] = WeakKeyDictionary()


class Seen(Mapping[str, list[Any]]):
    """What was computed, by name: a list of all calls in their order, each of NumPy arrays."""

    def __init__(self, tape: Tape, heard: dict[str, list[Any]]):
        self.tape, self.heard = tape, heard

    def __getitem__(self, name: str) -> list[Any]:
        settle()
        if name not in self.heard:
            looked = ", ".join(map(repr, self.tape.patterns))
            raise KeyError(f"nothing was computed under {name!r} for {looked}{near(name, self.tape.met)}")
        return self.heard[name]

    def __iter__(self) -> Iterator[str]:
        settle()
        return iter(list(self.heard))

    def __len__(self) -> int:
        settle()
        return len(self.heard)


def mark(name: str, value: Any) -> Any:
    """The value as it is; a probe of the layer whose `call` this is in may ask for it as "path:name"."""
    tell(RUNNING.get(), name, value)
    return value


@contextmanager
def probing(model: keras.Layer, patterns: tuple[str, ...]) -> Iterator[Seen]:
    with LOCK:
        free = FREE.setdefault(model, {}).setdefault(patterns, [])
        tape = free.pop() if free else Tape(patterns)
    tape.heard = heard = dict[str, list[Any]]()
    try:
        with listening(model, tape):
            yield Seen(tape, heard)
        check_marks(tape)
    finally:
        tape.heard, tape.paths = None, {}
        free.append(tape)


def check_marks(tape: Tape) -> None:
    """Raise `InputError` if a layer was called but did not make the mark asked for."""
    for pattern in tape.unmet():
        path, _, mark = pattern.partition(":")
        if mark and any(matches(name.partition(":")[0], path) for name in tape.met):
            marks = sorted(name for name in tape.met if ":" in name)
            raise InputError(f"no call made the mark {pattern!r}{near(pattern, marks)}")


class probe:
    """Within `with probe(model, *patterns) as seen`, `seen[name]` lists what was computed under a name.

    A name is a path of `paths(model)`, for what the layer returns, or "path:mark", for what its `call` gives
    to `probe.mark` ("attention_scores" in attention layers; the path of the model itself is empty). In a
    pattern `*`, `?` and `[1-3]` stand for text in one part of a path, `**` for any number of parts. Every
    call that this thread makes counts, compiled or not; of probes open at once each sees what it asks for.
    Raises `InputError` for a pattern that no layer matches, and on leaving for a mark that no call made.
    """

    mark = staticmethod(mark)

    def __init__(self, model: keras.Layer, *patterns: str):
        check_patterns(model, patterns)
        self.block = probing(model, patterns)

    def __enter__(self) -> Seen:
        return self.block.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.block.__exit__(kind, error, trace)


def capture(
    model: keras.Layer, x: Any, patterns: str | Iterable[str], batch_size: int = 256, verbose: bool = True
) -> dict[str, Any]:
    """What a model computes for `x` under every name that a pattern matches, as NumPy arrays by name.

    `x`: arrays, or a dict, list or tuple of them, taken `batch_size` rows at a time; or batches: a
    `PyDataset` or any iterable, targets after the inputs allowed. Results are joined along the first axis;
    a layer called several times a batch gives a list of as many. The model runs as at inference, compiled
    if it may be, and no deeper than asked. Names and patterns are those of `probe`.
    Raises `InputError` for a pattern that matches nothing, for data without rows, and for batches whose
    results differ in more than the first axis.
    """
    patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    check_patterns(model, patterns)
    batches, total = batches_of(x, batch_size)
    shelf = Shelf(patterns)
    run = runner(model, shelf)
    found: list[dict[str, list[Any]]] = []
    with listening(model, shelf):
        for batch in track(batches, "Capturing", total, transient=True, disable=not verbose):
            values = run(batch)
            if unmet := shelf.unmet():
                raise InputError(f"nothing was computed for {unmet[0]!r}{near(unmet[0], shelf.met)}")
            shelf.enough = sum(map(len, values.values()))
            found.append(tree.map_structure(keras.ops.convert_to_numpy, values))
    if not found:
        raise InputError("there is nothing in the data; give at least one row")
    calls = {name: zip(*(values[name] for values in found), strict=True) for name in found[0]}
    joined = {name: [join(name, results) for results in several] for name, several in calls.items()}
    return {name: several[0] if len(several) == 1 else several for name, several in joined.items()}


class Stop(BaseException):
    """All that was asked for is computed; no `Exception`, as no layer is to take it for an error."""


class Shelf(Tape):
    """A tape of the tensors themselves, for the function that computes them to return."""

    enough: int | None = None  # how many there are; known after a first batch
    level: Any = None

    def take(self, name: str, value: Any) -> None:
        if self.heard is None:
            return  # the model was called by others, perhaps to make the data
        if level() != self.level:
            raise Stop(f"{name!r} is computed in a loop or function compiled apart; use probe")
        self.heard.setdefault(name, []).append(value)
        if sum(map(len, self.heard.values())) == self.enough:
            raise Stop

    def collect(self, forward: Callable[[], Any]) -> dict[str, list[Any]]:
        """What a call computes of what was asked for."""
        found: dict[str, list[Any]] = {}
        self.heard, self.level = found, level()
        try:
            forward()
        except Stop as stop:
            if stop.args:
                raise InputError(stop.args[0]) from None
        finally:
            self.heard = None
        return found


def level() -> Any:
    """What is another thing inside a loop or function that is compiled apart."""
    if BACKEND == "jax":
        return jax.extend.core.get_opaque_trace_state()
    return tf.compat.v1.get_default_graph() if BACKEND == "tensorflow" else None


def runner(model: keras.Layer, shelf: Shelf) -> Callable[[Any], dict[str, list[Any]]]:
    """The function of a batch that gives what a shelf asks for; compiled, if the model may be."""
    mode = {"training": False} if "training" in inspect.signature(model.call).parameters else {}
    eager = getattr(model, "run_eagerly", False)
    jit = getattr(model, "jit_compile", BACKEND == "jax") and not eager

    def plain(batch: Any) -> dict[str, list[Any]]:
        return shelf.collect(lambda: model(batch, **mode))

    if BACKEND == "tensorflow":
        return plain if eager else tf.function(plain, autograph=False, reduce_retracing=True, jit_compile=jit)
    if BACKEND == "torch":
        return torch.no_grad()(plain)

    def stateless(weights: tuple[list[Any], ...], batch: Any) -> dict[str, list[Any]]:
        return shelf.collect(lambda: model.stateless_call(*weights, batch, **mode))

    step = jax.jit(stateless) if jit else stateless
    variables = model.trainable_variables, model.non_trainable_variables
    return lambda batch: step(tuple([v.value for v in kind] for kind in variables), batch)


def batches_of(x: Any, size: int) -> tuple[Iterable[Any], int | None]:
    """Batches of inputs, and how many, if that is known."""
    if size < 1:
        raise InputError(f"batch_size is {size}; give 1 or more")
    if isinstance(x, keras.utils.PyDataset):
        return (inputs(x[i]) for i in range(x.num_batches)), x.num_batches
    arrays = tree.flatten(x)
    if arrays and all(getattr(array, "shape", ()) for array in arrays):
        if len(rows := {len(array) for array in arrays}) > 1:
            raise InputError(f"the arrays have {sorted(rows)} rows; give all of them as many")
        slices = [slice(start, start + size) for start in range(0, rows.pop(), size)]
        return (tree.map_structure(lambda array, part=part: array[part], x) for part in slices), len(slices)
    if not hasattr(x, "__iter__"):
        raise InputError(f"expected arrays or batches of them, not {type(x).__name__}")
    return map(inputs, x), len(x) if hasattr(x, "__len__") else None


def inputs(batch: Any) -> Any:
    """The inputs of a batch as NumPy arrays, targets left away."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    if wrong := [leaf for leaf in tree.flatten(x) if not hasattr(leaf, "shape")]:
        raise InputError(f"expected batches of arrays, not of {type(wrong[0]).__name__}")
    return tree.map_structure(np.asarray, x)


def join(name: str, results: Iterable[Any]) -> Any:
    """What one call gave in each batch, as one."""

    def joined(*arrays: np.ndarray) -> np.ndarray:
        if len({array.shape[1:] for array in arrays}) > 1:
            shapes = sorted({array.shape for array in arrays})
            raise InputError(f"{name!r} has shapes {shapes} in different batches; pad them to one length")
        return np.concatenate([np.atleast_1d(array) for array in arrays])

    return tree.map_structure(joined, *results)
