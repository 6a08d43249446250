"""Facts put into weights: what a small model learns into adapters, keeps, and forgets, and what that costs it elsewhere.

Every figure is of the language of `adapters_language` and the model of `adapters_model`. They say what these adapters do to such a model, and nothing about
the quality of any language model.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from loci.bench.adapters_language import ATTRIBUTES, HELD, TAUGHT, Fact, World
from loci.drivers.torch_kv.divergence import divergence
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_lora.cartridge import text_of
from loci.drivers.torch_lora.own import texts_of
from loci.drivers.torch_lora.student import TorchStudent
from loci.methods import fewshot
from loci.ports.adapting import Learned, Lesson, Question, Recipe
from loci.ports.engine import Tensor

UNTOUCHED = 120  # texts
SMALL = Recipe(rank=2, targets=("q_proj", "v_proj"), exposures=3, batch=8, rate=5e-3)
"""Of the adapters whose bytes are compared and whose answers do not matter."""
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """How much of everything, and how facts are learned."""

    facts: int = 100
    recipe: Recipe = Recipe(rank=8, exposures=48, batch=16, rate=5e-3, replay=0.25, most_seconds=3600.0)  # noqa: RUF009
    cartridge: Recipe = Recipe(form="cartridge", exposures=180, batch=16, rate=2e-2, replay=0.5, most_seconds=3600.0)  # noqa: RUF009
    shorter: int = 8  # times fewer tokens in a cartridge than in its text
    texts: int = 3  # that are made cartridges
    told: int = 6  # facts of each
    events: int = 300
    edits: int = 100
    updates: tuple[int, ...] = fewshot.UPDATES


def lessons_of(facts: Sequence[Fact], ways: Sequence[int] = TAUGHT) -> list[Lesson]:
    return [Lesson(fact.entity, fact.cue(way), f" {fact.value}") for fact in facts for way in ways]


def questions_of(world: World, facts: Sequence[Fact], ways: Sequence[int], kind: str = "others") -> list[Question]:
    """Foils are the values of ``others`` that the same is said of, or the value with ``one word`` changed: one the first, one the second."""
    draw = random.Random("foils")
    found = []
    for fact in facts:
        if kind == "others":
            others = sorted({f.value for f in facts if f.attribute == fact.attribute and f.value != fact.value})
            foils = draw.sample(others, min(3, len(others)))
        else:
            first, second = fact.value.split()
            firsts, seconds = world.values[fact.attribute]
            foils = [
                f"{draw.choice([w for w in firsts if w != first])} {second}",
                f"{first} {draw.choice([w for w in seconds if w != second])}",
            ]
        found += [Question(fact.entity, fact.cue(way), f" {fact.value}", tuple(f" {foil}" for foil in foils)) for way in ways]
    return found


def base(world: World, engine: TorchEngine) -> dict[str, Any]:
    """What the model knows to begin with: the share of values it says of known entities, and of those that a text of some facts has just told."""
    student, draw = engine.student().examinee(), random.Random("base")
    known = draw.sample(world.facts, min(100, len(world.facts)))
    found = {"known": _mean(student.complete([f.cue(draw.randrange(6)) for f in known], [f" {f.value}" for f in known]))}
    for count in (2, 6):
        cues, answers = [], []
        for _ in range(100):
            told = told_facts(world, draw, count)
            fact = draw.choice(told)
            cues.append(" ".join([*(f.said(draw.randrange(6)) for f in told), fact.cue(draw.randrange(6))]))
            answers.append(f" {fact.value}")
        found[f"told, of {count}"] = _mean(student.complete(cues, answers))
    return found


def told_facts(world: World, draw: random.Random, count: int) -> list[Fact]:
    """Facts of free entities, one each."""
    made = []
    for entity in draw.sample(world.free, count):
        attribute = draw.choice(list(ATTRIBUTES))
        made.append(Fact(entity, attribute, world.value(attribute, draw)))
    return made


def lifecycle(world: World, engine: TorchEngine, setting: Setting, advance: Advance) -> dict[str, Any]:
    """Random sequences of switching off, swapping, stacking, unloading and reloading; what is said must be, bit for bit, what it was when first said."""
    draw, student = random.Random("lifecycle"), engine.student()
    ids = engine.tokenize(world.untouched(1, 0)[0])
    facts = world.new_facts(24)
    adapters = [student.learn(lessons_of(facts[4 * n : 4 * n + 4]), [], replace(SMALL, seed=n)) for n in range(5)]
    adapters.append(student.learn([Lesson("text", "", facts[20].said(0))], [], Recipe(form="cartridge")))
    weights = [p.detach().clone() for p in engine.model.parameters()]
    seen: dict[frozenset[int], torch.Tensor] = {frozenset(): engine.logits((), ids)}
    wrong, kinds, times = 0, dict.fromkeys(("off", "swap", "stack", "unload", "reload"), 0), []
    stack: list[int] = []
    for event in range(setting.events):
        kind = draw.choice(list(kinds))
        if kind == "off":
            stack = []
        elif kind == "swap":
            stack = [draw.randrange(len(adapters))]
        elif kind == "stack":
            stack = draw.sample(range(len(adapters)), draw.choice((2, 3)))
        elif kind == "unload":
            stack = stack[1:]
        else:
            student = TorchStudent(engine)  # as after a restart
        kinds[kind] += 1
        begin = time.perf_counter()
        mounted = student.mounted([_reloaded(adapters[n]) for n in stack])
        times.append(time.perf_counter() - begin)
        said = mounted.logits((), ids)
        wrong += not torch.equal(said, seen.setdefault(frozenset(stack), said))
        wrong += not torch.equal(engine.logits((), ids), seen[frozenset()])
        advance(event + 1, setting.events)
    same = all(torch.equal(a, b) for a, b in zip(weights, engine.model.parameters(), strict=True))
    return {
        "events": setting.events,
        **kinds,
        "stacks": len(seen),
        "not bitwise": wrong,
        "weights the same": same,
        "longest mount, ms": 1e3 * max(times),
    }


def _reloaded(learned: Learned) -> Learned:
    """As from a file."""
    return replace(learned, tensors={n: Tensor(t.dtype, tuple(t.shape), bytes(t.data)) for n, t in learned.tensors.items()})


def facts(world: World, engine: TorchEngine, setting: Setting, advance: Advance) -> tuple[Learned, dict[str, Any]]:
    """New facts learned, and examined in the words of the lessons and in others."""
    student, new = engine.student(), world.new_facts(setting.facts)
    begin = time.perf_counter()
    learned = student.learn(lessons_of(new), [], setting.recipe, progress=advance)
    seconds = time.perf_counter() - begin
    untouched, found = world.untouched(UNTOUCHED, 1, new), {}
    before, after = student.examinee(), student.examinee([learned])
    for words, ways in (("lessons' words", TAUGHT), ("other words", HELD)):
        report = fewshot.probe(before, after, questions_of(world, new, ways), untouched)
        near = [fewshot.examined(m, questions_of(world, new, ways, "one word")).recognition for m in (before, after)]
        found[words] = {"before": asdict(report.before), "after": asdict(report.after), "one word": near, "collateral": report.collateral}
    kinds = [world.untouched(2 * UNTOUCHED, 2, new)[n::2] for n in (0, 1)]
    told, known = (fewshot.loss_on(after, texts) / fewshot.loss_on(before, texts) - 1 for texts in kinds)
    size = sum(len(t.data) for t in learned.tensors.values())
    about = {"facts": len(new), "lessons": 4 * len(new), "steps": learned.steps, "seconds": seconds, "bytes": size}
    return learned, {**about, "recipe": asdict(setting.recipe), **found, "collateral of what is told": told, "of what is known": known}


def retention(world: World, engine: TorchEngine, setting: Setting, learned: Learned, advance: Advance) -> list[dict[str, Any]]:
    """The adapter trained on, on other facts: with none of the first among them, with some, and these others in an adapter of their own beside it."""
    student, new = engine.student(), world.new_facts(setting.facts)
    replayed = [f"{lesson.prompt}{lesson.answer}" for lesson in lessons_of(new)]
    untouched = world.untouched(UNTOUCHED, 1, world.new_facts(min(2 * setting.facts, 4 * len(world.free))))
    asked, before = questions_of(world, new, TAUGHT), fewshot.loss_on(student.examinee(), untouched)
    ways: list[tuple[str, float]] = [("no replay", 0.0), ("a quarter replayed", 0.25), ("half replayed", 0.5)]
    plan = [(name, share, updates) for updates in setting.updates for name, share in ways if share != 0.25 or updates <= 100]

    def row(name: str, adapters: Sequence[Learned], updates: int, seconds: float) -> dict[str, Any]:
        found = fewshot.retained(student.examinee(adapters), updates, asked, untouched, before)
        return {"how": name, **asdict(found), "seconds": seconds}

    rows, others = [row("at once", [learned], 0, 0.0)], lessons_of(new)
    for done, (name, share, updates) in enumerate(plan, 1):
        fresh = max(1, setting.recipe.batch - round(setting.recipe.batch * share))
        others = lessons_of(world.new_facts(-(-fewshot.BATCHES * fresh // len(TAUGHT)), spare=setting.facts))[: fewshot.BATCHES * fresh]
        begin = time.perf_counter()
        on = fewshot.further(student, learned, others, updates, replayed if share else [], share)
        seconds = time.perf_counter() - begin
        assert on.steps == updates
        rows.append(row(name, [on], updates, seconds))
        advance(done, len(plan))
    begin = time.perf_counter()
    own = student.learn(others, [], replace(setting.recipe, exposures=setting.recipe.exposures // 2, seed=1))
    seconds = time.perf_counter() - begin
    return [*rows, row("in an adapter of their own", [learned, own], own.steps, seconds)]


def cartridges(world: World, engine: TorchEngine, setting: Setting, advance: Advance) -> list[dict[str, Any]]:
    """Texts as cartridges of fewer tokens: what is said after them beside what is said after the whole text, and what of it is recalled."""
    rows, student = [], engine.student()
    for number in range(setting.texts):
        draw = random.Random(f"text {number}")
        told = told_facts(world, draw, setting.told)
        lessons = [*(Lesson(f.entity, "", f.said(draw.choice(TAUGHT))) for f in told), *lessons_of(told)]
        ids = tuple(engine.tokenizer(text_of(lessons))["input_ids"])
        tokens = len(ids) // setting.shorter
        text = engine.read(ids)
        held = [tuple(line) for line in texts_of(engine, 24, 24, 10_000 + number, text).tolist()]  # drawn before anything is trained
        begin = time.perf_counter()
        trained = student.learn(lessons, [], replace(setting.cartridge, tokens=tokens, seed=number))
        seconds = time.perf_counter() - begin
        full = student.learn(lessons, [], replace(setting.cartridge, tokens=0))
        questions = questions_of(world, told, HELD, "one word")
        row: dict[str, Any] = {"number": number, "tokens": len(ids), "kept": tokens, "steps": trained.steps, "seconds": seconds}
        for name, one in (("text", full), ("cut", _cut(full, tokens)), ("trained", trained), ("nothing", None)):
            mounted = student.mounted([one] if one else [])
            kl = [divergence(engine.logits(text, line), mounted.logits((), line))["kl"] for line in held]
            row[name] = {"kl": _mean(kl), "recall": fewshot.examined(student.examinee([one] if one else []), questions).recall}
        rows.append(row)
        advance(number + 1, setting.texts)
    return rows


def _cut(full: Learned, tokens: int) -> Learned:
    """The first tokens of a cartridge, untrained."""
    short = {}
    for name, tensor in full.tensors.items():
        whole = torch.frombuffer(bytearray(tensor.data), dtype=torch.float32).reshape(tensor.shape)[:, :tokens].contiguous()
        short[name] = Tensor(tensor.dtype, tuple(whole.shape), whole.numpy().tobytes())
    return replace(full, tensors=short)


def unlearning(world: World, engine: TorchEngine, setting: Setting, advance: Advance) -> dict[str, Any]:
    """A fact dropped or changed: the adapter built anew, by a student that has learned the old one, beside that of a student that never heard of it."""
    draw, wrong, still = random.Random("unlearning"), 0, 0
    dropped, begin = 0, time.perf_counter()
    used = engine.student()
    for edit in range(setting.edits):
        known = draw.sample(world.new_facts(setting.facts), 6)
        recipe = replace(SMALL, seed=edit)
        old = used.learn(lessons_of(known, (0, 4)), [], recipe)
        used.mounted([old]).logits((), engine.tokenize(known[0].said(0)))
        place, is_dropped = draw.randrange(len(known)), draw.random() < 0.5
        changed = replace(known[place], value=world.value(known[place].attribute, draw))
        rest = [*known[:place], *([] if is_dropped else [changed]), *known[place + 1 :]]
        again = used.learn(lessons_of(rest, (0, 4)), [], recipe)
        never = TorchStudent(engine).learn(lessons_of(rest, (0, 4)), [], recipe)
        wrong += _bytes(again) != _bytes(never) or again.loss != never.loss
        still += _bytes(again) == _bytes(old)
        dropped += is_dropped
        advance(edit + 1, setting.edits)
    told = {
        "edits": setting.edits,
        "dropped": dropped,
        "changed": setting.edits - dropped,
        "not bitwise": wrong,
        "as if nothing had been edited": still,
    }
    return {**told, "seconds": time.perf_counter() - begin}


def _bytes(learned: Learned) -> dict[str, bytes]:
    return {name: bytes(tensor.data) for name, tensor in learned.tensors.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
