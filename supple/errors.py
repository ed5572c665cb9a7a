"""The one error for input a person can mend, and what becomes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn


class InputError(ValueError):
    """Something given to Supple is wrong; the message says where, what, and how to mend it."""

    def __init__(self, problem: str, *, path: str | os.PathLike[str] | None = None, line: int | None = None):
        self.problem, self.path, self.line = problem, path, line
        place = "".join(f"{part}:" for part in (path, line) if part is not None)
        super().__init__(f"{place} {problem}" if place else problem)


OnBad = Callable[[InputError], object]


def stop(error: InputError) -> NoReturn:
    """What happens to bad input unless the caller has a better idea."""
    raise error
