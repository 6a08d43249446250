"""`loci serve` under load: searches and durable adds a second, how long the slowest take, what it keeps in memory, and how soon it is ready.

Server and load generator are processes of their own, over loopback. On a machine that does other things, requests a second say as much about them as about
the server: the seconds of processor that a request takes are beside each figure.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loci.bench import serve_beside
from loci.bench.latency import BATCH, QUESTIONS, Split, many
from loci.bench.load import SAYING, Taken, asked
from loci.bench.machine import machine
from loci.bench.rivals import environment
from loci.bench.served import Served, served
from loci.errors import Unavailable
from loci.ports import Embedder
from loci.wire import MemOS

CUBE, USER = "main", "most"
STARTS = 7
PHASES = (("search",), ("add", "search after adds", "live"))
BESIDE = {"search": "Hindsight's recall", "add": "Hindsight's retain"}
VERBS = (*itertools.chain(*PHASES), *BESIDE.values())
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that has answered that it is ready: the key that opens it, and how long that took."""

    served: Served
    key: str
    seconds: float


def run(
    model: Embedder, memories: int, connections: int, seconds: float, minutes: float, rounds: int, processes: int, advance: Advance, *,
    is_beside: bool = False,
) -> Mapping[str, Any]:  # fmt: skip
    """The figures. ``seconds`` is how long searches and adds are asked for in each of ``rounds``, ``minutes`` how long its memory is watched. The rounds are
    of a server of one process, and then of one of ``processes``: first of searches alone, then of adds and searches in turn, when the cube grows and what
    was added is read meanwhile. Then Hindsight's, where it ``is_beside``."""
    counts = sorted({1, processes})
    if is_beside:
        environment("hindsight")  # before anything is measured
    steps = 3 + len(counts) * (len(PHASES) * rounds + is_beside)
    with tempfile.TemporaryDirectory(prefix=".loci-bench-") as name:
        vault = Path(name) / "vault"
        advance(0, steps)
        key = filled(vault, model, memories)
        advance(1, steps)
        found: dict[str, Any] = {"memories": memories, "connections": connections, "start": starts(vault, key)}
        advance(2, steps)
        found |= {verb: [] for verb in VERBS}
        done = itertools.count(3)
        for phase, count in itertools.product(PHASES, counts):
            with serving(vault, key, count) as server:
                load(server, "search", 2.0, connections)
                for _ in range(rounds):
                    for verb in phase:
                        found[verb].append(load(server, verb, seconds, connections) | {"processes": count})
                    advance(next(done), steps)
        for count in counts if is_beside else ():
            with serve_beside.hindsight(model, memories, count) as url:
                serve_beside.load(url, "search", 2.0, connections)
                for verb, _ in itertools.product(BESIDE, range(rounds)):
                    before = os.getloadavg()[0]
                    taken = serve_beside.load(url, verb, seconds, connections)
                    found[BESIDE[verb]].append(told(taken, seconds) | {"load": before, "processes": count})
            advance(next(done), steps)
        with serving(vault, key) as server:
            found["memory"] = watched(server, minutes, connections)
        advance(steps, steps)
    return found | {"machine": machine()}


def filled(vault: Path, model: Embedder, memories: int) -> str:
    """Makes a vault with a cube of so many memories of one user's, and answers with a key for it. Their vectors are directions that cost nothing; those of
    what is said and asked later are the model's."""
    with MemOS.open(vault, embedder=Split(model), background=False) as memory:
        cube = memory.cube(CUBE)
        said = many(2 * memories)
        while (left := memories - int(str(cube.stats()["memories"]))) > 0:
            cube.add([message for _, message in zip(range(min(left, BATCH)), said, strict=False)], user=USER)
            cube.drain()
        memory.grant("app", "writer", cube=CUBE)
        return memory.issue_key("app")[1]


@contextlib.contextmanager
def serving(vault: Path, key: str, processes: int = 1) -> Iterator[Ready]:
    """A server with what it needs by default, a key included."""
    told = {
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(vault.parent / "compiled"),
    }  # as after an installation
    began = time.perf_counter()
    with served(vault, "--cube", CUBE, "--processes", str(processes), environment=told) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
        connection.request("GET", "/health/ready")
        assert connection.getresponse().status == 200
        connection.close()
        yield Ready(server, key, time.perf_counter() - began)


def starts(vault: Path, key: str) -> dict[str, float]:
    """Seconds until a new process has answered that it is ready, of several after a first."""
    taken = []
    with serving(vault, key):
        pass
    for _ in range(STARTS):
        with serving(vault, key) as server:
            taken.append((server.seconds, server.served.processor_seconds()))
    return {
        "ready_seconds": statistics.median(wall for wall, _ in taken), "best_seconds": min(wall for wall, _ in taken),
        "processor_seconds": statistics.median(spent for _, spent in taken),
    }  # fmt: skip


def load(server: Ready, verb: str, seconds: float, connections: int) -> dict[str, float]:
    """Requests of one verb for some seconds; ``live`` asks for nothing, and shows what the machine and HTTP alone allow."""
    path, bodies, numbered = {
        "search": (f"/api/cubes/{CUBE}/search", [{"question": question, "user": USER} for question in QUESTIONS], ""),
        "add": (f"/api/cubes/{CUBE}/add", [{"messages": SAYING, "user": "adder"}], "messages"),
        "live": ("/health/live", [], ""),
    }[verb.removesuffix(" after adds")]
    before, spent = os.getloadavg()[0], server.served.processor_seconds()
    taken = asked(server.served.url, path, server.key, bodies, connections=connections, seconds=seconds, numbered=numbered)
    spent = server.served.processor_seconds() - spent
    return told(taken, seconds) | {"processor_ms": 1000 * spent / len(taken.seconds), "load": before}


def told(taken: Taken, seconds: float) -> dict[str, float]:
    """Requests a second, percentiles of their milliseconds, and errors. Raises `Unavailable` where none was answered."""
    if not taken.seconds:
        raise Unavailable(f"No request was answered within {seconds:g} s ({taken.broken} connections broke).")
    times, count = sorted(taken.seconds), len(taken.seconds)
    middle, late = times[count // 2], times[min(count - 1, 99 * count // 100)]
    return {
        "per_second": count / seconds, "p50_ms": 1000 * middle, "p99_ms": 1000 * late, "p99_over_p50": late / middle, "worst_ms": 1000 * times[-1],
        "errors": taken.broken + sum(n for status, n in taken.statuses.items() if status != 200), "requests": count,
    }  # fmt: skip


def watched(server: Ready, minutes: float, connections: int) -> dict[str, Any]:
    """What the server holds while it is asked, and told something every tenth time: megabytes over time, and the slope of the second half."""
    points, began, done = [], time.perf_counter(), Counter[str]()
    while (now := time.perf_counter() - began) < 60 * minutes:
        points.append((now, server.served.mebibytes()))
        for verb, seconds in (("search", 9.0), ("add", 1.0)):
            found = load(server, verb, seconds, connections)
            done.update({verb: int(found["requests"]), "errors": int(found["errors"])})
    points.append((time.perf_counter() - began, server.served.mebibytes()))
    late = points[len(points) // 2 :]
    slope = statistics.linear_regression([at for at, _ in late], [held for _, held in late]).slope
    return {
        "minutes": points[-1][0] / 60, **done, "first_mib": points[0][1], "middle_mib": late[0][1], "last_mib": points[-1][1],
        "slope_mib_per_minute": 60 * slope, "points": [[round(at), round(held, 1)] for at, held in points],
    }  # fmt: skip


def table(found: Mapping[str, Any]) -> list[list[str]]:
    """A row a round and verb, the best round of each first."""
    rows = []
    for verb in VERBS:
        for row in sorted(found[verb], key=lambda row: (row["processes"], -row["per_second"])):
            times = f"{row['p50_ms']:.0f} / {row['p99_ms']:.0f} / {row['worst_ms']:.0f}"
            rows.append(
                [
                    verb,
                    f"{row['processes']}",
                    f"{row['per_second']:.0f}",
                    times,
                    f"{row['p99_over_p50']:.1f}",
                    f"{row['errors']:.0f}",
                    f"{row['processor_ms']:.2f}" if "processor_ms" in row else "",
                    f"{row['load']:.1f}",
                ]
            )
    return rows


COLUMNS = ("verb", "processes", "requests/s", "ms, p50 / p99 / worst", "p99 over p50", "errors", "processor ms a request", "load before")


def notes(found: Mapping[str, Any]) -> list[str]:
    """The start and the memory, in words."""
    start, held = found["start"], found["memory"]
    return [
        f"Ready {start['ready_seconds']:.2f} s after the start (median of {STARTS}; best {start['best_seconds']:.2f}), with {start['processor_seconds']:.2f} s of processor.",
        f"Memory over {held['minutes']:.1f} minutes, {held['search']:,} searches and {held['add']:,} adds, {held['errors']} errors: {held['first_mib']:.0f} MiB at first, "
        f"{held['middle_mib']:.0f} half-way, {held['last_mib']:.0f} in the end; slope of the second half {held['slope_mib_per_minute']:+.2f} MiB a minute.",
    ]  # fmt: skip


def report(found: Mapping[str, Any]) -> str:
    """The same as Markdown."""
    head = f"{found['memories']:,} memories, {found['connections']} connections, an API key, repeated questions. {found['machine']}."
    lines = [f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *table(found))]
    targets = "Targets: searches and adds 300/s each, p99 at most 10 times p50, no error, ready in 1.5 s, memory flat over 30 minutes."
    parts = ["# A server under load", "Written by `loci bench serve`.", head, targets, "\n".join(lines), *notes(found)]
    return "\n\n".join(parts) + "\n"
