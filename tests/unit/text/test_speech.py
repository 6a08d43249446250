"""Kinds of speech, sentences that stand alone, keywords."""

import pytest

from loci.text.speech import is_lasting, is_question, keywords, semantic_type


@pytest.mark.parametrize(
    "text",
    [
        "Where do you live?", "where do you live", "What is your favorite thing about Rome!", "you like it, right?", "Really?!", "ok? 😀",
        "Did Caroline go home", "how many kids do you have", "so what kind of music do you like", "who wrote it", "how to cook rice",
        "are you there", "你呢？", "'Why?'", "Why",
    ],
)  # fmt: skip
def test_question(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize(
    "text",
    [
        "I live here.", "What a day!", "When I was young I ran.", "What I love is tea", "Do the dishes.", "Have a nice day!",
        "I know why", "", "\x00",
    ],
)  # fmt: skip
def test_no_question(text: str) -> None:
    assert not is_question(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Where do you live?", "question"),
        ("Can you tell me more about the challenges?", "question"),
        ("My sister lives in Porto.", "fact"),
        ("The red bowl is in the kitchen.", "fact"),
        ("I'm 34 years old and a nurse.", "fact"),
        ("I love hiking in the mountains.", "preference"),
        ("My favorite book is Dune.", "preference"),
        ("I can't stand loud music.", "preference"),
        ("She prefers tea over coffee.", "preference"),
        ("I don't like crowded beaches.", "preference"),
        ("He is really into jazz.", "preference"),
        ("Sounds like a blast, the trip!", "fact"),
        ("We went camping in the mountains last week.", "event"),
        ("I painted a lake sunrise last year.", "event"),
        ("Yesterday was a long hike in the rain.", "event"),
        ("He broke his leg.", "event"),
        ("I'm going to Rome next month.", "plan"),
        ("We'll visit my aunt in June.", "plan"),
        ("I want to learn pottery.", "plan"),
        ("I'd love to see the ocean.", "plan"),
        ("Can't wait for the concert in Berlin!", "plan"),
        ("Let's visit the museum tomorrow.", "plan"),
        ("Remind me to call Bob.", "instruction"),
        ("Please answer in French.", "instruction"),
        ("Always use metric units.", "instruction"),
        ("Don't forget to water the plants.", "instruction"),
        ("Can you write a poem about rain?", "instruction"),
        ("From now on, call me Al.", "instruction"),
        ("Keep your answers short.", "instruction"),
        ("Be concise.", "instruction"),
        ("Whenever I paste code, review it.", "instruction"),
        ("rename file 3 to draft", "instruction"),
        ("open the report of week 3", "instruction"),
        ("Run all tests.", "instruction"),
        ("Read Dune.", "fact"),
        ("open on Tuesdays", "fact"),
        ("Wow, that's awesome!", "smalltalk"),
        ("Thanks, Melanie!", "smalltalk"),
        ("Hey! How are you doing?", "smalltalk"),
        ("Good to see you!", "smalltalk"),
        ("Let me know if you need anything.", "smalltalk"),
        ("", "smalltalk"),
        ("---", "smalltalk"),
    ],
)
def test_semantic_type(text: str, kind: str) -> None:
    assert semantic_type(text) == kind


LASTS = """
Please answer in French.
Always answer in French.
No, always answer in English.
Actually always use metric units.
From now on, call me Al.
I want you to call me Al.
You can call me Al.
Keep your answers short.
Keep it short from now on.
Never suggest meat.
Don't use emojis.
No emojis please.
Don't be so formal.
Don't send emails without my approval.
Ask me before sending any email.
Be concise.
Remember that I'm vegetarian.
Keep in mind I'm colorblind.
I want you to always answer in English.
Can you always answer in German?
Whenever I paste code, review it.
When I ask for recipes, make them vegan.
In every answer, include a source.
Please cite sources in your answers.
Write in simple English.
"""
PASSES = """
Write a unit test for module 3.
Delete all files in folder 3.
Translate this letter to German.
Write a story about a man who never sleeps.
Write in the style of Hemingway a story about the sea.
Write a script that prints every time it runs.
Create a test that always passes.
Rewrite this mail, but never use the word synergy.
Remind me to call Bob.
Call me back.
Call me a taxi.
Reply in 5 minutes.
Be quick.
Could you be more specific?
Don't forget to water the plants.
Don't use the first one, use the second.
Answer in one sentence: what is TCP?
Answer in French for this question.
Use formal tone for this letter.
Make the button red by default.
Add a rule: never commit to main.
Always happy to help!
Never mind.
I always answer in French at home.
When I want to relax, I read.
"""


@pytest.mark.parametrize("text", LASTS.strip().splitlines())
def test_a_wish_that_lasts(text: str) -> None:
    assert is_lasting(text) and semantic_type(text) == "instruction"
    assert is_lasting(f"I live in Rome. {text}"), "beside something else"


@pytest.mark.parametrize("text", PASSES.strip().splitlines())
def test_a_wish_of_the_moment(text: str) -> None:
    assert not is_lasting(text)


def test_keywords_put_the_telling_words_first() -> None:
    assert keywords("I really love painting watercolors, it is good fun") == ["watercolors", "painting", "love", "good", "fun"]


def test_keywords_keep_the_limit() -> None:
    assert keywords("alpha beta gamma delta", 2) == ["alpha", "gamma"]
    assert keywords("alpha beta", 0) == []
    assert keywords("") == []


def test_keywords_of_a_long_text_count() -> None:
    assert keywords("kayak " * 70 + "unquestionable " * 3 + "the end " * 2, 2) == ["kayak", "unquestionable"]
