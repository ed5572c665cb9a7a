"""Pictures of trees and of levels: SVG by hand, other formats by matplotlib, and trees for the terminal.

A wide character of East Asia takes two cells, others one or none, as in a terminal; letters of a font are
seldom wider. SVG leaves the choice of fonts to who shows it; for other formats they must be installed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from rich.cells import cell_len

from supple.errors import InputError
from supple.ordered.trees import Tree, check, fold

Point = tuple[float, float]
Box = tuple[float, float, float, float, str]  # left, top, width, height, colour
Text = tuple[float, float, str, str]  # middle, base line, text, colour

SIZE = 16  # of letters; this and what follows in pixels
CELL = SIZE / 2
ROW = 28
FONTS = "'Noto Sans CJK SC', 'Noto Sans SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
PALE, DEEP = (247, 251, 255), (8, 48, 107)  # the colours of the lowest and the highest level


@dataclass(frozen=True)
class Picture:
    """Lines, boxes and texts in pixels from the top left; a notebook shows it."""

    width: float
    height: float
    lines: list[list[Point]]
    boxes: list[Box]
    texts: list[Text]

    def svg(self) -> str:
        """The picture as the text of an SVG file."""
        size = f'width="{self.width:g}" height="{self.height:g}"'
        rows = [f'<rect {size} fill="white"/>']
        for x, y, width, height, colour in self.boxes:
            rows.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>')
        for line in self.lines:
            points = " ".join(f"{x:g},{y:g}" for x, y in line)
            rows.append(
                f'<polyline points="{points}" fill="none" stroke="#888" shape-rendering="crispEdges"/>'
            )
        for x, y, text, colour in self.texts:
            rows.append(f'<text x="{x:g}" y="{y:g}" fill="{colour}">{escape(text)}</text>')
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {self.width:g} {self.height:g}"'
        return "\n".join(
            [f'{head} font-family="{FONTS}" font-size="{SIZE}" text-anchor="middle">', *rows, "</svg>\n"]
        )

    _repr_svg_ = svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """To a file .svg, or .png, .pdf and what else matplotlib writes.

        The file is written whole or not at all. InputError if it cannot be written, matplotlib is not
        installed or does not know the ending, or no installed font has a character.
        """
        path = Path(path)
        if not path.name:
            raise InputError(f"{str(path)!r} names no file; give one, such as tree.svg")
        part = path.with_name(f".{path.name}.part")
        try:
            if path.suffix.lower() == ".svg":
                part.write_text(self.svg(), "utf-8")
            else:
                self.save_plot(path, part)
            os.replace(part, path)
        except OSError as error:
            problem = f"cannot be written ({error.strerror or error}); name another file"
            raise InputError(problem, path=path) from None
        finally:
            with suppress(OSError):
                part.unlink()

    def save_plot(self, path: Path, part: Path) -> None:
        """What `path` is to hold, to another file."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise InputError(
                "needs matplotlib: pip install 'supple[plot]', or save as .svg", path=path
            ) from None
        figure = Figure((self.width / 100, self.height / 100), dpi=200)
        kind, known = path.suffix[1:].lower(), figure.canvas.get_supported_filetypes()
        if kind not in known:
            raise InputError("no picture has this ending; name it .svg, .png or .pdf", path=path)
        self.plot(figure.add_axes((0, 0, 1, 1)))
        figure.savefig(part, format=kind)

    def plot(self, axes: Any) -> None:
        """Onto axes of matplotlib, which are then as large as the picture."""
        from matplotlib.patches import Rectangle

        for x, y, width, height, colour in self.boxes:
            axes.add_patch(Rectangle((x, y), width, height, facecolor=colour))
        for line in self.lines:
            axes.plot(*zip(*line, strict=True), color="#888888", linewidth=0.75)
        family = fonts("".join(text for _, _, text, _ in self.texts))
        for x, y, text, colour in self.texts:
            axes.text(
                x, y, text, family=family, size=0.72 * SIZE, ha="center", color=colour, parse_math=False
            )
        axes.set(xlim=(0, self.width), ylim=(self.height, 0), aspect="equal")
        axes.axis("off")


def fonts(text: str) -> list[str]:
    """Installed families, the first for what it has; InputError for a character that none has."""
    from matplotlib import font_manager

    families, lacking = [], set(text)
    installed = [font for font in font_manager.fontManager.ttflist if font.style == "normal"]
    for font in sorted(installed, key=lambda font: (font.weight != 400, font.name != "DejaVu Sans")):
        if not lacking:
            break
        if "LastResort" in font.fname:  # it has a box for every character
            continue
        has = font_manager.get_font(font.fname).get_char_index
        if found := {character for character in lacking if has(ord(character))}:
            families.append(font.name)
            lacking -= found
    if lacking:
        raise InputError(
            f"no installed font has {''.join(sorted(lacking))[:10]}: install one, such as Noto Sans CJK, "
            "or save as .svg, which takes the fonts of who shows it"
        )
    return families


def tree_picture(tree: Tree, words: Sequence[str]) -> Picture:
    """The tree above its words: a line from every word or node to the node that it is a part of."""
    check(tree, words)
    texts = [printable(word) for word in words]
    middles, width = columns([cell_len(text) for text in texts])
    lines, bottom = branches(tree, middles)
    base = bottom + SIZE + 2
    shown = [(x, base, text, "black") for x, text in zip(middles, texts, strict=True)]
    return Picture(width, base + CELL, lines, [], shown)


def branches(tree: Tree, middles: Sequence[float]) -> tuple[list[list[Point]], float]:
    """The lines of a tree whose words have these middles, and the height at which they reach the words."""
    lines: list[list[Point]] = []

    def node(parts: list[Point]) -> Point:
        x, height = (parts[0][0] + parts[-1][0]) / 2, 1 + max(height for _, height in parts)
        lines.extend([(x, height), (below, height), (below, lower)] for below, lower in parts)
        return x, height

    _, top = fold(tree, lambda place: (middles[place], 0.0), node)
    return [[(x, CELL + ROW * (top - height)) for x, height in line] for line in lines], CELL + ROW * top


def level_picture(levels: Mapping[str, Any], words: Sequence[str], tree: Tree | None = None) -> Picture:
    """A heat map: a row of boxes for each name's levels (words,), above the words, below the tree if given.

    Colours go from the lowest level of a row to its highest, as decoders see no more than their order.
    ValueError where there are no levels, or a word has not one, a number.
    """
    rows = {name: np.asarray(row, "float64") for name, row in levels.items()}
    if not rows:
        raise ValueError("no levels: expected a row or more, as {'level': [0.1, 0.9]} for two words")
    for name, row in rows.items():
        if not words or row.shape != (len(words),) or not np.isfinite(row).all():
            given = f"levels of shape {row.shape} for {len(words)} words"
            raise ValueError(f"{name}: {given}; expected a number for each, and 1 word or more")
    texts = [printable(text) for text in ("", *words)]
    cells = [max(map(cell_len, rows)), *(max(cell_len(text), len("0.000")) for text in texts[1:])]
    (head, *middles), width = columns(cells)
    if tree is not None:
        check(tree, words)
    lines, top = ([], CELL) if tree is None else branches(tree, middles)
    boxes: list[Box] = []
    shown: list[Text] = []
    for place, (name, row) in enumerate(rows.items()):
        y = top + ROW * place
        shown.append((head, y + 0.7 * ROW, printable(name), "black"))
        for x, n, level in zip(middles, cells[1:], row.tolist(), strict=True):
            share = (level - row.min()) / (np.ptp(row) or 1.0)
            boxes.append((x - CELL * (n + 2) / 2, y, CELL * (n + 2), ROW, colour(share)))
            shown.append((x, y + 0.7 * ROW, f"{level:.3f}", "white" if share > 0.65 else "black"))
    base = top + ROW * len(rows) + SIZE + 2
    shown += [(x, base, text, "black") for x, text in zip(middles, texts[1:], strict=True)]
    return Picture(width + CELL, base + CELL, lines, boxes, shown)


def tree_text(tree: Tree, words: Sequence[str]) -> str:
    """The tree for a terminal: its root at the left, a line a word."""
    check(tree, words)

    def node(parts: list[list[str]]) -> list[str]:
        rows = []
        for place, (first, *others) in enumerate(parts):
            last = place == len(parts) - 1
            corner = ("─" if last else "┬") if place == 0 else ("└" if last else "├")
            rows += [f"{corner}─{first}", *(f"{' ' if last else '│'} {row}" for row in others)]
        return rows

    rows = fold(tree, lambda place: ["─"], node)
    width = max(map(len, rows))
    return "\n".join(f"{row:─<{width}} {printable(word)}" for row, word in zip(rows, words, strict=True))


def columns(cells: Iterable[int]) -> tuple[list[float], float]:
    """The middles of columns of so many cells, with one more at each side; and the width of all."""
    edges = [0.0, *accumulate(CELL * (n + 2) for n in cells)]
    return [(left + right) / 2 for left, right in pairwise(edges)], edges[-1]


def colour(share: float) -> str:
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(PALE, DEEP, strict=True))


def printable(text: str) -> str:
    """Every character that XML or a terminal cannot take replaced."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
