"""Smooth metrics of classification: counts of a confusion matrix, taken of probabilities, and their ratios.

`y_pred` holds probabilities (or logits, with `from_logits`) of shape (..., C): of C classes that exclude each
other, or with `multi_label` of C labels that do not; without an axis of classes, or with C = 1, those of one
label. `y_true` holds class numbers of shape (...), or one-hot rows, or 0 and 1 for labels; what is below 0
does not count. A class is counted as scikit-learn does: tp = Σ w y p, fp = Σ w (1 - y) p and so on, so that
probabilities of 0 and 1 give the hard metric. Half precision computes in float32 and comes back as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import numpy as np
from keras import ops

from supple.smooth.functions import probabilities
from supple.smooth.numbers import concrete, warmth, widened

TINY = 1e-15  # a share of all examples that counts as none: the square of it is a float32

Average = Literal["macro", "micro", "weighted"] | None


class Counts(NamedTuple):
    """True and false positives and negatives of each class against the rest, of shape (..., C)."""

    tp: Any
    fp: Any
    fn: Any
    tn: Any


RATIOS: dict[str, Callable[..., tuple[Any, Any]]] = {  # numerator and denominator, class by class
    "precision": lambda c: (c.tp, c.tp + c.fp),
    "recall": lambda c: (c.tp, c.tp + c.fn),
    "specificity": lambda c: (c.tn, c.tn + c.fp),
    "jaccard": lambda c: (c.tp, c.tp + c.fp + c.fn),
    "f_beta": lambda c, beta: ((1 + beta**2) * c.tp, (1 + beta**2) * c.tp + c.fp + beta**2 * c.fn),
}
# Of all classes together. They are written as sums over classes of terms that are not negative, as
# differences of large numbers would be noise where there is but one class.
WHOLES: dict[str, Callable[[Counts], tuple[Any, Any]]] = {
    "accuracy": lambda c: (total(c.tp), total(c.tp + c.fn)),
    "balanced_accuracy": lambda c: (
        total(quotient(c.tp, c.tp + c.fn)),
        total(ops.cast(c.tp + c.fn > TINY, c.tp.dtype)),
    ),
    "mcc": lambda c: (
        total(c.tp * c.tn - c.fp * c.fn),
        root(total((c.tp + c.fp) * (c.fn + c.tn))) * root(total((c.tp + c.fn) * (c.fp + c.tn))),
    ),
    "cohen_kappa": lambda c: (total(c.tp * c.tn - c.fp * c.fn), total((c.tp + c.fn) * (c.fn + c.tn))),
}


def total(x: Any) -> Any:
    """The sum over classes."""
    return ops.sum(x, -1)


def quotient(numerator: Any, denominator: Any, zero: float = 0.0) -> Any:
    """A quotient, and `zero`, without a gradient, where the denominator is none."""
    some = denominator > TINY
    return ops.where(some, numerator / ops.where(some, denominator, 1.0), zero)


def root(x: Any) -> Any:
    """√x, without the infinite slope at 0."""
    some = x > TINY
    return ops.where(some, ops.sqrt(ops.where(some, x, 1.0)), 0.0)


def averaged(each: Any, some: Any, support: Any, average: str | None, zero_division: float | None) -> Any:
    """The mean of classes, of those with a denominator alone where `zero_division` is None."""
    if average is None:
        return each
    weight = support if average == "weighted" else ops.ones_like(each)
    if zero_division is None:
        weight = ops.where(some, weight, 0.0)
    return quotient(total(weight * each), total(weight), zero_division or 0.0)


@dataclass(frozen=True)
class CountScore:
    """A metric as two functions: sums, which add up over batches, and the value that they give."""

    name: str
    _: KW_ONLY
    average: Average = "macro"
    zero_division: float | None = 0.0
    class_mask: Any = None
    multi_label: bool = False
    from_logits: bool = False
    temperature: float = 1.0
    beta: float | None = None

    def __post_init__(self) -> None:
        if self.average not in ("macro", "micro", "weighted", None):
            raise ValueError(f"average = {self.average!r} should be 'macro', 'micro', 'weighted' or None")
        if self.beta is not None and self.name != "f_beta":
            raise ValueError(f"beta = {self.beta} is of f_beta: {self.name} has none")
        check_beta(self.beta or 0.0)
        if not self.from_logits and not np.array_equal(concrete(self.temperature), 1.0):  # type: ignore[arg-type]
            raise ValueError(f"temperature = {self.temperature} divides logits: say from_logits=True too")

    def read(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Labels, probabilities and weights, as `examples` gives them."""
        return examples(
            y_true,
            likely(y_pred, self.multi_label, self.from_logits, self.temperature),
            sample_weight,
            self.multi_label,
        )

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The counts, of shape (4, C)."""
        return counted(*self.read(y_true, y_pred, sample_weight))

    def value(self, sums: Any) -> Any:
        """The score of counts of shape (4, C), in whatever unit."""
        together = not self.multi_label and sums.shape[-1] > 1  # the classes are one problem
        if self.class_mask is not None:
            sums = ops.take(sums, chosen(self.class_mask, sums.shape[-1]), -1)
        everything = ops.stop_gradient(ops.max(ops.sum(sums, 0)))
        sums = sums / ops.where(everything > 0, everything, 1.0)
        whole = self.name in WHOLES
        if self.average == "micro" and not (whole and together):
            sums = ops.sum(sums, -1, keepdims=True)
        c = Counts(*ops.unstack(sums, 4))
        support = c.tp + c.fn
        if not whole:
            of_beta = {} if self.beta is None else {"beta": self.beta}
            numerator, denominator = RATIOS[self.name](c, **of_beta)
        elif together:
            numerator, denominator = WHOLES[self.name](c)
            return quotient(numerator, denominator, self.zero_division or 0.0)
        else:  # a label and its opposite are two classes
            both = Counts(*(ops.stack(pair, -1) for pair in zip(c, c[::-1], strict=True)))
            numerator, denominator = WHOLES[self.name](both)
        each = quotient(numerator, denominator, self.zero_division or 0.0)
        return averaged(each, denominator > TINY, support, self.average, self.zero_division)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.value(self.sums(y_true, y_pred, sample_weight))


def check_beta(beta: float) -> None:
    if not 0 <= beta < np.inf:
        raise ValueError(f"beta = {beta} should be 0 or more, and finite")


def chosen(class_mask: Any, n: int) -> np.ndarray:
    """The numbers of the classes that a mask leaves."""
    mask = np.asarray(class_mask)
    if mask.dtype != bool or mask.shape != (n,) or not mask.any():
        raise ValueError(f"class_mask = {class_mask} should be {n} booleans, True for a class that counts")
    return np.flatnonzero(mask).astype("int32")


def likely(y_pred: Any, multi_label: bool, from_logits: bool, temperature: Any) -> Any:
    """Probabilities of shape (..., C); ValueError if they are none, where values are known."""
    p, _ = widened(y_pred, "y_pred")
    p = ops.expand_dims(p, -1) if len(p.shape) == 1 else p
    if from_logits:
        t = warmth(temperature, p)
        return ops.sigmoid(p / t) if multi_label or p.shape[-1] == 1 else probabilities(p, t, -1, None)
    known = concrete(p)
    if known is not None and known.size and not (known.min() >= -1e-3 and known.max() <= 1 + 1e-3):
        problem = f"y_pred is from {known.min():.4g} to {known.max():.4g}; probabilities are from 0 to 1"
        raise ValueError(f"{problem}: for logits say from_logits=True")
    return p


def examples(y_true: Any, p: Any, sample_weight: Any, multi_label: bool) -> tuple[Any, Any, Any]:
    """Labels of the shape (..., C) of `p`; `p`; weights that broadcast to it, 0 where a label is below 0."""
    y = ops.convert_to_tensor(y_true)
    axes, n = len(p.shape), p.shape[-1]
    numbers = n > 1 and (len(y.shape) == axes - 1 or (len(y.shape) == axes and y.shape[-1] == 1))
    if n == 1 and len(y.shape) == axes - 1:
        y = ops.expand_dims(y, -1)
    if numbers and not multi_label:
        y = ops.cast(y if len(y.shape) == axes - 1 else ops.squeeze(y, -1), "int32")
        known = concrete(y)
        if known is not None and known.size and known.max() >= n:
            raise ValueError(f"y_true holds class {int(known.max())}, and y_pred has {n} classes, from 0")
        counts = ops.expand_dims(y >= 0, -1)
        y = ops.cast(ops.expand_dims(y, -1) == ops.arange(n, dtype="int32"), p.dtype)
    elif len(y.shape) == axes and y.shape[-1] == n:
        y = ops.cast(y, p.dtype)
        counts = y >= 0 if multi_label or n == 1 else ops.all(y >= 0, -1, keepdims=True)
        y = ops.where(counts, y, 0.0)
    else:
        problem = f"y_true has shape {tuple(y.shape)} and y_pred {tuple(p.shape)}"
        raise ValueError(f"{problem}: give class numbers without the last axis, or one column a class")
    w = ops.cast(counts, p.dtype)
    if sample_weight is not None:
        weight = ops.cast(sample_weight, p.dtype)
        if len(weight.shape) < axes:
            weight = ops.reshape(weight, (*ops.shape(weight), *[1] * (axes - len(weight.shape))))
        elif weight.shape[-1] != 1 and not multi_label:
            problem = f"sample_weight has shape {tuple(weight.shape)} and y_pred {tuple(p.shape)}"
            raise ValueError(f"{problem}: an example has one weight, but for multi_label=True")
        w = w * weight
    return y, p, w


def counted(y: Any, p: Any, w: Any) -> Any:
    """tp, fp, fn and tn of shape (4, C)."""
    axes = tuple(range(len(p.shape) - 1))
    cells = (y, p), (1 - y, p), (y, 1 - p), (1 - y, 1 - p)
    return ops.stack([ops.sum(w * a * b, axes) for a, b in cells])


class Options(TypedDict, total=False):
    """What all metrics of counts take.

    `sample_weight`: of the first axes of `y_pred`, such as (batch,); for labels also of its whole shape.
    `average`: over classes, as scikit-learn's; None gives each. Accuracy, balanced accuracy, MCC and κ are of
    all classes together, and averages of theirs are over labels. `class_mask`: C booleans, the classes that
    count. `zero_division`: the score of a class without a denominator; None leaves it out of averages.
    `temperature`: what logits are divided by.
    """

    sample_weight: Any
    average: Average
    zero_division: float | None
    class_mask: Any
    multi_label: bool
    from_logits: bool
    temperature: float


def score(name: str, y_true: Any, y_pred: Any, sample_weight: Any = None, **options: Any) -> Any:
    """A score in the dtype of `y_pred`."""
    _, back = widened(y_pred, "y_pred")
    return back(CountScore(name, **options)(y_true, y_pred, sample_weight))


def accuracy(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """Σ w p(true class) / Σ w; within `accuracy_certificate` of the share of the right."""
    return score("accuracy", y_true, y_pred, **options)


def balanced_accuracy(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """The mean recall of the classes that occur."""
    return score("balanced_accuracy", y_true, y_pred, **options)


def precision(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """tp / (tp + fp)."""
    return score("precision", y_true, y_pred, **options)


def recall(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """tp / (tp + fn)."""
    return score("recall", y_true, y_pred, **options)


def specificity(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """tn / (tn + fp)."""
    return score("specificity", y_true, y_pred, **options)


def jaccard(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """tp / (tp + fp + fn)."""
    return score("jaccard", y_true, y_pred, **options)


def f_beta(y_true: Any, y_pred: Any, *, beta: float = 1.0, **options: Unpack[Options]) -> Any:
    """(1 + β²) tp / ((1 + β²) tp + fp + β² fn): recall matters β times as much as precision.

    Of a batch it is biased as an estimate of the whole: see `supple.smooth.MovingCounts`.
    """
    return score("f_beta", y_true, y_pred, beta=beta, **options)


def mcc(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """Matthews' correlation, of several classes too (Gorodkin 2004)."""
    return score("mcc", y_true, y_pred, **options)


def cohen_kappa(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """Cohen's κ: agreement beyond that of chance, as a share of what chance leaves."""
    return score("cohen_kappa", y_true, y_pred, **options)


def accuracy_certificate(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> Any:
    """The mean of 1 - p_max, the most by which smooth and hard accuracy differ; `average` is not "weighted".

    The hard one takes the likeliest class, or the labels above ½. Of `y_true` it asks only what counts.
    """
    certified = CountScore("accuracy", **{k: v for k, v in options.items() if k != "sample_weight"})  # type: ignore[arg-type]
    if certified.average == "weighted" or certified.class_mask is not None:
        raise ValueError("the certificate is of all classes: leave out average='weighted' and class_mask")
    y, p, w = certified.read(y_true, y_pred, options.get("sample_weight"))
    one = certified.multi_label or p.shape[-1] == 1
    likeliest = p > 0.5 if one else ops.expand_dims(ops.argmax(p, -1), -1) == ops.arange(y.shape[-1])
    return widened(y_pred)[1](1 - certified.value(counted(ops.cast(likeliest, p.dtype), p, w)))


def f_beta_of_counts(tp: Any, fp: Any, fn: Any, beta: float = 1.0, zero_division: float = 0.0) -> Any:
    """F_β of counts, tensors of any one shape; `zero_division` where all are 0."""
    check_beta(beta)
    tp, fp, fn = (ops.convert_to_tensor(count) for count in (tp, fp, fn))
    return quotient(*RATIOS["f_beta"](Counts(tp, fp, fn, None), beta), zero_division)


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    from_logits: bool = False,
    temperature: float = 1.0,
) -> Any:
    """The C x C matrix Σ w y pᵀ: how much of the true class of a row is given to the class of a column."""
    given = CountScore("accuracy", from_logits=from_logits, temperature=temperature)
    y, p, w = given.read(y_true, y_pred, sample_weight)
    if p.shape[-1] == 1:  # of the negative class, and the positive
        y, p = (ops.concatenate([1 - x, x], -1) for x in (y, p))
    y, p = (ops.reshape(x, (-1, x.shape[-1])) for x in (y, p * w))
    return ops.transpose(y) @ p
