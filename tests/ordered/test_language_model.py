"""A model scores, writes and reads as its network says, whatever is read together."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import ops

from supple.errors import InputError
from supple.ordered.corpus import EOS, UNKNOWN, Vocabulary
from supple.ordered.language_model import LanguageModel
from supple.ordered.recipes import changed
from tests.numerics import numpy
from tests.ordered.toy_language import TINY

pytestmark = pytest.mark.backend

WORDS = [EOS, UNKNOWN, *"abcdef"]


def made(**settings: Any) -> LanguageModel:
    """A model with weights large enough that all of them matter."""
    model = LanguageModel(Vocabulary(WORDS), changed(TINY, settings))
    rng = np.random.default_rng(0)
    for variable in model.network.trainable_variables:
        variable.assign(0.7 * rng.normal(size=variable.shape))
    return model


@pytest.fixture(scope="module", params=["onlstm", "lstm"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return made(layer=request.param)


@pytest.fixture(scope="module")
def onlstm() -> LanguageModel:
    return made()


def log_p(model: LanguageModel, token: int, state: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """log-probabilities of all words after one more token, by numpy."""
    given = np.array([[token]], np.int32)
    logits, state = model.next_step(model.weights, model.others, given, state)
    scores = numpy(ops.stop_gradient(logits))[0].astype(float)
    return scores - np.log(np.exp(scores).sum()), state


def test_a_score_is_that_of_token_after_token(model: LanguageModel) -> None:
    ids = np.random.default_rng(1).integers(0, len(WORDS), 31).astype(np.int32)
    for rows in 1, 3:
        total = 0.0
        for part in np.split(np.arange(31), [11, 22] if rows == 3 else []):
            state = model.network.zero_state(1)
            for place in part:
                found, state = log_p(model, ids[place - 1], state)
                total -= found[ids[place]]
        score = model.score(ids, rows)
        assert score.nats == pytest.approx(total / 31, rel=1e-5)
        assert (score.tokens, score.unknown) == (31, (ids == 1).sum())
        assert score.perplexity == pytest.approx(math.exp(score.nats))
        assert score.bits == pytest.approx(score.nats / math.log(2))


def test_a_file_is_scored_with_its_ends_of_lines_and_unknown_words(
    onlstm: LanguageModel, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a b zebra\n\nc\n", "utf-8")
    found = onlstm.evaluate(tmp_path / "a.txt")
    assert found == onlstm.score(np.array([2, 3, 1, 0, 4, 0], np.int32))
    assert (found.tokens, found.unknown) == (6, 1)
    with pytest.raises(InputError, match=r"b.txt: cannot be read"):
        onlstm.evaluate(tmp_path / "b.txt")


def test_more_rows_than_tokens_are_as_many(onlstm: LanguageModel) -> None:
    ids = np.array([3, 2, 0], np.int32)
    assert onlstm.score(ids, 1_000_000_000) == onlstm.score(ids, 3)
    with pytest.raises(InputError, match="rows = 0 should be 1 or more"):
        onlstm.score(ids, 0)


def test_a_prompt_of_unknown_words_is_told_of(onlstm: LanguageModel) -> None:
    with pytest.raises(InputError, match="the model knows none of the words of the prompt, 'A Zebra'; spell"):
        onlstm.generate("A Zebra", 1)
    assert len(onlstm.generate("a Zebra", 2)) == 2


def test_a_model_leaves_the_random_numbers_of_others_alone() -> None:
    random.seed(1)
    np.random.seed(1)
    first = [np.random.rand(), random.random(), np.random.rand(), random.random()]
    random.seed(1)
    np.random.seed(1)
    models, drawn = [], list[float]()
    for _ in "12":
        models.append(LanguageModel(Vocabulary(WORDS), TINY))
        drawn += [np.random.rand(), random.random()]
    assert drawn == first
    for one, other in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))


def test_greedy_words_are_the_most_probable_ones(model: LanguageModel) -> None:
    state, expected = model.network.zero_state(1), []
    for token in (0, 2, 3):
        found, state = log_p(model, token, state)
    for _ in range(5):
        expected.append(int(found.argmax()))
        found, state = log_p(model, expected[-1], state)
    assert model.generate("a b", 5, top_k=1) == [WORDS[token] for token in expected]


def test_words_are_drawn_by_their_probability_and_the_seed(onlstm: LanguageModel) -> None:
    assert onlstm.generate("a", 8, seed=3) == onlstm.generate("a", 8, seed=3)
    drawn = [onlstm.generate("a", 1, seed=seed, temperature=0.5, top_k=3)[0] for seed in range(60)]
    state = onlstm.network.zero_state(1)
    for token in (0, 2):
        found, state = log_p(onlstm, token, state)
    p = np.exp(2 * found)
    p[np.argsort(p)[:-3]] = 0
    p /= p.sum()
    counts = np.array([drawn.count(word) for word in WORDS])
    assert not counts[p == 0].any()
    spread = np.sqrt(60 * p * (1 - p))
    assert (np.abs(counts - 60 * p) <= 4 * spread + 1e-9).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature = 0 should be above 0; for greedy choices use top_k = 1"),
        ({"temperature": math.nan}, "temperature = nan should be above 0"),
        ({"top_k": 0}, "top_k = 0 should be from 1 to 8, the vocabulary"),
        ({"top_k": 9}, "top_k = 9 should be from 1 to 8"),
        ({"seed": -1}, "seed = -1 should be from 0 to 4294967295"),
    ],
)
def test_wrong_options_of_generation_are_told(
    onlstm: LanguageModel, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        onlstm.generate("a", 1, **options)


SENTENCES = ["a", "a b c d e f", "f e", "a b", "c " * 20]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_levels_of_many_sentences_are_those_of_each(model: LanguageModel, layer: int) -> None:
    together = model.levels(SENTENCES, layer)
    assert [len(levels) for levels in together] == [1, 6, 2, 2, 20]
    for sentence, levels in list(zip(SENTENCES, together, strict=True))[1:3]:  # a length, a compilation
        tokens = np.array([[0, *model.vocabulary.ids(sentence.split())]], np.int32)
        every = model.network.levels(tokens, model.network.zero_state(1))
        expected = numpy(ops.stop_gradient(every))[0, layer, 1:]
        np.testing.assert_allclose(levels, expected, atol=1e-6)
        assert ((levels > 0) & (levels < 1)).all()
    for sentence, levels in zip(SENTENCES, together, strict=True):
        np.testing.assert_allclose(levels, model.levels([sentence], layer)[0], atol=1e-6)


def test_levels_take_words_too(onlstm: LanguageModel) -> None:
    [text], [words] = onlstm.levels(["a zebra c"]), onlstm.levels([["a", UNKNOWN, "c"]])
    np.testing.assert_array_equal(text, words)
    assert onlstm.levels([]) == []


@pytest.mark.parametrize(
    ("sentences", "layer", "message"),
    [
        (["a", " "], 0, r"sentence 2 has 0 words; give from 1 to 1,000: leave it out, or split it"),
        ([["a"] * 1001], 0, "sentence 1 has 1,001 words"),
        (["a"], 3, "layer = 3 should be from 1 to 2, or 0 for the renewal of all"),
        (["a"], -1, "layer = -1 should be from 1 to 2"),
        ("a b c", 0, "got one text, 'a b c', for several; give a list of them"),
    ],
)
def test_sentences_without_levels_are_told(
    onlstm: LanguageModel, sentences: list[Any], layer: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        onlstm.levels(sentences, layer)


def test_a_saved_model_is_the_same_but_for_half_precision(model: LanguageModel, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    loaded = LanguageModel.load(tmp_path / "m")
    assert (loaded.vocabulary.words, loaded.recipe) == (WORDS, model.recipe)
    for name, before, after in zip(model.names, model.weights, loaded.weights, strict=True):
        expected = numpy(before).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(numpy(after), expected, err_msg=name)
    loaded.save(tmp_path / "again")
    for name in "config.json", "vocabulary.json":
        assert (tmp_path / "m" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "config.json",
        "vocabulary.json",
        "weights.npz",
    ]


def test_a_model_that_ships_is_found_by_its_name(
    onlstm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supple.shipped.resources.files", lambda package: tmp_path)
    with pytest.raises(InputError, match="no model 'en'; give the folder of a model, as none ships with th"):
        LanguageModel.load("en")
    onlstm.save(tmp_path / "models" / "lm" / "en")
    assert LanguageModel.load("en").vocabulary.words == WORDS
    with pytest.raises(InputError, match="no model 'zh'; give the folder of a model, or one of: en"):
        LanguageModel.load("zh")


def spoil(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def spoiled(folder: Path) -> None:
        content = change(json.loads((folder / name).read_text("utf-8")))
        (folder / name).write_text(json.dumps(content), "utf-8")

    return spoiled


def spoil_bias(folder: Path) -> None:
    with np.load(folder / "weights.npz") as file:
        arrays = dict(file)
    np.savez(folder / "weights.npz", **arrays | {"bias": np.full(8, np.nan)})


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), r"config.json: this file of the model is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config.json: cannot be read as JSON"),
        (spoil("config.json", lambda c: [c]), r"config.json: expected a JSON dict, got list"),
        (
            spoil("config.json", lambda c: {"format": 1, "name": "zh"}),
            "kind None and format 1, expected 'langu",
        ),
        (spoil("config.json", lambda c: c | {"format": 9}), "format 9, expected 'language model' and 1"),
        (
            spoil("config.json", lambda c: c | {"recipe": {"layers": 0}}),
            "config.json: layers = 0 should be 1",
        ),
        (spoil("config.json", lambda c: c | {"recipe": 1}), "config.json: expected settings"),
        (spoil("vocabulary.json", lambda v: v[1:]), r"vocabulary.json: a vocabulary is <eos>"),
        (spoil("vocabulary.json", lambda v: [*v, ["a"]]), r"vocabulary.json: a vocabulary is <eos>"),
        (spoil("vocabulary.json", lambda v: v[:-1]), r"bias has shape \(8,\), expected \(7,\) by config"),
        (lambda folder: (folder / "weights.npz").unlink(), r"weights.npz: this file of the model is missing"),
        (lambda folder: (folder / "weights.npz").write_bytes(b"PK"), r"weights.npz: cannot be read as .npz"),
        (lambda folder: np.savez(folder / "weights.npz", bias=np.zeros(8)), r"embedding has shape None"),
        (spoil_bias, r"weights.npz: bias holds numbers that are not finite; "),
    ],
)
def test_a_folder_that_is_no_model_is_told(
    onlstm: LanguageModel, tmp_path: Path, spoiled: Callable[[Path], Any], message: str
) -> None:
    onlstm.save(tmp_path)
    spoiled(tmp_path)
    with pytest.raises(InputError, match=message):
        LanguageModel.load(tmp_path)
