"""Traces of uses and edits: made ones, each of one habit and one of all, and the questions of a data set as uses of their evidence."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

from loci.bench.data import cost_of, rows_of
from loci.bench.placement import Event, Trace

DAYS, USES = 30, 2000
TOKENS = 400, 2400  # of a made memory: a passage, a page
ASKED_PER_DAY = 20  # questions of a conversation, where its data says only that they come after it


def made(seed: int) -> list[Trace]:
    """The made traces: a stable set, a drifting one, one that is edited, what is used once, and all four at once."""
    habits = [_stable(seed), _drifting(seed), _edited(seed), _once(seed)]
    return [*habits, _together(habits)]


def _trace(name: str, events: list[Event], chance: random.Random) -> Trace:
    names = sorted({memory for event in events for memory in event.memories})
    tokens = {memory: chance.randint(*TOKENS) for memory in names}
    return Trace(name, tuple(sorted(events, key=lambda event: event.day)), tokens, {memory: memory for memory in names})


def _times(chance: random.Random, count: int = USES) -> list[float]:
    return sorted(chance.uniform(0, DAYS) for _ in range(count))


def _stable(seed: int) -> Trace:
    """Twenty memories, used by Zipf's law, whose words stay."""
    chance = random.Random(f"stable {seed}")
    weights = list(accumulate(1 / (rank + 1) for rank in range(20)))
    chosen = chance.choices(range(20), cum_weights=weights, k=USES)
    return _trace("stable set", [Event(day, (f"stable{n}",)) for day, n in zip(_times(chance), chosen, strict=True)], chance)


def _drifting(seed: int) -> Trace:
    """Ten at a time, all alike; each day the oldest of them gives way to a new one."""
    chance = random.Random(f"drifting {seed}")
    return _trace("drifting set", [Event(day, (f"drifting{int(day) + chance.randrange(10)}",)) for day in _times(chance)], chance)


def _edited(seed: int) -> Trace:
    """Twenty by Zipf's law: the words of every other one change some eight times a day, of the rest once a week."""
    chance = random.Random(f"edited {seed}")
    weights = list(accumulate(1 / (rank + 1) for rank in range(20)))
    events = [Event(day, (f"edited{chance.choices(range(20), cum_weights=weights)[0]}",)) for day in _times(chance)]
    for n in range(20):
        events += [Event(day, (f"edited{n}",), is_edit=True) for day in _times(chance, 8 * DAYS if n % 2 else DAYS // 7)]
    return _trace("edited set", events, chance)


def _once(seed: int) -> Trace:
    """Each used once."""
    chance = random.Random(f"once {seed}")
    return _trace("used once", [Event(day, (f"once{n}",)) for n, day in enumerate(_times(chance))], chance)


def _together(habits: list[Trace]) -> Trace:
    """All of them, in one room."""
    events = sorted((event for trace in habits for event in trace.events), key=lambda event: event.day)
    tokens = {memory: count for trace in habits for memory, count in trace.tokens.items()}
    return Trace("all of these at once", tuple(events), tokens, {memory: memory for memory in tokens})


def asked(folder: Path, *, is_along: bool = False) -> list[Trace]:
    """A trace for each conversation of a data set: its questions use the turns that are their evidence; a session is a body. They come after
    the conversation, in the order of the file and twenty a day, or (``is_along``) each right after the session of its last evidence."""
    questions: dict[str, list[tuple[str, ...]]] = {}
    for question in rows_of(folder / "questions.jsonl"):
        if question["evidence"]:
            questions.setdefault(question["conversation"], []).append(tuple(dict.fromkeys(question["evidence"])))
    return [trace for row in rows_of(folder / "conversations.jsonl") for trace in _of(row, questions.get(row["id"], []), is_along)]


def _of(conversation: Mapping[str, Any], questions: list[tuple[str, ...]], is_along: bool) -> Iterator[Trace]:
    turns = {turn["id"]: turn for turn in conversation["turns"]}
    known = [found for evidence in questions if (found := tuple(id for id in evidence if id in turns))]
    if not known:
        return
    days = _session_days(conversation) if is_along else {}
    place = {id: n for n, id in enumerate(turns)}
    events: list[Event] = []
    taken: dict[float, int] = {}
    for number, evidence in enumerate(known):
        if is_along:
            day = days[str(turns[max(evidence, key=place.__getitem__)]["session"])]
            taken[day] = taken.get(day, 0) + 1
            day += taken[day] / (24 * 60)  # a minute apart
        else:
            day = number / ASKED_PER_DAY
        events.append(Event(day, evidence))
    tokens = {id: cost_of(turn) for id, turn in turns.items()}
    name = f"{conversation['id']}, {'along' if is_along else 'after'}"
    yield Trace(name, tuple(sorted(events, key=lambda e: e.day)), tokens, {id: str(turn["session"]) for id, turn in turns.items()})


def _session_days(conversation: Mapping[str, Any]) -> dict[str, float]:
    """When each session was, in days since the first."""
    times = {str(turn["session"]): datetime.fromisoformat(turn["at"]) for turn in conversation["turns"] if turn.get("at")}
    first = min(times.values())
    return {session: (at - first).total_seconds() / 86400 for session, at in times.items()}
