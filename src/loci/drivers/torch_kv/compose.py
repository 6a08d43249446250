"""Several states put behind one another though each was read alone. What comes of it is not what reading the joined text gives: it is
marked approximate wherever it is used.

BLOCK: every text sees itself only. Its keys are turned to their new place (rotary positions are relative, so turning a key by p is the
same as having read it p tokens later), values stay. The same as reading the joined text with a block-diagonal mask, to rounding. Where
all begin with the same head (a template's), that of the first alone stays: each has seen it right before itself.
BLEND: the same, and then the tokens whose keys and values are furthest from what they would be in the joined text are read again, with
everything before them in view (CacheBlend, arXiv 2405.16444; there the choice is made anew at every layer, here once, at the second).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from loci.drivers.torch_kv.state import KVPage, State, ids_of, paged, tokens_of
from loci.errors import Invalid, Unsupported
from loci.ports.engine import reread_of

TURNED = {"default", "linear", "llama3"}
MASKED = {"eager", "sdpa"}  # attentions that look at a mask, which says what a token that is read again sees
TOLERANCE = 1e-3  # of keys, in the check that they can be turned; what is wrong is wrong by 1


class Enough(Exception):
    """A layer has seen what was to be seen: the forward pass ends."""


def block(model: Any, states: Sequence[State], head: int = 0) -> tuple[KVPage, ...]:
    """The states behind one another, each turned to its place; of all but the first without the ``head`` tokens that they all begin with.
    Raises `Unsupported` where keys cannot be turned exactly."""
    check_states(states, head)
    check_turning(model)
    layers, ids = len(states[0][0].keys), joined_ids(states, head)
    keys: list[list[torch.Tensor]] = [[] for _ in range(layers)]
    values: list[list[torch.Tensor]] = [[] for _ in range(layers)]
    place = 0
    for state in states:
        begin = head if place else 0
        cos, sin = rotation(model, place - begin, state[0].keys[0])
        for number in range(layers):
            keys[number].append(turned(torch.cat([page.keys[number] for page in state], 1)[:, begin:], cos, sin))
            values[number].append(torch.cat([page.values[number] for page in state], 1)[:, begin:])
        place += tokens_of(state) - begin
    return paged(ids, [torch.cat(parts, 1) for parts in keys], [torch.cat(parts, 1) for parts in values])


def joined_ids(states: Sequence[State], head: int) -> tuple[int, ...]:
    """The tokens of states behind one another, the head once."""
    return ids_of(states[0]) + tuple(i for state in states[1:] for i in ids_of(state)[head:])


def check_states(states: Sequence[State], head: int) -> None:
    """Raises `Invalid` where there is nothing to put together, or where they do not begin alike."""
    if not states or not all(states):
        raise Invalid("There is nothing to put together: name at least one state, and none that is empty.")
    begun = {ids_of(state)[:head] for state in states}
    if head < 0 or len(begun) != 1 or len(begun.pop()) != head:
        raise Invalid(f"The states do not all begin with the same {head} tokens, so that one head cannot stand for all.")


def blend(model: Any, states: Sequence[State], share: float, head: int = 0) -> tuple[KVPage, ...]:
    """As `block`, with ``share`` of the tokens that follow the first state read again: those that are furthest from the joined text."""
    if not 0 <= share <= 1:
        raise Invalid(f"share is {share}; it is the part of the tokens that is read again, 0 to 1.")
    check_masking(model)
    made = block(model, states, head)
    ids, first = ids_of(made), tokens_of(states[0])
    count = reread_of(share, len(ids) - first)
    if not count:
        return made
    keys = [torch.cat([page.keys[n] for page in made], 1) for n in range(len(made[0].keys))]
    values = [torch.cat([page.values[n] for page in made], 1) for n in range(len(made[0].keys))]
    chosen = deviating(model, ids, keys, values, first, count)
    cache = DynamicCache()
    cache.layers = [Patched(k, v, chosen) for k, v in zip(keys, values, strict=True)]
    places = torch.arange(len(ids), device=chosen.device)
    seen = (places[None, :] <= chosen[:, None])[None, None]
    row = torch.tensor([ids], device=chosen.device)[:, chosen]
    model(
        input_ids=row, position_ids=chosen[None], attention_mask=_mask(model, seen), past_key_values=cache, use_cache=True, logits_to_keep=1
    )
    return paged(ids, [layer.keys[0] for layer in cache.layers], [layer.values[0] for layer in cache.layers])


def deviating(
    model: Any, ids: Sequence[int], keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor], first: int, count: int
) -> torch.Tensor:
    """The places, from ``first`` on, of the tokens that the joined text changes most, in order. Seen at the second layer, the first whose
    input depends on other tokens: two layers are read in full."""
    if len(keys) < 2:
        return torch.arange(first, first + count, device=keys[0].device)
    watch = Watching()
    cache = DynamicCache()
    cache.layers = [DynamicLayer(), watch, *(DynamicLayer() for _ in keys[2:])]
    with contextlib.suppress(Enough):
        model(input_ids=torch.tensor([ids], device=keys[0].device), past_key_values=cache, use_cache=True, logits_to_keep=1)
    distance = (watch.found[0][0] - keys[1]).float().square().sum((0, 2)) + (watch.found[1][0] - values[1]).float().square().sum((0, 2))
    return (distance[first:].topk(count).indices + first).sort().values


class Watching(DynamicLayer):  # type: ignore[misc]
    """Keeps what it is given and ends the pass."""

    found: tuple[torch.Tensor, torch.Tensor]

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object) -> Any:
        self.found = key_states, value_states
        raise Enough


class Patched(DynamicLayer):  # type: ignore[misc]
    """Holds a whole text, of which some tokens are read again: they take the place of what they were."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, places: torch.Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys.unsqueeze(0), values.unsqueeze(0))
        self._whole, self._places = (keys.unsqueeze(0), values.unsqueeze(0)), places

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys, self.values = (whole.clone() for whole in self._whole)
        self.keys[:, :, self._places], self.values[:, :, self._places] = key_states, value_states
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return 0  # the mask says what is seen


def _mask(model: Any, seen: torch.Tensor) -> torch.Tensor:
    """A mask as the attention of the model takes it: 0 where a token sees another, the least number where not."""
    return torch.zeros(seen.shape, dtype=model.dtype, device=seen.device).masked_fill(~seen, torch.finfo(model.dtype).min)


# -- turning -------------------------------------------------------------------------------------------------------------


def turned(keys: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Keys [heads, tokens, width], turned by the angles of a place: k cos + rotate_half(k) sin, over the part of the width that turns."""
    width = cos.shape[-1]
    part, rest = keys[..., :width], keys[..., width:]
    half = torch.cat([-part[..., width // 2 :], part[..., : width // 2]], -1)
    return torch.cat([(part.float() * cos + half.float() * sin).to(keys.dtype), rest], -1)


def rotation(model: Any, place: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(cos, sin) of a place, [1, w] each."""
    cos, sin = rotations(model, torch.tensor([[place]], device=like.device))
    return cos[0], sin[0]


def rotations(model: Any, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(cos, sin) of places [B, T], as the model computes them: float32 [B, T, w] each."""
    probe = torch.zeros(1, 1, 1, dtype=torch.float32, device=places.device)
    cos, sin = model.base_model.rotary_emb(probe, places)
    return cos.float(), sin.float()


def check_turning(model: Any) -> None:
    """Raises `Unsupported` for a model whose keys are not turned by `turned`: of windows, of rotations that depend on the length or are
    spelled otherwise. Looked at on the model itself, at its first layer."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    rope = getattr(config, "rope_parameters", None) or {}
    told = f"States of this model ({type(model).__name__}) cannot be put behind one another: "
    if others := sorted(kinds - {"full_attention", "sliding_attention", "chunked_attention"}):
        raise Unsupported(
            f"{told}it has layers of {', '.join(others)}, which hold what a whole text made of them. Use one activation memory, or the text."
        )
    if kinds != {"full_attention"} or getattr(config, "sliding_window", None):
        raise Unsupported(f"{told}its layers see a window, which begins elsewhere then. Use one activation memory, or the text.")
    if str(rope.get("rope_type", "default")) not in TURNED:
        raise Unsupported(
            f"{told}its positions ({rope.get('rope_type')}) depend on more than the distance. Use one activation memory, or the text."
        )
    if not hasattr(model.base_model, "rotary_emb"):
        raise Unsupported(f"{told}it has no rotary positions of its own. Use one activation memory, or the text.")
    row = torch.tensor([[5, 6, 7]], device=model.device)
    near, far = (_first_keys(model, row, place) for place in (0, 9))
    cos, sin = rotation(model, 9, near)
    if float((turned(near, cos, sin).float() - far.float()).abs().max()) > TOLERANCE * max(1.0, float(far.float().abs().max())) * _coarse(
        model
    ):
        raise Unsupported(f"{told}its keys turn otherwise than by halves. Use one activation memory, or the text.")


def check_masking(model: Any) -> None:
    """Raises `Unsupported` for an attention that would not see which tokens stand before one that is read again."""
    found = str(model.config.get_text_config(decoder=True)._attn_implementation)
    if found not in MASKED:
        raise Unsupported(f"The attention {found} takes no mask, so that single tokens cannot be read again. Use block, or sdpa.")


def _first_keys(model: Any, row: torch.Tensor, place: int) -> torch.Tensor:
    cache, watch = DynamicCache(), Watching()
    cache.layers = [watch, *(DynamicLayer() for _ in range(model.config.get_text_config(decoder=True).num_hidden_layers - 1))]
    with contextlib.suppress(Enough):
        model(input_ids=row, position_ids=torch.arange(place, place + 3, device=row.device)[None], past_key_values=cache, use_cache=True)
    return watch.found[0][0]


def _coarse(model: Any) -> float:
    """How much coarser than float32 the model counts, for a tolerance."""
    return max(1.0, float(torch.finfo(model.dtype).eps) / 1e-4)
