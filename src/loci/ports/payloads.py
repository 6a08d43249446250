"""What the kernel asks of a store for activation memory: the rows that manifests stand in, the files they name, and what servers hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from loci.ports.engine import Page


@dataclass(frozen=True, slots=True)
class PayloadRow:
    """An activation memory as stored. ``manifest`` is the text of one (`loci.ports.engine`); ``clock`` what the payload clock stood at when
    it was last used, or built."""

    id: str
    number: int
    created: datetime
    manifest: str
    uses: int = 0
    last_used: datetime | None = None
    clock: float = 0.0


@dataclass(frozen=True, slots=True)
class Lent:
    """What a server (kind and address) holds of what it read for the cube, under a name, and its bytes there: written down before it is
    there, and until it is known to be gone."""

    name: str
    server: str
    bytes: int


class PayloadWrites(Protocol):
    """What a transaction does with activation memories, and with what servers hold of them."""

    def put_payload(self, id: str, number: int, manifest: str, sources: Sequence[str], pages: Sequence[Page]) -> None:
        """Keeps what was built of these sources under an id, in the place of what was kept under it. Raises ``Missing`` when a source
        is not there any more. ``remove`` drops what was built of the sources that it removes."""

    def set_payload_clock(self, clock: float) -> None:
        """What is used or built from now on has this clock."""

    def drop_payloads(self, ids: Sequence[str]) -> int:
        """Forgets what was built under these ids. Returns how many there were."""

    def lend(self, lent: Lent) -> None:
        """Writes down what a server holds, or is about to; under a name there is one."""

    def take_back(self, names: Sequence[str]) -> None:
        """Forgets what no server holds any more."""


class PayloadReads(Protocol):
    """What a store tells of them."""

    def payloads(self, memories: Sequence[str] | None = None) -> list[PayloadRow]:
        """Every activation memory, oldest first, without its manifest, which is long; or only those that were built of a source that one of these
        memories quotes, or quoted."""

    def payload_numbers(self) -> dict[str, int]:
        """The number of every activation memory, by its id."""

    def payload(self, id: str) -> PayloadRow:
        """One. Raises ``Missing``."""

    def holding(self, chains: Sequence[str]) -> PayloadRow | None:
        """The activation memory that holds the furthest of the pages of these names."""

    def page_bytes(self) -> int:
        """Of all these files together, each counted once."""

    def page_files(self) -> set[str]:
        """The hashes of every file that an activation memory or an adapter needs."""

    def lent(self) -> list[Lent]:
        """What servers hold, by name. A copy of the cube has lent nothing."""
