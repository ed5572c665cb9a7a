"""Texts from files, line by line: one text a line, or the field "text" of JSON lines."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from supple.errors import InputError, OnBad
from supple.extraction.records import decode, parse, shown, to_utf8

Advance = Callable[[int], object]

STDIN = "-"
JSON_LINES = {".jsonl", ".ndjson", ".json"}
PLAIN = {".txt", ""}


def readable(paths: Iterable[str], on_bad: OnBad) -> Iterator[str]:
    """The paths that can be read; the others go to `on_bad`, before any work has started."""
    for path in paths:
        try:
            check(path)
        except InputError as problem:
            on_bad(problem)
        else:
            yield path


def check(path: str) -> None:
    if not os.path.exists(path):
        raise InputError("does not exist; check the name", path=path)
    if os.path.isdir(path):
        raise InputError(f"is a folder; name its files: {Path(path) / '*.txt'}", path=path)
    if not os.access(path, os.R_OK):
        raise InputError("cannot be read; check your rights to it", path=path)
    if Path(path).suffix.lower() not in JSON_LINES | PLAIN:
        mend = "rename it, or give - and pipe its text in: - < FILE"
        raise InputError(f"is neither .txt (one text a line) nor .jsonl; {mend}", path=path)


def read_texts(paths: Iterable[str], on_bad: OnBad, advance: Advance) -> Iterator[str]:
    """Every text of the files, - being standard input; `advance` is told the bytes read.

    Bad lines and empty files go to `on_bad`; reading goes on with the next line unless it raises.
    """
    for path in paths:
        with nullcontext(sys.stdin.buffer) if path == STDIN else open(path, "rb") as lines:
            yield from texts_of(lines, "stdin" if path == STDIN else path, on_bad, advance)


def texts_of(lines: Iterable[bytes], path: str, on_bad: OnBad, advance: Advance) -> Iterator[str]:
    """The texts of a file's lines: JSON lines by its name, or when it begins with `{"`."""
    json_lines, empty = Path(path).suffix.lower() in JSON_LINES, True
    for number, line in enumerate(lines, 1):
        advance(len(line))
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                on_bad(InputError(f"is UTF-16; {to_utf8('UTF-16', path)}", path=path))
                return
            line = line.removeprefix(codecs.BOM_UTF8)
            json_lines = json_lines or line.startswith(b'{"')
        blank = not line.strip()
        empty = empty and blank
        if blank and json_lines:
            continue
        try:
            text = decode(line, path, number)
            if json_lines:
                text = text_field(parse(text, path, number), path, number)
        except InputError as problem:
            on_bad(problem)
        else:
            yield text
    if empty:
        on_bad(InputError("is empty; expected one text a line, or JSON lines with a field 'text'", path=path))


def text_field(row: Any, path: str, line: int) -> str:
    """The text of a row; InputError if it has none."""
    if not isinstance(row, dict):
        problem = f'expected a row {{"text": "…"}}, got {shown(row)}'
    elif "text" not in row:
        problem = f"the field 'text' is missing; add it ({shown(list(row))} is what the row has)"
    elif not isinstance(row["text"], str):
        problem = f"'text' is {shown(row['text'])}; expected text in quotes"
    else:
        return row["text"]
    raise InputError(problem, path=path, line=line)
