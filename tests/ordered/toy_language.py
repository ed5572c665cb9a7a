"""A language of which all is known, and recipes that learn it in seconds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from supple.ordered.recipes import Recipe, changed

ENTROPY = math.log(2) / 3  # nats a token: of three the first is a coin's throw, the others follow

TINY = changed(
    Recipe(),
    {
        "layers": 2,
        "embedding": 12,
        "hidden": 16,
        "chunk_size": 4,
        "batch": 8,
        "bptt": 12,
        "epochs": 3,
        "learning_rate": 0.02,
        "average": 0.9,
        "clip": 1.0,
    },
)
UNTOUCHED = {
    name: 0.0
    for name in (
        "embedding_dropout",
        "input_dropout",
        "hidden_dropout",
        "output_dropout",
        "weight_drop",
        "activation",
        "temporal",
        "weight_decay",
    )
}


def write(path: Path, lines: int, seed: int) -> Path:
    """Lines "a c" or "b d", as a coin falls."""
    rng = np.random.default_rng(seed)
    path.write_text("".join(f"{rng.choice(['a c', 'b d'])}\n" for _ in range(lines)), "utf-8")
    return path
