"""The formats of `supple extract`: (text, triples) in, whole lines out, nothing held back.

All stream in constant memory but `graphml`, whose nodes are unique: it remembers the names it has met.
"""

from __future__ import annotations

import csv as csv_module
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from supple.runtime.triple import Triple

Results = Iterable[tuple[str, list[Triple]]]

SUBJECT, OBJECT = ([part, f"{part}_start", f"{part}_end"] for part in ("subject", "object"))
COLUMNS = ["text_index", *SUBJECT, "predicate", *OBJECT, "score"]
KINDS = "entity", "predicate", "entity"
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REMEMBERED = 100_000  # labels; a label that is repeated after so many others says nothing new


def printable(name: str) -> str:
    """The name with every character that XML, RDF or a terminal cannot take replaced."""
    return UNPRINTABLE.sub("\ufffd", name)


def jsonl(results: Results) -> Iterator[str]:
    """One JSON object a text, triples or not."""
    for text, triples in results:
        row = {"text": text, "triples": [triple.to_dict() for triple in triples]}
        yield json.dumps(row, ensure_ascii=False) + "\n"


def csv(results: Results) -> Iterator[str]:
    """One row a triple, text in quotes; `text_index` counts the texts that were read, from 0."""
    lines = SimpleNamespace(write=str)  # `writerow` returns what `write` does: the row
    row = csv_module.writer(lines, quoting=csv_module.QUOTE_NONNUMERIC, lineterminator="\n").writerow
    yield row(COLUMNS)
    for index, (_, triples) in enumerate(results):
        for subject, predicate, object, score in triples:
            yield row([index, *subject, predicate, *object, round(score, 4)])


def nt(results: Results) -> Iterator[str]:
    """N-Triples: the facts, and an rdfs:label for every entity and predicate."""
    label = "<http://www.w3.org/2000/01/rdf-schema#label>"
    return _statements(results, lambda kind, name: f"<urn:supple:{kind}:{_quoted(name)}>", label)


def turtle(results: Results) -> Iterator[str]:
    """Turtle: the statements of `nt`, with prefixes."""
    yield "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
    for kind in "entity", "predicate":
        yield f"@prefix {kind}: <urn:supple:{kind}:> .\n"
    yield from _statements(results, lambda kind, name: f"{kind}:{_quoted(name)}", "rdfs:label")


def _statements(results: Results, term: Callable[[str, str], str], label: str) -> Iterator[str]:
    labelled: set[str] = set()
    for _, triples in results:
        for triple in triples:
            names = triple.subject.text, triple.predicate, triple.object.text
            iris = [term(kind, name) for kind, name in zip(KINDS, names, strict=True)]
            for iri, name in zip(iris, names, strict=True):
                if iri not in labelled:
                    labelled.add(iri)
                    yield f"{iri} {label} {_literal(name)} .\n"
            yield f"{' '.join(iris)} .\n"
            if len(labelled) > REMEMBERED:
                labelled.clear()


def _quoted(name: str) -> str:
    # `quote` leaves - . ~ as they are; at some places in a Turtle name they may not stand
    return quote(printable(name), safe="").replace("-", "%2D").replace(".", "%2E").replace("~", "%7E")


def _literal(name: str) -> str:
    escapes: dict[str, str | int | None] = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
    return f'"{printable(name).translate(str.maketrans(escapes))}"'


def graphml(results: Results) -> Iterator[str]:
    """GraphML: a node a name, an edge a triple; for networkx, Gephi, Cytoscape, yEd."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for owner, key, kind in (
        ("node", "label", "string"),
        ("edge", "predicate", "string"),
        ("edge", "score", "double"),
    ):
        yield f'<key id="{key}" for="{owner}" attr.name="{key}" attr.type="{kind}"/>\n'
    yield '<graph edgedefault="directed">\n'
    nodes: dict[str, int] = {}
    edges = count()
    for _, triples in results:
        for triple in triples:
            ends = [_xml(span.text) for span in (triple.subject, triple.object)]
            for name in ends:
                if name not in nodes:
                    nodes[name] = len(nodes)
                    yield f'<node id="n{nodes[name]}"><data key="label">{name}</data></node>\n'
            source, target = (nodes[name] for name in ends)
            data = f'<data key="predicate">{_xml(triple.predicate)}</data>'
            data += f'<data key="score">{triple.score:.4f}</data>'
            yield f'<edge id="e{next(edges)}" source="n{source}" target="n{target}">{data}</edge>\n'
    yield "</graph>\n</graphml>\n"


def _xml(name: str) -> str:
    return escape(printable(name), {"\r": "&#13;"})


def table(results: Results, colour: bool = False) -> Iterator[str]:
    """A table a text for human eyes, as wide as the terminal."""
    from io import StringIO

    from rich.console import Console
    from rich.text import Text

    for text, triples in results:
        console = Console(file=StringIO(), force_terminal=colour)
        title = Text(printable(text), style="bold")
        title.truncate(console.width, overflow="ellipsis")
        console.print(title)
        console.print(triple_table(triples) if triples else Text("no triples", style="dim"))
        yield console.file.getvalue() + "\n"  # type: ignore[attr-defined]  # it is the StringIO


def triple_table(triples: list[Triple]) -> Any:
    """A rich table of triples, with the places of subject and object in the text."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("subject", style="cyan")
    shown.add_column("predicate", style="bold")
    shown.add_column("object", style="magenta")
    shown.add_column("places", style="dim", no_wrap=True)
    shown.add_column("score", justify="right")
    for subject, predicate, object, score in triples:
        places = f"{subject.start}–{subject.end} {object.start}–{object.end}"
        cells = subject.text, predicate, object.text, places, f"{score:.2f}"
        shown.add_row(*(Text(printable(cell)) for cell in cells))
    return shown


FORMATS: dict[str, Callable[[Results], Iterator[str]]] = {
    "jsonl": jsonl,
    "table": table,
    "csv": csv,
    "nt": nt,
    "turtle": turtle,
    "graphml": graphml,
}
