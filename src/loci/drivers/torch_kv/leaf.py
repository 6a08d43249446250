"""What a budget left of a text: the entries that each layer kept, with their positions. As tensors, as files, and as a cache to answer from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from loci.drivers.torch_kv import codecs
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.state import KVPage
from loci.errors import Corrupt, Unsupported
from loci.ports import BudgetPlan, Need, ScoreContext
from loci.ports.engine import BLOCK, Codec, LayerShape, Tensor, Tensors


@dataclass(frozen=True, slots=True, eq=False)
class KVLeaf:
    """Of a text with these ``ids``, what each layer kept: keys and values, [heads, entries, width], and the position of each entry, int64
    [heads, entries], ascending. Heads may have kept different ones. The tensors are never written to. ``bounds`` as in `KVPage`."""

    ids: tuple[int, ...]
    plan: BudgetPlan
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    positions: tuple[torch.Tensor, ...]
    bounds: tuple[float, float] = (0.0, 0.0)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (*self.keys, *self.values, *self.positions))

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> KVLeaf:
        """The leaf with every tensor changed: moved, that is."""
        keys, values, positions = (tuple(map(change, part)) for part in (self.keys, self.values, self.positions))
        return replace(self, keys=keys, values=values, positions=positions)


@dataclass(frozen=True, slots=True)
class Settled:
    """The method of a cache from which nothing is evicted any more."""

    name: str = "settled"
    needs: frozenset[Need] = frozenset()

    def score(self, context: ScoreContext) -> Sequence[torch.Tensor]:
        raise Unsupported("What a budget left of a text is not judged again; read the text again under another budget.")


def leaf_of(ids: Sequence[int], cache: BudgetedCache) -> KVLeaf:
    """What a cache has kept of these tokens, which are all that it has seen."""
    assert cache.seen == len(ids)
    keys, values = tuple(layer.keys[0] for layer in cache.layers), tuple(layer.values[0] for layer in cache.layers)
    return KVLeaf(tuple(ids), cache.plan, keys, values, tuple(layer.positions for layer in cache.layers))


def cache_of(leaf: KVLeaf) -> BudgetedCache:
    """An open cache that goes on from the leaf and leaves it as it is: positions go on at the tokens that were seen."""
    cache = BudgetedCache(leaf.plan, Settled())
    for layer, keys, values, positions in zip(cache.layers, leaf.keys, leaf.values, leaf.positions, strict=True):
        layer.hold(keys[None], values[None], positions, len(leaf.ids))
    return cache.fork(is_open=True)


def encode(leaf: KVLeaf, layer: int, codec: Codec) -> Tensors:
    """A layer's tensors: ``L{layer}.p``, the positions as int32 [heads, entries], and its keys and values as `codecs` keeps them; coded ones in
    groups of ``BLOCK`` entries, ``L{layer}.{group}``, so that a step is that of few neighbours, as in a page."""
    positions = leaf.positions[layer].to(torch.int32).cpu().contiguous()
    found: dict[str, Tensor] = {
        f"L{layer}.p": Tensor("I32", tuple(positions.shape), memoryview(positions.reshape(-1).view(torch.uint8).numpy()))
    }
    for name, part in _groups(layer, leaf.keys[layer].shape[1], codec):
        page = KVPage((), (leaf.keys[layer][:, part],), (leaf.values[layer][:, part],))
        found |= {f"{name}{told.removeprefix('L0')}": tensor for told, tensor in codecs.encode(page, codec).items()}
    return found


def decode(
    ids: Sequence[int], plan: BudgetPlan, codec: Codec, layers: Sequence[Tensors], shapes: Sequence[LayerShape], dtype: torch.dtype
) -> KVLeaf:
    """What `encode` kept, on the CPU. Raises `Corrupt`."""
    keys, values, positions, bounds = [], [], [], []
    for number, (tensors, shape, budget) in enumerate(zip(layers, shapes, plan.per_layer, strict=True)):
        count = min(budget, len(ids))
        positions.append(_positions(tensors, number, shape.heads, count, len(ids), plan))
        pages = []
        for name, part in _groups(number, count, codec):
            named = {f"L0{told.removeprefix(name)}": tensor for told, tensor in tensors.items() if told.startswith(f"{name}.")}
            pages.append(codecs.decode(range(part.stop - part.start), codec, named, [shape], dtype))
        keys.append(torch.cat([page.keys[0] for page in pages], dim=1))
        values.append(torch.cat([page.values[0] for page in pages], dim=1))
        bounds += [page.bounds for page in pages]
    widest = (max(bound[0] for bound in bounds), max(bound[1] for bound in bounds))
    return KVLeaf(tuple(ids), plan, tuple(keys), tuple(values), tuple(positions), widest)


def _groups(layer: int, count: int, codec: Codec) -> list[tuple[str, slice]]:
    """What a layer's entries are kept as: all at once as they are, or in groups with a name each."""
    if not codec.bits:
        return [(f"L{layer}", slice(0, count))]
    return [(f"L{layer}.{start // BLOCK}", slice(start, min(start + BLOCK, count))) for start in range(0, count, BLOCK)]


def _positions(tensors: Tensors, layer: int, heads: int, count: int, seen: int, plan: BudgetPlan) -> torch.Tensor:
    """Int64 [heads, count]. Raises `Corrupt` for what no budget leaves: ascending, within the text, the protected ones among them."""
    name = f"L{layer}.p"
    found = tensors.get(name)
    if found is None or found.dtype != "I32" or found.shape != (heads, count):
        told = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
        raise Corrupt(f"What was kept of this memory has {told} as {name}; it should be I32 {[heads, count]}. Build the memory again.")
    kept = torch.frombuffer(found.data, dtype=torch.int32).reshape(heads, count).long()
    first, last = min(plan.sinks, seen), min(plan.recent, seen)
    wanted = torch.cat([torch.arange(first), torch.arange(seen - last, seen)])
    has_protected = torch.equal(torch.cat([kept[:, :first], kept[:, count - last :]], dim=1), wanted.expand(heads, -1))
    if not bool((kept.diff(dim=1) > 0).all()) or int(kept.min()) < 0 or int(kept.max()) >= seen or not has_protected:
        raise Corrupt(
            f"What was kept of this memory names positions in {name} that no budget leaves of {seen} tokens: out of order, beyond them, or without "
            f"the first {first} and the last {last}. Build the memory again."
        )
    return kept
