"""Thresholds are never worse than those published, calibrations are found again, errors are those by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.extraction import Example, Fact, tune
from supple.extraction.tune import GRID, best_calibration, calibration_error, judged, tune_thresholds
from supple.runtime import Span, Triple
from supple.runtime.decode import Calibration, Thresholds, calibrate
from supple.runtime.metric import score

Candidate = tuple[tuple[float, ...], bool]  # the probabilities of its four edges, and whether it is right


class Finder:
    """In the place of an extractor: finds the candidates of a text whose edges exceed the thresholds."""

    def __init__(self, texts: dict[str, list[Candidate]], thresholds: Thresholds):
        self.texts, self.thresholds = texts, thresholds

    def stream(self, texts: Iterable[str]) -> Iterator[list[Triple]]:
        for text in texts:
            yield [
                triple(f"s{i}", "p", f"o{i}")
                for i, (edges, _) in enumerate(self.texts[text])
                if all(np.greater(edges, self.thresholds))
            ]


def triple(subject: str, predicate: str, object: str, value: float = 0.5) -> Triple:
    return Triple(Span(subject, 0, 1), predicate, Span(object, 2, 3), value)


def rows_of(texts: dict[str, list[Candidate]]) -> list[Example]:
    return [
        Example(text, tuple(Fact(f"s{i}", "p", f"o{i}") for i, (_, right) in enumerate(candidates) if right))
        for text, candidates in texts.items()
    ]


def f1(texts: dict[str, list[Candidate]], thresholds: Thresholds) -> float:
    return score(rows_of(texts), Finder(texts, thresholds).stream(texts)).micro.f1


def tuned(texts: dict[str, list[Candidate]]) -> Thresholds:
    return tune_thresholds(lambda tried: Finder(texts, tried), rows_of(texts))  # type: ignore[arg-type,return-value]


edges = st.tuples(*[st.floats(0.1, 0.9)] * 4)
corpora = st.lists(st.lists(st.tuples(edges, st.booleans()), max_size=6), min_size=1, max_size=3).map(
    lambda rows: {str(i): candidates for i, candidates in enumerate(rows)}
)


@given(corpora)
def test_tuned_thresholds_are_no_worse_than_the_published_and_their_neighbours(
    texts: dict[str, list[Candidate]],
) -> None:
    best, default = f1(texts, found := tuned(texts)), Thresholds()
    assert best >= f1(texts, default)
    assert best >= max(f1(texts, default._replace(subject_start=value)) for value in GRID)
    assert all(value in (*GRID, published) for value, published in zip(found, default, strict=True))


def test_tuned_thresholds_are_the_best_of_all_where_each_edge_speaks_for_itself() -> None:
    sure = 0.9
    texts = {
        "a": [((0.45, sure, sure, sure), True)] * 3 + [((sure, 0.45, sure, sure), False)] * 2,
        "b": [((sure, sure, 0.55, sure), False)] * 2 + [((sure, sure, sure, 0.25), True)] * 2,
        "c": [((0.35, sure, sure, sure), False), ((sure,) * 4, True)],
    }
    brute = {
        thresholds: f1(texts, thresholds) for thresholds in map(Thresholds._make, product(GRID, repeat=4))
    }
    assert f1(texts, tuned(texts)) == max(brute.values()) == 1 > f1(texts, Thresholds())


def test_without_anything_to_gain_the_published_stay() -> None:
    assert tuned({"a": []}) == tuned({"a": [((0.9,) * 4, True)]}) == Thresholds()


def test_tuning_looks_at_enough_rows_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "ENOUGH", 2)
    texts: dict[str, list[Candidate]] = {"a": [((0.45, 0.9, 0.9, 0.9), True)], "b": [((0.9,) * 4, True)]}
    rows = [*rows_of(texts), Example("a text that nobody knows", ())]
    found = tune_thresholds(lambda tried: Finder(texts, tried), rows)  # type: ignore[arg-type,return-value]
    assert f1(texts, found) == 1


@pytest.mark.parametrize(("temperature", "bias"), [(0.5, 0.0), (1.0, -1.0), (1.4, 0.7)])
def test_the_calibration_of_scores_is_found(temperature: float, bias: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 50_000)  # of the truth
    right = rng.random(len(logits)) < 1 / (1 + np.exp(-logits))
    scores = 1 / (1 + np.exp(-(logits - bias) * temperature))
    found = best_calibration(scores, right)
    assert found == pytest.approx((temperature, bias), rel=0.04, abs=0.03)
    assert calibration_error(calibrate(scores, found), right) < 0.01


judgements = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60)


@given(judgements)
def test_no_calibration_near_by_is_better(judged: list[tuple[float, bool]]) -> None:
    scores, right = np.array([s for s, _ in judged]), np.array([r for _, r in judged], bool)
    logits = np.log((clipped := np.clip(scores, 1e-4, 1 - 1e-4)) / (1 - clipped))

    def loss(slope: float, bias: float) -> float:
        shifted = slope * logits + bias
        return (
            float(np.log1p(np.exp(np.where(right, -shifted, shifted))).sum())
            + ((slope - 1) ** 2 + bias**2) / 2
        )

    temperature, bias = best_calibration(scores, right)
    around = [(1 / temperature + a, bias + b) for a in (-0.05, 0, 0.05) for b in (-0.05, 0, 0.05)]
    allowed = [loss(slope, bias) for slope, bias in around if slope >= 0.1]
    assert loss(1 / temperature, bias) <= min(allowed) + 1e-3


def test_few_scores_change_little_and_none_nothing() -> None:
    assert best_calibration(np.zeros(0), np.zeros(0, bool)) == Calibration()
    sure = best_calibration(np.array([0.9, 0.8, 1.0]), np.array([True, True, True]))
    assert 0.5 < sure.temperature <= 1 and 0 <= sure.bias < 1


@pytest.mark.parametrize(
    ("scores", "right", "error"),
    [
        ([], [], 0),
        ([0.8] * 5, [1, 1, 1, 1, 0], 0),
        ([0.9] * 4, [0, 0, 0, 0], 0.9),
        ([1.0, 1.0, 0.95], [1, 1, 1], 0.05 / 3),  # 1 belongs to the last bin
        ([0.75] * 2 + [0.25] * 2, [1, 1, 0, 0], 0.25),
        ([0.71, 0.79], [0, 1], 0.25),  # one bin: .75 on average, half of them right
        ([0.69, 0.79], [0, 1], (0.69 + 0.21) / 2),  # two bins
    ],
)
def test_calibration_error_by_hand(scores: list[float], right: list[int], error: float) -> None:
    assert calibration_error(np.array(scores), np.array(right, bool)) == pytest.approx(error)


def test_calibration_error_of_well_calibrated_scores_is_small() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(100_000)
    assert calibration_error(scores, rng.random(100_000) < scores) < 0.01
    assert calibration_error(scores**0.5, rng.random(100_000) < scores) == pytest.approx(1 / 6, abs=0.01)


def test_only_what_the_annotators_looked_for_is_judged() -> None:
    found = [
        triple("《红河》", "导演", "Ann", 0.9),
        triple("红河", "主演", "赵四", 0.8),
        triple("红河", "作曲", "赵四", 0.7),
    ]
    extractor: Any = SimpleNamespace(stream=lambda texts: [found for _ in texts])
    fact = Fact("红河", "导演", "ann")
    rows = [
        Example("a", (fact,), frozenset({"导演", "主演"})),
        Example("b", (fact,)),
        Example("c", (), frozenset()),
    ]
    scores, right = judged(extractor, rows)
    assert scores.tolist() == [0.9, 0.8, 0.9, 0.8, 0.7]
    assert right.tolist() == [True, False, True, False, False]
    assert [array.shape for array in judged(extractor, [])] == [(0,), (0,)]
