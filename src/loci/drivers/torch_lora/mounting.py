"""Adapters mounted: on a copy of the model that shares its weights, so that the model itself never is another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from loci.drivers.torch_kv.condenser import TorchCondenser
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import KVPage, State, cache_of, state_of
from loci.drivers.torch_kv.twin import bare_copy, mark_of
from loci.drivers.torch_lora import layers, tensors
from loci.errors import Corrupt, Invalid, Unsupported
from loci.ports.adapting import Learned
from loci.ports.engine import Fingerprint

if TYPE_CHECKING:
    from loci.drivers.torch_lora.student import TorchStudent

MOST = 8  # stacks that are kept mounted; one holds modules and its adapters, no weights of the model's


class MountedEngine(TorchEngine):
    """An engine that answers with adapters. A cartridge stands before every text: its tokens are no page's and are not counted, but the room they take is."""

    def __init__(self, base: TorchEngine, model: Any, cartridge: KVPage | None, name: str) -> None:
        self._cartridge, self._named = cartridge, name
        super().__init__(model, base.tokenizer, known=base.known)

    @property
    def held(self) -> int:
        return self._cartridge.tokens if self._cartridge else 0

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Without what the tokenizer puts before every text, where a cartridge stands there: that has it already."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if self._cartridge else super().tokenize(text)

    def fingerprint(self) -> Fingerprint:
        found = super().fingerprint()
        if not self._cartridge:
            return found
        return replace(found, adapters=(*found.adapters, self._named), context=self.context)

    @property
    def context(self) -> int:
        """Less what the cartridge takes."""
        whole = super().context
        return max(whole - self.held, 1) if whole else 0

    def begin(self, state: State) -> DynamicCache:
        return cache_of((self._cartridge, *state) if self._cartridge else state, self.model.config)

    def kept(self, ids: Sequence[int], cache: Any, begun: State = (), hidden: Sequence[torch.Tensor] = ()) -> tuple[KVPage, ...]:
        return state_of(ids, cache, begun, hidden, skip=self.held)

    def student(self) -> TorchStudent:
        raise Unsupported("This engine has adapters mounted. Learn with the engine that they were mounted on.")

    def read_hidden(self, ids: Sequence[int]) -> tuple[KVPage, ...]:
        self._refuse("The codec hidden is", "raw")
        return super().read_hidden(ids)

    def is_hidden_smaller(self) -> bool:
        return not self._cartridge and super().is_hidden_smaller()

    def compose(self, states: Sequence[State], mode: str, share: float = 0.15, head: int = 0) -> tuple[KVPage, ...]:
        self._refuse("Putting states together is", "their text")
        return super().compose(states, mode, share, head)

    def condenser(self) -> TorchCondenser:
        self._refuse("A budget is", "no budget")
        return super().condenser()

    def _refuse(self, what: str, instead: str) -> None:
        if self._cartridge:
            raise Unsupported(f"{what} not for a model with a cartridge before every text. Use {instead}.")


class Mounts:
    """The last few stacks of adapters of an engine, mounted. A stack is the same in whatever order it is named: sums of floats are not, so there is one order."""

    def __init__(self, engine: TorchEngine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[object, ...], MountedEngine] = OrderedDict()

    def of(self, adapters: Sequence[Learned]) -> TorchEngine:
        """The engine with these; with none, the engine. Raises `Invalid` for one named twice, `Unsupported` for a second cartridge, and as `check_fits` does."""
        if not adapters:
            return self._engine
        stack = dict(sorted((tensors.digest(one), one) for one in adapters))
        if len(stack) < len(adapters):
            raise Invalid("An adapter is named twice in one stack; name each once.")
        if sum(one.recipe.form == "cartridge" for one in adapters) > 1:
            raise Unsupported("A text can have one cartridge before it, not several. Mount one of them, or learn their lessons together.")
        with self._lock:
            key = (self._engine.known.hash, mark_of(self._engine.model), *(p.data_ptr() for p in self._engine.model.parameters()), *stack)
            if key not in self._made:
                self._made[key] = _mounted(self._engine, stack)
            self._made.move_to_end(key)
            while len(self._made) > MOST:
                self._made.popitem(last=False)
            return self._made[key]


def _mounted(engine: TorchEngine, stack: dict[str, Learned]) -> MountedEngine:
    model, held, named = bare_copy(engine.model), None, ""
    for name, one in stack.items():
        check_fits(engine, one)
        if one.recipe.form == "cartridge":
            held, named = page_of(engine, one), f"cartridge:{name}"
        else:
            layers.inject(model, layers.config_of(engine.model, one.recipe), name, tensors.read(one.tensors))
    layers.activate(model, [name for name, one in stack.items() if one.recipe.form == "lora"])
    return MountedEngine(engine, model, held, named)


def check_fits(engine: TorchEngine, learned: Learned) -> None:
    """Raises `IncompatiblePayload` and `Corrupt` as `Student.check`, `Invalid` for a recipe that means nothing."""
    layers.check_recipe(learned.recipe)
    if learned.recipe.form == "lora":
        tensors.check(learned.tensors, layers.shapes_of(engine.model, learned.recipe), torch.float32)
    else:
        shape = next(iter(learned.tensors.values())).shape if learned.tensors else ()
        count = shape[1] if len(shape) == 3 else 0
        if not 0 < count <= (learned.recipe.tokens or count):
            raise Corrupt(
                f"This cartridge is of {count} tokens, and was to be of {learned.recipe.tokens or 'one at least'}. Learn it again."
            )
        tensors.check(learned.tensors, layers.cache_shapes(engine.fingerprint().layers, count), engine.model.dtype)


def page_of(engine: TorchEngine, learned: Learned) -> KVPage:
    """A cartridge as what stands before a text. Its tokens are nobody's words: their ids are -1."""
    found = {name: tensor.to(engine.device) for name, tensor in tensors.read(learned.tensors).items()}
    keys, values = (tuple(_parts(found, part)) for part in ("keys", "values"))
    return KVPage((-1,) * keys[0].shape[1], keys, values)


def _parts(found: dict[str, torch.Tensor], part: str) -> Iterator[torch.Tensor]:
    for number in range(len(found) // 2):
        yield found[f"layers.{number}.{part}"]
