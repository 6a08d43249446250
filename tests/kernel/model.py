"""A plain model of a cube: a log of what was acknowledged, and its replay. It knows no file, no index and no rule of language.

* A memory is a list of versions; each holds from ``since`` until the next begins, it is forgotten, or its time to live is over.
* Of two statements of one key the one *said* later wins, whichever came first; a frozen one gives way to nobody.
* A statement is taken back by forgetting it, and by restoring words from before it was made. What it had overruled holds again from
  then on, unless another overrules that too. A restored statement overrules from then on what was said before it.
* What was known at a time is the log up to it. What was erased is taken out of the log, as if it had never been said.
* Whether a memory is archived or frozen has no history: it is what the whole log says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
    """A memory has a further version. ``is_judged``: what it says is held against what others say; one that holds again just stands."""

    recorded: datetime
    memory: str
    number: int
    text: str
    since: datetime
    quotes: frozenset[str]
    said: Said | None = None
    expires: datetime | None = None
    is_judged: bool = True
    is_restored: bool = False  # it overrules from ``since`` on
    first: int = 0  # the number of the version that had these words first, if not this one
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
    first: int = 0

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
    by: str = ""  # and in which memory

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

    @property
    def is_said(self) -> bool:
        """Whether it can overrule anything: not once it was overruled and then forgotten."""
        return self.said is not None and (self.said_until is None or self.state is not State.EXPIRED)


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
        life.versions.append(Version(op.number, op.text, op.since, op.quotes, op.said, op.expires, op.lapsed, first=op.first or op.number))
        life.said, life.said_until = op.said, None
        self.outcomes = []
        if op.said is not None and op.is_judged:
            for memory, other in self.lives.items():
                if other is not life:
                    self._judge(op.memory, life, op.said, memory, other)
        elif op.said is not None and op.is_restored:
            for other in self.lives.values():
                if _overrules(op.said, other.said) and other.said_until is None and not other.is_frozen:
                    other.end(op.since)
                    other.said_until, other.by = op.since, op.memory

    def _judge(self, id: str, life: Life, said: Said, memory: str, other: Life) -> None:
        theirs = other.said
        if theirs is not None and _overrules(theirs, said):
            life.end(theirs.at)
            if life.said_until is None or theirs.at < life.said_until:
                life.said_until, life.by = theirs.at, memory
        elif _overrules(said, theirs) and (other.said_until is None or said.at < other.said_until):
            self.outcomes.append((Outcome.POSSIBLE_CONFLICT if other.is_frozen else Outcome.SUPERSEDED, memory))
            if not other.is_frozen:
                other.end(said.at)
                other.said_until, other.by = said.at, id

    def freed(self, key: Key, now: datetime) -> list[tuple[str, Life]]:
        """What was overruled by a statement that is taken back, and by no other."""
        return [
            (memory, life)
            for memory, life in self.lives.items()
            if life.said is not None and life.said.key == key and life.said_until is not None and life.state is not State.EXPIRED
            and (life.is_frozen or life.last.expires is None or life.last.expires > now)
            and self._is_taken_back(life.by, key) and not any(other.is_said and _overrules(other.said, life.said) for other in self.lives.values())
        ]  # fmt: skip

    def _is_taken_back(self, memory: str, key: Key) -> bool:
        """Whether it was forgotten while it said so, or is restored to words from before it did."""
        life = self.lives[memory]
        if life.last.said is not None and life.last.said.key == key:
            return life.state is State.EXPIRED and (life.said is None or life.said_until is not None)
        return any(v.first > life.last.first for v in life.versions if v.said is not None and v.said.key == key)


def _overrules(said: Said | None, theirs: Said | None) -> bool:
    """Whether a statement overrules another."""
    if said is None or theirs is None or theirs.key != said.key or theirs.value == said.value:
        return False
    return (said.at, said.order) > (theirs.at, theirs.order)


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

    def forget(self, recorded: datetime, now: datetime, memory: str, among: Collection[str] | None = None) -> list[str]:
        """Returns what holds again by it."""
        said = self.saying(memory)
        self.log += [End(recorded, memory, now), Move(recorded, memory, State.EXPIRED)]
        return self.hold_again(recorded, now, said, among)

    def saying(self, memory: str) -> set[Key]:
        """What a memory states at the moment."""
        life = self.replay().lives[memory]
        return {life.said.key} if life.said is not None and life.said_until is None else set()

    def hold_again(self, recorded: datetime, now: datetime, keys: Iterable[Key], among: Collection[str] | None = None) -> list[str]:
        """What was overruled under these keys by what is taken back, in a further version."""
        world = self.replay()
        freed = [each for key in keys for each in world.freed(key, now) if among is None or each[0] in among]
        for memory, life in freed:
            last = life.last
            self.log.append(
                Tell(
                    recorded,
                    memory,
                    last.number + 1,
                    last.text,
                    now,
                    last.quotes,
                    last.said,
                    last.expires,
                    is_judged=False,
                    first=last.first,
                )
            )
        return [memory for memory, _ in freed]

    def restore(self, recorded: datetime, now: datetime, memory: str, number: int | None, among: Collection[str] | None = None) -> bool:
        """Brings a version's words back. False when they are what holds. ``among``: with what is meant to hold beside it."""
        said = self.saying(memory)
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
            Tell(
                recorded, memory, life.last.number + 1, wanted.text, now, wanted.quotes, wanted.said, expires, is_judged=False,
                is_restored=among is None, first=wanted.first,
            )
        )  # fmt: skip
        self.log.append(Move(recorded, memory, ACTIVE))
        self.hold_again(recorded, now, said, among)
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
