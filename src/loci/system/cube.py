"""The verbs of one cube. Each passes the gate, then one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from loci.errors import Corrupt, Denied, EmbedderFailed, Invalid, JobFailed, LociError, Locked, Unsupported
from loci.infrastructure import dumper, loader
from loci.infrastructure.governance import Allowed
from loci.interface import inputs
from loci.interface.ahead import Ahead
from loci.interface.filters import where_of
from loci.interface.inputs import Words, aware, sure
from loci.memories.plaintext import Header, scope_of
from loci.operation import importing
from loci.operation.adapters import Adapters
from loci.operation.distilling import Distilling
from loci.operation.episodes import Episodic
from loci.operation.erasure import Erased, Eraser, Wanted
from loci.operation.intake import Intake, Provenance, Told
from loci.operation.lending import Lending
from loci.operation.lifecycle import Lifecycle, prune, rewind
from loci.operation.operator import Operator
from loci.operation.redact import Redactor
from loci.operation.scheduler import Scheduler
from loci.operation.served import Served
from loci.policy import access
from loci.policy.lifecycle import Move
from loci.policy.trust import least
from loci.ports import Notary, Store
from loci.system.doubting import Doubting
from loci.system.explaining import Explaining
from loci.system.forms import Forms
from loci.system.importing import Imports
from loci.system.mirroring import Mirror, Mirrored, Progress
from loci.system.once import repeatable
from loci.system.parts import Parts
from loci.system.piping import Piped, Piping
from loci.system.queued import Queued
from loci.text.metadata import checked
from loci.types import (
    Change,
    Channel,
    Fault,
    Head,
    Kind,
    Memory,
    Message,
    Receipt,
    Report,
    Scope,
    State,
    Trust,
)

ROLES = {Channel.ASSISTANT: "assistant", Channel.TOOL: "tool"}
"""Whose words those of a channel are, where they are nobody's own: they are read as such, and what an assistant says claims nothing."""


class _Undo(Exception):
    """Takes back what a dry run wrote."""


class Cube(Forms, Piping, Explaining, Doubting, Queued):
    """The verbs of one MemCube. Every write answers after the commit; every read can look at another time."""

    def __init__(self, parts: Parts, store: Store, opened: Callable[[str], Cube]) -> None:
        """``opened`` gives the one open cube of a name."""
        self._parts, self._store, self._opened = parts, store, opened
        self.name = store.cube
        self._redactor = Redactor(store, parts.rules)
        self._intake = Intake(store, parts.reader, parts.ids, self._redactor, parts.quota)
        self._lifecycle = Lifecycle(store, self._intake, parts.retention)
        self._operator = Operator(store, parts.embedder, parts.ranker, self._redactor)
        lending = Lending(store, parts.server, parts.shelf)
        kept = (parts.vault.pages(store.cube), self._redactor, parts.residence, lending)
        self._activations = (
            Episodic(store, parts.engine, *kept, parts.methods, parts.grouping)
            if parts.server is None
            else Served(store, parts.server, *kept)
        )
        model = parts.engine if parts.server is None else None
        self._adapters = Adapters(store, model, kept[0], self._redactor)
        self._distilling = Distilling(self._adapters, parts.probe, parts.clock, parts.chat)
        self._piped = Piped(self)
        self._scheduler = Scheduler(
            store, parts.embedder, parts.clock, self._intake.reread, is_background=parts.is_background, is_auditing=parts.is_auditing and parts.governance.is_logging,
            is_working=parts.governance.is_writable, pace=parts.pace, retention=parts.retention, more=(self._piped,) if model is None else (self._piped, self._distilling),
        )  # fmt: skip
        if parts.governance.is_writable:
            self._scheduler.resume()

    # -- taking in -----------------------------------------------------------------------------------------------------

    @repeatable
    def add(
        self,
        messages: Words,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        channel: Channel | None = None,
        origin: str | None = None,
        derived_from: Sequence[str] = (),
        priority: int = 0,
        expires: datetime | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Receipt:
        """Journals what was said and remembers it. The receipt comes after the commit and names every outcome. ``origin`` names the page,
        tool or file it is from, ``derived_from`` the memories it was made of: it has the least trust of all of these. ``metadata`` is kept with
        its memories: a JSON object that `search` and `list` filter by (``where``)."""
        scope, messages = inputs.scope_of(self.name, user, agent, session), inputs.kept(messages)
        told, silent = inputs.told_of(messages)
        said = inputs.kept_with(told, metadata)
        header = Header(inputs.number(priority, "priority", -inputs.MAX_PRIORITY, inputs.MAX_PRIORITY), aware(expires, "expires"))
        parents = tuple(self._parent(id) for id in inputs.several(derived_from, "derived_from"))
        came = inputs.channel_of(said, None if channel is None else inputs.channel_named(channel), origin, is_derived=bool(parents))
        ignored = inputs.ignored_in(messages)
        with self._parts.pace.foreground():
            return self._add(
                self._allow("add", scope), self._intake, said, scope, came, header, origin=self._origin(origin), parents=parents, ignored=ignored,
                silent=silent,
            )  # fmt: skip

    def _parent(self, id: str) -> Memory:
        found = self.get(id)
        if found.kind is not Kind.PLAINTEXT:
            raise Invalid(
                f"derived_from names {id}, which has no words: {found.text} Name the memories that it was made of. Nothing was stored."
            )
        return found

    def _add(
        self,
        allowed: Allowed,
        intake: Intake,
        said: Sequence[Message],
        scope: Scope,
        channel: Channel,
        header: Header,
        *,
        origin: str | None = None,
        parents: tuple[Memory, ...] = (),
        ignored: Sequence[str] = (),
        silent: Sequence[Change] = (),
        trust: Trust = Trust.TRUSTED,
        told: Told | None = None,
    ) -> Receipt:
        self._check_sessions(said, scope, allowed)
        now = self._parts.clock.now()
        by = Provenance(
            self._parts.governance.principal, allowed.channel or channel, origin, least((allowed.trust, trust)), allowed.rows.within, parents
        )  # fmt: skip
        noted: dict[str, object] = {"ignored": list(ignored)} if ignored else {}
        if allowed.channel not in (None, channel):
            noted["asked"] = channel.value
        with self._store.write(now) as tx:
            receipt = intake.take(tx, said, scope, by, header, now, told)
            receipt = replace(receipt, changes=(*receipt.changes, *silent))
            if receipt.sources or noted:
                self._record(tx, "add", receipt.sources[0] if receipt.sources else self.name, receipt, scope=scope, **noted)
        self._after_write(receipt)
        return self._shown(receipt, allowed)

    def _check_sessions(self, said: Sequence[Message], scope: Scope, allowed: Allowed) -> None:
        """A message may name a session of its own, a file whose it is; that must not lead out of what was granted."""
        for message in said:
            if not access.admits(allowed.rows.within, None, scope_of(scope, message.session)):
                raise Denied(
                    f"Cube {self.name} refused a message: its session {message.session!r} is outside the grant. Nothing of it was stored."
                )

    def import_file(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        origin: str | None = None,
        channel: Channel = Channel.IMPORT,
        signed_by: str | None = None,
        dry_run: bool = False,
        progress: importing.Progress | None = None,
    ) -> importing.Imported:
        """Takes in a file, or the folder of another memory system, of one of `loader.FORMATS`, and answers with counts, notes and what became of each
        item. All of it is checked before the first word is stored: a malformed file imports nothing, an odd item of another system is refused by itself.
        Importing it again adds nothing. ``origin`` is the file's name if it is not given, ``channel`` what the words are taken to have come by: what is of
        others, a web page say, should say so. ``signed_by``, a public key or the file of one, refuses a file that its holder did not sign just so, before
        anything in it is read. ``dry_run`` does all of it in one transaction and then undoes it: the answer is what an import would give. ``progress`` is
        told (done, total)."""
        into = inputs.scope_of(self.name, user, agent, session)
        allowed = self._allow("import", into)
        channel = inputs.channel_named(channel)
        path = inputs.path_of(path)
        name = self._origin(path.name if origin is None else origin)
        signer = None if signed_by is None else self._notary().public(signed_by)
        with Ahead(self._parts.reader, path) as reader:
            found = loader.read(path, format, notary=self._parts.notary, signed_by=signer)
            cube = Imports(self, allowed, replace(self._intake, reader=reader), reader, channel, name, found[0].format)
            if not dry_run:
                return importing.import_transcripts(found, cube, into, progress)
            return self._undone(lambda: importing.import_transcripts(found, cube, into, progress))

    def _undone(self, work: Callable[[], importing.Imported]) -> importing.Imported:
        """What an import would give: it is done, and rolled back."""
        done: list[importing.Imported] = []
        try:
            with self._store.write(self._parts.clock.now()):
                done.append(work())
                raise _Undo
        except _Undo:
            return replace(done[0], is_dry_run=True)

    def export(self, path: str | Path, *, overwrite: bool = False, sign: str | Path | None = None) -> Mapping[str, object]:
        """Writes the whole cube to a file that `import_file` reads, and answers how many sources and memories it holds. ``sign`` is
        the file of a private key: its holder vouches for every byte. The file is plain text, also of an encrypted cube."""
        self._allow("export", Scope(self.name))
        signer = None if sign is None else partial(self._notary().sign, inputs.path_of(sign))
        written = dumper.dump(self._store, inputs.path_of(path), self._parts.clock.now(), overwrite=overwrite, sign=signer)
        self._note_read("export", ())
        return written

    def mirror(
        self,
        folder: str | Path,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        keep: str = "",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Mirrored:
        """Brings a folder of Markdown and the cube to say the same: a file a session, a paragraph a memory. What was edited there becomes a further
        version by the author ``file``, a new paragraph a memory, and what was deleted is forgotten; then the files get what the cube says. Where
        both were changed since the last time, neither is, and `MirrorConflict` names the places; ``keep`` says whose words are to hold then, ``file`` or
        ``cube``: the others stay in the memory's history. ``progress`` is told (done, total) of what the folder brings."""
        inputs.scope_of(self.name, user, agent, session)
        keep = inputs.one_of(keep, ("", "file", "cube"), "keep")
        return Mirror(self, inputs.path_of(folder), (user, agent, session)).bring(keep, progress, is_dry_run=dry_run)

    # -- changing ------------------------------------------------------------------------------------------------------

    @repeatable
    def update(
        self,
        memory: str | Memory,
        text: str | None = None,
        *,
        mode: str = "overwrite",
        reason: str = "",
        at: datetime | None = None,
        metadata: Mapping[str, object] | None = None,
        expires: datetime | None = None,
        forever: bool = False,
        channel: Channel | None = None,
    ) -> Receipt:
        """A further version: ``overwrite``, ``append`` or ``merge``. Given a `Memory` instead of an id, the change is refused
        with `VersionConflict` when somebody else has changed it since it was read. ``metadata`` takes the place of what was kept with it,
        ``expires`` of when it may be forgotten by itself, which ``forever`` lifts; without a text the words stay as they are. ``channel`` is how the new
        words came in, as in `add`: ``user`` if it is not given."""
        came = None if channel is None else inputs.channel_named(channel)
        if text is None and (
            mode != "overwrite" or at is not None or came is not None or (metadata is None and expires is None and not forever)
        ):
            raise Invalid("update needs a text, or else metadata, expires or forever, without mode, at and channel. Nothing was changed.")
        if forever and expires is not None:
            raise Invalid("update was given expires and forever: one of the two. Nothing was changed.")
        kept, until = None if metadata is None else checked(metadata), aware(expires, "expires")
        return self._update(memory, text, mode=mode, reason=reason, at=at, kept=kept, until=until, forever=forever, channel=came)

    def _update(
        self, memory: str | Memory, text: str | None, *, mode: str = "overwrite", reason: str = "", at: datetime | None = None,
        kept: Mapping[str, object] | None = None, until: datetime | None = None, forever: bool = False, author: str = "", origin: str | None = None,
        channel: Channel | None = None,
    ) -> Receipt:  # fmt: skip
        allowed = self._reach("update", memory.id if isinstance(memory, Memory) else memory)
        now = self._parts.clock.now()
        by = Provenance(
            self._parts.governance.principal, allowed.channel or channel or Channel.USER, self._origin(origin), allowed.trust, allowed.rows.within,
            author=author,
        )  # fmt: skip
        with self._parts.pace.foreground(), self._store.write(now) as tx:
            known = memory if isinstance(memory, Memory) else self._store.history(inputs.id_of(memory))[-1]
            receipt, why = Receipt(()), self._reason(reason)
            if text is None or until is not None or forever:
                end = None if forever else until or known.expires
                receipt = self._lifecycle.annotate(tx, known, kept, why or "header", by, now, end)
                known = self._store.history(known.id)[-1]
            if text is not None:
                role = "user" if channel is None else ROLES.get(channel, "user")
                made = self._lifecycle.update(tx, known, text, mode, why or mode, by, now, aware(at, "at"), kept, role)
                receipt = Receipt((*receipt.changes, *made.changes), made.sources)
            self._record(tx, "update", known.id, receipt)
        self._after_write(receipt)
        return self._shown(receipt, allowed)

    @repeatable
    def forget(self, id: str, *, reason: str = "") -> Receipt:
        """Takes a memory out of every present answer; what it had superseded holds again from now on. It stays in history and can be
        restored; `erase` is for good."""
        allowed = self._reach("forget", id)
        now = self._parts.clock.now()
        with self._store.write(now) as tx:
            receipt = self._lifecycle.forget(
                tx, inputs.id_of(id), self._reason(reason) or "forgotten on request", self._parts.governance.principal, now
            )
            self._record(tx, "forget", id, receipt)
        return self._shown(receipt, allowed)

    @repeatable
    def restore(self, id: str | None = None, *, to: int | datetime | None = None, reason: str = "") -> Receipt:
        """Brings back a memory (``to`` a version number, default the last) or, without an id, the whole cube as it was known
        at the time ``to``. Nothing is lost by it: what is undone stays in history."""
        allowed = self._allow("rewind", Scope(self.name)) if id is None else self._reach("restore", id)
        now, author = self._parts.clock.now(), self._parts.governance.principal
        reason = self._reason(reason)
        with self._store.write(now) as tx:
            if id is not None:
                inputs.id_of(id)
                if isinstance(to, datetime):
                    to = self._store.get(id, replace(self._everything(), known_at=sure(to, "to"), states=frozenset(State))).version
                elif to is not None and not isinstance(to, int):
                    raise Invalid(f"to is {to!r:.100}; it must be the number of a version, or a time.")
                receipt = self._lifecycle.restore(tx, id, to, reason or "restored on request", author, now)
            elif isinstance(to, datetime):
                receipt = rewind(self._lifecycle, tx, sure(to, "to"), self._everything(), reason or "cube restored", author, now)
            else:
                raise Invalid("restore needs an id, or a time (to) that the whole cube is brought back to.")
            self._record(tx, "restore", id or self.name, receipt)
        return self._shown(receipt, allowed)

    @repeatable
    def move(self, id: str, move: Move | str, *, reason: str = "") -> Receipt:
        """A step in the life of a memory that changes no words: archive, freeze, thaw, restore. Raises `IllegalMove`."""
        self._reach("move", id)
        if move not in ("archive", "freeze", "thaw", "restore"):
            raise Invalid(f"{move!r} is no move of yours; it must be archive, freeze, thaw or restore.")
        with self._store.write(self._parts.clock.now()) as tx:
            receipt = self._lifecycle.move(tx, inputs.id_of(id), Move(move), self._reason(reason), self._parts.governance.principal)
            self._record(tx, "move", id, receipt, to=str(move))
        return receipt

    def erase(
        self,
        id: str | None = None,
        *,
        source: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        whole: bool = False,
    ) -> Erased:
        """For good: the sources, everything derived from them, and every byte of them in the cube's files. The receipt says
        what went and that nothing is left; the audit log keeps hashes, never words. Of ``user``, ``agent`` and ``session`` together goes what
        is of all of them; ``whole`` is everything in the cube. Of an activation memory or an adapter goes what the model made, and no word."""
        scope = inputs.scope_of(self.name, user, agent, session)
        ways = {
            "memory": id,
            "source": source,
            "scope": None if scope == Scope(self.name) else "scope",
            "cube": self.name if whole else None,
        }
        given = {k: v for k, v in ways.items() if v is not None}
        if len(given) != 1:
            raise Invalid("erase needs exactly one of: an id, a source, the whole cube (whole), or some of user, agent and session.")
        by, value = next(iter(given.items()))
        if by == "scope":
            named = {word: name for word, name in (("user", user), ("agent", agent), ("session", session)) if name is not None}
            by, value = next(iter(named.items())) if len(named) == 1 else (by, ", ".join(f"{word} {name}" for word, name in named.items()))
        inputs.id_of(value)
        if by == "memory" and (erased := self._erase_derived(value)) is not None:
            return erased
        allowed = self._reach("erase", value) if by == "memory" else self._allow("erase", scope)
        self._scheduler.note_uses()
        self._parts.vault.clear()
        wanted = Wanted(by, value, None if by in ("memory", "source", "user", "session") else scope)
        return self._eraser.erase(wanted, self._parts.governance.principal, self._parts.clock.now(), allowed.rows.within)

    @property
    def _eraser(self) -> Eraser:
        return Eraser(
            self._store, self._adapters, self._queued_of, self._activations.tidy,
            lambda: [name for name in self._parts.vault.branches(self.name) if self._parts.governance.knows(name)],
            partial(self._activations.settle, is_erasing=True),
        )  # fmt: skip

    # -- time machine ---------------------------------------------------------------------------------------------------

    def branch(self, name: str, *, as_of: datetime | None = None) -> Cube:
        """A cube of its own that begins as this one was (``as_of``: only what was true then). Changes to one do not touch
        the other."""
        for cube in (self.name, inputs.cube_of(name)):
            self._allow("branch", Scope(cube))
        moment = aware(as_of, "as_of")

        def prepare(store: Store) -> None:
            if moment is not None:
                with store.write(self._parts.clock.now()) as tx:
                    gone, kept = prune(store, tx, moment)
                    tx.audit(self._parts.governance.principal, "branch", self.name, {"dropped": len(gone)})
                store.scrub(gone, kept)

        self._parts.vault.branch(self.name, name, moment, prepare)
        return self._opened(name).acting(self._parts.governance)

    # -- care ----------------------------------------------------------------------------------------------------------

    def verify(self, *, kept: Head | None = None) -> Report:
        """Checks this cube, and its audit log against a head that was kept; finishes an erasure that another reader had held up, and
        lets go of activation memories whose files are gone: the report names them (``let_go``)."""
        self._allow("verify", Scope(self.name))
        self._store.finish_erasure()
        checked, faults = self._store.faults(kept)
        if any(fault.where.startswith(("activation", "adapter", "file")) for fault in faults):
            return Report(checked, tuple(faults))  # what lies beside it is judged by rows, and these are not what they were
        try:
            beside, gone = self._beside()
        except Corrupt as error:
            if not faults:
                raise
            beside, gone = [Fault(self.name, "file", str(error))], []  # by what is named already
        return Report(checked, (*faults, *beside), tuple(gone))

    def _beside(self) -> tuple[list[Fault], list[str]]:
        """Faults of what lies beside the cube's file, and what was let go of for them."""
        left = [Fault(self.name, "activation lent", told) for told in self._activations.settle(self._parts.clock.now())]
        now, gone = self._parts.clock.now(), list[str]()
        if self._parts.governance.is_writable:
            gone = [*self._activations.mend(now), *self._adapters.mend(now)]
        broken = [Fault(self.name, f"activation {id}", told) for id, told in self._activations.faults()]
        broken += [Fault(self.name, f"adapter {id}", told) for id, told in self._adapters.faults()]
        return [*left, *broken], gone

    def stats(
        self,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        where: Mapping[str, object] | None = None,
        expired: bool = False,
    ) -> Mapping[str, object]:
        """Counts and sizes, whether the files hold ciphertext alone, and where a model is: ``engine`` is ``here``, ``server`` or ``none``. ``findable`` is how
        many memories `list` would show in all, of this user, agent and session, and as ``where`` and ``expired`` narrow it; the rest is of the cube."""
        at = self._allow("stats", inputs.scope_of(self.name, user, agent, session)).rows
        at = replace(at, where=where_of(where), has_expired=expired)
        return {
            "cube": self.name,
            "findable": self._store.count(at),
            **self._store.sizes(),
            "activations": len(self._store.payloads()),
            "adapters": len({row.id for row in self._store.adapters()}),
            "encrypted": self._store.is_encrypted,
            "engine": "here" if self._parts.engine is not None else "server" if self._parts.server is not None else "none",
        }

    def sweep(self) -> Receipt:
        """Expires what has outlived its time. Reads never show it meanwhile; this writes it down."""
        self._allow("sweep", Scope(self.name))
        now = self._parts.clock.now()
        with self._store.write(now) as tx:
            receipt = self._lifecycle.expire(tx, now)
            if receipt.changes:
                self._record(tx, "expire", self.name, receipt)
        return receipt

    def drain(self, is_over: Callable[[], bool] | None = None) -> int:
        """Works the queue until nothing in it is due, or ``is_over`` says so after a step, in this thread: anybody may. Returns the steps it took;
        raises what a job raised. Of words that are not theirs, others than the owner learn only that something failed."""
        if self._store.jobs(1):
            self._parts.governance.check_writable("drain", f"cube {self.name}")
        try:
            return self._scheduler.drain(is_over)
        except LociError as error:
            if self._parts.governance.is_owner:
                raise
            kind = EmbedderFailed if isinstance(error, EmbedderFailed) else JobFailed
            raise kind(f"A job of cube {self.name} failed ({error.code}). Its owner sees why (`loci jobs list`).") from None

    def pending(self) -> int:
        """Jobs in the queue that are ready or being worked on."""
        self._allow("jobs", Scope(self.name))
        return len(self._store.jobs())

    def close(self) -> None:
        """Ends background work of this cube; the vault keeps the files."""
        self._parts.porter.stop(self._activations)
        self._scheduler.close()

    # -- plumbing ------------------------------------------------------------------------------------------------------

    def _notary(self) -> Notary:
        if self._parts.notary is None:
            raise Unsupported("This system was put together without anything that signs. `MemOS.open` brings it.")
        return self._parts.notary

    def _origin(self, name: str | None) -> str | None:
        """The name of a page, tool or file, without a password in it."""
        inputs.origin_of(name)
        return None if name is None else self._redactor.text(name)

    def _after_write(self, receipt: Receipt) -> None:
        if not receipt.sources:
            return
        self._scheduler.wake()
        if self._parts.capacity:
            try:
                self._fit(self._parts.capacity, self._parts.clock.now())
            except Locked:
                pass  # what was said is stored; the next write puts away what is too much
            except LociError as error:
                self._scheduler.failure = error

    def _fit(self, capacity: int, now: datetime) -> None:
        with self._store.try_write(now) as tx:
            archived = self._lifecycle.fit(tx, capacity, now)
            if archived:
                tx.audit("lifecycle", "move", archived[0], {"to": "archived", "memories": archived})
