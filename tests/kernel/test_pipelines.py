"""Pipelines: checked before they run, one transaction, rolled back as one, through the gate step by step, and cut where a model is called."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.faults import _state
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import open_memory

from loci import MemOS, Message
from loci.errors import Conflict, Denied, Invalid, LociError, Missing, Refused, Unavailable, Unsupported
from loci.interface.pipeline import VERBS, Pipeline, Step, check, document_of, pipeline_of
from loci.operation import citing, scheduler
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, HashEngine, ManualClock, TeachableEngine
from loci.types import Channel, Role, State, Trust

Door = Callable[..., MemOS]
SAID = ("I live in Porto.", "The kettle is blue.", "My brother Ben mends clocks.", "The ladder is long.", "The piano is out of tune.")
CHAIN: dict[str, Any] = {
    "name": "keep-and-archive",
    "parameters": {"about": "text", "note": "text", "limit": {"kind": "number", "default": 2}},
    "steps": [
        {"name": "found", "verb": "search", "with": {"question": "$about", "user": "ann", "limit": "$limit"}},
        {"name": "noted", "verb": "add", "with": {"messages": ["Noted on ", "$about", ": ", "$note"], "user": "ann"}},
        {"name": "changed", "verb": "update", "with": {"memory": "$found.first", "text": "$note", "mode": "append", "reason": "$$5"}},
        {"verb": "move", "each": "$found.ids", "with": {"id": "$each", "move": "archive"}},
    ],
}


def put(cube: Cube) -> list[str]:
    for text in SAID:
        cube.add(Message("user", text, speaker="Ann"), user="ann")
    return [memory.id for memory in cube.list(user="ann")]


@pytest.fixture
def cube(open_vault: Door) -> Cube:
    cube = open_vault(embedder=HashEmbedder(), engine=HashEngine()).cube("main")
    put(cube)
    cube.drain()
    return cube


def plan(*steps: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    return {"name": "plan", "parameters": parameters, "steps": list(steps)}


def state(cube: Cube) -> object:
    return cube.fingerprint(), _state(cube._parts.vault.root)


# -- one -----------------------------------------------------------------------------------------------------------------


def test_a_chain_of_verbs_is_one_change_and_the_log_names_it(cube: Cube) -> None:
    before = len(cube.log(limit=1000))
    ran = cube.run(CHAIN, {"about": "the kettle", "note": "It is green now."})
    assert ran.is_done and [done.step for done in ran.steps] == ["found", "noted", "changed", "4"]
    found, noted, changed, moved = (done.answer for done in ran.steps)
    kettle = found.ids[0]
    assert [cube.get(id).state for id in found.ids] == [State.ARCHIVED] * 2 and len(moved) == len(found.ids) == 2
    assert cube.get(noted.ids[0]).text == "Noted on the kettle: It is green now."
    assert cube.get(kettle).text == "The kettle is blue.\nIt is green now." and changed.changes[0].reason == "$5"
    records = cube.log(limit=1000)[before:]
    assert [r.verb for r in records] == ["add", "update", "move", "move", "run"]
    assert all(r.detail["pipeline"] == "keep-and-archive" and r.detail["run"] == ran.id for r in records) and records[-1].object == ran.id
    assert cube.verify().is_clean


def test_a_run_sees_what_it_has_done_and_nobody_else_does(cube: Cube, open_vault: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    other, seen = open_vault(embedder=HashEmbedder()).cube("main"), list[str]()
    forget = Cube.forget

    def look(within: Cube, id: str) -> object:
        """In the middle of the run, from another connection in another thread."""
        thread = threading.Thread(target=lambda: seen.extend(memory.text for memory in other.list(user="ann")))
        thread.start()
        thread.join()
        return forget(within, id)

    monkeypatch.setattr(Cube, "forget", look)
    ran = cube.run(plan(
        {"verb": "add", "name": "said", "with": {"messages": "The heron stands on one leg.", "user": "ann"}},
        {"verb": "search", "name": "found", "with": {"question": "heron", "user": "ann", "limit": 1}},
        {"verb": "forget", "with": {"id": "$found.first"}},
        {"verb": "search", "name": "again", "with": {"question": "heron", "user": "ann"}},
    ))  # fmt: skip
    said, found, _, again = (done.answer for done in ran.steps)
    assert found.ids == said.ids and said.ids[0] not in again.ids
    assert len(seen) == len(SAID) and not any("heron" in text for text in seen)


BROKEN = [
    ("missing", {"verb": "forget", "with": {"id": "nobody"}}, Missing),
    ("illegal", {"verb": "move", "with": {"id": "$first", "move": "thaw"}}, LociError),
    ("nothing found", {"verb": "forget", "with": {"id": "$none.first"}}, Missing),
    ("stale", {"verb": "restore", "with": {"id": "$first", "to": 99}}, Missing),
]


@pytest.mark.parametrize(("name", "step", "error"), BROKEN, ids=[name for name, _, _ in BROKEN])
@pytest.mark.parametrize("place", range(5))
def test_whichever_step_fails_nothing_has_happened(cube: Cube, name: str, step: dict[str, Any], error: type[LociError], place: int) -> None:
    ids = [memory.id for memory in cube.list(user="ann")]
    steps = [
        {"verb": "add", "with": {"messages": "The heron stands on one leg.", "user": "ann"}},
        {"verb": "update", "with": {"memory": ids[1], "text": "The kettle is red."}},
        {"verb": "forget", "with": {"id": ids[2]}},
        {"verb": "move", "with": {"id": ids[3], "move": "freeze"}},
    ]
    nothing = {"verb": "search", "name": "none", "with": {"question": "x", "user": "nobody"}}
    before = state(cube)
    with pytest.raises(error, match=rf"Step {place + 2} \("):
        cube.run(plan(nothing, *steps[:place], step, *steps[place:], first="id"), {"first": ids[0]})
    assert state(cube) == before and cube.verify().is_clean
    assert not cube.search("heron", user="ann").ids or "heron" not in cube.search("heron", user="ann").text
    cube.add("The heron is back.", user="ann")
    assert "heron" in cube.search("heron", user="ann").text and cube.verify().is_clean


def test_what_a_run_that_failed_recalled_was_not_used(cube: Cube) -> None:
    found = {"verb": "search", "name": "found", "with": {"question": "kettle", "user": "ann", "limit": 1}}
    with pytest.raises(Missing):
        cube.run(plan(found, {"verb": "forget", "with": {"id": "nobody"}}))
    cube._scheduler.note_uses()
    assert not any(memory.uses for memory in cube.list(user="ann"))
    cube.run(plan(found, {"verb": "move", "with": {"id": "$found.first", "move": "freeze"}}))
    assert [memory.uses for memory in cube.list(user="ann") if memory.state is State.FROZEN] == [1], "its use is part of the run"


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "update", "forget", "restore", "archive", "freeze", "thaw"]), st.integers(0, 4)),
    min_size=1,
    max_size=6,
)


@given(STEPS)
@settings(max_examples=50)
def test_a_run_is_as_its_verbs_alone_or_nothing(tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int]]) -> None:
    prints, failed = [], []
    for is_one in (True, False):
        folder = tmp_path_factory.mktemp("vault")
        with open_memory(folder, clock=ManualClock(), ids=CountingIds(), embedder=HashEmbedder()) as memory:
            cube = memory.cube("main")
            ids = put(cube)
            before, steps = state(cube), [_drawn(verb, ids[place], number) for number, (verb, place) in enumerate(drawn)]
            try:
                if is_one:
                    cube.run(plan(*steps))
                else:
                    for step in steps:
                        getattr(cube, step["verb"])(**step["with"])
            except LociError:
                failed.append(is_one)
                if is_one:
                    assert state(cube) == before
            cube.drain()
            prints.append(cube.fingerprint())
            assert cube.verify().is_clean
    assert len(failed) in (0, 2) and (failed or prints[0] == prints[1])


def _drawn(verb: str, id: str, number: int) -> dict[str, Any]:
    match verb:
        case "add":
            return {"verb": "add", "with": {"messages": f"I moved to town {number}.", "user": "ann"}}
        case "update":
            return {"verb": "update", "with": {"memory": id, "text": f"The clock of tower {number} is slow."}}
        case "forget" | "restore":
            return {"verb": verb, "with": {"id": id}}
        case _:
            return {"verb": "move", "with": {"id": id, "move": verb}}


# -- the check -----------------------------------------------------------------------------------------------------------

SEARCH = {"verb": "search", "name": "found", "with": {"question": "kettle"}}
INVALID: list[tuple[dict[str, Any], str]] = [
    ({"name": "X", "steps": [SEARCH]}, "name is 'X'"),
    ({"name": "x", "steps": []}, "0 steps"),
    ({"name": "x", "steps": [SEARCH] * 33}, "33 steps"),
    ({"name": "x", "steps": [SEARCH], "more": 1}, "has more"),
    (plan({"verb": "erase", "with": {"id": "a"}}), r"Step 1 \(erase\): 'erase' is no verb"),
    (plan(SEARCH, {"verb": "move", "with": {"id": "$found.first"}}), r"Step 2 \(move\): move needs move"),
    (plan({"verb": "search", "with": {"question": "a", "limits": 3}}), "takes no limits"),
    (plan({"verb": "search", "with": {"question": "a", "limit": "many"}}), "limit is 'many'"),
    (plan({"verb": "search", "with": {"question": "a", "limit": -1}}), "limit is -1"),
    (plan({"verb": "search", "with": {"question": "a", "limit": True}}), "limit is True"),
    (plan({"verb": "search", "with": {"question": " "}}), "Step 1"),
    (plan({"verb": "search", "with": {"question": "a", "since": "soon"}}), "kind time"),
    (plan({"verb": "forget", "with": {"id": "$found.first"}}, SEARCH), "comes later"),
    (plan({"verb": "forget", "with": {"id": "$lost.first"}}), "is not there"),
    (plan(SEARCH, {"verb": "forget", "with": {"id": "$found.words"}}), "is not there"),
    (plan(SEARCH, {"verb": "forget", "with": {"id": "$found.count"}}), "of kind number"),
    (plan(SEARCH, {"verb": "forget", "with": {"id": "$found.ids"}}), "of kind ids"),
    (plan(SEARCH, {"verb": "forget", "with": {"id": "$each"}}), "no each"),
    (plan(SEARCH, {"verb": "forget", "each": "$found.first", "with": {"id": "$each"}}), "must refer to ids"),
    (plan(SEARCH, {"verb": "update", "with": {"memory": "$found.first", "text": "$found.text"}}), "Only add takes such words"),
    (plan(SEARCH, {"verb": "search", "with": {"question": ["And ", "$found.text"]}}), "Only add takes such words"),
    (plan(SEARCH, {"verb": "add", "with": {"messages": "a", "derived_from": ["$found.first"]}}), "stands for a whole list"),
    (plan(SEARCH, most={"kind": "number", "default": "few"}), "most is 'few'"),
    (plan(SEARCH, SEARCH), "its name 'found'"),
    (plan({"verb": "move", "with": {"id": "a", "move": "burn"}}), "burn"),
    (plan({"verb": "forget", "with": {"id": "$who"}}, who="number"), "of kind number"),
    (plan(SEARCH, who="person"), "kind 'person'"),
    (plan(SEARCH, {"verb": "generate", "each": "$found.ids", "with": {"question": "?"}}), "made once"),
    (plan(SEARCH, {"verb": "generate", "with": {"question": "?"}}, {"verb": "add", "with": {"messages": "$found.text"}}), "across"),
]


@pytest.mark.parametrize(("document", "told"), INVALID, ids=[told for _, told in INVALID])
def test_what_cannot_be_run_is_refused_before_anything_is(cube: Cube, document: dict[str, Any], told: str) -> None:
    before = state(cube)
    with pytest.raises(Invalid, match=told):
        cube.run(document)
    assert state(cube) == before


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "needs about, note"), ({"about": "a", "note": "b", "to": 1}, "no parameter to"), ({"about": "a", "note": 7}, "note is 7"),
     ([1], "must be an object"), ("x", "must be an object"), ({1: 2}, "must be an object"), ({"about": "a", "note": "\ud800"}, "surrogate"),
     ({"about": "a", "note": "b", "limit": 10**5000}, "too long to be shown"), ({"about": "a", "note": "b", "limit": float("nan")}, "limit is nan"),
     ({"about": "a" * 99_000, "note": "b" * 950_000}, "1,000,000 are the most"), ({"about": " ", "note": "b"}, "Step 1"), ({"about": "a", "note": "b", "limit": 5000}, "limit is 5000")],
)  # fmt: skip
def test_parameters_are_checked_before_anything_is_done(cube: Cube, given: dict[str, Any], told: str) -> None:
    before = state(cube)
    with pytest.raises(Invalid, match=told):
        cube.run(CHAIN, given)
    assert state(cube) == before


def test_json_goes_round(cube: Cube) -> None:
    made = pipeline_of(json.dumps(CHAIN))
    assert pipeline_of(document_of(made)) == made and check(made) == {}
    for bad in (
        "{",
        "[]",
        '{"name": "a", "steps": 3}',
        '{"name": "a", "steps": [3]}',
        '{"name": "a", "steps": [{"verb": 3}]}',
        "x" * 1_000_001,
        "[" * 100_000,
        '{"name": "a", "steps": [{"verb": "list", "with": {"limit": ' + "9" * 5000 + "}}]}",
        '{"name": "a", "steps": [{"verb": "list", "with": []}]}',
        '{"name": "a", "parameters": [], "steps": [{"verb": "list"}]}',
        '{"name": "a", "steps": [{"verb": "list", "\\ud800": 1}]}',
        Pipeline("a", (Step("list", name=3),)),  # type: ignore[arg-type]
        Pipeline("a", (Step("list", None),)),  # type: ignore[arg-type]
        Pipeline("a", ("list",)),  # type: ignore[arg-type]
    ):
        with pytest.raises(Invalid):
            pipeline_of(bad)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["$a", "$found.ids", "$found.text", "$each", "$$", "", "kettle", "freeze"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "question", "x"]), inner, max_size=2), max_leaves=4,
)  # fmt: skip
wild = st.fixed_dictionaries({"verb": st.sampled_from([*VERBS, "erase"]), "name": st.sampled_from(["found", "", "each", "a"])}, optional={
    "each": values, "with": st.dictionaries(st.sampled_from(["id", "question", "messages", "move", "text", "memory", "to"]), values, max_size=3),
})  # fmt: skip


@given(st.lists(wild, max_size=4), st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2))
def test_whatever_is_declared_it_is_refused_or_right(steps: list[dict[str, Any]], parameters: dict[str, Any]) -> None:
    try:
        made = pipeline_of({"name": "wild", "parameters": parameters, "steps": steps})
        check(made)
    except Invalid as error:
        assert str(error)
    else:
        assert pipeline_of(document_of(made)) == made


def test_a_question_may_be_what_an_earlier_step_gave(cube: Cube) -> None:
    ran = cube.run(plan(
        {"verb": "add", "name": "said", "with": {"messages": "The kettle whistles.", "user": "ann"}},
        {"verb": "search", "with": {"question": ["What of ", "$said.first", "?"], "user": "ann"}},
    ))  # fmt: skip
    assert "embedder failed" in ran.steps[1].answer.trace.missing["dense"], "a signal that was lost is named"


def test_times_of_python_go_through_the_queue(open_vault: Door, clock: ManualClock) -> None:
    cube, _ = watched(open_vault)
    since = Step("search", {"question": "kettle", "user": "ann", "since": clock.now()}, "late")
    steps = (Step("generate", {"question": "Where does Ann live?", "user": "ann", "max_tokens": 2}), since)
    ran = cube.run(Pipeline("timed", steps))
    assert ran.is_done and [done.verb for done in ran.steps] == ["generate", "search"]


def test_the_table_says_what_the_verbs_take() -> None:
    import inspect

    for name, verb in VERBS.items():
        takes = dict(inspect.signature(getattr(Cube, name)).parameters)
        assert verb.takes.keys() <= takes.keys(), name
        needed = {n for n, p in takes.items() if p.default is p.empty and n != "self" and p.kind is not p.VAR_KEYWORD}
        assert needed <= {n for n, kind in verb.takes.items() if kind.endswith("!")}, name


# -- rights and words ----------------------------------------------------------------------------------------------------


def test_each_step_passes_the_gate_as_alone(open_vault: Door, cube: Cube) -> None:
    memory = open_vault(embedder=HashEmbedder())
    memory.grant("wim", role=Role.WRITER, cube="main", user="ann")
    mine = memory.acting("wim").cube("main")
    before = cube.fingerprint(), cube.log(limit=1000)
    with pytest.raises(Denied, match=r"Step 4 \(move\)|Step 3 \(changed\)"):
        mine.run(CHAIN, {"about": "the kettle", "note": "It is green now."})
    with pytest.raises(Denied, match="Step 1"):
        mine.run(plan({"verb": "search", "with": {"question": "kettle", "user": "bob"}}))
    assert (cube.fingerprint(), cube.log(limit=1000)) == before
    ran = mine.run(plan({"verb": "add", "with": {"messages": "The kettle whistles.", "user": "ann"}}))
    assert cube.log(verb="add")[-1].principal == "wim" and cube.log(verb="run")[-1].object == ran.id


def test_recalled_words_are_derived_from_where_they_are_from(cube: Cube) -> None:
    cube.add("The kettle was stolen by the mayor.", user="ann", origin="https://example.org/gossip")
    ran = cube.run(plan(
        {"verb": "list", "name": "all", "with": {"user": "ann"}},
        {"verb": "get", "name": "one", "with": {"id": "$gossip"}},
        {"verb": "add", "name": "said", "with": {"messages": ["It was told: ", "$one.text"], "user": "ann"}},
        gossip="id",
    ), {"gossip": next(m.id for m in cube.list(user="ann") if "mayor" in m.text)})  # fmt: skip
    (id,) = ran.steps[-1].answer.ids
    made = cube.get(id)
    assert made.origin.channel is Channel.DERIVED and made.origin.trust is Trust.UNTRUSTED
    assert [link.type for link in cube.why(id).links] == ["derived"]


# -- models --------------------------------------------------------------------------------------------------------------

ANSWERED = plan(
    {"verb": "add", "name": "said", "with": {"messages": "$note", "user": "ann"}},
    {"verb": "generate", "name": "answer", "with": {"question": "$about", "user": "ann", "max_tokens": 4}},
    {"verb": "add", "name": "kept", "with": {"messages": "$answer.text", "user": "ann"}},
    {"verb": "move", "each": "$said.ids", "with": {"id": "$each", "move": "archive"}},
    about="text", note="text",
)  # fmt: skip
GIVEN = {"about": "Where does Ann live?", "note": "The heron stands on one leg, in the cold water of the pond."}


class Watched(HashEngine):
    """Fails as often as it is told to, and says whether anybody was writing while it was called."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures, self.cube, self.calls = failures, None, 0  # type: ignore[var-annotated]

    def generate(self, *arguments: Any, **more: Any) -> Any:
        self.calls += 1
        assert self.cube is None or not self.cube._store.is_writing, "no model is called within a transaction"
        if self.calls <= self.failures:
            raise Unavailable("the model is down")
        return super().generate(*arguments, **more)


class Careful(HashEmbedder):
    cube: Cube | None = None

    def embed(self, texts: Any) -> Any:
        assert self.cube is None or not self.cube._store.is_writing, "no model is called within a transaction"
        return super().embed(texts)


class Outside(HashEmbedder):
    cube: Cube | None = None

    def embed(self, texts: Any) -> Any:
        assert self.cube is None or not self.cube._store.is_within, "no model is called while others wait"
        return super().embed(texts)


def watched(open_vault: Door, failures: int = 0) -> tuple[Cube, Watched]:
    engine, embedder = Watched(failures), Careful()
    cube = open_vault(embedder=embedder, engine=engine).cube("main")
    put(cube)
    cube.drain()
    engine.cube = embedder.cube = cube
    return cube, engine


def test_a_model_call_cuts_a_run_into_stages(open_vault: Door) -> None:
    cube, engine = watched(open_vault)
    ran = cube.run(ANSWERED, GIVEN)
    assert ran.is_done and [done.verb for done in ran.steps] == ["add", "generate", "add", "move"] and engine.calls == 1
    said, answer, kept, _ = (done.answer for done in ran.steps)
    made = cube.get(kept.ids[0])
    assert made.text.strip() == answer.text.strip() and made.origin.channel is Channel.DERIVED
    assert cube.get(said.ids[0]).state is State.ARCHIVED and not [job for job in cube.jobs() if job.verb == "pipeline"]
    assert [r.detail["done"] for r in cube.log(verb="run")] == [1, 4] and cube.verify().is_clean


def test_questions_are_embedded_before_anything_is_written(open_vault: Door) -> None:
    cube, _ = watched(open_vault)
    ran = cube.run(plan(
        {"verb": "add", "with": {"messages": "The heron stands on one leg.", "user": "ann"}},
        {"verb": "search", "with": {"question": "Where does Ann live?", "user": "ann"}},
    ))  # fmt: skip
    missing = ran.steps[1].answer.trace.missing
    assert missing == {"dense": "1 of 6 memories have no vector yet"}, "what was just said is found by its words, and the answer says so"


def test_a_run_that_only_reads_finishes_a_backlog_first_and_calls_no_model_within(tmp_path: Path) -> None:
    embedder = Outside()
    with open_memory(tmp_path, embedder=embedder, audit_reads=True) as memory:
        embedder.cube = cube = memory.cube("main")
        put(cube)
        about, one = ["kettle", "ladder"], {"verb": "search", "with": {"question": "piano", "user": "ann"}}
        each = {"verb": "search", "each": "$about", "with": {"question": "$each", "user": "ann"}}
        gets = [{"verb": "get", "each": "$all.ids", "with": {"id": "$each"}}] * 20
        listed = {"verb": "list", "name": "all", "with": {"user": "ann"}}
        for _ in range(3):
            ran = cube.run(plan(one, each, listed, *gets, about="texts"), {"about": about})
            answers = [ran.steps[0].answer, *ran.steps[1].answer]
            assert [answer.trace.missing for answer in answers] == [{}] * 3, "every question was embedded, before"
        assert cube._scheduler.failure is None and cube.pending() == 0
        assert len(cube.log(verb="read", limit=1000)) == 1 + 3 * (1 + 2 + 1 + 5 * 20), "that of `put`, and all of these"


def test_a_model_that_fails_leaves_what_came_before_and_the_rest_in_the_queue(open_vault: Door, clock: ManualClock) -> None:
    cube, _ = watched(open_vault, failures=1)
    with pytest.raises(Unavailable, match=r"Step 2 \(answer\).*the model is down.*loci jobs cancel"):
        cube.run(ANSWERED, GIVEN)
    (job,) = [job for job in cube.jobs() if job.verb == "pipeline"]
    assert job.attempts == 1 and "heron" not in json.dumps(job.arguments["given"]), "what is not needed any more is not kept"
    assert sum("heron" in memory.text for memory in cube.list(user="ann")) == 1
    clock.advance(minutes=1)
    again = open_vault(embedder=HashEmbedder(), engine=HashEngine()).cube("main")
    again.drain()
    assert not [job for job in again.jobs() if job.verb == "pipeline"] and [r.detail["done"] for r in again.log(verb="run")] == [1, 4]
    assert sum(memory.origin.channel is Channel.DERIVED for memory in again.list(user="ann")) == 1
    assert next(m for m in again.list(user="ann", archived=True) if "heron" in m.text).state is State.ARCHIVED


def test_a_later_step_that_fails_takes_its_own_stage_back(open_vault: Door) -> None:
    cube, _ = watched(open_vault)
    document = {**ANSWERED, "steps": [*ANSWERED["steps"], {"verb": "forget", "with": {"id": "nobody"}}]}
    with pytest.raises(Missing, match=r"^Step 5 \(forget\).*is dead"):
        cube.run(document, GIVEN)
    assert [(job.state, job.attempts) for job in cube.jobs() if job.verb == "pipeline"] == [("dead", 1)], "no other try would mend that"
    assert not any(memory.origin.channel is Channel.DERIVED for memory in cube.list(user="ann"))
    assert [r.detail["done"] for r in cube.log(verb="run")] == [1] and cube.verify().is_clean


def test_who_has_lost_the_right_does_not_go_on(open_vault: Door, clock: ManualClock, cube: Cube) -> None:
    memory = open_vault(embedder=HashEmbedder(), engine=Watched(1))
    grant = memory.grant("wim", role=Role.CURATOR, cube="main", user="ann")
    with pytest.raises(Unavailable):
        memory.acting("wim").cube("main").run(ANSWERED, GIVEN)
    memory.revoke(grant.id)
    clock.advance(minutes=1)
    with pytest.raises(Denied, match="wim"):
        memory.cube("main").drain()
    assert not any(m.origin.channel is Channel.DERIVED for m in memory.cube("main").list(user="ann"))


def test_an_erasure_takes_the_words_out_of_the_queue(open_vault: Door, clock: ManualClock) -> None:
    cube, _ = watched(open_vault, failures=1)
    secret = "The password of the harbour office is quibblewicked, whatever they say."
    document = plan(
        {"verb": "add", "name": "said", "with": {"messages": "$note", "user": "ann"}},
        {"verb": "generate", "with": {"question": "Where does Ann live?", "user": "ann", "max_tokens": 4}},
        {"verb": "add", "with": {"messages": "$note", "user": "ben"}}, note="text",
    )  # fmt: skip
    with pytest.raises(Unavailable):
        cube.run(document, {"note": secret})
    (id,) = [memory.id for memory in cube.list(user="ann") if "harbour" in memory.text]
    cube.erase(id)
    (job,) = cube.jobs(state="cancelled")
    assert job.arguments == {} and b"quibblewicked" not in cube._parts.vault.path("main").read_bytes()
    cube.retry(job.seq)
    with pytest.raises(Invalid, match="words that were erased"):
        cube.drain()
    assert not cube.list(user="ben")


class Interfering(HashEngine):
    """Has something happen while it thinks, before each piece of its answer."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.meanwhile, self.calls = meanwhile, 0

    def generate(self, *arguments: Any, **more: Any) -> Any:
        self.calls += 1
        for piece in super().generate(*arguments, **more):
            self.meanwhile()
            yield piece


@pytest.mark.parametrize("how", ["erased", "cancelled"])
def test_a_run_that_was_stopped_under_its_caller_is_not_done(open_vault: Door, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Interfering()
    cube = open_vault(engine=engine).cube("main")
    note = cube.add("Buy milk.", user="ann").sources[0]
    if how == "erased":
        engine.meanwhile = lambda: note in [s.id for s in cube._store.sources()] and cube.erase(source=note)
    else:
        step = cube._scheduler.step
        monkeypatch.setattr(cube._scheduler, "step", lambda work: cube.cancel(cube.jobs()[0].seq) and step(work))
    with pytest.raises(Conflict, match=f"{how}.*stopped, and what comes before is done"):
        cube.run(WAITING, {"note": "Buy milk."})
    assert cube.jobs(state="cancelled") and not [r for r in cube.log(verb="run") if r.detail["done"] == 2]


def test_a_model_that_takes_longer_than_a_lease_is_asked_once(
    open_vault: Door, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though another process looks at the queue all the while."""
    monkeypatch.setattr(scheduler, "HELD_SECONDS", 0.0)
    engine = Interfering()
    cube, other = (open_vault(engine=engine).cube("main") for _ in range(2))

    def meanwhile() -> None:
        clock.advance(seconds=50)
        other._scheduler.work()

    engine.meanwhile = meanwhile
    cube.add("The kettle is blue.", user="ann")
    assert cube.run(WAITING, {"note": "Buy milk."}).is_done and engine.calls == 1


def test_a_run_works_its_own_stages_and_users_take_turns(open_vault: Door) -> None:
    engine = Interfering()
    cube = open_vault(engine=engine).cube("main")
    cube.add("The kettle is blue.", user="ann")
    cube.pause()
    for _ in range(3):
        cube.run(WAITING, {"note": "Buy milk."})
    cube.resume()
    assert cube.run(WAITING, {"note": "Buy tea."}).is_done and engine.calls == 1, "others' runs are not its business"
    cube.pause()
    cube.run({**WAITING, "steps": [{"verb": "generate", "with": {"question": "And?", "user": "ben", "max_tokens": 4}}]}, {"note": "a"})
    cube.resume()
    steps = iter((False, False, True))
    cube.drain(lambda: next(steps))
    assert [job.user for job in cube.jobs()] == ["ann", "ann"], "who has little to do does not wait for who has much"


def test_what_cannot_be_asked_is_not_queued(open_vault: Door) -> None:
    memory = open_vault(engine=HashEngine())
    memory.cube("main").add("The kettle is blue.", user="ann")
    memory.grant("rita", role=Role.READER, cube="main", user="ann")
    before = memory.cube("main").fingerprint()
    with pytest.raises(Denied, match=r"Step 2 \(generate\)"):
        memory.acting("rita").cube("main").run(
            plan(SEARCH | {"with": {"question": "kettle", "user": "ann"}}, {"verb": "generate", "with": {"question": "?", "user": "ben"}})
        )
    cube = open_vault().cube("main")
    with pytest.raises(Unsupported, match=r"Step 1 \(answer\).*no model"):
        cube.run(WAITING, {"note": "Buy milk."})
    assert not cube.jobs() and cube.fingerprint() == before and not cube.log(verb="run")


def test_what_an_attempt_that_was_taken_back_cited_was_not_cited(open_vault: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(citing, "cited", lambda text, shown: list(shown))
    cube, _ = watched(open_vault)
    answered = {"verb": "generate", "with": {"question": "Where is the kettle?", "user": "ann", "limit": 1, "max_tokens": 4}}
    with pytest.raises(Missing):
        cube.run(plan(answered, {"verb": "forget", "with": {"id": "nobody"}}))
    cube._scheduler.note_uses()
    assert not any(memory.cited for memory in cube.list(user="ann"))
    cube.run(plan(answered))
    assert sum(memory.cited for memory in cube.list(user="ann")) == 1, "it is part of the run"


SECRET = "AKIAIOSFODNN7EXAMPLE"


@pytest.mark.parametrize("text", [f"The key is {SECRET}.", f"$5 for {SECRET}."])
def test_no_secret_waits_in_the_queue(open_vault: Door, text: str) -> None:
    cube, _ = watched(open_vault)
    literal = {"verb": "update", "with": {"memory": "$first", "text": f"It is {SECRET}.", "reason": SECRET}}
    each = {"verb": "search", "each": "$about", "with": {"question": "$each"}}
    document = {**WAITING, "parameters": {"note": "text", "first": "id", "about": "texts"}, "steps": [*WAITING["steps"], literal, each]}
    cube.pause()
    handed = {"note": text, "first": cube.list(user="ann")[0].id, "about": [SECRET]}
    cube.run(document, handed)
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in cube._parts.vault.root.rglob("*") if file.is_file())
    cube.protect(secrets="refuse")
    with pytest.raises(Refused):
        cube.run(document, handed)
    assert len(cube.jobs()) == 1


def test_a_branch_does_not_run_what_was_asked_for_here(open_vault: Door) -> None:
    cube, engine = watched(open_vault)
    cube.pause(reason="backup")
    cube.run(WAITING, {"note": "Buy milk, and a word that nobody else has: quibblewicked."})
    engine.cube = None
    branch = cube.branch("what-if")
    assert branch.paused() is None and not branch.jobs() and branch.drain() == 0
    assert b"quibblewicked" not in branch._parts.vault.path("what-if").read_bytes()


WAITING = plan(
    {"verb": "generate", "name": "answer", "with": {"question": "Where is the kettle?", "user": "ann", "max_tokens": 4}},
    {"verb": "add", "name": "kept", "with": {"messages": "$note", "user": "ann", "session": "s1"}},
    note="text",
)  # fmt: skip


@pytest.mark.parametrize("whose", [{"user": "ann"}, {"session": "s1"}])
def test_an_erased_user_or_session_does_not_come_back_by_the_queue(open_vault: Door, whose: dict[str, str]) -> None:
    """What a run was given was never journaled, so that no erased source holds it."""
    cube, _ = watched(open_vault)
    cube.add("The roof is red.", user="ann", session="s1")
    cube.pause()
    cube.run(WAITING, {"note": "The diagnosis is quibblewicked."})
    assert [job.user for job in cube.jobs()][-1] == "ann"
    cube.erase(**whose)
    cube.resume()
    cube.drain()
    (job,) = cube.jobs(state="cancelled")
    assert (job.arguments, job.user, job.error) == ({}, None, "what it was given was erased")
    assert not any("quibblewicked" in memory.text for memory in cube.list()) and cube.verify().is_clean
    assert b"quibblewicked" not in cube._parts.vault.path("main").read_bytes()
    cube.pause()
    cube.run({**WAITING, "steps": [WAITING["steps"][0], {"verb": "list", "with": {"session": "s1"}}]}, {"note": "a"})
    cube.erase(**whose)
    assert len(cube.jobs(state="cancelled")) == 2, "also who has said nothing yet"


def test_erasing_a_short_text_leaves_other_users_runs_alone(open_vault: Door) -> None:
    cube, _ = watched(open_vault)
    cube.pause()
    cube.run(WAITING, {"note": "Please add tea to the list."})
    for text, user in (("add", "ben"), ("text", "ann"), ("ea t", "ann")):
        cube.erase(source=cube.add(text, user=user).sources[0])
    assert [job.state for job in cube.jobs() if job.verb == "pipeline"] == ["ready"]
    cube.erase(source=cube.add("tea", user="ann").sources[0])
    assert [job.error for job in cube.jobs() if job.verb == "pipeline"] == ["what it was given was erased"]


def test_a_rolled_back_run_leaves_the_log_of_reads(tmp_path: Path) -> None:
    with open_memory(tmp_path, audit_reads=True) as memory:
        cube = memory.cube("main")
        put(cube)
        for _ in range(300):
            cube.call("kettle")
        steps = [{"verb": "search", "with": {"question": "kettle", "user": "ann"}}] * 31
        for _ in range(9):
            with pytest.raises(Missing):
                cube.run(plan(*steps, {"verb": "forget", "with": {"id": "nobody"}}))
        assert sum(r.detail["verb"] == "search" for r in cube.log(verb="read", limit=1000)) == 9 * 31


# -- lineage -------------------------------------------------------------------------------------------------------------

KEPT = plan(
    {"verb": "generate", "name": "answer", "with": {"question": "Where is the blue kettle?", "user": "ann", "limit": 1, "max_tokens": 4}},
    {"verb": "add", "name": "kept", "with": {"messages": ["It was said: ", "$answer.text"], "user": "ann"}},
)


@pytest.mark.parametrize("form", ["activation", "adapter"])
def test_an_answer_is_derived_from_all_that_the_model_had_before_it(open_vault: Door, form: str) -> None:
    """Not from what was recalled alone: from what a KV memory holds besides, and from what an adapter has learned."""
    cube = open_vault(engine=TeachableEngine()).cube("main")
    ids = put(cube)
    gossip = cube.add("The kettle fair is at the harbour on Monday.", user="ann", origin="https://example.org/gossip").ids[0]
    if form == "activation":
        cube.activate([ids[1], gossip], user="ann")
    else:
        cube.mount(cube.distil(ids, user="ann").id)
    ran = cube.run(KEPT)
    answer, kept = ran.steps[0].answer, cube.get(ran.steps[1].answer.ids[0])
    assert set(answer.memories) >= ({ids[1], gossip} if form == "activation" else set(ids))
    assert kept.origin.trust is (Trust.UNTRUSTED if form == "activation" else Trust.REPORTED)
    cube.erase(gossip if form == "activation" else ids[2])
    assert kept.id not in [memory.id for memory in cube.list(user="ann")]
