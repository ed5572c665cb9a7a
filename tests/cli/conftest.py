"""The command with a stand-in for the extractor, in this process and in its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from supple.cli import main
from tests.cli.stub import Stub

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> type:
    """The stand-in, put in the place of `supple.runtime.Extractor`."""
    monkeypatch.setattr("supple.runtime.Extractor", Stub)
    return Stub


@pytest.fixture
def supple(
    stub: type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Done]:
    """Run the command in this process, in an empty folder: `supple("extract", "-", stdin=b"…")`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        code = main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the command in a process of its own, in an empty folder; `seconds` is what a text takes."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: object, seconds: float = 0, **pipes: int) -> subprocess.Popen[bytes]:
        environment = os.environ | {"STUB_SECONDS": str(seconds), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.cli.stub", *map(str, arguments)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
        # Unbuffered: `readline` must leave to `communicate` what it did not return.
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, bufsize=0, **pipes))
        return started[-1]

    yield run
    for process in started:
        with process:  # closes its pipes
            process.kill()
