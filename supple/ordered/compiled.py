"""C of this folder, compiled for the processor at hand."""

from __future__ import annotations

import ctypes
import logging
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

ZIG = [sys.executable, "-m", "ziglang", "cc"]  # of the extra `compiler`
# zig would first build a C library, which takes ten times as long; on Linux the one that Python has serves.
COMPILERS = ["cc"], [*ZIG, "-nostdlib"], ZIG
FLAGS = "-O3 -march=native -fno-math-errno -fno-trapping-math -fPIC -shared"


def library(source: str, *choices: list[str]) -> ctypes.CDLL | None:
    """What CC makes of a file, or else the first of COMPILERS that can, by the first flags that serve.

    Takes a third of a second. None, and a line in the log, where nothing serves.
    """
    with suppress(ValueError):  # of a CC that shlex cannot split
        named = shlex.split(os.environ.get("CC", ""))
        for compiler, flags in product([named] if named else COMPILERS, choices):
            with suppress(OSError, subprocess.SubprocessError):
                return compiled(source, [*compiler, *FLAGS.split(), *flags])
    tried = os.environ.get("CC") or "cc, and the package ziglang"
    logging.getLogger(__name__).warning(
        "ON-LSTM trains more slowly than it could, as no C compiler serves (tried: %s): "
        "install one, perhaps by pip install 'supple[compiler]', or name one in CC",
        tried,
    )
    return None


def compiled(source: str, command: list[str]) -> ctypes.CDLL:
    """What a command makes of a file; OSError or SubprocessError where that is no library."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows deletes no library in use
        target, path = f"{folder}/step.so", Path(__file__).with_name(source)
        places = {"ZIG_GLOBAL_CACHE_DIR": folder} | os.environ  # zig fails without a home
        command = [*command, str(path), "-o", target]
        subprocess.run(command, check=True, capture_output=True, timeout=60, env=places)
        return ctypes.CDLL(target)
