"""A stored activation equals its text: what follows a state is what follows the text that it is of, wherever the seam is."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from loci.drivers.torch_kv import check
from loci.drivers.torch_kv import state as states
from loci.drivers.torch_kv.ends import fresh
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import ids_of, tokens_of
from loci.errors import Invalid, Unsupported
from loci.memories.activation import agreed
from loci.ports.engine import Codec
from loci.testing.models import SHAPES, make_model, make_tokenizer
from loci.types import Message

EngineOf = Callable[..., TorchEngine]
DIVERGENCE = 1e-4  # nats a token, from the whole text, in bfloat16
TOLERANCE = 5e-6  # of logits; the noise of reading the same text in other parts is 1.5e-6
ENDED = {"qwen3.5", "lfm2"}  # shapes with layers that hold one state of the whole text
ROUGH = {"gemma4": 4, "qwen3.5": 20}  # times as much: what the library itself makes of a text in two parts, bit by bit (below)


def tokens(seed: int, length: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(5, 400) for _ in range(length)]


def spread(engine: TorchEngine, ids: list[int]) -> float:
    """How much the logits vary at all: a difference means nothing where they do not."""
    return float(engine.logits((), ids).std())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_after_a_state_are_those_of_the_whole_text(engine_of: EngineOf, shape: str, attention: str) -> None:
    engine, ids = engine_of(shape, attention=attention), tokens(1, 260)
    whole = engine.logits((), ids)
    assert whole.std() > 0.1
    for seam in (1, 2, 47, 48, 63, 64, 65, 128, 200, 259):
        found = engine.logits(engine.read(ids[:seam]), ids[seam:])
        assert float((found - whole[seam:]).abs().max()) <= TOLERANCE * ROUGH.get(shape, 1)
        assert torch.equal(found.argmax(-1), whole[seam:].argmax(-1))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_state_that_was_cut_or_grown_in_steps_is_the_state_of_those_tokens(engine_of: EngineOf, shape: str) -> None:
    engine, ids = engine_of(shape), tokens(2, 200)
    whole = engine.logits((), ids)
    read = engine.read(ids[:180])
    if shape in ENDED:
        with pytest.raises(Invalid, match="hold what all 180 tokens made of them"):
            engine.cut(read, 120)
        assert engine.cut(read, 180) == read and engine.cut(read, 0) == ()
    cut = engine.cut(read, 120) if shape not in ENDED else engine.read(ids[:120])
    grown = engine.read(ids[90:120], engine.read(ids[60:90], engine.read(ids[:60])))
    for state in (cut, grown):
        assert ids_of(state) == tuple(ids[:120])
        assert float((engine.logits(state, ids[120:]) - whole[120:]).abs().max()) <= TOLERANCE * ROUGH.get(shape, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_answer_is_the_same_for_a_hundred_prompts(engine_of: EngineOf, shape: str) -> None:
    engine = engine_of(shape)
    for seed in range(100):
        ids = tokens(seed, 40 + seed)
        seam = random.Random(seed).randrange(1, len(ids))
        assert list(engine.generate(engine.read(ids[:seam]), ids[seam:], max_tokens=5)) == list(engine.generate((), ids, max_tokens=5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_bit_by_bit_what_the_library_makes_of_the_same_seam(
    engine_of: EngineOf, shape: str, attention: str, dtype: torch.dtype
) -> None:
    """In bfloat16 the library itself answers otherwise where a text is read in two parts. That noise, at the very seam, is all there is."""
    engine, ids = engine_of(shape, dtype=dtype, attention=attention), tokens(3, 240)

    def stock(ids: list[int], cache: Any = None) -> torch.Tensor:
        with torch.inference_mode():
            found: torch.Tensor = engine.model(torch.tensor([ids]), past_key_values=cache, use_cache=cache is not None).logits[0].float()
        return found

    whole = stock(ids).log_softmax(-1)
    for seam in (1, 2, 47, 48, 63, 64, 65, 120, 128, 200, 239):
        found, cache = engine.logits(engine.read(ids[:seam]), ids[seam:]), fresh(engine.model.config)
        stock(ids[:seam], cache)
        assert torch.equal(found, stock(ids[seam:], cache))
        after = whole[seam:]
        assert float((after.exp() * (after - found.log_softmax(-1))).sum(-1).mean()) <= DIVERGENCE * ROUGH.get(shape, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_state_is_never_changed_by_its_use(engine_of: EngineOf, shape: str) -> None:
    engine, ids = engine_of(shape), tokens(4, 100)
    state = engine.read(ids)
    before = [t.clone() for page in state for t in (*page.keys, *page.values, *page.ends.values())]
    first = engine.logits(state, [7, 8, 9])
    for _ in range(20):
        assert torch.equal(engine.logits(state, [7, 8, 9]), first)
        "".join(engine.generate(state, [5], max_tokens=4))
        engine.read([11, 12], state)
    after = [t for page in state for t in (*page.keys, *page.values, *page.ends.values())]
    assert tokens_of(state) == 100 and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


# -- seams ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_template", [True, False])
def test_tokens_that_merge_across_the_seam_are_cut_back(has_template: bool) -> None:
    """Whatever the memory ends with and the question begins with, what is held is a beginning of the prompt's own tokens."""
    tokenizer = make_tokenizer() if has_template else make_tokenizer(None)
    engine = TorchEngine(make_model("llama"), tokenizer)
    chance, is_cut = random.Random(5), 0
    for _ in range(60):
        memory = "".join(chance.choice([" the", " har", "bour", "\n", " ", "A", "nn", " mem", "ory", "<", "😀", "é"]) for _ in range(30))
        question = "".join(chance.choice(["\n", " ", "the", "ory", "nn", "n", "😀", ">"]) for _ in range(8))
        whole, head = engine.prompt(memory, [Message("user", question)])
        assert whole.startswith(head) and head.endswith(memory)
        held, ids = engine.tokenize(head), engine.tokenize(whole)
        n = agreed(held, ids)
        is_cut += n < len(held)
        state = engine.cut(engine.read(held), n) if n else ()
        assert float((engine.logits(state, ids[n:]) - engine.logits((), ids)[n:]).abs().max()) <= TOLERANCE
    assert is_cut or has_template, "no seam merged: the test shows nothing"


def test_the_head_of_a_prompt_is_the_same_whatever_follows(engine_of: EngineOf) -> None:
    engine = engine_of()
    heads = {
        engine.prompt("What Ann said.", messages)[1]
        for messages in ([Message("user", "a")], [Message("user", "b"), Message("assistant", "c"), Message("user", "d")])
    }
    assert len(heads) == 1
    with pytest.raises(Invalid, match="begins with a message of the user's"):
        engine.prompt("x", [Message("assistant", "a")])


def test_a_template_that_hides_the_memory_is_refused() -> None:
    engine = TorchEngine(make_model("llama"), make_tokenizer("{{ messages | length }}"))
    with pytest.raises(Unsupported, match="leaves out words"):
        engine.prompt("What Ann said.", [Message("user", "a")])


@pytest.mark.parametrize("template", ["{{ raise_exception('roles must alternate') }}", "{% for m in messages %}{{ m"])
def test_a_conversation_that_the_template_does_not_take_is_told(template: str) -> None:
    engine = TorchEngine(make_model("llama"), make_tokenizer(template))
    with pytest.raises(Invalid, match=r"template does not take this conversation: (roles must alternate|unexpected end)"):
        engine.prompt("What Ann said.", [Message("user", "a"), Message("user", "b")])


# -- what cannot be exact is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_positions_that_depend_on_the_length_are_refused(kind: str) -> None:
    rope: dict[str, Any] = {"rope_type": kind, "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 512}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
    with pytest.raises(Unsupported, match="depend on how long"):
        TorchEngine(make_model("llama", rope_parameters=rope), make_tokenizer())


@pytest.mark.parametrize(
    ("family", "changes", "told"),
    [
        ("Bert", {"is_decoder": False}, "no causal model"),  # every token sees those that follow
        ("OpenAIGPT", {}, "elsewhere than in the library's cache|otherwise than at once"),  # has no cache at all
        ("Mamba", {}, "elsewhere than in the library's cache"),
        ("DeepseekV32", {}, "layers of (indexed|deepseek_sparse).attention"),  # an index decides what is seen
        ("RecurrentGemma", {"head_dim": 16}, "does not go on exactly"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_does_not_go_on_from_what_it_has_read_is_refused(
    family: str, changes: dict[str, Any], told: str, dtype: torch.dtype
) -> None:
    if not hasattr(transformers, f"{family}Config"):
        pytest.skip(f"the installed transformers has no {family}")
    config = getattr(transformers, f"{family}Config")(
        vocab_size=512, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, n_layer=2, n_head=4,
        n_embd=64, **changes,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config).to(dtype)
    with pytest.raises(Unsupported, match=told):
        TorchEngine(model, make_tokenizer())


@pytest.mark.parametrize(
    ("shape", "lost"),
    [("qwen3.5", "conv"), ("qwen3.5", "S"), ("qwen3.5", "both"), ("lfm2", "conv"), ("lfm2 whose last layer it is", "conv")],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_library_that_forgets_what_a_layer_holds_is_refused(
    engine_of: EngineOf, monkeypatch: pytest.MonkeyPatch, shape: str, lost: str, dtype: torch.dtype
) -> None:
    """As some versions do where more than one token follows. What a convolution has lost shows in the two or three tokens behind the seam."""
    name, *last = shape.split(" ", 1)
    engine_of(name)
    model, right = make_model(name, dtype=dtype, **({"layer_types": ["full_attention"] * 2 + ["conv"]} if last else {})), states.restore
    TorchEngine(model, make_tokenizer())

    def forgetful(layer: Any, number: int, ends: dict[str, torch.Tensor]) -> None:
        right(layer, number, {name: torch.zeros_like(t) if lost in ("both", name.split(".")[1]) else t for name, t in ends.items()})

    monkeypatch.setattr(states, "restore", forgetful)
    with pytest.raises(Unsupported, match="otherwise than at once"):
        TorchEngine(model, make_tokenizer())


def test_what_a_model_keeps_is_looked_at_again_with_its_weights(engine_of: EngineOf) -> None:
    engine_of("qwen3.5")
    engine = TorchEngine(make_model("qwen3.5"), make_tokenizer())
    engine.model.to(torch.bfloat16)
    engine.refresh()
    *_, end = engine.read(range(5, 105))
    assert engine.decode((), 100, Codec(), engine.encode(end, Codec())).ends["L0.conv"].dtype == torch.bfloat16


def test_what_needs_layers_that_are_alike_is_refused_where_some_look_at_the_keys_of_others(engine_of: EngineOf) -> None:
    engine_of("gemma4")
    engine = TorchEngine(make_model("gemma4", layer_types=["full_attention"] * 4), make_tokenizer())
    with pytest.raises(Unsupported, match="not all alike"):
        engine.read_hidden(range(5, 40))
    with pytest.raises(Unsupported, match="keys of others"):
        engine.condenser()


@pytest.mark.parametrize("words", [2, 8, 13, 14, 61])
def test_a_small_vocabulary_is_no_hindrance(words: int) -> None:
    assert TorchEngine(make_model("llama", vocab_size=words), make_tokenizer()).fingerprint().layers[0].kind == "full"


def test_a_model_whose_logits_are_no_numbers_is_told() -> None:
    model = make_model("qwen3")
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(Unsupported, match="no numbers"):
        TorchEngine(model, make_tokenizer())


def test_more_than_the_model_reads_is_refused(engine_of: EngineOf) -> None:
    engine = engine_of()
    with pytest.raises(Invalid, match="more than this model reads"):
        engine.read([5] * 2049)
    with pytest.raises(Invalid, match="more than this model reads"):
        list(engine.generate(engine.read([5] * 2000), [5] * 40, max_tokens=20))


def test_a_library_with_which_it_is_not_exact_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check.check_library.cache_clear()
    right = check.cut
    monkeypatch.setattr(check, "cut", lambda state, n: right(state, n - 1))  # as if the cache lost a token
    try:
        assert check.measure() > 1e-3
        with pytest.raises(Unsupported, match="read in two parts differs"):
            TorchEngine(make_model("llama"), make_tokenizer())
    finally:
        check.check_library.cache_clear()


def test_a_library_that_breaks_in_the_check_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check.check_library.cache_clear()

    def renamed(*_: object) -> None:
        raise AttributeError("'DynamicCache' object has no attribute 'layers'")

    monkeypatch.setattr(check, "state_of", renamed)
    try:
        with pytest.raises(Unsupported, match="has no attribute 'layers'"):
            TorchEngine(make_model("llama"), make_tokenizer())
    finally:
        check.check_library.cache_clear()
