"""Settings as frozen dataclasses: which values are right, and the TOML file that changes them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from math import inf
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

from supple.errors import InputError

Settings = TypeVar("Settings")
Range = tuple[str, Callable[[Any], bool]]  # in words, and whether a value is in it

COUNT: Range = "1 or more", lambda value: whole(value) and value >= 1
AMOUNT: Range = "a number, 0 or more", lambda value: 0 <= value < inf
POSITIVE: Range = "a number above 0", lambda value: 0 < value < inf
PART: Range = "from 0 to 1", lambda value: 0 <= value <= 1
RATE: Range = "from 0 to below 1", lambda value: 0 <= value < 1
DECAYS: Range = (
    "numbers from 0 to 1, as a tuple",
    lambda values: isinstance(values, tuple) and all(0 <= value <= 1 for value in values),
)
SEED: Range = "from 0 to 4294967295", lambda value: whole(value) and 0 <= value < 1 << 32
KINDS = {
    str: "text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "a list of texts",
}


def whole(value: Any) -> bool:
    return isinstance(value, Integral)


def one_of(*names: str) -> Range:
    return f"one of {', '.join(names)}", lambda value: value in names


def or_a(kind: str, of: Range, fits: Callable[[Any], bool]) -> Range:
    """A range, and all else that fits: of this kind, in words."""
    words, inside = of
    return f"{words}, or {kind}", lambda value: fits(value) or inside(value)


def or_none(of: Range) -> Range:
    return or_a("None", of, lambda value: value is None)


def check(
    values: Mapping[str, Any], ranges: Mapping[str, Range], path: str | os.PathLike[str] | None = None
) -> None:
    """InputError for the first value that is out of its range; one without a range may be any."""
    for name, value in values.items():
        words, fits = ranges.get(name, ("", lambda _: True))
        try:
            right = fits(value)
        except TypeError:  # text for a number, one number for several
            right = False
        if not right:
            raise InputError(f"{name} = {value!r} should be {words}; correct it", path=path)


def changed(
    settings: Settings,
    given: Mapping[str, Any],
    ranges: Mapping[str, Range],
    path: str | os.PathLike[str] | None = None,
) -> Settings:
    """The dataclass with other values of some fields; InputError says which is unknown or wrong."""
    if not isinstance(given, Mapping):
        raise InputError(f"expected settings by name, got {given!r}", path=path)
    kinds = {field.name: type(field.default) for field in fields(settings)}  # type: ignore[arg-type]
    values = dict(given)
    for name, value in given.items():
        if name not in kinds:
            raise InputError(f"unknown setting {name!r}; known are {', '.join(kinds)}", path=path)
        kind = kinds[name]
        if kind is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
            values[name] = tuple(value)
        elif kind is float and type(value) is int:
            values[name] = float(value)
        elif type(value) is not kind:
            raise InputError(f"{name} = {value!r} should be {KINDS[kind]}; correct it", path=path)
    check(values, ranges, path)
    return replace(settings, **values)  # type: ignore[type-var]


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says; InputError if it cannot be read."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot be read as TOML ({error}); correct it", path=path) from None
