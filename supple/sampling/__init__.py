"""Sampling that gradients go through: distributions, relaxations, estimators of gradients, and their diagnosis."""

from __future__ import annotations

from supple.sampling.estimators import METHODS, Estimate, estimate, surrogate
from supple.sampling.score import Moving

__all__ = [
    "METHODS",
    "Estimate",
    "Moving",
    "estimate",
    "surrogate",
]
