"""Activation memory of a model behind an inference server: the words are rendered and read there, and what is kept stays there.

What is kept here is the manifest: whose it is, which words, which tokens, and everything that the server told of itself. Before anything is
built upon, all of it is compared, as for a model that runs here; after a slot was restored, the server's own count of what it read must
be the rest of the prompt, or the slot is dropped and the text is read from its first token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from loci.errors import Conflict, Corrupt, IncompatiblePayload, Invalid, Missing, ReadOnly, TooLarge, Unsupported
from loci.infrastructure.pages import PageFiles
from loci.memories import activation
from loci.operation.activation import GIVES_WAY
from loci.operation.composing import Wish
from loci.operation.fitting import Fitting
from loci.operation.keeping import handle_of
from loci.operation.lending import Lending, place_of
from loci.operation.reading import PRINCIPAL, Progress, quoted_of
from loci.operation.redact import Redactor
from loci.operation.residence import Residence
from loci.ports import Lent, RowFilter, Store, Transaction
from loci.ports.engine import Manifest, Remote, Sampling
from loci.ports.serving import Answer, Hits, Server, Slots
from loci.types import Attached, Handle, Message, Recall


@dataclass(frozen=True, slots=True)
class Serving:
    """The server at hand: its kind, address and model, the longest text it reads in tokens, how well its cache does for all who use it
    (None: it does not tell), what it holds of this cube, and the bytes that its slot files may take."""

    kind: str
    url: str
    model: str
    context: int
    hits: Hits | None
    lent: tuple[Lent, ...]
    room: int


class Served(Fitting):
    """The activation memories of one cube whose model is behind a server. Safe to use from several threads."""

    def __init__(
        self, store: Store, server: Callable[[], Server], files: PageFiles, redactor: Redactor, residence: Residence, lending: Lending
    ) -> None:
        super().__init__(store, None, files, redactor, residence, lending)
        self._server = server
        self._reads: int | None = None  # tokens

    @property
    def server(self) -> Server:
        return self._server()

    def serving(self) -> Serving:
        """What is at hand."""
        server = self.server
        mine = tuple(lent for lent in self._store.lent() if lent.server == place_of(server))
        context = server.fingerprint().context
        return Serving(server.kind, server.url, server.model, context, server.hits(), mine, self._lending.shelf.room)

    def _context(self) -> int:
        """As the server said when it was asked first. One that cannot tell all of itself answers from text, and refuses what is too long itself."""
        if self._reads is None:
            try:
                self._reads = self.server.fingerprint().context
            except Unsupported:
                self._reads = 0
        return self._reads

    def _prompt(self, text: str, messages: Sequence[Message]) -> Sequence[int]:
        return self.server.tokens(text, messages)

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
        *,
        is_anew: bool = False,
    ) -> Handle:
        """Has the server read memories, and keeps the manifest of it, and a slot file where the server writes one. What it holds nobody can tell, so it reads them each time
        that it is asked to; what is kept of that takes the place of the same that was kept before."""
        server, cube = self.server, self._store.cube
        if codec != "raw":
            raise Invalid(f"codec is {codec!r}; {server.kind} keeps numbers as it was started to, so that it must be raw.")
        if server.slots is not None and self._store.is_encrypted:
            raise Unsupported(f"Cube {cube} is encrypted, and a slot file would not be. Nothing was kept.")
        found = self._present(memories, at)
        text = self._block(found, at.now)
        ids, fingerprint = self._head(text), server.fingerprint()
        kind, quoted = activation.REMOTE["prefix" if server.slots is None else "slot"], quoted_of(found)
        wanted = (place_of(server), kind, ids, fingerprint, self.tenant(at), quoted)
        same = None if is_anew else self._same(memories, lambda one: _read(one) == wanted)
        id = id if same is None else same.id
        version = self._next_version(id)
        if fingerprint.context and len(ids) >= fingerprint.context:
            raise Invalid(f"{len(ids)} tokens are more than {server.model} reads ({fingerprint.context}). Choose fewer memories.")
        name = f"loci-{self._store.hash('slot', self._store.id, at.user, id, str(version)).hex()}.bin"
        self._lending.lend(name, server, at.now)
        try:
            remote = self._warmed(server, ids, name, self.salt(at))
            manifest = Manifest(
                id=id, version=version, created=at.now, text=self._hash(text), ids=ids, fingerprint=fingerprint,
                quoted=quoted, tenant=self.tenant(at), codec=kind, pages=(),
                tools={server.kind: fingerprint.attention}, remote=remote,
            )  # fmt: skip
            self._keep(manifest, memories, at, record)
        finally:
            self._lending.settle(at.now, [name])
        if progress is not None:
            progress(1, 1)
        return handle_of(self._store.payload(id), manifest)

    def _head(self, text: str) -> tuple[int, ...]:
        """The tokens that every prompt with these memories begins with: those that prompts of two different questions share."""
        asked, other = ([Message("user", words)] for words in ("?", "A"))
        whole = self.server.tokens(text, asked)
        shared = activation.agreed(self.server.tokens(text, other), whole)
        if shared <= activation.agreed(self.server.tokens("", asked), whole):
            raise Unsupported(
                f"The template of {self.server.model} does not put what stands first in a message first: nothing can be kept."
            )
        return whole[:shared]

    def _warmed(self, server: Server, ids: Sequence[int], name: str, salt: str) -> Remote:
        if server.slots is None:
            return Remote(place_of(server), name, 0, "", server.warm(ids, salt).seconds)
        with server.slots.alone():
            warmed = server.warm(ids, salt)
            saved = server.slots.save(name)
        if saved.tokens != len(ids):
            raise Unsupported(f"{server.url} read {len(ids)} tokens and saved {saved.tokens}: its slot files cannot be trusted.")
        shelf = self._lending.shelf
        if shelf.folder is not None and shelf.size(name) != saved.bytes:
            raise Unsupported(
                f"{server.url} wrote {saved.bytes} bytes to {name}, which are not in {shelf.folder}: check the setting slot_folder."
            )
        return Remote(place_of(server), name, saved.bytes, shelf.hash(name), warmed.seconds)

    def _keep(self, manifest: Manifest, memories: Sequence[str], at: RowFilter, record: Callable[[Transaction, Manifest], None]) -> None:
        assert manifest.remote is not None
        sources = [source for quoted in manifest.quoted for source in quoted.sources]
        with self._store.write(at.now) as tx:
            self._check_unchanged(manifest, memories, at)
            self._lending.finish(tx, manifest.remote)
            for row in self._store.payloads():
                if row.id == manifest.id:
                    self._lending.let_go(tx, self.manifest(row.id, row.number))
            tx.put_payload(manifest.id, manifest.version, activation.dump(manifest), sources, ())
            self._make_room(tx, manifest)
            record(tx, manifest)
            self.tidy(tx)

    def _make_room(self, tx: Transaction, fresh: Manifest) -> None:
        """The slot files that were used longest ago go, until all fit. Raises `TooLarge` where the new one alone does not."""
        room = self._lending.shelf.room
        if fresh.bytes > room:
            raise TooLarge(f"The slot file takes {fresh.bytes} bytes, and kv_disk_bytes leaves room for {room}. Nothing was kept.")
        found = [(row, self.manifest(row.id, row.number)) for row in self._store.payloads() if row.id != fresh.id]
        files = [(row.last_used or row.created, old) for row, old in found if old.codec == activation.REMOTE["slot"]]
        total = fresh.bytes + sum(old.bytes for _, old in files)
        for _, old in sorted(files, key=lambda file: file[0]):
            if total <= room:
                break
            total -= old.bytes
            tx.drop_payloads([old.id])
            tx.audit(PRINCIPAL, "deactivate", old.id, {"reason": "no room for its slot file"})

    # -- using ---------------------------------------------------------------------------------------------------------

    def answer(
        self,
        recall: Recall,
        messages: Sequence[Message],
        at: RowFilter,
        budget_tokens: int | None,
        sampling: Sampling,
    ) -> tuple[Iterator[str], Attached]:
        """The answer, in one piece, and how its prompt was read. Raises `Invalid` where it is more than the server says it reads."""
        begun = self._begun_by(recall, messages, at, budget_tokens)
        if isinstance(begun, str):
            return self._from_text(self.server.tokens(recall.text, messages), at, begun, sampling)
        manifest, text, asked = begun
        return self._gone_on(manifest, text, self.server.tokens(text, asked), at, sampling)

    def answer_from(
        self,
        wish: Wish,
        recall: Recall,
        messages: Sequence[Message],
        at: RowFilter,
        budget_tokens: int | None,
        sampling: Sampling,
    ) -> tuple[Iterator[str], Attached]:
        """As `answer`, from what was wished for. A server moves no state to another place: several are read as one text, of which it
        may hold the beginning."""
        found = self.shown(wish, at)
        asked = self._with_rest(recall, found, messages, budget_tokens)
        ids = self.server.tokens(self._block(found, at.now) if found else "", asked)
        if wish.is_composed:
            return self._from_text(
                ids, at, f"{self.server.kind} puts no states behind one another ({wish.mode}): the text was read", sampling
            )
        best = max(wish.manifests, key=lambda manifest: activation.agreed(manifest.ids, ids))
        try:
            text = self.words_of(best, at)
        except (Conflict, Missing) as error:
            return self._from_text(ids, at, str(error), sampling)
        return self._gone_on(best, text, ids, at, sampling)

    def _gone_on(
        self, manifest: Manifest, text: str, ids: Sequence[int], at: RowFilter, sampling: Sampling
    ) -> tuple[Iterator[str], Attached]:
        """The answer to a prompt, gone on from an activation memory whose words are ``text``, or from the prompt's own, and why."""
        try:
            self._check_fit(manifest, text)
            told, reason = self._from_held(manifest, ids, at, sampling)
        except GIVES_WAY as error:
            return self._from_text(ids, at, str(error), sampling)
        if not told.cached_tokens:
            return iter([told.text]), Attached(None, 0, told.prompt_tokens, reason)
        return iter([told.text]), Attached(manifest.id, told.cached_tokens, told.prompt_tokens - told.cached_tokens, reason)

    def _from_text(self, ids: Sequence[int], at: RowFilter, reason: str, sampling: Sampling) -> tuple[Iterator[str], Attached]:
        """Reads all of it, unless the server itself finds that it has read some of it for the same user."""
        told = self._asked(ids, None if self.server.slots is not None else self.salt(at), sampling)
        held = told.cached_tokens or 0
        return iter([told.text]), Attached(None, held, told.prompt_tokens - held, reason)

    def _check_fit(self, manifest: Manifest, text: str) -> None:
        """Raises where the words, the server or what it says of itself are not what they were."""
        self._check_words(manifest, text)
        if manifest.remote is None or manifest.remote.server != place_of(self.server):
            was, now = manifest.remote.server if manifest.remote else "a model that runs here", place_of(self.server)
            raise IncompatiblePayload(f"{manifest.id} was read by {was}, and the server at hand is {now}.", "server", was, now)
        activation.check_fit(manifest.fingerprint, self.server.fingerprint())

    def _from_held(self, manifest: Manifest, ids: Sequence[int], at: RowFilter, sampling: Sampling) -> tuple[Answer, str]:
        """Raises where what the server holds is not exactly what reading these tokens would give."""
        server = self.server
        held = activation.agreed(manifest.ids, ids)
        if not held:
            raise Conflict(f"No token of {manifest.id} begins this prompt.")
        if server.slots is not None:
            return self._restored(manifest, server.slots, ids, held, at, sampling), "restored from a slot file"
        told = self._asked(ids, self.salt(at), sampling)
        if told.cached_tokens is None:
            flag = "--enable-prompt-tokens-details" if server.kind == "vllm" else "--enable-cache-report"
            return told, f"{server.kind} held nothing of it any more, or does not say so: start it with {flag}"
        return told, f"{server.kind} held {told.cached_tokens} tokens; {held} were warmed"

    def _restored(self, manifest: Manifest, slots: Slots, ids: Sequence[int], held: int, at: RowFilter, sampling: Sampling) -> Answer:
        """The answer from a slot file. What the server then reads must be the rest of the prompt, to the token; else the file is dropped."""
        assert manifest.remote is not None
        try:
            with slots.alone():
                found = slots.restore(manifest.remote.name)
                if (found.tokens, found.bytes) != (len(manifest.ids), manifest.remote.bytes):
                    raise Corrupt(
                        f"Slot file {manifest.remote.name} gave {found.tokens} tokens and {found.bytes} bytes; {len(manifest.ids)} and"
                        f" {manifest.remote.bytes} were saved."
                    )
                told = self._asked(ids, self.salt(at), sampling)
            if told.cached_tokens != held:
                raise Corrupt(
                    f"After slot file {manifest.remote.name} was restored, {told.prompt_tokens - (told.cached_tokens or 0)} tokens were read and"
                    f" not the {len(ids) - held} that follow it."
                )
        except (Corrupt, Missing) as error:
            self._drop(manifest, at)
            raise Corrupt(f"{error} It was dropped, and the text was read.") from error
        return told

    def _asked(self, ids: Sequence[int], salt: str | None, sampling: Sampling) -> Answer:
        return self.server.answer(ids, salt, max_tokens=sampling.max_tokens, temperature=sampling.temperature, seed=sampling.seed)

    def _drop(self, manifest: Manifest, at: RowFilter) -> None:
        try:
            with self._store.write(at.now) as tx:
                tx.drop_payloads([manifest.id])
                tx.audit(PRINCIPAL, "deactivate", manifest.id, {"reason": "its slot file cannot be gone on from"})
        except ReadOnly:
            return  # who cannot write reads the text each time
        self.settle(at.now)

    def salt(self, at: RowFilter) -> str:
        """Which prompts a server may reuse what it has read for: those of the same user of this cube, and no other's. Nobody can guess it."""
        return "".join(self._store.hash(part, self._store.id, at.user).hex() for part in ("salt", "and pepper"))


def _read(manifest: Manifest) -> tuple[object, ...]:
    """What a server has read, for whom."""
    server = None if manifest.remote is None else manifest.remote.server
    return server, manifest.codec, manifest.ids, manifest.fingerprint, manifest.tenant, manifest.quoted
