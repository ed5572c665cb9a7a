"""What only a process of its own can show: interruption, pipes, terminals, start-up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supple import __version__
from tests import toy_model

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")
ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[bytes]]
TEXT = "中国的首都是北京。\n" * 100_000


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    (tmp_path / "corpus.txt").write_text(TEXT, "utf-8")
    return "corpus.txt"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_whole_lines_on_standard_output(
    start: Start, tmp_path: Path, number: int, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    text = (
        "中国的首都是北京。" + "山。" * 15_000
    )  # more than a pipe holds: the command is stopped while it writes
    (tmp_path / "corpus.txt").write_text(f"{text}\n" * 1_000, "utf-8")
    process = start("extract", "corpus.txt")
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(number)
    rest, error = process.communicate(timeout=20)
    assert process.returncode == 130 and error == b"supple: interrupted\n"
    lines = (first + rest).split(b"\n")
    assert lines.pop() == b""
    assert 0 < len(lines) < 1_000 and all(json.loads(line)["text"] == text for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_no_file(start: Start, corpus: str, number: int, tmp_path: Path) -> None:
    process = start("extract", corpus, "--out", "out.jsonl", seconds=0.01)
    until = time.monotonic() + 20
    while len(os.listdir(tmp_path)) == 1 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.1)
    assert len(os.listdir(tmp_path)) == 2, "the file in the making"
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130 and error == b"supple: interrupted\n"
    assert os.listdir(tmp_path) == [corpus]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_who_has_seen_enough_is_no_error(
    start: Start, corpus: str, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    process = start("extract", corpus)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.stderr is not None and process.stderr.read() == b""
    assert process.wait(20) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(start: Start, unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "wb") as full:
        process = start("extract", "--text", "甲", stdout=full.fileno())
    _, error = process.communicate(timeout=20)
    assert process.returncode == 1 and error == b"supple: [Errno 28] No space left on device\n"


def test_progress_goes_to_a_terminal_and_nothing_of_it_to_the_file(
    start: Start, corpus: str, tmp_path: Path
) -> None:
    controller, terminal = os.openpty()
    process = start("extract", corpus, "--out", "out.jsonl", stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(controller, 4096):
            shown += piece
    except OSError:  # the other side is closed
        pass
    os.close(controller)
    assert process.wait(20) == 0
    assert b"100%" in shown and b"100,000 texts 100,000 triples" in shown
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == 100_000


def test_bad_input_shows_no_traceback(start: Start) -> None:
    process = start("extract", "none.txt")
    assert process.communicate(timeout=20) == (b"", b"supple: none.txt: does not exist; check the name\n")
    assert process.returncode == 2


def test_help_loads_none_of_the_machinery() -> None:
    code = "import sys; from supple.cli import main; main(['--help']); print('loaded:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    shown, loaded = done.stdout.split("loaded:")
    assert all(name in shown for name in ("extract", "evaluate", "train", "relabel", "convert", "demo"))
    assert {"numpy", "onnxruntime", "keras", "supple.extraction"}.isdisjoint(loaded.split())


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "supple", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"supple {__version__}\n", "")


def test_a_model_folder_from_text_to_triples(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    toy_model.write(tmp_path / "toy")
    (tmp_path / "a.txt").write_text("子甲乙与丙丁\n\n国", "utf-8")
    command = [
        sys.executable,
        "-m",
        "supple",
        "extract",
        str(tmp_path / "a.txt"),
        "--model",
        str(tmp_path / "toy"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["子甲乙与丙丁", "", "国"]
    spans = [(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in rows[0]["triples"]]
    assert ("甲乙", "导演", "丙丁") in spans
    assert [row["triples"] for row in rows[1:]] == [[], []]
