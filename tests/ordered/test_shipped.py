"""The language models that ship: small, readable, and better than branching to one side."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from opencc import OpenCC

import supple
from supple.ordered import LanguageModel, parse, read_treebank, score_model, spans

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
@pytest.mark.parametrize(
    ("name", "file", "shortest", "margin"),
    [("en", "treebank.zip", 1, 0.05), ("zh", "sinica_treebank.zip", 2, 0.1)],
)
def test_trees_are_better_than_branching_on_sentences_that_it_has_not_read(
    name: str, file: str, shortest: int, margin: float, data: Path
) -> None:
    sentences = list(read_treebank(data / "trees" / file))
    if name == "zh":
        simplified = OpenCC("t2s").convert
        sentences = [s._replace(words=[simplified(word) for word in s.words]) for s in sentences]
    found = score_model(model(name), sentences, shortest)
    branching = max(found[way].f1 for way in ("right branching", "left branching", "balanced"))
    assert found["renewal, unbiased"].f1 > branching + margin
    assert found["renewal, unbiased"].f1 > found["untrained, renewal, unbiased"].f1 + 0.1
