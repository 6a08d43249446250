"""MEMO: layers in two pieces give the gradients of whole ones and keep what was asked for; places of an arena never overlap."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, inject_adapter_in_model
from transformers import (
    AttentionInterface,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)  # fmt: skip
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from loci.drivers.torch_lora.splitting import token_split
from loci.errors import Invalid, TooLarge, Unsupported
from loci.methods.memo import LayerProfile, Lifetime, TokenSplit, elsewhere, most_alive, plan_alpha, plan_arena

torch.set_num_threads(1)
FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {}), "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}), "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 8}), "gemma": (GemmaConfig, GemmaForCausalLM, {}),
}  # fmt: skip


def model(family: str = "qwen3", **changed: Any) -> Any:
    torch.manual_seed(5)
    config, made, own = FAMILIES[family]
    shape = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
             "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}  # fmt: skip
    return made(config(**{**shape, **own, **changed})).train()


def ids(rows: int, tokens: int) -> torch.Tensor:
    return torch.randint(50, (rows, tokens), generator=torch.Generator().manual_seed(tokens))


def gradients(made: Any, text: torch.Tensor, within: Any, **asked: Any) -> dict[str, torch.Tensor]:
    made.zero_grad(set_to_none=True)
    with within:
        loss = made(input_ids=text, use_cache=False, **asked).logits.log_softmax(-1).square().mean()
    loss.backward()
    return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


def differ(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys() and one
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_layers_as_a_whole(family: str, seed: int) -> None:
    chance = random.Random(f"{family} {seed}")
    made = model(
        family,
        num_attention_heads=chance.choice([2, 4]),
        num_key_value_heads=chance.choice([1, 2]),
        num_hidden_layers=chance.choice([1, 3]),
    )
    made.set_attn_implementation(chance.choice(["sdpa", "eager"]))
    text = ids(chance.choice([1, 3]), chance.randint(2, 60))
    mask = torch.ones_like(text)
    mask[0, : chance.choice([0, 1])] = 0
    whole = gradients(made, text, nullcontext(), attention_mask=mask)
    for alpha in (0.0, chance.random(), 1.0):
        for offload in (True, False):
            assert differ(gradients(made, text, token_split(made, TokenSplit(alpha, offload)), attention_mask=mask), whole) <= 1e-7
    assert differ(gradients(made, text, nullcontext(), attention_mask=mask), whole) == 0  # and the model is what it was
    assert not any("forward" in vars(layer) for layer in made.model.layers)


def test_adapters_learn_the_same_beside_frozen_weights() -> None:
    made = inject_adapter_in_model(LoraConfig(r=2, target_modules=["q_proj", "o_proj", "down_proj"], init_lora_weights=False), model())
    text = ids(2, 40)
    whole = gradients(made, text, nullcontext())
    assert all("lora" in name for name in whole)
    for alpha in (0.0, 0.4, 1.0):
        assert differ(gradients(made, text, token_split(made, TokenSplit(alpha))), whole) <= 1e-7


def kept(made: Any, text: torch.Tensor, alpha: float) -> int:
    with elsewhere([*made.parameters(), *made.buffers()]) as there, token_split(made, TokenSplit(alpha, offload=False)):
        loss = made.model(input_ids=text, use_cache=False).last_hidden_state.sum()
    assert loss.requires_grad
    return there.nbytes


def test_what_is_kept_grows_with_alpha_along_a_line() -> None:
    made, text = model(), ids(1, 400)
    with elsewhere([*made.parameters(), *made.buffers()]) as there:
        loss = made.model(input_ids=text, use_cache=False).last_hidden_state.sum()
    plain = there.nbytes
    loss.backward()
    shares = {alpha: kept(made, text, alpha) / plain for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)}
    assert list(shares.values()) == sorted(shares.values()) and shares[1.0] == pytest.approx(1, abs=0.01) and shares[0.0] < 0.35
    for alpha, share in shares.items():
        assert abs(share - (shares[0.0] + alpha * (shares[1.0] - shares[0.0]))) <= 0.06


@contextmanager
def counted(made: Any) -> Iterator[list[int]]:
    calls: list[int] = []

    def attend(module: Any, *args: Any, **asked: Any) -> Any:
        calls.append(int(module.layer_idx))
        return sdpa_attention_forward(module, *args, **asked)

    AttentionInterface.register("counted", attend)
    made.set_attn_implementation("counted")
    yield calls


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_attention_is_never_computed_twice(alpha: float) -> None:
    made, text = model(), ids(1, 30)
    with counted(made) as calls:
        with token_split(made, TokenSplit(alpha)):
            calls.clear()  # of the trial
            loss = made(input_ids=text, use_cache=False).logits.square().mean()
        loss.backward()
        assert calls == [0, 1, 2]
        made.gradient_checkpointing_enable({"use_reentrant": False})
        calls.clear()
        gradients(made, text, nullcontext())
        assert sorted(calls) == [0, 0, 1, 1, 2, 2]  # where whole layers are computed again it is


def test_what_is_kept_elsewhere_is_copied_once_and_weights_are_not() -> None:
    weight, given = torch.randn(16, 16, requires_grad=True), torch.randn(8, 16, requires_grad=True)
    with elsewhere([weight]) as there:
        states = given * 2
        told = (states @ weight).square().sum() + (states @ weight).square().sum()
        assert there.nbytes == 3 * states.nbytes  # the states once, and what is squared
    told.backward()
    expected, weight.grad = weight.grad, None
    assert expected is not None
    (2 * (given.detach() * 2 @ weight).square().sum()).backward()
    assert weight.grad is not None and float((weight.grad - expected).abs().max()) <= 1e-3 * float(expected.abs().max())
    with elsewhere() as there:
        (given * 2).square().sum()
    assert there.nbytes == 0  # nobody keeps the graph: nothing is kept


def test_what_is_changed_in_place_is_another_tensor() -> None:
    given = torch.randn(4, 5, requires_grad=True)
    with elsewhere() as there:
        states = given * 1.0
        first = states.sin()
        with torch.no_grad():
            states.mul_(2)
        second = states.sin()
        assert there.nbytes == 2 * states.nbytes
    (first.sum() + second.sum()).backward()
    expected = given.detach().cos() + (2 * given.detach()).cos()
    assert given.grad is not None and torch.allclose(given.grad, expected)


@pytest.mark.parametrize(
    ("config", "made", "own", "why"),
    [
        (GraniteConfig, GraniteForCausalLM, {"residual_multiplier": 0.3}, "do not add up"), (Gemma3TextConfig, Gemma3ForCausalLM, {}, "norm, attention, norm and perceptron"),
        (Qwen3MoeConfig, Qwen3MoeForCausalLM, {"num_experts": 4, "moe_intermediate_size": 16, "num_experts_per_tok": 2}, "norm, attention, norm and perceptron"),
    ],
)  # fmt: skip
def test_other_layers_are_refused_and_left_alone(config: Any, made: Any, own: dict[str, Any], why: str) -> None:
    one = made(config(vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8, pad_token_id=0,
                      bos_token_id=None, eos_token_id=None, **own))  # fmt: skip
    with pytest.raises(Unsupported, match=why), token_split(one, TokenSplit(0.5)):
        pass
    assert not any("forward" in vars(layer) for layer in one.model.layers)


def test_what_would_compute_or_look_otherwise_is_refused() -> None:
    made = model()
    made.gradient_checkpointing_enable()
    with pytest.raises(Unsupported, match="gradient_checkpointing_disable"), token_split(made, TokenSplit(0.5)):
        pass
    made.gradient_checkpointing_disable()
    hook = made.model.layers[1].self_attn.register_forward_hook(lambda *_: None)
    with pytest.raises(Unsupported, match="hooks"), token_split(made, TokenSplit(0.5)):
        pass
    hook.remove()
    with token_split(made, TokenSplit(0.5)), pytest.raises(Unsupported, match="use_cache=False"):
        made(input_ids=ids(1, 4), use_cache=True)
    for alpha in (-0.1, 1.1):
        with pytest.raises(Invalid):
            TokenSplit(alpha)


# -- plans ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 10**9), st.floats(1e-4, 10), st.floats(1e6, 1e11), st.integers(1, 40), st.integers(0, 10**11))
def test_alpha_is_what_trying_every_one_finds(always: int, rest: int, forward: float, speed: float, layers: int, host: int) -> None:
    profile = LayerProfile(always, rest, forward, speed, layers, host)
    inner = max(0, layers - 2)

    def fits(alpha: float) -> bool:
        swapped = always + alpha * rest
        return swapped / speed <= forward and inner * swapped <= host

    if inner * always > host:
        with pytest.raises(TooLarge, match="shorter texts"):
            plan_alpha(profile)
        return
    found = plan_alpha(profile)
    tried = max((n / 1000 for n in range(1001) if fits(n / 1000)), default=0.0)
    assert 0 <= found <= 1 and tried - 1e-9 <= found <= tried + 1e-3 + 1e-9


LIVES = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 30), st.integers(0, 30)).map(lambda t: Lifetime(t[0], min(t[1:]), max(t[1:]))),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(LIVES, st.booleans())
def test_no_two_tensors_that_live_at_once_overlap(lives: list[Lifetime], online: bool) -> None:
    plan = plan_arena(lives, online=online)
    for a, (one, at) in enumerate(zip(lives, plan.offsets, strict=True)):
        assert at >= 0 and at + one.size <= plan.peak
        for b in range(a):
            other, there = lives[b], plan.offsets[b]
            if one.begin <= other.end and other.begin <= one.end and one.size and other.size:
                assert at + one.size <= there or there + other.size <= at
    alive = max((sum(o.size for o in lives if o.begin <= step <= o.end) for step in range(31)), default=0)
    assert plan.bound == most_alive(lives) == alive and plan.peak >= plan.bound and plan.gap >= 0


def test_the_largest_first_wastes_less_than_as_they_come() -> None:
    lives = [Lifetime(4, 1, 3), Lifetime(4, 2, 4), Lifetime(3, 0, 1), Lifetime(1, 2, 4)]  # as they come, or the smallest first, it takes 11
    assert (plan_arena(lives, online=True).peak, plan_arena(lives).peak, plan_arena(lives).bound) == (11, 9, 9)
    with pytest.raises(Invalid, match="ends after it begins"):
        plan_arena([Lifetime(1, 3, 2)])
    assert plan_arena([]).peak == 0 and plan_arena([]).gap == 0
