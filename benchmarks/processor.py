"""The processor's name, for what times something to say where."""

from __future__ import annotations

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """As its maker has it, or the kind of machine."""
    names = re.findall(r"model name\s*: (.+)", CPUINFO.read_text()) if CPUINFO.exists() else []
    return names[0] if names else platform.processor() or platform.machine()
