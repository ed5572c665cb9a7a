"""Which characters and words a network knows, and the vectors they start from."""

from __future__ import annotations

import lzma
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from supple.errors import InputError
from supple.extraction.settings import Settings
from supple.runtime.text import Vocabulary, segment

PLANE = 0x10000  # aliases cover the basic multilingual plane


def one_to_one_aliases() -> dict[str, str]:
    """Map full-width, upper-case, traditional and odd white-space characters each to one plain character.

    Only maps of one character to one character: every offset in a text stays what it was.
    """
    from opencc import OpenCC

    simplify = OpenCC("t2s").convert
    aliases = {}
    for character in map(chr, range(PLANE)):
        category = unicodedata.category(character)
        if category in ("Cn", "Co", "Cs"):
            continue
        if category in ("Cc", "Cf", "Zl", "Zp", "Zs"):
            plain = " "
        else:
            plain = character
            # Twice, for 薴 → 苧 → 苎: what is plain must stay so.
            for step in (lambda c: unicodedata.normalize("NFKC", c), str.lower, simplify, simplify):
                changed = step(plain)
                plain = changed if len(changed) == 1 else plain
        if plain != character:
            aliases[character] = plain
    return aliases


def fold(text: str, aliases: dict[str, str]) -> str:
    """The text with every character that has an alias replaced."""
    return text.translate({ord(alias): plain for alias, plain in aliases.items()})


def build_characters(texts: Iterable[str], aliases: dict[str, str], min_count: int = 2) -> list[str]:
    """The plain characters seen at least `min_count` times in `texts`, most frequent first."""
    counts = Counter(fold("".join(texts), aliases))
    return [character for character, count in counts.most_common() if count >= min_count]


def read_lines(paths: Iterable[str | Path]) -> Iterator[str]:
    """The lines of UTF-8 text files, plain or `.xz`."""
    for path in map(Path, paths):
        try:
            with (
                lzma.open(path, "rt", encoding="utf-8")
                if path.suffix == ".xz"
                else path.open(encoding="utf-8") as lines
            ):
                yield from lines
        except (OSError, UnicodeDecodeError, lzma.LZMAError) as error:
            raise InputError(
                f"cannot be read as UTF-8 text ({error}); convert or leave it out", path=path
            ) from None


def train_word_vectors(
    texts: Iterable[str],
    aliases: dict[str, str],
    *,
    size: int = 64,
    count: int = 50_000,
    min_count: int = 3,
    epochs: int = 3,
    threads: int = 1,
    seed: int = 0,
) -> tuple[list[str], np.ndarray]:
    """Word2vec (skip-gram) on `texts`: the `count` most frequent words, and their vectors (words, size).

    With one thread the result depends on the texts and the seed alone. No words, if none is frequent enough.
    """
    from gensim.models import Word2Vec

    table = {ord(alias): plain for alias, plain in aliases.items()}

    class Sentences:  # gensim reads its corpus once an epoch
        def __iter__(self) -> Iterator[list[str]]:
            return (segment(text.strip().translate(table)) for text in texts)

    if iter(texts) is texts:
        texts = list(texts)
    model = Word2Vec(
        vector_size=size, min_count=min_count, max_final_vocab=count, sg=1, workers=threads, seed=seed
    )
    model.build_vocab(Sentences())
    if not len(model.wv):  # which `train` refuses
        return [], np.zeros((0, size), np.float16)
    model.train(Sentences(), total_examples=model.corpus_count, epochs=epochs)
    vectors = model.wv.vectors
    return list(model.wv.index_to_key), (vectors / np.std(vectors)).astype(np.float16)


def read_vectors(path: str | Path, names: str) -> tuple[list[str], np.ndarray]:
    """The arrays `names` (n,) and `vectors` (n, size) of an `.npz`; InputError if it does not hold them."""
    try:
        with open(path, "rb") as opened, np.load(opened) as file:
            known, vectors = [str(name) for name in file[names]], file["vectors"]
        if vectors.ndim != 2 or len(vectors) != len(known):
            raise ValueError(f"{len(known)} names, vectors of shape {vectors.shape}")
    except Exception as error:  # numpy says in many ways that a file is no .npz
        problem = f"cannot be read as an .npz with `{names}` and `vectors` ({error}); correct it"
        raise InputError(problem, path=path) from None
    return known, vectors


def initial_characters(
    characters: list[str], path: str | Path, width: int, rng: np.random.Generator
) -> np.ndarray:
    """Initial embeddings (characters, width): published vectors on their principal axes, noise for the rest.

    `path`: an `.npz` with `chars` (n,) and `vectors` (n, size).
    """
    known, vectors = read_vectors(path, "chars")
    vectors = vectors.astype(np.float32)
    vectors -= vectors.mean(0)
    axes = np.linalg.svd(vectors, full_matrices=False)[2][:width]
    projected = vectors @ axes.T
    table = rng.normal(size=(len(characters), width)).astype(np.float32)
    table[:, : projected.shape[1]] *= projected.std(0)
    place = {character: row for row, character in enumerate(known)}
    for row, character in enumerate(characters):
        if character in place:
            table[row, : projected.shape[1]] = projected[place[character]]
    return table / table.std()


class Lexicon(NamedTuple):
    """The characters and words that a network knows; vectors (words, size) are those of the words."""

    characters: list[str]
    aliases: dict[str, str]
    words: list[str]
    vectors: np.ndarray

    @property
    def vocabulary(self) -> Vocabulary:
        """The same for the runtime."""
        return Vocabulary(self.characters, self.aliases, self.words)


def build_lexicon(texts: list[str], settings: Settings) -> Lexicon:
    """What a network will know, from its training texts and the vectors that the settings name."""
    aliases = one_to_one_aliases()
    characters = build_characters(texts, aliases)
    if settings.character_vectors:
        known = fold("".join(read_vectors(settings.character_vectors, "chars")[0]), aliases)
        characters = list(dict.fromkeys([*characters, *known]))
    words, vectors = build_words(texts, aliases, settings)
    kept = set(characters)
    return Lexicon(characters, {a: c for a, c in aliases.items() if c in kept}, words, vectors)


def build_words(
    texts: list[str], aliases: dict[str, str], settings: Settings
) -> tuple[list[str], np.ndarray]:
    """Words and their vectors: none, given, or trained."""
    if not settings.words or settings.form == "fast":
        return [], np.zeros((0, settings.word_size), np.float16)
    if settings.word_vectors:
        return read_vectors(settings.word_vectors, "words")
    texts = [*texts, *read_lines(settings.word_text)] if settings.word_text else texts
    return train_word_vectors(
        texts,
        aliases,
        size=settings.word_size,
        count=settings.word_count,
        epochs=settings.word_epochs,
        threads=settings.word_threads,
        seed=settings.seed,
    )


def save_lexicon(lexicon: Lexicon, path: Path) -> None:
    """Write a lexicon as `.npz`, whole or not at all."""
    old, new = "".join(lexicon.aliases), "".join(lexicon.aliases.values())
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        characters="".join(lexicon.characters),
        aliases=[old, new],
        words="\n".join(lexicon.words),
        vectors=lexicon.vectors,
    )
    os.replace(part, path)


def load_lexicon(path: Path) -> Lexicon:
    """Read a lexicon as `save_lexicon` wrote it."""
    with np.load(path) as file:
        aliases = dict(zip(*map(str, file["aliases"]), strict=True))
        words = str(file["words"]).split("\n") if len(file["vectors"]) else []
        return Lexicon(list(str(file["characters"])), aliases, words, file["vectors"])
