"""Learn what each signal is worth: `python -m bench.train DATA [--write FILE] [--folds 5]`, DATA a folder of sets in the unified format.

Every conversation is taken into a cube and every question asked of it, exactly as shipped; the columns that the store surveys are
what is learned from. The sample that ships is one more set. Listwise softmax over the candidates of a question, sets nearly of one
weight. Some of the weight goes to the same questions without vectors, without dates and speakers, and without both. The first pass
is learned first, the echo of the second on top of it, and how much to spread is the best of a few values.

Conversations (in folds) and whole sets are left out in turn, and those figures are printed beside those of the fit. What is learned is
kept near a prior. Nothing is left out of these two choices: the prior was set by hand while looking at the same sets, and how near to
it was chosen by leaving each of them out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loci import MemOS
from loci.bench.conflict import area
from loci.bench.data import message_of, rows_of
from loci.bench.learn import FIGURES, adam, found_of, likely
from loci.drivers.minilm import MiniLM
from loci.infrastructure import rankers
from loci.operation.ranking import Floats, Ranking, again, echo, evidence_of, fuse, leaders, signals, spread
from loci.policy.answerable import EVIDENCE
from loci.policy.fusion import CLAIM, FACTS, SIGNALS, Background, Ranker, facts_of
from loci.settings import Settings

PRIOR = {
    "words": 0.4, "words_after": 0.08, "answering": 0.08, "words_session": 0.16, "meaning": 0.45, "meaning_answering": 0.045, "own": 2.0,
    "speaker": 0.4, "time": 0.5, "date": 3.5, "brief": -0.8, "echo": 1.0,
}  # fmt: skip
"""Nats, by hand: what a nat of evidence should count for if signals were nearly independent. Signals without a line begin at none."""
FIRST = tuple(name for name in SIGNALS if name not in ("echo", "spread"))
SPREADS = tuple((base, many) for base in (0.0, -0.25) for many in (0.0, -0.5, -0.75, -1.0))  # and its slope where many things are asked for
L2, L2_SLOPES, TEMPER = 1.0, 0.3, 0.5  # how near to the prior; the score counts half in the likelihood, since evidence is marked in part
BALANCE, STEPS, RATE = 0.75, 120, 0.05
LACKING = {"vectors": 0.15, "people": 0.05, "both": 0.05}  # the weight of a question asked without these
UNANSWERABLE = {"locomo": "5"}  # categories whose questions have no answer; so have questions without evidence
KEPT = 0.95  # the share of questions with an answer that a strict search still answers
SAMPLE = Path(str(files("loci.samples"))) / "conversation.jsonl"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, what was surveyed for it, and which candidates are evidence."""

    dataset: str
    conversation: str
    background: Background
    raw: dict[str, Floats]
    sources: Sequence[int]
    sessions: Sequence[int]
    likeness: NDArray[np.float16]  # of all candidates with one another
    turns: list[str]
    gold: frozenset[str]
    has_answer: bool
    weight: float = 1.0

    def without(self, lacking: str) -> Asked:
        """The same question, asked of a memory that lacks something."""
        raw, background = dict(self.raw), self.background
        if lacking in ("vectors", "both"):
            raw = {name: column for name, column in raw.items() if not name.startswith("cosine")}
            background = replace(background, closest=0.0, mean=0.0, deviation=0.0)
        if lacking in ("people", "both"):
            raw = {name: column for name, column in raw.items() if name not in ("speaker", "named", "date", "at")}
            background = replace(background, names_one=False)
        return replace(self, raw=raw, background=background, weight=LACKING[lacking])

    def near(self, ranking: Ranking) -> Sequence[Floats]:
        """How near each candidate is to the leaders; nothing without vectors."""
        return list(self.likeness[leaders(ranking)].astype(float)) if "cosine" in self.raw else []

    def ranked(self, ranker: Ranker) -> Ranking:
        """As the shipped search ranks it."""
        first = fuse(self.raw, self.background, ranker)
        return again(first, self.raw.get("cosine", ()), self.near(first), self.sources, self.sessions)


class Kept:
    """Vectors of texts, kept in a file between runs."""

    dimensions = 384

    def __init__(self, path: Path) -> None:
        self._path, self._model = path, MiniLM(Settings().cache_folder())
        self.name = self._model.name
        self._known: dict[str, Any] = dict(np.load(path, allow_pickle=False)) if path.exists() else {}

    def embed(self, texts: Sequence[str]) -> Any:
        keys = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24] for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._model.embed(list(new.values())), strict=True))
        return np.stack([self._known[key] for key in keys])

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(self._path, **self._known)


def ask(data: Path, embedder: Kept) -> Iterator[Asked]:
    """Every question, as the shipped search surveys it."""
    folders = [(p.parent.name, p, p.with_name("questions.jsonl")) for p in sorted(data.glob("*/conversations.jsonl"))]
    folders.append(("sample", SAMPLE, SAMPLE.with_name("questions.jsonl")))
    for dataset, told, questioned in folders:
        questions = list(rows_of(questioned))
        with tempfile.TemporaryDirectory() as home, MemOS.open(home, embedder=embedder, background=False) as memory:
            for place, conversation in enumerate(rows_of(told)):
                cube = memory.cube(f"c{place}")
                messages = [message_of(turn) for turn in conversation["turns"]]
                for start in range(0, len(messages), 250):
                    cube.add(messages[start : start + 250])
                    cube.drain()
                turn_of = {source.id: str(source.message.id) for source in cube._store.sources()}
                for question in questions:
                    if question["conversation"] == conversation["id"]:
                        ranked, memories = cube.rank(question["text"])
                        survey = ranked.survey
                        yield Asked(
                            dataset, conversation["id"], ranked.background, dict(ranked.raw), survey.sources, survey.sessions,
                            np.array(cube._store.likeness(survey.contents, survey.contents), np.float16),
                            [turn_of[memory.spans[-1].source] for memory in memories], frozenset(question["evidence"]),
                            bool(question["evidence"]) and question["category"] != UNANSWERABLE.get(dataset),
                        )  # fmt: skip


class Table:
    """All questions as one list of candidates: to which question each belongs, what is evidence, and what the question is like."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self.asked = asked
        self.first = np.cumsum([0, *(len(a.turns) for a in asked)])
        self.question = np.repeat(np.arange(len(asked)), [len(a.turns) for a in asked])
        self.facts = np.array([[1.0, *(facts_of(a.background)[f] for f in FACTS)] for a in asked])
        gold = np.concatenate([[turn in a.gold for turn in a.turns] for a in asked]).astype(float)
        marked = np.add.reduceat(gold, self.first[:-1])
        self.target = gold / np.maximum(marked, 1)[self.question]
        sizes = {d: sum(a.dataset == d for a in asked) for d in {a.dataset for a in asked}}
        self.weight = np.array([a.weight * sizes[a.dataset] ** -BALANCE for a in asked]) * (marked > 0)
        self.conversation = [(a.dataset, a.conversation) for a in asked]
        blocks = []
        for a in asked:
            columns = signals(a.raw, a.background, len(a.turns))
            blocks.append(np.array([columns.get(name, np.zeros(len(a.turns))) for name in FIRST]).T)
        self.values = np.concatenate(blocks)
        self.claims = np.concatenate([a.raw.get("claim", np.zeros(len(a.turns))) for a in asked]) * CLAIM


def fit(table: Table, is_in: NDArray[np.bool_]) -> Ranker:
    """Both passes, from the questions that are in."""
    ranker = Ranker("learned", weigh(table, FIRST, table.values, table.claims, is_in))
    first = [fuse(a.raw, a.background, ranker) for a in table.asked]
    echoes = []
    for a, ranking in zip(table.asked, first, strict=True):
        near = a.near(ranking)
        echoes.append(echo(a.raw["cosine"], near, ranking.scores[leaders(ranking)]) if near else np.zeros(len(a.turns)))
    totals = np.concatenate([ranking.totals for ranking in first])
    ranker = replace(ranker, weights={**ranker.weights, **weigh(table, ("echo",), np.concatenate(echoes)[:, None], totals, is_in)})
    return replace(ranker, weights={**ranker.weights, "spread": best_spread(table, ranker, is_in)})


def best_spread(table: Table, ranker: Ranker, is_in: NDArray[np.bool_]) -> dict[str, float]:
    """The one of ``SPREADS`` that finds most among the first ten, on the mean of the sets."""
    rows: dict[tuple[float, float], dict[str, list[float]]] = {choice: {} for choice in SPREADS}
    for a in (a for a, is_one in zip(table.asked, is_in, strict=True) if is_one and a.weight == 1.0):
        ranking = a.ranked(ranker)
        for base, many in SPREADS:
            weighed = replace(ranking, weights={"spread": base + many * a.background.asks_many})
            spreaded = weighed.and_signals({"spread": spread(weighed, a.sources, a.sessions)})
            rows[base, many].setdefault(a.dataset, []).append(found(a, spreaded)[1])
    base, many = max(SPREADS, key=lambda choice: sum(np.mean(told) for told in rows[choice].values()))
    return {"base": base, "asks_many": many}


def weigh(table: Table, names: Sequence[str], columns: Floats, offset: Floats, is_in: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """The weights that make the evidence most likely, by Adam on the convex loss; ``offset`` is what counts already."""
    deviation = columns.std(0) + 1e-9
    values = (columns / deviation).astype(np.float32)
    mean, spread = table.facts.mean(0), table.facts.std(0)
    mean[0], spread[0] = 0.0, 1.0
    facts = ((table.facts - mean) / spread)[table.question].astype(np.float32)
    weight = table.weight * is_in
    weight = (weight / weight.sum())[table.question]
    penalty = np.full((len(names), len(FACTS) + 1), L2_SLOPES)
    penalty[:, 0] = L2
    prior = np.zeros_like(penalty)
    prior[:, 0] = [PRIOR.get(name, 0.0) * unit for name, unit in zip(names, deviation, strict=True)]

    def gradient(w: Floats) -> Floats:
        score = TEMPER * (((values @ w.astype(np.float32)) * facts).sum(1) + offset)
        wrong = (TEMPER * (likely(score, table.first[:-1], table.question) - table.target) * weight).astype(np.float32)
        sloped: Floats = values.T @ (wrong[:, None] * facts) + penalty * (w - prior)
        return sloped

    w = adam(prior, gradient, STEPS, RATE)
    slopes = w / deviation[:, None] / spread
    base = slopes[:, 0] - (slopes[:, 1:] * mean[1:]).sum(1)
    return {
        name: {"base": round(float(base[i]), 4), **{fact: round(float(slopes[i, k]), 4) for k, fact in enumerate(FACTS, 1)}}
        for i, name in enumerate(names)
    }


def found(a: Asked, ranking: Ranking) -> tuple[float, float, float]:
    """R@1, R@10 and nDCG@10 of one question."""
    return found_of([a.turns[place] for place in ranking.order], a.gold)


def evidence(asked: Sequence[Asked], each: Sequence[Ranker]) -> Floats:
    """What speaks for an answer to each question, ranked by its own ranker: a row each, with 1 for the base."""
    rows = []
    for a, ranker in zip(asked, each, strict=True):
        told = evidence_of(fuse(a.raw, a.background, ranker), a.raw, a.background)
        rows.append([1.0, *(told[name] for name in EVIDENCE)])
    return np.array(rows)


def fit_confidence(asked: Sequence[Asked], rows: Floats, is_in: NDArray[np.bool_]) -> dict[str, float]:
    """Logistic regression by Newton's steps; both answers of each set weigh the same, and the sets do."""
    answer = np.array([a.has_answer for a in asked], float)
    groups = [(a.dataset, a.has_answer) for a in asked]
    weight = np.array([1 / groups.count(group) for group in groups]) * is_in
    weight /= weight.sum()
    spread = rows.std(0)
    spread[spread == 0] = 1.0
    scaled, w = rows / spread, np.zeros(rows.shape[1])
    penalty = np.full(len(w), 1e-3)
    for _ in range(25):
        likely = 1 / (1 + np.exp(-scaled @ w))
        gradient = scaled.T @ ((likely - answer) * weight) + penalty * w
        w -= np.linalg.solve((scaled * (weight * likely * (1 - likely))[:, None]).T @ scaled + np.diag(penalty), gradient)
    return {name: round(float(value), 4) for name, value in zip(("base", *EVIDENCE), w / spread, strict=True)}


def figures(asked: Sequence[Asked], each: Sequence[Ranker]) -> dict[str, dict[str, float]]:
    """R@1, R@10 and nDCG@10 by set, each question ranked by its own ranker."""
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for a, ranker in zip(asked, each, strict=True):
        rows.setdefault(a.dataset, []).append(found(a, a.ranked(ranker)))
    return {d: {n: round(100 * float(x), 1) for n, x in zip(FIGURES, np.mean(r, 0), strict=True)} for d, r in sorted(rows.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", type=Path, help="where the ranker goes")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/loci/train.npz").expanduser())
    args = parser.parse_args()
    embedder = Kept(args.cache)
    whole = list(ask(args.data, embedder))
    embedder.save()
    everybody, whole = whole, [a for a in whole if a.gold]
    table = Table([*whole, *(a.without(lacking) for lacking in LACKING for a in whole)])
    everything = np.ones(len(table.asked), dtype=bool)
    final = fit(table, everything)
    dealt = {c: place % args.folds for place, c in enumerate(dict.fromkeys(table.conversation))}
    fold = np.array([dealt[c] for c in table.conversation])
    left_out = [fit(table, fold != f) for f in range(args.folds)]
    report: dict[str, Any] = {"fitted": figures(whole, [final] * len(whole))}
    report["left out"] = figures(whole, [left_out[f] for f in fold[: len(whole)]])
    of_set = np.array([a.dataset for a in table.asked])
    strange = {name: fit(table, of_set != name) for name in dict.fromkeys(of_set)}
    report["set left out"] = figures(whole, [strange[a.dataset] for a in whole])
    for lacking in LACKING:
        report[f"left out, without {lacking}"] = figures([a.without(lacking) for a in whole], [left_out[f] for f in fold[: len(whole)]])
    for signal in SIGNALS:
        crippled = [replace(r, weights={name: w for name, w in r.weights.items() if name != signal}) for r in left_out]
        report.setdefault("left out, without the signal (R@10)", {})[signal] = {
            name: row["R@10"] for name, row in figures(whole, [crippled[f] for f in fold[: len(whole)]]).items()
        }
    fold_of = np.array([dealt[a.dataset, a.conversation] for a in everybody])
    is_told = np.array([a.has_answer for a in everybody])
    strange_rows, scores = evidence(everybody, [left_out[f] for f in fold_of]), np.zeros(len(everybody))
    for f in range(args.folds):
        sure = fit_confidence(everybody, strange_rows, fold_of != f)
        scores[fold_of == f] = (strange_rows @ np.array(list(sure.values())))[fold_of == f]
    rows = evidence(everybody, [final] * len(everybody))
    sure = fit_confidence(everybody, rows, np.ones(len(everybody), dtype=bool))
    likely = 1 / (1 + np.exp(-rows @ np.array(list(sure.values()))))
    sure["threshold"] = round(float(np.quantile(likely[is_told], 1 - KEPT)), 3)
    report["answerable, area under ROC, left out"] = {
        name: round(area(scores[of & is_told].tolist(), scores[of & ~is_told].tolist()) or 0.0, 3)
        for name in sorted({a.dataset for a in everybody})
        if 0 < is_told[of := np.array([a.dataset == name for a in everybody])].mean() < 1
    }
    withheld = likely < sure["threshold"]
    report["strict"] = {
        "withheld of unanswerable": round(float(withheld[~is_told].mean()), 3),
        "of answerable": round(float(withheld[is_told].mean()), 3),
    }
    print(json.dumps(report, indent=1))
    if args.write:
        read = {f"{p.parent.name}/{p.name}": p for p in sorted(args.data.glob("*/*.jsonl"))}
        read |= {f"sample/{p.name}": p for p in sorted(SAMPLE.parent.glob("*.jsonl"))}
        hashes = {name: hashlib.sha256(p.read_bytes()).hexdigest()[:16] for name, p in read.items()}
        provenance = {"date": date.today().isoformat(), "data": hashes, "figures": report, "command": "python -m bench.train"}
        shipped = replace(final, name=f"linear@{date.today().isoformat()}", confidence=sure)
        rankers.save(args.write, shipped, provenance)


if __name__ == "__main__":
    main()
