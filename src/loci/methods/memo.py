"""MEMO (Zhao et al., SIGMOD 2025, arXiv 2407.12117): training on texts so long that what the backward pass needs does not fit.

The paper's, as its abstract and notes on it tell; no code of it was used. *By tokens*: what a layer keeps for the backward pass is swapped out for the first share ``alpha`` of the tokens and computed again for
the rest; its input and the attention's output are always swapped, so that attention, which costs nearly all of the time, is never computed twice. ``alpha`` is as large as the copies can be hidden behind
a layer's forward pass, and the host's memory holds (`plan_alpha`). *By plan*: lifetimes of a layer's tensors are the same at every step, so their places in one arena are found beforehand (`plan_arena`),
and nothing is fragmented.

Done otherwise. The split is stock torch: a function of tokens by themselves runs in two pieces, the second through ``torch.utils.checkpoint``; attention saves what its kernel saves, queries, keys and values among
it. Copies are made when autograd saves, not on streams of their own: what the paper hides behind the forward pass is waited for here. Places are found by first fit in the order of sizes instead of integer programming; the most that lives at once is the bound it is held against.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary, ref

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from loci.errors import Invalid, TooLarge

if TYPE_CHECKING:
    from torch import Tensor

LAST = 2  # layers whose backward pass comes before anything could be let go and brought back

# -- by tokens -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenSplit:
    """The first ``alpha`` of the tokens keep what was computed for them, the rest is computed again. With ``offload`` what is kept is kept in the host's memory."""

    alpha: float
    offload: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise Invalid(f"alpha is {self.alpha}; it is the share of the tokens that is not computed twice, from 0 to 1.")

    def pieces(self, each: Callable[..., tuple[Tensor, ...]], *tokens: Tensor) -> tuple[Tensor, ...]:
        """What ``each`` gives of tensors [B, T, ...] and gives as such: a function of every token by itself, run in two pieces."""
        first = round(self.alpha * tokens[0].shape[1])
        kept = each(*(one[:, :first].contiguous() for one in tokens)) if first else None
        if first == tokens[0].shape[1] and kept is not None:
            return kept
        again: tuple[Tensor, ...] = checkpoint(each, *(one[:, first:].contiguous() for one in tokens), use_reentrant=False)
        return again if kept is None else tuple(torch.cat(both, 1) for both in zip(kept, again, strict=True))

    def keeping(self, held: Collection[Tensor], behind: int) -> AbstractContextManager[Any]:
        """The context of a layer's forward pass, with so many layers ``behind`` it: with ``offload``, what it saves goes to the host's memory, but for the weights ``held``, and for what the last
        `LAST` layers save, which is needed at once."""
        return elsewhere(held) if self.offload and behind >= LAST else nullcontext()


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Copy:
    """The bytes of a tensor in the host's memory, where they were, and, as long as somebody has them, those that were brought back."""

    there: Tensor
    device: torch.device
    back: ref[Any] | None = None

    def brought(self) -> Any:
        """Their storage."""
        known = self.back() if self.back else None
        if known is None:
            known = self.there.to(self.device).untyped_storage()
            self.back = ref(known)
        return known


@dataclass(frozen=True, slots=True)
class _View:
    """What was saved, of those bytes."""

    copy: _Copy
    like: tuple[torch.dtype, int, torch.Size, tuple[int, ...]]  # offset, shape and strides

    def unpacked(self) -> Tensor:
        dtype, *place = self.like
        return torch.empty(0, dtype=dtype, device=self.copy.device).set_(self.copy.brought(), *place)


class Elsewhere:
    """What is in the host's memory instead of where it was computed."""

    def __init__(self) -> None:
        self._copies = WeakSet[_Copy]()
        self._of = WeakKeyDictionary[Any, WeakValueDictionary[int, _Copy]]()  # of each storage, while it is there, by version

    @property
    def nbytes(self) -> int:
        return sum(copy.there.nbytes for copy in self._copies)

    def kept(self, saved: Tensor) -> _View:
        """A view of its copy, one for all that share its bytes, as long as nobody writes there."""
        storage = saved.untyped_storage()
        versions = self._of.setdefault(storage, WeakValueDictionary())
        known = versions.get(saved._version)
        if known is None:
            here = torch.empty(0, dtype=torch.uint8, device=saved.device).set_(storage)
            there = torch.empty(here.shape, dtype=torch.uint8, pin_memory=saved.is_cuda).copy_(here)
            known = versions[saved._version] = _Copy(there, saved.device)
            self._copies.add(known)
        return _View(known, (saved.dtype, saved.storage_offset(), saved.shape, saved.stride()))


@contextmanager
def elsewhere(held: Collection[Tensor] = ()) -> Iterator[Elsewhere]:
    """Within it, whatever autograd saves is copied to the host's memory, once for all tensors that share their bytes, and brought back in the backward pass. Weights ``held`` are saved as they are."""
    kept, fixed = Elsewhere(), WeakSet[Any](one.untyped_storage() for one in held)

    def pack(saved: Tensor) -> Any:
        return saved if saved.untyped_storage() in fixed else kept.kept(saved)

    def unpack(packed: Any) -> Tensor:
        return packed.unpacked() if isinstance(packed, _View) else packed

    with saved_tensors_hooks(pack, unpack):
        yield kept


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """Of one layer over a whole text: bytes that are always swapped, bytes of the rest, seconds of its forward pass; bytes a second to the host, and how many the host has for ``layers``."""

    always: int
    rest: int
    forward_s: float
    bytes_per_s: float
    layers: int
    host_bytes: int


def plan_alpha(profile: LayerProfile) -> float:
    """The largest share of the tokens with (always + alpha rest) / bytes_per_s <= forward_s and (L - 2) (always + alpha rest) <= host_bytes, from 0 to 1. Where not even what is always swapped is
    copied in time, 0: then it is waited for. Raises `TooLarge` where the host has no room for it."""
    swapped = max(0, profile.layers - LAST)
    if swapped * profile.always > profile.host_bytes:
        raise TooLarge(
            f"{swapped} layers keep {profile.always:,} bytes each, and the host has {profile.host_bytes:,}; train on shorter texts."
        )
    in_time = profile.forward_s * profile.bytes_per_s - profile.always
    in_room = profile.host_bytes / swapped - profile.always if swapped else in_time
    return max(0.0, min(1.0, min(in_time, in_room) / profile.rest)) if profile.rest else 1.0


# -- by plan -------------------------------------------------------------------------------------------------------------


class Lifetime(NamedTuple):
    """A tensor of ``size`` bytes, there from step ``begin`` to step ``end``, both of them included."""

    size: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class ArenaPlan:
    """Where each tensor lies, the bytes that takes, and the most that lives at once: no plan takes less."""

    offsets: tuple[int, ...]
    peak: int
    bound: int

    @property
    def gap(self) -> float:
        """What is lost beside the bound, a share of it."""
        return self.peak / self.bound - 1 if self.bound else 0.0


def plan_arena(lifetimes: Sequence[Lifetime], *, online: bool = False) -> ArenaPlan:
    """Each tensor at the lowest place that is free as long as it lives, the largest first; ``online``, in the order in which they come, as an allocator that knows nothing of what follows.
    Raises `Invalid` for a size below 0 or an end before its beginning."""
    wrong = next((one for one in lifetimes if one.size < 0 or one.end < one.begin), None)
    if wrong is not None:
        raise Invalid(f"A tensor has a size of 0 or more and ends after it begins: {wrong}.")
    order = sorted(range(len(lifetimes)), key=lambda n: (lifetimes[n].begin if online else -lifetimes[n].size, lifetimes[n].begin, n))
    offsets, placed = [0] * len(lifetimes), list[int]()
    for number in order:
        own = lifetimes[number]
        beside = sorted((offsets[n], lifetimes[n].size) for n in placed if lifetimes[n].begin <= own.end and own.begin <= lifetimes[n].end)
        at = 0
        for start, size in beside:
            if start - at >= own.size:
                break
            at = max(at, start + size)
        offsets[number] = at
        placed.append(number)
    peak = max((at + one.size for at, one in zip(offsets, lifetimes, strict=True)), default=0)
    return ArenaPlan(tuple(offsets), peak, most_alive(lifetimes))


def most_alive(lifetimes: Sequence[Lifetime]) -> int:
    """The most bytes that live at once."""
    changes = sorted([(one.begin, 0, one.size) for one in lifetimes] + [(one.end, 1, -one.size) for one in lifetimes])
    most = alive = 0
    for _, _, change in changes:
        alive += change
        most = max(most, alive)
    return most
