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
from supple.adversarial.losses import LOSSES
from supple.adversarial.penalties import PENALTIES


@dataclass(frozen=True)
class Recipe:
    """All that makes a GAN besides networks and data. ValueError for what is unknown or out of range."""

    loss: str = "non-saturating"  # a name of `losses.LOSSES`
    penalty: str = "R1"  # a name of `penalties.PENALTIES`
    strength: float = 1.0  # λ of the penalty
    spectral_norm: bool = False  # of the critic
    integrator: str = "alternating"  # a name of `INTEGRATORS`
    adjustment: float = 0.1  # γ of consensus, λ of symplectic gradient adjustment and of ODE-GAN
    critic_steps: int = 1  # for one of the generator, if alternating
    optimizer: str = "adam"  # a name of `OPTIMIZERS`; "rk4" and "ODE-GAN" have none
    critic_rate: float = 1e-3
    generator_rate: float = 1e-3
    momentum: float = 0.0  # β₁
    second: float = 0.99  # β₂ of Adam
    averages: tuple[float, ...] = (0.999,)  # decays of averages of the generator's weights
    latent: int = 64  # normal numbers that the generator takes
    batch: int = 64
    steps: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        names = {"loss": LOSSES, "penalty": PENALTIES, "integrator": INTEGRATORS, "optimizer": OPTIMIZERS}
        for name, known in names.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} = {getattr(self, name)!r} should be one of {', '.join(known)}")
        for name in "critic_steps", "latent", "batch", "steps":
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} should be 1 or more")
        for name in "critic_rate", "generator_rate":
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} = {getattr(self, name)} should be a number above 0")
        for name in "strength", "adjustment":
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} = {getattr(self, name)} should be a number, 0 or more")
        decays = self.averages
        if not all(0 <= decay < 1 for decay in (self.momentum, self.second, *decays)):
            found = f"momentum = {self.momentum}, second = {self.second}, averages = {decays}"
            raise ValueError(f"{found} should be from 0 to below 1")
        if len(set(decays)) < len(decays):
            raise ValueError(f"averages = {decays} should be different numbers")


def rule(recipe: Recipe, rate: float) -> optax.GradientTransformation:
    return OPTIMIZERS[recipe.optimizer](recipe, rate)


def rules(recipe: Recipe) -> tuple[Any, Any]:
    return rule(recipe, recipe.critic_rate), rule(recipe, recipe.generator_rate)


OPTIMIZERS: Mapping[str, Callable[[Recipe, float], optax.GradientTransformation]] = MappingProxyType(
    {
        "adam": lambda r, rate: optax.adam(rate, r.momentum, r.second),
        "sgd": lambda r, rate: optax.sgd(rate, r.momentum or None),
        "rmsprop": lambda r, rate: optax.rmsprop(rate, r.second),
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
        "MNIST": Recipe(strength=2.0, averages=(0.99, 0.999), steps=5_000),
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
