"""A server as several processes at one port. Each is the whole of it, over the same vault, and they end together.

Python computes on one core at a time, and a vault is made for several processes. Linux deals connections out among the sockets that share a port.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from loci.errors import Unavailable

LOCAL = ("127.0.0.1", "localhost", "::1")
MAX_CONNECTIONS = 1024


@dataclass(frozen=True, slots=True)
class Share:
    """What is this process's: the socket that it serves, and a line to each process that it began, or to the one that began it. Nothing is said on
    a line; it breaks when one of the two ends, however that came."""

    taken: socket.socket
    lines: tuple[socket.socket, ...] = ()
    begun: tuple[int, ...] = ()
    is_first: bool = True

    def part(self) -> None:
        """Breaks the lines: who is at their other end will end, too."""
        for line in self.lines:
            with contextlib.suppress(OSError):  # it is broken already
                line.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What this process does of the server. However it ends, so do the others, and those that this one began are waited for. Raises `Unavailable` where
        one of them did not end well."""
        try:
            yield
        finally:
            self.part()
            for line in self.lines:
                line.close()
            codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in self.begun]
        if bad := [code for code in codes if code]:
            raise Unavailable(
                f"A process of this server ended with {bad[0]}, so all have ended; what was acknowledged is kept. Start it again."
            )


def listening(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Sockets that take connections, several at the same port, and have what is written sent at once: else the second part of an answer, its body, waits
    40 ms for somebody to confirm the first. Raises `Unavailable` where something else has the port."""
    make = partial(socket.create_server, family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=MAX_CONNECTIONS)
    try:
        taken = [make((host, port))]
        if count > 1:
            taken.pop().close()  # nobody else has it
            while len(taken) < count:
                taken.append(make((host, taken[0].getsockname()[1] if taken else port), reuse_port=True))
    except OSError as error:
        raise Unavailable(f"Port {port} of {host} cannot be had: {error.strerror}. --port names another.") from error
    for one in taken:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return taken


def divided(taken: Sequence[socket.socket]) -> Share:
    """A process for each of these sockets, this one for the first: returns in every one of them. To be called before there are threads."""
    lines, begun = list[socket.socket](), list[int]()
    for theirs in taken[1:]:
        here, there = socket.socketpair()
        process = os.fork()
        if process == 0:
            for other in (here, *lines, *(one for one in taken if one is not theirs)):
                other.close()
            return Share(theirs, (there,), is_first=False)
        there.close()
        lines.append(here)
        begun.append(process)
    for other in taken[1:]:
        other.close()
    return Share(taken[0], tuple(lines), tuple(begun))
