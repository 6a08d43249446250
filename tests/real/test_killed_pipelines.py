"""A run whose process is killed goes on where it was, each stage once. `python -m bench.pipes` kills 200."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.pipes import kill_walk


def test_killed_runs_go_on_and_do_nothing_twice(tmp_path: Path) -> None:
    walk = kill_walk(tmp_path, kills=8, seed=20260101)
    assert walk.begun >= 4 and walk.resumed >= 1, "some must have been killed in the middle"
    assert (walk.unfinished, walk.twice, walk.partial, walk.faults) == (0, 0, 0, 0)


@pytest.mark.slow
def test_many_killed_runs_go_on_and_do_nothing_twice(tmp_path: Path) -> None:
    walk = kill_walk(tmp_path, kills=200, seed=1)
    assert walk.resumed > 20 and (walk.unfinished, walk.twice, walk.partial, walk.faults) == (0, 0, 0, 0)
