"""Examples run to their end, in small; their pictures and figures are looked at by people."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

SMALL = {
    "dirac": "dirac_gan.py",
    "energy_2d": "energy_2d.py",
    "energy_mnist": "energy_mnist.py --steps 20 --sample-steps 10",
    "gan_mnist": "gan_mnist.py --steps 20 --n 200",
    "gan_rings": "gan_rings.py --steps 40 --seeds 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("pictures", SMALL)
def test_an_example_runs_and_writes_its_pictures(pictures: str, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "examples"  # pictures go beside the script
    folder.mkdir()
    for file in EXAMPLES.glob("*.py"):
        shutil.copy(file, folder)
    script, *arguments = SMALL[pictures].split()
    command = [sys.executable, str(folder / script), *arguments]
    done = subprocess.run(
        command, env=os.environ | {"SUPPLE_DATA": str(data)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "pictures").glob(f"{pictures}*"))) > 1
