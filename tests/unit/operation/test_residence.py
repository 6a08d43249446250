"""Pages at hand: found by the tokens so far, never more than there is room for, never taken from under whom they serve."""

from __future__ import annotations

import gc
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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


class Full(Machine):
    """There is no host memory to park in, whatever the settings say."""

    def park(self, page: Page) -> Page:
        raise MemoryError("cannot pin")


@pytest.mark.parametrize("way", ["take what is new", "take what is parked", "bring what is parked"])
def test_a_park_that_fails_holds_nothing(way: str) -> None:
    world = World(2, 5)
    world.take((1,) * 8).release()
    if way.endswith("parked"):
        world.take((2,) * 8).release()
    world.machine = Full()
    with pytest.raises(MemoryError, match="cannot pin"):
        if way.startswith("take"):
            world.take((1,) * 4 + (3,) * 4)
        else:
            bring(world, (1,) * 4)
    assert world.residence._nodes and not any(node.uses for node in world.residence._nodes.values())


def test_pages_that_are_let_go_are_not_at_hand() -> None:
    world = World(9, 9)
    world.take((1,) * 8).release()
    names = [str((1,) * 4), str((1,) * 8)]
    world.residence.keep({names[0]}, names)
    assert world.take((1,) * 8).tiers == {"device": 1, "disk": 1}


# -- ahead of time -------------------------------------------------------------------------------------------------------


def bring(world: World, ids: tuple[int, ...], wanted: Callable[[], bool] = lambda: True) -> Counter[str]:
    """Brings the pages of these tokens ahead; at every load from the disk nothing is over its room."""
    parts = [ids[start : start + BLOCK] for start in range(0, len(ids), BLOCK)]

    def load(place: int) -> Page:
        world.loads += 1
        world.check()
        return Page(parts[place])

    found = world.residence.bring([str(ids[: start + BLOCK]) for start in range(0, len(ids), BLOCK)], parts, load, wanted)
    world.check()
    return found.tiers


@settings(max_examples=80)
@given(st.integers(0, 1 << 20), st.integers(0, 12), st.integers(0, 12))
def test_bringing_ahead_exceeds_no_room_and_takes_nothing_that_is_in_use(seed: int, device: int, host: int) -> None:
    """Random histories of taking, releasing, bringing and letting go: as many bytes as there is room for, what is leased stays, and every
    page that is held is of its name's tokens."""
    world, chance, leases = World(device, host), random.Random(seed), []
    for ids in prompts(seed, 60):
        way = chance.random()
        if way < 0.4:
            bring(world, ids, chance.choice([lambda: True, lambda: chance.random() < 0.7]))
        elif way < 0.5:
            names = [str(ids[: start + BLOCK]) for start in range(0, len(ids), BLOCK)]
            world.residence.keep(names[:1], names)
            leases = [(lease, [page for page in held if page in nodes(world)]) for lease, held in leases]
        else:
            lease = world.take(ids)
            leases.append((lease, [page for page in lease.pages if page in nodes(world)]))
        while len(leases) > 3:
            leases.pop(chance.randrange(len(leases)))[0].release()
        world.check()
        assert all(page in nodes(world) for _, pages in leases for page in pages)
        assert all(name.endswith(f"{', '.join(map(str, node.page.ids))})") for name, node in world.residence._nodes.items())  # type: ignore[attr-defined]
        assert all(node.uses >= 0 for node in world.residence._nodes.values())


@pytest.mark.parametrize("seed", range(4))
def test_bringing_ahead_beside_threads_that_take(seed: int) -> None:
    world = World(6, 4)
    texts = prompts(seed, 30)

    def work(number: int) -> None:
        own = random.Random(f"{seed} {number}")
        for _ in range(60):
            ids = own.choice(texts)
            if number == 0:
                bring(world, ids, lambda: own.random() < 0.9)
            else:
                lease = world.take(ids)
                assert [i for page in lease.pages for i in page.ids] == list(ids)
                lease.release()

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, number) for number in range(4)]:
            done.result()
    world.check()
    assert not any(node.uses for node in world.residence._nodes.values())


def test_what_was_brought_is_at_hand_and_loaded_once() -> None:
    world = World(3, 3)
    assert bring(world, (1,) * 12) == {"disk": 3} and bring(world, (1,) * 12) == {} and world.loads == 3
    lease = world.take((1,) * 12)
    assert lease.tiers == {"device": 3} and world.loads == 3


def test_what_was_brought_goes_where_the_model_runs_and_then_to_the_host() -> None:
    world = World(2, 2)
    assert bring(world, (1,) * 20) == {"disk": 4} and world.loads == 5, "the fifth found no room, and ended it"
    assert world.residence.bytes() == {"device": 20, "host": 20}
    assert world.take((1,) * 20).tiers == {"device": 2, "host": 2, "disk": 1}, "the beginning came first and stayed"


def test_what_is_parked_comes_back() -> None:
    world = World(2, 4)
    world.take((1,) * 8).release()
    world.take((2,) * 8).release()
    assert bring(world, (1,) * 8) == {"host": 2} and world.loads == 4
    assert world.take((1,) * 8).tiers == {"device": 2}


def test_what_is_in_use_is_not_pushed_out() -> None:
    world = World(2, 0)
    lease = world.take((1,) * 8)
    assert bring(world, (2,) * 8) == {} and all(page in nodes(world) for page in lease.pages)
    lease.release()
    assert bring(world, (2,) * 8) == {"disk": 2}


def test_what_is_used_after_it_was_sent_for_is_not_pushed_out() -> None:
    """A turn that comes in between has the last word."""
    world = World(2, 0)

    def load(place: int) -> Page:
        world.take((3,) * 8).release()
        return Page((2,) * BLOCK)

    assert world.residence.bring(["x"], [(2,) * BLOCK], load, lambda: True).tiers == {}
    assert world.take((3,) * 8).tiers["device"] == 2


def test_what_is_no_longer_wanted_is_not_held() -> None:
    world = World(9, 9)
    answers = iter([True, True, True, False])
    assert bring(world, (1,) * 12, lambda: next(answers)) == {"disk": 1} and world.loads == 2
    assert len(nodes(world)) == 1, "the second was loaded, and let go"
