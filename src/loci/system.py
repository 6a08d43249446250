"""The system-call table: a vault of cubes, and the verbs of one cube. Each verb passes the gate, then one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from loci.errors import Corrupt, Invalid, LociError
from loci.infrastructure import dumper, loader
from loci.infrastructure.governance import Governance
from loci.infrastructure.vault import Vault
from loci.interface import inputs
from loci.interface.ahead import Ahead
from loci.interface.inputs import Words, aware, sure
from loci.memories.plaintext import Header
from loci.operation import erasure, explain, importing
from loci.operation.intake import Intake, Origin, Reader, people_of, told
from loci.operation.lifecycle import Difference, Lifecycle, difference, prune, rewind
from loci.operation.operator import Operator, Ranked
from loci.operation.scheduler import Scheduler
from loci.policy.fusion import Ranker
from loci.policy.lifecycle import Move
from loci.ports import Clock, Embedder, Ids, RowFilter, Store, Transaction
from loci.types import (
    Channel,
    Fault,
    Kind,
    Memory,
    MemoryCall,
    Message,
    Query,
    Recall,
    Receipt,
    Record,
    Report,
    Scope,
    State,
    Type,
)

FILL_LIMIT = 100  # hits considered when a budget, not a number, says how many


class CallReader(Reader, Protocol):
    """A reader that also reads questions."""

    def call(self, question: str, now: datetime, people: Sequence[str], speaker: str | None) -> MemoryCall: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a system is made of; `wire` puts it together."""

    vault: Vault
    governance: Governance
    reader: CallReader
    embedder: Embedder | None
    clock: Clock
    ids: Ids
    ranker: Ranker
    limit: int = 10
    capacity: int = 0
    is_background: bool = True


class System:
    """A memory operating system over one vault. Use it as a context manager, or ``close`` it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._cubes: dict[str, Cube] = {}

    def cube(self, name: str, *, create: bool = True) -> Cube:
        """The cube of that name, made on first use unless ``create`` is false. Raises `Invalid` for a name that is none."""
        if name not in self._cubes:
            is_creating = create and self._parts.governance.is_writable
            self._cubes[name] = Cube(self._parts, self._parts.vault.store(name, create=is_creating))
        return self._cubes[name]

    def cubes(self) -> list[str]:
        """Names of the cubes in the vault."""
        return self._parts.vault.names()

    def verify(self) -> Report:
        """Checks every cube: words against hashes, spans against sources, indexes against contents, the audit chain."""
        checked: dict[str, int] = {"cubes": 0}
        faults: list[Fault] = []
        for name in self.cubes():
            checked["cubes"] += 1
            try:
                cube = self.cube(name, create=False)
            except LociError as error:
                faults.append(Fault(name, "file", f"it cannot be opened: {error}"))
                continue
            try:
                report = cube.verify()
            except Corrupt as error:
                faults.append(Fault(name, "file", str(error)))
                continue
            faults.extend(report.faults)
            for what, count in report.checked.items():
                checked[what] = checked.get(what, 0) + count
        return Report(checked, tuple(faults))

    def close(self) -> None:
        """Ends background work after the job in hand and closes the files. What is queued goes on at the next opening."""
        for cube in self._cubes.values():
            cube.close()
        self._cubes.clear()
        self._parts.vault.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Cube:
    """The verbs of one MemCube. Every write answers after the commit; every read can look at another time."""

    def __init__(self, parts: Parts, store: Store) -> None:
        self._parts, self._store = parts, store
        self._branches: list[Cube] = []
        self.name = store.cube
        self._intake = Intake(store, parts.reader, parts.ids)
        self._lifecycle = Lifecycle(store, self._intake)
        self._operator = Operator(store, parts.embedder, parts.ranker)
        self._scheduler = Scheduler(store, parts.embedder, parts.clock, self._intake.reread, is_background=parts.is_background)
        if parts.governance.is_writable:
            self._scheduler.resume()

    # -- taking in -----------------------------------------------------------------------------------------------------

    def add(
        self,
        messages: Words,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        channel: Channel | None = None,
        priority: int = 0,
        expires: datetime | None = None,
    ) -> Receipt:
        """Journals what was said and remembers it. The receipt comes after the commit and names every outcome."""
        scope = inputs.scope_of(self.name, user, agent, session)
        said = inputs.messages_of(messages)
        header = Header(inputs.number(priority, "priority", -inputs.MAX_PRIORITY, inputs.MAX_PRIORITY), aware(expires, "expires"))
        return self._add(self._intake, said, scope, channel or inputs.channel_of(said), header)

    def _add(self, intake: Intake, said: Sequence[Message], scope: Scope, channel: Channel, header: Header) -> Receipt:
        self._parts.governance.allow("add", scope)
        now = self._parts.clock.now()
        origin = Origin(self._parts.governance.principal, channel)
        with self._store.write(now) as tx:
            receipt = intake.take(tx, said, scope, origin, header, now)
            if receipt.sources:
                self._record(tx, "add", receipt.sources[0], receipt)
        self._after_write(receipt)
        return receipt

    def import_file(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        progress: importing.Progress | None = None,
    ) -> importing.Imported:
        """Takes in a file of one of `loader.FORMATS`, and answers with counts and notes. All of it is checked before the first
        word is stored; importing it again adds nothing. ``progress`` is told (done, total)."""
        into = inputs.scope_of(self.name, user, agent, session)
        self._parts.governance.allow("import", into)
        with Ahead(self._parts.reader, Path(path)) as reader:
            intake, now = replace(self._intake, reader=reader), self._parts.clock.now()

            def add(messages: Sequence[Message], scope: Scope) -> Receipt:
                return self._add(intake, messages, scope, Channel.IMPORT, Header())

            def expect(messages: Sequence[Message], scope: Scope) -> None:
                reader.expect([told(message, scope, now) for message in messages], people_of(messages, scope))

            return importing.import_transcripts(loader.read(Path(path), format), add, into, progress, expect)

    def export(self, path: str | Path, *, overwrite: bool = False) -> Mapping[str, int]:
        """Writes the whole cube to a file that `import_file` reads, and answers how many sources and memories it holds."""
        self._parts.governance.allow("export", Scope(self.name))
        return dumper.dump(self._store, Path(path), self._parts.clock.now(), overwrite=overwrite)

    # -- asking --------------------------------------------------------------------------------------------------------

    def search(
        self,
        question: str,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        budget_tokens: int | None = None,
        limit: int | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        types: Sequence[Type | str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        archived: bool = False,
        strict: bool = False,
    ) -> Recall:
        """The memories that answer, best first, and the same packed for a prompt. ``as_of``: what was true then;
        ``known_at``: what we knew then; ``since`` and ``until``: when it was said. With a budget and no limit, as many as fit.
        ``recall.confidence`` says how sure it is that an answer is in memory; ``strict`` gives none where that is too low."""
        scope = inputs.scope_of(self.name, user, agent, session)
        query = Query(
            call=self._call(inputs.question(question), scope, aware(known_at, "known_at")),
            scope=scope,
            limit=limit if limit is not None else self._parts.limit if budget_tokens is None else FILL_LIMIT,
            budget_tokens=budget_tokens, as_of=aware(as_of, "as_of"), known_at=aware(known_at, "known_at"), kinds=(Kind.PLAINTEXT,),
            types=tuple(inputs.type_of(t) for t in types), since=aware(since, "since"), until=aware(until, "until"), archived=archived,
            strict=strict,
        )  # fmt: skip
        at = self._parts.governance.allow_query("search", query)
        self._settle()
        recall = self._operator.search(query, at)
        self._scheduler.use(recall.ids)
        return recall

    def rank(self, question: str, *, user: str | None = None) -> tuple[Ranked, Sequence[Memory]]:
        """The candidates of a question and their signals, in the order of ``survey.contents``: what a ranker is learned from."""
        at = self._parts.governance.allow("search", inputs.scope_of(self.name, user, None, None))
        with self._store.snapshot():
            ranked = self._operator.rank(self.call(inputs.question(question), user=user), at)
            found = self._store.load(ranked.survey.contents, at)
        return ranked, [found[content] for content in ranked.survey.contents]

    @property
    def ranker(self) -> Ranker:
        """What its signals are worth."""
        return self._operator.ranker

    def call(self, question: str, *, user: str | None = None) -> MemoryCall:
        """How a question in words is read: intent, people, time window, terms, and the keys it asks for. ``user`` is "I"."""
        return self._call(question, inputs.scope_of(self.name, user))

    def _call(self, question: str, scope: Scope, known_at: datetime | None = None) -> MemoryCall:
        now = self._parts.clock.now()
        at = RowFilter(now=now, user=scope.user, agent=scope.agent, session=scope.session, known_at=known_at)
        return self._parts.reader.call(question, now, self._store.people(at), scope.user)

    def get(self, id: str, *, as_of: datetime | None = None, known_at: datetime | None = None) -> Memory:
        """One memory: its latest version, or the one that held then. Raises `Missing`."""
        at = self._parts.governance.allow("get", Scope(self.name))
        if as_of is None and known_at is None:
            return self._store.history(inputs.id_of(id))[-1]
        at = replace(at, states=frozenset(State), as_of=aware(as_of, "as_of"), known_at=aware(known_at, "known_at"))
        return self._store.get(inputs.id_of(id), at)

    def list(
        self,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        types: Sequence[Type | str] = (),
        archived: bool = False,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Memory]:
        """Memories in the order they were remembered, at present or as they held then."""
        scope = inputs.scope_of(self.name, user, agent, session)
        at = self._parts.governance.allow("list", scope)
        states = at.states | {State.ARCHIVED} if archived else at.states
        wanted = tuple(inputs.type_of(t) for t in types)
        at = replace(at, states=states, as_of=aware(as_of, "as_of"), known_at=aware(known_at, "known_at"), types=wanted)
        return self._store.select(
            at, inputs.number(limit, "limit", 0, inputs.MAX_PAGE), inputs.number(offset, "offset", 0, inputs.MAX_PAGE)
        )

    def history(self, id: str) -> Sequence[Memory]:
        """Every version of a memory, oldest first, each with author, reason and times."""
        self._parts.governance.allow("history", Scope(self.name))
        return self._store.history(inputs.id_of(id))

    # -- changing ------------------------------------------------------------------------------------------------------

    def update(self, memory: str | Memory, text: str, *, mode: str = "overwrite", reason: str = "", at: datetime | None = None) -> Receipt:
        """A further version: ``overwrite``, ``append`` or ``merge``. Given a `Memory` instead of an id, the change is refused
        with `VersionConflict` when somebody else has changed it since it was read."""
        self._parts.governance.allow("update", Scope(self.name))
        now = self._parts.clock.now()
        origin = Origin(self._parts.governance.principal, Channel.USER)
        with self._store.write(now) as tx:
            known = memory if isinstance(memory, Memory) else self._store.history(inputs.id_of(memory))[-1]
            receipt = self._lifecycle.update(tx, known, text, mode, inputs.reason_of(reason) or mode, origin, now, aware(at, "at"))
            self._record(tx, "update", known.id, receipt)
        self._after_write(receipt)
        return receipt

    def forget(self, id: str, *, reason: str = "") -> Receipt:
        """Takes a memory out of every present answer. It stays in history and can be restored; `erase` is for good."""
        self._parts.governance.allow("forget", Scope(self.name))
        now = self._parts.clock.now()
        with self._store.write(now) as tx:
            receipt = self._lifecycle.forget(
                tx, inputs.id_of(id), inputs.reason_of(reason) or "forgotten on request", self._parts.governance.principal, now
            )
            self._record(tx, "forget", id, receipt)
        return receipt

    def restore(self, id: str | None = None, *, to: int | datetime | None = None, reason: str = "") -> Receipt:
        """Brings back a memory (``to`` a version number, default the last) or, without an id, the whole cube as it was known
        at the time ``to``. Nothing is lost by it: what is undone stays in history."""
        self._parts.governance.allow("restore", Scope(self.name))
        now, author = self._parts.clock.now(), self._parts.governance.principal
        reason = inputs.reason_of(reason)
        with self._store.write(now) as tx:
            if id is not None:
                inputs.id_of(id)
                if isinstance(to, datetime):
                    to = self._store.get(id, replace(self._everything(), known_at=sure(to, "to"), states=frozenset(State))).version
                receipt = self._lifecycle.restore(tx, id, to, reason or "restored on request", author, now)
            elif isinstance(to, datetime):
                receipt = rewind(self._lifecycle, tx, sure(to, "to"), self._everything(), reason or "cube restored", author, now)
            else:
                raise Invalid("restore needs an id, or a time to bring the whole cube back to: restore(to=datetime).")
            self._record(tx, "restore", id or self.name, receipt)
        return receipt

    def move(self, id: str, move: Move | str, *, reason: str = "") -> Receipt:
        """A step in the life of a memory that changes no words: archive, freeze, thaw, restore. Raises `IllegalMove`."""
        self._parts.governance.allow("move", Scope(self.name))
        if move not in ("archive", "freeze", "thaw", "restore"):
            raise Invalid(f"{move!r} is no move of yours; it must be archive, freeze, thaw or restore.")
        with self._store.write(self._parts.clock.now()) as tx:
            receipt = self._lifecycle.move(tx, inputs.id_of(id), Move(move), inputs.reason_of(reason), self._parts.governance.principal)
            self._record(tx, "move", id, receipt, to=str(move))
        return receipt

    def erase(
        self, id: str | None = None, *, source: str | None = None, user: str | None = None, session: str | None = None
    ) -> erasure.Erased:
        """For good: the sources, everything derived from them, and every byte of them in the cube's files. The receipt says
        what went and that nothing is left; the audit log keeps hashes, never words."""
        self._parts.governance.allow("erase", Scope(self.name))
        wanted = {k: v for k, v in {"memory": id, "source": source, "user": user, "session": session}.items() if v is not None}
        if len(wanted) != 1:
            raise Invalid("erase needs exactly one of: an id, source=, user= or session=.")
        self._scheduler.note_uses()
        self._parts.vault.clear()
        by, value = next(iter(wanted.items()))
        inputs.id_of(value)
        return erasure.erase(
            self._store,
            by,
            value,
            self._parts.governance.principal,
            self._parts.clock.now(),
            self._parts.vault.branches(self.name),
        )

    # -- time machine and explanations ---------------------------------------------------------------------------------

    def diff(self, t1: datetime, t2: datetime, *, known: bool = False) -> Difference:
        """What changed in the world between two times, as known now; with ``known``, what changed in our knowledge."""
        at = self._parts.governance.allow("diff", Scope(self.name))
        views = [replace(at, known_at=t) if known else replace(at, as_of=t) for t in (sure(t1, "t1"), sure(t2, "t2"))]
        before, after = (self._store.select(view, limit=1 << 40) for view in views)
        return difference(before, after)

    def branch(self, name: str, *, as_of: datetime | None = None) -> Cube:
        """A cube of its own that begins as this one was (``as_of``: only what was true then). Changes to one do not touch
        the other."""
        self._parts.governance.allow("branch", Scope(self.name))
        moment = aware(as_of, "as_of")

        def prepare(store: Store) -> None:
            if moment is not None:
                with store.write(self._parts.clock.now()) as tx:
                    gone = prune(store, tx, moment)
                    tx.audit(self._parts.governance.principal, "branch", self.name, {"dropped": len(gone)})
                store.scrub(gone)

        branch = Cube(self._parts, self._parts.vault.branch(self.name, name, moment, prepare))
        self._branches.append(branch)
        return branch

    def why(self, id: str) -> explain.Why:
        """Where a memory comes from and what happened to it: sources in their own words, versions, steps of its life, links, audit."""
        self._parts.governance.allow("why", Scope(self.name))
        return explain.why(self._store, inputs.id_of(id))

    def why_not(self, question: str, id: str, *, user: str | None = None, as_of: datetime | None = None) -> explain.WhyNot:
        """Why a memory is not in the answer to a question: which filter, rank or budget kept it out, and by how much."""
        scope = inputs.scope_of(self.name, user)
        call = self.call(inputs.question(question), user=user)
        query = Query(call=call, scope=scope, limit=self._parts.limit, as_of=aware(as_of, "as_of"))
        at = self._parts.governance.allow_query("why_not", query)
        self._settle()
        return explain.why_not(self._store, self._operator, query, at, inputs.id_of(id))

    def log(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        verb: str | None = None,
        object: str | None = None,
        limit: int = 100,
    ) -> Sequence[Record]:
        """The audit log, oldest first: who did what to what, when."""
        self._parts.governance.allow("log", Scope(self.name))
        number = inputs.number(limit, "limit", 0, inputs.MAX_PAGE)
        return self._store.records(aware(since, "since"), aware(until, "until"), verb, object, number)

    # -- care ----------------------------------------------------------------------------------------------------------

    def verify(self) -> Report:
        """Checks this cube, and finishes an erasure that another reader had held up."""
        self._parts.governance.allow("verify", Scope(self.name))
        self._store.finish_erasure()
        checked, faults = self._store.faults()
        return Report(checked, tuple(faults))

    def stats(self) -> Mapping[str, object]:
        """Counts and sizes."""
        at = self._parts.governance.allow("stats", Scope(self.name))
        return {"cube": self.name, "findable": self._store.count(at), **self._store.sizes()}

    def sweep(self) -> Receipt:
        """Expires what has outlived its time. Reads never show it meanwhile; this writes it down."""
        self._parts.governance.allow("forget", Scope(self.name))
        now = self._parts.clock.now()
        with self._store.write(now) as tx:
            receipt = self._lifecycle.expire(tx, now)
            if receipt.changes:
                self._record(tx, "expire", self.name, receipt)
        return receipt

    def drain(self) -> int:
        """Works the queue until it is empty, in this thread. Returns the jobs done; raises what a job raised."""
        return self._scheduler.drain()

    def pending(self) -> int:
        """Jobs in the queue."""
        return len(self._store.jobs())

    def close(self) -> None:
        """Ends background work of this cube and of what was branched from it here; the vault keeps the files."""
        for branch in self._branches:
            branch.close()
        self._scheduler.close()

    # -- plumbing ------------------------------------------------------------------------------------------------------

    def _everything(self) -> RowFilter:
        return RowFilter(now=self._parts.clock.now())

    def _record(self, tx: Transaction, verb: str, object: str, receipt: Receipt, **detail: object) -> None:
        counts: dict[str, int] = {}
        for change in receipt.changes:
            counts[change.outcome.value] = counts.get(change.outcome.value, 0) + 1
        if verb in ("add", "update", "restore"):
            self._scheduler.enqueue_vectors(tx)
        tx.audit(self._parts.governance.principal, verb, object, {**detail, **counts, "sources": receipt.sources})

    def _after_write(self, receipt: Receipt) -> None:
        if not receipt.sources:
            return
        self._scheduler.wake()
        if self._parts.capacity:
            now = self._parts.clock.now()
            with self._store.write(now) as tx:
                archived = self._lifecycle.fit(tx, self._parts.capacity, now)
                if archived:
                    tx.audit("lifecycle", "move", archived[0], {"to": "archived", "memories": archived})

    def _settle(self) -> None:
        """Lets a small backlog of vectors finish first, so that what was just said is found by meaning too."""
        self._scheduler.settle()
