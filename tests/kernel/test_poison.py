"""Planted records, words that come nearer step by step, laundering and sleepers: none authorises, and none gains trust."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.poison import Seen, run


def check(told: dict[str, object]) -> None:
    for name, seen in told.items():
        if isinstance(seen, Seen):
            assert (seen.authorising, seen.rose) == (0, 0), name
    orders, sleeper = told["planted orders"], told["sleeper"]
    assert isinstance(orders, Seen) and orders.quarantined == orders.planted and orders.shown == 0
    assert isinstance(sleeper, Seen) and sleeper.quarantined == 1 and sleeper.shown == 0 and "evil.example/sleeper" in sleeper.notes[0]
    before, after = told["recall"], told["recall, one record planted"]
    assert isinstance(before, float) and isinstance(after, float) and after >= before - 0.01
    assert told["clean"] is True


def test_what_is_planted_authorises_nothing(tmp_path: Path) -> None:
    check(run(tmp_path / "vault", 800, None, 40, 20, (2, 10)))


@pytest.mark.slow
def test_so_it_is_among_ten_thousand(tmp_path: Path) -> None:
    check(run(tmp_path / "vault", 10_000, None, 1000, 100))
