"""Labelled rows into batches of a few fixed shapes, each a function of (seed, epoch, index) alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from supple.extraction.align import Mode, Place, spans
from supple.extraction.corpus import Example
from supple.extraction.schema import Schema
from supple.runtime.prior import Known, Prior, object_prior, subject_prior
from supple.runtime.text import Vocabulary, padded
from supple.training.dataset import Dataset

LENGTHS = (32, 64, 96, 160, 320)  # each is compiled once
SLOTS = 2  # subjects a row, on average over a batch


class Labels(NamedTuple):
    """What a batch is made of: how rows become arrays."""

    schema: Schema
    vocabulary: Vocabulary
    words: bool
    prior: Prior | None = None
    mode: Mode = "nearest"  # which occurrence of a name is meant


class Slot(NamedTuple):
    """A subject asked about: its row, its span, and its objects as (start, end, predicate)."""

    row: int
    place: Place
    objects: set[tuple[int, int, str]]


class Batches(Dataset):
    """Dicts of inputs and targets as `TripleNetwork` takes them, of about `characters` characters a batch.

    `augment(example, rng)` may change an example; one that becomes too long for its batch stays as it was.
    """

    def __init__(
        self,
        examples: list[Example],
        labels: Labels,
        *,
        characters: int,
        seed: int,
        augment: Callable[[Example, np.random.Generator], Example] | None = None,
    ):
        rows = {length: max(1, characters // length) for length in LENGTHS}
        super().__init__(
            examples,
            partial(versions, augment=augment),
            lengths=[len(example.text) for example in examples],
            buckets=rows,
            collate=partial(batch, labels=labels, rows=rows),
            seed=seed,
        )


def versions(
    example: Example,
    rng: np.random.Generator,
    *,
    augment: Callable[[Example, np.random.Generator], Example] | None,
) -> list[Example]:
    """An example as it could be, the best last."""
    return [example, augment(example, rng)] if augment else [example]


def batch(
    samples: list[list[Example]],
    length: int,
    rng: np.random.Generator,
    *,
    labels: Labels,
    rows: dict[int, int],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The arrays of the best versions that are not too long."""
    examples = [[version for version in sample if len(version.text) <= length][-1] for sample in samples]
    return arrays(examples, labels, rows[length], length, rng)


def arrays(
    examples: list[Example], labels: Labels, rows: int, length: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs and targets of examples, padded to (rows, length) and to `SLOTS * rows` subjects."""
    schema, vocabulary = labels.schema, labels.vocabulary
    texts = [example.text for example in examples] + [""] * (rows - len(examples))
    found = [spans(example, labels.mode) for example in examples]
    slots = pick_slots(found, SLOTS * rows, rng)
    empty = [0] * (SLOTS * rows - len(slots))
    x = {
        "characters": padded([vocabulary.character_ids(text) for text in texts], length),
        "rows": np.array([slot.row for slot in slots] + empty, np.int32),
        "starts": np.array([slot.place[0] for slot in slots] + empty, np.int32),
        "ends": np.array([slot.place[1] for slot in slots] + empty, np.int32),
    }
    if labels.words:
        x["words"] = padded([vocabulary.word_ids(text) for text in texts], length)
    if labels.prior:
        known = [labels.prior.known(e.text, e.facts) for e in examples] + [Known([], {})] * (
            rows - len(examples)
        )
        x["subject_prior"] = np.stack([subject_prior(k, length) for k in known])
        x["object_prior"] = np.zeros((SLOTS * rows, length, len(schema.index), 2), np.float32)
        for n, slot in enumerate(slots):
            x["object_prior"][n] = object_prior(known[slot.row], slot.place, schema.index, length)
    annotated = np.ones((rows, len(schema.index)), np.float32)
    for row, example in enumerate(examples):
        if example.space is not None:
            annotated[row] = [predicate in example.space for predicate in schema.index]
    y: dict[str, np.ndarray] = {
        "subject": np.zeros((rows, length, 2), np.uint8),
        "objects": np.zeros((SLOTS * rows, length, len(schema.index), 2), np.uint8),
        "annotated": annotated,
        "used": np.array([1.0] * len(slots) + empty, np.float32),
    }
    for row, subjects in enumerate(found):
        for start, end in subjects:
            y["subject"][row, start, 0] = y["subject"][row, end, 1] = 1
    for n, slot in enumerate(slots):
        for start, end, predicate in slot.objects:
            label = schema.index[predicate]
            y["objects"][n, start, label, 0] = y["objects"][n, end, label, 1] = 1
    return x, y


def pick_slots(found: list[dict[Place, Any]], count: int, rng: np.random.Generator) -> list[Slot]:
    """Every gold subject, then others as negatives: gold starts with other gold ends, and objects."""
    gold = [
        Slot(row, place, objects) for row, subjects in enumerate(found) for place, objects in subjects.items()
    ]
    wrong = []
    for row, subjects in enumerate(found):
        crossed = {(s, e) for s, _ in subjects for _, e in subjects if s <= e}
        others = {(s, e) for objects in subjects.values() for s, e, _ in objects}
        wrong += [Slot(row, place, set()) for place in sorted((crossed | others) - subjects.keys())]
    slots = [gold[i] for i in rng.permutation(len(gold))[:count]]
    return slots + [wrong[i] for i in rng.permutation(len(wrong))[: count - len(slots)]]
