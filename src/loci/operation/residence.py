"""Pages that are at hand: where the model runs, or parked in the host's memory. What is neither is on the disk.

Pages are known by the name of their chain, so that whatever begins with the same tokens, for the same tenant and model, finds the same
ones: a radix tree by hashes. A name is a hint: the tokens are compared after every hit.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from loci.policy.placement import page_key
from loci.ports.engine import Engine, Held

TIERS = ("device", "host")


@dataclass(slots=True)
class Node:
    """A page at hand. ``uses`` are the leases that hold it now; ``last_used`` counts takings, ``depth`` pages before it."""

    page: Held
    tier: str
    depth: int
    last_used: int
    uses: int = 0


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
        """The pages of these names, which hold these tokens; ``load`` brings one from the disk by its place."""
        with self._lock:
            self._taken += 1
            pages, tiers, held = [], Counter[str](), []
            try:
                for place, (name, expected) in enumerate(zip(names, ids, strict=True)):
                    node = self._nodes.get(name)
                    if node is not None and tuple(node.page.ids) != tuple(expected):
                        node = None
                    tiers["disk" if node is None else node.tier] += 1
                    page = load(place) if node is None else self._brought(node)
                    pages.append(page)
                    if (node := self._put(name, page, place)) is not None:
                        node.uses += 1
                        held.append(node)
            except BaseException:
                _let_go(held)
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

    def _brought(self, node: Node) -> Held:
        assert self._engine is not None
        return node.page if node.tier == "device" else self._engine().fetch(node.page)

    def _put(self, name: str, page: Held, depth: int) -> Node | None:
        """Holds a page where the model runs. None where there is no room for it."""
        known = self._nodes.get(name)
        if known is not None and known.tier == "device" and known.page is page:
            known.last_used = self._taken
            return known
        if known is not None and known.uses:
            return None  # another of the same name is in use
        self._nodes.pop(name, None)
        if not self._make_room("device", page.bytes):
            return None
        node = self._nodes[name] = Node(page, "device", depth, self._taken)
        return node

    def _make_room(self, tier: str, size: int) -> bool:
        """Before anything is held there. False where what is in use leaves too little."""
        there = [(name, node) for name, node in self._nodes.items() if node.tier == tier]
        free = self._room[tier] - sum(node.page.bytes for _, node in there)
        loose = sorted((entry for entry in there if not entry[1].uses), key=lambda entry: page_key(entry[1].last_used, entry[1].depth))
        if free + sum(node.page.bytes for _, node in loose) < size:
            return False
        for name, node in loose:
            if free >= size:
                break
            free += node.page.bytes
            del self._nodes[name]
            if tier == "device" and self._make_room("host", node.page.bytes):
                assert self._engine is not None
                self._nodes[name] = Node(self._engine().park(node.page), "host", node.depth, node.last_used)
        return True

    def _release(self, held: Sequence[Node]) -> None:
        with self._lock:
            _let_go(held)


def _let_go(held: Sequence[Node]) -> None:
    for node in held:
        node.uses -= 1
