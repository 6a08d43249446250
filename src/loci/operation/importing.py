"""Importing: transcripts into a cube, in batches that are a transaction each. All of it is checked before the first write,
and what is in the journal already adds nothing: after a kill in the middle, the same import again ends as one would have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from loci.errors import Invalid, LociError, Malformed, TooLarge
from loci.infrastructure.formats import Transcript
from loci.operation.intake import check
from loci.types import Message, Outcome, Receipt, Scope, Trust

BATCH = 500  # messages; more only when a later one is the very same as one of them
AHEAD = 3  # batches
BATCH_CHARS = 200_000  # a transaction keeps other writers waiting: long texts go in smaller batches

Add = Callable[[Sequence[Message], Scope, str | None, Trust], Receipt]
Expect = Callable[[Sequence[Message], Scope], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import. ``known`` messages were in the journal already; the other counts are of memories."""

    messages: int
    added: int
    known: int
    memories: int
    superseded: int
    evidence: int
    possible_conflicts: int
    pending: int
    notes: tuple[str, ...]


@dataclass(slots=True)
class Batch:
    """Messages for one transaction: of one scope and origin, and of conversations among the same people."""

    scope: Scope
    people: frozenset[str]
    origin: str | None = None
    trust: Trust = Trust.TRUSTED
    messages: list[Message] = field(default_factory=list)
    chars: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.messages) >= BATCH or self.chars >= BATCH_CHARS


def import_transcripts(
    transcripts: Sequence[Transcript], add: Add, into: Scope, progress: Progress | None = None, expect: Expect | None = None
) -> Imported:
    """Adds all messages through ``add``, which commits each batch. ``into`` says whose they are and, where neither they nor
    their transcript say it, of which session. ``progress`` is told (done, total) before the first batch and after each;
    ``expect`` is told of each batch a little before its turn.

    Raises before anything is written when a message is beyond a limit or cannot be stored.
    """
    validate(transcripts)
    ready = batches(transcripts, into)
    for batch in ready:
        check(batch.messages)
    total, done = sum(len(batch.messages) for batch in ready), 0
    added = 0
    counts = dict.fromkeys(Outcome, 0)
    coming = iter(ready)
    for batch in ready:
        if progress is not None:
            progress(done, total)
        if expect is not None:
            for following in islice(coming, 1 if done else AHEAD):
                expect(following.messages, following.scope)
        receipt = add(batch.messages, batch.scope, batch.origin, batch.trust)
        done += len(batch.messages)
        added += len(receipt.sources)
        for change in receipt.changes:
            counts[change.outcome] += 1
    if progress is not None:
        progress(done, total)
    return Imported(
        messages=total, added=added, known=total - added, memories=counts[Outcome.ADDED], superseded=counts[Outcome.SUPERSEDED],
        evidence=counts[Outcome.EVIDENCE], possible_conflicts=counts[Outcome.POSSIBLE_CONFLICT], pending=counts[Outcome.PENDING],
        notes=tuple(dict.fromkeys(f"{t.file}: {note}" if t.file else note for t in transcripts for note in t.notes)),
    )  # fmt: skip


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


def _check_storable(message: Message, name: str) -> None:
    for text in (message.text, message.caption, message.speaker, message.role, message.id, message.session, name):
        try:
            (text or "").encode()
        except UnicodeEncodeError as error:
            raise Invalid(
                f"character {error.start} is an unpaired surrogate (U+{ord(error.object[error.start]):04X}), which is not text."
            ) from error


def batches(transcripts: Sequence[Transcript], into: Scope) -> list[Batch]:
    """The same transcripts always give the same batches, so that a second import meets its own transactions. Messages that
    are equal in everything share a batch: only within one can they be told apart."""
    found: list[Batch] = []
    homes: dict[tuple[object, ...], Batch] = {}
    for transcript in transcripts:
        scope = replace(into, user=into.user or transcript.user, agent=into.agent or transcript.agent, session=None)
        people = frozenset(m.speaker or m.role for m in transcript.messages)
        for message in _with_session(transcript, into.session):
            m = message
            key = (scope, transcript.origin, transcript.trust, m.role, m.speaker, m.text, m.at, m.id, m.session)
            home = homes.get(key)
            if home is None:
                last = found[-1] if found else None
                wanted = (scope, people, transcript.origin, transcript.trust)
                if last is None or last.is_full or (last.scope, last.people, last.origin, last.trust) != wanted:
                    found.append(Batch(*wanted))
                home = homes[key] = found[-1]
            home.messages.append(message)
            home.chars += len(message.text)
    return found


def _with_session(transcript: Transcript, given: str | None) -> Iterator[Message]:
    """Each message with the session it belongs to: its own, else the given one, else the transcript's name."""
    session = given or transcript.name or None
    for message in transcript.messages:
        yield message if message.session is not None or session is None else replace(message, session=session)
