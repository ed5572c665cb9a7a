"""A model folder made by hand: every character has its own probabilities, so the triples of a text are known.

A subject starts at 甲 and ends at 乙; its objects are 丙…丁 by 导演 and 戊…己 by 主演. 天 is a subject alone.
What starts at 子 has no object by 导演, what ends at 丑 none by 主演; no piece with 寅 has one by 导演,
卯 makes a piece less sure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

PREDICATES = ["导演", "主演"]
# start and end of a subject; start and end of an object by 导演, by 主演
EDGES = {
    "甲": [0.9, 0, 0, 0, 0, 0],
    "乙": [0, 0.8, 0, 0, 0, 0],
    "丙": [0, 0, 0.9, 0, 0, 0],
    "丁": [0, 0, 0, 0.8, 0, 0],
    "戊": [0, 0, 0, 0, 0.6, 0],
    "己": [0, 0, 0, 0, 0, 0.7],
    "天": [0.9, 0.9, 0, 0, 0, 0],
    "子": [0.7, 0, 0, 0, 0, 0],
    "丑": [0, 0.45, 0, 0, 0, 0],
}
# factors of the probability of an object by 导演, by 主演, 1 for other characters
ENDS = {"子": [0, 1], "丑": [1, 0]}  # at the start or the end of the subject
PIECES = {"寅": [0, 1], "卯": [0.8, 0.8]}  # anywhere in the piece
CHARACTERS = [*EDGES, *PIECES]
ALIASES = {"Ａ": "甲", "國": "乙"}
WORD, KNOWN = 0.8, 0.9  # the edges of a subject at a word of the vocabulary, and of what the prior knows


def write(
    folder: Path,
    words: list[str] | None = None,
    prior: list[list[str]] | None = None,
    mirrors: dict[str, str] | None = None,
    **config: Any,
) -> Path:
    """Write the folder; `words` and `prior` add those inputs, `config` changes settings."""
    settings = {
        "format": 1,
        "name": "toy",
        "predicates": PREDICATES,
        "words": words is not None,
        "prior": prior is not None,
        "window": 64,
        "thresholds": {"subject_start": 0.5, "subject_end": 0.4, "object_start": 0.5, "object_end": 0.4},
        "calibration": {"temperature": 1.0, "bias": 0.0},
        "lengths": [8, 16, 64],
    }
    files = {
        "config.json": settings | config,
        "vocabulary.json": {"characters": CHARACTERS, "aliases": ALIASES, "words": words or []},
        "schema.json": {"relations": [], "mirrors": mirrors or {}},
        "prior.json": prior or [],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    _encode(words, prior).save(folder / "encode.onnx")
    _objects(prior).save(folder / "objects.onnx")
    return folder


class _Graph:
    """Nodes one after the other: each call adds one and gives the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.ends: dict[str, list[Any]] = {"inputs": [], "outputs": []}

    def __call__(
        self, kind: str, *inputs: str | np.ndarray | list[Any], out: str = "", **attributes: Any
    ) -> str:
        from onnx import helper  # not in every environment that collects the tests

        names = [name if isinstance(name, str) else self._constant(np.asarray(name)) for name in inputs]
        out = out or f"node{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [out], **attributes))
        return out

    def _constant(self, value: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def declare(self, side: str, kind: type, **shapes: list[str | int]) -> None:
        from onnx import helper

        element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        self.ends[side] += [
            helper.make_tensor_value_info(name, element, shape) for name, shape in shapes.items()
        ]

    def save(self, path: Path) -> None:
        import onnx

        graph = onnx.helper.make_graph(self.nodes, path.stem, *self.ends.values(), self.constants)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def _table(values: dict[str, list[float]], other: list[float]) -> np.ndarray:
    """The values of every character id: of padding, of unknown characters, of CHARACTERS."""
    return np.array([other, other, *(values.get(character, other) for character in CHARACTERS)], np.float32)


def _encode(words: list[str] | None, prior: list[list[str]] | None) -> _Graph:
    graph, edges = _Graph(), _table(EDGES, [0] * 6)
    graph.declare("inputs", np.int32, characters=["B", "T"])
    subject = [graph("Gather", edges[:, :2], "characters")]
    if words is not None:
        graph.declare("inputs", np.int32, words=["B", "T"])
        known = np.full((len(words) + 1, 2), WORD, np.float32)
        known[0] = 0
        subject.append(graph("Gather", known, "words"))
    if prior is not None:
        graph.declare("inputs", np.float32, subject_prior=["B", "T", 2])
        subject.append(graph("Mul", "subject_prior", np.float32(KNOWN)))
    graph("Max", *subject, out="subject")
    graph("Gather", edges[:, 2:], "characters", out="hidden")
    graph("Gather", _table(ENDS, [1, 1]), "characters", out="base")
    graph(
        "ReduceMin", graph("Gather", _table(PIECES, [1, 1]), "characters"), axes=[1], keepdims=0, out="gate"
    )
    graph.declare(
        "outputs", np.float32, subject=["B", "T", 2], hidden=["B", "T", 4], base=["B", "T", 2], gate=["B", 2]
    )
    return graph


def _objects(prior: list[list[str]] | None) -> _Graph:
    graph = _Graph()
    graph.declare("inputs", np.float32, hidden=["B", "T", 4], base=["B", "T", 2], gate=["B", 2])
    graph.declare("inputs", np.int32, characters=["B", "T"], rows=["N"], starts=["N"], ends=["N"])

    def at(position: str) -> str:  # (N, 1, P, 1)
        pairs = graph("Concat", *(graph("Unsqueeze", name, [1]) for name in ("rows", position)), axis=1)
        return graph("Unsqueeze", graph("GatherND", "base", graph("Cast", pairs, to=7)), [1, 3])

    edges = graph("Reshape", graph("Gather", "hidden", "rows"), [0, 0, 2, 2])  # (N, T, P, 2)
    for allowed in at("starts"), at("ends"), graph("Unsqueeze", graph("Gather", "gate", "rows"), [1, 3]):
        edges = graph("Mul", edges, allowed)
    if prior is not None:
        graph.declare("inputs", np.float32, object_prior=["N", "T", 2, 2])
        edges = graph("Max", edges, graph("Mul", "object_prior", np.float32(KNOWN)))
    mask = graph("Cast", graph("Greater", graph("Gather", "characters", "rows"), np.int32(0)), to=1)  # (N, T)
    graph("Mul", edges, graph("Unsqueeze", mask, [2, 3]), out="objects")
    graph.declare("outputs", np.float32, objects=["N", "T", 2, 2])
    return graph
