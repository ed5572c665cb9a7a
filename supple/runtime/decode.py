"""From probabilities to triples: P(s, p, o | x) = P(s | x) · P(p, o | x, s), for a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Subjects put to one call of `objects` hold at most this many characters, so memory stays bounded.
_CHARACTERS = 1 << 14

Objects = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Thresholds(NamedTuple):
    """What a probability must exceed to count as an edge of a subject or an object."""

    subject_start: float = 0.5
    subject_end: float = 0.4
    object_start: float = 0.5
    object_end: float = 0.4


class Calibration(NamedTuple):
    """How a product of probabilities becomes a score; as given, it stays what it is."""

    temperature: float = 1.0
    bias: float = 0.0


UNCALIBRATED = Calibration()


class Spans(NamedTuple):
    """Spans found in a batch, one array a field, each (K,); `end` is inclusive."""

    row: np.ndarray
    label: np.ndarray
    start: np.ndarray
    end: np.ndarray
    score: np.ndarray


class Facts(NamedTuple):
    """Triples found in a batch, one array a field, each (K,); ends are inclusive."""

    row: np.ndarray
    subject_start: np.ndarray
    subject_end: np.ndarray
    predicate: np.ndarray
    object_start: np.ndarray
    object_end: np.ndarray
    score: np.ndarray


def spans(edges: np.ndarray, start_threshold: float, end_threshold: float) -> Spans:
    """Pair every start above its threshold with the nearest end, at or after it, above its own.

    `edges` (rows, time, labels, 2) holds the probabilities of start and end. The spans are sorted by row,
    label and start; the score of one is the product of its two edges.
    """
    rows, time, labels, _ = edges.shape
    starts = _places(edges[..., 0] > start_threshold)
    ends = _places(edges[..., 1] > end_threshold)
    nearest = np.append(ends, rows * labels * time)[np.searchsorted(ends, starts)]
    paired = starts // time == nearest // time  # of the same row and label
    starts, nearest = starts[paired], nearest[paired]
    row, label = np.divmod(starts // time, max(labels, 1))
    start, end = starts % time, nearest % time
    score = edges[row, start, label, 0].astype(float) * edges[row, end, label, 1]
    return Spans(row, label, start, end, score)


def _places(mask: np.ndarray) -> np.ndarray:
    """Where a mask (rows, time, labels) is set, as sorted indices into (rows, labels, time)."""
    _, time, labels = mask.shape
    row, position, label = np.unravel_index(np.flatnonzero(mask), mask.shape)
    return np.sort((row * labels + label) * time + position)


def calibrate(score: np.ndarray, calibration: Calibration) -> np.ndarray:
    """sigmoid(logit(score) / temperature + bias), written so that 0 and 1 stay what they are (Platt 1999)."""
    power = 1 / calibration.temperature
    yes, no = score**power * np.exp(calibration.bias), (1 - score) ** power
    return yes / (yes + no)


def decode(
    subject: np.ndarray, objects: Objects, thresholds: Thresholds, calibration: Calibration = UNCALIBRATED
) -> Facts:
    """Every triple of a batch, sorted by row and subject.

    `subject` is (batch, time, 2). `objects(rows, starts, ends)`, int32 (N,) each and ends inclusive, gives
    (N, time, predicates, 2) for N subjects: called once unless they are many, never without a subject.
    """
    found = spans(subject[:, :, None, :], thresholds.subject_start, thresholds.subject_end)
    asked = [column.astype(np.int32) for column in (found.row, found.start, found.end)]
    step = max(1, _CHARACTERS // subject.shape[1])
    parts = [Facts._make([*[np.zeros(0, int)] * 6, np.zeros(0)])]
    for at in range(0, len(found.row), step):
        edges = objects(*(column[at : at + step] for column in asked))
        answer = spans(edges, thresholds.object_start, thresholds.object_end)
        who = at + answer.row
        score = calibrate(found.score[who] * answer.score, calibration)
        subjects = found.row[who], found.start[who], found.end[who]
        parts.append(Facts(*subjects, answer.label, answer.start, answer.end, score))
    return Facts(*map(np.concatenate, zip(*parts, strict=True)))
