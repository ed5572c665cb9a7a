"""Augmentation: every fact of a changed sentence is in it, and the change is the one published."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from supple.extraction.align import align
from supple.extraction.augment import LONGEST, Augmenter, swapped
from supple.extraction.corpus import Example, Fact

FILM = Example(
    "霍元甲由徐小明执导，徐小明编剧", (Fact("霍元甲", "导演", "徐小明"), Fact("霍元甲", "编剧", "徐小明"))
)
OTHER = Example("周星驰导演了功夫", (Fact("功夫", "导演", "周星驰"),), frozenset({"导演"}))
names = st.text("甲乙Aa", min_size=1, max_size=3)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Names and fillers at random; facts between any of the names."""
    there = draw(st.lists(names, min_size=2, max_size=4))
    fillers = draw(st.lists(st.text("乙丙a，", max_size=3), min_size=len(there), max_size=len(there)))
    text = "".join(filler + name for filler, name in zip(fillers, there, strict=True))
    one = st.sampled_from(there)
    facts = draw(st.lists(st.builds(Fact, one, st.sampled_from("pq"), one), max_size=3, unique=True))
    return Example(text, tuple(facts), draw(st.sampled_from([None, frozenset("pq")])))


@given(st.lists(examples(), min_size=1, max_size=4), st.integers(0, 2**32))
def test_every_fact_stays_in_its_text(some: list[Example], seed: int) -> None:
    rng, augmenter = np.random.default_rng(seed), Augmenter(some, probability=1)
    for before in some:
        after = augmenter(before, rng)
        assert all(align(after.text, fact) for fact in after.facts)
        assert {fact.predicate for fact in after.facts} == {fact.predicate for fact in before.facts}
        assert after.space == before.space
        assert len(after.text) <= LONGEST * len(before.text)


def test_the_swap_changes_the_text_and_all_facts() -> None:
    after = swapped(FILM, FILM.facts[0], OTHER.facts[0])
    assert after.text == "功夫由周星驰执导，周星驰编剧"
    assert after.facts == (("功夫", "导演", "周星驰"), ("功夫", "编剧", "周星驰"))


def test_names_are_swapped_at_once_and_without_case() -> None:
    before = Example("abc与ABC，DEF", (Fact("Abc", "p", "def"),))
    assert swapped(before, before.facts[0], Fact("def", "p", "xyz")).text == "def与def，xyz"


def test_the_longer_of_two_names_goes_first() -> None:
    before = Example("北京大学在北京", (Fact("北京大学", "所在城市", "北京"),))
    assert swapped(before, before.facts[0], Fact("复旦", "所在城市", "上海")).text == "复旦在上海"


def test_facts_that_become_equal_are_one() -> None:
    before = Example("甲和乙演丙", (Fact("甲", "p", "丙"), Fact("乙", "p", "丙")))
    assert swapped(before, before.facts[0], Fact("乙", "p", "丙")) == Example(
        "乙和乙演丙", (Fact("乙", "p", "丙"),)
    )


def test_a_swap_that_would_break_another_fact_is_left_out() -> None:
    school = Example("北京大学生王菲", (Fact("王菲", "毕业院校", "北京大学"), Fact("王菲", "身份", "大学生")))
    assert swapped(school, school.facts[0], Fact("刘欢", "毕业院校", "清华")) == school


def test_a_swap_that_would_stretch_the_text_is_left_out() -> None:
    assert swapped(OTHER, OTHER.facts[0], Fact("长" * 20, "导演", "徐小明")) == OTHER


def test_half_of_the_sentences_change_and_all_partners_come() -> None:
    partners = [Example("x" + s, (Fact(s, "p", "x"),)) for s in "甲乙丙丁"]
    augmenter, rng = Augmenter(partners), np.random.default_rng(0)
    results = [augmenter(partners[0], rng).facts[0].subject for _ in range(2000)]
    counts = {s: results.count(s) for s in "甲乙丙丁"}
    assert all(abs(counts[s] - 250) < 4 * (2000 * 0.125 * 0.875) ** 0.5 for s in "乙丙丁")


def test_the_seed_decides() -> None:
    augmenter = Augmenter([FILM, OTHER])
    runs = [[augmenter(FILM, rng) for _ in range(20)] for rng in map(np.random.default_rng, [1, 1, 2])]
    assert runs[0] == runs[1] != runs[2]


def test_no_facts_no_change() -> None:
    empty = Example("没有事实", ())
    assert Augmenter([FILM], probability=1)(empty, np.random.default_rng(0)) is empty
