"""Labelled rows into batches of a few fixed shapes, each epoch's a function of (seed, epoch) alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from supple.extraction.align import Mode, Place, spans
from supple.extraction.corpus import Example
from supple.extraction.schema import Schema
from supple.runtime.prior import Known, Prior, object_prior, subject_prior
from supple.runtime.text import Vocabulary, padded

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


class Batches(keras.utils.PyDataset):
    """The batches of one epoch: dicts of inputs and targets as `TripleNetwork` takes them."""

    def __init__(
        self,
        examples: list[Example],
        labels: Labels,
        *,
        characters: int,
        seed: int,
        epoch: int,
        augment: Callable[[Example, np.random.Generator], Example] | None = None,
    ):
        super().__init__()
        self.examples, self.labels, self.augment, self.key = examples, labels, augment, (seed, epoch)
        self.groups = grouped(examples, characters, np.random.default_rng(self.key))

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        length, rows, members = self.groups[index]
        rng = np.random.default_rng((*self.key, index))
        examples = [self.examples[member] for member in members]
        if self.augment:
            changed = [self.augment(example, rng) for example in examples]
            examples = [
                new if len(new.text) <= length else old for old, new in zip(examples, changed, strict=True)
            ]
        return arrays(examples, self.labels, rows, length, rng)


def grouped(
    examples: list[Example], characters: int, rng: np.random.Generator
) -> list[tuple[int, int, list[int]]]:
    """Shuffled (padded length, rows, members): members of like length, at most `rows` of them."""
    members: dict[int, list[int]] = {length: [] for length in LENGTHS}
    for index in rng.permutation(len(examples)):
        members[LENGTHS[bisect_left(LENGTHS, len(examples[index].text))]].append(int(index))
    groups = []
    for length, indices in members.items():
        rows = max(1, characters // length)
        groups += [(length, rows, indices[at : at + rows]) for at in range(0, len(indices), rows)]
    return [groups[i] for i in rng.permutation(len(groups))]


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
