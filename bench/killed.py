"""The server is killed again and again while clients add, each with an idempotency key that it asks again with until it is answered. Then what was
acknowledged must be there, nothing twice, and `verify` must be clean; and what a client saw must have been a success or a broken connection.

    python -m bench.killed --kills 50 --seed 1 [--without-keys]

``--without-keys`` shows that it would be seen: what was done and not answered is then done twice.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from loci.bench.served import served
from loci.wire import MemOS

CUBE, CLIENTS = "killed", 6
OPTIONS = ("--cube", CUBE, "--embedder", "none", "--open")
SHORTEST, LONGEST = 0.1, 1.0  # seconds that a server lives once it is ready
SECONDS = 30
PATIENCE = 0.2  # seconds between two looks whether there will be a server


@dataclass
class Walk:
    """What became of the adds. ``lost``, ``twice``, ``others`` and ``faults`` must be empty."""

    kills: int = 0
    broken: int = 0  # connections, of which it was not known what became of the add
    acknowledged: dict[str, str] = field(default_factory=dict)  # words: the memory that the receipt names
    others: list[str] = field(default_factory=list)  # answers that were neither
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.twice or self.others or self.faults)


class Clients:
    """Add, each one after the other, until they are ended; what breaks is asked again with the same key, wherever the server is by then."""

    def __init__(self, walk: Walk, has_keys: bool) -> None:
        self._walk, self._has_keys = walk, has_keys
        self._lock, self._is_over = threading.Lock(), threading.Event()
        self._place, self._is_there, self._is_given_up = "", threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._add, args=(client,)) for client in range(CLIENTS)]

    @contextmanager
    def adding(self) -> Iterator[None]:
        """While this lasts; at the end everything that was begun is answered."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        except BaseException:  # there will be no server any more
            self._is_given_up.set()
            raise
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join()

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Where they ask. What is under way when this ends stays so; nothing is begun any more, for the port may be somebody else's by then."""
        self._place = place
        self._is_there.set()
        try:
            yield
        finally:
            self._is_there.clear()

    def _add(self, client: int) -> None:
        number = 0
        while not self._is_over.is_set():
            words = f"Box {number} of shelf {client} is full."
            while not self._is_answered(words):
                pass
            number += 1

    def _is_answered(self, words: str) -> bool:
        while not self._is_there.wait(PATIENCE):
            if self._is_given_up.is_set():
                return True
        connection = http.client.HTTPConnection(self._place, timeout=SECONDS)
        try:
            headers = {"Idempotency-Key": words} if self._has_keys else {}
            connection.request("POST", f"/api/cubes/{CUBE}/add", json.dumps({"messages": words}).encode(), headers)
            answer = connection.getresponse()
            told = answer.read()
        except (OSError, http.client.HTTPException):
            with self._lock:
                self._walk.broken += 1
            return False
        finally:
            connection.close()
        with self._lock:
            if answer.status == 200:
                self._walk.acknowledged[words] = json.loads(told)["ids"][0]
            else:
                self._walk.others.append(f"{answer.status}: {told.decode()}")
        return True


def killed_walk(folder: Path, kills: int, seed: int, *, has_keys: bool = True) -> Walk:
    """Kills so many servers on one vault, one after the other, answers what was left over, and looks at what there is."""
    walk, chance, vault = Walk(), random.Random(seed), folder / "vault"
    clients = Clients(walk, has_keys)
    with contextlib.ExitStack() as last, clients.adding():
        for _ in range(kills):
            with served(vault, *OPTIONS, is_killed=True) as server, clients.at(urlsplit(server.url).netloc):
                time.sleep(chance.uniform(SHORTEST, LONGEST))
            walk.kills += 1
        server = last.enter_context(served(vault, *OPTIONS, is_killed=True))
        last.enter_context(clients.at(urlsplit(server.url).netloc))
    look(vault, walk)
    return walk


def look(vault: Path, walk: Walk) -> None:
    """Compares what was acknowledged with what there is."""
    with MemOS.open(vault, embedder="none", background=False) as memory:
        cube = memory.cube(CUBE)
        held = {one.id: one.text for one in cube.list(limit=1_000_000)}
        said = Counter(held.values())
        walk.lost = [words for words, id in walk.acknowledged.items() if held.get(id) != words]
        walk.twice = [words for words, count in said.items() if count > 1]
        sources = int(str(cube.stats()["sources"]))
        if sources != len(walk.acknowledged):
            walk.twice.append(f"{sources} messages were journaled, of {len(walk.acknowledged)} that were said")
        walk.faults = [str(fault) for fault in memory.verify().faults]


def main() -> int:
    """Prints what became of the adds. Ends with 1 where something was lost, done twice, or answered wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-keys", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".loci-bench-") as name:
        walk = killed_walk(Path(name), asked.kills, asked.seed, has_keys=not asked.without_keys)
    print(
        f"{walk.kills} kills; {len(walk.acknowledged)} adds acknowledged, {walk.broken} connections broken and asked again; lost {len(walk.lost)}, "
        f"twice {len(walk.twice)}, other answers {len(walk.others)}, faults {len(walk.faults)}"
    )
    for what in (*walk.lost, *walk.twice, *walk.others, *walk.faults):
        print(what)
    return int(not walk.is_clean)


if __name__ == "__main__":
    sys.exit(main())
