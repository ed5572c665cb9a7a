"""The extractor on a toy model whose triples are known from the characters alone."""

from __future__ import annotations

import itertools
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.runtime import Extractor, Span, Triple
from supple.runtime.decode import Calibration
from tests.toy_model import ALIASES, EDGES, ENDS, PIECES, PREDICATES

FACT = "甲乙丙丁"
sentences = st.text(alphabet=[*EDGES, *PIECES, *ALIASES, *"x，😀\U00020000\ud800\x00"], max_size=30)
texts = st.lists(sentences, max_size=8).map("。".join)


def pairs(text: str, column: int) -> Iterator[tuple[int, int, float]]:
    """(start, inclusive end, score) by two columns of EDGES."""
    edges = [EDGES.get(ALIASES.get(character, character), [0] * 6)[column : column + 2] for character in text]
    for start, (opens, _) in enumerate(edges):
        if opens > 0.5:
            for end in range(start, len(text)):
                if edges[end][1] > 0.4:
                    yield start, end, opens * edges[end][1]
                    break


def reference(text: str) -> list[Triple]:
    """The triples of a text of one piece, by nested loops."""
    best: dict[tuple[str, str, str], Triple] = {}
    for start, end, score in pairs(text, 0):
        for label, predicate in enumerate(PREDICATES):
            for o_start, o_end, o_score in pairs(text, 2 + 2 * label):
                if all(ENDS.get(text[place], [1, 1])[label] for place in (start, end)):
                    subject = Span(text[start : end + 1], start, end + 1)
                    object = Span(text[o_start : o_end + 1], o_start, o_end + 1)
                    triple = Triple(subject, predicate, object, round(score * o_score, 4))
                    best.setdefault((subject.text, predicate, object.text), triple)
    return sorted(best.values(), key=lambda t: (t.subject.start, t.object.start, t.predicate, t.object.end))


@given(sentences.filter(lambda text: not set(PIECES) & set(text)))
def test_a_sentence_has_the_triples_that_its_characters_say(toy: Extractor, text: str) -> None:
    assert toy(text) == reference(text)


@given(texts)
def test_offsets_are_those_of_the_text_as_given(toy: Extractor, text: str) -> None:
    for subject, _, object, _ in toy(text):
        assert text[subject.start : subject.end] == subject.text
        assert text[object.start : object.end] == object.text


@pytest.mark.parametrize(
    ("text", "subject", "object"),
    [
        ("😀𠀀甲乙丙👨‍👩‍👧丁", (2, 4), (4, 11)),  # a family is five code points
        ("　 甲乙\t丙丁　", (2, 4), (5, 7)),
        ("\x00\x01甲\x7f乙丙\u200b丁", (2, 5), (5, 8)),
        ("\ud800甲乙\udfff丙丁", (1, 3), (4, 6)),
        ("Ａ國丙丁", (0, 2), (2, 4)),
        ("无关。\r\n《没有结尾。甲乙丙丁", (11, 13), (13, 15)),
    ],
)
def test_offsets(toy: Extractor, text: str, subject: tuple[int, int], object: tuple[int, int]) -> None:
    [triple] = toy(text)
    assert (triple.subject[1:], triple.object[1:]) == (subject, object)


def test_nothing_comes_of_nothing(toy: Extractor) -> None:
    assert [toy(text) for text in ("", " \n　", "没有")] == [[], [], []]
    assert list(toy.stream([])) == []


def test_a_piece_knows_nothing_of_its_neighbours(toy: Extractor) -> None:
    assert toy("甲乙。丙丁") == []
    assert len(toy("寅。甲乙丙丁。寅")) == 1


def test_the_best_occurrence_is_kept_the_first_of_equals(toy: Extractor) -> None:
    [triple] = toy("甲乙丙丁卯。甲乙丙丁。甲乙丙丁")
    assert (triple.subject.start, triple.score) == (6, 0.5184)


def test_scores(load: Callable[..., Extractor]) -> None:
    text = "甲乙丙丁戊己"
    assert [triple.score for triple in load()(text)] == [
        0.5184,
        0.3024,
    ]  # .9 x .8 x .9 x .8, .9 x .8 x .6 x .7
    softer = [(0.5184 / 0.4816) ** 0.5, (0.3024 / 0.6976) ** 0.5]
    assert [triple.score for triple in load(calibration=Calibration(2.0)._asdict())(text)] == [
        round(o / (1 + o), 4) for o in softer
    ]
    assert [triple.score for triple in load()(text, min_score=0.5184)] == [0.5184]


def test_mirrors_are_added(load: Callable[..., Extractor]) -> None:
    there, back = load(mirrors={"导演": "主演"})(FACT)
    assert there == Triple(Span("甲乙", 0, 2), "导演", Span("丙丁", 2, 4), 0.5184)
    assert back == Triple(Span("丙丁", 2, 4), "主演", Span("甲乙", 0, 2), 0.5184)


@pytest.fixture(scope="session")
def narrow(load: Callable[..., Extractor]) -> Extractor:
    return load(window=32, lengths=[16, 32])


@given(st.text("x， 、", max_size=150), st.text("x， 、", max_size=150))
def test_windows_find_what_is_short_wherever_it_stands(narrow: Extractor, before: str, after: str) -> None:
    [triple] = narrow(before + "甲x乙，丙丁" + after)
    start = len(before)
    assert (triple.subject, triple.object) == (
        Span("甲x乙", start, start + 3),
        Span("丙丁", start + 4, start + 6),
    )


@pytest.fixture(scope="session")
def alone(load: Callable[..., Extractor]) -> Extractor:
    return load(threads=1)


@given(st.lists(texts, max_size=12), st.integers(1, 3000))
def test_no_result_depends_on_its_company(toy: Extractor, alone: Extractor, texts: list, size: int) -> None:
    assert list(toy.stream(texts, batch_characters=size)) == [alone(text) for text in texts]


def test_threads_share_an_extractor(toy: Extractor) -> None:
    many = ["x" * (i % 50) + FACT + "。" * (i % 3) + "子x乙戊己" * (i % 5) for i in range(200)]
    expected = [toy(text) for text in many]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(toy, many)) == expected
        assert list(pool.map(lambda _: list(toy.stream(many)), range(8))) == [expected] * 8


def test_a_stream_reads_ahead_a_bounded_number_of_texts(toy: Extractor) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield "" if number % 3 else f"{number}甲乙丙丁"

    for given_out, triples in enumerate(itertools.islice(toy.stream(endless(), batch_characters=64), 2000)):
        assert [triple.subject.start for triple in triples] == (
            [] if given_out % 3 else [len(str(given_out))]
        )
        assert taken - given_out < 64 * 64 // 4


def test_a_consumer_may_stop_early(toy: Extractor) -> None:
    before = threading.active_count()
    stream = toy.stream(itertools.repeat(FACT))
    assert next(stream) == toy(FACT)
    stream.close()
    assert threading.active_count() == before


def test_a_line_of_a_million_characters(toy: Extractor) -> None:
    text = FACT + "王，" * 500_000 + "子乙戊己"
    start = time.process_time()
    first, last = toy(text)
    assert time.process_time() - start < 20
    assert (first.subject.start, last.subject.start) == (0, len(text) - 4)


def test_a_long_text_takes_no_more_memory_than_a_group_of_batches(alone: Extractor) -> None:
    text = "王王王。" * 10_000
    tracemalloc.start()
    try:
        assert next(alone.stream([text], batch_characters=64)) == []
        assert tracemalloc.get_traced_memory()[1] < 1_500_000  # its pieces together take twice as much
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("wrong", [b"bytes", None, 3, ["list"]])
def test_a_text_must_be_a_str(toy: Extractor, wrong: object) -> None:
    with pytest.raises(TypeError, match=f"must be a str, got {type(wrong).__name__}"):
        toy(wrong)


def test_a_stream_takes_texts_not_a_text(toy: Extractor) -> None:
    with pytest.raises(TypeError, match=r"give \[text\]"):
        next(toy.stream("甲乙丙丁"))


def test_words_reach_the_network(load: Callable[..., Extractor]) -> None:
    found = load(words=["北京"])("他在北京\ud800，丙丁")
    assert [(triple.subject, triple.score) for triple in found] == [
        (Span("北", 2, 3), 0.4608),  # .8 x .8 x .9 x .8
        (Span("京", 3, 4), 0.4608),
    ]


def test_the_prior_reaches_the_network(load: Callable[..., Extractor]) -> None:
    extractor = load(prior=[["霸王", "导演", "陈Ａ"], ["霸王", "主演", "张"], ["霸王", "别的", "陈"]])
    found = extractor("霸王是陈甲的\ud800。张说陈甲霸")  # 甲 and Ａ are the same to this vocabulary
    assert found == [Triple(Span("霸王", 0, 2), "导演", Span("陈甲", 3, 5), 0.6561)]
