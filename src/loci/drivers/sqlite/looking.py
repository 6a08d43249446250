"""What a store tells straight from its rows: each call of one moment of the file, without the picture that searches work on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime

import apsw

from loci.drivers.sqlite import adapters, audit, payloads
from loci.drivers.sqlite.jobs import covered, first_due, read_job, read_jobs, read_paused
from loci.drivers.sqlite.reader import Reader
from loci.ports import Lent, PayloadRow
from loci.ports.adapters import AdapterRow
from loci.ports.queue import OPEN
from loci.types import Channel, Head, Job, Link, Memory, Record, Scope, Source, Suspect, Transition


class Looking(ABC):
    """Memories and their sources, activation memories, jobs, and the log, by id or in order."""

    cube: str
    id: str

    @abstractmethod
    def _read(self) -> AbstractContextManager[apsw.Connection]:
        """One moment of the file."""

    def scope_of(self, memory: str) -> Scope:
        with self._read() as db:
            return Reader(db, self.cube).scope_of(memory)

    def vectors_of(self, memories: Sequence[str]) -> list[bytes]:
        with self._read() as db:
            return Reader(db, self.cube).vectors_of(memories)

    def claimants(self, subject: str, attribute: str, value: str, user: str | None) -> set[str]:
        with self._read() as db:
            return Reader(db, self.cube).claimants(subject, attribute, value, user)

    def suspects(self, decision: str, source: str | None = None) -> list[Suspect]:
        with self._read() as db:
            return Reader(db, self.cube).suspects(decision, source)

    def history(self, memory: str) -> list[Memory]:
        with self._read() as db:
            return Reader(db, self.cube).history(memory)

    def source(self, source: str) -> Source:
        with self._read() as db:
            return Reader(db, self.cube).source(source)

    def sources(self) -> list[Source]:
        with self._read() as db:
            return list(Reader(db, self.cube).sources())

    def called(self, ids: Sequence[str], channel: Channel) -> dict[str, list[str]]:
        with self._read() as db:
            return Reader(db, self.cube).called(ids, channel)

    def links(self, memory: str | None = None) -> list[Link]:
        with self._read() as db:
            return Reader(db, self.cube).links(memory)

    def transitions(self, memory: str) -> list[Transition]:
        with self._read() as db:
            return Reader(db, self.cube).transitions(memory)

    def payloads(self, memories: Sequence[str] | None = None) -> list[PayloadRow]:
        with self._read() as db:
            return payloads.payloads(db, memories)

    def payload_numbers(self) -> dict[str, int]:
        with self._read() as db:
            return payloads.numbers(db)

    def payload(self, id: str) -> PayloadRow:
        with self._read() as db:
            return payloads.payload(db, id, self.cube)

    def holding(self, chains: Sequence[str]) -> PayloadRow | None:
        with self._read() as db:
            return payloads.holding(db, chains)

    def page_bytes(self) -> int:
        with self._read() as db:
            return payloads.page_bytes(db)

    def page_files(self) -> set[str]:
        with self._read() as db:
            return payloads.page_files(db) | adapters.adapter_files(db)

    def adapters(self) -> list[AdapterRow]:
        with self._read() as db:
            return adapters.adapters(db)

    def adapter(self, id: str, number: int | None = None) -> AdapterRow:
        with self._read() as db:
            return adapters.adapter(db, id, number, self.cube)

    def lent(self) -> list[Lent]:
        with self._read() as db:
            return payloads.lent(db)

    def jobs(self, limit: int = 1000, states: Sequence[str] = OPEN, *, key: str | None = None) -> list[Job]:
        with self._read() as db:
            return read_jobs(db, states, limit, key)

    def job(self, seq: int) -> Job:
        with self._read() as db:
            return read_job(db, seq)

    def paused(self) -> str | None:
        with self._read() as db:
            return read_paused(db)

    def due(self, verbs: Sequence[str], now: datetime) -> datetime | None:
        with self._read() as db:
            return first_due(db, verbs, now)

    def names(self, column: str) -> list[str]:
        with self._read() as db:
            return Reader(db, self.cube).names(column)

    def records(
        self, since: datetime | None, until: datetime | None, verb: str | None, object: str | None, limit: int, principal: str | None = None,
        before: int | None = None, changes: bool = False,
    ) -> list[Record]:  # fmt: skip
        with self._read() as db:
            return audit.records(db, since, until, verb, object, limit, principal, before, changes)

    def head(self) -> Head:
        with self._read() as db:
            return audit.head(db, self.cube, self.id)

    def is_covered(self, embedder: str) -> bool:
        """Whether every content has a vector of this embedder's or is in a job for one."""
        with self._read() as db:
            return covered(db, embedder)
