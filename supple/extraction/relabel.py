"""Relabelling ("distillation"): models trained on k folds vote on every row."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from supple.errors import InputError
from supple.extraction.corpus import Example, read_examples
from supple.extraction.fit import train_rows
from supple.extraction.schema import Schema, read_schema
from supple.extraction.settings import Settings, read_settings
from supple.runtime import Extractor
from supple.runtime.metric import Names, normalise


def relabel(config: Path | None, *, train: Iterable[Path], schema: Path, out: Path, folds: int = 8) -> None:
    """Write the rows of `train` to `out` with the triples that all models found and without those none found.

    A model a fold learns from the rows outside it, and is measured on those inside. The models stay in a
    folder beside `out`; run again, an interrupted relabelling goes on with the next.
    """
    relations = read_schema(schema)
    rows = [row for path in train for row in read_examples(path, relations)]
    if not 2 <= folds <= len(rows):
        raise InputError(f"folds must be from 2 to the {len(rows)} rows, got {folds}")
    models = [
        fold_model(k, folds, rows, relations, read_settings(config), out.with_suffix(".folds"))
        for k in range(folds)
    ]
    texts = [row.text for row in rows]
    votes: list[Counter[Names]] = [Counter() for _ in rows]
    surfaces: dict[Names, Names] = {}
    for model in models:
        for count, triples in zip(votes, model.stream(texts), strict=True):
            found = {normalise(s.text, p, o.text): (s.text, p, o.text) for s, p, o, _ in triples}
            surfaces |= found
            count.update(found.keys())
    part = out.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for row, count in zip(rows, votes, strict=True):
            line = relabelled(row, count, folds, surfaces, relations)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    os.replace(part, out)


def fold_model(
    k: int, folds: int, rows: list[Example], schema: Schema, settings: Settings, folder: Path
) -> Extractor:
    """The model of fold `k`: trained, or taken from `folder` if it is there already."""
    fold = np.random.default_rng(settings.seed).permutation(len(rows)) % folds
    out = folder / str(k)
    if not (out / "README.md").exists():  # the last file that export writes
        outside = [row for row, number in zip(rows, fold, strict=True) if number != k]
        inside = [row for row, number in zip(rows, fold, strict=True) if number == k]
        train_rows(settings, schema, outside, inside, out, resume=True)
    return Extractor.load(out)


def relabelled(
    row: Example, votes: Counter[Names], folds: int, surfaces: dict[Names, Names], schema: Schema
) -> dict[str, Any]:
    """The row as it is written: in its label space, what all voted for is in, what none did is out."""
    space = row.space if row.space is not None else frozenset(schema.predicates)
    kept = {normalise(*fact): tuple(fact) for fact in row.facts if votes[normalise(*fact)]}
    added = {names: surfaces[names] for names, count in votes.items() if count == folds and names[1] in space}
    facts = [
        dict(zip(("subject", "predicate", "object"), fact, strict=True)) for fact in (added | kept).values()
    ]
    line: dict[str, Any] = {"text": row.text, "spo_list": facts}
    return line if row.space is None else line | {"label_space": sorted(row.space)}
