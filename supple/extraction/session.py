"""A network in training behind the interface of the runtime."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from supple.extraction.network import TripleNetwork


class EncodeGraph(keras.Model):
    """`TripleNetwork.encode` from inputs to probabilities: what `encode.onnx` holds."""

    def __init__(self, network: TripleNetwork):
        super().__init__()
        self.network = network
        self.built = True

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        encoded = self.network.encode(**inputs)
        mask = keras.ops.expand_dims(inputs["characters"] > 0, -1)
        return encoded | {"subject": keras.ops.where(mask, keras.ops.exp(encoded["subject"]), 0.0)}


class ObjectsGraph(EncodeGraph):
    """`TripleNetwork.objects` from inputs to probabilities: what `objects.onnx` holds."""

    def call(self, inputs: dict[str, Any]) -> Any:
        encoded = {name: inputs[name] for name in ("hidden", "base", "gate")}
        asked = {name: value for name, value in inputs.items() if name not in encoded}
        mask = keras.ops.take(inputs["characters"] > 0, inputs["rows"], axis=0)[:, :, None, None]
        return keras.ops.where(mask, keras.ops.exp(self.network.objects(encoded, **asked)), 0.0)


class KerasSession:
    """A network behind the interface of `supple.runtime.session.Session`.

    Rows and subjects are padded up to a few sizes, since each new shape is compiled.
    """

    def __init__(self, network: TripleNetwork, batch_characters: int):
        self.batch_characters = batch_characters
        self.encode_graph, self.objects_graph = EncodeGraph(network), ObjectsGraph(network)
        for graph in (self.encode_graph, self.objects_graph):
            graph.compile()

    def encode(self, **inputs: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Edge probabilities of subjects (batch, time, 2), and what `objects` must be told of the batch."""
        rows, time = inputs["characters"].shape
        inputs = {
            name: lengthened(array, max(rows, self.batch_characters // time))
            for name, array in inputs.items()
        }
        encoded = self.encode_graph.predict_on_batch(inputs)
        return encoded.pop("subject")[:rows], encoded | {"characters": inputs["characters"]}

    def objects(self, **inputs: np.ndarray) -> np.ndarray:
        """Edge probabilities of the objects of N subjects: (N, time, predicates, 2)."""
        count = len(inputs["rows"])
        for name in {"rows", "starts", "ends", "object_prior"} & inputs.keys():
            inputs[name] = lengthened(inputs[name], max(16, 1 << (count - 1).bit_length()))
        return self.objects_graph.predict_on_batch(inputs)[:count]


def lengthened(array: np.ndarray, rows: int) -> np.ndarray:
    """The array with rows of zeros behind."""
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])
