"""States that were read alone, put behind one another: what that is exactly, and how it differs from the joined text."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from loci.drivers.torch_kv import compose
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import ids_of
from loci.errors import Invalid, Unsupported
from loci.testing.models import make_model, make_tokenizer

EngineOf = Callable[..., TorchEngine]
LENGTHS = (70, 50, 90)


def texts(seed: int = 0) -> list[list[int]]:
    chance = random.Random(seed)
    return [[chance.randrange(5, 400) for _ in range(length)] for length in LENGTHS]


def block_diagonal(engine: TorchEngine, parts: list[list[int]], suffix: list[int]) -> torch.Tensor:
    """The logits of the suffix in one pass in which every text sees itself only, and the suffix everything."""
    ids = [i for part in parts for i in part] + suffix
    owner = torch.tensor([n for n, part in enumerate(parts) for _ in part] + [-1] * len(suffix))
    places = torch.arange(len(ids))
    seen = (places[None, :] <= places[:, None]) & ((owner[None, :] == owner[:, None]) | (owner[:, None] == -1))
    mask = torch.zeros(1, 1, len(ids), len(ids)).masked_fill(~seen, torch.finfo(torch.float32).min)
    with torch.inference_mode():
        return engine.model(input_ids=torch.tensor([ids]), attention_mask=mask).logits[0, -len(suffix) :].float()  # type: ignore[no-any-return]


def divergence(one: torch.Tensor, two: torch.Tensor) -> float:
    p, q = one.log_softmax(-1), two.log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())


@pytest.mark.parametrize("rope", [{}, {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
                                  {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 256, "rope_theta": 10000.0}])  # fmt: skip
@pytest.mark.parametrize("shape", ["qwen3", "llama"])
def test_block_is_the_text_with_a_block_diagonal_mask(shape: str, rope: dict[str, Any]) -> None:
    engine = TorchEngine(make_model(shape, **({"rope_parameters": rope} if rope else {})), make_tokenizer())
    parts, suffix = texts(), [9, 8, 7, 6]
    made = engine.compose([engine.read(part) for part in parts], "block")
    assert ids_of(made) == tuple(i for part in parts for i in part)
    assert float((engine.logits(made, suffix) - block_diagonal(engine, parts, suffix)).abs().max()) <= 1e-5


def test_keys_that_are_not_turned_are_another_text(engine_of: EngineOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two texts both at the first place are what the official system makes of a merge."""
    engine, parts, suffix = engine_of(), texts(), [9, 8, 7, 6]
    monkeypatch.setattr(compose, "turned", lambda keys, cos, sin: keys)
    monkeypatch.setattr(compose, "check_turning", lambda model: None)
    made = engine.compose([engine.read(part) for part in parts], "block")
    assert float((engine.logits(made, suffix) - block_diagonal(engine, parts, suffix)).abs().max()) > 1e-2


def test_a_merge_does_not_answer_like_no_memory(engine_of: EngineOf) -> None:
    engine, parts, suffix = engine_of(), texts(), [9, 8, 7, 6]
    made = engine.logits(engine.compose([engine.read(part) for part in parts], "block"), suffix)
    whole = engine.logits((), [i for part in parts for i in part] + suffix)[-len(suffix) :]
    nothing = engine.logits((), suffix)
    assert divergence(whole, made) < 0.5 * divergence(whole, nothing)


def test_blend_comes_nearer_to_the_joined_text_the_more_is_read_again(engine_of: EngineOf) -> None:
    engine, suffix, told = engine_of(), [9, 8, 7, 6], dict.fromkeys((0.0, 0.15, 0.5, 1.0), 0.0)
    for seed in range(6):
        parts = texts(seed)
        states = [engine.read(part) for part in parts]
        whole = engine.logits((), [i for part in parts for i in part] + suffix)[-len(suffix) :]
        for share in told:
            told[share] += divergence(whole, engine.logits(engine.compose(states, "blend", share), suffix))
    assert told[0.0] > told[0.15] > told[0.5] > told[1.0] and told[1.0] < 1e-6


def test_blend_changes_no_state_that_it_is_made_of(engine_of: EngineOf) -> None:
    engine = engine_of()
    states = [engine.read(part) for part in texts()]
    before = [t.clone() for state in states for page in state for t in (*page.keys, *page.values)]
    engine.compose(states, "blend", 0.3)
    assert all(torch.equal(a, b) for a, b in zip(before, [t for s in states for p in s for t in (*p.keys, *p.values)], strict=True))


@pytest.mark.parametrize("shape", ["mistral", "gemma"])
def test_windows_are_refused(engine_of: EngineOf, shape: str) -> None:
    engine = engine_of(shape)
    with pytest.raises(Unsupported, match="see a window"):
        engine.compose([engine.read([5, 6])], "block")


def test_positions_that_cannot_be_turned_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "rope_theta": 10000.0}
    engine = TorchEngine(make_model("llama", rope_parameters=rope), make_tokenizer())
    with pytest.raises(Unsupported, match="yarn"):
        engine.compose([engine.read([5, 6])], "block")
    engine = TorchEngine(make_model("llama"), make_tokenizer())
    right = compose.rotation
    monkeypatch.setattr(compose, "rotation", lambda model, place, like: right(model, place + 1, like))
    with pytest.raises(Unsupported, match="turn otherwise"):
        engine.compose([engine.read([5, 6])], "block")


def test_what_makes_no_sense_is_refused(engine_of: EngineOf) -> None:
    engine = engine_of()
    for attempt in (
        lambda: engine.compose([], "block"), lambda: engine.compose([engine.read([5])], "mean"), lambda: engine.compose([engine.read([5])], "blend", 2.0),
        lambda: engine.compose([engine.read([5, 6]), engine.read([7, 6])], "block", head=1), lambda: engine.compose([engine.read([5])], "block", head=-1),
        lambda: engine.compose([engine.read([5]), engine.read([5])], "block", head=2), lambda: engine.compose([engine.read([5]), ()], "block"),
        lambda: engine.compose([engine.read([5] * 1500), engine.read([5] * 1500)], "block"),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            attempt()
