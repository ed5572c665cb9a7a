"""`supple evaluate`: what it prints adds up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCHEMA = {"relations": [{"predicate": "首都"}, {"predicate": "语言"}], "label_spaces": {"capitals": ["首都"]}}

NAMES = "subject", "predicate", "object"


def row(text: str, *facts: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    return {
        "text": text,
        "spo_list": [dict(zip(NAMES, fact, strict=True)) for fact in facts],
    } | more


ROWS = [
    row("中国的首都是北京", ("中国", "首都", "北京")),
    row("法国的语言是法语，巴黎是首都", ("法国", "首都", "巴黎"), label_space=["capitals"]),
    row("USA的首都是《W》", ("USA", "首都", "w")),
    row("日本的语言是日语", ("日本", "首都", "日语")),
]


@pytest.fixture
def evaluate(supple: Callable, tmp_path: Path) -> Callable:
    """Evaluate the stand-in on rows."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "schema.json").write_text(json.dumps(SCHEMA), "utf-8")

    def run(rows: list[Any], *options: str) -> Any:
        Path("dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return supple("evaluate", "dev.jsonl", "--model", "model", *options)

    return run


def test_json_is_as_the_contract_says(evaluate: Callable) -> None:
    done = evaluate(ROWS, "--json")
    assert (done.code, done.err) == (0, "")
    figures = json.loads(done.out)
    assert figures.pop("seconds") >= 0
    assert figures == {
        "precision": pytest.approx(2 / 3),  # 法国 语言 法语 lies outside the label space of its row
        "recall": pytest.approx(1 / 2),
        "f1": pytest.approx(4 / 7),
        "per_predicate": {
            "首都": {"precision": 1, "recall": 1 / 2, "f1": pytest.approx(2 / 3), "gold": 4},
            "语言": {"precision": 0, "recall": 0, "f1": 0, "gold": 0},
        },
        "sentences": 4,
    }


def test_the_table_shows_the_same_figures(evaluate: Callable) -> None:
    shown = evaluate(ROWS).out
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.split()}
    assert lines["首都"] == ["1.000", "0.500", "0.667", "4"]
    assert lines["all"] == ["0.667", "0.500", "0.571", "4"]
    assert shown.splitlines()[-1].startswith("4 sentences in ")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"text": "甲"}, "'spo_list' is missing"),
        (row("甲", ("甲", "国王", "甲")), "unknown predicate '国王'"),
        (row("甲", ("甲", "首都", "乙")), "'乙' is not in the text"),
        (row("甲", label_space=["cities"]), "unknown label space 'cities'"),
    ],
)
def test_bad_rows_are_one_line(evaluate: Callable, bad: dict[str, Any], problem: str) -> None:
    done = evaluate([ROWS[0], bad])
    assert done.code == 2 and done.out == "" and done.err.count("\n") == 1
    assert done.err.startswith("supple: dev.jsonl:2: ") and problem in done.err
