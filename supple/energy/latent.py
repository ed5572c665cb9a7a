"""The latent space of a generator: chains over z on U(G(z)), whose samples are x = G(z).

A generator of latents z ~ N(0, I) and a critic D = −U are one energy of z. With the prior, U(G(z)) + ½‖z‖²,
it weighs again what the generator makes: where U = −log(p / p_G), as the best critic has it, G(z) are samples
of p (Che et al. 2020). Without the prior U alone decides, on the range of G.

    chains = sample(latent_energy(U, G), z, mala(0.1), 200)
    x = G(chains.x)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from supple.energy.objectives import one_each
from supple.training.functional import Functional, functional

Call = Callable[..., tuple[Any, Any]]


def latent_energy(U: Any, generator: Any, prior: bool = True) -> Functional:
    """U(G(z)), plus ½‖z‖² with the prior, of latents z (n, ...): (n,).

    U and G are built Keras models, functions, (function, weights) or Functionals; the weights of
    both are a pair.
    """
    energy, make = functional(U), functional(generator)
    call = composed(energy.call, make.call, prior)
    return Functional(call, (energy.weights, make.weights), (energy.state, make.state))


@lru_cache(maxsize=64)
def composed(energy: Call, make: Call, prior: bool) -> Call:
    def call(weights: Any, state: Any, z: Any, training: bool = False) -> tuple[Any, Any]:
        x, made = make(weights[1], state[1], z, training=training)
        u, judged = energy(weights[0], state[0], x, training=training)
        own = (z**2).reshape(len(z), -1).sum(1) / 2 if prior else 0.0
        return one_each(u, x) + own, (judged, made)

    return call
