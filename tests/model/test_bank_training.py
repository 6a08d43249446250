"""Teaching a compressor: the losses are what they are said to be, a seed decides everything, and what was taught is of use."""

from __future__ import annotations

import math
import random

import pytest
import torch
from small import model as small_model

from loci.drivers.torch_bank import training
from loci.drivers.torch_bank.compressor import Recipe, TorchCompressor
from loci.drivers.torch_bank.training import Course, Lesson, train
from loci.drivers.torch_kv.fingerprint import look
from loci.errors import Diverged, Invalid
from loci.methods.cmt import CMT, Bank, divergence, surprisal
from loci.ports.banking import LEFT_OUT, Trial
from loci.testing.models import make_model, make_tokenizer

WAYS = [CMT(k=2, way="concatenation"), CMT(k=2)]
COURSE = Course(steps=3, batch=8, anchors=2, asked=2, rebuilt=2)


def lessons(count: int, seed: int = 0) -> list[Lesson]:
    """Documents of several lengths, questions that begin as they do, answers of one or two tokens."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        document = tuple(chance.randrange(5, 200) for _ in range(chance.randint(8, 14)))
        exchanges = tuple((document[:3], tuple(chance.randrange(5, 200) for _ in range(1 + n % 2))) for n in range(3))
        made.append(Lesson(document, exchanges))
    return made


def fresh(seed: int = 0) -> TorchCompressor:
    return TorchCompressor(make_model("qwen3"), make_tokenizer(), Recipe(tokens=2, rank=2), seed=seed)


def taught(course: Course = COURSE, seed: int = 0, objectives: list[CMT] | None = None) -> tuple[TorchCompressor, list[float]]:
    made, losses = fresh(seed), list[float]()
    train(made, lessons(12), objectives or WAYS, course, lambda step, steps, loss: losses.append(loss))
    return made, losses


def same(one: TorchCompressor, two: TorchCompressor) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.learned().values(), two.learned().values(), strict=True))


def test_a_seed_decides_everything_and_another_decides_otherwise() -> None:
    torch.manual_seed(1)
    one, losses = taught()
    torch.manual_seed(2)
    two, again = taught()
    other, _ = taught(Course(steps=3, batch=8, anchors=2, asked=2, rebuilt=2, seed=1))
    assert losses == again and len(losses) == 3 and same(one, two) and not same(one, other) and not same(fresh(0), fresh(1))


def test_nobody_elses_chance_is_touched() -> None:
    model = make_model("qwen3")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    made = TorchCompressor(model, make_tokenizer(), Recipe(tokens=2, rank=2), seed=1)
    train(made, lessons(12), WAYS, COURSE, lambda *_: None)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_what_is_learned_changes() -> None:
    made = fresh()
    model, learned = look(made.model, is_full=True).hash, {n: p.clone() for n, p in made.learned().items()}
    train(made, lessons(12), WAYS, Course(steps=4, batch=8, anchors=2, rebuilt=2), lambda *_: None)
    assert look(made.model, is_full=True).hash == model and all(p.grad is None for p in made.model.parameters())
    changed = [n for n, p in made.learned().items() if not torch.equal(p, learned[n])]
    assert len(changed) == len(learned) == 2 + 4 * 3 * 2  # memory, key, and two of q, k, v, o in three layers


def trial() -> Trial:
    draw = torch.Generator().manual_seed(3)
    logits = [torch.randn(2, 3, 5, generator=draw) for _ in range(3)]
    wanted = torch.tensor([[LEFT_OUT, 1, 2], [LEFT_OUT, LEFT_OUT, 4]])
    return Trial(
        logits[0],
        logits[1],
        wanted,
        torch.randn(2, 4, generator=draw),
        torch.tensor([2, 0]),
        logits[2],
        torch.tensor([[0, 1, 2], [3, 4, LEFT_OUT]]),
    )


def by_hand(logits: torch.Tensor, targets: torch.Tensor) -> float:
    found = [
        -math.log(math.exp(float(row[int(t)])) / sum(math.exp(float(x)) for x in row))
        for rows, wanted in zip(logits, targets, strict=True) for row, t in zip(rows, wanted, strict=True) if int(t) != LEFT_OUT
    ]  # fmt: skip
    return sum(found) / len(found)


def test_each_loss_is_what_it_is_said_to_be() -> None:
    one = trial()
    assert float(surprisal(one.said, one.wanted)) == pytest.approx(by_hand(one.said, one.wanted), rel=1e-5)
    kl = 0.0
    for q, t in ((0, 1), (0, 2), (1, 2)):
        p, s = one.taught[q, t].softmax(-1), one.said[q, t].softmax(-1)
        kl += sum(float(a) * math.log(float(a) / float(b)) for a, b in zip(p, s, strict=True)) / 3
    assert float(divergence(one.taught, one.said, one.wanted)) == pytest.approx(kl, rel=1e-5)
    infonce = by_hand(one.scores[:, None], one.gold[:, None])
    alone = {
        "answer": CMT(contrast=0, distil=0), "contrast": CMT(contrast=2, distil=0), "distil": CMT(contrast=0, distil=3),
        "rebuild": CMT(contrast=0, distil=0, rebuild=0.5),
    }  # fmt: skip
    answer = by_hand(one.said, one.wanted)
    wanted = {"answer": 0.0, "contrast": 2 * infonce, "distil": 3 * kl, "rebuild": 0.5 * by_hand(one.rebuilt, one.documents)}
    for name, method in alone.items():
        assert float(method.loss(one)) == pytest.approx(answer + wanted[name], rel=1e-5), name


def test_the_right_one_is_always_among_those_answered_from() -> None:
    scores = torch.tensor([[5.0, 4, 3, 2], [1, 2, 3, 4], [9, 1, 1, 8]])
    assert CMT(k=2).chosen(scores, torch.tensor([3, 0, 0])).tolist() == [[0, 3], [0, 3], [0, 3]]
    assert CMT(k=9).chosen(scores, torch.tensor([3, 0, 0])).tolist() == [[0, 1, 2, 3]] * 3


def test_the_hardest_are_the_nearest_and_never_oneself() -> None:
    keys = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [1, 0.5]]), dim=1)
    assert CMT().hardest(keys, torch.tensor([0, 2]), 2).tolist() == [[1, 3], [3, 1]]


def test_a_batch_is_of_anchors_and_their_likes_each_once() -> None:
    """Pairs of documents whose keys are the same: whoever is an anchor has its twin beside it."""
    keys = torch.nn.functional.normalize(torch.randn(20, 8, generator=torch.Generator().manual_seed(1)), dim=1).repeat_interleave(2, 0)
    draw = torch.Generator().manual_seed(2)
    for _ in range(20):
        found = training.batch(keys, CMT(), Course(batch=8, anchors=4), draw).tolist()
        assert len(set(found)) == 8 and sum(place ^ 1 in found for place in found) >= 6


def test_the_teacher_reads_the_document_itself() -> None:
    """As the model says it of document and question in one text, whatever the lengths of the others."""
    made, some = fresh(), lessons(6)
    draw = torch.Generator().manual_seed(0)
    gold, ids, wanted, asked = training._asked(made, some, COURSE, draw)
    with torch.no_grad():
        told = training._taught(made, some, gold, ids)
    for row, place in enumerate(gold.tolist()):
        count = int((wanted[row] != LEFT_OUT).nonzero()[-1]) + 1
        whole = torch.tensor([[*some[place].document, *ids[row, :count].tolist()]])
        with torch.no_grad():
            assert float((made.model(input_ids=whole).logits[0, -count:] - told[row, :count]).abs().max()) < 1e-4
            assert float((made.ask(some[place].exchanges[0][0]) - asked[row]).abs().max()) < 1e-4


def test_at_first_a_question_is_answered_from_its_own_document_alone() -> None:
    """Then, and only then, how entries are put together makes no difference."""
    for alone, is_same in ((1.0, True), (0.0, False)):
        course = Course(steps=1, batch=8, anchors=2, rebuilt=2, alone=alone)
        losses = [taught(course, objectives=[CMT(k=2, way=way)])[1] for way in ("concatenation", "sum")]
        assert (losses[0] == losses[1]) is is_same


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"anchors": 3}, {"rebuilt": 9}, {"rate": 0.0}, {"rate": math.inf}, {"alone": 1.5}], ids=str
)
def test_courses_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        Course(**{"batch": 8, "anchors": 2, "rebuilt": 2, **wrong})  # type: ignore[arg-type]


def test_lessons_that_cannot_be_are_refused() -> None:
    made = fresh()
    for some, objectives in (
        (lessons(7), WAYS), (lessons(12), []), ([*lessons(12), Lesson((), lessons(1)[0].exchanges)], WAYS), ([*lessons(12), Lesson((5, 6), ())], WAYS),
        ([*lessons(12), Lesson((5, 6), (((5,), ()),))], WAYS), ([*lessons(12), Lesson((5, 6), (((5,), (512,)),))], WAYS), ([*lessons(12), Lesson((5, 9999), lessons(1)[0].exchanges)], WAYS),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            train(made, some, objectives, COURSE, lambda *_: None)


def test_learning_that_comes_to_nothing_is_told() -> None:
    with pytest.raises(Diverged, match="rate below"):
        taught(Course(steps=50, batch=8, anchors=2, rebuilt=2, rate=1e30))


def test_what_was_taught_finds_and_answers() -> None:
    """Eight documents by heart, on a model of random weights: the loss falls, each question finds its document, and the answers come from the bank."""
    made = TorchCompressor(small_model(), make_tokenizer(), Recipe(tokens=4, rank=8))
    some = [Lesson(tuple(range(10 * n + 5, 10 * n + 13)), (((10 * n + 5, 10 * n + 6), (10 * n + 12,)),)) for n in range(8)]
    losses: list[float] = []
    objective = CMT(k=1, distil=0.0, tau=0.1)
    train(
        made,
        some,
        [objective],
        Course(steps=80, batch=8, anchors=8, asked=1, rebuilt=1, rate=2e-2),
        lambda _, __, loss: losses.append(loss),
    )
    bank = Bank(made, objective)
    for number, lesson in enumerate(some):
        bank.add(Paper(f"d{number}"), lesson.document)
    found = [bank.match(made.ask(lesson.exchanges[0][0]))[0][0] for lesson in some]
    said = [
        made.answer(bank.prefix([(f"d{n}", 0.0)]).states, lesson.exchanges[0][0], 1) == lesson.exchanges[0][1]
        for n, lesson in enumerate(some)
    ]
    assert losses[-1] < losses[0] / 4 and found == [f"d{n}" for n in range(8)] and sum(said) >= 7


class Paper:
    def __init__(self, id: str) -> None:
        self.id, self.at = id, None
