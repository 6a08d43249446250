"""Why a memory is there, and why it is not in an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loci.memories import derived
from loci.operation.doubt import DECISIONS
from loci.operation.operator import Operator, is_closed, is_partly_closed
from loci.ports import RowFilter, Store
from loci.types import Link, Memory, Query, Record, Source, State, Transition


@dataclass(frozen=True, slots=True)
class Why:
    """Everything a memory rests on: the words it quotes, its versions, its steps through the life cycle, what it is linked to, and the
    audit records."""

    memory: Memory
    sources: tuple[Source, ...]
    versions: tuple[Memory, ...]
    transitions: tuple[Transition, ...]
    links: tuple[Link, ...]
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The step that keeps a memory out of an answer. ``rank`` counts from 1; None when a filter stopped it before ranking."""

    memory: str
    is_in: bool
    step: str
    reason: str
    rank: int | None = None
    score: float | None = None
    last_score: float | None = None


def why(store: Store, id: str) -> Why:
    """Raises `Missing` when there is no such memory."""
    versions = store.history(id)
    sources = dict.fromkeys(span.source for version in versions for span in version.spans)
    named = {r.seq: r for object in (id, *sources) for r in store.records(None, None, None, object, 100)}
    return Why(
        memory=versions[-1],
        sources=tuple(store.source(s) for s in sources),
        versions=tuple(versions),
        transitions=tuple(store.transitions(id)),
        links=tuple(store.links(id)),
        records=tuple(named[seq] for seq in sorted(named)),
    )


def why_made(store: Store, headers: Sequence[Memory]) -> Why:
    """The same of what a model made of memories, by the ``headers`` of its versions: the words that it was made of, and the log of it."""
    latest = headers[-1]
    sources = dict.fromkeys(span.source for span in latest.spans)
    return Why(
        memory=latest,
        sources=tuple(store.source(s) for s in sources),
        versions=tuple(headers),
        transitions=(),
        links=derived.links_of(latest),
        records=tuple(store.records(None, None, None, latest.id, 100)),
    )


def why_not(store: Store, operator: Operator, query: Query, at: RowFilter, id: str) -> WhyNot:
    """Follows the memory through the steps of the search, and says first what had superseded it. Raises `Missing` when there is no such memory."""
    memory = store.history(id)[-1]
    found = _followed(store, operator, query, at, memory)
    if found.is_in or found.step == "filter":
        return found
    return replace(found, reason="; ".join((*_superseded(store, memory, at), found.reason)))


def _followed(store: Store, operator: Operator, query: Query, at: RowFilter, memory: Memory) -> WhyNot:
    """The step at which the memory is left out."""
    id = memory.id
    step = _filtered(store, memory, at)
    if step is not None:
        return WhyNot(id, False, "filter", step)
    hits = operator.search(replace(query, limit=1000, budget_tokens=None), at).hits
    ranks = {hit.memory.id: place for place, hit in enumerate(hits, 1)}
    folded = {d: place for place, hit in enumerate(hits, 1) for d in hit.duplicates}
    last = hits[query.limit - 1].score if len(hits) >= query.limit else None
    if id in ranks:
        place = ranks[id]
        score = hits[place - 1].score
        if place <= query.limit:
            return WhyNot(id, True, "answer", f"it is hit {place} of {query.limit}", place, score, last)
        reason = f"it is ranked {place}; the answer holds {query.limit}"
        return WhyNot(id, False, "rank", reason, place, score, last)
    if id in folded:
        place = folded[id]
        kept = hits[place - 1].memory.id
        return WhyNot(id, place <= query.limit, "fold", f"it is part of, or nearly the same as, hit {place} ({kept})", place)
    return WhyNot(id, False, "signals", "no signal found it: it shares no word with the question and is far from it in meaning")


def _filtered(store: Store, memory: Memory, at: RowFilter) -> str | None:
    """The filter that leaves the memory out, in words; None when it passes."""
    if store.present([memory.id], at):
        return None
    if at.user is not None and memory.scope.user != at.user:
        return f"it belongs to {memory.scope.user or 'no user'}, the question is asked for {at.user}"
    for decision in DECISIONS:
        if any(suspect.memory.id == memory.id for suspect in store.suspects(decision, memory.spans[0].source)):
            return "it is in quarantine: `loci review" + (f" --decision {decision}`" if decision else "`")
    if memory.state in (State.ARCHIVED, State.EXPIRED):
        return f"it is {memory.state.value}" + (f": {memory.ending}" if memory.ending else "")
    if memory.expires is not None and memory.expires <= at.now:
        return f"its time to live ended on {memory.expires:%Y-%m-%d}"
    if memory.valid.end is not None and not memory.valid.holds(at.as_of or at.now):
        return "; ".join((*_superseded(store, memory, at), f"it held until {memory.valid.end:%Y-%m-%d}: {memory.ending}"))
    if at.as_of is not None and memory.valid.start is not None and memory.valid.start > at.as_of:
        return f"it holds since {memory.valid.start:%Y-%m-%d}, after the time asked for"
    return "the question's own limits (type, time of saying) leave it out"


def _superseded(store: Store, memory: Memory, at: RowFilter) -> list[str]:
    """What of it had been superseded by then, since when, and by which memory, where that one may be seen."""
    told: dict[str, None] = {}
    for claim in memory.claims:
        if is_closed(claim, at.as_of or at.now):
            by = claim.closed_by if claim.closed_by and store.present([claim.closed_by], at) else "another memory"
            since = "" if claim.closed_at is None else f" on {claim.closed_at:%Y-%m-%d}"
            what = "a part of what" if is_partly_closed(memory, claim, at.as_of or at.now) else "what"
            told[f"{what} it says of {claim.subject}'s {claim.attribute} was superseded{since} by {by}"] = None
    return list(told)
