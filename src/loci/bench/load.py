"""A load generator as a process of its own: requests over so many kept connections, one after another on each, and what every one of them took.

Bare sockets on one loop, for a client library would take more of the machine than the server it measures. It is told what to ask as JSON on stdin, and
answers on stdout.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

END = b"\r\n\r\n"
LENGTH = b"content-length:"
SAYING = "I put the winter tyres and the blue box into the cellar, place"  # what is added, and a number


@dataclass
class Taken:
    """What became of the requests: seconds of each that was answered, statuses, and connections that broke."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0


class _Connection(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again until ``until`` (of `time.perf_counter`)."""

    def __init__(self, requests: Iterator[bytes], taken: Taken, until: float) -> None:
        self._requests, self._taken, self._until = requests, taken, until
        self._read, self._began = bytearray(), 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head = self._read.find(END)
        if head < 0:
            return
        at = self._read.lower().index(LENGTH, 0, head + 2) + len(LENGTH)
        if len(self._read) < head + len(END) + int(self._read[at : self._read.index(b"\r", at)]):
            return
        self._taken.seconds.append(time.perf_counter() - self._began)
        self._taken.statuses[int(self._read[9:12])] += 1
        self._read.clear()
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._taken.broken += exc is not None or time.perf_counter() < self._until
        if not self.over.done():
            self.over.set_result(None)

    def _ask(self) -> None:
        self._began = time.perf_counter()
        if self._began < self._until:
            self._transport.write(next(self._requests))
        else:
            self._transport.close()


def requests(path: str, host: str, key: str, bodies: Sequence[dict[str, Any]], numbered: str = "") -> Iterator[bytes]:
    """The bodies over and over as requests; with ``numbered``, that field of each ends in a number of its own. Where there are none, it is only looked."""
    if not bodies:
        yield from itertools.repeat(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: "
    for number, body in enumerate(itertools.cycle(bodies)):
        told = json.dumps({**body, numbered: f"{body[numbered]} {number}."} if numbered else body).encode()
        yield f"{head}{len(told)}\r\n\r\n".encode() + told


async def _asked(url: str, made: Iterator[bytes], connections: int, seconds: float) -> Taken:
    place, taken, until = urlsplit(url), Taken(), time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(made, taken, until), place.hostname or "", place.port or 80)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.over for _, protocol in opened))
    return taken


def asked(
    url: str, path: str, key: str, bodies: Sequence[dict[str, Any]], *, connections: int, seconds: float, numbered: str = ""
) -> Taken:
    """Asks from another process, and answers with what it took."""
    told = {"url": url, "path": path, "key": key, "bodies": bodies, "connections": connections, "seconds": seconds, "numbered": numbered}
    done = subprocess.run([sys.executable, "-m", "loci.bench.load"], input=json.dumps(told), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return Taken(found["seconds"], Counter({int(status): count for status, count in found["statuses"].items()}), found["broken"])


def main() -> None:
    """What stdin asks for, done."""
    told = json.load(sys.stdin)
    made = requests(told["path"], urlsplit(told["url"]).netloc, told["key"], told["bodies"], told["numbered"])
    taken = asyncio.run(_asked(told["url"], made, told["connections"], told["seconds"]))
    json.dump({"seconds": taken.seconds, "statuses": taken.statuses, "broken": taken.broken}, sys.stdout)


if __name__ == "__main__":
    main()
