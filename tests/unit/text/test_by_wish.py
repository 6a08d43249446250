"""Wishes for good that a later one of their kind ends, and those that stand beside others."""

from __future__ import annotations

import pytest

from loci.text.facts import Fact, facts

WISHES = """Always answer in French.|language|french
always answer in french|language|french
From now on answer in English|language|english
Please reply to me in British English from now on.|language|british english
Can you always answer in German?|language|german
I want you to always speak Portuguese with me.|language|portuguese
Always answer in French, even if I write in English.|language|french
Always answer in French, not English.|language|french
ALWAYS ANSWER IN FRENCH|language|french
Keep your answers short.|length|short
Be concise.|length|short
Give me short answers from now on.|length|short
Keep it short and simple.|length|short
Be more detailed from now on.|length|long
Explain everything in detail, always.|length|long
Be formal, please.|formality|formal
From now on be casual with me.|formality|casual
Always use metric units.|units|metric
Use imperial.|units|imperial
Use Celsius from now on.|temperature|celsius
Call me Al.|name|al
call me al|name|al
You can call me Al.|name|al
From now on, call me Dr. Smith.|name|dr smith
Call me James, not Jim.|name|james""".splitlines()

ENDED = """Stop answering in French.|language|french
Don't answer in French any more.|language|french
You don't need to answer in French any more.|language|french
Don't be so formal.|formality|formal
Be less formal.|formality|formal
Don't be so verbose!|length|long
Don't call me Al.|name|al
Please don't use metric units.|units|metric""".splitlines()

NONE = """Answer in French for this question.
Answer in French when I write French.
If I write in German, answer in German and keep it short.
When I ask for recipes, be brief.
Answer in French and German.
Write in simple English.
Answer in one sentence: what is TCP?
Always answer in Python.
My answer is French.
I always answer in French at home.
She said: always answer in French
Translate into German: always answer in French.
"Always answer in French please" was her wish.
Can you speak French?
I'm being brief.
Be quick.
Keep it.
Call me back.
Call me tomorrow, and bring tea.
Call me anytime!
call me maybe
call me when you're home
Call me an idiot.
Call me a taxi.
Call me Al or Ally.
Call me Ishmael is how the book begins.
Use the metric system for this table.""".splitlines()


def wishes(text: str) -> list[Fact]:
    return [fact for fact in facts(text, "ann", None) if (fact.attribute or "").startswith("wish/")]


@pytest.mark.parametrize("is_wished", [True, False])
@pytest.mark.parametrize("before", ["", "I like it here. "])
def test_a_wish_has_a_key(is_wished: bool, before: str) -> None:
    for line in WISHES if is_wished else ENDED:
        text, attribute, value = line.split("|")
        (fact,) = wishes(before + text)
        assert (fact.subject, fact.attribute, fact.value, fact.polarity) == ("ann", f"wish/{attribute}", value, is_wished), text
        assert (fact.start, fact.arity, fact.tense) == (len(before), "one", "now")


@pytest.mark.parametrize("text", NONE)
def test_what_is_wished_for_the_moment_or_in_some_case_has_none(text: str) -> None:
    assert wishes(text) == []


def test_two_wishes_are_two() -> None:
    text = "Always answer in French, and use metric units."
    assert [(fact.value, text[fact.start : fact.end]) for fact in wishes(text)] == [
        ("french", "Always answer in French"),
        ("metric", "use metric units."),
    ]
