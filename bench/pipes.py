"""Pipelines with a model call, whose processes are killed: whether each stage of each run happens once, or, of a run that never began, none.

python -m bench.pipes [--kills 200] [--seed 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loci.bench.machine import machine
from loci.testing import HashEngine, ManualClock
from loci.wire import MemOS

LONGEST_S = 0.6  # a process lives at most this long once it runs
THINKING_S = 0.02  # of the model: so that many are killed while it is asked
PLAN: dict[str, Any] = {
    "name": "note-and-answer",
    "parameters": {"note": "text"},
    "steps": [
        {"verb": "add", "name": "said", "with": {"messages": "$note", "user": "ann"}},
        {"verb": "generate", "name": "answer", "with": {"question": "Where does Ann live?", "user": "ann", "max_tokens": 2}},
        {"verb": "add", "name": "kept", "with": {"messages": ["$note", " So: ", "$answer.text"], "user": "ben"}},
        {"verb": "move", "each": "$said.ids", "with": {"id": "$each", "move": "archive"}},
    ],
}
BEGUN, OVER = 1, len(PLAN["steps"])  # what the log says is done, after each stage


class Slow(HashEngine):
    """Takes its time to answer."""

    def generate(self, *arguments: Any, **more: Any) -> Any:
        time.sleep(THINKING_S)
        return super().generate(*arguments, **more)


@dataclass
class Walk:
    """What became of the runs. ``begun`` had their first stage; of these ``unfinished`` lack the second, ``twice`` had one more than once, and ``partial``
    is what a stage did without the rest of it. ``resumed`` were gone on with by another process than began them."""

    kills: int
    begun: int
    resumed: int
    unfinished: int
    twice: int
    partial: int
    faults: int
    seconds: float


def _door(folder: Path, hours: int) -> MemOS:
    """A vault whose clock is ahead: what killed processes held is free soon."""
    return MemOS.open(
        folder, clock=ManualClock(datetime.now(UTC) + timedelta(hours=hours)), embedder="none", engine=Slow(), background=False
    )  # type: ignore[arg-type]


def work(folder: Path, seed: int) -> None:
    """Goes on with what others left, then begins runs until it is killed."""
    with _door(folder, seed) as memory:
        cube, number = memory.cube("main"), 0
        cube.drain()
        while True:
            cube.run(PLAN, {"note": f"Note {seed}-{number}: the kettle whistles."})
            number += 1


def finish(folder: Path, hours: int) -> None:
    """Goes on with what is left; what a process that was killed had in hand is tried again later."""
    for later in (0, 3, 6):
        with _door(folder, hours + later) as memory:
            memory.cube("main").drain()


def kill_walk(folder: Path, kills: int, seed: int) -> Walk:
    """Kills processes at random moments, one after another, and counts every effect."""
    spawn, chance, begun_at = multiprocessing.get_context("forkserver"), random.Random(seed), time.perf_counter()
    spawn.set_forkserver_preload(["loci.wire", "loci.testing"])
    with _door(folder, 0) as memory:
        memory.cube("main").add("I live in Porto.", user="ann")
    for kill in range(kills):
        process = spawn.Process(target=work, args=(folder, 1 + kill))
        process.start()
        time.sleep(0.15 + chance.random() * LONGEST_S)
        process.kill()
        process.join()
    last = spawn.Process(target=finish, args=(folder, kills + 2))
    last.start()
    last.join()
    with _door(folder, kills + 10) as memory:
        cube = memory.cube("main")
        stages = Counter((str(r.object), r.detail["done"]) for r in cube.log(verb="run", limit=10**9))
        runs = {run for run, done in stages if done == BEGUN}
        notes = Counter(m.text for m in cube.list(user="ann", archived=True, limit=10**9) if m.text.startswith("Note"))
        kept = Counter(m.text.split(" So: ")[0] for m in cube.list(user="ben", limit=10**9) if m.text.startswith("Note"))
        is_archived = {m.text for m in cube.list(user="ann", archived=True, limit=10**9)} - {
            m.text for m in cube.list(user="ann", limit=10**9)
        }
        times = {(str(r.object), r.detail["done"]): r.at for r in cube.log(verb="run", limit=10**9)}
        resumed = sum((run, OVER) in times and times[run, OVER] - times[run, BEGUN] > timedelta(minutes=30) for run in runs)
        partial = len(notes.keys() ^ kept.keys()) + len(notes.keys() ^ is_archived)
        twice = sum(count > 1 for count in (*stages.values(), *notes.values(), *kept.values()))
        faults = len(cube.verify().faults)
    unfinished = sum(stages[run, OVER] == 0 for run in runs)
    return Walk(kills, len(runs), resumed, unfinished, twice, partial, faults, time.perf_counter() - begun_at)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="loci-pipes-") as folder:
        found = kill_walk(Path(folder), given.kills, given.seed)
    if given.json:
        print(json.dumps({**asdict(found), "machine": machine()}))
    else:
        print(", ".join(f"{name} {value:.0f}" for name, value in asdict(found).items()), f"({machine()})")
    return 1 if found.unfinished or found.twice or found.partial or found.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
