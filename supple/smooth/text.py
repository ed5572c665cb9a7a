"""Scores of texts whose tokens are still distributions: BLEU, ROUGE and edit distance to train for.

`p` (batch, time, vocabulary) holds probabilities, those at different times independent; `reference` (batch,
reference time) holds token ids. Of one-hot `p` every score is the hard one. A text goes on while its boolean
`mask` (batch, time) is True; with the token `end`, it ends before the first such token, so that the length of
a prediction is random, and scores are of expected counts, lengths and distances. The n-grams looked up are
those of the reference: the cost grows with time × reference time, not with vocabularyⁿ. Half precision
computes in float32 inside and comes back as it was. ValueError says what was wrong.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from keras import ops

from supple.smooth.numbers import concrete, warmth, widened

TINY = 1e-30  # in place of 0 in logarithms
FAR = 1e30  # in place of infinity, of which the difference to itself has no value

SmoothMethod = Literal["none", "floor", "add-k", "exp"]
SMOOTH_VALUES = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 0.0}  # of Chen and Cherry (2014)


class Pair(NamedTuple):
    """Predictions of T tokens, each beside K references of R: what all scores are made of."""

    match: Any  # (B, T, K, R), how probable the reference's token is at that time, if the text is not over
    alive: Any  # (B, T), how probable it is that the prediction has so many tokens, or more
    inside: Any  # (B, K, R), 1 for tokens of the reference, 0 after its end
    ids: Any  # (B, K, R)


class Rouge(NamedTuple):
    """Each of shape (batch,); `fmeasure` is the harmonic mean of the two."""

    precision: Any
    recall: Any
    fmeasure: Any


def bleu(
    p: Any,
    reference: Any,
    *,
    mask: Any = None,
    reference_mask: Any = None,
    end: int | None = None,
    max_ngram_order: int = 4,
    smooth_method: SmoothMethod = "exp",
    smooth_value: float | None = None,
    effective_order: bool = False,
    corpus: bool = False,
) -> Any:
    """BLEU (Papineni et al. 2002) of expected n-gram counts, from 0 to 1: (batch,), or one of a `corpus`.

    Options are those of sacrebleu. Several references are (batch, K, reference time); an empty one is none.
    Clipped at min(E[count], clip), matches are at or above their expectation, the more the count varies; they
    are equal where no count can exceed its clip. Between whole numbers smoothing is continuous: "floor" is
    max(count, value), and "exp" counts 1 - count of a zero. Under "none", and for single tokens, the slope
    has no bound as a count goes to 0.
    """
    if smooth_method not in SMOOTH_VALUES:
        raise ValueError(f"smooth_method = {smooth_method!r} should be one of {', '.join(SMOOTH_VALUES)}")
    value = SMOOTH_VALUES[smooth_method] if smooth_value is None else smooth_value
    if smooth_method in ("floor", "add-k") and not (value > 0 and (value <= 1 or smooth_method == "add-k")):
        limits = "above 0 and at most 1" if smooth_method == "floor" else "above 0"
        raise ValueError(f"smooth_value = {value} should be {limits} for {smooth_method!r}")
    pair, back = paired(p, reference, mask, reference_mask, end, several=True)
    correct, total = ngram_counts(pair, max_ngram_order)
    length = ops.sum(pair.alive, 1)
    wanted = closest(ops.sum(pair.inside, -1), length)
    if corpus:
        correct, total, length, wanted = (ops.sum(x, 0) for x in (correct, total, length, wanted))
    # A text of expected length below 1e-3 is as good as empty: exp(-999) is 0.
    brevity = ops.exp(ops.minimum(1 - wanted / ops.maximum(length, 1e-3), 0.0))
    precision, reach = precisions(correct, total, smooth_method, value)
    if effective_order:
        weights = reach / ops.maximum(ops.sum(reach, -1, keepdims=True), 1.0)
    else:
        precision, weights = precision * reach, ops.ones_like(reach) / max_ngram_order
    nothing = ops.any(ops.logical_and(precision <= 0, weights > 0), -1)
    nothing = ops.logical_or(nothing, correct[..., 0] <= 0)
    mean = ops.exp(ops.sum(weights * ops.log(ops.maximum(precision, TINY)), -1))
    return back(ops.where(nothing, 0.0, brevity * mean))


def rouge_n(
    p: Any,
    reference: Any,
    n: int = 1,
    *,
    mask: Any = None,
    reference_mask: Any = None,
    end: int | None = None,
) -> Rouge:
    """ROUGE-n (Lin 2004) of expected counts of n-grams; those that match are clipped as in `bleu`."""
    pair, back = paired(p, reference, mask, reference_mask, end)
    correct, total = ngram_counts(pair, n)
    return rouge(correct[:, -1], total[:, -1], ops.sum(pair.inside[:, 0, n - 1 :], -1), back)


def rouge_l(
    p: Any,
    reference: Any,
    *,
    mask: Any = None,
    reference_mask: Any = None,
    end: int | None = None,
    temperature: Any = 0.0,
) -> Rouge:
    """ROUGE-L (Lin 2004): the most probable matches that an alignment can have, over the lengths.

    At temperature 0 that is at or below the expected longest common subsequence. At τ above 0 the maximum is
    τ log Σ exp(matches / τ) over all alignments: above that at 0 by at most τ log D, with the Delannoy number
    D of alignments, so that scores may exceed 1.
    """
    pair, back = paired(p, reference, mask, reference_mask, end)
    common = -least_cost(pair, -pair.match[:, :, 0], 0.0, temperature)
    return rouge(common, ops.sum(pair.alive, 1), ops.sum(pair.inside[:, 0], -1), back)


def edit_distance(
    p: Any,
    reference: Any,
    *,
    mask: Any = None,
    reference_mask: Any = None,
    end: int | None = None,
    temperature: Any = 0.0,
    normalized: bool = False,
) -> Any:
    """Levenshtein's distance, (batch,): the least expected cost of an alignment, where a token costs 1 if it
    is left out or added, and 1 - its probability if it stands for one of the reference. If `normalized`, it
    is divided by the reference's length, as in the word error rate.

    At temperature 0 that is at or above the expected distance. At τ above 0 the minimum is soft, as in
    soft-DTW (Cuturi and Blondel 2017): below that at 0 by at most τ log D, with the number D of alignments,
    the Delannoy number of both lengths; it may be below 0.
    """
    pair, back = paired(p, reference, mask, reference_mask, end)
    distance = least_cost(pair, 1 - pair.match[:, :, 0], 1.0, temperature)
    return back(distance / ops.maximum(ops.sum(pair.inside[:, 0], -1), 1.0) if normalized else distance)


def paired(
    p: Any, reference: Any, mask: Any, reference_mask: Any, end: int | None, several: bool = False
) -> tuple[Pair, Any]:
    """A checked prediction beside its references, and how to cast scores back."""
    p, back = widened(p, "p")
    ids = ops.convert_to_tensor(reference)
    check(p, ids, end, several)
    alive = prefix(mask, p[..., 0], "mask")
    inside = prefix(reference_mask, ops.cast(ids, p.dtype), "reference_mask")
    if end is not None:
        inside = inside * prefix(ids != end, inside, "")
    check_ids(ids, inside, p.shape[-1])
    ids = ops.cast(ids, "int32")
    if len(ids.shape) == 2:
        ids, inside = ids[:, None], inside[:, None]
    batch, references, size = ops.shape(ids)
    columns = ops.reshape(ops.where(inside > 0, ids, 0), (batch, 1, references * size))
    columns = ops.broadcast_to(columns, (batch, ops.shape(p)[1], references * size))
    match = ops.take_along_axis(p, columns, -1)
    if end is not None:
        going = 1 - p[..., end]
        # The logarithm, as the gradient of `cumprod` at 0 is NaN on TensorFlow.
        survival = ops.exp(ops.cumsum(ops.log(ops.maximum(going, TINY)), 1))
        alive = alive * prefix(going > 0, going, "") * survival
        match = ops.minimum(match / ops.maximum(going, 1e-7)[..., None], 1.0)
    match = ops.reshape(match, (batch, ops.shape(p)[1], references, size))
    return Pair(match * inside[:, None], alive, inside, ids), back


def ngram_counts(pair: Pair, most: int) -> tuple[Any, Any]:
    """Expected n-grams of the prediction for n = 1, …, `most`: those that match, clipped, and all; (B, most).

    An n-gram counts at most as often as in the reference that has it most often. It has a column wherever it
    is in a reference, and each has an equal share of its matches.
    """
    if most < 1:
        raise ValueError(f"n-grams of {most} tokens: give 1 or more")
    counts = pair.inside[:, :, :, None, None] * pair.inside[:, None, None]
    same = ops.where(pair.ids[:, :, :, None, None] == pair.ids[:, None, None], counts, 0.0)  # (B, K, R, K, R)
    found, equal = pair.match, same
    correct, total = [], []
    for n in range(most):  # of n + 1 tokens
        if n:
            found = found[:, :-1, :, :-1] * pair.match[:, n:, :, n:]
            equal = equal[:, :, :-1, :, :-1] * same[:, :, n:, :, n:]
        alive = pair.alive[:, n:]
        expected = ops.sum(found * alive[:, :, None, None], 1)  # (B, K, R - n)
        often = ops.sum(equal, -1)  # (B, K, R - n, K), how often each reference has it
        matches = ops.minimum(expected, ops.max(often, -1)) / ops.maximum(ops.sum(often, -1), 1.0)
        correct.append(ops.sum(matches, (1, 2)))
        total.append(ops.sum(alive, 1))
    return ops.stack(correct, -1), ops.stack(total, -1)


def closest(lengths: Any, length: Any) -> Any:
    """Of the references' lengths (B, K) that nearest to the prediction's, of two as near the shorter."""
    away = ops.abs(lengths - ops.stop_gradient(length)[:, None])
    away = ops.where(lengths > 0, away, np.inf)
    nearest = away <= ops.min(away, -1, keepdims=True)
    return ops.min(ops.where(nearest, lengths, FAR), -1)


def precisions(correct: Any, total: Any, method: SmoothMethod, value: float) -> tuple[Any, Any]:
    """Smoothed n-gram precisions, and from 0 to 1 how far there are n-grams at all.

    Single tokens need no smoothing: without a match BLEU is 0 by any method.
    """
    first = ops.cast(np.arange(correct.shape[-1]) == 0, correct.dtype)
    later = 1 - first
    reach, size = ops.minimum(total, 1.0), ops.maximum(total, 1.0)
    if method == "add-k":
        return (correct + value * later) / (first * size + later * (total + value)), ops.maximum(reach, later)
    least = value * later
    if method == "exp":
        zeros = ops.cumsum(later * ops.maximum(1 - correct, 0.0), -1)
        least = later * ops.exp(-math.log(2) * zeros)
    return ops.maximum(correct, least) / size, reach


def rouge(matches: Any, size: Any, wanted: Any, back: Any) -> Rouge:
    """From counts; a text that has less than one is taken to have one."""
    precision, recall = matches / ops.maximum(size, 1.0), matches / ops.maximum(wanted, 1.0)
    return Rouge(*(back(x) for x in (precision, recall, 2 * matches / ops.maximum(size + wanted, 1.0))))


def least_cost(pair: Pair, cost: Any, gap: float, temperature: Any) -> Any:
    """The cost of the best alignment, (B,), expected over the prediction's length.

    A cell (i, j) of the table is that of i predicted tokens and j of the reference: the least of `gap` more
    than its two neighbours, and cost[i - 1, j - 1] more than the one before both. Diagonals of the table, on
    which i + j is the same, depend on the two before them alone.
    """
    t = heat(temperature, cost)
    batch, time, _ = ops.shape(cost)
    ends = chances(pair.alive)[:, :, None] * chances(pair.inside[:, 0])[:, None]  # (B, T + 1, R + 1)
    costs = skewed(cost)
    costs = ops.concatenate([0 * costs[:1], costs])  # no cell of the first diagonal has one before both
    beyond = ops.full((batch, 1), FAR, cost.dtype)

    def after(x: Any) -> Any:
        return ops.concatenate([beyond, x[:, :-1]], 1)

    def diagonal(state: tuple[Any, Any, Any], at: tuple[Any, Any]) -> tuple[tuple[Any, Any, Any], None]:
        before, last, total = state  # (B, T + 1), by i
        costs, ends = at
        both = after(before) + ops.pad(costs, ((0, 0), (1, 0)))
        now = least(after(last) + gap, last + gap, both, t)
        return (last, now, total + ops.sum(ends * now, 1)), None

    nowhere = ops.full((batch, time + 1), FAR, cost.dtype)
    start = ops.concatenate([0 * beyond, nowhere[:, 1:]], 1)
    (_, _, total), _ = ops.scan(diagonal, (nowhere, start, 0 * beyond[:, 0]), (costs, skewed(ends)[1:]))
    return total


def least(a: Any, b: Any, c: Any, t: Any) -> Any:
    """min(a, b, c); with a temperature, -τ log of the sum of exp(-a / τ) and so on."""
    low = ops.minimum(ops.minimum(a, b), c)
    if t is None:
        return low
    low = ops.stop_gradient(low)
    return low - t * ops.log(sum(ops.exp((low - x) / t) for x in (a, b, c)))


def heat(temperature: Any, like: Any) -> Any:
    """The temperature in the dtype of `like`, None for 0."""
    known = concrete(temperature)
    if known is not None and known.ndim == 0 and known == 0:
        return None
    return warmth(temperature, like)


def chances(alive: Any) -> Any:
    """How probable each length from 0 on is, (B, T + 1), where `alive` (B, T) is that of so many or more."""
    whole = ops.ones_like(alive[:, :1])
    return ops.concatenate([whole, alive], 1) - ops.concatenate([alive, 0 * whole], 1)


def skewed(x: Any) -> Any:
    """(B, T, R) to (T + R - 1, B, T): the diagonals on which i + j is the same, with zeros where none is."""
    batch, time, size = ops.shape(x)
    rows = ops.reshape(ops.pad(x, ((0, 0), (0, 0), (0, time))), (batch, time * (size + time)))
    return ops.transpose(ops.reshape(rows[:, :-time], (batch, time, size + time - 1)), (2, 0, 1))


def prefix(mask: Any, like: Any, name: str) -> Any:
    """1 up to the first False of a mask, then 0; in the shape and dtype of `like`."""
    if mask is None:
        return ops.ones_like(like)
    mask = ops.convert_to_tensor(mask)
    if keras.backend.standardize_dtype(mask.dtype) != "bool":
        raise ValueError(f"{name} has dtype {mask.dtype}; give booleans, True where a token counts")
    if tuple(mask.shape) != tuple(like.shape):
        raise ValueError(f"{name} has shape {tuple(mask.shape)}; give one of {tuple(like.shape)}")
    return ops.cumprod(ops.cast(mask, like.dtype), -1)


def check(p: Any, ids: Any, end: int | None, several: bool) -> None:
    """ValueError unless there is a reference, or several, for each prediction."""
    shape, wanted = tuple(p.shape), (2, 3) if several else (2,)
    if len(shape) != 3:
        raise ValueError(f"p has shape {shape}; give (batch, time, vocabulary)")
    if not keras.backend.is_int_dtype(ids.dtype):
        raise ValueError(f"reference has dtype {ids.dtype}; give integers, the ids of tokens")
    if len(ids.shape) not in wanted or ids.shape[0] != shape[0]:
        forms = "(batch, time) or (batch, references, time)" if several else "(batch, time)"
        raise ValueError(f"reference has shape {tuple(ids.shape)} and p {shape}; give {forms}")
    if end is not None and not 0 <= end < shape[-1]:
        raise ValueError(f"end = {end} is no token of a vocabulary of {shape[-1]}")


def check_ids(ids: Any, inside: Any, vocabulary: int) -> None:
    """ValueError if a token that counts is not in the vocabulary, where values are known."""
    known, counts = concrete(ids), concrete(inside)
    if known is None or counts is None:
        return
    wrong = known[(counts > 0) & ((known < 0) | (known >= vocabulary))]
    if wrong.size:
        problem = f"reference has a token {int(wrong[0])}, and p a vocabulary of {vocabulary}"
        raise ValueError(f"{problem}; mask what is no token with reference_mask")
