"""Pages that are at hand: where the model runs, or parked in the host's memory. What is neither is on the disk.

Pages are known by the name of their chain, so that whatever begins with the same tokens, for the same tenant and model, finds the same
ones: a radix tree by hashes. A name is a hint: the tokens are compared after every hit.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from loci.policy.placement import page_key
from loci.ports.engine import Engine, Held

TIERS = ("device", "host")
LOADERS = 8  # threads that bring pages: reading, hashing and moving wait for other things than Python


@dataclass(slots=True)
class Node:
    """A page at hand. ``uses`` are the leases that hold it now; ``last_used`` counts takings, ``depth`` pages before it."""

    page: Held
    tier: str
    depth: int
    last_used: int
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Brought:
    """How many pages came from where ahead of their use, and whether it ended at one for which there was no room."""

    tiers: Counter[str]
    is_out_of_room: bool


@dataclass(slots=True, weakref_slot=True)
class Lease:
    """Pages in use, in order, and how many came from where. They are not let go before the lease is released, or forgotten."""

    pages: tuple[Any, ...]
    tiers: Counter[str]
    release: Callable[[], object] = field(default=lambda: None)


class Residence:
    """Holds pages up to a size in each tier: the least recently used are parked first, and go first, the last of a text before its
    beginning. What is in use stays. What is counted never exceeds the room; a page for which there is none is handed out, not held."""

    def __init__(self, engine: Callable[[], Engine[Any]] | None, device_bytes: int, host_bytes: int) -> None:
        self._engine, self._room = engine, {"device": device_bytes, "host": host_bytes}
        self._nodes: dict[str, Node] = {}
        self._taken = 0
        self._lock = threading.RLock()

    def take(self, names: Sequence[str], ids: Sequence[Sequence[int]], load: Callable[[int], Held]) -> Lease:
        """The pages of these names, which hold these tokens; ``load`` brings one from the disk by its place, and is called from several
        threads."""
        with self._lock:
            self._taken += 1
            known = [self._known(name, expected) for name, expected in zip(names, ids, strict=True)]
            held = [node for node in known if node is not None]
            for pinned in held:
                pinned.uses += 1
        tiers = Counter("disk" if node is None else node.tier for node in known)
        try:
            pages = self._brought(known, load)
            with self._lock:
                for place, (node, page) in enumerate(zip(known, pages, strict=True)):
                    if node is not None:
                        self._raise(node, page)
                    elif (added := self._put(names[place], page, place)) is not None:
                        added.uses += 1
                        held.append(added)
        except BaseException:  # what is brought, or parked to make room for it, may fail
            self._release(held)
            raise
        lease = Lease(tuple(pages), tiers)
        lease.release = weakref.finalize(lease, self._release, held)
        return lease

    def put(self, names: Sequence[str], pages: Sequence[Held]) -> None:
        """Has pages at hand from now on, as far as there is room."""
        with self._lock:
            self._taken += 1
            for place, (name, page) in enumerate(zip(names, pages, strict=True)):
                self._put(name, page, place)

    def bring(
        self, names: Sequence[str], ids: Sequence[Sequence[int]], load: Callable[[int], Held], is_wanted: Callable[[], bool]
    ) -> Brought:
        """Has pages at hand before they are asked for, one after another, the beginning of the text first: those that are parked or on the
        disk come to where the model runs, or into the host's memory while there is no room. It ends with the first for which there is
        no room but what is in use or was used since, and as soon as they are no longer wanted: ``is_wanted`` is asked between pages, and again,
        under the lock, before one is held: it takes no lock itself. Nobody waits for a page that is being brought."""
        with self._lock:
            self._taken += 1
            stamp = self._taken
        brought, is_out_of_room = Counter[str](), False
        for place, (name, expected) in enumerate(zip(names, ids, strict=True)):
            if not is_wanted():
                break
            with self._lock:
                node = self._known(name, expected)
                tier = "disk" if node is None else node.tier
                if node is not None:
                    node.last_used = max(node.last_used, stamp)
            if tier == "device":
                continue
            page = load(place) if node is None else self._fetched(node.page)
            with self._lock:
                if not is_wanted():
                    break
                is_out_of_room = not self._settled(name, page, place, stamp)
            if is_out_of_room:
                break
            brought[tier] += 1
        return Brought(brought, is_out_of_room)

    def room(self) -> int:
        """Bytes that all tiers together may hold."""
        return sum(self._room.values())

    def holds(self, names: Collection[str]) -> bool:
        """Whether all of these are at hand."""
        with self._lock:
            return all(name in self._nodes for name in names)

    def keep(self, names: Collection[str], among: Collection[str]) -> None:
        """Of the pages ``among`` which it holds, lets go of all but ``names``."""
        with self._lock:
            for name in set(among) - set(names):
                self._nodes.pop(name, None)

    def bytes(self) -> dict[str, int]:
        """At hand, by tier."""
        with self._lock:
            return {tier: sum(node.page.bytes for node in self._nodes.values() if node.tier == tier) for tier in TIERS}

    # -- plumbing ------------------------------------------------------------------------------------------------------

    def _fetched(self, page: Held) -> Held:
        assert self._engine is not None
        found: Held = self._engine().fetch(page)
        return found

    def _settled(self, name: str, page: Held, depth: int, stamp: int) -> bool:
        """Holds a page that was brought, where the model runs or else in the host's memory; what was used since it was sent for stays. What
        somebody else has put under its name meanwhile does too. False where there is no room."""
        node = self._nodes.get(name)
        if node is not None and tuple(node.page.ids) != tuple(page.ids):
            return False
        if node is not None and node.tier == "host":
            node.uses += 1  # so that it is not itself what makes room
            try:
                if self._make_room("device", page.bytes, stamp):
                    node.page, node.tier = page, "device"
            finally:
                node.uses -= 1
        if node is not None:
            return True
        for tier in TIERS:
            if self._make_room(tier, page.bytes, stamp):
                self._nodes[name] = Node(page if tier == "device" else self._parked(page), tier, depth, stamp)
                return True
        return False

    def _parked(self, page: Held) -> Held:
        assert self._engine is not None
        found: Held = self._engine().park(page)
        return found

    def _known(self, name: str, ids: Sequence[int]) -> Node | None:
        node = self._nodes.get(name)
        return node if node is not None and tuple(node.page.ids) == tuple(ids) else None

    def _brought(self, known: Sequence[Node | None], load: Callable[[int], Held]) -> list[Held]:
        """All of them where the model runs: what is not there comes by several ways at once."""

        def bring(place: int) -> Held:
            node = known[place]
            if node is None:
                return load(place)
            return node.page if node.tier == "device" else self._fetched(node.page)

        if all(node is not None and node.tier == "device" for node in known):
            return [bring(place) for place in range(len(known))]
        with ThreadPoolExecutor(LOADERS) as loaders:
            return list(loaders.map(bring, range(len(known))))

    def _raise(self, node: Node, page: Held) -> None:
        """A page that was brought is held where it is now, if there is room."""
        node.last_used = self._taken
        if node.tier == "host" and self._make_room("device", page.bytes):
            node.page, node.tier = page, "device"

    def _put(self, name: str, page: Held, depth: int) -> Node | None:
        """Holds a page where the model runs; what is held under its name already stays, where it is of the same tokens. None where there
        is no room for it."""
        node = self._nodes.get(name)
        if node is not None and node.page.ids == page.ids:
            node.last_used = self._taken
            return node
        if node is not None and node.uses:
            return None
        self._nodes.pop(name, None)
        if not self._make_room("device", page.bytes):
            return None
        node = self._nodes[name] = Node(page, "device", depth, self._taken)
        return node

    def _make_room(self, tier: str, size: int, before: int | None = None) -> bool:
        """Before anything is held there. False where what is in use leaves too little, or what was used since the taking ``before``."""
        there = [(name, node) for name, node in self._nodes.items() if node.tier == tier]
        free = self._room[tier] - sum(node.page.bytes for _, node in there)
        may_go = (entry for entry in there if not entry[1].uses and (before is None or entry[1].last_used < before))
        loose = sorted(may_go, key=lambda entry: page_key(entry[1].last_used, entry[1].depth))
        if free + sum(node.page.bytes for _, node in loose) < size:
            return False
        for name, node in loose:
            if free >= size:
                break
            free += node.page.bytes
            del self._nodes[name]
            if tier == "device" and self._make_room("host", node.page.bytes, before):
                self._nodes[name] = Node(self._parked(node.page), "host", node.depth, node.last_used)
        return True

    def _release(self, held: Sequence[Node]) -> None:
        with self._lock:
            for node in held:
                node.uses -= 1
