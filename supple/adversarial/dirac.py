"""GANs small enough to solve: the real point is 0, the fake point θ, the critic D(x) = x·φ, in any dimension.

Each game has its objectives, which autodiff turns into a field, and what theory says of it: the field in
closed form, what it conserves, how fast ‖z‖² = ‖φ‖² + ‖θ‖² changes, the eigenvalues at its equilibrium, and
what becomes of a trajectory. Below, s = θ·φ and σ is the sigmoid. As ∇ₓD = φ, a zero-centred penalty on
gradients, at real points, at fake ones or between, is here the same as weight decay of the critic.

The non-saturating GAN is widely shown to go round in circles for ever. That is so from two dimensions on,
where it cannot lose its angular momentum φ∧θ; in one it has none, and converges. Any friction ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid

from supple.adversarial.games import Field, Game, Players, consensus_field

Quantity = Callable[[Players], Any]


def start(d: int = 2, size: float = 1.0) -> Players:
    """φ = (.1, .2, 0, …) and θ = (.2, .1, 0, …) in d dimensions: here trajectories are known in numbers."""
    phi, theta = (size * jnp.array([*x, *[0.0] * d])[:d] for x in ((0.1, 0.2), (0.2, 0.1)))
    return Players(phi, theta)


def norm(x: Any) -> Any:
    """‖x‖, with the gradient 0 at 0."""
    square = x @ x
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def unit(x: Any) -> Any:
    """x / ‖x‖, and 0 at 0."""
    return x / jnp.where(norm(x) > 0, norm(x), 1)


def energy(z: Players) -> Any:
    """‖z‖² = ‖φ‖² + ‖θ‖²."""
    return z.phi @ z.phi + z.theta @ z.theta


def angular_momentum(z: Players) -> Any:
    """φ∧θ = φθᵀ − θφᵀ (d, d), which is 0 in one dimension."""
    return jnp.outer(z.phi, z.theta) - jnp.outer(z.theta, z.phi)


def slope(z: Players) -> Any:
    """‖φ‖."""
    return norm(z.phi)


def wgan_hamiltonian(z: Players) -> Any:
    """½‖θ‖² − ‖φ‖² ln b, where b is how far θ is from the line of φ; infinite in one dimension."""
    b = norm(angular_momentum(z).ravel()) / jnp.sqrt(2.0) / norm(z.phi)
    return z.theta @ z.theta / 2 - z.phi @ z.phi * jnp.log(b)


CIRCLE = MappingProxyType({"φ∧θ": angular_momentum, "‖φ‖²+‖θ‖²": energy})
SPIN = MappingProxyType({"φ∧θ": angular_momentum})
SLOPE = MappingProxyType({"‖φ‖": slope, "½‖θ‖²−‖φ‖² ln b": wgan_hamiltonian})
NOTHING: Mapping[str, Quantity] = MappingProxyType({})


class Dirac(NamedTuple):
    """A game with what is known of it; `verdicts` are of one dimension and of more."""

    game: Game | Field
    field: Field
    energy_rate: Quantity
    verdicts: tuple[str, str]
    conserved: Mapping[str, Quantity] = NOTHING
    eigenvalues: tuple[complex, complex] | None = None  # each d-fold; None if there is no derivative at 0


def linear(x: Any, phi: Any) -> Any:
    """D(x) = x·φ."""
    return x @ phi


def lipschitz(x: Any, phi: Any) -> Any:
    """D(x) = x·φ / ‖φ‖."""
    return x @ phi / norm(phi)


def spectral(x: Any, phi: Any) -> Any:
    """The linear layer x·φ with its weight divided by its largest singular value."""
    return x @ phi / jnp.linalg.norm(phi[None, :], 2)


def game(
    critic: Callable[[Any, Any], Any],
    climb: Callable[[Any, Any, Any], Any],
    descend: Callable[[Any], Any],
    penalty: Callable[[Any], Any] | None = None,
) -> Game:
    """L₁ = climb(D(0), D(θ), ‖θ − 0‖) − penalty(∇ₓD) and L₂ = descend(D(θ))."""

    def L1(phi: Any, theta: Any, batch: Any) -> Any:
        real = jnp.zeros_like(theta)
        value = climb(critic(real, phi), critic(theta, phi), norm(theta - real))
        return value - penalty(jax.grad(critic)(real, phi)) if penalty else value

    return Game(L1, lambda phi, theta, batch: descend(critic(theta, phi)))


def difference(real: Any, fake: Any, distance: Any) -> Any:
    return real - fake


def cross_entropy(real: Any, fake: Any, distance: Any) -> Any:
    return log_sigmoid(real) + log_sigmoid(-fake)


def friction(strength: float) -> Callable[[Any], Any]:
    """The penalty (c/2) ‖∇ₓD‖², c = `strength`: a field −cφ."""
    return lambda slope: strength / 2 * slope @ slope


def roots(drag: float, frequency: float) -> tuple[complex, complex]:
    """The eigenvalues of ((−drag, −frequency), (frequency, 0))."""
    root = complex(drag**2 / 4 - frequency**2) ** 0.5
    return -drag / 2 + root, -drag / 2 - root


def bilinear() -> Dirac:
    """L₁ = −s = L₂: WGAN without a constraint, and all games without friction near their equilibrium."""

    def field(z: Players, batch: Any = None) -> Players:
        return Players(-z.theta, z.phi)

    return Dirac(
        game(linear, difference, jnp.negative),
        field,
        lambda z: jnp.zeros(()),
        ("orbits", "orbits"),
        CIRCLE,
        roots(0, 1),
    )


def saturating(strength: float = 0.0) -> Dirac:
    """The generator descends log(1 − σ(s)); with R1 of strength γ, the penalty γ/2 ‖∇ₓD‖² on real points."""

    def field(z: Players, batch: Any = None) -> Players:
        fooled = sigmoid(z.theta @ z.phi)
        return Players(-fooled * z.theta - strength * z.phi, fooled * z.phi)

    return Dirac(
        game(linear, cross_entropy, lambda fake: log_sigmoid(-fake), friction(strength)),
        field,
        lambda z: -2 * strength * z.phi @ z.phi,
        ("converges", "converges") if strength else ("orbits", "orbits"),
        NOTHING if strength else CIRCLE,
        roots(strength, 0.5),
    )


def non_saturating(strength: float = 0.0) -> Dirac:
    """The generator descends −log σ(s); with R1 of strength γ."""

    def field(z: Players, batch: Any = None) -> Players:
        fooled = sigmoid(z.theta @ z.phi)
        return Players(-fooled * z.theta - strength * z.phi, (1 - fooled) * z.phi)

    def rate(z: Players) -> Any:
        s = z.theta @ z.phi
        return -2 * s * jnp.tanh(s / 2) - 2 * strength * z.phi @ z.phi

    return Dirac(
        game(linear, cross_entropy, lambda fake: -log_sigmoid(fake), friction(strength)),
        field,
        rate,
        ("converges", "converges" if strength else "orbits"),
        NOTHING if strength else SPIN,
        roots(strength, 0.5),
    )


def wgan(critic: Callable[[Any, Any], Any] = lipschitz) -> Dirac:
    """WGAN of a critic of slope 1, by its norm, or by spectral norm (`spectral`), which is the same here."""

    def field(z: Players, batch: Any = None) -> Players:
        u, length = unit(z.phi), norm(z.phi)
        return Players((-z.theta + (z.theta @ u) * u) / length, u)

    return Dirac(
        game(critic, difference, jnp.negative),
        field,
        lambda z: 2 * z.theta @ unit(z.phi),
        ("diverges", "orbits"),
        SLOPE,
    )


def wgan_gp(strength: float = 0.1, center: float = 1.0) -> Dirac:
    """WGAN with the penalty λ (‖∇ₓD‖ − c)²: c = 1 of WGAN-GP, c = 0 of WGAN-div and of R1 with γ = 2λ.

    With c = 1 both norms end at 1 in two dimensions and more. In one, θ swings between ±a,
    a = 2λ coth(πλ / 2√(1 − λ²)), if λ < 1; from λ = 1 on, it stops at a wrong place, |θ| = 2λ.
    """

    def field(z: Players, batch: Any = None) -> Players:
        return Players(-z.theta - 2 * strength * (z.phi - center * unit(z.phi)), z.phi)

    flat = "converges" if strength >= 1 or center == 0 else "limit cycle"

    def penalty(slope: Any) -> Any:
        return strength * (slope @ slope - 2 * center * norm(slope))  # and a constant; smooth at 0 for c = 0

    return Dirac(
        game(linear, difference, jnp.negative, penalty),
        field,
        lambda z: -4 * strength * norm(z.phi) * (norm(z.phi) - center),
        (flat, "converges" if center == 0 else "limit cycle"),
        eigenvalues=roots(2 * strength, 1) if center == 0 else None,
    )


def gan_qp(strength: float = 1.0, decay: float = 0.0) -> Dirac:
    """GAN-QP, L₁ = −s − s² / (2λ‖θ‖), λ = `strength` (Su 2018); with the weight decay μ/2 ‖φ‖²."""

    def field(z: Players, batch: Any = None) -> Players:
        return Players(-z.theta - (z.theta @ z.phi) / strength * unit(z.theta) - decay * z.phi, z.phi)

    def rate(z: Players) -> Any:
        return -2 * (z.theta @ z.phi) * (unit(z.theta) @ z.phi) / strength - 2 * decay * z.phi @ z.phi

    def climb(real: Any, fake: Any, distance: Any) -> Any:
        return real - fake - (real - fake) ** 2 / (2 * strength * jnp.where(distance > 0, distance, 1))

    return Dirac(
        game(linear, climb, jnp.negative, friction(decay)),
        field,
        rate,
        ("converges", "converges" if decay else "orbits"),
        NOTHING if decay else SPIN,
        roots(decay, 1),
    )


def consensus(strength: float = 0.1) -> Dirac:
    """The bilinear game by consensus optimisation, v − γ ∇ ½‖v‖²."""

    def field(z: Players, batch: Any = None) -> Players:
        return Players(-z.theta - strength * z.phi, z.phi - strength * z.theta)

    return Dirac(
        consensus_field(bilinear().game, strength),
        field,
        lambda z: -2 * strength * energy(z),
        ("converges", "converges"),
        eigenvalues=(-strength + 1j, -strength - 1j),
    )


TABLE: Mapping[str, Dirac] = MappingProxyType(
    {
        "bilinear": bilinear(),
        "saturating": saturating(),
        "non-saturating": non_saturating(),
        "WGAN": wgan(),
        "WGAN, spectral norm": wgan(spectral),
        "WGAN-GP, c = 1": wgan_gp(),
        "WGAN-GP, c = 0": wgan_gp(center=0.0),
        "GAN-QP": gan_qp(),
        "GAN-QP + L2": gan_qp(decay=0.1),
        "saturating + R1": saturating(0.1),
        "non-saturating + R1": non_saturating(0.1),
        "consensus": consensus(),
    }
)
