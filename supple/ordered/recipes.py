"""How to train a language model: every setting, and two recipes."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from supple.errors import InputError
from supple.ordered.corpus import FORMS


@dataclass(frozen=True)
class Recipe:
    """All that makes a language model besides its text. The defaults are the short recipe."""

    # the text
    tokens: str = "spaces"  # how lines are split: at "spaces", into "characters", or into "words" by rjieba
    min_count: int = 2  # words that occur less often in the training text are <unk>
    # the network: layers of sizes embedding → hidden → … → hidden → embedding
    layer: str = "onlstm"  # or "lstm"
    layers: int = 3
    embedding: int = 200
    hidden: int = 400
    chunk_size: int = 10
    master_input: str = "symmetric"  # or "paper", whose last chunk is dead
    # what keeps it from learning the text by heart
    embedding_dropout: float = 0.1  # whole words
    input_dropout: float = 0.2  # these three drop the same places at every step of a window
    hidden_dropout: float = 0.15
    output_dropout: float = 0.25
    weight_drop: float = 0.2  # of the recurrent matrices
    activation: float = 1.0  # AR: times the mean square of the last layer's output, dropped
    temporal: float = 0.5  # TAR: times the mean square of its change from step to step
    weight_decay: float = 0.01  # adamw: the part of a weight that a step of rate 1 takes away; sgd: L2
    # the stream
    batch: int = 20
    bptt: int = 70  # steps that gradients go back
    random_bptt: bool = False  # as published: lengths about bptt, and rates in proportion to them
    # the steps
    optimizer: str = "adamw"  # its rate rises over `warmup` and falls as a cosine; or "sgd" of a constant one
    learning_rate: float = 3e-3
    warmup: float = 0.05  # of all steps
    clip: float = 0.25  # the norm of gradients at most
    epochs: int = 12
    average: float = 0.998  # decay of the weights' average, which is what is kept; 1 is their mean
    patience: int = 0  # average from the first step; or when so many epochs brought nothing better
    seed: int = 0


RECIPES = {
    "short": Recipe(),
    # Merity et al. 2018, with the sizes of Shen et al. 2019
    "awd": Recipe(
        embedding=400,
        hidden=1150,
        input_dropout=0.5,
        hidden_dropout=0.3,
        output_dropout=0.45,
        weight_drop=0.45,
        activation=2.0,
        temporal=1.0,
        weight_decay=1.2e-6,
        random_bptt=True,
        optimizer="sgd",
        learning_rate=30.0,
        warmup=0.0,
        epochs=1000,
        average=1.0,
        patience=5,
    ),
}


def one_of(*names: str) -> tuple[str, Callable[[Any], bool]]:
    return f"one of {', '.join(names)}", lambda value: value in names


KINDS = {str: "text in quotes", bool: "true or false", int: "a whole number", float: "a number"}
COUNTS = "min_count", "layers", "embedding", "hidden", "chunk_size", "batch", "bptt", "epochs"
RATES = "embedding_dropout", "input_dropout", "hidden_dropout", "output_dropout", "weight_drop", "warmup"
SIZES = "activation", "temporal", "weight_decay", "patience"
RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "tokens": one_of(*FORMS),
    "layer": one_of("onlstm", "lstm"),
    "master_input": one_of("symmetric", "paper"),
    "optimizer": one_of("adamw", "sgd"),
    "average": ("from 0 to 1", lambda value: 0 <= value <= 1),
    "seed": ("from 0 to 4294967295", lambda value: 0 <= value < 1 << 32),
    **dict.fromkeys(COUNTS, ("1 or more", lambda value: value >= 1)),
    **dict.fromkeys(RATES, ("from 0 to below 1", lambda value: 0 <= value < 1)),
    **dict.fromkeys(SIZES, ("0 or more", lambda value: value >= 0)),
    **dict.fromkeys(("learning_rate", "clip"), ("above 0", lambda value: value > 0)),
}


def changed(recipe: Recipe, given: Mapping[str, Any], path: str | os.PathLike[str] | None = None) -> Recipe:
    """A recipe with other values of some settings; InputError says which is unknown or wrong."""
    kinds = {field.name: type(field.default) for field in fields(Recipe)}
    if not isinstance(given, Mapping):
        raise InputError(f"expected settings by name, got {given!r}", path=path)
    values = dict(given)
    for name, value in values.items():
        if name not in kinds:
            raise InputError(f"unknown setting {name!r}; known are {', '.join(kinds)}", path=path)
        if kinds[name] is float and type(value) is int:
            values[name] = value = float(value)
        if type(value) is not kinds[name]:
            raise InputError(f"{name} = {value!r} should be {KINDS[kinds[name]]}; correct it", path=path)
        expected, fits = RANGES.get(name, ("", lambda value: True))
        if not fits(value):
            raise InputError(f"{name} = {value!r} should be {expected}; correct it", path=path)
    found = replace(recipe, **values)
    if found.layer == "onlstm" and (found.hidden % found.chunk_size or found.embedding % found.chunk_size):
        problem = f"chunk_size = {found.chunk_size} should divide hidden = {found.hidden}"
        raise InputError(f"{problem} and embedding = {found.embedding}; change one of them", path=path)
    return found


def read_recipe(name: str, path: Path | None = None) -> Recipe:
    """A recipe by its name, with the changes that a TOML file makes; InputError if either is wrong."""
    if name not in RECIPES:
        raise InputError(f"no recipe {name!r}; there are {', '.join(RECIPES)}")
    if path is None:
        return RECIPES[name]
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot be read as TOML ({error}); correct it", path=path) from None
    return changed(RECIPES[name], given, path)
