"""Sampling that gradients go through: distributions, relaxations, estimators, and their diagnosis."""

from __future__ import annotations

from supple.sampling import schedules
from supple.sampling.concrete import RelaxedBernoulli, RelaxedCategorical, kl_relaxed
from supple.sampling.continuous import Cauchy, Exponential, Gumbel, Laplace, Logistic, LogNormal, Uniform
from supple.sampling.diagnose import Diagnosis, diagnose
from supple.sampling.distributions import Bernoulli, Categorical, Distribution, Normal
from supple.sampling.estimators import METHODS, Estimate, estimate, surrogate
from supple.sampling.gamma import Beta, Dirichlet, Gamma, StudentT
from supple.sampling.mixture import Mixture
from supple.sampling.relaxed import (
    conditional_gumbels,
    gumbel,
    gumbel_max,
    gumbel_sinkhorn,
    gumbel_softmax,
    order_log_prob,
    straight_through,
    top_k_order,
    top_k_sample,
)
from supple.sampling.schedules import TemperatureSchedule
from supple.sampling.score import Moving
from supple.sampling.von_mises import VonMises

__all__ = [
    "METHODS",
    "Bernoulli",
    "Beta",
    "Categorical",
    "Cauchy",
    "Diagnosis",
    "Dirichlet",
    "Distribution",
    "Estimate",
    "Exponential",
    "Gamma",
    "Gumbel",
    "Laplace",
    "LogNormal",
    "Logistic",
    "Mixture",
    "Moving",
    "Normal",
    "RelaxedBernoulli",
    "RelaxedCategorical",
    "StudentT",
    "TemperatureSchedule",
    "Uniform",
    "VonMises",
    "conditional_gumbels",
    "diagnose",
    "estimate",
    "gumbel",
    "gumbel_max",
    "gumbel_sinkhorn",
    "gumbel_softmax",
    "kl_relaxed",
    "order_log_prob",
    "schedules",
    "straight_through",
    "surrogate",
    "top_k_order",
    "top_k_sample",
]
