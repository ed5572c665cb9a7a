"""Training of GANs: any loss, penalty and way to move, several averages at once, exact resume."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from supple.adversarial.games import Game, Players
from supple.adversarial.losses import Loss
from supple.adversarial.penalties import normalised
from supple.adversarial.recipes import Recipe
from supple.adversarial.steps import Batch, Call, Data, Training, batch_of, begin, network_game, piece
from supple.training.checkpoint import ARCHITECTURE, load_notes, load_tree, save_tree, terminable
from supple.training.functional import Functional, architecture, assign, functional

CHECKPOINT = 300.0  # seconds from one checkpoint to the next
PART = 1000  # points that are generated at once


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
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    every: int = 500,
    watch: Callable[[Training], object] = lambda training: None,
    progress: bool = True,
) -> Trained:
    """Train a critic x -> (batch,) and a generator z (batch, latent) -> x, of any kind `functional` takes.

    `watch` sees the training after every `every` steps. With a folder, `checkpoint.npz` is written there now
    and then, and at the end, be it one by Ctrl-C or SIGTERM; `resume` goes on from it, as if there had been
    none. Keras models are left with the last weights, a generator with the first average of its own.
    ValueError where networks and data do not fit; InputError if the checkpoint is of others.
    """
    models, (critic, generator) = (critic, generator), (functional(critic), functional(generator))
    check(critic, generator, data, recipe)
    if every < 1:
        raise ValueError(f"every = {every} should be 1 or more steps")
    training, history = begin(critic, generator, recipe), list[dict[str, float]]()
    path, about = Path(folder or "") / "checkpoint.npz", about_run(recipe, data) if folder else {}
    if folder:
        game = network_game(critic.call, generator.call, recipe)
        batch = batch_of(data.draw, recipe, data.source, training)
        about[ARCHITECTURE] = [architecture(L, *training.played.x, batch) for L in game]
    elif resume:
        raise ValueError("there is nothing to resume without a folder; give folder=path")
    if folder and resume and path.exists():
        training, history = load_tree(path, training, about), load_notes(path) or []
    diverged = False
    unseeded = replace(recipe, seed=0, steps=1)  # one compiled program for all
    saved = time.monotonic()
    with bar(progress) as shown, terminable():
        name = recipe.loss if isinstance(recipe.loss, str) else "training"
        task = shown.add_task(name, total=recipe.steps, completed=training.steps, L1=0.0, L2=0.0)
        try:
            while training.steps < recipe.steps:
                count = min(every, recipe.steps - training.steps)
                found, told = piece(
                    critic.call, generator.call, data.draw, unseeded, data.source, training, count
                )
                if diverged := not finite(found.played.x):
                    break
                row = {"steps": found.steps, **{name: float(x) for name, x in told.items()}}
                training, history = found, [*history, row]  # at once: an interruption falls on neither side
                shown.update(task, completed=training.steps, L1=told["L1"], L2=told["L2"])
                watch(training)
                if folder and time.monotonic() > saved + CHECKPOINT:
                    save_tree(path, training, about, history)
                    saved = time.monotonic()
        finally:
            if folder:
                save_tree(path, training, about, history)
    leave(*models, training, recipe)
    return Trained(training, history, diverged)


def leave(critic: Any, generator: Any, training: Training, recipe: Recipe) -> None:
    """Give Keras models the weights that a training has come to."""
    if isinstance(critic, keras.Layer):
        assign(critic, training.played.x.phi, training.critic_state)
    if isinstance(generator, keras.Layer):
        decay = recipe.averages[0] if recipe.averages and training.steps else None
        assign(generator, *generator_weights(training, recipe, decay))


def about_run(recipe: Recipe, data: Data) -> dict[str, Any]:
    """What a checkpoint belongs to; the number of steps may change."""
    code = 0
    for leaf in jax.tree.leaves(data.source):
        code = zlib.crc32(np.asarray(leaf).tobytes(), code)
    settings = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    named = {name: "one's own" if callable(x) or isinstance(x, Loss) else x for name, x in settings.items()}
    return named | {"steps": "any", "data": code}


def bar(progress: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("step {task.completed:,.0f}  L₁ {task.fields[L1]:.4g}  L₂ {task.fields[L2]:.4g}"),
        TimeRemainingColumn(),
        transient=True,
        disable=not progress,
    )


def finite(tree: Any) -> bool:
    return all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(tree))


def check(critic: Functional, generator: Functional, data: Data, recipe: Recipe) -> None:
    """ValueError unless data are finite, fakes are like them, and each has one score."""
    real, z = inputs(data, recipe)
    if not finite(real):
        raise ValueError("the data hold values that are not finite; clean them")
    fake, _ = shapes("generator", generator, z)
    if fake.shape != real.shape:
        problem = f"of {recipe.batch} points the generator gives {fake.shape}, and the data {real.shape}"
        raise ValueError(f"{problem}; both should be (batch, …) alike")
    scores, _ = shapes("critic", critic, real)
    if scores.shape != (recipe.batch,):
        problem = f"the critic gives scores {scores.shape} to a batch of {recipe.batch}"
        raise ValueError(f"{problem}; give one each, ({recipe.batch},): a Keras model may end in Reshape(())")


def inputs(data: Data, recipe: Recipe) -> tuple[Any, Any]:
    """What critic and generator take."""
    return data.draw(data.source, jax.random.key(0), recipe.batch), jnp.zeros((recipe.batch, recipe.latent))


def shapes(name: str, network: Functional, x: Any) -> Any:
    """What a network would give; ValueError if it does not take x."""
    try:
        return jax.eval_shape(network.call, network.weights, network.state, x)
    except Exception as error:  # JAX and Keras say it in many ways
        raise ValueError(f"the {name} takes no array of shape {x.shape}: {error}") from error


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
    theta, means = training.averages[recipe.averages.index(decay)].mean
    rest = iter(means)
    leaves, tree = jax.tree.flatten(state)
    filled = [next(rest) if jnp.issubdtype(x.dtype, jnp.floating) else x for x in leaves]
    return theta, jax.tree.unflatten(tree, filled)


def generate(
    generator: Any, training: Training, recipe: Recipe, n: int, *, seed: int = 0, decay: float | None = None
) -> Any:
    """n points by the generator, or by the average of its weights of this decay."""
    network = functional(generator).call, *generator_weights(training, recipe, decay)
    z = jax.random.normal(jax.random.key(seed), (n, recipe.latent))
    return jnp.concatenate([called(*network, z[i : i + PART]) for i in range(0, n, PART)])


@partial(jax.jit, static_argnums=0)
def called(call: Call, weights: Any, state: Any, x: Any) -> Any:
    return call(weights, state, x, training=False)[0]


def game_at(
    critic: Any, generator: Any, data: Data, recipe: Recipe, training: Training
) -> tuple[Game, Players, Batch]:
    """The game of two networks, where a training stands in it, and the batch of the next step.

    What `vector_field`, `jacobian_spectrum`, `play` and `judge` take, of networks as of toys.
    """
    game = network_game(functional(critic).call, functional(generator).call, recipe)
    return game, training.played.x, batch_of(data.draw, recipe, data.source, training)


def critic_energy(critic: Any, training: Training, recipe: Recipe) -> Functional:
    """U = −D of the critic in training: an energy for the samplers and tasks of `supple.energy`."""
    call = functional(critic).call
    phi = training.played.x.phi
    weights = normalised(phi) if recipe.spectral_norm else phi
    return Functional(negated(call), weights, training.critic_state)


@lru_cache(maxsize=64)
def negated(call: Call) -> Call:
    def energy(weights: Any, state: Any, x: Any, training: bool = False) -> tuple[Any, Any]:
        score, state = call(weights, state, x, training=training)
        return -score, state

    return energy
