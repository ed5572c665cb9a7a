"""Relabelling: what all models found comes in, what none found goes, and each row is judged by strangers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from supple.errors import InputError
from supple.extraction import Example, Fact, read_examples, relabel, write_schema
from supple.extraction.relabel import fold_model, relabelled
from supple.extraction.schema import Schema
from supple.extraction.settings import Settings
from supple.runtime import Span, Triple
from supple.runtime.metric import Names, normalise
from tests.extraction import tiny

KEPT, NEW, GONE = Fact("红河", "导演", "李安"), Fact("红河", "主演", "赵四"), Fact("红河", "首都", "李安")
FILMS = frozenset({"导演", "主演"})


@pytest.mark.parametrize(
    ("facts", "votes", "space", "expected"),
    [
        ([KEPT], {}, None, []),
        ([KEPT], {KEPT: 1}, None, [KEPT]),
        ([KEPT], {KEPT: 3}, None, [KEPT]),
        ([], {NEW: 3}, None, [NEW]),
        ([], {NEW: 2}, None, []),
        ([KEPT, GONE], {KEPT: 2, NEW: 3}, None, [KEPT, NEW]),
        ([KEPT], {KEPT: 1, NEW: 3, GONE: 3}, FILMS, [KEPT, NEW]),  # nobody looked for the last
        ([], {NEW: 3}, frozenset(), []),
        (
            [Fact("DAY夜", "导演", "Ann")],
            {Fact("day夜", "导演", "ann"): 3},
            None,
            [Fact("DAY夜", "导演", "Ann")],
        ),
    ],
)
def test_votes(
    facts: list[Fact], votes: dict[Fact, int], space: frozenset[str] | None, expected: list[Fact]
) -> None:
    row = Example("红河由李安导演，赵四主演；Day夜，Ann", tuple(facts), space)
    counts = Counter({normalise(*fact): count for fact, count in votes.items()})
    surfaces: dict[Names, Names] = {normalise(*fact): tuple(fact) for fact in votes}
    line = relabelled(row, counts, 3, surfaces, tiny.SCHEMA)
    assert line["text"] == row.text
    assert {tuple(fact.values()) for fact in line["spo_list"]} == set(expected)
    assert line.get("label_space") == (None if space is None else sorted(space))


class Model:
    """In the place of a model: finds what it is told to find in a text."""

    def __init__(self, found: dict[str, list[Fact]]):
        self.found = found

    def stream(self, texts: Iterable[str]) -> Iterable[list[Triple]]:
        for text in texts:
            yield [
                Triple(
                    Span(s, text.find(s), text.find(s) + len(s)),
                    p,
                    Span(o, text.find(o), text.find(o) + len(o)),
                    0.9,
                )
                for s, p, o in self.found.get(text, [])
            ]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    write_schema(tiny.SCHEMA, tmp_path / "schema.json")
    rows = [
        Example("李安导演、赵四主演的红河", (KEPT,), FILMS),
        Example("Day夜由Ann导演", (), None),
        Example("今天天气很好", ()),
    ]
    train = [tiny.write_rows(tmp_path / "a.jsonl", rows[:2]), tiny.write_rows(tmp_path / "b.jsonl", rows[2:])]
    return {"train": train, "schema": tmp_path / "schema.json", "out": tmp_path / "new.jsonl"}


def test_rows_are_written_with_what_the_models_say(
    files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    day, film = Fact("Day夜", "导演", "Ann"), "李安导演、赵四主演的红河"
    models = [
        Model({film: [KEPT, NEW], "Day夜由Ann导演": [day]}),
        Model({film: [NEW], "Day夜由Ann导演": [day]}),
    ]
    monkeypatch.setattr(relabel, "fold_model", lambda k, *_: models[k])
    relabel.relabel(None, **files, folds=2)
    assert list(read_examples(files["out"], tiny.SCHEMA)) == [
        Example(film, (NEW, KEPT), FILMS),
        Example("Day夜由Ann导演", (day,), None),
        Example("今天天气很好", (), None),
    ]
    assert not files["out"].with_suffix(".part").exists()


def test_an_interrupted_relabelling_leaves_what_was_there(
    files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(line: Any, **_: Any) -> str:
        raise KeyboardInterrupt

    files["out"].write_text("old", "utf-8")
    monkeypatch.setattr(relabel, "fold_model", lambda k, *_: Model({}))
    monkeypatch.setattr(json, "dumps", broken)
    with pytest.raises(KeyboardInterrupt):
        relabel.relabel(None, **files, folds=2)
    assert files["out"].read_text("utf-8") == "old"


@pytest.mark.parametrize("folds", [1, 4])
def test_folds_that_cannot_be_are_refused(files: dict[str, Any], folds: int) -> None:
    with pytest.raises(InputError, match=f"folds must be from 2 to the 3 rows, got {folds}"):
        relabel.relabel(None, **files, folds=folds)
    assert not files["out"].exists()


Trainings = list[tuple[list[Example], list[Example], Path]]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    """What `train_rows` is called with, in its stead: rows to learn from, rows to measure on, folder."""
    seen: Trainings = []

    def train_rows(
        settings: Settings, schema: Schema, rows: list[Example], dev: list[Example], out: Path, resume: bool
    ) -> None:
        assert resume  # an interrupted fold goes on
        seen.append((rows, dev, out))
        out.mkdir(parents=True, exist_ok=True)
        (out / "README.md").touch()

    monkeypatch.setattr(relabel, "train_rows", train_rows)
    monkeypatch.setattr(relabel.Extractor, "load", lambda folder: folder)
    return seen


def test_every_model_learns_from_the_rows_outside_its_fold(trainings: Trainings, tmp_path: Path) -> None:
    rows = tiny.rows(10)
    make: Callable[[int], Any] = lambda k: fold_model(k, 3, rows, tiny.SCHEMA, Settings(), tmp_path)  # noqa: E731
    assert [make(k) for k in range(3)] == [tmp_path / str(k) for k in range(3)]
    assert sorted(row for _, inside, _ in trainings for row in inside) == sorted(rows)
    for outside, inside, _ in trainings:
        assert sorted(outside + inside) == sorted(rows) and len(inside) in (3, 4)
    again = [make(k) for k in range(3)]
    assert len(again) == len(trainings) == 3  # they are there already
    (tmp_path / "1" / "README.md").unlink()  # the last file of an export
    make(1)
    assert trainings[3] == trainings[1]
