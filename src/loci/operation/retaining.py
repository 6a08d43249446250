"""What answers read is kept, where that pays: the next answer goes on from it, and nobody had to choose what to activate.

Whoever reads memories for an answer has made all that an activation memory is, so that keeping it costs a writing. Whether that is worth it is
decided by how often the same text was read of late, and by the rates of the machine at hand (`policy.placing.why_not_kept`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Any

from loci.errors import TooLarge, Unavailable
from loci.operation.activation import GIVES_WAY, nearest
from loci.operation.composing import Wish
from loci.operation.fitting import Fitting
from loci.operation.keeping import RAW
from loci.operation.placing import machine_of
from loci.operation.reading import MOST_DIVERGENCE
from loci.policy.placing import why_not_kept
from loci.policy.retention import Recency, used
from loci.ports import RowFilter, Transaction
from loci.ports.engine import Manifest, Sampling
from loci.ports.retaining import Strength
from loci.text.tokens import count_tokens
from loci.types import Attached, Message, Recall

MOST_READS = 4096  # texts whose readings are counted


class Reads:
    """How often texts were read of late, by their hashes. In memory: another process counts anew. The longest unread are forgotten first. Safe to
    use from several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Strength] = OrderedDict()
        self._lock = Lock()

    def count(self, name: str, now: datetime) -> float:
        """Counts a reading. Returns those of late, this one among them: each counts half as much a week later."""
        with self._lock:
            strength = used(self._known.pop(name, Strength(now)), now, Recency())
            self._known[name] = strength
            if len(self._known) > MOST_READS:
                self._known.popitem(last=False)
        return strength.heat


@dataclass(frozen=True, slots=True)
class Begun:
    """What an answer begins with: an activation memory, which may have been made for it just now (``is_new``), or none, and ``why``."""

    manifest: Manifest | None
    is_new: bool = False
    why: str = ""


class Retaining(Fitting):
    """The activation memories of one cube, and what answers leave there."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._reads = Reads()

    def answer_keeping(
        self,
        recall: Recall,
        messages: Sequence[Message],
        at: RowFilter,
        budget_tokens: int | None,
        sampling: Sampling,
        id: str,
        record: Callable[[Transaction, Manifest], None],
    ) -> tuple[Iterator[str], Attached, Wish | None]:
        """As `answer`. Where no activation memory holds any of what was recalled, all of it is read as one, which is kept under this id if that
        pays; with what the prompt begins with. What hinders the keeping hinders no answer, and is told."""
        begun = self._begun_or_kept(recall, at, budget_tokens, id, record)
        if begun.manifest is None:
            ready = self.ready(recall, messages, at, budget_tokens)
            told = replace(ready.attached, reason=f"{ready.attached.reason}; nothing was kept: {begun.why}")
            return self._told(ready, sampling), told, None
        wish = Wish((begun.manifest,))
        ready = self.ready_from(wish, recall, messages, at, budget_tokens, sampling.max_tokens)
        told = ready.attached
        if begun.is_new:
            count = told.held_tokens + told.read_tokens
            told = Attached(None, 0, count, f"what was recalled was read, and is kept as {begun.manifest.id}")
        return self._told(ready, sampling), told, wish

    def _begun_or_kept(
        self, recall: Recall, at: RowFilter, budget_tokens: int | None, id: str, record: Callable[[Transaction, Manifest], None]
    ) -> Begun:
        left = [handle for handle in recall.handles if not handle.method]
        while (found := nearest(left, recall.ids)) is not None:
            left.remove(found)
            try:
                manifest = self.manifest(found.id, found.version)
                self._check_current(manifest, self.words_of(manifest, at))
                return Begun(manifest)
            except GIVES_WAY:
                id = found.id if found.is_kept else id  # what nobody asked for and is of no use gives its place to what is
        try:
            why = self._why_not_keep(recall, at, budget_tokens)
            if why:
                return Begun(None, why=why)
            made = self._built(id, recall.ids, at, RAW, MOST_DIVERGENCE, record, is_kept=True)
            return Begun(self.manifest(made.id, made.version), is_new=True)
        except (*GIVES_WAY, TooLarge, Unavailable) as error:
            return Begun(None, why=str(error))

    def _why_not_keep(self, recall: Recall, at: RowFilter, budget_tokens: int | None) -> str:
        """Why what was recalled is not worth keeping; empty where it is."""
        if not recall.ids:
            return "nothing was recalled."
        text = self._block(self._present(recall.ids, at), at.now)
        words = count_tokens(text)
        if budget_tokens is not None and words > budget_tokens:
            return f"whole, its memories are {words:,} tokens, more than budget_tokens ({budget_tokens:,})."
        why = why_not_kept(len(self.engine.tokenize(text)), self._reads.count(self._hash(text), at.now), machine_of(self.engine))
        return f"{why}." if why else ""
