"""T18: what coverage-guided fuzzing found worth keeping (`bench/fuzz.py`), replayed: every input is read, or refused by an error of Loci's."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import SEEDS, TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept_is_read_or_refused(target: str, tmp_path: Path) -> None:
    read, inputs = TARGETS[target](tmp_path), sorted((SEEDS / target).iterdir())
    assert len(inputs) >= 20
    for file in inputs:
        read(file.read_bytes())


def test_what_is_kept_is_small() -> None:
    assert sum(file.stat().st_size for file in SEEDS.rglob("*") if file.is_file()) < 300_000
