"""This machine: its peak rate of matrix products, the products of a graph, and runs timed in turn."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from processor import processor
from rich.console import Console
from rich.progress import track

CORES = os.cpu_count() or 1
PRODUCTS = {"MatMul", "Gemm", "Einsum", "FusedMatMul", "FusedGemm"}
REST = 0.2  # seconds before each run, in which the threads of the last one fall asleep

Key = TypeVar("Key", bound=Hashable)
Run = Callable[[], object]


def circumstances() -> dict[str, Any]:
    """The machine and the versions of what computes on it."""
    return {
        "processor": processor(),
        "cores": CORES,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def timed(run: Run) -> float:
    """The seconds that a run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def alternate(runs: Mapping[Key, Run], rounds: int) -> dict[Key, list[float]]:
    """The seconds of every run in each round; before them comes a round that only warms up."""
    seconds: dict[Key, list[float]] = {key: [] for key in runs}
    turns, console = [*runs] * (1 + rounds), Console(stderr=True)
    for key in track(turns, "runs", console=console, transient=True, disable=not console.is_terminal):
        time.sleep(REST)
        seconds[key].append(timed(runs[key]))
    return {key: times[1:] for key, times in seconds.items()}


def side_by_side(run: Callable[[Any], object], items: Iterable[Any], threads: int) -> None:
    """Run every item, so many at a time."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(run, items):
            pass


def open_graph(graph: str | bytes, threads: int = 1, profile: str = "") -> onnxruntime.InferenceSession:
    """A graph in ONNX Runtime, with all its optimisations, or profiled to a file whose name begins so."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
        # A profile does not tell the shape of weights that were packed.
        options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def peak_runs(size: int) -> dict[tuple[str, int], Run]:
    """Runs by (library, cores), each of 8 size³ FLOPs a core: four products of square matrices."""
    square = np.random.default_rng(0).standard_normal((size, size), np.float32)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, square.shape) for name in "xy")
    weight = helper.make_tensor("w", TensorProto.FLOAT, square.shape, square.tobytes(), raw=True)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "peak", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = open_graph(model.SerializeToString())

    def onnx_run(cores: int) -> Run:
        return lambda: side_by_side(lambda _: session.run(None, {"x": square}), range(4 * cores), cores)

    runs = {("onnxruntime", cores): onnx_run(cores) for cores in sorted({1, CORES})}
    # numpy cannot be told how many threads to take: it takes all cores.
    return runs | {("numpy", CORES): lambda: [square @ square for _ in range(4 * CORES)]}


def graph_flops(path: Path, batch: dict[str, np.ndarray]) -> float:
    """FLOPs of the matrix products that ONNX Runtime runs for a batch, by the shapes in its own profile."""
    with TemporaryDirectory() as folder:
        session = open_graph(str(path), profile=f"{folder}/profile")
        session.run(None, batch)
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    nodes = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    return sum(product_flops(*shapes(node)) for node in nodes if node["op_name"] in PRODUCTS)


def shapes(node: dict[str, Any]) -> list[list[int]]:
    """The shapes of a profiled node's first two inputs and of its output."""
    tensors = [*node["input_type_shape"][:2], *node["output_type_shape"]]
    return [shape for tensor in tensors for shape in tensor.values()]


def product_flops(a: Sequence[int], b: Sequence[int], out: Sequence[int]) -> float:
    """2 M K N for each (M, K) @ (K, N) of a stack, from the shapes; either factor may be transposed."""
    return 2 * sqrt(prod(a) * prod(b) * prod(out) / prod(b[:-2]))
