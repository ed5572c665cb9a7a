"""The floating-point operations that the speed benchmark counts are those of the products in a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")  # not in every environment that collects the tests

from machine import graph_flops, product_flops
from onnx import TensorProto, helper

sizes = st.integers(1, 50)


@given(sizes, sizes, sizes, st.lists(sizes, max_size=2))
def test_a_product_takes_two_operations_for_each_pair_of_numbers_that_meet(
    m: int, k: int, n: int, stack: list[int]
) -> None:
    out, operations = [*stack, m, n], 2 * np.prod([*stack, m, k, n])
    for b in [k, n], [*stack, k, n], [*stack, n, k]:
        assert product_flops([*stack, m, k], b, out) == pytest.approx(operations)


def test_a_graph_counts_its_products_alone(tmp_path: Path) -> None:
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", "T", 8]) for name in "xz")
    weight = helper.make_tensor("w", TensorProto.FLOAT, (8, 8), np.ones(64, np.float32))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Mul", ["y", "x"], ["z"])]
    graph = helper.make_graph(nodes, "g", [x], [z], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "g.onnx"
    path.write_bytes(model.SerializeToString())
    assert graph_flops(path, {"x": np.ones((3, 5, 8), np.float32)}) == 2 * 3 * 5 * 8 * 8
