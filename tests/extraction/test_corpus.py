"""Corpora: every form of row reads the same, bad rows are named and lose nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supple.errors import InputError
from supple.extraction.corpus import Example, Fact, bare, merged, parse_row, read_examples
from supple.extraction.schema import Relation, Schema, read_schema

SCHEMA = Schema(tuple(map(Relation, ["主演", "导演", "饰演", "饰演.inWork"])), {"films": ("主演", "导演")})
TEXT = "《大侠霍元甲》由徐小明执导，Ada主演"
FACT = Fact("大侠霍元甲", "导演", "徐小明")
ROW: dict[str, Any] = {"text": TEXT, "spo_list": [list(FACT)]}


def read(folder: Path, rows: list[Any], **options: Any) -> list[Example]:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return list(read_examples(path, SCHEMA, **options))


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        {"text": TEXT, "triples": [list(FACT)]},
        {"text": TEXT, "spo_list": [FACT._asdict() | {"subject_type": "影视作品", "object_type": "人物"}]},
        {
            "text": TEXT,
            "spo_list": [
                FACT._asdict() | {"object": {"@value": "徐小明"}, "object_type": {"@value": "人物"}}
            ],
        },
        {"text": TEXT, "spo_list": [list(FACT), ["《大侠霍元甲》", "导演", " 徐小明"]]},  # one fact, twice
        {
            "text": TEXT,
            "spo_list": [list(FACT), ["", "导演", ""]],
        },  # says nothing: one such row is in the data
        {
            "text": TEXT,  # as `supple extract` writes it
            "triples": [
                {
                    "subject": {"text": "大侠霍元甲", "start": 1, "end": 6},
                    "predicate": "导演",
                    "object": {"text": "徐小明", "start": 8, "end": 11},
                    "score": 0.9,
                }
            ],
        },
    ],
)
def test_every_form_of_a_row_says_the_same(tmp_path: Path, row: dict[str, Any]) -> None:
    assert read(tmp_path, [row]) == [Example(TEXT, (FACT,), None)]


def test_a_json_list_reads_like_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("\ufeff" + json.dumps([ROW], indent=2), encoding="utf-8")
    assert list(read_examples(path, SCHEMA)) == [Example(TEXT, (FACT,), None)]


def slotted(**slots: str) -> dict[str, Any]:
    """A row as DuIE 2.0 writes it."""
    spo = {"subject": "王菲", "predicate": "饰演", "object": {"@value": "王子"} | slots}
    return {"text": "王菲在天下里饰演王子", "spo_list": [spo]}


def test_slots_of_duie_2_are_facts_where_the_schema_has_them(tmp_path: Path) -> None:
    main = Fact("王菲", "饰演", "王子")
    (example,) = read(tmp_path, [slotted(inWork="天下", inArea="王菲")])
    assert example.facts == (main, ("王菲", "饰演.inWork", "天下"))
    assert read(tmp_path, [slotted(inWork="")])[0].facts == (main,)
    assert read(tmp_path, [slotted(inWork="不在")])[0].facts == (main,)
    assert parse_row(slotted(inWork="天下"), Schema((Relation("饰演"),))).facts == (main,)


def test_label_spaces(tmp_path: Path) -> None:
    def space(row: dict[str, Any], **options: Any) -> frozenset[str] | None:
        return read(tmp_path, [row], **options)[0].space

    assert space(ROW) is None
    assert space(ROW | {"label_space": ["films"]}) == {"主演", "导演"}
    assert space(ROW | {"label_space": "导演"}) == {"导演"}
    assert space(ROW | {"label_space": ["films", "饰演"]}) == {"主演", "导演", "饰演"}
    assert space(ROW | {"label_space": ["unheard of"]}, label_space=["films"]) == {"主演", "导演"}


def test_a_row_without_facts_is_a_negative(tmp_path: Path) -> None:
    assert read(tmp_path, [{"text": "没有事实", "spo_list": []}]) == [Example("没有事实", ())]


def test_rows_of_one_text_are_one_example(tmp_path: Path) -> None:
    other = {"text": TEXT, "spo_list": [["大侠霍元甲", "主演", "ada"]]}
    assert read(tmp_path, [ROW, ROW]) == [Example(TEXT, (FACT,))]
    assert read(tmp_path, [ROW, other]) == [Example(TEXT, (FACT, Fact("大侠霍元甲", "主演", "ada")))]
    spaces = [ROW | {"label_space": ["导演"]}, other | {"label_space": ["主演"]}]
    assert read(tmp_path, spaces)[0].space == {"主演", "导演"}
    assert merged(Example("", (), frozenset("a")), Example("", ())).space is None


BAD: list[tuple[Any, str]] = [
    ({"spo_list": []}, "the field 'text' is missing"),
    ({"text": TEXT}, "the field 'spo_list' is missing"),
    ({"text": TEXT, "spo_list": [{"subject": "Ada", "object": "Ada"}]}, "the field 'predicate' is missing"),
    ({"text": TEXT, "spo_list": [["Ada", "主演"]]}, "the field 'subject' is missing"),
    ({"text": TEXT, "spo_list": {"Ada": "主演"}}, "expected a list"),
    ({"text": " ", "spo_list": []}, "expected text of whole characters, not blank"),
    ({"text": 3, "spo_list": []}, "expected text"),
    (["\ud83d"], r"expected a row .* got .\"\\ud83d\""),
    ({"text": TEXT, "spo_list": [["Ada", "主演", ""]]}, "must be text and not empty"),
    ({"text": TEXT, "spo_list": [["Ada", "主演", 3]]}, "must be text and not empty"),
    (
        {"text": TEXT, "spo_list": [["霍元申", "导演", "Ada"]]},
        "the subject '霍元申' is not in the text; correct it",
    ),
    ({"text": TEXT, "spo_list": [["Ada", "导演", "徐大明"]]}, "the object '徐大明' is not in the text"),
    ({"text": TEXT, "spo_list": [["Ada", "主角", "Ada"]]}, "unknown predicate '主角'; did you mean 主演"),
    (ROW | {"label_space": ["film"]}, "unknown label space 'film'; did you mean films"),
    (ROW | {"label_space": ["主演"]}, "'导演' is outside the row's label space .* delete the fact"),
    (ROW | {"label_space": [3]}, "'label_space' is .3.; expected a list of names"),
]


@pytest.mark.parametrize(("row", "message"), BAD)
def test_a_bad_row_is_named_and_loses_nothing_else(tmp_path: Path, row: Any, message: str) -> None:
    rows = [ROW, row, {"text": "好", "spo_list": []}]
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, rows)
    assert caught.value.line == 2
    assert str(caught.value).startswith(f"{tmp_path / 'rows.jsonl'}:2: ")
    assert "\n" not in str(caught.value)
    errors: list[InputError] = []
    assert [example.text for example in read(tmp_path, rows, on_bad=errors.append)] == [TEXT, "好"]
    assert [str(error) for error in errors] == [str(caught.value)]


def test_half_a_surrogate_pair_is_refused_and_a_whole_one_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        r'{"text": "\ud83d\ude00好", "spo_list": []}' + "\n" + r'{"text": "\ud83d好", "spo_list": []}'
    )
    errors: list[InputError] = []
    assert [example.text for example in read_examples(path, SCHEMA, errors.append)] == ["😀好"]
    assert [error.line for error in errors] == [2]
    str(errors[0]).encode()  # can be printed


def test_a_file_without_a_usable_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row of it can be used"):
        read(tmp_path, [3, 4], on_bad=lambda error: None)


def test_a_million_characters_are_a_row_like_any_other(tmp_path: Path) -> None:
    text = TEXT + "的\x07\t😀" * 250_000
    assert read(tmp_path, [ROW | {"text": text}]) == [Example(text, (FACT,))]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([TEXT, "Ada", "主演"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["@value", "text", "x"]), inner)
    ),
)
fields = st.sampled_from(
    ["text", "spo_list", "triples", "label_space", "subject", "predicate", "object", "object_type"]
)
records = st.dictionaries(fields, json_values | st.lists(st.dictionaries(fields, json_values)))


@settings(max_examples=50)
@given(records | json_values)
def test_no_row_breaks_the_reader(row: Any) -> None:
    try:
        example = parse_row(row, SCHEMA)
    except InputError:
        return
    assert example.text == row["text"]


@given(st.text("《》 a\u3000"))
def test_a_bare_name_stays_bare(name: str) -> None:
    assert bare(bare(name)) == bare(name)
    assert bool(bare(name)) == bool(name.strip())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("《红豆》", "红豆"),
        (" 《 红豆 》", "红豆"),
        ("《红》与《豆》", "《红》与《豆》"),
        ("《红豆", "《红豆"),
        ("《》", "《》"),
    ],
)
def test_bare_names(name: str, expected: str) -> None:
    assert bare(name) == expected


@pytest.mark.parametrize(
    ("name", "label_space", "examples", "facts", "bad"),
    [
        ("train", None, 37_037, 66_949, 0),  # two of 66,951 have neither subject nor object
        ("dev_duie1", None, 1_800, 3_729, 0),
        ("dev_duie2", None, 1_000, 1_755, 0),
        ("partial_17", ["duie1_17"], 10_205, 15_591, 0),  # two facts twice, with and without 《》
        ("silver_predictions", ["duie2"], 10_527, 23_492, 1),  # one has no object; 856 rows repeat facts
    ],
)
def test_the_real_corpora_read(
    data: Path, name: str, label_space: list[str] | None, examples: int, facts: int, bad: int
) -> None:
    official = [read_schema(data / "duie" / file) for file in ("schema_duie1.jsonl", "schema_duie2.json")]
    spaces = json.loads((data / "duie" / "label_spaces.json").read_text("utf-8"))
    schema = Schema(tuple(dict.fromkeys(relation for one in official for relation in one.relations)), spaces)
    errors: list[InputError] = []
    found = list(read_examples(data / "duie" / f"{name}.jsonl", schema, errors.append, label_space))
    assert (len(found), sum(len(example.facts) for example in found), len(errors)) == (examples, facts, bad)
