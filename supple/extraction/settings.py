"""How to train: every setting with its default, and the TOML file that changes them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from supple.errors import InputError
from supple.extraction.align import Mode


@dataclass(frozen=True)
class Settings:
    """How to train; every field can stand in the TOML file of `supple train --config`."""

    name: str = "model"
    form: str = "full"  # "full", or "fast": half the blocks, no attention, no words
    words: bool = True
    prior: bool = False
    spans: Mode = "nearest"  # which occurrence of a name is meant: "nearest" to its partner, or "first"
    augment: float = 0.5  # probability of swapping the names of a fact
    epochs: int = 20
    soft_f1: int = 0  # the last so many of them lower 1 - smooth F1 too
    patience: int = 5  # epochs without a better F1 before training stops
    batch_characters: int = 4096
    learning_rate: float = 1e-3
    average: float = 0.999  # decay of the moving average of the weights; 0 for none
    seed: int = 0
    character_vectors: str = ""  # .npz with `chars` and `vectors`
    word_vectors: str = ""  # .npz with `words` and `vectors`; trained if not given
    word_text: tuple[str, ...] = ()  # more text to train word vectors on: .txt or .txt.xz
    word_size: int = 64
    word_count: int = 50_000
    word_epochs: int = 3
    word_threads: int = 1  # more than one is faster, and not repeatable


KINDS = {
    str: "text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "a list of texts",
}
COUNTS = "epochs", "patience", "batch_characters", "word_size", "word_count", "word_epochs", "word_threads"
RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "form": ("one of full, fast", lambda value: value in ("full", "fast")),
    "spans": ("one of nearest, first", lambda value: value in ("nearest", "first")),
    "augment": ("from 0 to 1", lambda value: 0 <= value <= 1),
    "average": ("from 0 to below 1", lambda value: 0 <= value < 1),
    "learning_rate": ("above 0", lambda value: value > 0),
    "soft_f1": ("0 or more", lambda value: value >= 0),
    "seed": ("from 0 to 4294967295", lambda value: 0 <= value < 1 << 32),
} | dict.fromkeys(COUNTS, ("1 or more", lambda value: value >= 1))


def read_settings(path: Path | None) -> Settings:
    """The settings of a TOML file, the defaults without one; InputError says which is unknown or wrong."""
    if path is None:
        return Settings()
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot be read as TOML ({error}); correct it", path=path) from None
    kinds = {field.name: type(field.default) for field in fields(Settings)}
    for name, value in given.items():
        if name not in kinds:
            raise InputError(f"unknown setting {name!r}; known are {', '.join(kinds)}", path=path)
        kind = kinds[name]
        if kind is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
            given[name] = tuple(value)
        elif kind is float and type(value) is int:
            given[name] = float(value)
        elif type(value) is not kind:
            raise InputError(f"{name} = {value!r} should be {KINDS[kind]}; correct it", path=path)
    for name, value in given.items():
        expected, fits = RANGES.get(name, ("", lambda value: True))
        if not fits(value):
            raise InputError(f"{name} = {value!r} should be {expected}; correct it", path=path)
    return Settings(**given)
