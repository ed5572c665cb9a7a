"""Trees of ON-LSTM and of LSTM of one size and budget, beside untrained ones and trees that need no model.

Each learns to predict the words of sentences, no trees, over so many epochs, and is of the size that ships.
English: the Penn Treebank's usual text without lines 2 to 3911, which are the sentences of NLTK's sample, on
whose trees it is scored. Chinese: words of the Sinica Treebank, of which a tenth, by a hash of the sentence,
is held out. An interrupted run goes on where it stopped; finished models are not trained again.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import cyclopts
import numpy as np
from machine import circumstances
from rich import box
from rich.console import Console
from rich.table import Table

from supple.ordered.corpus import read_sentences
from supple.ordered.decoders import decode
from supple.ordered.files import write_json
from supple.ordered.language_model import LanguageModel
from supple.ordered.lm_training import fit
from supple.ordered.parsing import read_as, saturation, trees_of, untrained
from supple.ordered.recipes import RECIPES, changed
from supple.ordered.scoring import score_parsers
from supple.ordered.treebank import Sentence, read_treebank
from supple.ordered.trees import Tree

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SUPPLE_DATA", HERE.parents[1] / "shared" / "data")) / "trees"
SAMPLE = slice(1, 3911)  # lines of the training text that are NLTK's sample
LAYERS = "onlstm", "lstm"
SIZES = {"embedding": 160, "hidden": 320}
Figures = dict[str, Any]


class Corpus(NamedTuple):
    """A folder of train.txt, valid.txt and test.txt; gold trees; and the places of those that count."""

    folder: Path
    sentences: list[Sentence]
    slices: dict[str, list[int]]


def main(
    *,
    penn_epochs: int = 3,
    sinica_epochs: int = 15,
    seeds: int = 3,
    only: str = "",
    work: Path = HERE / "work" / "ordered",
    out: Path = HERE / "results" / "ordered_parsing.json",
) -> None:
    """Train and score all models: print tables, and write the figures as JSON.

    Args:
        penn_epochs: Training of each model of English; an epoch takes some four minutes on two cores.
        sinica_epochs: The same of Chinese, whose epochs are a tenth as long.
        seeds: Models of each kind.
        only: penn or sinica; both without it. What the JSON file has of the other stays.
        work: Folder for models and checkpoints.
        out: The JSON file.
    """
    needed = [DATA / name for name in ("ptb.train.txt", "treebank.zip", "sinica_treebank.zip")]
    if missing := [str(path) for path in needed if not path.exists()]:
        print(f"skipped: no {', '.join(missing)}; set SUPPLE_DATA to the folder of trees/")
        return
    report = json.loads(out.read_text("utf-8")) if only and out.exists() else {}
    for name, prepare, epochs in (("penn", penn, penn_epochs), ("sinica", sinica, sinica_epochs)):
        if only in ("", name):
            corpus = prepare(work / name)
            report[name] = measured(corpus, work / f"{name}-{epochs}", epochs, seeds)
            report[name]["budget"] = {"epochs": epochs, "seeds": seeds}
            show(name, report[name])
    report["machine"] = circumstances() | {"jax": version("jax")}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, report, indent=1)


def penn(folder: Path) -> Corpus:
    lines = list(read_sentences(DATA / "ptb.train.txt", "spaces"))
    valid, test = (list(read_sentences(DATA / f"ptb.{part}.txt", "spaces")) for part in ("valid", "test"))
    write(folder, train=lines[: SAMPLE.start] + lines[SAMPLE.stop :], valid=valid, test=test)
    sentences = list(read_treebank(DATA / "treebank.zip"))
    short = [i for i, sentence in enumerate(sentences) if len(sentence.words) <= 10]
    return Corpus(folder, sentences, {"all": list(range(len(sentences))), "≤ 10 words": short})


def sinica(folder: Path) -> Corpus:
    """Of 20 parts two are for the test, and one is for validation; of one word there is no tree."""
    sentences = list(read_treebank(DATA / "sinica_treebank.zip"))
    parts = [zlib.crc32(" ".join(sentence.words).encode()) % 20 for sentence in sentences]
    words: dict[str, list[list[str]]] = {"test": [], "valid": [], "train": []}
    for sentence, part in zip(sentences, parts, strict=True):
        words["test" if part < 2 else "valid" if part == 2 else "train"].append(sentence.words)
    write(folder, **words)
    longer = [i for i, sentence in enumerate(sentences) if len(sentence.words) > 1]
    held_out = [i for i in longer if parts[i] < 2]
    return Corpus(folder, sentences, {"held out": held_out, "all": longer})


def write(folder: Path, **texts: Iterable[list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, sentences in texts.items():
        lines = "".join(" ".join(words) + "\n" for words in sentences)
        (folder / f"{name}.txt").write_text(lines, "utf-8")


def measured(corpus: Corpus, folder: Path, epochs: int, seeds: int) -> Figures:
    """The figures of every model; those of finished ones are read from the folder."""
    found: Figures = {"sentences": {name: len(places) for name, places in corpus.slices.items()}}
    found |= {"baselines": f1s(corpus, {})} | {layer: [] for layer in LAYERS}
    train, valid = corpus.folder / "train.txt", corpus.folder / "valid.txt"
    for seed in range(seeds):
        for layer in LAYERS:
            recipe = changed(RECIPES["short"], SIZES | {"layer": layer, "epochs": epochs, "seed": seed})
            place = folder / f"{layer}-{seed}"
            if not (place / "figures.json").exists():
                model = fit(recipe, train, valid, place, resume=True)
                write_json(place / "figures.json", figures(model, corpus) | effort(place))
            found[layer].append(json.loads((place / "figures.json").read_text("utf-8")))
    return found


def effort(folder: Path) -> Figures:
    """How long a model was trained."""
    with np.load(folder / "checkpoint" / "state.npz") as file:
        numbers = json.loads(str(file["numbers"]))
    minutes = sum(report["seconds"] for report in numbers["reports"]) / 60
    return {"minutes": minutes, "steps": numbers["steps"]}


def figures(model: LanguageModel, corpus: Corpus) -> Figures:
    """Perplexities, F1 of the model and of its like untrained, and how saturated its levels are."""
    words = [read_as(sentence.words, model.vocabulary) for sentence in corpus.sentences]
    before, levels = (each.all_levels(words) for each in (untrained(model), model))
    return {
        "parameters": model.network.count_params(),
        **{part: model.evaluate(corpus.folder / f"{part}.txt").perplexity for part in ("valid", "test")},
        "untrained": f1s(corpus, all_trees(before)),
        "trained": f1s(corpus, all_trees(levels)),
        "saturation": {
            f"layer {layer}": saturation([rows[layer - 1] for rows in levels])._asdict()
            for layer in range(1, model.recipe.layers + 1)
        },
    }


def all_trees(levels: list[np.ndarray]) -> dict[str, list[Tree]]:
    """Besides those of layers and decoders: of levels rounded, so that near ones are ties, and of their mean.

    If the order of saturated levels says something, rounded ones are worse.
    """
    rounded = trees_of([rows.round(3) for rows in levels])
    return {
        **trees_of(levels),
        **{f"{name}, rounded to .001": each for name, each in rounded.items() if "unbiased" in name},
        "mean of layers, unbiased": [decode(rows.mean(0)) for rows in levels],
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
    budget, models = found["budget"], {layer: found[layer] for layer in LAYERS}
    console = Console(width=100, highlight=False)
    title = f"{name}: {budget['seeds']} seeds, {budget['epochs']} epochs each"
    table = titled(title, "model", "parameters", "minutes", "valid", "test")
    for layer, runs in models.items():
        keys = "minutes", "valid", "test"
        table.add_row(
            layer, f"{runs[0]['parameters']:,}", *(spread([run[key] for run in runs]) for key in keys)
        )
    console.print(table)
    table = titled("F1", "parser", *(f"{each} ({count:,})" for each, count in found["sentences"].items()))
    for parser, f1 in found["baselines"].items():
        table.add_row(parser, *(f"{value:.1f}" for value in f1.values()))
    for layer, runs in models.items():
        for state in "untrained", "trained":
            table.add_section()
            for parser in runs[0][state]:
                row = (spread([run[state][parser][each] for run in runs]) for each in found["sentences"])
                table.add_row(f"{layer} {state}, {parser}", *row)
    console.print(table)
    table = titled("levels", "", "within .001 of another", "equal to another", "5%", "50%", "95%")
    for layer, runs in models.items():
        for each, values in runs[0]["saturation"].items():
            row = (spread([run["saturation"][each][key] for run in runs], 3) for key in values)
            table.add_row(f"{layer}, {each}", *row)
    console.print(table)


def titled(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def spread(values: list[float], places: int = 1) -> str:
    """The mean, and the deviation if there are several."""
    shown = f"{mean(values):.{places}f}"
    return shown if len(values) < 2 else f"{shown} ± {stdev(values):.{places}f}"


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
