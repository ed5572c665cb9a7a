"""The models that ship with Supple, by name."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from supple.errors import InputError


def find_model(name_or_dir: str | os.PathLike[str], shelf: str = "") -> Path:
    """The folder of a model that ships with Supple, by name, or the folder given; InputError without one.

    Models of a kind stand in a folder of `supple/models`: "lm" has language models, extractors are beside it.
    """
    shipped = Path(str(resources.files("supple"))) / "models" / shelf
    names = sorted(path.parent.name for path in shipped.glob("*/config.json"))
    if name_or_dir in names:
        return shipped / name_or_dir
    if Path(name_or_dir).is_dir():
        return Path(name_or_dir)
    known = f"or one of: {', '.join(names)}" if names else "as none ships with this version"
    raise InputError(f"no model {os.fspath(name_or_dir)!r}; give the folder of a model, {known}")
