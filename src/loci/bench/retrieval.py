"""How much of the evidence a search finds, on any data in the unified format, beside words, vectors, their rank fusion and rivals."""

from __future__ import annotations

import math
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from loci.bench import rivals
from loci.bench.data import cost_of, message_of, rows_of
from loci.bench.report import CURVE
from loci.errors import Invalid, Unavailable
from loci.operation.operator import item
from loci.policy.packing import pack
from loci.ports import Embedder
from loci.settings import load
from loci.text.tokens import content_words
from loci.types import Message
from loci.wire import MemOS, embedder_of

DEPTH = 100  # turns ranked a question
CUTS, BUDGETS = (1, 5, 10, 20), (500, 1000, 2000)
SYSTEMS = ("loci", "bm25", "dense", "rank fusion")


@dataclass(slots=True)
class Found:
    """``rankings`` of turn ids by system and question, and by question and budget the turns of which Loci's text ``shows`` a part."""

    rankings: dict[str, dict[str, list[str]]]
    shows: dict[str, dict[int, list[str]]]


def run(folder: Path, systems: Sequence[str], advance: Callable[[int, int], None], engine: Embedder | None = None) -> Found:
    """Each conversation is a cube of its own, taken in oldest first. ``engine`` computes the vectors; without one, what the
    settings name. Systems may be names of rivals too."""
    questions: dict[str, list[Mapping[str, Any]]] = {}
    for question in rows_of(folder / "questions.jsonl"):
        questions.setdefault(question["conversation"], []).append(question)
    conversations = list(rows_of(folder / "conversations.jsonl"))
    beside = [system for system in systems if system in rivals.RIVALS]
    once = sum(len(c["turns"]) + len(questions.get(c["id"], ())) for c in conversations)
    total = once * (1 + len(beside))
    rankings: dict[str, dict[str, list[str]]] = {system: {} for system in systems}
    shows: dict[str, dict[int, list[str]]] = {}
    engine = engine or embedder_of(load()[0])
    if beside and engine is None:
        raise Unavailable(f"{', '.join(beside)} rank by vectors, and there is no embedding model: `loci settings` says how to get one.")
    for system in beside:
        rivals.environment(system)
    embedder = None if engine is None else Remembering(engine)
    done = 0
    with (
        tempfile.TemporaryDirectory(prefix="loci-bench-") as home,
        MemOS.open(home, embedder=embedder or "none", background=False) as memory,
    ):
        for place, conversation in enumerate(conversations):
            cube = memory.cube(f"c{place}")
            messages = [message_of(turn) for turn in conversation["turns"]]
            turn_of: dict[str, str] = {}
            for start in range(0, len(messages), 250):
                batch = messages[start : start + 250]
                receipt = cube.add(batch)
                turn_of.update(zip(receipt.sources, (str(m.id) for m in batch), strict=True))
                cube.drain()
                done += len(batch)
                advance(done, total)
            baselines = Baselines(messages, embedder) if {*systems} & {*SYSTEMS[1:]} else None
            for question in questions.get(conversation["id"], ()):
                recall = cube.search(question["text"], limit=DEPTH)
                turns = [turn_of[hit.memory.spans[-1].source] for hit in recall.hits]
                rankings["loci"][question["id"]] = list(dict.fromkeys(turns))
                items = [item(hit, hit.memory.text) for hit in recall.hits]
                shows[question["id"]] = {b: [turns[p] for p in pack(items, b, recall.trace.call.terms).taken] for b in BUDGETS}
                for system, ranked in baselines.rank(question["text"]).items() if baselines else ():
                    if system in rankings:
                        rankings[system][question["id"]] = ranked
                done += 1
                advance(done, total)
    if embedder is not None:
        for place, system in enumerate(beside, 1):
            further = partial(_further, advance, once * place, total)
            rankings[system] = _beside(system, conversations, questions, embedder, further)
    return Found(rankings, shows)


def _further(advance: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    advance(before + done, total)


def _beside(
    rival: str,
    conversations: Sequence[Mapping[str, Any]],
    questions: Mapping[str, Sequence[Mapping[str, Any]]],
    embedder: Embedder,
    advance: Callable[[int], None],
) -> dict[str, list[str]]:
    """A rival's rankings of the same questions, from the texts that the baselines have."""
    asked = []
    for conversation in conversations:
        messages = [message_of(turn) for turn in conversation["turns"]]
        turns = dict(zip((str(m.id) for m in messages), words_of(messages), strict=True))
        asked.append(rivals.Asked(turns, {q["id"]: q["text"] for q in questions.get(conversation["id"], ())}))
    return rivals.rank(rival, asked, embedder, DEPTH, advance)


def words_of(messages: Sequence[Message]) -> list[str]:
    """What was said with who said it: the text that every other system is given."""
    return [f"{m.speaker}: {m.words}" for m in messages]


class Remembering:
    """An embedder that computes each text once, so that a baseline costs no second pass over the data."""

    def __init__(self, engine: Embedder) -> None:
        self._engine, self._known = engine, dict[str, Any]()
        self.name, self.dimensions = engine.name, engine.dimensions

    def embed(self, texts: Sequence[str]) -> Any:
        import numpy as np

        fresh = [t for t in dict.fromkeys(texts) if t not in self._known]
        if fresh:
            self._known.update(zip(fresh, self._engine.embed(fresh), strict=True))
        return np.stack([self._known[t] for t in texts])


class Baselines:
    """What a search has without Loci: BM25 over the turns, MiniLM over the turns, and the reciprocal-rank fusion of both."""

    def __init__(self, messages: Sequence[Message], embedder: Embedder | None) -> None:
        import apsw

        self._ids = [str(m.id) for m in messages]
        words = words_of(messages)
        self._db = apsw.Connection(":memory:")
        self._db.execute("CREATE VIRTUAL TABLE turns USING fts5(words, tokenize='porter unicode61')")
        self._db.executemany("INSERT INTO turns (rowid, words) VALUES (?, ?)", list(enumerate(words)))
        self._embedder = embedder
        self._vectors = None if embedder is None else embedder.embed(words)

    def rank(self, question: str) -> dict[str, list[str]]:
        """Turn ids, best first, by each baseline."""
        terms = " OR ".join(f'"{word}"' for word in content_words(question))
        rows = self._db.execute("SELECT rowid FROM turns WHERE turns MATCH ? ORDER BY rank LIMIT 400", (terms,)) if terms else ()
        found = {"bm25": [self._ids[row[0]] for row in rows], "dense": []}
        if self._embedder is not None and self._vectors is not None:
            best = (-(self._vectors @ self._embedder.embed([question])[0])).argsort()[:400]
            found["dense"] = [self._ids[place] for place in best]
        places: dict[str, float] = {}
        for ranked in (found["bm25"], found["dense"]):
            for place, turn in enumerate(ranked, 1):
                places[turn] = places.get(turn, 0.0) + 1 / (60 + place)
        found["rank fusion"] = sorted(places, key=lambda turn: -places[turn])
        return {system: ranked[:DEPTH] for system, ranked in found.items()}


def measures(
    folder: Path, rankings: Mapping[str, Sequence[str]], shows: Mapping[str, Mapping[int, Sequence[str]]] | None = None
) -> list[dict[str, float]]:
    """For each question that has evidence: R@k, all@10, nDCG@10, R@Nt (whole turns, tokens of four bytes), the points of the curve and,
    from what a text ``shows``, text@Nt: the share of the evidence of which the text of so many tokens holds at least a part."""
    costs = {c["id"]: {t["id"]: cost_of(t) for t in c["turns"]} for c in rows_of(folder / "conversations.jsonl")}
    return [
        {
            **_measure(rankings.get(q["id"], []), set(q["evidence"]), costs[q["conversation"]]),
            **{
                f"text@{b}t": len({*turns} & {*q["evidence"]}) / len({*q["evidence"]})
                for b, turns in (shows or {}).get(q["id"], {}).items()
            },
        }
        for q in rows_of(folder / "questions.jsonl")
        if q["evidence"]
    ]


def score(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of the measures, and how many questions they are of. Raises `Invalid` when there are none."""
    if not rows:
        raise Invalid("No question has evidence: there is nothing to score.")
    return {"n": float(len(rows)), **{m: sum(r[m] for r in rows) / len(rows) for m in rows[0]}}


def _measure(ranked: Sequence[str], gold: set[str], cost: Mapping[str, int]) -> dict[str, float]:
    places = [place for place, turn in enumerate(ranked) if turn in gold]
    found = {f"R@{k}": sum(p < k for p in places) / len(gold) for k in CUTS}
    found["all@10"] = float(sum(p < 10 for p in places) == len(gold))
    ideal = sum(1 / math.log2(i + 2) for i in range(min(10, len(gold))))
    found["nDCG@10"] = sum(1 / math.log2(p + 2) for p in places if p < 10) / ideal
    spent = list(accumulate(cost[turn] for turn in ranked))
    for name, budget in [*((f"R@{b}t", b) for b in BUDGETS), *((f"curve {b}", b) for b in CURVE)]:
        fits = bisect_right(spent, budget)
        found[name] = sum(p < fits for p in places) / len(gold)
    return found
