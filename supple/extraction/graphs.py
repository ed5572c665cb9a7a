"""A network's two graphs in ONNX (JAX backend)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from supple.extraction.network import TripleNetwork
from supple.extraction.session import EncodeGraph, ObjectsGraph

OPSET = 18
LARGE = 1024  # weights of more numbers than this are stored in half precision

logging.getLogger("onnx_ir.serde").setLevel(logging.ERROR)  # it warns of every constant without a type

Inputs = dict[str, tuple[str, type]]  # name -> shape with symbols, type


def write_graphs(network: TripleNetwork, folder: Path) -> None:
    """Write `encode.onnx` and `objects.onnx`, dynamic in sentences B, characters T and subjects N."""
    config = network.config
    texts: Inputs = {"characters": ("B, T", np.int32)}
    if config.words:
        texts["words"] = ("B, T", np.int32)
    if config.prior:
        texts["subject_prior"] = ("B, T, 2", np.float32)
    write_graph(EncodeGraph(network), texts, ("subject", "hidden", "base", "gate"), folder / "encode.onnx")
    subjects: Inputs = {
        "hidden": (f"B, T, {config.width}", np.float32),
        "base": (f"B, T, {config.width + 2}", np.float32),
        "gate": (f"B, {config.predicates}", np.float32),
        "characters": ("B, T", np.int32),
        "rows": ("N", np.int32),
        "starts": ("N", np.int32),
        "ends": ("N", np.int32),
    }
    if config.prior:
        subjects["object_prior"] = (f"N, T, {config.predicates}, 2", np.float32)
    write_graph(ObjectsGraph(network), subjects, ("objects",), folder / "objects.onnx")


def write_graph(model: Any, inputs: Inputs, outputs: tuple[str, ...], path: Path) -> None:
    """Write a Keras model as ONNX: a dict of `inputs` in, a dict of `outputs`, or a single one, out."""
    import jax
    from jax2onnx import to_onnx

    trainable = [variable.value for variable in model.trainable_variables]
    fixed = [variable.value for variable in model.non_trainable_variables]

    def function(*arrays: Any) -> Any:
        result, _ = model.stateless_call(trainable, fixed, dict(zip(inputs, arrays, strict=True)))
        return tuple(result[name] for name in outputs) if isinstance(result, dict) else result

    scope = jax.export.SymbolicScope()
    specs = [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape, scope=scope), dtype)
        for shape, dtype in inputs.values()
    ]
    names = {"input_names": list(inputs), "output_names": list(outputs), "model_name": path.stem}
    graph = halved(multiplied(to_onnx(function, specs, opset=OPSET, **names)))
    path.write_bytes(graph.SerializeToString())


def multiplied(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with plain products as MatMul: ONNX Runtime packs its weights, but not those of Einsum."""
    for node in graph.graph.node:
        if node.op_type == "Einsum" and node.attribute[0].s in (b"abc,cd->abd", b"abcd,de->abce"):
            node.op_type = "MatMul"
            del node.attribute[:]
    return graph


def halved(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its large weights in half precision; a session casts them back once, when it opens."""
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
