"""What an extractor returns: spans and triples."""

from __future__ import annotations

from typing import Any, NamedTuple


class Span(NamedTuple):
    """A piece of a text: `text[start:end]`, in Unicode code points of the text as given."""

    text: str
    start: int
    end: int


class Triple(NamedTuple):
    """A (subject, predicate, object) fact with its score, a probability in [0, 1]."""

    subject: Span
    predicate: str
    object: Span
    score: float

    def to_dict(self) -> dict[str, Any]:
        """The triple as a line of `supple extract` writes it."""
        return {
            "subject": self.subject._asdict(),
            "predicate": self.predicate,
            "object": self.object._asdict(),
            "score": round(self.score, 4),
        }
