"""Sheets and films hold what they were given, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from supple.energy.pictures_images import save_film, save_sheet, sheet

X = np.random.default_rng(0).random((5, 4, 3, 1))


def test_a_sheet_has_every_image_in_its_place() -> None:
    pixels = sheet(X, columns=2, gap=1, scale=2)
    assert pixels.shape == (3 * 9 + 1, 2 * 7 + 1, 3)
    for i in range(5):
        part = pixels[(i // 2) * 9 + 1 :][:8, (i % 2) * 7 + 1 :][:, :6]
        ink = np.rint(255 * (1 - X[i])).astype(int)
        np.testing.assert_array_equal(part[::2, ::2], ink.repeat(3, -1))
        np.testing.assert_array_equal(part[1::2, 1::2], ink.repeat(3, -1))
    assert (pixels[18:, 8:] == 255).all()  # no sixth image
    colours = np.random.default_rng(1).random((1, 4, 3, 3))
    np.testing.assert_array_equal(sheet(colours, gap=1, scale=1)[1:5, 1:4], np.rint(255 * colours[0]))


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"images have shape \(4, 3, 1\); give \(n, height, width, 1 or 3\)"):
        sheet(X[0])


def test_files_are_written(tmp_path: Path) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    save_sheet(tmp_path / "sheet.png", X)
    np.testing.assert_array_equal(np.rint(255 * plt.imread(tmp_path / "sheet.png")[..., :3]), sheet(X))
    save_film(
        tmp_path / "film.gif", X[:, None].repeat(3, 1) * np.linspace(0, 1, 3)[:, None, None, None], rate=4
    )
    image = plt.imread(tmp_path / "film.gif")
    assert (tmp_path / "film.gif").read_bytes()[:4] == b"GIF8" and image.ndim >= 2
