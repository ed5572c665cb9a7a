"""Bad lines are named and cost nothing but themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.cli.reading import check, read_texts, readable, texts_of
from supple.errors import InputError

GOOD = '{"text": "甲"}'.encode()


def read(lines: list[bytes], path: str = "a.txt") -> tuple[list[str], list[str]]:
    """The texts and the problems of a file."""
    problems: list[str] = []
    texts = list(texts_of(lines, path, lambda problem: problems.append(str(problem)), lambda size: None))
    return texts, problems


@pytest.mark.parametrize("path", ["a.txt", "a.jsonl", "stdin"])
@pytest.mark.parametrize(
    ("bad", "mend"),
    [
        ("中国的首都是北京".encode("gb18030"), "iconv -f GB18030 -t UTF-8"),
        (GOOD.replace(b"\x94", b"\x20"), "is not UTF-8"),
        (b'{"text": "\xe4', "is not UTF-8"),
    ],
)
def test_a_line_that_is_not_utf8_is_named(path: str, bad: bytes, mend: str) -> None:
    good = [GOOD] * 2 if path == "a.jsonl" else ["甲".encode()] * 2
    texts, [problem] = read([good[0] + b"\n", bad + b"\n", good[1] + b"\n"], path)
    assert texts == ["甲", "甲"]
    assert problem.startswith(f"{path}:2: ") and mend in problem


@pytest.mark.parametrize(
    ("bad", "mend"),
    [
        (b'{"text": "a"', "broken JSON"),
        (b"not JSON", "broken JSON"),
        (b"[" * 10**5, "nested too deeply"),
        (b'["a"]', 'expected a row {"text"'),
        (b"null", 'expected a row {"text"'),
        (b'{"txt": "a"}', "'text' is missing"),
        (b'{"text": null}', "expected text in quotes"),
        (b'{"text": ["a", "b"]}', "expected text in quotes"),
        (b'{"text": 1}', "expected text in quotes"),
    ],
)
def test_a_row_without_a_text_is_named(bad: bytes, mend: str) -> None:
    texts, [problem] = read([GOOD, bad, b"\n", GOOD], "a.jsonl")
    assert texts == ["甲", "甲"]
    assert problem.startswith("a.jsonl:2: ") and mend in problem and "\n" not in problem


@given(st.lists(st.booleans(), min_size=1))
def test_nothing_good_is_lost_and_nothing_bad_is_kept(kinds: list[bool]) -> None:
    lines = [(f'{{"text": "{n}"}}' if good else f"{{{n}").encode() for n, good in enumerate(kinds)]
    texts, problems = read(lines, "a.jsonl")
    assert texts == [str(n) for n, good in enumerate(kinds) if good]
    assert [int(p.split(":")[1]) for p in problems] == [n + 1 for n, good in enumerate(kinds) if not good]


@pytest.mark.parametrize("path", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize("lines", [[], [b"\n"], [b" \t\r\n", b"\n"], [b"\xef\xbb\xbf"]])
def test_an_empty_file_is_a_problem(path: str, lines: list[bytes]) -> None:
    _, [problem] = read(lines, path)
    assert problem.startswith(f"{path}: is empty")


def test_utf16_is_one_problem_however_long_the_file() -> None:
    lines = "中国\n首都\n".encode("utf-16").splitlines(keepends=True)
    texts, [problem] = read(lines)
    assert not texts and "iconv -f UTF-16 -t UTF-8" in problem


def test_text_lines_keep_their_number_and_their_characters() -> None:
    lines = ["\ufeff甲\r\n".encode(), b"\n", "\x00\x0b 乙\u2028🎬\t \n".encode(), "丙".encode()]
    assert read(lines) == (["甲", "", "\x00\x0b 乙\u2028🎬\t ", "丙"], [])


def test_json_lines_are_recognised_without_a_name() -> None:
    assert read([GOOD, GOOD], "stdin") == (["甲", "甲"], [])
    assert read([b"{a}"], "stdin") == (["{a}"], [])


def test_a_row_may_hold_raw_control_characters_and_half_a_surrogate_pair() -> None:
    assert read([b'{"text": "a\tb\\ud83d"}', b'{"text": "\\ud83c\\udfac"}'], "a.jsonl") == (
        ["a\tb\ud83d", "🎬"],
        [],
    )


def test_progress_adds_up_to_the_size_of_the_files(tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.jsonl"]
    files[0].write_bytes("甲\r\n\n乙".encode())
    files[1].write_bytes(GOOD + b"\n{\n")
    sizes: list[int] = []
    list(read_texts(map(str, files), lambda problem: None, sizes.append))
    assert sum(sizes) == sum(file.stat().st_size for file in files)


def test_a_long_line_is_one_text() -> None:
    assert read(["山".encode() * 10**6]) == (["山" * 10**6], [])


def test_paths_are_checked_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "A.TXT").touch()
    (tmp_path / "a.csv").touch()
    for name, mend in ("none.txt", "does not exist"), (".", "is a folder"), ("a.csv", "neither .txt"):
        with pytest.raises(InputError, match=mend):
            check(str(tmp_path / name))
    problems: list[InputError] = []
    good = [str(tmp_path / name) for name in ("a.txt", "A.TXT")]
    assert list(readable([good[0], str(tmp_path), good[1]], problems.append)) == good
    assert [problem.path for problem in problems] == [str(tmp_path)]
