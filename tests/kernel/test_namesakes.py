"""Two people of one first name: what is said of the one ends nothing of the other (design/026)."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import pytest
from earlier import before

from loci import MemOS, Message, Outcome, Receipt
from loci.drivers.sqlite.schema import RELATIONS
from loci.drivers.sqlite.seals import seal
from loci.system import Cube, System
from loci.testing import ManualClock


def say(cube: Cube, clock: ManualClock, text: str, speaker: str | None = None, user: str | None = "ana") -> Receipt:
    clock.advance(days=1)
    return cube.add(Message("user", text, speaker=speaker), user=user, session=f"{clock.now():%j}")


def touched(receipt: Receipt, outcome: Outcome = Outcome.SUPERSEDED) -> list[str | None]:
    return [change.memory for change in receipt.changes if change.outcome is outcome]


def first(cube: Cube, question: str) -> str:
    return cube.search(question, user="ana").hits[0].memory.text


@pytest.mark.parametrize("told", ["My brother Tom is a nurse.", "My brother is called Tom.", "Tom is my brother and a nurse."])
def test_another_relation_is_another_person(cube: Cube, clock: ManualClock, told: str) -> None:
    say(cube, clock, told)
    say(cube, clock, "Tom lives in Paris.")
    colleague = say(cube, clock, "My colleague Tom lives in Madrid.")
    assert not touched(colleague) and not touched(colleague, Outcome.POSSIBLE_CONFLICT)
    assert first(cube, "Where does my brother Tom live?") == "Tom lives in Paris."
    assert first(cube, "Where does my colleague Tom live?") == "My colleague Tom lives in Madrid."
    found = {hit.memory.text for hit in cube.search("Where does Tom live?", user="ana").hits[:2]}
    assert found == {"Tom lives in Paris.", "My colleague Tom lives in Madrid."}


def test_each_of_two_changes_for_itself(cube: Cube, clock: ManualClock) -> None:
    paris, madrid = (say(cube, clock, text).ids[0] for text in ("My brother Tom lives in Paris.", "My friend Tom lives in Madrid."))
    assert touched(say(cube, clock, "My brother Tom moved to Oslo.")) == [paris]
    assert touched(say(cube, clock, "My buddy Tom moved to Rome.")) == [madrid]
    assert {m.text for m in cube.list(user="ana")} == {"My brother Tom moved to Oslo.", "My buddy Tom moved to Rome."}


def test_a_bare_name_of_two_ends_neither(cube: Cube, clock: ManualClock) -> None:
    both = [say(cube, clock, text).ids[0] for text in ("My brother Tom lives in Paris.", "My friend Tom lives in Madrid.")]
    rome = say(cube, clock, "Tom moved to Rome.")
    assert not touched(rome) and touched(rome, Outcome.POSSIBLE_CONFLICT) == both
    assert "not said whether they are one person" in rome.changes[-1].reason
    assert len(cube.list(user="ana")) == 3
    slip = cube.add("Sorry, I meant Milan.", user="ana", session=f"{clock.now():%j}")
    assert touched(slip) == [rome.ids[0]], "a slip of the tongue is about whom it was"


def test_a_bare_name_is_whom_it_was_known_for_when_it_was_said(cube: Cube, clock: ManualClock) -> None:
    paris = say(cube, clock, "My brother Tom lives in Paris.").ids[0]
    rome = say(cube, clock, "Tom moved to Rome.")
    assert touched(rome) == [paris], "one is known"
    assert not touched(say(cube, clock, "My colleague Tom lives in Madrid."))
    assert touched(say(cube, clock, "My brother Tom moved to Oslo.")) == [rome.ids[0]]


def test_whose_name_was_asked_for_first_is_the_one_asked_about(cube: Cube, clock: ManualClock) -> None:
    for text in ("My brother is called Tom.", "Tom lives in Paris.", "My colleague Tom lives in Madrid."):
        say(cube, clock, text)
    assert first(cube, "Where does my brother live?") == "Tom lives in Paris."


@pytest.mark.parametrize(
    ("told", "then", "outcome"),
    [
        ("My boss Eva works at Acme.", "My manager Eva works at Globex.", Outcome.SUPERSEDED),
        ("My husband Tom works at Acme.", "My partner Tom works at Globex.", Outcome.SUPERSEDED),
        ("My little brother Tom works at Acme.", "My brother Tom works at Globex.", Outcome.SUPERSEDED),
        ("My friend Tom works at Acme.", "My friend Tom works at Globex.", Outcome.SUPERSEDED),
        ("My colleague Tom works at Acme.", "My friend Tom works at Globex.", Outcome.POSSIBLE_CONFLICT),
        ("My husband Tom works at Acme.", "My ex Tom works at Globex.", Outcome.POSSIBLE_CONFLICT),
        ("My friend Tom works at Acme.", "My other friend Tom works at Globex.", Outcome.POSSIBLE_CONFLICT),
        ("My brother Tom works at Acme.", "My wife's brother Tom works at Globex.", Outcome.POSSIBLE_CONFLICT),
        ("My brother Tom works at Acme.", "My cousin Tom works at Globex.", None),
        ("My brother Tom works at Acme.", "My landlord Tom works at Globex.", None),
    ],
)
def test_which_relations_may_be_one_person(cube: Cube, clock: ManualClock, told: str, then: str, outcome: Outcome | None) -> None:
    say(cube, clock, told)
    found = {change.outcome for change in say(cube, clock, then).changes} - {Outcome.ADDED, Outcome.EVIDENCE}
    assert found == ({outcome} if outcome else set())


def test_a_namesake_of_the_speaker_is_not_the_speaker(cube: Cube, clock: ManualClock) -> None:
    mine = say(cube, clock, "I work at Acme.").ids[0]
    assert not touched(say(cube, clock, "My boss Ana works at Globex."))
    assert cube.search("Where do I work?", user="ana").ids[0] == mine
    assert first(cube, "Where does my boss Ana work?") == "My boss Ana works at Globex."


def test_what_a_person_says_of_themselves_ends_what_they_said(cube: Cube, clock: ManualClock) -> None:
    for text in ("My brother Tom lives in Bergen.", "My friend Tom lives in Graz."):
        say(cube, clock, text, speaker="Ana", user=None)
    rome = say(cube, clock, "I live in Rome.", speaker="Tom", user=None)
    assert not touched(rome), "which of the two he is, nobody knows"
    assert touched(say(cube, clock, "I moved to Oslo.", speaker="Tom", user=None)) == [rome.ids[0]]


def test_what_is_taken_back_holds_again_for_its_own_person_alone(cube: Cube, clock: ManualClock) -> None:
    paris = say(cube, clock, "My brother Tom lives in Paris.").ids[0]
    oslo = say(cube, clock, "My brother Tom lives in Oslo.").ids[0]
    madrid = say(cube, clock, "My friend Tom lives in Madrid.").ids[0]
    assert touched(cube.forget(oslo), Outcome.RESTORED) == [paris]
    clock.advance(days=1)
    again = cube.restore(oslo)
    assert touched(again) == [paris] and not touched(again, Outcome.POSSIBLE_CONFLICT)
    cube.erase(oslo)
    assert {m.id for m in cube.list(user="ana")} == {paris, madrid} and cube.verify().is_clean


def test_two_daughters_have_two_names(cube: Cube, clock: ManualClock) -> None:
    mia = say(cube, clock, "My daughter's name is Mia.").ids[0]
    zoe = say(cube, clock, "My daughter is called Zoe.")
    assert not touched(zoe) and set(cube.search("What is my daughter's name?", user="ana").ids) == {mia, zoe.ids[0]}
    assert not touched(say(cube, clock, "Sorry, my daughter's name is Zora.")), "which, is not said"


def test_the_name_of_an_only_daughter_is_corrected(cube: Cube, clock: ManualClock) -> None:
    mia = say(cube, clock, "My daughter's name is Mia.").ids[0]
    assert touched(say(cube, clock, "Sorry, my daughter's name is Mira.")) == [mia]


def test_a_claim_without_a_relation_is_sealed_as_claims_from_before_are() -> None:
    row = (1, 2, None, "tom", "residence", "paris", 1, "now", "statement", "one", "name", None, 3, 1, 4, 5, 5, None, None, None)
    told = (1, *row[2:-2])  # what closes a claim moves, and so does the content it is of
    earlier = blake2b(ascii(told).encode(), key=b"secret", digest_size=16, person=b"claims").digest()
    assert seal(b"secret", "claims", (*row, None)) == earlier != seal(b"secret", "claims", (*row, "ana/brother"))


def test_a_cube_from_before_there_were_relations_keeps_what_it_says(tmp_path: Path, clock: ManualClock) -> None:
    def opened() -> System:
        return MemOS.open(tmp_path / "vault", embedder="none", background=False, clock=clock)

    with opened() as memory:
        paris = say(memory.cube("main"), clock, "Tom lives in Paris.").ids[0]
    before(RELATIONS, tmp_path / "vault" / "main.loci")
    with opened() as memory:
        cube = memory.cube("main")
        assert cube.verify().is_clean and first(cube, "Where does Tom live?") == "Tom lives in Paris."
        rome = say(cube, clock, "My brother Tom moved to Rome.")
        assert touched(rome) == [paris] and not touched(say(cube, clock, "My colleague Tom lives in Madrid."))
        assert cube.verify().is_clean
