"""Erasing on request: one transaction takes the words out of every table, then the file is scrubbed and looked through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from loci.errors import Missing
from loci.operation.intake import rejudge
from loci.ports import Store


@dataclass(frozen=True, slots=True)
class Erased:
    """The receipt of an erasure. It holds no erased word: ids, counts, keyed hashes, and what was looked through.

    ``branches`` are other cubes that were copied from this one and may hold the same words: erase there as well.
    """

    sources: tuple[str, ...]
    removed: Mapping[str, int]
    hashes: tuple[str, ...]
    bytes_scanned: int
    branches: tuple[str, ...]


def erase(store: Store, by: str, value: str, principal: str, now: datetime, branches: Sequence[str]) -> Erased:
    """Erases by ``memory``, ``source``, ``user`` or ``session``. Raises `Missing` when that names nothing; but what an erasure before
    this one could not clear from the disk is cleared first, so that asking again is enough."""
    try:
        return _erase(store, by, value, principal, now, branches)
    except Missing:
        store.finish_erasure()
        raise


def _erase(store: Store, by: str, value: str, principal: str, now: datetime, branches: Sequence[str]) -> Erased:
    with store.write(now) as tx:
        sources = tx.quoting(by, value)
        if not sources:
            raise Missing(f"Nothing to erase: cube {store.cube} has no words of {by} {value!r}.")
        words = [store.source(id) for id in sources]
        removed = tx.remove(sources)
        for claim in removed.reopened:
            rejudge(tx, claim)
        hashes = tuple(s.hash.hex() for s in words)
        tx.audit(principal, "erase", store.cube, {"by": by, "removed": removed.counts, "hashes": hashes[:100]})
    scanned = store.scrub(words)
    return Erased(tuple(sources), removed.counts, hashes, scanned, tuple(branches))
