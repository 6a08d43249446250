"""Erasing on request: one transaction takes the words out of every table, then the file is scrubbed and looked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from loci.errors import Conflict, Denied, Missing
from loci.operation.adapters import Adapters
from loci.operation.settling import reopened
from loci.policy.access import admits
from loci.ports import Reach, Store, Transaction
from loci.types import Head, Kind, Scope, Source

MOST_NAMED = 10_000  # memories of an erasure that its record names, so that what became of them can be told


@dataclass(frozen=True, slots=True)
class Erased:
    """The receipt of an erasure. It holds no erased word: ids, counts, keyed hashes, and what was looked through.

    ``branches`` are other cubes that were copied from this one and may hold the same words: erase there as well. Where the cube
    ``is_encrypted``, what was looked through are its pages as they read with its key: the bytes on the disk would tell nothing.
    ``record`` is the erasure's own in the audit log, which is keyed and chained: `verify` with it as a kept head shows that it stands.
    ``left`` says, a sentence each, what inference servers may still hold of what they had read of the words, and why nobody could take
    it away: it stays written down, and `verify` tries again and says so until it is gone.
    ``kind`` is of what was erased: where that is not words, it is what a model had made of them, and the words stay.
    """

    sources: tuple[str, ...]
    removed: Mapping[str, int]
    hashes: tuple[str, ...]
    bytes_scanned: int
    branches: tuple[str, ...]
    is_encrypted: bool = False
    record: Head | None = None
    left: tuple[str, ...] = ()
    kind: Kind = Kind.PLAINTEXT


def derived_sources(tx: Transaction, sources: Sequence[str]) -> list[str]:
    """These sources and, of whatever was made of them, the sources too, to the last."""
    found: dict[str, None] = dict.fromkeys(sources)
    fresh = list(found)
    while fresh:
        fresh = [source for source in tx.made_of(fresh) if source not in found]
        found.update(dict.fromkeys(fresh))
    return list(found)


def check_free(tx: Transaction, sources: Sequence[str], what: str) -> None:
    """A memory that is frozen is kept whatever comes, until somebody thaws it. Raises `Conflict`."""
    held = tx.frozen(sources)
    if held:
        raise Conflict(
            f"{len(held)} of these memories are frozen, {held[0]} for one, and cannot be {what}. `loci why {held[0]}` says why they are;"
            f" `loci move {held[0]} thaw` ends it. Nothing was changed."
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be erased: by ``memory``, ``source``, ``user``, ``session`` or, where one is given, by ``scope``, which ``value`` spells."""

    by: str
    value: str
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class Eraser:
    """Erases from one cube, and from all that was made of it. ``queued`` names the jobs that hold these words, or are of the user or session that is
    erased: they are emptied. ``tidy`` destroys the files of what models had made of the words, before the erasure is committed: a crash in between
    costs what can be built again. ``branches`` are asked for once it is: one that was being made is there by then, or never is. ``settle`` has
    servers forget it, after that."""

    store: Store
    adapters: Adapters
    queued: Callable[[str, str, Sequence[Source]], Sequence[int]]
    tidy: Callable[[Transaction], object]
    branches: Callable[[], Sequence[str]]
    settle: Callable[[datetime], tuple[str, ...]]

    def erase(self, wanted: Wanted, principal: str, now: datetime, within: tuple[Reach, ...] | None) -> Erased:
        """Raises `Missing` when it names nothing; but what an erasure before this one could not clear from the disk is cleared first, so that asking
        again is enough. Raises `Denied` where words outside of ``within`` would go along, since they were made of these. What had learned of the
        words learns anew without them."""
        try:
            erased = self._erased(wanted, principal, now, within)
        except Missing:
            self.store.finish_erasure()
            self.settle(now)
            raise
        return replace(erased, left=self.settle(now))

    def _erased(self, wanted: Wanted, principal: str, now: datetime, within: tuple[Reach, ...] | None) -> Erased:
        store, by, value = self.store, wanted.by, wanted.value
        with store.write(now) as tx:
            named = tx.quoting(by, value) if wanted.scope is None else tx.said_in(wanted.scope)
            sources = derived_sources(tx, named)
            words = [store.source(id) for id in sources]
            jobs = self.queued(by, value, words)
            if not sources and not jobs:
                raise Missing(f"Nothing to erase: cube {store.cube} has no words of {by} {value!r}.")
            if not all(admits(within, value if source.id in named else None, source.scope) for source in words):
                raise Denied(f"Something else was made of these words, outside the grant: the owner of cube {store.cube} can erase them.")
            check_free(tx, sources, "erased")
            learned = store.adapters()
            keys = tx.keys_of(sources)
            removed = tx.remove(sources)
            for job in jobs:
                tx.empty(job, "what it was given was erased")
            self.adapters.forget(tx, learned, sources, value if by == "user" else None)
            self.tidy(tx)
            reopened(tx, removed.reopened, keys, principal, now)
            hashes = tuple(s.hash.hex() for s in words)
            told = {"by": by, "removed": removed.counts, "hashes": hashes[:100], "memories": removed.memories[:MOST_NAMED]}
            tx.audit(principal, "erase", store.cube, told)
            record = store.head()  # before anybody else writes
        scanned = store.scrub(words, removed.metadata)
        return Erased(tuple(sources), removed.counts, hashes, scanned, tuple(self.branches()), store.is_encrypted, record)
