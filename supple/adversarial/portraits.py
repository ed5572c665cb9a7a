"""Pictures of games whose players are points: phase portraits, trajectories, and films of them.

In one dimension the plane is that of θ and φ. From two on it is that of the points, by their first two
coordinates: the real point at 0, the fake point θ with its path, the critic's slope φ as a stick. Axes are
those of matplotlib: `pip install 'supple[plot]'`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from supple.adversarial.games import Field, Game, Players, vector_field
from supple.errors import InputError

REAL, FAKE, CRITIC, FLOW = "#2f855a", "#c05621", "#2b6cb0", "#cbd5e0"
TAIL = 0.3  # of a film: how much of the path so far is drawn


def phase_portrait(axes: Any, game: Game | Field, reach: float = 1.0, lines: float = 0.5) -> None:
    """Streamlines of a game of two numbers, θ to the right and φ upwards, from −reach to reach."""
    grid = np.linspace(-reach, reach, 32)  # an even number misses 0, where some fields have no direction
    theta, phi = np.meshgrid(grid, grid)
    points = Players(phi.reshape(-1, 1), theta.reshape(-1, 1))
    v = jax.vmap(lambda x: vector_field(game, x))(points)
    speeds = (np.asarray(part).reshape(theta.shape) for part in (v.theta, v.phi))
    axes.streamplot(grid, grid, *speeds, color=FLOW, density=lines, linewidth=0.7, arrowsize=0.7)
    axes.axhline(0, color="#a0aec0", linewidth=0.5)
    axes.axvline(0, color="#a0aec0", linewidth=0.5)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="θ", ylabel="φ")


def draw_trajectory(axes: Any, trajectory: Players) -> None:
    """The path of the two players (T, 1) in their plane, or of the fake point (T, d) round the real one."""
    x, y = plane(trajectory)
    axes.plot(x, y, color=FAKE, linewidth=0.8)
    axes.plot(x[0], y[0], "o", color=FAKE, markersize=4, markerfacecolor="white")
    axes.plot(x[-1], y[-1], "o", color=FAKE, markersize=4)
    axes.plot(0, 0, "+", color=REAL, markersize=8, markeredgewidth=1.5)
    axes.set_aspect("equal")


def film(
    path: str | os.PathLike[str],
    runs: Mapping[str, Players],
    *,
    games: Mapping[str, Game | Field] | None = None,
    averages: Mapping[str, Players] | None = None,
    frames: int = 80,
    fps: int = 16,
) -> None:
    """A GIF of trajectories side by side, all from their first point to their last in the same frames.

    `games` draws the flow below those of one dimension, `averages` a second point, hollow, say of `averaged`.
    ValueError for no runs, or fewer than 2 frames; InputError if matplotlib is not installed.
    """
    if not runs or frames < 2:
        raise ValueError(f"{len(runs)} runs in {frames} frames; give a run or more, and 2 frames or more")
    try:
        from matplotlib.animation import FuncAnimation, PillowWriter
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("needs matplotlib: pip install 'supple[plot]'", path=path) from None
    figure = Figure(figsize=(2.7 * len(runs), 2.9), dpi=72, layout="constrained")
    panels = []
    for axes, (name, trajectory) in zip(
        figure.subplots(1, len(runs), squeeze=False)[0], runs.items(), strict=True
    ):
        reach = 1.08 * max(np.abs(part).max() for part in trajectory)
        if games and name in games:
            phase_portrait(axes, games[name], reach)
        panels.append(Panel(axes, name, trajectory, (averages or {}).get(name), reach))

    def draw(frame: int) -> list[Any]:
        return [artist for panel in panels for artist in panel.at(frame / (frames - 1))]

    figure.canvas.draw()
    figure.set_layout_engine("none")  # once is enough
    made = FuncAnimation(figure, draw, frames, blit=False)
    made.save(os.fspath(path), PillowWriter(fps))


class Panel:
    """One trajectory of a film."""

    def __init__(self, axes: Any, name: str, trajectory: Players, average: Players | None, reach: float):
        self.trajectory, self.average = trajectory, average
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.plot(0, 0, "+", color=REAL, markersize=9, markeredgewidth=2)
        (self.path,) = axes.plot([], [], color=FAKE, linewidth=1)
        (self.fake,) = axes.plot([], [], "o", color=FAKE, markersize=6)
        (self.mean,) = axes.plot([], [], "o", color=FAKE, markersize=6, markerfacecolor="white")
        (self.critic,) = axes.plot([], [], "o-", color=CRITIC, linewidth=1.5, markersize=3, markevery=[-1])

    def at(self, share: float) -> list[Any]:
        """The artists of the moment after that share of the time."""
        last = round(share * (len(self.trajectory.theta) - 1))
        x, y = plane(self.trajectory)
        first = round((1 - TAIL) * last) if last > 50 else 0
        self.path.set_data(x[first : last + 1], y[first : last + 1])
        self.fake.set_data(x[last : last + 1], y[last : last + 1])
        if self.trajectory.theta.shape[1] > 1:
            self.critic.set_data(*np.stack([np.zeros(2), self.trajectory.phi[last][:2]], 1))
        if self.average is not None:
            x, y = plane(self.average)
            self.mean.set_data(x[last : last + 1], y[last : last + 1])
        return [self.path, self.fake, self.mean, self.critic]


def plane(trajectory: Players) -> tuple[np.ndarray, np.ndarray]:
    """What is drawn of a trajectory: (θ, φ) in one dimension, the first two coordinates of θ from two on."""
    theta, phi = np.asarray(trajectory.theta), np.asarray(trajectory.phi)
    return (theta[:, 0], phi[:, 0]) if theta.shape[1] == 1 else (theta[:, 0], theta[:, 1])
