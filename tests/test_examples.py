"""Examples run to their end, in small; their pictures and figures are looked at by people."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

SMALL = {
    "energy_mnist": ["--steps", "20", "--sample-steps", "10", "--runs", "{}", "--pictures", "{}"],
    "gan_mnist": ["--steps", "20", "--n", "200", "--runs", "{}", "--pictures", "{}"],
    "gan_rings": ["--steps", "40", "--seeds", "1", "--out", "{}", "--pictures-to", "{}"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_an_example_runs_and_writes_its_pictures(name: str, data: Path, tmp_path: Path) -> None:
    arguments = [argument.format(tmp_path) for argument in SMALL[name]]
    command = [sys.executable, EXAMPLES / f"{name}.py", *arguments]
    done = subprocess.run(
        command, env=os.environ | {"SUPPLE_DATA": str(data)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob(f"{name}*.png"))
