"""What was learned, seen from outside: recognition, recall and retention (Orhan 2023, arXiv 2303.17557), and what it did to everything else.

The paper studies sentences, then asks which of two a model has seen (the one it expects more), what it says after the first half, and how both fade while
it is trained on (10, 100, 1,000 updates on other texts). Otherwise here: recall is scored on what follows the cue alone, since a cue that counts as well lifts the worst score; every value
stands beside the one before study, since sentences are not equally likely to begin with; and the loss on untouched text is part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice

from loci.errors import Invalid
from loci.ports.adapting import Examined, Examinee, Learned, Lesson, Progress, Question, Retained, Student

UPDATES = (10, 100, 1000)  # further ones, after which it is asked what is left
BATCHES = 10  # of other lessons, which come again where there are more updates
FOREVER = 1e9  # seconds
OTHERS = 3  # answers of other questions that stand in where a question has no foils


@dataclass(frozen=True, slots=True)
class Grade:
    """One model in one examination. ``recognition``: the share of questions whose answer it expects more than every foil. ``recall``: how much of each answer it says from the
    cue alone, in tokens at their places, on the mean; ``verbatim``: the share of answers that it says whole. ``loss``: nats a token of the answers."""

    recognition: float
    recall: float
    verbatim: float
    loss: float


@dataclass(frozen=True, slots=True)
class Report:
    """A model before and after study. ``untouched_before`` and ``_after``: nats a token of texts that have nothing to do with it."""

    questions: int
    before: Grade
    after: Grade
    untouched_before: float
    untouched_after: float

    @property
    def collateral(self) -> float:
        """The share by which untouched texts became less expected; below 0 where they became more so."""
        return self.untouched_after / self.untouched_before - 1


def probe(before: Examinee, after: Examinee, questions: Sequence[Question], untouched: Sequence[str]) -> Report:
    """A model examined before and after study. Raises `Invalid` where there are no questions, or no untouched text."""
    if not questions or not untouched:
        raise Invalid(f"A probe needs questions ({len(questions)} given) and untouched texts ({len(untouched)} given).")
    asked = with_foils(questions)
    cost_before, cost_after = loss_on(before, untouched), loss_on(after, untouched)
    return Report(len(asked), examined(before, asked), examined(after, asked), cost_before, cost_after)


def examine(before: Examinee, after: Examinee, questions: Sequence[Question], untouched: Sequence[str]) -> Examined:
    """The same in the figures that decide whether an adapter may answer (`loci.policy.admission`); with the text in context it is the model without the
    adapter that is asked."""
    found = probe(before, after, questions, untouched)
    in_text = _mean(before.complete([question.told for question in questions], [question.answer for question in questions]))
    return Examined(
        found.before.recognition, found.after.recognition, found.before.recall, found.after.recall, in_text, found.collateral, found.questions, len(untouched)
    )  # fmt: skip


def examined(model: Examinee, questions: Sequence[Question]) -> Grade:
    """One model. A question without foils counts as recognised by nobody: see `with_foils`. Raises `Invalid` where there are no questions."""
    if not questions:
        raise Invalid("An examination needs a question.")
    cues, answers = [q.cue for q in questions], [q.answer for q in questions]
    own = model.losses(cues, answers)
    pairs = [(n, q.cue, foil) for n, q in enumerate(questions) for foil in q.foils]
    against = model.losses([cue for _, cue, _ in pairs], [foil for _, _, foil in pairs]) if pairs else []
    least = [float("inf") if q.foils else float("-inf") for q in questions]
    for (n, _, _), loss in zip(pairs, against, strict=True):
        least[n] = min(least[n], loss)
    said = model.complete(cues, answers)
    return Grade(
        recognition=_mean([float(seen < foil) for seen, foil in zip(own, least, strict=True)]),
        recall=_mean(said), verbatim=_mean([float(share == 1.0) for share in said]), loss=_mean(own),
    )  # fmt: skip


def with_foils(questions: Sequence[Question], most: int = OTHERS) -> list[Question]:
    """The questions, where one has no foils with the answers of the next ``most`` others that answer otherwise. Raises `Invalid` where there is no other answer."""
    found = []
    for n, question in enumerate(questions):
        around = [q.answer for q in (*questions[n + 1 :], *questions[:n]) if q.answer != question.answer]
        foils = question.foils or tuple(dict.fromkeys(around))[:most]
        if not foils:
            raise Invalid(f"{question.cue!r} has no foil, and no other question has another answer: nothing to recognise it among.")
        found.append(replace(question, foils=foils))
    return found


def retention(
    student: Student,
    learned: Learned,
    questions: Sequence[Question],
    untouched: Sequence[str],
    others: Sequence[Lesson],
    updates: Sequence[int] = UPDATES,
    progress: Progress | None = None,
) -> list[Retained]:
    """What is left of an adapter as it is, and after each of so many further updates on ``others``, every time from where it is now. ``progress`` is told the updates made, of
    all. Raises `Invalid` where there is nothing to ask, to compare with or to go on with, and what `further` raises."""
    if not questions or not untouched:
        raise Invalid(f"A probe needs questions ({len(questions)} given) and untouched texts ({len(untouched)} given).")
    for count in updates:
        check_updates(count)
    asked, before, made = with_foils(questions), loss_on(student.examinee(), untouched), 0
    found = [retained(student.examinee([learned]), 0, asked, untouched, before)]
    for count in sorted(set(updates)):
        on = further(student, learned, others, count, progress=_beside(progress, made, sum(set(updates))))
        made += count
        found.append(retained(student.examinee([on]), count, asked, untouched, before))
    return found


def further(
    student: Student, learned: Learned, others: Sequence[Lesson], updates: int, replayed: Sequence[str] = (), share: float = 0.0, progress: Progress | None = None
) -> Learned:  # fmt: skip
    """An adapter that was trained on for so many updates, at the rate that it was learned at, on up to `BATCHES` batches of ``others``, of each batch a ``share`` texts that are ``replayed``. It
    takes what time it takes. Raises `Invalid` for updates that do not come out even."""
    check_updates(updates)
    if not others:
        raise Invalid("There is nothing else that could be learned, so nobody can say what would be left.")
    recipe, rounds = learned.recipe, min(updates, BATCHES)
    fresh = max(1, recipe.batch - round(recipe.batch * share))
    on = replace(recipe, exposures=updates // rounds, replay=share, seed=recipe.seed + 1, most_seconds=FOREVER)
    return student.learn(list(islice(cycle(others), rounds * fresh)), replayed, on, progress=progress, after=learned)


def check_updates(updates: int) -> None:
    """Raises `Invalid` where so many updates are not some batches seen equally often."""
    if updates < 1 or updates % min(updates, BATCHES):
        raise Invalid(f"{updates} further updates cannot be made of whole rounds; ask for up to {BATCHES}, or a multiple of {BATCHES}.")


def retained(model: Examinee, updates: int, questions: Sequence[Question], untouched: Sequence[str], before: float) -> Retained:
    """One model after so many further updates; ``before`` is what the model without any adapter loses on the untouched texts. The questions have foils."""
    return Retained(updates, **asdict(examined(model, questions)), collateral=loss_on(model, untouched) / before - 1)


def _beside(progress: Progress | None, made: int, every: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(made + done, every)


def loss_on(model: Examinee, texts: Sequence[str]) -> float:
    """How little a model expects texts, nats a token, each text for as much as another."""
    return _mean(model.losses([""] * len(texts), texts))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
