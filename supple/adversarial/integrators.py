"""Ways to play a game: each follows its flow, or a better one, in discrete steps.

One protocol for all: `init(x) -> State` and `step(state, batch) -> State`, both pure; `play` runs steps in
one compiled scan. x is a pytree: of a game the two `Players`, of any other field what it takes.

A `rule` turns a velocity into a change of x: a number h is the plain step x + h v, an optax optimiser takes
−v as its gradient, and a pair of these is for the critic and the generator. Below, v is `vector_field`, and J
its Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from supple.adversarial.games import (
    Field,
    Game,
    Players,
    adjusted_field,
    consensus_field,
    dot,
    vector_field,
)
from supple.training import running

Rule = Any  # a number, an optax.GradientTransformation, or a pair of these


class State(NamedTuple):
    """Where a run stands: the point, what the rule remembers, and the steps made."""

    x: Any
    memory: Any
    steps: Any


class Integrator(NamedTuple):
    """`init(x) -> State` and `step(state, batch=None) -> State`."""

    init: Callable[[Any], State]
    step: Callable[..., State]


def simultaneous(game: Game | Field, rule: Rule) -> Integrator:
    """Both players move at once: Euler's method, x + h v(x)."""
    return follower(rule, lambda x, batch: vector_field(game, x, batch))


def alternating(game: Game, rule: Rule, critic_steps: int = 1) -> Integrator:
    """The critic moves first, and the generator answers the new critic.

    With `critic_steps` n the generator moves in every n-th step only. A single optimiser is used for both
    players, each with a memory of its own. ValueError if n is below 1.
    """
    if critic_steps < 1:
        raise ValueError(f"critic_steps = {critic_steps} should be 1 or more")
    both = isinstance(rule, tuple) and not isinstance(rule, optax.GradientTransformation)  # a tuple too
    rules = Players(*map(optimiser, rule if both else (rule, rule)))

    def init(x: Any) -> State:
        return State(x, Players(rules.phi.init(x.phi), rules.theta.init(x.theta)), jnp.zeros((), "int32"))

    def step(state: State, batch: Any = None) -> State:
        phi, phi_memory = moved(
            rules.phi, vector_field(game, state.x, batch).phi, state.memory.phi, state.x.phi
        )
        x = Players(phi, state.x.theta)

        def answer(memory: Any) -> tuple[Any, Any]:
            return moved(rules.theta, vector_field(game, x, batch).theta, memory, x.theta)

        turn = (state.steps + 1) % critic_steps == 0
        theta, theta_memory = jax.lax.cond(turn, answer, lambda memory: (x.theta, memory), state.memory.theta)
        return State(Players(phi, theta), Players(phi_memory, theta_memory), state.steps + 1)

    return Integrator(init, step)


def extragradient(game: Game | Field, rule: Rule) -> Integrator:
    """x + h v(x + h v(x)): look ahead, then step from where one was (Korpelevich 1976; Gidel et al. 2019).

    An optimiser makes both moves, and remembers both: with Adam this is ExtraAdam.
    """
    rule = optimiser(rule)

    def step(state: State, batch: Any = None) -> State:
        ahead, memory = moved(rule, vector_field(game, state.x, batch), state.memory, state.x)
        x, memory = moved(rule, vector_field(game, ahead, batch), memory, state.x)
        return State(x, memory, state.steps + 1)

    return Integrator(partial(begun, rule), step)


def optimistic(game: Game | Field, rule: Rule) -> Integrator:
    """x + h (2 v(x) − v(x⁻)), where x⁻ was one step before (Popov 1980; Daskalakis et al. 2018).

    It is the optimiser's change that is doubled: with Adam this is optimistic Adam.
    """
    return simultaneous(game, optax.chain(optimiser(rule), optax.scale_by_optimistic_gradient()))


def consensus(game: Game | Field, rule: Rule, strength: float) -> Integrator:
    """Euler's method on `consensus_field`, v − γ Jᵀv with γ = `strength` (Mescheder et al. 2017)."""
    return simultaneous(consensus_field(game, strength), rule)


def symplectic_gradient_adjustment(game: Game | Field, rule: Rule, strength: float) -> Integrator:
    """Euler's method on `adjusted_field`, v − λ Aᵀv with λ = `strength` (Balduzzi et al. 2018)."""
    return simultaneous(adjusted_field(game, strength), rule)


def rk4(game: Game | Field, step: float) -> Integrator:
    """The classical method of Runge and Kutta, of order 4: all stages see the same batch."""
    return follower(1.0, lambda x, batch: runge_kutta(game, step, x, batch))


def ode_gan(game: Game, step: float, strength: float) -> Integrator:
    """RK4, and the critic descends λ ‖∇θ L₂‖² by one plain step, λ = `strength` (Qin et al. 2020)."""

    def change(x: Any, batch: Any) -> Any:
        def gradient_norm(phi: Any) -> Any:
            theta_dot = vector_field(game, Players(phi, x.theta), batch).theta
            return dot(theta_dot, theta_dot)

        whole = runge_kutta(game, step, x, batch)
        penalty = jax.grad(gradient_norm)(x.phi)
        return whole._replace(phi=plus(whole.phi, -step * strength, penalty))

    return follower(1.0, change)


def runge_kutta(game: Game | Field, h: float, x: Any, batch: Any) -> Any:
    """The change of x in a step h."""
    f = partial(vector_field, game, batch=batch)
    k1 = f(x)
    k2 = f(plus(x, h / 2, k1))
    k3 = f(plus(x, h / 2, k2))
    k4 = f(plus(x, h, k3))
    return jax.tree.map(lambda a, b, c, d: h / 6 * (a + 2 * b + 2 * c + d), k1, k2, k3, k4)


def adaptive(game: Game | Field, step: float, tolerance: float = 1e-8) -> Integrator:
    """The flow after a time `step`, in as many steps of diffrax's Dopri8 as the relative tolerance takes."""
    import diffrax

    terms = diffrax.ODETerm(lambda t, x, batch: vector_field(game, x, batch))
    control = diffrax.PIDController(rtol=tolerance, atol=1e-3 * tolerance)

    def advance(state: State, batch: Any = None) -> State:
        found = diffrax.diffeqsolve(
            terms, diffrax.Dopri8(), 0.0, step, None, state.x, batch, stepsize_controller=control
        )
        return State(jax.tree.map(lambda x: x[0], found.ys), state.memory, state.steps + 1)

    return Integrator(partial(begun, optimiser(1.0)), advance)


def play(integrator: Integrator, x: Any, steps: int, batches: Any = None, every: int = 1) -> Any:
    """The trajectory from x: a pytree like x whose arrays have a first axis of 1 + steps / every points.

    `batches` are stacked, one a step; a toy has none. One compiled scan, compiled once for an integrator.
    ValueError unless `every` divides `steps`, and there are as many batches.
    """
    if steps < 1 or every < 1 or steps % every:
        raise ValueError(f"steps = {steps} should be a multiple of every = {every}, both above 0")
    for given in {len(batch) for batch in jax.tree.leaves(batches)} - {steps}:
        raise ValueError(f"{given} batches for {steps} steps; stack one for each along the first axis")
    x = jax.tree.map(jnp.asarray, x)
    return scanned(integrator, x, steps // every, every, batches)


@partial(jax.jit, static_argnums=(0, 2, 3))
def scanned(integrator: Integrator, x: Any, records: int, every: int, batches: Any) -> Any:
    """`play`, compiled."""
    batches = jax.tree.map(lambda b: b.reshape(records, every, *b.shape[1:]), batches)

    def one(state: State, batch: Any) -> tuple[State, None]:
        return integrator.step(state, batch), None

    def record(state: State, batches: Any) -> tuple[State, Any]:
        state, _ = jax.lax.scan(one, state, batches, every)
        return state, state.x

    _, points = jax.lax.scan(record, integrator.init(x), batches, records)
    return jax.tree.map(lambda x, points: jnp.concatenate([x[None], points]), x, points)


def averaged(trajectory: Any, decay: float) -> Any:
    """The running averages Σ β^(N−n) xₙ / Σ β^(N−n) of a trajectory, at each of its points; β = `decay`.

    β = 1 is the mean of all points so far. ValueError unless 0 ≤ β ≤ 1.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay = {decay} should be from 0 to 1")

    def step(average: running.Running, x: Any) -> tuple[running.Running, Any]:
        average = running.update(average, x, decay)
        return average, average.mean

    return jax.lax.scan(step, running.begin(jax.tree.map(lambda x: x[0], trajectory)), trajectory)[1]


def optimiser(rule: Rule) -> optax.GradientTransformation:
    """A rule as one optimiser: a number is a plain step, a pair is for the two players."""
    if isinstance(rule, optax.GradientTransformation):
        return rule
    if not isinstance(rule, tuple):
        return optax.sgd(rule)
    rules = Players(*map(optimiser, rule))

    def init(x: Any) -> Any:
        return Players(rules.phi.init(x.phi), rules.theta.init(x.theta))

    def update(gradient: Any, memory: Any, x: Any) -> tuple[Any, Any]:
        phi, phi_memory = rules.phi.update(gradient.phi, memory.phi, x.phi)
        theta, theta_memory = rules.theta.update(gradient.theta, memory.theta, x.theta)
        return Players(phi, theta), Players(phi_memory, theta_memory)

    return optax.GradientTransformation(init, update)


def follower(rule: Rule, velocity: Callable[[Any, Any], Any]) -> Integrator:
    """The integrator that moves by a rule along a velocity (x, batch)."""
    rule = optimiser(rule)

    def step(state: State, batch: Any = None) -> State:
        x, memory = moved(rule, velocity(state.x, batch), state.memory, state.x)
        return State(x, memory, state.steps + 1)

    return Integrator(partial(begun, rule), step)


def begun(rule: optax.GradientTransformation, x: Any) -> State:
    """The state before the first step."""
    return State(x, rule.init(x), jnp.zeros((), "int32"))


def moved(rule: optax.GradientTransformation, velocity: Any, memory: Any, x: Any) -> tuple[Any, Any]:
    """x moved by a rule along a velocity; and what the rule remembers."""
    change, memory = rule.update(jax.tree.map(jnp.negative, velocity), memory, x)
    return optax.apply_updates(x, change), memory


def plus(x: Any, h: float, v: Any) -> Any:
    return jax.tree.map(lambda x, v: x + h * v, x, v)
