"""Which place lies in which."""

from __future__ import annotations

import pytest

from loci.text.places import is_same, lies_in, lies_there, told_apart, town_of


@pytest.mark.parametrize(
    ("place", "region"),
    [("porto", "portugal"), ("leeds", "england"), ("leeds", "united kingdom"), ("austin", "texas"), ("austin", "america"), ("portland", "maine"),
     ("portland", "oregon"), ("england", "uk")],
)  # fmt: skip
def test_a_town_lies_in_its_country_and_state(place: str, region: str) -> None:
    assert lies_in(place, region) and not lies_in(region, place)


@pytest.mark.parametrize(
    ("place", "region"),
    [
        ("porto", "germany"),
        ("porto", "porto"),
        ("portugal", "porto"),
        ("xville", "portugal"),
        ("porto", "xland"),
        ("portland, oregon", "maine"),
        ("london, england", "ontario"),
    ],
)
def test_nothing_else_lies_there(place: str, region: str) -> None:
    assert not lies_in(place, region)


@pytest.mark.parametrize(
    ("address", "town"),
    [
        ("12 elm street, leeds", "leeds"),
        ("12 elm street, ls1 4dy leeds, england", "leeds"),
        ("12 elm street, portland, oregon", "portland, oregon"),
        ("rua da rosa 7, 1200-345 lisboa", "lisboa"),
        ("12 elm street, new york", "new york"),
        ("12 elm street, xville, england", None),
        ("12 elm street", None),
        ("leeds street 12", None),
    ],
)
def test_the_town_of_an_address_stands_behind_the_street(address: str, town: str | None) -> None:
    assert town_of(address) == town


@pytest.mark.parametrize(
    ("town", "region", "apart"),
    [
        ("portland", "Oregon", "portland, oregon"),
        ("portland", "OR", "portland, oregon"),
        ("portland", "or", None),
        ("portland", "Anna", None),
        ("london", "UK", "london, uk"),
        ("london", "the moment", None),
        ("vermont", "USA", None),
        ("porto", "Portugal", None),
        ("toronto", "Ontario", None),
        ("xville", "Oregon", None),
    ],
)
def test_only_towns_of_one_name_are_told_apart(town: str, region: str, apart: str | None) -> None:
    assert told_apart(town, region) == apart


def test_two_places_are_one_as_far_as_they_are_told() -> None:
    assert is_same("portland", "portland") and is_same("portland, oregon", "portland") and is_same("london, uk", "london, england")
    assert not is_same("portland, oregon", "portland, maine") and not is_same("portland, oregon", "salem, oregon")


@pytest.mark.parametrize(
    ("address", "place", "is_there"),
    [
        ("12 elm street, leeds", "leeds", True),
        ("12 elm street, leeds", "england", True),
        ("12 elm street, leeds", "york", False),
        ("12 elm street, new york", "brooklyn", True),
        ("12 elm street, portland, oregon", "portland", True),
        ("12 elm street, portland, oregon", "portland, maine", False),
        ("12 elm street, xville", "xville", True),
        ("12 elm street, 10247 xville", "xville", True),
        ("12 elm street, xville", "leeds", None),
        ("12 elm street, xville, england", "leeds", True),
        ("12 elm street", "leeds", None),
    ],
)
def test_where_an_address_lies(address: str, place: str, is_there: bool | None) -> None:
    assert lies_there(address, place) is is_there
