"""`supple evaluate`: precision, recall and F1 on labelled rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from supple.cli.extract import Threads, load

if TYPE_CHECKING:
    from supple.extraction.corpus import Example
    from supple.runtime import Extractor

KEYS = "precision", "recall", "f1"


def evaluate(
    data: Path,
    /,
    *,
    model: str = "zh",
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    threads: Threads = None,
) -> None:
    """Compare a model's triples with those of labelled rows: exact subject, predicate and object.

    Only predicates in a row's label space count; case and outer 《》 do not matter.

    Args:
        data: Rows with "text", "spo_list" and optionally "label_space".
        model: Name of a model in the package, or a model folder.
        as_json: Print JSON instead of a table.
        threads: Processor cores to use; all by default.
    """
    from supple.extraction.corpus import read_examples
    from supple.extraction.schema import read_schema
    from supple.shipped import find_model

    extractor = load(model, threads)
    examples = list(read_examples(data, read_schema(find_model(model) / "schema.json")))
    figures = measure(extractor, examples)
    if as_json:
        import json

        print(json.dumps(figures, ensure_ascii=False))
    else:
        show(figures)


def measure(extractor: Extractor, examples: list[Example]) -> dict[str, Any]:
    """The figures that `--json` prints; `seconds` is the extraction alone."""
    from supple.runtime.metric import score

    start = time.perf_counter()
    total = score(examples, extractor.stream(example.text for example in examples))
    seconds = time.perf_counter() - start
    return total.to_dict() | {"sentences": len(examples), "seconds": round(seconds, 3)}


def show(figures: dict[str, Any]) -> None:
    """The figures as a table on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("predicate", "all", no_wrap=True)
    for key in KEYS:
        table.add_column(key, f"{figures[key]:.3f}", justify="right")
    gold = sum(row["gold"] for row in figures["per_predicate"].values())
    table.add_column("gold", str(gold), justify="right")
    for name, row in figures["per_predicate"].items():
        table.add_row(name, *(f"{row[key]:.3f}" for key in KEYS), str(row["gold"]))
    count, seconds = figures["sentences"], figures["seconds"]
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{count} sentences in {seconds:.1f} s: {count / max(seconds, 1e-3):.0f} a second")
