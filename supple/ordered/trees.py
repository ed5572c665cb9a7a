"""Trees as plain data: a leaf is the place of its word, an int from 0; a node is a tuple of trees.

The words come beside. What is done to a tree is a `fold` of it, which is no recursion: any length will do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import count
from typing import TypeVar

from supple.errors import InputError

Tree = int | tuple["Tree", ...]
Span = tuple[int, int]  # the words from the first place up to, and without, the second
T = TypeVar("T")

TOKEN = re.compile(r"[()]|[^\s()]+")


def fold(tree: Tree, leaf: Callable[[int], T], node: Callable[[list[T]], T]) -> T:
    """What `node` makes of what came of a node's parts, `leaf` of leaves; from the left, and without
    recursion.

    ValueError for a node without parts.
    """
    done: list[T] = []
    waiting = [(tree, False)]
    while waiting:
        item, entered = waiting.pop()
        if not isinstance(item, tuple):
            done.append(leaf(item))
        elif not item:
            raise ValueError("a node of the tree is (): expected one part or more")
        elif entered:
            done[-len(item) :] = [node(done[-len(item) :])]
        else:
            waiting += [(item, True), *((part, False) for part in reversed(item))]
    return done[0]


def size(tree: Tree) -> int:
    """The number of words."""
    return fold(tree, lambda _: 1, lambda parts: sum(parts))


def spans(tree: Tree) -> set[Span]:
    """What the nodes cover, where that is two words or more; the whole sentence is one of them."""
    found: set[Span] = set()
    places = count()

    def leaf(_: int) -> Span:
        start = next(places)
        return start, start + 1

    def node(parts: list[Span]) -> Span:
        span = parts[0][0], parts[-1][1]
        if span[1] - span[0] > 1:
            found.add(span)
        return span

    fold(tree, leaf, node)
    return found


def left_branching(parts: Sequence[Tree]) -> Tree:
    """(((a b) c) d) of one part or more."""
    return reduce(lambda left, right: (left, right), parts)


def right_branching(parts: Sequence[Tree]) -> Tree:
    """(a (b (c d))) of one part or more."""
    return reduce(lambda right, left: (left, right), reversed(parts))


def balanced(parts: Sequence[Tree]) -> Tree:
    """((a b) (c d)) of one part or more; of an odd number, the half at the left has one less."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return balanced(parts[:middle]), balanced(parts[middle:])


def check(tree: Tree, words: Sequence[str]) -> None:
    """ValueError unless the leaves are the places of the words, in order."""
    leaves: list[int] = []
    fold(tree, leaves.append, lambda parts: None)
    if leaves != list(range(len(words))):
        raise ValueError(f"{len(words)} words need a tree of as many leaves, 0, 1, 2 …; got {leaves[:9]}")


def brackets(tree: Tree, words: Sequence[str]) -> str:
    """((the cat) sat); brackets in words become -LRB- and -RRB-. ValueError for spaces in a word."""
    check(tree, words)

    def leaf(place: int) -> str:
        if len(words[place].split()) != 1:
            raise ValueError(f"word {place} is {words[place]!r}: expected no spaces, and something")
        return words[place].replace("(", "-LRB-").replace(")", "-RRB-")

    return fold(tree, leaf, lambda parts: f"({' '.join(parts)})")


def from_brackets(text: str) -> tuple[Tree, list[str]]:
    """The tree and the words of ((the cat) sat); InputError where brackets do not match."""
    words: list[str] = []
    open_: list[list[Tree]] = [[]]
    for token in TOKEN.findall(text):
        if token == "(":
            open_.append([])
        elif token != ")":
            open_[-1].append(len(words))
            words.append(token.replace("-LRB-", "(").replace("-RRB-", ")"))
        elif len(open_) == 1:
            raise InputError(f"{text[:60]!r} closes a bracket that is not open: delete it, or open it before")
        elif not (parts := tuple(open_.pop())):
            raise InputError(f"{text[:60]!r} has brackets with nothing in them: delete them")
        else:
            open_[-1].append(parts)
    if len(open_) > 1:
        raise InputError(f"{text[:60]!r} leaves {len(open_) - 1} brackets open: close them")
    if len(open_[0]) != 1:
        raise InputError(f"{text[:60]!r} holds {len(open_[0])} trees; expected one, as in ((the cat) sat)")
    return open_[0][0], words
