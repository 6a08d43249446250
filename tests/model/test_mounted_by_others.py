"""What somebody mounts on a model beside Loci, of whatever kind, is seen: the text is read, and the answer is the text's."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import peft
import pytest
import torch

from loci import MemOS, Message
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.fingerprint import look
from loci.errors import Unsupported
from loci.ports.adapting import Lesson, Recipe
from loci.ports.engine import Rates, Tier
from loci.system import Cube
from loci.testing.models import SHAPES, make_model, make_tokenizer

SAID = ("I live in Oslo and bake bread there every day of the week.", "My brother Ben lives in Rome and likes green tea very much.")
TARGETS = ["q_proj", "k_proj", "v_proj"]
KINDS: dict[str, Callable[[], Any]] = {
    "lora": lambda: peft.LoraConfig(target_modules=TARGETS, r=4),
    "dora": lambda: peft.LoraConfig(target_modules=TARGETS, r=4, use_dora=True),
    "ia3": lambda: peft.IA3Config(target_modules=TARGETS, feedforward_modules=[]),
    "loha": lambda: peft.LoHaConfig(target_modules=TARGETS, r=4),
    "lokr": lambda: peft.LoKrConfig(target_modules=TARGETS, r=4),
    "oft": lambda: peft.OFTConfig(target_modules=TARGETS, r=0, oft_block_size=8),
    "vera": lambda: peft.VeraConfig(target_modules=["k_proj", "v_proj"], r=4),
    "a module kept whole": lambda: peft.LoraConfig(target_modules=["k_proj"], modules_to_save=["lm_head"], r=4),
    "tokens": lambda: peft.LoraConfig(target_modules=["k_proj"], trainable_token_indices=[5, 6, 7], r=4),
}


def mounted(model: Any, kind: str, name: str = "default", seed: int = 1) -> Any:
    """By peft, with weights as if it had learned something."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = peft.get_peft_model(model, KINDS[kind](), adapter_name=name)
    learned(whole, seed)
    return whole


def learned(whole: Any, seed: int) -> None:
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in whole.parameters():
            if parameter.requires_grad:
                parameter.add_(0.25 * torch.randn_like(parameter))


def scale_of(whole: Any, factor: float) -> None:
    for module in whole.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling.update({name: factor * scale for name, scale in module.scaling.items()})


def made() -> tuple[Any, TorchEngine]:
    model = make_model("qwen3")
    return model, TorchEngine(model, make_tokenizer())


@pytest.fixture
def opened(open_vault: Callable[..., MemOS]) -> Callable[[TorchEngine], Cube]:
    """A cube in which Ann's words were activated for this engine."""

    def make(engine: TorchEngine) -> Cube:
        engine._rates = Rates(0.1, 1e-3, 0.0, 0.0, Tier(0.0, 1e12), Tier(0.0, 1e12))  # as if loading took no time
        cube = open_vault(engine=engine).cube("main")
        cube.activate([cube.add(Message("user", text, speaker="Ann"), user="ann").ids[0] for text in SAID], user="ann")
        return cube

    return make


def check_reads_the_text(cube: Cube) -> None:
    (handle,) = cube.activations(user="ann")
    found = cube.generate("Where does Ben live?", user="ann", max_tokens=12)
    text = found.text()
    assert found.attached.handle is None and "It was read with adapters " in found.attached.reason
    anew = cube.activate(handle.memories, user="ann")
    again = cube.generate("Where does Ben live?", user="ann", max_tokens=12)
    assert again.text() == text and again.attached.handle == anew.id != handle.id


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_mounted_after_the_memory_was_read_has_the_text_read(opened: Callable[[TorchEngine], Cube], kind: str) -> None:
    model, engine = made()
    cube, before = opened(engine), engine.logits((), range(5, 60))
    mounted(model, kind)
    assert float((engine.logits((), range(5, 60)) - before).abs().max()) > 1e-2, "the adapter does nothing: the test shows nothing"
    check_reads_the_text(cube)


def test_another_scale_of_the_same_adapter_has_the_text_read(opened: Callable[[TorchEngine], Cube]) -> None:
    model, engine = made()
    whole = mounted(model, "lora")
    cube = opened(engine)
    scale_of(whole, 4.0)
    check_reads_the_text(cube)


class Louder(torch.nn.Module):
    """A layer of somebody's own, in the place of another."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner, self.gain = inner, torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, x: torch.Tensor) -> Any:
        return self.gain * self.inner(x)


def test_a_layer_of_ones_own_has_the_text_read_and_so_does_another_gain(opened: Callable[[TorchEngine], Cube]) -> None:
    model, engine = made()
    cube = opened(engine)
    layer = model.model.layers[1]
    layer.mlp = Louder(layer.mlp)
    first = engine.fingerprint().adapters
    assert len(first) == 1 and first[0].startswith("model.layers.1.mlp and ")
    with torch.no_grad():
        layer.mlp.gain.mul_(2)
    assert engine.fingerprint().adapters != first
    check_reads_the_text(cube)


def test_a_parameter_more_and_another_class_of_module_show_and_go_with_it() -> None:
    model, engine = made()
    bare = engine.fingerprint()
    layer = model.model.layers[0]
    layer.self_attn.register_parameter("gate", torch.nn.Parameter(torch.ones(4)))
    assert engine.fingerprint().adapters[0].startswith("model.layers.0.self_attn.gate:")
    del layer.self_attn.gate
    was, layer.mlp.act_fn = layer.mlp.act_fn, torch.nn.Tanh()
    assert engine.fingerprint().adapters[0].startswith("model.layers.0.mlp.act_fn:")
    engine.refresh()
    assert engine.fingerprint().adapters == ()  # this is how it is made now
    layer.mlp.act_fn = was
    engine.refresh()
    assert engine.fingerprint() == bare


def test_a_strange_layer_that_was_there_before_the_engine_is_in_the_hash_of_the_model() -> None:
    plain, _ = made()
    model = make_model("qwen3")

    class Loud(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * torch.nn.functional.silu(x)

    model.model.layers[0].mlp.act_fn = Loud()
    assert look(model, is_full=True).hash != look(plain, is_full=True).hash


@pytest.mark.parametrize("kind", KINDS)
def test_a_fingerprint_follows_what_is_in_use(kind: str) -> None:
    model, engine = made()
    bare = engine.fingerprint()
    whole = mounted(model, kind)
    seen = [engine.fingerprint()]
    assert [name.partition(":")[0] for name in seen[0].adapters] == ["default"]
    assert engine.fingerprint() == seen[0], "asked twice, it says the same"
    learned(whole, 2)
    seen.append(engine.fingerprint())
    with whole.disable_adapter():
        assert engine.fingerprint() == bare
    assert engine.fingerprint() == seen[1] != seen[0]
    later = TorchEngine(model, make_tokenizer())  # the model was never seen without
    assert later.fingerprint() == seen[1], "whichever came first, the engine or the adapter"


@pytest.mark.parametrize("kind", ["lora", "ia3", "loha", "lokr", "oft"])
def test_scale_order_and_what_is_merged_are_in_the_fingerprint(kind: str) -> None:
    model, engine = made()
    whole = mounted(model, kind)
    alone = engine.fingerprint()
    whole.add_adapter("other", KINDS[kind]())
    assert engine.fingerprint() == alone, "one that is not in use changes nothing"
    whole.set_adapter("other")
    learned(whole, 3)
    other = engine.fingerprint()
    whole.base_model.set_adapter(["default", "other"])
    both = engine.fingerprint()
    whole.base_model.set_adapter(["other", "default"])
    turned = engine.fingerprint()
    whole.set_adapter("default")
    assert engine.fingerprint() == alone
    whole.merge_adapter()
    merged = engine.fingerprint()
    whole.unmerge_adapter()
    assert engine.fingerprint() == alone
    seen = [alone, other, both, turned, merged]
    if kind not in ("ia3", "oft"):  # they have no scale
        scale_of(whole, 3.0)
        seen.append(engine.fingerprint())
    assert len({found.adapters for found in seen}) == len(seen)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_bare_model_has_none_and_use_mounts_none(engine_of: Callable[..., TorchEngine], shape: str) -> None:
    engine_of(shape)
    model = make_model(shape)
    engine = TorchEngine(model, make_tokenizer())
    before = engine.fingerprint()
    if engine.is_hidden_smaller():
        engine.read_hidden(list(range(5, 40)))
    "".join(engine.generate((), [5, 6], max_tokens=2))
    assert engine.fingerprint() == before and before.adapters == ()


@pytest.mark.parametrize("kind", ["loha", "ia3"])
def test_a_model_with_an_adapter_of_another_kind_does_not_learn(kind: str) -> None:
    model, engine = made()
    mounted(model, kind)
    with pytest.raises(Unsupported, match="Unload"):
        engine.student().learn([Lesson("a", "Where? ", "Oslo")], [], Recipe())


# -- adapters that stay outside of the model ---------------------------------------------------------------------------------


class Side(torch.nn.Module):
    """A low-rank module beside a layer, in the manner of kohya's and LyCORIS's: the model does not hold it."""

    def __init__(self, layer: torch.nn.Linear, seed: int = 1, multiplier: float = 4.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.down, self.up = torch.nn.Linear(layer.in_features, 4, bias=False), torch.nn.Linear(4, layer.out_features, bias=False)
        self.multiplier, self.before = multiplier, layer.forward

    def delta(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.multiplier * self.up(self.down(x))
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.before(x) + self.delta(x)


def instead(layer: torch.nn.Linear, side: Side) -> Callable[[], None]:
    layer.forward = side.forward  # type: ignore[method-assign]
    return lambda: layer.__dict__.pop("forward")


def behind(layer: torch.nn.Linear, side: Side) -> Callable[[], None]:
    return layer.register_forward_hook(lambda module, given, made: made + side.delta(given[0])).remove


def before(layer: torch.nn.Linear, side: Side) -> Callable[[], None]:
    return layer.register_forward_pre_hook(lambda module, given: (side.multiplier * given[0],)).remove


@dataclass
class Added:
    """A hook that is an object."""

    side: Side

    def __call__(self, module: Any, given: Any, made: torch.Tensor) -> torch.Tensor:
        return made + self.side.delta(given[0])


def by_object(layer: torch.nn.Linear, side: Side) -> Callable[[], None]:
    return layer.register_forward_hook(Added(side)).remove


def wrapped(layer: torch.nn.Linear, side: Side) -> Callable[[], None]:
    """It says that it is the library's own."""

    @functools.wraps(layer.forward)
    def forward(x: torch.Tensor) -> torch.Tensor:
        return side(x)

    layer.forward = torch.no_grad()(forward)  # type: ignore[method-assign]
    return lambda: layer.__dict__.pop("forward")


@pytest.mark.parametrize("how", [instead, behind, before, by_object, wrapped])
def test_what_comes_between_a_layer_and_its_caller_is_seen(
    how: Callable[..., Callable[[], None]], open_vault: Callable[..., MemOS]
) -> None:
    model, engine = made()
    bare = engine.fingerprint()
    cube = open_vault(engine=engine).cube("main")
    handle = cube.activate([cube.add(Message("user", text, speaker="Ann"), user="ann").ids[0] for text in SAID], user="ann")
    asked = lambda: cube.generate("Where does Ben live?", user="ann", max_tokens=8)  # noqa: E731
    without = asked()
    assert without.text() and without.attached.handle == handle.id
    layers = [layer.self_attn.v_proj for layer in model.model.layers]
    undo = [how(layer, Side(layer)) for layer in layers]
    answer = asked()
    assert answer.attached.handle is None and "(hooked)" in answer.attached.reason and answer.text() != without.text()
    mounted_ = engine.fingerprint()
    assert mounted_.adapters and mounted_.model == bare.model
    for take_off in undo:
        take_off()
    assert engine.fingerprint() == bare and asked().attached.handle == handle.id
    for side in (lambda layer: Side(layer, seed=2), lambda layer: Side(layer, multiplier=2.0)):
        undo = [how(layer, side(layer)) for layer in layers]
        assert engine.fingerprint().adapters != mounted_.adapters, "other weights, or another scale"
        for take_off in undo:
            take_off()


def test_a_model_that_came_with_it_is_another_model() -> None:
    model, _ = made()
    bare = look(model, is_full=True).hash
    layer = model.model.layers[0].self_attn.v_proj
    behind(layer, Side(layer))
    first = look(model, is_full=True).hash
    other, _ = made()
    behind(other.model.layers[0].self_attn.v_proj, Side(other.model.layers[0].self_attn.v_proj))
    assert first != bare and look(other, is_full=True).hash == first, "the same again, in another process too"


def test_hooks_that_only_look_on_are_none_of_it() -> None:
    model, engine = made()
    bare = engine.fingerprint()
    model.enable_input_require_grads()  # a hook of transformers
    assert engine.fingerprint() == bare
