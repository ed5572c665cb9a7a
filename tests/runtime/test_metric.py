"""The metric of the specification: exact triples, lower case, without outer 《》, within label spaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.runtime.metric import Score, normalise, score
from supple.runtime.triple import Span, Triple

names = st.sampled_from(["甲", "乙", "A", "a", "《a》"])
triples = st.lists(st.tuples(names, st.sampled_from(["p", "q"]), names))
rows = st.lists(st.tuples(triples, triples))


def test_case_and_outer_title_marks_do_not_matter() -> None:
    assert normalise("《The Matrix》", "导演", "A·B") == ("the matrix", "导演", "a·b")
    assert normalise("《甲》和《乙》", "p", "《") == (
        "甲》和《乙",
        "p",
        "《",
    )  # as the official script has it


def test_figures_of_a_case_counted_by_hand() -> None:
    total = Score()
    total.add(
        [("甲", "p", "乙"), ("甲", "q", "丙"), ("丁", "p", "乙")], [("《甲》", "p", "乙"), ("甲", "q", "丁")]
    )
    total.add([], [("甲", "p", "乙")])
    assert total.micro == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert total.per_predicate["p"] == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert total.per_predicate["q"] == (0, 0, 0)


def test_only_predicates_of_the_label_space_count() -> None:
    total = Score()
    total.add([("甲", "p", "乙"), ("甲", "q", "乙")], [("甲", "p", "乙"), ("甲", "r", "乙")], {"p"})
    assert total.micro == (1, 1, 1) and list(total.per_predicate) == ["p"]
    total.add([("甲", "q", "乙")], [], frozenset())
    assert total.micro == (1, 1, 1)


@given(rows)
def test_f1_is_the_harmonic_mean_and_predicates_add_up(rows: list[tuple[list, list]]) -> None:
    total = Score()
    for predicted, gold in rows:
        total.add(predicted, gold)
    precision, recall, f1 = total.micro
    assert f1 * (precision + recall) == pytest.approx(2 * precision * recall)
    sets = [[{normalise(*names) for names in side} for side in row] for row in rows]
    correct = sum(len(predicted & gold) for predicted, gold in sets)
    assert precision * sum(len(predicted) for predicted, _ in sets) == pytest.approx(correct)
    assert recall * sum(len(gold) for _, gold in sets) == pytest.approx(correct)
    counts = total.to_dict()["per_predicate"]
    assert sum(row["gold"] for row in counts.values()) == sum(len(gold) for _, gold in sets)


@given(rows)
def test_the_gold_triples_themselves_score_one(rows: list[tuple[list, list]]) -> None:
    total = Score()
    for _, gold in rows:
        total.add(gold[::-1] * 2, gold)
    assert total.micro == ((1, 1, 1) if any(gold for _, gold in rows) else (0, 0, 0))


def test_triples_with_offsets_are_scored_against_labelled_texts() -> None:
    found = [Triple(Span("甲", 0, 1), name, Span("乙", 2, 3), 0.9) for name in ("p", "q")]
    total = score([("甲和乙", [("甲", "p", "乙")], {"p"}), ("丙", [], None)], [found, found[:1]])
    assert total.micro == pytest.approx((1 / 2, 1, 2 / 3))
    with pytest.raises(ValueError, match="shorter"):
        score([("丙", [], None)], [])
