"""Which key a question asks for: examples, and that it is the key under which the answer is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.text.asked import asked, asks_many, hops
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
    ("What do I like?", ("me", "likes")),
    ("What does Bob Stone really enjoy?", ("bob stone", "likes")),
    ("What kind of movies do I like?", ("me", "likes/*movie")),
    ("Which cheese does Alice love?", ("alice", "likes/*cheese")),
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


@pytest.mark.parametrize(
    "question",
    [
        "Which cities has Ann visited?", "What old books did Bo like?", "How many pets does Ann have?", "what kind of music does he play?",
        "What do Ann and Bo have in common?", "What are her plans?", "List all the races.", "Who else came?", "In what ways has it helped?",
    ],
)  # fmt: skip
def test_a_question_for_several_things(question):
    assert asks_many(question)


@pytest.mark.parametrize(
    "question",
    ["What does James eat?", "Where does Ann live?", "What was this about?", "What bus did she take?", "Which class is his?", "Who is Ann's boss?", ""],
)  # fmt: skip
def test_a_question_for_one_thing(question):
    assert not asks_many(question)


def test_a_very_long_question_asks_for_no_key():
    assert asked("When is " + "my " * 9000 + "wedding?", "Me", PEOPLE) == []


@pytest.mark.parametrize(
    ("question", "first", "then"),
    [
        ("Where does Alice's brother live?", ("alice", "attr/brother"), ["residence"]),
        ("Where does my sister work?", ("me", "attr/sister"), ["employer"]),
        ("What is the mayor of the capital of Ostmark?", ("ostmark", "attr/capital"), ["attr/mayor"]),
        ("What is the capital of the country where Alice's boss lives?", ("alice", "attr/boss"), ["residence", "attr/capital"]),
        ("Where is the company Bob Stone works for based?", ("bob stone", "employer"), ["residence"]),
    ],
)
def test_a_question_within_a_question(question, first, then):
    chain = hops(question, "Me", PEOPLE)
    assert first in chain.first and len(chain.then) == len(then)
    assert all(attribute in step for attribute, step in zip(then, chain.then, strict=True))


@pytest.mark.parametrize(
    "question",
    [
        "Who is Alice's brother?",
        "What is the capital of France?",
        "Where does Alice live?",
        "What did Alice's brother say?",
        "",
        "the of The of",
        "A. " * 9000,
    ],
)
def test_a_question_of_one_hop(question):
    assert hops(question, "Me", PEOPLE) is None


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["the", "of", "Ann", "'s", "brother", "where", "who", "is", "my", "boss"])).map(" ".join)
)
def test_hops_are_read_from_anything(question):
    chain = hops(question, "Me", PEOPLE)
    assert chain is None or (chain.first and chain.then and all(chain.then))
