"""Samplers without bias: a proposal is accepted with the probability that keeps e^{−U/T} (Metropolis).

`init(U, x)` and `step(U, state, noise, t)` as in `supple.energy.samplers`; the state sums up the
probabilities with which each chain's proposals were accepted. A proposal of NaN energy is rejected.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from supple.energy.samplers import Energy, Noise, Number, at, checked, energy_and_gradient


class Adjusted(NamedTuple):
    """Points x (chains, ...), U(x), ∇U(x), and Σ over steps of the probability of acceptance (chains,)."""

    x: Any
    energy: Any
    gradient: Any
    accepted: Any


class MALA(NamedTuple):
    """The Metropolis-adjusted Langevin algorithm, as `mala` makes it."""

    epsilon: Any
    temperature: Any
    scale: Any

    def init(self, U: Energy, x: Any) -> Adjusted:
        return begin(U, x)

    def step(self, U: Energy, state: Adjusted, noise: Noise, t: Any) -> Adjusted:
        epsilon, temperature, s = at(self.epsilon, t), at(self.temperature, t), self.scale
        x, u, g, _ = state
        y = x - epsilon / 2 * s**2 * g + jnp.sqrt(epsilon * temperature) * s * noise.normal
        v, h = energy_and_gradient(U, y)
        there = squares(noise.normal) / 2  # −log q(x → y)
        back = squares((x - y + epsilon / 2 * s**2 * h) / s) / (2 * epsilon * temperature)  # −log q(y → x)
        return accept(state, (y, v, h), (u - v) / temperature + there - back, noise.uniform)


class HMC(NamedTuple):
    """Hamiltonian Monte Carlo, as `hmc` makes it."""

    step_size: Any
    leapfrogs: Any
    temperature: Any
    scale: Any

    def init(self, U: Energy, x: Any) -> Adjusted:
        return begin(U, x)

    def step(self, U: Energy, state: Adjusted, noise: Noise, t: Any) -> Adjusted:
        h, temperature, s = at(self.step_size, t), at(self.temperature, t), self.scale
        p = jnp.sqrt(temperature) * noise.normal

        def leapfrog(_: Any, now: Any) -> Any:
            x, p, _, g = now
            p = p - h / 2 * s * g
            x = x + h * s * p
            u, g = energy_and_gradient(U, x)
            return x, p - h / 2 * s * g, u, g

        y, q, v, g = jax.lax.fori_loop(
            0, self.leapfrogs, leapfrog, (state.x, p, state.energy, state.gradient)
        )
        drop = state.energy - v + (squares(p) - squares(q)) / 2  # of the Hamiltonian
        return accept(state, (y, v, g), drop / temperature, noise.uniform)


def mala(epsilon: Number, temperature: Number = 1.0, scale: Any = 1.0) -> MALA:
    """Proposals of `ula`, accepted by min(1, e^{−U(y)/T} q(y → x) / (e^{−U(x)/T} q(x → y))).

    q(x → y) ∝ exp(−‖y − x + ½ ε ∇U(x)‖² / (2 ε T)), for the scale 1 (Roberts & Tweedie 1996). An acceptance
    near .57 is best in high dimensions. ValueError for numbers out of range.
    """
    checked("epsilon", epsilon, least=0, included=False)
    checked("temperature", temperature, least=0, included=False)
    return MALA(epsilon, temperature, scale)


def hmc(step_size: Number, leapfrogs: int = 10, temperature: Number = 1.0, scale: Any = 1.0) -> HMC:
    """`leapfrogs` steps of Hamilton's equations from a momentum ~ N(0, T), accepted by e^{−ΔH/T}.

    With one leapfrog it is `mala` with ε = step_size² (Neal 2011). An acceptance near .65 is best in high
    dimensions. ValueError for numbers out of range.
    """
    checked("step_size", step_size, least=0, included=False)
    checked("temperature", temperature, least=0, included=False)
    if leapfrogs < 1:
        raise ValueError(f"leapfrogs = {leapfrogs} should be 1 or more")
    return HMC(step_size, leapfrogs, temperature, scale)


def begin(U: Energy, x: Any) -> Adjusted:
    """Chains at x; one where U is NaN would stay there and look well, and so becomes NaN itself."""
    u, g = energy_and_gradient(U, x)
    x = jnp.where(jnp.isnan(u).reshape(-1, *[1] * (x.ndim - 1)), jnp.nan, x)
    return Adjusted(x, u, g, jnp.zeros_like(u))


def accept(state: Adjusted, proposal: tuple[Any, Any, Any], log_ratio: Any, uniform: Any) -> Adjusted:
    """Each chain's proposal with probability min(1, e^log_ratio), or else what it had."""
    log_ratio = jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio)
    taken = jnp.log(uniform) < log_ratio
    x, u, g = (
        jnp.where(taken.reshape(-1, *[1] * (new.ndim - 1)), new, old)
        for new, old in zip(proposal, state[:3], strict=True)
    )
    return Adjusted(x, u, g, state.accepted + jnp.exp(jnp.minimum(log_ratio, 0.0)))


def squares(z: Any) -> Any:
    """‖z‖² of each chain."""
    return (z * z).reshape(len(z), -1).sum(1)
