"""BERT-base's encoder, random weights, as fast as ONNX Runtime runs it: the peer of `extraction_speed.py`.

Devlin et al. (2019): 12 layers of width 768, with 12 heads and 3072 units inside; float32. The graph is made
of the fused operators that ONNX Runtime's own `transformers.optimizer` puts in place of an exported BERT. In
its favour: no [CLS] and [SEP], free tokens, texts sorted by length, and the fastest setting found here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from machine import Run, open_graph, side_by_side, timed
from onnx import TensorProto, helper, numpy_helper

LAYERS, WIDTH, HEADS, INSIDE = 12, 768, 12, 3072
VOCABULARY, POSITIONS = 21128, 512
FLOPS = 2 * LAYERS * (4 * WIDTH**2 + 2 * WIDTH * INSIDE)  # a character, in products with weights alone

ATTENTIONS = "Attention", "MultiHeadAttention"  # one operator with its projections, or without
BATCHES = 256, 512, 1024, 2048  # characters
Batch = dict[str, np.ndarray]


class Setting(NamedTuple):
    """How the peer runs: threads inside an operator, runs side by side, and characters in a batch."""

    attention: str
    inside: int
    beside: int
    characters: int


def graph(attention: str, seed: int = 0) -> bytes:
    """The model: tokens (batch, time) and lengths (batch,), int32 -> hidden states (batch, time, 768)."""
    rng = np.random.default_rng(seed)
    nodes: list[Any] = []
    weights: list[Any] = []

    def weight(*shape: int, mean: float = 0) -> str:
        values = mean + 0.02 * rng.standard_normal(shape, np.float32)
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"weight{len(weights)}"))
        return weights[-1].name

    def node(kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        domain = "" if kind in ("MatMul", "Split") else "com.microsoft"
        names = [f"node{len(nodes)}.{i}" for i in range(outputs)]
        nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names

    def matmul(x: str, *shape: int) -> str:
        return node("MatMul", x, weight(*shape))[0]

    def add_normalised(x: str, y: str) -> str:
        scale, shift, bias = weight(WIDTH, mean=1), weight(WIDTH), weight(WIDTH)
        return node("SkipLayerNormalization", x, y, scale, shift, bias, epsilon=1e-12)[0]

    def attend(x: str) -> str:
        if attention == "Attention":
            projection = weight(WIDTH, 3 * WIDTH), weight(3 * WIDTH)
            return node("Attention", x, *projection, "lengths", num_heads=HEADS)[0]
        qkv = node("Split", matmul(x, WIDTH, 3 * WIDTH), outputs=3, axis=2, num_outputs=3)
        return node("MultiHeadAttention", *qkv, weight(3 * WIDTH), "lengths", num_heads=HEADS)[0]

    tables = weight(VOCABULARY, WIDTH), weight(POSITIONS, WIDTH)
    norm = weight(WIDTH, mean=1), weight(WIDTH)
    x, _ = node("EmbedLayerNormalization", "tokens", "", *tables, "", *norm, outputs=2, epsilon=1e-12)
    for _ in range(LAYERS):
        x = add_normalised(x, matmul(attend(x), WIDTH, WIDTH))
        [inside] = node("BiasGelu", matmul(x, WIDTH, INSIDE), weight(INSIDE))
        x = add_normalised(x, matmul(inside, INSIDE, WIDTH))
    ints = {"tokens": ["B", "T"], "lengths": ["B"]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name, shape in ints.items()]
    outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["B", "T", WIDTH])]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    body = helper.make_graph(nodes, "bert", inputs, outputs, weights)
    return helper.make_model(body, opset_imports=opsets, ir_version=9).SerializeToString()


def batches(texts: list[str], characters: int) -> Iterator[Batch]:
    """The texts, longest first, about so many characters a batch, each padded to its longest text."""
    texts = sorted(texts, key=len, reverse=True)
    while texts:
        rows = max(1, characters // len(texts[0]))
        tokens = np.zeros((min(rows, len(texts)), len(texts[0])), np.int32)
        for row, text in zip(tokens, texts, strict=False):
            row[: len(text)] = [ord(character) % VOCABULARY for character in text]
        yield {"tokens": tokens, "lengths": np.array([len(text) for text in texts[:rows]], np.int32)}
        texts = texts[rows:]


def encoder(attention: str, threads: int) -> Callable[[Batch], Any]:
    """A function from a batch to its hidden states; threads may share it."""
    session = open_graph(graph(attention), threads)
    return lambda batch: session.run(None, batch)


def fastest(texts: list[str], cores: int) -> Setting:
    """The setting that takes least time over the texts."""
    seconds = {}
    for attention, inside in product(ATTENTIONS, sorted({1, cores})):
        encode = encoder(attention, inside)
        for characters in BATCHES:
            setting = Setting(attention, inside, cores // inside, characters)
            run = partial(side_by_side, encode, [*batches(texts, characters)], setting.beside)
            seconds[setting] = min(timed(run) for _ in range(2))
    return min(seconds, key=seconds.__getitem__)


def runner(texts: list[str], setting: Setting) -> Run:
    """A run that encodes the texts."""
    encode, work = encoder(setting.attention, setting.inside), [*batches(texts, setting.characters)]
    return partial(side_by_side, encode, work, setting.beside)
