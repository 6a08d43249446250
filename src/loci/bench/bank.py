"""How well questions are answered from a bank of compressed documents, beside the text of the same documents, and how long that takes.

Everything is made here from a seed: the language, a model that answers from documents in its context, compressors for it. The documents that are
asked about are of entities that no training text names, of the model's or of the compressors'.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loci.bench.bank_language import BOS, Article, Language, Words, answer, article, entities, question
from loci.bench.bank_model import Shape, kept
from loci.drivers.torch_bank.compressor import Recipe, TorchCompressor
from loci.drivers.torch_bank.training import Course, Lesson, train
from loci.drivers.torch_kv.fingerprint import look
from loci.errors import Invalid
from loci.methods.cmt import CMT, Bank, bytes_of

CLOSED, GOLD, TEXT, ALONE = "closed book", "the document in context", "RAG text", "bank, the right entry alone"
BANK, SUM, WHOLE, PLAIN = "bank, concatenation", "bank, weighted sum", "bank, sum over all", "sum, no contrast"
ARMS = (CLOSED, GOLD, TEXT, BANK, SUM, WHOLE, PLAIN, ALONE)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = 64  # questions
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """``sizes``: documents in the bank. ``lessons``: documents that the compressors are taught on. ``asked``: questions at each size, at most. ``first``: how
    many documents come first where forgetting is asked for. ``weights``: a folder that trained models are kept in."""

    sizes: tuple[int, ...] = (10, 100, 1000)
    k: int = 4
    lessons: int = 1300
    asked: int = 1000
    first: tuple[int, ...] = (10, 100)
    weights: Path | None = None
    language: Language = field(default_factory=Language)
    shape: Shape = field(default_factory=Shape)
    recipe: Recipe = field(default_factory=lambda: Recipe(matched=1))
    course: Course = field(default_factory=lambda: Course(steps=500, asked=6, rebuilt=1, alone=0.5, rate=5e-3))

    def __post_init__(self) -> None:
        names, batch = self.language.syllables**2, self.course.batch
        if not self.sizes or min(self.sizes) < 2 or min(self.lessons, names - max(self.sizes)) < batch:
            raise Invalid(
                f"There are {names:,} names: too few for banks of {self.sizes} documents and {self.lessons} lessons, {batch} at the least; fewer documents, or more syllables."
            )


@dataclass(frozen=True, slots=True)
class Cell:
    """Right answers by one arm over a bank of so many documents; ``found``: how often the document asked for was among those aggregated (or nan)."""

    seed: int
    documents: int
    arm: str
    right: float
    found: float
    asked: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one seed gave: the cells; points lost of the first so many documents, by arm; milliseconds of an answer by the documents in the bank; and what is to be said."""

    seed: int
    cells: tuple[Cell, ...]
    forgotten: Mapping[str, Mapping[int, float]]
    milliseconds: Mapping[str, Mapping[int, float]]
    about: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Paper:
    """A document of the bank: what `Bank.add` asks of one."""

    id: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its answer, and the number of the document that tells it."""

    ids: tuple[int, ...]
    answer: tuple[int, ...]
    gold: int


def run(setting: Setting, seed: int, advance: Advance) -> Run:
    """One seed: trains a model and two compressors, fills a bank, asks. ``advance`` is told steps done, of all."""
    made = taught(setting, seed, advance)
    return examined(setting, seed, made)


@dataclass(frozen=True, slots=True)
class Made:
    """What was trained for one seed: the compressor for both ways with contrast, the one for sums without; the entities for the test; what to say of it."""

    ours: TorchCompressor
    plain: TorchCompressor
    held: tuple[int, ...]
    about: Mapping[str, float]


def taught(setting: Setting, seed: int, advance: Advance) -> Made:
    """The model and both compressors."""
    language, course = setting.language, replace(setting.course, seed=seed)
    among, held = entities(language, max(setting.sizes), seed)
    every = setting.shape.steps + 2 * course.steps
    model, right, seconds = kept(language, setting.shape, among, seed, setting.weights, lambda step, _: advance(step, every))
    lessons, begin = lessons_of(setting, among, seed), time.process_time()
    losses, compressors = {}, []
    kinds = {"ours": [method_of(setting, BANK), method_of(setting, SUM)], "plain": [method_of(setting, PLAIN)]}
    for number, (name, objectives) in enumerate(kinds.items()):
        done = setting.shape.steps + number * course.steps
        compressor = TorchCompressor(model, Words(language), setting.recipe, seed=seed)
        losses[name] = train(compressor, lessons, objectives, course, lambda step, _, __, done=done: advance(done + step, every))  # type: ignore[misc]
        compressors.append(compressor)
    about = {
        "weights": float(sum(p.numel() for p in model.parameters())), "answers right in the last steps": right, "model seconds": seconds,
        "learned weights": float(sum(p.numel() for p in compressors[0].learned().values())), "compressor seconds": time.process_time() - begin,
        "last loss": losses["ours"], "last loss without contrast": losses["plain"],
    }  # fmt: skip
    return Made(compressors[0], compressors[1], tuple(held), about)


def method_of(setting: Setting, arm: str) -> CMT:
    """The method that an arm answers by."""
    if arm == BANK:
        return CMT(k=setting.k, way="concatenation")
    if arm == PLAIN:
        return CMT(k=setting.k, contrast=0.0)
    return CMT(k=max(setting.sizes) if arm == WHOLE else setting.k)


def lessons_of(setting: Setting, among: Sequence[int], seed: int) -> list[Lesson]:
    """Documents about entities of the training part, with all that they answer."""
    chance = random.Random(f"compressor {seed}")
    articles = [article(setting.language, entity, chance) for entity in chance.sample(list(among), min(setting.lessons, len(among)))]
    return [Lesson(one.ids, tuple((a.ids, a.answer) for a in asked_of(setting.language, one, 0))) for one in articles]


def asked_of(language: Language, one: Article, number: int) -> list[Asked]:
    return [Asked(question(language, one.entity, attribute), answer(language, value), number) for attribute, value in one.facts.items()]


# -- the test -------------------------------------------------------------------------------------------------------------


def examined(setting: Setting, seed: int, made: Made) -> Run:
    """Fills banks with documents never seen and asks for what they tell."""
    with torch.no_grad():
        return _examined(setting, seed, made)


def _examined(setting: Setting, seed: int, made: Made) -> Run:
    chance = random.Random(f"test {seed}")
    articles = [article(setting.language, entity, chance) for entity in made.held]
    every = [asked_of(setting.language, one, number) for number, one in enumerate(articles)]
    test = Test(setting, seed, made, articles)
    cells: list[Cell] = []
    for size in sorted(setting.sizes):
        test.fill(size)
        share = max(1, min(setting.language.facts, setting.asked // size))
        asked = [one for number in range(size) for one in chance.sample(every[number], share)]
        cells += [test.cell(arm, asked) for arm in ARMS]
    forgotten = {
        arm: {first: test.forgotten(arm, every, first) for first in setting.first if first < len(articles)} for arm in (TEXT, BANK, SUM)
    }
    base = test.base_hash()
    about = {
        **made.about, "bytes of an entry": float(test.banks[BANK].entries["0"].bytes), "formula": float(test.formula()),
        "bytes of the text's keys and values": float(test.formula(setting.language.length)), "base unchanged": float(base == test.before),
    }  # fmt: skip
    return Run(seed, tuple(cells), forgotten, test.milliseconds(every), about)


class Test:
    """The banks of one seed, and every arm's way to answer."""

    __test__ = False

    def __init__(self, setting: Setting, seed: int, made: Made, articles: Sequence[Article]) -> None:
        self.setting, self.seed, self.made, self.articles = setting, seed, made, articles
        self.before = self.base_hash()
        self.banks = self.empty()

    def empty(self) -> dict[str, Bank]:
        return {
            arm: Bank(self.made.plain if arm == PLAIN else self.made.ours, method_of(self.setting, arm))
            for arm in (BANK, SUM, WHOLE, PLAIN)
        }

    def base_hash(self) -> str:
        """Of every number of the model."""
        return look(self.made.ours.model, is_full=True).hash

    def fill(self, size: int) -> None:
        """Adds documents until there are so many. Compressed once by each compressor, whatever banks they are in."""
        for number in range(len(self.banks[BANK]), size):
            paper = Paper(str(number), BEGIN + timedelta(minutes=number))
            entry = self.banks[BANK].add(paper, self.articles[number].ids)
            self.banks[SUM].put(entry)
            self.banks[WHOLE].put(entry)
            self.banks[PLAIN].add(paper, self.articles[number].ids)

    def cell(self, arm: str, asked: Sequence[Asked], banks: Mapping[str, Bank] | None = None) -> Cell:
        """Asks all of these by one arm."""
        right, found = 0, 0.0
        for start in range(0, len(asked), AT_ONCE):
            some = asked[start : start + AT_ONCE]
            told = [self.prompted(arm, one, banks or self.banks) for one in some]
            right += sum(self.are_right([t[0] for t in told], [t[1] for t in told], some))
            found += sum(t[2] for t in told)
        return Cell(self.seed, len((banks or self.banks)[BANK]), arm, right / len(asked), found / len(asked), len(asked))

    def prompted(self, arm: str, one: Asked, banks: Mapping[str, Bank]) -> tuple[Tensor | None, tuple[int, ...], float]:
        """What is before a question: a prefix, or tokens; and whether the right document was among what was matched."""
        if arm == CLOSED:
            return None, (BOS, *one.ids), float("nan")
        if arm == GOLD:
            return None, (*self.articles[one.gold].ids, *one.ids), 1.0
        bank = banks[arm if arm in banks else BANK]
        if arm == ALONE:
            return bank.prefix([(str(one.gold), 0.0)]).states, one.ids, 1.0
        matches = bank.match(bank_compressor(self.made, arm).ask(one.ids))
        found = float(str(one.gold) in dict(matches))
        if arm == TEXT:
            documents = sorted(int(id) for id, _ in matches)
            return None, (BOS, *(i for number in documents for i in self.articles[number].ids[1:]), *one.ids), found
        return bank.prefix(matches).states, one.ids, found

    def are_right(self, prefixes: Sequence[Tensor | None], rows: Sequence[Sequence[int]], asked: Sequence[Asked]) -> list[bool]:
        """Whether every token of each answer is the likeliest after those before it: the very answer word for word."""
        ids = torch.tensor([[*row, *one.answer][:-1] for row, one in zip(rows, asked, strict=True)], device=self.made.ours.device)
        stacked = None if prefixes[0] is None else torch.stack([p for p in prefixes if p is not None])
        count = len(asked[0].answer)
        said = self.made.ours.logits(stacked, ids)[:, -count:].argmax(-1)
        return [tuple(row) == one.answer for row, one in zip(said.tolist(), asked, strict=True)]

    def forgotten(self, arm: str, every: Sequence[Sequence[Asked]], first: int) -> float:
        """Points of right answers lost on the first documents by adding all others. The documents take turns to be the first ones, up to a tenth of all, so that
        it rests on more than the questions of ``first``."""
        groups = range(0, max(first, len(self.articles) // 10), first)
        lost = []
        for start in groups:
            own = range(start, start + first)
            alone = self.empty()
            for number in own:
                for name, bank in alone.items():
                    bank.put(self.banks[name].entries[str(number)])
            asked = [one for number in own for one in every[number]]
            lost.append(self.cell(arm, asked, alone).right - self.cell(arm, asked).right)
        return 100 * sum(lost) / len(lost)

    def milliseconds(self, every: Sequence[Sequence[Asked]]) -> dict[str, dict[int, float]]:
        """Of a whole answer (the question read, matched, aggregated, answered), by the documents in the bank: the best of five rounds over twenty questions, the
        sizes by turns."""
        banks: dict[int, dict[str, Bank]] = {}
        for size in self.setting.sizes:
            banks[size] = self.empty()
            for name in (BANK, SUM):
                for number in range(size):
                    banks[size][name].put(self.banks[name].entries[str(number)])
        found: dict[str, dict[int, float]] = {BANK: {}, SUM: {}, TEXT: {}}
        asked = [one for some in every[: min(20, *self.setting.sizes)] for one in some[:1]]
        for _ in range(5):
            for arm, best in found.items():
                for size in self.setting.sizes:
                    begin = time.perf_counter()
                    for one in asked:
                        prefix, ids, _ = self.prompted(arm, one, banks[size])
                        self.are_right([prefix], [ids], [one])
                    best[size] = min(best.get(size, float("inf")), 1000 * (time.perf_counter() - begin) / len(asked))
        return found

    def formula(self, tokens: int | None = None) -> int:
        """What an entry should take; or the keys and values of so many tokens."""
        compressor: Any = self.made.ours
        shapes, element = compressor.fingerprint.layers, compressor.reader.dtype.itemsize
        count = compressor.recipe.tokens if tokens is None else tokens
        return bytes_of(len(shapes), shapes[0].heads, count, shapes[0].width, compressor.memory.shape[1] if tokens is None else 0, element)


def bank_compressor(made: Made, arm: str) -> TorchCompressor:
    return made.plain if arm == PLAIN else made.ours
