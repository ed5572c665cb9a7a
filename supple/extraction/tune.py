"""Thresholds and the calibration of scores, chosen on labelled rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rich.progress import track
from scipy.optimize import minimize

from supple.extraction.corpus import Example
from supple.runtime import Extractor
from supple.runtime.decode import Calibration, Thresholds
from supple.runtime.metric import normalise, score

GRID = (0.2, 0.3, 0.4, 0.5, 0.6)
ENOUGH = 3000  # rows that tuning looks at


def tune_thresholds(make: Callable[[Thresholds], Extractor], rows: list[Example]) -> Thresholds:
    """The thresholds of the best F1 on `rows`, each searched in turn; `make` gives an extractor with some."""
    rows = rows[:ENOUGH]

    def f1(thresholds: Thresholds) -> float:
        return score(rows, make(thresholds).stream(row.text for row in rows)).micro.f1

    best = Thresholds()
    known = {best: f1(best)}
    for name in track(Thresholds._fields * 2, "Tuning thresholds", transient=True):
        tried = [best._replace(**{name: value}) for value in GRID]
        known |= {thresholds: f1(thresholds) for thresholds in tried if thresholds not in known}
        best = max(known, key=lambda thresholds: known[thresholds])
    return best


def judged(extractor: Extractor, rows: list[Example]) -> tuple[np.ndarray, np.ndarray]:
    """The score of every triple found within its row's label space, and whether it is right: (K,) each."""
    scores, right = [], []
    for row, triples in zip(rows, extractor.stream(row.text for row in rows), strict=True):
        gold = {normalise(*fact) for fact in row.facts}
        for subject, predicate, object, value in triples:
            if row.space is None or predicate in row.space:
                scores.append(value)
                right.append(normalise(subject.text, predicate, object.text) in gold)
    return np.array(scores), np.array(right, bool)


def best_calibration(scores: np.ndarray, right: np.ndarray) -> Calibration:
    """The calibration under which scores have the least log loss, and which a few of them change little.

    Logistic regression on the logits, with the penalty ((slope - 1)² + bias²) / 2.
    """
    scores = np.clip(scores, 1e-4, 1 - 1e-4)
    logits, sign = np.log(scores / (1 - scores)), np.where(right, 1, -1)

    def loss(w: np.ndarray) -> float:
        slope, bias = w
        return np.logaddexp(0, -sign * (slope * logits + bias)).sum() + ((slope - 1) ** 2 + bias**2) / 2

    slope, bias = minimize(loss, (1.0, 0.0), bounds=[(0.1, 10), (-10, 10)]).x
    return Calibration(round(float(1 / slope), 3), round(float(bias), 3))


def calibration_error(scores: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: the mean gap of score and accuracy over bins of equal width, by size."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [abs(float((scores - right)[place == b].sum())) for b in range(bins)]
    return sum(gaps) / max(len(scores), 1)
