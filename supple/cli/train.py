"""`supple train`: a model from labelled rows."""

from __future__ import annotations

import sys
from pathlib import Path

from supple.cli.learn import learn


def train(
    *, train: list[Path], dev: Path, schema: Path, out: Path, config: Path | None = None, resume: bool = False
) -> None:
    """Train a model on labelled rows and export it to a folder that `supple extract --model` takes.

    Args:
        train: Rows to learn from; repeat it for several files.
        dev: Rows to measure on.
        schema: The relations: ours, or an official DuIE schema.
        out: Folder for checkpoints and the model.
        config: TOML file with settings.
        resume: Continue from the last checkpoint in the folder.
    """
    try:
        learn("fit").train(config, train=train, dev=dev, schema=schema, out=out, resume=resume)
    except KeyboardInterrupt:
        print(f"Finished epochs are in {out}; --resume goes on with the next", file=sys.stderr)
        raise
