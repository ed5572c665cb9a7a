"""The language models that ship: small, readable, and better than branching to one side."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import supple
from supple.ordered import LanguageModel, choose_layer, parse, read_treebank, score_model, spans

SHIPPED = Path(supple.__file__).parent / "models" / "lm"


@cache
def model(name: str) -> LanguageModel:
    return LanguageModel.load(name)


@pytest.mark.parametrize("name", ["en", "zh"])
def test_a_shipped_model_is_small_and_says_what_it_is(name: str) -> None:
    files = {path.name: path.stat().st_size for path in (SHIPPED / name).iterdir()}
    assert sum(files.values()) <= 8 * 2**20
    assert set(files) == {"README.md", "config.json", "vocabulary.json", "weights.npz"}


@pytest.mark.backend
def test_it_reads_chinese_as_it_is_written() -> None:
    found = parse(model("zh"), "爱真的需要勇气")
    assert found.words == ["爱", "真的", "需要", "勇气"]
    assert (0, 4) in spans(found.tree) and found.levels.shape == (4,)


@pytest.mark.backend
def test_it_joins_an_article_with_its_noun() -> None:
    found = parse(model("en"), "the chairman of the company said the new plan will cost more")
    assert spans(found.tree) >= {(0, 2), (3, 5), (2, 5), (0, 5)}


@pytest.mark.slow
def test_trees_of_english_are_better_than_right_branching_on_sentences_it_has_not_read(data: Path) -> None:
    found = score_model(model("en"), list(read_treebank(data / "trees" / "treebank.zip")))
    assert found["layer 2, unbiased"].f1 > found["right branching"].f1 + 0.05
    assert found["layer 2, unbiased"].f1 > found["untrained, layer 2, unbiased"].f1 + 0.25


@pytest.mark.slow
def test_the_layer_of_english_trees_is_chosen_without_a_tree(data: Path) -> None:
    lines = (data / "trees" / "ptb.valid.txt").read_text("utf-8").splitlines()
    assert choose_layer(model("en"), lines) == model("en").layer == 2
