"""The files of a model, written whole or not at all; no file holds code or pickles."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from supple.errors import InputError

MEND = "train the model again, or copy its folder whole"


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write a JSON file, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=indent) + "\n", "utf-8")
    os.replace(part, path)


def save_arrays(path: Path, arrays: dict[str, Any], write: Callable[..., Any] = np.savez) -> None:
    """Write an `.npz`, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        write(file, **arrays)
    os.replace(part, path)


def read_json(path: Path, kind: type) -> Any:
    """The content of a JSON file of a model; InputError if it is missing, broken, or not a `kind`."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"this file of the model is missing; {MEND}", path=path) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as JSON ({error}); {MEND}", path=path) from None
    if not isinstance(content, kind):
        raise InputError(f"expected a JSON {kind.__name__}, got {type(content).__name__}; {MEND}", path=path)
    return content
