"""How to train: every setting with its default, and the TOML file that changes them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from supple.errors import InputError
from supple.extraction.align import Mode


@dataclass(frozen=True)
class Settings:
    """How to train; every field can stand in the TOML file of `supple train --config`."""

    name: str = "model"
    form: str = "full"  # "full", or "fast": half the blocks, no attention, no words
    words: bool = True
    prior: bool = False
    spans: Mode = (
        "nearest"  # which occurrence of a name is meant: "nearest" to its partner, or "first"
    )
    augment: float = 0.5  # probability of swapping the names of a fact
    epochs: int = 20
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
    word_threads: int = 1  # more than one is faster, and not repeatable


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
            raise InputError(f"{name} = {value!r} should be a {kind.__name__}; correct it", path=path)
    for name, choices in (("form", ("full", "fast")), ("spans", ("nearest", "first"))):
        if given.get(name, choices[0]) not in choices:
            raise InputError(
                f"{name} = {given[name]!r} should be one of {', '.join(choices)}; correct it", path=path
            )
    return Settings(**given)
