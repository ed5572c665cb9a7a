"""Annotations of other tools as our rows: doccano, Label Studio, the official DuIE files, plain lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from supple.errors import InputError, OnBad, stop
from supple.extraction.corpus import TypedFact, field, row_facts
from supple.extraction.records import FilePath, is_names, placed, records, shown
from supple.extraction.schema import Relation, Schema

Kind = Literal["auto", "rows", "doccano", "label-studio"]
Row = dict[str, Any]
Spans = dict[str, tuple[str, str]]  # id → name and label
Link = tuple[Any, Any, Any]  # id of the subject's span, predicate, id of the object's


def convert(
    path: FilePath, kind: Kind = "auto", on_bad: OnBad | None = None, label_space: list[str] | None = None
) -> Iterator[Row]:
    """The rows of a file: {"text", "spo_list"} and, if given here or there, "label_space".

    Kinds: "rows" (ours, official DuIE, plain lists), "doccano" (relation export), "label-studio" (JSON).
    A bad record raises InputError, or is handed as such to `on_bad`, and reading goes on.
    """
    report = on_bad or stop
    for line, record in records(path, report):
        try:
            with placed(path, line):
                read = READERS[kind_of(record) if kind == "auto" else kind]
                rows = [our_row(row, label_space) for row in read(record)]
        except InputError as error:
            report(error)
        else:
            yield from rows


def kind_of(record: Any) -> str:
    """Whose record it is, by its fields."""
    names = record.keys() if isinstance(record, dict) else set()
    if {"data", "annotations"} <= names:
        return "label-studio"
    return "doccano" if {"entities", "relations"} <= names else "rows"


def our_row(row: Any, label_space: list[str] | None) -> Row:
    """A row of any form in our own, with its facts checked against its text."""
    content: Row = {"spo_list": [fact._asdict() for fact in row_facts(row)]}
    names = row.get("label_space") if label_space is None else label_space
    if names is not None:
        content["label_space"] = names = [names] if isinstance(names, str) else names
        if not is_names(names):
            raise InputError(f"'label_space' is {shown(names)}; expected a list of names")
    return {"text": row["text"]} | content


def doccano_rows(record: Any) -> list[Row]:
    """The row of a text that was annotated with doccano."""
    text, spans = text_in(record), {}
    for entity in list_in(record, "entities"):
        name = cut(text, field(entity, "start_offset"), field(entity, "end_offset"))
        spans[str(field(entity, "id"))] = name, label(entity.get("label"))
    links = [
        (field(relation, "from_id"), field(relation, "type"), field(relation, "to_id"))
        for relation in list_in(record, "relations")
    ]
    return [row_of(text, spans, links)]


def label_studio_rows(task: Any) -> list[Row]:
    """A row for every finished annotation of a Label Studio task; none while nobody has annotated it."""
    text = text_in(field(task, "data"))
    finished = [
        a for a in list_in(task, "annotations") if not (isinstance(a, dict) and a.get("was_cancelled"))
    ]
    return [label_studio_row(text, list_in(annotation, "result")) for annotation in finished]


def label_studio_row(text: str, result: list[Any]) -> Row:
    """The row of one annotation: relations between labelled regions; other results are ignored."""
    spans: Spans = {}
    links: list[Link] = []
    for part in result:
        kind = field(part, "type")
        if kind == "relation":
            ends = field(part, "from_id"), field(part, "to_id")
            subject, object_ = ends[::-1] if part.get("direction") == "left" else ends
            links += [(subject, predicate, object_) for predicate in list_in(part, "labels")]
        elif kind in ("labels", "hypertextlabels"):
            value = field(part, "value")
            start, end = field(value, "start"), field(value, "end")
            # Offsets drift where the browser changes white space (label-studio issue 4929): trust the quote.
            quoted = isinstance(name := value.get("text"), str) and name in text
            spans[str(field(part, "id"))] = name if quoted else cut(text, start, end), label(value.get(kind))
    return row_of(text, spans, links)


def row_of(text: str, spans: Spans, links: Iterable[Link]) -> Row:
    """The row of linked spans."""
    facts = []
    for source, predicate, target in links:
        for end in source, target:
            if str(end) not in spans:
                raise InputError(
                    f"a relation names the span {shown(end)}, which is missing; link labelled spans"
                )
        (subject, subject_type), (object_, object_type) = spans[str(source)], spans[str(target)]
        facts.append(TypedFact(subject, predicate, object_, subject_type, object_type)._asdict())
    return {"text": text, "spo_list": facts}


def cut(text: str, start: Any, end: Any) -> str:
    """The piece of a text between two offsets, which count UTF-16 units (an emoji is two) as browsers do.

    Both tools run in one (doccano issue 2290, label-studio issue 1347).
    """
    units = text.encode("utf-16-le", "surrogatepass")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(units) // 2:
        raise InputError(f"the span {shown(start)} to {shown(end)} is not in the text; correct its offsets")
    return units[2 * start : 2 * end].decode("utf-16-le", "replace")


def label(value: Any) -> str:
    """The (first) label of a span, "" if it has none."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else ""


def text_in(record: Any) -> str:
    """The text of a record; InputError if it has none."""
    if not isinstance(text := field(record, "text"), str):
        raise InputError(f"'text' is {shown(text)}; expected text")
    return text


def list_in(record: Any, name: str) -> list[Any]:
    """The list in a field of a record; InputError if there is none."""
    if not isinstance(value := field(record, name), list):
        raise InputError(f"{name!r} is {shown(value)}; expected a list")
    return value


READERS: dict[str, Callable[[Any], list[Any]]] = {
    "rows": lambda record: [record],
    "doccano": doccano_rows,
    "label-studio": label_studio_rows,
}


def infer_schema(rows: Iterable[Row]) -> Schema:
    """The schema that converted rows imply; InputError if they hold no fact.

    A label space gets the predicates seen in rows that name it alone; rows of several do not tell them apart.
    """
    relations: dict[Relation, None] = {}
    spaces: dict[str, dict[str, None]] = {}
    for row in rows:
        facts = [TypedFact(**fact) for fact in row["spo_list"]]
        relations |= dict.fromkeys(Relation(f.predicate, f.subject_type, f.object_type) for f in facts)
        if len(names := row.get("label_space", [])) == 1:
            spaces.setdefault(names[0], {}).update(dict.fromkeys(fact.predicate for fact in facts))
    return Schema(tuple(relations), {name: tuple(predicates) for name, predicates in spaces.items()})
