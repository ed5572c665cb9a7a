"""What a user waits for and gives room to: start and memory of a fresh process, size of an installation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

MIB = 2**20

PROCESS = """
import sys, time
moments = [time.perf_counter()]
import supple
moments += [time.perf_counter()]
from supple.runtime import Extractor
extractor = Extractor.load(sys.argv[1])
moments += [time.perf_counter()]
extractor("《大侠霍元甲》是徐小明执导的电视剧")
moments += [time.perf_counter()]
import json, pathlib
for triples in extractor.stream(json.load(sys.stdin)):
    pass
milliseconds = [1000 * (after - before) for before, after in zip(moments, moments[1:])]
figures = dict(zip(["import_supple_ms", "load_ms", "first_sentence_ms"], milliseconds))
status = pathlib.Path("/proc/self/status")  # getrusage may give the peak of the parent
for line in status.read_text().splitlines() if status.exists() else []:
    if line.startswith("VmHWM"):
        figures["peak_memory_mib"] = int(line.split()[1]) / 1024
print(json.dumps(figures))
"""


def fresh_process(folder: Path, texts: list[str], rounds: int) -> dict[str, float]:
    """Medians over fresh processes that import, load a model, and extract first a sentence, then all texts.

    The peak of resident memory is there only on Linux.
    """
    command, given = [sys.executable, "-c", PROCESS, str(folder)], json.dumps(texts)
    runs = [
        subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True)
        for _ in range(rounds)
    ]
    found = [json.loads(run.stdout) for run in runs]
    return {name: median(figures[name] for figures in found) for name in found[0]}


def installation(project: Path) -> dict[str, float]:
    """MiB of the base package with all that it needs, and of the largest parts; needs the package index."""
    with TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder]
        subprocess.run([*pip, str(project)], check=True)
        sizes = {part.name: weight(part) / MIB for part in Path(folder).iterdir()}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:6]
    return {"all": sum(sizes.values())} | {name: sizes[name] for name in largest}


def weight(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
