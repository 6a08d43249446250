"""Many processes of many threads write one scope of one cube at once. `python -m bench.crowd` measures it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from bench.crowd import CUBE, USER, Crowd, add, add_shared, added, gather, sent, update, updated

from loci.drivers.sqlite.turns import Turns
from loci.wire import MemOS

SMALL = (4, 2, 25)
LARGE = (8, 4, 1000)
SIZES = [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)]


def is_whole(crowd: Crowd) -> bool:
    assert not crowd.refused, crowd.refused
    return True


@pytest.mark.parametrize("size", SIZES)
def test_what_all_add_at_once_is_there_once(tmp_path: Path, size: tuple[int, int, int]) -> None:
    processes, threads, count = size
    crowd = gather(tmp_path, add, *size)
    assert is_whole(crowd) and crowd.done == processes * threads * count and crowd.ignored == 0
    assert added(tmp_path, sent(add, processes * threads, count)) == []


@pytest.mark.parametrize("size", SIZES)
def test_what_two_send_at_once_is_journaled_once(tmp_path: Path, size: tuple[int, int, int]) -> None:
    processes, threads, count = size
    crowd, expected = gather(tmp_path, add_shared, *size), sent(add_shared, processes * threads, count)
    assert is_whole(crowd) and crowd.done == len(expected) and crowd.ignored == processes * threads * count - len(expected) > 0
    assert added(tmp_path, expected) == []


@pytest.mark.parametrize("size", [SMALL, pytest.param((8, 4, 50), marks=pytest.mark.slow)])
def test_of_updates_of_one_memory_each_is_a_version_or_a_conflict(tmp_path: Path, size: tuple[int, int, int]) -> None:
    processes, threads, count = size
    with MemOS.open(tmp_path, embedder="none", background=False) as memory:
        memory.cube(CUBE).add("The kettle is blue.", user=USER)
    crowd = gather(tmp_path, update, *size)
    assert is_whole(crowd) and crowd.done + crowd.conflicts == processes * threads * count and crowd.done > 0
    assert updated(tmp_path, crowd.done) == []


def test_turns_are_handed_on_in_the_order_they_were_asked_for() -> None:
    turns, order = Turns(), []
    assert turns.take(0)
    threads = []
    for number in range(5):

        def wait(number: int = number) -> None:
            assert turns.take(60)
            order.append(number)
            turns.give()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()
        while len(turns._waiting) <= number:
            pass
    turns.give()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4] and turns.take(0)


def test_a_turn_that_does_not_come_is_given_up() -> None:
    turns = Turns()
    assert turns.take(0) and not turns.take(0.01)
    turns.give()
    assert turns.take(0) and not turns._waiting
