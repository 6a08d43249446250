"""Answers, judged: every system gives its context for a question, one model answers from it, and a model judges against the key.

The protocol of LoCoMo's and LongMemEval's published runs: temperature 0, short answers, a lenient judge, the mean of several runs with
its spread. One prompt and one token budget for every system; the whole conversation and no memory at all stand beside them as controls. A
question that fails or cannot be judged counts as wrong, and is counted as such; categories are for the table, not for the system.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loci.bench.data import cost_of, message_of, render, rows_of
from loci.bench.retrieval import Baselines, Remembering
from loci.errors import Invalid, LociError
from loci.ports import Chat, Embedder
from loci.system import Cube
from loci.wire import MemOS

SYSTEMS = ("loci", "bm25", "dense", "rank fusion", "everything", "nothing")
BATCH = 250
ANSWER = """You answer a question about people from notes of their conversations. Each note has a date and a speaker.
Use the notes; where they disagree, the later one holds. Turn "yesterday" or "last week" into a date by the note's own date.
Answer in at most six words, without explaining. If the notes do not say, answer: not mentioned."""
JUDGE = """You grade answers. You get a question, the key, and an answer. Be generous: an answer that means the same as the key, or
names the same date or thing in other words, or says more than the key, is CORRECT; one that misses the point or contradicts the key is WRONG. Where the
key says that something was not mentioned, only an answer that says so is CORRECT. Reply with JSON and nothing else: {"label": "CORRECT"} or {"label": "WRONG"}."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer to one question from the context of one system, and what the judge said of it."""

    question: str
    category: str
    system: str
    run: int
    answer: str
    is_right: bool
    fault: str  # why it counts as wrong without having been judged; empty where it was judged
    f1: float
    tokens: int  # of the context, four bytes each
    search_ms: float | None
    answer_ms: float


@dataclass(frozen=True, slots=True)
class Task:
    """A question with the context that a system gave for it. Only Loci's search is timed: the others share what they compute."""

    question: Mapping[str, Any]
    system: str
    context: str
    search_ms: float | None


def tasks(
    folder: Path, systems: Sequence[str], budget: int, without: frozenset[str], limit: int | None, engine: Embedder | None
) -> Iterator[Task]:
    """Every question that has a key, with the context of every system. Each conversation is taken in once, oldest turn first."""
    keyed = [q for q in rows_of(folder / "questions.jsonl") if q.get("answer") not in (None, "")]
    asked = [q for q in keyed if str(q.get("category", "")) not in without][:limit]
    if not asked:
        raise Invalid(f"{folder} has no question with an answer to judge by, or all of them were left out.")
    embedder = None if engine is None else Remembering(engine)
    with (
        tempfile.TemporaryDirectory(prefix="loci-bench-") as home,
        MemOS.open(home, embedder=embedder or "none", background=False) as memory,
    ):
        for place, conversation in enumerate(rows_of(folder / "conversations.jsonl")):
            questions = [q for q in asked if q["conversation"] == conversation["id"]]
            if not questions:
                continue
            cube, turns = memory.cube(f"c{place}"), conversation["turns"]
            messages = [message_of(turn) for turn in turns]
            for start in range(0, len(messages), BATCH):
                cube.add(messages[start : start + BATCH])
            cube.drain()
            contexts = _Contexts(cube, turns, Baselines(messages, embedder), budget)
            for question in questions:
                for system in systems:
                    start_at = time.perf_counter()
                    context = contexts.of(system, question["text"])
                    yield Task(question, system, context, 1000 * (time.perf_counter() - start_at) if system == "loci" else None)


class _Contexts:
    """What each system would show a reader, within the same budget."""

    def __init__(self, cube: Cube, turns: Sequence[Mapping[str, Any]], baselines: Baselines, budget: int) -> None:
        self._cube, self._turns, self._baselines, self._budget = cube, turns, baselines, budget
        self._place = {turn["id"]: place for place, turn in enumerate(turns)}

    def of(self, system: str, question: str) -> str:
        if system == "nothing":
            return ""
        if system == "everything":
            return "\n".join(render(turn) for turn in self._turns)
        if system == "loci":
            return self._cube.search(question, budget_tokens=self._budget).text
        chosen, spent = [], 0
        for id in self._baselines.rank(question)[system]:
            spent += cost_of(self._turns[self._place[id]])
            if spent > self._budget:
                break
            chosen.append(self._place[id])
        return "\n".join(render(self._turns[place]) for place in sorted(chosen))


def run(
    told: Sequence[Task], model: Chat, judge: Chat, runs: int, workers: int, log: Path | None, advance: Callable[[int, int], None]
) -> list[Judged]:
    """Answers and judges every task so many times; each is written to ``log`` as a JSON line, context included."""
    done: list[Judged] = []
    jobs = [(task, number) for number in range(1, runs + 1) for task in told]
    with ThreadPoolExecutor(workers) as pool:
        for (task, _), outcome in zip(jobs, pool.map(lambda job: answered(job[0], job[1], model, judge), jobs), strict=True):
            done.append(outcome)
            if log is not None:
                with log.open("a", encoding="utf-8") as out:
                    out.write(json.dumps({**asdict(outcome), "key": task.question["answer"], "context": task.context}) + "\n")
            advance(len(done), len(jobs))
    return done


def answered(task: Task, number: int, model: Chat, judge: Chat) -> Judged:
    """One task, answered and judged. Where either model fails it is wrong, and says why."""
    question, key = task.question["text"], str(task.question["answer"])
    answer, is_right, fault = "", False, ""
    start = time.perf_counter()
    try:
        answer = model.complete(ANSWER, f"Notes:\n{task.context or '(none)'}\n\nQuestion: {question}\nAnswer:").strip()
        answer_ms = 1000 * (time.perf_counter() - start)
        is_right, fault = _judged(judge.complete(JUDGE, f"Question: {question}\nKey: {key}\nAnswer: {answer}"))
    except LociError as error:
        answer_ms, fault = 1000 * (time.perf_counter() - start), str(error)
    return Judged(
        str(task.question["id"]), str(task.question.get("category", "")), task.system, number, answer, is_right, fault, f1(answer, key),
        -(-len(task.context.encode()) // 4), task.search_ms, answer_ms,
    )  # fmt: skip


def _judged(said: str) -> tuple[bool, str]:
    labels = set(re.findall(r'"label"\s*:\s*"(CORRECT|WRONG)"', said))
    return ("CORRECT" in labels, "") if len(labels) == 1 else (False, f"the judge said {said[:80]!r}")


def f1(answer: str, key: str) -> float:
    """The harmonic mean of how many words of the answer are in the key, and of the key in the answer, as LoCoMo counts them: lower
    case, without articles and punctuation."""
    a, b = (Counter(w for w in re.findall(r"\w+", text.lower()) if w not in ("a", "an", "the", "and")) for text in (answer, key))
    shared = (a & b).total()
    return 2 * shared / (a.total() + b.total()) if shared else 0.0


def table(outcomes: Sequence[Judged]) -> Mapping[str, Mapping[str, Any]]:
    """For each system: the judged accuracy by run as mean and spread, by category, F1, and what its contexts cost."""
    found = {}
    for system in dict.fromkeys(o.system for o in outcomes):
        own = [o for o in outcomes if o.system == system]
        by_run = [_share(o for o in own if o.run == number) for number in sorted({o.run for o in own})]
        found[system] = {
            "questions": len({o.question for o in own}), "accuracy": statistics.mean(by_run), "spread": statistics.pstdev(by_run),
            "by category": {c: _share(o for o in own if o.category == c) for c in sorted({o.category for o in own})},
            "F1": statistics.mean(o.f1 for o in own), "context tokens": statistics.mean(o.tokens for o in own),
            "search ms": _median([o.search_ms for o in own if o.search_ms is not None]), "answer ms": statistics.median(o.answer_ms for o in own),
            "not judged": sum(bool(o.fault) for o in own),
        }  # fmt: skip
    return found


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _share(outcomes: Iterator[Judged]) -> float:
    return statistics.mean(o.is_right for o in outcomes)


def milliseconds(value: float | None) -> str:
    """A time for a table; empty where none was taken."""
    return "" if value is None else f"{value:.1f}"


def report(folder: Path, found: Mapping[str, Mapping[str, Any]], about: Mapping[str, object]) -> None:
    """Writes report.md: what was asked of which model, and the table."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Answers", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    categories = list(next(iter(found.values()))["by category"])
    lines.append(
        "| system | accuracy | "
        + " | ".join(f"category {c}" for c in categories)
        + " | F1 | context tokens | search ms | answer ms | not judged |"
    )
    lines.append("|---|---|" + "---|" * (len(categories) + 5))
    for system, row in found.items():
        by = " | ".join(f"{100 * row['by category'][c]:.1f}" for c in categories)
        lines.append(
            f"| {system} | {100 * row['accuracy']:.1f} ± {100 * row['spread']:.1f} | {by} | {100 * row['F1']:.1f} | {row['context tokens']:,.0f}"
            f" | {milliseconds(row['search ms'])} | {row['answer ms']:,.0f} | {row['not judged']} |"
        )
    lines += ["", "The answering prompt:", "", "```", ANSWER, "```", "", "The judge's:", "", "```", JUDGE, "```"]
    (folder / "report.md").write_text("\n".join(lines) + "\n", "utf-8")
