"""Langevin dynamics, and the protocol of samplers: data with `init(U, x)` and `step(U, state, noise, t)`.

U maps (batch, ...) to (batch,) and is low where p = e^{−U/T}/Z is high. In the convention with ½ε,

    x ← x − ½ ε ∇U(x) + √(ε T) ξ,   ξ ~ N(0, I).

A state has its points in `x`; t runs from 0 to 1 over a run. A step size, temperature or noise may be a pair:
it then goes from the first to the second, geometrically. As samplers are pytrees of numbers, what is compiled
for one serves all of its kind. Mathematics only: `supple.energy.chains` draws the noise.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from supple.energy.objectives import Energy, one_each

Number = float | tuple[float, float]


class Noise(NamedTuple):
    """What a step takes: ξ ~ N(0, I) of the shape of x, and u (chains,) between 0 and 1."""

    normal: Any
    uniform: Any


class State(NamedTuple):
    """Points x (chains, ...)."""

    x: Any


class ULA(NamedTuple):
    """The unadjusted Langevin algorithm, as `ula` makes it."""

    epsilon: Any
    temperature: Any
    noise: Any
    clip: Any
    clamp: Any
    scale: Any

    def init(self, U: Energy, x: Any) -> State:
        return State(x)

    def step(self, U: Energy, state: State, noise: Noise, t: Any) -> State:
        epsilon, s = at(self.epsilon, t), self.scale
        g = energy_and_gradient(U, state.x)[1]
        if self.clip is not None:
            g = jnp.clip(g, -self.clip, self.clip)
        spread = jnp.sqrt(epsilon * at(self.temperature, t)) if self.noise is None else at(self.noise, t)
        x = state.x - epsilon / 2 * s**2 * g + spread * s * noise.normal
        return State(x if self.clamp is None else jnp.clip(x, *self.clamp))


def ula(
    epsilon: Number,
    temperature: Number = 1.0,
    noise: Number | None = None,
    clip: float | None = None,
    clamp: tuple[float, float] | None = None,
    scale: Any = 1.0,
) -> ULA:
    """x ← x − ½ ε s² ∇U(x) + √(ε T) s ξ, with ∇U clipped to ± `clip` and x to `clamp` (low, high).

    `noise`, a standard deviation, takes the place of √(ε T); published recipes for images write a step of 10
    and noise .005 where this has ε = 20 and noise .005 (see `effective_temperature`). `scale` s, which
    broadcasts with a point, preconditions: set it to about the spread of each coordinate. Its bias does not
    go away with time: N(0, σ²) becomes N(0, σ² / (1 − ε / (4 σ²))). ValueError for numbers out of range.
    """
    checked("epsilon", epsilon, least=0, included=False)
    checked("temperature", temperature, least=0)
    if noise is not None:
        checked("noise", noise, least=0)
    if clip is not None:
        checked("clip", clip, least=0, included=False)
    if clamp is not None and not clamp[0] < clamp[1]:
        raise ValueError(f"clamp = {clamp} should be (low, high), low below high")
    return ULA(epsilon, temperature, noise, clip, clamp, scale)


def effective_temperature(sampler: Any) -> float:
    """T at the end of a run: noise² / ε where the noise was given by itself, else what was asked for."""
    noise = getattr(sampler, "noise", None)
    if noise is None:
        return last(sampler.temperature)
    return last(noise) ** 2 / last(sampler.epsilon)


def report(sampler: Any, steps: int) -> str:
    """What a run of so many steps samples, in a line: e^{−U}, e^{−U/T}, or no density at all."""
    name, temperature = type(sampler).__name__, effective_temperature(sampler)
    text = f"{name}, {steps} steps, effective temperature {temperature:.3g}"
    density = "exp(−U)" if temperature == 1 else f"exp(−U/{temperature:.3g})"
    exact = "without bias"
    if isinstance(sampler, ULA):
        if sampler.clip is not None:
            text += f", gradients clipped to ±{sampler.clip:g}"
        if sampler.clip is not None or temperature < 0.1:
            return f"{text}: a short-run sampler, not a density; log-likelihoods of its samples mean nothing"
        exact = "with a bias that grows with epsilon"
        if sampler.clamp is not None:
            exact += f", and points that stick to the walls of [{sampler.clamp[0]:g}, {sampler.clamp[1]:g}]"
    return f"{text}: samples {density} {exact}, once its chains have mixed"


def energy_and_gradient(U: Energy, x: Any) -> tuple[Any, Any]:
    """U(x) (batch,) and ∇U(x) of each point; ValueError if U gives another shape."""

    def total(x: Any) -> tuple[Any, Any]:
        u = one_each(U(x), x)
        return u.sum(), u

    (_, u), g = jax.value_and_grad(total, has_aux=True)(x)
    return u, g


def at(value: Any, t: Any) -> Any:
    """A number, or where a geometric run from one number to another is at t."""
    if not isinstance(value, tuple):
        return value
    first, final = value
    return first * (final / first) ** t


def last(value: Any) -> float:
    return float(value[1] if isinstance(value, tuple) else value)


def checked(name: str, value: Any, least: float, included: bool = True) -> None:
    """ValueError unless a number, or both of a pair, are finite and above `least`; a pair may not touch 0."""
    pair = isinstance(value, tuple)
    for number in value if pair else (value,):
        if np.ndim(number):
            raise ValueError(f"{name} = {value!r} should be a number, or two as a tuple")
        enough = number >= least if included and not pair else number > least
        if not (enough and number < math.inf):
            words = f"{least} or more" if included and not pair else f"above {least}"
            raise ValueError(f"{name} = {value} should be {'two numbers' if pair else 'a number'} {words}")
