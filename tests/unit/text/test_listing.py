"""Of a list every member is told; what only looks like one is read as it was."""

from __future__ import annotations

from datetime import datetime

import pytest

from loci.text.asked import asked
from loci.text.facts import Fact, facts

MAY = datetime(2024, 5, 15, 10)


def told(text: str) -> list[Fact]:
    return facts(text, "ann", MAY, ("Anna", "Tom Berg"))


LISTS = """My kids are Max and Ben.|attr/kid|max, ben
My kids are Max, Ben and Zoe, and I live in Oslo.|attr/kid|max, ben, zoe
My kids are Max (8) and Ben (5).|attr/kid|max, ben
My children are called Max & Ben.|attr/kid|max, ben
My two kids are called Max and Ben.|attr/kid|max, ben
My kids are Max and Ben and Zoe.|attr/kid|max, ben, zoe
We have two kids called Max and Ben and a dog.|attr/kid|max, ben
My kids are Max and Ben and I love them.|attr/kid|max, ben
My kids' names are Max and Ben.|attr/kid|max, ben
My brothers are Tom and Leo.|attr/brother|tom, leo
I have two brothers, Tom and Leo.|attr/brother|tom, leo
I have three kids: Max, Ben and Zoe.|attr/kid|max, ben, zoe
My parents are Tom and Anna.|attr/parents|tom, anna
We have two dogs, Rex and Luna.|pet_name/dog|rex, luna
We have two dogs called Rex and Luna.|pet_name/dog|rex, luna
We've got three cats: Tom, Kit and Bo|pet_name/cat|tom, kit, bo
Our dogs are Rex and Luna.|pet_name/dog|rex, luna
My dogs Rex and Luna love me.|pet_name/dog|rex, luna
I'm allergic to peanuts and penicillin.|allergy|peanuts, penicillin
I'm allergic to peanuts, shellfish, and latex.|allergy|peanuts, shellfish, latex
I'm allergic to peanuts as well as to latex.|allergy|peanuts, latex
I'm allergic to bee stings and tree nuts, so be careful.|allergy|bee stings, tree nuts
I'm allergic to cats and dogs, but not to horses.|allergy|cats, dogs
My sister is allergic to dairy & gluten.|allergy|dairy, gluten
I speak French, German and Dutch.|language|french, german, dutch
I can speak English and a little Dutch.|language|english, dutch
I love hiking and chess.|likes|hiking, chess
I like cats, dogs and horses!|likes|cats, dogs, horses
My favourite colours are red and blue.|favourite/colour|red, blue""".splitlines()


@pytest.mark.parametrize("line", LISTS, ids=lambda line: line.partition("|")[0])
def test_every_member_of_a_list_is_told(line: str) -> None:
    text, attribute, values = line.split("|")
    found = [fact for fact in told(text) if f"{fact.attribute}/".startswith(f"{attribute}/")]
    assert {fact.value for fact in found} == set(values.split(", ")) and len(found) == values.count(",") + 1
    assert {(fact.polarity, fact.tense, fact.cue, fact.arity) for fact in found} == {(True, "now", "statement", "many")}
    assert all(fact.attribute == f"likes/{fact.value}" for fact in found if attribute == "likes")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("I'm not allergic to penicillin any more.", {"penicillin"}),
        ("I'm not allergic to penicillin or eggs any more.", {"penicillin", "eggs"}),
        ("I don't like tea or coffee.", {"tea", "coffee"}),
        ("I dislike card games and board games.", {"card games", "board games"}),
        ("I don't speak German or French any more.", {"german", "french"}),
        ("I no longer speak German.", {"german"}),
        ("I don't speak German.", {"german"}),
    ],
)
def test_what_is_denied_of_a_list_is_denied_of_each(text: str, values: set[str]) -> None:
    assert {(fact.value, fact.polarity) for fact in told(text)} == {(value, False) for value in values}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        # what goes on is no further member
        ("I'm allergic to peanuts and I love dogs.", ["peanuts", "dogs"]),
        ("I'm allergic to peanuts and carry an epipen.", ["peanuts"]),
        ("I'm allergic to peanuts and avoid nuts.", ["peanuts"]),
        ("I'm allergic to cats and my wife has two.", ["cats"]),
        ("I'm allergic to peanuts, Anna and Ben know that.", ["peanuts"]),
        ("I'm allergic to peanuts or eggs, who knows.", ["peanuts"]),
        ("I'm allergic to cats and Tom too.", ["cats"]),
        ("I speak English and Anna speaks French.", ["english", "french"]),
        ("I speak English and on Monday I speak French.", ["english", "french"]),
        ("I love mushrooms and hate olives.", ["mushrooms", "olives"]),
        ("I dislike rented software and services.", ["rented software"]),
        ("I love dogs and cats hate me.", ["dogs"]),
        ("I love mushrooms and olives on pizza.", ["mushrooms"]),
        ("I love pizza and my dog.", ["pizza"]),
        ("I love tea and drink it daily.", ["tea"]),
        ("I love tea and watch movies.", ["tea"]),
        ("I love Simon and Garfunkel.", ["simon"]),
        ("My favourite colour is red and blue is nice.", ["red"]),
        # one of them
        ("I have a dog called Rex and Luna is a cat.", ["rex"]),
        ("My daughter is Ella and Ben is my son.", ["ella", "ben"]),
        ("I work at Marks and Spencer.", ["marks"]),
        ("I live in Trinidad and Tobago.", ["trinidad"]),
        # no names
        ("My sons are Vikings.", []),
        ("My kids are Disney fans.", []),
        ("My kids are German and love it.", []),
        ("I have two kids, Disney fans.", ["two"]),
        ("I have two kids, Max is the older.", ["two"]),
        ("My dogs Christmas sweaters are red.", []),
        ("Our dogs are awesome.", []),
        # no languages spoken
        ("I don't speak German well.", []),
        ("I don't speak German at work.", []),
        ("Speak French with me!", []),
        ("I speak on Monday.", []),
        ("I'd love to speak French.", []),
    ],
)
def test_what_only_looks_like_a_list_is_none(text: str, values: list[str]) -> None:
    assert sorted(fact.value for fact in told(text)) == sorted(values)


@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("What are my kids called?", ("ann", "attr/kid")),
        ("What are my children's names?", ("ann", "attr/kid")),
        ("Who are my kids?", ("ann", "attr/kid")),
        ("What's my son called?", ("ann", "attr/son")),
        ("What are my dogs called?", ("ann", "pet_name/dog")),
        ("What are Tom's kids called?", ("tom berg", "attr/kid")),
        ("Which languages do I speak?", ("ann", "language")),
        ("What's my last name?", ("ann", "attr/surname")),
    ],
)
def test_a_list_is_asked_for_as_it_is_filed(question: str, key: tuple[str, str]) -> None:
    assert asked(question, "ann", ("Anna", "Tom Berg"))[0] == key
