"""Codes of keys and values: nothing is further from what it was than the codec says, and nothing but a page is taken for one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loci.drivers.torch_kv import codecs
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import KVPage
from loci.errors import Corrupt, Unsupported
from loci.memories.activation import CODECS
from loci.ports.engine import BLOCK, LayerShape, Tensors
from loci.testing.models import SHAPES, make_model, make_tokenizer

EngineOf = Callable[..., TorchEngine]
HEADS = 2


def page_of(tensor: torch.Tensor) -> KVPage:
    """A layer with these keys, and the same as values: [heads, tokens, width]."""
    return KVPage(tuple(range(tensor.shape[1])), (tensor,), (tensor,))


def through(page: KVPage, codec: str) -> KVPage:
    shapes = [LayerShape("full", t.shape[0], t.shape[2]) for t in page.keys]
    return codecs.decode(page.ids, CODECS[codec], codecs.encode(page, CODECS[codec]), shapes, page.keys[0].dtype)


@given(
    st.integers(1, BLOCK), st.sampled_from([8, 64, 128]), st.sampled_from(["int8", "int4"]), st.floats(1e-6, 3e4), st.integers(0, 1 << 30),
    st.sampled_from(["even", "outliers", "constant", "steps"]),
)  # fmt: skip
def test_no_number_is_further_from_its_code_than_half_a_step(
    tokens: int, width: int, codec: str, scale: float, seed: int, kind: str
) -> None:
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(HEADS, tokens, width, generator=chance).clamp(-2, 2) * scale
    if kind == "outliers":
        x[:, :, 0] = x[:, :, 0].sign() * scale * 2
    elif kind == "constant":
        x = torch.full_like(x, float(x[0, 0, 0]))
    elif kind == "steps":
        x = (x / scale).round() * scale
    page = page_of(x)
    found = through(page, codec)
    steps = codecs.encode(page, CODECS[codec])["L0.k.s"].data
    assert float(torch.frombuffer(steps, dtype=torch.float16).float().max()) / 2 == found.bounds[0]
    slack = 1e-5 * float(x.abs().max())
    assert float((found.keys[0] - page.keys[0]).abs().max()) <= found.bounds[0] * (1 + 1e-5) + slack
    assert float((found.values[0] - page.values[0]).abs().max()) <= found.bounds[1] * (1 + 1e-5) + slack


def test_the_bound_is_of_each_channel_not_of_the_largest() -> None:
    """A channel that is large at every token costs the others nothing: keys have a step for each channel."""
    x = torch.rand(HEADS, BLOCK, 64)
    x[:, :, 5] *= 1000
    error = (through(page_of(x), "int8").keys[0] - x).abs()
    assert float(error[..., 6:].max()) <= 1 / 255 / 2 * 1.01 and float(error[..., 5].max()) <= 1000 / 255 / 2 * 1.01


@pytest.mark.parametrize(("codec", "share"), [("raw", 1.0), ("int8", 0.531), ("int4", 0.281)])
def test_a_page_takes_the_share_of_float16_that_is_stated(codec: str, share: float) -> None:
    x = torch.randn(8, BLOCK, 128).half()
    tensors = codecs.encode(page_of(x), CODECS[codec])
    assert sum(len(t.data) for t in tensors.values()) / (2 * x.numel() * 2) == pytest.approx(share, abs=0.001)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_raw_is_the_same_to_the_bit(dtype: torch.dtype) -> None:
    page = page_of(torch.randn(HEADS, 50, 32).to(dtype))
    found = through(page, "raw")
    assert torch.equal(found.keys[0], page.keys[0]) and torch.equal(found.values[0], page.values[0]) and found.bounds == (0, 0)


@pytest.mark.parametrize("codec", ["int8", "int4"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_bounds_hold_on_every_layer_of_a_model(engine_of: EngineOf, shape: str, codec: str) -> None:
    engine = engine_of(shape)
    state = engine.read(list(range(5, 205)))
    found = [engine.decode(page.ids, 64 * place, CODECS[codec], engine.encode(page, CODECS[codec])) for place, page in enumerate(state)]
    told = engine.compare(state, found)
    assert 0 < told["key_error"] <= told["key_bound"] * 1.001 and 0 < told["value_error"] <= told["value_bound"] * 1.001
    if codec == "int8":
        assert told["kl"] <= (4e-4 if shape == "gemma4" else 1e-4)  # whose random logits vary most
    assert told["end_share"] == 0 and engine.compare(state, state)["logits"] == 0


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e30])
def test_what_a_code_cannot_hold_is_refused(wrong: float) -> None:
    x = torch.rand(HEADS, 8, 8)
    x[0, 3, 3] = wrong
    with pytest.raises(Unsupported, match="Use the codec raw"):
        codecs.encode(page_of(x), CODECS["int8"])


@pytest.mark.parametrize("codec", ["raw", "int8", "int4"])
def test_a_page_of_another_shape_is_refused(codec: str) -> None:
    page, shapes = page_of(torch.rand(HEADS, 50, 32)), [LayerShape("full", HEADS, 32)]
    right = codecs.encode(page, CODECS[codec])
    for name, tensor in right.items():
        lies: tuple[Tensors, ...] = (
            {n: t for n, t in right.items() if n != name},
            {**right, name: replace(tensor, shape=(*tensor.shape, 1))},
            {**right, name: replace(tensor, dtype="F32" if tensor.dtype != "F32" else "F16")},
        )
        for lie in lies:
            with pytest.raises(Corrupt, match="Build the memory again"):
                codecs.decode(page.ids, CODECS[codec], lie, shapes, torch.float32)
    with pytest.raises(Corrupt):
        codecs.decode(page.ids, CODECS[codec], right, [*shapes, *shapes], torch.float32)
    with pytest.raises(Corrupt):
        codecs.decode(page.ids[:-1], CODECS[codec], right, shapes, torch.float32)


# -- the inputs of attention ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["qwen3", "llama"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keys_and_values_are_made_again_from_the_inputs_of_attention(engine_of: EngineOf, shape: str, dtype: torch.dtype) -> None:
    engine, hidden = engine_of(shape, dtype=dtype), CODECS["hidden"]
    state = engine.read_hidden(list(range(5, 205)))
    found = [engine.decode(page.ids, 64 * place, hidden, engine.encode(page, hidden)) for place, page in enumerate(state)]
    told = engine.compare(state, found)
    coarse = float(torch.finfo(dtype).eps)
    assert told["key_error"] <= 64 * coarse and told["value_error"] <= 64 * coarse and told["kl"] <= 1e-5
    assert engine.compare(state, engine.read(list(range(5, 205))))["logits"] == 0, "watching changes nothing"


def test_they_take_half_the_room_where_every_head_has_its_own_keys() -> None:
    engine = TorchEngine(make_model("llama", num_key_value_heads=4), make_tokenizer())
    page = engine.read_hidden(list(range(5, 69)))[0]
    raw, hidden = (sum(len(t.data) for t in engine.encode(page, CODECS[codec]).values()) for codec in ("raw", "hidden"))
    assert hidden == raw / 2 and engine.is_hidden_smaller()
    assert not TorchEngine(make_model("llama", num_key_value_heads=1), make_tokenizer()).is_hidden_smaller()


def test_a_place_that_is_another_makes_other_keys(engine_of: EngineOf) -> None:
    engine, hidden = engine_of(), CODECS["hidden"]
    state = engine.read_hidden(list(range(5, 150)))
    wrong = [engine.decode(page.ids, 0, hidden, engine.encode(page, hidden)) for page in state]
    assert engine.compare(state, wrong)["key_error"] > 0.1


def test_layers_that_are_not_alike_are_refused(engine_of: EngineOf) -> None:
    with pytest.raises(Unsupported, match="Use the codec raw"):
        engine_of("gemma").read_hidden([5, 6, 7])
    assert not engine_of("gemma").is_hidden_smaller()


def test_what_others_read_meanwhile_is_not_kept(engine_of: EngineOf) -> None:
    engine, ids = engine_of(), list(range(5, 105))
    alone = engine.read_hidden(ids)
    with ThreadPoolExecutor(4) as threads:
        others = [threads.submit(engine.read, ids) for _ in range(40)]
        found = list(threads.map(engine.read_hidden, [ids] * 40))
    assert all(len(other.result()) == len(alone) for other in others)
    assert all(
        torch.equal(a, b) for state in found for p, q in zip(state, alone, strict=True) for a, b in zip(p.hidden, q.hidden, strict=True)
    )
