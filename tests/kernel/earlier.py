"""Cubes as an earlier Loci left them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from loci.drivers.sqlite.schema import FOLLOWING, HELD, METADATA, RELATIONS, REQUESTS, STEPS, TURNS

UNDOING: dict[object, str] = {
    TURNS: "DROP INDEX jobs_next; ALTER TABLE jobs DROP COLUMN turn; CREATE INDEX jobs_next ON jobs (verb, priority DESC, user) WHERE state = 'ready'",
    HELD: "DROP TRIGGER held_more; DROP TRIGGER held_less; DROP TABLE held",
    RELATIONS: "DROP INDEX claims_with_relation; ALTER TABLE claims DROP COLUMN relation",
    FOLLOWING: "DROP INDEX versions_by_former",
    METADATA: "DROP INDEX contents_with_metadata; ALTER TABLE contents DROP COLUMN metadata",
    REQUESTS: "DROP TABLE requests",
}
"""Of those steps that change tables: how to take them back."""


def before(step: str | Callable[[apsw.Connection], None], path: Path) -> None:
    """Makes a cube's file, which nobody has open, one from before a step of the schema."""
    db = apsw.Connection(str(path))
    for later in reversed(STEPS[STEPS.index(step) :]):
        db.execute(UNDOING.get(later, "")).fetchall()
    db.execute(f"PRAGMA user_version={STEPS.index(step)}")
    db.close()
