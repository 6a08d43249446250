"""What the kernel asks of a store: one cube's memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from loci.ports.adapters import AdapterReads, AdapterWrites
from loci.ports.payloads import PayloadReads, PayloadWrites
from loci.ports.queue import QueueReads, QueueWrites
from loci.ports.retaining import Strength
from loci.ports.where import Where
from loci.types import (
    Channel,
    Counts,
    Fault,
    Head,
    Interval,
    Link,
    Memory,
    Outcome,
    Record,
    Scope,
    Source,
    State,
    Suspect,
    Transition,
    Trust,
    Type,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = Sequence[float] | NDArray[np.float64]  # numbers, one a candidate


@dataclass(frozen=True, slots=True)
class Reach:
    """Rows that a grant opens: those of this user, agent and session, or of one memory; None is not narrowed, and user `NOBODY` is what
    belongs to no user."""

    user: str | None = None
    agent: str | None = None
    session: str | None = None
    memory: str | None = None


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows a call may see: decided by governance, applied by the store before anything is ranked.

    ``as_of`` None means "now" for what is true, with closed rows left out unless ``is_past`` lets them in. ``within`` None lets every
    row through, else those of any of these reaches. ``where`` is asked of what is kept with a version;
    ``has_expired`` lets in what its time to live has ended. What is in quarantine is always left out.
    """

    now: datetime
    user: str | None = None
    agent: str | None = None
    session: str | None = None
    as_of: datetime | None = None
    known_at: datetime | None = None
    states: frozenset[State] = frozenset({State.GENERATED, State.ACTIVATED, State.MERGED, State.FROZEN})
    types: tuple[Type, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    is_past: bool = False
    within: tuple[Reach, ...] | None = None
    where: Where | None = None
    has_expired: bool = False


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A keyed statement as stored. ``seq`` is 0 until it is."""

    memory: str
    subject: str
    attribute: str
    value: str
    polarity: bool = True
    tense: str = "now"
    cue: str = "statement"
    arity: str = "one"
    sort: str = "text"
    serial: int | None = None
    speaker: str | None = None
    turn: int | None = None
    user: str | None = None
    session: str | None = None
    said: datetime | None = None
    valid: Interval = field(default_factory=Interval)
    closed_by: str | None = None
    closed_at: datetime | None = None  # of one that is closed as it is written: since when, where ``valid`` ends as its own words say
    seq: int = 0
    trust: Trust = Trust.TRUSTED
    relation: str | None = None  # what the subject is called besides the name


@dataclass(frozen=True, slots=True)
class Draft:
    """A version to be written: the memory, and what search wants to know of it: whether it asks something, names a time, tells of
    a change, speaks in the first person. It is found by its words and by its speaker's name."""

    memory: Memory
    is_question: bool = False
    has_time: bool = False
    is_event: bool = False
    is_own: bool = False
    claims: tuple[ClaimRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """What a search looks for: words, a direction of this embedder's, the people it is about, the keys of claims with the ``relation`` that
    goes with the name in them ("plan" means all that it begins, "likes/*movie" all of that which has the part in it), as they held ``then`` where it asks how things stood in a time that is over, and the time in which it was said (``window``): a preference, no filter. ``missing`` carries signals already lost. Vectors of another embedder are not compared with it: the signal is missing instead."""

    terms: tuple[str, ...]
    vector: NDArray[np.float32] | None = None
    people: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    embedder: str = ""
    keys: tuple[tuple[str | None, str], ...] = ()
    relation: str | None = None
    window: Interval | None = None
    then: Interval | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What a search saw: the candidates, in columns, and the background that their scores stand out from.

    ``contents`` are the candidates; ``sources`` and ``sessions`` their messages and sessions (0: none); ``wholes`` the content of the
    whole message where that is short, else their own. ``signals`` has a value for each candidate: raw signals by name, ``words`` (nats of surprise) among them, NaN
    where a signal has nothing to say. ``attainable`` is the surprise of a text that holds every term, ``best_surprise`` the largest
    there is; the cosine figures are over every row the filter let through. ``missing`` names signals that could not run in full,
    with the reason. ``untrusted`` says so of each candidate; ``held`` memories would be among the rows if they were not in quarantine.
    """

    contents: Sequence[int]
    wholes: Sequence[int]
    sources: Sequence[int]
    sessions: Sequence[int]
    signals: Mapping[str, Column]
    documents: int
    attainable: float
    best_surprise: float
    best_nearby: float
    cosine_best: float
    cosine_mean: float
    cosine_deviation: float
    missing: Mapping[str, str]
    counts: Mapping[str, int]
    untrusted: Sequence[bool] = ()
    held: int = 0


@dataclass(frozen=True, slots=True)
class Removed:
    """What an erasure took: rows by layer, the claims of others that hold again without it, what programs had kept with the words, as it
    was stored, and the ids of the memories of which nothing is left."""

    counts: Mapping[str, int]
    reopened: tuple[ClaimRow, ...]
    metadata: tuple[str, ...] = ()
    memories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Earlier:
    """A write that was asked for with a key: the keyed hash of what was ``asked``, and the ``answer``, None where an erasure took it since."""

    asked: bytes
    answer: str | None


class Transaction(QueueWrites, PayloadWrites, AdapterWrites, Protocol):
    """Writes of one change. Reads inside see the writes before them. Times of record are the transaction's own."""

    @property
    def epoch(self) -> int:
        """Grows with every erasure: what was read before the last one may be gone."""

    def journal(self, source: Source, ordinal: int) -> bool:
        """Stores a message verbatim. False when the very same one is there already: then nothing was written.

        ``ordinal`` tells apart equal messages of one call."""

    def add(self, draft: Draft, cause: str | None = None) -> int:
        """A new memory at version 1; ``cause`` is the memory that had superseded it before it came. Returns its content key."""

    def revise(self, draft: Draft, number: int, outcome: Outcome, cause: str | None = None) -> int:
        """A further version with new words."""

    def version(
        self, memory: str, number: int, content: int, valid: Interval, outcome: Outcome, author: str, reason: str, cause: str | None,
        ending: str = "",
    ) -> None:  # fmt: skip
        """A further version of words already there."""

    def current(self, memory: str) -> tuple[int, int, int, Interval]:
        """(version key, number, content key, valid) of the latest version as known now. Raises ``Missing``."""

    def close(self, memory: str, at: datetime | None, reason: str, cause: str | None = None) -> int:
        """Ends the current version's validity at ``at`` (None: now): its row ends in recorded time, and a row with the ended validity and
        the reason follows it. ``cause`` is the memory that made it so. Returns the version's number."""

    def claims(self, keys: Iterable[tuple[str, str]], user: str | None) -> list[ClaimRow]:
        """The latest claims, closed ones too, whose (subject, attribute) is one of these keys or more or less exact by a
        slash ("plan/trip" and "plan/trip/rome"), in the user's scope, oldest first."""

    def freed_claims(self, keys: Iterable[tuple[str, str]], user: str | None) -> list[ClaimRow]:
        """Of what `claims` finds, those that were superseded by what was taken back since: the other memory was forgotten while it said
        so, or restored to words from before it did."""

    def said_by(self, memory: str) -> list[ClaimRow]:
        """The memory's open claims, oldest first."""

    def keys_of(self, sources: Sequence[str]) -> list[tuple[str, str, str | None]]:
        """(subject, attribute, user) of what was ever claimed by quoting these sources."""

    def spoken_claims(self, speaker: str, user: str | None, limit: int) -> list[ClaimRow]:
        """The last open claims of a speaker, oldest first: what a correction without a subject may mean."""

    def namesakes(self, name: str, speaker: str, user: str | None) -> list[ClaimRow]:
        """The claims that tell a relation of whom a name is of: those about them ("my brother Tom"), and those of the speaker, a key of
        subjects, that name them ("my brother is called Tom"), closed ones too, oldest first."""

    def turn(self, session: str | None, speaker: str) -> int | None:
        """The number of the speaker's last message in the session, from 1."""

    def close_claims(self, memory: str, key: tuple[str, str], closer: str, at: datetime | None, value: str | None = None) -> bool:
        """Ends those open claims of a memory that ``claims`` finds by this key, and ends earlier those that were to end later; with a ``value``
        those of that value. False when there are none: it claims that no more."""

    def open_claim(self, claim: ClaimRow) -> None:
        """A claim holds again that another memory had superseded."""

    def retire_claims(self, memory: str) -> list[tuple[str, str]]:
        """Ends the memory's open claims: it no longer says what it said. Returns their keys."""

    def carry_claims(self, memory: str, content: int) -> None:
        """Gives the memory's open claims to its further version, which keeps the words."""

    def reopen_claims(self, memory: str, content: int) -> list[str]:
        """A version's claims hold again, and only those. Returns the other memories that had superseded them."""

    def open_claims(self, memory: str) -> int: ...

    def link(self, source: str, target: str, kind: str, reason: str) -> None: ...

    def state(self, memory: str) -> tuple[State, datetime | None, int]:
        """(state, expires, priority)."""

    def content_of(self, memory: str, number: int) -> int:
        """The content key of a version."""

    def overdue(self, now: datetime) -> list[tuple[str, State, datetime, int]]:
        """(memory, state, expires, priority) of memories whose time to live is over and that are not expired."""

    def set_state(self, memory: str, state: State, expires: datetime | None, priority: int, author: str = "", reason: str = "") -> None:
        """Changes the header. A change of state that has a reason is kept, and ``Store.transitions`` tells it."""

    def says(self, user: str | None, texts: Sequence[str]) -> bool:
        """Whether memories of the user's say each of these, word for word in a row."""

    def is_tainted(self, user: str | None, session: str | None) -> bool:
        """Whether untrusted words were said in this session of the user's."""

    def hold(self, memory: str, reason: str, decision: str = "") -> None:
        """Puts a memory into quarantine, from now on, or notes what was decided of one that is there."""

    def release(self, memory: str, decision: str) -> None:
        """Lets it out, from now on."""

    def is_held(self, memory: str) -> bool: ...

    def use(self, memories: Mapping[str, int], at: datetime) -> list[str]:
        """Adds to the use counters of those that still exist, activation memories too; returns which memories do."""

    def strength(self, memory: str) -> Strength | None:
        """What its uses in answers made of a memory so far; None for one that is not there."""

    def cite(self, memory: str, strength: Strength) -> None:
        """Keeps what an answer that cited it made of it. Nothing happens to one that is not there."""

    def quoting(self, by: str, value: str) -> list[str]:
        """Ids of the sources that an erasure by memory, source, user or session would take, oldest first."""

    def said_in(self, scope: Scope) -> list[str]:
        """Ids of the sources of this user, agent and session, as far as they are named, oldest first."""

    def coming_from(self, by: Mapping[str, str]) -> list[str]:
        """Ids of the sources whose origin, session, user or principal is as named, oldest first."""

    def made_of(self, sources: Sequence[str]) -> list[str]:
        """Ids of the sources whose memories were derived from memories that quote these."""

    def frozen(self, sources: Sequence[str]) -> list[str]:
        """The memories that quote these and are frozen."""

    def revert(self, sources: Sequence[str], reason: str) -> tuple[list[str], tuple[ClaimRow, ...]]:
        """Makes the present what it would be without these sources, and puts their memories into quarantine. Returns these, and the
        claims of others that hold again."""

    def remove(self, sources: Sequence[str]) -> Removed:
        """Deletes sources and everything derived from them, and takes back what they had changed."""

    def reopen(self, after: datetime) -> None:
        """Takes back endings of validity, states, and the reasons of states, that came after a time: for a branch that stops there."""

    def set_option(self, name: str, value: str | None) -> None:
        """Keeps a setting of the cube's own; None forgets it."""

    def count_of(self, user: str | None) -> int:
        """Messages of a user."""

    def answer(self, key: bytes, asked: bytes, answer: str, until: datetime) -> None:
        """Keeps the answer to a write that was asked for with a key, and lets go of those that were kept before ``until``. Raises `Conflict` where one is
        kept for this key."""

    def audit(self, principal: str, verb: str, object: str, detail: Mapping[str, object]) -> None: ...

    def tell(self, detail: Mapping[str, object]) -> None:
        """What every record says besides, from now on, here and in what joins."""


class Store(QueueReads, PayloadReads, AdapterReads, Protocol):
    """One cube's memory. Every write happens in ``write()``: all of it is there after the block, or nothing."""

    @property
    def cube(self) -> str: ...

    @property
    def id(self) -> str: ...

    def snapshot(self) -> AbstractContextManager[object]:
        """What this thread reads inside is of one moment, and takes one look at what others have changed."""

    def write(self, now: datetime) -> AbstractContextManager[Transaction]:
        """A transaction, serialised against all other writers of the cube in any process. Durable on exit. Where this thread has one open
        already, the block joins it, with a time of its own: what it writes is durable with the outermost, or not at all, and once a block
        has failed nothing of the whole is kept, whoever caught what it raised. What is read in it sees all of it, and nobody else does."""

    @property
    def writes(self) -> int:
        """How many transactions this thread has committed, or may have: where a commit fails, nobody knows."""

    @property
    def is_writing(self) -> bool:
        """Whether this thread has a transaction open."""

    @property
    def is_within(self) -> bool:
        """Whether this thread is inside of ``write`` or ``snapshot``: others may wait for it, and it begins nothing else."""

    def try_write(self, now: datetime) -> AbstractContextManager[Transaction]:
        """As ``write``, but raises ``Locked`` at once while another connection writes: for what need not be written now."""

    def get(self, memory: str, at: RowFilter) -> Memory:
        """The version that holds at ``as_of`` and ``known_at``. Raises ``Missing``."""

    def load(self, contents: Sequence[int], at: RowFilter) -> dict[int, Memory]:
        """Many at once, by content key; those the filter does not let through are left out."""

    def select(self, at: RowFilter, limit: int, offset: int = 0) -> list[Memory]:
        """Memories in the order they were remembered."""

    def page(self, at: RowFilter, limit: int, offset: int, after: int) -> tuple[list[Memory], int]:
        """As ``select``, of those behind the place ``after`` (0: all), and the place of the last one: it stays where it is, whatever goes before it."""

    def count(self, at: RowFilter) -> int: ...

    def counted(self, at: RowFilter) -> Counts:
        """How many memories the filter lets through, and of what; without ``heat``."""

    def warm(self, at: RowFilter) -> Mapping[str, Strength]:
        """What citing left of the memories that the filter lets through and that answers cited, by id."""

    def is_empty(self) -> bool:
        """Whether nothing was ever journaled, or all of it was erased."""

    def survey(self, probe: Probe, at: RowFilter) -> Survey:
        """Every signal over every row the filter lets through; the filter comes before any ranking."""

    def values(self, keys: Sequence[tuple[str | None, str]], at: RowFilter) -> list[str]:
        """What holds for these keys, as it was claimed, and not denied, in memories that the filter lets through; the newest first,
        each once."""

    def likeness(self, contents: Sequence[int], to: Sequence[int]) -> Sequence[Column]:
        """How near contents are in meaning: a column for each of ``to``, a cosine for each of ``contents``; NaN where either has no
        vector."""

    def scope_of(self, memory: str) -> Scope:
        """Whose a memory is. Raises ``Missing``."""

    def suspects(self, decision: str, source: str | None = None) -> list[Suspect]:
        """What is in quarantine by this decision ("" for none yet), oldest first; of a source, that alone which quotes it."""

    def claimants(self, subject: str, attribute: str, value: str, user: str | None) -> set[str]:
        """The principals in whose words this is claimed."""

    def history(self, memory: str) -> list[Memory]:
        """Every version as it is known now, oldest first. Raises ``Missing``."""

    def transitions(self, memory: str) -> list[Transition]:
        """The changes of state that had a reason, oldest first."""

    def present(self, memories: Sequence[str], at: RowFilter) -> dict[str, Memory]:
        """Those of these memories that the filter lets through."""

    def most_used(self, at: RowFilter, limit: int) -> list[str]:
        """The memories that the filter lets through and that were used, those used most first, of equals the one used last."""

    def beside(self, memories: Sequence[str], at: RowFilter, before: int, after: int) -> dict[str, list[tuple[int, str]]]:
        """For each of these memories that the filter lets through, whole messages that it lets through, in the order they were remembered: how
        many later than the one that the memory is from (negative: earlier, 0: that one), and the memory of the message."""

    def latest(self, at: RowFilter, limit: int) -> list[str]:
        """The memories of the whole messages that were remembered last, the last first."""

    def source(self, source: str) -> Source:
        """The verbatim message. Raises ``Missing``."""

    def sources(self) -> list[Source]:
        """Every message in the order it was journaled."""

    def called(self, ids: Sequence[str], channel: Channel) -> dict[str, list[str]]:
        """The memories of the whole messages that came by this channel under these ids of elsewhere, oldest first."""

    def links(self, memory: str | None = None) -> list[Link]:
        """The links from a memory and to it, or all there are, oldest first."""

    def sizes(self) -> Mapping[str, int]:
        """Rows by table, and bytes on disk."""

    def people(self, at: RowFilter | None = None) -> list[str]:
        """Names of all who have spoken; with a filter, to whom it narrows the rows (user, agent, session), as far as was known then.
        Nobody else changes what a question is taken to mean."""

    def names(self, column: str) -> list[str]:
        """Distinct names of a source's column: user, agent, session or speaker."""

    def records(
        self, since: datetime | None, until: datetime | None, verb: str | None, object: str | None, limit: int, principal: str | None = None,
        before: int | None = None, changes: bool = False,
    ) -> list[Record]:  # fmt: skip
        """The newest ``limit`` records of the audit log that match, of those before the number ``before``, oldest first; with ``changes`` none of those
        that say who looked at what."""

    def head(self) -> Head:
        """The last record of the audit log."""

    def answered(self, key: bytes) -> Earlier | None:
        """What a write with this key was answered. An erasure takes every answer."""

    def options(self) -> Mapping[str, str]:
        """What the cube was told for itself, by name."""

    def hash(self, *parts: str | None) -> bytes:
        """The cube's keyed hash of words."""

    def faults(self, kept: Head | None = None) -> tuple[Mapping[str, int], list[Fault]]:
        """Checks everything that can be checked against everything else, and the audit log against a head that was kept."""

    def scrub(self, erased: Sequence[Source] = (), metadata: Sequence[str] = ()) -> int:
        """Finishes an erasure down to the bytes; raises if erased words, or what was kept with them, remain. Returns the bytes looked at."""

    def finish_erasure(self) -> None:
        """Scrubs the file if an erasure is committed but its words may still be on the disk. Raises ``Locked`` as ``scrub`` does."""

    @property
    def is_encrypted(self) -> bool:
        """Whether its files hold ciphertext alone."""

    def copy(self, target: Path, key: bytes | None = None) -> None:
        """A consistent copy of the cube as it is now, encrypted with ``key``, or plain."""

    def look(self) -> None:
        """Looks at the file anew, whatever is known of it here: that it is in its place, and what every read begins with. Raises what is wrong."""

    def gather(self) -> None:
        """Brings everything into the one file, durably: once the store is closed, that file alone is the cube."""

    def close(self) -> None: ...
