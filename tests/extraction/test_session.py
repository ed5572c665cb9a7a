"""A network behind the interface of the runtime answers what the network says, in few shapes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from supple.extraction.session import KerasSession, lengthened
from tests.extraction import tiny

SUBJECTS = [(0, 2, 9), (0, 11, 11), (1, 0, 3)]
TEXTS = "characters", "words", "subject_prior"


@pytest.mark.backend
def test_a_session_gives_the_probabilities_of_the_network() -> None:
    net = tiny.network("fast")
    x = tiny.inputs(net, [12, 7], 16, SUBJECTS, np.random.default_rng(0))
    session = KerasSession(net, 64)  # four sentences of 16
    subject, state = session.encode(**{name: x[name] for name in TEXTS})
    objects = session.objects(**state, **{name: x[name] for name in x if name not in TEXTS})
    real = (x["characters"] > 0)[..., None]
    expected = net.predict_on_batch(x)
    np.testing.assert_allclose(subject, np.exp(expected["subject"]) * real, atol=1e-6)
    real = real[x["rows"], :, :, None]
    np.testing.assert_allclose(objects, np.exp(expected["objects"]) * real, atol=1e-6)
    assert not np.any(subject[1, 7:]) and not np.any(objects[2, 7:])


@pytest.fixture
def shapes() -> tuple[KerasSession, set[tuple[int, ...]]]:
    """A session that computes nothing, and the shapes that it would have compiled."""
    seen: set[tuple[int, ...]] = set()

    def answer(inputs: dict[str, np.ndarray]) -> Any:
        seen.add(tuple(len(array) for array in inputs.values()))
        rows = inputs.get("rows", inputs["characters"])
        return np.arange(len(rows)) if "rows" in inputs else {"subject": np.arange(len(rows))}

    session = KerasSession.__new__(KerasSession)
    session.batch_characters = 128
    session.encode_graph = session.objects_graph = SimpleNamespace(predict_on_batch=answer)
    return session, seen


def test_few_shapes_are_compiled(shapes: tuple[KerasSession, set[tuple[int, ...]]]) -> None:
    session, seen = shapes
    for rows in range(1, 5):
        subject, _ = session.encode(characters=np.ones((rows, 32), np.int32))
        assert subject.tolist() == list(range(rows))
    assert seen == {(4,)}
    seen.clear()
    session.encode(characters=np.ones((5, 320), np.int32))  # more than were to fit
    assert seen == {(5,)}
    seen.clear()
    for count in range(1, 65):
        found = session.objects(characters=np.ones((4, 32)), rows=np.arange(count), starts=np.arange(count))
        assert found.tolist() == list(range(count))
    assert seen == {(4, 16, 16), (4, 32, 32), (4, 64, 64)}


def test_lengthening_adds_zeros() -> None:
    array = np.ones((2, 3), np.int32)
    assert lengthened(array, 4).tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert lengthened(array, 2).dtype == np.int32 and lengthened(array, 2).shape == (2, 3)
