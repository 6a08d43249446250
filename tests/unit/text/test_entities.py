"""Names, places, organisations, numbers, titles; and whom a sentence is about."""

import pytest

from loci.text.entities import about, entities

PEOPLE = ("Caroline", "Melanie")


def found(text: str) -> list[tuple[str, str]]:
    return [(text[entity.start : entity.end], entity.type) for entity in entities(text, PEOPLE)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # people
        ("Hey Mel! Good to see you!", [("Mel", "person")]),
        ("Thanks, Melanie! That's really sweet.", [("Melanie", "person")]),
        ("Melanie's dog", [("Melanie", "person")]),
        ("my sister Anna came", [("Anna", "person")]),
        ("I saw Dr. Reyes there", [("Dr. Reyes", "person")]),
        ("I told Jean-Luc Picard", [("Jean-Luc Picard", "person")]),
        ("Hey Caroline Jones", [("Caroline Jones", "person")]),
        ("then Bob said no", [("Bob", "person")]),
        # places
        ("we moved to Porto from Sweden", [("Porto", "place"), ("Sweden", "place")]),
        ("I live in Springfield now", [("Springfield", "place")]),
        ("Hey New York!", [("New York", "place")]),
        ("a hike at Lake Como", [("Lake Como", "place")]),
        ("the Grand Canyon", [("Grand Canyon", "place")]),
        ("a trip to Woodhaven", [("Woodhaven", "place")]),
        ("I talked to Woodhaven", [("Woodhaven", "name")]),
        ("tell us, the US won", [("US", "place")]),
        # organisations
        ("she works at Google", [("Google", "organisation")]),
        ("University of Oxford", [("University of Oxford", "organisation")]),
        ("the Bank of America", [("Bank of America", "organisation")]),
        ("Acme Inc. is fine", [("Acme Inc", "organisation")]),
        ("NASA and AT&T called", [("NASA", "organisation"), ("AT&T", "organisation")]),
        # neither
        ("I speak French in French", [("French", "name"), ("French", "name")]),
        ("learning SQL and HTML", [("SQL", "name"), ("HTML", "name")]),
        ("OMG that's SO GOOD", []),
        ("I SAID NO WAY", []),
        ("Painting looks easy. Running is fun. Recently I slept.", []),
        ("See you Monday or in May", []),
        ("Max is my dog. I love Max.", [("Max", "name"), ("Max", "name")]),
        ("J. K. Rowling wrote it", [("J. K. Rowling", "name")]),
        ("mail Bob@Mail.org #Tag", [("Bob", "name")]),
        ("", []),
        # numbers
        ("it cost $3,500 and 12 kg, 25% off", [("$3,500", "number"), ("12 kg", "number"), ("25%", "number")]),
        ("he is 3 years old", [("3 years old", "number")]),
        ("2.5 million dollars", [("2.5 million dollars", "number")]),
        ("room 305, id 48213", [("305", "number"), ("48213", "number")]),
        ("in 2023 at 10:30 on 5/7, 3 of them", []),
        # quoted
        ('I read "The Great Gatsby" today', [("The Great Gatsby", "quoted")]),
        ("the song “brave new day”", [("brave new day", "quoted")]),
        ('she said "Why?" and "I will go home now."', []),
        # other scripts
        ("Émile went to Łódź. 我在Paris。", [("Émile", "name"), ("Łódź", "place")]),
        ("они живут в городе Москва", [("Москва", "name")]),
    ],
)
def test_entities(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


def test_a_capital_at_the_start_counts_when_the_word_is_no_common_one() -> None:
    assert found("Zorbo arrived") == [("Zorbo", "name")]
    assert found("Sadly we left") == []
    assert found("Pottery calms me, and pottery is fun") == []


def test_entities_are_found_without_known_people() -> None:
    assert [(entity.text, entity.type) for entity in entities("Caroline met my friend Bob")] == [("Caroline", "name"), ("Bob", "person")]


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("I went to see Melanie", "Speaker"),
        ("My dog is ill", "Speaker"),
        ("It made me happy", "Speaker"),
        ("We met Caroline there", "Speaker"),
        ("Melanie went out", "Melanie"),
        ("Melanie's dog is cute", "Melanie"),
        ("What does Caroline like?", "Caroline"),
        ("so Mel went home", "Melanie"),
        ("Melanie and Caroline went out", "Melanie"),
        ("My sister Melanie loves tea", "Melanie"),
        ("My sister Sara loves tea", "Sara"),
        ("I love my brother Tom", "Speaker"),
        ("Anna moved to Rome", "Anna"),
        ("Thanks, Melanie! That's sweet", None),
        ("Car is red", None),
        ("The sky is blue", None),
        ("", None),
    ],
)
def test_about(text: str, who: str | None) -> None:
    assert about(text, "Speaker", PEOPLE) == who


def test_about_knows_people_by_their_first_name() -> None:
    assert about("Anna works in Rome", "Speaker", ["Anna Smith"]) == "Anna Smith"
