"""States that are at hand: where the model runs, or parked in the host's memory. What is neither is on the disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from loci.ports.engine import Engine, State

Key = tuple[str, str, int]  # cube, activation memory, version


@dataclass(frozen=True, slots=True)
class Fetched:
    """A state and where it was: ``device``, ``host`` or ``disk``."""

    state: State
    tier: str


class Residence:
    """Holds states up to a size, the least recently used first to be parked, and first to go. A state is never changed, so that
    whoever has one may keep it; bytes at hand are what is counted here."""

    def __init__(self, engine: Callable[[], Engine[Any]] | None, device_bytes: int, host_bytes: int) -> None:
        self._engine, self._room = engine, {"device": device_bytes, "host": host_bytes}
        self._held: dict[str, OrderedDict[Key, State]] = {"device": OrderedDict(), "host": OrderedDict()}
        self._lock = threading.RLock()

    def get(self, key: Key, load: Callable[[], State]) -> Fetched:
        """The state under a key, brought to where the model runs; ``load`` brings it from the disk where it is not at hand."""
        with self._lock:
            for tier, held in self._held.items():
                if key in held:
                    state = held.pop(key)
                    return Fetched(self._hold(key, self._fetched(state, tier)), tier)
        state = load()
        with self._lock:
            return Fetched(self._hold(key, state), "disk")

    def put(self, key: Key, state: State) -> None:
        """Has a state at hand from now on, as far as there is room."""
        with self._lock:
            self._hold(key, state)

    def where(self, key: Key) -> str:
        with self._lock:
            return next((tier for tier, held in self._held.items() if key in held), "disk")

    def keep(self, cube: str, ids: Collection[str]) -> None:
        """Lets go of a cube's states but for these."""
        with self._lock:
            for held in self._held.values():
                for key in [key for key in held if key[0] == cube and key[1] not in ids]:
                    del held[key]

    def bytes(self) -> dict[str, int]:
        """At hand, by tier."""
        with self._lock:
            return {tier: sum(state.bytes for state in held.values()) for tier, held in self._held.items()}

    def _fetched(self, state: State, tier: str) -> State:
        assert self._engine is not None
        return self._engine().fetch(state) if tier == "host" else state

    def _hold(self, key: Key, state: State) -> State:
        device, host = self._held["device"], self._held["host"]
        device.pop(key, None)
        host.pop(key, None)
        if state.bytes > self._room["device"]:
            return state
        self._make_room("device", state.bytes)
        device[key] = state
        return state

    def _make_room(self, tier: str, size: int) -> None:
        """Before anything new is held: bytes never exceed the room."""
        held = self._held[tier]
        while held and sum(state.bytes for state in held.values()) + size > self._room[tier]:
            key, state = held.popitem(last=False)
            if tier == "device" and state.bytes <= self._room["host"]:
                assert self._engine is not None
                parked = self._engine().park(state)
                self._make_room("host", parked.bytes)
                self._held["host"][key] = parked
