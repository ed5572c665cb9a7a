"""GANs in three stages: samples, distributions, and the dynamics of their training. On JAX."""

from __future__ import annotations

from supple.training import functional

functional.need_jax("supple.adversarial")  # before files that import JAX

from supple.adversarial import dirac, flows, portraits  # noqa: E402
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
from supple.adversarial.spectrum import jacobian_spectrum  # noqa: E402
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
    "Game",
    "Integrator",
    "Players",
    "Verdict",
    "adaptive",
    "adjusted_field",
    "along",
    "alternating",
    "averaged",
    "consensus",
    "consensus_field",
    "dirac",
    "drift",
    "extragradient",
    "flows",
    "jacobian_spectrum",
    "judge",
    "ode_gan",
    "optimistic",
    "play",
    "portraits",
    "rate_of_change",
    "rise",
    "rk4",
    "simultaneous",
    "symplectic_gradient_adjustment",
    "vector_field",
    "verdict",
]
