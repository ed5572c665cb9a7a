"""What becomes of a trajectory: does it converge, go round, or leave? And what it keeps on its way.

A verdict looks at spreads: root mean squared distances from the mean, over the windows [T/8, T/4], [T/4, T/2]
and [T/2, T]. Going round keeps them, converging or leaving changes them by as much or more every time, and
settling on a circle by less and less. A second start tells a limit cycle, which forgets where it began, from
orbits, which do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from supple.adversarial.games import Field, Game, Players, vector_field
from supple.adversarial.integrators import Integrator, play

Quantity = Callable[[Any], Any]  # of a state


@dataclass(frozen=True)
class Verdict:
    """`kind` is "converges", "orbits", "limit cycle" or "diverges"; the rest says how, and why so.

    `centre` is the mean of both players over the last window, `radius` the root mean squared distance of the
    generator from it. Distances go like e^(rate t) if `law` is "exponential", like t^rate if it is "power";
    rate and law are None for what goes round. `evidence` has the numbers that decided.
    """

    kind: str
    radius: float
    centre: Any
    rate: float | None
    law: str | None
    evidence: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.rate is None:
            return f"{self.kind} (radius {self.radius:.4g})"
        law = f"e^({self.rate:.3g} t)" if self.law == "exponential" else f"t^{self.rate:.2g}"
        return f"{self.kind} (like {law})"


def judge(
    integrator: Integrator,
    x: Any,
    steps: int,
    *,
    every: int = 1,
    time: float = 1.0,
    batches: Any = None,
    conserved: Mapping[str, Quantity] | None = None,
) -> Verdict:
    """The verdict on a run from x, which is played again from a start farther out by a fifth.

    `time` is that of one step, in which the rate is counted. Other arguments are those of `play`, and of
    `verdict`.
    """
    first = play(integrator, x, steps, batches, every)
    found = verdict(first, time=every * time, conserved=conserved)
    if found.kind != "orbits":
        return found
    farther = jax.tree.map(lambda x, c: c + 1.2 * (jnp.asarray(x) - c), x, found.centre)
    return verdict(first, play(integrator, farther, steps, batches, every), time * every, conserved)


def verdict(
    trajectory: Any,
    probe: Any = None,
    time: float = 1.0,
    conserved: Mapping[str, Quantity] | None = None,
    tolerance: float = 0.05,
) -> Verdict:
    """The verdict on a trajectory as of `play`: arrays whose first axis is time, in steps of `time`.

    `probe` is a trajectory from another start; without one, a limit cycle is taken for orbits. Spreads that
    change by less than `tolerance` when time doubles have settled. `conserved` quantities are followed, and
    their drift is evidence. ValueError for fewer than 64 points, or a first one that is not finite.
    """
    points = flat(trajectory)
    if len(points) < 64:
        raise ValueError(f"a trajectory of {len(points)} points is too short to judge; give 64 or more")
    if not np.isfinite(points[0]).all():
        raise ValueError("the first point of the trajectory is not finite; start elsewhere")
    drifts = {f"drift of {name}": drift(f, trajectory) for name, f in (conserved or {}).items()}
    if not np.isfinite(points).all():
        points = points[: np.argmin(np.isfinite(points).all(1))]
        return Verdict("diverges", np.inf, None, *law_of(points, time, growing=True), drifts)
    early, middle, late = (spread(part) for part in windows(points))
    with np.errstate(divide="ignore", invalid="ignore"):
        before, now = np.log(middle / early), np.log(late / middle)
    evidence = {"spread, T/8 to T/4": early, "T/4 to T/2": middle, "T/2 to T": late} | drifts
    centre = jax.tree.map(lambda x: average(np.asarray(windows(x)[-1])), trajectory)
    generator = trajectory.theta if isinstance(trajectory, Players) else trajectory
    radius = spread(windows(flat(generator))[-1])
    floor = 1e-6 * np.abs(points - points[-1]).max() + 1e-14 * np.abs(points).max()  # of what moves at all
    steady = abs(now) <= tolerance or abs(now) < 0.7 * abs(before)  # settled, or settling
    if late <= floor or not steady:
        growing = late > floor and now > 0
        rate, law = law_of(points, time, growing)
        rate = (
            float(now / np.log(2)) if rate is None else rate
        )  # spreads of t^p are p-th powers of their times
        return Verdict("diverges" if growing else "converges", radius, centre, rate, law, evidence)
    kind = "orbits"
    if probe is not None:
        far, other = (np.linalg.norm(flat(p)[0] - flat(centre, 0)) for p in (probe, trajectory))
        evidence["memory"] = float(np.log(spread(windows(flat(probe))[-1]) / late) / np.log(far / other))
        kind = "limit cycle" if abs(evidence["memory"]) < 0.1 else "orbits"
    return Verdict(kind, radius, centre, None, None, evidence)


def along(quantity: Quantity, trajectory: Any) -> np.ndarray:
    """A quantity at each point of a trajectory."""
    return np.asarray(jax.vmap(quantity)(trajectory))


def drift(quantity: Quantity, trajectory: Any) -> float:
    """How far from its first value a quantity comes along a trajectory: 0 if it is conserved."""
    values = along(quantity, trajectory)
    return float(np.abs(values - values[0]).max())


def rise(quantity: Quantity, trajectory: Any) -> float:
    """The largest rise of a scalar from one point to the next: not above 0 for a Lyapunov function."""
    return float(np.diff(along(quantity, trajectory)).max())


def rate_of_change(quantity: Quantity, game: Game | Field, x: Any, batch: Any = None) -> Any:
    """Its derivative by time along the flow, ∇Q·v at x: 0 everywhere if and only if it is conserved."""
    return jax.jvp(quantity, (x,), (vector_field(game, x, batch),))[1]


def flat(x: Any, axes: int = 1) -> np.ndarray:
    """The arrays of a pytree side by side in float64, of a trajectory (T, n)."""
    leaves = [np.asarray(leaf, "float64") for leaf in jax.tree.leaves(x)]
    return np.concatenate([leaf.reshape(*leaf.shape[:axes], -1) for leaf in leaves], -1)


def windows(points: Any) -> list[Any]:
    """The parts [T/8, T/4], [T/4, T/2] and [T/2, T]."""
    n = len(points)
    return [points[n // 8 : n // 4], points[n // 4 : n // 2], points[n // 2 :]]


def average(points: np.ndarray) -> Any:
    """The mean over time by Hann's weights, to which part of a turn too much or too little is nothing."""
    weights = np.hanning(len(points) + 2)[1:-1]
    return np.tensordot(weights / weights.sum(), points, 1)


def spread(points: np.ndarray) -> float:
    """The root mean squared distance of points (T, n) from their mean."""
    return float(np.sqrt(average(((points - average(points)) ** 2).sum(1))))


def law_of(points: np.ndarray, time: float, growing: bool) -> tuple[float | None, str]:
    """The rate of exponential growth or decay, or None and "power" where a power of time fits better.

    It is fitted to the envelope of the distances from the start; or of the steps, which need no limit.
    """
    points = points / (np.abs(points).max() or 1.0)  # squares of large numbers overflow
    if growing:
        envelope = np.maximum.accumulate(np.linalg.norm(points - points[0], axis=1))
    else:
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        envelope = np.maximum.accumulate(steps[::-1])[::-1]
    used = np.flatnonzero(envelope > 1e-7 * envelope.max())
    used = used[len(used) // 4 :]  # what comes first is no law yet
    t, y = time * (1 + used), np.log(envelope[used])
    if len(used) < 3:
        return (np.inf if growing else -np.inf), "exponential"
    lines = [np.polynomial.Polynomial.fit(x, y, 1).convert() for x in (t, np.log(t))]
    straight, power = (np.sum((line(x) - y) ** 2) for line, x in zip(lines, (t, np.log(t)), strict=True))
    return (float(lines[0].coef[1]), "exponential") if straight <= power else (None, "power")
