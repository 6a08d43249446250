"""MemOperator: a question to a recall. Filter first, then signals, fusion, folding, packing; each step a plain function."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from loci.errors import Invalid, LociError
from loci.operation.ranking import Floats, Ranking, again, evidence_of, fuse, leaders
from loci.operation.redact import Redactor
from loci.policy import answerable, fusion, packing
from loci.policy.trust import capped
from loci.ports import Embedder, Probe, RowFilter, Store, Survey
from loci.text.facts import key
from loci.text.speech import semantic_type
from loci.text.tokens import normalize
from loci.text.wording.relations import naming
from loci.types import TOLD_OF_THE_PAST, Channel, Claim, Hit, Interval, Memory, MemoryCall, Query, Recall, TimeSpan, Trace, Trust, Type

if TYPE_CHECKING:
    from loci.ports.store import Column

MAX_LIMIT = 1000
READ_AHEAD = 5  # messages read beyond the hits wanted: some fold into others, some give way
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
BRANCHES = 3  # answers to a question within a question that are followed
FOLLOWED = 2.0  # claims that a claim at the end of a chain counts for: it shares no word with the question, and what led there many
WEEK = timedelta(weeks=1) / MICROSECOND
FAR = (0.1, 0.25)
"""Cosines of MiniLM's below which a text without a word of the question has nothing to do with it, and one that asked or greeted. Of what is
among the best twenty of the sets at hand 0 to 1.3 % of the evidence lies below, and 3 to 14 % of the rest (bench/RESULTS.md)."""
FIRST_HAND = frozenset({Channel.USER, Channel.IMPORT})  # of which the speaker is the origin
SUPERSEDED = 0.5  # what is left of the score of a memory all of whose claims were superseded


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a search knows of its candidates before it reads any: their signals (``raw``), what they stand out from, their order."""

    survey: Survey
    raw: Mapping[str, Column]
    background: fusion.Background
    ranking: Ranking
    confidence: float
    via: tuple[str, ...]
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Operator:
    """Answers questions on one cube."""

    store: Store
    embedder: Embedder | None
    ranker: fusion.Ranker
    redactor: Redactor

    def search(self, query: Query, at: RowFilter) -> Recall:
        """Best first, folded, packed to the budget, with the plan it followed. Writes nothing."""
        check(query)
        start = perf_counter()
        probe = self.probe(query.call)
        timings = {"embed": _lap(start)}
        with self.store.snapshot():
            ranked = self.rank(query.call, probe, at)
            timings |= ranked.milliseconds
            start = perf_counter()
            order, left_out = pertinent(query.call, ranked) if query.pertinent else (ranked.ranking.order, 0)
            hits = self._hits(ranked.ranking, order, ranked.survey, query.limit, at)
            timings["read"] = _lap(start)
        withheld = {"quarantined": ranked.survey.held} if ranked.survey.held else {}
        if left_out:
            withheld["about something else"] = left_out
        if query.strict and ranked.confidence < self.ranker.confidence.get("threshold", 0.0):
            withheld, hits = {**withheld, "not sure enough": len(hits)}, []
        start = perf_counter()
        packed = pack(hits[: query.limit], self.redactor, query.budget_tokens, query.call.terms)
        timings["pack"] = _lap(start)
        trace = Trace(
            call=query.call, ranker=self.ranker.name, weights=ranked.ranking.weights, signals=ranked.survey.counts, via=ranked.via,
            missing=ranked.survey.missing, withheld=withheld, considered=ranked.survey.documents, milliseconds=timings,
        )  # fmt: skip
        return Recall(tuple(hits[rank] for rank in packed.taken), packed.text, packed.tokens, trace, ranked.confidence)

    def rank(self, call: MemoryCall, probe: Probe, at: RowFilter) -> Ranked:
        """The candidates of a question in order, before any is read."""
        timings: dict[str, float] = {}
        start = perf_counter()
        keys, via = self._follow(call, at)
        survey = self.store.survey(
            replace(probe, keys=keys, relation=_relation(call, via), window=call.window, then=None if at.as_of else call.then), at
        )
        timings["signals"] = _lap(start)
        start = perf_counter()
        raw, background = columns_of(call, survey), background_of(call, survey)
        if via and "claim" in raw:
            raw = {**raw, "claim": FOLLOWED * np.asarray(raw["claim"])}
        first = fuse(raw, background, self.ranker)
        sure = answerable.confidence(evidence_of(first, raw, background), self.ranker.confidence)
        if np.any(raw.get("claim", ())):
            sure = max(sure, answerable.CLAIMED)
        ranking = self._again(first, survey)
        timings["fuse"] = _lap(start)
        return Ranked(survey, raw, background, ranking, sure, via, timings)

    def _follow(self, call: MemoryCall, at: RowFilter) -> tuple[tuple[tuple[str | None, str], ...], tuple[str, ...]]:
        """The keys to look for and, where one question hides in another, the answers that led there."""
        if call.hops is None:
            return call.asked, ()
        keys = call.hops.first
        via: list[str] = []
        for attributes in call.hops.then:
            values = self.store.values(keys, at)[:BRANCHES]
            via.extend(values)
            keys = tuple((key(value), attribute) for value in values for attribute in attributes)
        direct = tuple(known for known in call.asked if "/" in (known[0] or ""))  # told of "my brother", whoever that is
        return (keys + direct, tuple(via)) if keys and self.store.values(keys, at) else (call.asked, ())

    def _again(self, ranking: Ranking, survey: Survey) -> Ranking:
        """The second pass, for which the vectors of the best are compared with those of all candidates."""
        likeness: Sequence[Column] = ()
        if ranking.weights.get("echo") and survey.cosine_deviation:
            likeness = self.store.likeness(survey.contents, [survey.contents[place] for place in leaders(ranking)])
        return again(ranking, survey.signals.get("cosine", ()), likeness, survey.sources, survey.sessions)

    def _hits(self, ranking: Ranking, order: Sequence[int], survey: Survey, limit: int, at: RowFilter) -> list[Hit]:
        """The best of each message in this ``order``, read, folded and put behind what superseded it. A short message is shown whole; one with an
        outdated part is read in all its parts, since another part may be the one that answers."""
        moment, is_past = at.as_of or at.now, at.as_of is not None or at.is_past
        best: dict[int, int] = {}  # by message, the place of its best candidate
        for place in order:
            best.setdefault(survey.sources[place], place)
        places = list(best.values())
        if any(survey.untrusted):
            places = [places[rank] for rank in capped([survey.untrusted[place] for place in places], limit)]
        found = self._read(ranking, survey.wholes, places[:limit], at)
        outdated = set() if is_past else _outdated(found, moment)
        hits = [] if outdated else fold(found.values(), moment, is_past)
        if outdated or len(hits) < limit < len(places):
            found |= self._read(ranking, survey.wholes, places[limit : limit + READ_AHEAD], at)
            outdated = set() if is_past else _outdated(found, moment)
            parts = [p for p in order if survey.wholes[p] in outdated and survey.contents[p] not in outdated]
            found |= self._read(ranking, survey.contents, parts, at)
            hits = fold(sorted(found.values(), key=lambda hit: -hit.score), moment, is_past)
        newer = [] if is_past else [id for hit in hits for id in closers(hit.memory, moment)]
        hits = successors(hits, self.store.present(newer, at), moment) if newer else hits
        is_untrusted = [hit.memory.origin.trust is Trust.UNTRUSTED for hit in hits]
        return [hits[rank] for rank in capped(is_untrusted, limit)] if any(is_untrusted) else hits

    def _read(self, ranking: Ranking, contents: Sequence[int], places: Sequence[int], at: RowFilter) -> dict[int, Hit]:
        """The memories of these candidates as hits, by content, best first."""
        memories = self.store.load([contents[place] for place in places], at) if places else {}
        hits: dict[int, Hit] = {}
        for place in places:
            memory = memories.get(contents[place])
            if memory is not None and at.known_at is not None:  # what closed its claims may have become known later
                memory = replace(memory, claims=())
            if memory is not None:
                hits[contents[place]] = Hit(memory, float(ranking.scores[place]), ranking.shares(place))
        return hits

    def probe(self, call: MemoryCall) -> Probe:
        """Words and direction of the question. It is asked for before a snapshot is taken: a model may be far away, and others look meanwhile. A failing
        embedder costs its signal, not the answer, and the trace says so."""
        if self.embedder is None:
            missing = {"dense": "there is no embedding model; `loci settings` says how to have one"}
            return Probe(call.terms, None, call.people, missing, keys=call.asked)
        try:
            vector = self.embedder.embed([call.voiced or call.text])[0]
        except LociError as error:
            return Probe(call.terms, None, call.people, {"dense": f"the embedder failed: {error}"}, keys=call.asked)
        return Probe(call.terms, vector, call.people, embedder=self.embedder.name, keys=call.asked)


def _relation(call: MemoryCall, via: Sequence[str]) -> str | None:
    """What whom a question is about is called besides the name: in its words, or as what it asks first ("my brother", who is Tom)."""
    if not via or call.hops is None:
        return call.relation
    subject, attribute = call.hops.first[0]
    return naming(subject, attribute) if subject and len(call.hops.then) == 1 else None


def pertinent(call: MemoryCall, ranked: Ranked) -> tuple[Sequence[int], int]:
    """The candidates in order without those that are plainly about something else, and how many these are: ``FAR`` in meaning, with no word of the question, no claim
    that it asks for, and not of the time it asks about. What has no vector is none of them. Of a courtesy ("thanks!") everything is, of a name alone nothing."""
    order, raw = ranked.ranking.order, ranked.raw
    if not order or (call.people and not ranked.background.attainable):
        return order, 0
    if semantic_type(call.text) == Type.SMALLTALK:
        is_far = np.ones(len(order), dtype=bool)
    elif "cosine" not in raw:
        return order, 0
    else:
        is_far = np.asarray(raw["cosine"]) < np.where(np.asarray(raw["tells_nothing"]) > 0, FAR[1], FAR[0])
    for told, little in (("covered", 0.0), ("claim", 0.0), ("date", 0.1)):
        is_far &= np.asarray(raw.get(told, 0.0)) <= little
    near = [place for place in order if not is_far[place]]
    return near, len(order) - len(near)


def check(query: Query) -> None:
    """Limits of a question."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise Invalid(f"limit is {query.limit}; it must be 1 to {MAX_LIMIT}.")
    if query.budget_tokens is not None and query.budget_tokens < packing.SMALLEST_BUDGET:
        raise Invalid(f"budget_tokens is {query.budget_tokens}: no memory fits. Give at least {packing.SMALLEST_BUDGET}, or leave it out.")


def background_of(call: MemoryCall, survey: Survey) -> fusion.Background:
    """What the candidates of a question stand out from."""
    return fusion.Background(
        attainable=survey.attainable, best=survey.best_surprise, nearby=survey.best_nearby, closest=survey.cosine_best,
        mean=survey.cosine_mean, deviation=survey.cosine_deviation, asks_when=call.asks_when, names_one=len(call.people) == 1,
        asks_many=call.asks_many,
    )  # fmt: skip


def columns_of(call: MemoryCall, survey: Survey) -> Mapping[str, Column]:
    """The raw signals of the candidates, and whether they were said in the time that the question asks about."""
    if call.window is None or "at" not in survey.signals:
        return survey.signals
    return {**survey.signals, "date": in_window(survey.signals["at"], call.window)}


def in_window(times: Column, window: Interval) -> Floats:
    """For each time (microseconds since 1970, NaN: unknown) 1 within the window, fading by a factor e for each week outside it."""
    start = -math.inf if window.start is None else (window.start - EPOCH) / MICROSECOND
    end = math.inf if window.end is None else (window.end - EPOCH) / MICROSECOND
    at = np.asarray(times, dtype=np.float64)
    return np.nan_to_num(np.exp(-np.maximum(np.maximum(start - at, at - end), 0.0) / WEEK), nan=0.0)


def fold(ranked: Iterable[Hit], moment: datetime, is_past: bool) -> list[Hit]:
    """Hits in order: parts of one message and near-duplicates fold into their best. Unless the question is about the past,
    what was superseded counts for less, and a message with an outdated part only as its best part that still holds."""
    hits: list[Hit] = []
    places: dict[str, int] = {}
    for hit in ranked:
        memory = hit.memory
        keys = (memory.spans[-1].source, normalize(memory.text))
        place = next((places[key] for key in keys if key in places), None)
        score = hit.score if is_past else hit.score * current_share(memory, moment)
        if place is None:
            places.update(dict.fromkeys(keys, len(hits)))
            hits.append(Hit(memory, score, hit.shares, note(memory, moment)))
        elif score > hits[place].score:
            kept = hits[place]
            hits[place] = Hit(memory, score, hit.shares, note(memory, moment), (*kept.duplicates, kept.memory.id))
        else:
            hits[place] = replace(hits[place], duplicates=(*hits[place].duplicates, memory.id))
    return sorted(hits, key=lambda hit: -hit.score)


def current_share(memory: Memory, moment: datetime) -> float:
    """What is left of a memory's score when some of its claims had been superseded by then, or it was told of the past."""
    return SUPERSEDED if memory.ending == TOLD_OF_THE_PAST or any(is_closed(claim, moment) for claim in memory.claims) else 1.0


def _outdated(found: Mapping[int, Hit], moment: datetime) -> set[int]:
    """Contents of the memories some of whose claims had been superseded by then."""
    return {content for content, hit in found.items() if current_share(hit.memory, moment) < 1}


def successors(hits: Sequence[Hit], present: Mapping[str, Memory], moment: datetime) -> list[Hit]:
    """Hits with what superseded them put before them: pulled forward where it is a hit itself, added where it is not."""
    placed: dict[str, Hit] = {}  # by the message a hit is from
    waiting = {hit.memory.spans[-1].source: hit for hit in hits}
    for hit in hits:
        for id in closers(hit.memory, moment):
            memory = present.get(id)
            if memory is not None:
                source = memory.spans[-1].source
                added = Hit(memory, hit.score, {"successor": hit.score}, note(memory, moment))
                placed.setdefault(source, waiting.get(source, added))
        placed.setdefault(hit.memory.spans[-1].source, hit)
    return list(placed.values())


def closers(memory: Memory, moment: datetime) -> list[str]:
    """Memories that superseded this one, if nothing of what it claimed holds any more."""
    if not is_superseded(memory, moment):
        return []
    return list(dict.fromkeys(c.closed_by for c in memory.claims if c.closed_by and c.closed_by != memory.id))


def is_superseded(memory: Memory, moment: datetime) -> bool:
    """Whether everything that it claimed had been superseded by then."""
    return bool(memory.claims) and all(is_closed(claim, moment) for claim in memory.claims)


def is_closed(claim: Claim, moment: datetime) -> bool:
    """Whether it had been superseded by then."""
    return claim.closed_by is not None and (claim.closed_at is None or claim.closed_at <= moment)


def is_partly_closed(memory: Memory, claim: Claim, moment: datetime) -> bool:
    """Whether the memory says something else of the same key that holds: of two allergies one."""
    return any((c.subject, c.attribute) == (claim.subject, claim.attribute) and not is_closed(c, moment) for c in memory.claims)


def note(memory: Memory, moment: datetime) -> str:
    """What a reader of the memory must know to not take it for the state at that time."""
    closed = [claim for claim in memory.claims if is_closed(claim, moment)]
    parts = [
        f"no longer current: {'in part, ' if is_partly_closed(memory, claim, moment) else ''}{claim.subject}'s {claim.attribute}"
        + _since(claim.closed_at)
        for claim in closed
    ]
    if memory.valid.end is not None and memory.valid.end <= moment and not closed and memory.ending != TOLD_OF_THE_PAST:
        parts.append(f"held until {memory.valid.end:%Y-%m-%d}")
    return "; ".join((*dict.fromkeys(parts), *lasting(memory)))


def lasting(memory: Memory) -> list[str]:
    """What of a note never changes: that it was told of the past, and the first times that it names, with what they were resolved to."""
    told = [TOLD_OF_THE_PAST] if memory.ending == TOLD_OF_THE_PAST else []
    return told + [f"{t.words} = {span(t)}" for t in memory.times[:3]]


def span(time: TimeSpan) -> str:
    """A resolved time in words: a day, or from and to."""
    last = time.latest - timedelta(microseconds=1)
    return f"{time.earliest:%Y-%m-%d}" if last.date() == time.earliest.date() else f"{time.earliest:%Y-%m-%d} to {last:%Y-%m-%d}"


def _since(at: datetime | None) -> str:
    return "" if at is None else f" since {at:%Y-%m-%d}"


def pack(hits: Sequence[Hit], redactor: Redactor, budget_tokens: int | None, terms: Sequence[str] = (), first: int = 1) -> packing.Pack:
    """Hits as a prompt shows them, with what may be shown of their words: `packing.pack`."""
    texts = redactor.texts([hit.memory.text for hit in hits])
    return packing.pack([item(hit, text) for hit, text in zip(hits, texts, strict=True)], budget_tokens, terms, first)


def item(hit: Hit, text: str) -> packing.Item:
    """A hit as packing sees it, with the text that may be shown."""
    memory, origin = hit.memory, hit.memory.origin
    told = "" if origin.channel in FIRST_HAND else f"{origin.channel.value} {origin.name or ''}".rstrip()
    return packing.Item(text, memory.speaker, memory.at, hit.note, told, origin.trust is not Trust.UNTRUSTED)


def _lap(start: float) -> float:
    return (perf_counter() - start) * 1000
