"""Both decoders are the greedy splits they claim to be; which trees they reach, and how often, is known."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from math import comb, factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.ordered.decoders import decode, published_chance, unbiased_chance
from supple.ordered.trees import Tree, balanced, fold, right_branching, spans

TIED = st.lists(st.integers(0, 3), min_size=1, max_size=14)
DISTINCT = st.lists(st.floats(0, 1), min_size=1, max_size=14, unique=True)


def top_down_published(levels: list[float], first: int = 0) -> Tree:
    """As the paper's program does it: argmax takes the first of equal levels."""
    split = int(np.argmax(levels))
    before, after = levels[:split], levels[split + 1 :]
    tree: Tree = first + split
    if after:
        tree = (tree, top_down_published(after, first + split + 1))
    return (top_down_published(before, first), tree) if before else tree


def top_down_unbiased(levels: list[float], first: int = 0) -> Tree:
    if len(levels) == 1:
        return first
    gaps = levels[1:]
    largest = [place for place, level in enumerate(gaps, 1) if level == max(gaps)]
    split = largest[(len(largest) - 1) // 2]  # the middle one
    return top_down_unbiased(levels[:split], first), top_down_unbiased(levels[split:], first + split)


def catalan(n: int) -> int:
    return comb(2 * n, n) // (n + 1)


def reachable(most: int) -> list[int]:
    """How many binary trees of n words the published decoder can give, by where the largest level is.

    The first word: (word rest). The k-th: (k words (word rest)); with one word before it, that is among the
    former ones.
    """
    counts = [1, 1]
    for n in range(2, most + 1):
        counts.append(counts[n - 1] + sum(counts[k] * counts[n - k - 1] for k in range(2, n)))
    return counts


@given(TIED)
def test_published_is_the_paper_s_greedy_split(levels: list[float]) -> None:
    assert decode(levels, "published") == top_down_published(levels)


@given(TIED)
def test_unbiased_is_a_greedy_split(levels: list[float]) -> None:
    assert decode(levels) == top_down_unbiased(levels)


@given(TIED, st.floats(-5, 5))
def test_the_first_level_says_nothing_to_the_unbiased_decoder(levels: list[float], other: float) -> None:
    assert decode(levels) == decode([other, *levels[1:]])


@given(DISTINCT)
def test_from_the_other_end_the_unbiased_tree_is_the_mirror_image(levels: list[float]) -> None:
    first, *gaps = levels
    image = fold(decode(levels), lambda leaf: len(gaps) - leaf, lambda parts: tuple(reversed(parts)))
    assert decode([first, *reversed(gaps)]) == image


def test_the_published_decoder_prefers_the_right() -> None:
    """Of levels and of the same levels from the other end: it is not the mirror image."""
    assert decode([0, 2, 1, 3], "published") == ((0, (1, 2)), 3)
    assert decode([3, 1, 2, 0], "published") == (0, (1, (2, 3)))


@given(DISTINCT)
def test_only_the_order_of_levels_counts(levels: list[float]) -> None:
    ranks = np.argsort(np.argsort(levels))
    for decoder in ("unbiased", "published"):
        assert decode(levels, decoder) == decode(ranks, decoder)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", range(1, 8))
def test_which_trees_can_be_reached(n: int) -> None:
    """All of them, or as many as the recurrence counts: 13 of the 14 of five words."""
    gaps = {decode([0, *order]) for order in permutations(range(n - 1))}
    assert len(gaps) == catalan(n - 1)
    words = {decode(order, "published") for order in permutations(range(n))}
    assert len(words) == reachable(n)[n] == [0, 1, 1, 2, 5, 13, 35, 97][n]
    if n == 5:
        assert gaps - words == {((0, 1), ((2, 3), 4))}


def test_the_published_fractions() -> None:
    counts = reachable(20)
    assert round(100 * counts[10] / catalan(9)) == 48
    assert round(100 * counts[20] / catalan(19), 1) == 9.8


@pytest.mark.parametrize("n", range(2, 8))
@pytest.mark.parametrize(
    ("decoder", "chance"), [("published", published_chance), ("unbiased", unbiased_chance)]
)
def test_chances_of_spans_are_those_of_all_orders(n: int, decoder: Any, chance: Any) -> None:
    times = Counter(
        span for order in permutations(range(n)) for span in spans(decode(order, decoder)) - {(0, n)}
    )
    for start in range(n):
        for end in range(start + 2, n + 1):
            if (start, end) != (0, n):
                exact = times[start, end] / factorial(n)
                assert chance(start, end, n) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_saturated_levels_are_no_branching(n: int) -> None:
    """The published decoder makes of them the baseline that scores best in English."""
    assert decode([1.0] * n) == balanced(range(n))
    assert decode([1.0] * n, "published") == right_branching(range(n))


@pytest.mark.parametrize("step", [1, -1, 0])
@pytest.mark.parametrize("decoder", ["unbiased", "published"])
def test_long_sentences(decoder: Any, step: int) -> None:
    n = 30_000
    tree = decode(np.arange(n) * step, decoder)
    assert len(spans(tree)) == n - 1


@pytest.mark.parametrize(
    ("levels", "problem"),
    [
        ([], r"levels of shape \(0,\) should be of one sentence"),
        ([[0.1, 0.2]], r"levels of shape \(1, 2\) should be of one sentence"),
        ([0.1, float("nan")], "the level of word 1 is NaN"),
    ],
)
def test_levels_of_no_sentence(levels: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode(levels)


def test_an_unknown_decoder() -> None:
    with pytest.raises(ValueError, match="decoder = 'greedy' should be one of unbiased, published"):
        decode([0.1], "greedy")  # type: ignore[arg-type]
