"""Recall from a KV cache under a budget: every method at every budget, on conversations of `kv_language`, by a model of `kv_model`.

A conversation is read in blocks, then each of its facts is asked for by itself; right is the one value token out of the whole vocabulary. All
methods read the same conversations. Budgets count entries of each layer and KV head, sinks included; episodic memory is that times the
episodes. This says which entries a method keeps; it says nothing about what a language model would write.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from loci.bench.kv_language import WINDOW, Filler, Language, Stream, stream
from loci.drivers.torch_kv.attention import attending
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.episodes import EpisodicCache
from loci.drivers.torch_kv.prefill import read
from loci.drivers.torch_kv.profile import likeness, sensitivity
from loci.errors import Invalid
from loci.methods.epicache import Book, EpiCache, Patched
from loci.methods.key_difference import KeyDifference
from loci.methods.key_norm import KeyNorm
from loci.methods.kvzip import KVzip
from loci.methods.sirllm import SirLLM
from loci.methods.snapkv import SnapKV
from loci.methods.streaming import Streaming
from loci.policy.eviction import layer_weights, sensitivity_weights, shared
from loci.ports import BudgetPlan, Episodes, Need, ScoreContext, Scorer

SINKS = 2
ENDLESS = 1 << 40  # a budget that nothing reaches
DIMENSIONS, NOISE = 32, 0.7  # of the stand-in for an embedder; the length of its noise beside a topic's direction of length 1
SINGLE = (
    "random", "streaming", "key norm", "snapkv", "key difference", "surprisal", "surprisal, decay 0.7", "sirllm (blended)", "kvzip",
    "one cache, all questions as probe", "one cache, oracle",
)  # fmt: skip
ASKED, GROWING, PATCHED, JUDGED = (
    "episodic, questions as probe", "episodic, incremental, questions as probe", "episodic, patched windows", "episodic, incremental, sirllm",
)  # fmt: skip
EPISODIC = (ASKED, GROWING, PATCHED, JUDGED)
FULL = "full KV"
PROFILE, ANSWERS, KEYS = "profile", "questions", "keys"
SHARES = (
    "equal",
    PROFILE,
    ANSWERS,
    KEYS,
)  # by what the model says next of the text's beginning; of the questions; by EpiCache's likeness of keys
POLICIES = (FULL, *SINGLE, *EPISODIC)
AGNOSTIC = SINGLE[1:-2]  # single caches that know no question


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of conversation and the budgets it is read under."""

    length: int
    facts: int
    topics: int
    filler: Filler
    budgets: tuple[int, ...]
    streams: int
    block: int = 16
    shares: str = "equal"  # among layers: one of `SHARES`


@dataclass(frozen=True, slots=True)
class Row:
    """What one method recalled under one budget: shares of right answers, and what was stored and handed to attention at most, in entries."""

    setting: Setting
    policy: str
    budget: int | None
    recall: float
    error: float  # standard error over conversations
    stored: float  # entries a layer, over all episodes
    peak: int  # entries a layer
    forwarded: float  # tokens through the model, over the tokens of the conversation
    mass: float  # the meter: 99th percentile of evicted attention, the mean over blocks


@dataclass(frozen=True, slots=True)
class Told:
    """One conversation read by one method."""

    right: float
    stored: int
    peak: int
    forwarded: float
    mass: float


@dataclass(frozen=True, slots=True)
class Chance:
    """Entries by lot."""

    seed: int
    name: str = "random"
    needs: frozenset[Need] = frozenset()

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        lots = torch.rand(context.seen, generator=torch.Generator().manual_seed(self.seed))
        return [lots.to(p.device)[p] for p in context.positions]


@dataclass(frozen=True, slots=True)
class Oracle:
    """The facts, because somebody told where they are."""

    places: frozenset[int]
    name: str = "oracle"
    needs: frozenset[Need] = frozenset()

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        is_fact = torch.zeros(context.seen)
        is_fact[[p for p in self.places if p < context.seen]] = 1.0
        return [is_fact.to(p.device)[p] for p in context.positions]


@dataclass(slots=True)
class Foretold:
    """Episodes by EpiCache's book, each probed with the questions that are nearest to it: what a user is likely to ask is known, the facts are not."""

    book: Book
    questions: Sequence[tuple[int, tuple[float, ...]]]

    def join(self, tokens: Sequence[int], vector: Sequence[float]) -> int:
        return self.book.join(tokens, vector)

    def route(self, vector: Sequence[float]) -> int:
        return self.book.route(vector)

    def scorer(self, episode: int) -> Scorer:
        return Patched(tuple(token for token, vector in self.questions if self.book.route(vector) == episode))


def setting(
    length: int, filler: Filler, streams: int, facts: int | None = None, topics: int | None = None, budgets: tuple[int, ...] | None = None,
    block: int | None = None, shares: str = "equal",
) -> Setting:  # fmt: skip
    """A kind of conversation with what is usual for its length. Raises `Invalid` where facts or budgets do not fit it."""
    is_short = length < 512
    facts, topics = facts or (12 if is_short else 128), topics or (2 if is_short else 4)
    usual = (8, 12, 16, 24, 40, 64) if is_short else (64, length // 8, length // 6, length // 4, length // 2)
    made = Setting(
        length, facts, topics, filler, budgets or tuple(sorted(set(usual))), streams, block or max(16, length // 10 // 16 * 16), shares
    )
    if 2 * facts > length or length // WINDOW < 4 * topics:
        raise Invalid(f"{facts} facts of {topics} topics do not fit {length} tokens: two tokens a fact and {4 * WINDOW} a topic at least.")
    if min(made.budgets) <= SINKS:
        raise Invalid(f"A budget holds more than the {SINKS} sinks: {min(made.budgets)}.")
    return made


def run(
    model: Any, language: Language, settings: Sequence[Setting], policies: Sequence[str], advance: Callable[[int, int], None]
) -> list[Row]:
    """A row for each setting, method and budget; full KV has one row a setting. ``advance`` is told how many are done, and of how many."""
    ones = [(s, p) for s in settings for p in policies if s.shares == "equal" or p not in EPISODIC]  # which have several caches to judge by
    plan = [(s, p, b) for s, p in ones for b in ((None,) if p == FULL else s.budgets)]
    made: dict[Setting, list[Stream]] = {}
    rows = []
    for done, (setting, policy, budget) in enumerate(plan, 1):
        if setting not in made:
            made[setting] = [
                stream(language, setting.length, setting.facts, setting.topics, setting.filler, seed) for seed in range(setting.streams)
            ]
        told = [read_and_ask(model, language, one, setting, policy, budget, seed) for seed, one in enumerate(made[setting])]
        rows.append(_row(setting, policy, budget, told))
        advance(done, len(plan))
    return rows


def read_and_ask(model: Any, language: Language, one: Stream, setting: Setting, policy: str, budget: int | None, seed: int) -> Told:
    """Reads one conversation by one method, then asks for every fact in it."""
    layers = model.config.num_hidden_layers
    weights = (1.0,) * layers if budget is None else _weights(model, language, one, setting, policy, budget, seed)
    plan = BudgetPlan((ENDLESS,) * layers if budget is None else shared(weights, budget, SINKS), SINKS)
    if policy in EPISODIC:
        return _episodic(model, language, one, plan, setting.block, policy, seed)
    cache = BudgetedCache(plan, scorer_of(policy, language, one, seed))
    done = read(model, cache, one.tokens, block=setting.block, watched=8)
    right = [_is_right(model, cache, language.question(key), language.value(value)) for key, value in one.facts.items()]
    return Told(_mean(right), max(cache.stored), max(cache.peaks), done.forwarded / len(one.tokens), _mean(done.evicted_mass))


def _weights(model: Any, language: Language, one: Stream, setting: Setting, policy: str, budget: int, seed: int) -> Sequence[float]:
    """What layers weigh in a budget, by how it is shared."""
    layers = int(model.config.num_hidden_layers)
    if setting.shares == "equal":
        return (1.0,) * layers
    if setting.shares == KEYS:
        return layer_weights(likeness(model, one.tokens, setting.block, SINKS))
    plan = BudgetPlan((budget,) * layers, SINKS)
    probes = [(language.question(key),) for key in one.facts] if setting.shares == ANSWERS else [one.tokens[: 4 * WINDOW]]
    return sensitivity_weights(sensitivity(model, one.tokens, plan, scorer_of(policy, language, one, seed), setting.block, probes))


def scorer_of(policy: str, language: Language, one: Stream, seed: int) -> Scorer:
    """The method of a single cache, by its name in the table."""
    made: dict[str, Scorer] = {
        FULL: Streaming(), "random": Chance(seed), "streaming": Streaming(), "key norm": KeyNorm(), "snapkv": SnapKV(8), "key difference": KeyDifference(),
        "surprisal": SirLLM(blend=0, clip=0, lost=math.inf), "surprisal, decay 0.7": SirLLM(gamma=0.7, blend=0, clip=0, lost=math.inf),
        "sirllm (blended)": SirLLM(), "kvzip": KVzip(),
        "one cache, all questions as probe": Patched(tuple(map(language.question, one.facts))),
        "one cache, oracle": Oracle(frozenset(one.places.values())),
    }  # fmt: skip
    return made[policy]


def _episodic(model: Any, language: Language, one: Stream, plan: BudgetPlan, block: int, policy: str, seed: int) -> Told:
    """An episode a topic, found by likeness; a question goes to the nearest."""
    windows = list(_windows(one))
    vectors = [direction(topic, f"window {seed} {number}") for number, topic in enumerate(one.topics)]
    asked = {key: direction(one.topic_of[key], f"question {seed} {key}") for key in one.facts}
    method = EpiCache(most=1 + max(one.topics), tau=0.35, medoids=8, judge=SirLLM() if policy == JUDGED else None)
    questions = [(language.question(key), vector) for key, vector in asked.items()]
    if policy in (GROWING, JUDGED):
        known: Episodes = method.book() if policy == JUDGED else Foretold(method.book(), questions)
        episodes = EpisodicCache(model, plan, known, block=block, watched=8)
        done = [episodes.append(window, vector)[1] for window, vector in zip(windows, vectors, strict=True)]
    else:
        book = method.clustered(windows, vectors)
        known = book if policy == PATCHED else Foretold(book, questions)
        episodes = EpisodicCache(model, plan, known, block=block, watched=8)
        done = [episodes.rebuild(episode, one.tokens) for episode in range(len(book.episodes))]
    right = []
    for key, value in one.facts.items():
        right.append(_is_right(model, episodes.attach(asked[key]), language.question(key), language.value(value)))
    forwarded = sum(d.forwarded for d in done) / len(one.tokens)
    peak = max(max(cache.peaks) for cache in episodes.caches)
    stored = sum(max(cache.stored) for cache in episodes.caches)
    return Told(_mean(right), stored, peak, forwarded, _mean([m for d in done for m in d.evicted_mass]))


def _windows(one: Stream) -> Iterator[tuple[int, ...]]:
    for number in range(len(one.topics)):
        yield one.tokens[number * WINDOW : (number + 1) * WINDOW]


def direction(topic: int, what: str) -> tuple[float, ...]:
    """A stand-in for a sentence embedder, since the language has no sentences: the topic's direction and noise, both from their names."""
    lot, noise = random.Random(f"topic {topic}"), random.Random(what)
    axis = [lot.gauss(0, 1) for _ in range(DIMENSIONS)]
    blur = [noise.gauss(0, 1) for _ in range(DIMENSIONS)]
    a, b = math.hypot(*axis), math.hypot(*blur)
    return tuple(x / a + NOISE * y / b for x, y in zip(axis, blur, strict=True))


def _is_right(model: Any, cache: BudgetedCache, question: int, answer: int) -> float:
    """Whether the likeliest token after the question is the answer; the cache stays as it was."""
    with torch.no_grad(), attending(model), cache.peeking() as shown:
        tokens = torch.tensor([[question]], device=model.device)
        logits = model(input_ids=tokens, past_key_values=shown, use_cache=True, logits_to_keep=1).logits
    return float(int(logits[0, -1].argmax()) == answer)


def _row(setting: Setting, policy: str, budget: int | None, told: Sequence[Told]) -> Row:
    stored, peak = _mean([t.stored for t in told]), max(t.peak for t in told)
    made = row_of(setting, policy, budget, [t.right for t in told], stored, peak)
    return replace(made, forwarded=_mean([t.forwarded for t in told]), mass=_mean([t.mass for t in told]))


def row_of(setting: Setting, policy: str, budget: int | None, rights: Sequence[float], stored: float, peak: int) -> Row:
    """A row of one share of right answers a conversation; everything read once, and no meter."""
    mean = _mean(rights)
    spread = math.sqrt(sum((r - mean) ** 2 for r in rights) / (len(rights) - 1) / len(rights)) if len(rights) > 1 else math.nan
    return Row(setting, policy, budget, mean, spread, stored, peak, 1.0, math.nan)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
