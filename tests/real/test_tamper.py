"""`verify` notices a bit that was flipped in the log, a source or a memory, and names the record. `python -m bench.tamper` measures it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.tamper import COLUMNS, tamper


@pytest.mark.parametrize("count", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_flipped_bit_and_every_row_that_is_gone_is_noticed_and_named(tmp_path: Path, count: int) -> None:
    tally = tamper(tmp_path, count)
    assert tally.unnoticed == [] and tally.unnamed == []
    assert sum(tally.tried[table] for table in ("audit", "sources")) == count
    assert sum(tally.tried[f"bytes of {table}"] for table in ("audit", "sources")) == count
    assert all(tally.tried[table] for table in COLUMNS), "every table was tampered with"
