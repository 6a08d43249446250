"""The life of adapters: mounted, swapped, stacked, unloaded, loaded again, by several threads; the model is as it was all the while."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_lora import exporting
from loci.drivers.torch_lora.student import TorchStudent
from loci.errors import Conflict, Corrupt, IncompatiblePayload, Invalid, Missing, Unsupported
from loci.ports import adapting
from loci.ports.adapting import Learned, Lesson, Recipe
from loci.ports.engine import Codec, Tensor
from loci.testing.models import make_model, make_tokenizer

SHORT = Recipe(rank=4, exposures=4, batch=4, rate=5e-3, replay=0.0)
ROW = (5, 40, 300, 41, 77, 260)


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(make_model("qwen3"), make_tokenizer())


@pytest.fixture(scope="module")
def adapters(engine) -> list[Learned]:
    """Three LoRAs, one of them of fewer layers, and a cartridge."""
    student = engine.student()
    lessons = [[Lesson("a", "Where does Ann live? ", town)] for town in ("Oslo", "Rome", "the harbour")]
    recipes = [SHORT, replace(SHORT, rank=2, alpha=4.0), replace(SHORT, targets=("q_proj", "down_proj"))]
    made = [student.learn(lesson, [], recipe) for lesson, recipe in zip(lessons, recipes, strict=True)]
    return [*made, student.learn(lessons[0], [], replace(SHORT, form="cartridge"))]


def said(engine: TorchEngine) -> torch.Tensor:
    return engine.logits((), ROW)


def state_of_model(engine: TorchEngine) -> tuple[object, ...]:
    """All that somebody could see of a model that was touched."""
    model, found = engine.model, sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        found.update(name.encode() + tensor.detach().numpy().tobytes())
    flags = tuple(p.requires_grad for p in model.parameters())
    grads = tuple(p.grad is None for p in model.parameters())
    kinds = tuple(type(module) for module in model.modules())
    return found.hexdigest(), flags, grads, kinds, model.training, engine.fingerprint(), hasattr(model, "peft_config")


def test_an_engine_is_teachable(engine):
    assert isinstance(engine, adapting.Teachable)


def test_learning_and_mounting_leave_no_trace_on_the_model():
    engine = TorchEngine(make_model("qwen3"), make_tokenizer())
    before, logits = state_of_model(engine), said(engine)
    student = engine.student()
    learned = student.learn([Lesson("a", "Where does Ann live? ", "Oslo")], [], replace(SHORT, replay=0.25))
    for _ in range(50):
        mounted = student.mounted([learned])
        assert not torch.equal(said(mounted), logits)
        list(mounted.generate((), ROW, max_tokens=2))
    assert torch.equal(said(engine), logits) and state_of_model(engine) == before
    assert student.mounted([]) is engine


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_mounting_swapping_stacking_and_reloading_is_bitwise(engine, adapters, seed):
    student, draw = engine.student(), random.Random(seed)
    base, seen = said(engine), {}
    for _ in range(25):
        count = draw.choice((0, 1, 1, 2, 3))
        stack = draw.sample(range(len(adapters)), count)
        if draw.random() < 0.3:
            student = TorchStudent(engine)  # as after a restart
        now = said(student.mounted([reloaded(adapters[n]) for n in stack]))
        assert torch.equal(now, seen.setdefault(frozenset(stack), now))
        assert torch.equal(said(engine), base)
    assert torch.equal(seen.setdefault(frozenset(), base), base)
    assert len({tuple(logits.flatten().tolist()) for logits in seen.values()}) == len(seen)


def reloaded(learned: Learned) -> Learned:
    """As bytes that came from a file."""
    copies = {name: Tensor(t.dtype, tuple(t.shape), bytes(t.data)) for name, t in reversed(learned.tensors.items())}
    return replace(learned, tensors=copies)


@pytest.mark.slow
def test_a_thousand_mounts_leave_the_model_bitwise_as_it_was(engine, adapters):
    before, logits, draw, student = state_of_model(engine), said(engine), random.Random(0), engine.student()
    for n in range(1000):
        student = TorchStudent(engine) if n % 10 == 0 else student
        said(student.mounted(draw.sample(adapters[:3], draw.choice((1, 2)))))
    assert state_of_model(engine) == before and torch.equal(said(engine), logits)


def test_several_threads_answer_with_their_own_stack_and_with_none(engine, adapters):
    student, stacks = engine.student(), [[], adapters[:1], adapters[1:2], adapters[:2], adapters[3:]]
    alone = [said(student.mounted(stack)) for stack in stacks]
    wrong: list[int] = []

    def work(n: int) -> None:
        for _ in range(15):
            if not torch.equal(said(student.mounted(stacks[n])), alone[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(stacks))]
    for thread in threads:
        thread.start()
    student.learn([Lesson("a", "", "Ben likes chess.")], [], SHORT)
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_stack_adds_what_each_adapter_adds(engine, adapters):
    """On one layer, where sums are sums; the order in which they are named makes no difference, bit for bit."""
    student = engine.student()
    both = student.mounted([adapters[0], adapters[1]])
    assert student.mounted([adapters[1], adapters[0]]) is both
    x = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(0))
    layer = [e.model.model.layers[1].self_attn.q_proj for e in (engine, *(student.mounted([a]) for a in adapters[:2]), both)]
    with torch.inference_mode():
        base, one, two, sum_ = (projection(x) for projection in layer)
    assert torch.allclose(sum_ - base, (one - base) + (two - base), atol=1e-6) and not torch.equal(sum_, base)


def test_alpha_over_rank_is_what_a_delta_is_multiplied_by(engine, adapters):
    """By hand: x A^T B^T alpha / rank is what one layer says more."""
    x = torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(1))
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora_{}.weight"
    for alpha in (4.0, 32.0):
        learned = replace(adapters[0], recipe=replace(adapters[0].recipe, alpha=alpha))
        a, b = (
            torch.frombuffer(bytearray(t.data), dtype=torch.float32).reshape(t.shape)
            for t in (learned.tensors[name.format(p)] for p in "AB")
        )
        with torch.inference_mode():
            base = engine.model.model.layers[1].self_attn.q_proj(x)
            found = engine.student().mounted([learned]).model.model.layers[1].self_attn.q_proj(x)
        assert torch.allclose(found - base, x @ a.T @ b.T * alpha / learned.recipe.rank, atol=1e-5) and not torch.equal(found, base)


def test_the_fingerprint_names_what_is_mounted_and_nothing_else_changes_it(engine, adapters):
    student = engine.student()
    names = [student.mounted([a]).fingerprint().adapters for a in adapters]
    assert engine.fingerprint().adapters == () and len(set(names)) == len(adapters) and all(len(n) == 1 for n in names)
    louder = replace(adapters[0], recipe=replace(adapters[0].recipe, alpha=32.0))
    assert student.mounted([louder]).fingerprint() != student.mounted(adapters[:1]).fingerprint()
    assert replace(student.mounted(adapters[:1]).fingerprint(), adapters=()) == engine.fingerprint()
    longer = student.mounted(adapters[3:]).fingerprint().context
    assert longer == engine.fingerprint().context - adapters[3].tensors["layers.0.keys"].shape[1]


def test_what_a_mounted_engine_has_read_is_gone_on_from_exactly(engine, adapters):
    student = engine.student()
    for stack in (adapters[:2], adapters[3:], [adapters[0], adapters[3]]):
        mounted = student.mounted(stack)
        whole = mounted.logits((), (*ROW, *ROW))
        state = mounted.read(ROW)
        assert sum(page.tokens for page in state) == len(ROW)
        assert torch.allclose(mounted.logits(state, ROW), whole[len(ROW) :], atol=1e-4)
        page = mounted.decode(ROW, 0, Codec(), mounted.encode(state[0], Codec()))
        assert torch.equal(mounted.logits((page,), ROW), mounted.logits(state, ROW))


def test_a_base_that_changed_in_place_is_noticed(adapters):
    engine = TorchEngine(make_model("qwen3"), make_tokenizer())
    student = engine.student()
    first = said(student.mounted(adapters[:1]))
    with torch.no_grad():
        engine.model.model.norm.weight.mul_(2.0)
    assert not torch.equal(said(student.mounted(adapters[:1])), first)
    before = student.mounted(adapters[:1])
    engine.refresh()
    assert student.mounted(adapters[:1]) is not before
    engine.model.model.layers[0].mlp.up_proj.weight.data = torch.zeros_like(engine.model.model.layers[0].mlp.up_proj.weight)
    twin = student.mounted(adapters[:1]).model.model.layers[0].mlp.up_proj.base_layer.weight
    assert float(twin.abs().max()) == 0.0


def test_only_a_few_stacks_stay_mounted(engine, adapters):
    from loci.drivers.torch_lora import mounting

    student = TorchStudent(engine)
    for n in range(mounting.MOST + 4):
        student.mounted([replace(adapters[0], recipe=replace(adapters[0].recipe, alpha=1.0 + n))])
    assert len(student._mounts._made) == mounting.MOST


def test_what_is_not_of_this_model_is_refused(engine, adapters):
    student, learned = engine.student(), adapters[0]
    name = next(iter(learned.tensors))
    tensor = learned.tensors[name]

    def changed(**parts: object) -> Learned:
        return replace(learned, tensors={**learned.tensors, name: replace(tensor, **parts)})

    student.check(learned)
    wide = TorchEngine(make_model("qwen3", hidden_size=32), make_tokenizer()).student()
    deep = TorchEngine(make_model("qwen3", num_hidden_layers=2), make_tokenizer()).student()
    for other in (wide, deep):
        for one in (learned, adapters[3]) if other is deep else (learned,):
            with pytest.raises(IncompatiblePayload):
                other.check(one)
            with pytest.raises(IncompatiblePayload):
                other.mounted([one])
    for wrong in (
        changed(dtype="F16"),
        changed(shape=(2, 2)),
        replace(learned, tensors={}),
        replace(learned, recipe=replace(learned.recipe, rank=3)),
    ):
        with pytest.raises(IncompatiblePayload):
            student.check(wrong)
    holed = bytearray(tensor.data)
    holed[:4] = b"\xff\xff\xff\xff"
    for broken in (changed(data=bytes(holed)), changed(data=bytes(tensor.data)[:-4])):
        with pytest.raises(Corrupt):
            student.mounted([broken])
    with pytest.raises(IncompatiblePayload):
        student.check(
            replace(
                adapters[3], tensors={**adapters[3].tensors, "layers.0.keys": replace(adapters[3].tensors["layers.0.keys"], dtype="BF16")}
            )
        )


def test_a_stack_has_each_adapter_once_and_one_cartridge(engine, adapters):
    student = engine.student()
    with pytest.raises(Invalid, match="twice"):
        student.mounted([adapters[0], reloaded(adapters[0])])
    other = student.learn([Lesson("b", "", "Ben likes chess.")], [], replace(SHORT, form="cartridge"))
    with pytest.raises(Unsupported, match="one cartridge"):
        student.mounted([adapters[3], other])


def test_a_mounted_engine_does_not_learn_and_one_with_a_cartridge_neither_composes_nor_condenses(engine, adapters):
    student = engine.student()
    with pytest.raises(Unsupported):
        student.mounted(adapters[:1]).student()
    mounted = student.mounted(adapters[3:])
    with pytest.raises(Unsupported):
        mounted.compose([mounted.read(ROW)] * 2, "block")
    with pytest.raises(Unsupported):
        mounted.condenser()
    with pytest.raises(Unsupported):
        mounted.read_hidden(ROW)
    assert not mounted.is_hidden_smaller()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("targets", [(), ("q_proj", "v_proj"), ("layers.1.self_attn.q_proj",)])
def test_what_is_exported_peft_loads_and_says_the_same_bit_for_bit(tmp_path, dtype, targets):
    from peft import PeftModel

    engine = TorchEngine(make_model("qwen3", dtype=dtype), make_tokenizer())
    student = engine.student()
    learned = student.learn([Lesson("a", "Where does Ann live? ", "Oslo")], [], replace(SHORT, targets=targets))
    folder = student.export(learned, tmp_path / "adapter")
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    theirs = PeftModel.from_pretrained(make_model("qwen3", dtype=dtype), folder).eval()
    with torch.inference_mode():
        found = theirs(input_ids=torch.tensor([ROW]), use_cache=True).logits[0].float()
    assert torch.equal(found, said(student.mounted([learned]))) and not torch.equal(found, said(engine))


def test_an_export_is_a_new_folder_and_the_same_each_time(engine, adapters, tmp_path):
    student = engine.student()
    one, two = (student.export(adapters[0], tmp_path / name) for name in ("one", "two"))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    with pytest.raises(Conflict):
        student.export(adapters[0], tmp_path / "one")
    with pytest.raises(Missing):
        student.export(adapters[0], tmp_path / "nowhere" / "one")
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    ("shape", "dtype", "tokens"),
    [
        ("qwen3", torch.float32, 0),
        ("qwen3", torch.float32, 3),
        ("qwen3", torch.bfloat16, 3),
        ("llama", torch.float32, 0),
        ("mistral", torch.float32, 4),
        ("gemma", torch.float32, 4),
    ],
)
def test_a_cartridge_is_exported_as_peft_loads_it_and_says_the_same_bit_for_bit(tmp_path, shape, dtype, tokens):
    from peft import PeftModel

    engine = TorchEngine(make_model(shape, dtype=dtype), make_tokenizer())
    student = engine.student()
    lessons = [Lesson("a", "", "Ann lives in Oslo and works as a baker.")]
    learned = student.learn(lessons, [], Recipe(form="cartridge", tokens=tokens, exposures=3, rate=1e-2, seed=1))
    folder = student.export(learned, tmp_path / "cartridge")
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    theirs = PeftModel.from_pretrained(make_model(shape, dtype=dtype), folder).eval()
    with torch.inference_mode():
        found = theirs(input_ids=torch.tensor([ROW]), use_cache=True).logits[0].float()
    assert torch.equal(found, said(student.mounted([learned]))) and not torch.equal(found, said(engine))
    theirs.save_pretrained(tmp_path / "theirs", save_embedding_layers=False)
    kept, again = (load_file(path / "adapter_model.safetensors") for path in (folder, tmp_path / "theirs"))
    assert set(kept) == set(again) == {"prompt_embeddings"} and torch.equal(kept["prompt_embeddings"], again["prompt_embeddings"].to(dtype))


def test_a_cartridge_of_layers_of_several_shapes_has_no_layout_and_leaves_nothing(engine, adapters, tmp_path):
    odd = replace(adapters[3], tensors=dict(list(adapters[3].tensors.items())[:2]))  # of the first layer alone
    with pytest.raises(Unsupported, match="peft has no layout"):
        exporting.export(engine, odd, tmp_path / "odd")
    assert not list(tmp_path.iterdir())


def test_without_peft_it_is_said_what_to_install(engine, monkeypatch):
    monkeypatch.setattr("loci.drivers.torch_kv.engine.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"loci-memos\[parametric\]"):
        engine.student()
