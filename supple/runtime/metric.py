"""Precision, recall and F1 over sets of triples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from typing import Any, NamedTuple

from supple.runtime.triple import Triple

Names = tuple[str, str, str]  # subject, predicate, object
Example = tuple[str, Iterable[Names], Container[str] | None]  # text, gold triples, label space


def normalise(subject: str, predicate: str, object: str) -> Names:
    """The triple as it is compared: subject and object in lower case, without outer 《》."""
    return _plain(subject), predicate, _plain(object)


def _plain(name: str) -> str:
    name = name.lower()
    return name[1:-1] if name.startswith("《") and name.endswith("》") else name


class Figures(NamedTuple):
    """Micro precision, recall and F1; a ratio of nothing is 0."""

    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, correct: int, predicted: int, gold: int) -> Figures:
        return cls(
            correct / max(predicted, 1), correct / max(gold, 1), 2 * correct / max(predicted + gold, 1)
        )


class Score:
    """Counts of correct, predicted and gold triples, a predicate; add row by row, then read the figures."""

    def __init__(self) -> None:
        self.correct: Counter[str] = Counter()
        self.predicted: Counter[str] = Counter()
        self.gold: Counter[str] = Counter()

    def add(
        self, predicted: Iterable[Names], gold: Iterable[Names], predicates: Container[str] | None = None
    ) -> None:
        """Count the triples of one text, those with `predicates` of its label space (None: all)."""
        predicted_set, gold_set = (
            {normalise(*names) for names in triples if predicates is None or names[1] in predicates}
            for triples in (predicted, gold)
        )
        for counts, triples in (
            (self.correct, predicted_set & gold_set),
            (self.predicted, predicted_set),
            (self.gold, gold_set),
        ):
            counts.update(predicate for _, predicate, _ in triples)

    @property
    def micro(self) -> Figures:
        """The figures over all predicates together."""
        return Figures.of(self.correct.total(), self.predicted.total(), self.gold.total())

    @property
    def per_predicate(self) -> dict[str, Figures]:
        """The figures of each predicate met, the most frequent in the gold triples first."""
        names = sorted(self.predicted | self.gold, key=lambda name: (-self.gold[name], name))
        return {name: Figures.of(self.correct[name], self.predicted[name], self.gold[name]) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """The figures as `supple evaluate --json` prints them."""
        per_predicate = {
            name: figures._asdict() | {"gold": self.gold[name]}
            for name, figures in self.per_predicate.items()
        }
        return self.micro._asdict() | {"per_predicate": per_predicate}


def score(examples: Iterable[Example], found: Iterable[Iterable[Triple]]) -> Score:
    """The score of the triples found in labelled texts; each text counts within its label space."""
    total = Score()
    for (_, facts, predicates), triples in zip(examples, found, strict=True):
        total.add(
            ((subject.text, name, object.text) for subject, name, object, _ in triples), facts, predicates
        )
    return total
