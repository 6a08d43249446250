"""The line under every table: what it was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import apsw


def machine() -> str:
    """Processor, cores, memory and the versions that matter."""
    names = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if ":" in line}
    memory = next((int(line.split()[1]) // 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return (
        f"{names.get('model name', platform.machine())}, {os.cpu_count()} cores, {memory} GiB; Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, numpy {version('numpy')}, onnxruntime {version('onnxruntime')}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text("utf-8").splitlines()
