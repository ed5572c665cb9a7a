"""Where the subject and the object of a fact stand in its text."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from operator import itemgetter
from typing import Literal

from supple.extraction.corpus import Example, Fact, fold

Place = tuple[int, int]  # start and end, both inclusive
Mode = Literal["nearest", "first"]


def align(text: str, fact: Fact, mode: Mode = "nearest") -> tuple[Place, Place] | None:
    """The places of subject and object, ignoring case; None if one of them is not in the text.

    "nearest": of all their occurrences the nearest two that do not overlap, the earliest among equals; if all
    overlap, the first of each. "first": the first of each.
    """
    text = fold(text)
    subjects, objects = places(text, fold(fact.subject)), places(text, fold(fact.object))
    if not subjects or not objects:
        return None
    if mode == "first":
        return subjects[0], objects[0]
    pairs = ((subject, other) for subject in subjects for other in neighbours(subject, objects))
    return min(pairs, key=gap, default=(subjects[0], objects[0]))


def neighbours(place: Place, others: list[Place]) -> list[Place]:
    """The last of the sorted `others` that ends before a place, and the first that starts after it."""
    before = bisect_left(others, place[0], key=itemgetter(1))
    after = bisect_right(others, place[1], key=itemgetter(0))
    return others[max(before - 1, 0) : before] + others[after : after + 1]


def places(text: str, name: str) -> list[Place]:
    """Every place of a name in a text."""
    starts = (
        found.start() for found in re.finditer(f"(?={re.escape(name)})", text)
    )  # ?=: overlapping ones too
    return [(start, start + len(name) - 1) for start in starts]


def gap(pair: tuple[Place, Place]) -> int:
    """How many characters lie between two places."""
    first, second = sorted(pair)
    return second[0] - first[1] - 1


def spans(example: Example, mode: Mode = "nearest") -> dict[Place, set[tuple[int, int, str]]]:
    """Subject (start, end) → {(object start, object end, predicate)}, ends inclusive."""
    found: defaultdict[Place, set[tuple[int, int, str]]] = defaultdict(set)
    for fact in example.facts:
        if pair := align(example.text, fact, mode):
            subject, (start, end) = pair
            found[subject].add((start, end, fact.predicate))
    return dict(found)
