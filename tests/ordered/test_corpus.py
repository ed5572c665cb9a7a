"""The stream holds every token once and in order, and bad text is told with its place."""

from __future__ import annotations

from itertools import islice, repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.ordered.corpus import EOS, UNKNOWN, Vocabulary, lengths, read_sentences, split, windows


def test_text_is_split_at_spaces_into_characters_or_into_words() -> None:
    assert split(" a  bc\u3000d ", "spaces") == ["a", "bc", "d"]
    assert split("爱 真的", "characters") == ["爱", "真", "的"]
    words = split("爱真的需要勇气", "words")
    assert "".join(words) == "爱真的需要勇气" and "勇气" in words


def test_half_a_character_is_replaced() -> None:
    for form in "characters", "words":
        assert "".join(split("\ud800爱真的", form)) == "\ufffd爱真的"


def test_lines_are_sentences_and_blank_ones_are_none(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffa b\r\n\n \nc\n".encode())
    assert list(read_sentences(path, "spaces")) == [["a", "b"], ["c"]]


def test_a_line_may_be_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a " * 100_000, "utf-8")
    [sentence] = read_sentences(path, "spaces")
    assert len(sentence) == 100_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "text.txt: the file is empty; expected text, one sentence a line"),
        (b" \n\n", "text.txt: the file is empty"),
        ("好\n勇气".encode("gb18030"), "text.txt:1: byte 1 of the line is not UTF-8; convert"),
        (b"a\nb\xff", "text.txt:2: byte 2 of the line is not UTF-8"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_sentences(tmp_path / "text.txt", "spaces"))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.txt: cannot be read \(No such file"):
        list(read_sentences(tmp_path / "none.txt", "spaces"))


def test_a_vocabulary_has_frequent_words_first_and_rare_ones_not() -> None:
    vocabulary = Vocabulary.of([["b", "a", "b"], ["a", "b", "<unk>", "rare"]], "spaces", 2)
    assert vocabulary.words == [EOS, UNKNOWN, "b", "a"]
    assert vocabulary.ids(["a", "rare", "b", EOS]).tolist() == [3, 1, 2, 0]
    assert vocabulary.stream([["a"], ["b", "b"]]).tolist() == [3, 0, 2, 2, 0]


@pytest.mark.parametrize("words", [["a", "b"], [EOS, UNKNOWN, "a", "a"], [EOS], []])
def test_a_list_that_is_no_vocabulary_is_told(words: list[str]) -> None:
    with pytest.raises(InputError, match="a vocabulary is <eos>, <unk> and different words"):
        Vocabulary(words)


def test_words_are_joined_as_they_were_split() -> None:
    words = ["a", "b", EOS, "c", EOS]
    assert Vocabulary([EOS, UNKNOWN]).join(words) == "a b\nc\n"
    assert Vocabulary([EOS, UNKNOWN], "words").join(words) == "ab\nc\n"


@given(
    size=st.integers(1, 60),
    rows=st.integers(1, 7),
    parts=st.lists(st.integers(1, 9), min_size=1, max_size=60),
)
def test_every_token_is_once_a_target_in_order_and_follows_its_input(
    size: int, rows: int, parts: list[int]
) -> None:
    ids = np.arange(size, dtype=np.int32)
    found = list(windows(ids, rows, [*parts, *repeat(5, 60)]))
    targets, tokens, real = (np.concatenate([w[kind] for w in found], 1) for kind in (1, 0, 2))
    there = real == 1
    assert targets[there].tolist() == list(range(size))  # row after row, so a row's state is carried on
    assert (tokens[there] == (targets[there] - 1) % size).all()
    assert set(np.unique(real)) <= {0, 1} and not targets[~there].any()
    assert [w.tokens.shape for w in found] == [
        (rows, part) for part in [*parts, *repeat(5, 60)][: len(found)]
    ]


def test_random_lengths_are_few_and_spread_as_published() -> None:
    found = np.array(list(islice(lengths(70, True, np.random.default_rng(0)), 20_000)))
    full = found[found > 50]
    assert set(np.unique(found)) <= {20, 30, 40, 50, 60, 70, 80, 90}
    assert abs(np.mean(found > 50) - 0.95) < 0.005
    # The deviation of a normal one of 5, rounded to tens, is sqrt(25 + 100 / 12) but for a little.
    assert abs(full.mean() - 70) < 0.2 and abs(full.std() - np.sqrt(25 + 100 / 12)) < 0.2
    assert list(islice(lengths(70, False, np.random.default_rng(0)), 3)) == [70, 70, 70]
