"""How wrong and how noisy estimators of a gradient are for given costs, against enumeration."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from rich import box
from rich.table import Table

from supple.sampling.costs import Costs, checked, distribution
from supple.sampling.distributions import Bernoulli
from supple.sampling.estimators import estimate
from supple.sampling.seeds import Seed, split

AT_ONCE = 2**20  # numbers at most in the samples of one compiled call
CALLS = 5  # at least; the fastest is what is reported

Method = tuple[str, Mapping[str, Any]]  # of METHODS, and its options

DEFAULT: dict[str, Method] = {
    "score": ("score", {}),
    "leave-one-out": ("score", {"baseline": "leave-one-out"}),
    "disarm": ("disarm", {}),
    "rebar": ("rebar", {}),
    "gumbel_softmax": ("gumbel_softmax", {}),
    "hard gumbel_softmax": ("gumbel_softmax", {"hard": True}),
    "gumbel_rao": ("gumbel_rao", {}),
    "straight_through": ("straight_through", {}),
    "reinmax": ("reinmax", {}),
    "perturbed": ("perturbed", {}),
}


class Measured(NamedTuple):
    """An estimate of something, and its standard error; numbers or arrays."""

    value: Any
    error: Any

    def __str__(self) -> str:
        """The error in brackets, in units of the last digit: 0.0123(4) is 0.0123 ± 0.0004."""
        if not 1e-6 * abs(self.value) < self.error < math.inf:  # a smaller one is only rounding
            return f"{self.value:.3g}"
        place = math.floor(math.log10(self.error / 0.95))  # of the last digit: 0.095 and more round to 0.1
        top = max(place, math.floor(math.log10(abs(self.value)))) if self.value else place
        error = round(self.error / 10.0**place)
        if -4 <= place <= 0 and top < 5:
            return f"{self.value:.{-place}f}({error})"
        return f"{self.value / 10.0**top:.{top - place}f}({error})e{top}"


class Quality(NamedTuple):
    """What repeats of a method's gradient say; the first three are arrays of the shape of the logits."""

    bias: Measured
    variance: Measured
    mse: Measured
    total: dict[str, Measured]  # |E g - exact|², E|g - E g|² and E|g - exact|², sums over coordinates
    cosine: Measured  # of the angle between one estimate and the exact gradient, 0 where it is 0
    evaluations: int  # of f, an estimate; those for slopes too
    seconds: float  # an estimate, when many are computed at once


@dataclass(frozen=True)
class Diagnosis:
    """The exact gradient, and the quality of each method."""

    exact: np.ndarray
    methods: dict[str, Quality]

    def table(self) -> Table:
        """For `rich.print`: a line a method, of sums over coordinates, by which bias² + variance = MSE, with
        errors of the last digit in brackets; calls of f an estimate; and its microseconds."""
        table = Table(box=box.SIMPLE_HEAD)
        for column in ("method", "bias²", "variance", "MSE", "cosine", "f", "µs"):
            table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
        for name, q in self.methods.items():
            figures = [str(q.total[part]) for part in ("bias²", "variance", "MSE")]
            table.add_row(name, *figures, str(q.cosine), str(q.evaluations), f"{1e6 * q.seconds:.2f}")
        return table

    def coordinates(self) -> Table:
        """For `rich.print`: a line a method and coordinate, of the exact gradient, bias, variance and MSE."""
        table = Table(box=box.SIMPLE_HEAD)
        for column in ("method", "coordinate", "exact", "bias", "variance", "MSE"):
            table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
        for name, q in self.methods.items():
            for place in np.ndindex(self.exact.shape):
                figures = [str(Measured(x.value[place], x.error[place])) for x in (q.bias, q.variance, q.mse)]
                table.add_row(name, str(place), f"{self.exact[place]:.3g}", *figures)
        return table

    def plot(self, axes: Any) -> None:
        """Onto two axes of matplotlib: a row a method, a dot a coordinate; bias ± 2 errors, and variance."""
        left, right = axes
        names = list(self.methods)
        spread = np.linspace(-0.3, 0.3, self.exact.size) if self.exact.size > 1 else np.zeros(1)
        for row, q in enumerate(self.methods.values()):
            left.errorbar(
                np.ravel(q.bias.value), row + spread, xerr=2 * np.ravel(q.bias.error), fmt="o", markersize=3
            )
            variance = np.ravel(q.variance.value)
            right.plot(variance[variance > 0], (row + spread)[variance > 0], "o", markersize=3)
        left.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        left.set(xlabel="bias", yticks=range(len(names)), yticklabels=names)
        right.set(xlabel="variance", xscale="log", yticks=range(len(names)), yticklabels=[])
        for axis in axes:
            axis.set_ylim(len(names) - 0.5, -0.5)


def diagnose(
    f: Costs,
    logits: Any,
    methods: Iterable[str] | Mapping[str, Method] | None = None,
    samples: int = 2,
    repeats: int = 10_000,
    seed: Seed = 0,
) -> Diagnosis:
    """Bias, variance, MSE and cosine of gradients by estimators, from `repeats` independent ones of each.

    f and logits, or a Bernoulli or Categorical distribution, are as in `estimate`, and f is asked at many
    samples at once. `methods`: names of `METHODS`, or labels with a name and options each; else those of
    `DEFAULT` that take the distribution. ValueError if one does not, or enumeration would be too long.
    """
    d = distribution(logits)
    if methods is None:
        methods = {name: m for name, m in DEFAULT.items() if name != "disarm" or isinstance(d, Bernoulli)}
    elif not isinstance(methods, Mapping):
        methods = {name: (name, {}) for name in methods}
    if repeats < 2:
        raise ValueError(f"repeats = {repeats} should be 2 or more: errors are estimated from them")
    exact = ops.convert_to_numpy(estimate(f, d, "exact").gradient["logits"]).astype("float64")
    found = {}
    for name, (method, options) in methods.items():
        gradients, evaluations, seconds = repeated(f, d, method, options, samples, repeats, seed)
        found[name] = quality(gradients, exact, evaluations, seconds)
    return Diagnosis(exact, found)


def repeated(
    f: Costs, d: Any, method: str, options: Mapping[str, Any], samples: int, repeats: int, seed: Seed
) -> tuple[np.ndarray, int, float]:
    """Independent gradients (repeats, *logits.shape), how often each asks f, and the seconds it takes.

    As examples of a batch have nothing to do with each other, repeats are a batch.
    """
    at_once = min(-(-repeats // CALLS), max(1, AT_ONCE // (samples * math.prod(d.shape))))
    calls = -(-repeats // at_once)
    asked = 0

    def many(z: Any) -> Any:
        nonlocal asked
        asked += z.shape[0]
        costs = checked(f, d)(ops.reshape(z, (-1, *d.shape)))
        return ops.reshape(costs, (*z.shape[:2], *costs.shape[1:]))

    def run(logits: Any, seed: Any) -> Any:
        nonlocal asked
        asked = 0
        return estimate(many, type(d)(logits), method, samples, seed, **options).gradient["logits"]

    logits = ops.broadcast_to(d.parameters["logits"], (at_once, *d.shape))
    call, seeds, seconds = compiled(run), [s.words for s in split(seed, calls + 1)], []
    ops.convert_to_numpy(call(logits, seeds[-1]))  # compiles
    found = []
    for words in seeds[:-1]:
        start = time.perf_counter()
        found.append(ops.convert_to_numpy(call(logits, words)))
        seconds.append(time.perf_counter() - start)
    return np.concatenate(found)[:repeats].astype("float64"), asked, min(seconds) / at_once


def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function compiled, where the backend does that."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(f)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(f, autograph=False)
    return f


def quality(gradients: np.ndarray, exact: np.ndarray, evaluations: int, seconds: float) -> Quality:
    """Statistics of independent gradients, (repeats, *shape)."""
    n = len(gradients)
    away = gradients - exact
    bias = away.mean(0)
    centred = away - bias
    by_coordinate = (
        Measured(bias, gradients.std(0, ddof=1) / math.sqrt(n)),
        mean_of(centred**2 * n / (n - 1)),
        mean_of(away**2),
    )
    flat, centred = away.reshape(n, -1), centred.reshape(n, -1)
    power, spread = (flat**2).sum(1), (centred**2).sum(1) * n / (n - 1)
    # |b|² of the mean b is too large by tr Σ / n. Its own variance is 4 βᵀ Σ β / n + 2 tr Σ² / n² with the
    # true bias β, of which bᵀ Σ b is too large by tr Σ² / n.
    along, covariance = (centred @ bias.ravel()).var(), centred.T @ centred / (n - 1)
    least = 2 * float((covariance**2).sum()) / n**2
    error = math.sqrt(max(4 * along / n - least, least))
    total = {
        "bias²": Measured(float((bias**2).sum() - spread.mean() / n), error),
        "variance": mean_of(spread),
        "MSE": mean_of(power),
    }
    lengths = np.linalg.norm(gradients.reshape(n, -1), axis=1) * np.linalg.norm(exact)
    products = gradients.reshape(n, -1) @ exact.ravel()
    cosine = mean_of(np.where(lengths > 0, products / np.where(lengths > 0, lengths, 1.0), 0.0))
    return Quality(*by_coordinate, total, cosine, evaluations, seconds)


def mean_of(x: np.ndarray) -> Measured:
    """Of independent rows."""
    return Measured(x.mean(0), x.std(0, ddof=1) / math.sqrt(len(x)))
