"""Teaches a compressor on documents with questions, for whatever a method says it is to be taught for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from loci.drivers.torch_bank.compressor import TorchCompressor
from loci.errors import Diverged, Invalid
from loci.ports.banking import LEFT_OUT, Objective, Trial

LONGEST = 1.0  # of a gradient


@dataclass(frozen=True, slots=True)
class Lesson:
    """A document, and questions that it answers, each with its answer; all as tokens."""

    document: tuple[int, ...]
    exchanges: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Course:
    """How it is taught: ``batch`` documents a step, ``anchors`` of them by chance and the rest those most easily taken for them, ``asked``
    questions of each, and ``rebuilt`` of them written again from their entries. In the first share ``alone`` of the steps a question is answered from its own document's entry and no
    other: what is told is found out before what it is told of. ``rate`` rises over the first twentieth of the steps, and falls along a
    cosine."""

    steps: int = 2000
    batch: int = 32
    anchors: int = 8
    asked: int = 3
    rebuilt: int = 8
    alone: float = 0.4
    rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.steps, self.batch, self.anchors, self.asked, self.rebuilt)
        if (
            min(counts) < 1
            or self.batch % self.anchors
            or self.rebuilt > self.batch
            or not 0 < self.rate < math.inf
            or not 0 <= self.alone <= 1
        ):
            raise Invalid(
                f"A course needs a step, anchors that divide the batch, at most the batch rebuilt, a question, a rate above 0 and a share alone: {self}."
            )


def train(
    compressor: TorchCompressor,
    lessons: Sequence[Lesson],
    objectives: Sequence[Objective],
    course: Course,
    advance: Callable[[int, int, float], None],
) -> float:
    """Teaches in place, for the mean of the objectives; the same from the same seed. ``advance`` is told the step, how many there are, and the loss of it. Returns the last
    loss. Raises `Diverged`, and then what it was before is gone: make another. Raises `Invalid` for lessons that cannot be."""
    check(compressor, lessons, objectives, course)
    draw = torch.Generator().manual_seed(course.seed)
    learned = list(compressor.learned().values())
    optimiser = torch.optim.AdamW(learned, lr=course.rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: share(step, course.steps))
    width = compressor.memory.shape[1]
    known = objectives[0].direction(torch.randn(len(lessons), width, generator=draw))  # where the key of each document was last seen
    loss = math.nan
    for step in range(course.steps):
        places = batch(known, objectives[0], course, draw)
        found, keys = _loss(
            compressor, [lessons[place] for place in places.tolist()], objectives, course, draw, step < course.alone * course.steps
        )
        known[places] = keys.detach().cpu()
        optimiser.zero_grad()
        found.backward()
        size = torch.nn.utils.clip_grad_norm_(learned, LONGEST)
        loss = float(found.detach())
        if not math.isfinite(loss) or not bool(size.isfinite()):
            raise Diverged(
                f"The loss was {loss} at step {step + 1} of {course.steps}; make the compressor anew, with a rate below {course.rate}."
            )
        optimiser.step()
        schedule.step()
        advance(step + 1, course.steps, loss)
    for parameter in learned:
        parameter.grad = None
    return loss


def check(compressor: TorchCompressor, lessons: Sequence[Lesson], objectives: Sequence[Objective], course: Course) -> None:
    """Raises `Invalid` where there is nothing to be taught."""
    if not objectives or len(lessons) < course.batch:
        raise Invalid(
            f"{len(lessons)} documents and {len(objectives)} objectives are too few for steps of {course.batch}; bring more, or a smaller batch."
        )
    for number, lesson in enumerate(lessons):
        compressor.check_document(lesson.document)
        if not lesson.exchanges or not all(question and answer for question, answer in lesson.exchanges):
            raise Invalid(f"Document {number} has no questions, or one without words or an answer; each needs one at least.")
        for question, answer in lesson.exchanges:
            compressor.check_question((*question, *answer))


def batch(known: Tensor, objective: Objective, course: Course, draw: torch.Generator) -> Tensor:
    """The documents of a step, all different, int64 [batch], in any order: anchors, and for each its likes where last seen."""
    anchors = torch.randperm(len(known), generator=draw)[: course.anchors]
    likes = course.batch // course.anchors - 1
    near = objective.hardest(known, anchors, likes).flatten() if likes else anchors[:0]
    others = torch.randperm(len(known), generator=draw)[: 2 * course.batch]  # in the place of those that are likes of two
    every = dict.fromkeys([*anchors.tolist(), *near.tolist(), *others.tolist()])
    found = torch.tensor(list(every)[: course.batch])
    return found[torch.randperm(len(found), generator=draw)]


def _loss(
    compressor: TorchCompressor,
    lessons: Sequence[Lesson],
    objectives: Sequence[Objective],
    course: Course,
    draw: torch.Generator,
    is_alone: bool,
) -> tuple[Tensor, Tensor]:
    """The loss of one step, and the keys of its documents."""
    entries, means = compressor.compress_all([lesson.document for lesson in lessons])
    keys = objectives[0].direction(means)
    gold, ids, wanted, asked = _asked(compressor, lessons, course, draw)
    scores = objectives[0].scores(asked, keys)
    with torch.no_grad():
        taught = _taught(compressor, lessons, gold, ids)
    some = torch.randperm(len(lessons), generator=draw)[: course.rebuilt]
    rebuilt, documents = _rebuilt(compressor, [lessons[place].document for place in some.tolist()], entries[some.to(entries.device)])
    parts = []
    said = compressor.logits(entries[gold], ids) if is_alone else None  # the same for every way
    for objective in objectives:
        if not is_alone:
            members = objective.chosen(scores, gold)
            said = compressor.logits(objective.aggregated(entries[members], scores.gather(1, members), compressor.turn), ids)
        assert said is not None
        parts.append(objective.loss(Trial(said, taught, wanted, scores, gold, rebuilt, documents)))
    return torch.stack(parts).mean(), keys


def _asked(
    compressor: TorchCompressor, lessons: Sequence[Lesson], course: Course, draw: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Questions by chance: whose they are [Q], their tokens with the answers' but the last [Q, T], what each token should be followed by [Q, T], and the mean states of the
    questions alone [Q, d]."""
    gold, rows, targets, questions = list[int](), list[list[int]](), list[list[int]](), list[tuple[int, ...]]()
    for number, lesson in enumerate(lessons):
        for place in torch.randperm(len(lesson.exchanges), generator=draw)[: course.asked].tolist():
            question, answer = lesson.exchanges[place]
            gold.append(number)
            questions.append(question)
            rows.append([*question, *answer][:-1])
            targets.append([LEFT_OUT] * (len(question) - 1) + list(answer))
    ids, counts = compressor.padded(rows)
    wanted, _ = compressor.padded(targets)
    with torch.no_grad():
        asked = compressor.ask_all(questions)
    return torch.tensor(gold, device=ids.device), ids, wanted.masked_fill(counts == 0, LEFT_OUT), asked


def _taught(compressor: TorchCompressor, lessons: Sequence[Lesson], gold: Tensor, ids: Tensor) -> Tensor:
    """What the model says of the questions after the document itself, [Q, T, V]. Each document is read once."""
    rows = [lesson.document for lesson in lessons]
    longest = max(map(len, rows))
    given = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows], device=ids.device)
    counts = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=ids.device)
    read = DynamicCache()
    compressor.reader.base_model(
        input_ids=given, attention_mask=counts, position_ids=(counts.cumsum(1) - 1).clamp(min=0), past_key_values=read, use_cache=True
    )
    held = DynamicCache()
    for number, layer in enumerate(read.layers):
        held.update(layer.keys[gold], layer.values[gold], number)
    seen = torch.cat([counts[gold], torch.ones_like(ids)], 1)
    places = counts.sum(1)[gold][:, None] + torch.arange(ids.shape[1], device=ids.device)
    found: Tensor = compressor.reader(input_ids=ids, attention_mask=seen, position_ids=places, past_key_values=held, use_cache=True).logits
    return found


def _rebuilt(compressor: TorchCompressor, documents: Sequence[Sequence[int]], entries: Tensor) -> tuple[Tensor, Tensor]:
    """What the model says of documents after their own entries, [B, T, V], and what should follow each token, [B, T]."""
    ids, counts = compressor.padded(documents)
    targets = ids.masked_fill(counts == 0, LEFT_OUT)[:, 1:]
    return compressor.logits(entries, ids)[:, :-1], targets


def share(step: int, steps: int) -> float:
    """The part of the rate at a step."""
    warm = max(1, min(100, steps // 20))
    return min(1.0, (step + 1) / warm) * (0.525 + 0.475 * math.cos(math.pi * step / steps))
