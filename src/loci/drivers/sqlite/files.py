"""The files of cubes, as the vault handles them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loci.drivers.sqlite import cipher, exchange
from loci.drivers.sqlite.store import SqliteStore
from loci.ports import Clock, Store


@dataclass(frozen=True, slots=True)
class SqliteFiles:
    """Each cube in one SQLite file."""

    clock: Clock

    def open(self, path: Path, cube: str, *, create: bool, key: bytes | None) -> Store:
        store = SqliteStore(path, cube, self.clock.now(), create=create, key=key)
        exchange.tidy(path)
        return store

    def is_encrypted(self, path: Path) -> bool:
        return cipher.is_encrypted(path)

    def check_exchange(self, path: Path, before: bytes | None) -> None:
        exchange.check(path, before)

    def exchange(self, path: Path, before: bytes | None, prepare: Callable[[], bytes | None], settle: Callable[[], None]) -> None:
        exchange.exchange(path, before, prepare, settle)
