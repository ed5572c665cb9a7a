"""Modules of what needs the extra `learn`."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from supple.errors import InputError


def learn(name: str, room: str = "extraction") -> ModuleType:
    """The module `supple.<room>.<name>`; InputError that names the extra if its packages are missing."""
    try:
        return import_module(f"supple.{room}.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("supple"):
            raise
        raise InputError(
            f"This needs the extra: pip install 'supple[learn]' ({error.name} is missing)"
        ) from None
