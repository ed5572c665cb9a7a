"""The two graphs of a model folder, opened with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from supple.errors import InputError
from supple.runtime.folder import MEND, Config


class Session(Protocol):
    """What an extractor asks of a network, numpy in and numpy out."""

    def encode(self, **inputs: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Edge probabilities of subjects (batch, time, 2), and what `objects` must be told of the batch."""

    def objects(self, **inputs: np.ndarray) -> np.ndarray:
        """Edge probabilities of the objects of N subjects: (N, time, predicates, 2)."""


class OnnxSession:
    """A `Session` on the two graphs of a model folder; threads may share it.

    A run keeps to one core: a batch a core is faster than a batch over all cores, leaves no spinning threads
    behind, and no result can depend on the number of threads.
    """

    def __init__(self, folder: Path, config: Config):
        self._encode = _open(folder / "encode.onnx")
        self._objects = _open(folder / "objects.onnx")
        self._state = [name for name in _names(self._encode.get_outputs()) if name != "subject"]
        texts = ["characters"] + ["words"] * config.words + ["subject_prior"] * config.prior
        subjects = [*self._state, "characters", "rows", "starts", "ends"] + ["object_prior"] * config.prior
        _check_inputs(folder / "encode.onnx", self._encode, texts)
        _check_inputs(folder / "objects.onnx", self._objects, subjects)
        width = self._objects.get_outputs()[0].shape[2]
        if isinstance(width, int) and width != len(config.predicates):
            problem = f"has {width} predicates, but config.json names {len(config.predicates)}; {MEND}"
            raise InputError(problem, path=folder / "objects.onnx")

    def encode(self, **inputs: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Edge probabilities of subjects (batch, time, 2), and what `objects` must be told of the batch."""
        subject, *state = self._encode.run(["subject", *self._state], inputs)
        return subject, {"characters": inputs["characters"], **dict(zip(self._state, state, strict=True))}

    def objects(self, **inputs: np.ndarray) -> np.ndarray:
        """Edge probabilities of the objects of N subjects: (N, time, predicates, 2)."""
        return self._objects.run(["objects"], inputs)[0]


def _open(path: Path) -> Any:
    import onnxruntime  # takes a tenth of a second: paid by who loads a model

    if not path.is_file():
        raise InputError(f"this file of the model folder is missing; {MEND}", path=path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False  # keeps a plan for every shape it meets, and shapes vary
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class
        cause = str(error).partition("\n")[0]
        raise InputError(f"ONNX Runtime cannot open this graph ({cause}); {MEND}", path=path) from None


def _check_inputs(path: Path, graph: Any, expected: list[str]) -> None:
    given = _names(graph.get_inputs())
    if set(given) != set(expected):
        raise InputError(f"has the inputs {given}, but config.json asks for {expected}; {MEND}", path=path)


def _names(nodes: list[Any]) -> list[str]:
    return [node.name for node in nodes]
