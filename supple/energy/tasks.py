"""What an energy is good for: images, missing parts, noise taken away, energies composed, foreign inputs.

Each task is an energy made of energies (`given`, `observed`, `product`, `mixture`), which any sampler runs
on and which can be made into others again. A model is a built Keras one, a function, (f, weights) or a
Functional, which gives (batch,), or (batch, classes) with classes y; ValueError if it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from supple.energy.buffer import Buffer, check_size, put, take
from supple.energy.chains import finite, run, sample
from supple.energy.jem import energies, energy_of
from supple.energy.objectives import gradient, one_each
from supple.training.functional import Functional, functional

Call = Callable[..., tuple[Any, Any]]


def generate(
    model: Any, x: Any, sampler: Any, steps: int, seed: int = 0, *, y: Any = None, keep: int | None = None
) -> Any:
    """Chains from starting points x (n, ...), each of its class y (n,) if given: the last points.

    With `keep` every keep-th point instead, (n, steps / keep, ...): a film.
    """
    chains = sample(of_classes(model, x, y), x, sampler, steps, seed, keep=keep)
    return chains.x if keep is None else chains.kept


def of_classes(model: Any, x: Any, y: Any) -> Functional:
    """U(x, y), with a class y for each of points x, or one for all. ValueError where they do not fit."""
    if y is None:
        return functional(model)
    call, weights, state = functional(model)
    y = np.asarray(y, np.int32)
    if y.shape not in ((), (len(x),)):
        raise ValueError(f"classes have shape {y.shape} for {len(x)} points; give one each, or one for all")
    y = np.broadcast_to(y, len(x))
    outputs, _ = jax.eval_shape(call, weights, state, jnp.asarray(x))
    if outputs.ndim == 2 and not (y.min() >= 0 and y.max() < outputs.shape[1]):
        problem = f"classes go from {y.min()} to {y.max()}, and the energy has {outputs.shape[1]}"
        raise ValueError(f"{problem}; number them from 0")
    return energy_of(model, y)


def given(model: Any, x: Any, known: Any) -> Functional:
    """U with the coordinates where `known`, which broadcasts with x (n, ...), held at those of x.

    Its gradient there is 0: a chain moves freely in coordinates that U does not see. ValueError for
    shapes that do not fit.
    """
    x, known = jnp.asarray(x), jnp.asarray(known, bool)
    pairs = zip(reversed(known.shape), reversed(x.shape), strict=False)
    if known.ndim > x.ndim or any(n not in (1, m) for n, m in pairs):
        raise ValueError(f"known has shape {known.shape} for x of shape {x.shape}; it should broadcast")
    call, weights, state = functional(model)
    return Functional(as_given(call), weights, (state, x, known))


@lru_cache(maxsize=64)
def as_given(call: Call) -> Call:
    def energy(weights: Any, state: Any, z: Any, training: bool = False) -> tuple[Any, Any]:
        state, x, known = state
        u, state = call(weights, state, jnp.where(known, x, z), training=training)
        return u, (state, x, known)

    return energy


def inpaint(
    model: Any, x: Any, known: Any, start: Any, sampler: Any, steps: int, seed: int = 0, *, y: Any = None
) -> Any:
    """Samples of p(the unknown part | the known part) of x (n, ...): x where `known`, chains from `start`."""
    chains = sample(given(of_classes(model, start, y), x, known), start, sampler, steps, seed)
    return jnp.where(jnp.asarray(known, bool), jnp.asarray(x), chains.x)


def observed(model: Any, noisy: Any, sigma: float) -> Functional:
    """U(x) + ‖x − noisy‖² / (2σ²): of p(x | x + σ ξ = noisy). ValueError for σ that is not above 0."""
    check_sigma(sigma)
    call, weights, state = functional(model)
    return Functional(as_observed(call), weights, (state, jnp.asarray(noisy), jnp.asarray(float(sigma))))


@lru_cache(maxsize=64)
def as_observed(call: Call) -> Call:
    def energy(weights: Any, state: Any, x: Any, training: bool = False) -> tuple[Any, Any]:
        state, noisy, sigma = state
        u, state = call(weights, state, x, training=training)
        misfit = ((x - noisy) ** 2).reshape(len(x), -1).sum(1) / (2 * sigma**2)
        return one_each(u, x) + misfit, (state, noisy, sigma)

    return energy


def denoise(
    model: Any, noisy: Any, sigma: float, sampler: Any, steps: int, seed: int = 0, *, y: Any = None
) -> Any:
    """Samples of p(x | x + σ ξ = noisy), of chains that begin at `noisy` (n, ...).

    With a sampler of temperature near 0, its mode nearby.
    """
    return sample(observed(of_classes(model, noisy, y), noisy, sigma), noisy, sampler, steps, seed).x


def denoise_at_once(model: Any, noisy: Any, sigma: float) -> Any:
    """E[x | x + σ ξ = noisy] = noisy − σ² ∇U(noisy), for U of the data blurred by σ, as "dsm" trains it.

    Tweedie's formula (Efron 2011). ValueError for σ that is not above 0.
    """
    check_sigma(sigma)
    call, weights, state = functional(model)
    noisy = jnp.asarray(noisy)
    return noisy - sigma**2 * gradient(lambda x: one_each(call(weights, state, x)[0], x), noisy)


def check_sigma(sigma: float) -> None:
    if not sigma > 0:
        raise ValueError(f"sigma = {sigma} should be above 0: the noise's standard deviation")


def product(models: Sequence[Any], powers: Sequence[float] | None = None) -> Functional:
    """Σ wᵢ Uᵢ: all of the models at once, p ∝ Π pᵢ^wᵢ; a negative power is "not" (Du et al. 2020)."""
    return combined(models, powers, total)


def mixture(models: Sequence[Any], shares: Sequence[float] | None = None) -> Functional:
    """−log Σ wᵢ exp(−Uᵢ): any of the models, in proportion to wᵢ Zᵢ, as their energies are not normalised."""
    return combined(models, shares, soft_least)


def total(u: Any, powers: Any) -> Any:
    return (powers[:, None] * u).sum(0)


def soft_least(u: Any, shares: Any) -> Any:
    return -jax.nn.logsumexp(-u, axis=0, b=shares[:, None])


def combined(models: Sequence[Any], numbers: Sequence[float] | None, how: Callable[..., Any]) -> Functional:
    numbers = [1.0] * len(models) if numbers is None else list(numbers)
    if not models or len(numbers) != len(models):
        raise ValueError(
            f"{len(numbers)} numbers for {len(models)} models; give one for each of 1 model or more"
        )
    parts = [functional(model) for model in models]
    calls = tuple(part.call for part in parts)
    weights, states = [part.weights for part in parts], [part.state for part in parts]
    return Functional(as_one(calls, how), weights, (states, jnp.asarray(numbers)))


@lru_cache(maxsize=64)
def as_one(calls: tuple[Call, ...], how: Callable[..., Any]) -> Call:
    def energy(weights: Any, state: Any, x: Any, training: bool = False) -> tuple[Any, Any]:
        states, numbers = state
        found = [call(w, s, x, training=training) for call, w, s in zip(calls, weights, states, strict=True)]
        return how(jnp.stack([one_each(u, x) for u, _ in found]), numbers), ([s for _, s in found], numbers)

    return energy


def energies_at(model: Any, x: Any, batch: int = 500) -> np.ndarray:
    """U(x), (n,), a batch at a time: how foreign each input is, the higher the more (`evaluate.auroc`).

    An energy that holds something of each row (`energy_of` with y, `given`, `observed`) takes them all at
    once: `batch=len(x)`.
    """
    call, weights, state = functional(model)
    parts = [compiled_energy(call, weights, state, x[i : i + batch]) for i in range(0, len(x), batch)]
    return np.concatenate([np.asarray(part) for part in parts])


@partial(jax.jit, static_argnames="call")
def compiled_energy(call: Call, weights: Any, state: Any, x: Any) -> Any:
    return one_each(call(weights, state, x)[0], x)


def in_turn(
    models: Sequence[Any], buffer: Buffer, sampler: Any, steps: int, rounds: int, batch: int, seed: int = 0
) -> Buffer:
    """Several models sample jointly, with ONE buffer: in each round each moves a batch of its chains.

    A chain goes from model to model, and what one of them would be caught in, another leaves. With classes
    each chain is moved by U(x, y) of its own. ValueError if a batch has more chains than the buffer.
    """
    check_size(buffer, batch)
    parts = [functional(model) for model in models]
    finite(buffer.x, "in the buffer", "begin with a new one")
    classes = bool(np.asarray(buffer.y).any())
    for turn in range(rounds * len(parts)):
        call, weights, state = parts[turn % len(parts)]
        key = jax.random.fold_in(jax.random.key(seed), turn)
        buffer = moved(call, weights, state, buffer, sampler, key, steps, batch, classes)
    finite(buffer.x, f"after {rounds} rounds", "lower the step size, clip, or see where U is not finite")
    return buffer


@partial(jax.jit, static_argnames=("call", "steps", "batch", "classes"))
def moved(
    call: Call,
    weights: Any,
    state: Any,
    buffer: Buffer,
    sampler: Any,
    key: Any,
    steps: int,
    batch: int,
    classes: bool,
) -> Buffer:
    """The buffer after `steps` of a batch of its chains."""
    for_slots, for_chains = jax.random.split(key)
    slots = jax.random.choice(for_slots, len(buffer.x), (batch,), replace=False)
    taken = take(buffer, slots, jnp.zeros(batch, bool), buffer.x[slots])

    def U(x: Any) -> Any:
        outputs, _ = call(weights, state, x)
        if outputs.ndim == 2 and not classes:
            problem = f"outputs have shape {outputs.shape}, of classes, and the chains have none"
            raise ValueError(f"{problem}; give new_buffer(..., labels), or energy_of(model) for −log Σ exp")
        return energies(outputs, taken.y if outputs.ndim == 2 else None)

    return put(buffer, taken, run(U, taken.x, sampler, steps, for_chains).x)
