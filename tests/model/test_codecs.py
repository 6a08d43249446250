"""Codes of keys and values: nothing is further from what it was than the codec says, and nothing but a page is taken for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loci.drivers.torch_kv import codecs
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import KVState
from loci.errors import Corrupt, Unsupported
from loci.memories.activation import CODECS
from loci.ports.engine import BLOCK, LayerShape, Tensors
from loci.testing.models import SHAPES

EngineOf = Callable[..., TorchEngine]
HEADS = 2


def state_of(tensor: torch.Tensor) -> KVState:
    """A layer with these keys, and the same as values: [heads, tokens, width]."""
    return KVState(tuple(range(tensor.shape[1])), (tensor.unsqueeze(0),), (tensor.unsqueeze(0),))


def pages_of(state: KVState, codec: str) -> list[Tensors]:
    return [codecs.encode(state, start, min(start + BLOCK, state.tokens), CODECS[codec]) for start in range(0, state.tokens, BLOCK)]


def through(state: KVState, codec: str) -> KVState:
    shapes = [LayerShape("full", t.shape[1], t.shape[3]) for t in state.keys]
    return codecs.decode(state.ids, CODECS[codec], pages_of(state, codec), shapes, state.keys[0].dtype)


@given(
    st.integers(1, 130), st.sampled_from([8, 64, 128]), st.sampled_from(["int8", "int4"]), st.floats(1e-6, 3e4), st.integers(0, 1 << 30),
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
    state = state_of(x)
    found = through(state, codec)
    for page in pages_of(state, codec):
        assert float(torch.frombuffer(page["L0.k.s"].data, dtype=torch.float16).float().max()) / 2 <= max(found.bounds)
    slack = 1e-5 * float(x.abs().max())
    assert float((found.keys[0] - state.keys[0]).abs().max()) <= found.bounds[0] * (1 + 1e-5) + slack
    assert float((found.values[0] - state.values[0]).abs().max()) <= found.bounds[1] * (1 + 1e-5) + slack


def test_the_bound_is_of_each_channel_not_of_the_largest() -> None:
    """A channel that is large at every token costs the others nothing: keys have a step for each channel."""
    x = torch.rand(HEADS, BLOCK, 64)
    x[:, :, 5] *= 1000
    error = (through(state_of(x), "int8").keys[0] - x).abs()
    assert float(error[..., 6:].max()) <= 1 / 255 / 2 * 1.01 and float(error[..., 5].max()) <= 1000 / 255 / 2 * 1.01


@pytest.mark.parametrize(("codec", "share"), [("raw", 1.0), ("int8", 0.531), ("int4", 0.281)])
def test_a_page_takes_the_share_of_float16_that_is_stated(codec: str, share: float) -> None:
    x = torch.randn(8, BLOCK, 128).half()
    page = codecs.encode(state_of(x), 0, BLOCK, CODECS[codec])
    assert sum(len(t.data) for t in page.values()) / (2 * x.numel() * 2) == pytest.approx(share, abs=0.001)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_raw_is_the_same_to_the_bit(dtype: torch.dtype) -> None:
    state = state_of(torch.randn(HEADS, 150, 32).to(dtype))
    found = through(state, "raw")
    assert torch.equal(found.keys[0], state.keys[0]) and torch.equal(found.values[0], state.values[0]) and found.bounds == (0, 0)


@pytest.mark.parametrize("codec", ["int8", "int4"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_bounds_hold_on_every_layer_of_a_model(engine_of: EngineOf, shape: str, codec: str) -> None:
    engine = engine_of(shape)
    state = engine.read(list(range(5, 205)))
    found = engine.decode(state.ids, CODECS[codec], pages_of(state, codec))
    told = engine.compare(state, found)
    assert 0 < told["key_error"] <= told["key_bound"] * 1.001 and 0 < told["value_error"] <= told["value_bound"] * 1.001
    if codec == "int8":
        assert told["kl"] <= 1e-4
    assert engine.compare(state, state)["logits"] == 0


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e30])
def test_what_a_code_cannot_hold_is_refused(wrong: float) -> None:
    x = torch.rand(HEADS, 8, 8)
    x[0, 3, 3] = wrong
    with pytest.raises(Unsupported, match="Use the codec raw"):
        pages_of(state_of(x), "int8")


@pytest.mark.parametrize("codec", ["raw", "int8", "int4"])
def test_a_page_of_another_shape_is_refused(codec: str) -> None:
    state = state_of(torch.rand(HEADS, 100, 32))
    pages, shapes = pages_of(state, codec), [LayerShape("full", HEADS, 32)]
    for name, tensor in pages[1].items():
        lies = (
            {n: t for n, t in pages[1].items() if n != name},
            {**pages[1], name: replace(tensor, shape=(*tensor.shape, 1))},
            {**pages[1], name: replace(tensor, dtype="F32" if tensor.dtype != "F32" else "F16")},
        )
        for lie in lies:
            with pytest.raises(Corrupt, match="Build the memory again"):
                codecs.decode(state.ids, CODECS[codec], [pages[0], lie], shapes, torch.float32)
    with pytest.raises(Corrupt):
        codecs.decode(state.ids, CODECS[codec], pages, [*shapes, *shapes], torch.float32)
