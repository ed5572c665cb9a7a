"""Output that is whole or absent: files appear when they are finished, lines are never cut."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from supple.errors import InputError


@contextmanager
def writer(path: Path | None) -> Iterator[Callable[[str], object]]:
    """A function that writes whole lines as UTF-8: to standard output, or to a file that appears at the end.

    A lone surrogate is written as the escape \\ud800, which is what JSON has for it.
    """
    if path is None:
        yield _print_whole
    else:
        with _replacing(path) as file:
            yield file.write


def _print_whole(lines: str) -> None:
    rest = memoryview(lines.encode("utf-8", "backslashreplace"))
    with uninterrupted():
        while rest:  # PYTHONUNBUFFERED leaves a raw file there, which may take a part only
            rest = rest[sys.stdout.buffer.write(rest) :]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C and its like waiting until the block has ended."""
    waiting: list[int] = []
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda arrived, _: waiting.append(arrived)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of `path` when the block ends well, and leaves nothing when it does not."""
    if path.exists() and not path.is_file():  # /dev/null or a pipe must stay what it is
        with _open(path, path) as file:
            yield file
        return
    target = Path(os.path.realpath(path))  # a link stays a link
    part = target.with_name(f".supple-{os.getpid()}.part")
    try:
        with _open(part, path) as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _open(part: Path, path: Path) -> TextIO:
    try:
        return part.open("w", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); name a file in a folder that exists and is yours"
        raise InputError(problem, path=path) from None
