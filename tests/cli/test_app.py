"""Whatever goes wrong is one line and an exit code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from supple.errors import InputError


def raising(error: BaseException) -> Callable:
    def load(*arguments: object, **options: object) -> None:
        raise error

    return load


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("too long; cut it", path="a.txt", line=3), 2, "supple: a.txt:3: too long; cut it"),
        (InputError("two\nlines"), 2, "supple: two lines"),
        (KeyboardInterrupt(), 130, "supple: interrupted"),
        (PermissionError(13, "Permission denied", "a"), 1, "supple: [Errno 13] Permission denied: 'a'"),
        (ZeroDivisionError("a\nb"), 1, "supple: ZeroDivisionError: a b"),
    ],
)
def test_every_error_is_one_line(
    supple: Callable, stub: type, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    monkeypatch.setattr(stub, "load", raising(error))
    done = supple("extract", "--text", "甲")
    assert done.code == code and done.out == ""
    assert done.err.startswith(line) and done.err.count("\n") == 1
    assert ("SUPPLE_DEBUG" in done.err) == (line.startswith("supple: Zero"))


def test_debugging_shows_the_traceback(supple: Callable, stub: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stub, "load", raising(ZeroDivisionError()))
    monkeypatch.setenv("SUPPLE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        supple("extract", "--text", "甲")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["extrac"], 'Did you mean "extract"?'),
        (["evaluate"], "DATA requires an argument. See: supple evaluate --help"),
        (["train", "--train", "a.jsonl"], "requires an argument. See: supple train --help"),
        (["relabel", "--train", "a", "--schema", "s", "--out", "o", "--folds", "1"], "--folds. Must be >= 2"),
    ],
)
def test_wrong_usage_says_where_to_look(supple: Callable, arguments: list[str], problem: str) -> None:
    done = supple(*arguments)
    assert done.code == 2 and problem in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize("command", ["extract", "demo", "evaluate", "convert", "train", "relabel"])
def test_every_command_explains_itself(supple: Callable, command: str) -> None:
    done = supple(command, "--help")
    assert done.code == 0 and f"Usage: supple {command}" in done.out
    options = [line for line in done.out.splitlines() if line.startswith("│ --") and len(line.split()) < 4]
    assert options == []  # an option without a word of explanation
