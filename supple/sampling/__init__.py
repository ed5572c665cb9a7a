"""Sampling that gradients go through: distributions, relaxations, estimators, and their diagnosis."""

from __future__ import annotations

from supple.sampling import schedules
from supple.sampling.concrete import RelaxedBernoulli, RelaxedCategorical, kl_relaxed
from supple.sampling.diagnose import Diagnosis, diagnose
from supple.sampling.estimators import METHODS, Estimate, estimate, surrogate
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

__all__ = [
    "METHODS",
    "Diagnosis",
    "Estimate",
    "Moving",
    "RelaxedBernoulli",
    "RelaxedCategorical",
    "TemperatureSchedule",
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
