"""What is done to a graph after its export changes where its weights lie, not what it computes."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")  # not beside every backend
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from supple.extraction.graphs import LARGE, halved, multiplied  # noqa: E402


def graph(
    nodes: list[object], weights: dict[str, np.ndarray], shape: list[int | str], rank: int
) -> onnx.ModelProto:
    """A model from `x` of a shape to `y` of a rank."""
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)]
        for name, dims in (("x", shape), ("y", [None] * rank))
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    made = helper.make_graph(nodes, "test", *ends, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    onnx.checker.check_model(model)
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=providers).run(None, {"x": x})[0]


def test_large_weights_are_stored_in_half_precision() -> None:
    rng = np.random.default_rng(0)
    weights = {
        "large": rng.normal(size=(40, LARGE // 40 + 1)).astype(np.float32),
        "small": rng.normal(size=LARGE // 40 + 1).astype(np.float32),
        "ids": np.arange(2 * LARGE),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "large"], ["product"]),
        helper.make_node("Add", ["product", "small"], ["y"]),
    ]
    x = rng.normal(size=(3, 40)).astype(np.float32)
    model = halved(graph(nodes, weights, ["B", 40], 2))
    kinds = {weight.name: numpy_helper.to_array(weight).dtype for weight in model.graph.initializer}
    assert kinds == {"large.half": np.float16, "small": np.float32, "ids": np.int64}
    rounded = weights["large"].astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(run(model, x), x @ rounded + weights["small"], atol=1e-5)
    assert np.abs(run(model, x) - x @ weights["large"] - weights["small"]).max() > 1e-5


@pytest.mark.parametrize(
    ("equation", "shapes", "product"),
    [
        ("abc,cd->abd", ((2, 3, 4), (4, 5)), True),
        ("abcd,de->abce", ((2, 3, 4, 5), (5, 6)), True),
        ("abc,dc->abd", ((2, 3, 4), (5, 4)), False),
        ("ab,bc->ca", ((2, 3), (3, 4)), False),
    ],
)
def test_plain_products_become_matmul(
    equation: str, shapes: tuple[tuple[int, ...], ...], product: bool
) -> None:
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    node = helper.make_node("Einsum", ["x", "kernel"], ["y"], equation=equation)
    model = multiplied(graph([node], {"kernel": kernel}, list(shapes[0]), len(equation.split(">")[1])))
    assert [node.op_type for node in model.graph.node] == (["MatMul"] if product else ["Einsum"])
    np.testing.assert_allclose(run(model, x), np.einsum(equation, x, kernel), atol=1e-5)
