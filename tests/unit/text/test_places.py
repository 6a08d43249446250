"""Which place lies in which."""

from __future__ import annotations

import pytest

from loci.text.places import lies_in


@pytest.mark.parametrize(
    ("place", "region"),
    [("porto", "portugal"), ("leeds", "england"), ("leeds", "united kingdom"), ("austin", "texas"), ("austin", "america"), ("portland", "maine"),
     ("portland", "oregon"), ("england", "uk")],
)  # fmt: skip
def test_a_town_lies_in_its_country_and_state(place: str, region: str) -> None:
    assert lies_in(place, region) and not lies_in(region, place)


@pytest.mark.parametrize(
    ("place", "region"), [("porto", "germany"), ("porto", "porto"), ("portugal", "porto"), ("xville", "portugal"), ("porto", "xland")]
)
def test_nothing_else_lies_there(place: str, region: str) -> None:
    assert not lies_in(place, region)
