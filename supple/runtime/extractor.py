"""The extractor: texts in, triples out, in order and in bounded memory."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from supple.errors import InputError
from supple.runtime.decode import Facts, decode
from supple.runtime.folder import Config, read_config, read_mirrors, read_prior, read_vocabulary
from supple.runtime.prior import Prior, object_prior, subject_prior
from supple.runtime.session import OnnxSession, Session
from supple.runtime.text import Vocabulary, padded, pieces
from supple.runtime.triple import Span, Triple
from supple.shipped import find_model

_BATCHES_AHEAD = 64
_TEXT_COST = 16  # characters that a text counts as besides its own: even empty ones take memory


class _Page:
    """A text, and the best-scored occurrence of each (subject, predicate, object) found in it so far."""

    def __init__(self, text: str):
        self.text = text
        self.best: dict[tuple[str, str, str], Triple] = {}

    def span(self, start: int, end: int) -> Span:
        return Span(self.text[start:end], start, end)

    def add(self, triple: Triple) -> None:
        key = triple.subject.text, triple.predicate, triple.object.text
        rival = self.best.get(key)
        if rival is None or (-triple.score, _place(triple)) < (-rival.score, _place(rival)):
            self.best[key] = triple


def _place(triple: Triple) -> tuple[int, int, str, int, int]:
    subject, predicate, object, _ = triple
    return subject.start, object.start, predicate, subject.end, object.end


class _Piece(NamedTuple):
    page: _Page
    start: int
    text: str  # "" once a page, behind its last piece: the page is complete


def _groups(work: Iterable[_Piece], size: int) -> Iterator[list[_Piece]]:
    """Consecutive pieces, `size` characters at a time."""
    group, room = [], size
    for piece in work:
        group.append(piece)
        room -= len(piece.text) or _TEXT_COST
        if room <= 0:
            yield group
            group, room = [], size
    yield group


class Extractor:
    """Finds (subject, predicate, object) triples in texts; threads may share it.

    >>> extractor = Extractor.load("zh")  # doctest: +SKIP
    >>> extractor("《大侠霍元甲》是徐小明执导的电视剧")  # doctest: +SKIP
    """

    def __init__(
        self,
        config: Config,
        vocabulary: Vocabulary,
        session: Session,
        *,
        mirrors: Mapping[str, str] | None = None,
        prior: Prior | None = None,
        threads: int | None = None,
    ):
        if threads is not None and threads < 1:
            raise InputError(f"threads must be 1 or more, got {threads}; leave it out for one a core")
        self.config = config
        self.vocabulary = vocabulary
        self.threads = threads or os.cpu_count() or 1
        self._predicates = {name: label for label, name in enumerate(config.predicates)}
        self._mirrors = mirrors or {}
        self._prior = prior
        self._session = session

    @classmethod
    def load(cls, name_or_dir: str | os.PathLike[str] = "zh", *, threads: int | None = None) -> Extractor:
        """Open a model that ships with Supple, by name, or any model folder.

        `threads` is how many batches `stream` runs side by side (default: one a core). InputError if there is
        no such model, or its folder is broken.
        """
        folder = find_model(name_or_dir)
        config, vocabulary = read_config(folder), read_vocabulary(folder)
        prior = read_prior(folder, vocabulary) if config.prior else None
        session = OnnxSession(folder, config)
        return cls(config, vocabulary, session, mirrors=read_mirrors(folder), prior=prior, threads=threads)

    def __call__(self, text: str, min_score: float = 0.0) -> list[Triple]:
        """The triples of one text, ordered by place; see `stream`."""
        return next(self.stream([text], min_score=min_score))

    def stream(
        self, texts: Iterable[str], *, batch_characters: int = 1024, min_score: float = 0.0
    ) -> Iterator[list[Triple]]:
        """Yield the triples of each text, in the order of the texts, reading ahead by at most 64 batches.

        Of several occurrences of a (subject, predicate, object) in a text, the best-scored is kept. Scores
        have four decimals; those below `min_score` are left out. `batch_characters` changes speed and memory,
        never a result. TypeError if a text is not a str.
        """
        # The default keeps what a batch touches in a core's cache.
        with ThreadPoolExecutor(self.threads) as pool:
            for group in _groups(self._pieces(texts), _BATCHES_AHEAD * batch_characters):
                batches = self._batches(group, batch_characters)
                run = pool.map if self.threads > 1 and len(batches) > 1 else map
                for found in run(self._extract, batches):
                    for page, triple in found:
                        if triple.score >= min_score:
                            page.add(triple)
                yield from (sorted(page.best.values(), key=_place) for page, _, text in group if not text)

    def _pieces(self, texts: Iterable[str]) -> Iterator[_Piece]:
        if isinstance(texts, str):
            raise TypeError("stream() takes many texts, got one str; give [text] or call the extractor")
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"a text must be a str, got {type(text).__name__}: {text!r:.80}")
            page = _Page(text)
            for start, piece in pieces(text, self.config.window):
                yield _Piece(page, start, piece)
            yield _Piece(page, len(text), "")

    def _batches(self, group: list[_Piece], batch_characters: int) -> list[list[_Piece]]:
        """The pieces of a group in batches of about `batch_characters`, each of one padded length."""
        by_length = defaultdict(list)
        for piece in group:
            if piece.text:
                by_length[self._length(piece)].append(piece)
        return [
            members[at : at + rows]
            for length, members in by_length.items()
            for rows in [max(1, batch_characters // length)]
            for at in range(0, len(members), rows)
        ]

    def _length(self, piece: _Piece) -> int:
        return self.config.lengths[bisect_left(self.config.lengths, len(piece.text))]

    def _extract(self, batch: list[_Piece]) -> list[tuple[_Page, Triple]]:
        """The triples of pieces of one padded length."""
        config, length, texts = self.config, self._length(batch[0]), [piece.text for piece in batch]
        inputs = {"characters": padded([self.vocabulary.character_ids(text) for text in texts], length)}
        if config.words:
            inputs["words"] = padded([self.vocabulary.word_ids(text) for text in texts], length)
        if self._prior:
            known = [self._prior.known(text) for text in texts]
            inputs["subject_prior"] = np.stack([subject_prior(facts, length) for facts in known])
        subject, state = self._session.encode(**inputs)

        def objects(rows: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
            inputs = state | {"rows": rows, "starts": starts, "ends": ends}
            if self._prior:
                asked = np.stack([rows, starts, ends], axis=1).tolist()
                inputs["object_prior"] = np.stack(
                    [object_prior(known[row], (s, e), self._predicates, length) for row, s, e in asked]
                )
            return self._session.objects(**inputs)

        return list(self._triples(batch, decode(subject, objects, config.thresholds, config.calibration)))

    def _triples(self, batch: list[_Piece], facts: Facts) -> Iterator[tuple[_Page, Triple]]:
        # Rounding hides the last digits of a matrix product, which may depend on the shape of the batch.
        columns = facts._replace(score=np.round(facts.score, 4))
        found = zip(*(column.tolist() for column in columns), strict=True)
        for row, s, s_end, label, o, o_end, score in found:
            page, at, _ = batch[row]
            subject, predicate = page.span(at + s, at + s_end + 1), self.config.predicates[label]
            object = page.span(at + o, at + o_end + 1)
            yield page, Triple(subject, predicate, object, score)
            if predicate in self._mirrors:
                yield page, Triple(object, self._mirrors[predicate], subject, score)
