"""However often its workers are killed, an effect of the queue happens exactly once. `python -m bench.jobs` kills 1,000."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs import kill_walk


def test_killed_workers_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    walk = kill_walk(tmp_path, kills=20, seed=20260101)
    assert (walk.kills, walk.lost, walk.twice) == (20, 0, 0)


@pytest.mark.slow
def test_many_killed_workers_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    walk = kill_walk(tmp_path, kills=1000, seed=1)
    assert (walk.lost, walk.twice) == (0, 0)


def loci(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LOCI_")}
    return subprocess.run(
        [sys.executable, "-m", "loci", *arguments],
        cwd=folder,
        env={**clean, "LOCI_EMBEDDER": "none"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_queue_from_the_command_line(tmp_path: Path) -> None:
    assert loci(tmp_path, "add", "I live in Porto.", "--vault", "v", "--user", "ann").returncode == 0
    assert loci(tmp_path, "jobs", "pause", "--reason", "backup", "--vault", "v").returncode == 0
    listed = loci(tmp_path, "jobs", "list", "--vault", "v", "--json")
    assert json.loads(listed.stdout) == {"jobs": [], "paused": "backup"}
    assert "paused (backup)" in loci(tmp_path, "jobs", "list", "--vault", "v").stderr
    assert loci(tmp_path, "jobs", "resume", "--vault", "v").returncode == 0
    assert loci(tmp_path, "jobs", "show", "7", "--vault", "v").returncode == 4
    assert json.loads(loci(tmp_path, "worker", "--once", "--vault", "v", "--json").stdout) == {"steps": 0, "failures": [], "left": {}}
    assert loci(tmp_path, "worker", "--once", "--cube", "nope", "--vault", "v").returncode == 4
    loci(tmp_path, "jobs", "pause", "--reason", "backup", "--vault", "v")
    assert "paused (backup)" in loci(tmp_path, "worker", "--once", "--vault", "v").stderr


def test_a_worker_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    assert loci(tmp_path, "add", "I live in Porto.", "--vault", "v").returncode == 0
    worker = subprocess.Popen(
        [sys.executable, "-m", "loci", "worker", "--vault", "v", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "LOCI_EMBEDDER": "none"},
    )  # fmt: skip
    time.sleep(1.5)
    worker.send_signal(signal.SIGTERM)
    out, _ = worker.communicate(timeout=20)
    assert worker.returncode == 0 and json.loads(out)["failures"] == []
