"""The files of a model, written whole or not at all; no file holds code or pickles."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from supple.errors import InputError

MEND = "train the model again, or copy its folder whole"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to in place of this one, which is replaced by it at the end, if all went well."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); name another folder, or make room"
        raise InputError(problem, path=path) from None
    finally:
        with suppress(OSError):
            part.unlink()


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write a JSON file, whole or not at all; InputError if it cannot be."""
    with whole(path) as part:
        part.write_text(json.dumps(content, ensure_ascii=False, indent=indent) + "\n", "utf-8")


def save_arrays(path: Path, arrays: dict[str, Any], write: Callable[..., Any] = np.savez) -> None:
    """Write an `.npz`, whole or not at all; InputError if it cannot be."""
    with whole(path) as part, part.open("wb") as file:
        write(file, **arrays)


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
