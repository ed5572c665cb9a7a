"""The toy model, opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supple.runtime import Extractor
from tests import toy_model


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Extractor]:
    """Open a toy model: `load(threads=2, window=16)`."""
    pytest.importorskip("onnx")

    def load(threads: int | None = 2, **settings: object) -> Extractor:
        return Extractor.load(toy_model.write(tmp_path_factory.mktemp("model"), **settings), threads=threads)

    return load


@pytest.fixture(scope="session")
def toy(load: Callable[..., Extractor]) -> Extractor:
    return load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a toy model, to be broken."""
    pytest.importorskip("onnx")
    return toy_model.write(tmp_path / "toy")
