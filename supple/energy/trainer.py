"""`fit` trains an energy by any recipe; an interrupted run goes on to the same bits, a diverged one back.

A step is a function of the state, the data and (seed, step, retries) alone (`supple.energy.steps`). Nothing
is donated to it: the state before stays whole whenever a run is interrupted, and a good one costs nothing.
"""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from supple.energy.buffer import Buffer, check_size
from supple.energy.jem import energies
from supple.energy.recipes import Recipe
from supple.energy.samplers import report as report_of
from supple.energy.steps import (
    REPORT,
    State,
    averaged,
    first_state,
    gaussian_of,
    sampler_of,
    start_of,
    training_step,
)
from supple.training.checkpoint import ARCHITECTURE, load_tree, save_tree, terminable
from supple.training.functional import Functional, architecture, assign, functional

CHECKPOINT = 120.0  # seconds from one checkpoint to the next
CUT = 0.5  # of the learning rate at each rollback


class Standing(NamedTuple):
    """Where a run stands: its state, the last good one, and its rollbacks, rows (from step, back to step)."""

    state: State
    good: State
    retries: int
    rollbacks: Any  # (the recipe's rollbacks, 2), −1 for what has not happened


@dataclass(frozen=True)
class Run:
    """A training that has ended, or was stopped by `minutes`."""

    network: Functional
    recipe: Recipe
    standing: Standing

    @property
    def steps(self) -> int:
        return int(self.standing.state.step)

    @property
    def buffer(self) -> Buffer | None:
        return self.standing.state.buffer

    @property
    def rollbacks(self) -> list[tuple[int, int]]:
        """(the step that diverged, the step that the run went back to) of each."""
        return [(int(a), int(b)) for a, b in self.standing.rollbacks[: self.standing.retries]]

    def model(self, decay: float | None = None) -> Functional:
        """The energy with the average of a decay, the first if not given: for samplers and tasks."""
        state = self.standing.state
        return self.network._replace(weights=averaged(state, self.recipe, decay), state=state.state)

    def history(self) -> dict[str, np.ndarray]:
        """The reports after every `check` steps: `step`, mean U of data (`real`) and `fake`s, and so on."""
        rows = np.asarray(self.standing.state.history)[: self.steps // self.recipe.check]
        step = self.recipe.check * np.arange(1, len(rows) + 1)
        return {"step": step} | {name: rows[:, i] for i, name in enumerate(REPORT)}


def fit(
    model: Any,
    x: Any,
    recipe: Recipe,
    *,
    y: Any = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    minutes: float | None = None,
    buffer: Buffer | None = None,
    progress: bool = True,
) -> Run:
    """Train an energy, a built Keras model, a function (f, weights) or a Functional, on data x (n, ...).

    With classes y (n,) the model gives (batch, classes) and p(x|y) is trained. `buffer` are another run's
    chains to begin with. The file `checkpoint` is written every two minutes, at the end and when interrupted,
    by Ctrl-C or SIGTERM; with `resume` a run goes on from it, if it exists, as if nothing had happened. A
    step with U not finite, or above the recipe's limit, takes weights, optimiser, averages, buffer and random
    numbers back to the last good state and says so; the run goes on with other noise, at half the rate. A
    Keras model is left with the first average.

    ValueError for data or energies of wrong shape, for data that are not finite or not in the recipe's box;
    InputError if the checkpoint is of another run; RuntimeError after the recipe's number of rollbacks.
    """
    network = functional(model)
    data, labels = checked(network, x, y, recipe)
    about = asdict(recipe) | {"data": fingerprint(data), "labels": fingerprint(labels)}
    if checkpoint is not None:
        about[ARCHITECTURE] = architecture(*network, data[: recipe.batch])
    elif resume:
        raise ValueError("there is nothing to resume without a checkpoint; give checkpoint=path")
    start = start_of(recipe, data)
    if buffer is not None:
        check_buffer(buffer, recipe, data, labels)
    state = first_state(network, recipe, start, labels, buffer)
    standing = Standing(state, state, 0, np.full((recipe.rollbacks, 2), -1))
    if resume and checkpoint is not None and checkpoint.exists():
        standing = load_tree(checkpoint, standing, about)
    q = gaussian_of(data) if recipe.objective == "nce" else None
    step = training_step(network, recipe, start, q)
    deadline = time.monotonic() + 60 * minutes if minutes is not None else math.inf
    saved = time.monotonic()
    with bar(progress) as shown, terminable():
        if recipe.chains and progress:
            said = report_of(sampler_of(recipe), recipe.chain_steps)
            shown.console.print(said, highlight=False, soft_wrap=True)
        task = shown.add_task("training", total=recipe.steps, gap=math.nan, real=math.nan)
        try:
            while (done := int(standing.state.step)) < recipe.steps and time.monotonic() < deadline:
                rows = batch_of(len(data), recipe, done)
                some = None if labels is None else labels[rows]
                scale = np.float32(CUT**standing.retries)
                state, report = step(standing.state, data[rows], some, scale, np.int32(standing.retries))
                standing = judged(standing, state, np.asarray(report), recipe, shown)
                gap = float(report[1] - report[0])
                shown.update(task, completed=int(standing.state.step), gap=gap, real=float(report[0]))
                if checkpoint is not None and time.monotonic() > saved + CHECKPOINT:
                    save_tree(checkpoint, standing, about)
                    saved = time.monotonic()
        finally:
            if checkpoint is not None:
                save_tree(checkpoint, standing, about)
    run = Run(network, recipe, standing)
    if isinstance(model, keras.Layer):
        assign(model, *run.model()[1:])
    return run


def judged(standing: Standing, state: State, report: np.ndarray, recipe: Recipe, shown: Progress) -> Standing:
    """Where a run stands after a step: on, or back at the last good state.

    The report of a step is of the weights before it: it says that the state it began with was a good one.
    """
    before, done, back = standing.state, int(state.step), int(standing.good.step)
    if np.isfinite(report).all() and np.abs(report[:2]).max() <= recipe.limit:
        good = before if int(before.step) % recipe.check == 0 else standing.good
        return standing._replace(state=state, good=good)
    real, fake = report[:2]
    found = f"step {done} diverged: mean U is {real:.3g} at the data, {fake:.3g} at the fakes"
    if standing.retries == recipe.rollbacks:
        raise RuntimeError(
            f"{found}, after {standing.retries} rollbacks; lower rate or epsilon, raise energy_penalty, or "
            f"limit = {recipe.limit:g} where such energies are right"
        )
    retries = standing.retries + 1
    shown.console.print(
        f"{found}; weights, optimiser, averages, buffer and random numbers are back at step {back}, "
        f"and the rate is {recipe.rate * CUT**retries:.3g} from here",
        highlight=False,
        soft_wrap=True,
    )
    rollbacks = standing.rollbacks.copy()
    rollbacks[standing.retries] = done, back
    return Standing(standing.good, standing.good, retries, rollbacks)


def batch_of(n: int, recipe: Recipe, step: int) -> np.ndarray:
    """The rows of a step: each row once an epoch, in an order that is a function of (seed, epoch) alone."""
    a_epoch = n // recipe.batch
    order = np.random.default_rng((recipe.seed, step // a_epoch)).permutation(n)
    place = step % a_epoch * recipe.batch
    return order[place : place + recipe.batch]


def checked(network: Functional, x: Any, y: Any, recipe: Recipe) -> tuple[np.ndarray, np.ndarray | None]:
    """Data and classes as arrays; ValueError where they, or what the energy makes of them, are wrong."""
    x = np.asarray(x, jnp.result_type(float))
    if len(x) < recipe.batch:
        raise ValueError(f"{len(x)} rows of data for a batch of {recipe.batch}; give more, or lower batch")
    finite = np.isfinite(x).reshape(len(x), -1).all(1)
    if not finite.all():
        raise ValueError(f"row {int(finite.argmin())} of the data is not finite; leave out such rows")
    if recipe.clamp is not None and not (recipe.clamp[0] <= x.min() and x.max() <= recipe.clamp[1]):
        raise ValueError(
            f"data go from {x.min():g} to {x.max():g}, out of clamp = {recipe.clamp}; scale them"
        )
    if y is None and (recipe.classify or recipe.marginal):
        raise ValueError(f"classify = {recipe.classify}, marginal = {recipe.marginal} need classes: give y")
    labels = None if y is None else np.asarray(y, np.int32)
    if labels is not None and labels.shape != (len(x),):
        raise ValueError(f"classes have shape {labels.shape} for {len(x)} rows; give ({len(x)},)")
    first = x[: recipe.batch], None if labels is None else labels[: recipe.batch]
    outputs = jax.eval_shape(lambda x: network.call(network.weights, network.state, x)[0], first[0])
    if labels is None and len(outputs.shape) == 2 and outputs.shape[1] > 1:
        problem = f"the energy gives {outputs.shape}: of classes, but there is no y"
        raise ValueError(f"{problem}; give y, or one number a row, or for −log Σ exp energy_of(model)")
    found = jax.eval_shape(energies, outputs, first[1])
    if found.shape != (recipe.batch,):
        raise ValueError(f"energies of {recipe.batch} rows have shape {found.shape}; give a number for each")
    if labels is not None and not (labels.min() >= 0 and labels.max() < outputs.shape[1]):
        problem = f"classes go from {labels.min()} to {labels.max()}, and the energy has {outputs.shape[1]}"
        raise ValueError(f"{problem}; number them from 0")
    return x, labels


def check_buffer(buffer: Buffer, recipe: Recipe, data: np.ndarray, labels: np.ndarray | None) -> None:
    """ValueError if another run's chains are too few, of another shape, or lack a class."""
    check_size(buffer, recipe.batch)
    if buffer.x.shape[1:] != data.shape[1:]:
        raise ValueError(f"chains have shape {buffer.x.shape[1:]}, and data {data.shape[1:]}; give the same")
    if labels is not None and not recipe.marginal and set(np.asarray(buffer.y)) != set(labels):
        known = ", ".join(map(str, sorted(set(np.asarray(buffer.y).tolist()))))
        raise ValueError(f"chains are of classes {known}, and data are not; give new_buffer(…, labels=y)")


def fingerprint(x: np.ndarray | None) -> int | None:
    return None if x is None else zlib.crc32(np.ascontiguousarray(x).data)


def bar(progress: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("step {task.completed}  U {task.fields[real]:.3g}  gap {task.fields[gap]:.3g}"),
        TimeRemainingColumn(),
        transient=True,
        disable=not progress,
    )
