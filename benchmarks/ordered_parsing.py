"""Trees of ON-LSTM and of LSTM of one size and budget, beside untrained ones and trees that need no model.

Each learns to predict the words of sentences, no trees, over so many epochs; texts and sizes are those of the
models that ship (`language_model_texts.py`, `recipes/lm-en.toml`, `recipes/lm-zh.toml`), which are read too.
English is scored on NLTK's sample of the Penn Treebank, Chinese on the Sinica Treebank in simplified letters:
none of their sentences is trained on. An interrupted run goes on where it stopped; finished models are not
trained again, nor is the one that ships, which is seed 0 if its epochs are asked for.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import cyclopts
import numpy as np
from language_model_texts import chinese, english
from machine import circumstances
from opencc import OpenCC
from rich import box
from rich.console import Console
from rich.table import Table

from supple.ordered.corpus import UNKNOWN
from supple.ordered.decoders import decode
from supple.ordered.files import read_json, write_json
from supple.ordered.language_model import LanguageModel
from supple.ordered.lm_training import fit
from supple.ordered.parsing import read_as, saturation, trees_of, untrained
from supple.ordered.scoring import score_parsers
from supple.ordered.treebank import Sentence, read_treebank
from supple.ordered.trees import Tree

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SUPPLE_DATA", HERE.parents[1] / "shared" / "data"))
KINDS: dict[str, dict[str, Any]] = {
    "onlstm": {},
    "lstm": {"layer": "lstm"},
    "paper": {"master_input": "paper"},
}
Figures = dict[str, Any]


class Language(NamedTuple):
    """A model that ships, what writes its text, gold trees, and how their words are spelt in the text."""

    model: str
    text: Callable[[Path], None]
    treebank: Path
    shortest: int  # words of a sentence; of one there is no tree
    spelling: Callable[[str], str] = str


LANGUAGES = {
    "penn": Language("en", english, DATA / "trees" / "treebank.zip", 1),
    "sinica": Language("zh", chinese, DATA / "trees" / "sinica_treebank.zip", 2, OpenCC("t2s").convert),
}


class Corpus(NamedTuple):
    """A folder of train.txt and valid.txt; gold trees; their words as texts have them; and who counts."""

    folder: Path
    sentences: list[Sentence]
    words: list[list[str]]
    slices: dict[str, list[int]]


def main(
    *,
    penn_epochs: int = 4,
    sinica_epochs: int = 3,
    seeds: int = 3,
    lstm_seeds: int | None = None,
    paper_seeds: int = 0,
    only: str = "",
    work: Path = HERE / "work" / "ordered",
    out: Path = HERE / "results" / "ordered_parsing.json",
) -> None:
    """Train and score all models: print tables, and write the figures as JSON.

    Args:
        penn_epochs: Training of each model of English, of 0.8 M words an epoch.
        sinica_epochs: The same of Chinese, of 2.1 M words an epoch.
        seeds: Models of each kind; an epoch takes a core 9 minutes, of Chinese 24. 0 for what ships alone.
        lstm_seeds: Models of LSTM, if not as many.
        paper_seeds: Models of ON-LSTM with the master input gate in the form of the paper.
        only: penn or sinica; both without it. What the JSON file has of the other stays.
        work: Folder for texts, models and checkpoints.
        out: The JSON file.
    """
    if not (DATA / "trees").is_dir():
        print(f"skipped: no trees/ in {DATA}; set SUPPLE_DATA to the folder that holds it")
        return
    report = json.loads(out.read_text("utf-8")) if only and out.exists() else {}
    counts = {"onlstm": seeds, "lstm": seeds if lstm_seeds is None else lstm_seeds, "paper": paper_seeds}
    for name, epochs in ("penn", penn_epochs), ("sinica", sinica_epochs):
        if only in ("", name):
            language = LANGUAGES[name]
            corpus = prepared(language, work / name)
            report[name] = measured(language, corpus, work / f"{name}-{epochs}", epochs, counts)
            report[name]["epochs"] = epochs
            show(name, report[name])
    report["machine"] = circumstances() | {"jax": version("jax")}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, report, indent=1)


def prepared(language: Language, folder: Path) -> Corpus:
    if not (folder / "valid.txt").exists():
        language.text(folder)
    sentences = [s for s in read_treebank(language.treebank) if len(s.words) >= language.shortest]
    words = [[language.spelling(word) for word in sentence.words] for sentence in sentences]
    short = [i for i, sentence in enumerate(sentences) if len(sentence.words) <= 10]
    return Corpus(folder, sentences, words, {"all": list(range(len(sentences))), "≤ 10 words": short})


def measured(
    language: Language, corpus: Corpus, folder: Path, epochs: int, seeds: Mapping[str, int]
) -> Figures:
    """The figures of every model; those of finished ones are read from the folder."""
    ships = LanguageModel.load(language.model)
    found: Figures = {"sentences": {name: len(places) for name, places in corpus.slices.items()}}
    found |= {"baselines": f1s(corpus, {}), "shipped": [figures(ships, corpus)]}
    train, valid = corpus.folder / "train.txt", corpus.folder / "valid.txt"
    for kind, count in seeds.items():
        for seed in range(count):
            place = folder / f"{kind}-{seed}"
            recipe = replace(ships.recipe, **KINDS[kind], epochs=epochs, seed=seed)
            if recipe != ships.recipe and not (place / "figures.json").exists():
                model = fit(recipe, train, valid, place, resume=True)
                write_json(place / "figures.json", figures(model, corpus) | effort(place))
            mine = read_json(place / "figures.json", dict) if recipe != ships.recipe else found["shipped"][0]
            found.setdefault(kind, []).append(mine)
    return found


def effort(folder: Path) -> Figures:
    """How long a model was trained."""
    with np.load(folder / "checkpoint" / "state.npz") as file:
        numbers = json.loads(str(file["numbers"]))
    minutes = sum(report["seconds"] for report in numbers["reports"]) / 60
    return {"minutes": minutes, "steps": numbers["steps"]}


def figures(model: LanguageModel, corpus: Corpus) -> Figures:
    """Perplexities, F1 of the model and of its like untrained, and how saturated its levels are."""
    words = [read_as(row, model.vocabulary) for row in corpus.words]
    before, levels = (each.all_levels(words) for each in (untrained(model), model))  # of layer 0 the renewal
    return {
        "parameters": model.network.count_params(),
        "valid": model.evaluate(corpus.folder / "valid.txt").perplexity,
        "unknown": mean(word == UNKNOWN for row in words for word in row),
        "untrained": f1s(corpus, all_trees(before)),
        "trained": f1s(corpus, all_trees(levels)),
        "saturation": {
            f"layer {layer}" if layer else "renewal": saturation([rows[layer] for rows in levels])._asdict()
            for layer in range(model.recipe.layers + 1)
        },
    }


def all_trees(levels: list[np.ndarray]) -> dict[str, list[Tree]]:
    """Those of the renewal, those of every layer, either way up, and of the mean of layers.

    And of the renewal rounded, so that near ones are ties: if the order of saturated levels says something,
    these are worse.
    """
    upside_down = {
        f"layer -{layer}, unbiased": [decode(-rows[layer]) for rows in levels]
        for layer in range(1, len(levels[0]))
    }
    return {
        **trees_of(levels),
        **upside_down,
        "renewal rounded to .001, unbiased": [decode(rows[0].round(3)) for rows in levels],
        "mean of layers, unbiased": [decode(rows[1:].mean(0)) for rows in levels],
    }


def f1s(corpus: Corpus, trees: Mapping[str, list[Tree]]) -> dict[str, dict[str, float]]:
    """F1 in percent, by parser and by which sentences count; of baselines without trees."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, places in corpus.slices.items():
        kept = {parser: [each[i] for i in places] for parser, each in trees.items()}
        scores = score_parsers([corpus.sentences[i] for i in places], kept)
        for parser in trees or scores:
            found[parser][name] = 100 * scores[parser].f1
    return found


def show(name: str, found: Figures) -> None:
    """Three tables: perplexities, F1, saturation; of models the mean ± deviation over seeds."""
    models = {kind: found[kind] for kind in ("shipped", *KINDS) if kind in found}
    console = Console(width=100, highlight=False)
    title = f"{name}: {found['epochs']} epochs each"
    table = titled(title, "model", "seeds", "parameters", "minutes", "perplexity", "unknown words")
    for kind, runs in models.items():
        minutes = spread([run["minutes"] for run in runs if "minutes" in run])
        perplexity, unknown = spread([run["valid"] for run in runs]), f"{100 * runs[0]['unknown']:.1f}%"
        parameters = f"{runs[0]['parameters']:,}"
        table.add_row(kind, str(len(runs)), parameters, minutes, perplexity, unknown)
    console.print(table)
    table = titled("F1", "parser", *(f"{each} ({count:,})" for each, count in found["sentences"].items()))
    for parser, f1 in found["baselines"].items():
        table.add_row(parser, *(f"{value:.1f}" for value in f1.values()))
    for kind, runs in models.items():
        for state in "untrained", "trained":
            table.add_section()
            for parser in runs[0][state]:
                row = (spread([run[state][parser][each] for run in runs]) for each in found["sentences"])
                table.add_row(f"{kind} {state}, {parser}", *row)
    console.print(table)
    table = titled("levels", "", "within .001 of another", "equal to another", "5%", "50%", "95%")
    for kind, runs in models.items():
        for each, values in runs[0]["saturation"].items():
            row = (spread([run["saturation"][each][key] for run in runs], 3) for key in values)
            table.add_row(f"{kind}, {each}", *row)
    console.print(table)


def titled(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def spread(values: list[float], places: int = 1) -> str:
    """The mean, and the deviation if there are several; nothing if there are none."""
    if not values:
        return ""
    shown = f"{mean(values):.{places}f}"
    return shown if len(values) < 2 else f"{shown} ± {stdev(values):.{places}f}"


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
