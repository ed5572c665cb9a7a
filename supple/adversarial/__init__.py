"""GANs in three stages: samples, distributions, and the dynamics of their training. On JAX."""

from __future__ import annotations

from supple.training import functional

functional.need_jax("supple.adversarial")  # before files that import JAX

from supple.adversarial import dirac, flows, losses, networks, penalties, pictures, portraits  # noqa: E402
from supple.adversarial.divergences import DIVERGENCES, alpha_divergence, bound, estimate  # noqa: E402
from supple.adversarial.games import (  # noqa: E402
    Game,
    Players,
    adjusted_field,
    consensus_field,
    vector_field,
)
from supple.adversarial.integrators import (  # noqa: E402
    Integrator,
    adaptive,
    alternating,
    averaged,
    consensus,
    extragradient,
    ode_gan,
    optimistic,
    play,
    rk4,
    simultaneous,
    symplectic_gradient_adjustment,
)
from supple.adversarial.losses import LOSSES, Loss, of_divergence  # noqa: E402
from supple.adversarial.penalties import PENALTIES, normalised  # noqa: E402
from supple.adversarial.recipes import RECIPES, Recipe  # noqa: E402
from supple.adversarial.rings import Coverage, Mixture, coverage, grid, ring  # noqa: E402
from supple.adversarial.spectrum import jacobian_spectrum  # noqa: E402
from supple.adversarial.steps import Batch, Data, Training, from_array, network_game  # noqa: E402
from supple.adversarial.trainer import (  # noqa: E402
    Trained,
    critic_energy,
    game_at,
    generate,
    generator_weights,
    train,
)
from supple.adversarial.verdict import (  # noqa: E402
    Verdict,
    along,
    drift,
    judge,
    rate_of_change,
    rise,
    verdict,
)

__all__ = [
    "DIVERGENCES",
    "LOSSES",
    "PENALTIES",
    "RECIPES",
    "Batch",
    "Coverage",
    "Data",
    "Game",
    "Integrator",
    "Loss",
    "Mixture",
    "Players",
    "Recipe",
    "Trained",
    "Training",
    "Verdict",
    "adaptive",
    "adjusted_field",
    "along",
    "alpha_divergence",
    "alternating",
    "averaged",
    "bound",
    "consensus",
    "consensus_field",
    "coverage",
    "critic_energy",
    "dirac",
    "drift",
    "estimate",
    "extragradient",
    "flows",
    "from_array",
    "game_at",
    "generate",
    "generator_weights",
    "grid",
    "jacobian_spectrum",
    "judge",
    "losses",
    "network_game",
    "networks",
    "normalised",
    "ode_gan",
    "of_divergence",
    "optimistic",
    "penalties",
    "pictures",
    "play",
    "portraits",
    "rate_of_change",
    "ring",
    "rise",
    "rk4",
    "simultaneous",
    "symplectic_gradient_adjustment",
    "train",
    "vector_field",
    "verdict",
]
