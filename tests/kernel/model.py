"""A plain model of a cube: a log of what was acknowledged, and its replay. It knows no file, no index and no rule of language.

* A memory is a list of versions; each holds from ``since`` until the next begins, it is forgotten, or its time to live is over.
* Of two statements of one key the one *said* later wins, whichever came first; a frozen one gives way to nobody.
* What was known at a time is the log up to it. What was erased is taken out of the log, as if it had never been said.
* Whether a memory is archived or frozen has no history: it is what the whole log says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from loci import Outcome, State
from loci.types import Source

Seen = dict[str, tuple[int, str]]  # id: version, text
Key = tuple[str, str]  # whose, what
ACTIVE = State.ACTIVATED  # and whatever else can be changed and found


@dataclass(frozen=True)
class Said:
    """That ``key`` is ``value``, said at a time, as the ``order``-th statement there ever was."""

    key: Key
    value: str
    at: datetime
    order: int


@dataclass(frozen=True)
class Tell:
    """A memory has a further version. ``is_judged``: what it says is held against what others say; a restored one just stands."""

    recorded: datetime
    memory: str
    number: int
    text: str
    since: datetime
    quotes: frozenset[str]
    said: Said | None = None
    expires: datetime | None = None
    is_judged: bool = True
    lapsed: datetime | None = None  # a time to live that was lifted later: for this version it still stands


@dataclass(frozen=True)
class End:
    """What a memory says holds until ``at``, and it takes nothing back that others say."""

    recorded: datetime
    memory: str
    at: datetime
    is_retired: bool = True


@dataclass(frozen=True)
class Move:
    """A memory is in another state."""

    recorded: datetime
    memory: str
    state: State


Op = Tell | End | Move


@dataclass
class Version:
    number: int
    text: str
    since: datetime
    quotes: frozenset[str]
    said: Said | None
    expires: datetime | None
    lapsed: datetime | None = None
    until: datetime | None = None

    def end(self, at: datetime) -> None:
        self.until = max(self.since, at if self.until is None else min(at, self.until))

    def holds(self, at: datetime, is_frozen: bool) -> bool:
        return self.since <= at and self.lasts(at, is_frozen)

    def lasts(self, at: datetime, is_frozen: bool) -> bool:
        ends = [end for end in (self.until, self.lapsed) if end is not None]
        return all(at < end for end in ends) and (is_frozen or self.expires is None or at < self.expires)


@dataclass
class Life:
    versions: list[Version] = field(default_factory=list)
    state: State = ACTIVE
    said: Said | None = None  # what it says, unless it was taken back
    said_until: datetime | None = None  # when somebody else said otherwise

    @property
    def last(self) -> Version:
        return self.versions[-1]

    def end(self, at: datetime) -> None:
        """Nothing of it holds from then on."""
        for version in self.versions:
            version.end(at)

    @property
    def is_frozen(self) -> bool:
        return self.state is State.FROZEN


@dataclass
class World:
    """The log, replayed."""

    lives: dict[str, Life] = field(default_factory=dict)
    outcomes: list[tuple[Outcome, str]] = field(default_factory=list)  # of the last thing told

    def play(self, op: Op) -> None:
        if isinstance(op, Tell):
            self._tell(op)
        elif op.memory not in self.lives:
            return  # all that it said was erased
        elif isinstance(op, Move):
            self.lives[op.memory].state = op.state
        else:
            life = self.lives[op.memory]
            life.end(op.at)
            if op.is_retired and life.said_until is None:
                life.said = None  # what was overruled before it was forgotten stays so, and can be overruled from earlier on

    def _tell(self, op: Tell) -> None:
        life = self.lives.setdefault(op.memory, Life())
        life.end(op.since)
        life.versions.append(Version(op.number, op.text, op.since, op.quotes, op.said, op.expires, op.lapsed))
        life.said, life.said_until = op.said, None
        self.outcomes = []
        if op.said is not None and op.is_judged:
            for memory, other in self.lives.items():
                if other is not life:
                    self._judge(life, op.said, memory, other)

    def _judge(self, life: Life, said: Said, memory: str, other: Life) -> None:
        theirs = other.said
        if theirs is None or theirs.key != said.key or theirs.value == said.value:
            return
        if (theirs.at, theirs.order) > (said.at, said.order):
            life.end(theirs.at)
            life.said_until = theirs.at if life.said_until is None else min(life.said_until, theirs.at)
        elif other.said_until is None or said.at < other.said_until:
            self.outcomes.append((Outcome.POSSIBLE_CONFLICT if other.is_frozen else Outcome.SUPERSEDED, memory))
            if not other.is_frozen:
                other.end(said.at)
                other.said_until = said.at


@dataclass
class Model:
    """What was acknowledged, in order, and what follows from it."""

    log: list[Op] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)  # that were ever given

    def replay(self, known: datetime | None = None) -> World:
        world = World()
        for op in self.log:
            if known is None or op.recorded <= known:
                world.play(op)
        return world

    def seen(self, *, as_of: datetime | None = None, known: datetime | None = None, now: datetime, archived: bool = False) -> Seen:
        """What a look shows. Only a look at the present leaves out what was forgotten by its state alone."""
        found: Seen = {}
        states = {memory: life.state for memory, life in self.replay().lives.items()}
        for memory, life in self.replay(known).lives.items():
            state = states[memory]
            if (state is State.ARCHIVED and not archived) or (state is State.EXPIRED and as_of is known is None):
                continue
            is_frozen = state is State.FROZEN
            there = [v for v in life.versions if (v.lasts(now, is_frozen) if as_of is None else v.holds(as_of, is_frozen))]
            if there:
                found[memory] = (there[-1].number, there[-1].text)
        return found

    def add(self, recorded: datetime, told: Tell) -> list[tuple[Outcome, str]]:
        """A memory that was not there. Returns what it did to others."""
        assert told.memory not in self.ids, "an id was given twice"
        self.ids.add(told.memory)
        self.log.append(replace(told, recorded=recorded))
        return self.replay().outcomes

    def forget(self, recorded: datetime, now: datetime, memory: str) -> None:
        self.log += [End(recorded, memory, now), Move(recorded, memory, State.EXPIRED)]

    def restore(self, recorded: datetime, now: datetime, memory: str, number: int | None) -> bool:
        """Brings a version's words back. False when they are what holds."""
        life = self.replay().lives[memory]
        wanted = life.last if number is None else next(v for v in reversed(life.versions) if v.number == number)
        is_over = life.last.expires is not None and life.last.expires <= now
        if life.last.until is None and life.state not in (State.ARCHIVED, State.EXPIRED) and not is_over and life.last.text == wanted.text:
            return False
        expires = None if life.state is State.EXPIRED or is_over else life.last.expires
        if expires is None:
            self.log = [
                replace(op, expires=None, lapsed=op.expires or op.lapsed) if isinstance(op, Tell) and op.memory == memory else op
                for op in self.log
            ]
        self.log.append(
            Tell(recorded, memory, life.last.number + 1, wanted.text, now, wanted.quotes, wanted.said, expires, is_judged=False)
        )
        self.log.append(Move(recorded, memory, ACTIVE))
        return True

    def overdue(self, now: datetime) -> list[tuple[str, datetime]]:
        """What has outlived its time and was not put away for it yet."""
        lives = self.replay().lives.items()
        return [
            (memory, life.last.expires)
            for memory, life in lives
            if life.last.expires is not None and life.last.expires <= now and life.state not in (State.EXPIRED, State.FROZEN)
        ]

    def quoted(self, memory: str) -> frozenset[str]:
        """Sources of every version of a memory."""
        return frozenset().union(*(v.quotes for v in self.replay().lives[memory].versions))

    def without(self, sources: Iterable[str]) -> Model:
        """The same, as if these had never been said."""
        gone = frozenset(sources)
        kept = [op for op in self.log if not (isinstance(op, Tell) and op.quotes & gone)]
        return Model(kept, {id: source for id, source in self.sources.items() if id not in gone}, self.ids)
