"""The queue of a cube: what fails is tried again and then waits for somebody, users take turns, and who is waited for comes first."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loci import Message
from loci.cli import queue
from loci.errors import Conflict, Denied, EmbedderFailed, Invalid, JobFailed, LociError, Missing
from loci.operation import pace as pace_module
from loci.operation import scheduler, work
from loci.operation.pace import Pace
from loci.ports.queue import MOST_WAIT
from loci.system import Cube
from loci.testing import HashEmbedder, HashEngine, ManualClock
from loci.wire import MemOS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POISON = "poison"


class Picky(HashEmbedder):
    """Fails over any text that holds a word, and keeps what it was given."""

    is_picky = True

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[str, ...]] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.given.append(tuple(texts))
        if self.is_picky and any(POISON in text for text in texts):
            raise EmbedderFailed("it cannot take that")
        return super().embed(texts)


class Slow(HashEmbedder):
    """Takes five milliseconds a text, and notes when each call began and ended."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[float, float, int]] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        begun = time.perf_counter()
        time.sleep(0.005 * len(texts))
        self.calls.append((begun, time.perf_counter(), len(texts)))
        return super().embed(texts)


class Quoting(HashEmbedder):
    """Says what it was given when it fails, after something else has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.meanwhile()
        raise EmbedderFailed(f"the server answered 400: {texts[0]!r}")


class Sparse(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return super().embed(texts)[1:] if len(texts) > 1 else super().embed(texts)


class Broken(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ZeroDivisionError("a bug")


class Interrupted(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise KeyboardInterrupt


class Breathing:
    """The breath of work in the background, with a pace."""

    seconds = scheduler.PIECE_SECONDS

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def __call__(self) -> None:
        self._pace.wait()

    @property
    def rest(self) -> Callable[[], None]:
        return self._pace.wait


def work_for(cube: Cube, clock: ManualClock, hours: int) -> None:
    """Works whatever becomes due in that time."""
    for _ in range(hours):
        with contextlib.suppress(LociError):
            cube.drain()
        clock.advance(hours=1)


def test_what_always_fails_ends_dead_and_holds_nothing_up(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    embedder = Picky()
    cube = open_vault(embedder=embedder).cube("main")
    for n in range(6):
        cube.add(f"The kettle number {n} is blue.", user="ana")
    bad = cube.add(f"The {POISON} is in the kettle.", user="ana").ids[0]
    work_for(cube, clock, 48)
    (dead,) = cube.jobs()
    assert (dead.state, dead.attempts, dead.user) == ("dead", scheduler.MOST_ATTEMPTS, "ana") and "cannot take that" in dead.error
    assert cube.pending() == 0 and cube.verify().is_clean
    assert "1 of 7" in cube.search("kettle", user="ana").trace.missing["dense"]
    assert [record.object for record in cube.log(verb="bury")] == [str(dead.seq)]
    tries = len(embedder.given)
    work_for(cube, clock, 48)
    assert len(embedder.given) == tries, "what is dead is not tried"
    embedder.is_picky = False
    assert cube.retry(dead.seq).state == "dead"
    cube.drain()
    assert not cube.jobs() and bad in cube.search("poison", user="ana").ids and not cube.search("kettle", user="ana").trace.missing


def test_an_answer_takes_no_lock_for_what_waits_for_another_try(
    open_vault: Callable[..., MemOS], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = Picky()
    cube = open_vault(embedder=embedder).cube("main")
    cube.add(f"The {POISON} is in the kettle.", user="ana")
    assert "1 of 1" in cube.search("kettle", user="ana").trace.missing["dense"]
    with monkeypatch.context() as patched:
        patched.setattr(type(cube._store), "try_write", lambda *_: pytest.fail("a lock was asked for"))
        cube.search("kettle", user="ana")
    clock.advance(hours=1)
    cube.search("kettle", user="ana")
    assert sum(POISON in text for texts in embedder.given for text in texts) == 2, "its time has come"


def test_a_failure_is_tried_again_by_itself(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    from loci.drivers.clock import SystemClock

    monkeypatch.setattr(scheduler, "RETRY", timedelta(milliseconds=150))
    monkeypatch.setattr(scheduler, "PAUSE_SECONDS", 0.02)
    embedder = Picky()
    cube = open_vault(embedder=embedder, clock=SystemClock(), is_background=True).cube("main")
    cube.add(f"The {POISON} is in the kettle.")
    assert until(lambda: len(embedder.given) > 1)
    embedder.is_picky = False
    assert until(lambda: cube.pending() == 0)


def test_a_paused_queue_stands_still_and_says_so(open_vault: Callable[..., MemOS]) -> None:
    embedder = Picky()
    cube = open_vault(embedder=embedder).cube("main")
    cube.pause(reason="backup at night")
    cube.add("The kettle is blue.", user="ana")
    assert cube.drain() == 0 and cube.pending() == 1 and cube.paused() == "backup at night"
    missing = cube.search("kettle", user="ana").trace.missing["dense"]
    assert "1 of 1" in missing and not embedder.given[:-1], "of the question alone there was a vector"
    cube.resume()
    assert cube.drain() == 1 and cube.paused() is None and not cube.search("kettle", user="ana").trace.missing
    assert [record.verb for record in cube.log() if record.verb in ("pause", "resume")] == ["pause", "resume"]


def test_what_was_cancelled_stays_until_it_is_retried(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault(embedder=HashEmbedder())
    cube = memory.cube("main")
    cube.add("The kettle is blue.", user="ana")
    (job,) = cube.jobs(state="ready")
    assert cube.cancel(job.seq, reason="not now").state == "ready"
    assert cube.drain() == 0 and cube.jobs(state="cancelled")[0].seq == job.seq and cube.verify().is_clean
    assert cube.log(verb="cancel")[0].detail["reason"] == "not now"
    cube.retry(job.seq)
    assert cube.drain() == 1 and not cube.jobs()
    with pytest.raises(Missing):
        cube.job(job.seq)


def test_who_has_little_to_do_does_not_wait_for_who_has_much(open_vault: Callable[..., MemOS]) -> None:
    embedder = Picky()
    cube = open_vault(embedder=embedder).cube("main")
    for part in range(5):
        cube.add([Message("user", f"The kettle number {part} {n} is blue.") for n in range(work.BATCH)], user="ana")
    cube.add("The roof is red.", user="bo")
    steps = iter((False, False, True))
    cube.drain(lambda: next(steps))
    assert any("roof" in text for texts in embedder.given for text in texts) and cube.pending() == 3


def test_a_session_with_little_to_do_does_not_wait_for_another_of_the_same_user(open_vault: Callable[..., MemOS]) -> None:
    embedder = Picky()
    cube = open_vault(embedder=embedder).cube("main")
    for n in range(2 * work.BATCH):
        cube.add(f"The kettle number {n} is blue.", user="ana", session="long")
    cube.add("The roof is red.", user="ana", session="short")
    steps = iter((False, True))
    cube.drain(lambda: next(steps))
    assert any("roof" in text for texts in embedder.given for text in texts) and cube.pending() > work.BATCH


def test_a_worker_goes_round_the_cubes(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "TURN_SECONDS", 0.0)
    embedder = Picky()
    memory = open_vault(embedder=embedder)
    for part in range(4):
        memory.cube("first").add([Message("user", f"The kettle number {part} {n} is blue.") for n in range(work.BATCH)])
    memory.cube("second").add("The roof is red.")
    steps, failures, left = queue._work(memory, None, threading.Event(), True, queue.Plans(None))
    roof = next(place for place, texts in enumerate(embedder.given) if any("roof" in text for text in texts))
    assert 0 < roof < len(embedder.given) - 1 and (steps, failures, left) == (5, {}, {})


def test_work_gives_way_to_calls(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces of work there is somebody to ask; a piece takes about as long as a call may wait."""
    monkeypatch.setattr(work, "LONGEST", 0.025)
    embedder, pace = Slow(), Pace()
    given = {number: f"The kettle number {number} is blue." for number in range(60)}
    done = threading.Event()

    def background() -> None:
        work.Embedding(embedder).compute(given, Breathing(pace))
        done.set()

    thread = threading.Thread(target=background)
    thread.start()
    assert until(lambda: len(embedder.calls) >= 2)
    with pace.foreground():
        begun = time.perf_counter()
        time.sleep(1.3)
        ended = time.perf_counter()
    assert done.wait(10) and sum(size for _, _, size in embedder.calls) == 60
    assert not [start for start, _, _ in embedder.calls if begun + 0.05 < start < ended]
    thread.join()


@pytest.mark.parametrize("longest, is_larger", [(0.025, False), (5.0, True)])
def test_a_piece_ends_before_its_jobs_are_given_to_others(monkeypatch: pytest.MonkeyPatch, longest: float, is_larger: bool) -> None:
    """A model elsewhere takes nothing of this machine, and still its time: a piece may be large, not endless."""
    monkeypatch.setattr(work, "LONGEST", longest)
    embedder = Slow()
    work.Embedding(embedder).compute({number: f"The kettle number {number} is blue." for number in range(60)}, Breathing(Pace()))
    first, second = (size for _, _, size in embedder.calls[:2])
    assert first == work.PIECE and (second > work.PIECE) == is_larger


def test_work_goes_on_though_calls_never_cease(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long time, and then for a small share of it, a spell at a time."""
    monkeypatch.setattr(pace_module, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(pace_module, "AGAIN_SECONDS", 0.2)
    pace, begun, pieces = Pace(), time.monotonic(), list[float]()
    with pace.foreground():
        while time.monotonic() - begun < 0.8:
            pace.wait()
            pieces.append(time.monotonic() - begun)
            time.sleep(0.01)
        assert min(pieces) >= 0.3 and max(later - one for one, later in itertools.pairwise(pieces)) >= 0.2
        assert len(pieces) < 25, "of eighty"
    pace.wait()
    with pace.foreground():
        begun = time.monotonic()
        pace.wait(lambda: time.monotonic() - begun > 0.25)
        assert time.monotonic() - begun > 0.25, "nobody has waited for long now"


def test_what_stands_still_for_a_call_keeps_its_jobs_and_holds_nobody_up(
    open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch
) -> None:
    from loci.drivers.clock import SystemClock

    monkeypatch.setattr(scheduler, "LEASE", timedelta(milliseconds=400))
    monkeypatch.setattr(scheduler, "HELD_SECONDS", 0.1)
    monkeypatch.setattr(work, "LONGEST", 0.05)
    embedder, other = Slow(), Picky()
    cube = open_vault(embedder=embedder, clock=SystemClock(), is_background=True).cube("main")
    cube.add([Message("user", f"The kettle number {n} is blue.") for n in range(60)], user="ana")
    assert until(lambda: bool(embedder.calls))
    with cube._parts.pace.foreground():
        assert until(cube._scheduler._standing.is_set)
        begun = time.monotonic()
        assert cube.search("kettle", user="ana").trace.missing["dense"] and time.monotonic() - begun < scheduler.SETTLE_SECONDS
        time.sleep(0.8)
        assert open_vault(embedder=other, clock=SystemClock()).cube("main").drain() == 0 and not other.given
    assert until(lambda: cube.pending() == 0) and sum(size for _, _, size in embedder.calls if size > 1) == 60


def test_who_closes_a_cube_waits_for_no_call(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LONGEST", 0.05)
    embedder = Slow()
    memory = open_vault(embedder=embedder, is_background=True)
    cube = memory.cube("main")
    cube.add([Message("user", f"The kettle number {n} is blue.") for n in range(60)], user="ana")
    assert until(lambda: bool(embedder.calls))
    with cube._parts.pace.foreground():
        begun = time.monotonic()
        memory.close()
        assert time.monotonic() - begun < 5.0


def test_an_answer_is_waited_for_until_its_last_piece_or_until_who_reads_it_lets_go(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault(engine=HashEngine())
    cube = memory.cube("main")
    cube.add("The kettle is blue.", user="ana")
    pace, answer = cube._parts.pace, cube.generate("What is blue?", user="ana", max_tokens=6)
    assert not pace.has_calls
    pieces = iter(answer)
    first = next(pieces)
    assert pace.has_calls
    pieces.close()  # type: ignore[attr-defined]
    assert not pace.has_calls
    for piece in answer:
        assert pace.has_calls and piece
        break
    assert not pace.has_calls and answer.text().startswith(first) and not pace.has_calls
    assert answer.text() == cube.generate("What is blue?", user="ana", max_tokens=6).text()


def test_reading_a_prompt_is_waited_for(open_vault: Callable[..., MemOS]) -> None:
    engine, seen = HashEngine(), list[bool]()
    cube = open_vault(engine=engine).cube("main")
    cube.add("The kettle is blue.", user="ana")
    read = engine.read
    engine.read = lambda *given, **named: seen.append(cube._parts.pace.has_calls) or read(*given, **named)  # type: ignore[method-assign, func-returns-value]
    cube.activate(about="kettle", user="ana")
    assert seen and all(seen)


def test_the_queue_is_the_owners(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault(embedder=HashEmbedder())
    memory.cube("main").add("The kettle is blue.", user="ana")
    (job,) = memory.cube("main").jobs()
    for name, role in (("eve", "auditor"), ("mel", "curator"), ("rob", "reader")):
        memory.grant(name, role, cube="main")
        other = memory.acting(name).cube("main")
        asks = (other.jobs, other.pause, other.pending, other.paused, lambda o=other: o.job(job.seq), lambda o=other: o.cancel(job.seq))
        for forbidden in (*asks, lambda o=other: o.retry(job.seq)):
            with pytest.raises(Denied):
                forbidden()
    assert memory.cube("main").jobs() == [job]


def test_who_works_the_queue_learns_nothing_of_others_words(open_vault: Callable[..., MemOS]) -> None:
    """What a driver says of a text it cannot take may quote it."""
    memory = open_vault(embedder=Quoting())
    memory.cube("main").add("My safe code is 4711.", user="ana")
    memory.grant("mallory", "reader", cube="main", user="bo")
    with pytest.raises(EmbedderFailed) as told:
        memory.acting("mallory").cube("main").drain()
    assert "4711" not in repr(told.value) and told.value.__cause__ is None
    assert "4711" in memory.cube("main").jobs()[0].error, "the owner sees why"


def test_what_was_erased_while_it_was_worked_on_comes_back_in_no_error(open_vault: Callable[..., MemOS], folder: Path) -> None:
    embedder = Quoting()
    cube = open_vault(embedder=embedder).cube("main")
    id = cube.add("My zanzibar code is 4711.", user="ana").ids[0]
    cube.add("The roof is red.", user="ana")
    embedder.meanwhile = lambda: cube.erase(id)
    with pytest.raises(EmbedderFailed):
        cube.drain()
    assert {job.error for job in cube.jobs()} == {"embedder_failed"}
    assert not any(b"zanzibar" in file.read_bytes().lower() for file in folder.rglob("*") if file.is_file())


def test_a_bug_is_the_embedders_only_where_that_was_asked(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    memory = open_vault(embedder=Broken())
    cube = memory.cube("main")
    cube.add("The roof is red.", user="ana")
    with pytest.raises(EmbedderFailed, match=r"embed.*ZeroDivisionError: a bug"):
        cube.drain()
    monkeypatch.setattr(work.Rereading, "compute", lambda *_: 1 // 0)
    for door in (memory, memory.acting("mallory")):
        memory.grant("mallory", "reader", cube="main")
        with cube._store.write(memory._parts.clock.now()) as tx:
            tx.enqueue("read", {"source": "s1", "memory": "m1"})
        with pytest.raises(JobFailed, match=r"read.*ZeroDivisionError" if door is memory else "loci jobs list"):
            door.cube("main").drain()


def test_an_embedder_that_answers_too_little_is_told(open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault(embedder=Sparse()).cube("main")
    cube.add([Message("user", f"The kettle number {n} is blue.") for n in range(20)], user="ana")
    with pytest.raises(EmbedderFailed, match=r"7 vectors for 8"):
        cube.drain()
    assert cube.pending() and "20 of 20" in cube.search("kettle", user="ana").trace.missing["dense"]


def test_long_work_holds_its_jobs(open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, and a batch that takes longer than a lease: it is done once all the same."""
    from loci.drivers.clock import SystemClock

    monkeypatch.setattr(scheduler, "LEASE", timedelta(milliseconds=400))
    monkeypatch.setattr(scheduler, "HELD_SECONDS", 0.1)
    monkeypatch.setattr(scheduler, "ALONE_SECONDS", 0.05)
    embedder = Slow()
    first, second = (open_vault(embedder=embedder, clock=SystemClock()).cube("main") for _ in range(2))
    first.add([Message("user", f"The kettle number {n} is blue.") for n in range(200)])
    threads = [threading.Thread(target=cube.drain) for cube in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.pending() == 0 and sum(size for _, _, size in embedder.calls) == 200


def test_interrupts_are_no_failures(open_vault: Callable[..., MemOS]) -> None:
    embedder = Interrupted()
    cube = open_vault(embedder=embedder).cube("main")
    cube.add("The kettle is blue.")
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            cube.drain()
    assert [(job.state, job.attempts, job.error) for job in cube.jobs()] == [("ready", 0, "interrupted")]


def test_an_erased_user_is_in_no_job(open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    cube.add("The kettle is blue.", user="ana")
    cube.erase(user="ana")
    assert [job.user for job in cube.jobs()] in ([], [None])
    cube.add("The roof is red.", user="bo")
    assert cube.drain() and not cube.jobs()


def test_a_job_that_ends_its_workers_is_tried_later_and_later_and_is_dead_in_the_end(
    open_vault: Callable[..., MemOS], clock: ManualClock
) -> None:
    """A worker that was killed says nothing: its lease runs out."""
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    cube.add("The kettle is blue.", user="ana")
    waits = []
    for attempt in range(scheduler.MOST_ATTEMPTS):
        with cube._store.write(clock.now()) as tx:
            (job,) = tx.lease("embed", f"killed {attempt}", clock.now() + scheduler.LEASE, 1)
        clock.advance(minutes=2)
        assert cube._scheduler.work() == 0, "not at once"
        (job,) = cube.jobs()
        if job.state == "ready" and job.due is not None:
            waits.append(job.due - clock.now())
            clock.advance(hours=3)
    assert waits == [scheduler.wait_of(failures) for failures in range(1, scheduler.MOST_ATTEMPTS)]
    assert (job.state, job.attempts, job.error) == ("dead", scheduler.MOST_ATTEMPTS, "its worker was gone")
    assert [record.object for record in cube.log(verb="bury")] == [str(job.seq)] and cube.verify().is_clean


def test_who_was_too_slow_has_not_worked_for_nothing(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    """Another process finds the lease over, and nobody has begun the job anew before the first one is done."""

    class Late(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            clock.advance(seconds=80)
            other.drain()
            return super().embed(texts)

    idle = Picky()
    other = open_vault(embedder=idle).cube("main")
    cube = open_vault(embedder=Late()).cube("main")
    cube.add("The kettle is blue.", user="ana")
    assert cube.drain() == 1 and not cube.jobs() and not idle.given


def test_a_clock_that_was_put_back_does_not_stop_the_queue(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    embedder = Picky()
    cube = open_vault(embedder=embedder).cube("main")
    cube.add("The roof is red.", user="ana")
    cube.drain()
    back = ManualClock(clock.now() - timedelta(days=1))
    cube = open_vault(embedder=embedder, clock=back).cube("main")
    cube.add("The kettle is blue.", user="ana")
    assert not cube.search("kettle", user="ana").trace.missing and cube.pending() == 0
    cube.add(f"The {POISON} is in the kettle.", user="ana")
    with pytest.raises(EmbedderFailed):
        cube.drain()
    assert cube.drain() == 0, "what has failed waits all the same"
    back.advance(minutes=1)
    with pytest.raises(EmbedderFailed):
        cube.drain()


def test_short_lived_processes_keep_to_the_wait_though_the_clock_was_put_back(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    """Each knows no more than the file and the clock on the wall."""
    assert scheduler.wait_of(99) < MOST_WAIT

    def drained(clock: ManualClock) -> bool:
        """Whether it was tried, by a process of its own."""
        memory = open_vault(embedder=Picky(), clock=clock)
        try:
            memory.cube("main").drain()
            return False
        except EmbedderFailed:
            return True
        finally:
            memory.close()

    cube = open_vault(embedder=Picky()).cube("main")
    cube.add(f"The {POISON} is in the kettle.", user="ana")
    with pytest.raises(EmbedderFailed):
        cube.drain()
    back = ManualClock(clock.now() - timedelta(days=1))
    assert drained(back), "it waits for no clock of yesterday"
    assert not drained(back), "it has failed again, and waits"
    back.advance(seconds=59)
    assert not drained(back)
    back.advance(seconds=2)
    assert drained(back), "for its minute, and no longer"
    assert [job.attempts for job in open_vault(clock=back).cube("main").jobs()] == [3]


@pytest.mark.parametrize(
    "ask", [lambda c: c.jobs(state="done"), lambda c: c.jobs(limit=0), lambda c: c.job(0), lambda c: c.retry("1"), lambda c: c.cancel(-1)]
)
def test_bad_input_is_told(open_vault: Callable[..., MemOS], ask: Callable[[Cube], object]) -> None:
    with pytest.raises(Invalid):
        ask(open_vault().cube("main"))


def test_what_is_not_there_or_is_being_worked_on_is_told(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    for ask in (cube.job, cube.retry, cube.cancel):
        with pytest.raises(Missing, match="loci jobs list"):
            ask(7)
    cube.add("The kettle is blue.")
    with cube._store.write(clock.now()) as tx:
        (held,) = tx.lease("embed", "another", clock.now() + timedelta(minutes=1), 9)
    for change in (cube.retry, cube.cancel):
        with pytest.raises(Conflict, match="being worked on"):
            change(held.seq)
    clock.advance(hours=1)
    assert cube.cancel(held.seq).state == "ready", "its worker is gone"


def until(done: Callable[[], bool]) -> bool:
    """Gives another thread up to five seconds."""
    for _ in range(500):
        if done():
            return True
        time.sleep(0.01)
    return False
