"""A trained network as a model folder: two ONNX graphs and the JSON files that the runtime reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from supple.extraction.evaluate import EncodeGraph, ObjectsGraph
from supple.extraction.network import NetworkConfig, TripleNetwork

LARGE = 1024  # weights of more numbers than this are stored in half precision


def export_graphs(network: TripleNetwork, folder: Path) -> None:
    """Write `encode.onnx` and `objects.onnx`, dynamic in sentences, characters and subjects; JAX backend only."""
    config, encode, objects = network.config, EncodeGraph(network), ObjectsGraph(network)
    floats, ints = np.float32, np.int32
    texts = {"characters": ("B, T", ints)}
    if config.words:
        texts["words"] = ("B, T", ints)
    if config.prior:
        texts["subject_prior"] = ("B, T, 2", floats)
    outputs = ("subject", "hidden", "base", "gate")
    write_graph(encode, texts, outputs, folder / "encode.onnx")
    subjects = {
        "hidden": (f"B, T, {config.width}", floats),
        "base": (f"B, T, {config.width + 2}", floats),
        "gate": (f"B, {config.predicates}", floats),
        "characters": ("B, T", ints),
    } | {name: ("N", ints) for name in ("rows", "starts", "ends")}
    if config.prior:
        subjects["object_prior"] = (f"N, T, {config.predicates}, 2", floats)
    write_graph(objects, subjects, ("objects",), folder / "objects.onnx")


def write_graph(
    model: Any, inputs: dict[str, tuple[str, type]], outputs: tuple[str, ...], path: Path
) -> None:
    """Write a Keras model of a dict as ONNX; `inputs` maps names to (shape, type), `outputs` orders a dict's values."""
    import jax
    from jax import export
    from jax2onnx import to_onnx

    trainable, fixed = ([v.value for v in group] for group in (model.trainable_variables, model.non_trainable_variables))

    def function(*arrays: Any) -> Any:
        result, _ = model.stateless_call(trainable, fixed, dict(zip(inputs, arrays, strict=True)))
        return tuple(result[name] for name in outputs) if isinstance(result, dict) else result

    scope = export.SymbolicScope()
    specs = [
        jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope), dtype) for shape, dtype in inputs.values()
    ]
    graph = to_onnx(function, specs, input_names=list(inputs), output_names=list(outputs), model_name=path.stem, opset=18)
    path.write_bytes(halved(graph).SerializeToString())


def halved(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its large weights in half precision; they are cast back once, when a session opens it."""
    casts = []
    for weight in graph.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32 and array.size > LARGE:
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph
