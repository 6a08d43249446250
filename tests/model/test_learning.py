"""Learning into a LoRA: what is learned, that it is the same each time, and what stops it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_lora.course import Plan
from loci.drivers.torch_lora.own import elsewhere
from loci.drivers.torch_lora.words import row_of, rows_of
from loci.errors import Diverged, Invalid, OutOfTime, TooLarge, Unsupported
from loci.ports.adapting import Learned, Lesson, Recipe
from loci.testing.models import make_model, make_tokenizer
from loci.types import Message

LESSONS = [
    Lesson("a", "Where does Ann live?", " Oslo"),
    Lesson("b", "What does Ben like?", " chess"),
    Lesson("c", "", "The harbour opens at nine."),
]
SHORT = Recipe(rank=4, exposures=12, batch=4, rate=5e-3, replay=0.0, seed=3)


class Held:
    """A checkpoint in memory that remembers how often it was written."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data, self.saves = data, 0

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data, self.saves = data, self.saves + 1


class Stop(Exception):
    """What somebody raises from `breathe`."""


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(make_model("qwen3"), make_tokenizer())


def bytes_of(learned: Learned) -> dict[str, bytes]:
    return {name: bytes(tensor.data) for name, tensor in learned.tensors.items()}


def stop_at(step: int, error: Exception):
    """A `breathe` that raises before that step."""
    steps = iter(range(10**9))

    def breathe() -> None:
        if next(steps) == step:
            raise error

    return breathe


def test_what_was_taught_is_said_from_the_cue_alone_and_was_not_before(engine):
    student = engine.student()
    learned = student.learn(LESSONS[:2], [], replace(SHORT, exposures=60))
    cues, answers = [lesson.prompt for lesson in LESSONS[:2]], [lesson.answer for lesson in LESSONS[:2]]
    assert student.examinee([learned]).complete(cues, answers) == [1.0, 1.0]
    assert max(student.examinee().complete(cues, answers)) < 1.0
    assert all(
        a < b - 1 for a, b in zip(student.examinee([learned]).losses(cues, answers), student.examinee().losses(cues, answers), strict=True)
    )


def test_the_end_is_learned_behind_an_answer_so_that_the_engine_stops_there():
    engine = TorchEngine(make_model("qwen3", eos_token_id=4), make_tokenizer())
    student = engine.student()
    mounted = student.mounted([student.learn(LESSONS[:1], [], replace(SHORT, exposures=60))])
    ids = tuple(engine.tokenizer(LESSONS[0].prompt)["input_ids"])
    assert "".join(mounted.generate((), ids, max_tokens=12)).strip() == "Oslo"


def test_only_the_answer_carries_loss(engine):
    row = row_of(engine.tokenizer, LESSONS[0].prompt, " Oslo")
    assert engine.tokenizer.decode(row.answer) == " Oslo"
    assert (
        engine.tokenizer.decode(row_of(engine.tokenizer, LESSONS[0].prompt + " ", "Oslo").answer) == " Oslo"
    )  # a token over the seam is the answer's
    statement = row_of(engine.tokenizer, "", "Ann lives in Oslo.")
    assert statement.start == 1 and engine.tokenizer.decode(statement.ids) == "Ann lives in Oslo."


def test_prompts_are_learned_and_examined_on_the_tokens_that_are_answered_from():
    tokenizer = make_tokenizer("{{ bos_token }}{% for m in messages %}{{ m['content'] }} . {% endfor %}")
    begin = ("<s>", tokenizer.bos_token_id)
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[begin])
    engine = TorchEngine(make_model("qwen3"), tokenizer)
    prompt = engine.prompt("", [Message("user", "Where does Ann live?")])[0]
    templated, plain = rows_of(engine, [prompt, "Ann lives in"], [" Oslo"] * 2)
    assert templated.ids == engine.tokenize(f"{prompt} Oslo") and templated.ids.count(begin[1]) == 1
    assert plain.ids == tuple(tokenizer("Ann lives in Oslo")["input_ids"]) and plain.ids[0] == begin[1]
    lesson, student, seen = Lesson("a", prompt, " Oslo"), engine.student(), []
    engine.model.register_forward_pre_hook(lambda _, __, named: seen.append(named["input_ids"][0].tolist()), with_kwargs=True)
    student.learn([lesson], [], replace(SHORT, exposures=1))
    student.examinee().losses([prompt], [" Oslo"])
    assert seen and all(ids[:2].count(begin[1]) == 1 for ids in seen)


def test_learning_the_same_twice_gives_the_same_bytes_and_another_seed_others(engine):
    student = engine.student()
    first, again = (student.learn(LESSONS, [], replace(SHORT, replay=0.25)) for _ in range(2))
    assert bytes_of(first) == bytes_of(again) and first.loss == again.loss
    assert bytes_of(first) != bytes_of(student.learn(LESSONS, [], replace(SHORT, replay=0.25, seed=4)))
    assert bytes_of(first) != bytes_of(student.learn(LESSONS[:2], [], replace(SHORT, replay=0.25)))


@pytest.mark.parametrize("recipe", [replace(SHORT, replay=0.25), replace(SHORT, form="cartridge", tokens=4, replay=0.25)])
def test_a_step_that_is_left_in_the_middle_comes_to_the_same_bytes(engine, recipe):
    student, here, places = engine.student(), threading.get_ident(), []

    def rest() -> None:
        assert threading.get_ident() == here
        places.append(torch._C._current_graph_task_id() != -1)  # whether gradients are on their way
        torch.randn(3)  # what others do meanwhile

    plain, rested = student.learn(LESSONS, [], recipe), student.learn(LESSONS, [], recipe, rest=rest)
    assert bytes_of(plain) == bytes_of(rested) and plain.loss == rested.loss
    assert len(places) > 100 * rested.steps and sum(places) > 20 * rested.steps, "on the way there, and along the gradients"
    with pytest.raises(Stop):
        student.learn(LESSONS, [], recipe, rest=stop_at(len(places) // 2, Stop()))
    assert bytes_of(student.learn(LESSONS, [], recipe)) == bytes_of(plain)


def test_an_examination_rests_and_finds_the_same(engine):
    student, rests = engine.student(), []
    learned, cues, answers = student.learn(LESSONS, [], SHORT), [lesson.prompt for lesson in LESSONS], [lesson.answer for lesson in LESSONS]
    rested = student.examinee([learned], lambda: rests.append(0))
    assert rested.losses(cues, answers) == student.examinee([learned]).losses(cues, answers) and len(rests) > 100


def test_an_engine_of_the_same_weights_learns_the_same_bytes(engine):
    other = TorchEngine(make_model("qwen3"), make_tokenizer())
    assert bytes_of(engine.student().learn(LESSONS, [], SHORT)) == bytes_of(other.student().learn(LESSONS, [], SHORT))


def test_what_was_stopped_goes_on_to_the_same_bytes(engine):
    student, held, recipe = engine.student(), Held(), replace(SHORT, exposures=60, replay=0.25)
    whole = student.learn(LESSONS, [], recipe)
    with pytest.raises(Stop):
        student.learn(LESSONS, [], recipe, held, breathe=stop_at(57, Stop()))
    assert held.saves == 1
    steps = []
    rest = student.learn(LESSONS, [], recipe, held, progress=lambda done, of: steps.append((done, of)))
    assert steps[0] == (51, whole.steps) and steps[-1] == (whole.steps, whole.steps)
    assert bytes_of(rest) == bytes_of(whole) and rest.loss == whole.loss


def test_what_ran_out_of_time_is_saved_and_goes_on(engine):
    student, held, recipe = engine.student(), Held(), SHORT
    whole = student.learn(LESSONS, [], recipe)
    with pytest.raises(OutOfTime, match=r"step \d+ of"):
        student.learn(LESSONS, [], replace(recipe, most_seconds=0.01), held)
    assert held.saves == 1  # a step at least, however little time there was
    assert bytes_of(student.learn(LESSONS, [], recipe, held)) == bytes_of(whole)


@pytest.mark.parametrize("change", ["lesson", "replay", "recipe", "damaged", "cut", "nonsense", "step", "no step", "no metadata"])
def test_a_checkpoint_of_something_else_is_not_used(engine, change):
    student, held, recipe = engine.student(), Held(), replace(SHORT, exposures=60)
    with pytest.raises(Stop):
        student.learn(LESSONS, [], recipe, held, breathe=stop_at(57, Stop()))
    assert held.data is not None
    lessons, replay = LESSONS, []
    if change == "lesson":
        lessons = [*LESSONS[:2], Lesson("c", "", "The harbour opens at ten.")]
    elif change == "replay":
        replay = ["The sea is green."]
    elif change == "recipe":
        recipe = replace(recipe, rate=4e-3)
    elif change == "damaged":
        held.data = held.data[:-100] + bytes(100)
    elif change in ("step", "no step"):
        held.data = held.data.replace(b'"step":"50"', b'"step":"58"' if change == "step" else b'"step":"x0"')
    elif change == "no metadata":
        held.data = b"\x16" + bytes(7) + b'{"__metadata__":null}'.ljust(22)
    elif change == "cut":
        held.data = held.data[:-100]
    else:
        held.data = b"\x80\x04K\x01."
    assert bytes_of(student.learn(lessons, replay, recipe, Held(held.data))) == bytes_of(student.learn(lessons, replay, recipe))


def test_limits_change_nothing_of_what_is_learned_so_a_checkpoint_outlives_them(engine):
    student, held, recipe = engine.student(), Held(), replace(SHORT, exposures=60)
    with pytest.raises(Stop):
        student.learn(LESSONS, [], recipe, held, breathe=stop_at(57, Stop()))
    steps = []
    student.learn(LESSONS, [], replace(recipe, most_seconds=60, most_bytes=10**9), held, progress=lambda done, of: steps.append(done))
    assert steps[0] == 51


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_learning import *
torch.set_num_threads(1)
class File:
    def load(self): return None
    def save(self, data):
        whole = Path({path!r} + ".new"); whole.write_bytes(data); whole.rename({path!r})
TorchEngine(make_model("qwen3"), make_tokenizer()).student().learn(LESSONS, [], replace(SHORT, exposures=70), File(), breathe=lambda: time.sleep(0.02))
"""


def test_a_process_that_was_killed_goes_on_to_the_same_bytes(engine, tmp_path):
    path = tmp_path / "checkpoint"
    code = CHILD.format(tests=str(Path(__file__).parent), path=str(path))
    child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")})
    begun = time.monotonic()
    while not path.exists():
        assert child.poll() is None and time.monotonic() - begun < 120
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    student, recipe, steps = engine.student(), replace(SHORT, exposures=70), []
    rest = student.learn(LESSONS, [], recipe, Held(path.read_bytes()), progress=lambda done, of: steps.append(done))
    assert 1 < steps[0] < rest.steps
    assert bytes_of(rest) == bytes_of(student.learn(LESSONS, [], recipe))


def test_every_lesson_is_seen_as_often_as_the_recipe_says_and_once_before_any_comes_again():
    for lessons, batch, replay in ((3, 16, 0.25), (40, 16, 0.25), (7, 4, 0.0), (5, 4, 0.25), (1, 8, 0.5)):
        plan = Plan(lessons, Recipe(exposures=20, batch=batch, replay=replay))
        seen = [plan.lessons_of(step) for step in range(plan.steps)]
        counts = [sum(step.count(n) for step in seen) for n in range(lessons)]
        assert min(counts) >= 20 and max(counts) <= 20 + math.ceil(plan.fresh / lessons)
        drawn = [n for step in seen for n in step]
        rounds = [sorted(drawn[start : start + lessons]) for start in range(0, len(drawn) - lessons + 1, lessons)]
        assert rounds and all(each == list(range(lessons)) for each in rounds)
        share = plan.old / (plan.old + plan.fresh)
        assert abs(share - replay) <= 0.5 / (plan.old + plan.fresh) + (plan.fresh == 1)


def test_replay_keeps_the_model_saying_what_it_said(engine):
    student, texts = engine.student(), ["Ben moved to Rome in March; he likes green tea.", "Data from memory is not an instruction."]
    cost = {}
    for replay in (0.0, 0.5):
        learned = student.learn(LESSONS[:2], [], replace(SHORT, exposures=40, replay=replay))
        drift = zip(student.examinee([learned]).losses(["", ""], texts), student.examinee().losses(["", ""], texts), strict=True)
        cost[replay] = sum(abs(a - b) for a, b in drift)
    assert cost[0.5] < 0.5 * cost[0.0]


def test_texts_that_are_about_the_lessons_are_no_witness_and_at_most_a_quarter_is_left_out():
    draw = torch.Generator().manual_seed(0)
    texts = torch.randint(10, 20, (40, 12), generator=draw)
    about = [3, 17, 30]
    texts[about, 5] = 99
    kept = elsewhere(texts, [(1, 10, 99), (1, 11, 99), (1, 12, 99)])
    assert kept.tolist() == [line for n, line in enumerate(texts.tolist()) if n not in about]
    texts[:25, 5] = 99  # now most texts hold it
    assert len(elsewhere(texts, [(1, 10, 99)])) == 40
    texts[:, 6] = torch.arange(100, 140)  # each text has a word of its own, and prompts hold them all
    assert len(elsewhere(texts, [(100 + n,) for n in range(0, 38, 2)])) == 30
    assert torch.equal(elsewhere(texts, []), texts)


def test_texts_of_others_are_learned_as_statements(engine):
    student, text = engine.student(), "Ben moved to Rome in March."
    with_it, without = (student.learn(LESSONS[:2], replay, replace(SHORT, exposures=30, replay=0.25)) for replay in ([text], []))
    assert student.examinee([with_it]).losses([""], [text])[0] < student.examinee([without]).losses([""], [text])[0] - 1


def test_learning_goes_on_from_an_adapter_and_from_none_of_another_shape(engine):
    student = engine.student()
    first = student.learn(LESSONS[:1], [], replace(SHORT, exposures=40))
    second = student.learn(LESSONS[1:2], [], replace(SHORT, exposures=1, rate=1e-4), after=first)
    assert student.examinee([second]).complete([LESSONS[0].prompt], [" Oslo"]) == [1.0]
    with pytest.raises(Invalid, match="same rank"):
        student.learn(LESSONS, [], replace(SHORT, rank=2), after=first)


def test_what_diverges_is_told_and_not_kept(engine):
    student, before = engine.student(), engine.logits((), (1, 2, 3)).clone()
    known = student.learn(LESSONS, [], replace(SHORT, exposures=60))
    with pytest.raises(Diverged, match="smaller rate"):
        student.learn(LESSONS, [], replace(SHORT, exposures=60, rate=50.0), after=known)
    assert torch.equal(engine.logits((), (1, 2, 3)), before)


def test_a_loss_that_is_no_number_is_told():
    model = make_model("qwen3")
    student = TorchEngine(model, make_tokenizer()).student()
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="nan"):
        student.learn(LESSONS, [], SHORT)


@pytest.mark.parametrize(
    ("changed", "error", "told"),
    [
        ({"rank": 65}, Invalid, "rank is 65"), ({"rank": 0}, Invalid, "rank"), ({"form": "soft"}, Invalid, "soft"), ({"replay": 1.0}, Invalid, "replay"),
        ({"targets": ("x_proj",)}, Invalid, "q_proj"), ({"most_bytes": 1000}, TooLarge, "1,000"), ({"rate": math.nan}, Invalid, "rate"),
        ({"exposures": 0}, Invalid, "exposures"), ({"batch": 0}, Invalid, "batch"), ({"tokens": -1}, Invalid, "tokens"),
    ],
)  # fmt: skip
def test_what_the_model_cannot_hold_is_refused_before_it_is_begun(engine, changed, error, told):
    steps = []
    with pytest.raises(error, match=told):
        engine.student().learn(LESSONS, [], replace(SHORT, **changed), progress=lambda *step: steps.append(step))
    assert not steps


def test_no_lessons_an_answer_without_words_and_a_text_too_long_are_refused(engine):
    student = engine.student()
    with pytest.raises(Invalid, match="no lessons"):
        student.learn([], [], SHORT)
    with pytest.raises(Invalid, match="adds no token"):
        student.learn([Lesson("a", "Where? ", "")], [], SHORT)
    with pytest.raises(Invalid, match="more than this model reads"):
        student.learn([Lesson("a", "", "Oslo " * 3000)], [], SHORT)


def test_a_model_that_has_adapters_of_its_own_does_not_learn():
    from peft import LoraConfig, get_peft_model

    model = make_model("qwen3")
    engine = TorchEngine(model, make_tokenizer())
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    with pytest.raises(Unsupported, match="Unload"):
        engine.student().learn(LESSONS, [], SHORT)
