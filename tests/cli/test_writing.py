"""A file is whole or absent."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from supple.cli.writing import uninterrupted, writer
from supple.errors import InputError


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with writer(path) as write:
        write("一\n")
        assert not path.exists()
    assert path.read_bytes() == "一\n".encode()
    assert os.listdir(tmp_path) == ["out.jsonl"]


@pytest.mark.parametrize("error", [InputError("bad"), KeyboardInterrupt(), OSError(28, "No space left")])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(type(error)), writer(path) as write:
        write("new\n")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_a_new_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    with writer(tmp_path / "ours") as write:
        write("")
    (tmp_path / "other").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    with writer(link) as write:
        write("new\n")
    assert link.is_symlink() and target.read_text() == "new\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    # A pipe stands for /dev/null: had this test to fail as root, it would take the machine's own away.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with writer(pipe) as write:
        write("new\n")
    assert os.read(reader, 10) == b"new\n" and pipe.is_fifo()
    os.close(reader)


@pytest.mark.parametrize("name", ["missing/out.jsonl", "."])
def test_a_file_that_cannot_be_written_is_bad_input(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be written"), writer(tmp_path / name):
        pytest.fail("must not begin")


def test_half_a_surrogate_pair_is_written_as_its_escape(tmp_path: Path) -> None:
    with writer(tmp_path / "out") as write:
        write('"\ud83d"\n')
    assert (tmp_path / "out").read_bytes() == b'"\\ud83d"\n'


def test_a_signal_waits_until_the_block_has_ended() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        steps.append("whole")
    assert steps == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
