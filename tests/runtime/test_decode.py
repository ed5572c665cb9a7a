"""Decoding against loops that say what it means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from supple.runtime import decode as module
from supple.runtime.decode import Calibration, Thresholds, calibrate, decode, spans

levels = st.sampled_from([0.0, 0.3, 0.4, 0.45, 0.5, 0.6, 0.9, 1.0])
shapes = st.tuples(st.integers(0, 3), st.integers(1, 7), st.integers(1, 3), st.just(2))
edges = shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=levels.map(np.float32)))

Found = list[tuple[float, ...]]


def loops(start: list[float], end: list[float], above: float, above_end: float) -> Found:
    """(start, inclusive end, score) of one row and label."""
    found = []
    for i in range(len(start)):
        if start[i] > above:
            for j in range(i, len(end)):
                if end[j] > above_end:
                    found.append((i, j, start[i] * end[j]))
                    break
    return found


@given(edges, levels, levels)
def test_spans_are_those_of_nested_loops(edges: np.ndarray, above: float, above_end: float) -> None:
    above, above_end = np.float32(above), np.float32(above_end)
    expected = [
        (row, label, *span)
        for row in range(edges.shape[0])
        for label in range(edges.shape[2])
        for span in loops(*edges[row, :, label].T.astype(float).tolist(), above, above_end)
    ]
    assert list(zip(*(column.tolist() for column in spans(edges, above, above_end)), strict=True)) == expected


def table(seed: int) -> np.ndarray:
    """Object probabilities of every (row, start, end): (3, 6, 6, 6, 2, 2)."""
    return np.random.default_rng(seed).random((3, 6, 6, 6, 2, 2), np.float32)


@given(hnp.arrays(np.float32, (3, 6, 2), elements=levels.map(np.float32)), st.integers(0, 9))
def test_triples_are_those_of_nested_loops(subject: np.ndarray, seed: int) -> None:
    objects, limits = table(seed), Thresholds(0.5, 0.4, 0.6, 0.3)
    expected = [
        (row, start, end, label, o, o_end, pytest.approx(score * o_score))
        for row in range(3)
        for start, end, score in loops(*subject[row].T.astype(float).tolist(), 0.5, np.float32(0.4))
        for label in range(2)
        for o, o_end, o_score in loops(
            *objects[row, start, end, :, label].T.astype(float).tolist(), 0.6, np.float32(0.3)
        )
    ]
    found = decode(subject, lambda *asked: objects[asked], limits)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_all_subjects_of_a_batch_are_asked_for_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def objects(*asked: np.ndarray) -> np.ndarray:
        sizes.append(len(asked[0]))
        return table(0)[asked]

    subject = np.full((3, 6, 2), 0.9, np.float32)
    whole = decode(subject, objects, Thresholds())
    monkeypatch.setattr(module, "_CHARACTERS", 30)  # 5 subjects of 6 characters
    parts = decode(subject, objects, Thresholds())
    decode(np.zeros((3, 6, 2), np.float32), objects, Thresholds())
    assert sizes == [18, 5, 5, 5, 3]
    for column, same in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(column, same)


@given(st.floats(0.001, 0.999), st.floats(0.2, 5), st.floats(-2, 2))
def test_calibration_divides_and_shifts_the_logit(score: float, temperature: float, bias: float) -> None:
    calibrated = calibrate(np.array([score]), Calibration(temperature, bias))[0]
    logit = math.log(score / (1 - score)) / temperature + bias
    assert calibrated == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-9)


def test_calibration_keeps_certainty() -> None:
    assert calibrate(np.array([0.0, 0.5, 1.0]), Calibration(3.0)).tolist() == [0.0, 0.5, 1.0]
    assert calibrate(np.array([0.0, 1.0]), Calibration(3.0, 2.0)).tolist() == [0.0, 1.0]
