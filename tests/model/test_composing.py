"""Several activation memories for one answer, through a cube with a real transformer: exact in prefix, and what block and blend are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from loci import MemOS, Message
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import ids_of
from loci.operation.activation import Ready
from loci.operation.composing import Wish
from loci.system import Cube
from loci.testing import ManualClock
from loci.testing.models import make_model, make_tokenizer
from loci.types import Handle, Scope

EngineOf = Callable[..., TorchEngine]
SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "The harbour opens at nine.", "Chess is on Monday.")
CONTEXT = 300
QUESTION = "Where does Ann live?"
ASKED = [Message("user", QUESTION)]
ROPES: dict[str, dict[str, Any]] = {
    "default": {}, "linear": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256,
               "rope_theta": 10000.0},
}  # fmt: skip


def told(open_vault: Callable[..., MemOS], engine: TorchEngine, clock: ManualClock) -> tuple[Cube, list[Handle]]:
    """A cube, and three activation memories of its memories, each read alone."""
    cube = open_vault(engine=engine).cube("main")
    many = []
    for text in SAID:
        clock.advance(1)
        many += cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann", session="s").ids
    return cube, [cube.activate(some, user="ann") for some in (many[:2], many[2:3], many[3:])]


@pytest.fixture
def world(open_vault: Callable[..., MemOS], engine_of: EngineOf, clock: ManualClock) -> tuple[Cube, list[Handle]]:
    return told(open_vault, engine_of(), clock)


def ready(cube: Cube, handles: Sequence[Handle], mode: str, share: float = 0.15) -> Ready:
    """The prompt as it goes to the model."""
    rows = cube._allow("generate", Scope("main", "ann")).rows
    recall = cube.search(QUESTION, user="ann")
    wish = Wish(tuple(cube.activation(handle.id) for handle in handles), mode, share)
    return cube._activations.ready_from(wish, recall, ASKED, rows, None)


def block_diagonal(engine: TorchEngine, parts: Sequence[Sequence[int]], head: int, suffix: Sequence[int]) -> torch.Tensor:
    """The logits of the suffix in one pass over all parts, each with a head of its own right before it, in which every part sees itself
    only, and the suffix the first head and everything that is no head."""
    ids = [i for part in parts for i in part] + list(suffix)
    owner, is_head, places, end = [], [], [], 0
    for number, part in enumerate(parts):
        start = end - head if number else 0
        owner += [number] * len(part)
        is_head += [number > 0 and n < head for n in range(len(part))]
        places += range(start, start + len(part))
        end = start + len(part)
    owner += [-1] * len(suffix)
    is_head += [False] * len(suffix)
    places += range(end, end + len(suffix))
    mine, hidden, order = torch.tensor(owner), torch.tensor(is_head), torch.arange(len(ids))
    of_suffix = (mine[:, None] == -1) & ~hidden[None, :]
    seen = (order[None, :] <= order[:, None]) & ((mine[None, :] == mine[:, None]) | of_suffix)
    mask = torch.zeros(1, 1, len(ids), len(ids)).masked_fill(~seen, torch.finfo(torch.float32).min)
    with torch.inference_mode():
        found = engine.model(input_ids=torch.tensor([ids]), attention_mask=mask, position_ids=torch.tensor([places]))
    return found.logits[0, -len(suffix) :].float()  # type: ignore[no-any-return]


@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("shape", ["qwen3", "llama"])
def test_block_is_the_prompt_with_a_block_diagonal_mask(
    open_vault: Callable[..., MemOS], clock: ManualClock, shape: str, rope: str
) -> None:
    engine = TorchEngine(make_model(shape, **({"rope_parameters": ROPES[rope]} if rope != "default" else {})), make_tokenizer())
    cube, handles = told(open_vault, engine, clock)
    for chosen in (handles, handles[::-1], handles[:2]):
        found = ready(cube, chosen, "block")
        assert found.attached.mode == "block" and found.attached.is_approximate and not found.attached.reread_tokens
        parts = [cube.activation(handle.id).ids for handle in chosen]
        head = len(engine.tokenize(engine.prompt("", ASKED)[1]))
        assert head > 1 and len({part[:head] for part in parts}) == 1
        joined = parts[0] + tuple(i for part in parts[1:] for i in part[head:])
        held = ids_of(found.state)
        assert joined[: len(held)] == held and len(held) >= len(joined) - 2  # but for what merges across the seam
        cut = [*parts[:-1], parts[-1][: len(parts[-1]) - (len(joined) - len(held))]]
        expected = block_diagonal(engine, cut, head, found.ids)
        assert float((engine.logits(found.state, found.ids) - expected).abs().max()) <= 1e-5


def test_the_template_begins_once(world: tuple[Cube, list[Handle]], engine_of: EngineOf) -> None:
    found = ready(*world, "block")
    prompt = engine_of().tokenizer.decode([*ids_of(found.state), *found.ids])
    assert prompt.count("<s>") == 1 and prompt.count("<|user|>") == 1 and prompt.startswith("<s>")
    assert prompt.count("<memory") == 3 and [prompt.count(text) for text in SAID] == [1] * 5
    assert prompt.index(SAID[0]) < prompt.index(SAID[2]) < prompt.index(SAID[3]) < prompt.index(QUESTION)


def test_prefix_is_exactly_the_text_of_all(world: tuple[Cube, list[Handle]], engine_of: EngineOf) -> None:
    cube, handles = world
    engine = engine_of()
    found = ready(cube, handles, "prefix")
    assert not found.attached.is_approximate and found.attached.held_tokens > 50 and found.attached.handles == (found.attached.handle,)
    whole = [*ids_of(found.state), *found.ids]
    prompt = engine.tokenizer.decode(whole)
    assert prompt.count("<memory") == 1 and [prompt.count(text) for text in SAID] == [1] * 5
    assert prompt == cube._activations.engine.prompt(prompt[prompt.index("<memory") : prompt.index("</memory>") + 9], ASKED)[0]
    difference = (engine.logits(found.state, found.ids) - engine.logits((), whole)[-len(found.ids) :]).abs().max()
    assert float(difference) <= 1e-5


def test_blend_goes_from_block_to_the_joined_text(world: tuple[Cube, list[Handle]], engine_of: EngineOf) -> None:
    engine, distances = engine_of(), []
    for share in (0.0, 0.15, 1.0):
        found = ready(*world, "blend", share)
        whole = engine.logits((), [*ids_of(found.state), *found.ids])[-len(found.ids) :]
        distances.append(float((engine.logits(found.state, found.ids) - whole).abs().max()))
        first = world[1][0].tokens
        assert found.attached.reread_tokens == round(share * (len(ids_of(found.state)) - first))
        assert found.attached.held_tokens + found.attached.reread_tokens == len(ids_of(found.state))
    assert distances[0] > 1e-2 and distances[2] <= 1e-5 and distances[2] < distances[1]
    block = ready(*world, "block")
    assert engine.logits(block.state, block.ids).equal(engine.logits(ready(*world, "blend", 0.0).state, block.ids))


@pytest.mark.parametrize(("codec", "most"), [("hidden", 1e-5), ("int8", 0.2)])
def test_coded_ones_are_put_together_too(world: tuple[Cube, list[Handle]], engine_of: EngineOf, codec: str, most: float) -> None:
    cube, handles = world
    engine, raw = engine_of(), ready(cube, handles, "block")
    coded = [cube.activate(handle.memories, user="ann", codec=codec, most_divergence=1.0) for handle in handles]
    for chosen in (coded, [handles[0], coded[1], handles[2]]):
        found = ready(cube, chosen, "block")
        assert found.attached.is_approximate and found.ids == raw.ids and ids_of(found.state) == ids_of(raw.state)
        difference = float((engine.logits(found.state, found.ids) - engine.logits(raw.state, raw.ids)).abs().max())
        assert (0 < difference <= most) if codec == "int8" else difference <= most


def test_an_answer_says_what_it_is(world: tuple[Cube, list[Handle]]) -> None:
    cube, handles = world
    ids = [handle.id for handle in handles]
    plain = cube.generate(QUESTION, user="ann", max_tokens=6)
    for mode, share in (("block", 0.15), ("blend", 0.5)):
        found = cube.generate(QUESTION, user="ann", max_tokens=6, activations=ids, compose=mode, share=share)
        attached = found.attached
        assert found.text() and (attached.mode, attached.is_approximate, attached.handles) == (mode, True, tuple(ids))
        assert attached.handle == ids[0] and "approximate" in attached.reason and (attached.reread_tokens > 0) == (mode == "blend")
    assert not plain.attached.is_approximate and plain.attached.mode == "prefix" and plain.text()


def test_use_in_a_block_changes_no_page(world: tuple[Cube, list[Handle]]) -> None:
    cube, handles = world
    ids = [handle.id for handle in handles]
    before = [cube.generate(QUESTION, user="ann", max_tokens=6, activations=[id]).text() for id in ids]
    answers = {
        cube.generate(QUESTION, user="ann", max_tokens=6, activations=ids, compose=mode).text()
        for mode in ("block", "blend")
        for _ in range(3)
    }
    assert len(answers) <= 2 and cube.verify().is_clean
    assert [cube.generate(QUESTION, user="ann", max_tokens=6, activations=[id]).text() for id in ids] == before


@pytest.mark.parametrize(
    ("shape", "changes", "why"),
    [
        ("mistral", {}, "see a window"), ("gemma", {}, "see a window"),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "rope_theta": 10000.0}}, "yarn"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_allow_it_reads_the_text(
    open_vault: Callable[..., MemOS], clock: ManualClock, shape: str, changes: dict[str, Any], why: str
) -> None:
    engine = TorchEngine(make_model(shape, **changes), make_tokenizer())
    cube, handles = told(open_vault, engine, clock)
    found = ready(cube, handles, "block")
    assert found.state == () and why in found.attached.reason and not found.attached.is_approximate
    prompt = engine.tokenizer.decode(found.ids)
    assert prompt.count("<memory") == 1 and [prompt.count(text) for text in SAID] == [1] * 5
    assert ready(cube, handles, "prefix").attached.held_tokens > 50  # which asks nothing of the model


def test_an_attention_that_takes_no_mask_reads_nothing_again(
    world: tuple[Cube, list[Handle]], engine_of: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loci.drivers.torch_kv.compose.MASKED", {"eager"})
    found = ready(*world, "blend")
    assert found.state == () and "takes no mask" in found.attached.reason
    assert ready(*world, "block").attached.is_approximate


@pytest.mark.parametrize("mode", ["block", "blend"])
@pytest.mark.parametrize("max_tokens", [8, 100])
def test_what_is_too_long_only_behind_one_another_is_read_as_text(
    open_vault: Callable[..., MemOS], clock: ManualClock, mode: str, max_tokens: int
) -> None:
    """Memories that are in both stand in both blocks, and in the text once; the answer needs its room too."""
    engine = TorchEngine(make_model("qwen3", max_position_embeddings=CONTEXT), make_tokenizer())
    cube, _ = told(open_vault, engine, clock)
    many = [memory.id for memory in cube.list(user="ann")]
    some = many if max_tokens == 8 else many[:3]
    chosen = [cube.activate(part, user="ann").id for part in (some, some[:-1])]
    found = cube.generate(QUESTION, user="ann", limit=1, max_tokens=max_tokens, activations=chosen, compose=mode)
    assert found.text() and not found.attached.is_approximate and found.attached.handle is None
    assert f"more than this model reads ({CONTEXT}): the text was read" in found.attached.reason
    if max_tokens > 8:
        shorter = cube.generate(QUESTION, user="ann", limit=1, max_tokens=8, activations=chosen, compose=mode)
        assert shorter.attached.mode == mode and shorter.attached.is_approximate
