"""Energies U of densities e^{−U(x)}/Z: samplers, training by them, and what is done with them. On JAX."""

from __future__ import annotations

from supple.training import functional

functional.need_jax("supple.energy")  # before files that import JAX

from supple.energy.anatomy import Anatomy, anatomy_of, memory  # noqa: E402
from supple.energy.buffer import Buffer, draw, new_buffer, put, uniform_start  # noqa: E402
from supple.energy.chains import Chains, run, sample  # noqa: E402
from supple.energy.convolution import Conv2D, convolve  # noqa: E402
from supple.energy.evaluate import (  # noqa: E402
    auroc,
    autocorrelation,
    effective_sample_size,
    frechet_distance,
    gaussian_frechet,
    r_hat,
)
from supple.energy.features import Features, train_features  # noqa: E402
from supple.energy.jem import class_probabilities, energy_of  # noqa: E402
from supple.energy.latent import latent_energy  # noqa: E402
from supple.energy.metropolis import hmc, mala  # noqa: E402
from supple.energy.normaliser import Bracket, log_z_bracket  # noqa: E402
from supple.energy.recipes import Recipe  # noqa: E402
from supple.energy.samplers import effective_temperature, report, ula  # noqa: E402
from supple.energy.tasks import (  # noqa: E402
    denoise,
    denoise_at_once,
    energies_at,
    generate,
    given,
    in_turn,
    inpaint,
    mixture,
    observed,
    product,
)
from supple.energy.trainer import Run, fit  # noqa: E402

__all__ = [
    "Anatomy",
    "Bracket",
    "Buffer",
    "Chains",
    "Conv2D",
    "Features",
    "Recipe",
    "Run",
    "anatomy_of",
    "auroc",
    "autocorrelation",
    "class_probabilities",
    "convolve",
    "denoise",
    "denoise_at_once",
    "draw",
    "effective_sample_size",
    "effective_temperature",
    "energies_at",
    "energy_of",
    "fit",
    "frechet_distance",
    "gaussian_frechet",
    "generate",
    "given",
    "hmc",
    "in_turn",
    "inpaint",
    "latent_energy",
    "log_z_bracket",
    "mala",
    "memory",
    "mixture",
    "new_buffer",
    "observed",
    "product",
    "put",
    "r_hat",
    "report",
    "run",
    "sample",
    "train_features",
    "ula",
    "uniform_start",
]
