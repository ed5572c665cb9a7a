"""A stand-in for the extractor, and the command with it: `python -m tests.cli.stub extract …`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from supple.errors import InputError
from supple.runtime.triple import Span, Triple

FACT = re.compile(r"([^，。的]+)的([^，。的]+)是([^，。的]+)")
READ_AHEAD = 8


class Stub:
    """Finds the triples that a text says as `subject的predicate是object`; reads a few texts ahead."""

    @classmethod
    def load(cls, name_or_dir: str, *, threads: int | None = None) -> Stub:
        if name_or_dir != "zh" and not os.path.isdir(name_or_dir):
            raise InputError(f"there is no model {name_or_dir!r}; known is zh")
        return cls()

    def __call__(self, text: str, *, min_score: float = 0.0) -> list[Triple]:
        if seconds := float(os.environ.get("STUB_SECONDS", 0)):
            time.sleep(seconds)
        found = []
        for fact in FACT.finditer(text):
            subject, object = Span(fact[1], *fact.span(1)), Span(fact[3], *fact.span(3))
            score = 1 / len(subject.text)
            if score >= min_score:
                found.append(Triple(subject, fact[2], object, score))
        return found

    def stream(self, texts: Iterable[str], *, min_score: float = 0.0) -> Iterator[list[Triple]]:
        texts = iter(texts)
        while group := list(islice(texts, READ_AHEAD)):
            yield from [self(text, min_score=min_score) for text in group]


if __name__ == "__main__":
    import supple.runtime
    from supple.cli import main

    supple.runtime.Extractor = Stub
    raise SystemExit(main())
