"""Next-scene prediction: what the next turn of a conversation may want is read and packed while nobody waits, and its pages are sent for.

It is a guess, made before the question is known, and says so wherever it goes. It is bounded in what it looks at, reads and packs, and it is
good only for as long as nothing in the cube has changed, for whom it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from loci.operation.operator import is_superseded, note, pack
from loci.operation.redact import Redactor
from loci.policy import foresight
from loci.policy.foresight import AFTER, BEFORE, Course, Guess, Surroundings
from loci.policy.trust import capped
from loci.ports import RowFilter, Store
from loci.text.tokens import count_tokens
from loci.types import Head, Hit, MemoryCall, Recall, Trace, Trust

PIECE = 16  # memories read between two looks at whether somebody waits
MOST_READ = 128  # memories read for one guess
MOST_FOCUS = 12  # memories recalled last whose surroundings are looked at
MOST_OTHERS = 100  # used most, and said last, that are thought of
BEFORE_ASKED = "recalled before the question was known: what a search for it would find may differ"

Breath = Callable[[], bool]
"""Lets others come first; false once nobody wants it any more."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the next turn may want: ``recall`` holds it packed as a search's answer is, and its trace says that it is none. ``guesses`` are
    those memories, the likeliest first, each with its share and why; ``weights`` what each way of guessing counted. ``head`` is what the cube was then,
    and ``rows`` for whom it was made."""

    recall: Recall
    guesses: tuple[Guess, ...]
    weights: Mapping[str, float]
    head: Head
    rows: RowFilter


@dataclass(frozen=True, slots=True)
class Foresight:
    """Guesses for one cube."""

    store: Store
    redactor: Redactor

    def followed(self, course: Course, recall: Recall, at: RowFilter) -> Course:
        """The course after a turn that recalled this. What was cut from a message counts as all of it."""
        hits = recall.hits[:MOST_FOCUS]
        own = self.store.beside([hit.memory.id for hit in hits], at, 0, 0) if hits else {}
        found: dict[str, float] = {}
        for hit in hits:
            for _, message in own.get(hit.memory.id, ()):
                found.setdefault(message, hit.score)
        return foresight.followed(course, list(found.items()))

    def foresee(self, course: Course, at: RowFilter, budget_tokens: int, breath: Breath) -> tuple[Foreseen | None, Course]:
        """What the next turn may want, packed to a budget, and the course that remembers the guess; none once it is not wanted any more."""
        start, head = perf_counter(), self.store.head()
        breath()
        focus = sorted(course.focus, key=lambda memory: -course.focus[memory])[:MOST_FOCUS]
        beside = self.store.beside(focus, at, BEFORE, AFTER) if focus else {}
        used, late = self.store.most_used(at, MOST_OTHERS), self.store.latest(at, MOST_OTHERS)
        guesses, course = foresight.foresee(course, Surroundings(beside, used, late))
        recall = self.packed(guesses, at, budget_tokens, breath)
        if recall is None:
            return None, course
        trace = replace(recall.trace, milliseconds={"foresee": (perf_counter() - start) * 1000})
        recall = replace(recall, trace=trace)
        by_id = {guess.memory: guess for guess in guesses}
        return Foreseen(recall, tuple(by_id[memory] for memory in recall.ids), course.weights, head, at), course

    def packed(self, guesses: Sequence[Guess], at: RowFilter, budget_tokens: int, breath: Breath) -> Recall | None:
        """The likeliest, read and packed to a budget as a search's answer is; none once it is not wanted any more."""
        hits: list[Hit] = []
        tokens = 0
        for start in range(0, min(len(guesses), MOST_READ), PIECE):
            if not breath():
                return None
            piece = guesses[start : start + PIECE]
            present = self.store.present([guess.memory for guess in piece], at)
            for guess in piece:
                memory = present.get(guess.memory)
                if memory is not None and not is_superseded(memory, at.now):  # what is newer stands for itself
                    hits.append(Hit(memory, guess.share, {guess.why: guess.share}, note(memory, at.now)))
                    tokens += count_tokens(memory.text)
            if tokens > budget_tokens:
                break
        hits = [hits[place] for place in capped([hit.memory.origin.trust is Trust.UNTRUSTED for hit in hits], len(hits))]
        packed = pack(hits, self.redactor, budget_tokens)
        trace = Trace(
            call=MemoryCall(""), ranker="foresight", weights={}, signals={}, via=(), missing={"question": BEFORE_ASKED}, withheld={},
            considered=len(guesses), milliseconds={},
        )  # fmt: skip
        return Recall(tuple(hits[place] for place in packed.taken), packed.text, packed.tokens, trace, 0.0)

    def why_not(self, foreseen: Foreseen, at: RowFilter) -> str:
        """Why a guess may not be used now; empty where it may: nothing has changed, no time has run out, and it is for the same."""
        if replace(foreseen.rows, now=at.now) != at:
            return "It was made for somebody else, or under other rights."
        if self.store.head() != foreseen.head:
            return "The cube has changed since."
        now = self.store.present(foreseen.recall.ids, at)
        if any(hit.memory.id not in now or now[hit.memory.id].version != hit.memory.version for hit in foreseen.recall.hits):
            return "What was prepared does not hold any more."
        if any(note(now[hit.memory.id], at.now) != hit.note for hit in foreseen.recall.hits):
            return "What was prepared is outdated in part."
        return ""
