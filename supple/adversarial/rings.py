"""Mixtures of Gaussians in the plane on which GANs lose modes, 8 on a ring or 25 on a grid; what is lost."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Mixture(NamedTuple):
    """Equal Gaussians at `modes` (k, 2), all of the deviation `sd`."""

    modes: Any
    sd: float

    def sample(self, key: Any, n: int) -> Any:
        """Points (n, 2)."""
        which, where = jax.random.split(key)
        modes = jnp.asarray(self.modes, jnp.float32)
        chosen = modes[jax.random.randint(which, (n,), 0, len(modes))]
        return chosen + self.sd * jax.random.normal(where, (n, 2))


def ring(n: int = 8, radius: float = 2.0, sd: float = 0.02) -> Mixture:
    """n modes on a circle (Metz et al. 2017)."""
    angle = 2 * np.pi * np.arange(n) / n
    return Mixture(radius * np.stack([np.cos(angle), np.sin(angle)], 1), sd)


def grid(side: int = 5, spacing: float = 2.0, sd: float = 0.05) -> Mixture:
    """side × side modes on a square lattice about 0 (Srivastava et al. 2017)."""
    line = spacing * (np.arange(side) - (side - 1) / 2)
    return Mixture(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), sd)


class Coverage(NamedTuple):
    """How many modes have a good sample, the share of good samples, KL(theirs over modes ‖ uniform) in nats.

    A sample is good within three deviations of a mode, as are 98.9% of the mixture's own. The KL is log k if
    no sample is good.
    """

    modes: int
    quality: float
    kl: float


def coverage(mixture: Mixture, samples: Any) -> Coverage:
    """What samples (n, 2) have of a mixture; literature takes n = 2500. ValueError for another shape.

    Samples that are not finite are not good.
    """
    x = np.asarray(samples, "float64")
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise ValueError(f"samples have shape {x.shape}; give points (n, 2), at least one")
    distance = np.linalg.norm(x[:, None] - mixture.modes, axis=-1)  # (n, k)
    good = distance.min(1) <= 3 * mixture.sd  # False for NaN
    counts = np.bincount(distance[good].argmin(1), minlength=len(mixture.modes))
    share = counts[counts > 0] / max(counts.sum(), 1)
    kl = np.log(len(counts)) + float((share * np.log(share)).sum())
    return Coverage(int((counts > 0).sum()), float(good.mean()), float(kl))
