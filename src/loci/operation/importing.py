"""Importing: transcripts into a cube, in batches that are a transaction each. All of it is checked before the first write,
and what is in the journal already adds nothing: after a kill in the middle, the same import again ends as one would have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

from loci.errors import Invalid, LociError, Malformed, TooLarge
from loci.infrastructure.formats import Sequel, Transcript, shown
from loci.operation.intake import Told, check, check_name, check_text
from loci.policy.trust import least, trust_of
from loci.types import Change, Channel, Memory, Message, Outcome, Receipt, Scope, Trust

BATCH = 500  # messages; more only when a later one is the very same as one of them
AHEAD = 3  # batches
BATCH_CHARS = 200_000  # a transaction keeps other writers waiting: long texts go in smaller batches
TAKEN = (Outcome.UPDATED, Outcome.SUPERSEDED, Outcome.FORGOTTEN)

Progress = Callable[[int, int], None]
Named = tuple[str | None, str]  # the user and the id of a message


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one thing that was in the file: a message by its id there, or its line; or a change of one. ``memory`` is of the whole message."""

    item: str
    outcome: Outcome
    memory: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import. ``known`` messages were in the journal already, ``changed`` counts further versions, ends and deletions that were
    taken over, ``refused`` what was not taken; the other counts are of memories. ``items`` says it of each. After a dry run nothing of it is so."""

    messages: int
    added: int
    known: int
    changed: int
    refused: int
    memories: int
    superseded: int
    evidence: int
    possible_conflicts: int
    quarantined: int
    pending: int
    notes: tuple[str, ...]
    items: tuple[Item, ...] = ()
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Followed:
    """A memory from elsewhere, what became of it there, and the memories it was drawn from. ``is_new``: this import brought it."""

    memory: str
    sequels: tuple[Sequel, ...]
    parents: tuple[str, ...]
    scope: Scope
    trust: Trust
    is_new: bool


class Taking(Protocol):
    """What importing asks of a cube."""

    def add(self, messages: Sequence[Message], scope: Scope, origin: str | None, trust: Trust, told: Told) -> Receipt:
        """Journals and remembers them, and commits."""

    def expect(self, messages: Sequence[Message], scope: Scope) -> None:
        """These come a little later."""

    def known(self, ids: Sequence[str], user: str | None) -> Mapping[str, Memory]:
        """The memories that were imported under these ids, as they are now."""

    def says(self, memory: Memory, text: str) -> bool:
        """Whether these words are or were its own."""

    def follow(self, memories: Sequence[Followed]) -> Sequence[Sequence[Change]]:
        """Takes over what became of them, and commits."""


@dataclass(slots=True)
class Batch:
    """Messages for one transaction: of one scope and origin, and of conversations among the same people."""

    scope: Scope
    people: frozenset[str]
    origin: str | None = None
    trust: Trust = Trust.TRUSTED
    messages: list[Message] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    chars: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.messages) >= BATCH or self.chars >= BATCH_CHARS


def import_transcripts(transcripts: Sequence[Transcript], cube: Taking, into: Scope, progress: Progress | None = None) -> Imported:
    """Adds all messages, then what became of them where they are from. ``into`` says whose they are and, where neither they nor their transcript
    say it, of which session. ``progress`` is told (done, total) before the first batch and after each.

    Raises before anything is written when a message is beyond a limit or cannot be stored; of another system's, it is refused by itself.
    """
    transcripts = [refusing(transcript) if transcript.is_foreign else transcript for transcript in transcripts]
    refused = [Item(item, Outcome.REFUSED, None, why) for transcript in transcripts for item, why in transcript.refused]
    if refused and not any(transcript.messages for transcript in transcripts):
        raise Malformed(f"Nothing in it can be stored: {refused[0].item}: {refused[0].reason}. Nothing was imported.")
    validate([transcript for transcript in transcripts if not transcript.is_foreign])
    found = Found(cube, into)
    fresh, changed = found.sort(transcripts)
    ready = batches(fresh, into, found.trust)
    for batch in ready:
        check(batch.messages)
    total, done = sum(len(batch.messages) for batch in ready) + len(changed), 0
    added, counts = 0, dict.fromkeys(Outcome, 0)
    coming = iter(ready)
    for batch in ready:
        if progress is not None:
            progress(done, total)
        for following in islice(coming, 1 if done else AHEAD):
            cube.expect(following.messages, following.scope)
        receipt = cube.add(batch.messages, batch.scope, batch.origin, batch.trust, found.telling(batch))
        done += len(batch.messages)
        added += len(receipt.sources)
        for change in receipt.changes:
            counts[change.outcome] += 1
    for start in range(0, len(changed), BATCH):
        if progress is not None:
            progress(done, total)
        found.follow(changed[start : start + BATCH])
        done = min(done + BATCH, total)
    if progress is not None:
        progress(done, total)
    found.items += refused
    messages = sum(len(transcript.messages) for transcript in transcripts)
    return Imported(
        messages=messages, added=added, known=messages - added, changed=found.changed, memories=counts[Outcome.ADDED],
        refused=sum(item.outcome is Outcome.REFUSED for item in found.items), superseded=counts[Outcome.SUPERSEDED],
        evidence=counts[Outcome.EVIDENCE], possible_conflicts=counts[Outcome.POSSIBLE_CONFLICT], quarantined=counts[Outcome.QUARANTINED],
        pending=counts[Outcome.PENDING], items=tuple(found.items),
        notes=tuple(dict.fromkeys(f"{t.file}: {note}" if t.file else note for t in transcripts for note in t.notes)),
    )  # fmt: skip


class Found:
    """What is known of the messages of an import: which are here already, what memories came of the others, and what became of each."""

    def __init__(self, cube: Taking, into: Scope) -> None:
        self._cube, self._into = cube, into
        self._here: dict[Named, Memory] = {}
        self._born: dict[Named, str] = {}
        self._said: dict[Named, Trust] = {}
        self._sequels: dict[Named, list[Sequel]] = {}
        self.items: list[Item] = []
        self.changed = 0

    def sort(self, transcripts: Sequence[Transcript]) -> tuple[list[Transcript], list[tuple[Named, Transcript]]]:
        """(what is to be added, whose changes are to be taken over once it is)."""
        fresh, changed = [], []
        for transcript in transcripts:
            user = self._into.user or transcript.user
            self._said |= {
                (user, m.id): trust_of(Channel.IMPORT, m.role, transcript.trust) for m in transcript.messages if m.id is not None
            }
            if not transcript.are_facts:
                fresh.append(transcript)
                continue
            for sequel in transcript.sequels:
                self._sequels.setdefault((user, sequel.of), []).append(sequel)
            ids = {m.id for m in transcript.messages if m.id is not None} | {
                id for parents in transcript.made_of.values() for id in parents
            }
            self._here |= {(user, id): memory for id, memory in self._cube.known(sorted(ids), user).items()}
            new = [place for place, message in enumerate(transcript.messages) if not self._is_here((user, message.id or ""), message)]
            lines = transcript.lines
            fresh.append(
                replace(transcript, messages=tuple(transcript.messages[n] for n in new), lines=tuple(lines[n] for n in new if lines))
            )
            changed += [(name, transcript) for m in transcript.messages if self._has_more(name := (user, m.id or ""), transcript)]
        return fresh, changed

    def _is_here(self, name: Named, message: Message) -> bool:
        """Whether a memory of that id is here. Where it says something else, and nobody tells how it came to that, it changed where it is from."""
        memory = self._here.get(name)
        if memory is None:
            return False
        self.items.append(Item(name[1], Outcome.IGNORED, memory.id, "a memory of this id is here already"))
        if name not in self._sequels and not self._cube.says(memory, message.text):
            at = message.at.isoformat() if message.at else "at a time that is not told"
            self._sequels[name] = [Sequel(name[1], f"changed where it is from, {at}", message.at, message.text)]
        return True

    def _has_more(self, name: Named, transcript: Transcript) -> bool:
        return name in self._sequels or name[1] in transcript.made_of

    def trust(self, transcript: Transcript, message: Message) -> Trust:
        """The trust of a message at most: that of its transcript, and of what it was drawn from."""
        user = self._into.user or transcript.user
        return least((transcript.trust, *(self._trust_of((user, parent)) for parent in transcript.made_of.get(message.id or "", ()))))

    def _trust_of(self, name: Named) -> Trust:
        here = self._here.get(name)
        return here.origin.trust if here else self._said.get(name, Trust.TRUSTED)

    def telling(self, batch: Batch) -> Told:
        """Hears what came of each message of a batch."""

        def told(place: int, changes: Sequence[Change]) -> None:
            message = batch.messages[place]
            memory = next((change.memory for change in changes if change.outcome in (Outcome.ADDED, Outcome.QUARANTINED)), None)
            if memory is not None and message.id is not None:
                self._born[batch.scope.user, message.id] = memory
            first = next((change for change in changes if change.memory == memory), changes[0] if changes else None)
            outcome, reason = (first.outcome, first.reason) if first else (Outcome.IGNORED, "there was nothing left to remember")
            self.items.append(Item(batch.places[place], outcome, memory, reason))

        return told

    def follow(self, changed: Sequence[tuple[Named, Transcript]]) -> None:
        """Takes over what became of these memories, and names what they were drawn from."""
        ready = []
        for name, transcript in changed:
            memory, parents = self._memory(name), [self._memory((name[0], parent)) for parent in transcript.made_of.get(name[1], ())]
            sequels = tuple(self._sequels.get(name, ()))
            if memory is None:
                self.items += [Item(name[1], Outcome.REFUSED, None, f"{sequel.why}: its memory is not here") for sequel in sequels]
                continue
            scope = replace(self._into, user=name[0])
            ready.append(Followed(memory, sequels, tuple(p for p in parents if p), scope, transcript.trust, name in self._born))
        for one, changes in zip(ready, self._cube.follow(ready), strict=True):
            of = one.sequels[0].of if one.sequels else one.memory
            self.items += [Item(of, change.outcome, change.memory, change.reason) for change in changes]
            self.changed += sum(change.outcome in TAKEN for change in changes)

    def _memory(self, name: Named) -> str | None:
        here = self._here.get(name)
        return here.id if here else self._born.get(name)


def refusing(transcript: Transcript) -> Transcript:
    """The same without what cannot be stored, which is refused. A memory goes with any change of it that cannot be: without it, former words would stand."""
    messages, lines = transcript.messages, transcript.lines
    odd = {place: why for place, message in enumerate(messages) if (why := _why_not(message, transcript))}
    ends: dict[str | None, str] = {}
    for sequel in transcript.sequels:
        if why := _why_not(Message("user", sequel.text or "-", sequel.at, id=sequel.of), transcript, sequel.why):
            ends.setdefault(sequel.of, f"{sequel.why}: {why}")
    odd = {place: ends[message.id] for place, message in enumerate(messages) if message.id in ends} | odd
    if not odd:
        return transcript
    kept = [place for place in range(len(messages)) if place not in odd]
    gone = {messages[place].id for place in odd}
    refused = [(shown(messages[place].id or f"message {place + 1}"), shown(why)) for place, why in sorted(odd.items())]
    return replace(
        transcript, messages=tuple(messages[place] for place in kept), lines=tuple(lines[place] for place in kept if lines),
        refused=(*transcript.refused, *refused), sequels=tuple(sequel for sequel in transcript.sequels if sequel.of not in gone),
    )  # fmt: skip


def _why_not(message: Message, transcript: Transcript, reason: str = "") -> str:
    """Why it cannot be stored; empty if it can."""
    try:
        _check_storable(message, reason or transcript.name)
        check([message])
        for name in (transcript.user, transcript.agent, *transcript.made_of.get(message.id or "", ())):
            check_name(name, "whose it is, or what it is of,")
    except LociError as error:
        return re.sub(r"[.;] [Nn]othing was stored\.$", "", str(error).replace("Message 1 ", "it ", 1)).rstrip(".")
    return ""


def validate(transcripts: Sequence[Transcript]) -> None:
    """The limits of taking in, and that every word can be stored. Raises with the file and the line."""
    for transcript in transcripts:
        for place, message in enumerate(transcript.messages):
            try:
                _check_storable(message, transcript.name)
                check([message])
            except LociError as error:
                line = transcript.lines[place] if transcript.lines else 0
                where = f"{transcript.file or 'the import'}, line {line}" if line else transcript.file or "the import"
                told = f"{where}: {str(error).replace('Message 1 ', 'the message ', 1)} Nothing was imported."
                raise TooLarge(told) if isinstance(error, TooLarge) else Malformed(told, line) from error
        for sequel in transcript.sequels:
            try:
                check([Message("user", sequel.text or "-", sequel.at, id=sequel.of)])
                check_text(sequel.why, "a reason")
            except LociError as error:
                where = f"{transcript.file or 'the import'}, {sequel.of}"
                told = f"{where}: {str(error).replace('Message 1 ', f'{sequel.why} ', 1)} Nothing was imported."
                raise TooLarge(told) if isinstance(error, TooLarge) else Malformed(told) from error


def _check_storable(message: Message, name: str) -> None:
    for text in (message.text, message.caption, message.speaker, message.role, message.id, message.session, name):
        try:
            (text or "").encode()
        except UnicodeEncodeError as error:
            raise Invalid(
                f"character {error.start} is an unpaired surrogate (U+{ord(error.object[error.start]):04X}), which is not text."
            ) from error


def batches(transcripts: Sequence[Transcript], into: Scope, trust: Callable[[Transcript, Message], Trust]) -> list[Batch]:
    """The same transcripts always give the same batches, so that a second import meets its own transactions. Messages that
    are equal in everything share a batch: only within one can they be told apart. ``trust`` is that of each at most."""
    found: list[Batch] = []
    homes: dict[tuple[object, ...], Batch] = {}
    for transcript in transcripts:
        scope = replace(into, user=into.user or transcript.user, agent=into.agent or transcript.agent, session=None)
        people = frozenset(m.speaker or m.role for m in transcript.messages)
        for place, message in enumerate(_with_session(transcript, into.session)):
            m, most = message, trust(transcript, message)
            key = (scope, transcript.origin, most, m.role, m.speaker, m.text, m.at, m.id, m.session)
            home = homes.get(key)
            if home is None:
                last = found[-1] if found else None
                wanted = (scope, people, transcript.origin, most)
                if last is None or last.is_full or (last.scope, last.people, last.origin, last.trust) != wanted:
                    found.append(Batch(*wanted))
                home = homes[key] = found[-1]
            home.messages.append(message)
            home.places.append(message.id or (f"line {transcript.lines[place]}" if transcript.lines else f"message {place + 1}"))
            home.chars += len(message.text)
    return found


def _with_session(transcript: Transcript, given: str | None) -> Iterator[Message]:
    """Each message with the session it belongs to: its own, else the given one, else the transcript's name."""
    session = given or transcript.name or None
    for message in transcript.messages:
        yield message if message.session is not None or session is None else replace(message, session=session)
