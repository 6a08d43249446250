"""What a model keeps of what it reads, found by having it read: shapes that its configuration does not tell, and whether going on from them is the same as
reading the whole text. Some models are not causal, some keep more than the library's cache holds, and some versions of the library forget a part of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from loci.drivers.torch_kv.ends import KINDS, fresh
from loci.drivers.torch_kv.state import KVPage, cache_of, state_of
from loci.errors import Unsupported
from loci.ports.engine import LayerShape

TOKENS = 40  # that are read
SEAM = 24  # after how many of them it goes on
NEARER = (8, 16)  # and, where layers have an end, after how many besides
PLAIN = 5  # the first tokens of a vocabulary, which may mean something else than text
ALPHABET = 251
TOLERANCE = 1e-4  # of what logits vary by; float32 comes to a hundredth of that
COARSE = 4  # of the type's spacing at 1 (eps), where that is more: families come to half of that in bfloat16, what is lost to twice of it
ABLE = KINDS | {"full_attention", "sliding_attention", "chunked_attention", "moe", "mlp"}
INSIDE = ("recurrent_gemma", "zamba")
"""What these hold of a text is not all in the library's cache, which 16 bits do not tell from rounding."""
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""Which read together what is sent to them: rounded otherwise beside others."""
USE_TEXT = "Use the text of memories with it."


@dataclass(frozen=True, slots=True)
class Kept:
    """What each layer keeps of a text, and by its name the type and shape of what is held only at the end of one."""

    layers: tuple[LayerShape, ...]
    ends: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


def kept_by(model: Any) -> Kept:
    """Has a model read a few tokens at once, and in two parts. Raises `Unsupported` where that is not the same, or cannot be done."""
    config = model.config.get_text_config(decoder=True)
    _check_kinds(config)
    is_hybrid = not KINDS.isdisjoint(getattr(config, "layer_types", None) or ())
    ids, eps = _ids(model, config), float(torch.finfo(model.dtype).eps)
    seams = [max(1, len(ids) * seam // TOKENS) for seam in (*(NEARER if is_hybrid else ()), SEAM)]
    try:
        with _evaluating(model), torch.inference_mode():
            whole = _read(model, ids, None)
            other = _read(model, [*ids[: seams[-1]], *(token + 1 for token in reversed(ids[seams[-1] :]))], None)
            parts = [_in_parts(model, ids, seam) for seam in seams]
    except (AttributeError, TypeError, LookupError, ValueError, RuntimeError, ImportError, AssertionError) as error:
        newer = " A newer transformers may know how." if is_hybrid else ""
        raise Unsupported(f"{type(model).__name__} cannot go on from what it has read ({str(error)[:200]}).{newer} {USE_TEXT}") from error
    state = parts[-1][1]
    if not any(tensor.numel() for page in state for tensor in (*page.keys, *page.ends.values())):
        raise Unsupported(f"{type(model).__name__} keeps what it has read elsewhere than in the library's cache. {USE_TEXT}")
    told = torch.isfinite(whole).all(0)  # some models leave places of the vocabulary out
    if not told.any():
        raise Unsupported(
            f"The logits of this {type(model).__name__} are no numbers: its weights are damaged, or its type is too small for it."
        )
    beside = _errors(other, whole, told)[: seams[-1]].median()
    if not float(beside) <= max(TOLERANCE, eps * (COARSE if any(getattr(config, name, None) for name in EXPERTS) else 0.5)):
        raise Unsupported(
            f"{type(model).__name__} is no causal model, or its numbers are rounded by what is read beside them (as some quantised ones): what it makes of a token depends "
            f"on those that follow. {USE_TEXT}"
        )
    difference = _difference([_errors(found, whole, told) for found, _ in parts], seams, is_fine=eps < TOLERANCE)
    if not difference <= max(TOLERANCE, COARSE * eps):
        raise Unsupported(
            f"{type(model).__name__} reads a text in two parts otherwise than at once (logits by {difference:.2g} of what they vary by): it keeps something that "
            f"the installed transformers does not hold. {USE_TEXT}"
        )
    ends = {name: (tensor.dtype, tuple(tensor.shape)) for page in state for name, tensor in page.ends.items()}
    return Kept(tuple(_shapes(config, state[0], {int(name[1:].partition(".")[0]) for name in ends})), ends)


def _check_kinds(config: Any) -> None:
    if config.model_type in INSIDE:
        raise Unsupported(f"transformers' {config.model_type} does not go on exactly from what its cache holds. {USE_TEXT}")
    others = sorted(set(getattr(config, "layer_types", None) or ()) - ABLE)
    if getattr(config, "keep_window_size", None):  # of a longer text than that, an index decides
        others = ["indexed attention"]
    if not others and any(name.startswith("index") and value for name, value in config.to_dict().items()):
        others = ["indexed attention"]  # older versions of the library do not call it a kind
    if others:
        raise Unsupported(
            f"This model has layers of {', '.join(others)}, which keep something else than keys and values of every token, or one state of all, so what it has "
            f"read cannot be kept exactly. {USE_TEXT}"
        )


def _ids(model: Any, config: Any) -> list[int]:
    """Tokens in no order that are no special ones; each has one above it."""
    known = int(getattr(config, "vocab_size", 0) or model.get_input_embeddings().weight.shape[0])
    plain, chance = PLAIN if known > 2 * PLAIN else 0, random.Random(0)
    count = min(TOKENS, int(getattr(config, "max_position_embeddings", 0) or TOKENS))
    return [plain + chance.randrange(max(1, min(known - plain, ALPHABET) - 1)) for _ in range(count)]


def _in_parts(model: Any, ids: list[int], seam: int) -> tuple[torch.Tensor, tuple[KVPage, ...]]:
    """The logits of these tokens, read up to a seam and gone on from there, and the state at the seam."""
    cache = fresh(model.config)
    first = _read(model, ids[:seam], cache)
    state = state_of(ids[:seam], cache)
    return torch.cat([first, _read(model, ids[seam:], cache_of(state, model.config))]), state


def _errors(found: torch.Tensor, meant: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """How far the logits of each token are from what they should be, beside what those vary by: [tokens]."""
    found, meant = found[:, told], meant[:, told]
    spread = (meant - meant.mean(-1, keepdim=True)).square().mean(-1)
    return ((found - meant).square().mean(-1) / spread.clamp_min(1e-30)).sqrt()


def _difference(errors: Sequence[torch.Tensor], seams: Sequence[int], *, is_fine: bool) -> float:
    """The largest error of any token, in a type that rounds finely. Of 16 bits some models send a token now and then to other experts: there what most tokens come to,
    and, of several seams, the first behind most of them, which may be the only one that misses what a convolution has lost."""
    if is_fine:
        return max(float(one.max()) for one in errors)
    typical = [part.median() for one, seam in zip(errors, seams, strict=True) for part in (one[:seam], one[seam:])]
    if len(seams) > 1:
        typical.append(torch.stack([one[seam] for one, seam in zip(errors, seams, strict=True)]).median())
    return max(map(float, typical))


def _read(model: Any, ids: list[int], cache: Any) -> torch.Tensor:
    """The logits of these tokens, [tokens, vocabulary]."""
    row = torch.tensor([ids], device=model.device)
    found = model(input_ids=row) if cache is None else model(input_ids=row, past_key_values=cache, use_cache=True)
    logits: torch.Tensor = found.logits[0].float()
    return logits


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Without dropout, whatever the model is used for."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)


def _shapes(config: Any, page: KVPage, held: set[int]) -> Iterator[LayerShape]:
    """Of each layer, from a page of its keys and values; ``held`` are those that have an end."""
    kinds = getattr(config, "layer_types", None)
    window = 0 if kinds and not {"sliding_attention", "chunked_attention"} & set(kinds) else _window(config)
    for number in range(len(page.keys)):  # what comes behind them looks at theirs
        if not page.keys[number].numel():
            yield LayerShape("end" if number in held else "none", 0, 0)
            continue
        (heads, _, width), values = page.keys[number].shape, page.values[number].shape[-1]
        kind = kinds[number] if kinds else "sliding_attention" if window else "full_attention"
        is_window = window and kind in ("sliding_attention", "chunked_attention")
        named = "both" if number in held else "window" if is_window else "full"
        yield LayerShape(named, heads, width, window if is_window else 0, 0 if values == width else values)


def _window(config: Any) -> int:
    return int(getattr(config, "sliding_window", None) or getattr(config, "attention_chunk_size", None) or 0)
