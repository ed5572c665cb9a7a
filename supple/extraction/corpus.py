"""Sentences with their facts: our rows, the official DuIE files as they are, plain [s, p, o] lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from supple.errors import InputError, OnBad, stop
from supple.extraction.records import FilePath, is_names, placed, records, shown
from supple.extraction.schema import Schema, slot_predicate, suggest


class Fact(NamedTuple):
    """What a text says: the names of subject and object as given, but without outer spaces and 《》."""

    subject: str
    predicate: str
    object: str


class TypedFact(NamedTuple):
    """A fact as a row writes it: with the types of subject and object, "" where unknown."""

    subject: str
    predicate: str
    object: str
    subject_type: str = ""
    object_type: str = ""


class Example(NamedTuple):
    """A text, its facts, and the predicates that its annotators looked for (None: all of the schema)."""

    text: str
    facts: tuple[Fact, ...]
    space: frozenset[str] | None = None


def fold(text: str) -> str:
    """Lower case, character by character, so that every character keeps its place."""
    # `lower` alone makes two characters of İ, and looks at the neighbours of Σ.
    return text.replace("İ", "i").replace("Σ", "σ").lower()


def bare(name: str) -> str:
    """A name without the spaces and the one pair of 《》 around it."""
    name = name.strip()
    inner = name[1:-1].strip()
    return inner if inner and re.fullmatch("《[^《》]*》", name) else name


def read_examples(
    path: FilePath, schema: Schema, on_bad: OnBad | None = None, label_space: Iterable[str] | None = None
) -> Iterator[Example]:
    """The examples of a JSON-lines or JSON-list file; rows of the same text become one example.

    Rows are {"text", "spo_list" or "triples": [{"subject", "predicate", "object"} or [s, p, o], ...]} with an
    optional "label_space", names for `Schema.space`; a `label_space` given here replaces that of the rows.
    A bad row raises InputError, or is handed as such to `on_bad`, and reading goes on.
    """
    report, names = on_bad or stop, None if label_space is None else list(label_space)
    examples: dict[str, Example] = {}
    for line, row in records(path, report):
        try:
            with placed(path, line):
                example = parse_row(row, schema, names)
        except InputError as error:
            report(error)
        else:
            twin = examples.get(example.text)
            examples[example.text] = merged(twin, example) if twin else example
    if not examples:
        raise InputError("no row of it can be used; see `supple convert --help` for what is read", path=path)
    yield from examples.values()


def merged(a: Example, b: Example) -> Example:
    """One example of two annotations of a text: what either looked for and what either found."""
    space = None if a.space is None or b.space is None else a.space | b.space
    return Example(a.text, tuple(dict.fromkeys(a.facts + b.facts)), space)


def parse_row(row: Any, schema: Schema, label_space: list[str] | None = None) -> Example:
    """The example of a row; InputError, without a place, if something is missing or does not fit."""
    found = row_facts(row)
    names = row.get("label_space") if label_space is None else label_space
    if not (names is None or isinstance(names, str) or is_names(names)):
        raise InputError(f"'label_space' is {shown(names)}; expected a list of names")
    space = None if names is None else schema.space(names)
    known = frozenset(schema.predicates) if space is None else space
    for name in dict.fromkeys(fact.predicate for fact in found):
        if name in known or is_slot(name, schema):
            continue
        if name not in schema.index:
            raise InputError(f"unknown predicate {name!r}; {suggest(name, schema.predicates)}")
        mend = "name a space that has it too, or delete the fact"
        raise InputError(f"{name!r} is outside the row's label space {shown(names)}; {mend}")
    facts = (Fact(*fact[:3]) for fact in found if fact.predicate in known)
    return Example(row["text"], tuple(dict.fromkeys(facts)), space)


def is_slot(predicate: str, schema: Schema) -> bool:
    """Whether it is an extra slot, such as 饰演.inWork, of a known predicate; a schema need not have it."""
    return predicate.rpartition(".")[0] in schema.index


def row_facts(row: Any) -> list[TypedFact]:
    """The facts of a row, all in its text; InputError, without a place, if something is missing or wrong."""
    if not isinstance(row, dict):
        raise InputError(f"expected a row {{'text': …, 'spo_list': […]}}, got {shown(row)}")
    text, entries = field(row, "text"), field(row, "triples" if "triples" in row else "spo_list")
    if not isinstance(text, str) or not text.strip() or re.search("[\ud800-\udfff]", text):
        raise InputError(f"'text' is {ascii(text)[:80]}; expected text of whole characters, not blank")
    if not isinstance(entries, list):
        raise InputError(f"the facts are {shown(entries)}; expected a list")
    folded = fold(text)
    return [fact for entry in entries for fact in entry_facts(entry, folded)]


def field(record: Any, name: str) -> Any:
    """A field of a record; InputError if it is missing."""
    if not isinstance(record, dict) or name not in record:
        raise InputError(f"the field {name!r} is missing in {shown(record)}; add it")
    return record[name]


def entry_facts(entry: Any, text: str) -> Iterator[TypedFact]:
    """The facts of an entry, [s, p, o] or {"subject", "predicate", "object"}, one a slot; `text` is folded.

    Extra slots that are empty or not in the text are left out, and so are entries without subject and object.
    """
    if isinstance(entry, list) and len(entry) == 3:
        entry = dict(zip(("subject", "predicate", "object"), entry, strict=True))
    subject, predicate = slots(field(entry, "subject"))["@value"], field(entry, "predicate")
    objects, kinds = slots(field(entry, "object")), slots(entry.get("object_type"))
    if not subject and not any(objects.values()):
        return
    if not (subject and objects["@value"] and predicate and isinstance(predicate, str)):
        raise InputError(f"subject, predicate and object must be text and not empty, got {shown(entry)}")
    for part, name in ("subject", subject), ("object", objects["@value"]):
        if fold(name) not in text:
            raise InputError(f"the {part} {name!r} is not in the text; correct it or delete the fact")
    kind = slots(entry.get("subject_type"))["@value"]
    for slot, name in objects.items():
        if name and fold(name) in text:
            yield TypedFact(subject, slot_predicate(predicate, slot), name, kind, kinds.get(slot, ""))


def slots(value: Any) -> dict[str, str]:
    """The names in "name", {"@value": "name", slot: "name"}, or {"text": "name", ...} of `supple extract`."""
    if not isinstance(value, dict):
        value = {"@value": value}
    elif "@value" not in value:
        value = {"@value": value.get("text")}
    return {slot: bare(name) if isinstance(name, str) else "" for slot, name in value.items()}
