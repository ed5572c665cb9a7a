"""From text to trees: a language model reads a sentence, and its levels are decoded (Shen et al. 2019)."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np

from supple.errors import InputError
from supple.ordered.corpus import UNKNOWN, Vocabulary, split
from supple.ordered.decoders import DECODERS, Decoder, decode
from supple.ordered.language_model import LanguageModel
from supple.ordered.scoring import Score, score_parsers
from supple.ordered.treebank import Sentence
from supple.ordered.trees import Tree

NUMBER = re.compile(r"[.,:\\/-]*\d[\d.,:\\/-]*|%")  # N in the usual text of the Penn Treebank; so is %
PIECE = re.compile(  # of a token of English: the words and endings that are tokens there
    r"\w+(?=n['’]t\b)|n['’]t\b|['’](?:s|re|ve|ll|d|m)\b"
    r"|\w+(?:[-.&]\w+|['’]\w{3,}|(?<=\d)[.,:/]\d+)*\.?|\S",
    re.IGNORECASE,
)


class Parse(NamedTuple):
    """Words as they stand in the sentence, their binary tree, and the levels (words,) it was read from."""

    words: list[str]
    tree: Tree
    levels: np.ndarray


def parse(
    model: LanguageModel,
    sentence: str | Sequence[str],
    layer: int = 0,
    decoder: Decoder = "unbiased",
) -> Parse:
    """The tree of a sentence, text or its words, by the renewal of its words, or the levels of a layer.

    Of text, the words are those of `words_of`. InputError for no words or more than 1,000.
    """
    return parse_all(model, [sentence], layer, decoder)[0]


def parse_all(
    model: LanguageModel,
    sentences: Sequence[str | Sequence[str]],
    layer: int = 0,
    decoder: Decoder = "unbiased",
) -> list[Parse]:
    """The same of many sentences, of which those of like length are read together."""
    if isinstance(sentences, str):
        raise InputError(
            f"expected a list of sentences, got the text {sentences[:40]!r}: give [text], or call `parse`"
        )
    words = [words_of(s, model.vocabulary) if isinstance(s, str) else list(s) for s in sentences]
    levels = model.levels([read_as(row, model.vocabulary) for row in words], layer)
    return [Parse(row, decode(d, decoder), d) for row, d in zip(words, levels, strict=True)]


def words_of(text: str, vocabulary: Vocabulary) -> list[str]:
    """The words of a text as the vocabulary splits it, and a word that it lacks further, as English is split.

    So "doesn't stop." becomes "does n't stop". Punctuation is kept where the vocabulary has it, and left out
    otherwise. Chinese is split as in simplified characters, unless fewer words are known so.
    """
    found = [split(text, vocabulary.form)]
    if vocabulary.form == "words" and (plain := simplified(text)) != text:
        characters = (character for character in text if not character.isspace())
        found[:0] = [["".join(islice(characters, len(token))) for token in split(plain, vocabulary.form)]]
    tokens = max(found, key=lambda tokens: sum(len(token) for token in tokens if known(token, vocabulary)))
    return [part for token in tokens for part in parts(token, vocabulary)]


def parts(token: str, vocabulary: Vocabulary) -> Iterator[str]:
    if known(token, vocabulary):
        yield token
        return
    for piece in PIECE.findall(token):
        whole = known(piece, vocabulary) or not piece.endswith(".")
        for part in [piece] if whole else [piece[:-1], "."]:
            if known(part, vocabulary) or any(map(str.isalnum, part)):
                yield part


def known(word: str, vocabulary: Vocabulary) -> bool:
    return bool(readings(word, vocabulary))


def foreign(words: Sequence[str], vocabulary: Vocabulary) -> bool:
    """Whether the vocabulary has none of the words, and of one alone, such as a name, no character either."""
    if any(known(word, vocabulary) for word in words):
        return False
    return len(words) > 1 or vocabulary.characters.isdisjoint("".join(words).lower())


def read_as(words: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Each word as the vocabulary has it: as it is, else in small letters, else N for a number, else <unk>.

    Or so in simplified characters and ordinary width, whichever is more frequent. With a vocabulary of
    Mikolov's text of the Penn Treebank, the treebank's words become those of the text.
    """
    return [
        min(readings(word, vocabulary), key=vocabulary.places.__getitem__, default=UNKNOWN) for word in words
    ]


def readings(word: str, vocabulary: Vocabulary) -> list[str]:
    """What the vocabulary has for a word, and for it in simplified characters: one, both or none."""
    found = (next(filter(vocabulary.places.__contains__, forms(w)), "") for w in (word, simplified(word)))
    return [form for form in found if form]


def forms(word: str) -> Iterator[str]:
    yield word
    yield word.lower().replace("’", "'")
    if NUMBER.fullmatch(word):
        yield "N"


@lru_cache(1 << 16)
def simplified(text: str) -> str:
    """The text in simplified characters and ordinary width, every character at its old place."""
    if text.isascii():
        return text
    plain = "".join(map(narrow, text))
    whole = to_simplified()(plain)
    return whole if len(whole) == len(plain) else plain


def narrow(character: str) -> str:
    found = unicodedata.normalize("NFKC", character)
    return found if len(found) == 1 else character


@cache
def to_simplified() -> Callable[[str], str]:
    from opencc import OpenCC

    convert: Callable[[str], str] = OpenCC("t2s").convert
    return convert


class Saturation(NamedTuple):
    """How close to each other levels are: shares of words, but those that are first, and quantiles."""

    near: float  # whose level is within 0.001 of that of another word of the sentence
    equal: float  # whose level is that of another: only these say nothing of the order
    low: float  # of all levels, 5%, 50% and 95% are not above these
    median: float
    high: float


def saturation(levels: Sequence[np.ndarray]) -> Saturation:
    """How saturated the levels (words,) of sentences are; ValueError if none has two words."""
    rows = [row[1:] for row in levels if len(row) > 1]  # the first level is not used
    if not rows:
        raise ValueError(f"levels of {len(levels)} sentences: expected one of two words or more")
    shares = [np.mean(np.concatenate([crowded(row, width) for row in rows])) for width in (1e-3, 0.0)]
    return Saturation(*map(float, [*shares, *np.quantile(np.concatenate(rows), [0.05, 0.5, 0.95])]))


def crowded(levels: np.ndarray, width: float) -> np.ndarray:
    """Of sorted levels (n,), whether each has another so near."""
    near = np.diff(np.sort(levels)) <= width
    return np.pad(near, (1, 0)) | np.pad(near, (0, 1))


def score_model(
    model: LanguageModel, sentences: Sequence[Sentence], shortest: int = 1, longest: float = math.inf
) -> dict[str, Score]:
    """Scores of trees by the renewal and by every layer, by each decoder, beside those of `score_parsers`.

    One of them is the same network untrained: how much of a figure needs no learning.
    """
    sentences = [s for s in sentences if shortest <= len(s.words) <= longest]
    words = [read_as(sentence.words, model.vocabulary) for sentence in sentences]
    before, after = (trees_of(each.all_levels(words)) for each in (untrained(model), model))
    trees = {f"untrained, {name}": each for name, each in before.items()} | after
    return score_parsers(sentences, trees, shortest, longest)


def untrained(model: LanguageModel) -> LanguageModel:
    """The model as it was before its first step."""
    return LanguageModel(model.vocabulary, model.recipe)


def trees_of(levels: Sequence[np.ndarray]) -> dict[str, list[Tree]]:
    """The trees of sentences by layer and decoder, from levels (1 + layers, words)."""
    names = ["renewal", *(f"layer {layer}" for layer in range(1, len(levels[0])))] if levels else []
    return {
        f"{name}, {decoder}": [decode(rows[layer], decoder) for rows in levels]
        for layer, name in enumerate(names)
        for decoder in DECODERS
    }
