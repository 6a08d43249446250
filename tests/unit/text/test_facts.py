"""What is a fact in everyday words, whose it is, and above all what is none."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.text.facts import ME, Fact, facts, key
from loci.text.wording.by_number import RELATIONS
from loci.text.wording.by_saying import SAYINGS, Saying
from loci.text.wording.values import number, plain, when
from loci.text.wording.verbs import FRAMES, Frame

MAY = datetime(2024, 5, 15, 10)
PEOPLE = ("Anna", "Tom Berg")


def told(text: str, speaker: str | None = "Anna") -> list[Fact]:
    return facts(text, speaker, MAY, PEOPLE)


def only(text: str) -> Fact:
    found = told(text)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.example)
def test_every_verb_of_the_table_reads_its_example(frame: Frame) -> None:
    attributes = {fact.attribute.partition("/")[0] for fact in told(frame.example) if fact.attribute}
    assert frame.attribute.partition("/")[0] in attributes


@pytest.mark.parametrize("saying", SAYINGS, ids=lambda saying: saying.example)
def test_every_saying_of_the_table_reads_its_example(saying: Saying) -> None:
    told_of = re.escape(saying.attribute or "").replace(r"\{x\}", ".+").replace(r"\{v\}", ".+")
    assert any(re.fullmatch(told_of, fact.attribute or "") for fact in told(saying.example))


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_relation_of_the_table_is_one_attribute_in_both_tenses(relation: str) -> None:
    first, second = only(f"7. Xoxo {relation} Yoyo."), only(f"8. Xoxo was {relation} Bobo.")
    assert (first.subject, second.subject) == ("xoxo", "xoxo")
    assert first.attribute == second.attribute
    assert (first.value, second.value) == ("yoyo", "bobo")


@pytest.mark.parametrize(
    ("text", "subject", "attribute", "value"),
    [
        ("I live in Porto.", "anna", "residence", "porto"),
        ("I’ve lived in Porto for ages", "anna", "residence", "porto"),
        ("My brother and I live in Porto.", "anna", "residence", "porto"),
        ("im living in Porto now", "anna", "residence", "porto"),
        ("My sister lives in Rome.", "anna/sister", "residence", "rome"),
        ("My older sister lives in Rome.", "anna/older sister", "residence", "rome"),
        ("My sister Lea lives in Rome.", "lea", "residence", "rome"),
        ("My wife's boss lives in Rome.", "anna/wife/boss", "residence", "rome"),
        ("Tom lives in Rome.", "tom berg", "residence", "rome"),
        ("Tom's mother lives in Rome.", "tom berg/mother", "residence", "rome"),
        ("My sister is here. She lives in Rome.", "anna/sister", "residence", "rome"),
        ("I work for Castor & Pine.", "anna", "employer", "castor & pine"),
        ("My job title is head nurse.", "anna", "job_title", "head nurse"),
        ("I'm a tax adviser.", "anna", "job_title", "tax adviser"),
        ("I'm thirty-one years old.", "anna", "age", "31"),
        ("We're engaged!", "anna", "marital_status", "engaged"),
        ("I stopped eating meat.", "anna", "diet", "vegetarian"),
        ("We have a golden retriever called Rex.", "anna", "pet_name/dog", "rex"),
        ("My dog's name is Rex.", "anna", "pet_name/dog", "rex"),
        ('The cat\'s name is "Miss Piggy".', "anna", "pet_name/cat", "miss piggy"),
        ("My favorite color is teal.", "anna", "favourite/colour", "teal"),
        ("Green curry is my favourite food.", "anna", "favourite/food", "green curry"),
        ("Tom's favourite band is Mogwai.", "tom berg", "favourite/band", "mogwai"),
        ("The wedding is on June 3.", "anna", "plan/wedding", "06-03"),
        ("My sister's wedding is on the 3rd of June 2025.", "anna/sister", "plan/wedding", "2025-06-03"),
        ("I've got a dentist appointment on Friday.", "anna", "plan/appointment/dentist", "friday"),
        ("We moved the trip to August.", "anna", "plan/trip", "august"),
        ("The interview is tomorrow.", "anna", "plan/interview", "05-16"),
        ("My number is +44 20 7946 0018.", "anna", "phone", "+44 20 7946 0018"),
        ("Write to me at a.b@c.example.", "anna", "email", "a.b@c.example"),
        ("The wifi password is tulip42.", "anna", "attr/wifi password", "tulip42"),
        ("The name of my landlord is Mr Okafor.", "anna", "attr/landlord", "mr okafor"),
        ("My girlfriend's name is Freya.", "anna", "partner", "freya"),
        ("The capital of Veldora is Arlen.", "veldora", "attr/capital", "arlen"),
        ("Fact 12: The capital of Veldora is Arlen.", "veldora", "attr/capital", "arlen"),
        ("[3] The Shard was designed by Renzo Piano", "shard", "attr/designed by", "renzo piano"),
        ("14. The chief executive officer of Dovetail Inc. is Eva Lindt.", "dovetail inc", "attr/chief executive officer", "eva lindt"),
        ("5) Ada Berg is a citizen of the country of Veldora.", "ada berg", "attr/a citizen of", "veldora"),
        ("9. Ada Berg's child is Ben Okoro.", "ada berg", "attr/child", "ben okoro"),
    ],
)
def test_who_what_and_which(text: str, subject: str, attribute: str, value: str) -> None:
    fact = only(text)
    assert (fact.subject, fact.attribute, fact.value) == (subject, attribute, value)
    assert 0 <= fact.start < fact.end <= len(text)


@pytest.mark.parametrize(
    ("text", "value", "polarity", "tense", "cue"),
    [
        ("I live in Porto.", "porto", True, "now", "statement"),
        ("I still live in Porto.", "porto", True, "now", "statement"),
        ("I live in Porto now.", "porto", True, "now", "change"),
        ("I moved to Porto.", "porto", True, "now", "change"),
        ("Just moved to Porto!", "porto", True, "now", "change"),
        ("Sold the flat and moved to Porto.", "porto", True, "now", "change"),
        ("I'm moving to Porto in June.", "porto", True, "future", "statement"),
        ("We're going to move to Porto.", "porto", True, "future", "statement"),
        ("I used to live in Porto.", "porto", True, "past", "end"),
        ("I lived in Porto until 2020.", "porto", True, "past", "statement"),
        ("When I lived in Porto I had a bike.", "porto", True, "past", "statement"),
        ("When I was ten we moved to Porto.", "porto", True, "past", "statement"),
        ("I no longer live in Porto.", "porto", False, "now", "end"),
        ("I don't live in Porto any more.", "porto", False, "now", "end"),
        ("I don't live in Porto.", "porto", False, "now", "statement"),
        ("Actually I live in Porto.", "porto", True, "now", "correction"),
        ("I quit my job.", "", False, "now", "end"),
        ("I left my job at Acme.", "acme", False, "now", "end"),
        ("I no longer like coffee.", "coffee", False, "now", "end"),
        ("I can't stand coffee.", "coffee", False, "now", "statement"),
        ("I used to love coffee.", "coffee", False, "now", "end"),
        ("The wedding is off.", "", False, "now", "end"),
        ("They postponed the wedding to June 3.", "06-03", True, "now", "change"),
        ("My favourite colour used to be teal.", "teal", True, "past", "end"),
        ("My new landlord is Mr Okafor.", "mr okafor", True, "now", "change"),
        ("My old landlord was Mr Okafor.", "mr okafor", True, "past", "statement"),
    ],
)
def test_how_it_is_said(text: str, value: str, polarity: bool, tense: str, cue: str) -> None:
    fact = only(text)
    assert (fact.value, fact.polarity, fact.tense, fact.cue) == (value, polarity, tense, cue)


@pytest.mark.parametrize(
    ("text", "value", "replaces", "cue"),
    [
        ("Sorry, I meant Tuesday.", "tuesday", None, "correction"),
        ("Actually it's on June 4, not June 3.", "06-04", "06-03", "correction"),
        ("Wait, not Monday but Tuesday.", "tuesday", "monday", "correction"),
        ("Scratch that. It's Tuesday.", "tuesday", None, "correction"),
        ("Typo: 555-0134", "555-0134", None, "correction"),
        ("*Lisbon", "lisbon", None, "correction"),
        ("Changed my mind, it's lilac.", "lilac", None, "change"),
        ("I left Acme for Nimbus.", "nimbus", "acme", "change"),
        ("We renamed Luna, her name is Ziggy now.", "ziggy", "luna", "change"),
    ],
)
def test_a_correction_may_name_no_key(text: str, value: str, replaces: str | None, cue: str) -> None:
    fact = only(text)
    assert (fact.subject, fact.attribute) == (None, None)
    assert (fact.value, fact.replaces, fact.cue) == (value, replaces, cue)


@pytest.mark.parametrize(
    "text",
    [
        # hypotheses, wishes, hedges
        "If I lived in Paris I'd eat better.",
        "I wish I lived in Paris.",
        "Imagine living in Paris!",
        "I'd love to live in Paris.",
        "I would love to live in Paris one day.",
        "I want to move to Paris.",
        "I might move to Paris.",
        "We're thinking about moving to Paris.",
        "I almost moved to Paris.",
        "I didn't move to Paris.",
        "I'd live in Paris in a heartbeat.",
        "I could never live in Paris.",
        "I'm hoping to work at Acme.",
        "I want to be a nurse.",
        "I'd rather have the party on June 3.",
        # jokes and figures of speech
        "I moved to Paris! Just kidding.",
        "I basically live in Paris.",
        "I'm married to my job.",
        "I feel like I'm 90.",
        "I'm 5 minutes away.",
        "I'm 100 percent sure.",
        "It's like a dream.",
        "Sounds like fun!",
        "Unconditional love is so important.",
        # questions and other people's words
        "Do I live in Paris?",
        "Should I move to Paris?",
        "The wedding is on June 3, right?",
        "Tom said he lives in Paris.",
        "Tom told me that Lea lives in Paris.",
        'My neighbour wrote "I live in Paris and love it".',
        "People ask me if I live in Paris.",
        "My mum thinks I live in Paris.",
        "A friend of mine moved to Paris.",
        "He lives in Paris.",
        # travel, chance meetings, things that only look alike
        "I was in Paris last week.",
        "I'm in Paris for work.",
        "I talked to a nurse today.",
        "I met Anna, who moved to Paris.",
        "I joined Tom for lunch.",
        "I work at home.",
        "I'm a morning person.",
        "My day was great.",
        "My phone is dead.",
        "My project is quite exciting.",
        "The film was Danish.",
        "The best part of it is the food.",
        "The things I love makes me happy.",
        "Actually, I have no idea.",
        "Actually it's fine.",
        "No worries, John!",
        "Oh no, Tom! Sorry to hear that.",
        "1. Take a walk through the park",
        "**Model Definition**: see below",
        "x = my_password",
        "",
        "   ",
        "?!",
    ],
)
def test_none_of_these_is_a_fact(text: str) -> None:
    assert told(text) == []


def test_the_subject_of_the_verb_before_is_shared() -> None:
    assert [(f.subject, f.value) for f in told("My sister quit her job and moved to Oslo.")] == [("anna/sister", "oslo")]
    assert [(f.subject, f.value) for f in told("I packed up and moved to Oslo.")] == [("anna", "oslo")]
    assert told("He packed up and moved to Oslo.") == []
    found = told("My brother lives in Rome and I live in Oslo.")
    assert [(f.subject, f.value) for f in found] == [("anna/brother", "rome"), ("anna", "oslo")]


def test_without_a_name_the_speaker_is_me() -> None:
    assert told("I live in Porto.", None)[0].subject == ME
    assert told("My sister lives in Porto.", None)[0].subject == f"{ME}/sister"


def test_a_friend_without_a_name_may_be_any_friend() -> None:
    assert only("My friend moved to Oslo.").arity == "many"
    assert only("My friend moved to Oslo.").cue == "statement"
    assert only("My mother moved to Oslo.").arity == "one"


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("I moved to Porto in 2019.", datetime(2019, 1, 1), None),
        ("I've lived in Porto since 2019.", datetime(2019, 1, 1), None),
        ("I lived in Porto until 2020.", None, datetime(2020, 1, 1)),
        ("From 2011 to 2015 I worked at Acme.", datetime(2011, 1, 1), datetime(2015, 1, 1)),
        ("I live in Porto.", None, None),
    ],
)
def test_the_time_it_holds(text: str, since: datetime | None, until: datetime | None) -> None:
    fact = only(text)
    assert (fact.since, fact.until) == (since, until)


@pytest.mark.parametrize(
    "text",
    [
        "I never lived in Oslo.",
        "I've never worked at Nimbus in my life.",
        "I never dated Sam, by the way.",
        "My sister never studied at Delft!",
    ],
)
def test_never_denies(text: str) -> None:
    fact = only(text)
    assert fact.value and (fact.polarity, fact.tense, fact.cue) == (False, "now", "correction")


@pytest.mark.parametrize(
    "text",
    [
        "I had never lived in Oslo.",
        "I never lived in Oslo before.",
        "I never lived in Oslo for long.",
        "I never worked at Nimbus without Tom.",
        "I would never move to Oslo.",
        "When I was young I never lived in Oslo.",
    ],
)
def test_never_with_a_condition_denies_nothing(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("My phone number is wrong, it should be 555 0134.", "phone", "555 0134"),
        ("My number isn't right; the correct one is 555 0134.", "phone", "555 0134"),
        ("My email is incorrect. It should be a@b.example.", "email", "a@b.example"),
        ("My email should read a@b.example.", "email", "a@b.example"),
        ("The wifi password is wrong, it should be tulip43.", "attr/wifi password", "tulip43"),
        ("My birthday was wrong, it must be May 5.", "birthday", "05-05"),
        ("My favourite colour is a typo, it should be teal.", "favourite/colour", "teal"),
        ("My boss is wrong, it should be Lea.", "attr/boss", "lea"),
    ],
)
def test_what_is_wrong_is_corrected_by_what_it_should_be(text: str, attribute: str, value: str) -> None:
    fact = only(text)
    assert (fact.subject, fact.attribute, fact.value, fact.cue) == ("anna", attribute, value, "correction")
    assert fact.end == len(text) - 1


@pytest.mark.parametrize(
    "text",
    [
        "My phone number is wrong.",
        "My favourite colour is wrong for this room.",
        "My salary should be higher.",
        "My car should be a Volvo.",
        "The car is wrong for the city, it should be smaller.",
    ],
)
def test_what_is_only_wrong_or_wished_for_is_no_fact(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "subject", "value", "cue"),
    [
        ("I live at 12 Rua Augusta, Lisbon.", "anna", "12 rua augusta, lisbon", "statement"),
        ("We live on 221B Baker Street.", "anna", "221b baker street", "statement"),
        ("My address is Rua da Rosa 7, 1200-345 Lisboa.", "anna", "rua da rosa 7, 1200-345 lisboa", "statement"),
        ("My address changed to 5 Elm Road, Xville.", "anna", "5 elm road, xville", "change"),
        ("My new home address is 5 Elm Road.", "anna", "5 elm road", "change"),
        ("My brother lives at 7 Elm Road.", "anna/brother", "7 elm road", "statement"),
        ("My address is wrong, it should be 7 Elm Road.", "anna", "7 elm road", "correction"),
    ],
)
def test_an_address_is_a_street_and_a_number(text: str, subject: str, value: str, cue: str) -> None:
    fact = only(text)
    assert (fact.subject, fact.attribute, fact.value, fact.cue) == (subject, "residence/address", value, cue)


@pytest.mark.parametrize(
    "text",
    [
        "I live at home.",
        "I live at 5 in the morning.",
        "I was at 12 Monkeys with Sam.",
        "The address is 5 Elm Road.",
        "My address is somewhere.",
    ],
)
def test_what_is_no_address_of_ones_own_is_none(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I divorced Sam.", "sam"),
        ("I'm divorced from Sam.", "sam"),
        ("Sam and I got divorced.", "sam"),
        ("Sam and I are no longer together.", "sam"),
        ("Sam divorced me.", "sam"),
        ("My wife and I have separated.", ""),
        ("My husband left me.", ""),
        ("We got divorced.", ""),
        ("We broke up last week.", ""),
        ("Sam and I split up for good.", "sam"),
        ("Sam and I separated a week ago.", "sam"),
        ("Sam and I broke up over money.", "sam"),
        ("Sam broke up with me.", "sam"),
        ("Sam dumped me", "sam"),
        ("My girlfriend broke up with me yesterday.", ""),
    ],
)
def test_a_parting_ends_the_partner(text: str, value: str) -> None:
    ends = [fact for fact in told(text) if fact.attribute == "partner"]
    assert [(fact.subject, fact.value, fact.polarity, fact.cue) for fact in ends] == [("anna", value, False, "end")]


@pytest.mark.parametrize(
    "text",
    [
        "I'm not divorced from Sam.",
        "I never broke up with Sam.",
        "Sam and I are getting divorced.",
        "Sam left me a note.",
        "My mother left me.",
        "When we broke up I was ten.",
        "We split up the work.",
        "Sam and I split the bill.",
        "Sam and I split a pizza.",
        "Sam and I broke up the furniture.",
        "My wife and I split lunch.",
        "Sam dumped me a pile of work.",
        "Sam dumped me at the station.",
        "My boss dumped me.",
        "We separated the eggs.",
        "I'm divorced.",
        "My sister and I got divorced the same year.",
    ],
)
def test_what_is_no_parting_ends_no_partner(text: str) -> None:
    assert not [fact for fact in told(text) if fact.attribute == "partner" and fact.subject == "anna"]


@pytest.mark.parametrize(
    "text", ["I didn't quit Acme.", "I'm not going to quit Acme.", "I'm going to quit my job.", "I haven't left my job at Acme."]
)
def test_what_is_denied_or_to_come_has_not_ended(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("I'm starting at Nimbus on July 1.", "change"),
        ("I'm moving to Oslo with my sister on July 1.", "change"),
        ("On July 1 I'm joining Nimbus.", "change"),
        ("I will live in Oslo from July 1.", "change"),
        ("From July 1 I work at Nimbus.", "change"),
        ("I'm moving to Oslo tomorrow.", "change"),
        ("I'm planning to move to Oslo on July 1.", "statement"),
        ("I'm moving to Oslo next month.", "statement"),
        ("I'm moving to Oslo.", "statement"),
        ("I'm moving to Oslo before July 1.", "statement"),
        ("I'm moving to Oslo, I decided yesterday.", "statement"),
        ("My brother is moving to Oslo on July 1.", "statement"),
    ],
)
def test_a_change_is_announced_by_the_speaker_for_a_day(text: str, cue: str) -> None:
    fact = only(text)
    assert (fact.tense, fact.cue) == ("future", cue)


def test_numbered_facts_stand_one_a_line_and_keep_their_number() -> None:
    found = told("11. The capital of Veldora is Arlen.\n12. The capital of Veldora is Brisk.")
    assert [(f.serial, f.value) for f in found] == [(11, "arlen"), (12, "brisk")]


def test_spans_count_in_the_whole_turn() -> None:
    text = "What a day! " * 40 + "Anyway, I moved to Porto. See you."
    fact = only(text)
    assert text[fact.start : fact.end] == "I moved to Porto"


def test_values_have_one_form() -> None:
    assert plain(' "The  Golden Rex". ') == "golden rex"
    assert [number(words) for words in ("31", "thirty-one", "twelve", "many", "²")] == [31, 31, 12, None, None]
    assert key(" The  Shard. ") == "shard"
    forms = [when(text, MAY) for text in ("June 3rd, 2025", "the 3rd of June", "on Friday", "in may", "2025-06-03", "tomorrow")]
    assert [form and form[2] for form in forms] == ["2025-06-03", "06-03", "friday", None, "2025-06-03", "05-16"]


@pytest.mark.parametrize(
    "text",
    [
        "A" * 9000,
        "my " * 3000,
        "I just " * 2000,
        "1 " * 3000,
        "The of " * 2000,
        '"' * 3000,
        ". " * 2000,
        "Anna's " * 900,
        "and " * 140 + "moved to Porto",
    ],
)
def test_odd_texts_are_read_without_harm(text: str) -> None:
    assert told(text) == []


_SAID = """I my sister Anna's the is was moved to Porto live in lives work at Acme now used not but actually sorry meant , . ! " ' : *
12. wedding June 3 on The of capital no longer Rex dog called 31 years old it's we've he if don't any more & \u0130 ß a@b.example"""
_PIECES = st.sampled_from([*_SAID.split(), "\n"])
_WORDY = st.lists(_PIECES, max_size=25).map(" ".join)
_ANCHORS = st.none() | st.datetimes(datetime.min, datetime.max)


@given(st.text() | _WORDY, st.none() | st.text(max_size=8), _ANCHORS, st.lists(st.text(max_size=8), max_size=3))
def test_any_text_gives_facts_within_it(text: str, speaker: str | None, anchor: datetime | None, people: list[str]) -> None:
    for fact in facts(text, speaker, anchor, people):
        assert 0 <= fact.start <= fact.end <= len(text)
        assert (fact.subject is None) == (fact.attribute is None)
        assert fact.value == fact.value.strip()
        assert fact.since is None or fact.until is None or fact.since <= fact.until


@given(_WORDY)
def test_the_same_text_gives_the_same_facts(text: str) -> None:
    assert told(text) == told(text)


@pytest.mark.parametrize(
    "text",
    [
        "I moved to the Sales team.",
        "We moved to Plan B.",
        "I'm a bit of a cook.",
        "I'm a volunteer firefighter.",
        "I'm a regular at Joe's.",
    ],
)
def test_what_looks_like_a_home_or_a_job_is_none(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("My flight to Oslo is on Monday.", "plan/flight/oslo"),
        ("The meeting with the landlord is on Monday.", "plan/meeting/landlord"),
        ("My appointment with Dr. Lee is on Monday.", "plan/appointment/dr lee"),
        ("The dinner with Beth is on Monday.", "plan/dinner/beth"),
        ("The dinner with Maria Nowak is on Monday.", "plan/dinner/maria nowak"),
        ("My dentist appointment at Elm House is on Monday.", "plan/appointment/dentist"),
        ("We moved the meeting to Monday.", "plan/meeting"),
        ("We moved the meeting with Bob to Monday.", "plan/meeting/bob"),
        ("The meeting in the morning is on Monday.", "plan/meeting"),
    ],
)
def test_what_stands_behind_an_event_says_which(text: str, attribute: str) -> None:
    assert only(text).attribute == attribute


@pytest.mark.parametrize(
    ("text", "arity"),
    [
        ("I have a Tesla too.", "many"),
        ("I also work at Nimbus.", "many"),
        ("We bought a Tesla as a second car.", "many"),
        ("I bought a Tesla.", "one"),
        ("I have a colleague called Leo.", "many"),
        ("My daughter's name is Mia.", "many"),
        ("My mother's name is Mia.", "one"),
    ],
)
def test_what_is_said_to_be_one_more(text: str, arity: str) -> None:
    assert only(text).arity == arity


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("My brother Leo lives in Rome.", "anna/brother"),
        ("My little brother Leo lives in Rome.", "anna/brother"),
        ("My other brother Leo lives in Rome.", "anna/other brother"),
        ("Leo is my boss and lives in Rome.", "anna/boss"),
        ("Met my boss Leo. Leo lives in Rome.", "anna/boss"),
        ("My wife's brother Leo lives in Rome.", "anna/wife/brother"),
        ("Eva's brother Leo lives in Rome.", "eva/brother"),
        ("Her brother Leo lives in Rome.", "?/brother"),
        ("A friend of mine called Leo lives in Rome. Leo works at Acme.", "anna/friend"),
        ("I have a friend called Leo. Leo lives in Rome.", "anna/friend"),
        ("Leo lives in Rome.", None),
        ("Leo lives in Rome, says my brother Ben.", None),
        ("My brother Leo's friend Ben lives in Rome.", "leo/friend"),
    ],
)
def test_a_name_goes_with_the_relation_told_of_it(text: str, relation: str | None) -> None:
    assert [fact.relation for fact in told(text) if fact.subject in ("leo", "ben")][-1:] == [relation]


def test_the_relation_is_the_last_one_before() -> None:
    found = told("My brother Leo lives in Rome. My friend Leo lives in Oslo.")
    assert [(fact.value, fact.relation) for fact in found] == [("rome", "anna/brother"), ("oslo", "anna/friend")]


def test_a_secret_that_was_masked_is_a_value_of_its_own() -> None:
    assert only("The wifi password is [password 43bd0d03].").value == "password 43bd0d03"
    assert only("We changed the wifi password to [password 43bd0d03].").cue == "change"
    assert only("My phone number is [phone 43bd0d03].").attribute == "phone"


def test_a_new_pet_is_no_new_name() -> None:
    assert [only(text).cue for text in ("My new dog's name is Bo.", "My new dog is Bo.", "My dog's new name is Bo.")] == [
        "statement",
        "statement",
        "change",
    ]


def test_where_somebody_has_a_job_is_where_they_work() -> None:
    assert ("employer", "acme") in [(fact.attribute, fact.value) for fact in told("I'm a head nurse at Acme.")]
    assert only("I teach maths at Acme High.").attribute == "employer"


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Dad got a new number: 555-0134 22.", "anna/dad"),
        ("My wife has a new phone number: 555-0134 22.", "anna/wife"),
        ("My wife changed the number, it's 555-0134 22.", "anna/wife"),
        ("Ben got a new phone number, it's 555-0134 22.", "ben"),
        ("My sister has a new email: lea@acme.example.", "anna/sister"),
        ("Mum's new number is 555-0134 22.", "anna/mum"),
        ("I got a new number 555-0134 22.", "anna"),
        ("New number: 555-0134 22.", "anna"),
        ("I met my wife and got a new number, it's 555-0134 22.", "anna"),
        ("I changed my number, it's 555-0134 22.", "anna"),
    ],
)
def test_whose_is_what_somebody_has_got_anew(text: str, subject: str) -> None:
    assert only(text).subject == subject


def test_whose_it_is_may_not_be_said() -> None:
    assert told("The people next door moved, they have a new number, it's 555-0134 22.") == []


@pytest.mark.parametrize("text", ["I'm driving a rented Fiat.", "I drive a borrowed Fiat."])
def test_a_borrowed_car_is_not_ones_own(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize("place", ["Town3", "District 9", "Sector 7"])
def test_a_place_may_have_a_number(place: str) -> None:
    (told,) = (fact for fact in facts(f"I live in {place}.", "Ann", None) if fact.attribute == "residence")
    assert told.value == place.casefold()


@pytest.mark.parametrize(
    "text",
    ["We moved to Kubernetes last year.", "I moved to Linux.", "I'm moving to Notion.", "I live in React all day.", "I joined Discord.",
     "I joined Instagram last week.", "I moved to Google.", "I attend Zoom calls.", "I started at Monday."],
)  # fmt: skip
def test_what_one_only_uses_is_no_home_and_no_employer(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I joined Discord as an engineer.", "discord"),
        ("I work for Slack.", "slack"),
        ("I got a job at Zoom.", "zoom"),
        ("I got fired from Reddit.", "reddit"),
    ],
)
def test_who_makes_it_employs_people(text: str, value: str) -> None:
    assert (only(text).attribute, only(text).value) == ("employer", value)


@pytest.mark.parametrize(
    "text",
    ["do i live in Rome", "so do I live in Rome or Lisbon", "Do I still work at Acme", "does my sister live in Rome", "is my wife Anna",
     "Is the meeting on Friday", "has Tom moved to Rome", "do i drive a Ford"],
)  # fmt: skip
def test_a_question_is_none_without_its_mark_as_well(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "did I tell you I live in Rome",
        "have i told you that I live in Rome",
        "can you remember that i live in Rome",
        "Does it matter? I live in Rome.",
    ],
)
def test_what_is_told_in_a_question_is_told(text: str) -> None:
    assert [(fact.attribute, fact.value) for fact in told(text)] == [("residence", "rome")]


def test_a_sentence_without_its_subject_is_no_question() -> None:
    assert only("Did my degree in Porto, now I work at Acme.").value == "acme"


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("My dog Rex died last week.", "pet_name/dog", "rex"),
        ("My beagle Rex passed away.", "pet_name/dog", "rex"),
        ("Our cat, Luna, is dead.", "pet_name/cat", "luna"),
        ("Our cat, Luna, was put to sleep yesterday.", "pet_name/cat", "luna"),
        ("my dog rex died", "pet_name/dog", "rex"),
    ],
)
def test_a_pet_that_died_is_none_any_more(text: str, attribute: str, value: str) -> None:
    fact = only(text)
    assert (fact.attribute, fact.value, fact.polarity, fact.cue) == (attribute, value, False, "end")


@pytest.mark.parametrize("text", ["If my dog Rex died I'd be sad.", "My dog Rex almost died.", "My phone died."])
def test_who_did_not_die_lives(text: str) -> None:
    assert not [fact for fact in told(text) if fact.cue == "end"]


def read(text: str) -> dict[str | None, str]:
    return {fact.attribute: fact.value for fact in told(text)}


@pytest.mark.parametrize(
    "text",
    [
        "My husband is German.",
        "my husband is german",
        "My husband is a German.",
        "My wife is Irish-American.",
        "My girlfriend is Roman Catholic.",
        "Tom's boss is French.",
        "My dentist is Polish and strict.",
        "My car is German.",
        "My favourite band is British.",
        "my favourite band is british",
        "My cat is Persian.",
        "My dog is a German Shepherd.",
        "My gym is in Kreuzberg.",
        "My school is in Leeds.",
        "My favourite band is touring.",
    ],
)
def test_what_somebody_is_like_or_where_is_no_name(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("My husband is called Christian.", "partner", "christian"),
        ("My husband's name is German.", "partner", "german"),
        ("German is my husband.", "partner", "german"),
        ("My nationality is German.", "attr/nationality", "german"),
        ("My favourite cuisine is Thai.", "favourite/cuisine", "thai"),
        ("My favourite sport is climbing.", "favourite/sport", "climbing"),
        ("My employer is Dutch Railways.", "employer", "dutch railways"),
        ("My home is in Porto.", "residence", "porto"),
        ("My rent is at 900.", "attr/rent", "900"),
        ("My degree is in Chemistry.", "attr/degree", "chemistry"),
        ("My major is English.", "attr/major", "english"),
        ("My password is Persian.", "attr/password", "persian"),
        ("My birthday is on May 4.", "birthday", "05-04"),
    ],
)
def test_a_name_may_look_like_an_origin(text: str, attribute: str, value: str) -> None:
    assert read(text) == {attribute: value}


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("My last name is Jones.", "attr/surname", "jones"),
        ("My surname is Jones.", "attr/surname", "jones"),
        ("My first name is Ann.", "attr/first name", "ann"),
        ("My middle name is Ann.", "attr/middle name", "ann"),
        ("My maiden name is Jones.", "attr/maiden name", "jones"),
    ],
)
def test_a_last_name_is_no_former_name(text: str, attribute: str, value: str) -> None:
    fact = only(text)
    assert (fact.attribute, fact.value, fact.tense) == (attribute, value, "now")


def test_a_former_name_or_thing_is_past() -> None:
    assert [only(text).tense for text in ("My old last name was Jones.", "My first car was a Fiat.")] == ["past", "past"]


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("My birthday party is on May 16.", "plan/party/birthday", "05-16"),
        ("My birthday dinner is May 14.", "plan/dinner/birthday", "05-14"),
        ("Ella's birthday party is on July 4.", "plan/party/birthday", "07-04"),
        ("My flight to Oslo is on December 3.", "plan/flight/oslo", "12-03"),
        ("My flight to Oslo was moved to December 4.", "plan/flight/oslo", "12-04"),
        ("My flight back to Oslo is on December 3.", "plan/flight/oslo", "12-03"),
        ("My flight from Oslo is on December 10.", "plan/flight/from oslo", "12-10"),
        ("My flight back from Oslo is on December 10.", "plan/flight/from oslo", "12-10"),
        ("My flight home from Oslo is on December 10.", "plan/flight/from oslo", "12-10"),
        ("My flight home is on December 9.", "plan/flight/home", "12-09"),
    ],
)
def test_which_of_two_events_is_dated(text: str, attribute: str, value: str) -> None:
    assert read(text) == {attribute: value}


@pytest.mark.parametrize(
    "text",
    [
        "I'm seeing Dr. Miller tomorrow.",
        "I'm seeing Dr Miller.",
        "I'm seeing Bob for lunch tomorrow.",
        "I'm seeing Taylor Swift on Saturday!!",
        "I'm seeing Taylor Swift live!",
        "I'm seeing Bob about the roof.",
        "Tomorrow I'm seeing Bob.",
        "I'm seeing Bob.",
        "I'm seeing Bob and Lea.",
        "I'm finally seeing Bob!",
        "I'm not seeing Bob tomorrow.",
        "I'm seeing someone about the roof.",
    ],
)
def test_who_is_seen_on_a_day_or_for_a_purpose_is_no_partner(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "I'm seeing someone called Freya.",
        "I'm seeing somebody new, her name is Freya.",
        "I'm seeing a lovely girl named Freya.",
        "I'm seeing Freya now.",
        "I'm currently seeing Freya.",
        "I'm dating Freya.",
        "I'm seeing Freya for two years now.",
        "I started seeing Freya on Saturday.",
        "I've been seeing Freya since June.",
    ],
)
def test_who_is_seen_for_long_or_is_somebody_is_a_partner(text: str) -> None:
    assert read(text) == {"partner": "freya"}


@pytest.mark.parametrize(
    "text",
    [
        "I bought a toy Ferrari for Ben.",
        "I bought a toy Ferrari.",
        "I bought a model Ferrari.",
        "I bought a Kia for Dan.",
        "I bought a Kia yesterday for my daughter.",
        "I bought a Volvo share.",
        "I bought a Ford Mustang Lego set.",
    ],
)
def test_what_is_bought_for_others_or_no_car_is_not_driven(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I bought a Volvo for 5000 euros.", "volvo"),
        ("I bought a Volvo for work.", "volvo"),
        ("I bought a Tesla Model 3.", "tesla model 3"),
        ("I drive a Volvo for Uber.", "volvo"),
    ],
)
def test_what_is_bought_is_driven(text: str, value: str) -> None:
    assert read(text) == {"car": value}


@pytest.mark.parametrize(
    "text", ["I started at 8 today.", "I started at 9am.", "I work at the Cambridge office.", "I work at the Google campus."]
)
def test_an_hour_and_an_office_employ_nobody(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "value"), [("I started at Acme at 8.", "acme"), ("I work at 3M.", "3m"), ("I work at the British Museum.", "british museum")]
)
def test_a_firm_may_have_a_number_and_an_article(text: str, value: str) -> None:
    assert read(text) == {"employer": value}


def test_an_end_needs_no_name() -> None:
    assert only("I was laid off office-wide.").cue == "end"


@pytest.mark.parametrize(
    "text",
    [
        "I'm living in Bergen this month.",
        "I'm based in Bergen this month.",
        "I'm driving a Fiat 500 this week.",
        "I'm on a keto diet this month.",
        "I'm vegan for January.",
        "I'm vegan this month.",
        "I don't like coffee after 5pm.",
        "I like coffee before noon.",
    ],
)
def test_what_holds_for_a_while_is_no_state(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("I started living in Bergen this month.", "residence", "bergen"),
        ("I moved to Bergen this month.", "residence", "bergen"),
        ("I went vegan this month.", "diet", "vegan"),
        ("I became vegan in January.", "diet", "vegan"),
        ("I've been vegan since January.", "diet", "vegan"),
        ("I don't like coffee after all.", "likes/coffee", "coffee"),
    ],
)
def test_what_begins_then_goes_on(text: str, attribute: str, value: str) -> None:
    assert read(text) == {attribute: value}


@pytest.mark.parametrize("text", ["I don't just live in Boston, I love it.", "I do not only work at Acme.", "My car isn't just a Volvo."])
def test_not_only_denies_nothing(text: str) -> None:
    assert told(text) == []


def test_what_was_and_what_now_is_are_told_apart() -> None:
    found = told("My favourite restaurant used to be Zizzi, now it's Bundobust.")
    assert [(fact.value, fact.tense, fact.cue) for fact in found] == [("zizzi", "past", "end"), ("bundobust", "now", "change")]
    found = told("I used to work at Google but now I'm at Meta.")
    assert [(fact.value, fact.tense) for fact in found] == [("google", "past"), ("meta", "now")]


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("My favourite colour was red but now it's blue.", "favourite/colour", "blue"),
        ("Tom's favourite band used to be Oasis but these days it's Blur.", "favourite/band", "blur"),
        ("My car was a Fiat, it's now a Volvo.", "car", "volvo"),
    ],
)
def test_what_it_is_now_is_of_the_noun_before(text: str, attribute: str, value: str) -> None:
    assert [(fact.attribute, fact.value) for fact in told(text) if fact.tense == "now"] == [(attribute, value)]


@pytest.mark.parametrize("text", ["My cat used to be fat, now it's thin.", "My boss used to be nice, now it's awful."])
def test_what_it_is_like_now_is_no_value(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "My new job at N26 started today.",
        "today was my first day at N26!",
        "Monday was my first day as a nurse at N26.",
        "Had my first day at N26 today.",
        "My first day of work at N26 today!",
    ],
)
def test_a_first_day_changes_the_employer(text: str) -> None:
    fact = only(text)
    assert (fact.subject, fact.attribute, fact.value, fact.cue) == ("anna", "employer", "n26", "change")


@pytest.mark.parametrize(
    "text",
    [
        "My first day at Acme was in 2010.",
        "It was my first day at Acme when we met.",
        "Tomorrow is my first day at Acme.",
        "Today was my first day at Delft University.",
        "My wife's new job at N26 started today.",
        "If my new job at N26 started today I'd be glad.",
    ],
)
def test_other_first_days_change_none(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "subject", "facts"),
    [
        (
            "We've moved! Our new address is 12 Elm Street, Leeds.",
            "anna",
            {"residence/address": "12 elm street, leeds", "residence": "leeds"},
        ),
        ("My address changed to 12 Elm Street, Leeds.", "anna", {"residence/address": "12 elm street, leeds", "residence": "leeds"}),
        ("I moved to 12 Elm Street, Leeds.", "anna", {"residence/address": "12 elm street, leeds", "residence": "leeds"}),
        (
            "My sister's new address is 12 Elm Street, Leeds.",
            "anna/sister",
            {"residence/address": "12 elm street, leeds", "residence": "leeds"},
        ),
        ("My address is 12 Elm Street, Leeds.", "anna", {"residence/address": "12 elm street, leeds"}),
        ("My old address was 12 Elm Street, Leeds.", "anna", {"residence/address": "12 elm street, leeds"}),
        ("My new address is 12 Elm Street, Xville.", "anna", {"residence/address": "12 elm street, xville"}),
        ("My address is 12 Elm Street in Leeds.", "anna", {"residence/address": "12 elm street, leeds"}),
        ("I live at 12 Elm Street in the UK.", "anna", {"residence/address": "12 elm street, uk"}),
        ("I live at 12 Elm Street in May.", "anna", {}),
        ("I moved to 12 Elm Street in Leeds in 2021.", "anna", {"residence/address": "12 elm street, leeds", "residence": "leeds"}),
        ("My new address is 12 Elm Street.", "anna", {"residence/address": "12 elm street"}),
        ("I moved to 12 Elm Street.", "anna", {"residence/address": "12 elm street"}),
        ("Our new office address is 12 Elm Street, Leeds.", "anna", {}),
    ],
)
def test_a_new_address_in_a_town_is_a_new_home(text: str, subject: str, facts: dict[str, str]) -> None:
    assert read(text) == facts and {fact.subject for fact in told(text)} <= {subject}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I retired last month.", ""),
        ("I've retired from Acme.", "acme"),
        ("I retired from the army in May.", "army"),
        ("I retired from work.", ""),
        ("I retired at 60.", ""),
        ("I finally retired two months ago.", ""),
        ("My dad retired in 2010.", ""),
        ("Retired last month!", ""),
    ],
)
def test_who_retired_works_no_more(text: str, value: str) -> None:
    fact = only(text)
    assert (fact.attribute, fact.value, fact.polarity, fact.cue) == ("employer", value, False, "end")


@pytest.mark.parametrize(
    "text",
    [
        "I retired to bed.",
        "I retired early last night.",
        "I retired last night at nine.",
        "I retired my old laptop.",
        "I retired from smoking.",
        "I retired in my room.",
        "I will retire next year.",
        "If I retired I'd move.",
        "When I retired I felt old.",
    ],
)
def test_who_retired_to_bed_or_may_retire_works(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "attribute", "cue"),
    [
        ("I start at N26 tomorrow.", "employer", "change"),
        ("I start work at N26 on Monday.", "employer", "change"),
        ("I'm starting work at N26 on Monday.", "employer", "change"),
        ("Tomorrow I start at N26!", "employer", "change"),
        ("i start at n26 tomorrow", "employer", "change"),
        ("I start at N26 in March.", "employer", "statement"),
        ("I move to Oslo on Saturday.", "residence", "change"),
        ("We move to Oslo in June.", "residence", "statement"),
    ],
)
def test_the_plain_present_with_a_time_to_come_is_of_what_is_to_come(text: str, attribute: str, cue: str) -> None:
    fact = only(text)
    assert (fact.attribute, fact.tense, fact.cue) == (attribute, "future", cue)


@pytest.mark.parametrize(
    "text",
    [
        "I start at N26.",
        "I start at 8 tomorrow.",
        "I start at the gym tomorrow.",
        "I usually start at Acme at 9.",
        "I move to Oslo every summer.",
        "I have to move to Oslo on Saturday.",
        "I want to start at N26 tomorrow.",
        "Move to Oslo tomorrow!",
        "In 2010 I move to Oslo.",
        "Should I start at N26 tomorrow?",
        "My sister moves to Oslo tomorrow.",
        "I start at Delft University tomorrow.",
    ],
)
def test_the_plain_present_without_one_tells_nothing(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize("text", ["I work at N26.", "i work at n26", "I WORK AT N26", "I got a job at N26."])
def test_a_firm_may_have_digits(text: str) -> None:
    assert (only(text).attribute, only(text).value) == ("employer", "n26")


@pytest.mark.parametrize(
    "text",
    [
        "My favourite restaurant is closed.",
        "My favourite restaurant is closed on Mondays.",
        "My favourite restaurant is full of people.",
        "My favourite restaurant is gone.",
        "My favourite restaurant was sold out.",
        "My favourite restaurant is great.",
        "My favourite restaurant is really good for kids.",
        "My favourite restaurant is too far away.",
        "My favourite restaurant is closing down.",
        "My favourite restaurant is getting expensive.",
        "My favourite shop is out of business.",
        "my favourite restaurant is closed",
        "My favourite jacket is missing.",
        "My hobby is expensive.",
        "My thesis is finished.",
        "My rent is high.",
        "My favourite restaurants are closed and gone.",
    ],
)
def test_what_is_said_of_a_favourite_is_no_favourite(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("My favourite restaurant is Gone.", "favourite/restaurant", "gone"),
        ("My favourite colour is red.", "favourite/colour", "red"),
        ("My favourite colour is hot pink.", "favourite/colour", "hot pink"),
        ("My favourite food is hot dogs.", "favourite/food", "hot dogs"),
        ("my favourite drink is cold brew", "favourite/drink", "cold brew"),
        ("My favourite sport is swimming.", "favourite/sport", "swimming"),
        ("My favourite movie is tangled.", "favourite/movie", "tangled"),
        ("My hobby is pottery.", "attr/hobby", "pottery"),
        ("My password is open.", "attr/password", "open"),
        ("My favourite number is seven.", "favourite/number", "seven"),
    ],
)
def test_which_one_it_is_may_be_any_word(text: str, attribute: str, value: str) -> None:
    assert read(text) == {attribute: value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I live in Portland, Oregon.", "portland, oregon"),
        ("I live in Portland, OR, and love it.", "portland, oregon"),
        ("I moved to Portland, Maine in May.", "portland, maine"),
        ("i live in portland, oregon", "portland, oregon"),
        ("Home is Portland, Oregon.", "portland, oregon"),
        ("I live in Portland.", "portland"),
        ("I live in Portland, and my car is red.", "portland"),
        ("I live in Porto, Portugal.", "porto"),
        ("I live in Xville, Oregon.", "xville"),
    ],
)
def test_a_town_of_a_name_that_several_have_is_told_with_its_state(text: str, value: str) -> None:
    assert read(text) == {"residence": value}
