"""A step of an energy's training, as a pure function of arrays: what `supple.energy.fit` compiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from supple.energy import objectives
from supple.energy.buffer import Buffer, Start, draw, new_buffer, put, uniform_start
from supple.energy.chains import run
from supple.energy.jem import energies
from supple.energy.recipes import Recipe
from supple.energy.samplers import ULA, ula
from supple.training import running
from supple.training.functional import Functional

REPORT = "real", "fake", "loss", "gradient", "age"  # means of U, the objective, a norm, runs of a chain


class State(NamedTuple):
    """All that the next step depends on, besides recipe, data and what a rollback changes."""

    step: Any
    weights: Any
    state: Any  # of the network, not trained
    moments: Any  # of the optimiser
    averages: tuple[running.Running, ...]  # of each decay
    buffer: Buffer | None  # None where no chain outlives a step
    history: Any  # (⌈steps / check⌉, REPORT), NaN for what is still to come


class Gaussian(NamedTuple):
    """Fitted to the data: where chains in no box begin, and the noise that "nce" tells data from."""

    mean: Any  # (d,)
    root: Any  # (d, d), lower: the covariance's Cholesky factor

    def sample(self, key: Any, n: int, shape: tuple[int, ...]) -> Any:
        noise = jax.random.normal(key, (n, len(self.mean)), self.mean.dtype)
        return (self.mean + noise @ self.root.T).reshape(n, *shape)

    def log_prob(self, x: Any) -> Any:
        """Of points (batch, ...): (batch,)."""
        z = x.reshape(len(x), -1) - self.mean
        z = jax.scipy.linalg.solve_triangular(self.root, z.T, lower=True).T
        log_det = jnp.log(jnp.diagonal(self.root)).sum()
        return -0.5 * (z**2).sum(1) - log_det - 0.5 * len(self.mean) * jnp.log(2 * jnp.pi)


def gaussian_of(x: Any) -> Gaussian:
    """Of the data's mean and covariance, with a little added where they hardly vary."""
    flat = np.asarray(x, "float64").reshape(len(x), -1)
    covariance = np.atleast_2d(np.cov(flat, rowvar=False))
    ridge = 1e-4 * np.trace(covariance) / len(covariance) + 1e-12
    root = np.linalg.cholesky(covariance + ridge * np.eye(len(covariance)))
    return Gaussian(*(jnp.asarray(part, jnp.asarray(x).dtype) for part in (flat.mean(0), root)))


def start_of(recipe: Recipe, x: Any) -> Start | None:
    """Where chains of "pcd" begin: uniform in the box of the data; without one, a Gaussian fitted to them."""
    if recipe.objective != "pcd":
        return None
    shape = tuple(x.shape[1:])
    if recipe.clamp is not None:
        return uniform_start(shape, *recipe.clamp)
    gaussian = gaussian_of(x)
    return lambda key, n: gaussian.sample(key, n, shape)


def optimizer(recipe: Recipe) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(recipe.rate, recipe.steps, 0.05)
    return optax.chain(optax.clip_by_global_norm(recipe.gradient_clip), optax.adam(rate, recipe.beta_1))


def first_state(network: Functional, recipe: Recipe, start: Start | None, labels: Any, buffer: Any) -> State:
    """The training before its first step, with chains of its own unless `buffer` brings others'."""
    weights = jax.tree.map(jnp.asarray, network.weights)
    if buffer is None and start is not None:
        buffer = new_buffer(start, recipe.buffer, jax.random.key(recipe.seed), labels)
    averages = tuple(running.begin(weights) for _ in recipe.averages)
    history = jnp.full((math.ceil(recipe.steps / recipe.check), len(REPORT)), jnp.nan)
    moments = optimizer(recipe).init(weights)
    return State(jnp.zeros((), jnp.int32), weights, network.state, moments, averages, buffer, history)


def sampler_of(recipe: Recipe) -> ULA:
    """That of "pcd" and "cd"."""
    return ula(recipe.epsilon, recipe.temperature, recipe.noise, recipe.clip, recipe.clamp)


def chain(U: objectives.Energy, x: Any, key: Any, recipe: Recipe) -> Any:
    """`x` moved by the recipe's K steps."""
    return run(U, x, sampler_of(recipe), recipe.chain_steps, key).x


def objective(
    recipe: Recipe, U: Callable[[Any, Any], Any], real: Any, y: Any, fake: Any, fake_y: Any, q: Any, key: Any
) -> tuple[Any, tuple[Any, Any]]:
    """What falls, and mean U of data and fakes, for U(x, y)."""
    own = None if recipe.marginal else y
    on_real = U(real, own)
    on_fake = on_real if fake is None else U(fake, fake_y)
    if recipe.chains:
        loss = objectives.contrastive(on_real, on_fake)
        loss += recipe.energy_penalty * objectives.energy_penalty(on_real, on_fake)
    elif recipe.objective == "dsm":
        for_noise, for_sigma = jax.random.split(key)
        low, high = np.log(recipe.sigmas)
        sigma = jnp.exp(jax.random.uniform(for_sigma, (len(real),), minval=low, maxval=high))
        noise = jax.random.normal(for_noise, real.shape)
        loss = objectives.denoising(lambda x: U(x, own), real, noise, sigma)
    elif recipe.objective == "ssm":
        v = jax.random.rademacher(key, real.shape, real.dtype)
        loss = objectives.sliced(lambda x: U(x, own), real, v)
    else:
        log_q = q.log_prob(real), q.log_prob(fake)
        loss = objectives.noise_contrastive(on_real, on_fake, *log_q)
    if recipe.gradient_penalty:
        loss += recipe.gradient_penalty * objectives.gradient_penalty(lambda x: U(x, own), real)
    if recipe.classify:  # −log p(y|x) = U(x, y) − U(x)
        loss += recipe.classify * (U(real, y) - U(real, None)).mean()
    return loss, (on_real.mean(), on_fake.mean())


def training_step(
    network: Functional, recipe: Recipe, start: Start | None, q: Gaussian | None
) -> Callable[..., tuple[State, Any]]:
    """One step, compiled: (state, x, y, scale of the rate, retries) to (state, REPORT)."""
    optimiser = optimizer(recipe)

    def U_of(weights: Any, state: Any, training: bool) -> Callable[[Any, Any], Any]:
        return lambda x, y: energies(network.call(weights, state, x, training=training)[0], y)

    def fakes(state: State, x: Any, y: Any, key: Any) -> tuple[Any, Any, Any, Any]:
        """Fakes, their classes, the buffer after them, the mean age of their chains."""
        for_draw, for_chain = jax.random.split(key)
        if recipe.objective == "nce":
            return q.sample(for_draw, len(x), x.shape[1:]), y, None, 0.0  # type: ignore[union-attr]
        if not recipe.chains:
            return None, None, None, 0.0
        U = U_of(state.weights, state.state, False)
        if recipe.objective == "cd":
            return chain(lambda x: U(x, y), x, for_chain, recipe), y, None, 0.0
        assert state.buffer is not None and start is not None  # of "pcd"
        taken = draw(state.buffer, recipe.batch, start, for_draw, recipe.fresh)
        own = None if y is None else taken.y
        moved = chain(lambda x: U(x, own), taken.x, for_chain, recipe)
        return moved, own, put(state.buffer, taken, moved), taken.age.mean()

    def step(state: State, x: Any, y: Any, scale: Any, retries: Any) -> tuple[State, Any]:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(recipe.seed), state.step), retries)
        for_data, for_fakes, for_objective = jax.random.split(key, 3)
        real = x + recipe.data_noise * jax.random.normal(for_data, x.shape) if recipe.data_noise else x
        fake, fake_y, buffer, age = fakes(state, real, None if recipe.marginal else y, for_fakes)

        def falls(weights: Any) -> Any:
            U = U_of(weights, state.state, True)
            return objective(recipe, U, real, y, fake, fake_y, q, for_objective)

        (loss, means), slope = jax.value_and_grad(falls, has_aux=True)(state.weights)
        updates, moments = optimiser.update(slope, state.moments, state.weights)
        weights = jax.tree.map(lambda w, u: w + scale * u, state.weights, updates)
        averages = tuple(
            running.update(average, weights, decay)
            for decay, average in zip(recipe.averages, state.averages, strict=True)
        )
        _, network_state = network.call(state.weights, state.state, real, training=True)
        report = jnp.stack([*means, loss, optax.tree.norm(slope), jnp.asarray(age, jnp.float32)])
        done = state.step + 1
        # a row that is none, where the step is not the last of its stretch, is dropped
        row = jnp.where(done % recipe.check == 0, done // recipe.check - 1, len(state.history))
        history = state.history.at[row].set(report, mode="drop")
        return State(done, weights, network_state, moments, averages, buffer, history), report

    return jax.jit(step)


def averaged(state: State, recipe: Recipe, decay: float | None = None) -> Any:
    """The weights' average of a decay, of the first if none is given; the weights, where there is none."""
    if not recipe.averages:
        return state.weights
    decay = recipe.averages[0] if decay is None else decay
    if decay not in recipe.averages:
        raise ValueError(f"no average of decay {decay}; there are {', '.join(map(str, recipe.averages))}")
    return state.averages[recipe.averages.index(decay)].mean
