"""What every test can ask for."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras reads it once, when it is first imported

# Most of the time goes to JAX's compiler: what it has made is kept for the next run, and for child processes.
# A folder for each worker, as JAX writes files that another may read half.
COMPILED = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": str(COMPILED / os.environ.get("PYTEST_XDIST_WORKER", "alone")),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}

# Half of the compiler's work is what these leave out. XLA ends a process whose flags it does not know: those
# of another version may have other names.
if os.environ["KERAS_BACKEND"] == "jax" and version("jaxlib").startswith("0.10."):
    flags = "--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = " ".join((*flags, os.environ.get("XLA_FLAGS", "")))

# Also where the tests run in the background, which ignores Ctrl-C; children inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ["KERAS_BACKEND"] != "jax":  # these rooms are of JAX, as their tests are
    collect_ignore = ["energy", "adversarial"]

settings.register_profile("supple", deadline=None, derandomize=True)  # first calls compile; seeds are fixed
settings.load_profile("supple")


def pytest_configure(config: pytest.Config) -> None:
    """Fast tests compile much and run little: JAX leaves out most optimisations for them."""
    if "not slow" in config.option.markexpr:
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # child processes inherit it


@pytest.fixture(autouse=True)
def own_draws(request: pytest.FixtureRequest) -> None:
    """What a test draws from its module's RNG does not depend on the tests that ran before it."""
    if hasattr(request.module, "RNG"):
        request.module.RNG = np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def default_sigterm() -> Iterator[None]:
    """SIGTERM as in a new process, whatever tests of the command have made of it."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of corpora, no part of the project: a test that asks for it skips where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SUPPLE_DATA", beside))
    if not (folder / "duie").is_dir():
        pytest.skip(f"no duie/ in {folder}: set SUPPLE_DATA to the folder that holds it")
    return folder
