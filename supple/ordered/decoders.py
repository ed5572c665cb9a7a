"""From levels to binary trees: the span is split where the level is largest, and so are its parts.

`levels` (words,) holds d of every word: as high as the level at which the ON-LSTM reads a word is the
boundary before it. The first is read after `<eos>`, so that its level says nothing about the sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from supple.ordered.trees import Tree, balanced

Decoder = Literal["unbiased", "published"]


def decode(levels: Any, decoder: Decoder = "unbiased") -> Tree:
    """The binary tree of one sentence's levels; ValueError for none, for NaN, or for an unknown decoder."""
    if decoder not in DECODERS:
        raise ValueError(f"decoder = {decoder!r} should be one of {', '.join(DECODERS)}")
    values = np.asarray(levels, "float64")
    if values.ndim != 1 or not values.size:
        raise ValueError(f"levels of shape {values.shape} should be of one sentence: (words,), 1 or more")
    if np.isnan(values).any():
        raise ValueError(f"the level of word {np.isnan(values).argmax()} is NaN: did training diverge?")
    return DECODERS[decoder](values.tolist())


def unbiased(levels: list[float]) -> Tree:
    """Split between two words, where the level of the later one is largest; the first level is not used.

    Every binary tree can come of it, and of gaps without ties, read from the other end, its mirror image.
    Equal levels, as saturated ones are, say nothing of order: their parts are joined in balance. That is to
    split at the middle one of the largest, of two middles at the earlier; constant levels give the balanced
    tree, not a branching. In time O(n) without ties, and O(n log n) at most.
    """
    tree: Tree = 0
    waiting: list[tuple[float, list[Tree]]] = []  # a level of gaps, and what is before each; levels fall
    for word, level in enumerate(levels[1:], 1):
        while waiting and waiting[-1][0] < level:
            tree = balanced([*waiting.pop()[1], tree])
        if waiting and waiting[-1][0] == level:
            waiting[-1][1].append(tree)
        else:
            waiting.append((level, [tree]))
        tree = word
    while waiting:
        tree = balanced([*waiting.pop()[1], tree])
    return tree


def published(levels: list[float]) -> Tree:
    """(before (word after)) of the word with the largest level, of equal ones the first (Shen et al. 2019).

    A word is always joined with what is after it. So trees branch to the right more often than not, as
    those of English do, and not every one can come of it: 13 of the 14 binary trees of 5 words, 48% of
    those of 10, 9.8% of those of 20 (Dyer et al. 2019 on such a bias). In time O(n).
    """
    waiting: list[tuple[float, Tree | None, int]] = []  # a level, what is before the word, the word
    for word, level in enumerate(levels):
        before: Tree | None = None
        while waiting and waiting[-1][0] < level:
            before = headed(*waiting.pop()[1:], before)
        waiting.append((level, before, word))
    tree: Tree | None = None
    while waiting:
        tree = headed(*waiting.pop()[1:], tree)
    assert tree is not None  # `decode` refuses an empty sentence
    return tree


def headed(before: Tree | None, word: int, after: Tree | None) -> Tree:
    """(before (word after)), of which either may be missing."""
    tree: Tree = word if after is None else (word, after)
    return tree if before is None else (before, tree)


def unbiased_chance(start: int, end: int, n: int) -> float:
    """How probable a span of L words, not 1 nor all, is in the tree of independent levels of one kind.

    The gaps beside it, one or two, must be above the L - 1 inside: any order is as probable as any other.
    """
    length = end - start
    return 2 / (length * (length + 1)) if start > 0 and end < n else 1 / length


def published_chance(start: int, end: int, n: int) -> float:
    """The same; a suffix is twice as probable as a prefix.

    The words beside it must be above all inside; or its first word, above those and the one before it, is
    below the one after it.
    """
    length = end - start
    if end == n:
        return 2 / (length + 1)
    return 3 / ((length + 1) * (length + 2)) if start > 0 else 1 / (length + 1)


DECODERS: dict[Decoder, Callable[[list[float]], Tree]] = {"unbiased": unbiased, "published": published}
