"""Reading a long text under a budget: block by block, scoring after each, so that no layer ever holds more than budget + block + probe."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from loci.drivers.torch_kv.attention import Queries, attending, attention_of, watching
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.errors import Invalid, TooLarge
from loci.ports import Probing, ScoreContext, Scorer, Watching

SLICE = 128  # tokens whose logits are held at once where surprisal is wanted: 1,024 at a vocabulary of 151,936 would be 622 MB
QUERIES = 32  # whose attention is computed at once


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading did: blocks read, tokens that went through the model, probes included, and the meter of each block that evicted.

    ``evicted_mass`` is the 99th percentile, over layers, heads and watched queries, of the attention that a query gave to what was then
    evicted: an output moves by at most twice that times the largest value (`docs/explanation/eviction.md`).
    """

    blocks: int
    forwarded: int
    evicted_mass: tuple[float, ...]


def read(model: Any, cache: BudgetedCache, ids: Sequence[int], *, block: int = 1024, watched: int = 32) -> Reading:
    """Reads token ids into the cache, from position ``cache.seen`` on. The last ``watched`` queries of a block feed the meter; 0: no meter.

    Raises `TooLarge` where positions would pass the model's, `Unsupported` for models that cannot have a budget, `Invalid` for a method whose
    needs and abilities disagree.
    """
    if block < 1 or watched < 0:
        raise Invalid(f"A block has at least one token and no negative number is watched: {block}, {watched}.")
    most = model.config.get_text_config(decoder=True).max_position_embeddings
    if cache.seen + len(ids) > most:
        raise TooLarge(f"{cache.seen} + {len(ids)} tokens pass the model's {most} positions; read less, or start another cache.")
    masses: list[float] = []
    blocks, forwarded = 0, 0
    with torch.no_grad(), attending(model), cache.holding():
        for start in range(0, len(ids), block):
            part = ids[start : start + block]
            queries = _forward(model, cache, part, max(watched, _window(cache.scorer)))
            forwarded += len(part)
            if isinstance(cache.scorer, Probing):
                queries = _probe(model, cache, cache.scorer.probe(part))
                forwarded += queries.last
            mass = _trim(cache, queries, is_probe=isinstance(cache.scorer, Probing))
            masses += [] if mass is None else [mass]
            blocks += 1
    return Reading(blocks, forwarded, tuple(masses))


def _window(scorer: Scorer) -> int:
    needs = scorer.needs
    if ("attention" in needs) != isinstance(scorer, Watching) or ("probe" in needs) != isinstance(scorer, Probing):
        raise Invalid(
            f"{scorer.name} needs {sorted(needs)}: attention goes with a `window`, a probe with a method `probe`, and not without."
        )
    return scorer.window if isinstance(scorer, Watching) else 0


def _forward(model: Any, cache: BudgetedCache, ids: Sequence[int], watched: int) -> Queries:
    """Puts a block through the model; all of it is stored until it is trimmed. In slices where its surprisal is wanted."""
    tokens = torch.tensor([list(ids)], dtype=torch.int64, device=model.device)
    begin, new = cache.seen, torch.full((len(ids),), torch.nan)
    with watching(watched) if watched else nullcontext(Queries(0)) as queries:
        if "surprisal" not in cache.scorer.needs:
            model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        else:
            for start in range(0, len(ids), SLICE):
                part = tokens[:, start : start + SLICE]
                logits = model(input_ids=part, past_key_values=cache, use_cache=True).logits[0].float()
                said = torch.log_softmax(logits, dim=-1)
                before = said[:-1] if cache.expected is None else torch.cat([cache.expected[None], said[:-1]])
                told = part[0, part.shape[1] - before.shape[0] :]
                new[start + part.shape[1] - before.shape[0] : start + part.shape[1]] = -before.gather(1, told[:, None])[:, 0].cpu()
                cache.expected = said[-1]
            new = torch.where(new.isnan(), new.nan_to_num(0.0).max(), new)  # nothing foretold the first: it has the block's highest
    _record(cache, begin, new)
    return queries


def _record(cache: BudgetedCache, begin: int, surprisal: Tensor) -> None:
    """Notes what a block's tokens cost to predict and which block it was; positions that were skipped have nan and -1."""
    skipped = begin - len(cache.read_in)
    cache.read_in = torch.cat([cache.read_in, torch.full((skipped,), -1), torch.full((len(surprisal),), cache.blocks)])
    cache.surprisal = torch.cat([cache.surprisal, torch.full((skipped,), torch.nan), surprisal])
    cache.blocks += 1


def _probe(model: Any, cache: BudgetedCache, ids: Sequence[int]) -> Queries:
    """Reads tokens against a fork that forgets them, and gives their queries."""
    if not ids:
        raise Invalid(f"{cache.scorer.name} gave an empty probe; a probe has at least one token.")
    tokens = torch.tensor([list(ids)], dtype=torch.int64, device=model.device)
    with cache.peeking() as shown, watching(len(ids)) as queries:
        model(input_ids=tokens, past_key_values=shown, use_cache=True, logits_to_keep=1)
    return queries


def _trim(cache: BudgetedCache, queries: Queries, *, is_probe: bool) -> float | None:
    """Scores and trims every layer. The evicted mass, if something was evicted and somebody watched."""
    scores = cache.scorer.score(_context(cache, queries, is_probe))
    if len(scores) != len(cache.layers):
        raise Invalid(f"{cache.scorer.name} scored {len(scores)} layers of {len(cache.layers)}.")
    masses: list[Tensor] = []
    for index, (layer, worth) in enumerate(zip(cache.layers, scores, strict=True)):
        keys, hidden = layer.keys[0], _hidden(layer.positions, cache.seen, queries, is_probe)
        kept = layer.trim(worth)
        if queries.last and not bool(kept.all()):
            masses.append(_mass(queries, index, keys, hidden, ~kept))
    return float(torch.cat(masses).quantile(0.99)) if masses else None


def _context(cache: BudgetedCache, queries: Queries, is_probe: bool) -> ScoreContext:
    needs, layers = cache.scorer.needs, cache.layers
    most: list[Tensor] = []
    mean: list[Tensor] = []
    if needs & {"attention", "probe"}:
        last = queries.last if is_probe else _window(cache.scorer)
        for index, layer in enumerate(layers):
            both = _summed(queries, index, layer.keys[0], _hidden(layer.positions, cache.seen, queries, is_probe), last)
            most.append(both[0])
            mean.append(both[1])
    device = layers[0].positions.device
    is_surprised = "surprisal" in needs
    return ScoreContext(
        positions=[layer.positions for layer in layers],
        seen=cache.seen,
        keys=[layer.keys[0] for layer in layers] if "keys" in needs else (),
        values=[layer.values[0] for layer in layers] if "values" in needs else (),
        attention=most,
        mean_attention=mean,
        previous=[layer.scores for layer in layers],
        surprisal=cache.surprisal.to(device) if is_surprised else None,
        read_in=cache.read_in.to(device) if is_surprised else None,
    )


def _hidden(positions: Tensor, seen: int, queries: Queries, is_probe: bool) -> Tensor | None:
    """Which entries a block's own last queries may not look at, bool [H, 1, w, n]: their future. A probe looks at all that is stored."""
    if is_probe or not queries.last:
        return None
    width = next(iter(queries.of.values())).shape[1]
    own = torch.arange(seen - width, seen, device=positions.device)
    return positions[:, None, None, :] > own[None, None, :, None]


def _summed(queries: Queries, layer: int, keys: Tensor, hidden: Tensor | None, last: int) -> tuple[Tensor, Tensor]:
    """The most and the mean that the last queries give each entry, float32 [H, n] each, over queries and the head's group."""
    asked = queries.of[layer][:, -last:]
    cut = None if hidden is None else hidden[:, :, -last:]
    most, total, count = torch.zeros(keys.shape[:2], device=keys.device), torch.zeros(keys.shape[:2], device=keys.device), 0
    for start in range(0, asked.shape[1], QUERIES):
        part = None if cut is None else cut[:, :, start : start + QUERIES]
        given = attention_of(asked[:, start : start + QUERIES], keys, queries.scaling[layer], part)
        most = torch.maximum(most, given.amax(dim=(1, 2)))
        total, count = total + given.sum(dim=(1, 2)), count + given.shape[1] * given.shape[2]
    return most, total / count


def _mass(queries: Queries, layer: int, keys: Tensor, hidden: Tensor | None, evicted: Tensor) -> Tensor:
    """The attention that each watched query gave to evicted entries, float32 [H * g * w]."""
    found = []
    for start in range(0, queries.of[layer].shape[1], QUERIES):
        part = None if hidden is None else hidden[:, :, start : start + QUERIES]
        given = attention_of(queries.of[layer][:, start : start + QUERIES], keys, queries.scaling[layer], part)
        found.append((given * evicted[:, None, None, :]).sum(-1).flatten())
    return torch.cat(found)
