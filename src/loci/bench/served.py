"""`loci serve` as a process of its own, for benchmarks that meet it over loopback, and the report of one."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from loci.errors import Unavailable
from loci.settings import inherited

SECONDS_TO_START = SECONDS_TO_END = 60


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs: its first process, and its address."""

    process: subprocess.Popen[str]
    url: str

    def processor_seconds(self) -> float:
        """What it has computed for so far, in all its processes and threads (clock_getcpuclockid(3))."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self._pids())

    def mebibytes(self) -> float:
        """What it holds of the machine's memory; of what processes share, each its part."""
        held = (Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines() for pid in self._pids())
        return sum(int(line.split()[1]) for lines in held for line in lines if line.startswith("Pss:")) / 1024

    def _pids(self) -> list[int]:
        first = self.process.pid
        return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text("utf-8").split())]


@contextmanager
def served(
    vault: Path, *options: str, environment: Mapping[str, str] | None = None, log: IO[str] | None = None, is_killed: bool = False
) -> Iterator[Served]:
    """A server on a free port, with further ``options``; it is ended by an interrupt, or killed. Its words go to the ``log``. Raises `Unavailable` where
    it does not start."""
    command = [sys.executable, "-m", "loci", "serve", "--vault", str(vault), "--port", "0", "--json", *options]
    told = subprocess.DEVNULL if log is None else log
    with subprocess.Popen(command, env=inherited(environment or {}), stdout=subprocess.PIPE, stderr=told, text=True) as process:
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], SECONDS_TO_START)
            line = process.stdout.readline() if ready else ""
            if not line:
                raise Unavailable(f"`loci serve` did not start within {SECONDS_TO_START} s. Start it by hand to see why.")
            yield Served(process, str(json.loads(line)["url"]))
        finally:
            process.send_signal(signal.SIGKILL if is_killed else signal.SIGINT)
            process.wait(SECONDS_TO_END)


def kept(folder: Path, report: str, figures: Mapping[str, Any]) -> None:
    """Writes report.md and figures.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(report, "utf-8")
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
