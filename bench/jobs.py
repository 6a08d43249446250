"""The queue of a cube: how many jobs that do nothing it works in a second, and whether an effect happens exactly once however often its
workers are killed.

    python -m bench.jobs [--jobs 20000] [--kills 1000] [--seed 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loci.bench.machine import machine
from loci.drivers.clock import SystemClock
from loci.drivers.sqlite import SqliteStore
from loci.errors import LociError
from loci.operation.scheduler import Scheduler
from loci.operation.work import Breath
from loci.ports import Transaction
from loci.testing import ManualClock
from loci.types import Job

CUBE = "queue"
TOGETHER = 250  # jobs between two commits
LONGEST_S = 0.15  # a worker lives at most this long
WORKERS = 2


class Tally:
    """Work whose effect is a record in the log: it can be counted. ``is_counted`` False does nothing at all."""

    verb = "tally"
    is_long = False
    final: tuple[type[LociError], ...] = ()

    def __init__(self, together: int, *, is_counted: bool) -> None:
        self._together, self._is_counted = together, is_counted

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], None]:
        return tx.lease(self.verb, worker, until, self._together), None

    def compute(self, given: None, breath: Breath) -> None: ...

    def apply(self, tx: Transaction, jobs: Sequence[Job], computed: None) -> None:
        for job in jobs if self._is_counted else ():
            tx.audit("bench", "tally", str(job.arguments["number"]), {})


@dataclass
class Walk:
    """What became of jobs whose workers were killed. ``lost`` had no effect, ``twice`` more than one."""

    kills: int
    jobs: int
    lost: int
    twice: int
    seconds: float


def opened(path: Path, *, together: int = TOGETHER, is_counted: bool = False) -> tuple[SqliteStore, Scheduler]:
    store = SqliteStore(path, CUBE, datetime.now(UTC), create=not path.exists())
    work = Tally(together, is_counted=is_counted)
    return store, Scheduler(store, None, SystemClock(), lambda *_: None, is_background=False, more=[work])


def enqueue(store: SqliteStore, numbers: Sequence[int]) -> None:
    with store.write(datetime.now(UTC)) as tx:
        for number in numbers:
            tx.enqueue("tally", {"number": number}, user=f"user-{number % 7}", priority=number % 3)


def throughput(folder: Path, jobs: int, together: int) -> float:
    """Jobs that do nothing, a second, leased and finished ``together``."""
    store, scheduler = opened(folder / f"{together}.loci", together=together)
    for start in range(0, jobs, 1000):
        enqueue(store, range(start, min(start + 1000, jobs)))
    begun = time.perf_counter()
    scheduler.drain()
    seconds = time.perf_counter() - begun
    assert not store.jobs(1)
    store.close()
    return jobs / seconds


def work(path: Path, seed: int) -> None:
    """A worker that puts jobs in and works them, until it is killed. What a killed one held is tried again later: here soon,
    because the next ones look with clocks that are ahead."""
    chance = random.Random(seed)
    store = SqliteStore(path, CUBE, datetime.now(UTC), create=False)
    clock = ManualClock(datetime.now(UTC) + timedelta(hours=seed))
    scheduler = Scheduler(
        store, None, clock, lambda *_: None, is_background=False, more=[Tally(chance.choice((1, 3, 10)), is_counted=True)]
    )
    while True:
        scheduler.drain()
        time.sleep(0.001)


def kill_walk(folder: Path, kills: int, seed: int, jobs_a_kill: int = 20) -> Walk:
    """Kills workers at random moments, two at a time, while jobs come in; then lets what is left be worked, and counts every effect."""
    spawn = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload(["loci.wire", "loci.testing"])
    chance, path, begun = random.Random(seed), folder / "walk.loci", time.perf_counter()
    store, _ = opened(path)
    number = 0
    for kill in range(0, kills, WORKERS):
        workers = [spawn.Process(target=work, args=(path, 1 + kill + each)) for each in range(WORKERS)]
        for worker in workers:
            worker.start()
        enqueue(store, range(number, number + jobs_a_kill * WORKERS))
        number += jobs_a_kill * WORKERS
        for worker in workers:
            time.sleep(chance.random() * LONGEST_S)
            worker.kill()
        for worker in workers:
            worker.join()
    store.close()
    last = spawn.Process(target=_finish, args=(path, kills + WORKERS))
    last.start()
    last.join()
    store, _ = opened(path)
    done = Counter(int(record.object) for record in store.records(None, None, "tally", None, 10**9))
    assert store.faults()[1] == [] and not store.jobs(1)
    store.close()
    lost = sum(done[each] == 0 for each in range(number))
    return Walk(kills, number, lost, sum(count > 1 for count in done.values()), time.perf_counter() - begun)


def _finish(path: Path, hours: int) -> None:
    store = SqliteStore(path, CUBE, datetime.now(UTC), create=False)
    clock = ManualClock(datetime.now(UTC) + timedelta(hours=hours))
    scheduler = Scheduler(store, None, clock, lambda *_: None, is_background=False, more=[Tally(TOGETHER, is_counted=True)])
    for _ in range(2):  # what a worker that was killed had in hand is tried again later
        scheduler.drain()
        clock.advance(hours=3)
    scheduler.drain()
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=Path(__file__).parents[1], prefix=".bench-"))
    try:
        rates = {together: throughput(folder, args.jobs if together > 1 else args.jobs // 20, together) for together in (1, 16, TOGETHER)}
        walk = kill_walk(folder, args.kills, args.seed)
    finally:
        shutil.rmtree(folder)
    if args.json:
        print(json.dumps({"jobs_per_second": rates, "walk": asdict(walk), "machine": machine()}))
        return
    for together, rate in rates.items():
        print(f"{rate:>10,.0f} jobs a second that do nothing, {together} between two commits")
    print(f"{walk.kills} kills, {walk.jobs} jobs: {walk.lost} lost, {walk.twice} twice; {walk.seconds:.0f} s")
    print(machine())


if __name__ == "__main__":
    main()
