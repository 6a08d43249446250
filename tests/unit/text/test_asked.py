"""Which key a question asks for: examples, and that it is the key under which the answer is stored."""

import pytest

from loci.text.asked import asked
from loci.text.facts import facts

PEOPLE = ["Alice", "Bob Stone"]
EXAMPLES = [
    ("Where does Alice live?", ("alice", "residence")),
    ("Where do I live?", ("me", "residence")),
    ("In which city does Alice live?", ("alice", "residence")),
    ("Who does Bob Stone work for?", ("bob stone", "employer")),
    ("What is Alice's cat called?", ("alice", "pet_name/cat")),
    ("What's the name of Alice's dog?", ("alice", "pet_name/dog")),
    ("When is the wedding?", (None, "plan/wedding")),
    ("When is Alice's wedding?", ("alice", "plan/wedding")),
    ("How old is Alice's sister?", ("alice/sister", "age")),
    ("What's my phone number?", ("me", "phone")),
    ("What is Alice's favourite colour?", ("alice", "favourite/colour")),
    ("What is the capital of France?", ("france", "attr/capital")),
    ("What is the birthplace of Ada Berg?", ("ada berg", "attr/born in")),
    ("Is Alice married?", ("alice", "marital_status")),
]


@pytest.mark.parametrize(("question", "key"), EXAMPLES)
def test_a_question_names_its_key(question, key):
    assert key in asked(question, "Me", PEOPLE)


@pytest.mark.parametrize(
    "question", ["When did Alice go to Paris?", "What did she say about the film?", "Can you recommend a book?", "", "?", "\x00", "Why?"]
)
def test_most_questions_name_none(question):
    assert asked(question, "Me", PEOPLE) == []


def test_the_key_asked_for_is_the_key_stored():
    (fact,) = facts("I moved to Lisbon in May.", "Alice", None)
    assert (fact.subject, fact.attribute) in asked("Where does Alice live?", None, PEOPLE)
