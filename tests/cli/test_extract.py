"""`supple extract` as scripts rely on it."""

from __future__ import annotations

import csv
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supple.cli.extract import triples_of

FACTS = "中国的首都是北京。\n今天下雨\n法国的首都是巴黎，法国的语言是法语\n"


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_jsonl_is_as_the_contract_says(supple: Callable) -> None:
    done = supple("extract", "--text", "中国的首都是北京")
    assert (done.code, done.err) == (0, "")
    assert rows(done.out) == [
        {
            "text": "中国的首都是北京",
            "triples": [
                {
                    "subject": {"text": "中国", "start": 0, "end": 2},
                    "predicate": "首都",
                    "object": {"text": "北京", "start": 6, "end": 8},
                    "score": 0.5,
                }
            ],
        }
    ]


def test_files_standard_input_and_rows_give_the_same(supple: Callable, tmp_path: Path) -> None:
    texts = FACTS.splitlines()
    Path("a.txt").write_text(FACTS, "utf-8")
    Path("a.jsonl").write_text("".join(json.dumps({"id": 1, "text": text}) + "\n" for text in texts))
    from_file = supple("extract", "a.txt").out
    assert [row["text"] for row in rows(from_file)] == texts
    assert supple("extract", "a.jsonl").out == from_file
    assert supple("extract", "-", stdin=FACTS.encode()).out == from_file
    assert supple("extract", "-", stdin=Path("a.jsonl").read_bytes()).out == from_file
    assert supple("extract", "a.txt", "a.jsonl", "-", stdin=FACTS.encode()).out == from_file * 3


def test_order_is_kept_across_what_the_extractor_reads_ahead(supple: Callable) -> None:
    texts = [f"{n}的平方是{n * n}" for n in range(50)]
    assert [row["text"] for row in rows(supple("extract", "-", stdin="\n".join(texts).encode()).out)] == texts


def test_low_scores_are_left_out(supple: Callable) -> None:
    out = supple("extract", "--text", "甲的父是乙。甲甲甲的父是乙", "--min-score", "0.9").out
    assert [triple["subject"]["text"] for row in rows(out) for triple in row["triples"]] == ["甲"]


@pytest.mark.parametrize("format", ["jsonl", "table", "csv", "nt", "turtle", "graphml"])
def test_out_holds_what_standard_output_would(supple: Callable, format: str) -> None:
    shown = supple("extract", "-", "--format", format, stdin=FACTS.encode())
    done = supple("extract", "-", "--format", format, "--out", "new", stdin=FACTS.encode())
    assert shown.out and (done.code, done.out, done.err) == (0, "", "")
    assert Path("new").read_bytes() == shown.out.encode()


def test_csv_numbers_the_texts(supple: Callable) -> None:
    table = csv.DictReader(supple("extract", "-", "--format", "csv", stdin=FACTS.encode()).out.splitlines())
    assert [(row["text_index"], row["object"]) for row in table] == [
        ("0", "北京"),
        ("2", "巴黎"),
        ("2", "法语"),
    ]


def test_a_file_may_replace_its_source(supple: Callable) -> None:
    Path("a.jsonl").write_text('{"text": "甲的父是乙"}\n', "utf-8")
    assert supple("extract", "a.jsonl", "--out", "a.jsonl").code == 0
    assert rows(Path("a.jsonl").read_text("utf-8"))[0]["triples"]


def test_half_a_surrogate_pair_makes_valid_json(supple: Callable) -> None:
    done = supple("extract", "-", stdin=b'{"text": "\\ud83d\xe7\x9a\x84a\xe6\x98\xafb"}')
    assert rows(done.out)[0]["triples"][0]["subject"] == {"text": "\ud83d", "start": 0, "end": 1}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none.txt"], "none.txt: does not exist"),
        (["."], ".: is a folder"),
        (["empty.txt"], "empty.txt: is empty"),
        (["gb.txt"], "gb.txt:2: byte 1 of the line (0xb7) is not UTF-8, but the line decodes as GB18030"),
        (["broken.jsonl"], "broken.jsonl:2: broken JSON"),
        (["a.docx"], "a.docx: is neither .txt"),
        ([], "give one of these"),
        (["good.txt", "--text", "甲"], "give one of these"),
        (["-", "--text", ""], "give one of these"),
        (["good.txt", "--model", "none"], "no model 'none'"),
        (["good.txt", "--format", "xml"], 'Invalid value "xml" for --format'),
        (["good.txt", "--min-score", "2"], "--min-score"),
        (["good.txt", "--min-score", "high"], "--min-score"),
        (["good.txt", "--threads", "0"], "--threads"),
        (["good.txt", "--out", "none/out"], "none/out: cannot be written"),
        (["good.txt", "--mode", "zh"], "Did you mean --model?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(supple: Callable, arguments: list[str], problem: str) -> None:
    good, gb = FACTS.encode(), FACTS.encode("gb18030")
    files = {"good.txt": good, "empty.txt": b"", "gb.txt": b"a\n" + gb.split(b"\n", 2)[2], "a.docx": b"PK"}
    files["broken.jsonl"] = b'{"text": "a"}\n{"text": "b\n{"text": "c"}\n'
    for name, content in files.items():
        Path(name).write_bytes(content)
    done = supple("extract", *arguments)
    assert done.code == 2
    assert done.err.startswith("supple: ") and problem in done.err
    assert done.err.count("\n") == 1 and done.err.endswith("\n")


def test_without_skip_bad_no_file_is_left(supple: Callable) -> None:
    Path("a.jsonl").write_text('{"text": "a"}\n{}\n')
    assert supple("extract", "a.jsonl", "--out", "out").code == 2
    assert os.listdir() == ["a.jsonl"]


def test_skip_bad_loses_nothing_else(supple: Callable) -> None:
    Path("a.jsonl").write_text('{"text": "甲的父是乙"}\n{"text"\n{"text": 1}\n{"text": "丙"}\n', "utf-8")
    done = supple("extract", "none.txt", "a.jsonl", "-", "--skip-bad", stdin="丁\n".encode() + b"\xff\n")
    assert done.code == 0
    assert [row["text"] for row in rows(done.out)] == ["甲的父是乙", "丙", "丁"]
    *reports, last = done.err.splitlines()
    assert [line.split(": ")[1] for line in reports] == ["none.txt", "a.jsonl:2", "a.jsonl:3", "stdin:2"]
    assert last == "supple: 4 skipped, 3 read"


def test_skip_bad_with_nothing_good_is_an_error(supple: Callable) -> None:
    done = supple("extract", "none.txt", "--skip-bad", "--out", "out")
    assert done.code == 2 and done.err.splitlines()[-1] == "supple: nothing good to read: all 1 skipped"
    assert os.listdir() == []


def test_only_what_the_extractor_reads_ahead_is_held(stub: type) -> None:
    texts = (f"{number}{'山。' * 5_000}" for number in range(300))  # 9 MB in all
    tracemalloc.start()
    try:
        numbers = [text.split("山")[0] for text, _ in triples_of(stub(), texts)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert numbers == [*map(str, range(300))]
    assert peak < 1e6
