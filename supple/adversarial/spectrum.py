"""Eigenvalues of the Jacobian of a game's flow: what happens near a point, and how small steps must be.

Of J = ∂v/∂(φ, θ), eigenvalues with negative real part contract, imaginary parts rotate. A plain step h stays
within the contraction if |1 + hμ| < 1 for all eigenvalues μ: rotation that is fast for its contraction takes
steps below −2 Re μ / |μ|² (Mescheder et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from supple.adversarial.games import Field, Game, vector_field

Part = Literal["whole", "symmetric", "antisymmetric"]


def jacobian_spectrum(
    game: Game | Field,
    x: Any,
    batch: Any = None,
    *,
    k: int | None = None,
    which: str = "LR",
    part: Part = "whole",
    seed: int = 0,
) -> np.ndarray:
    """Eigenvalues of J at x, largest real part first: all of a toy's, or `k` of a network's.

    With `k` they come from products alone, Jv by JVP and Jᵀv by VJP, through ARPACK's Arnoldi iteration;
    `which` is as of `scipy.sparse.linalg.eigs`: "LR" of the largest real part, "LI" imaginary part, "LM"
    modulus. The symmetric `part` (J + Jᵀ)/2 tells how fast distances grow at once, the antisymmetric one
    (J − Jᵀ)/2 how fast the flow rotates. ValueError if k is too large to iterate, or for another `part`.
    """
    if part not in get_args(Part):
        raise ValueError(f"part = {part!r} should be one of {', '.join(get_args(Part))}")
    flat, back = ravel_pytree(x)

    def flow(flat: Any) -> Any:
        return ravel_pytree(vector_field(game, back(flat), batch))[0]

    @jax.jit
    def product(u: Any) -> Any:
        pushed = jax.jvp(flow, (flat,), (u,))[1]
        if part == "whole":
            return pushed
        pulled = jax.vjp(flow, flat)[1](u)[0]
        return (pushed + pulled) / 2 if part == "symmetric" else (pushed - pulled) / 2

    if k is None:
        values = np.linalg.eigvals(np.asarray(jax.lax.map(product, jnp.eye(flat.size, dtype=flat.dtype))).T)
    elif 0 < k < flat.size - 1:
        values = arnoldi(product, flat, k, which, seed)
    else:
        raise ValueError(f"k = {k} should be from 1 to {flat.size - 2}, two below the {flat.size} weights")
    return values[np.lexsort((-values.imag, -values.real))]


def arnoldi(product: Callable[[Any], Any], like: Any, k: int, which: str, seed: int) -> np.ndarray:
    """k eigenvalues of the matrix of `product`, which takes vectors like `like`."""
    from scipy.sparse.linalg import LinearOperator, eigs

    def matvec(u: np.ndarray) -> np.ndarray:
        return np.asarray(product(jnp.asarray(u.ravel(), like.dtype)))

    operator = LinearOperator((like.size, like.size), matvec, dtype=like.dtype)
    start = np.random.default_rng(seed).normal(size=like.size).astype(like.dtype)
    return eigs(operator, k, which=which, v0=start, return_eigenvectors=False)
