"""Portraits show the flow and the points that they are given; films have their frames and stay small."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from PIL import Image

from supple.adversarial import dirac
from supple.adversarial.games import Players
from supple.adversarial.integrators import averaged, play, rk4
from supple.adversarial.portraits import FAKE, Panel, draw_trajectory, film, phase_portrait
from supple.errors import InputError


@pytest.fixture
def axes():
    return Figure().add_subplot()


def trajectory(d: int) -> Players:
    return play(rk4(dirac.bilinear().field, 0.1), dirac.start(d), 60)


def test_streamlines_run_along_the_flow(axes) -> None:
    phase_portrait(axes, dirac.wgan_gp(0.5, center=0.0).game, reach=2.0)
    lines = axes.collections[0].get_segments()  # of points (θ, φ)
    middle = np.concatenate([(line[1:] + line[:-1]) / 2 for line in lines])
    step = np.concatenate([np.diff(line, axis=0) for line in lines])
    moves = np.abs(step).sum(1) > 0
    (theta, phi), step = middle[moves].T, step[moves]
    flow = np.stack([phi, -theta - phi], 1)
    cosine = (step * flow).sum(1) / np.linalg.norm(step, axis=1) / np.linalg.norm(flow, axis=1)
    assert len(step) > 200 and np.median(cosine) > 0.99
    assert axes.get_xlim() == (-2, 2) and axes.get_xlabel() == "θ"


@pytest.mark.parametrize("d", [1, 2])
def test_a_path_is_that_of_the_fake_point_or_of_both_players(axes, d) -> None:
    x = trajectory(d)
    draw_trajectory(axes, x)
    path = axes.lines[0].get_xydata()
    expected = np.concatenate([x.theta, x.phi], 1) if d == 1 else x.theta
    np.testing.assert_allclose(path, expected)
    assert axes.lines[0].get_color() == FAKE


def test_a_moment_of_a_film(axes) -> None:
    x = trajectory(2)
    panel = Panel(axes, "bilinear", x, averaged(x, 0.9), 0.4)
    panel.at(0.5)
    np.testing.assert_allclose(panel.fake.get_xydata()[0], x.theta[30])
    np.testing.assert_allclose(panel.critic.get_xydata(), [[0, 0], x.phi[30]])
    np.testing.assert_allclose(panel.mean.get_xydata()[0], averaged(x, 0.9).theta[30])


def test_a_film_has_its_frames(tmp_path) -> None:
    path = tmp_path / "film.gif"
    runs = {"one": trajectory(1), "two": trajectory(2)}
    film(path, runs, averages={"two": runs["two"]}, frames=4)
    with Image.open(path) as made:
        assert made.n_frames == 4 and made.size[0] > 1.7 * made.size[1]
    assert path.stat().st_size < 100_000


def test_without_matplotlib_the_mend_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.animation", None)
    with pytest.raises(InputError, match=r"needs matplotlib: pip install 'supple\[plot\]'"):
        film(tmp_path / "film.gif", {"two": trajectory(2)})


def test_a_film_of_nothing_is_told(tmp_path) -> None:
    with pytest.raises(ValueError, match="0 runs in 80 frames; give a run or more, and 2 frames or more"):
        film(tmp_path / "film.gif", {})
