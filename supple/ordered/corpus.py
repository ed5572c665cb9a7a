"""Text as a stream of tokens: sentences of a file, the vocabulary, and the windows that a model reads."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from supple.errors import InputError

EOS, UNKNOWN = "<eos>", "<unk>"  # the first two of every vocabulary
FORMS = "spaces", "characters", "words"
HALF = re.compile("[\ud800-\udfff]")

FilePath = str | os.PathLike[str]


def split(text: str, form: str) -> list[str]:
    """The tokens of a text: what `spaces` separate, `characters` other than space, or `words` by rjieba.

    Half a character, as JSON may have and UTF-8 has not, becomes U+FFFD.
    """
    text = HALF.sub("\ufffd", text)
    if form == "spaces":
        return text.split()
    if form == "characters":
        return [character for character in text if not character.isspace()]
    import rjieba

    return [word for word in rjieba.cut(text) if not word.isspace()]


def read_sentences(path: FilePath, form: str) -> Iterator[list[str]]:
    """The tokens of every line of a UTF-8 file that is not blank; InputError if there is none.

    A line may be of any length, as a model carries its state from window to window.
    """
    try:
        lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); check the name and your rights"
        raise InputError(problem, path=path) from None
    empty = True
    for number, line in enumerate(lines, 1):
        try:
            tokens = split(line.decode("utf-8"), form)
        except UnicodeDecodeError as error:
            problem = f"byte {error.start + 1} of the line is not UTF-8; convert the file to UTF-8"
            raise InputError(problem, path=path, line=number) from None
        if tokens:
            empty = False
            yield tokens
    if empty:
        raise InputError("the file is empty; expected text, one sentence a line", path=path)


class Vocabulary:
    """Words and their ids: `<eos>` is 0, and `<unk>`, which stands for all other words, is 1.

    `form` is how text is split into tokens, one of "spaces", "characters" and "words".
    """

    def __init__(self, words: Sequence[str], form: str = "spaces"):
        self.words, self.form = list(words), form
        texts = all(isinstance(word, str) for word in words)
        if not texts or self.words[:2] != [EOS, UNKNOWN] or len(set(words)) < len(words):
            raise InputError(f"a vocabulary is {EOS}, {UNKNOWN} and different words after them")
        if form not in FORMS:
            raise InputError(f"a text is split into one of {', '.join(FORMS)}; got {form!r}")
        self.places = {word: place for place, word in enumerate(self.words)}

    @classmethod
    def of(cls, sentences: Iterable[list[str]], form: str, min_count: int) -> Vocabulary:
        """The words that occur at least so often, the most frequent first."""
        counts = Counter(word for sentence in sentences for word in sentence)
        known = [word for word, count in counts.most_common() if count >= min_count]
        return cls([EOS, UNKNOWN, *(word for word in known if word not in (EOS, UNKNOWN))], form)

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def characters(self) -> set[str]:
        """All that words are made of."""
        return set().union(*self.words[2:])

    def ids(self, words: Iterable[str]) -> np.ndarray:
        """The ids (n,) of words, int32."""
        return np.array([self.places.get(word, 1) for word in words], np.int32)

    def stream(self, sentences: Iterable[list[str]]) -> np.ndarray:
        """The ids of sentences, one after the other, `<eos>` at the end of each."""
        return self.ids(word for sentence in sentences for word in (*sentence, EOS))

    def join(self, words: Sequence[str]) -> str:
        """Words as text, each `<eos>` the end of a line."""
        lines: list[list[str]] = [[]]
        for word in words:
            if word == EOS:
                lines.append([])
            else:
                lines[-1].append(word)
        return "\n".join((" " if self.form == "spaces" else "").join(line) for line in lines)


class Window(NamedTuple):
    """What a model reads at once: ids (rows, time), those that follow them, 0 where these are padding."""

    tokens: np.ndarray
    targets: np.ndarray
    real: np.ndarray


def windows(ids: np.ndarray, rows: int, lengths: Iterable[int]) -> Iterator[Window]:
    """The stream in `rows` rows, cut into windows of these lengths; every id is once a target.

    A row goes on from window to window, and where a row ends the next begins. Before the first id stands the
    last, as if the stream were a circle: `<eos>`, if it ends a sentence. The last windows are padded.
    """
    length = math.ceil(len(ids) / rows)
    padding = (0, length * rows - len(ids))
    whole = Window(
        *(
            np.pad(part, padding).reshape(rows, length)
            for part in (np.roll(ids, 1), ids, np.ones(len(ids), np.float32))
        )
    )
    start = 0
    for size in lengths:
        if start >= length:
            return
        missing = ((0, 0), (0, max(start + size - length, 0)))
        yield Window(*(np.pad(part[:, start : start + size], missing) for part in whole))
        start += size


def lengths(bptt: int, random: bool, rng: np.random.Generator) -> Iterator[int]:
    """Lengths of windows without end: all `bptt`, or `random` ones.

    As published (Merity et al. 2018, section 4.1): about bptt, of deviation 5, one in twenty half of it. But
    rounded to tens, as code is compiled anew for each length.
    """
    while True:
        if not random:
            yield bptt
            continue
        middle = bptt if rng.random() < 0.95 else bptt / 2
        yield max(10, 10 * round(rng.normal(middle, 5) / 10))
