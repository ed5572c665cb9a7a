"""Scores of one-hot texts are those of reference implementations, and of distributions keep to theory."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from supple import smooth
from supple.smooth.text import ngram_counts, paired
from tests.numerics import compiled, differentiated, double, numpy, slope

pytestmark = pytest.mark.backend

RANDOM = np.random.default_rng(0)
BATCH, TIME, SIZE, TOKENS = 64, 9, 8, 6
HYPOTHESES = RANDOM.integers(0, TOKENS, (BATCH, TIME))
REFERENCES = np.where(  # copies in part, lest nothing match
    RANDOM.random((BATCH, SIZE)) < 0.7, HYPOTHESES[:, :SIZE], RANDOM.integers(0, TOKENS, (BATCH, SIZE))
)
LENGTHS = RANDOM.integers(0, TIME + 1, BATCH)
WANTED = RANDOM.integers(1, SIZE + 1, BATCH)
MASKS = {
    "mask": np.arange(TIME) < LENGTHS[:, None],
    "reference_mask": np.arange(SIZE) < WANTED[:, None],
}
METHODS = ["none", "floor", "add-k", "exp"]


def one_hot(ids: np.ndarray, tokens: int = TOKENS) -> np.ndarray:
    return np.eye(tokens, dtype="float32")[ids]


def texts(ids: np.ndarray, lengths: np.ndarray) -> list[str]:
    return [" ".join(f"w{token}" for token in row[:n]) for row, n in zip(ids, lengths, strict=True)]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """sacrebleu warns of each sentence without effective order."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("order", "value"), [(4, None), (2, 0.3)])
def test_bleu_of_one_hot_texts_is_that_of_sacrebleu(order: int, value: float | None) -> None:
    said, meant = texts(HYPOTHESES, LENGTHS), texts(REFERENCES, WANTED)
    forms = [
        {
            "smooth_method": method,
            "smooth_value": value if method in ("floor", "add-k") else None,
            "effective_order": effective,
            "max_ngram_order": order,
        }
        for method in METHODS
        for effective in (False, True)
    ]

    def scores(p: Any, corpus: bool) -> Any:
        return [smooth.bleu(p, REFERENCES, **MASKS, corpus=corpus, **form) for form in forms]

    soft = compiled(partial(scores, corpus=False))(one_hot(HYPOTHESES))
    corpora = compiled(partial(scores, corpus=True))(one_hot(HYPOTHESES))
    for form, found, whole in zip(forms, soft, corpora, strict=True):
        hard = BLEU(tokenize="none", **form)
        want = [hard.sentence_score(s, [m]).score / 100 for s, m in zip(said, meant, strict=True)]
        np.testing.assert_allclose(numpy(found), want, rtol=2e-5, atol=1e-7, err_msg=str(form))
        assert numpy(whole) == pytest.approx(hard.corpus_score(said, [meant]).score / 100, rel=2e-5)


def test_bleu_takes_several_references() -> None:
    """The longest clip and the closest length; a reference of length 0 is none."""
    more = RANDOM.permuted(REFERENCES, axis=1)
    lengths = np.stack([WANTED, RANDOM.integers(0, SIZE + 1, BATCH)], 1)
    mask = np.arange(SIZE) < lengths[..., None]
    both = np.stack([REFERENCES, more], 1)
    masks = {"mask": MASKS["mask"], "reference_mask": mask}
    soft, whole = (
        numpy(
            compiled(lambda p, corpus=corpus: smooth.bleu(p, both, corpus=corpus, **masks))(
                one_hot(HYPOTHESES)
            )
        )
        for corpus in (False, True)
    )
    said, first, second = texts(HYPOTHESES, LENGTHS), texts(REFERENCES, WANTED), texts(more, lengths[:, 1])
    hard = BLEU(tokenize="none")
    scores = [
        hard.sentence_score(s, [x for x in pair if x]).score / 100
        for s, *pair in zip(said, first, second, strict=True)
    ]
    np.testing.assert_allclose(soft, scores, rtol=2e-5, atol=1e-7)
    corpus = hard.corpus_score(said, [first, [x or None for x in second]]).score / 100
    assert whole == pytest.approx(corpus, rel=2e-5)


class Words:
    """A tokenizer for rouge-score, whose own would stem and drop."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


def test_rouge_of_one_hot_texts_is_that_of_rouge_score() -> None:
    kinds = ["rouge1", "rouge2", "rouge3", "rougeL"]

    def scores(p: Any) -> Any:
        counted = [smooth.rouge_n(p, REFERENCES, n, **MASKS) for n in (1, 2, 3)]
        return [*counted, smooth.rouge_l(p, REFERENCES, **MASKS)]

    scorer = RougeScorer(kinds, tokenizer=Words())
    said, meant = texts(HYPOTHESES, LENGTHS), texts(REFERENCES, WANTED)
    want = [scorer.score(m, s) for s, m in zip(said, meant, strict=True)]
    for kind, found in zip(kinds, compiled(scores)(one_hot(HYPOTHESES)), strict=True):
        scored = np.transpose([numpy(x) for x in found])
        np.testing.assert_allclose(scored, [x[kind] for x in want], rtol=1e-5, atol=1e-7)


def levenshtein(a: Any, b: Any) -> int:
    """By recursion on the last tokens."""

    @cache
    def rest(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(rest(i - 1, j) + 1, rest(i, j - 1) + 1, rest(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return rest(len(a), len(b))


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    rows = zip(HYPOTHESES, LENGTHS, REFERENCES, WANTED, strict=True)
    return [(x[:n], y[:m]) for x, n, y, m in rows]


def test_edit_distance_of_one_hot_texts_is_levenshteins() -> None:
    soft = partial(smooth.edit_distance, reference=REFERENCES, **MASKS)
    forms = [soft, partial(soft, normalized=True), partial(soft, temperature=0.01)]
    found, rate, cool = (numpy(x) for x in compiled(lambda p: [f(p) for f in forms])(one_hot(HYPOTHESES)))
    want = np.array([levenshtein(x, y) for x, y in pairs()])
    np.testing.assert_array_equal(found, want)
    np.testing.assert_allclose(rate, want / WANTED, rtol=1e-6)
    np.testing.assert_allclose(cool, want, atol=0.05)


SCORES: dict[str, Callable[..., Any]] = {
    **{f"bleu {method}": partial(smooth.bleu, smooth_method=method) for method in METHODS},
    "bleu effective": partial(smooth.bleu, effective_order=True),
    "rouge 1": lambda *a, **k: smooth.rouge_n(*a, **k).fmeasure,
    "rouge 2": lambda *a, **k: smooth.rouge_n(*a, 2, **k).fmeasure,
    "rouge L": lambda *a, **k: smooth.rouge_l(*a, **k).fmeasure,
    "rouge L soft": lambda *a, **k: smooth.rouge_l(*a, temperature=0.3, **k).fmeasure,
    "edit distance": smooth.edit_distance,
    "edit distance soft": partial(smooth.edit_distance, temperature=0.3),
}


def all_scores(p: Any, reference: Any, **lengths: Any) -> Any:
    return keras.ops.stack([score(p, reference, **lengths) for score in SCORES.values()])


def test_texts_may_end_with_a_token_rather_than_a_mask() -> None:
    """Whatever comes after it, in a compiled function too."""
    end = TOKENS
    said, meant = HYPOTHESES.copy(), REFERENCES.copy()
    for ids, lengths in (said, LENGTHS), (meant, WANTED):
        short = np.flatnonzero(lengths < ids.shape[1])
        ids[short, lengths[short]] = end
    found = compiled(lambda p: all_scores(p, meant, end=end))(one_hot(said, TOKENS + 1))
    want = compiled(lambda p: all_scores(p, REFERENCES, **MASKS))(one_hot(HYPOTHESES))
    np.testing.assert_allclose(numpy(found), numpy(want), rtol=1e-5, atol=1e-6)


T, R, V, END = 4, 3, 3, 2  # few enough for all predictions to be scored
ALL = np.array(list(itertools.product(range(V), repeat=T)))
SETTINGS = settings(max_examples=25)


@cache
def scorer(name: str, end: int | None, temperature: float = 0.0) -> Callable[..., Any]:
    """Expected counts of matches and n-grams, the common subsequence, or the distance, compiled once."""

    def of(p: Any, reference: Any) -> Any:
        if name == "counts":
            return ngram_counts(paired(p, reference, None, None, end)[0], 3)
        if name == "common":
            return smooth.rouge_l(p, reference, end=end, temperature=temperature).recall
        return smooth.edit_distance(p, reference, end=end, temperature=temperature)

    return compiled(of)


def expectation(name: str, end: int | None, p: np.ndarray, reference: np.ndarray) -> Any:
    """Of the hard score over all predictions that there can be."""
    chance = np.prod(p[0][np.arange(T), ALL], 1)
    hard = scorer(name, end)(one_hot(ALL, V), np.repeat(reference, len(ALL), 0))
    return [chance @ numpy(x) for x in (hard if isinstance(hard, tuple) else (hard,))]


@st.composite
def distributions(draw: st.DrawFn) -> np.ndarray:
    p = np.array(draw(st.lists(st.floats(0.01, 1), min_size=T * V, max_size=T * V)))
    p = p.reshape(1, T, V) ** draw(st.sampled_from([1, 4]))
    return (p / p.sum(-1, keepdims=True)).astype("float32")


REFERENCE = st.lists(st.integers(0, V - 1), min_size=R, max_size=R).map(lambda ids: np.array([ids], "int32"))
ENDS = st.sampled_from([None, END])


@SETTINGS
@given(distributions(), REFERENCE, ENDS)
def test_counts_are_expectations_and_clipped_ones_are_above(
    p: np.ndarray, reference: np.ndarray, end: int | None
) -> None:
    correct, total = (numpy(x)[0] for x in scorer("counts", end)(p, reference))
    matches, grams = expectation("counts", end, p, reference)
    np.testing.assert_allclose(total, grams, rtol=1e-4, atol=1e-5)
    assert (correct >= matches - 1e-5).all()


@SETTINGS
@given(distributions())
def test_matches_that_no_clip_can_reach_are_expectations(p: np.ndarray) -> None:
    """Of a reference as long as the prediction and all of one token."""
    reference = np.zeros((1, T), "int32")
    correct, _ = scorer("counts", END)(p, reference)
    matches, _ = expectation("counts", END, p, reference)
    np.testing.assert_allclose(numpy(correct)[0], matches, rtol=1e-4, atol=1e-5)


@SETTINGS
@given(distributions(), REFERENCE, ENDS)
def test_alignments_at_temperature_0_are_on_one_side_of_expectations(
    p: np.ndarray, reference: np.ndarray, end: int | None
) -> None:
    distance, common = (numpy(scorer(name, end)(p, reference))[0] for name in ("distance", "common"))
    assert distance >= expectation("distance", end, p, reference)[0] - 1e-5
    assert common <= expectation("common", end, p, reference)[0] + 1e-5


def delannoy(i: int, j: int) -> int:
    """How many ways lead from (0, 0) to (i, j) by steps up, right, or both."""
    return sum(math.comb(i, k) * math.comb(j, k) * 2**k for k in range(min(i, j) + 1))


@SETTINGS
@given(distributions(), REFERENCE, st.sampled_from([1e-3, 0.1, 1.0, 10.0]))
def test_a_temperature_errs_by_its_logarithm_of_alignments_at_most(
    p: np.ndarray, reference: np.ndarray, t: float
) -> None:
    most, slack = t * math.log(delannoy(T, R)), 1e-5 * max(t, 1)
    hard, soft = (numpy(scorer("distance", None, u)(p, reference))[0] for u in (0.0, t))
    assert hard - most - slack <= soft <= hard + slack
    hard, soft = (R * numpy(scorer("common", None, u)(p, reference))[0] for u in (0.0, t))
    assert hard - slack <= soft <= hard + most + slack


def test_the_bound_of_a_temperature_is_reached_as_it_grows() -> None:
    """Where all alignments weigh the same: the table counts each of them once, for texts of any length."""
    hot = 1e6
    found = -numpy(smooth.edit_distance(one_hot(HYPOTHESES), REFERENCES, temperature=hot, **MASKS)) / hot
    want = [math.log(delannoy(n, m)) for n, m in zip(LENGTHS, WANTED, strict=True)]
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


def test_bleu_is_continuous_between_one_hot_texts() -> None:
    """Also where a count leaves 0, and where a text ends later."""
    said, meant = np.array([[0, 1, 2, 3, 9, 9]]), np.array([[0, 4, 2, 3, 1, 9]])
    share = np.linspace(0, 1, 2001, dtype="float32")[:, None, None]
    p = share * one_hot(said, 10) + (1 - share) * one_hot(meant, 10)
    reference = np.repeat(np.array([[0, 1, 2, 4, 3, 9]]), len(p), 0)
    forms = [(method, effective) for method in METHODS for effective in (False, True)]

    def scores(p: Any) -> Any:
        return [
            smooth.bleu(p, reference, end=9, smooth_method=method, effective_order=effective)
            for method, effective in forms
        ]

    for (method, _), found in zip(forms, compiled(scores)(p), strict=True):
        inner = slice(40, -40) if method == "none" else slice(None)  # its slope at 0 has no bound
        assert np.abs(np.diff(numpy(found)[inner])).max() < 0.01


def test_gradients_are_slopes() -> None:
    """Of all scores in a sum with weights."""
    random = np.random.default_rng(3)
    logits, weights = random.normal(size=(2, 5, 4)), random.uniform(0.5, 2, (len(SCORES), 1))
    reference = np.array([[0, 1, 1, 2], [2, 1, 3, 0]])

    def of(logits: Any) -> Any:
        return keras.ops.convert_to_tensor(weights) * all_scores(smooth.softmax(logits), reference, end=3)

    with double():
        _, gradient = differentiated(compiled(of))(logits)
        run = compiled(of)
        want = slope(lambda x: numpy(run(x)), logits)
    np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("dtype", "end"), [("float16", None), ("float16", 3), ("bfloat16", 3), ("float32", 3)]
)
def test_values_and_gradients_are_finite(dtype: str, end: int | None) -> None:
    """Of empty and padded texts, certain tokens, ends that are certain or impossible."""
    logits = np.random.default_rng(4).normal(size=(6, 5, 4)).astype("float32")
    logits[1] *= 1e4
    logits[2, :, 3] = 1e4  # over at once
    logits[3, :, 3] = -1e4  # never over
    logits[4] = 0
    mask = np.arange(5) < np.array([5, 5, 5, 0, 3, 0])[:, None]
    none = [-1, 7, -1, 7]
    reference = np.array([[0, 1, 1, 2], [2, 1, 3, 0], [0, 1, 2, 3], [0, 1, 2, 0], none, none])
    inside = np.array([[True]] * 4 + [[False]] * 2) & (reference >= 0)

    def of(logits: Any) -> Any:
        p = smooth.softmax(keras.ops.cast(logits, dtype))
        scores = all_scores(p, reference, mask=mask, reference_mask=inside, end=end)
        assert keras.backend.standardize_dtype(scores.dtype) == dtype
        return keras.ops.cast(scores, "float32")

    value, gradient = differentiated(compiled(of))(logits)
    assert np.isfinite(value).all() and np.isfinite(gradient).all()
    ratios = value[[not name.startswith("edit") for name in SCORES]]
    assert (ratios >= 0).all() and not ratios[:, 3:].any()  # where one text is empty, or both


LOSSES: dict[str, Callable[..., Any]] = {
    "bleu": smooth.SoftBLEU,
    "bleu add-k": partial(smooth.SoftBLEU, smooth_method="add-k"),
    "rouge 2": partial(smooth.SoftROUGE, 2),
    "rouge L": smooth.SoftROUGE,
    "edit distance": smooth.SoftEditDistance,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_descent_on_a_loss_improves_the_hard_score(name: str) -> None:
    """From logits at random, texts of length unknown become their references for the most part."""
    end, tokens = 7, 8
    random = np.random.default_rng(5)
    reference = random.integers(0, end, (16, 6))
    reference[np.arange(6) >= random.integers(2, 6, 16)[:, None]] = end
    logits = random.normal(size=(16, 6, tokens)).astype("float32")
    loss = LOSSES[name](end=end, from_logits=True, reduction="sum")
    step = differentiated(compiled(lambda logits: loss(reference, logits)))

    def score(logits: np.ndarray) -> float:
        p = one_hot(logits.argmax(-1), tokens)
        if name.startswith("bleu"):
            return float(numpy(smooth.bleu(p, reference, end=end)).mean())
        if name == "rouge 2":
            return float(numpy(smooth.rouge_n(p, reference, 2, end=end).fmeasure).mean())
        if name == "rouge L":
            return float(numpy(smooth.rouge_l(p, reference, end=end).fmeasure).mean())
        return 1 - float(numpy(smooth.edit_distance(p, reference, end=end, normalized=True)).mean())

    before = score(logits)
    for _ in range(60):
        _, gradient = step(logits)
        logits = logits - 3 * gradient / np.maximum(np.abs(gradient).max((1, 2), keepdims=True), 1e-6) / 6
    assert score(logits) > before + 0.25


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_one_minus_scores_and_come_back_from_their_configuration(name: str) -> None:
    p = smooth.softmax(np.random.default_rng(6).normal(size=(4, 5, 6)).astype("float32"))
    ids = np.array([[1, 2, 3, 0, 0], [1, 1, 4, 4, 0], [5, 5, 5, 5, 5], [0, 0, 0, 0, 0]])
    loss = LOSSES[name](pad=0, reduction="none")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    found = numpy(again(ids, p))
    masks = {"mask": ids != 0, "reference_mask": ids != 0}
    want = {
        "bleu": lambda: 1 - smooth.bleu(p, ids, **masks),
        "bleu add-k": lambda: 1 - smooth.bleu(p, ids, smooth_method="add-k", **masks),
        "rouge 2": lambda: 1 - smooth.rouge_n(p, ids, 2, **masks).fmeasure,
        "rouge L": lambda: 1 - smooth.rouge_l(p, ids, temperature=0.1, **masks).fmeasure,
        "edit distance": lambda: smooth.edit_distance(p, ids, temperature=0.1, normalized=True, **masks),
    }
    np.testing.assert_allclose(found, numpy(want[name]()), rtol=1e-6)


def test_a_model_with_a_mask_learns_from_a_loss_of_texts() -> None:
    """A mask that Keras hangs on predictions has a time axis, a loss of texts has none."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Embedding(6, 8, mask_zero=True),
        keras.layers.SimpleRNN(8, return_sequences=True),
        keras.layers.Dense(6),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.03), smooth.SoftEditDistance(pad=0, from_logits=True))
    x = np.random.default_rng(7).integers(1, 6, (64, 5))
    x[np.arange(5) >= np.random.default_rng(8).integers(1, 6, 64)[:, None]] = 0
    losses = model.fit(x, x, batch_size=16, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


P = np.full((2, 3, 4), 0.25, "float32")
IDS = np.zeros((2, 5), "int32")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: smooth.bleu(P[0], IDS), r"p has shape \(3, 4\); give \(batch, time, vocabulary\)"),
        (lambda: smooth.bleu(P.astype(int), IDS), "p has dtype int.*; give floating-point numbers"),
        (
            lambda: smooth.bleu(P, IDS * 1.0),
            "reference has dtype .*float.*; give integers, the ids of tokens",
        ),
        (lambda: smooth.bleu(P, IDS[:1]), r"reference has shape \(1, 5\) and p \(2, 3, 4\)"),
        (lambda: smooth.rouge_l(P, IDS[:, None]), r"shape \(2, 1, 5\) .*give \(batch, time\)"),
        (
            lambda: smooth.bleu(P, IDS + 4),
            "reference has a token 4, and p a vocabulary of 4; mask what is no",
        ),
        (lambda: smooth.bleu(P, IDS, end=4), "end = 4 is no token of a vocabulary of 4"),
        (lambda: smooth.bleu(P, IDS, mask=IDS == 0), r"mask has shape \(2, 5\); give one of \(2, 3\)"),
        (
            lambda: smooth.bleu(P, IDS, reference_mask=IDS),
            "reference_mask has dtype .*int32.*; give",
        ),
        (lambda: smooth.bleu(P, IDS, smooth_method="all"), "'all' should be one of none, floor, add-k, exp"),
        (lambda: smooth.bleu(P, IDS, smooth_method="floor", smooth_value=2), "above 0 and at most 1"),
        (lambda: smooth.bleu(P, IDS, smooth_method="add-k", smooth_value=0), "should be above 0 for 'add-k'"),
        (lambda: smooth.rouge_n(P, IDS, 0), "n-grams of 0 tokens: give 1 or more"),
        (lambda: smooth.edit_distance(P, IDS, temperature=-1.0), "temperature = -1.0 should be above 0"),
        (lambda: smooth.SoftBLEU(pad=0)(IDS, P), "give as many time steps, or `end`"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
