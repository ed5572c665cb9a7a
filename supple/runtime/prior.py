"""The prior: a dictionary of known triples, and where they may stand in a text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np

from supple.errors import InputError

Fact = tuple[str, str, str]


class Known(NamedTuple):
    """Known triples whose subject and object both occur in a text.

    `places` maps every (start, inclusive end) where an entity of the dictionary stands to that entity.
    """

    triples: list[Fact]
    places: dict[tuple[int, int], str]


class Prior:
    """Known triples (distant supervision), looked up in a text by one Aho-Corasick pass.

    `fold` (usually `Vocabulary.fold`) makes dictionary and texts alike; it must keep every character's place.
    `counts` is how often each triple, folded, was given. InputError if `ahocorasick_rs` is not installed.
    """

    def __init__(self, triples: Iterable[Fact], fold: Callable[[str], str] = str):
        try:
            from ahocorasick_rs import AhoCorasick
        except ModuleNotFoundError:
            problem = "a dictionary of known triples needs the extra: pip install 'supple[prior]'"
            raise InputError(problem) from None

        self.fold = fold
        self.counts = Counter(map(self._folded, triples))
        self._entities = sorted(set(chain.from_iterable((s, o) for s, _, o in self.counts)) - {""})
        self._finder = AhoCorasick(self._entities)
        # subject -> object -> predicates
        self._facts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for s, p, o in self.counts:
            self._facts[s][o].append(p)

    def _folded(self, triple: Fact) -> Fact:
        s, p, o = triple
        return self.fold(s), p, self.fold(o)

    def known(self, text: str, exclude: Iterable[Fact] = ()) -> Known:
        """The dictionary's triples that may hold in a text, sorted.

        While training, `exclude` takes the sentence's own triples: what only they support is left out.
        """
        matches = self._finder.find_matches_as_indexes(self.fold(text), overlapping=True)
        places = {(start, end - 1): self._entities[number] for number, start, end in matches}
        present = set(places.values())
        own = Counter(map(self._folded, exclude))
        triples = [
            (s, p, o)
            for s in present & self._facts.keys()
            for o in present & self._facts[s].keys()
            for p in self._facts[s][o]
            if self.counts[s, p, o] > own[s, p, o]
        ]
        return Known(sorted(triples), places)

    def candidates(self, text: str, exclude: Iterable[Fact] = ()) -> list[Fact]:
        """The triples of `known`."""
        return self.known(text, exclude).triples


def subject_prior(known: Known, length: int) -> np.ndarray:
    """1 at the start and the end of every candidate subject, else 0: float32 (length, 2)."""
    edges = np.zeros((length, 2), np.float32)
    subjects = {s for s, _, _ in known.triples}
    for (start, end), entity in known.places.items():
        if entity in subjects:
            edges[start, 0] = edges[end, 1] = 1
    return edges


def object_prior(
    known: Known, subject: tuple[int, int], predicates: Mapping[str, int], length: int
) -> np.ndarray:
    """1 at the edges of every candidate object of a subject, by predicate, else 0: float32 (length, P, 2).

    `subject` is its (start, inclusive end); `predicates` maps names to indices, others are passed over.
    """
    edges = np.zeros((length, len(predicates), 2), np.float32)
    name = known.places.get(subject)
    wanted = defaultdict(list)
    for s, p, o in known.triples:
        if s == name and p in predicates:
            wanted[o].append(predicates[p])
    for (first, last), entity in known.places.items():
        edges[first, wanted.get(entity, []), 0] = 1
        edges[last, wanted.get(entity, []), 1] = 1
    return edges
