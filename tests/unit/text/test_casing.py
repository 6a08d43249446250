"""Turns without capitals, and those in capitals alone, are read as those with some are; words that are no names stay none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.bench.streams import evaluate_rules
from loci.text.facts import facts
from loci.text.wording.casing import cased

NAMED = """i live in porto|I live in Porto
i moved to lisbon last month, work's at acme|I moved to Lisbon last month, work's at acme
I moved to new york and work at google|I moved to New York and work at Google
we live near ruritania now|we live near Ruritania now
im living in san francisco rn|im living in San Francisco rn
i've been working at brandt & sons since 2019|I've been working at Brandt & Sons since 2019
just started at globex|just started at Globex
my sister lea lives in rome|my sister Lea lives in Rome
astrid is based in denver|Astrid is based in Denver
aunt rosa's birthday is 30 september|Aunt Rosa's birthday is 30 September
we have a dog called rex and a cat|we have a dog called Rex and a cat
we have two dogs called rex and luna|we have two dogs called Rex and Luna
we have three cats named tom, kit and bo!|we have three cats named Tom, Kit and Bo!
we have a dog called rex and love it|we have a dog called Rex and love it
we have a dog called rex and cats|we have a dog called Rex and cats
I MOVED TO LISBON|I moved to Lisbon
I MOVED TO LISBON! MY SISTER LEA LIVES IN ROME|I moved to Lisbon! my sister Lea lives in Rome
We met Ann in Rome. I MOVED TO LISBON!! She works at Acme.|We met Ann in Rome. I moved to Lisbon!! She works at Acme.
I SEE DR. CHEN NOW|I see Dr. Chen now
my wife is called julia|my wife is called Julia
i drive a ford focus, sold the volvo|I drive a Ford Focus, sold the Volvo
freya and i broke up|Freya and I broke up
jen and i got divorced|Jen and I got divorced
porto is where i live|Porto is where I live
acme hired me!|Acme hired me!
i study law at the university of ghent|I study law at the University of Ghent
i live at 5 elm road|I live at 5 Elm Road
i see dr chen now|I see Dr Chen now
i left acme for globex|I left Acme for Globex""".splitlines()

NONE = """i live in fear of my boss|we live in different cities|i live in constant pain|i live in student housing|i live in vim
i moved to tears|we moved to kubernetes|we're moving to microservices|i moved to bed early|i moved to plan b|i moved to backend development
moved to prod today|i moved to dark mode|i moved to decaf|i moved to oat milk|i moved to another team|i moved to phase two
i work at night|i work at home|i work for free|i work for peanuts|i work for whoever pays|i work at getting better|i work at lightning speed
i joined today|i joined forces with a rival|i joined discord|i joined mid meeting|i joined therapy|i quit smoking|i quit coffee|i quit cold turkey
i left early|i left python for rust|i switched from vim to emacs|i switched from coffee to tea|i replaced sugar with honey
i'm in pain|i'm in love|i'm at war with mosquitos|i'm at home now|i'm back in action|i've been at sea for two years
i'm seeing errors in prod|i'm seeing latency spikes|i'm dating again|i'm married to my job
i attend church|i attend yoga|i study at night|i graduated from college|enrolled in pottery|i have a job at hand|i started at zero
i was hired by mistake|i'm a regular at joe's|my dog food is expensive|my wife works nights|my boss fight is hard|my brother just called
breakfast is at nine|traffic was terrible|everybody loves raymond|call me maybe|i call bs|i live at 3 in the morning
i own a mini fridge|i have a seat at the table|work is where i live|bed is where i live|my name is not important|my dog is named after my dad
i named it after her|i live in the city of dreams|if i lived in rome i'd be fat|my friend says i live in rome|we settled in nicely
i signed with blood|i transferred to savings|i'm in sales now|home is key""".replace("\n", "|").split("|")


@pytest.mark.parametrize("pair", NAMED, ids=lambda pair: pair.partition("|")[0])
def test_names_get_their_capitals(pair: str) -> None:
    text, named = pair.split("|")
    assert cased(text) == named


@pytest.mark.parametrize("text", NONE)
def test_none_of_these_is_a_name(text: str) -> None:
    for said in (text, text.replace("i ", "I ", 1) if text.startswith("i ") else text):
        assert [fact.value for fact in facts(said, "ann", None) if fact.sort == "name" and fact.attribute] == [], said


def test_who_is_known_is_known_in_small_letters() -> None:
    assert cased("maria moved to rome", ["Maria Lopez"]) == "Maria moved to Rome"


@pytest.mark.parametrize("text", NONE)
def test_none_of_these_is_a_name_in_capitals(text: str) -> None:
    assert [fact.value for fact in facts(text.upper(), "ann", None) if fact.sort == "name" and fact.attribute] == []


@pytest.mark.parametrize(
    "text",
    [
        "JANE: I LIVE IN ROME",
        "TRANSLATE TO FRENCH: I LIVE IN ROME",
        "DO I LIVE IN ROME",
        "MY BOSS SAYS I LIVE IN ROME",
        "DEAR ANN,\nI LIVE IN ROME NOW.\n\nBEST WISHES,\nJANE",
        "IF I LIVED IN ROME I'D BE FAT",
    ],
)
def test_what_is_no_statement_is_none_in_capitals(text: str) -> None:
    assert facts(text, "ann", None) == []


@pytest.mark.parametrize("text", ["NASA, ESA and JAXA", "USA, UK", "I work at IBM", "We live in NYC now", "NASA HQ."])
def test_names_in_capitals_are_names(text: str) -> None:
    assert cased(text) == text


@pytest.mark.parametrize("text", ["I work at acme, ask Ben", "My wife Anna lives in rome", "we met Ann in rome. i live in porto"])
def test_who_writes_capitals_means_the_small_letters(text: str) -> None:
    assert cased(text) == text


def test_a_letter_that_has_no_single_capital_stays() -> None:
    assert cased("i live in ßberg") == "I live in ßberg"
    assert cased("strasse left", ["Straße"]) == "strasse left"


def test_names_are_spelled_as_they_are() -> None:
    assert cased("bmw hired me") == "BMW hired me"


@given(st.text(), st.lists(st.text(max_size=10), max_size=2))
def test_nothing_but_letters_change(text: str, people: list[str]) -> None:
    read = cased(text, people)
    assert len(read) == len(text) and read.casefold() == text.casefold()


@pytest.mark.parametrize("letters", ["sentence", "small"])
def test_facts_that_change_hold_as_well_without_capitals(letters: str) -> None:
    figures = evaluate_rules(1, 30, letters=letters)
    assert float(str(figures["everyday"])) >= 90 and not figures["wrong supersessions"]
