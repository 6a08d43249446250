"""Activation memory at work: prompts go on from what a model made of memories that it has read.

The words are the truth. Before anything is attached, the memories' text is written anew and compared with what was read; then the
model with the one that read it, then the tokens, one by one. Whatever differs is the reason why the text is read instead, which gives the
same answer and takes longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loci.errors import Conflict, Corrupt, IncompatiblePayload, Missing
from loci.memories import activation
from loci.operation.citing import behind
from loci.operation.keeping import RAW, handle_of, reaches
from loci.operation.reading import Reading
from loci.operation.residence import Lease
from loci.policy.placement import is_worth_loading
from loci.ports import PayloadRow, RowFilter
from loci.ports.engine import BLOCK, Manifest, Sampling
from loci.types import Attached, Handle, Memory, Message, Recall

MOST_TRIED = 4  # activation memories of the same memories, in the place of one that cannot be used
NONE_HOLDS = "no activation memory holds what was recalled"
GIVES_WAY = (IncompatiblePayload, Conflict, Corrupt, Missing)  # what is wrong with an activation memory, so that its text is read instead


@dataclass(frozen=True, slots=True)
class Ready:
    """A prompt as it goes to the model: the state that holds its first tokens, and the tokens that are read after it. ``lease`` keeps
    the state's pages at hand while they are used."""

    state: Sequence[Any]
    ids: tuple[int, ...]
    attached: Attached
    lease: Lease | None = None


class Activations(Reading):
    """The activation memories of one cube, and the answers that go on from them."""

    def handles(self, at: RowFilter, among: Sequence[str]) -> tuple[list[Handle], list[str]]:
        """What is kept for this tenant of one of ``among``, all of whose memories the filter lets through, oldest first; and what is wrong with those that
        cannot be read. Whether one still fits is seen when it is used."""
        rows = self._rows(at, among)
        found = [handle_of(row, manifest) for row, manifest in rows if isinstance(manifest, Manifest)]
        wrong = [manifest for _, manifest in rows if isinstance(manifest, str)]
        if not found:
            return [], wrong
        present = self._store.present(list(dict.fromkeys(id for handle in found for id in handle.memories)), at)
        wanted = set(among)
        return [handle for handle in found if present.keys() >= set(handle.memories) and not wanted.isdisjoint(handle.memories)], wrong

    def listed(self, at: RowFilter) -> list[Handle]:
        """All that is kept for this tenant of memories within reach of the filter, oldest first; of what cannot be used with why (``void``). What nobody can read is
        among them where the filter reaches the whole cube, since nobody can tell whose it is."""
        found = []
        for row, manifest in self._rows(at):
            if isinstance(manifest, Manifest):
                if all(reaches(self._store, quoted.memory, at) for quoted in manifest.quoted):
                    found.append(replace(handle_of(row, manifest), void=self.void(manifest, at)))
            elif at.within is None:
                found.append(Handle(row.id, row.number, (), 0, 0, "", "", row.created, row.uses, row.last_used, void=manifest))
        return found

    def _rows(self, at: RowFilter, among: Sequence[str] | None = None) -> list[tuple[PayloadRow, Manifest | str]]:
        """What is kept for this tenant, and what cannot be read, with why; of those that hold one of ``among``, where that is given."""
        self._forget_the_gone()
        mine, found = self.tenant(at), list[tuple[PayloadRow, Manifest | str]]()
        for row in self._store.payloads(among):
            try:
                manifest = self.manifest(row.id, row.number)
            except Missing:
                continue  # somebody has just let go of it
            except Corrupt as error:
                found.append((row, str(error)))
                continue
            if manifest.tenant == mine:
                found.append((row, manifest))
        return found

    def void(self, manifest: Manifest, at: RowFilter) -> str:
        """Why it cannot be used, as far as that shows without its model and without reading its files; empty where it can."""
        try:
            self._check_words(manifest, self._block(self._present([quoted.memory for quoted in manifest.quoted], at), at.now))
            for page in manifest.pages:
                if not self._files.has(page.hash, page.bytes):
                    self._files.open(page.hash, page.bytes)  # says what is wrong with it
        except GIVES_WAY as error:
            return str(error)
        return ""

    def answer(
        self,
        recall: Recall,
        messages: Sequence[Message],
        at: RowFilter,
        budget_tokens: int | None,
        sampling: Sampling,
    ) -> tuple[Iterator[str], Attached]:
        """The answer to a conversation with what was recalled for it, as it comes, and how its prompt was read."""
        ready = self.ready(recall, messages, at, budget_tokens)
        return self._told(ready, sampling), ready.attached

    def _told(self, ready: Ready, sampling: Sampling) -> Iterator[str]:
        """The pieces of the answer to a prompt."""
        pieces = self.engine.generate(
            ready.state, ready.ids, max_tokens=sampling.max_tokens, temperature=sampling.temperature, seed=sampling.seed
        )
        return releasing(ready.lease, pieces)

    def ready(self, recall: Recall, messages: Sequence[Message], at: RowFilter, budget_tokens: int | None) -> Ready:
        """The prompt of a conversation with what was recalled for it, read as far as an activation memory holds it. Where the nearest cannot be used, others of the same memories
        are tried: another model's, or a damaged one, hides none that is whole."""
        first = self._ready(recall, messages, at, budget_tokens)
        if first.attached.handle is not None or (failed := nearest_exact(recall)) is None:
            return first
        for other in [
            h for h in reversed(recall.handles) if h.id != failed.id and not h.method and set(h.memories) == set(failed.memories)
        ][:MOST_TRIED]:
            found = self._ready(replace(recall, handles=(other,)), messages, at, budget_tokens)
            if found.attached.handle is not None:
                return found
        return first

    def _ready(self, recall: Recall, messages: Sequence[Message], at: RowFilter, budget_tokens: int | None) -> Ready:
        """The prompt with the nearest activation memory, or why there is none."""
        begun = self._begun_by(recall, messages, at, budget_tokens)
        if isinstance(begun, str):
            ids = self.engine.tokenize(self.engine.prompt(recall.text, messages)[0])
            return Ready((), ids, Attached(None, 0, len(ids), begun))
        manifest, text, told = begun
        ids = self.engine.tokenize(self.engine.prompt(text, told)[0])
        try:
            return self._attached(manifest, text, ids)
        except GIVES_WAY as error:
            return Ready((), ids, Attached(None, 0, len(ids), str(error)))

    def _begun_by(
        self, recall: Recall, messages: Sequence[Message], at: RowFilter, budget_tokens: int | None, *, is_exact: bool = True
    ) -> tuple[Manifest, str, list[Message]] | str:
        """The activation memory that a prompt is to begin with, its memories as they read now, and the messages with what else was recalled;
        or why it begins with none. One that was read under a budget only where it need not be exact."""
        handle = nearest_exact(recall) if is_exact else nearest(recall.handles, recall.ids)
        if handle is None:
            return NONE_HOLDS
        try:
            manifest = self.manifest(handle.id, handle.version)
            block = self._present([quoted.memory for quoted in manifest.quoted], at)
        except GIVES_WAY as error:
            return str(error)
        return manifest, self._block(block, at.now), self._with_rest(recall, block, messages, budget_tokens)

    def _attached(self, manifest: Manifest, text: str, ids: tuple[int, ...]) -> Ready:
        """Raises where the state is not exactly what reading these tokens would give."""
        self._check_current(manifest, text)
        held = activation.agreed(manifest.ids, ids)
        if not held:
            raise Conflict(f"No token of {manifest.id} begins this prompt.")
        if manifest.fingerprint.has_end and held < len(manifest.ids):
            raise Conflict(
                f"This prompt has the first {held} of the {len(manifest.ids)} tokens of {manifest.id}, and this model holds no beginnings."
            )
        self._check_worth([manifest])
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
        self._check_words(manifest, text)
        activation.check_fit(manifest.fingerprint, self.engine.fingerprint())

    def _check_worth(self, manifests: Sequence[Manifest]) -> None:
        """Raises where those that are not at hand take longer to load than all of them to read."""
        away = [manifest for manifest in manifests if not self._is_at_hand(manifest)]
        if away and (told := slower(away, manifests)):
            raise Conflict(f"{told}: the text was read.")

    def _with_rest(self, recall: Recall, block: Sequence[Memory], messages: Sequence[Message], budget_tokens: int | None) -> list[Message]:
        """The messages, the last with what was recalled besides the block before its words: what was said earlier stays as it was read."""
        _, packed = behind(recall, {memory.id for memory in block}, self._redactor, budget_tokens)
        last = messages[-1] if not packed.text else replace(messages[-1], text=f"{packed.text}\n\n{messages[-1].text}")
        return [*messages[:-1], last]


def releasing(lease: Lease | None, pieces: Iterator[str]) -> Iterator[str]:
    """The pieces; after the last what was at hand for them may go."""
    yield from pieces
    if lease is not None:
        lease.release()


def coded_of(manifest: Manifest) -> str:
    """How a reason begins where numbers are not kept as they were computed: by which codec, and what it was found to cost."""
    if manifest.codec == RAW:
        return ""
    cost = manifest.quality.get("kl")
    told = "what that costs was not measured" if cost is None else f"which changes answers by {cost:.2g} nats a token"
    return f"kept as {manifest.codec.name}, {told}; "


def slower(away: Sequence[Manifest], wanted: Sequence[Manifest], is_worth: Callable[[float, float], bool] = is_worth_loading) -> str:
    """How long loading those that are away takes, and reading all that are wanted, where loading is not worth it; empty where it is."""
    load, read = sum(one.costs["load_ms"] for one in away), sum(one.costs["read_ms"] for one in wanted)
    if is_worth(load, read):
        return ""
    what, whose = (away[0].id, "its") if len(wanted) == 1 else (f"{len(away)} of {len(wanted)} activation memories", "the")
    return f"Loading {what} takes {load:.0f} ms, reading {whose} text {read:.0f} ms"


def nearest_exact(recall: Recall) -> Handle | None:
    """The same among those that hold all that they read."""
    return nearest([handle for handle in recall.handles if not handle.method], recall.ids)


def nearest(handles: Sequence[Handle], recalled: Sequence[str]) -> Handle | None:
    """The activation memory that holds most of what was recalled; of several an exact one, the shortest, the newest; None where none holds any.
    One that nobody asked for has to be wanted by half: what else is in it, nobody chose to have in a prompt."""
    wanted = set(recalled)
    able = [handle for handle in handles if not handle.is_kept or 2 * len(wanted & set(handle.memories)) >= len(handle.memories)]
    best = max(
        able, key=lambda handle: (len(wanted & set(handle.memories)), not handle.method, -handle.tokens, handle.created), default=None
    )
    return best if best is not None and wanted & set(best.memories) else None
