"""The fusion study: `python -m bench.study_fusion DATA [--cache FOLDER] [--folds 5]`, DATA a folder of sets in the unified format.

Measures R@1, R@5 and R@10 on every set for BM25, MiniLM, their rank fusion and z-score sum, and `loci.policy.fusion` with the shipped
constants; then fits the constants anew to all sets at once and shows what they reach on conversations left out (in folds) and on whole
sets left out. Signals are computed here as `loci.drivers.sqlite.search` computes them, over one table a conversation, so that a
thousand settings can be tried in a minute; the array formula is checked against `fuse` itself.

Two forms of what the model sees are compared. *Named*: "speaker: text" against the question as asked. *Inside*: the text as it was
said, against the question as the one it asks about would put it ("What did Ann paint?" is "What did I paint?").
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.minilm import MiniLM
from loci.policy.fusion import Background, Constants, fuse
from loci.text.dates import asks_when, has_time, window
from loci.text.speech import is_own
from loci.text.tokens import content_words, words

Floats = NDArray[np.float64]
TOP, SEEDS = 70, 20  # candidates of each signal; those whose neighbours are candidates too
LENGTH_EXPONENT, SHORTEST = 0.5, 0.05
ROLES = frozenset({"user", "assistant", "system", "tool"})
STEPS = (0.5, 0.25, 0.12)  # of the coordinate search, as shares of a constant's value
FREE = (
    "words", "words_answering", "words_after", "words_session", "meaning", "meaning_answering", "own", "speaker", "time", "date",
    "brief", "gate", "gate_share",
)  # fmt: skip


def inside(question: str, people: Sequence[str]) -> str:
    """The question as the people it names would put it: their names become "I" and "my". Others' names stay."""
    for name in sorted(people, key=len, reverse=True):
        question = re.sub(rf"\b{re.escape(name)}['’]s\b", "my", question, flags=re.IGNORECASE)
        question = re.sub(rf"\b{re.escape(name)}\b", "I", question, flags=re.IGNORECASE)
    return question


# -- a conversation and its signals ----------------------------------------------------------------------------------------


class Embeddings:
    """MiniLM with the vectors of each list of texts kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._model = folder, MiniLM(folder)
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        digest = hashlib.sha256("\0".join([self._model.name, *texts]).encode("utf-8", "replace")).hexdigest()[:24]
        path = self._folder / f"{digest}.npy"
        if not path.exists():
            np.save(path, self._model.embed(texts))
        return np.asarray(np.load(path), np.float32)


class Conversation:
    """One conversation, indexed: words in FTS5, vectors of both forms, and what each turn's header says."""

    def __init__(self, dataset: str, turns: list[dict[str, Any]], questions: list[dict[str, Any]], embed: Embeddings) -> None:
        self.dataset, self.size = dataset, len(turns)
        place = {turn["id"]: i for i, turn in enumerate(turns)}
        self.questions = [q["text"] for q in questions]
        self.gold = [np.array([place[e] for e in q["evidence"]]) for q in questions]
        self.speaker = [str(turn["speaker"]) for turn in turns]
        self.people = sorted({s for s in self.speaker if s.lower() not in ROLES})
        self.session = np.array([turn["session"] for turn in turns])
        self.at = [datetime.fromisoformat(turn["at"]).replace(tzinfo=None) if turn["at"] else None for turn in turns]
        said = [t["text"] + (f" [shares a photo: {t['caption']}]" if t.get("caption") else "") for t in turns]
        named = [f"{s}: {text}" for s, text in zip(self.speaker, said, strict=True)]
        self.own = np.array([is_own(text) for text in said], float)
        self.time = np.array([has_time(text) for text in said], float)
        self.asking = np.array(["?" in text for text in said], float)
        self.length = np.array([len(text.split()) for text in named], float)
        self._relative = np.maximum(self.length / self.length.mean(), SHORTEST) ** LENGTH_EXPONENT
        self._vectors = {"named": (embed(named), embed(self.questions))}
        self._vectors["inside"] = embed(said), embed([inside(q, self.people) for q in self.questions])
        self._db = apsw.Connection(":memory:")
        self._db.execute("CREATE VIRTUAL TABLE turns USING fts5(words, tokenize='porter unicode61')")
        self._db.execute("CREATE VIRTUAL TABLE terms USING fts5vocab(turns, instance)")
        self._db.executemany("INSERT INTO turns (rowid, words) VALUES (?, ?)", list(enumerate(named)))

    def cosines(self, question: int, form: str) -> Floats:
        turns, questions = self._vectors[form]
        return np.asarray(turns @ questions[question], float)

    def bm25(self, question: int) -> Floats:
        scores = np.zeros(self.size)
        terms = " OR ".join(f'"{word}"' for word in content_words(self.questions[question]))
        for row, rank in self._db.execute("SELECT rowid, rank FROM turns WHERE turns MATCH ?", (terms,)) if terms else ():
            scores[row] = -rank
        return scores

    def surprise(self, question: int) -> tuple[Floats, float]:
        """For each turn the nats of its words, and those of a turn of mean length that holds every word of the question."""
        nats, attainable = np.zeros(self.size), 0.0
        tokenizer = self._db.fts5_tokenizer("porter", ["unicode61"])
        raw = " ".join(content_words(self.questions[question])).encode()
        for stem in dict.fromkeys(str(t[-1]) for t in tokenizer(raw, apsw.FTS5_TOKENIZE_QUERY, None)):
            place = np.array([row[0] for row in self._db.execute("SELECT DISTINCT doc FROM terms WHERE term = ?", (stem,))], int)
            share = min((len(place) + 0.5) / (self.size + 1), 0.999)
            attainable -= math.log(share)
            nats[place] -= np.log1p(-((1 - share) ** self._relative[place]))
        return nats, attainable

    def beside(self, values: Floats, step: int, absent: float) -> Floats:
        """For each turn the value of the one ``step`` later in the same session."""
        place = np.arange(self.size) + step
        is_there = (place >= 0) & (place < self.size)
        place = np.where(is_there, place, 0)
        return np.where(is_there & (self.session[place] == self.session), values[place], absent)

    def dates(self, question: int) -> Floats:
        known = [at for at in self.at if at is not None]
        asked = window(self.questions[question], max(known)) if known else None
        if asked is None:
            return np.zeros(self.size)
        return np.array([0.0 if at is None else _in_window(at, asked) for at in self.at])


def _in_window(at: datetime, asked: tuple[datetime, datetime]) -> float:
    outside = max(asked[0] - at, at - asked[1], timedelta(0))
    return math.exp(-outside / timedelta(weeks=1))


def read(folder: Path, embed: Embeddings) -> list[Conversation]:
    questions: dict[str, list[dict[str, Any]]] = {}
    for question in _rows(folder / "questions.jsonl"):
        if question["evidence"]:
            questions.setdefault(question["conversation"], []).append(question)
    return [
        Conversation(folder.name, c["turns"], questions[c["id"]], embed)
        for c in _rows(folder / "conversations.jsonl")
        if c["id"] in questions
    ]


def _rows(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


# -- the candidates of every question as one table ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Candidates of all questions, one row each; ``first`` is where each question's rows begin."""

    columns: dict[str, Floats]
    first: NDArray[np.intp]
    question: NDArray[np.intp]  # of each row
    share: Floats  # of each question: best / attainable
    backgrounds: list[Background]
    is_gold: NDArray[np.bool_]
    golds: Floats  # of each question
    dataset: NDArray[np.intp]  # of each question
    fold: NDArray[np.intp]  # of each question


def tabulate(conversations: Sequence[Conversation], names: Sequence[str], form: str, folds: int) -> Table:
    parts: list[dict[str, Floats]] = []
    backgrounds, gold, golds, dataset, fold = [], [], [], [], []
    seen = dict.fromkeys(names, 0)
    for conversation in conversations:
        for place in range(len(conversation.questions)):
            columns, background, chosen = candidates(conversation, place, form)
            parts.append(columns)
            backgrounds.append(background)
            gold.append(np.isin(chosen, conversation.gold[place]))
            golds.append(len(conversation.gold[place]))
            dataset.append(names.index(conversation.dataset))
            fold.append(seen[conversation.dataset] % folds)
        seen[conversation.dataset] += 1
    sizes = np.array([len(g) for g in gold])
    return Table(
        columns={name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        first=np.cumsum(sizes) - sizes,
        question=np.repeat(np.arange(len(sizes)), sizes),
        share=np.array([b.best / b.attainable if b.attainable else 0.0 for b in backgrounds]),
        backgrounds=backgrounds,
        is_gold=np.concatenate(gold),
        golds=np.array(golds, float),
        dataset=np.array(dataset),
        fold=np.array(fold),
    )


def candidates(c: Conversation, question: int, form: str) -> tuple[dict[str, Floats], Background, NDArray[np.intp]]:
    """Raw signals of the candidates by the names that `fuse` knows, their background, and which turns they are."""
    nats, attainable = c.surprise(question)
    cosine = c.cosines(question, form)
    said = set(words(c.questions[question]))
    named = [p for p in c.people if set(words(p)) & said]
    when = asks_when(c.questions[question])
    chosen = _union(c, nats, cosine)
    groups = {s: nats[chosen][c.session[chosen] == s].max() for s in set(c.session[chosen].tolist())}
    columns = {
        "words": nats, "cosine": cosine, "own": c.own, "time": c.time, "date": c.dates(question), "length": c.length,
        "speaker": np.array([s in named for s in c.speaker], float),
        "words_before": c.beside(nats, -1, 0.0), "words_after": c.beside(nats, 1, 0.0),
        "cosine_before": c.beside(cosine, -1, float(cosine.mean())), "question_before": c.beside(c.asking, -1, 0.0),
    }  # fmt: skip
    columns = {name: np.asarray(values[chosen], float) for name, values in columns.items()}
    columns["words_session"] = np.array([groups[s] for s in c.session[chosen].tolist()])
    background = Background(attainable, float(nats.max()), float(cosine.mean()), float(cosine.std()), True, when, len(named) == 1)
    return columns, background, chosen


def _union(c: Conversation, nats: Floats, cosine: Floats) -> NDArray[np.intp]:
    by_words, by_meaning = _top(np.where(nats > 0, nats, -np.inf)), _top(cosine)
    chosen = {*by_words, *by_meaning}
    for place in (*by_words[:SEEDS], *by_meaning[:SEEDS]):
        chosen |= {p for p in (place - 1, place + 1) if 0 <= p < c.size and c.session[p] == c.session[place]}
    return np.array(sorted(chosen))


def _top(scores: Floats) -> list[int]:
    return [int(i) for i in np.argsort(-scores, kind="stable")[:TOP] if scores[i] > -np.inf]


def mixture(table: Table, k: Constants) -> Floats:
    """The score of `fuse` but for the factor that is the same for all candidates of a question."""
    c, q = table.columns, table.question
    mean, deviation = (np.array([getattr(b, name) for b in table.backgrounds])[q] for name in ("mean", "deviation"))
    when, one = (np.array([getattr(b, name) for b in table.backgrounds], float)[q] for name in ("asks_when", "names_one"))
    near = k.words_answering * c["question_before"] * c["words_before"]
    near = near + k.words_after * c["words_after"] + k.words_session * c["words_session"]
    beside = c["question_before"] * (_tail((c["cosine_before"] - mean) / deviation) - math.log(2))
    meaning = k.meaning * (_tail((c["cosine"] - mean) / deviation) + k.meaning_answering * beside)
    meaning += k.own * c["own"] + k.speaker * c["speaker"] * one + k.time * c["time"] * when + k.date * c["date"]
    meaning -= k.brief * np.maximum(0.0, np.log(k.brief_words / np.maximum(c["length"], 1.0)))
    gate = 1 / (1 + np.exp(-k.gate * (table.share - k.gate_share)))[q]
    return gate * _posterior(table, meaning + k.words * (c["words"] + near)) + (1 - gate) * _posterior(table, meaning)


_GRID = np.linspace(-12, 12, 4801)
_TAIL = np.array([-math.log(0.5 * math.erfc(z / math.sqrt(2))) for z in _GRID])


def _tail(z: Floats) -> Floats:
    return np.asarray(np.interp(z, _GRID, _TAIL))


def _posterior(table: Table, evidence: Floats) -> Floats:
    raised = np.exp(evidence - np.maximum.reduceat(evidence, table.first)[table.question])
    return np.asarray(raised / np.add.reduceat(raised, table.first)[table.question])


# -- measures and the fit ------------------------------------------------------------------------------------------------------


def found(table: Table, scores: Floats, worth: Callable[[Floats], Floats]) -> Floats:
    """For each question the mean worth of the ranks (from 1) of its gold turns; one that is no candidate is worth nothing."""
    order = np.lexsort((-scores, table.question))
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order))
    rank -= table.first[table.question] - 1
    gold = table.is_gold
    return np.asarray(np.bincount(table.question[gold], worth(rank[gold]), minlength=len(table.golds)) / table.golds)


def smooth(table: Table, constants: Constants, of: NDArray[np.bool_]) -> float:
    """What the fit maximises: a soft R@10, each set counting the same."""
    value = found(table, mixture(table, constants), lambda rank: 1 / (1 + (rank / 10) ** 2))
    sets = [of & (table.dataset == s) for s in np.unique(table.dataset[of])]
    return float(np.mean([value[s].mean() for s in sets]))


def fit(table: Table, of: NDArray[np.bool_], start: Constants) -> Constants:
    """Coordinate search from ``start`` over the questions ``of``."""
    best, value = start, smooth(table, start, of)
    for step in STEPS:
        is_better = True
        while is_better:
            is_better = False
            for name in FREE:
                size = step * max(abs(getattr(best, name)), 0.1)
                for other in (replace(best, **{name: getattr(best, name) + s}) for s in (size, -size)):
                    trial = smooth(table, other, of)
                    if trial > value + 1e-5:
                        best, value, is_better = other, trial, True
                        break
    return best


def recalls(table: Table, scores: Floats) -> list[list[float]]:
    """For each set R@1, R@5 and R@10, in percent."""
    values = [found(table, scores, lambda rank, k=k: (rank <= k).astype(float)) for k in (1, 5, 10)]  # type: ignore[misc]
    return [[100 * float(v[table.dataset == s].mean()) for v in values] for s in np.unique(table.dataset)]


def baseline(
    conversations: Sequence[Conversation], names: Sequence[str], score: Callable[[Conversation, int], Floats]
) -> list[list[float]]:
    rows: dict[str, list[list[float]]] = {name: [] for name in names}
    for c in conversations:
        for place, gold in enumerate(c.gold):
            ranked = np.argsort(-score(c, place), kind="stable")
            rows[c.dataset].append([100 * float(np.isin(ranked[:k], gold).sum()) / len(gold) for k in (1, 5, 10)])
    return [[float(v) for v in np.mean(rows[name], axis=0)] for name in names]


def left_out(table: Table, groups: NDArray[np.intp], start: Constants) -> Floats:
    """Scores of each group of questions under constants fitted to the others."""
    scores = np.zeros(len(table.question))
    for group in np.unique(groups):
        constants = fit(table, groups != group, start)
        rows = (groups == group)[table.question]
        scores[rows] = mixture(table, constants)[rows]
    return scores


def check(table: Table, constants: Constants) -> None:
    """The array formula ranks as `fuse` does, on every fiftieth question."""
    scores = mixture(table, constants)
    ends = [*table.first[1:], len(table.question)]
    for question in range(0, len(table.first), 50):
        rows = range(int(table.first[question]), int(ends[question]))
        found = fuse({n: v[rows.start : rows.stop].tolist() for n, v in table.columns.items()}, table.backgrounds[question], constants)
        ours = np.sqrt(scores[[rows.start + place for place in found.order]])
        theirs = np.array([found.scores[place] for place in found.order])
        assert np.allclose(ours / ours[0], theirs / theirs[0], atol=1e-4), f"fuse and the array formula differ on question {question}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of sets, each with conversations.jsonl and questions.jsonl")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/loci/study").expanduser(), help="folder for vectors")
    parser.add_argument("--folds", type=int, default=5, help="into which the conversations of each set are dealt")
    parser.add_argument("--constants", type=json.loads, default={}, help='JSON of constants to try: {"speaker": 1.6}')
    options = parser.parse_args()
    embed = Embeddings(options.cache)
    folders = sorted(p for p in options.data.iterdir() if (p / "questions.jsonl").exists())
    names = [folder.name for folder in folders]
    conversations = [c for folder in folders for c in read(folder, embed)]
    shipped = replace(Constants(), **options.constants)

    print(f"{'R@1 / R@5 / R@10, in %':34}" + "".join(f"{name:>22}" for name in names))
    show("BM25", baseline(conversations, names, Conversation.bm25))
    for form in ("named", "inside"):
        show(f"MiniLM, {form}", baseline(conversations, names, lambda c, q, form=form: c.cosines(q, form)))  # type: ignore[misc]
    show("rank fusion", baseline(conversations, names, lambda c, q: _reciprocal(c.bm25(q)) + _reciprocal(c.cosines(q, "named"))))
    show("z-score sum", baseline(conversations, names, lambda c, q: _standard(c.bm25(q)) + _standard(c.cosines(q, "named"))))
    for form in ("named", "inside"):
        table = tabulate(conversations, names, form, options.folds)
        check(table, shipped)
        show(f"loci, {form}", recalls(table, mixture(table, shipped)))
        fitted = fit(table, np.ones(len(table.golds), bool), shipped)
        show(f"loci, {form}, fitted", recalls(table, mixture(table, fitted)))
        show(f"loci, {form}, conversation left out", recalls(table, left_out(table, table.fold, shipped)))
        show(f"loci, {form}, set left out", recalls(table, left_out(table, table.dataset, shipped)))
        print("   fitted:", " ".join(f"{name}={asdict(fitted)[name]:.3g}" for name in FREE), flush=True)


def show(name: str, rows: list[list[float]]) -> None:
    print(f"{name:34}" + "".join(f"{' / '.join(f'{v:.1f}' for v in row):>22}" for row in rows), flush=True)


def _reciprocal(scores: Floats) -> Floats:
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return np.asarray(1 / (61 + ranks))


def _standard(scores: Floats) -> Floats:
    return np.asarray((scores - scores.mean()) / (scores.std() + 1e-9))


if __name__ == "__main__":
    main()
