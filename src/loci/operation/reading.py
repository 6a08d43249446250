"""Memories are read by a model once, and what it made of them is kept: page by page, as a codec holds it, as long as there is room.

Nothing is kept that is not worth it or not true any more: a codec that changes answers by more than is allowed is refused, and so are words that
changed while the model read them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from loci.errors import Conflict, Corrupt, Invalid, Missing, TooLarge, Unsupported
from loci.memories import activation, pages
from loci.operation.keeping import CHAIN, RAW, Keeping, handle_of
from loci.policy.eviction import Stored, payload_key
from loci.policy.placement import load_seconds, read_seconds
from loci.ports import PayloadRow, RowFilter, Transaction
from loci.ports.engine import BLOCK, Codec, Episode, Manifest, Page, Quoted, Tensor
from loci.types import Handle, Memory

MOST_DIVERGENCE = 1e-3  # nats a token that a codec may cost before it is refused
PRINCIPAL = "activation"  # who lets go of what there is no room for, or what turned out to be of no use
AGAIN = "Activate them again."
Progress = Callable[[int, int], None]


class Reading(Keeping):
    """The activation memories of one cube, as they are built."""

    def build(
        self,
        id: str,
        memories: Sequence[str],
        at: RowFilter,
        codec: str,
        most_divergence: float,
        record: Callable[[Transaction, Manifest], None],
        progress: Progress | None = None,
        *,
        is_anew: bool = False,
    ) -> Handle:
        """Reads memories and keeps what the model made of them, under an id. What another activation memory holds of the same beginning
        is neither read nor kept again; one that holds just this is the answer, unless it is to be made ``is_anew``. ``record`` writes the audit record, in
        the same transaction."""
        return self._built(id, memories, at, self._codec(codec), most_divergence, record, progress, is_anew=is_anew)

    def _built(
        self, id: str, memories: Sequence[str], at: RowFilter, chosen: Codec, most_divergence: float,
        record: Callable[[Transaction, Manifest], None], progress: Progress | None = None, *, is_kept: bool = False, is_anew: bool = False,
        episode: Episode | None = None, beside: Collection[str] = (),
    ) -> Handle:  # fmt: skip
        """The same; ``is_kept``: nobody asked for it, and an answer is about to read it anyway. What is made ``beside`` it does not give way to it."""
        found = self._present(memories, at)
        text = self._block(found, at.now)
        ids = self._ids(text)
        fingerprint, tenant = self.engine.fingerprint(), self.tenant(at)
        names = activation.chain(fingerprint, tenant, chosen, ids)
        same = None if is_kept or is_anew else self._same(memories, self._holds(names, text, found))
        if same is not None:
            if self._is_usable(same):
                self._check_divergence(chosen, same.quality, most_divergence)
                return self._reused(same)
            id = same.id
        begun, known = self._begun(names, ids, chosen)
        state = self._read(ids, begun, chosen)
        with self._tidied(at.now):
            written = self._write(state, names, known, chosen, progress)
            manifest = Manifest(
                id=id, version=self._next_version(id), created=at.now, text=self._hash(text), ids=ids, fingerprint=fingerprint, quoted=quoted_of(found), tenant=tenant, codec=chosen, pages=tuple(written), costs=self._costs(len(ids), sum(page.bytes for page in written)),
                tools=self.engine.tools(), is_kept=is_kept, episode=episode,
            )  # fmt: skip
            kept = state if chosen == RAW else self._coded(state, chosen)
            manifest = self._measured(manifest, state, kept, most_divergence)
            manifest = self._commit(manifest, memories, at, record, partial(self._write, state, names, [], chosen, None), beside=beside)
        self._residence.put(names, kept)
        if (manifest.id, manifest.version) not in self._manifests:  # erased since, when there was nothing at hand to let go of
            self._let_go(names)
        return handle_of(self._store.payload(id), manifest)

    def _commit(
        self, manifest: Manifest, memories: Sequence[str], at: RowFilter, record: Callable[[Transaction, Manifest], None],
        write: Callable[[], Sequence[Page]], again: str = AGAIN, beside: Collection[str] = (),
    ) -> Manifest:  # fmt: skip
        """Puts a manifest into a row, in one transaction with its record, if the words are still as they were read, else the caller is
        told to do it ``again``; ``write`` writes its files again if somebody has tidied them away, or raises."""
        with self._store.write(at.now) as tx:
            self._check_unchanged(manifest, memories, at, again)
            if not all(self._files.has(page.hash, page.bytes) for page in manifest.pages):  # before a row named them
                manifest = replace(manifest, pages=tuple(write()))
            sources = [source for quoted in manifest.quoted for source in quoted.sources]
            tx.put_payload(manifest.id, manifest.version, activation.dump(manifest), sources, manifest.pages)
            record(tx, manifest)
            self._fit(tx, {manifest.id, *beside})
            self.tidy(tx)
        self._manifests[manifest.id, manifest.version] = manifest
        return manifest

    def _check_unchanged(self, manifest: Manifest, memories: Sequence[str], at: RowFilter, again: str = AGAIN) -> None:
        """Raises `Conflict` where the memories do not read any more as they were read."""
        if self._hash(self._block(self._present(memories, at), at.now)) != manifest.text:
            raise Conflict(f"The memories changed meanwhile. {again}")

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

    def _same(self, memories: Sequence[str], fits: Callable[[Manifest], bool]) -> Manifest | None:
        """The activation memory of these memories that ``fits``, if there is one: rather one that somebody asked for, and the oldest of those."""
        found = []
        for row in self._store.payloads(memories):
            with contextlib.suppress(Missing, Corrupt):
                found.append(self.manifest(row.id, row.number))
        return min((manifest for manifest in found if fits(manifest)), key=lambda manifest: manifest.is_kept, default=None)

    def _holds(self, names: Sequence[str], text: str, memories: Sequence[Memory]) -> Callable[[Manifest], bool]:
        """Whether one is just what reading these memories gives: the same versions in the same words, and of the same model, codec and tokens, which the names of its files
        say."""
        wanted = (quoted_of(memories), self._hash(text), list(names))
        return lambda manifest: (manifest.quoted, manifest.text, [page.chain for page in manifest.pages]) == wanted

    def _is_usable(self, manifest: Manifest) -> bool:
        """Whether somebody asked for it, and every byte of it is as it was written."""
        return not manifest.is_kept and all(self._files.is_whole(page.hash, page.bytes) for page in manifest.pages)

    def _reused(self, manifest: Manifest) -> Handle:
        return replace(handle_of(self._store.payload(manifest.id), manifest), is_reused=True)

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
        upon: it would add up; and what has an end has no beginnings."""
        found = self._store.holding(names) if codec == RAW and not self.engine.fingerprint().has_end else None
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
        if codec != RAW and not quality["kl"] <= most:  # nor what is no number
            raise Unsupported(
                f"{codec.name} changes this model's answers by {quality['kl']:.2g} nats a token, more than the {most:.2g} allowed. "
                "Nothing was kept: choose raw or a codec of more bits, or allow more."
            )

    def _fit(self, tx: Transaction, made: Collection[str]) -> None:
        """Lets go of what is least worth its bytes until what is kept fits. Raises `TooLarge` where what is made does not by itself."""
        rows = {row.id: row for row in self._store.payloads() if row.id not in made and not self._is_elsewhere(row)}
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


def quoted_of(memories: Sequence[Memory]) -> tuple[Quoted, ...]:
    """What a manifest says of the memories that were read."""
    return tuple(Quoted(m.id, m.version, m.checksum, tuple(dict.fromkeys(s.source for s in m.spans))) for m in memories)
