"""Pictures hold every word and every edge, and no word lies on another, whatever its script."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from supple.errors import InputError
from supple.ordered.decoders import decode
from supple.ordered.pictures import CELL, Picture, colour, level_picture, tree_picture, tree_text
from supple.ordered.trees import Tree, fold

SVG = "{http://www.w3.org/2000/svg}"
WORDS = ["爱", "真的", "需要", "勇气"]
TREE = (0, (1, (2, 3)))
NO_FONT = "\U00010fff"  # no character


def nodes(tree: Tree) -> int:
    return fold(tree, lambda leaf: 1, lambda parts: 1 + sum(parts))


def elements(picture: Picture, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(picture.svg()).iter(SVG + tag))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.data())
def test_every_word_and_every_edge_is_drawn(levels: list[int], data: st.DataObject) -> None:
    tree = decode(levels)
    words = data.draw(st.lists(st.text(min_size=1), min_size=len(levels), max_size=len(levels)))
    picture = tree_picture(tree, words)
    assert [element.text for element in elements(picture, "text")] == [
        "".join(c if c.isprintable() else "\ufffd" for c in word) for word in words
    ]
    assert len(elements(picture, "polyline")) == nodes(tree) - 1


def test_edges_hang_words_from_their_nodes() -> None:
    """((a b) c): the words at the bottom, a node half way between its parts, the root at the top."""
    (x, y, *_), *_ = texts = tree_picture(((0, 1), 2), ["a", "b", "c"]).texts
    a, b, c = (text[0] for text in texts)
    lines = tree_picture(((0, 1), 2), ["a", "b", "c"]).lines
    ends = {(line[0], line[-1]) for line in lines}
    tops = sorted({line[0][1] for line in lines})
    inner = (a + b) / 2
    root, node = ((inner + c) / 2, tops[0]), (inner, tops[1])
    bottom = max(line[-1][1] for line in lines)
    assert tops[0] < tops[1] < bottom < y and x == a
    assert ends == {(root, node), (node, (a, bottom)), (node, (b, bottom)), (root, (c, bottom))}
    assert all(line[1] == (line[-1][0], line[0][1]) for line in lines)  # a corner


def test_wide_characters_take_two_cells() -> None:
    """A Chinese word of two characters is as wide as four Latin letters, and no word touches the next."""
    picture = tree_picture(TREE, WORDS)
    assert picture.width == sum(cell_len(word) + 2 for word in WORDS) * CELL == 22 * CELL
    assert picture.width == tree_picture(TREE, ["lo", "real", "need", "grit"]).width
    edges = [
        (x - cell_len(text) * CELL / 2, x + cell_len(text) * CELL / 2) for x, _, text, _ in picture.texts
    ]
    assert all(end < start for (_, end), (start, _) in pairwise(edges))
    assert edges[0][0] > 0 and edges[-1][1] < picture.width


def test_a_tree_for_the_terminal() -> None:
    assert tree_text(TREE, WORDS).splitlines() == [
        "┬────── 爱",
        "└─┬──── 真的",
        "  └─┬── 需要",
        "    └── 勇气",
    ]
    assert tree_text(((0, 1, 2), 3), ["a", "b", "c", "\x1b[2J"]).splitlines() == [
        "┬─┬── a",
        "│ ├── b",
        "│ └── c",
        "└──── \ufffd[2J",
    ]
    assert tree_text(0, ["唉"]) == "─ 唉"


def test_a_heat_map_of_levels() -> None:
    """Darkest where a row is highest, each number in its box above its word."""
    picture = level_picture({"layer 2": [0.1, 0.9, 0.5, 0.3], "layer 1": [1, 1, 1, 1]}, WORDS)
    colours = [box[-1] for box in picture.boxes]
    light = [sum(bytes.fromhex(each[1:])) for each in colours]
    assert light[1] < light[2] < light[3] < light[0]
    assert colours[4:] == [colour(0.0)] * 4
    shown = [text for _, _, text, _ in picture.texts]
    assert shown == ["layer 2", "0.100", "0.900", "0.500", "0.300", "layer 1", *["1.000"] * 4, *WORDS]
    for (left, top, width, height, _), (x, y, text, _) in zip(
        picture.boxes, [text for text in picture.texts if text[2][1:2] == "."], strict=True
    ):
        assert left < x - cell_len(text) * CELL / 2 and x + cell_len(text) * CELL / 2 < left + width
        assert top < y < top + height
    assert max(left + width for left, _, width, *_ in picture.boxes) == picture.width - CELL
    assert {x for x, _, text, _ in picture.texts[-4:]} == {x for x, _, text, _ in picture.texts[1:5]}
    assert len(elements(picture, "rect")) == 1 + 8  # the ground is white


def test_a_tree_stands_on_its_heat_map() -> None:
    """The same map, lower by the tree, whose lines end at the middles of the words' boxes."""
    levels = {"layer 2": [0.1, 0.9, 0.5, 0.3]}
    alone, both = level_picture(levels, WORDS), level_picture(levels, WORDS, TREE)
    lower = both.height - alone.height
    assert lower > 0 and both.width == alone.width and alone.lines == []
    assert both.boxes == [(x, y + lower, *rest) for x, y, *rest in alone.boxes]
    assert both.texts == [(x, y + lower, *rest) for x, y, *rest in alone.texts]
    tops, bottoms = [line[0] for line in both.lines], [line[-1] for line in both.lines]
    leaves = [end for end in bottoms if end not in tops]
    assert sorted(leaves) == [(x, both.boxes[0][1]) for x, _, _, _ in both.texts[-4:]]
    with pytest.raises(ValueError, match="4 words need a tree of as many leaves"):
        level_picture(levels, WORDS, (0, 1))


@pytest.mark.parametrize(
    ("levels", "words", "problem"),
    [
        ([0.1], WORDS, r"layer 2: levels of shape \(1,\) for 4 words; expected a number for each"),
        ([0.1, float("nan")], ["a", "b"], "expected a number for each"),
        ([], [], "1 word or more"),
    ],
)
def test_levels_that_cannot_be_drawn(levels: list[float], words: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        level_picture({"layer 2": levels}, words)


def test_a_heat_map_needs_levels() -> None:
    with pytest.raises(ValueError, match=r"no levels: expected a row or more"):
        level_picture({}, WORDS)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("none/x.svg", r"none/x.svg: cannot be written \(No such file or directory\); name another file"),
        ("file/x.svg", r"file/x.svg: cannot be written \(Not a directory\); name another file"),
        ("", "names no file; give one, such as tree.svg"),
    ],
)
def test_a_path_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(InputError, match=problem):
        tree_picture(TREE, WORDS).save(path)


def test_a_tree_of_other_words_is_not_drawn() -> None:
    for draw in (tree_picture, tree_text):
        with pytest.raises(ValueError, match="3 words need a tree of as many leaves"):
            draw((0, 1), ["a", "b", "c"])


def test_svg_files_are_whole(tmp_path: Path) -> None:
    picture = tree_picture((0, 1), ["R&D", "<爱>"])
    picture.save(tmp_path / "tree.svg")
    assert (tmp_path / "tree.svg").read_text("utf-8") == picture.svg() == picture._repr_svg_()
    assert [element.text for element in elements(picture, "text")] == ["R&D", "<爱>"]


def test_other_formats_by_matplotlib(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    for name, picture in {
        "tree": tree_picture((0, (1, 2)), ["costs", r"$\no$", "naïve"]),
        "levels": level_picture({"layer": [0.0, 1.0]}, ["a", "b"]),
    }.items():
        picture.save(tmp_path / f"{name}.png")
        pixels = image.imread(tmp_path / f"{name}.png")[..., :3]
        assert pixels.shape[:2] == pytest.approx((2 * picture.height, 2 * picture.width), abs=1)
        assert (pixels[0] == 1).all() and 0.02 < np.mean(pixels < 0.9) < 0.9


def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure")
    picture = tree_picture((0, 1), ["a", "b"])
    for name in "tree.foo", "tree":
        with pytest.raises(InputError, match=f"{name}: no picture has this ending; name it .svg, .png"):
            picture.save(tmp_path / name)
    (tmp_path / "tree.png").write_bytes(b"old")

    def stopped(self, path, **_) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure.Figure, "savefig", stopped)
    with pytest.raises(KeyboardInterrupt):
        picture.save(tmp_path / "tree.png")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("tree.png", b"old")]


def test_a_character_without_a_font_is_named(tmp_path: Path) -> None:
    """Better than a picture of empty boxes."""
    pytest.importorskip("matplotlib")
    picture = Picture(9, 9, [], [], [(4, 4, f"a{NO_FONT}", "black")])
    with pytest.raises(InputError, match=f"no installed font has {NO_FONT}: install one, .* or save as .svg"):
        picture.save(tmp_path / "tree.png")
    assert not (tmp_path / "tree.png").exists()


def test_without_matplotlib_svg_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    picture = tree_picture(TREE, WORDS)
    picture.save(tmp_path / "tree.svg")
    with pytest.raises(
        InputError, match=r"tree\.png: needs matplotlib: pip install 'supple\[plot\]', or save as \.svg"
    ):
        picture.save(tmp_path / "tree.png")
