"""Pictures of energies in the plane hold what they are given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from supple.energy import pictures
from supple.energy.targets import gaussian

TARGET = gaussian([1, -1], [[0.3, 0], [0, 0.3]])
BOX = (-3.0, 3.0, -3.0, 3.0)


def test_the_landscape_is_darkest_at_the_mode() -> None:
    figure = Figure(figsize=(3, 3), dpi=60)
    axes = figure.add_axes((0, 0, 1, 1))
    pictures.landscape(axes, TARGET.U, BOX)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shade = np.asarray(canvas.buffer_rgba())[..., :3].astype(int).sum(-1)[5:-5, 5:-5]
    row, column = np.argwhere(shade == shade.min()).mean(0)
    assert column / shade.shape[1] == pytest.approx(4 / 6, abs=0.03)
    assert row / shade.shape[0] == pytest.approx(4 / 6, abs=0.03)


def test_dots_and_paths_are_the_points() -> None:
    axes = Figure().subplots()
    kept = np.arange(12.0).reshape(2, 3, 2)
    pictures.dots(axes, kept[:, -1])
    pictures.paths(axes, kept)
    drawn = [line.get_xydata() for line in axes.lines]
    assert (drawn[0] == kept[:, -1]).all()
    assert (drawn[1] == kept[0]).all()
    assert (drawn[2] == kept[0, :1]).all()
    assert (drawn[3] == kept[0, -1:]).all()


def test_a_film_has_a_frame_a_draw(tmp_path) -> None:
    kept = np.cumsum(np.random.default_rng(0).normal(size=(4, 3, 2)), 1)
    pictures.film(tmp_path / "a.gif", {"one": (TARGET.U, kept), "two": (TARGET.U, kept / 2)}, BOX, every=5)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 3


def test_runs_of_a_film_are_as_long(tmp_path) -> None:
    runs = {"a": (TARGET.U, np.zeros((2, 3, 2))), "b": (TARGET.U, np.zeros((2, 4, 2)))}
    with pytest.raises(ValueError, match=r"runs have \[3, 4\] draws; give as many of each"):
        pictures.film(tmp_path / "a.gif", runs, BOX)
