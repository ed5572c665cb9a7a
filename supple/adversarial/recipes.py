"""How to train a GAN: every setting, the optimisers and integrators by name, and recipes that are ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import optax

from supple.adversarial import integrators
from supple.adversarial.games import Game
from supple.adversarial.integrators import Integrator
from supple.adversarial.losses import LOSSES, Loss
from supple.adversarial.penalties import PENALTIES, Penalty
from supple.settings import AMOUNT, COUNT, DECAYS, POSITIVE, RATE, SEED, check, one_of, or_a


@dataclass(frozen=True)
class Recipe:
    """All that makes a GAN besides networks and data. ValueError for what is unknown or out of range."""

    loss: str | Loss = "non-saturating"  # a name of `losses.LOSSES`, or one's own
    penalty: str | Penalty = "R1"  # a name of `penalties.PENALTIES`, or one's own
    strength: float = 1.0  # λ of the penalty
    spectral_norm: bool = False  # of the critic
    integrator: str = "alternating"  # a name of `INTEGRATORS`
    adjustment: float = 0.1  # γ of consensus, λ of symplectic gradient adjustment and of ODE-GAN
    critic_steps: int = 1  # for one of the generator, if alternating
    optimizer: str = "adam"  # a name of `OPTIMIZERS`; "RK4" and "ODE-GAN" have none, and one rate
    critic_rate: float = 1e-3
    generator_rate: float = 1e-3
    momentum: float = 0.0  # β₁
    second: float = 0.99  # β₂ of Adam, and the decay of "rmsprop"
    averages: tuple[float, ...] = (0.999,)  # decays of averages of the generator's weights
    latent: int = 64  # normal numbers that the generator takes
    batch: int = 64
    steps: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        check(vars(self), RANGES)
        if len(set(self.averages)) < len(self.averages):
            raise ValueError(f"averages = {self.averages} should be different numbers")
        if self.integrator in ONE_RATE and self.critic_rate != self.generator_rate:
            rates = f"critic_rate = {self.critic_rate} and generator_rate = {self.generator_rate}"
            raise ValueError(f"{self.integrator} takes one step for both, not {rates}; make them equal")


def rule(recipe: Recipe, rate: float) -> optax.GradientTransformation:
    return OPTIMIZERS[recipe.optimizer](recipe, rate)


def rules(recipe: Recipe) -> tuple[Any, Any]:
    return rule(recipe, recipe.critic_rate), rule(recipe, recipe.generator_rate)


OPTIMIZERS: Mapping[str, Callable[[Recipe, float], optax.GradientTransformation]] = MappingProxyType(
    {
        "adam": lambda r, rate: optax.adam(rate, r.momentum, r.second),
        "sgd": lambda r, rate: optax.sgd(rate, r.momentum or None),
        "rmsprop": lambda r, rate: optax.rmsprop(rate, r.second, momentum=r.momentum or None),
    }
)

INTEGRATORS: Mapping[str, Callable[[Game, Recipe], Integrator]] = MappingProxyType(
    {
        "simultaneous": lambda game, r: integrators.simultaneous(game, rules(r)),
        "alternating": lambda game, r: integrators.alternating(game, rules(r), r.critic_steps),
        "extragradient": lambda game, r: integrators.extragradient(game, rules(r)),
        "optimistic": lambda game, r: integrators.optimistic(game, rules(r)),
        "consensus": lambda game, r: integrators.consensus(game, rules(r), r.adjustment),
        "symplectic gradient adjustment": lambda game, r: integrators.symplectic_gradient_adjustment(
            game, rules(r), r.adjustment
        ),
        "RK4": lambda game, r: integrators.rk4(game, r.critic_rate),
        "ODE-GAN": lambda game, r: integrators.ode_gan(game, r.critic_rate, r.adjustment),
    }
)

ONE_RATE = "RK4", "ODE-GAN"

RANGES = {
    "loss": or_a("a losses.Loss", one_of(*LOSSES), lambda loss: isinstance(loss, Loss)),
    "penalty": or_a("a function", one_of(*PENALTIES), callable),
    "integrator": one_of(*INTEGRATORS),
    "optimizer": one_of(*OPTIMIZERS),
    **dict.fromkeys(("critic_steps", "latent", "batch", "steps"), COUNT),
    **dict.fromkeys(("critic_rate", "generator_rate"), POSITIVE),
    **dict.fromkeys(("strength", "adjustment"), AMOUNT),
    **dict.fromkeys(("momentum", "second"), RATE),
    "averages": DECAYS,
    "seed": SEED,
}

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "plane": Recipe(
            strength=0.1,
            critic_rate=3e-3,
            generator_rate=3e-3,
            second=0.9,
            averages=(0.99, 0.999),
            latent=2,
            batch=128,
            steps=20_000,
        ),
        "MNIST": Recipe(
            strength=10.0, critic_rate=2e-3, generator_rate=2e-3, averages=(0.99, 0.999), steps=7_000
        ),
        # For a GPU, with `networks.residual` and the energy of the same name.
        "CIFAR-10": Recipe(
            strength=1.0,
            critic_rate=2e-4,
            generator_rate=2e-4,
            averages=(0.999, 0.9999),
            latent=128,
            batch=128,
            steps=200_000,
        ),
    }
)
