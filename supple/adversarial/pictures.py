"""Pictures of samples in the plane beside their mixture, still and as a film of training.

Sheets and films of images are in `supple.energy`. They need matplotlib, of `supple[plot]`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from supple.adversarial.rings import Mixture

REAL, FAKE = "#2f855a", "#c05621"


def scatter(axes: Any, mixture: Mixture, samples: Any, title: str = "") -> Any:
    """Samples (n, 2) over rings about the modes; what matplotlib drew of the samples."""
    modes = np.asarray(mixture.modes)
    reach = 1.3 * float(np.abs(modes).max())
    axes.plot(*modes.T, "o", color=REAL, markersize=7, markerfacecolor="none", markeredgewidth=0.7)
    (points,) = axes.plot(*np.asarray(samples).T, ".", color=FAKE, markersize=1.5, alpha=0.5)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize=8)
    axes.spines[:].set_visible(False)
    return points


def film(
    path: str | os.PathLike[str], mixture: Mixture, frames: dict[str, Any], every: int, rate: int = 10
) -> None:
    """Write a GIF of samples (times, n, 2) by name, side by side; `every` steps between two pictures."""
    from matplotlib.animation import PillowWriter
    from matplotlib.figure import Figure

    times = min(map(len, frames.values()))
    figure = Figure((2.6 * len(frames), 2.9), dpi=72, layout="constrained")
    axes = figure.subplots(1, len(frames), squeeze=False)[0]
    drawn = [scatter(axis, mixture, x[0], name) for axis, (name, x) in zip(axes, frames.items(), strict=True)]
    clock = figure.supxlabel("step 0", fontsize=8)
    writer = PillowWriter(fps=rate)
    with writer.saving(figure, os.fspath(path), dpi=72):
        for t in [*range(times), *[times - 1] * (2 * rate)]:
            for points, x in zip(drawn, frames.values(), strict=True):
                points.set_data(*np.asarray(x[t]).T)
            clock.set_text(f"step {(t + 1) * every:,}")
            writer.grab_frame()
