"""The relations to extract, and which of them the annotators of a corpus looked for."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from supple.errors import InputError
from supple.extraction.records import FilePath, decode, is_names, parse, placed, read_lines, records, shown


class Relation(NamedTuple):
    """A predicate between two types of things; "" is an unknown type."""

    predicate: str
    subject_type: str = ""
    object_type: str = ""


@dataclass(frozen=True)
class Schema:
    """Relations, named label spaces, and mirrors: (s, p, o) implies (o, mirrors[p], s).

    Raises InputError if it is empty, repeats a relation, or names a predicate that it does not have.
    """

    relations: tuple[Relation, ...]
    label_spaces: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mirrors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.relations:
            raise InputError("the schema is empty; give it at least one relation")
        if twice := next((r for i, r in enumerate(self.relations) if r in self.relations[:i]), None):
            raise InputError(f"the relation {' / '.join(filter(None, twice))} occurs twice; delete one")
        mirrored = {"mirrors": (*self.mirrors, *self.mirrors.values())}
        for place, names in (self.label_spaces | mirrored).items():
            for name in names:
                if name not in self.index:
                    raise InputError(f"unknown predicate {name!r} in {place}; {suggest(name, self.index)}")

    @cached_property
    def predicates(self) -> tuple[str, ...]:
        """Every predicate once, in order."""
        return tuple(self.index)

    @cached_property
    def index(self) -> dict[str, int]:
        """Predicate → its place in `predicates`."""
        names = dict.fromkeys(relation.predicate for relation in self.relations)
        return {name: i for i, name in enumerate(names)}

    def space(self, names: str | Iterable[str]) -> frozenset[str]:
        """The union of label spaces; a name is that of a label space or of a single predicate."""
        spaces = {name: (name,) for name in self.index} | self.label_spaces
        names = [names] if isinstance(names, str) else list(names)
        for name in names:
            if name not in spaces:
                raise InputError(
                    f"unknown label space {name!r}; {suggest(name, self.label_spaces or self.index)}"
                )
        return frozenset(predicate for name in names for predicate in spaces[name])


def suggest(name: str, known: Iterable[str]) -> str:
    """A mend for an unknown name: the names near it, else the first known ones."""
    known = list(known)
    if near := difflib.get_close_matches(name, known, cutoff=0.4):
        return f"did you mean {', '.join(near)}? Else add it to the schema"
    return f"use one of {', '.join(known[:5])}{', …' * (len(known) > 5)}, or add it to the schema"


def read_schema(path: FilePath) -> Schema:
    """The schema of a file: ours, the official DuIE 1.0 and 2.0 ones, or a JSON list of predicate names.

    Extra slots of DuIE 2.0 objects become predicates, e.g. 饰演.inWork. Raises InputError with file and line.
    """
    ours = read_ours(path)
    entries = [(None, entry) for entry in ours["relations"]] if ours else records(path)
    relations: list[Relation] = []
    for line, entry in entries:
        with placed(path, line):
            relations += relations_of(entry)
    with placed(path):
        spaces = {name: tuple(predicates) for name, predicates in ours.get("label_spaces", {}).items()}
        return Schema(tuple(relations), spaces, ours.get("mirrors", {}))


def read_ours(path: FilePath) -> dict[str, Any]:
    """The content of our schema.json; {} for a file of another kind, which `records` can read."""
    lines = read_lines(path)
    text = "\n".join(decode(line, path, number) for number, line in enumerate(lines, 1))
    try:
        value = parse(text, path)
    except InputError as error:
        if "Extra data" in error.problem:  # JSON lines
            return {}
        raise
    if not isinstance(value, dict) or "predicate" in value:
        return {}
    spaces, mirrors = value.get("label_spaces", {}), value.get("mirrors", {})
    with placed(path):
        if not isinstance(value.get("relations"), list):
            raise InputError("'relations' is missing or no list; expected [{'predicate': name, …}, …]")
        if not isinstance(spaces, dict) or not all(map(is_names, spaces.values())):
            raise InputError("'label_spaces' must be {name: [predicates]}; correct it or leave it out")
        if not isinstance(mirrors, dict) or not is_names([*mirrors.values()]):
            raise InputError("'mirrors' must be {predicate: predicate}; correct it or leave it out")
    return value


def relations_of(entry: Any) -> list[Relation]:
    """The relations of an entry, a name or DuIE's {subject_type, predicate, object_type}, one a slot."""
    if isinstance(entry, str):
        entry = {"predicate": entry}
    if not isinstance(entry, dict) or not isinstance(name := entry.get("predicate"), str) or not name.strip():
        raise InputError(f"expected a predicate's name or {{'predicate': name, …}}, got {shown(entry)}")
    kinds = entry.get("object_type", "")
    kinds = kinds if isinstance(kinds, dict) else {"@value": kinds}
    if not is_names([subject_type := entry.get("subject_type", ""), *kinds.values()]):
        raise InputError(
            f"expected names as types of {name}, or slots {{'@value': name}}, got {shown(entry)}"
        )
    return [Relation(slot_predicate(name, slot), subject_type, kind) for slot, kind in kinds.items()]


def slot_predicate(predicate: str, slot: str) -> str:
    """The predicate of a slot of a DuIE 2.0 object: 饰演.inWork of 饰演; "@value" is the object itself."""
    return predicate if slot == "@value" else f"{predicate}.{slot}"


def write_schema(schema: Schema, path: FilePath) -> None:
    """Write our schema.json."""
    content = asdict(schema) | {"relations": [relation._asdict() for relation in schema.relations]}
    Path(path).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
