"""Names for the layers of any Keras model: "encoder/blocks/3/attention", and patterns of such names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import keras

from supple.errors import InputError

ATTENTION = keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention
SCORES = "attention_scores"  # the mark that every attention layer has
BOOKS = {"_layers", "_modules", "_functional", "_operations", "_operations_by_depth"}  # Keras's own


def paths(model: keras.Layer) -> dict[str, str]:
    """The class name of each layer of a model by its path; `path:attention_scores` where there are some.

    A part of a path is an attribute (its leading underscores left out), an index or a key of a list or
    dict, or, in Sequential and functional models, the name of a layer. A shared layer has several paths.
    """
    listed = {}
    for path, layer in layers_of(model).items():
        listed[path] = type(layer).__name__
        if isinstance(layer, ATTENTION):
            listed[f"{path}:{SCORES}"] = type(layer).__name__
    return listed


def layers_of(model: keras.Layer) -> dict[str, keras.Layer]:
    """Every layer in a model by path, a layer before its own sublayers."""
    found: dict[str, keras.Layer] = {}

    def walk(layer: keras.Layer, prefix: str, above: tuple[int, ...]) -> None:
        for name, child in children(layer):
            if id(child) not in above:
                found[prefix + name] = child
                walk(child, f"{prefix}{name}/", (*above, id(child)))

    walk(model, "", (id(model),))
    return found


def children(layer: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    """The sublayers that a layer itself holds, each with its names, in the order of their making."""
    attributes = {**vars(layer), **vars(layer).get("_modules", {})}  # PyTorch keeps modules apart
    names: dict[int, list[str]] = {}
    for attribute, value in attributes.items():
        if attribute not in BOOKS and not attribute.startswith("_self_"):
            public = attribute.lstrip("_")
            for name, child in inside(attribute if public in attributes else public, value):
                names.setdefault(id(child), []).append(name)
    for child in layer._flatten_layers(include_self=False, recursive=False):
        if not isinstance(child, keras.layers.InputLayer):
            yield from ((name, child) for name in names.get(id(child), [child.name]))


def inside(name: str, value: Any) -> Iterator[tuple[str, keras.Layer]]:
    """The layers in an attribute's value: itself, or in lists and dicts however deep."""
    if isinstance(value, keras.Layer):
        yield name, value
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from inside(f"{name}/{key}", item)


def matches(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern: `*`, `?` and `[1-3]` in a part, `**` for any number of parts."""
    path, _, mark = name.partition(":")
    wanted_path, _, wanted_mark = pattern.partition(":")
    same_kind = bool(mark) == bool(wanted_mark)
    return same_kind and fnmatchcase(mark, wanted_mark) and parts_match(split(path), split(wanted_path))


def parts_match(parts: list[str], wanted: list[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(parts_match(parts[skip:], wanted[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and parts_match(parts[1:], wanted[1:])


def split(path: str) -> list[str]:
    return path.split("/") if path else []  # the model itself has the empty path


def check_patterns(model: keras.Layer, patterns: Iterable[str]) -> None:
    """Raise `InputError` unless each pattern has a layer to look at."""
    if not isinstance(model, keras.Layer):
        raise InputError(f"expected a Keras model or layer to probe, not {type(model).__name__}")
    if not (patterns := list(patterns)):
        raise InputError(
            "nothing to look for; give a path or pattern, supple.training.paths(model) lists all"
        )
    known = layers_of(model)
    for pattern in patterns:
        if not isinstance(pattern, str) or not pattern or pattern.endswith(":"):
            raise InputError(
                f"{pattern!r} is no pattern; expected a text such as 'encoder/*' or 'block:gate'"
            )
        path, _, mark = pattern.partition(":")
        if not any(matches(name, path) for name in known) and not (mark and matches("", path)):
            raise InputError(f"no layer matches {path!r}{near(path, known)}{unbuilt(model)}")


def near(name: str, known: Iterable[str]) -> str:
    """How an error goes on: with the known names like a given one, and how to see all of them."""
    known = list(known)
    like = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
    return f"; near it: {', '.join(map(repr, like)) or 'nothing'}; supple.training.paths(model) lists all"


def unbuilt(model: keras.Layer) -> str:
    layers = [model, *layers_of(model).values()]
    return "" if all(layer.built for layer in layers) else " (what is not built yet: call the model once)"
