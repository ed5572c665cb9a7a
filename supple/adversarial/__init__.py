"""GANs in three stages: samples, distributions, and the dynamics of their training. On JAX."""

from __future__ import annotations

from supple.adversarial.games import Game, Players, vector_field

__all__ = ["Game", "Players", "vector_field"]
