"""Records of a JSON-lines or JSON-list file, each with its line, and clear errors where one is broken."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supple.errors import InputError, OnBad, stop

FilePath = str | os.PathLike[str]
DECODER = json.JSONDecoder(strict=False)  # texts may hold raw tabs and other control characters


def records(path: FilePath, on_bad: OnBad = stop) -> Iterator[tuple[int, Any]]:
    """(line, value) of every JSON line, or of every item of a file that is one JSON list.

    Blank lines are ignored. Bad lines go to `on_bad` as InputError; what spoils the whole file raises it.
    """
    lines = read_lines(path)
    if next(filter(None, map(bytes.strip, lines))).startswith(b"["):
        yield from items(lines, path)
        return
    for number, line in enumerate(lines, 1):
        try:
            if text := decode(line, path, number).strip():
                yield number, parse(text, path, number)
        except InputError as error:
            on_bad(error)


def read_lines(path: FilePath) -> list[bytes]:
    """The lines of a file without its byte order mark, not all blank; InputError if there are none."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror}); check the name and your rights", path=path
        ) from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"is UTF-16; {to_utf8('UTF-16', path)}", path=path)
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise InputError("the file is empty; expected JSON, one record a line", path=path)
    return content.split(b"\n")


def decode(line: bytes, path: FilePath, number: int) -> str:
    """The text of a line; InputError that names the first wrong byte, and GB18030 when it looks like that."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8"
        if looks_like_gb18030(line):
            wrong += ", but the line decodes as GB18030"
        mend = to_utf8("GB18030" if "GB" in wrong else "ENCODING", path)
        raise InputError(f"{wrong}; {mend}", path=path, line=number) from None


def looks_like_gb18030(line: bytes) -> bool:
    """Whether a line that is not UTF-8 decodes as GB18030."""
    try:
        line.decode("gb18030")
    except UnicodeDecodeError:
        return False
    # A flipped byte in good UTF-8 often decodes as GB18030 too, but it breaks one or two characters only.
    return line.decode("utf-8", "replace").count("\ufffd") > 2


def to_utf8(encoding: str, path: FilePath) -> str:
    return f"convert it to UTF-8, e.g. iconv -f {encoding} -t UTF-8 '{path}'"


def parse(text: str, path: FilePath, line: int = 1) -> Any:
    """The JSON value of a text that begins at `line` of the file."""
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        problem = f"broken JSON at character {error.colno} ({error.msg}); mend or delete the record"
        raise InputError(problem, path=path, line=line + error.lineno - 1) from None
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        raise InputError(
            "JSON nested too deeply or a number too long; mend it", path=path, line=line
        ) from None


def items(lines: list[bytes], path: FilePath) -> Iterator[tuple[int, Any]]:
    """(line, item) of a file that is one JSON list."""
    text = "\n".join(decode(line, path, number) for number, line in enumerate(lines, 1))
    if not parse(text, path):  # whatever is broken shows here, so that the steps below cannot fail
        raise InputError("the list is empty; expected records", path=path)
    gap, line, start, end = re.compile(r"[\s,]*"), 1, 0, text.index("[") + 1
    while found := gap.match(text, end):
        line += text.count("\n", start, found.end())
        start = found.end()
        if text[start] == "]":
            return
        value, end = DECODER.raw_decode(text, start)
        yield line, value


@contextmanager
def placed(path: FilePath, line: int | None = None) -> Iterator[None]:
    """Say where: an InputError from within gets this path and line."""
    try:
        yield
    except InputError as error:
        raise InputError(error.problem, path=path, line=line) from None


def is_names(value: Any) -> bool:
    """Whether a JSON value is a list of strings."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def shown(value: Any) -> str:
    """A value for an error message, shortened."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return text if len(text) < 80 else f"{text[:79]}…"
