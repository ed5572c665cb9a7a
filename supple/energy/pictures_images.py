"""Pictures of images: sheets of samples, films of chains. They need matplotlib, of `supple[plot]`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


def sheet(images: Any, columns: int = 10, gap: int = 2, scale: int = 2) -> np.ndarray:
    """Images (n, height, width, channels) in [0, 1] side by side, row by row, on white: uint8 pixels.

    Each pixel is `scale` wide; one channel is ink on paper, 1 black. ValueError for other shapes.
    """
    x = np.asarray(images, "float64")
    if x.ndim != 4 or x.shape[-1] not in (1, 3) or not len(x):
        raise ValueError(f"images have shape {x.shape}; give (n, height, width, 1 or 3), n above 0")
    x = 1 - x if x.shape[-1] == 1 else x
    x = x.repeat(scale, 1).repeat(scale, 2)
    height, width = x.shape[1] + gap, x.shape[2] + gap
    rows = -(-len(x) // columns)
    paper = np.ones((rows * height + gap, columns * width + gap, 3))
    for i, image in enumerate(x):
        top, left = (i // columns) * height + gap, (i % columns) * width + gap
        paper[top : top + height - gap, left : left + width - gap] = image
    return np.rint(255 * np.clip(paper, 0, 1)).astype(np.uint8)


def save_sheet(path: str | os.PathLike[str], images: Any, columns: int = 10, scale: int = 2) -> None:
    """Write a sheet of images, as .png."""
    from matplotlib.image import imsave

    imsave(path, sheet(images, columns, scale=scale))


def save_film(
    path: str | os.PathLike[str], frames: Any, columns: int = 10, scale: int = 2, rate: int = 12
) -> None:
    """Write a film of chains, .gif, frames (chains, times, height, width, channels), `rate` a second.

    Below the sheet a bar tells how far the chains have come; the last picture stays for two seconds.
    """
    from matplotlib.animation import PillowWriter
    from matplotlib.figure import Figure

    frames = np.asarray(frames)
    total = frames.shape[1]
    sheets = [with_bar(sheet(frames[:, t], columns, scale=scale), (t + 1) / total) for t in range(total)]
    height, width, _ = sheets[0].shape
    figure = Figure((width / 100, height / 100), dpi=100)
    image = figure.figimage(sheets[0])
    writer = PillowWriter(fps=rate)
    with writer.saving(figure, os.fspath(path), dpi=100):
        for pixels in [*sheets, *[sheets[-1]] * (2 * rate)]:
            image.set_data(pixels)
            writer.grab_frame()


def with_bar(pixels: np.ndarray, share: float, height: int = 4) -> np.ndarray:
    bar = np.full((height, *pixels.shape[1:]), 225, np.uint8)
    bar[:, : round(pixels.shape[1] * share)] = (8, 48, 107)
    return np.concatenate([pixels, bar])
