"""MEMO: layers in two pieces give the gradients of whole ones and keep what was asked for; places of an arena never overlap."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import transformers
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
from loci.methods.memo import Elsewhere, LayerProfile, Lifetime, TokenSplit, elsewhere, most_alive, plan_alpha, plan_arena

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
    """The farthest that any gradient is from the other; none by more than 1e-5 of its weight's largest."""
    assert one.keys() == other.keys() and one
    apart = {name: float((one[name] - other[name]).abs().max()) for name in one}
    assert all(far <= 1e-5 * float(other[name].abs().max()) for name, far in apart.items())
    return max(apart.values())


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


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_what_is_dropped_by_chance_is_dropped_alike(alpha: float) -> None:
    made, text = model(attention_dropout=0.4), ids(2, 30)
    plain, split = [], []
    for found, within in ((plain, nullcontext), (split, lambda: token_split(made, TokenSplit(alpha)))):
        for _ in range(2):
            torch.manual_seed(3)
            found.append(gradients(made, text, within()))
    assert differ(split[0], plain[0]) <= 1e-7 and differ(plain[1], plain[0]) == 0
    torch.manual_seed(4)
    other = gradients(made, text, nullcontext())
    assert max(float((other[name] - plain[0][name]).abs().max()) for name in other) > 1e-5  # chance is in it


def test_attention_is_asked_for_just_what_the_layer_asks_for() -> None:
    for family in ("mistral", "qwen3"):
        made, text = model(family, attention_dropout=0.25), ids(1, 12)
        heard: list[dict[str, Any]] = []

        def attend(module: Any, *args: Any, heard: list[dict[str, Any]] = heard, **asked: Any) -> Any:
            heard.append({"layer": module.layer_idx, **asked, "shapes": [one.shape for one in args[:3]]})
            return sdpa_attention_forward(module, *args, **asked)

        AttentionInterface.register("heard", attend)
        made.set_attn_implementation("heard")
        gradients(made, text, nullcontext(), max_length_q=12)
        plain = [plainly(one) for one in heard]
        with token_split(made, TokenSplit(0.5)):
            heard.clear()
            made(input_ids=text, use_cache=False, max_length_q=12)
        assert [plainly(one) for one in heard] == plain and len(plain) == 3
        assert (plain[0]["dropout"], plain[0].get("sliding_window"), plain[0]["max_length_q"]) == (
            0.25,
            8 if family == "mistral" else None,
            12,
        )


def test_a_layer_that_asks_attention_for_something_else_is_refused() -> None:
    """Its kernel on a GPU may do what the trial's does not."""
    made = model("mistral")
    made.model.layers[0].self_attn.sliding_window = 4  # the layer's own forward takes the configuration's 8
    with pytest.raises(Unsupported, match="do not add up"), token_split(made, TokenSplit(0.5)):
        pass


def plainly(asked: dict[str, Any]) -> dict[str, Any]:
    """What is asked for, of tensors that it is; nobody uses `use_cache`."""
    told = {name: "a tensor" if isinstance(one, torch.Tensor) else one for name, one in asked.items()}
    return {name: one for name, one in told.items() if one is not None and name != "use_cache"}


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


@dataclass(frozen=True)
class Recorded(TokenSplit):
    """A split that remembers what it put elsewhere."""

    put: dict[int, Elsewhere] = field(default_factory=dict)  # by the layers behind

    @contextmanager
    def keeping(self, held: Any, behind: int) -> Iterator[Any]:
        with super().keeping(held, behind) as there:
            if there is not None:
                self.put[behind] = there
            yield there


def test_weights_and_the_last_two_layers_stay_and_the_rest_is_as_planned() -> None:
    made, text = model(num_hidden_layers=4), ids(1, 200)
    weights = sum(p.nbytes for p in made.model.layers[0].parameters())
    always, most = (kept(made, text, alpha) // 4 for alpha in (0.0, 1.0))
    host = int(2 * always + (most - always))
    alpha = plan_alpha(LayerProfile(always, most - always, 1.0, 1e12, 4, host))
    assert 0.4 < alpha < 0.6
    split = Recorded(alpha)
    with token_split(made, split):
        loss = made.model(input_ids=text, use_cache=False).last_hidden_state.sum()
    placed = [there.nbytes for there in split.put.values()]
    assert list(split.put) == [3, 2] and abs(sum(placed) - host) < 0.05 * host and weights > 0.05 * host
    loss.backward()


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
        turned = states.T @ states[:, :3]  # the same bytes, seen otherwise
        assert there.nbytes == 3 * states.nbytes  # the states once, and what is squared
        wide = torch.ones(1, 1, requires_grad=True).expand(1000, 4) * given[0, 0]
        assert there.nbytes <= 3 * states.nbytes + 8 + given.nbytes  # one number, however often it stands there
    del turned, wide
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


SMALL = {"vocab_size": 50, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
         "pad_token_id": 0, "bos_token_id": None, "eos_token_id": None}  # fmt: skip


@pytest.mark.parametrize(("family", "own"), [("Granite", {"residual_multiplier": 0.3}), ("SmolLM3", {}), ("SeedOss", {})])
def test_layers_that_do_a_little_more_are_refused_in_sixteen_bits_too(family: str, own: dict[str, Any]) -> None:
    config, made = getattr(transformers, f"{family}Config"), getattr(transformers, f"{family}ForCausalLM")
    one = made(config(**SMALL, **own)).to(torch.bfloat16)
    with pytest.raises(Unsupported, match="do not add up"), token_split(one, TokenSplit(0.5)):
        pass


def test_a_model_that_calls_its_layers_otherwise_is_refused() -> None:
    one = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=50, bos_token_id=None, eos_token_id=None)
    )
    with pytest.raises(Unsupported, match="no `layers`"), token_split(one, TokenSplit(0.5)):
        pass


def test_what_is_no_number_is_no_match() -> None:
    made = model()
    with torch.no_grad():
        made.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    with pytest.raises(Unsupported, match="do not add up"), token_split(made, TokenSplit(0.5)):
        pass


def test_a_model_is_left_as_it_was_and_split_once() -> None:
    made, text = model(), ids(1, 9)
    made.model.layers[0].mlp.eval()
    modes = [module.training for module in made.modules()]
    with token_split(made, TokenSplit(0.5)):
        with pytest.raises(Unsupported, match="split already"), token_split(made, TokenSplit(0.5)):
            pass
        gradients(made, text, nullcontext())
    assert [module.training for module in made.modules()] == modes
    with pytest.raises(ZeroDivisionError), token_split(made, TokenSplit(0.5)):
        raise ZeroDivisionError
    made.model.layers[1].forward = made.model.layers[1].forward  # as a wrapper does
    with pytest.raises(Unsupported, match="another forward"), token_split(made, TokenSplit(0.5)):
        pass
    assert "forward" in vars(made.model.layers[1]) and "forward" not in vars(made.model.layers[0])


def test_what_the_library_hangs_up_to_show_states_is_no_obstacle() -> None:
    made, text = model(), ids(1, 9)
    made.set_attn_implementation("eager")
    plain = made(input_ids=text, use_cache=False, output_hidden_states=True, output_attentions=True)
    with token_split(made, TokenSplit(0.5)):
        shown = made(input_ids=text, use_cache=False, output_hidden_states=True)
        with pytest.raises(Unsupported, match="not shown"):
            made(input_ids=text, use_cache=False, output_attentions=True)
    assert len(shown.hidden_states) == len(plain.hidden_states) == 4
    assert all(float((a - b).detach().abs().max()) <= 1e-5 for a, b in zip(shown.hidden_states, plain.hidden_states, strict=True))


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
