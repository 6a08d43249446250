"""Pages at hand: found by the tokens so far, never more than there is room for, never taken from under whom they serve."""

from __future__ import annotations

import gc
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loci.operation.residence import Lease, Residence

BLOCK = 4
SIZE = 10


@dataclass(frozen=True, eq=False)
class Page:
    ids: tuple[int, ...]
    place: str = "device"
    bytes: int = SIZE


class Machine:
    """Where pages are moved, and what was moved."""

    def __init__(self) -> None:
        self.parked = 0

    def park(self, page: Page) -> Page:
        self.parked += 1
        return Page(page.ids, "host")

    def fetch(self, page: Page) -> Page:
        assert page.place == "host"
        return Page(page.ids)


class World:
    def __init__(self, device: int, host: int) -> None:
        self.machine = Machine()
        self.residence = Residence(lambda: self.machine, device * SIZE, host * SIZE)  # type: ignore[arg-type, return-value]
        self.room = {"device": device * SIZE, "host": host * SIZE}
        self.loads = 0

    def take(self, ids: tuple[int, ...]) -> Lease:
        """Takes the pages of these tokens; at every load from the disk nothing is over its room."""
        parts = [ids[start : start + BLOCK] for start in range(0, len(ids), BLOCK)]
        names = [str(ids[: start + BLOCK]) for start in range(0, len(ids), BLOCK)]

        def load(place: int) -> Page:
            self.loads += 1
            self.check()
            return Page(parts[place])

        lease = self.residence.take(names, parts, load)
        self.check()
        assert [page.ids for page in lease.pages] == parts and all(page.place == "device" for page in lease.pages)
        return lease

    def check(self) -> None:
        assert all(size <= self.room[tier] for tier, size in self.residence.bytes().items())


def prompts(seed: int, count: int) -> list[tuple[int, ...]]:
    """Texts that branch off from one another."""
    chance, found = random.Random(seed), [(0,) * BLOCK]
    for _ in range(count):
        begun = chance.choice(found)
        begun = begun[: chance.randrange(0, len(begun) // BLOCK + 1) * BLOCK]
        found.append(begun + tuple(chance.randrange(3) for _ in range(BLOCK * chance.randrange(1, 4))))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_with_room_for_all_every_beginning_that_was_seen_is_at_hand(seed: int) -> None:
    world, seen = World(100_000, 0), set[tuple[int, ...]]()
    for ids in prompts(seed, 200):
        beginnings = [ids[: start + BLOCK] for start in range(0, len(ids), BLOCK)]
        expected = next((n for n, b in enumerate(beginnings) if b not in seen), len(beginnings))
        lease = world.take(ids)
        assert lease.tiers["device"] == expected and lease.tiers["disk"] == len(beginnings) - expected
        seen.update(beginnings)


@settings(max_examples=60)
@given(st.integers(0, 1 << 20), st.integers(0, 12), st.integers(0, 12))
def test_the_rooms_are_never_exceeded_and_what_is_in_use_stays(seed: int, device: int, host: int) -> None:
    world, chance, leases = World(device, host), random.Random(seed), []
    for ids in prompts(seed, 60):
        lease = world.take(ids)
        held = [page for page in lease.pages if page in nodes(world)]
        leases.append((lease, held))
        while len(leases) > 3:
            leases.pop(chance.randrange(len(leases)))[0].release()
        assert all(page in nodes(world) for lease, pages in leases for page in pages)


def nodes(world: World) -> list[object]:
    return [node.page for node in world.residence._nodes.values()]


def test_what_leaves_the_device_waits_in_the_host_and_comes_back() -> None:
    world = World(2, 2)
    for ids in ((1,) * 8, (2,) * 8):
        world.take(ids).release()
    assert world.machine.parked == 2 and world.residence.bytes() == {"device": 20, "host": 20}
    lease = world.take((1,) * 8)
    assert lease.tiers == {"host": 2} and world.loads == 4


def test_the_beginning_of_a_text_stays_longest() -> None:
    world = World(3, 0)
    world.take((1,) * 12).release()
    world.take((2,) * 4).release()
    assert world.take((1,) * 12).tiers == {"device": 2, "disk": 1}


def test_a_name_is_a_hint() -> None:
    residence = World(9, 0).residence
    residence.put(["a"], [Page((1, 2, 3, 4))])
    lease = residence.take(["a"], [(9, 9, 9, 9)], lambda place: Page((9, 9, 9, 9)))
    assert lease.tiers == {"disk": 1} and lease.pages[0].ids == (9, 9, 9, 9)


def test_a_lease_that_is_forgotten_is_released() -> None:
    world = World(1, 0)
    world.take((1,) * 4)
    gc.collect()
    world.take((2,) * 4).release()
    assert world.take((2,) * 4).tiers == {"device": 1}


def test_a_load_that_fails_holds_nothing() -> None:
    world = World(2, 0)

    def broken(place: int) -> Page:
        if place:
            raise OSError("gone")
        return Page((1,))

    with pytest.raises(OSError, match="gone"):
        world.residence.take(["a", "b"], [(1,), (2,)], broken)
    world.take((3,) * 8).release()
    assert world.take((3,) * 8).tiers == {"device": 2}


def test_pages_that_are_let_go_are_not_at_hand() -> None:
    world = World(9, 9)
    world.take((1,) * 8).release()
    names = [str((1,) * 4), str((1,) * 8)]
    world.residence.keep({names[0]}, names)
    assert world.take((1,) * 8).tiers == {"device": 1, "disk": 1}
