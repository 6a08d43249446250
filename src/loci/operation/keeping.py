"""What is kept of memories that a model has read: rows that name files, the manifests in them, and pages wherever they are. Here they are found,
checked, let go of and tidied away; `reading` makes them, and `activation` answers from them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from loci.errors import Conflict, Corrupt, Invalid, Missing, Unsupported, missing
from loci.infrastructure.pages import PageFiles
from loci.memories import activation, pages
from loci.operation.lending import Lending
from loci.operation.operator import note, pack
from loci.operation.redact import Redactor
from loci.operation.residence import Lease, Residence
from loci.policy.access import admits
from loci.ports import PayloadRow, Reach, RowFilter, Store, Transaction
from loci.ports.engine import BLOCK, Engine, Manifest, Page, Tensors
from loci.types import Handle, Hit, Memory, Message, State

MOST_MEMORIES = 1000
RAW = activation.CODECS["raw"]
CHAIN = "chain"  # what a page calls itself
STARTS = ("?", "A", "\n", " a", "<", "1")  # how what follows the memories may begin: their last tokens must not depend on it
DONE = {State.ARCHIVED: "is archived", State.EXPIRED: "was forgotten, or its time is over"}


def tenant_of(store: Store, user: str | None) -> str:
    """A user of a cube, as a keyed hash: nobody can tell that the words of two are the same."""
    return store.hash("tenant", user).hex()


def reaches(store: Store, id: str, at: RowFilter) -> bool:
    """Whether a memory is of the scope and within the grants of a filter, whatever became of it."""
    try:
        scope = store.scope_of(id)
    except Missing:
        return False
    return admits((Reach(at.user, at.agent, at.session),), id, scope) and admits(at.within, id, scope)


def gone(store: Store, id: str, at: RowFilter) -> Missing:
    """Why a memory is not shown: what became of it, as far as the filter lets its past through; else in the words of one that is not there."""
    known = store.present([id], replace(at, states=frozenset(State), is_past=True, has_expired=True)).get(id)
    if known is None:
        return Missing(f"Memory {id} is in quarantine. `loci review` shows why.") if reaches(store, id, at) else missing(id, store.cube)
    if known.state in DONE:
        return Missing(f"Memory {id} {DONE[known.state]}. `loci restore {id}` brings it back.")
    return Missing(f"Memory {id} does not hold any more. `loci history {id}` tells since when, and why.")


class Keeping:
    """What one cube keeps of memories that were read. Safe to use from several threads and processes."""

    def __init__(
        self,
        store: Store,
        engine: Callable[[], Engine[Any]] | None,
        files: PageFiles,
        redactor: Redactor,
        residence: Residence,
        lending: Lending,
    ) -> None:
        self._store, self._engine, self._files, self._redactor, self._residence = store, engine, files, redactor, residence
        self._lending = lending
        self._manifests: dict[tuple[str, int], Manifest] = {}

    @property
    def engine(self) -> Engine[Any]:
        if self._engine is None:
            raise Unsupported(
                "There is no model that could read memories. Give one to `MemOS.open(engine=...)`, or name by the setting engine a server (http://...) "
                "or a folder; for a folder `pip install 'loci-memos[activation]'` brings what it takes."
            )
        return self._engine()

    def manifest(self, id: str, version: int | None = None) -> Manifest:
        """Raises `Missing`, or `Corrupt` for one that cannot be read."""
        if version is not None and (known := self._manifests.get((id, version))) is not None:
            return known
        row = self._store.payload(id)
        known = self._manifests[id, row.number] = activation.load(row.manifest)
        return known

    def mend(self, now: datetime) -> list[str]:
        """Lets go of activation memories whose files are gone, as after a crash in an erasure, and of files that nobody names, as after a
        crash before that. Returns the ids of what was let go of."""
        gone = [row.id for row in self._store.payloads() if self._lacks_files(row.id)]
        if gone or self._files.names() - self._store.page_files():
            with self._store.write(now) as tx:
                gone = [id for id in gone if self._lacks_files(id)]
                tx.drop_payloads(gone)
                self.tidy(tx)
        return gone

    def _lacks_files(self, id: str) -> bool:
        try:
            return not all(self._files.is_there(page.hash) for page in activation.load(self._store.payload(id).manifest).pages)
        except (Missing, Corrupt):
            return False  # gone as a whole, or for `faults` to tell

    def faults(self) -> list[tuple[str, str]]:
        """Every page of every activation memory, byte by byte: (id, what is wrong)."""
        found = []
        for row in self._store.payloads():
            try:
                manifest = activation.load(self._store.payload(row.id).manifest)
                for page in manifest.pages:
                    pages.load(self._files.open(page.hash, page.bytes, is_checked=True))
                if fault := self._lending.fault(manifest):
                    found.append((row.id, fault))
            except (Missing, Corrupt) as error:
                found.append((row.id, str(error)))
        return found

    def tidy(self, tx: Transaction) -> int:
        """Destroys files that no activation memory needs; in a transaction, so that nobody names one meanwhile. Returns how many there
        were."""
        self._forget_the_gone()
        return self._files.keep(self._store.page_files())

    def let_go(self, tx: Transaction, id: str) -> None:
        """Forgets one, in a transaction; `settle` and `tidy` take its files away, and what nobody can tell that it named."""
        with contextlib.suppress(Corrupt):
            self._lending.let_go(tx, self.manifest(id))
        tx.drop_payloads([id])

    def settle(self, now: datetime, *, is_erasing: bool = False) -> tuple[str, ...]:
        """Has servers forget what no activation memory needs; for an erasure also what is only being built, which may have read the words.
        Returns, a sentence each, what may still be there, and why."""
        return self._lending.settle(now, None if is_erasing else ())

    def write_off(self, tx: Transaction, name: str) -> None:
        """Takes somebody's word that a server no longer holds what it was to forget."""
        self._lending.write_off(tx, name)

    # -- words, rows and pages -------------------------------------------------------------------------------------------

    def tenant(self, at: RowFilter) -> str:
        """Whose it is, as a keyed hash: two users of a cube share nothing."""
        return tenant_of(self._store, at.user)

    def _present(self, memories: Sequence[str], at: RowFilter) -> list[Memory]:
        """These memories as they are now, in the order of their ids. Raises `Missing` for one that the filter does not let through."""
        if not 0 < len(memories) <= MOST_MEMORIES:
            raise Invalid(f"{len(memories)} memories cannot be activated at once: name 1 to {MOST_MEMORIES}.")
        found = self._store.present(memories, at)
        for id in memories:
            if id not in found:
                raise gone(self._store, id, at)
        return [found[id] for id in sorted(found)]

    def _block(self, memories: Sequence[Memory], moment: datetime) -> str:
        """The memories as they stand in a prompt: fenced, dated, in an order of their own."""
        return pack([Hit(m, 0.0, {}, note(m, moment)) for m in memories], self._redactor, None).text

    def _ids(self, text: str) -> tuple[int, ...]:
        """The tokens that are read of a block of memories: up to its last word, or as far as any prompt has them, where nothing can be cut off later."""
        if self.engine.fingerprint().has_end:
            return self._head(text)
        return self.engine.tokenize(self.engine.prompt(text, [Message("user", "?")])[1])

    def _head(self, text: str) -> tuple[int, ...]:
        """The tokens that every prompt with these memories begins with, however it goes on."""
        whole = self.engine.tokenize(self.engine.prompt(text, [Message("user", STARTS[0])])[0])
        others = (self.engine.tokenize(self.engine.prompt(text, [Message("user", start)])[0]) for start in STARTS[1:])
        return whole[: min(activation.agreed(other, whole) for other in others)]

    def _hash(self, text: str) -> str:
        return self._store.hash("activation", text).hex()

    def _check_words(self, manifest: Manifest, text: str) -> None:
        """Raises `Conflict` where the memories do not read as they were read."""
        if self._hash(text) != manifest.text:
            raise Conflict(f"The memories of {manifest.id} read otherwise than when it was built. `loci activate` builds it again.")

    def _forget_the_gone(self) -> None:
        """What somebody let go of is not at hand any more either."""
        known = list(self._manifests)  # first: what is built meanwhile is not gone
        numbers = self._store.payload_numbers() if known else {}
        popped = (self._manifests.pop((id, number), None) for id, number in known if numbers.get(id) != number)
        gone = {page.chain for manifest in popped if manifest is not None for page in manifest.pages}
        if gone:
            self._let_go(gone)

    def _let_go(self, pages: Collection[str]) -> None:
        """Of these pages, what no activation memory that is known has any more is not at hand any more."""
        self._residence.keep({page.chain for manifest in list(self._manifests.values()) for page in manifest.pages}, pages)

    def _next_version(self, id: str) -> int:
        return self._store.payload_numbers().get(id, 0) + 1

    def _is_at_hand(self, manifest: Manifest) -> bool:
        """Whether its pages are; what a budget left is one thing, which goes by the name of its first."""
        held = manifest.pages if manifest.eviction is None else manifest.pages[:1]
        return self._residence.holds([page.chain for page in held])

    def _take(self, manifest: Manifest, count: int) -> Lease:
        """The first pages of an activation memory, from wherever they are. What a budget left has none: it is one thing; and what has an end is taken
        with it."""
        if manifest.eviction is not None:
            raise Conflict(f"{manifest.id} is what a budget left of its text: it is not cut, and not put together with others.")
        count = len(manifest.pages) if manifest.fingerprint.has_end else count
        names = [page.chain for page in manifest.pages[:count]]
        return self._residence.take(names, activation.parts(manifest)[:count], partial(self._load, manifest))

    def _load(self, manifest: Manifest, place: int) -> Any:
        """A page from the disk."""
        ids = manifest.ids[place * BLOCK : (place + 1) * BLOCK]
        return self.engine.decode(ids, place * BLOCK, manifest.codec, self._opened(manifest, manifest.pages[place]))

    def _opened(self, manifest: Manifest, page: Page) -> Tensors:
        """The tensors of a file, if it is the one that it should be."""
        found = dict(pages.load(self._files.open(page.hash, page.bytes)))
        named = found.pop(CHAIN, None)
        if named is None or bytes(named.data).hex() != page.chain:
            raise Corrupt(f"Page {manifest.pages.index(page) + 1} of {manifest.id} is another's. Build it again (`loci activate`).")
        return found


def handle_of(row: PayloadRow, manifest: Manifest) -> Handle:
    return Handle(
        id=row.id, version=row.number, memories=tuple(q.memory for q in manifest.quoted), tokens=len(manifest.ids), bytes=manifest.bytes,
        codec=manifest.codec.name, dtype=manifest.fingerprint.dtype, created=row.created, uses=row.uses, last_used=row.last_used,
        quality=manifest.quality, is_kept=manifest.is_kept, **_budget_of(manifest),
    )  # fmt: skip


def _budget_of(manifest: Manifest) -> dict[str, Any]:
    if manifest.eviction is None:
        return {}
    return {"method": manifest.eviction.method, "kept": round(sum(page.tokens for page in manifest.pages) / len(manifest.pages))}
