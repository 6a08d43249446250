"""Pages that are brought before they are asked for: the right ones, within their room, and never what was erased; what goes wrong is told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loci import MemOS, Message
from loci.errors import Corrupt, Denied, Invalid, Missing, Unavailable, Unsupported
from loci.ports.engine import Rates, Tier
from loci.system import Cube
from loci.testing import HashEngine, ManualClock, damage
from loci.types import Role

SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "The harbour opens at nine.")
QUESTION = "Where does Ann live?"
SECONDS = 30.0
Door = Callable[..., MemOS]


class Gated(HashEngine):
    """Decodes a page when it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.open = threading.Event(), threading.Event()
        self.decoded = 0

    def decode(self, *arguments: Any) -> Any:
        self.decoded += 1
        self.begun.set()
        assert self.open.wait(SECONDS)
        return super().decode(*arguments)


@pytest.fixture
def cube(open_vault: Door, clock: ManualClock) -> Cube:
    cube = open_vault(engine=HashEngine()).cube("main")
    for text in SAID:
        clock.advance(1)
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann")
    return cube


def ids(cube: Cube) -> list[str]:
    return [memory.id for memory in cube.list(user="ann")]


def at_hand(cube: Cube) -> int:
    return sum(cube._parts.residence.bytes().values())


def why(cube: Cube) -> str:
    return cube.generate(QUESTION, user="ann", max_tokens=1).attached.reason


def test_what_a_question_needs_is_at_hand_when_it_is_asked(cube: Cube, open_vault: Door) -> None:
    handle = cube.activate(ids(cube), user="ann")
    pages = len(cube.activation(handle.id).pages)
    assert why(open_vault(engine=HashEngine()).cube("main")) == f"pages: {pages} from the disk"
    fresh = open_vault(engine=HashEngine()).cube("main")
    errand = fresh.prepare(QUESTION, user="ann")
    assert errand.ids == (handle.id,) and errand.wait(SECONDS) == f"{handle.id}: pages: {pages} from the disk." and errand.is_done
    assert why(fresh) == f"pages: {pages} from the device"
    assert fresh.prepare(QUESTION, user="ann").wait(SECONDS) == f"{handle.id}: pages: none had to be brought."
    assert "prepare" not in fresh.search(QUESTION, user="ann").trace.missing


def test_a_guess_counts_as_no_use_and_is_in_the_log(cube: Cube, open_vault: Door) -> None:
    cube.activate(ids(cube), user="ann")
    fresh = open_vault(engine=HashEngine(), audit_reads=True).cube("main")
    fresh.prepare(QUESTION, user="ann").wait(SECONDS)
    fresh._scheduler.note_uses()
    assert all(memory.uses == 0 for memory in fresh.list(user="ann")) and fresh.activations(user="ann")[0].uses == 0
    assert [record.detail["verb"] for record in fresh.log(verb="read")][:1] == ["prepare"]


def test_nobody_waits_for_it(cube: Cube, open_vault: Door) -> None:
    handle = cube.activate(ids(cube), user="ann")
    engine = Gated()
    fresh = open_vault(engine=engine).cube("main")
    errand = fresh.prepare(QUESTION, user="ann")
    assert engine.begun.wait(SECONDS) and not errand.is_done
    with pytest.raises(Unavailable, match="still being brought"):
        errand.wait(0.01)
    assert fresh.search(QUESTION, user="ann").hits and fresh._parts.residence.bytes() == {"device": 0, "host": 0}
    lease = fresh._parts.residence.take(["other"], [(1,)], lambda place: HashEngine().read((1,))[0])
    lease.release()
    engine.open.set()
    assert handle.id in errand.wait(SECONDS) and why(fresh).endswith("from the device")


def test_activation_memories_can_be_named(cube: Cube, open_vault: Door) -> None:
    one, two = cube.activate(ids(cube)[:2], user="ann"), cube.activate(ids(cube)[2:], user="ann")
    fresh = open_vault(engine=HashEngine()).cube("main")
    errand = fresh.prepare(activations=[two.id, one.id], user="ann")
    assert errand.ids == (two.id, one.id) and errand.wait(SECONDS).count("from the disk") == 2
    attached = fresh.generate(QUESTION, user="ann", max_tokens=1, activations=[one.id, two.id], compose="block").attached
    assert attached.reason.endswith("from the device") and "disk" not in attached.reason


# -- what is left ----------------------------------------------------------------------------------------------------------


def test_what_is_not_worth_it_is_left_and_why(cube: Cube, open_vault: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading that takes longer than reading would not be done at the turn; ahead of it, up to a few times that."""
    for load_s, is_brought in ((0.01, True), (10.0, False)):
        monkeypatch.setattr(HashEngine, "rates", lambda engine, s=load_s: Rates(0.0, 1e-5, 0.0, 0.0, Tier(0.0, 1e12), Tier(s, 1e12)))
        handle = cube.activate(ids(cube), user="ann")
        fresh = open_vault(engine=HashEngine()).cube("main")
        assert "the text was read" in why(fresh)
        errand = fresh.prepare(QUESTION, user="ann")
        told = errand.wait(SECONDS)
        assert (errand.ids, handle.id in told) == (((handle.id,), True) if is_brought else ((), True))
        assert why(fresh).endswith("from the device") is is_brought and (at_hand(fresh) > 0) is is_brought
        if not is_brought:
            assert "it was left on the disk" in told
        cube.deactivate(handle.id)


def test_what_would_not_be_used_is_left(cube: Cube, open_vault: Door) -> None:
    handle = cube.activate(ids(cube), user="ann")
    other = open_vault(engine=HashEngine("another")).cube("main")
    assert "It was read with model" in other.prepare(activations=[handle.id], user="ann").wait() and at_hand(other) == 0
    fresh = open_vault(engine=HashEngine()).cube("main")
    fresh.update(ids(fresh)[0], "I live in Lisbon.")
    assert "read otherwise" in fresh.prepare(QUESTION, user="ann").wait() and at_hand(fresh) == 0
    cube.deactivate(handle.id)
    assert fresh.prepare(QUESTION, user="ann").wait() == "No activation memory holds what would be recalled."


@pytest.mark.parametrize(("device", "host"), [(0, 0), (2048, 0), (1024, 3072), (0, 4096), (10_000_000, 0)])
def test_it_stays_within_the_room_there_is(cube: Cube, open_vault: Door, device: int, host: int) -> None:
    handles = [cube.activate(some, user="ann") for some in (ids(cube)[:1], ids(cube)[1:3], ids(cube)[2:])]
    fresh = open_vault(engine=HashEngine(), kv_device_bytes=device, kv_host_bytes=host).cube("main")
    chance, text = random.Random(device + host), cube.generate(QUESTION, user="ann", max_tokens=3).text()
    for _ in range(12):
        chosen = chance.sample([handle.id for handle in handles], chance.randint(1, 3))
        told = fresh.prepare(activations=chosen, user="ann").wait(SECONDS)
        held = fresh._parts.residence.bytes()
        assert held["device"] <= device and held["host"] <= host
        if handles[0].bytes > device + host:
            assert "there is no room" in told
        found = fresh.generate(QUESTION, user="ann", max_tokens=3)
        assert found.text() == text


def test_what_there_is_no_room_for_is_told(cube: Cube, open_vault: Door) -> None:
    """An answer that is under way holds what there is."""
    handle = cube.activate(ids(cube), user="ann")
    fresh = open_vault(engine=HashEngine(), kv_device_bytes=handle.bytes, kv_host_bytes=0).cube("main")
    other = HashEngine().read((1,) * (handle.bytes // 16))
    lease = fresh._parts.residence.take(
        [str(place) for place in range(len(other))], [page.ids for page in other], lambda place: other[place]
    )
    assert fresh.prepare(QUESTION, user="ann").wait(SECONDS) == (
        f"{handle.id}: pages: none, and for the next there was no room beside what is in use."
    )
    lease.release()
    assert fresh.prepare(QUESTION, user="ann").wait(SECONDS).endswith("from the disk.")
    assert fresh.prepare(QUESTION, user="ann").wait(SECONDS).endswith("none had to be brought.")


# -- what is gone ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["erase", "drop", "cancel"])
def test_nothing_is_held_of_what_was_let_go_of_meanwhile(cube: Cube, open_vault: Door, way: str) -> None:
    handle = cube.activate(ids(cube), user="ann")
    engine = Gated()
    fresh = open_vault(engine=engine).cube("main")
    errand = fresh.prepare(QUESTION, user="ann")
    assert engine.begun.wait(SECONDS)
    if way == "erase":
        fresh.erase(user="ann")
    elif way == "drop":
        fresh.deactivate(handle.id)
    else:
        errand.cancel()
    engine.open.set()
    assert "not wanted any more" in errand.wait(SECONDS) and at_hand(fresh) == 0 and engine.decoded == 1
    assert "prepare" not in fresh.search(QUESTION, user="ann").trace.missing


def test_a_further_errand_ends_the_one_before(cube: Cube, open_vault: Door) -> None:
    one, two = cube.activate(ids(cube)[:2], user="ann"), cube.activate(ids(cube)[2:], user="ann")
    engine = Gated()
    fresh = open_vault(engine=engine).cube("main")
    first = fresh.prepare(activations=[one.id], user="ann")
    assert engine.begun.wait(SECONDS)
    second = fresh.prepare(activations=[two.id], user="ann")
    assert not second.is_done, "one at a time"
    engine.open.set()
    assert "not wanted" in first.wait(SECONDS) and "from the disk" in second.wait(SECONDS)
    assert at_hand(fresh) == 16 * len(cube.activation(two.id).ids)


def test_closing_ends_it(cube: Cube, open_vault: Door) -> None:
    cube.activate(ids(cube), user="ann")
    engine = Gated()
    memory = open_vault(engine=engine)
    errand = memory.cube("main").prepare(QUESTION, user="ann")
    assert engine.begun.wait(SECONDS)
    closing = threading.Thread(target=memory.close)
    closing.start()
    engine.open.set()
    closing.join(SECONDS)
    assert not closing.is_alive() and errand.is_done and engine.decoded == 1
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("loci-porter")]


def test_closing_a_cube_waits_for_its_errand_though_another_cube_s_came_after(cube: Cube, open_vault: Door) -> None:
    cube.activate(ids(cube), user="ann")
    engine = Gated()
    memory = open_vault(engine=engine)
    one, two = memory.cube("main"), memory.cube("other")
    two.add("I live in Oslo.", user="ann")
    engine.open.set()
    two.activate(ids(two), user="ann")
    memory._parts.residence.keep((), list(memory._parts.residence._nodes))
    engine.open.clear()
    engine.begun.clear()
    first = one.prepare(QUESTION, user="ann")
    assert engine.begun.wait(SECONDS)
    second = two.prepare(QUESTION, user="ann")
    assert second.ids and not first.is_done
    closing = threading.Thread(target=one.close)
    closing.start()
    closing.join(0.2)
    is_waiting = closing.is_alive()
    engine.open.set()
    closing.join(SECONDS)
    assert is_waiting and not closing.is_alive() and first.is_done and "not wanted" in first.wait(SECONDS)
    assert "from the disk" in second.wait(SECONDS), "the other cube's goes on"


# -- what goes wrong -------------------------------------------------------------------------------------------------------


def test_a_damaged_page_is_told_to_who_waits_and_in_the_next_search(cube: Cube, open_vault: Door, folder: Path) -> None:
    handle = cube.activate(ids(cube), user="ann")
    page = folder / "main.kv" / f"{cube.activation(handle.id).pages[-1].hash}.safetensors"
    damage(page)
    fresh = open_vault(engine=HashEngine()).cube("main")
    errand = fresh.prepare(QUESTION, user="ann")
    with pytest.raises(Corrupt, match="not as it was written"):
        errand.wait(SECONDS)
    assert "prepare" not in fresh.search(QUESTION, user="bob").trace.missing, "what goes wrong for ann is ann's"
    told = fresh.search(QUESTION, user="ann").trace.missing["prepare"]
    assert "Corrupt" in told and "not as it was written" in told
    assert "prepare" not in fresh.search(QUESTION, user="ann").trace.missing, "once"
    assert "not as it was written" in why(fresh)


def test_a_bug_in_a_driver_is_told_too(cube: Cube, open_vault: Door) -> None:
    class Broken(HashEngine):
        def decode(self, *arguments: Any) -> Any:
            raise ZeroDivisionError("of a driver")

    cube.activate(ids(cube), user="ann")
    fresh = open_vault(engine=Broken()).cube("main")
    with pytest.raises(ZeroDivisionError):
        fresh.prepare(QUESTION, user="ann").wait(SECONDS)
    assert "ZeroDivisionError: of a driver" in fresh.search(QUESTION, user="ann").trace.missing["prepare"]


def test_who_may_and_what_makes_no_sense(cube: Cube, open_vault: Door) -> None:
    handle = cube.activate(ids(cube), user="ann")
    memory = open_vault(engine=HashEngine())
    memory.grant("reader", Role.READER, cube="main", user="bob")
    reader = memory.acting("reader").cube("main")
    assert reader.prepare(QUESTION, user="bob").ids == ()
    with pytest.raises(Missing, match="There is no activation memory"):
        reader.prepare(activations=[handle.id], user="bob")
    with pytest.raises(Denied):
        reader.prepare(QUESTION, user="ann")
    for options in ({}, {"activations": [handle.id], "question": QUESTION}, {"activations": handle.id}):
        with pytest.raises(Invalid):
            cube.prepare(user="ann", **options)  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="no model that could read"):
        open_vault(engine=None).cube("main").prepare(QUESTION, user="ann")
