"""A model under a budget beside the same model without one: what is kept as files, the twin that reads, and how layers are told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small import model, text

from loci.drivers.torch_kv import leaf
from loci.drivers.torch_kv.attention import attending
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.condenser import TorchCondenser
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.prefill import read
from loci.drivers.torch_kv.profile import likeness, sensitivity
from loci.drivers.torch_kv.twin import mark_of, twin_of
from loci.errors import Corrupt, Invalid, Unsupported
from loci.memories import pages
from loci.memories.activation import CODECS
from loci.methods.key_difference import KeyDifference
from loci.methods.streaming import Streaming
from loci.ports import BudgetPlan
from loci.ports.engine import LayerShape, Tensor
from loci.testing.models import make_model, make_tokenizer

EngineOf = Callable[..., TorchEngine]
PLAN = BudgetPlan((40, 70, 130), 4, 8)
SHAPES = (LayerShape("full", 2, 16),) * 3
HELD = text(100)


@pytest.fixture(scope="module")
def kept() -> leaf.KVLeaf:
    """A hundred tokens in three layers, of which the last may keep more than there are."""
    cache = BudgetedCache(PLAN, KeyDifference())
    read(model(), cache, HELD, block=30)
    return leaf.leaf_of(HELD, cache)


# -- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["raw", "int8", "int4"])
def test_layers_come_back_from_their_files(kept: leaf.KVLeaf, codec: str) -> None:
    files = [bytearray(pages.dump(leaf.encode(kept, layer, CODECS[codec]))) for layer in range(3)]
    found = leaf.decode(HELD, PLAN, CODECS[codec], [pages.load(memoryview(file)) for file in files], SHAPES, torch.float32)
    assert [p.shape for p in found.positions] == [(2, 40), (2, 70), (2, 100)] and found.ids == tuple(HELD)
    for a, b in zip((*kept.positions, *kept.keys, *kept.values), (*found.positions, *found.keys, *found.values), strict=True):
        assert a.shape == b.shape and (codec != "raw" or torch.equal(a, b))
    for name, bound in (("keys", found.bounds[0]), ("values", found.bounds[1])):
        error = max(float((a - b).abs().max()) for a, b in zip(getattr(kept, name), getattr(found, name), strict=True))
        assert error <= bound * 1.001 + 1e-6 and (error > 0) == (codec != "raw")
    assert all(torch.equal(a, b) for a, b in zip(kept.positions, found.positions, strict=True))


def test_bytes_are_those_of_what_was_kept(kept: leaf.KVLeaf) -> None:
    entries = 2 * (40 + 70 + 100)
    assert kept.bytes == entries * (2 * 16 * 4 + 8)
    moved = kept.each(lambda t: t.clone())
    assert moved.ids == kept.ids and moved.bytes == kept.bytes and moved.keys[0] is not kept.keys[0]


def change(tensors: dict[str, Tensor], name: str, wrong: torch.Tensor | None, dtype: str = "I32") -> dict[str, Tensor]:
    rest = {k: v for k, v in tensors.items() if k != name}
    return rest if wrong is None else {**rest, name: Tensor(dtype, tuple(wrong.shape), bytearray(wrong.contiguous().numpy().tobytes()))}


WRONG: dict[str, Callable[[torch.Tensor], torch.Tensor | None]] = {
    "missing": lambda p: None,
    "too many": lambda p: torch.cat([p, p[:, -1:] + 1], 1),
    "too few": lambda p: p[:, :-1],
    "one head": lambda p: p[:1],
    "flat": lambda p: p.reshape(-1),
    "descending": lambda p: p.flip(1),
    "swapped": lambda p: torch.cat([p[:, :10], p[:, [11, 10]], p[:, 12:]], 1),
    "the same twice": lambda p: torch.cat([p[:, :10], p[:, 9:10], p[:, 11:]], 1),
    "negative": lambda p: torch.cat([p[:, :1] - 5, p[:, 1:]], 1),
    "beyond the text": lambda p: torch.cat([p[:, :-1], p[:, -1:] * 0 + 100], 1),
    "far beyond": lambda p: torch.cat([p[:, :-1], p[:, -1:] * 0 + 2**31 - 1], 1),
    "without a sink": lambda p: torch.stack([torch.tensor([*sorted({*range(100)} - {2})[:32], *range(92, 100)], dtype=torch.int32)] * 2),
    "without a recent one": lambda p: torch.arange(40, dtype=torch.int32).expand(2, -1),
}


@pytest.mark.parametrize("name", WRONG)
def test_positions_that_no_budget_leaves_are_refused(kept: leaf.KVLeaf, name: str) -> None:
    files: list[Any] = [dict(leaf.encode(kept, layer, CODECS["raw"])) for layer in range(3)]
    held = kept.positions[0].int()
    wrong = WRONG[name](held)
    files[0] = change(files[0], "L0.p", wrong)
    with pytest.raises(Corrupt, match=r"L0\.p"):
        leaf.decode(HELD, PLAN, CODECS["raw"], files, SHAPES, torch.float32)
    files[0] = change(files[0], "L0.p", held)
    assert torch.equal(leaf.decode(HELD, PLAN, CODECS["raw"], files, SHAPES, torch.float32).positions[0], kept.positions[0])


@pytest.mark.parametrize("name", ["L1.k", "L1.v"])
def test_numbers_of_another_shape_or_none_are_refused(kept: leaf.KVLeaf, name: str) -> None:
    for wrong in (None, kept.keys[1][:, :-1], kept.keys[1][:1]):
        files: list[Any] = [dict(leaf.encode(kept, layer, CODECS["raw"])) for layer in range(3)]
        files[1] = change(files[1], name, wrong, "F32")
        with pytest.raises(Corrupt, match=r"L0\.[kv]"):
            leaf.decode(HELD, PLAN, CODECS["raw"], files, SHAPES, torch.float32)


def test_what_is_settled_is_not_judged_again(kept: leaf.KVLeaf) -> None:
    cache = leaf.cache_of(kept)
    with pytest.raises(Unsupported, match="read the text again"):
        cache.layers[0].trim(cache.scorer.score(cache.layers[0].context())[0])
    with torch.no_grad(), attending(model()):
        model()(torch.tensor([text(200, 3)]), past_key_values=cache, use_cache=True)
    assert cache.seen == 300 and cache.stored == (240, 270, 300), "an answer evicts nothing"
    assert kept.keys[0].shape[1] == 40 and leaf.cache_of(kept).stored == (40, 70, 100)


# -- the twin ------------------------------------------------------------------------------------------------------------


def test_the_twin_shares_every_tensor_and_the_model_notices_nothing() -> None:
    one = make_model("qwen3")
    config, tokens = one.config._attn_implementation, torch.tensor([text(60)])
    seen: list[int] = []
    one.model.layers[1].self_attn.register_forward_pre_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        before = one(tokens).logits
        twin = twin_of(one)
        assert torch.equal(twin(tokens).logits, before) and len(seen) == 2, "hooks are shared as well"
    assert one.config._attn_implementation == config != twin.config._attn_implementation
    for a, b in zip((*one.parameters(), *one.buffers()), (*twin.parameters(), *twin.buffers()), strict=True):
        assert a is b
    assert not {id(m) for m in one.modules()} & {id(m) for m in twin.modules()}
    with torch.no_grad():
        one.lm_head.weight.mul_(2)
        assert torch.equal(twin(tokens).logits, one(tokens).logits)


def test_a_twin_is_made_anew_where_the_model_has_changed() -> None:
    engine = TorchEngine(make_model("llama"), make_tokenizer())
    condenser = engine.condenser()
    first = condenser.model
    assert condenser.model is first and engine.condenser() is condenser
    engine.model.lm_head.weight = torch.nn.Parameter(engine.model.lm_head.weight.detach() * 2)
    second = condenser.model
    assert second is not first and second.lm_head.weight is engine.model.lm_head.weight
    engine.model.model.layers[0].mlp = make_model("llama", seed=3).model.layers[0].mlp
    assert condenser.model.model.layers[0].mlp.up_proj.weight is engine.model.model.layers[0].mlp.up_proj.weight


class Adapted(torch.nn.Module):
    """A linear layer with an adapter, by the names that peft gives."""

    def __init__(self, base: torch.nn.Linear) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_A = torch.nn.ModuleDict({"style": torch.nn.Linear(base.in_features, 2, bias=False)})
        self.lora_B = torch.nn.ModuleDict({"style": torch.nn.Linear(2, base.out_features, bias=False)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.lora_B["style"](self.lora_A["style"](x))


def test_an_adapter_that_is_mounted_meanwhile_shows_in_the_twin() -> None:
    engine = TorchEngine(make_model("llama"), make_tokenizer())
    tokens, plain = torch.tensor([text(40)]), engine.condenser().model
    engine.model.model.layers[0].self_attn.q_proj = Adapted(engine.model.model.layers[0].self_attn.q_proj)
    with torch.no_grad():
        found = engine.condenser().model(tokens).logits
        assert torch.equal(found, engine.model(tokens).logits) and not torch.allclose(found, plain(tokens).logits, atol=1e-2)
        kept = mark_of(engine.model)
        engine.model.model.layers[0].self_attn.q_proj.lora_B["style"].weight.mul_(3)
        assert mark_of(engine.model) != kept and torch.equal(engine.condenser().model(tokens).logits, engine.model(tokens).logits)


def test_what_cannot_be_copied_is_refused() -> None:
    one = make_model("llama")
    one.held = open(__file__)  # noqa: SIM115
    with pytest.raises(Unsupported, match="there cannot be two"):
        twin_of(one)
    one.held.close()


# -- layers --------------------------------------------------------------------------------------------------------------


def test_likeness_is_that_of_keys_with_and_without_what_is_beyond_the_block() -> None:
    """Against a pass of transformers' own in which a mask says what a token may look back on."""
    one, ids, block, sinks = model(), text(96), 32, 4
    found = likeness(one, ids, block, sinks)
    position = torch.arange(96)
    near = (position[:, None] // block == position[None] // block) | (position[None] < sinks)
    keys = []
    for allowed in (torch.ones(96, 96, dtype=torch.bool), near):
        mask = torch.where(allowed & (position[None] <= position[:, None]), 0.0, float("-inf"))[None, None]
        with torch.no_grad():
            keys.append([layer.keys[0] for layer in one(torch.tensor([ids]), attention_mask=mask, use_cache=True).past_key_values.layers])
    for layer in range(3):
        alike = torch.nn.functional.cosine_similarity(keys[0][layer], keys[1][layer], dim=-1)[:, block:].mean()
        assert found[layer] == pytest.approx(float(alike), abs=1e-5)
    assert found[0] == pytest.approx(1, abs=1e-6) and found[2] < 0.999
    assert one.config._attn_implementation == "sdpa"
    with pytest.raises(Invalid, match="no second block"):
        likeness(one, ids, 96, sinks)


def test_a_layers_sensitivity_is_what_its_budget_alone_changes(engine_of: EngineOf) -> None:
    """Against transformers' own attention, told by a mask in that layer alone what is not there any more."""
    one, ids, probe = make_model("qwen3"), text(90), text(7, 4)
    plan, expected = BudgetPlan((40, 30, 20), 4, 0), []
    for layer in range(3):
        budget = plan.per_layer[layer]
        gone = torch.arange(4, 90 - (budget - 4))

        def masked(_: Any, arguments: Any, named: dict[str, Any], gone: torch.Tensor = gone) -> Any:
            mask = torch.full((7, 97), float("-inf")).triu(91)
            mask[:, gone] = float("-inf")
            return arguments, {**named, "attention_mask": mask[None, None]}

        said = []
        for is_hooked in (False, True):
            hook = one.model.layers[layer].self_attn.register_forward_pre_hook(masked, with_kwargs=True) if is_hooked else None
            with torch.no_grad():
                cache = make_model("qwen3")(torch.tensor([ids]), use_cache=True).past_key_values
                said.append(one(torch.tensor([probe]), past_key_values=cache).logits[0].log_softmax(-1))
            if hook is not None:
                hook.remove()
        expected.append(float((said[0].exp() * (said[0] - said[1])).sum(-1).mean()))
    found = sensitivity(one, ids, plan, Streaming(), 90, [probe])
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6) and min(found) > 1e-4 and len(set(found)) == 3
    both = sensitivity(one, ids, plan, Streaming(), 90, [probe, text(3, 5)])
    assert both == pytest.approx(
        [(a + b) / 2 for a, b in zip(found, sensitivity(one, ids, plan, Streaming(), 90, [text(3, 5)]), strict=True)]
    )
    assert sensitivity(one, ids, BudgetPlan((90,) * 3, 4, 0), Streaming(), 30, [probe]) == (0, 0, 0), "nothing evicted, nothing changed"
    for wrong in ([], [[]], [probe, []]):
        with pytest.raises(Invalid, match="at least one probe"):
            sensitivity(one, ids, plan, Streaming(), 90, wrong)
    with pytest.raises(Invalid, match="more than this model reads"):
        engine_of().condenser().sensitivity([1] * 2040, plan, Streaming(), 512, [[1] * 9])


def test_a_condenser_gives_the_meter_of_the_block_that_lost_most(engine_of: EngineOf) -> None:
    engine = engine_of()
    condenser: TorchCondenser = engine.condenser()
    tokens = engine.tokenize("She works as a baker in Oslo, and her brother likes tea. " * 10)
    plan = BudgetPlan((48,) * 3, 4, 8)
    cache = BudgetedCache(plan, Streaming())
    done = read(make_model("qwen3"), cache, tokens, block=50)
    found, mass = condenser.read(tokens, plan, Streaming(), 50)
    assert mass == max(done.evicted_mass) > min(done.evicted_mass) and len(done.evicted_mass) > 3
    assert all(torch.equal(a, layer.keys[0]) for a, layer in zip(found.keys, cache.layers, strict=True))
    with pytest.raises(Invalid, match="more than this model reads"):
        condenser.read([1] * 2049, plan, Streaming(), 512)
