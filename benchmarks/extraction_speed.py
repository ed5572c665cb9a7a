"""How fast extraction runs here: streams, one sentence, start-up, memory, against BERT-base and the peak.

What is compared runs in turn, round after round in one process, so that a slow moment of the machine hits
all. Rates are medians over the rounds, the peak is the best of them. Takes ten minutes on an idle machine.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import bert
import cyclopts
import numpy as np
from footprint import fresh_process, installation
from machine import CORES, Run, alternate, circumstances, graph_flops, peak_runs, side_by_side, timed
from rich import box
from rich.console import Console
from rich.table import Table

from supple import __version__
from supple.cli.demo import SENTENCES
from supple.errors import InputError
from supple.runtime import Extractor
from supple.runtime.folder import Config, read_config, read_vocabulary
from supple.runtime.session import OnnxSession
from supple.runtime.text import pieces
from supple.shipped import find_model

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SUPPLE_DATA", HERE.parents[1] / "shared" / "data"))
BATCH = 16, 64  # sentences and characters: what a stream gives the encoder at once
WINDOW = 256
Flag = Annotated[bool, cyclopts.Parameter(negative=())]
Figures = dict[str, Any]


class Size(NamedTuple):
    """How much is measured."""

    sentences: int | None = None
    rounds: int = 5
    matrix: int = 2048
    batches: int = 256


class Key(NamedTuple):
    """Who runs what, on how many cores."""

    who: str
    what: str
    cores: int = CORES


class Corpus(NamedTuple):
    """Sentences, and the pieces of them that a network is given."""

    name: str
    sentences: list[str]
    pieces: list[str]

    @property
    def characters(self) -> int:
        """All those that a network is given."""
        return sum(map(len, self.pieces))


class Model(NamedTuple):
    """A model folder, its settings, and a batch for its encoder."""

    folder: Path
    config: Config
    batch: dict[str, np.ndarray]


def main(
    *,
    model: str = "zh",
    fast: str = "zh-fast",
    install: Flag = False,
    quick: Flag = False,
    out: Path = HERE / "results" / "extraction_speed.json",
) -> None:
    """Measure both models, BERT-base and the peak: print a table, and write the figures as JSON.

    Args:
        model: Name or folder of the full model.
        fast: Name or folder of the fast model.
        install: Also weigh the base package, installed into a temporary folder; needs the package index.
        quick: A smoke run on a few sentences; its figures mean nothing and are only printed.
        out: The JSON file.
    """
    size, load = Size(40, 1, 256, 4) if quick else Size(), os.getloadavg()
    report: Figures = {"installed_mib": installation(HERE.parent)} if install else {}
    corpus = read_corpus(size.sentences)
    models, skipped = open_models({"full": model, "fast": fast}, corpus)
    report |= measure(models, corpus, size) | skipped
    report["corpus"] = {"name": corpus.name, "sentences": len(corpus.sentences)}
    report["machine"] = circumstances() | {"supple": __version__, "load": [load, os.getloadavg()]}
    report = json.loads(json.dumps(report), parse_float=lambda digits: float(f"{float(digits):.4g}"))
    show(report)
    if not quick:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", "utf-8")


def measure(models: dict[str, Model], corpus: Corpus, size: Size) -> Figures:
    """The peak, BERT-base and the models, timed in turn; then what each model is timed for alone."""
    setting = bert.fastest(corpus.pieces[::5], CORES)
    runs = {Key("peak", *key): run for key, run in peak_runs(size.matrix).items()}
    runs[Key("BERT-base", "stream")] = bert.runner(corpus.pieces, setting)
    for name, model in models.items():
        runs |= model_runs(name, model, corpus, size.batches)
    seconds = alternate(runs, size.rounds)

    speeds = {key: 8 * size.matrix**3 * key.cores / min(seconds[key]) for key in runs if key.who == "peak"}
    peak = max(speed for key, speed in speeds.items() if key.cores == CORES)
    found = {
        "peak_gflop_per_s": {f"{key.what}_{key.cores}_cores": speed / 1e9 for key, speed in speeds.items()},
        "BERT-base": bert_figures(setting, corpus, seconds, peak),
    }
    for name, model in models.items():
        batch, stream = (median(seconds[Key(name, what)]) for what in ("encoder", "stream"))
        found[name] = stream_figures(name, corpus, seconds) | {
            "encoder": encoder_figures(model, corpus, batch / size.batches, stream, peak),
            "one_sentence": latency(Extractor.load(model.folder), corpus.sentences),
            "fresh_process": fresh_process(model.folder, corpus.sentences, size.rounds),
        }
    return found


def read_corpus(count: int | None) -> Corpus:
    """The first sentences of the dev file; without it those of the demo, again and again."""
    path = DATA / "duie" / "dev_duie2.jsonl"
    name, sentences = "sentences of supple demo", (SENTENCES * 90)[:count]
    if path.exists():
        lines = path.read_text("utf-8").splitlines()[:count]
        name, sentences = path.name, [json.loads(line)["text"] for line in lines]
    return Corpus(name, sentences, [piece for text in sentences for _, piece in pieces(text, WINDOW)])


def open_models(names: dict[str, str], corpus: Corpus) -> tuple[dict[str, Model], Figures]:
    """The models that are there, and why others are left out."""
    models: dict[str, Model] = {}
    skipped: Figures = {}
    for name, place in names.items():
        try:
            folder = find_model(place)
            config = read_config(folder)
            models[name] = Model(folder, config, full_batch(folder, config, "".join(corpus.pieces)))
        except InputError as problem:
            skipped[name] = {"skipped": str(problem)}
    return models, skipped


def full_batch(folder: Path, config: Config, text: str) -> dict[str, np.ndarray]:
    """Inputs of `encode.onnx` without padding, cut from a text."""
    vocabulary = read_vocabulary(folder)
    batch = {"characters": np.resize(vocabulary.character_ids(text), BATCH)}
    if config.words:
        batch["words"] = np.resize(vocabulary.word_ids(text), BATCH)
    if config.prior:
        batch["subject_prior"] = np.zeros((*BATCH, 2), np.float32)
    return batch


def model_runs(name: str, model: Model, corpus: Corpus, batches: int) -> dict[Key, Run]:
    """Streams on one core and on all, and full batches through the encoder alone."""
    session = OnnxSession(model.folder, model.config)

    def stream(extractor: Extractor) -> None:
        for _ in extractor.stream(corpus.sentences):
            pass

    def encode(_: int) -> None:
        session.encode(**model.batch)

    runs: dict[Key, Run] = {Key(name, "encoder"): partial(side_by_side, encode, range(batches), CORES)}
    for cores in sorted({1, CORES}):
        runs[Key(name, "stream", cores)] = partial(stream, Extractor.load(model.folder, threads=cores))
    return runs


def rates(corpus: Corpus, seconds: list[float]) -> Figures:
    """Sentences and characters a second, and the seconds of each round."""
    middle = median(seconds)
    per_second = len(corpus.sentences) / middle, corpus.characters / middle
    return dict(zip(("sentences_per_s", "characters_per_s", "seconds"), (*per_second, seconds), strict=True))


def bert_figures(
    setting: bert.Setting, corpus: Corpus, seconds: dict[Key, list[float]], peak: float
) -> Figures:
    """The peer's rate on all cores, and its setting."""
    figures = rates(corpus, seconds[Key("BERT-base", "stream")])
    flops = bert.FLOPS * figures["characters_per_s"]
    return figures | {"fraction_of_peak": flops / peak, "fastest_setting": setting._asdict()}


def stream_figures(name: str, corpus: Corpus, seconds: dict[Key, list[float]]) -> Figures:
    """A model's rates, and how many times the peer's rate that is, on all cores."""
    ours, theirs = (seconds[Key(who, "stream")] for who in (name, "BERT-base"))
    streams = {
        f"stream_{key.cores}_cores": rates(corpus, times)
        for key, times in seconds.items()
        if (key.who, key.what) == (name, "stream")
    }
    by_round = [their / our for our, their in zip(ours, theirs, strict=True)]
    return streams | {"times_BERT-base": {"medians": median(theirs) / median(ours), "by_round": by_round}}


def encoder_figures(model: Model, corpus: Corpus, batch: float, stream: float, peak: float) -> Figures:
    """How near the peak the encoder comes, from the seconds of a full batch and of the stream; all cores."""
    flops, lengths = graph_flops(model.folder / "encode.onnx", model.batch), model.config.lengths
    padded = sum(lengths[bisect_left(lengths, len(piece))] for piece in corpus.pieces)
    per_character = flops / model.batch["characters"].size
    floor = per_character * corpus.characters / peak
    thousands = len(corpus.sentences) / 1000
    return {
        "mflop_per_character": per_character / 1e6,
        "fraction_of_peak_alone": flops / batch / peak,
        "fraction_of_peak_in_stream": floor / stream,
        "floor_ms_per_1000": 1000 * floor / thousands,
        "stream_ms_per_1000": 1000 * stream / thousands,
        "padding_in_stream": 1 - corpus.characters / padded,
    }


def latency(extractor: Extractor, sentences: list[str]) -> Figures:
    """Milliseconds from a sentence to its triples, one call after the other."""
    seconds = [timed(partial(extractor, text)) for text in [*sentences[:20], *sentences]][20:]
    return {f"p{percent}_ms": 1000 * float(np.percentile(seconds, percent)) for percent in (50, 99)}


def show(report: Figures) -> None:
    """A table: ruled on a terminal, plain elsewhere."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, show_header=False)
    for name, figures in report.items():
        table.add_row(f"[bold]{name.replace('_', ' ')}")
        for label, value in leaves(figures):
            table.add_row(f"  {label}", value)
        table.add_section()
    console.print(table)


def leaves(figures: Figures, path: str = "") -> Iterator[tuple[str, str]]:
    """Every figure, named by the way to it."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}: ")
        else:
            yield f"{path}{name}".replace("_", " "), shown(value)


def shown(value: Any) -> str:
    """A value for people: thousands apart, three digits of a fraction."""
    if isinstance(value, list):
        return "  ".join(map(shown, value))
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    cyclopts.run(main)
