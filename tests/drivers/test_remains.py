"""Looking for many runs of bytes at once finds what looking for each would."""

from __future__ import annotations

import random

import pytest

from loci.drivers.sqlite import remains
from loci.text.residue import PIECE


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remains, "RUN", 1 << 10)


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_what_looking_for_each_finds(seed: int) -> None:
    chance = random.Random(seed)
    data = bytes(chance.choices(b"ab\0" if seed % 2 else range(256), k=chance.randrange(5000)))
    there = [data[at : at + PIECE] for at in (chance.randrange(max(len(data) - PIECE, 1)) for _ in range(60))]
    absent = [bytes(chance.choices(b"ab\0", k=PIECE)) for _ in range(60)]
    for count in (remains.FEW, 1000):
        wanted = [piece for piece in there + absent if len(piece) == PIECE][:count]
        assert remains.occurring(wanted, data) == {piece for piece in wanted if piece in data}


def test_it_finds_at_every_place_also_across_runs() -> None:
    absent = [b"%024d" % number for number in range(remains.FEW)]
    for place in (*range(9), *range(1015, 1033), 2048, 3000 - PIECE):
        data = bytearray(3000)
        data[place : place + PIECE] = b"the kettle is mandragora"
        assert remains.occurring([b"the kettle is mandragora", *absent], bytes(data)) == {b"the kettle is mandragora"}


def test_of_nothing_and_in_nothing() -> None:
    many = [b"%024d" % number for number in range(100)]
    assert remains.occurring([], b"x" * 100) == remains.occurring(many, b"") == remains.occurring(many, many[0][:-1]) == set()
    assert remains.occurring(many, b"".join(many)) == set(many) and remains.occurring([bytes(PIECE), *many], bytes(5000)) == {bytes(PIECE)}
