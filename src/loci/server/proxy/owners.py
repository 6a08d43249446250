"""Whose answers are that upstream keeps. There they are one account's, or anybody's; who went on from another's answer would be told what it said.

The names of answers are long and random over there, but they stand in logs. What is known of one is a hash of it and hashes of whom it was given to; one that
nothing is known of any more is upstream's to refuse.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Any

from loci.server.proxy.states import States

THREAD = "conversation"
FOLLOWED = ("previous_response_id", THREAD)
OWNERS = "owners"


class Owners:
    """To whom answers, and conversations that are kept upstream, were given; in ``states``."""

    def __init__(self, states: States) -> None:
        self._states = states

    def claim(self, ids: Iterable[str], principal: str) -> None:
        """They were given to this principal. Where an upstream gives a name twice, it is of both. Raises `OSError`."""
        for id in ids:
            known, own = self._of(id), _hash(id, principal)
            if own not in known:
                self._states.put(_hash(id), {OWNERS: [*known, own]})
                self._states.save(_hash(id))

    def another(self, ids: Iterable[str], principal: str) -> str | None:
        """The first of them that was given to others alone."""
        return next((id for id in ids if (known := self._of(id)) and _hash(id, principal) not in known), None)

    def _of(self, id: str) -> Collection[str]:
        known = (self._states.get(_hash(id)) or {}).get(OWNERS)
        return known if isinstance(known, list) else ()


def followed(raw: bytes, fields: Collection[str] = FOLLOWED) -> list[str]:
    """What a request goes on from: every answer and conversation that it names, however often it names one, for upstream may read another of them."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, value in pairs:
            if name in fields:
                found.extend(one for one in (value, *(value.get("ids", ()) if isinstance(value, _Seen) else ())) if isinstance(one, str))
        return _Seen({**dict(pairs), "ids": [value for name, value in pairs if name == "id" and isinstance(value, str)]})

    try:
        json.loads(raw, object_pairs_hook=look)
    except (ValueError, RecursionError):  # upstream's to refuse
        return []
    return found


class _Seen(dict[str, Any]):
    """An object of a request, with every value of its ``id``."""


def _hash(*words: str) -> str:
    made = blake2b(digest_size=16, person=b"loci-owners")
    for word in words:
        told = word.encode(errors="surrogatepass")
        made.update(len(told).to_bytes(8, "big") + told)
    return made.hexdigest()
