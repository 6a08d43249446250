"""The nouns of Loci: frozen values that every floor speaks in. No I/O, no clock, no behaviour beyond themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The form a memory takes (MemOS v3 §4.1)."""

    PLAINTEXT = "plaintext"
    ACTIVATION = "activation"
    PARAMETRIC = "parametric"


class State(StrEnum):
    """Where a memory is in its life (MemOS v3 §5.4.3); the moves between them are in ``policy.lifecycle``."""

    GENERATED = "generated"
    ACTIVATED = "activated"
    MERGED = "merged"
    ARCHIVED = "archived"
    EXPIRED = "expired"
    FROZEN = "frozen"


class Type(StrEnum):
    """What a memory is about (the semantic type of the MemCube header)."""

    FACT = "fact"
    PREFERENCE = "preference"
    EVENT = "event"
    PLAN = "plan"
    QUESTION = "question"
    INSTRUCTION = "instruction"
    SMALLTALK = "smalltalk"


class Part(StrEnum):
    """Which cut of its source a memory is."""

    TURN = "turn"
    SENTENCE = "sentence"


class Channel(StrEnum):
    """The way words came in; bound at write time, never changed."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    WEB = "web"
    FILE = "file"
    IMPORT = "import"
    DERIVED = "derived"


class Trust(StrEnum):
    """What words may do by where they came from: trusted ones authorise, reported and untrusted ones inform (``policy.trust``)."""

    UNTRUSTED = "untrusted"
    REPORTED = "reported"
    TRUSTED = "trusted"


class Role(StrEnum):
    """What a grant lets somebody do; the verbs of each are in ``policy.access``."""

    READER = "reader"
    WRITER = "writer"
    CURATOR = "curator"
    AUDITOR = "auditor"
    OWNER = "owner"


class Outcome(StrEnum):
    """What became of one thing that was asked for."""

    ADDED = "added"
    UPDATED = "updated"
    MERGED = "merged"
    SUPERSEDED = "superseded"
    EVIDENCE = "evidence"
    POSSIBLE_CONFLICT = "possible_conflict"
    REDACTED = "redacted"
    QUARANTINED = "quarantined"
    ACCEPTED = "accepted"
    FORGOTTEN = "forgotten"
    RESTORED = "restored"
    MOVED = "moved"
    IGNORED = "ignored"
    PENDING = "pending"
    REFUSED = "refused"


NOBODY = "\ud800"
"""In the place of a user's name in the bounds of a door: of no user at all. It is no text, so nobody can be called by it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose memory it is. ``None`` means not narrowed by that word; the cube is the file, and always set."""

    cube: str
    user: str | None = None
    agent: str | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open time [start, end); ``None`` is open on that side. All times are time zone aware."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


TOLD_OF_THE_PAST = "told of the past"
"""The ending of a memory that nothing ended: it was over when it was told ("I used to work at Google")."""

ROLES = frozenset({"user", "assistant", "system", "tool"})
"""What a speaker without a name is called: no name of anybody."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something said. ``at`` is when (naive means UTC), ``speaker`` the name when it differs from the role, ``caption``
    what a shared photo shows, ``id`` the name of this message where it came from. ``metadata`` is what a program keeps with its memories
    (`text.metadata`): JSON that is filtered by and shown, and decides nothing."""

    role: str
    text: str
    at: datetime | None = None
    speaker: str | None = None
    caption: str | None = None
    id: str | None = None
    session: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def words(self) -> str:
        """Everything of it that can be read and searched: the text, then what a shared photo shows. Spans count here."""
        if not self.caption:
            return self.text
        return f"{self.text} [shares a photo: {self.caption}]".lstrip()


@dataclass(frozen=True, slots=True)
class Source:
    """A message as it was journaled: verbatim and immutable. ``origin`` names the page, tool or file it came from; ``hash`` is the
    keyed hash of its words."""

    id: str
    message: Message
    scope: Scope
    principal: str
    channel: Channel
    recorded: datetime
    hash: bytes
    origin: str | None = None
    trust: Trust = Trust.TRUSTED


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of a source's words (``Message.words``)."""

    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A time expression and the half-open interval it was resolved to, against its message's own time."""

    words: str
    earliest: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A keyed statement: ``subject``'s ``attribute`` is ``value``. ``closed_by`` names the memory that superseded it."""

    subject: str
    attribute: str
    value: str
    closed_by: str | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a memory came from; bound at write time and immutable. ``name`` is of the page, tool or file. ``trust`` is the least of
    all the words that it quotes."""

    principal: str
    channel: Channel
    session: str | None = None
    name: str | None = None
    trust: Trust = Trust.TRUSTED


@dataclass(frozen=True, slots=True)
class Memory:
    """One version of one memory: what MemOS calls a MemCube's payload with its header.

    ``valid`` is when it was true, ``recorded`` when this version was what we knew. ``checksum`` is the keyed hash of
    ``text``. ``author`` and ``reason`` are of the change that made this version, ``ending`` says why it
    no longer holds. ``uses`` counts the searches that found it, ``cited`` the answers that were shown it and cited it; ``stability_days`` and
    ``heat`` are what these made of it (``policy.retention``). ``role`` is of the message that it was cut from, ``metadata`` what a program keeps with
    this version.

    Of what a model made of memories (``kind``) this is the header: ``text`` says what it is, ``spans`` are where the words are that it was made of,
    ``metadata`` names the memories and what only its form has. It is in no list and no search (``memories.derived``).
    """

    id: str
    version: int
    kind: Kind
    part: Part
    type: Type
    text: str
    scope: Scope
    state: State
    speaker: str | None
    about: str | None
    at: datetime | None
    valid: Interval
    recorded: Interval
    spans: tuple[Span, ...]
    origin: Origin
    checksum: str
    author: str
    reason: str
    ending: str = ""
    entities: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    times: tuple[TimeSpan, ...] = ()
    claims: tuple[Claim, ...] = ()
    priority: int = 0
    expires: datetime | None = None
    uses: int = 0
    last_used: datetime | None = None
    cited: int = 0
    last_cited: datetime | None = None
    stability_days: float = 0.0
    heat: float = 0.0
    role: str = "user"
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the reader believes it heard: a span of a message and what it takes it to be."""

    start: int
    end: int
    part: Part
    type: Type
    speaker: str | None
    about: str | None
    entities: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    times: tuple[TimeSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one memory, and why. ``before`` and ``after`` are version numbers."""

    outcome: Outcome
    memory: str | None
    reason: str
    before: int | None = None
    after: int | None = None
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a write, given after the commit: every outcome with ids and reasons."""

    changes: tuple[Change, ...]
    sources: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the memories that were added, in the order of the words."""
        return tuple(c.memory for c in self.changes if c.outcome is Outcome.ADDED and c.memory)

    def count(self, outcome: Outcome) -> int:
        return sum(1 for c in self.changes if c.outcome == outcome)


@dataclass(frozen=True, slots=True)
class Chain:
    """A question about what another question answers: ``first`` are the (subject, attribute) keys of the innermost, ``then`` the
    attributes asked of each answer in turn."""

    first: tuple[tuple[str | None, str], ...]
    then: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class MemoryCall:
    """A request in words, read: what MemReader hands to the operator (MemOS v3 §5.2).

    ``intent`` is one of lookup, when, past, preference, advice, count. ``window`` is the time it asks about, and ``then`` the same where it asks how
    things stood in a time that is over ("where did Ann live in May?"), so that what held then answers. ``terms`` are the words searched for;
    ``asked`` the (subject, attribute) keys that would answer it, a subject of None standing for anybody; ``hops`` the same where
    one question hides in another; ``relation`` what whom it names is called besides ("ana/brother" of "my brother Tom"); ``voiced`` the
    question as the people it names would put it, which is what is compared with what they said.
    """

    text: str
    intent: str = "lookup"
    people: tuple[str, ...] = ()
    types: tuple[Type, ...] = ()
    window: Interval | None = None
    then: Interval | None = None
    terms: tuple[str, ...] = ()
    asks_when: bool = False
    asks_many: bool = False
    asked: tuple[tuple[str | None, str], ...] = ()
    hops: Chain | None = None
    relation: str | None = None
    voiced: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A question and its limits. ``as_of``: what was true then. ``known_at``: what we knew then. ``strict``: no hits rather than the
    nearest there are, where memory is not sure that it holds an answer. ``pertinent``: no hits that are plainly about something else."""

    call: MemoryCall
    limit: int = 10
    budget_tokens: int | None = None
    as_of: datetime | None = None
    known_at: datetime | None = None
    types: tuple[Type, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    archived: bool = False
    strict: bool = False
    pertinent: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that answers, with its score in 0..1 and what each signal gave to it."""

    memory: Memory
    score: float
    shares: Mapping[str, float]
    note: str = ""
    duplicates: tuple[str, ...] = ()

    @property
    def may_authorise(self) -> bool:
        """Whether an agent may act on it: only on what was said first-hand by somebody who is trusted. The rest informs."""
        return self.memory.origin.trust is Trust.TRUSTED


@dataclass(frozen=True, slots=True)
class Trace:
    """How an answer came about: the plan, the ranker and the weight it gave each signal, the answers it went
    ``via`` where one question hides in another, what is missing and what was withheld."""

    call: MemoryCall
    ranker: str
    weights: Mapping[str, float]
    signals: Mapping[str, int]
    via: tuple[str, ...]
    missing: Mapping[str, str]
    withheld: Mapping[str, int]
    considered: int
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Handle:
    """An activation memory: what a model made of these memories when it read them, kept so that it need not read them again.

    ``tokens`` are its own, ``bytes`` on the disk; ``quality`` is what its codec was measured to cost when it was built. Where it was read under
    a budget, ``method`` says what chose the entries that are left, and ``kept`` how many a layer has on average: what is answered from it is approximate.
    One that ``is_kept`` is what an answer had read, and begins only prompts for which at least half of its memories were recalled. ``void`` says why it
    cannot be used, in the list of all; a search does not look. ``is_reused`` is the answer to whoever asked to
    make it and found it made."""

    id: str
    version: int
    memories: tuple[str, ...]
    tokens: int
    bytes: int
    codec: str
    dtype: str
    created: datetime
    uses: int = 0
    last_used: datetime | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    method: str = ""
    kept: int = 0
    is_kept: bool = False
    void: str = field(default="", compare=False)
    is_reused: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a model has learned of memories: small weights beside its own, which answer for them while they hold.

    ``stage`` is draft until it was learned and examined, then evaluated, or failed, for ``faults``. ``state`` is that of its life: active ones may be
    mounted. ``found`` is what the examination found, by name. ``is_valid`` tells whether it may answer now; ``reason`` why not, or why it is in its state. ``is_reused``
    is the answer to whoever asked to learn it and found it learned."""

    id: str
    version: int
    memories: tuple[str, ...]
    form: str
    stage: str
    state: State
    is_mounted: bool
    is_valid: bool
    reason: str
    bytes: int
    lessons: int
    steps: int
    seconds: float
    created: datetime
    found: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    uses: int = 0
    last_used: datetime | None = None
    is_reused: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Attached:
    """How an answer's prompt was read: the tokens that an activation memory held, and those that were read. ``reason`` says why it was
    used, or why the text was read instead.

    ``handles`` are all that were used, in their order. Where several were put behind one another (``mode`` block or blend), or one holds only
    what a budget left, the answer ``is_approximate``: it need not be that of the text, and ``reason`` says why; ``reread_tokens`` of what
    several held were read again. ``adapters`` were mounted for it: what they learned is not in the prompt."""

    handle: str | None
    held_tokens: int
    read_tokens: int
    reason: str
    mode: str = "prefix"
    is_approximate: bool = False
    reread_tokens: int = 0
    handles: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recall:
    """The answer to a search: hits best first, the same packed as fenced text, the trace, and the ``confidence`` (0..1) that what was
    asked is in memory at all. ``handles`` are activation memories that hold some of the hits."""

    hits: tuple[Hit, ...]
    text: str
    tokens: int
    trace: Trace
    confidence: float = 0.5
    handles: tuple[Handle, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(hit.memory.id for hit in self.hits)


@dataclass(frozen=True, slots=True)
class Job:
    """Work that outlives its call: leased, retried, and finished exactly once. What is finished leaves the queue; what failed too often
    (``dead``) or was cancelled stays until somebody retries it.

    ``state`` is ready, leased, dead or cancelled; ``due`` is when it may be worked, or how long it is held; ``user`` whose it is, if
    anybody's; ``error`` is what the last attempt met. ``arguments`` are ids and counts, never words; but for what a pipeline was ``given``,
    which an erasure looks through.
    """

    seq: int
    verb: str
    arguments: Mapping[str, object]
    state: str
    attempts: int
    error: str = ""
    priority: int = 0
    user: str | None = None
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the audit log. ``detail`` holds ids, counts and keyed hashes, never words."""

    seq: int
    at: datetime
    principal: str
    verb: str
    object: str
    detail: Mapping[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A right that a principal ("*": every one) was given: a role on a cube, on the cubes below a path ("team.*") or, narrower, on a
    scope or a memory of it. ``channel`` is what words written by it are taken to have come by; ``uses`` the calls that are left."""

    id: str
    principal: str
    role: Role
    cube: str
    user: str | None = None
    agent: str | None = None
    session: str | None = None
    memory: str | None = None
    channel: Channel | None = None
    expires: datetime | None = None
    uses: int | None = None
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret, which nobody has but its bearer. ``role``, ``cube`` and ``user`` narrow what it may do of what
    its principal may."""

    id: str
    principal: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    role: Role | None = None
    cube: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A memory in quarantine: what it is, why it is there, and how many others who are independent of each other say the same."""

    memory: Memory
    reason: str
    at: datetime
    decision: str = ""
    corroborated_by: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many memories hold, and of what, by name with a number each. ``days`` are those that they were said on (UTC), for those that say; of ``users``,
    ``speakers`` and ``origins`` (pages, tools, files) the hundred with the most, "" for none. ``heat`` are the ids that answers cited most of
    late, hottest first, each citation counting half as much a week later."""

    total: int
    types: Mapping[str, int]
    states: Mapping[str, int]
    channels: Mapping[str, int]
    trusts: Mapping[str, int]
    users: Mapping[str, int]
    speakers: Mapping[str, int]
    origins: Mapping[str, int]
    days: Mapping[str, int]
    heat: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of an audit log, for somebody else to keep: what was cut off or rewritten before it shows against it."""

    cube: str
    id: str
    seq: int
    at: datetime | None
    hash: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of a memory from one state of the life cycle to another, by whom and why."""

    at: datetime
    before: State
    after: State
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class Link:
    """A typed edge between two memories, with its author and reason."""

    source: str
    target: str
    type: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that ``verify`` found wrong: where, what, and what to do."""

    cube: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What ``verify`` looked at, what it found, and the ids of activation memories and adapters that it let go of, whose files were gone."""

    checked: Mapping[str, int]
    faults: Sequence[Fault] = field(default_factory=tuple)
    let_go: Sequence[str] = ()

    @property
    def is_clean(self) -> bool:
        return not self.faults

    @property
    def advice(self) -> str:
        """What to do about it, in a word to whoever looks after the files; empty where nothing is wrong. What was made of the words needs no copy."""
        made = [fault for fault in self.faults if fault.where.startswith(("activation", "adapter"))]
        lent = [fault for fault in made if fault.where == "activation lent"]
        told = [f"{len(self.faults)} fault{'s' if len(self.faults) > 1 else ''} found."] if self.faults else []
        if len(self.faults) > len(made):
            told.append("Keep a copy of the files as they are, and restore a copy of the cube's file.")
        elif made:
            told.append("The words are whole.")
        if len(made) > len(lent):
            told.append(
                "What a model made of them is let go of (`loci kv drop ID`, `loci adapter drop ID`) and made again (`loci activate`, `loci distil`)."
            )
        if lent:
            told.append("What a server may still hold is told above, with what ends that.")
        return " ".join(told)
