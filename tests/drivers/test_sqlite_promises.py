"""The promises of a Store, kept by SQLite, in plain files and in encrypted ones."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from loci.drivers.sqlite import SqliteStore
from loci.testing import conformance
from loci.testing.conformance import PROMISES, Promise

BROKEN: dict[Promise, str] = {}  # promises not kept yet, and why


KEYS = {"plain": None, "encrypted": bytes(range(32))}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(
    "promise",
    [pytest.param(p, marks=[pytest.mark.xfail(strict=True, reason=BROKEN[p])] if p in BROKEN else []) for p in PROMISES],
    ids=conformance.name_of,
)
def test_sqlite_keeps_the_promise(promise: Promise, key: bytes | None, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:

        def open_store(name: str = "cube") -> SqliteStore:
            path = tmp_path / f"{name}.loci"
            return stack.enter_context(contextlib.closing(SqliteStore(path, name, conformance.NOW, create=not path.exists(), key=key)))

        promise(open_store)
