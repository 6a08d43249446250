"""What inference servers hold of what they have read for a cube. It is written down before a server has it, and until it is known to be gone.

Rows of the cube go in a transaction; what lies on a server goes after it. So that nothing is forgotten in between, whatever a server was
given stays written down, and is asked away at the next occasion, until it is gone: erasing, activating, letting go, verifying.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from loci.errors import Conflict, Corrupt, LociError, Missing, ReadOnly, Unavailable
from loci.infrastructure.shelf import Shelf
from loci.memories import activation
from loci.ports import Lent, Store, Transaction
from loci.ports.engine import Manifest, Remote
from loci.ports.serving import Server

BEGUN, GOING = -2, -1  # bytes of what a server is about to have, and of what is being taken away, which nothing may name any more


class Lending:
    """The things of one cube that are with servers."""

    def __init__(self, store: Store, server: Callable[[], Server] | None, shelf: Shelf) -> None:
        self._store, self._server, self.shelf = store, server, shelf

    def lend(self, name: str, server: Server, now: datetime) -> None:
        """Writes down that a server is about to have something under a name."""
        with self._store.write(now) as tx:
            tx.lend(Lent(name, place_of(server), BEGUN))

    def finish(self, tx: Transaction, remote: Remote) -> None:
        """What was begun is there, and named. Raises `Conflict` where somebody has taken it away meanwhile."""
        if not any(lent.name == remote.name and lent.bytes == BEGUN for lent in self._store.lent()):
            raise Conflict("What the server read was taken away meanwhile, by an erasure. Activate the memories again.")
        tx.lend(Lent(remote.name, remote.server, remote.bytes))

    def let_go(self, tx: Transaction, manifest: Manifest) -> None:
        """What is in a server's own cache is its own business, as long as the words are in the cube: it forgets it as it needs the room."""
        if manifest.remote is not None and manifest.codec == activation.REMOTE["prefix"]:
            tx.take_back([manifest.remote.name])

    def settle(self, now: datetime, begun: Collection[str] | None = ()) -> tuple[str, ...]:
        """Takes away what no activation memory names, and of what was begun and is in none yet these (None: all of it). Returns, a
        sentence each, what may still be on a server, and why."""
        orphans = self._orphans(begun)
        if not orphans:
            return ()
        try:
            with self._store.write(now) as tx:
                orphans = self._orphans(begun)  # as it is now that nobody else writes
                for lent in orphans:
                    tx.lend(replace(lent, bytes=GOING))
        except ReadOnly as error:
            return tuple(self._told(lent, str(error)) for lent in orphans)
        wrong: dict[str, str] = {}
        lost: dict[str, str] = {}  # servers that do not answer are asked once
        for lent in orphans:
            wrong[lent.name] = self._take_away(lent, lost)
        with self._store.write(now) as tx:
            tx.take_back([name for name, why in wrong.items() if not why])
        return tuple(self._told(lent, wrong[lent.name]) for lent in orphans if wrong[lent.name])

    def write_off(self, tx: Transaction, name: str) -> None:
        """Forgets what a server was to forget, on somebody's word that it has. Raises `Missing` for a name that nothing is being taken away by."""
        if not any(lent.name == name and lent.bytes == GOING for lent in self._store.lent()):
            raise Missing(f"Nothing called {name} is being taken away from a server. `loci verify` names what may still be there.")
        tx.take_back([name])

    def fault(self, manifest: Manifest) -> str:
        """What is wrong with a slot file that can be looked at, byte by byte; empty when nothing."""
        remote = manifest.remote
        if remote is None or not remote.hash or self.shelf.folder is None:
            return ""
        found = self.shelf.size(remote.name)
        if found != remote.bytes:
            return f"slot file {remote.name} has {found or 0} bytes in {self.shelf.folder}; {remote.bytes} were written"
        return "" if self.shelf.hash(remote.name) == remote.hash else f"slot file {remote.name} is not as it was written"

    def _orphans(self, begun: Collection[str] | None) -> list[Lent]:
        lent = self._store.lent()
        if not lent:
            return []
        named = set()
        for row in self._store.payloads():
            try:
                remote = activation.load(self._store.payload(row.id).manifest).remote
            except (Corrupt, Missing):
                continue  # what it names can be built again
            named.add(remote.name if remote is not None else "")
        unnamed = [one for one in lent if one.name not in named or one.bytes == GOING]
        return [one for one in unnamed if one.bytes != BEGUN or begun is None or one.name in begun]

    def _take_away(self, lent: Lent, lost: dict[str, str]) -> str:
        """Why it may still be there; empty when it is gone."""
        is_gone = self.shelf.destroy(lent.name)
        if lent.server in lost:
            return "" if is_gone else lost[lent.server]
        try:
            server = self._server() if self._server is not None else None
            if server is None or place_of(server) != lent.server:
                return "" if is_gone else "it is not the server at hand: name it as the engine and do it again, or delete it there"
            if server.slots is None or is_gone:
                is_gone = server.reset()
            else:
                server.slots.drop(lent.name)
                is_gone = True
        except Unavailable as error:
            lost[lent.server] = str(error)
            return "" if is_gone else str(error)  # what does not run has nothing in mind
        except LociError as error:
            return str(error)
        return "" if is_gone else "it offers no way to forget (vLLM does with VLLM_SERVER_DEV_MODE=1): restart it"

    def _told(self, lent: Lent, why: str) -> str:
        return f"{lent.server} may still hold what it read, as {lent.name}: {why}"


def place_of(server: Server) -> str:
    """A server's kind and address."""
    return f"{server.kind} {server.url}"
