"""How far smooth order statistics are from the hard ones at most: what `bound` knows of `smooth.order`.

All is at temperature 1; a function of x / τ has the same bound, one of the unit of x τ times that.
With d the gap from the k-th element to the next, the λ of `top_k` is within log k below and log(n - k) above
the middle between them (see `order.threshold`), so that shares fall off at least as exp(-distance / 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit


class OrderBound(NamedTuple):
    """`worst(n, k)` holds for every input, `at(row, k)` for a row in descending order, `gap(g, n, k)` for
    inputs of least gap g: from the k-th to the next, of ranks between any two."""

    worst: Callable[[int, int], float] | None
    at: Callable[[np.ndarray, int], Any]
    gap: Callable[[float, int, int], float] | None = None


def top_k_worst(n: int, k: int) -> float:
    """‖p - hard‖₁ is twice what the k largest lack, on average no more than all elements: k - k² / n."""
    return 2 * k * (n - k) / n


def top_k_gap(g: float, n: int, k: int) -> float:
    """What they lack is at most k σ(s - g / 2) and (n - k) σ(-s - g / 2), so the root of the product."""
    return min(top_k_worst(n, k), 2 * math.sqrt(k * (n - k)) * float(expit(-g / 2)))


def top_k_at(row: np.ndarray, k: int) -> float:
    return top_k_gap(row[k - 1] - row[k], len(row), k) if 0 < k < len(row) else 0.0


def kth_worst(n: int, k: int) -> float:
    """∫ min(1, N exp(-t / 2)) dt, with N from the weights below, k (n - k), or above, (k - 1) (n - k + 1)."""
    return 2 + 2 * math.log(max(k * (n - k), (k - 1) * (n - k + 1))) if n > 1 else 0.0


def kth_at(row: np.ndarray, k: int) -> float:
    """Σ weight × distance on one side, each weight at its most; the two sides have opposite signs."""
    n = len(row)
    below, above = row[k - 1] - row[k:], (row[: k - 1] - row[k - 1])[::-1]
    sides = [
        min(side[-1], float(side @ expit(side[0] / 2 - side + math.log(count))))
        for side, count in ((below, k), (above, n - k + 1))
        if len(side)
    ]
    return min(kth_worst(n, k), max(sides, default=0.0))


def rank_worst(n: int, k: int) -> float:
    return (n - 1) / 2


def sigmoid_rank_at(row: np.ndarray, k: int) -> np.ndarray:
    """Every other element is within σ(-distance) of its side; ties are exactly half above."""
    distance = np.abs(row[:, None] - row)
    return np.where(distance > 0, expit(-distance), 0.0).sum(-1)


def sigmoid_rank_gap(g: float, n: int, k: int) -> float:
    return min((n - 1) / 2, (n - 1) * float(expit(-g)))


def projected_rank_at(row: np.ndarray, k: int) -> np.ndarray:
    """Gaps of n / 2 divide a row; a part is exact if neighbours are as far apart as their ties are many."""
    found = np.zeros(len(row))
    edges = np.flatnonzero(row[:-1] - row[1:] >= len(row) / 2) + 1
    for part in np.split(np.arange(len(row)), edges):
        values, ties = np.unique(row[part], return_counts=True)
        if (np.diff(values) < (ties[:-1] + ties[1:]) / 2).any():
            found[part] = (len(part) - 1) / 2
    return found


def projected_rank_gap(g: float, n: int, k: int) -> float:
    return 0.0 if g >= 1 else (n - 1) / 2


def sort_worst(n: int, k: int) -> float:
    return kth_worst(n, (n + 1) // 2)


def sort_at(row: np.ndarray, k: int) -> np.ndarray:
    return np.array([kth_at(row, place) for place in range(1, len(row) + 1)])


def projected_sort_at(row: np.ndarray, k: int) -> np.ndarray:
    """No i first have more than the i largest; and nothing is averaged where no gap is above 1."""
    n = np.arange(1, len(row) + 1)
    if (row[:-1] - row[1:] <= 1).all():
        return np.zeros(len(row))
    head, tail = np.cumsum(row) / n, np.cumsum(row[::-1])[::-1] / n[::-1]
    return np.maximum(head - row, row - tail)


ORDER = {
    "top_k": OrderBound(top_k_worst, top_k_at, top_k_gap),
    "kth_value": OrderBound(kth_worst, kth_at),
    "rank:sigmoid": OrderBound(rank_worst, sigmoid_rank_at, sigmoid_rank_gap),
    "rank:projection": OrderBound(rank_worst, projected_rank_at, projected_rank_gap),
    "sort:top_k": OrderBound(sort_worst, sort_at),
    "sort:projection": OrderBound(None, projected_sort_at),
}
FORMS = {"rank": ("sigmoid", "projection"), "sort": ("top_k", "projection")}
NAMES = "top_k", "kth_value", "quantile", "median", "rank", "sort"
OF_THE_UNIT_OF_X = "kth_value", "quantile", "median", "sort"


def order_entry(name: str, form: str | None) -> OrderBound:
    """The bounds of a function in a form, by default in its first; quantiles are made of k-th values."""
    if name in ("quantile", "median"):
        return ORDER["kth_value"]
    forms = FORMS.get(name, ("",))
    if form not in (None, *forms):
        raise ValueError(f"form = {form!r} should be one of {', '.join(forms)}")
    return ORDER[f"{name}:{form or forms[0]}" if name in FORMS else name]


def places(name: str, n: int, k: int | None, q: float | None) -> list[tuple[int, float]]:
    """The k that count among n, each with its weight."""
    if name in ("rank", "sort"):
        return [(0, 1.0)]
    if name in ("quantile", "median"):
        q = 0.5 if name == "median" else q
        if q is None or not 0 <= q <= 1:
            raise ValueError(f"q = {q} should be from 0 to 1")
        place = 1 + (1 - q) * (n - 1)
        above = math.floor(place)
        return [(above, 1 - (place - above)), (min(above + 1, n), place - above)]
    least = 0 if name == "top_k" else 1
    if k is None or not least <= k <= n:
        raise ValueError(f"k = {k} should be from {least} to {n}")
    return [(k, 1.0)]


def scales(name: str, form: str | None, temperature: float) -> tuple[float, float]:
    """What x is divided by and bounds are multiplied by; sorting by projection has a τ of unit 1 / x."""
    scale = 1 / temperature if (name, form) == ("sort", "projection") else temperature
    return scale, scale if name in OF_THE_UNIT_OF_X else 1.0


def order_worst(
    name: str, form: str | None, temperature: float, n: int, k: int | None, q: float | None
) -> float:
    """The most that |soft - hard| can be for any input."""
    worst = order_entry(name, form).worst
    if worst is None:
        raise ValueError("sorting by projection is near at no temperature for every input: give x")
    _, unit = scales(name, form, temperature)
    return unit * sum(weight * worst(n, place) for place, weight in places(name, n, k, q))


def order_at(
    name: str,
    form: str | None,
    temperature: float,
    x: np.ndarray,
    valid: np.ndarray,
    k: int | None,
    q: float | None,
) -> np.ndarray:
    """The same for the rows of `x` (..., n); of ranks and sorted values one bound each."""
    entry = order_entry(name, form)
    scale, unit = scales(name, form, temperature)
    found = np.zeros(x.shape if name in FORMS else x.shape[:-1])
    for index in np.ndindex(x.shape[:-1]):
        counts = np.flatnonzero(valid[index])
        order = counts[np.argsort(-x[index][counts], kind="stable")]
        row = x[index][order] / scale
        bounds = sum(weight * entry.at(row, place) for place, weight in places(name, len(row), k, q))
        if name == "rank":
            found[index][order] = bounds
        elif name == "sort":
            found[index][len(found[index]) - len(row) :] = bounds[::-1]
        else:
            found[index] = bounds
    return unit * found


def order_gap(name: str, form: str | None, temperature: float, n: int, k: int | None, gap: float) -> float:
    """The same for inputs of a least gap, of `top_k` or `rank`."""
    at = order_entry(name, form).gap
    assert at is not None  # both have it
    ((place, _),) = places(name, n, k, None)
    return at(gap / temperature, n, place)
