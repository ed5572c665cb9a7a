"""How to train: every setting with its default, and the TOML file that changes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from supple.extraction.align import Mode
from supple.settings import AMOUNT, COUNT, PART, POSITIVE, RATE, SEED, changed, one_of, read_toml


@dataclass(frozen=True)
class Settings:
    """How to train; every field can stand in the TOML file of `supple train --config`."""

    name: str = "model"
    form: str = "full"  # "full", or "fast": half the blocks, no attention, no words
    words: bool = True
    prior: bool = False
    spans: Mode = "nearest"  # which occurrence of a name is meant: "nearest" to its partner, or "first"
    augment: float = 0.5  # probability of swapping the names of a fact
    epochs: int = 20
    soft_f1: int = 0  # the last so many of them lower 1 - smooth F1 too
    patience: int = 5  # epochs without a better F1 before training stops
    batch_characters: int = 4096
    learning_rate: float = 1e-3
    average: float = 0.999  # decay of the moving average of the weights; 0 for none
    seed: int = 0
    character_vectors: str = ""  # .npz with `chars` and `vectors`
    word_vectors: str = ""  # .npz with `words` and `vectors`; trained if not given
    word_text: tuple[str, ...] = ()  # more text to train word vectors on: .txt or .txt.xz
    word_size: int = 64
    word_count: int = 50_000
    word_epochs: int = 3
    word_threads: int = 1  # more than one is faster, and not repeatable


COUNTS = "epochs", "patience", "batch_characters", "word_size", "word_count", "word_epochs", "word_threads"
RANGES = {
    "form": one_of("full", "fast"),
    "spans": one_of("nearest", "first"),
    "augment": PART,
    "average": RATE,
    "learning_rate": POSITIVE,
    "soft_f1": AMOUNT,
    "seed": SEED,
} | dict.fromkeys(COUNTS, COUNT)


def read_settings(path: Path | None) -> Settings:
    """The settings of a TOML file, the defaults without one; InputError says which is unknown or wrong."""
    return changed(Settings(), read_toml(path), RANGES, path) if path else Settings()
