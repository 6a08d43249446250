"""What calls leave to be written later, so that reading writes nothing on its path: which memories were used, which an answer cited, and who
read what, for the audit log."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from loci.errors import Locked
from loci.policy.lifecycle import MOVES, Move, after
from loci.policy.retention import Retention, used
from loci.ports import Clock, Store, Transaction
from loci.types import State

READS_KEPT = 256  # reads that wait to be written into the log
READ_IDS = 100  # memories that one record of a read names
Read = tuple[str, str, str, tuple[str, ...]]  # when, who, by which verb, which memories
Cited = tuple[datetime, tuple[str, ...]]  # by an answer at this time
CAPACITY = "loci"  # who archives where a cube is full

Write = Callable[[datetime], AbstractContextManager[Transaction]]


@dataclass(slots=True)
class Together:
    """What was used and cited for one purpose, and counts only if that is reached."""

    used: Counter[str] = field(default_factory=Counter)
    cited: list[Cited] = field(default_factory=list)


class Noting(ABC):
    """Keeps it in memory until somebody writes it."""

    def __init__(self, store: Store, clock: Clock, retention: Retention, *, is_auditing: bool, is_counting: bool) -> None:
        self._store, self._clock, self._retention, self._is_auditing, self._is_counting = store, clock, retention, is_auditing, is_counting
        self._used: Counter[str] = Counter()
        self._cited: list[Cited] = []
        self._reads: list[Read] = []
        self._reads_due = READS_KEPT  # how many there are when the next answer tries to write them
        self._used_lock, self._held = threading.Lock(), threading.local()

    @abstractmethod
    def wake(self) -> None:
        """Has somebody in the background write it, where there is one."""

    def use(self, memories: tuple[str, ...]) -> None:
        """Notes that these were recalled; written later, so that a search writes nothing on its path."""
        if not self._is_counting:
            return
        held: Together | None = getattr(self._held, "uses", None)
        if held is not None:
            held.used.update(memories)
            return
        with self._used_lock:
            self._used.update(memories)

    def cite(self, memories: Sequence[str]) -> None:
        """Notes that an answer was shown these and cited them, now; written later too."""
        if not self._is_counting:
            return
        found = (self._clock.now(), tuple(dict.fromkeys(memories)))
        held: Together | None = getattr(self._held, "uses", None)
        if held is not None:
            held.cited.append(found)
            return
        with self._used_lock:
            self._cited.append(found)

    @contextmanager
    def together(self) -> Iterator[Together]:
        """What is recalled and cited in this, in this thread, is listed and not counted: it is part of what it was recalled for, and `put_together`
        writes it with that."""
        held = self._held.uses = Together()
        try:
            yield held
        finally:
            self._held.uses = None

    def note_read(self, principal: str, verb: str, memories: Sequence[str]) -> None:
        """For the audit log: who read what. Written with the uses, and when many have gathered: at once, or behind whoever writes just now."""
        if not self._is_auditing:
            return
        with self._used_lock:
            self._reads.append((self._clock.now().isoformat(), principal, verb, tuple(memories)))
            is_due = len(self._reads) >= self._reads_due
        if is_due and not self._store.is_within:  # what may be taken back takes no record of a read with it
            try:
                self._write_reads(self._store.try_write)
            except Locked:
                self.wake()

    def _has_many_reads(self) -> bool:
        return len(self._reads) >= READS_KEPT

    def write_reads(self) -> None:
        """Puts what was read into the log."""
        self._write_reads(self._store.write)

    def _write_reads(self, write: Write) -> None:
        with self._used_lock:
            reads, self._reads, self._reads_due = self._reads, [], READS_KEPT
        if not reads:
            return
        try:
            with write(self._clock.now()) as tx:
                self._audit_reads(tx, reads)
        except BaseException:
            self._keep_reads(reads)
            raise

    def _audit_reads(self, tx: Transaction, reads: Sequence[Read]) -> None:
        for at, principal, verb, memories in reads:
            detail = {"verb": verb, "at": at, "memories": memories[:READ_IDS], "count": len(memories)}
            tx.audit(principal, "read", memories[0] if memories else self._store.cube, detail)

    def _keep_reads(self, reads: Sequence[Read]) -> None:
        with self._used_lock:
            self._reads = [*reads, *self._reads]
            self._reads_due = len(self._reads) + READS_KEPT

    def note_uses(self) -> None:
        """Writes the use counters, and moves what was used for the first time to Activated."""
        self._note_uses(self._store.write)

    def _note_uses(self, write: Write) -> None:
        with self._used_lock:
            found, self._used = self._used, Counter()
            cited, self._cited = self._cited, []
            reads, self._reads, self._reads_due = self._reads, [], READS_KEPT
        if not found and not cited and not reads:
            return
        try:
            with write(self._clock.now()) as tx:
                self._audit_reads(tx, reads)
                self.put_uses(tx, found)
                self._write_cited(tx, cited)
        except BaseException:
            self.use(tuple(found.elements()))
            self._keep_reads(reads)
            with self._used_lock:
                self._cited = [*cited, *self._cited]
            raise

    def _write_cited(self, tx: Transaction, cited: Sequence[Cited]) -> None:
        """What answers cited lasts longer; and what was archived for want of room comes back by it, unless the cube was made read-only."""
        back, is_closed = [], self._store.options().get("read_only") == "yes"
        for at, memories in cited:
            for memory in memories:
                strength = tx.strength(memory)
                if strength is None:
                    continue
                tx.cite(memory, used(strength, at, self._retention))
                state, expires, priority = tx.state(memory)
                told = self._store.transitions(memory) if state is State.ARCHIVED and not is_closed else []
                if told and told[-1].author == CAPACITY:
                    tx.set_state(memory, after(state, Move.RESTORE, memory), expires, priority, "scheduler", "an answer cited it")
                    back.append(memory)
        if back:
            tx.audit("scheduler", "move", back[0], {"to": "activated", "memories": back, "reason": "an answer cited them"})

    def put_together(self, tx: Transaction, *held: Together) -> None:
        """Counts what was used and cited together, with what it was for."""
        self.put_uses(tx, sum((one.used for one in held), Counter[str]()))
        self._write_cited(tx, [cited for one in held for cited in one.cited])

    def put_uses(self, tx: Transaction, used: Mapping[str, int]) -> None:
        """Counts uses, and moves what was used for the first time to Activated."""
        moved = []
        for memory in tx.use(used, self._clock.now()):
            state, expires, priority = tx.state(memory)
            target = MOVES[state].get(Move.USE, state)
            if target is not state:
                tx.set_state(memory, target, expires, priority)
                moved.append(memory)
        if moved:
            tx.audit("scheduler", "move", moved[0], {"to": "activated", "memories": moved})
