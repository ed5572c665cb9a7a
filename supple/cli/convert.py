"""`supple convert`: exports of annotation tools to our rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from supple.cli.bad_lines import BadLines
from supple.cli.writing import writer


def convert(
    source: Path,
    /,
    *,
    out: Path | None = None,
    kind: Literal["auto", "rows", "doccano", "label-studio"] = "auto",
    label_space: list[str] | None = None,
    schema: Path | None = None,
    skip_bad: bool = False,
) -> None:
    """Convert labelled rows of other tools to the rows that train and evaluate take.

    Args:
        source: An export of doccano or Label Studio; or rows: ours, official DuIE, or with lists [s, p, o].
        out: File to write; it appears when it is complete. Standard output without it.
        kind: Where the rows come from; auto looks at each.
        label_space: What the annotators looked for: a label space or a predicate; repeat it for several.
        schema: Also write the relations that the rows hold to this file.
        skip_bad: Report bad rows and go on instead of stopping at the first.
    """
    from supple.extraction.convert import convert as read_rows
    from supple.extraction.convert import infer_schema
    from supple.extraction.schema import write_schema

    bad = BadLines(skip_bad)
    rows = list(read_rows(source, kind, bad, label_space))
    bad.conclude(len(rows))
    with writer(out) as write:
        for row in rows:
            write(json.dumps(row, ensure_ascii=False) + "\n")
        if schema:
            write_schema(infer_schema(rows), schema)
