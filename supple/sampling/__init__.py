"""Sampling that gradients go through: distributions, relaxations, estimators of gradients, and their diagnosis."""

from __future__ import annotations

__all__: list[str] = []
