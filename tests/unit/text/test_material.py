"""What stands in a turn and is no statement of its speaker's, and what looks like it and is one."""

from datetime import datetime

import pytest

from loci.text.facts import Fact, facts

JUNE = datetime(2025, 6, 4)


def told(text: str, speaker: str = "ana") -> list[Fact]:
    return facts(text, speaker, JUNE)


@pytest.mark.parametrize(
    "text",
    [
        "Translate to French: I live in Berlin.",
        "Write a poem that starts with I live in Berlin.",
        "Rewrite: My phone number is 933000222.",
        "Summarize this email: '… my phone number is 933000222.'",
        "Can you proofread this? I work at Globex.",
        "Jane wrote: I work at Globex.",
        "Pedro: I live in Berlin",
        "Let's roleplay. I live in Berlin.",
        "Here is my draft bio for Jane: I live in Berlin and work at Globex.",
        "Subject: hi\n\nI live in Berlin.\n\nBest,\nPedro",
        'Could you please rephrase the sentence "I moved to Oslo" for me?',
        "Hi Claude, translate this into German:\n\nMy sister lives in Rome. I work for Nimbus.",
        "I moved to Oslo. Please translate that to Spanish.",
        "How do you say in Italian: I'm allergic to nuts.",
        "Hi Marta,\n\nI moved to Oslo last month and I work at Nimbus now.\n\nKind regards,\nLuis",
        "> I live in Oslo.",
        "[10:32] Luis: I live in Oslo\n[10:33] Marta: I work at Nimbus",
        "My boss replied: I quit Acme. I live in Oslo now.",
        "He said, I live in Oslo.",
        "Imagine you are me. I live in Oslo. Where would I eat?",
        "Let's pretend I work at Nimbus. I drive a Volvo.",
        "Draft an email to my landlord saying I moved to Oslo.",
        "Fix this: I lives in Oslo. My name is Luis.",
        "The sign on the letter read 'I live in Oslo. I work at Nimbus.'",
        'She wrote "I live in Oslo. I work at Nimbus." and left.',
        "Complete this sentence: I live in Oslo because",
        "Write me a short story. In the story, I live in Oslo.",
        "Here's the message from Luis:\nI live in Oslo.",
        "Tell me a joke that begins with: I work at Nimbus.",
        "Repeat after me: I live in Oslo.",
        "On Tuesday Luis wrote:\n\nI live in Oslo. I work at Nimbus.",
        "In my novel, I work at Nimbus.",
        "In my last dream I live in Oslo.",
        "In Sims I'm married to a vampire and I live in Oslo.",
        "In The Sims 4, I live in Oslo.",
        "According to LinkedIn I work at Nimbus.",
        "According to her profile, my sister lives in Oslo.",
    ],
)
def test_of_material_nothing_is_claimed(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Remember: I live in Porto.",
        "Note: my phone number is 912 345 678.",
        "Please note that I work at Acme.",
        "FYI: I live in Porto.",
        "FYI, I moved to Porto.",
        "Update: I moved to Porto.",
        "Ana: I live in Porto.",
        "Me: I live in Porto.",
        "Write to me at a.b@c.example.",
        "Please write down that I live in Porto.",
        "Write this down: I live in Porto.",
        "Make a note: I live in Porto.",
        "Add to my profile: I live in Porto.",
        "Can you help me write an email to my landlord? I live in Porto.",
        "Write a poem about cats. I live in Porto.",
        "Can you recommend a place: I live in Porto and like sushi.",
        "I said: I live in Porto.",
        "As I told you: I live in Porto.",
        "Guess what: I live in Porto now!",
        "Big news! I live in Porto now.",
        "Big News: I live in Porto now.",
        "Hi, I'm Ana. I live in Porto.\n\nThanks,\nAna",
        "Here is my address book. I live in Porto.",
        "My email: a.b@c.example",
        "Can you imagine? I live in Porto now.",
        "Imagine that! I live in Porto now.",
        "I love roleplaying games. I live in Porto.",
        "Summarize my week. I live in Porto.",
        "I translate for a living. I live in Porto.",
        "I work as a translator: I live in Porto.",
        "Today: I moved to Porto.",
        "You asked: I live in Porto.",
        "Yes: I live in Porto.",
        "Correct, I live in Porto.",
        "Actually: I live in Porto.",
        "I wrote to Marta: I live in Porto now.",
        'My cat\'s name is "Miss Piggy".',
        'I don\'t know what the "cloud thing" is, but I work at Acme.',
        "My sister's 'new' flat is nice. I live in Porto, that's all the boys' club.",
        "Call me on 555 0134.",
        "Hello Claude! I live in Porto.",
        "Fact 12: The capital of Veldora is Arlen.",
        "About me: I live in Porto.",
        "Home: I live in Porto.",
        "To be clear: I live in Porto.",
        "The short version: I live in Porto.",
        "One more thing: I live in Porto.",
        "I need help with my CV. I work at Acme.",
        "Monday: I work at Acme.",
        "I live in Porto in a house with 5'10\" doors.",
        "I know you're busy, but I live in Porto.",
    ],
)
def test_what_the_speaker_states_is_read(text: str) -> None:
    assert told(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("I work at Acme. Translate to French: I live in Oslo.", ["acme"]),
        ("Luis: I live in Oslo\nI live in Faro.", ["faro"]),
        ('My boss said "I moved to Oslo last year." I live in Faro.', ["faro"]),
        ("I live in Faro. Here is what Luis sent me:\nI live in Oslo. I work at Nimbus.", ["faro"]),
        ("I live in Faro.\n\nHi Marta,\nI moved to Oslo.\nBest wishes,\nLuis\n\nI work at Acme.", ["faro", "acme"]),
        ("Write a limerick that ends in I live in Oslo. By the way, I live in Faro.", ["faro"]),
    ],
)
def test_only_the_material_is_left_out(text: str, values: list[str]) -> None:
    assert [fact.value for fact in told(text)] == values


def test_a_letter_signed_by_the_speaker_is_theirs() -> None:
    letter = "Hi Marta,\n\nI moved to Oslo.\n\nBest,\n%s"
    assert [fact.value for fact in told(letter % "Ana")] == ["oslo"] and told(letter % "Luis") == []


@pytest.mark.parametrize(
    "text",
    [
        "Please forget that I moved to Oslo.",
        "Could you forget that my sister lives in Rome?!",
        "Forget my phone number is 912 345 678.",
        "Don't remember that I'm allergic to nuts.",
        "Do not store that I quit Acme.",
        "Erase the fact that I live in Oslo.",
        "OK, ignore that I drive a Volvo and live in Oslo.",
    ],
)
def test_what_is_to_be_forgotten_is_not_stated(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Don't forget that I moved to Oslo.",
        "Never forget I'm allergic to nuts.",
        "Let's not forget that I drive a Volvo.",
        "I forgot to tell you that I live in Oslo.",
        "Forget that, I live in Oslo now.",
        "Forget it: I work at Nimbus.",
        "Please forget that I lived in Faro, I live in Oslo.",
        "You can forget about Acme, I work at Nimbus now.",
        "Remember that I live in Oslo.",
    ],
)
def test_what_is_not_to_be_forgotten_is_stated(text: str) -> None:
    assert [fact.polarity for fact in told(text)] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "I live in Oslo during the summer.",
        "In the winter we live in Oslo.",
        "I work at Nimbus on weekends.",
        "I live in Oslo half of the year.",
        "Every summer I live in Oslo.",
        "For the conference I'm living in Oslo.",
        "I'm living in Oslo this week.",
        "I'm living in Oslo for a few weeks.",
        "I'm living in Oslo until Friday.",
        "I'm living in Oslo for three months.",
        "For the next six months I live in Oslo.",
        "I'm working at Nimbus today because of the wifi.",
        "Today I'm working at Nimbus.",
        "When I retire I live in Oslo.",
    ],
)
def test_what_holds_for_a_while_or_a_part_of_each_year_claims_nothing(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "tense"),
    [
        ("Next year I live in Oslo.", "future"),
        ("I work at Nimbus from July 1.", "future"),
        ("I live in Oslo this summer.", "now"),
        ("I live in Oslo and next year I'm visiting Japan.", "now"),
        ("I've lived in Oslo since May.", "now"),
        ("I've been living in Oslo for three months.", "now"),
        ("I no longer work at Nimbus from July 1.", "now"),
    ],
)
def test_what_is_said_to_begin_later_is_of_the_future(text: str, tense: str) -> None:
    assert [fact.tense for fact in told(text)] == [tense]


@pytest.mark.parametrize(
    "piece",
    [
        "Ana: ",
        "Hi,\n",
        "Best,\nLuis\n",
        "> ",
        "'a ",
        '"a ',
        "Translate this: ",
        "please ",
        "From: x\n",
        "here is the text ",
        "said ",
        "``` ",
        "[1",
    ],
)
def test_many_openings_are_read_without_harm(piece: str) -> None:
    told("I live in Oslo.\n" + piece * (1_000_000 // len(piece)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("In my novel I live in Oslo. I live in Porto.", "porto"),
        ("According to my doctor I'm allergic to nuts.", "nuts"),
        ("In the game industry I work at Nimbus.", "nimbus"),
    ],
)
def test_what_only_opens_like_fiction_is_told(text: str, value: str) -> None:
    assert [fact.value for fact in told(text)] == [value]


@pytest.mark.parametrize(
    "text",
    [
        "I live in Pelican Town, in Stardew Valley.",
        "I live in Pelican Town in Stardew Valley and it's fun.",
        "I got married in Sims.",
        "We got married in the Sims 4!",
        "I live in Rome in my novel.",
        "I live in Rome, in the story I'm writing.",
        "I live in Rome, in a dream that I had.",
        "I work at Acme, but only in the game.",
        "My husband is Dan in the show.",
        "My kids are Max and Ben in my D&D campaign.",
        "i live in rome in my novel",
    ],
)
def test_what_is_so_in_a_tale_is_no_fact(text: str) -> None:
    assert facts(text, "ann", None) == []


@pytest.mark.parametrize(
    "text",
    [
        "I live in Rome and act in a series.",
        "I moved to Rome to be in a film.",
        "I live in Rome in a show flat.",
        "I live in Rome, in my dream house.",
        "I live in Rome, in the play I'm on stage.",
        "I live in Rome. In my novel she lives in Oslo.",
        "I live in Rome, in the film district.",
    ],
)
def test_what_only_touches_on_a_tale_is_one(text: str) -> None:
    assert [(fact.attribute, fact.value) for fact in facts(text, "ann", None) if fact.subject == "ann"] == [("residence", "rome")]
