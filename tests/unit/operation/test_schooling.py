"""Lessons and questions of memories: each of one memory's own words, the last way of asking kept for the examination."""

from __future__ import annotations

from loci.operation.schooling import MOST_FOILS, NOBODYS, Pupil, lessons_of, questions_of
from loci.text.lessons import gap_of

ASKED = ("Where do I live?", "In which place do I live?", "What is the place where I live?")


def ask(question: str, text: str) -> str:
    return f"<{text}|{question}>"


def pupil(memory: str, text: str, asked: tuple[str, ...] = ()) -> Pupil:
    return Pupil(memory, text, gap_of(text, [], [], []), asked)


def test_every_lesson_quotes_its_memory_and_the_last_question_is_not_taught() -> None:
    lessons = lessons_of([pupil("a", "I live in Oslo.", ASKED)], ask)
    assert [(one.prompt, one.answer) for one in lessons] == [
        ("", "I live in Oslo."), (ask("Which words are missing at ___: I live in ___.", ""), "Oslo"), (ask(ASKED[0], ""), "Oslo"), (ask(ASKED[1], ""), "Oslo"),
    ]  # fmt: skip
    assert {one.memory for one in lessons} == {"a"}
    assert lessons_of([pupil("a", "I live in Oslo.", ASKED), pupil("b", "Ann bakes bread.")], ask)[: len(lessons)] == lessons


def test_a_question_is_the_words_up_to_the_gap_and_the_one_that_was_not_taught() -> None:
    begun, asked = questions_of([pupil("a", "I live in Oslo.", ASKED)], ask)
    assert (begun.cue, begun.answer, begun.told) == ("I live in", " Oslo", "I live in Oslo.\n\nI live in")
    assert (asked.cue, asked.answer, asked.told) == (ask(ASKED[2], ""), "Oslo", ask(ASKED[2], "I live in Oslo."))
    assert asked.foils == NOBODYS and begun.foils == tuple(f" {foil}" for foil in NOBODYS)


def test_of_a_memory_without_a_gap_nothing_is_asked() -> None:
    assert questions_of([pupil("a", "Pizza!")], ask) == []
    assert [one.answer for one in lessons_of([pupil("a", "Pizza!")], ask)] == ["Pizza!"]


def test_foils_are_others_answers_and_never_the_answer() -> None:
    towns = ("Oslo", "Rome", "OSLO", "Bonn", "Bern", "Kyiv", "Riga")
    first = questions_of([pupil(str(n), f"I live in {town}.") for n, town in enumerate(towns)], ask)[0]
    assert first.foils == (" Rome", " Bonn", " Bern", " Kyiv") and len(first.foils) == MOST_FOILS
