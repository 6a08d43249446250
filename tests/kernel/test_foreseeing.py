"""What is prepared for the next turn: in the background, within bounds, never what may not be shown, and said to be a guess."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from loci import MemOS, Message
from loci.errors import Denied, Invalid
from loci.operation.foreseeing import BEFORE_ASKED, Foresight
from loci.policy.foresight import WAYS, Course
from loci.ports import RowFilter
from loci.system import Conversation, Cube
from loci.testing import HashEngine, ManualClock
from loci.types import Recall, Role

SECONDS = 30.0
STORY = [f"In chapter {n} the {thing} is painted {colour}." for n, (thing, colour) in enumerate(
    (t, c) for t in ("kettle", "ladder", "heron", "piano", "ferry", "lantern") for c in ("red", "green", "white", "black", "blue")
)]  # fmt: skip
Door = Callable[..., MemOS]


@pytest.fixture
def cube(open_vault: Door, clock: ManualClock) -> Cube:
    cube = open_vault(engine=HashEngine()).cube("main")
    for text in STORY:
        clock.advance(1)
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann", session="one")
    cube.add(Message("user", "The piano of chapter 3 is mine.", clock.now(), speaker="Bob"), user="bob")
    return cube


def asking(cube: Cube) -> Conversation:
    return cube.conversation(session="now", user="ann", ahead=True)


def turn(talk: Conversation, text: str, **how: bool) -> object:
    rendered = talk.turn(text, **how)
    talk.replied("Yes.")
    assert talk.errand is not None
    talk.errand.wait(SECONDS)
    return rendered


def test_the_next_chapter_is_ready_before_it_is_asked_for(cube: Cube) -> None:
    talk = asking(cube)
    assert talk.foreseen is None
    for chapter in (4, 6, 8, 10):
        turn(talk, f"What is painted in chapter {chapter}?")
    assert talk.foreseen is not None
    recall = talk.foreseen.recall
    shown = [hit.memory.text for hit in recall.hits]
    assert STORY[12] in shown and STORY[12] in recall.text and recall.tokens <= 1200
    assert recall.trace.missing == {"question": BEFORE_ASKED} and all(guess.why in WAYS for guess in talk.foreseen.guesses)
    assert [guess.memory for guess in talk.foreseen.guesses] == list(recall.ids)
    assert not any(memory.uses for memory in cube.list(user="ann")), "to be foreseen is no use"


def test_a_turn_may_take_what_was_prepared_and_says_so(cube: Cube) -> None:
    talk = asking(cube)
    turn(talk, "What is painted in chapter 4?")
    foreseen = talk.foreseen
    assert foreseen is not None
    rendered = talk.turn("What is painted in chapter 5?", prepared=True)
    assert rendered.is_prepared and rendered.recalled == foreseen.recall.ids
    talk.replied("The ladder.")
    assert talk.errand is not None
    talk.errand.wait(SECONDS)
    assert talk.foreseen is not None and talk.foreseen.guesses[0].memory in {m.id for m in cube.list(user="ann")}
    assert not talk.turn("What is painted in chapter 6?").is_prepared
    with pytest.raises(Invalid, match="ahead=True"):
        cube.conversation(session="s", user="ann").turn("?", prepared=True)


@pytest.mark.parametrize("change", ["add", "update", "forget", "erase", "time", "elsewhere"])
def test_nothing_stale_is_taken(cube: Cube, clock: ManualClock, open_vault: Door, change: str) -> None:
    if change == "time":
        cube.add(Message("user", "Chapter 5 ends soon.", clock.now(), speaker="Ann"), user="ann", expires=clock.now() + timedelta(hours=1))
    talk = asking(cube)
    turn(talk, "What is painted in chapter 4?")
    assert talk.foreseen is not None
    memory = next(hit.memory for hit in talk.foreseen.recall.hits if change != "time" or "ends soon" in hit.memory.text)
    match change:
        case "add":
            cube.add(Message("user", "Chapter 5 is over.", clock.now(), speaker="Ann"), user="ann")
        case "update":
            cube.update(memory.id, "In this chapter nothing is painted.")
        case "forget":
            cube.forget(memory.id)
        case "erase":
            cube.erase(memory.id)
        case "time":
            clock.advance(hours=2)
        case _:
            open_vault(engine=HashEngine()).cube("main").forget(memory.id)
    rendered = talk.turn("What is painted in chapter 5?", prepared=True)
    assert not rendered.is_prepared
    if change not in ("add", "update"):
        assert memory.id not in rendered.recalled


def test_it_is_for_whom_it_was_made(cube: Cube) -> None:
    foresight = Foresight(cube._store, cube._redactor)
    rows = cube._allow("search", cube.get(cube.list(user="ann")[0].id).scope).rows
    foreseen, _ = foresight.foresee(Course(), rows, 600, lambda: True)
    assert foreseen is not None and not foresight.why_not(foreseen, rows)
    other = cube._allow("search", cube.get(cube.list(user="bob")[0].id).scope).rows
    assert "somebody else" in foresight.why_not(foreseen, other)


def test_what_others_said_is_never_foreseen(cube: Cube) -> None:
    mine = {memory.id for memory in cube.list(user="ann")}
    found = cube.foresee(["What is painted in chapter 3?", "Whose is the piano?"], user="ann")
    assert set(found.recall.ids) <= mine and "is mine" not in found.recall.text
    assert found.rows.user == "ann" and abs(sum(found.weights.values()) - 1) < 1e-9


def test_it_stays_within_its_tokens_and_its_limits(cube: Cube) -> None:
    assert 0 < cube.foresee(["What is painted in chapter 3?"], user="ann", budget_tokens=120).recall.tokens <= 120
    assert cube.foresee(user="nobody").recall.ids == ()
    for bad in ({"questions": "one"}, {"questions": ["?"] * 101}, {"budget_tokens": 1}):
        with pytest.raises(Invalid):
            cube.foresee(**bad)  # type: ignore[arg-type]


def test_it_takes_the_rights_of_a_search(cube: Cube, open_vault: Door) -> None:
    memory = open_vault(engine=HashEngine())
    memory.grant("cem", role=Role.AUDITOR, cube="main")
    with pytest.raises(Denied):
        memory.acting("cem").cube("main").foresee(["What is painted?"])


def test_calls_come_first(cube: Cube) -> None:
    talk = asking(cube)
    with cube._parts.pace.foreground():
        talk._coming[0].send(cube._parts.porter, cube._activations, cube._activations.tenant)  # type: ignore[index]
        begun = threading.Event()
        begun.wait(0.2)
        assert talk.foreseen is None
    for _ in range(300):
        if talk.foreseen is not None:
            break
        begun.wait(0.1)
    assert talk.foreseen is not None


def test_the_pages_of_what_is_foreseen_are_brought(cube: Cube, open_vault: Door) -> None:
    handle = cube.activate([memory.id for memory in cube.list(user="ann")[4:12]], user="ann")
    fresh = open_vault(engine=HashEngine()).cube("main")
    talk = asking(fresh)
    talk.turn("What is painted in chapter 4?")
    talk.replied("The kettle.")
    assert talk.errand is not None and talk.errand.wait(SECONDS).startswith(f"{handle.id}: pages: ")
    assert sum(fresh._parts.residence.bytes().values()) > 0


def test_what_was_prepared_too_late_does_not_take_a_turn_back(cube: Cube) -> None:
    talk = asking(cube)
    turn(talk, "What is painted in chapter 4?")
    assert talk.turn("What is painted in chapter 5?", prepared=True)
    coming, begun, late = talk._coming[0], threading.Event(), threading.Event()  # type: ignore[index]
    find = coming._find

    def slow(question: str, at: RowFilter) -> Recall:
        begun.set()
        late.wait(SECONDS)
        return find(question, at)

    coming._find = slow
    talk.replied("Yes.")
    assert begun.wait(SECONDS)
    talk.turn("What is painted in chapter 20?")
    course, errand = coming._course, talk.errand
    late.set()
    assert errand is not None
    errand.wait(SECONDS)
    assert coming._course == course


def test_what_was_erased_is_shown_to_nobody_as_foreseen(cube: Cube) -> None:
    talk = asking(cube)
    turn(talk, "What is painted in chapter 4?")
    assert talk.foreseen is not None
    cube.erase(talk.foreseen.recall.ids[0])
    assert talk.foreseen is None


def test_an_answer_whose_next_turn_may_not_be_prepared_is_not_half_taken_in(cube: Cube, open_vault: Door) -> None:
    memory = open_vault()
    grant = memory.grant("rita", Role.READER, cube="main", user="ann")
    talk = asking(memory.acting("rita").cube("main"))
    talk.turn("What is painted in chapter 4?")
    memory.revoke(grant.id)
    before = talk.history
    with pytest.raises(Denied):
        talk.replied("Red [1].")
    cube._scheduler.note_uses()
    assert talk.history == before and not any(memory.cited for memory in cube.list(user="ann"))


@pytest.mark.parametrize("questions", ["x", None, 3])
def test_questions_are_a_list(cube: Cube, questions: object) -> None:
    with pytest.raises(Invalid, match="must be a list"):
        cube.foresee(questions, user="ann")  # type: ignore[arg-type]
