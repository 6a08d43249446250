"""MemLifecycle and the Time Machine: every change is a further version, and every version can be asked for again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from loci.errors import Conflict, Invalid, Missing, VersionConflict
from loci.memories.plaintext import draft_of
from loci.operation.intake import Intake, Provenance, apply, check, closed_by, rows
from loci.operation.settling import hold_again, settle
from loci.policy import conflict, retention
from loci.policy.lifecycle import FINDABLE, Move, after
from loci.policy.retention import Retention
from loci.policy.trust import least
from loci.ports import Removed, RowFilter, Store, Strength, Transaction
from loci.text.metadata import written
from loci.text.sentences import sentences
from loci.text.tokens import normalize
from loci.types import Change, Interval, Memory, Message, Outcome, Receipt, Source, State, Type

SYSTEM = "loci"  # the author of what nobody asked for by name: an end of time, a limit reached
ROOM = 100  # of a full cube, the share that is made free at once
MODES = ("overwrite", "append", "merge")


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Changes to memories that are there. Every method works inside the caller's transaction."""

    store: Store
    intake: Intake
    retention: Retention | None = None

    def update(
        self,
        tx: Transaction,
        memory: Memory,
        text: str,
        mode: str,
        reason: str,
        by: Provenance,
        now: datetime,
        at: datetime | None,
        metadata: Mapping[str, object] | None = None,
        role: str = "user",
    ) -> Receipt:
        """A further version: ``overwrite`` replaces the words, ``append`` puts them after, ``merge`` adds the sentences that
        are not there yet. The words are journaled as a source, of ``role``; the former version stays and holds until ``at``. What a program keeps with it
        stays too, unless ``metadata`` takes its place."""
        if mode not in MODES:
            raise Invalid(f"mode is {mode!r}; it must be one of {', '.join(MODES)}.")
        found = self._current(tx, memory)
        version = f"{memory.id}@{found.version + 1}"
        message = Message(role, text, at=at or now, speaker=memory.speaker, session=memory.scope.session, id=version)
        message = message if metadata is None else replace(message, metadata=metadata)
        check([message])
        (message,), done = self.intake.redactor.messages([message])
        text, kept_with = message.text, memory.metadata if metadata is None else message.metadata
        state, expires, priority = tx.state(memory.id)
        move = Move.MERGE if mode == "merge" else Move.REVISE
        target = after(state, move, memory.id)
        fresh = _fresh(memory.text, text) if mode == "merge" else [(0, len(text))]
        if not fresh and metadata is not None:
            return self.annotate(tx, memory, metadata, reason, by, now, expires)
        if not fresh:
            return Receipt((Change(Outcome.IGNORED, memory.id, "it says all of that already", found.version, found.version),))
        source = self.intake.source(tx, message, memory.scope, by, now)
        tx.journal(source, 0)
        heard = self.intake.reader.read(message, {memory.speaker} if memory.speaker else ())
        spans = tuple(replace(memory.spans[0], source=source.id, start=start, end=end) for start, end in fresh)
        stays = replace(memory, text="", spans=(), entities=(), keywords=(), times=()) if mode == "overwrite" else memory
        words = "\n".join([*([stays.text] if stays.text else []), *(text[start:end] for start, end in fresh)])
        turn = heard.candidates[0]
        number = found.version + 1
        tx.close(memory.id, at or now, reason)
        if mode == "overwrite":
            tx.retire_claims(memory.id)
        judged = [self.intake.judge(tx, fact, memory.id, source, by.within) for said in heard.facts for fact in said]
        verdicts = [conflict.not_before(verdict, at or now) for verdict in judged]
        closing = closed_by(verdicts) if mode == "overwrite" else None
        revised = replace(
            memory, version=number, text=words, type=turn.type, spans=stays.spans + spans, author=by.author or by.principal, reason=reason,
            valid=Interval(message.at, closing[0] if closing else None), ending=closing[2] if closing else "",
            checksum=self.store.hash(words).hex(),
            origin=replace(memory.origin, trust=source.trust if mode == "overwrite" else least((memory.origin.trust, source.trust))),
            entities=tuple(dict.fromkeys((*stays.entities, *turn.entities))),
            keywords=tuple(dict.fromkeys((*stays.keywords, *turn.keywords)))[:12], times=(*stays.times, *turn.times), metadata=kept_with,
        )  # fmt: skip
        outcome = Outcome.MERGED if mode == "merge" else Outcome.UPDATED
        changes = [Change(outcome, memory.id, reason, found.version, number), *(Change(Outcome.REDACTED, memory.id, what) for what in done)]
        content = tx.revise(draft_of(revised, rows(verdicts, source, memory.id)), number, outcome, closing[1] if closing else None)
        if mode != "overwrite":
            tx.carry_claims(memory.id, content)
        for verdict in verdicts:
            apply(tx, memory.id, verdict, changes)
        if target is not state:
            tx.set_state(memory.id, target, expires, priority, by.author or by.principal, reason)
        return Receipt(tuple(changes), (source.id,))

    def annotate(
        self,
        tx: Transaction,
        memory: Memory,
        metadata: Mapping[str, object] | None,
        reason: str,
        by: Provenance,
        now: datetime,
        expires: datetime | None,
    ) -> Receipt:
        """A further version of the same words, with other metadata, or one that ``expires`` at another time: it says and claims what the one before
        does, and is trusted no more. Raises `Conflict` for a memory that holds no more."""
        found = self._current(tx, memory)
        kept, done = (found.metadata, []) if metadata is None else self.intake.redactor.metadata(metadata)
        state, before, priority = tx.state(memory.id)
        target, (_, number, _, valid) = after(state, Move.REVISE, memory.id), tx.current(memory.id)
        if valid.end is not None and valid.end <= now:
            raise Conflict(f"Memory {memory.id} holds no more since {valid.end.isoformat()}: restore it first, or give it other words.")
        if written(kept) == written(found.metadata) and before == expires:
            return Receipt((Change(Outcome.IGNORED, memory.id, "it is kept with that already", number, number),))
        tx.close(memory.id, now, reason)
        if target is not state or before != expires:
            tx.set_state(memory.id, target, expires, priority, by.principal, reason)
        revised = replace(
            memory, version=number + 1, author=by.principal, reason=reason, metadata=kept,
            valid=Interval(now if valid.start is None else max(now, valid.start), valid.end),
            origin=replace(memory.origin, trust=least((memory.origin.trust, by.authority))),
        )  # fmt: skip
        content = tx.revise(draft_of(revised), number + 1, Outcome.UPDATED)
        tx.carry_claims(memory.id, content)
        changes = [Change(Outcome.UPDATED, memory.id, reason, number, number + 1)]
        return Receipt((*changes, *(Change(Outcome.REDACTED, memory.id, what) for what in done)))

    def forget(
        self, tx: Transaction, memory: str, reason: str, author: str, now: datetime, among: Collection[str] | None = None
    ) -> Receipt:
        """Takes a memory out of every present answer. It stays in the past, in its history, and can be restored. What it had superseded holds
        again from ``now`` on, as far as it is ``among`` these."""
        state, expires, priority = tx.state(memory)
        target = after(state, Move.EXPIRE, memory)
        number = tx.close(memory, now, reason)
        keys = tx.retire_claims(memory)
        tx.set_state(memory, target, expires, priority, author, reason)
        again = hold_again(tx, keys, self.store.scope_of(memory).user, author, now, among)
        return Receipt((Change(Outcome.FORGOTTEN, memory, reason, number, number), *again))

    def restore(
        self, tx: Transaction, id: str, to: int | None, reason: str, author: str, now: datetime, among: Collection[str] | None = None
    ) -> Receipt:
        """Brings back a version's words as a further version, valid from now; undoes forgetting, archiving, superseding. What was said before them
        they supersede once more; what the words in their place had superseded holds again. ``among`` these, if given: what is meant to hold
        beside it, which is not superseded then."""
        state, expires, priority = tx.state(id)
        target = after(state, Move.RESTORE, id)
        history = self.store.history(id)
        version = history[-1].version if to is None else to
        wanted = [m for m in history if m.version == version]
        if not wanted:
            known = ", ".join(str(n) for n in dict.fromkeys(m.version for m in history))
            raise Missing(f"Memory {id} has no version {version}; it has {known}.")
        _, number, _, valid = tx.current(id)
        latest = next(m for m in reversed(history) if m.version == number)
        is_over = expires is not None and expires <= now
        is_open = valid.end is None and state in FINDABLE and not is_over
        if is_open and latest.text == wanted[-1].text:
            return Receipt((Change(Outcome.IGNORED, id, f"version {version} is what holds now", number, number),))
        if valid.end is None or valid.end > now:
            tx.close(id, now, reason)
        tx.set_state(id, target, None if state is State.EXPIRED or is_over else expires, priority, author, reason)
        content = tx.content_of(id, version)
        tx.version(id, number + 1, content, Interval(now), Outcome.RESTORED, author, reason, None)
        changes = [Change(Outcome.RESTORED, id, reason, number, number + 1)]
        keys = tx.retire_claims(id)
        closers = tx.reopen_claims(id, content)
        for other in closers:
            tx.link(id, other, "possible_conflict", "restored by hand after it had been superseded")
            changes.append(Change(Outcome.POSSIBLE_CONFLICT, other, "it had superseded what was restored; both stand now", other=id))
        changes += settle(tx, id, now, closers) if among is None else ()
        changes += hold_again(tx, keys, self.store.scope_of(id).user, author, now, among)
        return Receipt(tuple(changes))

    def move(self, tx: Transaction, id: str, move: Move, reason: str, author: str) -> Receipt:
        """A transition of the life cycle that changes no words."""
        state, expires, priority = tx.state(id)
        target = after(state, move, id)
        if target is state:
            return Receipt((Change(Outcome.IGNORED, id, f"it is {state.value} already"),))
        reason = reason or f"{move.value} on request"
        tx.set_state(id, target, expires, priority, author, reason)
        return Receipt((Change(Outcome.MOVED, id, reason),))

    def expire(self, tx: Transaction, now: datetime) -> Receipt:
        """Moves what has outlived its time to Expired, its validity ended at that time."""
        changes = []
        for id, state, expires, priority in tx.overdue(now):
            if state is not State.FROZEN:
                number = tx.close(id, expires, "its time to live was over")
                tx.set_state(id, after(state, Move.EXPIRE, id), expires, priority, SYSTEM, "its time to live was over")
                changes.append(Change(Outcome.FORGOTTEN, id, "its time to live was over", number, number))
        return Receipt(tuple(changes))

    def fit(self, tx: Transaction, capacity: int, now: datetime) -> list[str]:
        """Where there are more than ``capacity``, archives the least valuable memories: by priority, and then by what answers cited, as the retention ranks
        it. Where no answer ever cited anything, by what searches found (`retention.value`). Of a large cube one in `ROOM` more goes than must, for to
        choose reads all of it. Nothing is destroyed. Returns the ids."""
        if self.store.count(RowFilter(now=now, states=FINDABLE)) <= capacity:
            return []
        known = self.store.select(RowFilter(now=now, states=FINDABLE), limit=1 << 40)
        archived = self._least(known, capacity - capacity // ROOM, now)
        for id in archived:
            state, expires, priority = tx.state(id)
            tx.set_state(id, after(state, Move.ARCHIVE, id), expires, priority, SYSTEM, f"beyond the capacity of {capacity}")
        return archived

    def _least(self, known: Sequence[Memory], capacity: int, now: datetime) -> list[str]:
        """What goes first, so that so many are left."""
        if self.retention is None or not any(memory.cited for memory in known):
            movable = sorted((m for m in known if m.state is not State.FROZEN), key=lambda m: retention.value(_worth(m, now)))
            return [memory.id for memory in movable[: len(known) - capacity]]
        strengths = {memory.id: strength_of(memory, now) for memory in known}
        order = retention.overdue(strengths, self.retention, 0, now)
        priority = {memory.id: memory.priority for memory in known}
        return sorted(order, key=priority.__getitem__)[: len(known) - capacity]

    def _current(self, tx: Transaction, memory: Memory) -> Memory:
        """The memory, if its version is still the latest. Raises `VersionConflict` with both."""
        _, number, _, _ = tx.current(memory.id)
        if number != memory.version:
            raise VersionConflict(
                f"Memory {memory.id} is at version {number}; you changed version {memory.version}. Read it again "
                f"(`history {memory.id}` shows both) and repeat the change on what it says now.",
                expected=memory.version,
                found=number,
            )
        return memory


def _fresh(known: str, text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of ``text`` that ``known`` does not hold yet."""
    said = {normalize(known[start:end]) for start, end in sentences(known)}
    return [(start, end) for start, end in sentences(text) if normalize(text[start:end]) not in said]


def strength_of(memory: Memory, now: datetime) -> Strength:
    """What its uses in answers made of a memory so far. What is frozen is pinned."""
    used = memory.last_cited or memory.recorded.start or now
    return Strength(used, memory.stability_days, memory.cited, memory.heat, memory.state is State.FROZEN)


def _worth(memory: Memory, now: datetime) -> retention.Worth:
    born = memory.recorded.start or now
    used = memory.last_used or born
    return retention.Worth(
        priority=memory.priority, uses=memory.uses, days_since_use=max(0.0, (now - used) / retention.DAY),
        days_since_said=max(0.0, (now - (memory.at or born)) / retention.DAY), is_claim=bool(memory.claims),
        is_smalltalk=memory.type is Type.SMALLTALK,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two times: what holds only at the second, only at the first, and what holds at both otherwise."""

    added: tuple[Memory, ...]
    removed: tuple[Memory, ...]
    changed: tuple[tuple[Memory, Memory], ...]


def difference(before: Sequence[Memory], after: Sequence[Memory]) -> Difference:
    """Compares two views of a cube by id."""
    old, new = {m.id: m for m in before}, {m.id: m for m in after}
    return Difference(
        added=tuple(m for id, m in new.items() if id not in old),
        removed=tuple(m for id, m in old.items() if id not in new),
        changed=tuple((old[id], m) for id, m in new.items() if id in old and old[id].version != m.version),
    )


def rewind(lifecycle: Lifecycle, tx: Transaction, to: datetime, everything: RowFilter, reason: str, author: str, now: datetime) -> Receipt:
    """The whole cube as it was known at ``to``: what came later is forgotten, what was changed or forgotten is restored."""
    then = lifecycle.store.select(replace(everything, known_at=to), limit=1 << 40)
    present = lifecycle.store.select(everything, limit=1 << 40)
    change = difference(present, then)
    known = {memory.id for memory in then}
    changes: list[Change] = []
    for memory in (*change.added, *(m for _, m in change.changed)):
        changes.extend(lifecycle.restore(tx, memory.id, memory.version, reason, author, now, known).changes)
    for memory in change.removed:
        changes.extend(lifecycle.forget(tx, memory.id, reason, author, now, known).changes)
    return Receipt(tuple(changes))


def prune(store: Store, tx: Transaction, as_of: datetime) -> tuple[list[Source], tuple[str, ...]]:
    """Makes a branch what was true at ``as_of``: what was said later goes, and with it what it had changed. Returns what went,
    words and metadata: the store has then to be scrubbed of them."""
    later = [s for s in store.sources() if s.message.at is not None and s.message.at > as_of]
    removed = tx.remove([s.id for s in later]) if later else Removed({}, ())
    tx.reopen(as_of)
    return later, removed.metadata
