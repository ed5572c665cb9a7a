"""Alignment: the nearest pair by brute force, and offsets that point at the names."""

from __future__ import annotations

from itertools import product

from hypothesis import example, given
from hypothesis import strategies as st

from supple.extraction.align import Place, align, spans
from supple.extraction.corpus import Example, Fact, fold

short = st.text("abA《", min_size=1, max_size=2)


def brute_force(text: str, fact: Fact) -> tuple[Place, Place] | None:
    """Every pair of places, judged by (overlap, distance, place)."""
    text = text.lower()
    pairs = [
        ((s, s + len(fact.subject) - 1), (o, o + len(fact.object) - 1))
        for s, o in product(range(len(text)), repeat=2)
        if text[s:].startswith(fact.subject.lower()) and text[o:].startswith(fact.object.lower())
    ]
    apart = {(s, o): max(o[0] - s[1], s[0] - o[1]) for s, o in pairs}
    near = {pair: distance for pair, distance in apart.items() if distance > 0}
    return min(near or pairs, key=lambda pair: (near.get(pair), *pair), default=None)


@given(st.text("abA《 ", max_size=12), short, short)
@example("ab a", "a", "b")
def test_nearest_is_the_nearest(text: str, subject: str, object_: str) -> None:
    fact = Fact(subject, "p", object_)
    assert (
        align(text, fact) == brute_force(text, fact) if brute_force(text, fact) else align(text, fact) is None
    )


@given(st.text("abA《 ", max_size=12), short, short)
def test_first_is_what_find_finds(text: str, subject: str, object_: str) -> None:
    found = align(text, Fact(subject, "p", object_), mode="first")
    starts = text.lower().find(subject.lower()), text.lower().find(object_.lower())
    assert (found is None) == (-1 in starts)
    assert found is None or (found[0][0], found[1][0]) == starts


def test_the_near_one_and_the_first_one_differ() -> None:
    text, fact = "王菲。后来王菲唱了红豆", Fact("王菲", "歌手", "红豆")
    assert align(text, fact) == ((5, 6), (9, 10))
    assert align(text, fact, mode="first") == ((0, 1), (9, 10))


def test_a_name_inside_a_name_is_found() -> None:
    assert align("北京大学很大", Fact("北京大学", "所在城市", "北京")) == ((0, 3), (0, 1))
    assert align("北京大学在北京", Fact("北京大学", "所在城市", "北京")) == ((0, 3), (5, 6))


@given(st.text(), st.text())
def test_folding_keeps_every_place(a: str, b: str) -> None:
    assert len(fold(a)) == len(a)
    assert fold(a + b) == fold(a) + fold(b)


def test_every_character_folds_to_one() -> None:
    assert [c for c in map(chr, range(0x110000)) if len(fold(c)) != 1] == []


def test_emoji_and_odd_case_keep_their_places() -> None:
    text = "😀İSTANBUL与ΑΣ"
    assert align(text, Fact("istanbul", "p", "ας".replace("ς", "σ"))) == ((1, 8), (10, 11))


def test_spans_gather_the_facts_of_each_subject() -> None:
    facts = (Fact("A", "p", "B"), Fact("a", "q", "C"), Fact("C", "p", "B"), Fact("A", "p", "absent"))
    assert spans(Example("A B C", facts)) == {(0, 0): {(2, 2, "p"), (4, 4, "q")}, (4, 4): {(2, 2, "p")}}
