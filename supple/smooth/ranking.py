"""Smooth metrics of order: AUC and average precision of examples; NDCG and reciprocal rank of lists.

`y_pred` holds scores, of any scale: one is above another by σ(difference / τ), ½ for a tie. What is -inf, or
has a label below 0 in `y_true`, does not count. AUC and average precision compare all examples of a batch,
of shapes and labels as in `supple.smooth.metrics`; the others rank the n items of each list, both arguments
of shape (..., n). Time and memory grow with the square of what is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, TypedDict, Unpack

from keras import ops

from supple.smooth.functions import probabilities
from supple.smooth.metrics import TINY, averaged, examples, quotient
from supple.smooth.numbers import warmth, widened
from supple.smooth.order import rank, top_k


@dataclass(frozen=True)
class RankScore:
    """A metric as two functions: sums, which add up over batches, and the value that they give.

    Added over batches, AUC is over the pairs within them, without bias if they are shuffled; average
    precision is the mean of its batches, too high for small ones; means over lists are exact.
    """

    name: str
    _: KW_ONLY
    temperature: float = 1.0
    average: Literal["macro", "weighted"] | None = "macro"
    zero_division: float | None = 0.0
    multi_label: bool = False
    k: int | None = None

    def __post_init__(self) -> None:
        if self.average not in ("macro", "weighted", None):
            raise ValueError(f"average = {self.average!r} should be 'macro', 'weighted' or None")
        if self.k is not None and (self.k < 1 or self.name != "ndcg"):
            raise ValueError(f"k = {self.k} should be a number of places of ndcg, 1 or more; None for all")
        if self.name in LISTS and (self.average != "macro" or self.multi_label):
            raise ValueError(f"{self.name} is a mean over lists: leave out average and multi_label")

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Numerators, denominators and weights of positives, of shape (3, C); of lists C is 1."""
        x, _ = widened(y_pred, "y_pred")
        t = warmth(self.temperature, x)
        if self.name in LISTS:
            return self.of_lists(y_true, x, t, sample_weight)
        y, x, w = examples(y_true, columns(x), sample_weight, self.multi_label)
        y, x, w = (flat(part, x) for part in (y, x, w))
        w = ops.where(x > -math.inf, w, 0.0)
        return ops.stack([*PAIRS[self.name](y, ops.where(x > -math.inf, x, 0.0), w, t), total(w * y)])

    def of_lists(self, y_true: Any, x: Any, t: Any, sample_weight: Any) -> Any:
        y = ops.cast(y_true, x.dtype)
        if len(x.shape) < 2 or len(y.shape) != len(x.shape) or y.shape[-1] != x.shape[-1]:
            problem = f"y_true has shape {tuple(y.shape)} and y_pred {tuple(x.shape)}"
            raise ValueError(f"{problem}: give both as (lists, items)")
        counts = ops.logical_and(y >= 0, x > -math.inf)
        # A list without items has no relevant one either, and its score is not asked for.
        empty = ops.logical_not(ops.any(counts, -1, keepdims=True))
        y = ops.where(counts, y, 0.0)
        x = ops.where(counts, x, ops.where(empty, 0.0, -math.inf))
        each, some = LISTS[self.name](y, x, t, self.k)
        w = ops.ones_like(each) if sample_weight is None else ops.cast(sample_weight, x.dtype)
        if len(w.shape) != len(each.shape):
            problem = f"sample_weight has shape {tuple(w.shape)}, and lists {tuple(each.shape)}"
            raise ValueError(f"{problem}: give one weight a list")
        if self.zero_division is None:
            w = ops.where(some, w, 0.0)
        sums = ops.sum(w * ops.where(some, each, self.zero_division or 0.0)), ops.sum(w), ops.sum(w)
        return ops.expand_dims(ops.stack(sums), -1)

    def value(self, sums: Any) -> Any:
        """The score of sums of shape (3, C)."""
        numerator, denominator, support = ops.unstack(sums, 3)
        each = quotient(numerator, denominator, self.zero_division or 0.0)
        if self.name in LISTS:
            return each[0]
        return averaged(each, denominator > TINY, support, self.average, self.zero_division)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.value(self.sums(y_true, y_pred, sample_weight))


def total(x: Any) -> Any:
    """The sum over examples, of shape (C,)."""
    return ops.sum(x, 0)


def columns(x: Any) -> Any:
    return ops.expand_dims(x, -1) if len(x.shape) == 1 else x


def flat(part: Any, like: Any) -> Any:
    """Examples of the shape (N, C)."""
    return ops.reshape(ops.broadcast_to(part, ops.shape(like)), (-1, like.shape[-1]))


def auc_of(y: Any, x: Any, w: Any, t: Any) -> tuple[Any, Any]:
    """Σ w w' σ((x - x') / τ) over positives and negatives, and Σ w w'."""
    positive, negative = w * y, w * (1 - y)
    above = ops.sigmoid((x[:, None] - x) / t)  # (N, N, C)
    return total(positive * ops.sum(above * negative, 1)), total(positive) * total(negative)


def average_precision_of(y: Any, x: Any, w: Any, t: Any) -> tuple[Any, Any]:
    """Σ w × precision among what is above, over positives, and Σ w; an example is above itself."""
    above = w * ops.sigmoid(
        (x - x[:, None]) / t
    )  # (N, N, C), of which an example itself gives half its weight
    positives, everything = ops.sum(above * y, 1) + w * y / 2, ops.sum(above, 1) + w / 2
    return total(w * y * quotient(positives, everything)), total(w * y)


def places(x: Any, t: Any) -> Any:
    """Ranks; 1 for what does not count, to divide by."""
    return ops.where(x > -math.inf, rank(x, t), 1.0)


def ndcg_of(y: Any, x: Any, t: Any, k: int | None) -> tuple[Any, Any]:
    n = x.shape[-1]
    place = ops.arange(1, n + 1, dtype=x.dtype)
    ideal = ops.where(place <= (k or n), 1 / ops.log2(place + 1), 0.0)
    best = ops.sum(-ops.sort(-y, -1) * ideal, -1)
    gain = y / ops.log2(1 + places(x, t))
    if k is not None:
        items = ops.sum(ops.cast(x > -math.inf, "int32"), -1, keepdims=True)
        gain = gain * top_k(x, ops.minimum(k, items), t)
    return quotient(ops.sum(gain, -1), best), best > 0


def mrr_of(y: Any, x: Any, t: Any, k: int | None) -> tuple[Any, Any]:
    some = ops.any(y > 0, -1, keepdims=True)
    relevant = ops.where(ops.logical_or(y > 0, ops.logical_not(some)), x, -math.inf)
    return ops.sum(probabilities(relevant, t, -1, None) / places(x, t), -1), some[..., 0]


PAIRS: dict[str, Callable[..., Any]] = {"auc": auc_of, "average_precision": average_precision_of}
LISTS: dict[str, Callable[..., Any]] = {"ndcg": ndcg_of, "mrr": mrr_of}


class Options(TypedDict, total=False):
    """What AUC and average precision take.

    `sample_weight`: as in `supple.smooth.metrics`. `average`: over the columns of `y_pred`, plain or by their
    positives; None gives each. `zero_division`: the score of a column without positives (AUC: or without
    negatives); None leaves it out. `multi_label`: columns are labels, and not classes of which one is true.
    """

    sample_weight: Any
    temperature: float
    average: Literal["macro", "weighted"] | None
    zero_division: float | None
    multi_label: bool


class ListOptions(TypedDict, total=False):
    """What NDCG and MRR take: one weight a list; the score of a list without a relevant item, None to leave
    it out."""

    sample_weight: Any
    temperature: float
    zero_division: float | None


def score(name: str, y_true: Any, y_pred: Any, sample_weight: Any = None, **options: Any) -> Any:
    """A score in the dtype of `y_pred`."""
    _, back = widened(y_pred, "y_pred")
    return back(RankScore(name, **options)(y_true, y_pred, sample_weight))


def auc(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """The mean of σ((x - x') / τ) over pairs of a positive x and a negative x'; a tie is ½.

    As τ goes to 0, scikit-learn's `roc_auc_score`; of classes, each against the rest.
    """
    return score("auc", y_true, y_pred, **options)


def average_precision(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """The mean over positives of their rank among positives over their rank among all.

    As τ goes to 0, scikit-learn's `average_precision_score`, but for ties: those share their ranks here,
    there all of them count as above.
    """
    return score("average_precision", y_true, y_pred, **options)


def ndcg(y_true: Any, y_pred: Any, *, k: int | None = None, **options: Unpack[ListOptions]) -> Any:
    """The mean over lists of Σ y / log₂(1 + rank), over the most it can be; with `k`, of the k first.

    `y_true` holds gains, 0 or more. As τ goes to 0, scikit-learn's `ndcg_score`, but for ties: these share
    their rank, there their discount. The k first are those of `supple.smooth.top_k`.
    """
    return score("ndcg", y_true, y_pred, k=k, **options)


def mrr(y_true: Any, y_pred: Any, **options: Unpack[ListOptions]) -> Any:
    """The mean over lists of 1 / rank of the first relevant item, of which `y_true` is above 0.

    Which of them is first is a softmax of their scores at τ.
    """
    return score("mrr", y_true, y_pred, **options)
