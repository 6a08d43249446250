"""Activation memory from one vault to another: written with what it takes to check it, and taken in as what anybody may have made.

Keyed hashes are of one cube alone, so the words are compared by what the model read of them: the block of the memories is written anew here,
in the importer's own cube, and its tokens must be the bundle's, one by one. Then the model is the same, the words are the same, and only
the numbers are somebody else's: the model reads the words once and compares them, unless whoever takes them in vouches for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from loci.errors import Conflict, Corrupt, Invalid, Malformed, Missing, TooLarge, Unsupported
from loci.infrastructure import bundles
from loci.memories import activation, bundle, pages
from loci.memories.bundle import NOT_TAKEN, Bundle, Part, Read
from loci.operation.keeping import CHAIN, RAW, handle_of
from loci.operation.operator import item, note
from loci.operation.preparing import Preparing
from loci.operation.reading import quoted_of
from loci.policy import packing
from loci.ports import RowFilter, Transaction
from loci.ports.engine import BLOCK, Manifest, Page, Tensor, Tensors
from loci.types import Handle, Hit, Memory

NOISE = {"float32": 1e-3, "float64": 1e-3}  # of a head's largest number: what machines may differ by when they read the same
COARSE = 2.0**-5  # the same for types of 16 bits
SCAN = 1000  # memories looked at together


class Bundling(Preparing):
    """The activation memories of one cube, which can be written for another, and taken in from one."""

    # -- out -----------------------------------------------------------------------------------------------------------

    def write(self, manifest: Manifest, at: RowFilter, folder: Path, *, is_plain: bool) -> Mapping[str, object]:
        """Writes an activation memory to a folder, and answers what is in it. Raises `Conflict` for one whose words read otherwise now."""
        if manifest.remote is not None:
            raise Unsupported(
                f"{manifest.id} is kept by {manifest.remote.server}, whose form is its own. Activate it with a model that runs here."
            )
        if manifest.eviction is not None:
            raise Unsupported(
                f"{manifest.id} is kept under a budget, and cannot be exported. Activate its memories without one, and export that."
            )
        self.check_whole(manifest)
        if self._store.is_encrypted and not is_plain:
            raise Invalid(
                f"Cube {self._store.cube} is encrypted, and a bundle is not: whoever has it has the words. plain=True (`--plain`) says that you know."
            )
        self.words_of(manifest, at)
        found = self._present([quoted.memory for quoted in manifest.quoted], at)
        lines = zip(found, self._lines(found, at), strict=True)
        memories = tuple(Read(memory.id, memory.version, line) for memory, line in lines)

        def describe(parts: list[Part]) -> bytes:
            return bundle.dump(Bundle(
                manifest.id, manifest.version, manifest.created, manifest.ids, manifest.fingerprint, manifest.codec, memories, tuple(parts),
                manifest.quality, manifest.tools,
            ))  # fmt: skip

        size = bundles.write(folder, self._pages_of(manifest), describe)
        return {
            "id": manifest.id, "tokens": len(manifest.ids), "pages": len(manifest.pages), "memories": len(memories), "bytes": size,
            "of_encrypted": self._store.is_encrypted,
        }  # fmt: skip

    def _pages_of(self, manifest: Manifest) -> Iterator[Tensors]:
        """The tensors of each page as they are kept, every byte compared, without the name that the page has here."""
        for place, page in enumerate(manifest.pages):
            found = dict(pages.load(self._files.open(page.hash, page.bytes, is_checked=True)))
            named = found.pop(CHAIN, None)
            if named is None or bytes(named.data).hex() != page.chain:
                raise Corrupt(f"Page {place + 1} of {manifest.id} is another's. Build it again (`loci activate`).")
            yield found

    # -- in ------------------------------------------------------------------------------------------------------------

    def take_in(
        self,
        id: str,
        folder: Path,
        at: RowFilter,
        most_divergence: float,
        record: Callable[[Transaction, Manifest, Bundle], None],
        *,
        is_trusted: bool,
    ) -> Handle:
        """Keeps what a bundle holds, under an id and names of our own. Raises `IncompatiblePayload`, `Missing` or `Conflict` where it is of
        another model or other words, `Malformed` where it is not what it says it is; nothing of it is kept then. Where just this is here already, that is the answer."""
        with bundles.opened(folder) as reader:
            told = bundle.load(reader.manifest())
            current = self.engine.fingerprint()
            activation.check_fit(told.fingerprint, current)
            if (size := sum(part.bytes for part in told.parts)) > self._lending.shelf.room:
                raise TooLarge(f"The bundle has {size:,} bytes; the setting kv_disk_bytes allows {self._lending.shelf.room:,}. {NOT_TAKEN}")
            found = self._found(told, at)
            text = self._same_words(told, found, at)
            names = activation.chain(current, self.tenant(at), told.codec, told.ids)
            same = self._same([memory.id for memory in found], self._holds(names, text, found))
            if same is not None:
                if self._is_usable(same):
                    if not is_trusted:
                        self._check_divergence(told.codec, same.quality, most_divergence)
                    return self._reused(same)
                id = same.id
            with self._tidied(at.now):
                kept: list[Any] = []
                written = self._taken(reader, told, names, None if is_trusted else kept)
                manifest = Manifest(
                    id=id, version=self._next_version(id), created=at.now, text=self._hash(text), ids=told.ids, fingerprint=current,
                    quoted=quoted_of(found),
                    tenant=self.tenant(at), codec=told.codec, pages=tuple(written), quality=dict(told.quality), tools=dict(told.tools),
                    costs=self._costs(len(told.ids), sum(page.bytes for page in written)),
                )  # fmt: skip
                if not is_trusted:
                    manifest = self._compared(manifest, kept, most_divergence)
                named = [memory.id for memory in found]
                self._commit(manifest, named, at, lambda tx, taken: record(tx, taken, told), _tidied_away, f"{NOT_TAKEN} Import it again.")
        return handle_of(self._store.payload(id), manifest)

    def _found(self, told: Bundle, at: RowFilter) -> list[Memory]:
        """The memories here that read line by line as those of the bundle: those of the same ids, or else others of the same words. Raises
        `Missing`."""
        known = self._store.present([read.id for read in told.memories], at)
        lines = dict(zip(known, self._lines(list(known.values()), at), strict=True))
        found = {read.id: known[read.id] for read in told.memories if lines.get(read.id) == read.line}
        wanted = [read for read in told.memories if read.id not in found]
        if wanted:
            taken = set(found)
            others: dict[str, list[Memory]] = {}
            for memory, line in self._all_lines(at):
                if memory.id not in taken:
                    others.setdefault(line, []).append(memory)
            for read in wanted:
                if not others.get(read.line):
                    raise Missing(
                        f"Of the bundle's memories number {told.memories.index(read) + 1} of {len(told.memories)} is not here: none of "
                        f"{at.user or 'no user'} in cube {self._store.cube} has the very same words, speaker, day and origin. {NOT_TAKEN} Import the words "
                        "first (`loci import`), or name whose they are (user=, --user)."
                    )
                found[read.id] = others[read.line].pop(0)
        return sorted(found.values(), key=lambda memory: memory.id)

    def _same_words(self, told: Bundle, found: Sequence[Memory], at: RowFilter) -> str:
        """The block of these memories, whose tokens are the bundle's. Raises `Conflict` where they are not."""
        text = self._block(found, at.now)
        ids = self._ids(text)
        if ids != told.ids:
            place = next((n for n, (a, b) in enumerate(zip(ids, told.ids, strict=False)) if a != b), min(len(ids), len(told.ids)))
            raise Conflict(
                f"The same memories make {len(ids)} tokens here and {len(told.ids)} in the bundle, which differ from the {place + 1}. on: they are in another "
                f"order, or another Loci wrote them. {NOT_TAKEN} `loci activate` builds it here."
            )
        return text

    def _taken(self, reader: bundles.Reader, told: Bundle, names: Sequence[str], kept: list[Any] | None) -> list[Page]:
        """The pages of all parts, written under their names here; as the engine holds them they go to ``kept``. Raises `Malformed` for any
        that is not what a page of these tokens would be."""
        expected, whole = bundle.tensor_names(told.codec, told.fingerprint.layers), -(-len(told.ids) // BLOCK)
        written: list[Page] = []
        for part in told.parts:
            tensors, counted = reader.part(part), 0
            for place in range(len(written), len(written) + part.pages):
                prefix = bundle.page_prefix(place)
                page = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
                counted += len(page)
                if place < whole and set(page) != expected:  # what an end has, the engine compares
                    raise Malformed(f"{part.file} has other tensors of page {place} than a page has: {sorted(page)!r:.100}. {NOT_TAKEN}")
                decoded = self._decoded(told, place, page, part.file)
                if kept is not None:
                    kept.append(decoded)
                named = Tensor("U8", (32,), bytes.fromhex(names[place]))
                name, size = self._files.put(pages.dump({**page, CHAIN: named}))
                written.append(Page(names[place], name, size, len(decoded.ids)))
            if len(tensors) != counted:
                raise Malformed(f"{part.file} has {len(tensors)} tensors, and its pages have {counted}. {NOT_TAKEN}")
        return written

    def _decoded(self, told: Bundle, place: int, page: Tensors, file: str) -> Any:
        start = place * BLOCK
        try:
            return self.engine.decode(told.ids[start : start + BLOCK], start, told.codec, page)
        except Corrupt as error:
            raise Malformed(f"{file}, page {place}: {error} {NOT_TAKEN}") from error

    def _compared(self, manifest: Manifest, kept: Sequence[Any], most_divergence: float) -> Manifest:
        """With what the numbers are worth: the model reads the words, and what it makes of them is held beside what came. Raises `Malformed`
        where that is something else."""
        state, bits = self.engine.read(manifest.ids), manifest.codec.bits
        quality = self.engine.compare(state, kept)
        beside = (
            self.engine.compare(self._coded(state, manifest.codec), kept) if bits else quality
        )  # what the bundle says its steps are is its own word
        allowed = NOISE.get(manifest.fingerprint.dtype, COARSE) + (2 / (2**bits - 1) if bits else 0.0)
        for part, what in (("key", "keys"), ("value", "values"), ("end", "states")):
            share = beside.get(f"{part}_share", 0.0)
            if not share <= allowed:
                raise Malformed(
                    f"The {what} of the bundle are not what this model makes of these words: they differ by {share:.2g} of the largest, where "
                    f"{allowed:.2g} is allowed for rounding. {NOT_TAKEN} `loci activate` builds it here."
                )
        if not quality["kl"] <= most_divergence:
            raise Malformed(
                f"The bundle changes this model's answers by {quality['kl']:.2g} nats a token, more than the {most_divergence:.2g} allowed. {NOT_TAKEN}"
            )
        return replace(manifest, quality={} if manifest.codec == RAW else quality)

    # -- lines -----------------------------------------------------------------------------------------------------------

    def _lines(self, memories: Sequence[Memory], at: RowFilter) -> list[str]:
        """The hash of each memory's line as a model reads it, cited [1]: words, speaker, day, note, origin and trust."""
        texts = self._redactor.texts([memory.text for memory in memories])
        items = [item(Hit(m, 0.0, {}, note(m, at.now)), text) for m, text in zip(memories, texts, strict=True)]
        return [bundle.line_hash(packing.line_of(one, 1)) for one in items]

    def _all_lines(self, at: RowFilter) -> Iterator[tuple[Memory, str]]:
        """Every memory that may be shown, in the order of their remembering, with its line."""
        offset = 0
        while found := self._store.select(at, SCAN, offset):
            offset += len(found)
            yield from zip(found, self._lines(found, at), strict=True)


def _tidied_away() -> NoReturn:
    """A bundle's pages are not kept to be written twice."""
    raise Conflict(f"Somebody tidied up meanwhile. {NOT_TAKEN} Import it again.")


def detail_of(manifest: Manifest, told: Bundle, *, is_trusted: bool) -> dict[str, object]:
    """What the log keeps of a bundle that was taken in: counts, and hashes of its files. Nothing that it says: the log outlives an erasure."""
    return {
        "tokens": len(manifest.ids), "codec": manifest.codec.name, "memories": len(manifest.quoted), "trusted": is_trusted,
        "parts": [asdict(part)["sha256"] for part in told.parts][:100],
    }  # fmt: skip
