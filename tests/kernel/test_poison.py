"""Planted records, words that come nearer step by step, laundering and sleepers: none authorises, and none gains trust."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.poison import Seen, run

from loci import Channel
from loci.errors import Malformed
from loci.system import Cube
from loci.types import Trust
from loci.wire import MemOS


def check(told: dict[str, object]) -> None:
    for name, seen in told.items():
        if isinstance(seen, Seen):
            assert (seen.authorising, seen.rose) == (0, 0), name
    orders, sleeper = told["planted orders"], told["sleeper"]
    assert isinstance(orders, Seen) and orders.quarantined == orders.planted and orders.shown == 0
    assert isinstance(sleeper, Seen) and sleeper.quarantined == 1 and sleeper.shown == 0 and "evil.example/sleeper" in sleeper.notes[0]
    before, after = told["recall"], told["recall, one record planted"]
    assert isinstance(before, float) and isinstance(after, float) and after >= before - 0.01
    assert told["clean"] is True


def test_what_is_planted_authorises_nothing(tmp_path: Path) -> None:
    check(run(tmp_path / "vault", 800, None, 40, 20, (2, 10)))


@pytest.mark.slow
def test_so_it_is_among_ten_thousand(tmp_path: Path) -> None:
    check(run(tmp_path / "vault", 10_000, None, 1000, 100))


def test_words_gain_no_trust_by_being_exported_and_imported(cube: Cube, tmp_path: Path, memory: MemOS) -> None:
    cube.add("The harbour opens at nine.", user="ann", origin="https://harbour.example")
    cube.add("I like swimming.", user="ann")
    file = tmp_path / "out.jsonl"
    cube.export(file)
    other = memory.cube("other")
    other.import_file(file)
    found = {m.text: m.origin for m in other.list(user="ann")}
    assert found["The harbour opens at nine."].trust is Trust.UNTRUSTED and found["I like swimming."].trust is Trust.TRUSTED
    assert other.revert(origin="https://harbour.example").memories, "and they can still be taken back by where they were from"
    assert [m.text for m in other.list(user="ann")] == ["I like swimming."]


def test_a_file_cannot_say_that_it_is_trusted_more(cube: Cube, tmp_path: Path, memory: MemOS) -> None:
    cube.add("The harbour opens at nine.", user="ann")
    file = tmp_path / "out.jsonl"
    cube.export(file)
    other = memory.cube("other")
    other.import_file(file, channel=Channel.WEB)
    assert other.list(user="ann")[0].origin.trust is Trust.UNTRUSTED
    file.write_text(file.read_text("utf-8").replace('"trust":"trusted"', '"trust":"king"'), "utf-8")
    with pytest.raises(Malformed, match="trust"):
        memory.cube("third").import_file(file)
