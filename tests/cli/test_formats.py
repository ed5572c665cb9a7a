"""What other programs read must be what they expect, whatever stands in the text."""

from __future__ import annotations

import csv
import json
import re
import tracemalloc
from collections.abc import Iterable, Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.cli import formats
from supple.runtime.triple import Span, Triple

NASTY = st.sampled_from("\"\\<>&'\n\r\t\0\x1b\x7f\x85\u2028\ud800\udfff\ufffe-.~:%_,=é 张🎬")
names = st.text(NASTY | st.characters(), min_size=1, max_size=8)


@st.composite
def results(draw: st.DrawFn) -> list[tuple[str, list[Triple]]]:
    """Texts with triples whose spans lie in them."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        text = draw(names)
        places = st.tuples(st.integers(0, len(text) - 1), st.integers(1, len(text)))
        spans = places.map(lambda p, t=text: Span(t[min(p) : max(p)], min(p), max(p))).filter(
            lambda s: s.text
        )
        scores = st.floats(0, 1, allow_nan=False)
        found.append((text, draw(st.lists(st.builds(Triple, spans, names, spans, scores), max_size=3))))
    return found


def written(lines: Iterable[str]) -> str:
    """What a reader of the file sees."""
    return "".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")


def all_triples(found: list[tuple[str, list[Triple]]]) -> list[Triple]:
    return [triple for _, triples in found for triple in triples]


@given(results())
def test_jsonl_gives_back_every_text_and_its_offsets(found: list[tuple[str, list[Triple]]]) -> None:
    lines = written(formats.jsonl(found)).split("\n")
    assert lines.pop() == ""
    for line, (text, triples) in zip(lines, found, strict=True):
        row = json.loads(line)
        assert row["text"] == text
        assert [row["predicate"] for row in row["triples"]] == [triple.predicate for triple in triples]
        for part in (triple[key] for triple in row["triples"] for key in ("subject", "object")):
            assert row["text"][part["start"] : part["end"]] == part["text"]


@given(results())
def test_csv_gives_back_every_triple(found: list[tuple[str, list[Triple]]]) -> None:
    lines = "".join(formats.csv(found)).splitlines(keepends=True)
    header, *rows = csv.reader(lines, quoting=csv.QUOTE_NONNUMERIC)
    assert ",".join(map(str, header)) == (
        "text_index,subject,subject_start,subject_end,predicate,object,object_start,object_end,score"
    )
    expected = [
        [index, *subject, predicate, *object, round(score, 4)]
        for index, (_, triples) in enumerate(found)
        for subject, predicate, object, score in triples
    ]
    assert rows == expected


# The grammar of https://www.w3.org/TR/n-triples/, with absolute IRIs only.
IRI = r'<[a-z]+:(?:[^\x00-\x20<>"{}|^`\\]|\\u[0-9A-Fa-f]{4})*>'
LITERAL = r'"((?:[^\x22\x5C\x0A\x0D]|\\[tbnrf"\'\\]|\\u[0-9A-Fa-f]{4})*)"'
STATEMENT = re.compile(rf"({IRI}) ({IRI}) (?:({IRI})|{LITERAL}) \.")
LABEL = "<http://www.w3.org/2000/01/rdf-schema#label>"
ESCAPE = re.compile(r"\\(.)")


def statements(text: str) -> set[tuple[str, str, str]]:
    """Parsed N-Triples; asserts that every line is one."""
    lines = text.split("\n")
    assert lines.pop() == ""
    matches = [STATEMENT.fullmatch(line) for line in lines]
    assert None not in matches, [line for line, match in zip(lines, matches, strict=True) if not match]
    return {(m[1], m[2], m[3] or f'"{m[4]}') for m in matches if m}


@given(results())
def test_nt_holds_the_facts_and_labels_them(found: list[tuple[str, list[Triple]]]) -> None:
    parsed = statements(written(formats.nt(found)))
    plain = {"n": "\n", "r": "\r", "t": "\t"}
    labels = {s: ESCAPE.sub(lambda m: plain.get(m[1], m[1]), o[1:]) for s, p, o in parsed if p == LABEL}
    facts = {(labels[s], labels[p], labels[o]) for s, p, o in parsed if p != LABEL}
    assert facts == {
        tuple(map(formats.printable, (triple.subject.text, triple.predicate, triple.object.text)))
        for triple in all_triples(found)
    }
    assert all(unquote(iri[1:-1].split(":", 3)[3]) == label for iri, label in labels.items())


# PNAME_LN of https://www.w3.org/TR/turtle/, of its characters those that we use.
PREFIXED = re.compile(r"(?<![^ \n])(entity|predicate):((?:[A-Za-z_0-9]|%[0-9A-F]{2})*)(?= )")


@given(results())
def test_turtle_says_what_nt_says(found: list[tuple[str, list[Triple]]]) -> None:
    *prefixes, body = written(formats.turtle(found)).split("\n", 3)
    assert [line.split()[:2] for line in prefixes] == [
        ["@prefix", f"{name}:"] for name in ("rdfs", "entity", "predicate")
    ]
    subject_on = [line.split(' "', 1) for line in body.split("\n")]  # names before a literal only
    expanded = [
        [PREFIXED.sub(r"<urn:supple:\1:\2>", terms).replace("rdfs:label", LABEL), *literal]
        for terms, *literal in subject_on
    ]
    assert statements("\n".join(' "'.join(parts) for parts in expanded)) == statements(
        written(formats.nt(found))
    )


@given(results())
def test_graphml_has_a_node_a_name_and_an_edge_a_triple(found: list[tuple[str, list[Triple]]]) -> None:
    namespace = "{http://graphml.graphdrawing.org/xmlns}"
    graph = ElementTree.fromstring(written(formats.graphml(found)).encode()).find(f"{namespace}graph")
    assert graph is not None
    nodes = {node.get("id"): node[0].text for node in graph.iter(f"{namespace}node")}
    triples = all_triples(found)
    ends = {formats.printable(span.text) for triple in triples for span in (triple.subject, triple.object)}
    assert sorted(nodes.values()) == sorted(ends)
    edges = [
        (nodes[edge.get("source")], edge[0].text, nodes[edge.get("target")], float(edge[1].text))
        for edge in graph.iter(f"{namespace}edge")
    ]
    assert edges == [
        (
            *map(formats.printable, (t.subject.text, t.predicate, t.object.text)),
            pytest.approx(t.score, abs=1e-4),
        )
        for t in triples
    ]


@given(results())
def test_table_sends_no_control_character_to_the_terminal(found: list[tuple[str, list[Triple]]]) -> None:
    shown = written(formats.table(found))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)


def test_table_shows_subject_predicate_object_score_and_places() -> None:
    triple = Triple(Span("青花瓷", 1, 4), "作词", Span("方文山", 6, 9), 0.987)
    shown = "".join(formats.table([("《青花瓷》由方文山作词", [triple]), ("今天下雨", [])]))
    row = next(line for line in shown.split("\n") if "1–4" in line)
    assert row.split() == ["青花瓷", "作词", "方文山", "1–4", "6–9", "0.99"]
    assert "no triples" in shown


def many(count: int) -> Iterator[tuple[str, list[Triple]]]:
    """Texts that never repeat a name."""
    for number in range(count):
        text = f"电影{number}的导演是人物{number}"
        cut = text.index("的")
        triple = Triple(Span(text[:cut], 0, cut), "导演", Span(text[cut + 4 :], cut + 4, len(text)), 0.9)
        yield text, [triple]


@pytest.mark.parametrize("name", ["jsonl", "csv", "nt", "turtle"])
def test_formats_stream_in_constant_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "REMEMBERED", 100)
    tracemalloc.start()
    try:
        for _ in formats.FORMATS[name](many(5_000)):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000  # 5,000 texts with their triples are some 5 MB
