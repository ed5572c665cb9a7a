"""A step of training a GAN: a pure function from `Training` to `Training`, and its game of two networks.

What is random in step n is a function of a key and of n alone: a run that goes on where it was interrupted
ends as if it had not been, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from supple.adversarial.games import Game, Players
from supple.adversarial.integrators import State
from supple.adversarial.losses import LOSSES
from supple.adversarial.penalties import PENALTIES, normalised
from supple.adversarial.recipes import INTEGRATORS, Recipe
from supple.training import running
from supple.training.functional import Functional

Call = Callable[..., tuple[Any, Any]]  # that of a `Functional`


class Data(NamedTuple):
    """Real points without end: draw(source, key, n) -> (n, …), pure; the source is any pytree."""

    draw: Callable[[Any, Any, int], Any]
    source: Any


def from_array(x: Any) -> Data:
    """Draws with replacement from points or images (n, …); ValueError if one is not finite."""
    x = np.asarray(x)
    if not x.size or not np.isfinite(x).all():
        raise ValueError(f"data of shape {x.shape} hold nothing, or what is not finite; clean them")
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"data are {x.dtype}; give bytes (uint8), which are scaled to [0, 1], or floats")
    return Data(drawn, jnp.asarray(x))


def drawn(x: Any, key: Any, n: int) -> Any:
    """Rows of an array; bytes, of images, as numbers from 0 to 1."""
    rows = x[jax.random.randint(key, (n,), 0, len(x))]
    return rows / 255 if rows.dtype == jnp.uint8 else rows


class Batch(NamedTuple):
    """What a step depends on besides the weights in training."""

    real: Any  # (batch, …)
    z: Any  # (batch, latent)
    key: Any  # of the penalty's points
    critic_state: Any  # weights that are not trained
    generator_state: Any


class Training(NamedTuple):
    """Where a training stands: all that the next step depends on, besides networks, recipe and data."""

    key: Any
    played: State  # the players' weights, what their optimisers remember, and the steps made
    critic_state: Any
    generator_state: Any
    averages: list[running.Running]  # one for each decay, of the generator's weights and statistics

    @property
    def steps(self) -> int:
        return int(self.played.steps)


def network_game(critic: Call, generator: Call, recipe: Recipe) -> Game:
    """L₁ = −(the critic's loss) − λ · penalty and L₂ = the generator's loss, of weights and a `Batch`."""
    loss = LOSSES[recipe.loss] if isinstance(recipe.loss, str) else recipe.loss
    penalty = PENALTIES[recipe.penalty] if isinstance(recipe.penalty, str) else recipe.penalty

    def scored(phi: Any, theta: Any, batch: Batch) -> tuple[Any, Any, Any, Any]:
        def score(phi: Any, x: Any) -> Any:
            phi = normalised(phi) if recipe.spectral_norm else phi
            return critic(phi, batch.critic_state, x, training=True)[0]

        fake = generator(theta, batch.generator_state, batch.z, training=True)[0]
        return score, fake, score(phi, batch.real), score(phi, fake)

    def L1(phi: Any, theta: Any, batch: Batch) -> Any:
        score, fake, on_real, on_fake = scored(phi, theta, batch)
        held = penalty(score, phi, batch.real, fake, batch.key)
        return -loss.critic(on_real, on_fake) - recipe.strength * held

    def L2(phi: Any, theta: Any, batch: Batch) -> Any:
        return loss.generator(*scored(phi, theta, batch)[2:])

    return Game(L1, L2)


def begin(critic: Functional, generator: Functional, recipe: Recipe) -> Training:
    """A training before its first step."""
    weights = jax.tree.map(jnp.asarray, Players(critic.weights, generator.weights))
    play = INTEGRATORS[recipe.integrator](network_game(critic.call, generator.call, recipe), recipe)
    averaged = weights.theta, numbers(generator.state)
    averages = [running.begin(averaged) for _ in recipe.averages]
    return Training(jax.random.key(recipe.seed), play.init(weights), critic.state, generator.state, averages)


def numbers(state: Any) -> list[Any]:
    """What of the weights that are not trained can be averaged: statistics, but no seeds."""
    return [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]


def batch_of(draw: Any, recipe: Recipe, source: Any, training: Training) -> Batch:
    """What the next step depends on."""
    key = jax.random.fold_in(training.key, training.played.steps)
    for_data, for_z, for_penalty = jax.random.split(key, 3)
    z = jax.random.normal(for_z, (recipe.batch, recipe.latent))
    real = draw(source, for_data, recipe.batch)
    return Batch(real, z, for_penalty, training.critic_state, training.generator_state)


def step(
    critic: Call, generator: Call, draw: Any, recipe: Recipe, source: Any, training: Training
) -> tuple[Training, dict[str, Any]]:
    """One step, and the objectives L₁ and L₂ before it, which XLA has computed for the step already."""
    game = network_game(critic, generator, recipe)
    batch = batch_of(draw, recipe, source, training)
    phi, theta = training.played.x
    fake, generator_state = generator(theta, batch.generator_state, batch.z, training=True)
    critic_state = training.critic_state
    for x in (batch.real, fake) if critic_state else ():
        _, critic_state = critic(phi, critic_state, x, training=True)
    played = INTEGRATORS[recipe.integrator](game, recipe).step(training.played, batch)
    averaged = played.x.theta, numbers(generator_state)
    averages = [
        running.update(average, averaged, decay)
        for decay, average in zip(recipe.averages, training.averages, strict=True)
    ]
    told = {"L1": game.L1(phi, theta, batch), "L2": game.L2(phi, theta, batch)}
    return Training(training.key, played, critic_state, generator_state, averages), told


@partial(jax.jit, static_argnames=("critic", "generator", "draw", "recipe", "steps"))
def piece(
    critic: Call, generator: Call, draw: Any, recipe: Recipe, source: Any, training: Training, steps: int
) -> tuple[Training, dict[str, Any]]:
    """Some steps, compiled, and the means of what they told."""

    def one(training: Training, _: None) -> tuple[Training, dict[str, Any]]:
        return step(critic, generator, draw, recipe, source, training)

    training, told = jax.lax.scan(one, training, None, steps)
    return training, {name: x.mean() for name, x in told.items()}
