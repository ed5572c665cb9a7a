"""Pictures of energies in the plane: their landscapes, chains on them, and films of chains.

Axes are those of matplotlib: `pip install 'supple[plot]'`.
"""

from __future__ import annotations

import os
from typing import Any

import jax.numpy as jnp
import numpy as np

from supple.errors import InputError
from supple.training.functional import functional

Box = tuple[float, float, float, float]  # left, right, bottom, top
GROUND, CHAIN = "Blues", "#c05621"
SHADES = np.linspace(0.03, 0.72, 10)  # of GROUND, light enough for chains to be seen on all of them


def landscape(axes: Any, U: Any, box: Box, points: int = 160, temperature: float = 1.0) -> None:
    """The density e^{−U/T}, a share of its highest value in the box, as a ground of ten shades."""
    from matplotlib import colormaps

    x, y = (np.linspace(low, high, points) for low, high in (box[:2], box[2:]))
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    call, weights, state = functional(U)
    u = np.asarray(call(weights, state, jnp.asarray(grid, jnp.result_type(float)))[0], "float64")
    p = np.exp((u.min() - u) / temperature).reshape(points, points)
    axes.contourf(x, y, p, levels=np.linspace(0, 1, 11), colors=colormaps[GROUND](SHADES), zorder=0)
    axes.set(xlim=box[:2], ylim=box[2:], aspect="equal", xticks=[], yticks=[])


def dots(axes: Any, x: Any, size: float = 2.0) -> None:
    """Points (n, 2)."""
    x = np.asarray(x)
    axes.plot(x[:, 0], x[:, 1], ".", color=CHAIN, markersize=size, markeredgewidth=0, alpha=0.7)


def paths(axes: Any, kept: Any) -> None:
    """Chains (n, draws, 2) as lines, a hollow dot where each begins and a full one where it ends."""
    for path in np.asarray(kept):
        axes.plot(*path.T, color=CHAIN, linewidth=0.6, alpha=0.8)
        axes.plot(*path[0], "o", color=CHAIN, markersize=4, markerfacecolor="white")
        axes.plot(*path[-1], "o", color=CHAIN, markersize=4)


def film(
    path: str | os.PathLike[str],
    runs: dict[str, tuple[Any, Any]],
    box: Box,
    *,
    tail: int = 8,
    fps: int = 12,
    every: int = 1,
) -> None:
    """A GIF of runs side by side, by name (U, kept chains (n, draws, 2)), with a bar of the draws so far.

    Each chain is a dot with a tail of its last draws; a draw stands for `every` steps. InputError if
    matplotlib is not installed; ValueError unless all runs have as many draws.
    """
    kept = {name: np.asarray(chains) for name, (_, chains) in runs.items()}
    lengths = {chains.shape[1] for chains in kept.values()}
    if len(lengths) != 1:
        raise ValueError(f"runs have {sorted(lengths)} draws; give as many of each")
    draws = lengths.pop()
    try:
        from matplotlib.animation import FuncAnimation, PillowWriter
        from matplotlib.collections import LineCollection
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("needs matplotlib: pip install 'supple[plot]'", path=path) from None
    figure = Figure(figsize=(2.6 * len(runs), 3.0), layout="constrained")
    moving = []
    for axes, (name, (U, _)) in zip(
        figure.subplots(1, len(runs), squeeze=False)[0], runs.items(), strict=True
    ):
        landscape(axes, U, box)
        axes.set_title(name, fontsize=10)
        lines = axes.add_collection(LineCollection([], colors=CHAIN, linewidths=0.5))
        (points,) = axes.plot([], [], ".", color=CHAIN, markersize=4, markeredgewidth=0)
        (bar,) = axes.plot([], [], color="#2d3748", linewidth=3, solid_capstyle="butt", clip_on=False)
        steps = axes.text(0.5, -0.04, "", transform=axes.transAxes, ha="center", va="top", fontsize=8)
        moving.append((kept[name], lines, points, bar, steps))

    def frame(t: int) -> None:
        for chains, lines, points, bar, steps in moving:
            lines.set_segments(chains[:, max(0, t - tail) : t + 1])
            points.set_data(*chains[:, t].T)
            bar.set_data([box[0], box[0] + (box[1] - box[0]) * (t + 1) / draws], [box[2], box[2]])
            steps.set_text(f"step {(t + 1) * every}")

    FuncAnimation(figure, frame, draws).save(os.fspath(path), PillowWriter(fps), dpi=64)
