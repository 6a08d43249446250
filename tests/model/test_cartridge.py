"""Cartridges: as exact as the text at full length, and at an eighth of it much nearer than the text cut short."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from loci.drivers.torch_kv.divergence import divergence
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_lora.cartridge import text_of
from loci.errors import Corrupt, Invalid, OutOfTime, TooLarge, Unsupported
from loci.ports.adapting import Learned, Lesson, Recipe
from loci.testing.models import make_model, make_tokenizer

WHOLE = Recipe(form="cartridge", seed=1)
TEXT = "Ann lives in Oslo and works as a baker. Her brother Ben moved to Rome in March; he likes green tea, chess and the sea. The harbour opens at nine."
LESSONS = [Lesson("a", "", TEXT), Lesson("b", "Where does Ann live? ", "Oslo")]


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(make_model("qwen3"), make_tokenizer())


def apart(engine: TorchEngine, learned: Learned, ids: tuple[int, ...]) -> float:
    """How far what is said after the cartridge is from what is said after the text, nats a token."""
    text = engine.read(tuple(engine.tokenizer(text_of(LESSONS))["input_ids"]))
    return divergence(engine.logits(text, ids), engine.student().mounted([learned]).logits((), ids))["kl"]


def test_what_a_cartridge_stands_for_are_the_statements_or_everything_where_there_are_none():
    assert text_of(LESSONS) == TEXT
    assert text_of([Lesson("a", "Where? ", "Oslo"), Lesson("b", "Who? ", "Ben")]) == "Where? Oslo\nWho? Ben"


@pytest.mark.parametrize("tokens", [0, 10_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_at_full_length_it_is_the_text_bit_for_bit(dtype, tokens):
    engine = TorchEngine(make_model("qwen3", dtype=dtype), make_tokenizer())
    student = engine.student()
    learned = student.learn(LESSONS, [], replace(WHOLE, tokens=tokens))
    ids = tuple(engine.tokenizer(" Where does he live now?")["input_ids"])
    text = engine.read(tuple(engine.tokenizer(TEXT)["input_ids"]))
    assert torch.equal(student.mounted([learned]).logits((), ids), engine.logits(text, ids)) and learned.steps == 0
    answers = [list(e.generate(s, ids, max_tokens=8)) for e, s in ((engine, text), (student.mounted([learned]), ()))]
    assert answers[0] == answers[1]


def test_at_an_eighth_of_the_tokens_training_is_far_nearer_than_cutting(engine):
    student, count = engine.student(), len(engine.tokenizer(TEXT)["input_ids"]) // 8
    recipe = replace(WHOLE, tokens=count, exposures=90, rate=2e-2, replay=0.75, batch=8)
    trained = student.learn(LESSONS, [], recipe)
    full = student.learn(LESSONS, [], WHOLE)
    cut = replace(
        full, tensors={n: replace(t, shape=(t.shape[0], count, t.shape[2]), data=_first(t, count)) for n, t in full.tensors.items()}
    )
    held = [tuple(torch.randint(5, 400, (24,), generator=torch.Generator().manual_seed(1000 + n)).tolist()) for n in range(6)]
    far, near = (sum(apart(engine, one, ids) for ids in held) / len(held) for one in (cut, trained))
    assert near < far / 2  # of a model with random weights; `loci bench adapters` measures one that was trained
    for name, tensor in trained.tensors.items():  # the first token is the text's
        assert _first(tensor, 1) == _first(cut.tensors[name], 1) and bytes(tensor.data) != bytes(cut.tensors[name].data)


def _first(tensor, count: int) -> bytes:
    whole = torch.frombuffer(bytearray(tensor.data), dtype=torch.float32).reshape(tensor.shape)
    return whole[:, :count].contiguous().numpy().tobytes()


def test_it_is_the_same_each_time_and_goes_on_from_where_it_was(engine):
    class Held:
        data = None

        def load(self):
            return self.data

        def save(self, data):
            self.data = data

    student, held, steps = engine.student(), Held(), []
    recipe = replace(WHOLE, tokens=6, exposures=6, rate=1e-2)
    whole = student.learn(LESSONS, [], recipe)
    for _ in range(2):
        with pytest.raises(OutOfTime):
            student.learn(LESSONS, [], replace(recipe, most_seconds=0.0), held)
    rest = student.learn(LESSONS, [], recipe, held, progress=lambda done, of: steps.append(done))
    assert steps == [3, 4, 5, 6]
    assert {n: bytes(t.data) for n, t in rest.tensors.items()} == {n: bytes(t.data) for n, t in whole.tensors.items()}


def test_without_texts_of_its_own_it_studies_the_lessons_alone(engine):
    learned = engine.student().learn(LESSONS, [], replace(WHOLE, tokens=3, exposures=2, replay=0.0))
    assert learned.steps > 0 and len(next(iter(learned.tensors.values())).data) > 0


def test_a_cartridge_of_no_token_or_of_more_than_it_should_have_is_damaged(engine):
    student = engine.student()
    made = student.learn(LESSONS, [], WHOLE)
    student.check(replace(made, recipe=replace(WHOLE, tokens=10_000)))  # the text had no more
    empty = {name: replace(tensor, shape=(tensor.shape[0], 0, tensor.shape[2]), data=b"") for name, tensor in made.tensors.items()}
    for wrong in (replace(made, tensors=empty), replace(made, recipe=replace(WHOLE, tokens=3))):
        with pytest.raises(Corrupt, match="tokens"):
            student.check(wrong)


def test_what_it_cannot_be_is_refused(engine):
    student = engine.student()
    with pytest.raises(Invalid, match="2 at least"):
        student.learn(LESSONS, [], replace(WHOLE, tokens=1))
    with pytest.raises(TooLarge):
        student.learn(LESSONS, [], replace(WHOLE, most_bytes=1000))
    with pytest.raises(Unsupported, match="float64"):
        TorchEngine(make_model("qwen3", dtype=torch.float64), make_tokenizer()).student().learn(LESSONS, [], replace(WHOLE, tokens=3))
    with pytest.raises(Invalid, match="no words"):
        student.learn([Lesson("a", "", "")], [], WHOLE)
