"""A server that is killed loses nothing that it acknowledged, and does nothing twice. `python -m bench.killed` shows it at length."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from killed import CLIENTS, killed_walk


@pytest.mark.slow
def test_killed_servers_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    walk = killed_walk(tmp_path, kills=50, seed=1)
    assert walk.kills == 50 and len(walk.acknowledged) > 50 and walk.broken > CLIENTS, "they must have been killed at work"
    assert (walk.lost, walk.twice, walk.others, walk.faults) == ([], [], [], [])
