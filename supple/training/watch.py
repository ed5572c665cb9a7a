"""Listening to the layers of a Keras model: what `probe` and `capture` share.

While somebody listens each layer's `call` is stood in for, on the instance; else the model is the original.
Compiled code is compiled apart for listeners: JAX keys what it compiles by the open tapes; on TensorFlow and
PyTorch a model makes step functions of its own for the time, without XLA or `torch.compile`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np
from keras import tree
from keras.src.backend.common.stateless_scope import get_stateless_scope, in_stateless_scope
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from supple.training.paths import ATTENTION, SCORES, layers_of, matches

BACKEND = keras.backend.backend()
if BACKEND == "jax":
    import jax

    TRACED_FOR = jax.make_user_context(())  # a part of the key of everything that JAX compiles
elif BACKEND == "tensorflow":
    import tensorflow as tf

LOCK = threading.Lock()
OPEN: ContextVar[tuple[Tape, ...]] = ContextVar("tapes of this thread", default=())
RUNNING: ContextVar[keras.Layer | None] = ContextVar("innermost layer that is watched", default=None)


class Tape:
    """What one listener asks for and has heard; compiled code may refer to it, so it is used again."""

    def __init__(self, patterns: tuple[str, ...]):
        self.patterns = patterns
        self.paths: dict[int, list[str]] = {}  # of each layer, by its id
        self.heard: dict[str, list[Any]] | None = None  # None: nobody listens
        self.met: set[str] = set()  # every name that ever came by

    def wanted(self, layer: keras.Layer | None, mark: str) -> list[str]:
        """The names asked for among those of a layer's mark, or of its output for an empty mark."""
        names = [f"{path}:{mark}" if mark else path for path in self.paths.get(id(layer), []) if path or mark]
        self.met.update(names)
        return [name for name in names if any(matches(name, pattern) for pattern in self.patterns)]

    def unmet(self) -> list[str]:
        """The patterns that nothing matched so far."""
        return [p for p in self.patterns if not any(matches(name, p) for name in self.met)]

    def take(self, name: str, value: Any) -> None:
        """Keep a value as NumPy arrays: now, or whenever the code that is being compiled computes it."""
        leaves = tree.flatten(value)
        tensors = {i: leaf for i, leaf in enumerate(leaves) if keras.ops.is_tensor(leaf)}
        others = {i: leaf for i, leaf in enumerate(leaves) if i not in tensors}
        places, form = list(tensors), tree.map_structure(lambda _: 0, value)  # no tracer stays in `write`

        def write(*arrays: np.ndarray) -> None:
            if self.heard is not None:
                values = others | dict(zip(places, arrays, strict=True))
                ordered = [values[i] for i in range(len(values))]
                self.heard.setdefault(name, []).append(tree.pack_sequence_as(form, ordered))

        deliver(write, list(tensors.values()))


def deliver(write: Callable[..., None], tensors: list[Any]) -> None:
    """Call `write` with the values of tensors: now, or in each run of the code that is being compiled."""
    if in_symbolic_scope():
        return  # Keras is only after the shapes

    def copied(*values: Any) -> None:
        write(*map(np.array, values))

    if BACKEND == "jax" and any(isinstance(tensor, jax.core.Tracer) for tensor in tensors):
        alone = keras.distribution.distribution() is None  # JAX keeps no order over several devices
        jax.debug.callback(copied, *tensors, ordered=alone)
    elif BACKEND == "tensorflow" and not tf.executing_eagerly():
        tf.numpy_function(copied, tensors, [])
    elif not in_stateless_scope() or get_stateless_scope().state_mapping:  # else Keras only builds layers
        settle()
        write(*map(keras.ops.convert_to_numpy, tensors))


def settle() -> None:
    """Wait for the callbacks of all that was computed; only JAX does not wait by itself."""
    if BACKEND == "jax":
        jax.effects_barrier()


def tell(layer: keras.Layer | None, mark: str, value: Any) -> None:
    """Give a value to the tapes of this thread that want it."""
    for tape in OPEN.get():
        for name in tape.wanted(layer, mark):
            tape.take(name, value)


class Watch:
    """Stands in for a method of one layer while it has users."""

    def __init__(self, layer: keras.Layer, name: str):
        self.layer, self.method, self.users = layer, getattr(layer, name), 0
        self.around = attend if name == "_compute_attention" else run
        self.before = {key: value for key, value in vars(layer).items() if key == name}
        functools.update_wrapper(self, self.method)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not OPEN.get():  # another thread's call
            return self.method(*args, **kwargs)
        return self.around(self.layer, self.method, *args, **kwargs)


def run(layer: keras.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = RUNNING.set(layer)
    try:
        output = call(*args, **kwargs)
    finally:
        RUNNING.reset(token)
    tell(layer, "", output)
    return output


def attend(layer: keras.Layer, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Attention as ever; if its scores are wanted and a fused kernel kept them, they are computed beside."""
    output, scores = compute(*args, **kwargs)
    if any(tape.wanted(layer, SCORES) for tape in OPEN.get()):
        shown = scores
        if scores is None:  # then there is no dropout to draw a second time
            argument = isinstance(layer, keras.layers.MultiHeadAttention)  # the grouped one asks itself
            if argument:
                args, kwargs = args[:5], {**kwargs, "return_attention_scores": True}
            with attributes(layer, _flash_attention=False, _return_attention_scores=True):
                _, shown = compute(*args, **kwargs)
        tell(layer, SCORES, shown)
    return output, scores


@contextmanager
def attributes(layer: keras.Layer, **values: Any) -> Iterator[None]:
    """Set attributes of a layer for a while, past Keras's tracking of them."""
    before = {name: vars(layer)[name] for name in values if name in vars(layer)}
    vars(layer).update(values)
    try:
        yield
    finally:
        for name in values:
            vars(layer).pop(name, None)
        vars(layer).update(before)


@contextmanager
def watched(layer: keras.Layer) -> Iterator[None]:
    """A layer's methods stood in for: once, however many listen in whatever threads."""
    names = ["quantized_call" if getattr(layer, "quantization_mode", None) else "call"]
    names += ["_compute_attention"] if isinstance(layer, ATTENTION) else []
    with LOCK:
        for name in names:
            if not isinstance(vars(layer).get(name), Watch):
                vars(layer)[name] = Watch(layer, name)
            vars(layer)[name].users += 1
    try:
        yield
    finally:
        with LOCK:
            for watch in (vars(layer)[name] for name in names):
                watch.users -= 1
                if not watch.users:
                    del vars(layer)[watch.__name__]
                    vars(layer).update(watch.before)


@contextmanager
def own_functions(model: keras.Layer) -> Iterator[None]:
    """Let a model make step functions anew, such as can call back; then it has those of before again."""
    if BACKEND == "jax" or not isinstance(model, keras.Model):
        yield
        return
    names = "train_function", "test_function", "predict_function"
    before, jit_compile = {name: getattr(model, name) for name in names}, model.jit_compile
    compiled = getattr(model, "_compile_config", None)
    for name in names:
        setattr(model, name, None)
    model.jit_compile = False
    try:
        yield
    finally:
        if getattr(model, "_compile_config", None) is compiled:
            model.jit_compile = jit_compile
        else:  # `compile` was called meanwhile: the functions of before are not the model's any more
            before = dict.fromkeys(names)
        for name, function in before.items():
            setattr(model, name, function)


@contextmanager
def listening(model: keras.Layer, tape: Tape) -> Iterator[None]:
    """Let a tape hear what this thread makes the layers of a model compute."""
    with ExitStack() as stack:
        layers = {"": model, **layers_of(model)}
        tape.paths = {id(layer): [] for layer in layers.values()}
        for path, layer in layers.items():
            if not tape.paths[id(layer)]:
                stack.enter_context(watched(layer))
            tape.paths[id(layer)].append(path)
        stack.enter_context(own_functions(model))
        token = OPEN.set((*OPEN.get(), tape))
        stack.callback(OPEN.reset, token)
        if BACKEND == "jax":
            stack.enter_context(TRACED_FOR(OPEN.get()))
        stack.callback(settle)
        yield
