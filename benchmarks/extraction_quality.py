"""How well the extractor does: the shipped models on both dev files, and what each part of the method brings.

The ablations train on a sample of the training rows; a tenth as many more choose the epoch and thresholds, so
no dev row is looked at before it is measured. They compare variants with each other, not with shipped models,
which have learnt from all rows. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import distributions
from itertools import chain, product
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from cyclopts import Parameter, run
from machine import circumstances
from rich import box
from rich.console import Console
from rich.table import Table

from supple import __version__
from supple.errors import InputError
from supple.extraction import Example, Schema, read_examples, read_schema
from supple.extraction.settings import Settings
from supple.extraction.tune import calibration_error, judged
from supple.runtime import Extractor
from supple.runtime.metric import score

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "supple" / "models"
DATA = Path(os.environ.get("SUPPLE_DATA", HERE.parents[1] / "shared" / "data"))
SHIPPED = "zh", "zh-fast"
DEV = "dev_duie1", "dev_duie2"
KEYS = "precision", "recall", "f1"
NAMES = "predicate", "dev file", "model"  # columns of words
PACKAGES = {"rjieba", "keras", "jax", "gensim"}
VARIANTS: dict[str, dict[str, Any]] = {  # what each changes of the base
    "base": {},
    "no-words": {"words": False},
    "prior": {"prior": True},
    "no-augmentation": {"augment": 0.0},
    "no-average": {"average": 0.0},
    "first-spans": {"spans": "first"},
    "no-character-vectors": {"character_vectors": ""},
    "fast": {"form": "fast"},
    "fast-soft-f1": {"form": "fast", "soft_f1": 2},
}
Variant = Literal[*VARIANTS]  # type: ignore[valid-type]
Figures = dict[str, Any]  # by dev file


class Budget(NamedTuple):
    """What every variant gets."""

    rows: int
    epochs: int
    seed: int


class Corpus(NamedTuple):
    """Rows with their facts: to learn from, to tune on, and to measure on, by dev file."""

    schema: Schema
    train: list[Example]
    tune: list[Example]
    dev: dict[str, list[Example]]


def main(
    *,
    only: Annotated[list[Variant] | None, Parameter(consume_multiple=True, negative=())] = None,
    shipped_only: Annotated[bool, Parameter(negative=())] = False,
    rows: int = 12_000,
    epochs: int = 8,
    seed: int = 0,
    word_vectors: Path | None = None,
    work: Path = HERE / "work" / "quality",
    out: Path = HERE / "results" / "extraction_quality.json",
) -> None:
    """Measure the shipped models and the ablations: print tables, and write the figures as JSON.

    Args:
        only: Train these variants only.
        shipped_only: Measure the shipped models and train nothing.
        rows: Training rows of each variant.
        epochs: Epochs of each variant.
        seed: Seed of the sample and of the training.
        word_vectors: Word vectors (.npz with words and vectors) instead of some trained on the sampled rows.
        work: Folder for models and checkpoints.
        out: The JSON file; parts that this run does not measure stay in it.
    """
    needed = [DATA / "duie" / f"{name}.jsonl" for name in ("train", *DEV)]
    needed += [] if shipped_only else [DATA / "embeddings" / "tencent_char_200d.npz"]
    if missing := [str(path) for path in needed if not path.exists()]:
        print(f"skipped: no {', '.join(missing)}; set SUPPLE_DATA to the folder of duie/ and embeddings/")
        return
    budget = Budget(rows, epochs, seed)
    corpus = read_corpus(budget)
    if shipped := measure_shipped(corpus.dev):
        update(out, shipped=shipped)
    if not shipped_only:
        folder = work / f"{rows}x{epochs}-seed{seed}"
        ablate(only or list(VARIANTS), budget, corpus, folder, word_vectors, out)


def read_corpus(budget: Budget) -> Corpus:
    """The rows, those for training and tuning drawn at random from the training file."""
    schema = read_schema(MODELS / "zh" / "schema.json")
    train, *dev = (list(read_examples(DATA / "duie" / f"{name}.jsonl", schema)) for name in ("train", *DEV))
    tune = budget.rows // 10
    if not 10 <= budget.rows <= len(train) - tune:
        raise InputError(f"--rows is {budget.rows}; give 10 or more, with a tenth at most {len(train)}")
    drawn = [
        train[i] for i in np.random.default_rng(budget.seed).permutation(len(train))[: budget.rows + tune]
    ]
    return Corpus(schema, drawn[: budget.rows], drawn[budget.rows :], dict(zip(DEV, dev, strict=True)))


def measure(extractor: Extractor, dev: dict[str, list[Example]]) -> Figures:
    """What `supple evaluate` gives for each dev file, and the calibration error of the scores."""
    figures = {}
    for name, rows in dev.items():
        total = score(rows, extractor.stream(row.text for row in rows))
        error = calibration_error(*judged(extractor, rows))
        figures[name] = {"sentences": len(rows), "calibration_error": error} | total.to_dict()
    return figures


def measure_shipped(dev: dict[str, list[Example]]) -> dict[str, Figures]:
    """The figures of the models in the package, by predicate and in total."""
    found = {}
    for name in SHIPPED:
        if not (MODELS / name / "config.json").exists():
            print(f"skipped: no model {name!r} in supple/models")
            continue
        found[name] = measure(Extractor.load(name), dev) | {"conditions": conditions()}
        show_predicates(name, found[name])
    if found:
        show_totals("shipped models; epoch, thresholds and calibration were chosen on these very rows", found)
    return found


def ablate(
    variants: Iterable[str], budget: Budget, corpus: Corpus, folder: Path, words: Path | None, out: Path
) -> None:
    """Train and measure the variants, printing and writing what is finished after each."""
    words = words or train_words(corpus.train, budget.seed, folder / "words.npz")
    base = Settings(
        epochs=budget.epochs,
        patience=budget.epochs,
        seed=budget.seed,
        character_vectors=str(DATA / "embeddings" / "tencent_char_200d.npz"),
        word_vectors=str(words),
    )
    for variant in variants:
        measure_variant(replace(base, name=variant, **VARIANTS[variant]), corpus, folder / variant)
        files = {name: folder / name / "figures.json" for name in VARIANTS}
        done = {name: json.loads(path.read_text("utf-8")) for name, path in files.items() if path.exists()}
        show_totals(f"ablations: {budget.rows} rows, {budget.epochs} epochs, seed {budget.seed}", done)
        vectors = "trained on the rows" if words.parent == folder else words.name
        given = budget._asdict() | {"word_vectors": vectors}
        before = json.loads(out.read_text("utf-8")) if out.exists() else {}
        kept = before.get("ablations", {}) if before.get("budget") == given else {}
        update(out, budget=given, ablations=kept | done)


def train_words(rows: list[Example], seed: int, path: Path) -> Path:
    """The file with word vectors of the rows' texts, trained unless it is there."""
    if not path.exists():
        from supple.extraction.vocabulary import build_words, one_to_one_aliases

        path.parent.mkdir(parents=True, exist_ok=True)
        words, vectors = build_words([row.text for row in rows], one_to_one_aliases(), Settings(seed=seed))
        part = path.with_suffix(".part.npz")
        np.savez(part, words=np.array(words), vectors=vectors)
        part.replace(path)
    return path


def measure_variant(settings: Settings, corpus: Corpus, folder: Path) -> None:
    """Train a variant and write its `figures.json`, unless that is there; InputError if it was another's."""
    import jax
    import keras

    from supple.extraction.fit import begin, train_rows

    try:
        begin(folder / "checkpoint", settings, resume=True)
    except InputError as error:
        problem = f"{error.problem.partition(';')[0]}; take it back, or name another folder by --work"
        raise InputError(problem, path=folder) from None
    if (folder / "figures.json").exists():
        return
    print(f"\n{settings.name}", flush=True)
    train_rows(settings, corpus.schema, corpus.train, corpus.tune, folder, resume=True)
    with np.load(folder / "checkpoint" / "state.npz") as state:
        epochs = json.loads(str(state["reports"]))
    figures = measure(Extractor.load(folder), corpus.dev) | {"epochs": epochs, "conditions": conditions()}
    write(folder / "figures.json", figures)
    keras.utils.clear_session()  # else memory grows by every variant's compiled steps
    jax.clear_caches()


def conditions() -> dict[str, Any]:
    """When, with what, and on which machine; `load` is of the last 1, 5 and 15 minutes."""
    packages = {item.name: item.version for item in distributions() if item.name in PACKAGES}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"time": now, "load": os.getloadavg(), "supple": __version__} | circumstances() | packages


def show_totals(title: str, results: dict[str, Figures]) -> None:
    """A line for each dev file and model; `change` is that of F1 against the base, where it is there."""
    lines = []
    for file, (model, figures) in product(DEV, results.items()):
        cells = [f"{figures[file][key]:.3f}" for key in (*KEYS, "calibration_error")]
        base = results.get("base")
        change = f"{figures[file]['f1'] - base[file]['f1']:+.3f}" if base else ""
        lines.append([file, model, *cells, change])
    show(title, ["dev file", "model", "P", "R", "F1", "calibration error", "change"], lines)


def show_predicates(model: str, figures: Figures) -> None:
    """A line for each predicate, both dev files side by side, the most frequent first."""
    tables = [figures[file]["per_predicate"] for file in DEV]
    gold = Counter[str]()
    for table in tables:
        gold.update({name: row["gold"] for name, row in table.items()})

    def cells(row: dict[str, Any]) -> list[str]:
        return [str(row["gold"]), *(f"{row[key]:.3f}" for key in KEYS)] if row else [""] * 4

    lines = [
        [name, *chain(*(cells(table.get(name, {})) for table in tables))] for name, _ in gold.most_common()
    ]
    show(f"{model}: {' | '.join(DEV)}", ["predicate", *["gold", "P", "R", "F1"] * len(DEV)], lines)


def show(title: str, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """A table on standard output."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column in NAMES else "right", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    Console(width=120, highlight=False).print(table)


def update(path: Path, **parts: Any) -> None:
    """Replace parts of a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, (json.loads(path.read_text("utf-8")) if path.exists() else {}) | parts)


def write(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
    part.replace(path)


if __name__ == "__main__":
    try:
        run(main)
    except InputError as problem:
        sys.exit(f"{Path(__file__).name}: {problem}")
