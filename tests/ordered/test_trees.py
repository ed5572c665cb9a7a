"""Folds of trees agree with recursion, brackets come back as they were, and depth is no obstacle."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.ordered.trees import (
    Tree,
    balanced,
    brackets,
    check,
    fold,
    from_brackets,
    left_branching,
    right_branching,
    size,
    spans,
)

ROOM = Path(__file__).resolve().parents[2] / "supple" / "ordered"
DEEP = 5_000  # far more than Python's limit of recursion


def numbered(shape: Any) -> Tree:
    """A shape with its leaves counted from the left."""
    places = count()

    def number(part: Any) -> Tree:
        return tuple(map(number, part)) if isinstance(part, tuple) else next(places)

    return number(shape)


TREES = st.recursive(
    st.just(0), lambda part: st.lists(part, min_size=1, max_size=4).map(tuple), max_leaves=12
).map(numbered)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1).filter(
    lambda word: "-LRB-" not in word and "-RRB-" not in word
)


def covered(tree: Tree, found: set[tuple[int, int]]) -> list[int]:
    """Leaves by recursion; what nodes over several cover is added to `found`."""
    if isinstance(tree, int):
        return [tree]
    leaves = [leaf for part in tree for leaf in covered(part, found)]
    if len(leaves) > 1:
        found.add((leaves[0], leaves[-1] + 1))
    return leaves


@given(TREES)
def test_spans_are_those_of_a_recursion(tree: Tree) -> None:
    found: set[tuple[int, int]] = set()
    leaves = covered(tree, found)
    assert spans(tree) == found
    assert size(tree) == len(leaves)


@given(TREES)
def test_the_identity_is_a_fold(tree: Tree) -> None:
    assert fold(tree, lambda leaf: leaf, tuple) == tree


@given(TREES, st.data())
def test_brackets_come_back(tree: Tree, data: Any) -> None:
    words = data.draw(st.lists(WORDS, min_size=size(tree), max_size=size(tree)))
    assert from_brackets(brackets(tree, words)) == (tree, words)


def test_brackets_as_they_are_written() -> None:
    assert brackets(((0, 1), 2), ["the", "cat", "sat"]) == "((the cat) sat)"
    assert brackets(0, ["愛"]) == "愛"
    assert brackets((0, 1), [":(", "）"]) == "(:-LRB- ）)"
    assert from_brackets("(:-LRB- -RRB-)") == ((0, 1), [":(", ")"])


def test_branchings() -> None:
    assert left_branching(range(4)) == (((0, 1), 2), 3)
    assert right_branching(range(4)) == (0, (1, (2, 3)))
    assert balanced(range(5)) == ((0, 1), (2, (3, 4)))
    assert left_branching(range(1)) == right_branching(range(1)) == balanced(range(1)) == 0


@pytest.mark.parametrize("branching", [left_branching, right_branching])
def test_depth_is_no_obstacle(branching: Any) -> None:
    tree = branching(range(DEEP))
    again, words = from_brackets(brackets(tree, ["x"] * DEEP))
    assert spans(again) == spans(tree)
    assert len(spans(tree)) == DEEP - 1 and words == ["x"] * DEEP


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("((the cat sat)", "leaves 1 brackets open: close them"),
        ("((the cat)) sat)", "closes a bracket that is not open: delete it"),
        ("the cat", "holds 2 trees; expected one"),
        ("", "holds 0 trees; expected one"),
        ("(the ())", "brackets with nothing in them"),
    ],
)
def test_broken_brackets_are_named(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        from_brackets(text)


def test_a_tree_of_other_words_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"2 words need a tree of as many leaves, 0, 1, 2 …; got \[0, 1, 2\]"
    ):
        check((0, (1, 2)), ["a", "b"])
    with pytest.raises(ValueError, match=r"got \[1, 0\]"):
        check((1, 0), ["a", "b"])
    with pytest.raises(ValueError, match=r"a node of the tree is \(\)"):
        check((0, ()), ["a"])


def test_a_word_with_a_space_would_come_back_as_two() -> None:
    with pytest.raises(ValueError, match="word 1 is 'a b': expected no spaces, and something"):
        brackets((0, 1), ["the", "a b"])


def test_neither_keras_nor_jax_is_needed() -> None:
    """The package itself may import them: here it is a bare folder."""
    code = f"""
import sys, types
room = sys.modules["supple.ordered"] = types.ModuleType("supple.ordered")
room.__path__ = [{str(ROOM)!r}]
import supple.ordered.pictures, supple.ordered.scoring
assert not {{"keras", "jax", "torch", "tensorflow", "matplotlib"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOM.parents[1])
