"""How to train a language model: every setting, and two recipes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supple import settings
from supple.errors import InputError
from supple.ordered.corpus import FORMS

COUNTS = "min_count", "layers", "embedding", "hidden", "chunk_size", "batch", "bptt", "epochs"
DROPOUTS = "embedding_dropout", "input_dropout", "hidden_dropout", "output_dropout", "weight_drop"
MOST = 2**30  # a quarter of the numbers in recurrent matrices, which are 16 GiB then
RANGES = {
    "tokens": settings.one_of(*FORMS),
    "layer": settings.one_of("onlstm", "lstm"),
    "master_input": settings.one_of("symmetric", "paper"),
    "optimizer": settings.one_of("adamw", "sgd"),
    "average": settings.PART,
    "seed": settings.SEED,
    **dict.fromkeys(COUNTS, settings.COUNT),
    **dict.fromkeys((*DROPOUTS, "warmup"), settings.RATE),
    **dict.fromkeys(("activation", "temporal", "weight_decay", "patience"), settings.AMOUNT),
    **dict.fromkeys(("learning_rate", "clip"), settings.POSITIVE),
}


@dataclass(frozen=True)
class Recipe:
    """All that makes a language model besides its text. The defaults are the short recipe."""

    # the text
    tokens: str = "spaces"  # how lines are split: at "spaces", into "characters", or into "words" by rjieba
    min_count: int = 2  # words that occur less often in the training text are <unk>
    # the network: layers of sizes embedding → hidden → … → hidden → embedding
    layer: str = "onlstm"  # or "lstm"
    layers: int = 3
    embedding: int = 200
    hidden: int = 400
    chunk_size: int = 10
    master_input: str = "symmetric"  # or "paper", whose last chunk is dead
    # what keeps it from learning the text by heart
    embedding_dropout: float = 0.1  # whole words
    input_dropout: float = 0.2  # these three drop the same places at every step of a window
    hidden_dropout: float = 0.15
    output_dropout: float = 0.25
    weight_drop: float = 0.2  # of the recurrent matrices
    activation: float = 1.0  # AR: times the mean square of the last layer's output, dropped
    temporal: float = 0.5  # TAR: times the mean square of its change from step to step
    weight_decay: float = 0.01  # adamw: the part of a weight that a step of rate 1 takes away; sgd: L2
    # the stream
    batch: int = 20
    bptt: int = 70  # steps that gradients go back
    random_bptt: bool = False  # as published: lengths about bptt, and rates in proportion to them
    # the steps
    optimizer: str = "adamw"  # its rate rises over `warmup` and falls as a cosine; or "sgd" of a constant one
    learning_rate: float = 3e-3
    warmup: float = 0.05  # of all steps
    clip: float = 0.25  # the norm of gradients at most
    epochs: int = 12
    average: float = 0.998  # decay of the weights' average, which is what is kept; 1 is their mean
    patience: int = 0  # average from the first step; or when so many epochs brought nothing better
    seed: int = 0

    def __post_init__(self) -> None:
        settings.check(vars(self), RANGES)
        if self.layer == "onlstm" and (self.hidden % self.chunk_size or self.embedding % self.chunk_size):
            problem = f"chunk_size = {self.chunk_size} should divide hidden = {self.hidden}"
            raise InputError(f"{problem} and embedding = {self.embedding}; change one of them")
        if self.layers * max(self.hidden, self.embedding) ** 2 > MOST:
            sizes = f"hidden = {self.hidden}, embedding = {self.embedding} and layers = {self.layers}"
            raise InputError(f"{sizes} are more than a computer holds; lower one of them")


RECIPES = {
    "short": Recipe(),
    # Merity et al. 2018, with the sizes of Shen et al. 2019
    "awd": Recipe(
        embedding=400,
        hidden=1150,
        input_dropout=0.5,
        hidden_dropout=0.3,
        output_dropout=0.45,
        weight_drop=0.45,
        activation=2.0,
        temporal=1.0,
        weight_decay=1.2e-6,
        random_bptt=True,
        optimizer="sgd",
        learning_rate=30.0,
        warmup=0.0,
        epochs=1000,
        average=1.0,
        patience=5,
    ),
}


def changed(recipe: Recipe, given: Mapping[str, Any], path: str | os.PathLike[str] | None = None) -> Recipe:
    """A recipe with other values of some settings; InputError says which is unknown or wrong."""
    try:
        return settings.changed(recipe, given, RANGES)
    except InputError as error:
        raise InputError(error.problem, path=path) from None


def read_recipe(name: str, path: Path | None = None) -> Recipe:
    """A recipe by its name, with the changes that a TOML file makes; InputError if either is wrong."""
    if name not in RECIPES:
        raise InputError(f"no recipe {name!r}; there are {', '.join(RECIPES)}")
    return changed(RECIPES[name], settings.read_toml(path), path) if path else RECIPES[name]
