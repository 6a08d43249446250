"""The compressor of a bank: the model with small deltas on its weights (LoRA), and a few learned tokens among those of the document.

What a document is found by is the mean of their last states, read through a learned matrix, so that to be found and to be told pull on different weights.

None of them touches the model. Two copies of it share its tensors and have parameters of their own: one has the deltas and does nothing but
compress, the other has none and reads questions behind a prefix. So the deltas are active exactly while something is compressed, whatever others
do with the model meanwhile.

A document is cut into m equal parts, and a memory token stands behind each: it sees the document up to there, its own part nearest (as the beacons of Zhang et al., arXiv 2401.03462, do). All m begin as the same
vector, the mean of the model's words, so it is their places that make them different. Where they begin as different words, or stand behind the document, how much they keep is chance (design/029).

The keys of an entry are turned to places 0 to m - 1. Rotary positions are relative, so wherever the document was read it is the same entry, to rounding; and it serves at place p when its keys are turned by p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import DynamicCache

from loci.drivers.torch_kv.compose import check_turning, rotation, rotations, turned
from loci.drivers.torch_kv.fingerprint import fingerprint_of, look
from loci.drivers.torch_kv.twin import bare_copy
from loci.errors import Invalid, Unsupported

ALPHA = 2  # of the deltas, times their rank


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a compressor is: so many memory ``tokens``, deltas of ``rank`` on the linear layers whose names end like this; questions are matched by their states
    after so many layers (``matched``; -1: after all, where a model may have forgotten who was asked about). A document has ``longest`` tokens at most."""

    tokens: int = 8
    rank: int = 16
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    matched: int = -1
    longest: int = 4096

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.rank < 1 or not self.targets or self.longest < 1 or self.matched < -1:
            raise Invalid(f"A compressor needs a memory token, a rank, layers and documents of a token at least: {self}.")


class TorchCompressor:
    """A causal model of transformers that compresses. Untrained it compresses to nothing of use: `training.train`. Compressing and asking may be done by
    several threads at once, but not while it is trained.

    Raises `Unsupported` for a model whose keys cannot be turned, or that has no such layers.
    """

    def __init__(self, model: Any, tokenizer: Any, recipe: Recipe | None = None, *, seed: int = 0, is_full_hash: bool = False) -> None:
        with torch.no_grad():
            check_turning(model)
        self.recipe, self.model, self.tokenizer = recipe or Recipe(), model, tokenizer
        self.fingerprint = fingerprint_of(model, tokenizer, look(model, is_full=is_full_hash))
        if self.recipe.matched > len(self.fingerprint.layers):
            raise Invalid(f"States after layer {self.recipe.matched} are to be matched, and the model has {len(self.fingerprint.layers)}.")
        self.reader = bare_copy(model)
        self.writer = bare_copy(model).base_model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _adapt(self.writer, self.recipe)
        words = self.reader.get_input_embeddings().weight.detach()
        self.memory = nn.Parameter(words.mean(0, dtype=torch.float32).repeat(self.recipe.tokens, 1))
        self.key = nn.Parameter(torch.eye(words.shape[1], device=words.device))

    @property
    def device(self) -> torch.device:
        return torch.device(self.memory.device)

    def learned(self) -> dict[str, Tensor]:
        """What is trained, by name: the deltas, ``key``, [d, d], and ``memory``, [m, d]."""
        deltas = {name: p for name, p in self.writer.named_parameters() if "lora_" in name}
        return {**dict(sorted(deltas.items())), "key": self.key, "memory": self.memory}

    # -- compressing -------------------------------------------------------------------------------------------------------

    def compress(self, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Of one document: keys and values [L, 2, H, m, w] at places 0 to m - 1, and the mean of the last states, times ``key``, [d]. Raises `Invalid`."""
        with torch.no_grad():
            states, means = self.compress_all([ids])
        return states[0].contiguous(), means[0]

    def compress_all(self, rows: Sequence[Sequence[int]], start: int = 0) -> tuple[Tensor, Tensor]:
        """The same of several at once, [B, L, 2, H, m, w] and [B, d], with gradients; the keys at places from ``start`` on."""
        for row in rows:
            self.check_document(row)
        given, counts, stands = self._given(rows)
        m, width = self.recipe.tokens, given.shape[1]
        places = torch.arange(start + m - width, start + m, device=self.device).expand(len(rows), -1)
        made = self.writer(inputs_embeds=given, attention_mask=counts, position_ids=places, past_key_values=DynamicCache(), use_cache=True)
        cos, sin = rotations(self.reader, torch.arange(width - m, width, device=self.device) - stands)
        pairs = []
        for layer in made.past_key_values.layers:
            keys, values = (torch.take_along_dim(part, stands[:, None, :, None], 2) for part in (layer.keys, layer.values))
            pairs.append(torch.stack([turned(keys, cos[:, None], sin[:, None]), values], 1))
        last = torch.take_along_dim(made.last_hidden_state, stands[..., None], 1)
        return torch.stack(pairs, 1), last.float().mean(1) @ self.key

    def _given(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Documents with the memory tokens among their words, the shorter ones filled up before: embeddings [B, T, d], which of them count [B, T], and where the memory tokens stand [B, m]."""
        m, longest = self.recipe.tokens, max(map(len, rows))
        counts = torch.tensor([[0] * (longest - len(row)) + [1] * (len(row) + m) for row in rows], device=self.device)
        stands = torch.tensor([[longest - len(row) + place for place in _stands(len(row), m)] for row in rows], device=self.device)
        ids = torch.zeros_like(counts)
        ids[counts.bool().scatter(1, stands, value=False)] = torch.tensor([i for row in rows for i in row], device=self.device)
        words = self.writer.get_input_embeddings()(ids)
        memory = self.memory.to(words.dtype).expand(len(rows), -1, -1)
        return words.scatter(1, stands[..., None].expand_as(memory), memory), counts, stands

    @property
    def _asked_for(self) -> dict[str, bool]:
        return {"output_hidden_states": True} if self.recipe.matched >= 0 else {}

    def _matched(self, made: Any) -> Tensor:
        """The states that are matched, float32 [B, T, d]."""
        found: Tensor = made.last_hidden_state if self.recipe.matched < 0 else made.hidden_states[self.recipe.matched]
        return found.float()

    def check_document(self, ids: Sequence[int]) -> None:
        """Raises `Invalid` for tokens that there are not, none, or too many."""
        most = min(self.recipe.longest, (self.fingerprint.context or 1 << 30) - self.recipe.tokens)
        if not 0 < len(ids) <= most:
            raise Invalid(f"A document has 1 to {most} tokens here, not {len(ids)}; cut it into parts, and add each.")
        self._check_words(ids)

    def check_question(self, ids: Sequence[int], more: int = 0) -> None:
        """Raises `Invalid` for no tokens, some that there are not, or, with ``more`` before and after them, more than the model reads."""
        context = self.fingerprint.context or 1 << 30
        if not 0 < len(ids) <= context - more:
            raise Invalid(f"A question has 1 to {context - more} tokens here, not {len(ids)}; ask a shorter one, or of fewer entries.")
        self._check_words(ids)

    def _check_words(self, ids: Sequence[int]) -> None:
        words = self.reader.get_input_embeddings().weight.shape[0]
        if not all(0 <= i < words for i in ids):
            raise Invalid(f"The model has tokens 0 to {words - 1}; these are {min(ids)} to {max(ids)}. Use the model's own tokenizer.")

    def turn(self, keys: Tensor, places: int) -> Tensor:
        """Keys [..., H, m, w] as they would be if read so many places later."""
        return turned(keys, *rotation(self.reader, places, keys)) if places else keys

    # -- asking ------------------------------------------------------------------------------------------------------------

    def ask(self, ids: Sequence[int]) -> Tensor:
        """What a bank is asked with: the mean of the model's own states over a question, float32 [d]. Raises `Invalid`."""
        self.check_question(ids)
        with torch.no_grad():
            return self.ask_all([ids])[0]

    def ask_all(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """The same of several, [Q, d]."""
        ids, counts = self.padded(rows)
        states = self._matched(self.reader.base_model(input_ids=ids, attention_mask=counts, use_cache=False, **self._asked_for))
        return (states * counts[..., None]).sum(1) / counts.sum(1, keepdim=True)

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Rows of tokens, int64 [Q, T] with zeros behind, and which of them count."""
        if not rows or not all(rows):
            raise Invalid("A question needs at least one token.")
        longest = max(map(len, rows))
        ids = torch.tensor([list(row) + [0] * (longest - len(row)) for row in rows], device=self.device)
        counts = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device)
        return ids, counts

    def logits(self, prefixes: Tensor | None, ids: Tensor) -> Tensor:
        """What the model itself says after prefixes [Q, L, 2, H, n, w] of tokens [Q, T] (what stands behind a row changes nothing before it): [Q, T, V]."""
        cache = DynamicCache()
        for number in range(prefixes.shape[1] if prefixes is not None else 0):
            assert prefixes is not None
            cache.update(prefixes[:, number, 0], prefixes[:, number, 1], number)
        found: Tensor = self.reader(input_ids=ids, past_key_values=cache, use_cache=True).logits
        return found

    def answer(self, prefix: Tensor | None, ids: Sequence[int], most: int) -> tuple[int, ...]:
        """The likeliest next token after a prefix [L, 2, H, n, w] and a question, then the next, ``most`` of them or until the model ends it. Raises `Invalid`."""
        self.check_question(ids, most + (0 if prefix is None else prefix.shape[-2]))
        ends = self.model.generation_config.eos_token_id
        stops = set(ends) if isinstance(ends, list) else {ends}
        said = list(ids)
        for _ in range(most):
            with torch.no_grad():
                logits = self.logits(None if prefix is None else prefix[None], torch.tensor([said], device=self.device))
            token = int(logits[0, -1].argmax())
            if token in stops:
                break
            said.append(token)
        return tuple(said[len(ids) :])


def _stands(count: int, m: int) -> list[int]:
    """Where m memory tokens stand in a document of ``count`` tokens and their own: one behind each m-th part, rounded up, so that the last is behind all."""
    return [-(-count * part // m) + part - 1 for part in range(1, m + 1)]


def _adapt(body: Any, recipe: Recipe) -> None:
    """Puts deltas into the body of a model: new ones, which change nothing yet."""
    found = {name.rpartition(".")[2] for name, module in body.named_modules() if isinstance(module, nn.Linear)}
    if missing := [target for target in recipe.targets if target not in found]:
        raise Unsupported(f"This model ({type(body).__name__}) has no layers {', '.join(missing)}; it has {', '.join(sorted(found))}.")
    inject_adapter_in_model(LoraConfig(r=recipe.rank, lora_alpha=ALPHA * recipe.rank, target_modules=list(recipe.targets)), body)
    body.eval()
