"""Texts into pieces a network can read: sentences, windows, and the ids of their characters and words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

# A title or a quotation inside a sentence matches first, so nothing in it ends the sentence; bounded, so that
# an opening mark that is never closed hides little and costs little.
_BREAK = re.compile(
    r"《[^《》\n]{1,64}》"
    r"|“[^“”\n]{0,64}[^“”\n。！？；!?]”"
    r"|(?P<end>“[^“”\n]{1,64}”|[。！？；!?\n\r]+[”’」』）》]*)"
)
_SOFT = "，、, \u3000"


def pieces(text: str, window: int) -> Iterator[tuple[int, str]]:
    """Yield (start, piece): the sentences of a text without outer space, none longer than `window`.

    A longer sentence is cut into windows that overlap: whatever lies within `window // 4` characters of one
    sentence lies whole in some piece.
    """
    for start, end in _sentences(text):
        sentence = text[start:end]
        body = sentence.lstrip()
        start += len(sentence) - len(body)
        body = body.rstrip()
        for low, high in _windows(body, window):
            yield start + low, body[low:high]


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _BREAK.finditer(text):
        if match["end"]:
            yield start, match.end()
            start = match.end()
    yield start, len(text)


def _windows(sentence: str, window: int) -> Iterator[tuple[int, int]]:
    overlap, start = window // 4, 0
    while len(sentence) - start > window:
        end = _cut(sentence, start + window - overlap, start + window)
        yield start, end
        start = _cut(sentence, end - 2 * overlap, end - overlap)
    if start < len(sentence):
        yield start, len(sentence)


def _cut(sentence: str, low: int, high: int) -> int:
    """The last place in (low, high] that follows a comma or a space; `high` where there is none."""
    return max(sentence.rfind(mark, low, high) for mark in _SOFT) + 1 or high


class Vocabulary:
    """The ids of characters and words, with look-alikes (capitals, full width, traditional) folded.

    Characters: 0 is padding, 1 unknown, i + 2 is `characters[i]`. Words: 0 is unknown, i + 1 is `words[i]`.
    """

    def __init__(self, characters: Sequence[str], aliases: Mapping[str, str], words: Sequence[str] = ()):
        ids = np.ones(0x110000, np.int32)
        ids[[ord(character) for character in characters]] = np.arange(2, len(characters) + 2)
        folds = {ord(alias): ord(character) for alias, character in aliases.items()}
        ids[list(folds)] = ids[list(folds.values())]
        self._characters = ids
        self._words = {word: number for number, word in enumerate(words, start=1)}
        # Lone surrogates are legal in a str, but no Rust library takes them.
        self._folds = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD) | folds

    def fold(self, text: str) -> str:
        """The text as the vocabulary knows it: look-alikes replaced, every character at its old place."""
        return text.translate(self._folds)

    def character_ids(self, text: str) -> np.ndarray:
        """The id of every character, int32 (characters,)."""
        return self._characters[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)]

    def word_ids(self, text: str) -> np.ndarray:
        """The id of the word that holds each character, int32 (characters,)."""
        words = segment(self.fold(text))
        ids = np.array([self._words.get(word, 0) for word in words], np.int32)
        return np.repeat(ids, [len(word) for word in words])


def segment(text: str) -> list[str]:
    """The words of a text by rjieba; together they are the text."""
    import rjieba  # its dictionary takes memory and time: only models with words pay

    return rjieba.cut(text)


def padded(rows: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Rows of ids side by side, zeros behind each: int32 (rows, length)."""
    block = np.zeros((len(rows), length), np.int32)
    for line, row in zip(block, rows, strict=True):
        line[: len(row)] = row
    return block
