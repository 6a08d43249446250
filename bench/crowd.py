"""A crowd of writers on one cube: processes and threads that all add to one user's session, or all change one memory, at once.
Nothing may be lost, be there twice, or be refused because somebody else was writing.

    python -m bench.crowd --processes 8 --threads 4 --adds 1000
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from loci import Message
from loci.errors import LociError, VersionConflict
from loci.system import Cube
from loci.wire import MemOS

CUBE, USER, SESSION = "crowd", "ana", "s"
AT = datetime(2026, 1, 1, tzinfo=UTC)
Work = Callable[[Cube, int, int, int, "Crowd"], None]


@dataclass
class Crowd:
    """What a crowd did. ``refused`` must be empty, and what it did must be there."""

    done: int = 0
    ignored: int = 0  # adds of what was in the journal already
    conflicts: int = 0  # updates of a memory that somebody else had changed meanwhile
    refused: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    seconds: float = 0.0

    def take(self, other: Crowd) -> None:
        self.done, self.ignored, self.conflicts = self.done + other.done, self.ignored + other.ignored, self.conflicts + other.conflicts
        self.refused.update(other.refused)
        self.longest_s, self.seconds = max(self.longest_s, other.longest_s), max(self.seconds, other.seconds)


def gather(vault: Path, work: Work, processes: int, threads: int, count: int) -> Crowd:
    """Lets all begin at the same moment, and waits for the last."""
    spawn = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload(["loci.wire", "loci.testing"])
    start = spawn.Barrier(processes)
    pipes, crowd = [], []
    for process in range(processes):
        here, there = spawn.Pipe(duplex=False)
        worker = spawn.Process(target=_process, args=(vault, work, process, processes, threads, count, start, there))
        worker.start()
        there.close()
        pipes.append(here)
        crowd.append(worker)
    found = Crowd()
    for pipe, worker in zip(pipes, crowd, strict=True):
        try:
            found.take(pipe.recv())
        except EOFError:
            found.refused[f"process ended with {worker.exitcode}"] += 1
        worker.join()
    return found


def _process(
    vault: Path, work: Work, process: int, processes: int, threads: int, count: int, start: threading.Barrier, there: Connection
) -> None:
    with MemOS.open(vault, embedder="none", background=False) as memory:
        cube, parts = memory.cube(CUBE), [Crowd() for _ in range(threads)]
        crowd = [
            threading.Thread(target=work, args=(cube, process * threads + n, processes * threads, count, part))
            for n, part in enumerate(parts)
        ]
        start.wait()
        begin = time.perf_counter()
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        whole = Crowd(seconds=time.perf_counter() - begin)
    for part in parts:
        whole.take(part)
    there.send(whole)


def _timed(call: Callable[[], None], crowd: Crowd) -> None:
    begin = time.perf_counter()
    try:
        call()
    except LociError as error:
        crowd.refused[error.code] += 1
    except Exception as error:  # noqa: BLE001 - told to whoever gathered the crowd
        crowd.refused[f"{type(error).__name__}: {error}"] += 1
    crowd.longest_s = max(crowd.longest_s, time.perf_counter() - begin)


# -- what they do -------------------------------------------------------------------------------------------------------


def add(cube: Cube, writer: int, writers: int, count: int, crowd: Crowd) -> None:
    """Messages of its own."""
    for number in range(count):
        _timed(lambda n=number: _add(cube, f"w{writer}n{n}", crowd), crowd)  # type: ignore[misc]


def add_shared(cube: Cube, writer: int, writers: int, count: int, crowd: Crowd) -> None:
    """Every second message is also sent by another writer, half the crowd away: of another process if there are several."""
    for number in range(count):
        sender = writer % (writers // 2) if number % 2 else writer
        _timed(lambda s=sender, n=number: _add(cube, f"w{s}n{n}", crowd), crowd)  # type: ignore[misc]


def _add(cube: Cube, tag: str, crowd: Crowd) -> None:
    receipt = cube.add(Message("user", f"Kettle {tag} whistles.", at=AT, id=tag), user=USER, session=SESSION)
    crowd.done += len(receipt.sources)
    crowd.ignored += not receipt.sources


def update(cube: Cube, writer: int, writers: int, count: int, crowd: Crowd) -> None:
    """New words for the one memory that there is, as it was read."""
    id = cube.list(limit=1)[0].id
    for number in range(count):
        _timed(lambda n=number: _update(cube, id, f"The kettle is of colour {writer} {n}.", crowd), crowd)  # type: ignore[misc]


def _update(cube: Cube, id: str, text: str, crowd: Crowd) -> None:
    try:
        cube.update(cube.get(id), text)
        crowd.done += 1
    except VersionConflict:
        crowd.conflicts += 1


# -- what must be so afterwards -----------------------------------------------------------------------------------------


def added(vault: Path, expected: set[str]) -> list[str]:
    """What is wrong after adding: tags that are missing, tags that are there twice, faults."""
    with MemOS.open(vault, embedder="none", background=False) as memory:
        cube = memory.cube(CUBE)
        there = Counter(source.message.id or "" for source in cube._store.sources())
        wrong = [f"{fault.where}: {fault.what}" for fault in cube.verify().faults]
    wrong += [f"{tag} is lost" for tag in sorted(expected - there.keys())]
    wrong += [f"{tag} is there {count} times" for tag, count in there.items() if count > 1]
    return wrong + [f"{tag} was never said" for tag in sorted(there.keys() - expected)]


def updated(vault: Path, done: int) -> list[str]:
    """What is wrong after updating: versions that are not one for each success."""
    with MemOS.open(vault, embedder="none", background=False) as memory:
        cube = memory.cube(CUBE)
        history = cube.history(cube.list(limit=1)[0].id)
        wrong = [f"{fault.where}: {fault.what}" for fault in cube.verify().faults]
    versions = [m.version for m in history]
    return wrong + ([] if versions == list(range(1, done + 2)) else [f"{len(versions)} versions after {done} updates: {versions[-3:]}"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--adds", type=int, default=1000)
    given = parser.parse_args(arguments)
    writers, wrong = given.processes * given.threads, []
    print("| work | writers | done | known already | version conflicts | refused | a second | longest call, s | wrong |")
    print("|---|---|---|---|---|---|---|---|---|")
    for work, count in ((add, given.adds), (add_shared, given.adds), (update, max(given.adds // 20, 5))):
        with tempfile.TemporaryDirectory(prefix="loci-crowd-") as folder:
            vault = Path(folder)
            if work is update:
                with MemOS.open(vault, embedder="none", background=False) as memory:
                    memory.cube(CUBE).add("The kettle is blue.", user=USER)
            crowd = gather(vault, work, given.processes, given.threads, count)
            found = updated(vault, crowd.done) if work is update else added(vault, sent(work, writers, count))
        calls = crowd.done + crowd.ignored + crowd.conflicts
        print(
            f"| {work.__name__} | {given.processes} x {given.threads} | {crowd.done} | {crowd.ignored} | {crowd.conflicts} | {dict(crowd.refused)}"
            f" | {calls / crowd.seconds:.0f} | {crowd.longest_s:.2f} | {len(found)} |",
            flush=True,
        )
        wrong += found + [f"{crowd.refused}"] * bool(crowd.refused)
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}.")
    for line in wrong[:50]:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def sent(work: Work, writers: int, count: int) -> set[str]:
    """The tags that a crowd sends."""
    half = writers // 2
    return {f"w{w % half if work is add_shared and n % 2 else w}n{n}" for w in range(writers) for n in range(count)}


if __name__ == "__main__":
    raise SystemExit(main())
