"""Many principals with few rights, doing anything at random: nothing of anybody else's is seen, changed, counted or guessed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.conftest import open_memory

from loci import Channel, Message
from loci.errors import Denied, LociError, Missing
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, HashEngine, ManualClock
from loci.types import Grant, Role, Scope
from loci.wire import MemOS

CUBES, USERS, AGENTS, SESSIONS = ("main", "team.a", "team.b"), ("ann", "bob", "cleo", "dan"), (None, "agent1", "agent2"), (None, "s1", "s2")
PRINCIPALS = tuple(f"p{number}" for number in range(12))
THINGS = ("kettle", "ladder", "harbour", "piano", "garden", "bridge")
CHANGES = {"add", "update", "forget", "restore", "move", "erase", "import", "accept", "reject"}
HOSTILE = ("' OR 1=1 --", '" OR *', "ann' OR 'a'='a", "%", "*", "ann\x00", "../main", "NEAR(ann bob)", "{user}", "s1\u200b")


@dataclass
class World:
    """Who said what where, by the reckoning of the test: each memory's scope, and a word of its own that nothing else holds."""

    memory: MemOS
    chance: random.Random
    clock: ManualClock
    scopes: dict[str, Scope] = field(default_factory=dict)
    canaries: dict[str, str] = field(default_factory=dict)
    grants: dict[str, list[Grant]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    built: list[str] = field(default_factory=list)  # activation memories

    def may_see(self, principal: str, memory: str) -> bool:
        """Whether any grant of the principal's, in any role, is about this memory."""
        scope = self.scopes[memory]
        return any(self._is_about(grant, memory, scope) for grant in self.grants[principal])

    def _is_about(self, grant: Grant, memory: str, scope: Scope) -> bool:
        is_there = grant.cube == scope.cube or (grant.cube.endswith(".*") and scope.cube.startswith(grant.cube[:-1]))
        if not is_there or grant.role is Role.AUDITOR:
            return False
        pairs = ((grant.user, scope.user), (grant.agent, scope.agent), (grant.session, scope.session), (grant.memory, memory))
        return all(wanted is None or wanted == found for wanted, found in pairs)

    def seen(self, principal: str, answer: object, asked: str, *, is_log: bool = False) -> None:
        """No id and no canary of what the principal may not see is in an answer, or in an error, but what it asked for itself. The log, which the
        auditors of a whole cube read, has ids and no words."""
        said = f"{answer!r} {answer}"
        for id, canary in self.canaries.items():
            if (id in said and id not in asked and not is_log) or (canary in said and canary not in asked):
                assert self.may_see(principal, id), f"{principal} saw {id} ({canary}) in {said[:300]}"

    def state(self) -> dict[str, tuple[int, str, str]]:
        """Every memory as it is now: version, state, words."""
        found = {}
        for name in CUBES:
            for memory in self.memory.cube(name).list(limit=10**6, archived=True):
                found[memory.id] = (memory.version, memory.state.value, memory.text)
        return found


def build(folder: Path, seed: int) -> World:
    chance, clock = random.Random(seed), ManualClock()
    memory = open_memory(folder, clock=clock, ids=CountingIds(), embedder=HashEmbedder(), engine=HashEngine())
    world = World(memory, chance, clock)
    for number in range(120):
        name, user, agent, session = chance.choice(CUBES), chance.choice(USERS), chance.choice(AGENTS), chance.choice(SESSIONS)
        tell(world, memory.cube(name), user, agent, session, number)
    for name in CUBES:
        for user in USERS:
            theirs = [id for id, scope in world.scopes.items() if scope.cube == name and scope.user == user][:3]
            if theirs:
                world.built.append(memory.cube(name).activate(theirs, user=user).id)
    for principal in PRINCIPALS:
        world.grants[principal] = [grant(world, principal) for _ in range(chance.randint(0, 3))]
    return world


def tell(world: World, cube: Cube, user: str | None, agent: str | None, session: str | None, number: int, **how: object) -> None:
    canary = f"canary{number:05d}"
    text = f"I keep my {world.chance.choice(THINGS)} with {canary}."
    receipt = cube.add(Message("user", text, world.clock.advance(seconds=1), speaker=user), user=user, agent=agent, session=session, **how)  # type: ignore[arg-type]
    for change in receipt.changes:
        if change.memory and change.memory not in world.scopes:
            world.scopes[change.memory] = Scope(cube.name, user, agent, session)
            world.canaries[change.memory] = canary


def grant(world: World, principal: str) -> Grant:
    chance = world.chance
    kind = chance.choice(("user", "user", "session", "agent", "memory", "cube", "path"))
    limits: dict[str, object] = {"cube": chance.choice(CUBES)}
    if kind in ("user", "session", "agent"):
        limits["user"] = chance.choice(USERS)
    if kind == "session":
        limits["session"] = "s1"
    if kind == "agent":
        limits["agent"] = "agent1"
    if kind == "memory":
        limits["memory"] = chance.choice([id for id, scope in world.scopes.items() if scope.cube == limits["cube"]])
    if kind == "path":
        limits["cube"] = "team.*"
    role = chance.choice((Role.READER, Role.READER, Role.WRITER, Role.CURATOR, Role.OWNER, Role.AUDITOR))
    return world.memory.grant(principal, role, **limits)  # type: ignore[arg-type]


def step(world: World, number: int, folder: Path) -> None:
    chance = world.chance
    principal = chance.choice(PRINCIPALS)
    name = chance.choice(CUBES)
    user = chance.choice((*USERS, *USERS, None, chance.choice(HOSTILE)))
    agent, session = (
        chance.choice((None, None, "agent1", chance.choice(HOSTILE))),
        chance.choice((None, None, "s1", chance.choice(HOSTILE))),
    )
    id = chance.choice([*world.scopes, "01NOTHERE", chance.choice(HOSTILE)])
    question = f"Where is the {chance.choice(THINGS)} of {chance.choice(USERS)}?"
    moment = world.clock.now()
    verb = chance.choice(VERBS)
    world.done[verb] += 1
    before = world.state() if verb in CHANGES and number % 10 == 0 else None
    try:
        cube = world.memory.acting(principal).cube(name)
        answer = DO[verb](world, cube, Asked(user, agent, session, id, question, moment, number, folder))
        world.seen(principal, answer, id + question, is_log=verb == "log")
    except LociError as error:
        world.seen(principal, error, id + question)
        world.done["refused"] += 1
        if id in world.scopes and not world.may_see(principal, id) and verb in BY_ID:
            assert isinstance(error, Denied | Missing)
            assert "exist" not in str(error) and "belongs" not in str(error)
    if before is not None:
        for changed in {i for i, was in world.state().items() if before.get(i, was) != was} | {i for i in before if i not in world.state()}:
            assert changed not in world.scopes or world.may_see(principal, changed), f"{principal} changed {changed} by {verb}"


@dataclass(frozen=True)
class Asked:
    """What a call is made with."""

    user: str | None
    agent: str | None
    session: str | None
    id: str
    question: str
    moment: object
    number: int
    folder: Path

    @property
    def scope(self) -> dict[str, str | None]:
        return {"user": self.user, "agent": self.agent, "session": self.session}


def _add(world: World, cube: Cube, a: Asked) -> object:
    forged = {
        "role": "user",
        "text": f"I keep my piano with canary9{a.number:05d}.",
        "user": "bob",
        "principal": "owner",
        "trust": "trusted",
        "session": a.session,
    }
    receipt = cube.add(forged, **a.scope, channel=world.chance.choice((None, Channel.WEB, Channel.TOOL)))  # type: ignore[arg-type]
    for change in receipt.changes:
        if change.memory and change.memory not in world.scopes:
            world.scopes[change.memory] = Scope(cube.name, a.user, a.agent, a.session)
            world.canaries[change.memory] = f"canary9{a.number:05d}"
    return receipt


def _erase(world: World, cube: Cube, a: Asked) -> object:
    if world.chance.random() < 0.7:
        return cube.erase(a.id)
    return cube.erase(user=a.user) if a.user and world.chance.random() < 0.1 else cube.erase(source=a.id)


def _import(world: World, cube: Cube, a: Asked) -> object:
    path = a.folder / "in.jsonl"
    path.write_text('{"role": "user", "text": "I keep my garden.", "session": "s2", "user": "bob", "trust": "trusted"}\n', "utf-8")
    return cube.import_file(path, **a.scope)


def _activate(world: World, cube: Cube, a: Asked) -> object:
    handle = cube.activate([a.id], **a.scope) if world.chance.random() < 0.5 else cube.activate(about=a.question, **a.scope)
    world.built.append(handle.id)
    return handle, cube.activation(handle.id)


def _generate(world: World, cube: Cube, a: Asked) -> object:
    """The model is told to say the memories that it was given, and so is what is looked at: the prompt itself."""
    answer = cube.generate(a.question, **a.scope, max_tokens=2)
    return answer.recall, answer.attached, answer.text()


def _compose(world: World, cube: Cube, a: Asked) -> object:
    chosen = world.chance.sample(world.built, min(2, len(world.built)))
    answer = cube.generate(
        a.question, **a.scope, max_tokens=2, activations=chosen, compose=world.chance.choice(("prefix", "block", "blend"))
    )
    return answer.recall, answer.attached, answer.text()


def _prepare(world: World, cube: Cube, a: Asked) -> object:
    errand = (
        cube.prepare(a.question, **a.scope)
        if world.chance.random() < 0.5
        else cube.prepare(activations=[world.chance.choice(world.built)], **a.scope)
    )
    return errand.ids, errand.wait(30)


def _carry(world: World, cube: Cube, a: Asked) -> object:
    """A bundle holds every word that was read: bytes are this model's tokens."""
    folder = a.folder / f"bundle{a.number}"
    written = cube.export_activation(world.chance.choice(world.built), folder)
    read = bytes(json.loads((folder / "manifest.json").read_text())["tokens"]["ids"]).decode()
    return written, read


def _take_in(world: World, cube: Cube, a: Asked) -> object:
    """Somebody else's bundle, which its owner left lying about."""
    folder = a.folder / f"left{a.number}"
    try:
        world.memory.cube(cube.name).export_activation(world.chance.choice(world.built), folder)
    except LociError:  # the owner is told why not, and nobody else is
        return None
    handle = cube.import_activation(folder, **a.scope)
    world.built.append(handle.id)
    return handle


DO: dict[str, Callable[[World, Cube, Asked], object]] = {
    "search": lambda w, c, a: c.search(a.question, **a.scope),
    "search pertinent": lambda w, c, a: c.search(a.question, **a.scope, pertinent=True),
    "search strict": lambda w, c, a: c.search(a.question, **a.scope, strict=True, archived=True),
    "search past": lambda w, c, a: c.search(a.question, **a.scope, as_of=a.moment, known_at=a.moment),  # type: ignore[arg-type]
    "list": lambda w, c, a: c.list(**a.scope),
    "list past": lambda w, c, a: c.list(**a.scope, known_at=a.moment),  # type: ignore[arg-type]
    "count": lambda w, c, a: c.count(**a.scope),
    "get": lambda w, c, a: c.get(a.id),
    "get past": lambda w, c, a: c.get(a.id, known_at=a.moment),  # type: ignore[arg-type]
    "history": lambda w, c, a: c.history(a.id),
    "why": lambda w, c, a: c.why(a.id),
    "why not": lambda w, c, a: c.why_not(a.question, a.id, user=a.user),
    "update": lambda w, c, a: c.update(a.id, f"I sold it, {a.number}."),
    "append": lambda w, c, a: c.update(a.id, f"And {a.number} more.", mode="append"),
    "forget": lambda w, c, a: c.forget(a.id),
    "restore": lambda w, c, a: c.restore(a.id),
    "restore all": lambda w, c, a: c.restore(to=a.moment),  # type: ignore[arg-type]
    "move": lambda w, c, a: c.move(a.id, "archive"),
    "erase": _erase,
    "add": _add,
    "import": _import,
    "derive": lambda w, c, a: c.add("A summary.", **a.scope, derived_from=[a.id]),
    "review": lambda w, c, a: c.review(**a.scope),
    "accept": lambda w, c, a: c.accept(a.id),
    "reject": lambda w, c, a: c.reject(a.id),
    "export": lambda w, c, a: c.export(a.folder / f"out{a.number}"),
    "branch": lambda w, c, a: c.branch(f"copy{a.number}"),
    "diff": lambda w, c, a: c.diff(a.moment, a.moment),  # type: ignore[arg-type]
    "log": lambda w, c, a: c.log(object=a.id),
    "stats": lambda w, c, a: c.stats(),
    "verify": lambda w, c, a: c.verify(),
    "revert": lambda w, c, a: c.revert(user=a.user or "nobody"),
    "rank": lambda w, c, a: c.rank(a.question, user=a.user)[1],
    "call": lambda w, c, a: c.call(a.question, user=a.user),
    "scan": lambda w, c, a: c.scan(),
    "fingerprint": lambda w, c, a: c.fingerprint(),
    "activate": _activate,
    "generate": _generate,
    "activations": lambda w, c, a: c.activations(**a.scope),
    "activation": lambda w, c, a: c.activation(w.chance.choice(w.built)),
    "header": lambda w, c, a: c.get(w.chance.choice(w.built)),
    "header, past": lambda w, c, a: c.history(w.chance.choice(w.built)),
    "header, why": lambda w, c, a: c.why(w.chance.choice(w.built)),
    "header, erase": lambda w, c, a: c.erase(w.chance.choice(w.built)),
    "rebuild": lambda w, c, a: c.activate([a.id], **a.scope, id=w.chance.choice(w.built)),
    "deactivate": lambda w, c, a: c.deactivate(w.chance.choice(w.built)),
    "compose": _compose,
    "prepare": _prepare,
    "carry": _carry,
    "take in": _take_in,
}  # fmt: skip
WHOLE_CUBE = {"export", "branch", "diff", "log", "stats", "verify", "revert", "rank", "scan", "fingerprint", "restore all"}
BY_ID = {"get", "get past", "history", "why", "update", "append", "forget", "restore", "move", "accept", "reject"}
RARE = {"export", "branch", "verify", "scan", "fingerprint", "import", "revert", "restore all", "erase"}
VERBS = [verb for verb in DO for _ in range(1 if verb in RARE else 8)]


def fuzz(folder: Path, seed: int, operations: int) -> Counter[str]:
    """Worlds of some hundred memories, until so many operations are done: a world is left when much of it is erased."""
    done: Counter[str] = Counter()
    world = 0
    while done["operations"] < operations:
        place = folder / str(world)
        place.mkdir()
        found = build(place / "vault", seed * 1000 + world)
        for number in range(min(500, operations - done["operations"])):
            step(found, number, place)
            done["operations"] += 1
        assert found.memory.verify().is_clean
        found.memory.close()
        done.update(found.done)
        world += 1
    return done


def test_nobody_sees_or_changes_what_is_not_theirs(tmp_path: Path) -> None:
    done = fuzz(tmp_path, 1, 1000)
    assert done["operations"] == 1000 and done["refused"] > 200 and done["search"] > 10


@pytest.mark.slow
def test_nobody_does_in_a_hundred_thousand_operations(tmp_path: Path) -> None:
    done = fuzz(tmp_path, 2, 100_000)
    assert done["refused"] > 20_000
