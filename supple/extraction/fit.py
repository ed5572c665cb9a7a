"""Training: rows in, a model folder out; an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from supple.errors import InputError
from supple.extraction.augment import Augmenter
from supple.extraction.batches import LENGTHS, Batches, Labels, arrays
from supple.extraction.corpus import Example, fold, read_examples
from supple.extraction.network import NetworkConfig, TripleNetwork
from supple.extraction.schema import Schema, read_schema
from supple.extraction.session import KerasSession
from supple.extraction.settings import Settings, read_settings
from supple.extraction.vocabulary import (
    Lexicon,
    build_lexicon,
    initial_characters,
    load_lexicon,
    save_lexicon,
)
from supple.runtime import Extractor
from supple.runtime.decode import Calibration, Thresholds
from supple.runtime.folder import Config
from supple.runtime.metric import score
from supple.runtime.prior import Prior
from supple.runtime.text import pieces
from supple.training import WeightAverage
from supple.training.average import assign

WARMUP = 10  # of the average: its decay after n steps is at most n / (n + WARMUP)
FULL = (1, 2, 5, 1, 2, 5, 1, 2, 5, 1, 1, 1)
FAST = (1, 2, 5, 1, 1, 1)


def train(
    config: Path | None, *, train: Iterable[Path], dev: Path, schema: Path, out: Path, resume: bool = False
) -> None:
    """Train on the rows of files and export to the folder `out`; see `train_rows`."""
    relations = read_schema(schema)
    rows = [row for path in train for row in read_examples(path, relations)]
    train_rows(read_settings(config), relations, rows, list(read_examples(dev, relations)), out, resume)


def train_rows(
    settings: Settings,
    schema: Schema,
    rows: list[Example],
    dev: list[Example],
    out: Path,
    resume: bool = False,
) -> None:
    """Train on `rows`, measure on `dev` after every epoch, and export the best averaged weights to `out`.

    `out/checkpoint` holds all that `resume` needs to go on as if there had been no interruption.
    """
    rows = [piece for row in rows for piece in shortened(row)]
    folder = out / "checkpoint"
    begin(folder, settings, resume)
    if not (folder / "lexicon.npz").exists():
        save_lexicon(build_lexicon([row.text for row in rows], settings), folder / "lexicon.npz")
    lexicon = load_lexicon(folder / "lexicon.npz")
    prior = prior_of(rows, lexicon, settings)
    labels = Labels(schema, lexicon.vocabulary, bool(lexicon.words), prior, settings.spans)
    network = build(settings, lexicon, schema)
    fit(network, settings, labels, rows, dev, folder / "state.npz")
    if keras.backend.backend() != "jax":
        print(f"Trained on {keras.backend.backend()}; to export, resume with KERAS_BACKEND=jax.")
        return
    from supple.extraction.export import export

    export(network, settings, lexicon, schema, prior, dev, out)


def begin(folder: Path, settings: Settings, resume: bool) -> None:
    """Make the checkpoint's folder ready; InputError if what it holds is of another training."""
    known, fixed = folder / "settings.json", fixed_settings(settings)
    if resume and known.exists():
        # A setting that was added since had its default.
        before = fixed_settings(Settings()) | json.loads(known.read_text("utf-8"))
        if changed := [name for name in fixed if before[name] != fixed[name]]:
            problem = f"was begun with another {', '.join(changed)}; take it back, or name another folder"
            raise InputError(problem, path=folder)
        return
    if (folder / "state.npz").exists():
        mend = "put its settings.json back" if resume else "give --resume to go on with it"
        raise InputError(f"holds a training: {mend}, or name another folder", path=folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lexicon.npz").unlink(missing_ok=True)
    known.write_text(json.dumps(fixed, ensure_ascii=False, indent=1), "utf-8")


def fixed_settings(settings: Settings) -> dict[str, Any]:
    """The settings that an interrupted training must be resumed with, as JSON has them."""
    return json.loads(json.dumps(asdict(settings) | {"epochs": None, "patience": None}))


def shortened(row: Example) -> list[Example]:
    """A row as it is if a batch can hold it, else its pieces, each with the facts that lie in it."""
    if len(row.text) <= LENGTHS[-1]:
        return [row]
    texts = [text for _, text in pieces(row.text, LENGTHS[-1])]
    return [
        row._replace(
            text=text,
            facts=tuple(
                f for f in row.facts if fold(f.subject) in fold(text) and fold(f.object) in fold(text)
            ),
        )
        for text in texts
    ]


def trained(out: Path) -> tuple[TripleNetwork, Labels]:
    """The network that a training left in the folder `out`, its weights the best, and what makes its inputs.

    To look into it with `supple.training`; without the prior's triples, if it had any.
    """
    folder = out / "checkpoint"
    try:
        known = json.loads((folder / "settings.json").read_text("utf-8"))
        settings = Settings(**{name: value for name, value in known.items() if value is not None})
        lexicon, schema = load_lexicon(folder / "lexicon.npz"), read_schema(out / "schema.json")
        with np.load(folder / "state.npz") as file:
            best = [file[name] for name in file.files if name.startswith("best/")]
    except FileNotFoundError as error:
        raise InputError(f"has no {Path(error.filename).name}; train to its end first", path=out) from None
    network = build(settings, lexicon, schema)
    assign(network.trainable_variables, best)
    prior = Prior([]) if settings.prior else None
    return network, Labels(schema, lexicon.vocabulary, bool(lexicon.words), prior, settings.spans)


def prior_of(rows: list[Example], lexicon: Lexicon, settings: Settings) -> Prior | None:
    """The dictionary of all training triples, if the settings want one."""
    if not settings.prior:
        return None
    return Prior((fact for row in rows for fact in row.facts), lexicon.vocabulary.fold)


def build(settings: Settings, lexicon: Lexicon, schema: Schema) -> TripleNetwork:
    """A network with its initial weights."""
    keras.utils.set_random_seed(settings.seed)
    config = NetworkConfig(
        characters=len(lexicon.characters) + 2,
        predicates=len(schema.predicates),
        words=len(lexicon.words) + 1 if lexicon.words else 0,
        word_size=lexicon.vectors.shape[1],
        prior=settings.prior,
        form=settings.form,
        dilations=FAST if settings.form == "fast" else FULL,
    )
    network = TripleNetwork(config)
    labels = Labels(schema, lexicon.vocabulary, bool(lexicon.words), Prior([]) if settings.prior else None)
    network(arrays([], labels, 1, LENGTHS[0], np.random.default_rng(0))[0])
    if lexicon.words:
        network.word.set_weights([np.concatenate([np.zeros((1, config.word_size)), lexicon.vectors])])
    if settings.character_vectors:
        rng = np.random.default_rng(settings.seed)
        start = initial_characters(lexicon.characters, settings.character_vectors, config.width, rng)
        network.character.set_weights([np.concatenate([np.zeros((2, config.width)), 0.1 * start])])
    return network


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up over an epoch, then half a cosine down to a hundredth."""

    def __init__(self, peak: float, steps: int, epochs: int):
        self.peak, self.steps, self.epochs = peak, steps, epochs

    def __call__(self, step: Any) -> Any:
        done = (ops.cast(step, "float32") + 1) / self.steps  # in epochs
        falling = ops.clip((done - 1) / max(self.epochs - 1, 1), 0, 1)
        return self.peak * ops.minimum(done, 0.01 + 0.99 * (1 + ops.cos(math.pi * falling)) / 2)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "steps": self.steps, "epochs": self.epochs}


def fit(
    network: TripleNetwork,
    settings: Settings,
    labels: Labels,
    rows: list[Example],
    dev: list[Example],
    state: Path,
) -> None:
    """Train epoch by epoch, to the last or until `patience` of them brought nothing better; keep the best.

    Everything is saved to the file `state` after each epoch, and read from it first if it exists.
    """
    augment = Augmenter(rows, settings.augment) if settings.augment else None
    size, seed = settings.batch_characters, settings.seed
    data = Batches(rows, labels, characters=size, seed=seed, augment=augment)
    schedule = Schedule(settings.learning_rate, len(data), settings.epochs)
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    network.compile(optimizer)
    optimizer.build(network.trainable_variables)
    variables = [*network.variables, *optimizer.variables]
    averaging = WeightAverage(settings.average, warmup=WARMUP)
    averaging.set_model(network)
    average = averaging.average
    reports: list[dict[str, float]] = []
    best: list[np.ndarray] = []
    if state.exists():
        reports, best, averaged = load(state, variables)
        average.restore(averaged)
    extractor = extractor_of(network, settings, labels)
    while len(reports) < settings.epochs and stale(reports) < settings.patience:
        epoch, began = len(reports), time.perf_counter()
        data.epoch = epoch
        if epoch >= settings.epochs - settings.soft_f1 and not network.soft_f1:
            network.soft_f1 = True
            network.compile(optimizer)
        callbacks = [averaging] if settings.average else []
        fitted = network.fit(data, initial_epoch=epoch, epochs=epoch + 1, shuffle=False, callbacks=callbacks)
        seconds = time.perf_counter() - began
        with average.applied() if settings.average else nullcontext():
            found = extractor.stream((row.text for row in dev), batch_characters=settings.batch_characters)
            figures = score(dev, found).micro._asdict()
            weights = numpy(network.trainable_variables)
        reports.append({"loss": fitted.history["loss"][-1]} | figures | {"seconds": seconds})
        print("  ".join(f"{name} {value:.4g}" for name, value in reports[-1].items()), flush=True)
        best = best if stale(reports) else weights
        save(state, variables, average.state(), reports, best)
    assign(network.trainable_variables, best)


def stale(reports: list[dict[str, float]]) -> int:
    """How many epochs ago the best F1 was."""
    scores = [report["f1"] for report in reports]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def extractor_of(network: TripleNetwork, settings: Settings, labels: Labels) -> Extractor:
    """A network in training as an extractor, with thresholds as published."""
    config = Config(
        name=settings.name,
        predicates=list(labels.schema.predicates),
        words=labels.words,
        prior=settings.prior,
        window=LENGTHS[-1],
        thresholds=Thresholds(),
        calibration=Calibration(),
        lengths=list(LENGTHS),
    )
    session, mirrors = KerasSession(network, settings.batch_characters), labels.schema.mirrors
    return Extractor(config, labels.vocabulary, session, mirrors=mirrors, prior=labels.prior, threads=1)


def numpy(variables: Iterable[Any]) -> list[np.ndarray]:
    """The values of variables."""
    return [ops.convert_to_numpy(variable) for variable in variables]


def save(
    path: Path,
    variables: list[Any],
    average: dict[str, np.ndarray],
    reports: list[dict[str, float]],
    best: list[np.ndarray],
) -> None:
    """Write a checkpoint, whole or not at all."""
    part = path.with_suffix(".part.npz")
    values: dict[str, Any] = {f"variable/{i}": value for i, value in enumerate(numpy(variables))}
    values |= {f"best/{i}": value for i, value in enumerate(best)}
    values |= {f"average/{name}": value for name, value in average.items()}
    np.savez(part, reports=np.array(json.dumps(reports)), **values)
    os.replace(part, path)


def load(
    path: Path, variables: list[Any]
) -> tuple[list[dict[str, float]], list[np.ndarray], dict[str, np.ndarray]]:
    """Set variables to the values that `save` wrote; its reports, best weights and average."""
    with np.load(path) as file:
        reports = json.loads(str(file["reports"]))
        parts = [name.partition("/") for name in file.files]
        values, best, average = (
            {name: file[f"{kind}/{name}"] for own, _, name in parts if own == kind}
            for kind in ("variable", "best", "average")
        )
    if [value.shape for value in values.values()] != [tuple(variable.shape) for variable in variables]:
        problem = "was begun with another schema; take it back, or name another folder"
        raise InputError(problem, path=path)
    assign(variables, values.values())
    return reports, list(best.values()), average
