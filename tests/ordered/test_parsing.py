"""A text becomes the words that a model knows, and its tree is that of the levels which the model gives."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.ordered.corpus import EOS, UNKNOWN, Vocabulary, read_sentences
from supple.ordered.decoders import decode
from supple.ordered.language_model import LanguageModel
from supple.ordered.parsing import (
    parse,
    parse_all,
    read_as,
    saturation,
    score_model,
    untrained,
    words_of,
)
from supple.ordered.recipes import changed
from supple.ordered.scoring import score_parsers
from supple.ordered.treebank import Sentence, read_treebank
from supple.ordered.trees import right_branching, spans
from tests.numerics import numpy
from tests.ordered.toy_language import TINY

PENN = ["N", "the", "year", "next", "does", "n't", "'s", "said", "u.s.", "inc.", "30-day", "$", "<unk>"]


def vocabulary(words: Any, form: str = "spaces") -> Vocabulary:
    return Vocabulary([EOS, UNKNOWN, *(word for word in words if word != UNKNOWN)], form)


def made(words: Any = "abcdef", form: str = "spaces", **settings: Any) -> LanguageModel:
    """A model with weights large enough that levels differ."""
    model = LanguageModel(vocabulary(words, form), changed(TINY, settings))
    rng = np.random.default_rng(0)
    for variable in model.network.trainable_variables:
        variable.assign(0.7 * rng.normal(size=variable.shape))
    return model


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return made()


@pytest.mark.backend
@pytest.mark.parametrize("decoder", ["unbiased", "published"])
def test_a_tree_is_that_of_the_levels(model: LanguageModel, decoder: Any) -> None:
    words, tree, levels = parse(model, "a b c d e f", 2, decoder)
    assert words == list("abcdef")
    np.testing.assert_array_equal(levels, model.levels(["a b c d e f"], 2)[0])
    assert tree == decode(levels, decoder)


@pytest.mark.backend
def test_sentences_together_are_those_alone(model: LanguageModel) -> None:
    sentences = ["a", "f e d c b a", ["b", "b", "zebra"], "c d"]
    for sentence, found in zip(sentences, parse_all(model, sentences), strict=True):
        alone = parse(model, sentence)
        assert (found.words, found.tree) == (alone.words, alone.tree)
        np.testing.assert_allclose(found.levels, alone.levels, atol=1e-6)
    assert parse_all(model, []) == []


def test_words_come_as_given_and_are_read_as_the_model_has_them(model: LanguageModel) -> None:
    """Capitals and an unknown word: the levels of what they are to the model."""
    found = parse(model, "A zebra, B.")
    assert found.words == ["A", "zebra", "B"]
    np.testing.assert_array_equal(found.levels, model.levels([["a", UNKNOWN, "b"]])[0])
    np.testing.assert_array_equal(found.levels, parse(model, ["A", "zebra", "B"]).levels)


def test_raw_chinese() -> None:
    words = made(["爱", "真的", "需要"], "words", layers=1)
    found = parse(words, "爱真的需要勇气。")
    assert found.words == ["爱", "真的", "需要", "勇气"]
    np.testing.assert_array_equal(found.levels, words.levels([["爱", "真的", "需要", UNKNOWN]])[0])
    assert words_of("爱真的 需要勇气。", vocabulary("爱真的", "characters")) == list("爱真的需要勇气")
    assert words_of("爱。", vocabulary("爱。", "characters")) == ["爱", "。"]


def test_traditional_and_full_width_letters_are_read_as_those_that_the_model_has() -> None:
    """A text is split as its simplified twin is; a model that has traditional ones takes them as they are."""
    simplified, traditional = (vocabulary(words, "words") for words in (["学习", "汉语"], ["學習"]))
    words = words_of("學習 漢語發音，ｈｉ。", simplified)
    assert words == ["學習", "漢語", "發音", "ｈｉ"]
    assert read_as(words, simplified) == ["学习", "汉语", UNKNOWN, UNKNOWN]
    assert read_as(["學習", "学习"], traditional) == ["學習", UNKNOWN]
    for both in ["与", "與"], ["與", "与"]:  # the more frequent is the first
        assert read_as(["與"], vocabulary(both, "words")) == both[:1]
    english = vocabulary(PENN)
    assert read_as(words_of("Ｔｈｅ ｙｅａｒ １２", english), english) == ["the", "year", "N"]
    own = vocabulary(["漢", "語", "學習"], "words")
    assert words_of("學習", own) == ["學習"]


def test_a_text_is_split_in_the_way_that_gives_more_known_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a model of traditional words was trained on what rjieba makes of these."""
    monkeypatch.setattr("rjieba.cut", {"漢語": ["漢", "語"], "汉语": ["汉语"]}.__getitem__)
    assert words_of("漢語", vocabulary(["漢", "語"], "words")) == ["漢", "語"]
    assert words_of("漢語", vocabulary(["汉语"], "words")) == ["漢語"]


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [("", "has 0 words"), (" … ", "has 0 words"), ([], "has 0 words"), ("a " * 1001, "has 1,001 words")],
)
def test_what_has_no_tree(model: LanguageModel, sentence: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"sentence 2 {problem}; give from 1 to 1,000"):
        parse_all(model, ["a", sentence])


@pytest.mark.parametrize(
    ("text", "words", "read"),
    [
        ("The year.", "The year", "the year"),
        ("“It doesn't,” he said!", "It does n't he said", "<unk> does n't <unk> said"),
        ("the U.S.'s", "the U.S. 's", "the u.s. 's"),
        ("Zed Inc., next", "Zed Inc. next", "<unk> inc. next"),
        ("a 30-day, 40-day year", "a 30-day 40-day year", "<unk> 30-day <unk> year"),
        ("$1,234.50 or 5%: 1/2", "$ 1,234.50 or 5 % 1/2", "$ N <unk> N N N"),
        ("it’s O'Hara -- the", "it ’s O'Hara the", "<unk> 's <unk> the"),
        ("<unk> said N", "<unk> said N", "<unk> said N"),
    ],
)
def test_english_is_split_as_in_the_penn_treebank(text: str, words: str, read: str) -> None:
    known = vocabulary(PENN)
    assert words_of(text, known) == words.split()
    assert read_as(words.split(), known) == read.split()


def test_a_long_token_of_digits_is_read_at_once() -> None:
    token, start = "1" * 20_000 + "x", perf_counter()
    assert words_of(token, vocabulary(PENN)) == [token]
    assert perf_counter() - start < 0.5


def test_a_text_is_no_list_of_sentences(model: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"expected a list of sentences, got the text 'a b c': give \["):
        parse_all(model, "a b c")


@given(st.lists(st.sampled_from(PENN), min_size=1))
def test_text_of_known_words_is_left_alone(words: list[str]) -> None:
    known = vocabulary(PENN)
    assert words_of(" ".join(words), known) == words == read_as(words, known)


def test_words_of_the_treebank_are_those_of_its_usual_text(data: Path) -> None:
    """Of 3,914 sentences 3,421 are lines of the text; those of the rest have currency signs, which the tags
    of words leave out, and four are not in it."""
    lines = list(read_sentences(data / "trees" / "ptb.train.txt", "spaces"))
    known = Vocabulary.of(lines, "spaces", 1)
    sample = {*map(tuple, lines[1:3911])}
    without = {tuple(word for word in line if word not in ("$", "#", "us$", "c$")) for line in sample}
    sentences = [
        tuple(read_as(sentence.words, known)) for sentence in read_treebank(data / "trees" / "treebank.zip")
    ]
    assert sum(sentence in sample for sentence in sentences) == 3421
    assert sum(sentence in without for sentence in sentences) == 3910


def gold(n: int) -> Sentence:
    tree = right_branching(range(n))
    return Sentence([*"abcdef"[:n]], tree, {span: [] for span in spans(tree)})


@pytest.mark.backend
def test_every_layer_and_decoder_is_scored_beside_the_untrained(model: LanguageModel) -> None:
    sentences = [gold(n) for n in (2, 4, 6)]
    scores = score_model(model, sentences, shortest=3)
    levels = "renewal", "layer 1", "layer 2"
    names = [f"{level}, {decoder}" for level in levels for decoder in ("unbiased", "published")]
    assert list(scores)[6:] == [f"untrained, {name}" for name in names] + names
    before = untrained(model)
    for prefix, each in ("", model), ("untrained, ", before):
        for layer, name in enumerate(levels):
            parses = parse_all(each, [s.words for s in sentences], layer, "published")
            expected = score_parsers(sentences, {"here": [found.tree for found in parses]}, 3)["here"]
            assert scores[f"{prefix}{name}, published"] == expected
    with pytest.raises(InputError, match="no sentence has 7 words or more; allow other lengths"):
        score_model(model, sentences, shortest=7)


def test_an_untrained_model_is_that_of_the_first_step(model: LanguageModel) -> None:
    fresh = LanguageModel(model.vocabulary, model.recipe)
    for one, other in zip(untrained(model).weights, fresh.weights, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))


def test_saturation_counts_levels_that_are_near_others() -> None:
    """The first level of a sentence, and sentences of one word, do not count."""
    rows = [[0.5, 0.5, 0.1, 0.9], [0.9, 0.3, 0.3004, 0.3, 0.7], [0.2]]
    found = saturation([np.array(row) for row in rows])
    assert (found.near, found.equal) == (pytest.approx(3 / 7), pytest.approx(2 / 7))
    assert (found.low, found.median, found.high) == (
        pytest.approx(0.16),
        pytest.approx(0.3004),
        pytest.approx(0.84),
    )
    with pytest.raises(ValueError, match="levels of 1 sentences: expected one of two words or more"):
        saturation([np.array([0.5])])
