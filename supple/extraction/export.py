"""A trained network as a model folder: graphs, settings, vocabulary, schema and card."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from supple import __version__
from supple.extraction.corpus import Example
from supple.extraction.graphs import write_graphs
from supple.extraction.network import TripleNetwork
from supple.extraction.schema import Schema, write_schema
from supple.extraction.settings import Settings
from supple.extraction.tune import best_calibration, calibration_error, judged, tune_thresholds
from supple.extraction.vocabulary import Lexicon
from supple.runtime import Extractor
from supple.runtime.decode import Calibration, Thresholds, calibrate
from supple.runtime.folder import FORMAT, read_config
from supple.runtime.metric import Score, score
from supple.runtime.prior import Prior
from supple.runtime.session import OnnxSession

WINDOW = 256  # longest piece of text that the network is given
LENGTHS = (16, 32, 48, 64, 80, 96, 128, 192, WINDOW)  # pieces are padded to these


def export(
    network: TripleNetwork,
    settings: Settings,
    lexicon: Lexicon,
    schema: Schema,
    prior: Prior | None,
    dev: list[Example],
    out: Path,
) -> None:
    """Write the model folder `out`, its thresholds and calibration tuned on `dev`; print the score there."""
    print("Exporting to ONNX", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    round_weights(network)
    write_graphs(network, out)
    write_schema(schema, out / "schema.json")
    known = {"characters": lexicon.characters, "aliases": lexicon.aliases, "words": lexicon.words}
    write_json(out / "vocabulary.json", known, indent=None)
    if prior:
        write_json(out / "prior.json", list(prior.counts), indent=None)
    config = {
        "format": FORMAT,
        "name": settings.name,
        "predicates": list(schema.predicates),
        "words": bool(lexicon.words),
        "prior": prior is not None,
        "window": WINDOW,
        "lengths": list(LENGTHS),
        "thresholds": Thresholds()._asdict(),
        "calibration": Calibration()._asdict(),
    }
    write_json(out / "config.json", config)
    vocabulary, session = lexicon.vocabulary, OnnxSession(out, read_config(out))

    def extractor(**changed: Any) -> Extractor:
        settled = read_config(out)._replace(**changed)
        return Extractor(settled, vocabulary, session, mirrors=schema.mirrors, prior=prior)

    thresholds = tune_thresholds(lambda tried: extractor(thresholds=tried), dev)
    scores, right = judged(extractor(thresholds=thresholds), dev)
    calibration = best_calibration(scores, right)
    tuned = {"thresholds": thresholds._asdict(), "calibration": calibration._asdict()}
    write_json(out / "config.json", config | tuned)
    result = score(dev, Extractor.load(out).stream(row.text for row in dev))
    errors = [calibration_error(values, right) for values in (scores, calibrate(scores, calibration))]
    (out / "README.md").write_text(card(settings, network, result, errors), "utf-8")
    precision, recall, f1 = result.micro
    print(f"{out}: precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f} with tuned thresholds")


def round_weights(network: TripleNetwork) -> None:
    """Round weights to half precision, as the graphs store them, so that both give the same probabilities."""
    for variable in network.weights:
        if variable.dtype == "float32":
            variable.assign(ops.convert_to_numpy(variable).astype(np.float16))


def write_json(path: Path, content: Any, indent: int | None = 1) -> None:
    """Write JSON with Chinese as it is."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=indent) + "\n", "utf-8")


def card(settings: Settings, network: TripleNetwork, result: Score, errors: list[float]) -> str:
    """A model card: what the model is, how it was trained, how well it does."""
    changed = {
        field.name: value.rpartition("/")[2] if isinstance(value, str) else value  # names of files, not paths
        for field in fields(settings)
        if (value := getattr(settings, field.name)) != field.default
    }
    precision, recall, f1 = result.micro
    rows = [
        f"| {name} | {result.gold[name]} | {p:.3f} | {r:.3f} | {f:.3f} |"
        for name, (p, r, f) in result.per_predicate.items()
    ]
    return "\n".join(
        [
            f"# {settings.name}",
            "",
            f"A Supple triple extractor ({settings.form} form, {network.count_params():,} parameters), "
            f"trained by supple {__version__} with "
            + (", ".join(f"`{name} = {value!r}`" for name, value in changed.items()) or "default settings")
            + ".",
            "",
            "On its development rows, on which thresholds and calibration were tuned: "
            f"precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}; "
            f"calibration error {errors[1]:.3f} ({errors[0]:.3f} uncalibrated).",
            "",
            "| predicate | gold | precision | recall | F1 |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
