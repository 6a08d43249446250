"""`verify` notices a bit that was flipped in the log, a source or a memory, and names the record. `python -m bench.tamper` measures it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest
from bench.tamper import COLUMNS, furnish, tamper

from loci.testing import ManualClock
from loci.wire import MemOS


@pytest.mark.parametrize("count", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_flipped_bit_and_every_row_that_is_gone_is_noticed_and_named(tmp_path: Path, count: int) -> None:
    tally = tamper(tmp_path, count)
    assert tally.unnoticed == [] and tally.unnamed == []
    assert sum(tally.tried[table] for table in ("audit", "sources")) == count
    assert sum(tally.tried[f"bytes of {table}"] for table in ("audit", "sources")) == count
    assert all(tally.tried[table] for table in COLUMNS), "every table was tampered with"


def test_a_name_that_is_no_text_any_more_hides_no_record(tmp_path: Path) -> None:
    path = furnish(tmp_path / "vault")
    with closing(apsw.Connection(str(path))) as db:
        db.execute("UPDATE names SET name = CAST(x'61ee62' AS TEXT) WHERE name = 'ana'")
    with MemOS.open(path.parent, clock=ManualClock(), embedder="none", background=False) as memory:
        told = [fault.where.split()[0] for fault in memory.verify().faults]
    assert told.count("source") > 1 and "file" in told
