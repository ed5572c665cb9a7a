"""Records: every good line survives the bad ones, and every bad one is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.extraction.records import items, records

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "corpus.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path) -> tuple[list[tuple[int, Any]], list[str]]:
    """What can be read, and the errors' text."""
    errors: list[InputError] = []
    return list(records(path, errors.append)), [str(error) for error in errors]


def test_bad_lines_are_named_and_lose_nothing_else(tmp_path: Path) -> None:
    gb = '{"text": "霍元甲是电视剧"}'.encode("gb18030")
    flipped = '{"text": "霍元甲是电视剧"}'.encode().replace(b"\xe9", b"A", 1)  # decodes as GB18030
    lines = [
        b'\xef\xbb\xbf{"first": 1}',
        b"",
        b'{"a": 2',
        gb,
        "\u3000".encode(),
        flipped,
        b'{"b": "\x01\t"}\r',
        b"4",
    ]
    found, errors = read(path := written(tmp_path, b"\n".join(lines)))
    assert found == [(1, {"first": 1}), (7, {"b": "\x01\t"}), (8, 4)]
    assert [error.removeprefix(f"{path}:")[:2] for error in errors] == ["3:", "4:", "6:"]
    assert "broken JSON at character 8" in errors[0] and "mend" in errors[0]
    assert "byte 11 of the line (0xbb)" in errors[1] and "iconv -f GB18030 -t UTF-8" in errors[1]
    assert "byte 12" in errors[2] and "GB18030" not in errors[2] and "iconv" in errors[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("[ ]", "the list is empty"),
        ('{"text": "电"}'.encode("utf-16"), "iconv -f UTF-16"),
        ('[{"a": 1},\n{"b" 2}]', r":2: broken JSON at character 6"),
        ("[1, 2", r":1: broken JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_spoils_the_whole_file_is_said(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(records(written(tmp_path, content)))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in tmp_path / "absent", tmp_path:
        with pytest.raises(InputError, match="cannot be read"):
            list(records(path))


@given(st.lists(json_values, min_size=1), st.sampled_from([None, 0, 2]))
def test_list_items_come_with_the_line_they_begin_on(values: list[Any], indent: int | None) -> None:
    texts = [json.dumps(value, indent=indent) for value in values]
    begins = [3 + sum(text.count("\n") + 1 for text in texts[:i]) for i in range(len(texts))]
    content = "\n[\n" + ",\n".join(texts) + "\n]"
    assert list(items(content.encode().split(b"\n"), "x.json")) == list(zip(begins, values, strict=True))
