"""Batches are a function of (seed, epoch), hold every row once, and their targets decode to the facts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.extraction.align import Place, spans
from supple.extraction.augment import Augmenter
from supple.extraction.batches import LENGTHS, SLOTS, Batches, Labels, arrays, pick_slots
from supple.extraction.corpus import Example, Fact
from supple.runtime.decode import Thresholds, decode
from supple.runtime.prior import Prior
from supple.runtime.text import Vocabulary
from tests.extraction import tiny

ROWS = tiny.rows(30)
CHARACTERS = sorted(set("".join(row.text for row in ROWS)))
WORDS = ["导演", "主演", "首都", "天气"]
LABELS = Labels(tiny.SCHEMA, Vocabulary(CHARACTERS, {}, WORDS), words=False)


def batches(rows: list[Example] = ROWS, labels: Labels = LABELS, epoch: int = 0, **changed: Any) -> Batches:
    made = Batches(rows, labels, **{"characters": 256, "seed": 0} | changed)
    made.epoch = epoch
    return made


def text_of(ids: np.ndarray) -> str:
    return "".join(CHARACTERS[i - 2] for i in ids if i)


def facts_of(x: dict[str, np.ndarray], y: dict[str, np.ndarray]) -> list[tuple[str, set[Fact]]]:
    """Every text of a batch, and the facts to which the runtime decodes its targets."""
    place = {
        subject: n
        for n, subject in enumerate(
            zip(*(x[name].tolist() for name in ("rows", "starts", "ends")), strict=True)
        )
        if y["used"][n]
    }

    def objects(*asked: np.ndarray) -> np.ndarray:
        return np.stack(
            [y["objects"][place[subject]] for subject in zip(*(a.tolist() for a in asked), strict=True)]
        )

    texts = [text_of(ids) for ids in x["characters"]]
    found: list[tuple[str, set[Fact]]] = [(text, set()) for text in texts]
    for row, s, s_end, label, o, o_end, _ in zip(*decode(y["subject"], objects, Thresholds()), strict=True):
        text = texts[row]
        fact = Fact(text[s : s_end + 1], tiny.SCHEMA.predicates[label], text[o : o_end + 1])
        found[row][1].add(fact)
    return [(text, facts) for text, facts in found if text]


def same(a: Batches, b: Batches) -> bool:
    return len(a) == len(b) and all(
        part.keys() == other.keys() and all(np.array_equal(part[name], other[name]) for name in part)
        for one, two in zip(map(a.__getitem__, range(len(a))), map(b.__getitem__, range(len(b))), strict=True)
        for part, other in zip(one, two, strict=True)
    )


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    augment = Augmenter(ROWS, 0.5)
    first = batches(augment=augment)
    assert same(first, batches(augment=augment))
    assert not same(first, batches(augment=augment, epoch=1))
    assert not same(first, batches(augment=augment, seed=1))
    assert not same(first, batches())


def test_a_batch_does_not_depend_on_those_asked_for_before() -> None:
    augment = Augmenter(ROWS, 0.5)
    last = len(batches()) - 1
    straight, after = batches(augment=augment), batches(augment=augment)
    _ = [after[index] for index in range(last)]
    for one, two in zip(straight[last], after[last], strict=True):
        assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("epoch", [0, 1])
def test_every_row_comes_once_an_epoch_and_decodes_to_its_facts(epoch: int) -> None:
    epoch_of = batches(epoch=epoch)
    found = [pair for index in range(len(epoch_of)) for pair in facts_of(*epoch_of[index])]
    assert Counter(text for text, _ in found) == Counter(row.text for row in ROWS)
    assert dict(found) == {row.text: set(row.facts) for row in ROWS}


def test_what_is_augmented_decodes_to_facts_of_its_text() -> None:
    changed = batches(augment=Augmenter(ROWS, 1.0))
    found = [pair for index in range(len(changed)) for pair in facts_of(*changed[index])]
    known = {row.text for row in ROWS}
    assert any(text not in known for text, _ in found)
    predicates = Counter(fact.predicate for row in ROWS for fact in row.facts)
    assert Counter(fact.predicate for _, facts in found for fact in facts) == predicates
    assert all(s in text and o in text for text, facts in found for s, _, o in facts)


def test_shapes_are_few() -> None:
    rows = [Example("甲" * n, ()) for n in (*range(1, 200, 7), 320)]
    made = batches(rows, characters=320)
    shapes = {made[index][0]["characters"].shape for index in range(len(made))}
    assert shapes == {(320 // length, length) for length in LENGTHS}
    x, y = batches(rows, characters=1)[0]  # a batch holds at least a row
    assert x["rows"].shape == y["used"].shape == (SLOTS,)


def test_a_text_that_augmentation_makes_too_long_stays_as_it_was() -> None:
    def augment(row: Example, rng: np.random.Generator) -> Example:
        return row._replace(text=row.text * (1 + 2 * (len(row.text) > 12)), facts=())

    short, long = Example("红" * 12, ()), Example("红" * 13, ())  # 39 characters, and rows have 32
    [(x, _)] = [batches([short, long], augment=augment)[0]]
    assert sorted(map(len, map(text_of, x["characters"])))[-2:] == [12, 13]
    x, _ = batches([long._replace(text="红" * 40)], augment=augment)[0]
    assert len(text_of(x["characters"][0])) == 40


def test_annotated_are_the_predicates_of_the_label_space() -> None:
    rows = [ROWS[0]._replace(space=space) for space in (None, frozenset({"首都"}), frozenset[str]())]
    _, y = arrays(rows, LABELS, 4, 32, np.random.default_rng(0))
    assert y["annotated"].tolist() == [[1, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]]


def test_words_lie_over_their_characters() -> None:
    texts = ["李安导演的红河", "首都天气很好"]
    x, _ = arrays(
        [Example(t, ()) for t in texts], LABELS._replace(words=True), 3, 8, np.random.default_rng(0)
    )
    assert x["words"].tolist() == [[0, 0, 1, 1, 0, 0, 0, 0], [3, 3, 4, 4, 0, 0, 0, 0], [0] * 8]


def test_prior_knows_what_other_rows_say() -> None:
    pytest.importorskip("ahocorasick_rs")
    once, twice = Fact("红河", "导演", "李安"), Fact("金星", "导演", "赵四")
    rows = [Example(f"{s}由{o}执导", (Fact(s, p, o),)) for s, p, o in (once, twice)]
    labels = LABELS._replace(prior=Prior([once, twice, twice]))
    x, y = arrays(rows, labels, 3, 8, np.random.default_rng(0))
    assert not x["subject_prior"][0].any() and not x["subject_prior"][2].any()
    np.testing.assert_array_equal(x["subject_prior"][1], y["subject"][1])
    for slot in range(2):  # the two gold subjects
        seen = y["objects"][slot] * (x["rows"][slot] == 1)
        np.testing.assert_array_equal(x["object_prior"][slot], seen)
        assert y["objects"][slot].any()


places = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda pair: (min(pair), max(pair)))
objects = st.sets(
    st.tuples(st.integers(0, 5), st.integers(5, 9), st.sampled_from("pq")), min_size=1, max_size=3
)


@given(
    st.lists(st.dictionaries(places, objects, max_size=4), max_size=4), st.integers(0, 20), st.integers(0, 9)
)
def test_slots_hold_every_gold_subject_and_then_others(
    found: list[dict[Place, set[tuple[int, int, str]]]], count: int, seed: int
) -> None:
    slots = pick_slots(found, count, np.random.default_rng(seed))
    gold = {
        (row, place): objects for row, subjects in enumerate(found) for place, objects in subjects.items()
    }
    asked = [(slot.row, slot.place) for slot in slots]
    assert len(asked) == len(set(asked)) <= count
    assert sum(slot in gold for slot in asked) == min(count, len(gold))
    for slot in slots:
        assert slot.objects == gold.get((slot.row, slot.place), set()) and slot.place[0] <= slot.place[1]
        assert found[slot.row]  # a row without subjects gives no wrong one


def test_wrong_subjects_are_crossed_edges_and_objects() -> None:
    subjects = {(0, 1): {(8, 9, "p")}, (3, 5): {(0, 1, "p")}}
    slots = pick_slots([subjects], 9, np.random.default_rng(0))
    assert {slot.place for slot in slots if not slot.objects} == {(0, 5), (8, 9)}


def test_first_and_nearest_occurrence() -> None:
    row = Example("红河红河李安", (Fact("红河", "导演", "李安"),))
    for mode, start in ("first", 0), ("nearest", 2):
        x, y = arrays([row], LABELS._replace(mode=mode), 1, 8, np.random.default_rng(0))
        assert np.flatnonzero(y["subject"][0, :, 0]).tolist() == [start] == [x["starts"][0]]
        assert (start, start + 1) in spans(row, mode)
