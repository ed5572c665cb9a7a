"""Schemas: what each file form says, what is refused, and label spaces as unions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.extraction.schema import Relation, Schema, read_schema, write_schema

DUIE_1 = """{"object_type": "地点", "predicate": "祖籍", "subject_type": "人物"}
{"object_type": "Date", "predicate": "成立日期", "subject_type": "机构"}
{"object_type": "Date", "predicate": "成立日期", "subject_type": "企业"}
"""
DUIE_2 = [
    {"object_type": {"@value": "学校"}, "predicate": "毕业院校", "subject_type": "人物"},
    {
        "object_type": {"inWork": "影视作品", "@value": "人物"},
        "predicate": "饰演",
        "subject_type": "娱乐人物",
    },
]
names = st.text('甲乙a."\\\n', min_size=1, max_size=3).filter(str.strip)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    relations = draw(st.lists(st.builds(Relation, names, names, names), min_size=1, unique=True))
    known = st.sampled_from([relation.predicate for relation in relations])
    spaces = draw(st.dictionaries(names, st.lists(known).map(tuple), max_size=3))
    return Schema(tuple(relations), spaces, draw(st.dictionaries(known, known)))


def written(folder: Path, content: Any) -> Path:
    path = folder / "schema.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@given(schema=schemas())
def test_a_written_schema_reads_as_itself(tmp_path_factory: pytest.TempPathFactory, schema: Schema) -> None:
    write_schema(schema, path := tmp_path_factory.mktemp("schema") / "schema.json")
    assert read_schema(path) == schema


def test_duie_1_is_one_object_a_line(tmp_path: Path) -> None:
    schema = read_schema(written(tmp_path, "\ufeff" + DUIE_1))
    assert schema.relations[0] == ("祖籍", "人物", "地点")
    assert len(schema.relations) == 3
    assert schema.predicates == ("祖籍", "成立日期")
    assert schema.index == {"祖籍": 0, "成立日期": 1}


def test_one_relation_is_a_schema(tmp_path: Path) -> None:
    assert read_schema(written(tmp_path, DUIE_1.splitlines()[0])).predicates == ("祖籍",)


@pytest.mark.parametrize("as_lines", [True, False])
def test_duie_2_slots_become_predicates(tmp_path: Path, as_lines: bool) -> None:
    content = "\n".join(map(json.dumps, DUIE_2)) if as_lines else DUIE_2
    schema = read_schema(written(tmp_path, content))
    assert set(schema.relations) == {
        ("毕业院校", "人物", "学校"),
        ("饰演", "娱乐人物", "人物"),
        ("饰演.inWork", "娱乐人物", "影视作品"),
    }


def test_plain_names(tmp_path: Path) -> None:
    assert read_schema(written(tmp_path, ["主演", "导演"])) == Schema((Relation("主演"), Relation("导演")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("[]", "empty"),
        ({"relations": []}, "schema is empty; give it at least one relation"),
        ({"label_spaces": {}}, "'relations' is missing"),
        ({"relations": "主演"}, "'relations' is missing or no list"),
        (["主演", "导演", "主演"], "主演 occurs twice; delete one"),
        (DUIE_1 + DUIE_1, "祖籍 / 人物 / 地点 occurs twice"),
        (DUIE_1 + '{"predicate": "x"', r":4: broken JSON"),
        (DUIE_1 + '{"subject_type": "人物"}', r":4: expected a predicate's name"),
        ('{"relations":\n [}', r":2: broken JSON"),
        ([" "], "expected a predicate's name"),
        (["主演", 3], r":1: expected a predicate's name .* got 3"),
        ([{"predicate": "主演", "object_type": 3}], "expected names as types of 主演"),
        (
            {"relations": ["主演"], "label_spaces": {"a": ["主角"]}},
            "unknown predicate '主角' in a; did you mean 主演",
        ),
        ({"relations": ["主演"], "label_spaces": {"a": "主演"}}, "'label_spaces' must be"),
        ({"relations": ["主演"], "mirrors": {"主演": "妻子"}}, "unknown predicate '妻子' in mirrors"),
        ({"relations": ["主演"], "mirrors": ["主演"]}, "'mirrors' must be"),
    ],
)
def test_bad_schemas_are_refused_with_the_file_and_a_mend(tmp_path: Path, content: Any, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        read_schema(path)
    assert str(caught.value).startswith(f"{path}:")


def test_label_spaces_unite() -> None:
    schema = Schema(tuple(map(Relation, "abcd")), {"one": ("a", "b"), "two": ("b", "c")})
    assert schema.space("one") == {"a", "b"}
    assert schema.space(["one", "two"]) == {"a", "b", "c"}
    assert schema.space(["one", "d"]) == {"a", "b", "d"}
    assert schema.space([]) == frozenset()
    with pytest.raises(InputError, match="unknown label space 'on'; did you mean one"):
        schema.space(["one", "on"])


def test_the_official_schemas_read(data: Path) -> None:
    one, two = (read_schema(data / "duie" / name) for name in ("schema_duie1.jsonl", "schema_duie2.json"))
    spaces = json.loads((data / "duie" / "label_spaces.json").read_text("utf-8"))
    assert set(one.predicates) == set(spaces["duie1"])
    assert {name for name in two.predicates if "." not in name} == set(spaces["duie2"])
    assert "饰演.inWork" in two.predicates
