"""A model folder on disk: what its JSON files say, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from supple.errors import InputError
from supple.runtime.decode import Calibration, Thresholds
from supple.runtime.prior import Prior
from supple.runtime.text import Vocabulary

FORMAT = 1
MEND = "export the model again, or copy its folder whole"


class Config(NamedTuple):
    """What config.json says."""

    name: str
    predicates: list[str]
    words: bool
    prior: bool
    window: int
    thresholds: Thresholds
    calibration: Calibration
    lengths: list[int]


def read_json(path: Path, kind: type) -> Any:
    """The content of a JSON file of a model folder; InputError if it is missing, broken, or not a `kind`."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"this file of the model folder is missing; {MEND}", path=path) from None
    except json.JSONDecodeError as error:
        raise InputError(f"broken JSON ({error.msg}); {MEND}", path=path, line=error.lineno) from None
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"cannot be read as UTF-8 ({error}); {MEND}", path=path) from None
    if not isinstance(content, kind):
        raise InputError(f"expected a JSON {kind.__name__}, got {type(content).__name__}; {MEND}", path=path)
    return content


def read_config(folder: Path) -> Config:
    """The settings of a model folder; InputError if one is missing or makes no sense."""
    path = folder / "config.json"
    raw = read_json(path, dict)
    if raw.get("format") != FORMAT:
        problem = f"model format {raw.get('format')!r}, expected {FORMAT}; update supple, or {MEND}"
        raise InputError(problem, path=path)
    try:
        read = {
            "thresholds": Thresholds(**raw["thresholds"]),
            "calibration": Calibration(**raw["calibration"]),
        }
        config = Config(**{field: raw[field] for field in Config._fields} | read)
        wrong = _wrong(config)
    except KeyError as error:
        raise InputError(f"setting {error} is missing; {MEND}", path=path) from None
    except TypeError as error:
        raise InputError(f"a setting is of the wrong type ({error}); {MEND}", path=path) from None
    if wrong:
        values = ", ".join(f"{field} = {raw[field]!r}" for field in wrong)
        raise InputError(f"settings that make no sense: {values}; {MEND}", path=path)
    return config


def _wrong(config: Config) -> list[str]:
    lengths = config.lengths
    sound = {
        "predicates": len(config.predicates) > 0 and all(isinstance(name, str) for name in config.predicates),
        "window": config.window >= 1,
        "thresholds": all(0 <= threshold <= 1 for threshold in config.thresholds),
        "calibration": config.calibration.temperature > 0 and abs(config.calibration.bias) < 100,
        "lengths": lengths
        and lengths == sorted(lengths)
        and lengths[0] >= 1
        and lengths[-1] >= config.window,
    }
    return [field for field, good in sound.items() if not good]


def read_vocabulary(folder: Path) -> Vocabulary:
    """The characters, look-alikes and words of a model folder."""
    path = folder / "vocabulary.json"
    try:
        return Vocabulary(**read_json(path, dict))
    except (TypeError, AttributeError) as error:
        raise InputError(f"not a vocabulary ({error}); {MEND}", path=path) from None


def read_mirrors(folder: Path) -> dict[str, str]:
    """The predicates of a model's schema that hold both ways round, each with its mirror image."""
    return read_json(folder / "schema.json", dict).get("mirrors", {})


def read_prior(folder: Path, vocabulary: Vocabulary) -> Prior:
    """The dictionary of known triples of a model folder."""
    path = folder / "prior.json"
    triples = read_json(path, list)
    try:
        return Prior(triples, vocabulary.fold)
    except (TypeError, ValueError, AttributeError) as error:
        problem = f"expected a list of [subject, predicate, object] ({error}); {MEND}"
        raise InputError(problem, path=path) from None
