"""Which claim gives way to which: a table of pairs, corrections without a key, and the laws that hold for any claims."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.policy.conflict import Claim, Supersede, Verdict, precedes, resolve

DAY = datetime(2024, 5, 1, 10)


def claim(memory: str, value: str, day: float = 0, **more: object) -> Claim:
    """Return Anna's own statement of where she lives, `day` days after the first of May."""
    base = Claim(
        memory, "anna", "residence", value, said_at=DAY + timedelta(days=day), seq=int(day * 100), speaker="anna", session=f"s{int(day)}"
    )
    return replace(base, **more)  # type: ignore[arg-type]


def known(*claims: Claim) -> list[Claim]:
    """Return the claims as they are held after one another."""
    held: list[Claim] = []
    for each in claims:
        verdict = resolve(each, held)
        held = [_closed(old, verdict) for old in held] + [verdict.claim]
    return held


def _closed(old: Claim, verdict: Verdict) -> Claim:
    for action in verdict.actions:
        if isinstance(action, Supersede) and action.old_id == old.memory:
            return replace(old, closed=True, valid_to=action.valid_to)
    return old


def kinds(verdict: Verdict) -> list[str]:
    return [type(action).__name__ for action in verdict.actions]


OLD = claim("old", "porto")


def test_a_child_does_not_grow_up_overnight() -> None:
    eight = claim("eight", "8", 0, subject="anna/son", attribute="age")
    for value, day, cue, expected in (
        ("12", 9, "statement", "Possible"), ("9", 9, "statement", "Supersede"), ("12", 4 * 365, "statement", "Supersede"),
        ("12", 9, "correction", "Supersede"), ("7", 9, "statement", "Supersede"), ("5", 9, "statement", "Possible"),
    ):  # fmt: skip
        assert kinds(resolve(replace(eight, memory="new", value=value, said_at=DAY + timedelta(days=day), cue=cue), [eight])) == [expected]


def test_a_statement_of_which_event_ends_nothing_that_did_not_say_which() -> None:
    trip = claim("old", "07", 0, attribute="plan/trip", sort="date")
    peru = claim("new", "09", 9, attribute="plan/trip/peru", sort="date")
    assert kinds(resolve(peru, [trip])) == ["Possible"]
    assert kinds(resolve(replace(peru, cue="change"), [trip])) == ["Supersede"]
    assert kinds(resolve(replace(trip, memory="new", value="08", said_at=peru.said_at), [replace(peru, memory="old", said_at=DAY)])) == [
        "Supersede"
    ]


@pytest.mark.parametrize(
    ("address", "later", "expected"),
    [
        ("12 baker street, london", {"value": "lisbon"}, ["Supersede"]),
        ("12 baker street, london", {"value": "lisbon", "cue": "change"}, ["Supersede"]),
        ("12 baker street, london", {"value": "lisbon", "cue": "change", "replaces": "porto"}, ["Supersede"]),
        ("12 baker street, london", {"value": "london", "cue": "change"}, []),
        ("12 baker street, london", {"value": "uk", "cue": "change"}, []),
        ("12 baker street, xville", {"value": "xville", "cue": "change"}, []),
        ("12 elm street, portland, oregon", {"value": "portland", "cue": "change"}, []),
        ("12 elm street, portland, oregon", {"value": "portland, maine", "cue": "change"}, ["Supersede"]),
        ("12 baker street", {"value": "lisbon"}, []),
        ("12 baker street", {"value": "lisbon", "cue": "change"}, ["Supersede"]),
        ("12 baker street", {"value": "lisbon", "cue": "change", "valid_from": DAY - timedelta(days=60)}, []),
        ("12 baker street, london", {"value": "london", "polarity": False}, ["Supersede"]),
        ("12 baker street, london", {"value": "", "polarity": False}, ["Supersede"]),
        ("12 baker street, london", {"value": "porto", "polarity": False}, []),
        ("12 baker street", {"value": "london", "polarity": False}, []),
        ("12 baker street, london", {"value": "porto", "tense": "past"}, []),
        ("12 baker street, london", {"value": "lisbon", "tense": "future", "valid_from": DAY + timedelta(days=60)}, ["Possible"]),
        ("12 baker street, london", {"value": "lisbon", "speaker": "bob"}, ["Possible"]),
        ("12 baker street, london", {"value": "lisbon", "subject": "bob"}, []),
    ],
)
def test_where_somebody_lives_ends_an_address_elsewhere(address: str, later: dict[str, object], expected: list[str]) -> None:
    """Whichever of the two arrives first."""
    at, home = claim("at", address, 0, attribute="residence/address"), claim("home", **{"value": "", "day": 9, **later})  # type: ignore[arg-type]
    assert kinds(resolve(home, known(at))) == expected
    late = resolve(replace(at, seq=5000), known(home))
    assert (late.superseded_by == "home") == (expected == ["Supersede"])


def test_an_address_ends_no_place_to_live_nor_when_one_did() -> None:
    home = claim("home", "lisbon")
    assert resolve(claim("at", "12 baker street, london", 9, attribute="residence/address"), [home]).actions == ()
    lived = resolve(claim("lived", "porto", 9, tense="past"), [claim("at", "12 baker street, london", 0, attribute="residence/address")])
    assert lived.claim.valid_to == lived.claim.said_at


def test_an_address_that_was_denied_is_not_ended() -> None:
    gone = claim("gone", "12 baker street, london", 0, attribute="residence/address", polarity=False)
    assert resolve(claim("home", "lisbon", 9, cue="change"), [gone]).actions == ()


def test_of_what_a_memory_says_of_a_home_each_ends_alone() -> None:
    both = [claim("old", "london"), claim("old", "12 baker street, london", attribute="residence/address")]
    assert [(a.old_id, a.value) for a in resolve(claim("new", "hackney", 9), both).actions if isinstance(a, Supersede)] == [
        ("old", "london"), ("old", "12 baker street, london"),
    ]  # fmt: skip
    next_door = claim("new", "14 baker street, london", 9, attribute="residence/address")
    assert [(a.old_id, a.value) for a in resolve(next_door, both).actions if isinstance(a, Supersede)] == [
        ("old", "12 baker street, london")
    ]


def test_who_left_a_town_left_the_address_in_it() -> None:
    at = claim("at", "12 baker street, london", 0, attribute="residence/address")
    left = replace(claim("new", "london", 9, polarity=False, cue="end"), subject=None, attribute=None, replaces="london")
    verdict = resolve(left, [at])
    assert kinds(verdict) == ["Supersede"] and (verdict.claim.attribute, verdict.claim.value) == ("residence", "london")
    assert kinds(resolve(replace(left, value="york", replaces="york"), [at])) == []
    assert kinds(resolve(left, [replace(at, subject="bob")])) == [], "it is another's"
    assert kinds(resolve(left, [claim("home", "london", 1), at])) == ["Supersede", "Supersede"]


def test_one_more_supersedes_nothing_and_is_superseded() -> None:
    also = claim("also", "lisbon", 9, arity="many")
    assert kinds(resolve(also, [OLD])) == []
    assert kinds(resolve(claim("new", "rome", 10, cue="change"), [OLD, also])) == ["Supersede", "Supersede"]


def test_claims_that_are_only_told_say_who_is_meant() -> None:
    tom = {"subject": "tom"}
    friend = claim("friend", "madrid", 1, relation="anna/friend", **tom)
    brother = claim("brother", "paris", 2, relation="anna/brother", closed=True, **tom)
    bare = claim("bare", "rome", 3, **tom)
    assert kinds(resolve(bare, [friend])) == ["Supersede"]
    assert kinds(resolve(bare, [friend], [brother])) == ["Possible"]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (claim("new", "porto", 9), ["Evidence"]),
        (claim("new", "porto", 9, cue="change"), ["Evidence"]),
        (claim("new", "lisbon", 9), ["Supersede"]),
        (claim("new", "lisbon", 9, cue="change"), ["Supersede"]),
        (claim("new", "lisbon", 9, cue="correction"), ["Supersede"]),
        (claim("new", "porto", 9, polarity=False, cue="end"), ["Supersede"]),
        (claim("new", "", 9, polarity=False, cue="end"), ["Supersede"]),
        (claim("new", "lisbon", 9, polarity=False, cue="end"), []),
        (claim("new", "porto", 9, tense="past", cue="end"), ["Supersede"]),
        (claim("new", "porto", 9, tense="past"), []),
        (claim("new", "lisbon", 9, tense="past", cue="end"), []),
        (claim("new", "lisbon", 9, tense="future"), []),
        (claim("new", "porto, portugal", 9), ["Evidence"]),
        (claim("new", "porto, portugal", 9, cue="change"), ["Supersede"]),
        (claim("new", "lisbon", 9, subject="anna/sister"), []),
        (claim("new", "lisbon", 9, subject="tom"), []),
        (claim("new", "lisbon", 9, attribute="employer"), []),
        (claim("new", "lisbon", 9, speaker="tom"), ["Possible"]),
        (claim("new", "lisbon", 9, speaker="tom", cue="change"), ["Supersede"]),
        (claim("new", "lisbon", 9, arity="many"), []),
        (claim("old", "lisbon", 9), []),
    ],
)
def test_what_a_later_claim_does_to_where_anna_lives(new: Claim, expected: list[str]) -> None:
    assert kinds(resolve(new, known(OLD))) == expected


def test_a_change_closes_the_old_claim_when_the_new_one_begins_and_says_why() -> None:
    verdict = resolve(claim("new", "lisbon", 9, cue="change", valid_from=DAY + timedelta(days=4)), known(OLD))
    (action,) = verdict.actions
    assert isinstance(action, Supersede)
    assert action.valid_to == DAY + timedelta(days=4)
    assert action.reason == "anna's residence: 'porto' changed to 'lisbon'"
    assert verdict.claim.valid_from == DAY + timedelta(days=4)


def test_a_slip_of_the_tongue_never_held() -> None:
    soon = claim("new", "lisbon", 0.01, cue="correction", session="s0")
    late = claim("new", "lisbon", 9, cue="correction")
    assert [action.valid_to for action in resolve(soon, known(OLD)).actions if isinstance(action, Supersede)] == [DAY]
    assert [action.valid_to for action in resolve(late, known(OLD)).actions if isinstance(action, Supersede)] == [late.said_at]


def test_an_older_statement_that_arrives_late_is_closed_by_the_newer_one() -> None:
    verdict = resolve(claim("late", "lisbon", -30, seq=999), known(OLD))
    assert verdict.actions == ()
    assert (verdict.claim.closed, verdict.claim.valid_to, verdict.superseded_by) == (True, DAY, "old")


def test_an_older_statement_ends_what_came_before_it_even_if_that_was_closed_already() -> None:
    held = known(claim("a", "porto", 0), claim("c", "rome", 20))
    verdict = resolve(claim("b", "lisbon", 10, seq=5000), held)
    assert verdict.actions == (Supersede("a", DAY + timedelta(days=10), "anna's residence: 'porto' later said to be 'lisbon'", "porto"),)
    assert verdict.claim.valid_to == DAY + timedelta(days=20)


def test_a_story_of_long_ago_does_not_close_what_was_said_since() -> None:
    story = claim("new", "lisbon", 9, cue="change", valid_from=datetime(2009, 1, 1))
    verdict = resolve(story, known(OLD))
    assert verdict.actions == ()
    assert verdict.superseded_by == "old"


def test_dates_that_both_claims_give_order_them() -> None:
    first = claim("first", "lisbon", 0, cue="change", valid_from=datetime(2021, 1, 1))
    second = claim("second", "porto", 5, cue="change", valid_from=datetime(2015, 1, 1))
    verdict = resolve(second, known(first))
    assert verdict.actions == ()
    assert verdict.claim.valid_to == datetime(2021, 1, 1)


def test_a_past_claim_ends_where_another_is_known_to_begin() -> None:
    verdict = resolve(claim("past", "rome", 9, tense="past", cue="end"), known(OLD))
    assert (verdict.claim.closed, verdict.claim.valid_to) == (True, DAY)
    told = resolve(claim("past", "rome", 9, tense="past", valid_to=datetime(2020, 1, 1)), known(OLD))
    assert told.claim.valid_to == datetime(2020, 1, 1)


def test_a_fuller_name_is_no_change_but_another_numbered_fact_is() -> None:
    school = {"attribute": "school", "sort": "name"}
    assert kinds(resolve(claim("b", "stanford university", 2, **school), known(claim("a", "stanford", 0, **school)))) == ["Evidence"]
    numbered = [claim(str(n), value, n, serial=n) for n, value in enumerate(("guinea", "equatorial guinea"))]
    assert kinds(resolve(numbered[1], known(numbered[0]))) == ["Supersede"]


def test_a_plan_gives_way_to_a_plan_and_is_confirmed_by_what_happens() -> None:
    held = known(claim("plan", "oslo", 1, tense="future"))
    assert kinds(resolve(claim("new", "bergen", 5, tense="future"), held)) == ["Supersede"]
    assert kinds(resolve(claim("new", "oslo", 5, cue="change"), held)) == ["Evidence"]
    assert kinds(resolve(claim("new", "bergen", 5, cue="change"), held)) == []


def test_numbered_facts_are_ordered_by_their_number() -> None:
    first = Claim("1", "veldora", "attr/capital", "arlen", serial=7, seq=2)
    second = Claim("2", "veldora", "attr/capital", "brisk", serial=3, seq=9)
    assert not precedes(first, second)
    assert resolve(second, known(first)).superseded_by == "1"


LIKES = {"attribute": "likes/coffee", "arity": "many"}
DOG = {"attribute": "pet_name/dog", "arity": "many", "sort": "name"}


def test_several_values_hold_side_by_side_until_one_is_named() -> None:
    allergic = claim("a", "nuts", 0, attribute="allergy", arity="many")
    assert kinds(resolve(claim("b", "cats", 1, attribute="allergy", arity="many"), known(allergic))) == []
    ends = claim("b", "nuts", 1, attribute="allergy", arity="many", polarity=False, cue="end")
    assert kinds(resolve(ends, known(allergic))) == ["Supersede"]
    likes = claim("a", "coffee", 0, **LIKES)
    assert kinds(resolve(claim("b", "coffee", 1, polarity=False, **LIKES), known(likes))) == ["Supersede"]


def test_a_new_name_replaces_the_only_dog_but_not_one_of_two() -> None:
    rex, ace = claim("a", "rex", 0, **DOG), claim("b", "ace", 1, **DOG)
    renamed = claim("c", "max", 2, cue="change", **DOG)
    assert kinds(resolve(ace, known(rex))) == []
    assert kinds(resolve(renamed, known(rex))) == ["Supersede"]
    assert kinds(resolve(renamed, known(rex, ace))) == ["Possible", "Possible"]
    assert resolve(replace(renamed, replaces="ace"), known(rex, ace)).actions[0].old_id == "b"


def test_the_appointment_means_the_only_appointment() -> None:
    dentist = claim("a", "monday", 0, attribute="plan/appointment/dentist", sort="date")
    eye = claim("b", "tuesday", 1, attribute="plan/appointment/eye", sort="date")
    moved = claim("c", "friday", 2, attribute="plan/appointment", sort="date", cue="change")
    assert kinds(resolve(eye, known(dentist))) == []
    verdict = resolve(moved, known(dentist))
    assert (kinds(verdict), verdict.claim.attribute) == (["Supersede"], "plan/appointment/dentist")
    assert kinds(resolve(moved, known(dentist, eye))) == ["Possible", "Possible"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("06-03", "2024-06-03", "Evidence"),
        ("june", "06-03", "Evidence"),
        ("monday", "06-03", "Evidence"),
        ("friday", "06-03", "Supersede"),
        ("06-03", "06-04", "Supersede"),
        ("june", "july", "Supersede"),
        ("2024-13-45", "06-04", "Supersede"),
    ],
)
def test_dates_agree_as_far_as_both_go(old: str, new: str, expected: str) -> None:
    wedding = {"attribute": "plan/wedding", "sort": "date"}
    assert kinds(resolve(claim("b", new, 2, **wedding), known(claim("a", old, 0, **wedding)))) == [expected]


def test_numbers_are_one_however_they_are_spaced() -> None:
    phone = {"attribute": "phone", "sort": "phone"}
    old = known(claim("a", "+44 20 7946 0018", 0, **phone))
    assert kinds(resolve(claim("b", "020 7946-0018", 1, **phone), old)) == ["Evidence"]
    assert kinds(resolve(claim("b", "020 7946-0019", 1, **phone), old)) == ["Supersede"]


# -- corrections without a key ----------------------------------------------------------------------------------------


def fix(value: str, minutes: float = 2, **more: object) -> Claim:
    """Return a correction that Anna makes in her next message."""
    made = claim("fix", value, minutes / 1440, subject=None, attribute=None, cue="correction", seq=50, turn=2, session="s0", sort="date")
    return replace(made, **more)  # type: ignore[arg-type]


MEETING = claim("a", "monday", 0, attribute="plan/meeting", sort="date", turn=1)


def test_a_correction_takes_the_key_of_what_was_just_said() -> None:
    verdict = resolve(fix("tuesday"), known(MEETING))
    assert verdict.actions == (Supersede("a", DAY, "anna's plan/meeting: 'monday' corrected to 'tuesday'"),)
    assert (verdict.claim.subject, verdict.claim.attribute, verdict.claim.valid_from) == ("anna", "plan/meeting", DAY)


@pytest.mark.parametrize(
    "new",
    [
        fix("tuesday", session="other"),
        fix("tuesday", speaker="tom"),
        fix("tuesday", minutes=45),
        fix("tuesday", turn=4),
        fix("555 0134", sort="phone"),
        fix("lisbon", sort="name"),
        fix("tuesday", replaces="friday"),
    ],
)
def test_a_correction_that_fits_nothing_just_said_does_nothing(new: Claim) -> None:
    verdict = resolve(new, known(MEETING))
    assert (verdict.actions, verdict.claim.subject) == ((), None)


def test_a_correction_that_may_mean_two_things_is_left_open() -> None:
    exam = claim("b", "thursday", 0.0001, attribute="plan/exam", sort="date", turn=1, session="s0")
    assert kinds(resolve(fix("tuesday"), known(MEETING, exam))) == ["Possible", "Possible"]
    named = resolve(fix("tuesday", replaces="thursday"), known(MEETING, exam))
    assert [action.old_id for action in named.actions] == ["b"]


def test_what_was_left_is_found_by_its_name() -> None:
    job = claim("a", "acme", 0, attribute="employer", sort="name")
    left = claim("b", "nimbus", 9, subject=None, attribute=None, cue="change", replaces="acme", sort="name")
    verdict = resolve(left, known(job, claim("c", "porto", 1)))
    assert ([action.old_id for action in verdict.actions], verdict.claim.attribute) == (["a"], "employer")
    moved = claim("b", "nimbus", 9, cue="change", replaces="acme", sort="name")
    assert resolve(moved, known(job)).claim.attribute == "employer"
    gone = claim("b", "porto", 9, subject=None, attribute=None, polarity=False, cue="end", replaces="porto", sort="name")
    assert kinds(resolve(gone, known(OLD))) == ["Supersede"]


# -- laws -------------------------------------------------------------------------------------------------------------

_VALUES = st.sampled_from(["porto", "lisbon", "porto, portugal", ""])
_SUBJECTS = st.sampled_from(["anna", "anna/sister", "tom"])
_ATTRIBUTES = st.sampled_from(["residence", "plan/trip", "plan/trip/rome", "pet_name/dog", "likes/tea", "phone"])
_TIMES = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)) | st.just(datetime(2020, 1, 1, tzinfo=UTC))
_CLAIMS = st.builds(
    Claim,
    memory=st.integers(0, 30).map(str),
    subject=_SUBJECTS,
    attribute=_ATTRIBUTES,
    value=_VALUES,
    polarity=st.booleans(),
    tense=st.sampled_from(["now", "past", "future"]),
    cue=st.sampled_from(["statement", "correction", "change", "end"]),
    arity=st.sampled_from(["one", "many"]),
    valid_from=_TIMES,
    valid_to=_TIMES,
    said_at=_TIMES,
    seq=st.integers(0, 99),
    speaker=st.sampled_from(["anna", "tom", None]),
    turn=st.none() | st.integers(1, 3),
    session=st.sampled_from(["s", None]),
    replaces=st.none() | _VALUES,
    sort=st.sampled_from(["name", "date", "phone"]),
    serial=st.none() | st.integers(0, 5),
)
_UNNAMED = _CLAIMS.map(lambda c: replace(c, subject=None, attribute=None))


@given(_CLAIMS, st.lists(_CLAIMS, max_size=8))
def test_nobody_elses_facts_are_touched(new: Claim, others: list[Claim]) -> None:
    others = [replace(old, memory=f"{i}", subject=f"somebody {i}") for i, old in enumerate(others)]
    assert resolve(new, others).actions == ()


@given(_CLAIMS | _UNNAMED, st.lists(_CLAIMS | _UNNAMED, max_size=8))
def test_the_same_facts_give_the_same_decision(new: Claim, others: list[Claim]) -> None:
    others = [replace(old, memory=f"{i}") for i, old in enumerate(others)]
    verdict = resolve(new, others)
    assert verdict == resolve(new, others)
    assert all(action.reason for action in verdict.actions)
    assert {action.old_id for action in verdict.actions} <= {old.memory for old in others} - {new.memory}


@given(_CLAIMS, _CLAIMS)
def test_a_restatement_supersedes_nothing(a: Claim, b: Claim) -> None:
    a = replace(a, memory="a", tense="now")
    b = replace(b, memory="b", subject=a.subject, attribute=a.attribute, value=a.value, polarity=a.polarity, tense="now")
    assert not any(isinstance(action, Supersede) for action in resolve(b, [a]).actions)


_STATEMENTS = st.builds(
    lambda value, polarity, tense, cue: Claim("", "anna", "residence", value, polarity=polarity, tense=tense, cue=cue, speaker="anna"),
    _VALUES,
    st.booleans(),
    st.sampled_from(["now", "now", "past", "future"]),
    st.sampled_from(["statement", "correction", "change", "end"]),
)


@given(st.lists(_STATEMENTS, max_size=7), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(said: list[Claim], random: Random) -> None:
    """Whatever order the messages are imported in: what holds at the end, and until when the rest held, is the same."""
    claims = [replace(each, memory=str(i), said_at=DAY + timedelta(days=i), session=f"s{i}") for i, each in enumerate(said)]
    shuffled = random.sample(claims, len(claims))
    outcomes = []
    for order in (claims, shuffled):
        held = known(*(replace(each, seq=seq) for seq, each in enumerate(order)))
        outcomes.append({(c.memory, c.closed, c.valid_from, c.tense == "past" or c.valid_to) for c in held})
    assert outcomes[0] == outcomes[1]


@given(_CLAIMS, _CLAIMS)
def test_of_two_claims_said_at_different_times_one_comes_first(a: Claim, b: Claim) -> None:
    if a.said_at and b.said_at and a.said_at.replace(tzinfo=UTC) != b.said_at.replace(tzinfo=UTC):
        assert precedes(a, b) != precedes(b, a)


@given(st.lists(_VALUES.filter(bool), min_size=1, max_size=6))
def test_exactly_the_last_value_holds(values: list[str]) -> None:
    held = known(*(claim(str(i), value, i, cue="change") for i, value in enumerate(values)))
    assert {c.value for c in held if not c.closed} == {values[-1]}
