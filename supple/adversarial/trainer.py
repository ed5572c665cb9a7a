"""Training of GANs: any loss, penalty and way to move, several averages at once, exact resume."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from supple.adversarial.recipes import Recipe
from supple.adversarial.steps import Call, Data, Training, begin, piece
from supple.training.checkpoint import load_tree, save_tree
from supple.training.functional import Functional, functional

CHECKPOINT = 300.0  # seconds from one checkpoint to the next


class Trained(NamedTuple):
    """Where a training ended, and what each piece told: steps, mean L₁ and L₂.

    `diverged` if a weight is no longer finite: the training then stands before the piece in which that was.
    """

    training: Training
    history: list[dict[str, float]]
    diverged: bool


def train(
    critic: Any,
    generator: Any,
    data: Data,
    recipe: Recipe,
    *,
    folder: Path | None = None,
    resume: bool = False,
    every: int = 500,
    watch: Callable[[Training], object] = lambda training: None,
) -> Trained:
    """Train a critic x -> (batch,) and a generator z (batch, latent) -> x, of any kind `functional` takes.

    `watch` sees the training after every `every` steps. With a folder, `checkpoint.npz` is written there now
    and then, and at the end, whether it is reached, or an interruption; `resume` goes on from it, as if there
    had been none. ValueError where networks and data do not fit; InputError if the checkpoint is of others.
    """
    critic, generator = functional(critic), functional(generator)
    check(critic, generator, data, recipe)
    training = begin(critic, generator, recipe)
    path, about = (folder or Path()) / "checkpoint.npz", about_run(recipe, data) if folder else {}
    if folder and resume and path.exists():
        training = load_tree(path, training, about)
    history: list[dict[str, float]] = []
    unseeded = replace(recipe, seed=0, steps=1)  # one compiled program for all
    saved = time.monotonic()
    with bar() as progress:
        task = progress.add_task(recipe.loss, total=recipe.steps, completed=training.steps, L1=0.0, L2=0.0)
        try:
            while training.steps < recipe.steps:
                count = min(every, recipe.steps - training.steps)
                found, told = piece(
                    critic.call, generator.call, data.draw, unseeded, data.source, training, count
                )
                if not finite(found.played.x):
                    return Trained(training, history, True)
                training = found
                history.append({"steps": training.steps, **{name: float(x) for name, x in told.items()}})
                progress.update(task, completed=training.steps, L1=told["L1"], L2=told["L2"])
                watch(training)
                if folder and time.monotonic() > saved + CHECKPOINT:
                    save_tree(path, training, about)
                    saved = time.monotonic()
        finally:
            if folder:
                save_tree(path, training, about)
    return Trained(training, history, False)


def about_run(recipe: Recipe, data: Data) -> dict[str, Any]:
    """What a checkpoint belongs to; the number of steps may change."""
    code = 0
    for leaf in jax.tree.leaves(data.source):
        code = zlib.crc32(np.asarray(leaf).tobytes(), code)
    return {**asdict(recipe), "steps": "any", "data": code}


def bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("step {task.completed:,.0f}  L₁ {task.fields[L1]:.4g}  L₂ {task.fields[L2]:.4g}"),
        TimeRemainingColumn(),
        transient=True,
    )


def finite(tree: Any) -> bool:
    return all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(tree))


def check(critic: Functional, generator: Functional, data: Data, recipe: Recipe) -> None:
    """ValueError unless data are finite, fakes are like them, and each has one score."""
    real = data.draw(data.source, jax.random.key(0), recipe.batch)
    if not finite(real):
        raise ValueError("the data hold values that are not finite; clean them")
    z = jnp.zeros((recipe.batch, recipe.latent))
    fake, _ = jax.eval_shape(generator.call, generator.weights, generator.state, z)
    if fake.shape != real.shape:
        problem = f"of {recipe.batch} points the generator gives {fake.shape}, and the data {real.shape}"
        raise ValueError(f"{problem}; both should be (batch, …) alike")
    scores, _ = jax.eval_shape(critic.call, critic.weights, critic.state, real)
    if scores.shape != (recipe.batch,):
        problem = f"the critic gives scores {scores.shape} to a batch of {recipe.batch}"
        raise ValueError(f"{problem}; give one each, ({recipe.batch},): a Keras model may end in Reshape(())")


def generator_weights(training: Training, recipe: Recipe, decay: float | None = None) -> tuple[Any, Any]:
    """The generator's weights and state, or their averages Σ β^(N−n) wₙ / Σ β^(N−n) over steps, β = `decay`.

    ValueError if the recipe has no such average, or before the first step.
    """
    theta, state = training.played.x.theta, training.generator_state
    if decay is None:
        return theta, state
    if decay not in recipe.averages or not training.steps:
        known = ", ".join(map(str, recipe.averages))
        raise ValueError(f"no average of decay {decay} at step {training.steps}; from step 1 on: {known}")
    memory = training.averages[recipe.averages.index(decay)]
    theta, means = jax.tree.map(lambda x: x / (1 - decay**memory.count), memory.ema)
    rest = iter(means)
    leaves, tree = jax.tree.flatten(state)
    filled = [next(rest) if jnp.issubdtype(x.dtype, jnp.floating) else x for x in leaves]
    return theta, jax.tree.unflatten(tree, filled)


def generate(
    generator: Any, training: Training, recipe: Recipe, n: int, *, seed: int = 0, decay: float | None = None
) -> Any:
    """n points by the generator, or by the average of its weights of this decay."""
    z = jax.random.normal(jax.random.key(seed), (n, recipe.latent))
    return called(functional(generator).call, *generator_weights(training, recipe, decay), z)


@partial(jax.jit, static_argnums=0)
def called(call: Call, weights: Any, state: Any, x: Any) -> Any:
    return call(weights, state, x, training=False)[0]
