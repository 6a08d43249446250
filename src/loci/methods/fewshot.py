"""What was learned, seen from outside: recognition, recall and retention (Orhan 2023, arXiv 2303.17557), and what it did to everything else.

The paper studies sentences, then asks which of two a model has seen (the one it expects more), what it says after the first half, and how both fade while
it is trained on. Otherwise here: recall is scored on what follows the cue alone, since a cue that counts as well lifts the worst score; every value
stands beside the one before study, since sentences are not equally likely to begin with; and the loss on untouched text is part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loci.errors import Invalid
from loci.ports.adapting import Examined, Examinee, Question

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


def loss_on(model: Examinee, texts: Sequence[str]) -> float:
    """How little a model expects texts, nats a token, each text for as much as another."""
    return _mean(model.losses([""] * len(texts), texts))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
