"""Conversion: what other tools export becomes rows that the corpus reader takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.extraction.convert import (
    Row,
    convert,
    cut,
    doccano_rows,
    infer_schema,
    label_studio_rows,
    our_row,
)
from supple.extraction.corpus import Fact, read_examples
from supple.extraction.schema import Relation

TEXT = "😀《红豆》由王菲演唱"  # for a browser the emoji is two characters long
FACT = {
    "subject": "红豆",
    "predicate": "歌手",
    "object": "王菲",
    "subject_type": "歌曲",
    "object_type": "人物",
}
DOCCANO: dict[str, Any] = {
    "id": 7,
    "text": TEXT,
    "entities": [
        {"id": 1, "label": "人物", "start_offset": 7, "end_offset": 9},
        {"id": 2, "label": "歌曲", "start_offset": 3, "end_offset": 5},
    ],
    "relations": [{"id": 1, "from_id": 2, "to_id": 1, "type": "歌手"}],
    "Comments": [],
}


def region(id_: str, start: int, end: int, label: str, **extra: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": [label]} | extra
    return {"id": id_, "type": "labels", "from_name": "label", "to_name": "text", "value": value}


def relation(source: str, target: str, label: str, direction: str = "right") -> dict[str, Any]:
    return {"type": "relation", "from_id": source, "to_id": target, "direction": direction, "labels": [label]}


REGIONS = [region("a", 3, 5, "歌曲", text="红豆"), region("b", 7, 9, "人物")]
RESULT = [
    relation("a", "b", "歌手"),
    *REGIONS,
    {"type": "choices", "id": "c", "value": {"choices": ["good"]}},
]


def task(*results: list[Any]) -> dict[str, Any]:
    return {"id": 1, "data": {"text": TEXT}, "annotations": [{"result": result} for result in results]}


def rows(folder: Path, records: Any, **options: Any) -> list[Row]:
    (path := folder / "export.json").write_text(json.dumps(records), encoding="utf-8")
    return list(convert(path, **options))


@pytest.mark.parametrize(
    "record",
    [
        DOCCANO,
        task(RESULT),
        task([relation("b", "a", "歌手", "left"), *REGIONS]),
        {"text": TEXT, "spo_list": [FACT]},
        {
            "text": TEXT,
            "spo_list": [FACT | {"object": {"@value": "王菲"}, "object_type": {"@value": "人物"}}],
        },
    ],
)
def test_every_kind_becomes_the_same_row(tmp_path: Path, record: Any) -> None:
    assert rows(tmp_path, [record]) == [{"text": TEXT, "spo_list": [FACT]}]


def test_plain_lists_have_no_types(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, [{"text": TEXT, "triples": [["红豆", "歌手", "王菲"]]}])
    assert row["spo_list"] == [FACT | {"subject_type": "", "object_type": ""}]


def test_slots_become_facts(tmp_path: Path) -> None:
    spo = FACT | {"object": {"@value": "王菲", "by": "由"}, "object_type": {"@value": "人物", "by": "介词"}}
    (row,) = rows(tmp_path, [{"text": TEXT, "spo_list": [spo]}])
    slot = FACT | {"predicate": "歌手.by", "object": "由", "object_type": "介词"}
    assert row["spo_list"] == [FACT, slot]


def test_label_space_is_kept_or_given(tmp_path: Path) -> None:
    record = {"text": TEXT, "spo_list": [FACT]}
    assert "label_space" not in rows(tmp_path, [record])[0]
    assert rows(tmp_path, [record | {"label_space": "songs"}])[0]["label_space"] == ["songs"]
    assert rows(tmp_path, [record | {"label_space": ["x"]}], label_space=["songs"])[0]["label_space"] == [
        "songs"
    ]


def test_annotators_of_one_task_each_give_a_row_and_nobody_none(tmp_path: Path) -> None:
    assert [len(row["spo_list"]) for row in rows(tmp_path, [task(RESULT, []), task(RESULT)])] == [1, 0, 1]
    assert rows(tmp_path, [task()]) == []
    cancelled = {"data": {"text": TEXT}, "annotations": [{"result": RESULT, "was_cancelled": True}]}
    assert rows(tmp_path, [cancelled]) == []


def test_quoted_text_beats_drifting_offsets() -> None:
    (row,) = label_studio_rows(
        task([region("a", 3, 99, "x", text="红豆"), REGIONS[1], relation("a", "b", "歌手")])
    )
    assert row["spo_list"][0]["subject"] == "红豆"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (DOCCANO | {"text": 3}, "'text' is 3; expected text"),
        (DOCCANO | {"entities": 3}, "'entities' is 3; expected a list"),
        (DOCCANO | {"entities": DOCCANO["entities"][:1]}, "names the span 2, which is missing"),
        (DOCCANO | {"entities": [{"id": 1, "start_offset": 7}]}, "the field 'end_offset' is missing"),
        (
            DOCCANO | {"entities": [{"id": 1, "start_offset": 7, "end_offset": 70}]},
            "the span 7 to 70 is not in the text",
        ),
        (task([{"type": "relation", "from_id": "a", "to_id": "b"}]), "the field 'labels' is missing"),
        ({"data": {}, "annotations": []}, "the field 'text' is missing"),
        ({"text": TEXT, "spo_list": [["红豆", "歌手", "刘欢"]]}, "the object '刘欢' is not in the text"),
        ({"text": TEXT, "spo_list": [["红豆", "", "王菲"]]}, "must be text and not empty"),
        ({"text": TEXT, "spo_list": [], "label_space": [3]}, "expected a list of names"),
        ({"text": TEXT, "label": [[0, 2, "x"]]}, "the field 'spo_list' is missing"),
        (3, "expected a row"),
    ],
)
def test_a_bad_record_is_named_and_loses_nothing_else(tmp_path: Path, record: Any, message: str) -> None:
    errors: list[InputError] = []
    path = tmp_path / "export.jsonl"
    path.write_text("\n".join(map(json.dumps, [DOCCANO, record, DOCCANO])), encoding="utf-8")
    assert len(list(convert(path, on_bad=errors.append))) == 2
    assert [error.line for error in errors] == [2]
    with pytest.raises(InputError, match=message):
        list(convert(path))


def test_a_kind_can_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the field 'entities' is missing"):
        rows(tmp_path, [{"text": TEXT, "spo_list": [FACT]}], kind="doccano")


@given(st.text("a王😀", min_size=1), st.data())
def test_offsets_count_as_a_browser_counts(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    units = [sum(1 + (c > "\uffff") for c in text[:place]) for place in (start, end)]
    assert cut(text, *units) == text[start:end]


fields = ["id", "text", "entities", "relations", "from_id", "type", "start_offset", "data", "result", "value"]
json_values = st.recursive(
    st.none() | st.integers() | st.sampled_from(["labels", "relation", TEXT]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(fields), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_no_record_breaks_a_reader(value: Any) -> None:
    for record in (
        value,
        DOCCANO | {"entities": value},
        DOCCANO | {"relations": [value]},
        task([value]),
        task(value),
    ):
        for read in doccano_rows, label_studio_rows:
            try:
                for row in read(record):
                    our_row(row, None)
            except InputError:
                pass


def test_converted_rows_and_their_schema_fit_the_corpus_reader(tmp_path: Path) -> None:
    converted = rows(tmp_path, [DOCCANO, task(RESULT)], label_space=["songs"])
    schema = infer_schema(converted)
    assert schema.relations == (Relation("歌手", "歌曲", "人物"),)
    assert schema.label_spaces == {"songs": ("歌手",)}
    (path := tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, converted)), encoding="utf-8")
    (example,) = read_examples(path, schema)
    assert example == (TEXT, (Fact("红豆", "歌手", "王菲"),), {"歌手"})


def test_rows_of_several_spaces_do_not_tell_them_apart() -> None:
    row = {"text": TEXT, "spo_list": [FACT]}
    assert infer_schema([row | {"label_space": ["a", "b"]}]).label_spaces == {}
    with pytest.raises(InputError, match="the schema is empty"):
        infer_schema([{"text": TEXT, "spo_list": []}])


def test_the_real_dev_file_converts_to_itself(data: Path) -> None:
    path = data / "duie" / "dev_duie2.jsonl"
    before = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    after = list(convert(path))
    assert [row["text"] for row in after] == [row["text"] for row in before]
    assert sum(a == b for a, b in zip(after, before, strict=True)) > 990  # but for outer spaces and 《》
