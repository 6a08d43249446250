"""Taking in: from messages to a receipt, in one transaction. What was said is journaled before anything interprets it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from loci.errors import Invalid, LociError, Missing, OverQuota, TooLarge
from loci.memories.plaintext import Header, draft_of, memory_of, scope_of
from loci.operation.redact import Redactor
from loci.operation.work import turn_of
from loci.policy import conflict
from loci.policy.access import admits
from loci.policy.trust import is_made_up, overrules, quarantine, trust_of
from loci.ports import ClaimRow, Ids, Reach, Store, Transaction
from loci.text import metadata
from loci.text.excerpt import GAP
from loci.text.facts import ME, Fact, key
from loci.text.orders import is_order
from loci.text.recalled import recalled
from loci.types import (
    TOLD_OF_THE_PAST,
    Candidate,
    Change,
    Channel,
    Interval,
    Job,
    Memory,
    Message,
    Outcome,
    Part,
    Receipt,
    Scope,
    Source,
    State,
    Trust,
    Type,
)

MAX_TEXT_BYTES = 1_000_000  # of a message: its text and its caption
MAX_NAME = 1_000  # characters of a role, speaker, user, agent, session, message id or reason
MAX_MESSAGES = 10_000
KNOWN = "the very same message is in the journal already"
LATE = "read late"
DERIVED = "derived"  # the link from what was made to what it was made from
NEAR_CLAIMS = 64  # of the speaker: what a correction without a subject, or of a named value, is held against
Told = Callable[[int, Sequence[Change]], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood of one message: candidates, the whole turn first, and the keyed facts of each."""

    candidates: tuple[Candidate, ...]
    facts: tuple[tuple[Fact, ...], ...]


class Reader(Protocol):
    """Turns a message into candidates. Raises an error of Loci's when it cannot; never loses the words."""

    def read(self, message: Message, people: Collection[str]) -> Heard: ...


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who says so, through which channel; ``origin`` is the page, tool or file it is from. ``authority`` is the trust that the writer's
    words have at best, ``within`` what of the cube they may change, ``parents`` the memories they were derived from; ``author`` is whom a version
    names, if not the principal."""

    principal: str
    channel: Channel
    origin: str | None = None
    authority: Trust = Trust.TRUSTED
    within: tuple[Reach, ...] | None = None
    parents: tuple[Memory, ...] = ()
    author: str = ""


@dataclass(frozen=True, slots=True)
class Intake:
    """What taking in needs of the system around it."""

    store: Store
    reader: Reader
    ids: Ids
    redactor: Redactor
    quota: int = 0

    def take(
        self,
        tx: Transaction,
        messages: Sequence[Message],
        scope: Scope,
        by: Provenance,
        header: Header,
        now: datetime,
        told: Told | None = None,
    ) -> Receipt:
        """Journals and remembers ``messages`` inside ``tx``. A message that is in the journal already changes nothing. ``told`` hears of each
        message, by its place, what came of it."""
        check(messages)
        options = self.store.options()
        messages, done = self.redactor.messages(messages, options)
        quota = int(options.get("quota", self.quota))
        people = people_of(messages, scope)
        changes: list[Change] = [Change(Outcome.REDACTED, None, reason) for reason in done]
        sources: list[str] = []
        seen: dict[tuple[object, ...], int] = {}
        for place, given in enumerate(messages):
            before = len(changes)
            message, echoed = self._without_echo(tx, given, scope)
            if echoed:
                changes.append(Change(Outcome.IGNORED, None, f"{echoed} of its lines are what memory had recalled"))
            if message.words.strip():
                source = self.source(tx, message, scope, by, now)
                key = (message.role, message.speaker, message.text, message.at, message.id, message.session)
                ordinal = seen[key] = seen.get(key, -1) + 1
                if tx.journal(source, ordinal):
                    sources.append(source.id)
                    self._remember(tx, source, people, by, header, changes)
                else:
                    changes.append(Change(Outcome.IGNORED, None, KNOWN))
            if told is not None:
                told(place, changes[before:])
        if quota and sources and tx.count_of(scope.user) > quota:
            whose = "messages without a user" if scope.user is None else f"messages of user {scope.user!r}"
            raise OverQuota(
                f"Cube {self.store.cube} holds no more than {quota:,} {whose}. `erase` or a larger quota makes room; nothing was stored."
            )
        return Receipt(tuple(changes), tuple(sources))

    def _without_echo(self, tx: Transaction, message: Message, scope: Scope) -> tuple[Message, int]:
        """The message without the lines that were recalled from memory, which has them: fed back, one memory would become hundreds."""
        quotes = [q for q in recalled(message.text) if any(c.isalnum() for c in q.text) and tx.says(scope.user, q.text.split(GAP))]
        if not quotes:
            return message, 0
        kept, end = [], 0
        for quote in quotes:
            kept.append(message.text[end : quote.start])
            end = max(end, quote.end)
        rest = "".join([*kept, message.text[end:]]).strip()
        return replace(message, text=rest if any(sign.isalnum() for sign in rest) else ""), len(quotes)  # marks of quotation say nothing

    def source(self, tx: Transaction, message: Message, scope: Scope, by: Provenance, now: datetime) -> Source:
        """The message as it is journaled: with its time, scope, origin, trust and keyed hash."""
        message, scope = told(message, scope, now), scope_of(scope, message.session)
        trust = trust_of(by.channel, message.role, by.authority, (parent.origin.trust for parent in by.parents))
        if trust is Trust.REPORTED and is_made_up(by.channel, message.role) and tx.is_tainted(scope.user, scope.session):
            trust = Trust.UNTRUSTED
        return Source(
            id=self.ids.new(now), message=message, scope=scope, principal=by.principal, channel=by.channel, recorded=now,
            hash=self.store.hash(message.text, message.caption), origin=by.origin, trust=trust,
        )  # fmt: skip

    def reread(self, store: Store, tx: Transaction, job: Job) -> None:
        """Reads a journaled message again: what its first reading could not make of it is remembered beside the turn. Words
        that were erased meanwhile, or went into quarantine, are not read."""
        try:
            known = store.source(str(job.arguments["source"]))
        except Missing:
            return
        turn = str(job.arguments["memory"])
        if tx.is_held(turn):  # whatever it says is for somebody to decide
            return
        heard = self.reader.read(known.message, {known.message.speaker or known.message.role})
        if heard.facts[0]:
            self._read_turn(store, tx, known, turn, heard)
        by = Provenance(known.principal, known.channel, known.origin)
        known = replace(known, message=replace(known.message, metadata=store.history(turn)[0].metadata))
        self._cut(tx, known, Heard(heard.candidates[1:], heard.facts[1:]), by, Header(), [])

    def _read_turn(self, store: Store, tx: Transaction, source: Source, id: str, heard: Heard) -> None:
        """Gives a whole turn what it claims, as a further version of the same words; one that was changed since is left."""
        memory = store.history(id)[-1]
        if memory.version != 1 or memory.valid.end is not None or memory.valid.start is None:
            return
        self.read_again(tx, source, memory, heard.candidates[0], heard.facts[0], LATE)

    def read_again(
        self,
        tx: Transaction,
        source: Source,
        memory: Memory,
        turn: Candidate,
        said: Sequence[Fact],
        reason: str,
        within: tuple[Reach, ...] | None = None,
        *,
        is_decided: bool = False,
    ) -> list[Change]:
        """Gives a memory what it claims, as a further version of the same words. ``is_decided``: somebody says that it overrules."""
        id, number = memory.id, memory.version + 1
        verdicts = [self.judge(tx, fact, id, source, within, is_decided=is_decided) for fact in said]
        closing = _closing(verdicts)
        tx.close(id, memory.valid.start, reason)
        read = replace(
            memory, version=number, type=turn.type, about=turn.about, entities=turn.entities, keywords=turn.keywords, times=turn.times,
            valid=_valid(verdicts, source.message.at, closing), reason=reason, ending=closing[2] if closing else "",
        )  # fmt: skip
        tx.revise(draft_of(read, rows(verdicts, source, id)), number, Outcome.UPDATED, closing[1] if closing else None)
        changes: list[Change] = []
        for verdict in verdicts:
            apply(tx, id, verdict, changes)
        return changes

    def _remember(
        self, tx: Transaction, source: Source, people: Collection[str], by: Provenance, header: Header, changes: list[Change]
    ) -> None:
        try:
            heard = self.reader.read(source.message, people)
        except LociError as error:  # the words are safe and searchable; what they mean is read again by a job
            changes.append(Change(Outcome.PENDING, None, f"kept as it was said; reading failed ({error}) and will be retried"))
            self._cut(tx, source, _unread(source.message), by, header, changes)
            tx.enqueue("read", {"source": source.id, "memory": changes[-1].memory}, **turn_of(source.scope))
            return
        self._cut(tx, source, heard, by, header, changes)

    def _cut(self, tx: Transaction, source: Source, heard: Heard, by: Provenance, header: Header, changes: list[Change]) -> None:
        """Candidates to memories, each with its claims judged against what is known. What goes into quarantine claims nothing."""
        words, suspicion = source.message.words, self._suspicion(tx, source, heard)
        for candidate, said in zip(heard.candidates, heard.facts, strict=True):
            text = words[candidate.start : candidate.end]
            memory = memory_of(
                candidate, source, self.ids.new(source.recorded), text, self.store.hash(text), Interval(source.message.at), header
            )
            if suspicion or not said:
                tx.add(draft_of(memory))
                changes.append(Change(Outcome.QUARANTINED if suspicion else Outcome.ADDED, memory.id, suspicion or memory.reason, after=1))
                if suspicion:
                    tx.hold(memory.id, suspicion)
                _derive(tx, memory.id, by.parents)
                continue
            verdicts = [self.judge(tx, fact, memory.id, source, by.within) for fact in said]
            closing = _closing(verdicts)
            memory = replace(memory, valid=_valid(verdicts, source.message.at, closing), ending=closing[2] if closing else "")
            claims = rows(verdicts, source, memory.id)
            tx.add(draft_of(memory, claims), closing[1] if closing else None)
            changes.append(Change(Outcome.ADDED, memory.id, memory.reason, after=1))
            _derive(tx, memory.id, by.parents)
            for verdict in verdicts:
                apply(tx, memory.id, verdict, changes)

    def _suspicion(self, tx: Transaction, source: Source, heard: Heard) -> str:
        """Why the message goes into quarantine as a whole; empty if it does not."""
        if source.trust is not Trust.UNTRUSTED:
            return ""
        known = [(fact, self._known(tx, fact, source, None)) for said in heard.facts for fact in said]
        contradicted = [trust for fact, rows in known for trust in self._contradicted(tx, fact, source, rows)]
        return quarantine(source.trust, is_order(source.message.words), contradicted)

    def _contradicted(self, tx: Transaction, fact: Fact, source: Source, known: Sequence[ClaimRow]) -> list[Trust]:
        """The trust of each claim that a fact would supersede, or stand against as hearsay does."""
        verdict = conflict.resolve(self._claim(tx, fact, "", source), [claim_of(row) for row in known])
        against = [action.old_id for action in verdict.actions if not isinstance(action, conflict.Evidence)]
        return [trust for memory in against for trust in _trusts(known, memory)]

    def judge(
        self, tx: Transaction, fact: Fact, memory: str, source: Source, within: tuple[Reach, ...] | None = None, *, is_decided: bool = False
    ) -> conflict.Verdict:
        """What a fact said in ``memory`` does to the claims that are known. It overrules none that is trusted more, nor is it
        overruled by one that is trusted less, unless somebody has decided so: both stand then."""
        known, new = self._known(tx, fact, source, within), self._claim(tx, fact, memory, source)
        verdict = conflict.resolve(new, [claim_of(row) for row in known])
        if is_decided:
            return verdict
        closer = verdict.superseded_by
        if closer is not None and any(not overrules(trust, source.trust) for trust in _trusts(known, closer)):
            verdict = conflict.resolve(new, [claim_of(row) for row in known if overrules(row.trust, source.trust)])
        actions = tuple(
            conflict.Possible(action.old_id, f"{action.reason}; but it is trusted more, so both stand")
            if isinstance(action, conflict.Supersede) and any(not overrules(source.trust, t) for t in _trusts(known, action.old_id))
            else action
            for action in verdict.actions
        )
        return replace(verdict, actions=actions)

    def _known(self, tx: Transaction, fact: Fact, source: Source, within: tuple[Reach, ...] | None) -> list[ClaimRow]:
        """The claims that a fact is held against, as far as its writer may change them."""
        scope, speaker = source.scope, source.message.speaker or source.message.role
        key = (fact.subject, fact.attribute) if fact.subject and fact.attribute else None
        known = [] if key is None else meeting(tx, *key, fact.serial, speaker, scope.user)
        if key is None or fact.replaces is not None:
            seen = {row.seq for row in known}
            known += [row for row in tx.spoken_claims(speaker, scope.user, NEAR_CLAIMS) if row.seq not in seen]
        return known if within is None else [row for row in known if admits(within, row.memory, self.store.scope_of(row.memory))]

    def _claim(self, tx: Transaction, fact: Fact, memory: str, source: Source) -> conflict.Claim:
        """A fact as the policy of conflict sees it."""
        message, scope = source.message, source.scope
        speaker = message.speaker or message.role
        return conflict.Claim(
            memory=memory, subject=fact.subject, attribute=fact.attribute, value=fact.value, polarity=fact.polarity, tense=fact.tense,
            cue=fact.cue, arity=fact.arity, valid_from=_aware(fact.since), valid_to=_aware(fact.until), said_at=message.at, seq=1 << 62,
            speaker=speaker, turn=tx.turn(scope.session, speaker), session=scope.session, replaces=fact.replaces, sort=fact.sort,
            serial=fact.serial, relation=fact.relation,
        )  # fmt: skip


def meeting(tx: Transaction, subject: str, attribute: str, serial: int | None, speaker: str | None, user: str | None) -> list[ClaimRow]:
    """The claims of a key and, where it is about somebody by name, those that tell who is called so. ``serial`` is that of a numbered fact."""
    known, me = tx.claims([(subject, attribute)], user), key(speaker) if speaker else ME
    if "/" in subject or subject == me or serial is not None:
        return known
    seen = {row.seq for row in known}
    return known + [row for row in tx.namesakes(subject, me, user) if row.seq not in seen]


def _trusts(known: Sequence[ClaimRow], memory: str) -> list[Trust]:
    """The trust of what a memory claims, of those claims that are known."""
    return [row.trust for row in known if row.memory == memory]


def _derive(tx: Transaction, memory: str, parents: Sequence[Memory]) -> None:
    for parent in parents:
        tx.link(memory, parent.id, DERIVED, "made from it")


def told(message: Message, scope: Scope, now: datetime) -> Message:
    """The message with the time and the speaker that it left to be understood."""
    at = message.at
    if at is None and message.id is None:
        at = now
    speaker = message.speaker or (scope.user if message.role == "user" else None)
    return replace(message, at=_aware(at), speaker=speaker)


def people_of(messages: Sequence[Message], scope: Scope) -> tuple[str, ...]:
    """Who speaks in these messages."""
    return tuple(dict.fromkeys(m.speaker or scope.user or m.role for m in messages))


def _unread(message: Message) -> Heard:
    """The whole turn, as nobody understood it."""
    return Heard((Candidate(0, len(message.words), Part.TURN, Type.FACT, message.speaker or message.role, None),), ((),))


def claim_of(row: ClaimRow) -> conflict.Claim:
    """A stored claim as the policy sees it."""
    return conflict.Claim(
        memory=row.memory, subject=row.subject, attribute=row.attribute, value=row.value, polarity=row.polarity, tense=row.tense,  # type: ignore[arg-type]
        cue=row.cue, arity=row.arity, valid_from=row.valid.start, valid_to=row.valid.end, said_at=row.said, seq=row.seq,  # type: ignore[arg-type]
        speaker=row.speaker, turn=row.turn, session=row.session, sort=row.sort, serial=row.serial, closed=row.closed_by is not None,
        relation=row.relation,
    )  # fmt: skip


def rows(verdicts: Sequence[conflict.Verdict], source: Source, memory: str) -> tuple[ClaimRow, ...]:
    """The claims to store of those verdicts that found a key."""
    return tuple(_row(v, source, memory) for v in verdicts if v.claim.subject and v.claim.attribute)


def _row(verdict: conflict.Verdict, source: Source, memory: str) -> ClaimRow:
    claim = verdict.claim
    assert claim.subject is not None and claim.attribute is not None
    return ClaimRow(
        memory=memory, subject=claim.subject, attribute=claim.attribute, value=claim.value, polarity=claim.polarity, tense=claim.tense,
        cue=claim.cue, arity=claim.arity, sort=claim.sort, serial=claim.serial, speaker=claim.speaker, turn=claim.turn, user=source.scope.user,
        session=source.scope.session, said=source.message.at,
        valid=Interval(claim.valid_from, verdict.told_until if verdict.superseded_by else claim.valid_to),
        closed_by=verdict.superseded_by, closed_at=claim.valid_to if verdict.superseded_by else None, relation=claim.relation,
    )  # fmt: skip


def closed_by(verdicts: Sequence[conflict.Verdict]) -> tuple[datetime | None, str, str] | None:
    """When a memory whose claims were all superseded ceased to hold, by which memory, and why."""
    end, by, why = (_closing(verdicts) if verdicts else None) or (None, None, "")
    return None if by is None else (end, by, why)


def _closing(verdicts: Sequence[conflict.Verdict]) -> tuple[datetime | None, str | None, str] | None:
    """When a memory of only past or superseded claims ceased to hold, by which memory, and why."""
    ends = [v.claim.valid_to for v in verdicts]
    if not all(v.superseded_by or v.claim.tense == "past" for v in verdicts) or any(end is None for end in ends):
        return None
    by = next((v for v in verdicts if v.superseded_by), None)
    end = max(end for end in ends if end is not None)
    return (end, by.superseded_by, by.reason) if by else (end, None, TOLD_OF_THE_PAST)


def _valid(
    verdicts: Sequence[conflict.Verdict], said: datetime | None, closing: tuple[datetime | None, str | None, str] | None
) -> Interval:
    """When what was claimed held: from where the claims say it began, else from when it was said; a past one may have no beginning."""
    starts = [v.claim.valid_from for v in verdicts]
    start = min((s for s in starts if s is not None), default=None) if all(starts) or closing else said
    return Interval(start or (None if closing else said), closing[0] if closing else None)


def apply(tx: Transaction, memory: str, verdict: conflict.Verdict, changes: list[Change]) -> None:
    """Carries out a verdict on the memories it names, and notes each outcome."""
    for action in verdict.actions:
        if isinstance(action, conflict.Supersede):
            supersede(tx, memory, verdict.claim, action, changes)
        elif isinstance(action, conflict.Evidence):
            tx.link(memory, action.old_id, "evidence", action.reason)
            changes.append(Change(Outcome.EVIDENCE, action.old_id, action.reason, other=memory))
        else:
            tx.link(memory, action.old_id, "possible_conflict", action.reason)
            changes.append(Change(Outcome.POSSIBLE_CONFLICT, action.old_id, action.reason, other=memory))


def supersede(tx: Transaction, memory: str, claim: conflict.Claim, action: conflict.Supersede, changes: list[Change]) -> None:
    """Closes the old claim; its memory's validity ends with the last of its claims."""
    assert claim.subject is not None and claim.attribute is not None
    state, _, _ = tx.state(action.old_id)
    if state is State.FROZEN:
        reason = f"{action.reason}; but it is frozen, so both stand"
        tx.link(memory, action.old_id, "possible_conflict", reason)
        changes.append(Change(Outcome.POSSIBLE_CONFLICT, action.old_id, reason, other=memory))
        return
    if not tx.close_claims(action.old_id, (claim.subject, claim.attribute), memory, action.valid_to, action.value):
        return
    tx.link(memory, action.old_id, "supersedes", action.reason)
    before = None
    if tx.open_claims(action.old_id) == 0:
        before = tx.close(action.old_id, action.valid_to, action.reason, memory)
    changes.append(Change(Outcome.SUPERSEDED, action.old_id, action.reason, before=before, after=before, other=memory))


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def known_of(tx: Transaction, row: ClaimRow) -> list[ClaimRow]:
    """The claims that a stored one is held against, itself among them."""
    return meeting(tx, row.subject, row.attribute, row.serial, row.speaker, row.user)


def rejudge(tx: Transaction, row: ClaimRow) -> None:
    """Holds a claim that is open again, because what had superseded it is gone, against all others of its key."""
    claim, known = claim_of(row), [claim_of(other) for other in known_of(tx, row) if other.seq != row.seq]
    verdict = conflict.resolve(claim, known)
    came_later = {other.memory for other in known if other.seq > row.seq}
    ends = [other for other in known if other.memory == verdict.superseded_by]
    too_late = {other.memory for other in known if any(end is not other and conflict.precedes(end, other) for end in ends)}
    for action in verdict.actions:
        if not isinstance(action, conflict.Supersede) and action.old_id not in {row.memory, *too_late}:
            later, earlier = (action.old_id, row.memory) if action.old_id in came_later else (row.memory, action.old_id)
            tx.link(later, earlier, "evidence" if isinstance(action, conflict.Evidence) else "possible_conflict", action.reason)
    if verdict.superseded_by is not None:
        value = row.value if conflict.is_beside_others(claim) else None
        tx.close_claims(row.memory, (row.subject, row.attribute), verdict.superseded_by, verdict.claim.valid_to, value)
        tx.link(verdict.superseded_by, row.memory, "supersedes", verdict.reason)
        if tx.open_claims(row.memory) == 0:
            tx.close(row.memory, verdict.claim.valid_to, verdict.reason, verdict.superseded_by)


def check(messages: Sequence[Message]) -> None:
    """Types and limits, before anything is written."""
    if len(messages) > MAX_MESSAGES:
        raise TooLarge(f"{len(messages)} messages in one call; the limit is {MAX_MESSAGES}. Send them in batches.")
    for place, message in enumerate(messages, 1):
        check_message(message, place)


def check_message(message: Message, place: int) -> None:
    """The same of one, ``place`` being its number."""
    check_text(message.role, "a role", place)
    check_name(message.role, "a role", place)
    check_name(message.speaker, "a speaker", place)
    check_name(message.session, "a session", place)
    check_name(message.id, "an id", place)
    check_time(message.at, "a time ('at')", place)
    metadata.checked(message.metadata, f"Message {place}'s metadata")
    size = check_text(message.text, "a text", place) + check_text(message.caption or "", "a caption", place)
    if not message.text.strip() and not (message.caption or "").strip():
        raise Invalid(f"Message {place} is empty: there is nothing to remember. Nothing was stored.")
    if size > MAX_TEXT_BYTES:
        raise TooLarge(f"Message {place} has {size:,} bytes; the limit is {MAX_TEXT_BYTES:,}. Split it; nothing was stored.")


def check_text(text: object, what: str, place: int = 0) -> int:
    """How many bytes a text takes. Raises `Invalid` for what is no string or cannot be stored; ``place`` is its message, from 1."""
    if isinstance(text, str) and text.isascii():
        return len(text)
    if not isinstance(text, str):
        raise Invalid(f"{_named(what, place)} is {text!r:.100}; it must be a string.{_unkept(place)}")
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise Invalid(
            f"{_named(what, place)} holds an unpaired surrogate (U+{ord(text[error.start]):04X}) at character {error.start}, which is "
            f"not text. Decode it with errors='replace', or drop that character.{_unkept(place)}"
        ) from error


def check_name(name: object, what: str, place: int = 0) -> None:
    """A short text, or none: of a person, a session, a message. Raises `Invalid` or `TooLarge`."""
    if name is not None and check_text(name, what, place) > MAX_NAME and len(str(name)) > MAX_NAME:
        raise TooLarge(f"{_named(what, place)} has {len(str(name)):,} characters; the limit is {MAX_NAME:,}.{_unkept(place)}")


def check_time(at: object, what: str, place: int = 0) -> None:
    """A time that UTC can name, or none. Raises `Invalid`."""
    if at is None:
        return
    if not isinstance(at, datetime):
        raise Invalid(f"{_named(what, place)} is {at!r:.100}; it must be a datetime, in UTC if it has no zone. Nothing was stored.")
    try:
        is_instant = at.tzinfo is None or (at.utcoffset() is not None and (1 < at.year < 9999 or at.astimezone(UTC) is not None))
    except OverflowError:
        is_instant = False
    if not is_instant:
        raise Invalid(f"{_named(what, place)} is {at!r:.100}, outside the years 1 to 9999 of UTC. Leave it out if there is no date.")


def _unkept(place: int) -> str:
    """What is said besides of what was to be taken in: of a message."""
    return " Nothing was stored." if place else ""


def _named(what: str, place: int) -> str:
    return f"Message {place} has {what} that" if place else what
