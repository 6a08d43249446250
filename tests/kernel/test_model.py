"""Any history against a plain model of it (`model`): whatever is done to a cube, every look at every time shows what the log of what
was acknowledged says. Two handles on one vault take turns, it is closed and opened again in the middle, and the clock advances, stands
still and is set back."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from tests.conftest import open_memory

from loci import Memory, Message, Outcome, State
from loci.errors import Conflict, IllegalMove, Missing, VersionConflict
from loci.system import Cube
from loci.testing import CountingIds, ManualClock
from loci.types import Receipt, Scope
from loci.wire import MemOS
from model import ACTIVE, End, Life, Model, Move, Said, Seen, Tell

USERS, SESSIONS, AGENTS = ("ana", "bo"), (None, "one", "two"), (None, "helper")
STATEMENTS = (("residence", "I live in {}."), ("colour", "My favourite colour is {}."), ("size", "My shoe size is {}."))
VALUES = {"residence": ("Porto", "Oslo", "Berlin"), "colour": ("green", "red", "black"), "size": ("40", "41", "42")}
PICK = st.integers(0, 99)
SINCE = st.sampled_from((0, 0, 0, 1, 5))  # days ago
STEP, MICROSECOND = timedelta(hours=12), timedelta(microseconds=1)


class History(RuleBasedStateMachine):
    """The verbs as rules. Each does the same to a cube and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.clock, self.ids, self.model = ManualClock(), CountingIds(), Model()
        self.handles: list[MemOS] = []
        self.turn, self.count, self.statements = 0, 0, 0
        self.times: set[datetime] = set()
        self.looks: list[tuple[datetime, Seen]] = []  # what was seen, and when
        self.shaken: dict[str, datetime] = {}  # what an erasure gave another past, and when
        self.unsure: set[str] = set()  # forgotten under a clock set back, and its last words erased: until when it held is not kept
        self.is_set_back, self.is_standing = False, True

    # -- two handles, one clock ------------------------------------------------------------------------------------------

    @initialize(stands=st.sampled_from((False, False, True)))
    def start(self, stands: bool) -> None:
        """A history in which nothing is erased may stand still: what is changed twice in the very same microsecond, an erasure of one of
        these changes does not always tell apart."""
        self.is_standing = stands
        self.open()

    def open(self) -> None:
        self.handles = [open_memory(self.path / "vault", clock=self.clock, ids=self.ids) for _ in range(2)]

    def shut(self) -> None:
        for handle in self.handles:
            handle.close()

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def memory(self) -> MemOS:
        """The handle whose turn it is."""
        self.turn += 1
        return self.handles[self.turn % 2]

    @property
    def cube(self) -> Cube:
        return self.memory.cube("main")

    @rule(hours=st.sampled_from((1, 30)))
    def advance(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    @rule()
    def reopen(self) -> None:
        self.shut()
        self.open()

    @rule(hours=st.sampled_from((1, 48)))
    def set_the_clock_back(self, hours: int) -> None:
        self.shut()
        self.clock, self.is_set_back = ManualClock(self.now - timedelta(hours=hours)), True
        self.open()

    # -- taking in -------------------------------------------------------------------------------------------------------

    @rule(who=PICK, ago=SINCE, days=st.sampled_from((None, None, None, 1, 3)), times=st.sampled_from((1, 1, 3)))
    def note(self, who: int, ago: int, days: int | None, times: int) -> None:
        """One note or a batch, of a user or of nobody, perhaps said earlier, perhaps not for ever."""
        texts = [self.new_note() for _ in range(times)]
        expires = None if days is None else self.now + timedelta(days=days)
        self.say([Message("user", text, at=self.since(ago)) for text in texts], (*USERS, None)[who % 3], who, [None] * times, expires)

    @rule(who=PICK, which=PICK, value=PICK, ago=SINCE)
    def state(self, who: int, which: int, value: int, ago: int) -> None:
        """A statement of which only the last holds."""
        text, said = self.statement(who, which, value, self.since(ago))
        self.say([Message("user", text, at=said.at)], USERS[who % 2], who, [said], None)

    @precondition(lambda self: self.model.log)
    @rule(who=PICK)
    def repeat(self, who: int) -> None:
        """The very same message once more: it is known."""
        told = [source for source in self.model.sources.values() if source.message.id is None]
        if not told:
            return
        source = told[who % len(told)]
        before = self.records()
        scope = source.scope
        receipt = self.cube.add(source.message, user=scope.user, agent=scope.agent, session=scope.session)
        assert [c.outcome for c in receipt.changes] == [Outcome.IGNORED] and not receipt.sources and self.records() == before

    def say(self, messages: list[Message], user: str | None, who: int, said: list[Said | None], expires: datetime | None) -> None:
        session, agent = SESSIONS[who % 7 % 3], AGENTS[who % 11 % 2]
        is_known = any(
            (s.scope, s.message.text, s.message.at, s.message.id)
            == (Scope("main", user, agent, session), messages[0].text, messages[0].at, None)
            for s in self.model.sources.values()
        )
        receipt = self.cube.add(messages, user=user, session=session, agent=agent, expires=expires)
        if is_known:
            assert [c.outcome for c in receipt.changes] == [Outcome.IGNORED]
            return
        assert len(receipt.ids) == len(receipt.sources) == len(messages)
        recorded = self.recorded()
        effects: list[tuple[Outcome, str]] = []
        for id, source, message, statement in zip(receipt.ids, receipt.sources, messages, said, strict=True):
            self.model.sources[source] = self.cube._store.source(source)
            assert message.at is not None
            told = Tell(recorded, id, 1, message.text, message.at, frozenset({source}), statement, expires)
            effects += self.model.add(recorded, told)
        self.agree(receipt, effects)

    # -- changing --------------------------------------------------------------------------------------------------------

    @rule(which=PICK, how=st.sampled_from(("overwrite", "append", "merge", "known", "stale")), ago=SINCE)
    def update(self, which: int, how: str, ago: int) -> None:
        id = self.pick(which)
        if id is None:
            return
        life = self.model.replay().lives[id]
        mode = how if how in ("overwrite", "append") else "merge"
        if life.said is not None and mode != "overwrite":
            return
        text = life.last.text if how == "known" else self.new_note()
        at = None if ago == 0 else self.since(ago)
        if how == "stale" and life.last.number > 1:
            with pytest.raises(VersionConflict):
                self.cube.update(self.cube.history(id)[0], text, mode=mode)
            return
        receipt = self.allowed(life.state in (ACTIVE,), lambda: self.cube.update(id, text, mode=mode, at=at))
        if receipt is None:
            return
        if how == "known":
            assert [c.outcome for c in receipt.changes] == [Outcome.IGNORED] and not receipt.sources
            return
        self.revise(id, receipt, text if mode == "overwrite" else f"{life.last.text}\n{text}", mode != "overwrite", at or self.now, None)

    @rule(which=PICK, who=PICK, what=PICK, value=PICK, ago=SINCE)
    def restate(self, which: int, who: int, what: int, value: int, ago: int) -> None:
        """A memory is overwritten by a statement."""
        id = self.pick(which)
        if id is None:
            return
        life = self.model.replay().lives[id]
        scope = self.model.sources[min(life.versions[0].quotes)].scope
        if scope.user is None:
            return
        text, said = self.statement(USERS.index(scope.user), what, value, self.since(ago))
        receipt = self.allowed(life.state is ACTIVE, lambda: self.cube.update(id, text, at=said.at))
        if receipt is not None:
            self.revise(id, receipt, text, False, said.at, said)

    def revise(self, id: str, receipt: Receipt, text: str, is_added: bool, since: datetime, said: Said | None) -> None:
        last = self.model.replay().lives[id].last
        (source,) = receipt.sources
        self.model.sources[source] = self.cube._store.source(source)
        quotes = frozenset({source}) | (last.quotes if is_added else frozenset())
        told = Tell(self.recorded(), id, last.number + 1, text, since, quotes, said, last.expires)
        self.model.log.append(told)
        first = receipt.changes[0]
        assert (first.outcome, first.before, first.after) == (
            Outcome.MERGED if first.outcome is Outcome.MERGED else Outcome.UPDATED, last.number, last.number + 1,
        )  # fmt: skip
        self.agree(receipt, self.model.replay().outcomes)

    @rule(which=PICK)
    def forget(self, which: int) -> None:
        id = self.pick(which)
        if id is None:
            return
        state = self.model.replay().lives[id].state
        receipt = self.allowed(state in (ACTIVE, State.ARCHIVED), lambda: self.cube.forget(id, reason="no matter"))
        if receipt is not None:
            again = self.model.forget(self.recorded(), self.now, id)
            assert Counter((c.outcome, c.memory) for c in receipt.changes) == Counter(
                [(Outcome.FORGOTTEN, id), *((Outcome.RESTORED, other) for other in again)]
            )

    @rule(which=PICK, to=st.sampled_from(("last", "a version", "a time")), how=PICK)
    def restore(self, which: int, to: str, how: int) -> None:
        id = self.pick(which)
        if id is None:
            return
        life = self.model.replay().lives[id]
        number: int | None = None
        target: int | datetime | None = None
        if to == "a version":
            number = target = life.versions[how % len(life.versions)].number
        elif to == "a time":
            target = sorted(self.times)[how % len(self.times)]
            known = self.model.seen(known=target, now=self.now, archived=True)
            if id not in known:
                with pytest.raises((Missing, IllegalMove)):
                    self.cube.restore(id, to=target)
                return
            number = known[id][0]
        receipt = self.allowed(not life.is_frozen, lambda: self.cube.restore(id, to=target))
        if receipt is not None:
            is_changed = self.model.restore(self.recorded(), self.now, id, number)
            assert receipt.changes[0].outcome is (Outcome.RESTORED if is_changed else Outcome.IGNORED)

    @rule(how=PICK)
    def restore_everything(self, how: int) -> None:
        if not self.times:
            return
        to = sorted(self.times)[how % len(self.times)]
        then, present = self.model.seen(known=to, now=self.now), self.model.seen(now=self.now)
        removed = [id for id in present if id not in then]
        back = [id for id in then if present.get(id, (0, ""))[0] != then[id][0]]
        lives = self.model.replay().lives
        receipt = self.allowed(not any(lives[id].is_frozen for id in (*removed, *back)), lambda: self.cube.restore(to=to))
        if receipt is None:
            return
        recorded = self.recorded()
        for id in back:
            self.model.restore(recorded, self.now, id, then[id][0], then)
        for id in removed:
            self.model.forget(recorded, self.now, id, then)
        assert receipt.count(Outcome.FORGOTTEN) == len(removed)
        assert {id: text for id, (_, text) in self.present().items()} == {id: text for id, (_, text) in then.items()}

    @rule(which=PICK, move=st.sampled_from(("archive", "freeze", "thaw", "restore")))
    def move(self, which: int, move: str) -> None:
        id = self.pick(which)
        if id is None:
            return
        state = self.model.replay().lives[id].state
        if move == "restore" and state is State.EXPIRED:
            return
        ways = {
            "archive": {ACTIVE: State.ARCHIVED}, "freeze": {ACTIVE: State.FROZEN}, "thaw": {State.FROZEN: ACTIVE},
            "restore": {ACTIVE: ACTIVE, State.ARCHIVED: ACTIVE},
        }[move]  # fmt: skip
        receipt = self.allowed(state in ways, lambda: self.cube.move(id, move))
        if receipt is not None:
            self.model.log.append(Move(self.recorded(), id, ways[state]))

    @rule()
    def sweep(self) -> None:
        over = self.model.overdue(self.now)
        receipt = self.cube.sweep()
        assert Counter(c.memory for c in receipt.changes) == Counter(id for id, _ in over)
        for id, at in over:
            recorded = self.recorded()
            self.model.log += [End(recorded, id, at, is_retired=False), Move(recorded, id, State.EXPIRED)]

    @rule(which=PICK)
    def search(self, which: int) -> None:
        """A question changes nothing but how often a memory was used."""
        hits = self.cube.search("kettle number", user=(*USERS, None)[which % 3]).hits
        assert {hit.memory.id for hit in hits} <= set(self.model.seen(now=self.now))

    # -- for good --------------------------------------------------------------------------------------------------------

    @rule(by=st.sampled_from(("memory", "source", "user", "session")), which=PICK)
    def erase(self, by: str, which: int) -> None:
        sources = {
            "memory": lambda: self.model.quoted(self.pick(which) or ""),
            "source": lambda: {sorted(self.model.sources)[which % len(self.model.sources)]},
            "user": lambda: {s.id for s in self.model.sources.values() if s.scope.user == USERS[which % 2]},
            "session": lambda: {s.id for s in self.model.sources.values() if s.scope.session == SESSIONS[1 + which % 2]},
        }  # fmt: skip
        if self.is_standing or not self.model.sources or which % 3:  # not too often: it takes away what the others work on
            return
        gone = set(sources[by]())
        if not gone:
            return
        value = {"memory": self.pick(which), "source": min(gone), "user": USERS[which % 2], "session": SESSIONS[1 + which % 2]}[by]
        before = self.model.replay().lives
        frozen = {m.id for m in self.cube.list(limit=10**6, archived=True) if m.state is State.FROZEN}
        try:
            erased = self.cube.erase(value) if by == "memory" else self.cube.erase(**{by: value})
        except Conflict:
            assert any(self.model.quoted(id) & gone for id in frozen), "only what is frozen is kept"
            return
        assert set(erased.sources) == gone
        keys = {v.said.key for life in before.values() for v in life.versions if v.said is not None and v.quotes & gone}
        self.model = self.model.without(gone)
        self.model.hold_again(self.recorded(), self.now, keys)
        after = self.model.replay().lives
        for id, life in before.items():
            if id not in after or life != after[id]:
                self.shaken[id] = self.recorded()
                if self.is_set_back and life.state is State.EXPIRED:
                    self.unsure.add(id)
        for id in set(before) - set(after):
            with pytest.raises(Missing):
                self.cube.get(id)

    # -- other cubes -----------------------------------------------------------------------------------------------------

    @rule(how=PICK)
    def branch(self, how: int) -> None:
        if not self.model.sources:
            return
        self.count += 1
        memory = self.memory
        name = f"branch-{self.count}"
        past = sorted(at for at in self.times if at <= self.now)
        if how % 2 or not past:
            copy = memory.cube("main").branch(name)
            assert world(copy.list(limit=1000)) == self.present() and world(copy.list(archived=True)) == self.present(archived=True)
        else:
            at = past[how % len(past)]
            copy = memory.cube("main").branch(name, as_of=at)
            later = {s.id for s in self.model.sources.values() if s.message.at is not None and s.message.at > at}
            then = self.model.without(later).seen(as_of=at, now=self.now, archived=True)
            there = world(copy.list(archived=True, limit=1000))
            expected = {id: text for id, text in texts(then).items() if not self.is_over(id)}
            unmet = self.unmet()
            assert {id: t for id, t in texts(there).items() if id not in unmet} == {
                id: t for id, t in expected.items() if id not in unmet
            }, f"at {at}: {there}, expected {then}"
        assert copy.verify().is_clean
        copy.add("Something else altogether.", user="ana")
        memory._parts.vault.path(name).unlink()

    def unmet(self) -> set[str]:
        """Memories with statements, once one was overwritten: where that is undone, it is not held against what was said without it."""
        said = {id: [v.said for v in life.versions] for id, life in self.model.replay().lives.items()}
        if not any(each[:-1] != [None] * (len(each) - 1) for each in said.values()):
            return set()
        return {id for id, each in said.items() if any(each)}

    def is_over(self, id: str) -> bool:
        return self.has_ended(self.model.replay().lives[id])

    def has_ended(self, life: Life) -> bool:
        return life.last.expires is not None and life.last.expires <= self.now and not life.is_frozen

    @rule()
    def carry_over(self) -> None:
        """Everything that was said and still stands arrives in another cube, and arrives once."""
        gone = self.taken_back()
        standing = [source for source in self.cube._store.sources() if source.id not in gone]
        if not standing:
            return
        self.count += 1
        file = self.path / f"{self.count}.jsonl"
        memory = self.memory
        assert memory.cube("main").export(file)["sources"] == len(self.model.sources)
        other = memory.cube(f"copy-{self.count}")
        assert other.import_file(file).added == len(standing) and other.import_file(file).added == 0
        mine, theirs = (Counter((s.message, s.scope.user, s.scope.agent) for s in said) for said in (standing, other._store.sources()))
        assert mine == theirs and other.verify().is_clean

    def taken_back(self) -> set[str]:
        """The messages of which somebody forgot, or overwrote, or whose time ended, all that was made."""
        quoted, standing = set[str](), set[str]()
        for id, life in self.model.replay().lives.items():
            *former, last = ({span.source for span in version.spans} for version in self.cube.history(id))
            quoted.update(last, *former)
            standing.update(set() if life.state is State.EXPIRED or self.has_ended(life) else last)
        return quoted - standing

    # -- what must hold --------------------------------------------------------------------------------------------------

    @invariant()
    def holds_now(self) -> None:
        if not self.handles:
            return
        self.times.add(self.now)
        assert world(self.cube.list(limit=1000)) == self.present()
        assert world(self.cube.list(archived=True, limit=1000)) == self.present(archived=True)
        assert list(self.cube.verify().faults) == []
        if not self.is_standing:
            self.clock.advance(seconds=1)

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.look_everywhere()
        self.shut()
        self.folder.cleanup()

    def look_everywhere(self) -> None:
        """Every time at which something happened, and the times between them, and before and after all."""
        cube = self.cube
        for id in self.model.ids:
            life = self.model.replay().lives.get(id)
            if life is None:
                with pytest.raises(Missing):
                    cube.history(id)
            else:
                versions = list(dict.fromkeys((m.version, m.text) for m in cube.history(id)))
                assert versions == [(v.number, v.text) for v in life.versions], id
        known = sorted(self.times | {op.recorded for op in self.model.log})
        moments = between(sorted(set(known) | {op.since for op in self.model.log if isinstance(op, Tell)}))
        for at in moments:
            shown = world(cube.list(as_of=at, archived=True, limit=1000))
            expected = self.model.seen(as_of=at, now=self.now, archived=True)
            assert without(shown, self.unsure) == without(expected, self.unsure), self.told(at, shown, expected)
        for at in between(known):
            for as_of in (None, at):
                shown = world(cube.list(as_of=as_of, known_at=at, archived=True, limit=1000))
                expected = self.model.seen(as_of=as_of, known=at, now=self.now, archived=True)
                shaken = self.unsure | {id for id, since in self.shaken.items() if at < since}
                assert without(shown, shaken) == without(expected, shaken), self.told(at, shown, expected)
        for one, other in zip(moments, reversed(moments), strict=True):
            self.compare(cube, one, other)

    def told(self, at: datetime, shown: Seen, expected: Seen) -> str:
        """What differs, and both histories of it."""
        ids = {id for id, _ in shown.items() ^ expected.items()}
        lives = self.model.replay().lives
        return f"at {at}: " + "\n".join(
            f"{id}: {shown.get(id)}, expected {expected.get(id)}; there are {[(m.version, m.text, m.valid) for m in self.cube.history(id)]},"
            f" expected {lives[id]}"
            for id in ids
        )

    def compare(self, cube: Cube, one: datetime, other: datetime) -> None:
        """The difference of two times, but for memories of which it is not kept until when they held."""
        old, new = (without(self.model.seen(as_of=at, now=self.now), self.unsure) for at in (one, other))
        change = cube.diff(one, other)
        assert without(world(list(change.added)), self.unsure) == {id: seen for id, seen in new.items() if id not in old}
        assert without(world(list(change.removed)), self.unsure) == {id: seen for id, seen in old.items() if id not in new}
        assert {a.id: (a.version, b.version) for a, b in change.changed if a.id not in self.unsure} == {
            id: (old[id][0], new[id][0]) for id in old.keys() & new.keys() if old[id][0] != new[id][0]
        }

    # -- plumbing --------------------------------------------------------------------------------------------------------

    def pick(self, which: int) -> str | None:
        lives = sorted(self.model.replay().lives)
        return lives[which % len(lives)] if lives else None

    def present(self, archived: bool = False) -> Seen:
        return self.model.seen(now=self.now, archived=archived)

    def since(self, ago: int) -> datetime:
        return self.now - timedelta(days=ago)

    def new_note(self) -> str:
        self.count += 1
        return f"kettle number {self.count}"

    def statement(self, who: int, which: int, value: int, at: datetime) -> tuple[str, Said]:
        what, words = STATEMENTS[which % len(STATEMENTS)]
        self.statements += 1
        return words.format(VALUES[what][value % 3]), Said((USERS[who % 2], what), VALUES[what][value % 3], at, self.statements)

    def allowed(self, is_allowed: bool, change: Callable[[], Receipt]) -> Receipt | None:
        """What a change answers; one that is not allowed raises and leaves no trace."""
        if is_allowed:
            return change()
        before = self.records()
        with pytest.raises(IllegalMove):
            change()
        assert self.records() == before
        return None

    def agree(self, receipt: Receipt, effects: list[tuple[Outcome, str]]) -> None:
        told = Counter((c.outcome, c.memory) for c in receipt.changes if c.outcome in (Outcome.SUPERSEDED, Outcome.POSSIBLE_CONFLICT))
        assert told == Counter(effects), f"expected {effects}"

    def records(self) -> int:
        return len(self.cube.log(limit=10_000))

    def recorded(self) -> datetime:
        """When the last change became known: the present, or just after what was known before the clock was set back."""
        *before, last = [record.at for record in self.cube.log(limit=2)]
        assert last == self.now if not before or before[0] <= self.now else last == before[0] + MICROSECOND
        return last


def world(memories: list[Memory]) -> Seen:
    found = {m.id: (m.version, m.text) for m in memories}
    assert len(found) == len(memories), "a memory is listed twice"
    return found


def texts(seen: Seen) -> dict[str, str]:
    return {id: text for id, (_, text) in seen.items()}


def without(seen: Seen, ids: set[str]) -> Seen:
    return {id: there for id, there in seen.items() if id not in ids}


def between(times: list[datetime]) -> list[datetime]:
    """The times, one between each two, and one before and after all."""
    if not times:
        return []
    middles = [a + (b - a) / 2 for a, b in pairwise(times)]
    return sorted({times[0] - STEP, *times, *middles, times[-1] + STEP})


def test_any_history_is_what_its_log_says() -> None:
    run_state_machine_as_test(History, settings=settings(max_examples=50, stateful_step_count=30))


@pytest.mark.slow
def test_thousands_of_histories_are_what_their_logs_say() -> None:
    run_state_machine_as_test(History, settings=settings(max_examples=1500, stateful_step_count=40))
