"""A model and its tokenizer as an engine: what it has read is kept exactly, and gone on from."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
import transformers
from jinja2 import TemplateError
from transformers import DynamicCache

from loci.drivers.torch_kv import codecs, compose, hidden
from loci.drivers.torch_kv.attention import check_can
from loci.drivers.torch_kv.check import check_library
from loci.drivers.torch_kv.clocks import measure
from loci.drivers.torch_kv.condenser import TorchCondenser
from loci.drivers.torch_kv.divergence import divergence
from loci.drivers.torch_kv.fingerprint import Known, context_of, fingerprint_of, look
from loci.drivers.torch_kv.state import KVPage, State, cache_of, cut, ids_of, state_of, tokens_of
from loci.drivers.torch_kv.trial import Kept
from loci.errors import Invalid, Unsupported
from loci.ports.engine import BLOCK, Codec, Fingerprint, Rates, Tensors
from loci.types import Message

if TYPE_CHECKING:
    from loci.drivers.torch_lora.student import TorchStudent

MARK = "\u2402loci\u2403"  # stands for the memory while a template is written; no template changes it


class TorchEngine:
    """A causal model of transformers with its tokenizer, as they are loaded: weights, type and device are the caller's.

    ``is_full_hash`` looks at every byte of the weights once, where else a sample of each tensor tells models apart. Raises `Unsupported`
    on a version of transformers with which going on from a state differs from reading the whole text, and for models that cannot. ``known`` is what another engine
    knows of the same weights.
    """

    def __init__(self, model: Any, tokenizer: Any, *, is_full_hash: bool = False, known: Known | None = None) -> None:
        check_library()
        self.model, self.tokenizer = model.eval(), tokenizer
        self._known = known or look(model, is_full=is_full_hash)
        self.fingerprint()  # what is spelled out once is, before anybody waits for it
        self._rates: Rates | None = None
        self._watcher = hidden.Watcher(self.model)
        self._condenser = TorchCondenser(self)
        self._lock = threading.Lock()
        self._student: TorchStudent | None = None

    @property
    def known(self) -> Known:
        """The model's weights, and what it was made of, as last looked at."""
        return self._known

    @property
    def held(self) -> int:
        """Tokens that stand before every text, and are no page's."""
        return 0

    @property
    def name(self) -> str:
        return str(getattr(self.model.config, "_name_or_path", "") or type(self.model).__name__)

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)

    @property
    def context(self) -> int:
        """How many tokens the model reads; 0 where it does not tell."""
        return context_of(self.model)

    def tools(self) -> Mapping[str, str]:
        return {"torch": torch.__version__, "transformers": transformers.__version__}

    @property
    def _kept(self) -> Kept:
        return self._known.kept

    def fingerprint(self) -> Fingerprint:
        """As the model is now: what was mounted, added or exchanged meanwhile shows, an adapter of any kind and what its layers are told among it. Weights that
        were changed in place do after `refresh`."""
        return fingerprint_of(self.model, self.tokenizer, self._known)

    def refresh(self, *, is_full_hash: bool = False) -> None:
        """Looks at the weights again."""
        self._known = look(self.model, is_full=is_full_hash)

    # -- words and tokens ----------------------------------------------------------------------------------------------

    def prompt(self, memory: str, messages: Sequence[Message]) -> tuple[str, str]:
        """The whole prompt as the model's template spells it, and its head, which ends with ``memory``. The memory stands before the
        first message, which is the user's; without a template everything is in lines."""
        if not messages or messages[0].role != "user":
            raise Invalid("A prompt begins with a message of the user's.")
        first = messages[0].text
        if not getattr(self.tokenizer, "chat_template", None):
            lines = [f"{MARK}\n\n{first}", *(m.text for m in messages[1:])]
            whole = "\n\n".join(lines) + "\n\n"
        else:
            turns = [{"role": m.role, "content": m.text} for m in messages]
            turns[0]["content"] = f"{MARK}\n\n{first}"
            try:
                whole = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            except TemplateError as error:
                raise Invalid(f"The model's chat template does not take this conversation: {error}") from error
        head, found, rest = whole.partition(MARK)
        if not found:
            raise Unsupported("This model's chat template leaves out words of the user's message, so a memory has no place before it.")
        return f"{head}{memory}{rest}", f"{head}{memory}"

    def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a prompt. A template spells its special tokens itself; without one the tokenizer adds its own."""
        has_template = bool(getattr(self.tokenizer, "chat_template", None))
        return tuple(self.tokenizer(text, add_special_tokens=not has_template)["input_ids"])

    # -- reading -------------------------------------------------------------------------------------------------------

    def read(self, ids: Sequence[int], after: State = ()) -> tuple[KVPage, ...]:
        cache, whole = self.begin(after), (*ids_of(after), *ids)
        self.check_room(len(whole))
        with torch.inference_mode():
            self._forward(ids, cache)
            return self.kept(whole, cache, after)

    def read_hidden(self, ids: Sequence[int]) -> tuple[KVPage, ...]:
        cache = self.begin(())
        self.check_room(len(ids))
        with torch.inference_mode(), self._watcher.watching() as found:
            self._forward(ids, cache)
            return self.kept(ids, cache, (), found)

    def begin(self, state: State) -> DynamicCache:
        """A cache that goes on from a state."""
        return cache_of(state, self.model.config)

    def kept(self, ids: Sequence[int], cache: DynamicCache, begun: State = (), hidden: Sequence[torch.Tensor] = ()) -> tuple[KVPage, ...]:
        """The state that a cache holds of these tokens."""
        return state_of(ids, cache, begun, hidden)

    def compose(self, states: Sequence[State], mode: str, share: float = 0.15, head: int = 0) -> tuple[KVPage, ...]:
        """States behind one another though each was read alone: ``block`` turns them to their places, ``blend`` reads ``share`` of the
        tokens again as well. Neither is what reading the joined text gives. The ``head`` that all begin with stays with the first."""
        if mode not in ("block", "blend"):
            raise Invalid(f"mode is {mode!r}; states are put together by block or blend.")
        compose.check_states(states, head)
        self.check_room(len(compose.joined_ids(states, head)))
        with torch.inference_mode():
            if mode == "block":
                return compose.block(self.model, states, head)
            return compose.blend(self.model, states, share, head)

    def cut(self, state: State, tokens: int) -> tuple[KVPage, ...]:
        return cut(state, tokens)

    def logits(self, state: State, ids: Sequence[int], keep: int = 0) -> torch.Tensor:
        """The logits of these tokens, which follow those of the state: [tokens, vocabulary], float32; of the last ``keep`` (0: all)."""
        with torch.inference_mode():
            return self._forward(ids, self.begin(state), keep).float()

    def condenser(self) -> TorchCondenser:
        """The same model for texts of which only a budget is kept. Raises `Unsupported` where it cannot have one."""
        check_can(self.model)
        return self._condenser

    def student(self) -> TorchStudent:
        """The same model as one that learns. Raises `Unsupported` where peft is not installed."""
        if find_spec("peft") is None:
            raise Unsupported("Learning needs peft: pip install 'loci-memos[parametric]'.")
        from loci.drivers.torch_lora.student import TorchStudent

        with self._lock:
            self._student = self._student or TorchStudent(self)
            return self._student

    def _forward(self, ids: Sequence[int], cache: Any, keep: int = 1) -> torch.Tensor:
        return self.forward(self.model, ids, cache, keep)

    def forward(self, model: Any, ids: Sequence[int], cache: Any, keep: int) -> torch.Tensor:
        """The logits of the last ``keep`` of these tokens (0: all), [tokens, vocabulary], by the model or one that shares its weights."""
        row = torch.tensor([list(ids)], dtype=torch.long, device=self.device)
        found = model(input_ids=row, past_key_values=cache, use_cache=True, logits_to_keep=keep).logits[0]
        assert isinstance(found, torch.Tensor)
        return found

    def check_room(self, tokens: int) -> None:
        """Raises `Invalid` for more tokens than the model reads."""
        if self.context and tokens > self.context:
            raise Invalid(
                f"{tokens} tokens are more than this model reads ({self.context}). Choose fewer memories (a smaller budget_tokens, --budget-tokens), or a shorter question."
            )

    # -- keeping -------------------------------------------------------------------------------------------------------

    def is_hidden_smaller(self) -> bool:
        return hidden.is_smaller(self.model, self._kept.layers)

    def encode(self, page: KVPage, codec: Codec) -> Tensors:
        return codecs.encode_hidden(page) if codec.name == "hidden" else codecs.encode(page, codec)

    def decode(self, ids: Sequence[int], start: int, codec: Codec, tensors: Tensors) -> KVPage:
        if not ids:
            return self.fetch(codecs.decode_end(tensors, self._kept.ends))
        if codec.name != "hidden":
            return self.fetch(codecs.decode(ids, codec, tensors, self._kept.layers, self.model.dtype))
        size = self.model.config.get_text_config(decoder=True).hidden_size
        inputs = codecs.decode_hidden(ids, tensors, len(self._kept.layers), size, self.model.dtype)
        with torch.inference_mode():
            keys, values = hidden.rebuilt(self.model, [x.to(self.device) for x in inputs], start)
        return KVPage(tuple(ids), tuple(keys), tuple(values))

    def park(self, page: KVPage) -> KVPage:
        return page.each(lambda t: t.cpu().pin_memory()) if self.device.type == "cuda" else page

    def fetch(self, page: KVPage) -> KVPage:
        return page.each(lambda t: t.to(self.device, non_blocking=True)) if self.device.type != "cpu" else page

    def rates(self) -> Rates:
        with self._lock:
            if self._rates is None:
                self._rates = measure(self)
            return self._rates

    def compare(self, state: State, other: State) -> Mapping[str, float]:
        """What the difference of two states of the same tokens does to the next ``BLOCK`` tokens, for which the first of the text stand:
        the mean divergence (``kl``, nats), the largest difference of ``logits``, the share of equal best tokens (``argmax``), the
        largest error of an element of keys and of values, what the codec had promised, and the largest error beside the largest element of the same
        head."""
        probe, pairs = ids_of(state)[:BLOCK], list(zip(state, other, strict=True))
        texts = [(one, two) for one, two in pairs if one.ids]
        return {
            **divergence(self.logits(state, probe), self.logits(other, probe)),
            "key_error": max(_distance(a.keys, b.keys) for a, b in texts),
            "key_bound": max(b.bounds[0] for _, b in texts),
            "key_share": _share([(a.keys, b.keys) for a, b in texts]),
            "value_error": max(_distance(a.values, b.values) for a, b in texts),
            "value_bound": max(b.bounds[1] for _, b in texts),
            "value_share": _share([(a.values, b.values) for a, b in texts]),
            "end_share": max((_part(a.ends[name].float(), b.ends[name].float()) for a, b in pairs for name in a.ends), default=0.0),
        }  # fmt: skip

    # -- answering -----------------------------------------------------------------------------------------------------

    def generate(self, state: State, ids: Sequence[int], *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> Iterator[str]:
        """The answer in pieces of text, until the model ends it or ``max_tokens``. Temperature 0 takes the best token each time."""
        return self.answered(self.model, self.begin(state), tokens_of(state), ids, max_tokens, temperature, seed)

    def answered(self, model: Any, cache: Any, seen: int, ids: Sequence[int], limit: int, temperature: float, seed: int) -> Iterator[str]:
        """The same from a cache that has seen so many tokens, by the model or one that shares its weights."""
        if not ids:
            raise Invalid("An answer needs at least one token that is read for it.")
        self.check_room(seen + len(ids) + limit)
        answer: list[int] = []
        told = ""
        for token in self._tokens(model, cache, ids, limit, temperature, seed):
            answer.append(token)
            text = self.tokenizer.decode(answer, skip_special_tokens=True)
            if not text.endswith("\ufffd"):  # a letter of which bytes are still to come
                yield text[len(told) :]
                told = text
        rest = self.tokenizer.decode(answer, skip_special_tokens=True)[len(told) :]
        if rest:
            yield rest

    def _tokens(self, model: Any, cache: Any, ids: Sequence[int], limit: int, temperature: float, seed: int) -> Iterator[int]:
        chance = torch.Generator(device=self.device).manual_seed(seed)
        ends = self.model.generation_config.eos_token_id
        ends = set(ends) if isinstance(ends, list) else {ends}
        for _ in range(limit):
            with torch.inference_mode():
                logits = self.forward(model, ids, cache, 1)[-1].float()
            if temperature > 0:
                token = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=chance))
            else:
                token = int(logits.argmax())
            if token in ends:
                return
            yield token
            ids = (token,)


def _share(pairs: Sequence[tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]]) -> float:
    """The largest error of any head, beside what is largest in it: pages of layers of [heads, tokens, width]; 0 where there are none."""
    shares = [0.0]
    for layer in range(len(pairs[0][0]) if pairs else 0):
        both = [(a[layer].float(), b[layer].float()) for a, b in pairs if a[layer].numel()]
        if both:
            error = torch.stack([(a - b).abs().amax((1, 2)) for a, b in both]).amax(0)
            size = torch.stack([a.abs().amax((1, 2)) for a, _ in both]).amax(0)
            shares.append(float((error / size.clamp_min(1e-12)).max()))
    return max(shares, key=lambda share: math.inf if math.isnan(share) else share)


def _part(one: torch.Tensor, two: torch.Tensor) -> float:
    """The largest error, beside what is largest."""
    share = float((one - two).abs().max() / one.abs().max().clamp_min(1e-12))
    return math.inf if math.isnan(share) else share


def _distance(one: Sequence[torch.Tensor], two: Sequence[torch.Tensor]) -> float:
    return max((float((a.float() - b.float()).abs().max()) for a, b in zip(one, two, strict=True) if a.numel()), default=0.0)
