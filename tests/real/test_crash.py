"""kill -9 at any moment loses nothing that was acknowledged and shows nothing half done. `python bench/crash.py` does it 1,000 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from crash import crash_walk


def test_killed_writers_lose_nothing(tmp_path: Path) -> None:
    walk = crash_walk(tmp_path, kills=25, seed=20260101)
    assert walk.kills == 25 and walk.acknowledged >= 25, "the writers must have had time to write"
    assert (walk.lost, walk.partial, walk.faults) == ([], [], [])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_killed_writers_lose_nothing(tmp_path: Path, seed: int) -> None:
    walk = crash_walk(tmp_path, kills=100, seed=seed)
    assert (walk.lost, walk.partial, walk.faults) == ([], [], [])
