"""ON-LSTM: hierarchy in the order of neurons, its language model, and the trees it learns (Shen et al. 2019)."""

from __future__ import annotations

__all__: list[str] = []
