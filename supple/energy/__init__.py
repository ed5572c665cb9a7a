"""Energies U of densities e^{−U(x)}/Z: samplers, training by them, and what is done with them. On JAX."""

from __future__ import annotations

from supple.energy.evaluate import auroc, effective_sample_size, frechet_distance, r_hat

__all__ = ["auroc", "effective_sample_size", "frechet_distance", "r_hat"]
