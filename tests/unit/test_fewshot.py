"""The probe against examinees whose minds are known: a table of what they expect and say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.errors import Invalid
from loci.methods.fewshot import OTHERS, UPDATES, Grade, examine, examined, further, loss_on, probe, retention, with_foils
from loci.ports.adapting import Learned, Lesson, Question, Recipe

QUESTIONS = [
    Question(f"m{n}", f"Where does {name} live?", town)
    for n, (name, town) in enumerate([("Ann", "Oslo"), ("Ben", "Rome"), ("Cid", "Bonn")])
]
TEXTS = ["The sea is green.", "Nine is a number."]


@dataclass
class Known:
    """Expects what it knows, by cue, at ``sure`` nats and all else at ``unsure``; says what it knows, and nothing else."""

    facts: dict[str, str] = field(default_factory=dict)
    sure: float = 0.1
    unsure: float = 3.0
    texts: float = 2.0

    def losses(self, cues: Sequence[str], answers: Sequence[str]) -> Sequence[float]:
        return [
            self.texts if not cue else self.sure if self.facts.get(cue) == answer else self.unsure
            for cue, answer in zip(cues, answers, strict=True)
        ]

    def complete(self, cues: Sequence[str], answers: Sequence[str]) -> Sequence[float]:
        return [1.0 if self.facts.get(cue) == answer else 0.0 for cue, answer in zip(cues, answers, strict=True)]


def knowing(count: int, **changed: float) -> Known:
    return Known({q.cue: q.answer for q in QUESTIONS[:count]}, **changed)


@pytest.mark.parametrize("count", range(4))
def test_recognition_and_recall_are_the_share_that_is_known(count):
    grade = examined(knowing(count), with_foils(QUESTIONS))
    assert grade == Grade(count / 3, count / 3, count / 3, pytest.approx((0.1 * count + 3.0 * (3 - count)) / 3))


def test_an_answer_that_is_expected_no_more_than_a_foil_is_not_recognised():
    assert examined(knowing(3, sure=3.0), with_foils(QUESTIONS)).recognition == 0.0
    one = replace(QUESTIONS[0], foils=("Rome", "Paris"))
    both = Known({one.cue: "Oslo"})
    assert examined(both, [one]).recognition == 1.0

    class Fooled(Known):
        def losses(self, cues, answers):
            return [0.05 if answer == "Paris" else loss for answer, loss in zip(answers, super().losses(cues, answers), strict=True)]

    assert examined(Fooled({one.cue: "Oslo"}), [one]).recognition == 0.0  # one foil of two is enough


def test_recall_is_the_share_of_tokens_and_verbatim_of_whole_answers():
    class Half(Known):
        def complete(self, cues, answers):
            return [0.5] * len(cues)

    grade = examined(Half(), with_foils(QUESTIONS))
    assert grade.recall == 0.5 and grade.verbatim == 0.0


def test_a_question_without_foils_gets_the_answers_of_others_and_keeps_its_own():
    asked = with_foils([replace(QUESTIONS[0], foils=("Paris",)), *QUESTIONS[1:]])
    assert [q.foils for q in asked] == [("Paris",), ("Bonn", "Oslo"), ("Oslo", "Rome")]
    with pytest.raises(Invalid, match="no foil"):
        with_foils(QUESTIONS[:1])
    with pytest.raises(Invalid, match="no foil"):
        with_foils([QUESTIONS[0], replace(QUESTIONS[1], answer="Oslo")])


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=30))
def test_foils_never_hold_the_answer_and_are_few(answers):
    questions = [Question("m", str(n), answer) for n, answer in enumerate(answers)]
    if len(set(answers)) == 1:
        with pytest.raises(Invalid):
            with_foils(questions)
        return
    for question in with_foils(questions):
        assert question.answer not in question.foils and 1 <= len(question.foils) <= OTHERS
        assert len(set(question.foils)) == len(question.foils)


def test_the_report_sets_everything_beside_the_value_before_study():
    report = probe(knowing(1), knowing(3, texts=2.02), QUESTIONS, TEXTS)
    assert (report.questions, report.before.recall, report.after.recall) == (3, pytest.approx(1 / 3), 1.0)
    assert report.collateral == pytest.approx(0.01) and loss_on(knowing(0), TEXTS) == 2.0


def test_in_text_it_is_asked_with_the_text_where_a_prompt_has_it():
    asked = [replace(question, told=f"{question.answer} it is. {question.cue}") for question in QUESTIONS]
    before = Known({question.told: question.answer for question in asked[:2]})
    found = examine(before, knowing(3), asked, TEXTS)
    assert (found.recall_before, found.recall, found.recall_in_text) == (0.0, 1.0, pytest.approx(2 / 3))


def test_a_probe_without_questions_or_texts_says_so():
    for questions, texts in (([], TEXTS), (QUESTIONS, [])):
        with pytest.raises(Invalid):
            probe(knowing(0), knowing(3), questions, texts)
    with pytest.raises(Invalid):
        examined(knowing(0), [])


LEARNED = Learned(Recipe(rank=3, batch=16, rate=7e-3, replay=0.25, seed=4, most_seconds=1.0), {}, 0, 0.0)
LESSONS = [Lesson("", "", f"The number {n} is odd or even.") for n in range(7)]


@dataclass
class Fading:
    """Knows all that was asked until it was trained on for more than ``lasts`` updates, and puts down what it was given."""

    lasts: int = 100
    taught: list[tuple] = field(default_factory=list)

    def learn(self, lessons, replay, recipe, checkpoint=None, progress=None, breathe=None, after=None):
        steps = ceil(len(lessons) * recipe.exposures / max(1, recipe.batch - round(recipe.batch * recipe.replay)))
        self.taught.append((lessons, replay, recipe, after))
        for step in range(steps):
            if progress:
                progress(step + 1, steps)
        return replace(after, recipe=recipe, steps=after.steps + steps)

    def examinee(self, adapters=(), rest=None):
        is_known = bool(adapters) and adapters[0].steps <= self.lasts
        return knowing(3 if is_known else 0, texts=2.0 * (1 + sum(a.steps for a in adapters) / 1000))


def test_retention_is_what_is_left_after_each_count_of_further_updates():
    student, told = Fading(), []
    found = retention(student, LEARNED, QUESTIONS, TEXTS, LESSONS, progress=lambda done, every: told.append((done, every)))
    assert [one.updates for one in found] == [0, *UPDATES] == [0, 10, 100, 1000]
    assert [(one.recognition, one.recall, one.verbatim) for one in found] == [(1.0,) * 3] * 3 + [(0.0,) * 3]
    assert [one.loss for one in found] == [pytest.approx(loss) for loss in (0.1, 0.1, 0.1, 3.0)]
    assert [one.collateral for one in found] == [pytest.approx(share) for share in (0, 0.01, 0.1, 1)], (
        "against the model without the adapter"
    )
    assert [after for *_, after in student.taught] == [LEARNED] * 3, "every time from where it was"
    assert told == [(n, 1110) for n in range(1, 1111)]
    assert {lesson.answer for lessons, *_ in student.taught for lesson in lessons} == {lesson.answer for lesson in LESSONS}


def test_further_updates_are_made_as_it_learned_without_its_replay_and_its_limit():
    student = Fading()
    assert [further(student, LEARNED, LESSONS, count).steps for count in (1, 7, 10, 20, 1000)] == [1, 7, 10, 20, 1000]
    assert [(recipe.rate, recipe.rank, recipe.replay) for _, _, recipe, _ in student.taught] == [(7e-3, 3, 0.0)] * 5
    assert all(recipe.seed != 4 and recipe.most_seconds > 1e6 for _, _, recipe, _ in student.taught)
    assert further(student, LEARNED, LESSONS, 30, ["told before"], 0.5).steps == 30
    lessons, replayed, recipe, _ = student.taught[-1]
    assert (len(lessons), replayed, recipe.replay) == (80, ["told before"], 0.5)


@pytest.mark.parametrize(
    "changed", [{"questions": []}, {"untouched": []}, {"others": []}, {"updates": (10, 25)}, {"updates": (0,)}, {"updates": (-10,)}]
)
def test_retention_that_cannot_be_told_is_refused_before_anything_is_trained(changed):
    student = Fading()
    given = {"questions": QUESTIONS, "untouched": TEXTS, "others": LESSONS, "updates": (10,), **changed}
    with pytest.raises(Invalid):
        retention(student, LEARNED, **given)
    assert not student.taught
