"""Look-alikes are one to one and folded once for all; vectors keep what they say about each other."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.extraction.settings import Settings
from supple.extraction.vocabulary import (
    Lexicon,
    build_characters,
    build_lexicon,
    fold,
    initial_characters,
    load_lexicon,
    one_to_one_aliases,
    read_lines,
    save_lexicon,
    train_word_vectors,
)
from tests.extraction import tiny

ALIASES = one_to_one_aliases()
TEXTS = [row.text for row in tiny.rows(30)] * 3


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("國語電影導演", "国语电影导演"),  # traditional
        ("ＡＢＣａｂｃ１２３", "abcabc123"),  # full width
        ("（，！？：；）～", "(,!?:;)~"),
        ("\u3000\t\n\x00\u200b\xa0", " " * 6),  # white space and what cannot be seen
        ("DÉJÀ ΣΟΦΟΣ Москва", "déjà σοφοσ москва"),
        ("ﾊ①²", "ハ12"),
        ("㈱ﬁİß", "㈱ﬁİß"),  # each would take more than one character
        ("国，。《》“”😀𠀀", "国,。《》“”😀𠀀"),
    ],
)
def test_a_look_alike_counts_as_its_plain_form(given: str, plain: str) -> None:
    assert fold(given, ALIASES) == plain and len(plain) == len(given)


def test_every_alias_is_one_plain_character_for_another() -> None:
    assert all(len(alias) == len(plain) == 1 != (alias == plain) for alias, plain in ALIASES.items())
    assert not any(0xD800 <= ord(character) < 0xE000 for pair in ALIASES.items() for character in pair)
    assert [plain for plain in ALIASES.values() if plain in ALIASES] == []  # to fold twice is to fold once


@given(st.text())
def test_folding_keeps_every_character_in_its_place(text: str) -> None:
    folded = fold(text, ALIASES)
    assert len(folded) == len(text) and fold(folded, ALIASES) == folded


def test_characters_are_the_frequent_ones_in_order() -> None:
    assert build_characters(["國国Ａ", "aA国b"], ALIASES) == ["国", "a"]
    assert build_characters(["國国Ａ", "aA国b"], ALIASES, min_count=1) == ["国", "a", "b"]


def test_lines_are_read_plain_or_packed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("甲\n乙\n", "utf-8")
    with lzma.open(tmp_path / "b.txt.xz", "wt", encoding="utf-8") as file:
        file.write("丙\n")
    assert list(read_lines([tmp_path / "a.txt", str(tmp_path / "b.txt.xz")])) == ["甲\n", "乙\n", "丙\n"]


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", "甲".encode("gbk")), ("a.xz", b"no xz"), ("a.txt", None)]
)
def test_text_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: cannot be read as UTF-8 text"):
        list(read_lines([tmp_path / name]))


def test_word_vectors_depend_on_the_texts_and_the_seed_alone() -> None:
    words, vectors = train_word_vectors(TEXTS, ALIASES, size=4)
    again = train_word_vectors(iter(TEXTS), ALIASES, size=4)
    assert again[0] == words and np.array_equal(again[1], vectors)
    assert vectors.shape == (len(words), 4) and vectors.dtype == np.float16
    assert np.std(vectors.astype(float)) == pytest.approx(1, rel=1e-2)
    other_words, other = train_word_vectors(TEXTS, ALIASES, size=4, seed=1)
    assert other_words == words and not np.array_equal(other, vectors)


def test_words_are_those_of_the_folded_text_most_frequent_first() -> None:
    texts = ["天氣,ＤＶＤ", "天气,dvd", "天气,Dvd", "天气,", "天气"]
    assert train_word_vectors(texts, ALIASES, size=4)[0] == ["天气", ",", "dvd"]
    words, vectors = train_word_vectors(texts, ALIASES, size=4, count=1)
    assert words == ["天气"] and vectors.shape == (1, 4)


def test_a_text_without_frequent_words_has_none() -> None:
    words, vectors = train_word_vectors(["今天天气很好"], ALIASES, size=4)
    assert words == [] and vectors.shape == (0, 4)


def gram(vectors: np.ndarray) -> np.ndarray:
    """Dot products of centred vectors, the largest 1."""
    centred = vectors.astype(float) - vectors.astype(float).mean(0)
    products = centred @ centred.T
    return products / np.abs(products).max()


def published(folder: Path, size: int, rank: int) -> tuple[list[str], np.ndarray, Path]:
    rng = np.random.default_rng(0)
    characters = [chr(0x4E00 + i) for i in range(40)]
    vectors = (rng.normal(size=(40, rank)) * 2.0 ** -np.arange(rank)) @ rng.normal(size=(rank, size)) + 1
    np.savez(folder / "vectors.npz", chars=characters, vectors=vectors.astype(np.float32))
    return characters, vectors, folder / "vectors.npz"


@pytest.mark.parametrize(("size", "rank", "width"), [(16, 16, 16), (50, 6, 16)])
def test_initial_characters_keep_the_dot_products_of_the_published(
    tmp_path: Path, size: int, rank: int, width: int
) -> None:
    characters, vectors, path = published(tmp_path, size, rank)
    table = initial_characters(characters[::-1], path, width, np.random.default_rng(0))
    np.testing.assert_allclose(gram(table), gram(vectors[::-1]), atol=1e-3)
    assert table.shape == (40, width) and table.std() == pytest.approx(1, rel=1e-3)


def test_initial_characters_of_less_width_keep_what_matters_most(tmp_path: Path) -> None:
    characters, vectors, path = published(tmp_path, 16, 16)
    table = initial_characters(characters, path, 5, np.random.default_rng(0))
    values, axes = np.linalg.eigh(gram(vectors))
    best = axes[:, -5:] * values[-5:] @ axes[:, -5:].T  # of all matrices of rank 5 the nearest (Eckart-Young)
    np.testing.assert_allclose(gram(table), best / np.abs(best).max(), atol=1e-3)


def test_characters_that_nobody_published_are_noise_of_the_same_spread(tmp_path: Path) -> None:
    characters, _, path = published(tmp_path, 16, 4)
    others = [chr(0x5E00 + i) for i in range(2000)]
    table = initial_characters(characters + others, path, 4, np.random.default_rng(0))
    np.testing.assert_allclose(table[40:].std(0), table[:40].std(0), rtol=0.1)
    assert np.abs(table[40:].mean(0) / table[40:].std(0)).max() < 0.1


def test_a_lexicon_knows_the_texts_and_the_published_characters(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npz"
    np.savez(path, chars=["龍", "国", "Ａ"], vectors=np.ones((3, 2)))
    lexicon = build_lexicon(["国家国家"], Settings(words=False, character_vectors=str(path)))
    assert lexicon.characters == ["国", "家", "龙", "a"]
    assert lexicon.aliases == {a: c for a, c in ALIASES.items() if c in "国家龙a"} and "國" in lexicon.aliases
    ids = lexicon.vocabulary.character_ids("国國家龍龙ＡaA中")
    assert ids.tolist() == [2, 2, 3, 4, 4, 5, 5, 5, 1]
    assert lexicon.words == [] and len(lexicon.vectors) == 0


def test_given_word_vectors_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    np.savez(path, words=["国家", "电影"], vectors=np.arange(6).reshape(2, 3))
    lexicon = build_lexicon(["国家"], Settings(word_vectors=str(path)))
    assert lexicon.words == ["国家", "电影"] and lexicon.vectors.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert build_lexicon(["国家"], Settings(word_vectors=str(path), form="fast")).words == []


@pytest.mark.parametrize("setting", ["character_vectors", "word_vectors"])
@pytest.mark.parametrize("content", [None, "nothing", "text", "zip", "array", "other names", "too few"])
def test_vectors_that_cannot_be_read_are_named(tmp_path: Path, setting: str, content: str | None) -> None:
    path = tmp_path / "v.npz"
    if content == "array":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif content == "other names":
        np.savez(path, names=["a"])
    elif content == "too few":
        np.savez(path, chars=["a", "b"], words=["a", "b"], vectors=np.ones((1, 2)))
    elif content is not None:
        path.write_bytes({"nothing": b"", "text": b"1 2 3", "zip": b"PK\x03\x04"}[content])
    with pytest.raises(
        InputError, match=r"v\.npz: cannot be read as an \.npz with `(chars|words)` and `vectors`"
    ):
        build_lexicon(["国家"], Settings(**{setting: str(path)}, words=setting == "word_vectors"))


plain = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@given(
    st.lists(plain, unique=True),
    st.dictionaries(plain, plain),
    st.lists(st.text(plain.filter(lambda c: c != "\n"), min_size=1), max_size=5),
)
def test_a_lexicon_is_read_as_it_was_saved(
    tmp_path_factory: pytest.TempPathFactory, characters: list[str], aliases: dict[str, str], words: list[str]
) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(words), 3)).astype(np.float16)
    path = tmp_path_factory.mktemp("lexicon") / "lexicon.npz"
    save_lexicon(Lexicon(characters, aliases, words, vectors), path)
    again = load_lexicon(path)
    assert again[:3] == (characters, aliases, words) and np.array_equal(again.vectors, vectors)


def test_the_lexicon_of_odd_texts_is_read_as_it_was_saved(tmp_path: Path) -> None:
    texts = ["\n\0'\"\\,😀𠀀", "\r\0'\"\\,😀𠀀﹏"] * 2
    lexicon = build_lexicon(texts, Settings(words=False))
    save_lexicon(lexicon, tmp_path / "lexicon.npz")
    again = load_lexicon(tmp_path / "lexicon.npz")
    assert again[:3] == lexicon[:3] and {" ", "'", '"', "😀", "𠀀"} <= set(again.characters)
    assert "\0" in again.aliases


def test_a_lexicon_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, **arrays: np.ndarray) -> None:
        Path(path).write_bytes(b"PK")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(KeyboardInterrupt):
        save_lexicon(Lexicon(["a"], {}, [], np.zeros((0, 2))), tmp_path / "lexicon.npz")
    assert not (tmp_path / "lexicon.npz").exists()
