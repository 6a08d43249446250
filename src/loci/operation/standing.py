"""What stands in a conversation's prompt, looked up anew: versions with the words that may be shown now, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from loci.errors import Missing
from loci.operation import operator
from loci.operation.redact import Redactor
from loci.policy.layout import Candidates, Known, Now, Pair, Standing
from loci.policy.packing import Item
from loci.ports import RowFilter, Store
from loci.text.speech import is_lasting
from loci.types import TOLD_OF_THE_PAST, Hit, Memory, Part, Trust, Type

MOST = 200  # candidates of each sort that a core is chosen from
WISHES = 1000  # instructions that are read for those that are meant for good
TOLD = (Type.FACT, Type.PREFERENCE, Type.EVENT, Type.PLAN)  # what says something, rather than asks for it
HOPS = 8  # successors of successors that are looked up


def known(store: Store, redactor: Redactor, pairs: Collection[Pair], memories: Collection[str], rows: RowFilter) -> Known:
    """Of these versions, and of the latest of these memories and of what succeeded any of them, what the filter lets through, masked as a
    search would mask it. What was forgotten, erased, archived or put into quarantine is not in it; what has ended is, and said to have."""
    at = replace(rows, is_past=True)
    with store.snapshot():
        latest: dict[str, Memory] = {}
        wanted = {*memories, *(memory for memory, _ in pairs)}
        for _ in range(HOPS):
            found = store.present(sorted(wanted), at) if wanted else {}
            latest |= found
            wanted = {id for memory in found.values() for id in _closers(memory, rows.now)} - latest.keys()
        versions = {(memory.id, memory.version): memory for memory in latest.values()}
        for memory, version in pairs:
            if memory in latest and (memory, version) not in versions:
                versions |= _former(store, memory, version)
    texts = redactor.texts([memory.text for memory in versions.values()])
    lines = {pair: _item(memory, text) for (pair, memory), text in zip(versions.items(), texts, strict=True)}
    return Known(lines, {id: _now(memory, rows.now) for id, memory in latest.items()})


def candidates(store: Store, rows: RowFilter) -> Candidates:
    """Memories for a core: standing wishes and preferences, the newest first, and of what was told that which was used most. What was asked for at one
    moment ("delete that file") is none of it, however often something like it was."""
    tastes = replace(rows, types=(Type.PREFERENCE,))
    told = store.select(tastes, MOST, max(0, store.count(tastes) - MOST))
    liked = [memory.id for memory in reversed(told) if memory.origin.trust is Trust.TRUSTED]
    profile = [*_wishes(store, replace(rows, types=(Type.INSTRUCTION,))), *liked]
    return Candidates(tuple(profile), tuple(store.most_used(replace(rows, types=TOLD), MOST)))


def _wishes(store: Store, at: RowFilter) -> list[str]:
    """The newest instructions of the user's own that are meant for good; of a turn with several sentences those sentences."""
    count, found = store.count(at), list[Memory]()
    for end in range(count, max(0, count - WISHES), -MOST):
        start = max(0, end - MOST)
        page = reversed(store.select(at, end - start, start))
        found += [memory for memory in page if memory.origin.trust is Trust.TRUSTED and is_lasting(memory.text)]
    cut = {memory.spans[-1].source for memory in found if memory.part is Part.SENTENCE}
    return [memory.id for memory in found if memory.part is Part.SENTENCE or memory.spans[-1].source not in cut][:MOST]


def _former(store: Store, memory: str, version: int) -> dict[Pair, Memory]:
    try:
        return {(m.id, m.version): m for m in store.history(memory) if m.version == version}
    except Missing:  # erased since
        return {}


def _item(memory: Memory, text: str) -> Item:
    """What of a version never changes: its words, who said them, when and where, and the times that they name."""
    shown = operator.item(Hit(memory, 0.0, {}), text)
    return replace(shown, note="; ".join(operator.lasting(memory)))


def _closers(memory: Memory, moment: datetime) -> Sequence[str]:
    """Memories that took a claim of this one's away."""
    closed = (claim.closed_by for claim in memory.claims if operator.is_closed(claim, moment))
    return [id for id in dict.fromkeys(closed) if id and id != memory.id]


def _now(memory: Memory, moment: datetime) -> Now:
    closers = _closers(memory, moment)
    standing = Standing.CURRENT
    if closers:
        standing = Standing.REPLACED if operator.is_superseded(memory, moment) else Standing.PARTLY
    elif memory.valid.end is not None and memory.valid.end <= moment and memory.ending != TOLD_OF_THE_PAST:
        standing = Standing.ENDED
    return Now(memory.version, standing, closers[-1] if closers else None, memory.origin.session)
