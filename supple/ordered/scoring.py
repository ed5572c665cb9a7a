"""Unlabelled F1 of trees against a treebank, with the baselines beside every figure.

The protocol of Shen et al. (2018, 2019): single words and the whole sentence do not count, each other span
counts once, and F1 is the mean over sentences. If m of g gold spans are among the p that a parser gives,
that of a sentence is 2 m / (p + g); 1 where nothing is to be found and nothing is given. It is linear in m:
its mean over all random levels needs no draws, but the chances of spans.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from supple.errors import InputError
from supple.ordered.decoders import published_chance, unbiased_chance
from supple.ordered.treebank import Sentence
from supple.ordered.trees import Span, Tree, balanced, left_branching, right_branching, size, spans

if TYPE_CHECKING:
    from rich.table import Table

Chance = Callable[[int, int, int], float]

BRANCHING: dict[str, Callable[[Sequence[Tree]], Tree]] = {
    "left branching": left_branching,
    "right branching": right_branching,
    "balanced": balanced,
}
CHANCES: dict[str, Chance] = {
    "random, published": published_chance,
    "random, unbiased": unbiased_chance,
    "best binary tree": lambda start, end, n: 1.0,
}


class Found(NamedTuple):
    """Of one sentence: how probable it is that each gold span is found, 0 or 1 in one tree; and p."""

    chances: dict[Span, float]
    given: int


class Score(NamedTuple):
    """All from 0 to 1; `f1` is the mean over sentences, the next three are of the sums over the corpus."""

    f1: float
    precision: float
    recall: float
    corpus_f1: float
    labels: dict[str, float]  # the recall of what has a label; the most frequent first
    sentences: int


def score_parsers(
    sentences: Sequence[Sentence],
    trees: Mapping[str, Iterable[Tree]],
    shortest: int = 1,
    longest: float = math.inf,
) -> dict[str, Score]:
    """Scores of baselines, of the best binary trees, and of parsers: of each a tree for every sentence.

    Only sentences of `shortest` to `longest` words count: 1 to 10 in WSJ10. As published for English, those
    of one or two words count as 1, though nothing can be wrong with them; known figures of Sinica are of two
    words and more. InputError if no sentence is so long, ValueError where trees do not fit sentences.
    """
    places = [i for i, sentence in enumerate(sentences) if shortest <= len(sentence.words) <= longest]
    kept = [sentences[i] for i in places]
    if not kept:
        allowed = f"{shortest} words or more" if longest == math.inf else f"{shortest} to {longest} words"
        raise InputError(f"no sentence has {allowed}; allow other lengths")
    scores = {}
    for name, branching in BRANCHING.items():
        scores[name] = score(kept, [in_tree(s, branching(range(len(s.words)))) for s in kept])
    for name, chance in CHANCES.items():
        scores[name] = score(kept, [in_expectation(s, chance) for s in kept])
    for name, guesses in trees.items():
        guesses = list(guesses)
        if len(guesses) != len(sentences):
            raise ValueError(f"{name} gave {len(guesses)} trees for {len(sentences)} sentences")
        scores[name] = score(kept, [in_tree(sentences[i], guesses[i]) for i in places])
    return scores


def in_tree(sentence: Sentence, tree: Tree) -> Found:
    """What a parser's tree has; ValueError if it is that of another sentence."""
    n = len(sentence.words)
    if size(tree) != n:
        raise ValueError(f"a tree of {size(tree)} leaves for the {n} words {' '.join(sentence.words)[:60]!r}")
    given = spans(tree) - {(0, n)}
    return Found({span: float(span in given) for span in nontrivial(sentence)}, len(given))


def in_expectation(sentence: Sentence, chance: Chance) -> Found:
    """What a binary tree has in which there is a span from `start` to `end` with `chance(start, end, n)`."""
    n = len(sentence.words)
    return Found({span: chance(*span, n) for span in nontrivial(sentence)}, max(n - 2, 0))


def nontrivial(sentence: Sentence) -> list[Span]:
    return [span for span in sentence.labels if span != (0, len(sentence.words))]


def score(sentences: Iterable[Sentence], found: Sequence[Found]) -> Score:
    """The figures of one parser."""
    hits, gold = defaultdict[str, float](float), Counter[str]()
    for sentence, (chances, _) in zip(sentences, found, strict=True):
        for span, chance in chances.items():
            for label in sentence.labels[span]:
                hits[label] += chance
                gold[label] += 1
    sums = [(sum(chances.values()), given, len(chances)) for chances, given in found]
    right, given, wanted = map(sum, zip(*sums, strict=True))
    return Score(
        f1=sum(map(f1, *zip(*sums, strict=True))) / len(sums),
        precision=right / given if given else 1.0,
        recall=right / wanted if wanted else 1.0,
        corpus_f1=f1(right, given, wanted),
        labels={label: hits[label] / total for label, total in gold.most_common()},
        sentences=len(sums),
    )


def f1(right: float, given: int, wanted: int) -> float:
    """The harmonic mean of right / given and right / wanted; 1 where nothing is given nor wanted."""
    return 2 * right / (given + wanted) if given or wanted else 1.0


def score_table(scores: Mapping[str, Score], labels: int = 4) -> Table:
    """For `rich.print`: a line a parser, in percent; at the right, the recall of the most frequent labels."""
    from rich import box
    from rich.table import Table

    first = next(iter(scores.values()))
    names = list(first.labels)[:labels]
    caption = f"{first.sentences:,} sentences; F1 is the mean over them, pooled F1 of all their spans"
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption)
    shown.add_column("parser", no_wrap=True)
    for column in ("F1", "pooled", *names):
        shown.add_column(column, justify="right", no_wrap=True)
    for name, s in scores.items():
        figures = s.f1, s.corpus_f1, *(s.labels[label] for label in names)
        shown.add_row(name, *(f"{100 * figure:.1f}" for figure in figures))
    return shown
