"""`supple relabel`: training rows, corrected by the votes of models that did not see them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from supple.cli.learn import learn


def relabel(
    *,
    train: list[Path],
    schema: Path,
    out: Path,
    folds: Annotated[int, Parameter(validator=Number(gte=2))] = 8,
    config: Path | None = None,
) -> None:
    """Train on folds, and add the triples that all models predict, drop those that none predicts.

    Args:
        train: Rows to relabel; repeat it for several files.
        schema: The relations: ours, or an official DuIE schema.
        out: File for the relabelled rows.
        folds: Number of models, each trained without its share of the rows.
        config: TOML file with settings of the training.
    """
    learn("relabel").relabel(config, train=train, schema=schema, out=out, folds=folds)
