"""How far a smooth function is from the hard one at most, and the temperature that brings it so near."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import erfc, lambertw

from supple.smooth.numbers import concrete
from supple.smooth.order_bounds import NAMES, OF_THE_UNIT_OF_X, order_at, order_gap, order_worst

TANH = 0.2784645427610738  # max of u (1 - tanh u), and of u σ(-u); it is W₀(1 / e)
GELU = 0.16997120747990369  # max of u Φ(-u)
LOG2 = math.log(2)


class Bound(NamedTuple):
    """Bounds on |soft - hard| at temperature 1; those at τ are τ^power times them, with gap / τ for the gap.

    `worst(n)` holds for every input, `at(g, n)` for inputs of gap g; n is the number of elements.
    """

    worst: Callable[[int], float]
    at: Callable[[np.ndarray, int], Any]
    power: int  # 1 for a function that has the unit of x, 0 for one without a unit
    rows: bool = False  # whether it reduces a row, and a gap is between its two largest; else it is |x|


def sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(x / 2))


def boltzmann(n: int) -> float:
    """W₀((n - 1) / e), the most that Σ p (max - x) can be."""
    return float(lambertw((n - 1) / math.e).real)


def boltzmann_at(g: np.ndarray, n: int) -> np.ndarray:
    falling = np.where(g > 1, (n - 1) * g * np.exp(-g), np.inf)  # as d exp(-d) falls from d = 1 on
    return np.minimum(boltzmann(n), falling)


def farthest(n: int) -> float:
    """The most that |Σ p i - argmax| can be: the maximum at one end, k others as high at the other end."""
    k = np.arange(1, n)
    return float(np.max(k / (k + 1) * (n - (k + 1) / 2), initial=0))


def spread(n: int) -> float:
    """The most that ‖p - one-hot‖₁ can be: all are as high."""
    return 2 * (1 - 1 / n)


BOUNDS = {
    "max:lse": Bound(math.log, lambda g, n: np.log1p((n - 1) * np.exp(-g)), 1, True),
    "max:mean": Bound(math.log, lambda g, n: math.log(n) - np.log1p(np.exp(-g)), 1, True),
    "max:boltzmann": Bound(boltzmann, boltzmann_at, 1, True),
    "softmax": Bound(spread, lambda g, n: np.minimum(spread(n), 2 * (n - 1) * np.exp(-g)), 0, True),
    "cumax": Bound(
        lambda n: spread(n) / 2, lambda g, n: np.minimum(spread(n) / 2, (n - 1) * np.exp(-g)), 0, True
    ),
    "argmax": Bound(farthest, lambda g, n: np.minimum(farthest(n), n * (n - 1) / 2 * np.exp(-g)), 0, True),
    "abs:tanh": Bound(lambda n: TANH, lambda g, n: g * (1 - np.tanh(g)), 1),
    "abs:log": Bound(lambda n: LOG2, lambda g, n: np.log1p(np.exp(-2 * g)), 1),
    "abs:sqrt": Bound(lambda n: 1.0, lambda g, n: 1 / (np.sqrt(g * g + 1) + g), 1),
    "relu:softplus": Bound(lambda n: LOG2, lambda g, n: np.log1p(np.exp(-g)), 1),
    "relu:silu": Bound(lambda n: TANH, lambda g, n: g * sigmoid(-g), 1),
    "relu:gelu": Bound(lambda n: GELU, lambda g, n: g * erfc(g * math.sqrt(0.5)) / 2, 1),
    "clip": Bound(lambda n: LOG2, lambda g, n: LOG2 + 0 * g, 1),
    "sign": Bound(lambda n: 1.0, lambda g, n: 1 - np.tanh(g), 0),
    "step": Bound(lambda n: 0.5, lambda g, n: sigmoid(-g), 0),
    "equal": Bound(lambda n: 1.0, lambda g, n: np.where(g > 0, np.minimum(1, 4 * np.exp(-g)), 0), 0),
}
BOUNDS |= {
    "min:lse": BOUNDS["max:lse"],
    "min:mean": BOUNDS["max:mean"],
    "min:boltzmann": BOUNDS["max:boltzmann"],
    "one_hot_argmax": BOUNDS["softmax"],
    "greater": BOUNDS["step"],
}
STAIRS = {"floor": 0.0, "round": 0.5}  # where, from the whole numbers, their steps are


def bound(
    name: str,
    x: Any = None,
    *,
    temperature: float = 1.0,
    form: str | None = None,
    n: int | None = None,
    k: int | None = None,
    q: float | None = None,
    axis: int = -1,
    mask: Any = None,
) -> Any:
    """The most that |soft - hard| can be, in exact arithmetic; of `softmax` and `top_k` the sum over the row.

    For any input a float, which for a function of rows needs the number `n` of their elements; for the input
    `x` a float64 array, an element for each that the function gives (`softmax`, `cumax`, `top_k`: each row).
    `equal` and `greater` are functions of the difference. The step is taken as ½ at 0, ranks of ties as their
    mean. `top_k` and `kth_value` need `k`, `quantile` needs `q`. ValueError for an unknown name.
    """
    check(temperature)
    if name in NAMES:
        if x is None:
            return order_worst(name, form, temperature, size(name, n), k, q)
        x = numbers(x)
        x, valid = (np.moveaxis(y, axis, -1) for y in (x, counted(x, mask)))
        found = order_at(name, form, temperature, x, valid, k, q)
        return np.moveaxis(found, -1, axis) if found.ndim == x.ndim else found
    if name in STAIRS:
        distance = 0.0 if x is None else to_step(numbers(x) + STAIRS[name])
        found = np.minimum(0.5, np.exp(-distance / temperature) / -np.expm1(-1 / temperature))
        return float(found) if x is None else found
    entry = entry_of(name, form)
    if x is None:
        return temperature**entry.power * entry.worst(size_of(name, entry, n))
    x = numbers(x)
    if not entry.rows:
        return temperature**entry.power * entry.at(np.abs(x) / temperature, 1)
    gap, sizes = gaps(-x if name == "min" else x, mask, axis)
    each = [
        entry.at(g, int(k)) if k > 1 else 0.0
        for g, k in zip(gap.ravel() / temperature, sizes.ravel(), strict=True)
    ]
    return temperature**entry.power * np.reshape(each, gap.shape)


def temperature_for(
    name: str,
    tolerance: float,
    *,
    n: int | None = None,
    k: int | None = None,
    q: float | None = None,
    gap: float | None = None,
    form: str | None = None,
) -> float:
    """A temperature, as high as bounds allow, at which |soft - hard| is at most `tolerance` for all inputs.

    A function that jumps is near at no temperature for every input: for those, and to allow a higher
    temperature, say the least `gap` of the input: between the two largest, from x to 0 or to the next step;
    of `top_k` from the k-th to the next, of `rank` between any two.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance = {tolerance} should be above 0")
    if name in OF_THE_UNIT_OF_X:
        worst = order_worst(name, form, 1.0, size(name, n), k, q)
        return tolerance / worst if worst else math.inf
    if gap is None:
        entry = None if name in STAIRS or name in NAMES else entry_of(name, form)
        if entry is None or not entry.power:
            raise ValueError(f"{name} jumps: say how far inputs keep from the jump, with gap=")
        worst = entry.worst(size_of(name, entry, n))
        return tolerance / worst if worst else math.inf
    if not gap > 0:
        raise ValueError(f"gap = {gap} should be above 0")

    def at(temperature: float) -> float:
        if name in STAIRS:
            return bound(name, gap - STAIRS[name], temperature=temperature)
        if name in NAMES:
            return order_gap(name, form, temperature, size(name, n), k, gap)
        entry = entry_of(name, form)
        return temperature**entry.power * entry.at(np.array(gap / temperature), size_of(name, entry, n))

    low, high = 0.0, gap
    while at(high) <= tolerance and high < 1e12 * gap:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) <= tolerance else (low, middle)
    return low


def entry_of(name: str, form: str | None) -> Bound:
    """The bounds of a function in a form, by default in its first."""
    forms = [key for key in BOUNDS if key.partition(":")[0] == name]
    if not forms:
        known = sorted({key.partition(":")[0] for key in BOUNDS} | {*STAIRS, *NAMES})
        raise ValueError(f"no bound of {name!r}; there are those of {', '.join(known)}")
    wanted = f"{name}:{form}" if form else forms[0]
    if wanted not in forms:
        raise ValueError(
            f"form = {form!r} should be one of {', '.join(key.partition(':')[2] for key in forms)}"
        )
    return BOUNDS[wanted]


def size_of(name: str, entry: Bound, n: int | None) -> int:
    return size(name, n) if entry.rows else 1


def size(name: str, n: int | None) -> int:
    if n is None or n < 1:
        raise ValueError(f"n = {n} should be the number of elements that {name} is over, 1 or more")
    return n


def check(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature = {temperature} should be above 0")


def numbers(x: Any) -> np.ndarray:
    value = concrete(x)
    if value is None:
        raise ValueError("x has no values yet: a bound for an input is computed outside of compiled code")
    return value


def to_step(x: np.ndarray) -> np.ndarray:
    """The distance to the nearest whole number."""
    return np.abs(x - np.round(x))


def counted(x: np.ndarray, mask: Any) -> np.ndarray:
    """Where `x` counts."""
    return x > -np.inf if mask is None else (x > -np.inf) & np.broadcast_to(numbers(mask) > 0, x.shape)


def gaps(x: np.ndarray, mask: Any, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """What lies between the two largest of each row, and how many there are that count."""
    valid = counted(x, mask)
    ordered = np.sort(np.where(valid, x, -np.inf), axis)
    largest, second = (np.take(ordered, place, axis) for place in (-1, -2 if x.shape[axis] > 1 else -1))
    count = valid.sum(axis)
    return np.where(count > 1, largest - np.where(count > 1, second, 0.0), np.inf), count
