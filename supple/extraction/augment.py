"""New sentences out of old ones: swap a fact's names for those of another fact with the same predicate."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from supple.extraction.corpus import Example, Fact, fold

LONGEST = 1.5  # longer names may stretch a text to this many times its length


class Augmenter:
    """With `probability`, a fact of a sentence gets the names of another fact with the same predicate."""

    def __init__(self, examples: Iterable[Example], probability: float = 0.5):
        self.probability = probability
        self.facts: defaultdict[str, list[Fact]] = defaultdict(list)
        for fact in dict.fromkeys(fact for example in examples for fact in example.facts):
            self.facts[fact.predicate].append(fact)

    def __call__(self, example: Example, rng: np.random.Generator) -> Example:
        """The example or a changed one in which every fact still occurs in the text."""
        if not example.facts or rng.random() > self.probability:
            return example
        old = example.facts[rng.integers(len(example.facts))]
        others = self.facts.get(old.predicate, [old])
        return swapped(example, old, others[rng.integers(len(others))])


def swapped(example: Example, old: Fact, new: Fact) -> Example:
    """The example with the names of `old` replaced by those of `new` in its text and all facts.

    The example as it is if the text would grow too long or lose a fact (names may overlap in the text).
    """
    names = {fold(old.subject): new.subject, fold(old.object): new.object}
    text = replaced(example.text, names)
    facts = [Fact(replaced(s, names), p, replaced(o, names)) for s, p, o in example.facts]
    there = fold(text)
    kept = all(fold(fact.subject) in there and fold(fact.object) in there for fact in facts)
    if not kept or len(text) > LONGEST * len(example.text):
        return example
    return example._replace(text=text, facts=tuple(dict.fromkeys(facts)))


def replaced(text: str, names: dict[str, str]) -> str:
    """The text with every folded name replaced at once, the longest where several begin, ignoring case."""
    longest_first = sorted(names, key=len, reverse=True)
    pieces, end = [], 0
    for found in re.finditer("|".join(map(re.escape, longest_first)), fold(text)):
        pieces += [text[end : found.start()], names[found[0]]]
        end = found.end()
    return "".join([*pieces, text[end:]])
