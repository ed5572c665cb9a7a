"""Random numbers of chains: a function of seed, step, chain and coordinate, whatever is computed together.

Threefry (Salmon et al. 2011) of a step's key at the counter (chain, coordinate). Keys a chain, as
`jax.vmap(jax.random.normal)` takes them, would give the same freedom at three times the price.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.random import threefry_2x32


def words(key: Any, chains: Any, counters: Any) -> Any:
    """Random 32-bit words (2, n, m) for the numbers of chains (n,) and counters (m,)."""
    counts = jnp.stack(jnp.meshgrid(chains.astype("uint32"), counters.astype("uint32"), indexing="ij"))
    return threefry_2x32(jax.random.key_data(key)[:2], counts)


def unit(words: Any) -> Any:
    """Words as float32 numbers between 0 and 1, neither of them, symmetric about a half."""
    return ((words >> 9).astype("float32") + 0.5) * 2.0**-23


def normal(key: Any, chains: Any, shape: tuple[int, ...]) -> Any:
    """Noise (n, *shape) ~ N(0, I) of a step for the chains with these numbers (n,); float32, up to 5.3."""
    size = math.prod(shape)
    pairs = words(key, chains, jnp.arange(-(-size // 2)))
    flat = jnp.concatenate(list(pairs), 1)[:, :size]
    return math.sqrt(2) * jax.lax.erf_inv(2 * unit(flat) - 1).reshape(-1, *shape)


def uniform(key: Any, chains: Any) -> Any:
    """A number (n,) between 0 and 1 for each chain, independent of `normal`."""
    return unit(words(key, chains, jnp.array([2**32 - 1], "uint32")))[0, :, 0]
