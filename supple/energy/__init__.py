"""Energies U of densities e^{−U(x)}/Z: samplers, training by them, and what is done with them. On JAX."""

from __future__ import annotations

from supple.training import functional

functional.need_jax("supple.energy")  # before files that import JAX

from supple.energy.chains import Chains, run, sample  # noqa: E402
from supple.energy.evaluate import auroc, effective_sample_size, frechet_distance, r_hat  # noqa: E402
from supple.energy.metropolis import hmc, mala  # noqa: E402
from supple.energy.samplers import effective_temperature, report, ula  # noqa: E402

__all__ = [
    "Chains",
    "auroc",
    "effective_sample_size",
    "effective_temperature",
    "frechet_distance",
    "hmc",
    "mala",
    "r_hat",
    "report",
    "run",
    "sample",
    "ula",
]
