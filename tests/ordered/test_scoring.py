"""The protocol gives the published baselines; what needs no draws agrees with draws; F1 is that of sets."""

from __future__ import annotations

from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from supple.ordered.decoders import decode
from supple.ordered.scoring import score_parsers, score_table
from supple.ordered.treebank import Sentence, read_treebank
from supple.ordered.trees import Tree, balanced, fold, size, spans

BASELINES = [
    "left branching",
    "right branching",
    "balanced",
    "random, published",
    "random, unbiased",
    "best binary tree",
]


def sentence(tree: Tree, **labels: tuple[int, int]) -> Sentence:
    names = {span: [name for name, place in labels.items() if place == span] for span in spans(tree)}
    return Sentence([f"w{place}" for place in range(size(tree))], tree, names)


@cache
def corpus(path: Path) -> list[Sentence]:
    return list(read_treebank(path))


def naive_f1(gold: Tree, given: Tree) -> float:
    """As in the published program: precision and recall of sets, with its conventions for empty ones."""
    whole = (0, size(gold))
    wanted, found = spans(gold) - {whole}, spans(given) - {whole}
    both = wanted & found
    precision = len(both) / len(found) if found else float(not wanted)
    recall = len(both) / len(wanted) if wanted else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@st.composite
def pairs(draw: Any) -> tuple[Tree, Tree]:
    """A gold tree, with some nodes merged into those above them, and a binary one of as many words."""
    n = draw(st.integers(1, 9))
    levels = st.lists(st.integers(0, 20), min_size=n, max_size=n)
    keep = iter(draw(st.lists(st.booleans(), min_size=n, max_size=n)))

    def merged(parts: list[Any]) -> Tree:
        return tuple(
            leaf for part in parts for leaf in (part if isinstance(part, tuple) and next(keep) else (part,))
        )

    return fold(decode(draw(levels)), lambda leaf: leaf, merged), decode(draw(levels))


@given(st.lists(pairs(), min_size=1, max_size=4))
def test_f1_is_the_mean_of_naive_ones(trees: list[tuple[Tree, Tree]]) -> None:
    scores = score_parsers([sentence(gold) for gold, _ in trees], {"parser": [given for _, given in trees]})
    assert scores["parser"].f1 == pytest.approx(np.mean([naive_f1(*pair) for pair in trees]))
    assert scores["parser"].f1 <= scores["best binary tree"].f1 + 1e-12
    assert scores["parser"].recall <= scores["best binary tree"].recall == 1.0
    for name in BASELINES:
        assert scores[name].f1 <= scores["best binary tree"].f1 + 1e-12


@given(pairs())
def test_the_best_binary_tree_exists(trees: tuple[Tree, Tree]) -> None:
    """Nodes of the gold tree, each made binary, reach its figure."""
    gold, _ = trees
    binary: Tree = fold(gold, lambda leaf: leaf, balanced)
    scores = score_parsers([sentence(gold)], {"binary": [binary]})
    assert scores["binary"] == scores["best binary tree"]


def test_what_counts_as_1() -> None:
    """One and two words: nothing to find and nothing given. Three words in a flat tree: given, and wrong."""
    scores = score_parsers(
        [sentence(0), sentence((0, 1)), sentence((0, 1, 2))], {"flat": [0, (0, 1), (0, 1, 2)]}
    )
    assert scores["balanced"].f1 == pytest.approx(2 / 3)
    assert scores["flat"].f1 == 1.0
    assert scores["balanced"].precision == 0.0 and scores["balanced"].recall == 1.0


def test_figures_of_a_corpus() -> None:
    """Gold (0 1) and (2 3 4) in one, (0 1 2) in the other; the parser has the first and no more."""
    gold = [sentence(((0, 1), (2, 3, 4)), NP=(0, 2), VP=(2, 5)), sentence(((0, 1, 2), 3), NP=(0, 3))]
    score = score_parsers(gold, {"parser": [(((0, 1), 2), (3, 4)), (0, (1, (2, 3)))]})["parser"]
    assert score.f1 == pytest.approx((2 * 1 / (3 + 2) + 0) / 2)
    assert score.precision == pytest.approx(1 / 5) and score.recall == pytest.approx(1 / 3)
    assert score.corpus_f1 == pytest.approx(2 / 8)
    assert list(score.labels.items()) == [("NP", 0.5), ("VP", 0.0)]
    assert score.sentences == 2


def test_lengths_are_those_of_words_that_count() -> None:
    gold = [sentence((0, (1, 2))), sentence(((0, 1), (2, 3)))]
    trees = {"parser": [(0, (1, 2)), (0, (1, (2, 3)))]}
    assert score_parsers(gold, trees, longest=3)["parser"].f1 == 1.0
    assert score_parsers(gold, trees, shortest=4)["parser"].f1 == 0.5
    assert score_parsers(gold, trees)["parser"].sentences == 2
    with pytest.raises(ValueError, match="no sentence has 5 words or more; allow other lengths"):
        score_parsers(gold, trees, shortest=5)


def test_trees_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="parser gave 1 trees for 2 sentences"):
        score_parsers([sentence(0), sentence(0)], {"parser": [0]})
    with pytest.raises(ValueError, match="a tree of 3 leaves for the 2 words 'w0 w1'"):
        score_parsers([sentence((0, 1))], {"parser": [(0, (1, 2))]})


def test_the_table_has_baselines_and_parsers() -> None:
    gold = [sentence(((0, 1), (2, 3)), NP=(0, 2))]
    console = Console(width=80, record=True, file=StringIO())
    console.print(score_table(score_parsers(gold, {"mine": [((0, 1), (2, 3))]})))
    lines = console.export_text().splitlines()
    assert [line.split("  ")[0].strip() for line in lines[3:10]] == [*BASELINES, "mine"]
    assert lines[9].split() == ["mine", "100.0", "100.0", "100.0"]
    assert "1 sentences; F1 is the mean" in " ".join(lines)


def test_the_table_of_a_model_fits_80_columns() -> None:
    labels = dict.fromkeys(("NP", "VP", "PP", "S"), (1, 1))
    tree = (0, 1), 2
    scores = score_parsers([sentence(tree, **labels)], {"untrained, layer 3, published": [tree]})
    console = Console(width=80, record=True, file=StringIO())
    console.print(score_table(scores))
    text = console.export_text()
    assert "untrained, layer 3, published" in text and "100.0" in text and "…" not in text


@pytest.mark.parametrize(
    ("name", "shortest", "known"),
    [
        ("treebank.zip", 1, [8.6, 39.9, 24.1, 20.6, 18.0, 84.4]),
        ("sinica_treebank.zip", 2, [14.8, 20.2, 21.7, 19.4, 19.6, 65.8]),  # of a word: left out
    ],
)
def test_the_known_baselines(data: Path, name: str, shortest: int, known: list[float]) -> None:
    scores = score_parsers(corpus(data / "trees" / name), {}, shortest)
    assert {parser: round(100 * score.f1, 1) for parser, score in scores.items()} == dict(
        zip(BASELINES, known, strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shortest", "decoder", "drawn"),
    [
        ("treebank.zip", 1, "published", 20.6),
        ("treebank.zip", 1, "unbiased", 18.1),
        ("sinica_treebank.zip", 2, "unbiased", 19.7),
    ],
)
def test_draws_agree_with_the_expectation(
    data: Path, name: str, shortest: int, decoder: Any, drawn: float
) -> None:
    """And known figures, each of a draw, are as far from it as draws are."""
    sentences = corpus(data / "trees" / name)
    rng = np.random.default_rng(0)
    draws = {str(draw): [decode(rng.random(len(s.words)), decoder) for s in sentences] for draw in range(6)}
    scores = score_parsers(sentences, draws, shortest)
    figures = 100 * np.array([scores[draw].f1 for draw in draws])
    exact, spread = 100 * scores[f"random, {decoder}"].f1, 0.17  # of draws, over 12 of them
    assert abs(figures.mean() - exact) < 3 * spread / np.sqrt(len(figures))
    assert abs(drawn - exact) < 2 * spread
