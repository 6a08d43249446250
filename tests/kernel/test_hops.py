"""A question within a question: what the inner one is answered by decides what the outer one is about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loci import Message
from loci.system import Cube
from loci.testing import HashEmbedder, ManualClock
from loci.wire import MemOS

TOLD = (
    ("Ann", "My brother is Tom."),
    ("Bo", "Tom lives in Porto."),
    ("Bo", "Rex lives in Ghent."),
    ("Ann", "I work at Arco."),
    ("Bo", "Arco is based in Oslo."),
    ("Bo", "Where does the brother of Ann live, do you know? Her brother, I mean."),
    ("Ann", "Tom is married to Ida Berg."),
    ("Bo", "Ida Berg works at Nokia."),
)


def tell(cube: Cube, clock: ManualClock, *told: tuple[str, str], user: str = "ann") -> None:
    for speaker, text in told:
        clock.advance(hours=1)
        cube.add(Message("user", text, clock.now(), speaker), user=user, session="s")
    cube.drain()


@pytest.mark.parametrize(
    ("question", "answer", "via"),
    [
        ("Where does Ann's brother live?", "Tom lives in Porto.", ("tom",)),
        ("Where is the company Ann works for based?", "Arco is based in Oslo.", ("arco",)),
        ("Where does the wife of Ann's brother work?", "Ida Berg works at Nokia.", ("tom", "ida berg")),
        ("Who is Ann's brother?", "My brother is Tom.", ()),
        ("Where does Tom live?", "Tom lives in Porto.", ()),
    ],
)
def test_the_last_answer_comes_first(
    open_vault: Callable[..., MemOS], clock: ManualClock, question: str, answer: str, via: tuple[str, ...]
) -> None:
    for embedder in (None, HashEmbedder()):
        cube = open_vault(embedder=embedder).cube(f"c{embedder is not None}")
        tell(cube, clock, *TOLD)
        recall = cube.search(question, user="ann")
        assert (recall.hits[0].memory.text, recall.trace.via) == (answer, via)


def test_each_hop_is_taken_as_it_holds(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, *TOLD)
    moment = clock.now()
    clock.advance(days=30)
    tell(cube, clock, ("Bo", "Tom moved to Lisbon."))
    question = "Where does Ann's brother live?"
    assert cube.search(question, user="ann").hits[0].memory.text == "Tom moved to Lisbon."
    assert cube.search(question, user="ann", as_of=moment).hits[0].memory.text == "Tom lives in Porto."


def test_what_was_told_of_the_relation_itself_counts_as_well(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, *TOLD, ("Ann", "My brother lives in Faro these days."))
    found = [hit.memory.text for hit in cube.search("Where does Ann's brother live?", user="ann").hits[:2]]
    assert set(found) == {"Tom lives in Porto.", "My brother lives in Faro these days."}


def test_the_answers_of_another_user_lead_nowhere(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, *TOLD, user="ann")
    tell(cube, clock, ("Bo", "Tom lives in Ghent."), user="bea")
    recall = cube.search("Where does Ann's brother live?", user="bea")
    assert recall.trace.via == () and {hit.memory.scope.user for hit in recall.hits} == {"bea"}


def test_what_was_denied_leads_nowhere(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, ("Ann", "I do not work at Arco."), ("Bo", "Arco is based in Oslo."))
    assert cube.search("Where is the company Ann works for based?", user="ann").trace.via == ()


def test_a_crowd_of_others_does_not_hide_ones_own(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, *TOLD)
    for number in range(120):
        cube.add(Message("user", "Tom lives in Ghent.", clock.now(), "Bo"), user=f"other{number}")
    recall = cube.search("Where does Ann's brother live?", user="ann")
    assert recall.trace.via == ("tom",) and recall.hits[0].memory.text == "Tom lives in Porto."


def test_a_chain_is_followed_as_far_as_was_known(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, *TOLD)
    moment = clock.now()
    clock.advance(days=30)
    tell(cube, clock, ("Bo", "Tom moved to Lisbon."), ("Ann", "I work at Zeta now."))
    recall = cube.search("Where does Ann's brother live?", user="ann", known_at=moment)
    assert recall.trace.via == ("tom",) and recall.hits[0].memory.text == "Tom lives in Porto."
    assert cube.search("Where is the company Ann works for based?", user="ann", known_at=moment).trace.via == ("arco",)


def test_a_chain_that_ends_nowhere_changes_nothing(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, ("Ann", "My brother is Tom."), ("Bo", "The brother of Ann lives somewhere."))
    recall = cube.search("Where does Ann's brother live?", user="ann")
    assert recall.trace.via == () and recall.hits


def test_an_erased_link_of_the_chain_is_followed_no_more(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, *TOLD)
    (brother,) = [m.id for m in cube.list() if m.text == "My brother is Tom."]
    cube.erase(brother)
    assert cube.search("Where does Ann's brother live?", user="ann").trace.via == ()
