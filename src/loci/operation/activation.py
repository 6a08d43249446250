"""Activation memory at work: memories are read by a model once, what it made of them is kept, and later prompts go on from there.

The words are the truth. Before anything is attached, the memories' text is written anew and compared with what was read; then the
model with the one that read it, then the tokens, one by one. Whatever differs is the reason why the text is read instead, which gives the
same answer and takes longer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from loci.errors import Conflict, Corrupt, IncompatiblePayload, Invalid, Missing, TooLarge, Unsupported, missing
from loci.infrastructure.pages import PageFiles
from loci.memories import activation, pages
from loci.operation.lending import Lending
from loci.operation.operator import item, note
from loci.operation.redact import Redactor
from loci.operation.residence import Lease, Residence
from loci.policy import packing
from loci.policy.eviction import Stored, payload_key
from loci.policy.placement import is_worth_loading, load_seconds, read_seconds
from loci.ports import PayloadRow, RowFilter, Store, Transaction
from loci.ports.engine import BLOCK, Codec, Engine, Manifest, Page, Quoted, Tensor, Tensors
from loci.types import Attached, Handle, Hit, Memory, Message, Recall

MOST_DIVERGENCE = 1e-3  # nats a token that a codec may cost before it is refused
MOST_MEMORIES = 1000
RAW = activation.CODECS["raw"]
NONE_HOLDS = "no activation memory holds what was recalled"
CHAIN = "chain"  # what a page calls itself
PRINCIPAL = "activation"  # who lets go of what there is no room for, or what turned out to be of no use
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ready:
    """A prompt as it goes to the model: the state that holds its first tokens, and the tokens that are read after it. ``lease`` keeps
    the state's pages at hand while they are used."""

    state: Sequence[Any]
    ids: tuple[int, ...]
    attached: Attached
    lease: Lease | None = None


class Activations:
    """The activation memories of one cube. Safe to use from several threads and processes."""

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

    # -- building ------------------------------------------------------------------------------------------------------

    def build(
        self,
        id: str,
        memories: Sequence[str],
        at: RowFilter,
        codec: str,
        most_divergence: float,
        record: Callable[[Transaction, Manifest], None],
        progress: Progress | None = None,
    ) -> Handle:
        """Reads memories and keeps what the model made of them, under an id. What another activation memory holds of the same beginning
        is neither read nor kept again. ``record`` writes the audit record, in the same transaction."""
        chosen = self._codec(codec)
        found = self._present(memories, at)
        text = self._block(found, at.now)
        ids = self.engine.tokenize(self.engine.prompt(text, [Message("user", "?")])[1])
        fingerprint, tenant = self.engine.fingerprint(), self.tenant(at)
        names = activation.chain(fingerprint, tenant, chosen, ids)
        begun, known = self._begun(names, ids, chosen)
        state = self._read(ids, begun, chosen)
        with self._tidied(at.now):
            written = self._write(state, names, known, chosen, progress)
            manifest = Manifest(
                id=id, version=self._next_version(id), created=at.now, text=self._hash(text), ids=ids, fingerprint=fingerprint, quoted=quoted_of(found), tenant=tenant, codec=chosen, pages=tuple(written), costs=self._costs(len(ids), sum(page.bytes for page in written)),
                tools=self.engine.tools(),
            )  # fmt: skip
            kept = state if chosen == RAW else self._coded(state, chosen)
            manifest = self._measured(manifest, state, kept, most_divergence)
            manifest = self._commit(manifest, memories, at, record, partial(self._write, state, names, [], chosen, None))
        self._residence.put(names, kept)
        return handle_of(self._store.payload(id), manifest)

    def _commit(
        self, manifest: Manifest, memories: Sequence[str], at: RowFilter, record: Callable[[Transaction, Manifest], None],
        write: Callable[[], Sequence[Page]],
    ) -> Manifest:  # fmt: skip
        """Puts a manifest into a row, in one transaction with its record, if the words are still as they were read; ``write`` writes its
        files again if somebody has tidied them away."""
        with self._store.write(at.now) as tx:
            if self._hash(self._block(self._present(memories, at), at.now)) != manifest.text:
                raise Conflict("The memories changed while the model read them. Activate them again.")
            if not all(self._files.has(page.hash, page.bytes) for page in manifest.pages):  # before a row named them
                manifest = replace(manifest, pages=tuple(write()))
            sources = [source for quoted in manifest.quoted for source in quoted.sources]
            tx.put_payload(manifest.id, manifest.version, activation.dump(manifest), sources, manifest.pages)
            record(tx, manifest)
            self._fit(tx, manifest.id)
            self.tidy(tx)
        self._manifests[manifest.id, manifest.version] = manifest
        return manifest

    @contextlib.contextmanager
    def _tidied(self, now: datetime) -> Iterator[None]:
        """Where what is done inside does not come to its end, no file of it stays: its words may have been erased meanwhile."""
        is_done = False
        try:
            yield
            is_done = True
        finally:
            if not is_done:
                with self._store.write(now) as tx:
                    self.tidy(tx)

    def _codec(self, name: str) -> Codec:
        """The codec of that name; ``exact`` is the smaller of the two that change nothing."""
        if name == "exact":
            name = "hidden" if self.engine.is_hidden_smaller() else "raw"
        if name not in activation.CODECS:
            raise Invalid(
                f"codec is {name!r}; it must be one of {', '.join(activation.CODECS)}, or exact for the smaller of raw and hidden."
            )
        return activation.CODECS[name]

    def _read(self, ids: Sequence[int], begun: Sequence[Any], codec: Codec) -> Sequence[Any]:
        """The state of these tokens, as far as it is not there already."""
        held = sum(len(page.ids) for page in begun)
        if held == len(ids):
            return begun
        return self.engine.read_hidden(ids) if codec.name == "hidden" else self.engine.read(ids[held:], begun)

    def _begun(self, names: Sequence[str], ids: Sequence[int], codec: Codec) -> tuple[Sequence[Any], list[Page]]:
        """The longest beginning of these tokens that is kept as it was computed, with its pages. What a codec changed is not built
        upon: it would add up."""
        found = self._store.holding(names) if codec == RAW else None
        if found is None:
            return (), []
        try:
            manifest = activation.load(found.manifest)
            known = [page for page, name in zip(manifest.pages, names, strict=False) if page.chain == name]
            held = sum(page.tokens for page in known)
            if manifest.ids[:held] != tuple(ids[:held]):  # a name is a hint
                return (), []
            return self._take(manifest, len(known)).pages, known
        except (Missing, Corrupt):
            return (), []  # it is read anew, and its pages are written anew; `verify` tells of what is damaged

    def _write(
        self, state: Sequence[Any], names: Sequence[str], known: Sequence[Page], codec: Codec, progress: Progress | None
    ) -> list[Page]:
        """The pages of a state, those that are kept already and those written now."""
        written = list(known)
        for place in range(len(known), len(names)):
            named = Tensor("U8", (32,), bytes.fromhex(names[place]))  # users with the same words share no file, and a page knows its place
            name, size = self._files.put(pages.dump({**self.engine.encode(state[place], codec), CHAIN: named}))
            written.append(Page(names[place], name, size, len(state[place].ids)))
            if progress is not None:
                progress(place + 1, len(names))
        return written

    def _coded(self, state: Sequence[Any], codec: Codec) -> list[Any]:
        """A state as the codec keeps it; not by way of the files, which somebody may tidy away before a row names them."""
        return [self.engine.decode(page.ids, place * BLOCK, codec, self.engine.encode(page, codec)) for place, page in enumerate(state)]

    def _costs(self, tokens: int, size: int) -> dict[str, float]:
        rates = self.engine.rates()
        return {"read_ms": 1000 * read_seconds(rates, tokens), "load_ms": 1000 * load_seconds(rates.disk, size)}

    def _measured(self, manifest: Manifest, state: Sequence[Any], kept: Sequence[Any], most_divergence: float) -> Manifest:
        """With what the codec costs. Raises `Unsupported` where that is more than was allowed; nothing is kept then."""
        if manifest.codec == RAW:
            return manifest
        quality = self.engine.compare(state, kept)
        self._check_divergence(manifest.codec, quality, most_divergence)
        return replace(manifest, quality=quality)

    def _check_divergence(self, codec: Codec, quality: Mapping[str, float], most: float) -> None:
        if not quality["kl"] <= most:  # nor what is no number
            raise Unsupported(
                f"{codec.name} changes this model's answers by {quality['kl']:.2g} nats a token, more than the {most:.2g} allowed. "
                "Nothing was kept: choose raw or a codec of more bits, or allow more."
            )

    def _fit(self, tx: Transaction, id: str) -> None:
        """Lets go of what is least worth its bytes until what is kept fits. Raises `TooLarge` where this one alone does not."""
        rows = {row.id: row for row in self._store.payloads() if row.id != id and not self._is_elsewhere(row)}
        while self._store.page_bytes() > self._lending.shelf.room:
            if not rows:
                raise TooLarge(
                    f"It takes more than the {self._lending.shelf.room:,} bytes that the setting kv_disk_bytes allows. Choose fewer memories, or a codec."
                )
            key, least = min((self._rank(row), row.id) for row in rows.values())
            tx.drop_payloads([least])
            tx.audit(PRINCIPAL, "deactivate", least, {"reason": "no room on the disk"})
            tx.set_payload_clock(key)
            del rows[least]

    def _is_elsewhere(self, row: PayloadRow) -> bool:
        """Whether a server keeps it: then it takes no room here."""
        try:
            return self.manifest(row.id, row.number).remote is not None
        except Corrupt:
            return False

    def _rank(self, row: PayloadRow) -> float:
        """The least goes first; what cannot be read before everything else."""
        try:
            manifest = self.manifest(row.id, row.number)
        except Corrupt:
            return -1.0
        return payload_key(Stored(row.uses + 1, manifest.costs["read_ms"], manifest.costs["load_ms"], manifest.bytes), row.clock)

    # -- using ---------------------------------------------------------------------------------------------------------

    def handles(self, at: RowFilter) -> tuple[list[Handle], list[str]]:
        """What is kept for this tenant of memories that the filter lets through, oldest first, and what is wrong with those that cannot be
        read. Whether one still fits is seen when it is used."""
        rows = self._store.payloads()
        self._forget_all_but(rows)
        found, wrong = [], []
        for row in rows:
            try:
                manifest = self.manifest(row.id, row.number)
            except Missing:
                continue  # somebody has just let go of it
            except Corrupt as error:
                wrong.append(str(error))
                continue
            if manifest.tenant == self.tenant(at) and self._are_all_present(manifest, at):
                found.append(handle_of(row, manifest))
        return found, wrong

    def answer(
        self,
        recall: Recall,
        messages: Sequence[Message],
        at: RowFilter,
        budget_tokens: int | None,
        *,
        max_tokens: int,
        temperature: float,
        seed: int,
    ) -> tuple[Iterator[str], Attached]:
        """The answer to a conversation with what was recalled for it, as it comes, and how its prompt was read."""
        ready = self.ready(recall, messages, at, budget_tokens)
        pieces = self.engine.generate(ready.state, ready.ids, max_tokens=max_tokens, temperature=temperature, seed=seed)
        return releasing(ready, pieces), ready.attached

    def ready(self, recall: Recall, messages: Sequence[Message], at: RowFilter, budget_tokens: int | None) -> Ready:
        """The prompt of a conversation with what was recalled for it, read as far as an activation memory holds it."""
        begun = self._begun_by(recall, messages, at, budget_tokens)
        if begun is None:
            ids = self.engine.tokenize(self.engine.prompt(recall.text, messages)[0])
            return Ready((), ids, Attached(None, 0, len(ids), NONE_HOLDS))
        manifest, text, told = begun
        ids = self.engine.tokenize(self.engine.prompt(text, told)[0])
        try:
            return self._attached(manifest, text, ids)
        except (IncompatiblePayload, Conflict, Corrupt, Missing) as error:
            return Ready((), ids, Attached(None, 0, len(ids), str(error)))

    def _begun_by(
        self, recall: Recall, messages: Sequence[Message], at: RowFilter, budget_tokens: int | None, *, is_exact: bool = True
    ) -> tuple[Manifest, str, list[Message]] | None:
        """The activation memory that a prompt is to begin with, its memories as they read now, and the messages with what else was recalled.
        One that was read under a budget only where it need not be exact."""
        handle = nearest([handle for handle in recall.handles if not (is_exact and handle.method)], recall.ids)
        if handle is None:
            return None
        manifest = self.manifest(handle.id, handle.version)
        block = self._present([quoted.memory for quoted in manifest.quoted], at)
        return manifest, self._block(block, at.now), self._with_rest(recall, block, messages, at, budget_tokens)

    def _attached(self, manifest: Manifest, text: str, ids: tuple[int, ...]) -> Ready:
        """Raises where the state is not exactly what reading these tokens would give."""
        self._check_current(manifest, text)
        held = activation.agreed(manifest.ids, ids)
        if not held:
            raise Conflict(f"No token of {manifest.id} begins this prompt.")
        if not self._is_at_hand(manifest) and not is_worth_loading(manifest.costs["load_ms"], manifest.costs["read_ms"]):
            raise Conflict(
                f"Loading {manifest.id} takes {manifest.costs['load_ms']:.0f} ms, reading its text {manifest.costs['read_ms']:.0f} ms: the text was read."
            )
        lease = self._take(manifest, -(-held // BLOCK))
        told = ", ".join(f"{count} from the {tier}" for tier, count in sorted(lease.tiers.items()))
        return Ready(
            self.engine.cut(lease.pages, held),
            ids[held:],
            Attached(manifest.id, held, len(ids) - held, f"{coded_of(manifest)}pages: {told}"),
            lease,
        )

    def _check_current(self, manifest: Manifest, text: str) -> None:
        """Raises where the words or the model are not what they were."""
        if self._hash(text) != manifest.text:
            raise Conflict(f"The memories of {manifest.id} read otherwise than when it was built. `loci activate` builds it again.")
        activation.check_fit(manifest.fingerprint, self.engine.fingerprint())

    def _with_rest(
        self, recall: Recall, block: Sequence[Memory], messages: Sequence[Message], at: RowFilter, budget_tokens: int | None
    ) -> list[Message]:
        """The messages, the last with what was recalled besides the block before its words: what was said earlier stays as it was read."""
        shown = {memory.id for memory in block}
        hits = [hit for hit in recall.hits if hit.memory.id not in shown]
        texts = self._redactor.texts([hit.memory.text for hit in hits])
        items = [item(hit, text) for hit, text in zip(hits, texts, strict=True)]
        packed = packing.pack(items, budget_tokens, recall.trace.call.terms, first=len(block) + 1)
        last = messages[-1] if not packed.text else replace(messages[-1], text=f"{packed.text}\n\n{messages[-1].text}")
        return [*messages[:-1], last]

    # -- care ----------------------------------------------------------------------------------------------------------

    def manifest(self, id: str, version: int | None = None) -> Manifest:
        """Raises `Missing`, or `Corrupt` for one that cannot be read."""
        if version is not None and (id, version) in self._manifests:
            return self._manifests[id, version]
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
        self._forget_all_but(self._store.payloads())
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

    # -- plumbing ------------------------------------------------------------------------------------------------------

    def tenant(self, at: RowFilter) -> str:
        """Whose it is, as a keyed hash: two users of a cube share nothing, and nobody can tell that their words are the same."""
        return self._store.hash("tenant", at.user).hex()

    def _present(self, memories: Sequence[str], at: RowFilter) -> list[Memory]:
        """These memories as they are now, in the order of their ids. Raises `Missing` for one that the filter does not let through."""
        if not 0 < len(memories) <= MOST_MEMORIES:
            raise Invalid(f"{len(memories)} memories cannot be activated at once: name 1 to {MOST_MEMORIES}.")
        found = self._store.present(memories, at)
        for id in memories:
            if id not in found:
                raise missing(id, self._store.cube)
        return [found[id] for id in sorted(found)]

    def _are_all_present(self, manifest: Manifest, at: RowFilter) -> bool:
        wanted = [quoted.memory for quoted in manifest.quoted]
        return len(self._store.present(wanted, at)) == len(wanted)

    def _block(self, memories: Sequence[Memory], moment: datetime) -> str:
        """The memories as they stand in a prompt: fenced, dated, in an order of their own."""
        texts = self._redactor.texts([memory.text for memory in memories])
        items = [item(Hit(m, 0.0, {}, note(m, moment)), text) for m, text in zip(memories, texts, strict=True)]
        return packing.pack(items, None).text

    def _hash(self, text: str) -> str:
        return self._store.hash("activation", text).hex()

    def _forget_all_but(self, rows: Sequence[PayloadRow]) -> None:
        """What somebody let go of is not at hand any more either."""
        known = {(row.id, row.number) for row in rows}
        gone = [self._manifests.pop(key) for key in list(self._manifests) if key not in known]
        if gone:
            kept = {page.chain for manifest in self._manifests.values() for page in manifest.pages}
            self._residence.keep(kept, {page.chain for manifest in gone for page in manifest.pages})

    def _next_version(self, id: str) -> int:
        return next((row.number + 1 for row in self._store.payloads() if row.id == id), 1)

    def _is_at_hand(self, manifest: Manifest) -> bool:
        return self._residence.holds([page.chain for page in manifest.pages])

    def _take(self, manifest: Manifest, count: int) -> Lease:
        """The first pages of an activation memory, from wherever they are. What a budget left has none: it is one thing."""
        if manifest.eviction is not None:
            raise Conflict(f"{manifest.id} is what a budget left of its text: it is not cut, and not put together with others.")
        starts = range(0, count * BLOCK, BLOCK)
        names = [page.chain for page in manifest.pages[:count]]
        return self._residence.take(names, [manifest.ids[start : start + BLOCK] for start in starts], partial(self._load, manifest))

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


def releasing(ready: Ready, pieces: Iterator[str]) -> Iterator[str]:
    """The pieces; after the last the state's pages may go."""
    yield from pieces
    if ready.lease is not None:
        ready.lease.release()


def handle_of(row: PayloadRow, manifest: Manifest) -> Handle:
    return Handle(
        id=row.id, version=row.number, memories=tuple(q.memory for q in manifest.quoted), tokens=len(manifest.ids), bytes=manifest.bytes,
        codec=manifest.codec.name, dtype=manifest.fingerprint.dtype, created=row.created, uses=row.uses, last_used=row.last_used,
        quality=manifest.quality, **_budget_of(manifest),
    )  # fmt: skip


def _budget_of(manifest: Manifest) -> dict[str, Any]:
    if manifest.eviction is None:
        return {}
    return {"method": manifest.eviction.method, "kept": round(sum(page.tokens for page in manifest.pages) / len(manifest.pages))}


def coded_of(manifest: Manifest) -> str:
    """How a reason begins where numbers are not kept as they were computed: by which codec, and what it was found to cost."""
    if manifest.codec == RAW:
        return ""
    cost = manifest.quality.get("kl")
    told = "what that costs was not measured" if cost is None else f"which changes answers by {cost:.2g} nats a token"
    return f"kept as {manifest.codec.name}, {told}; "


def quoted_of(memories: Sequence[Memory]) -> tuple[Quoted, ...]:
    """What a manifest says of the memories that were read."""
    return tuple(Quoted(m.id, m.version, m.checksum, tuple(dict.fromkeys(s.source for s in m.spans))) for m in memories)


def nearest(handles: Sequence[Handle], recalled: Sequence[str]) -> Handle | None:
    """The activation memory that holds most of what was recalled; of several an exact one, the shortest, the newest; None where none holds any."""
    wanted = set(recalled)
    best = max(
        handles, key=lambda handle: (len(wanted & set(handle.memories)), not handle.method, -handle.tokens, handle.created), default=None
    )
    return best if best is not None and wanted & set(best.memories) else None
