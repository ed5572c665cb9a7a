"""Losses of GANs: one of the critic and one of the generator, functions of scores of real and fake points.

Scores D(x) are arrays (batch,), a loss is one number that its player minimises: in a game of
`supple.adversarial.games` L₁ is the critic's loss negated, and L₂ the generator's. With densities p of real
and q of fake points, and nothing that holds it back, the critic of least loss is

| loss | the best D |
|---|---|
| saturating, non-saturating, `of_divergence` (but total variation) | log p/q |
| relativistic | log p/q, and any constant |
| least squares | p / (p + q) |
| hinge, total variation | the sign of p − q, for the latter times ∞ |
| Wasserstein | none: something has to hold the slope of D down |

GAN-QP (Su 2018) is `wasserstein` with the penalty `quadratic` of `supple.adversarial.penalties`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jax.nn import relu, softplus

from supple.adversarial.divergences import DIVERGENCES, Divergence, bound

Value = Callable[[Any, Any], Any]  # (scores of real points, scores of fake points) -> a number


class Loss(NamedTuple):
    """What the critic and what the generator minimise."""

    critic: Value
    generator: Value


def cross_entropy(real: Any, fake: Any) -> Any:
    """−E log σ(D(real)) − E log(1 − σ(D(fake))) (Goodfellow et al. 2014)."""
    return softplus(-real).mean() + softplus(fake).mean()


saturating = Loss(cross_entropy, lambda real, fake: -softplus(fake).mean())

non_saturating = Loss(cross_entropy, lambda real, fake: softplus(-fake).mean())

# Mao et al. 2017, with the targets 1 and 0.
least_squares = Loss(
    lambda real, fake: ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2,
    lambda real, fake: ((fake - 1) ** 2).mean() / 2,
)

# Lim & Ye 2017.
hinge = Loss(
    lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
    lambda real, fake: -fake.mean(),
)

# Arjovsky et al. 2017.
wasserstein = Loss(
    lambda real, fake: fake.mean() - real.mean(),
    lambda real, fake: -fake.mean(),
)

# Jolicoeur-Martineau 2018: how much more real than a fake one; its players differ in nothing but the side.
relativistic = Loss(
    lambda real, fake: softplus(fake - real).mean(),
    lambda real, fake: softplus(real - fake).mean(),
)


def against_average(real: Any, fake: Any) -> Any:
    """−E log σ(D(real) − E D(fake)) − E log(1 − σ(D(fake) − E D(real)))."""
    return cross_entropy(real - fake.mean(), fake - real.mean())


relativistic_average = Loss(against_average, lambda real, fake: against_average(fake, real))


def of_divergence(divergence: Divergence) -> Loss:
    """The critic raises the divergence's variational bound, the generator lowers it (Nowozin et al. 2016)."""
    return Loss(
        lambda real, fake: -bound(divergence, real, fake),
        lambda real, fake: bound(divergence, real, fake),
    )


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "saturating": saturating,
        "non-saturating": non_saturating,
        "least squares": least_squares,
        "hinge": hinge,
        "relativistic": relativistic,
        "relativistic average": relativistic_average,
        "Wasserstein": wasserstein,
        **{name: of_divergence(divergence) for name, divergence in DIVERGENCES.items()},
    }
)
