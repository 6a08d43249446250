"""MoM: Mixture-of-Memories (Du et al., ICLR 2026, arXiv 2502.13685): a layer that keeps several matrices instead of one, and has each token written to
the few that a router chooses for it, so that what differs does not overwrite each other.

The paper's: the router ``softmax(W x)`` over the memories, its ``top`` best with their weights made to sum to one, one shared memory that every token is
written to, and the gated delta rule (Yang et al. 2024, arXiv 2412.06464) in each,

    S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T,   a_t = exp(-exp(A) softplus(.)),   b_t = sigmoid(.),

with keys and queries of length 1. Queries are shared; keys, values and both gates are each memory's own, or, with ``own=False``, shared as well. Only chosen memories
change; the others are the same to the last bit. What is read is the sum over the chosen, weighted, and the shared one: ``o_t = S_t^T q_t``.

Done otherwise: the short convolution runs over the text as it stands, each sample by itself, in training as in use. In the published code, in training, it
crosses from one memory's tokens to the next one's, so that a token sees others that come after it. There is no capacity: no token is dropped.

It is an architecture: no model that was trained without it gains it. `Form(memories=0)` is one gated delta memory, the control.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import Linear, Module, Parameter
from torch.nn.functional import normalize, silu, softplus

from loci.errors import Invalid

if TYPE_CHECKING:
    from torch import Tensor

TAPS = 4  # of the short convolution
CHUNK = 32  # tokens that are read at once


@dataclass(frozen=True, slots=True)
class Form:
    """``memories`` that are chosen from, ``top`` of them by each token, and the shared one beside them; each is a matrix of ``keys`` x ``values`` in every head."""

    memories: int = 4
    top: int = 2
    heads: int = 4
    keys: int = 256
    values: int = 256
    own: bool = True  # keys, values and gates of each memory
    has_shared: bool = True

    def __post_init__(self) -> None:
        is_routed = self.memories > 0
        if (
            min(self.heads, self.keys, self.values) < 1
            or self.memories < 0
            or self.kept < 1
            or (is_routed and not 0 < self.top <= self.memories)
        ):
            raise Invalid(
                f"A layer keeps at least one memory with a head, a key and a value, and a token chooses some of those there are: {self}."
            )

    @property
    def kept(self) -> int:
        """Memories of a layer, the shared one among them."""
        return self.memories + self.has_shared

    @property
    def numbers(self) -> int:
        """What they hold, whatever was read."""
        return self.kept * self.heads * self.keys * self.values


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a layer holds after ``seen`` tokens: ``memories`` float32 [B, M, H, k, v], and ``tail`` [B, 3, C], what the convolution still looks back at. It is of the same size after
    any number of tokens, is valid there and nowhere else, and cannot be cut back."""

    memories: Tensor
    tail: Tensor
    seen: int

    def at(self, place: int) -> State:
        """Itself, at its own end. Raises `Invalid` anywhere else: what later tokens changed is not undone."""
        if place != self.seen:
            raise Invalid(f"This state is of {self.seen:,} tokens, and holds nothing of where it was after {place:,}; read those again.")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What a layer gave [B, T, d], what it holds now, the share of tokens that each memory got [M], and what is added to a loss so that all are used (Fedus et al. 2021): 1 where they are, M over ``top`` where it is always the same."""

    states: Tensor
    end: State
    load: Tensor
    balance: Tensor


class MixtureOfMemories(Module):  # type: ignore[misc]
    """One layer, in the place of attention. ``width`` is d."""

    def __init__(self, width: int, form: Form) -> None:
        super().__init__()
        self.form = form
        sets = form.kept if form.own else 1
        sizes = (form.heads * form.keys, sets * form.heads * form.keys, sets * form.heads * form.values)  # of q, k, v
        self.router = Linear(width, form.memories, bias=False) if form.memories else None
        self.read = Linear(width, sum(sizes), bias=False)
        self.gates = Linear(width, 2 * sets * form.heads, bias=False)  # of writing, of fading
        self.gate = Linear(width, form.heads * form.values, bias=False)
        self.out = Linear(form.heads * form.values, width, bias=False)
        self.taps = Parameter(torch.randn(TAPS, sum(sizes)) / TAPS)
        self.fading = Parameter(torch.zeros(sets, form.heads))  # A
        slow = torch.empty(sets, form.heads).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        self.pace = Parameter(slow + (-(-slow).expm1()).log())  # softplus of it is `slow`
        self.scale = Parameter(torch.ones(form.values))
        self._sizes, self._sets = sizes, sets

    def begin(self, rows: int) -> State:
        """Of no tokens."""
        form, like = self.form, self.taps
        memories = torch.zeros(rows, form.kept, form.heads, form.keys, form.values, device=like.device)
        return State(memories, like.new_zeros(rows, TAPS - 1, sum(self._sizes)), 0)

    def forward(self, states: Tensor, begun: State | None = None, *, chunk: int = CHUNK) -> Read:
        """Reads states [B, T, d] on from where it was, ``chunk`` tokens at once; with 1, token by token. The two are the same to 1e-5 as long as nothing fades by more than e^-20 a token; beyond that, at once is less
        exact (1e-3 at e^-3000, of what is all but gone). Raises `Invalid` for no tokens, and for a state of other rows or of a layer of another form."""
        rows, tokens, _ = states.shape
        if not tokens or chunk < 1:
            raise Invalid(f"A layer reads one token or more, one or more at once, not {tokens} and {chunk}.")
        fresh = self.begin(rows)
        begun = begun or fresh
        if begun.memories.shape != fresh.memories.shape or begun.tail.shape != fresh.tail.shape:
            raise Invalid(
                f"This layer reads {rows} texts on from memories {list(fresh.memories.shape)}, and this state has {list(begun.memories.shape)}."
            )
        mixed, tail = self._convolved(self.read(states), begun.tail)
        q, k, v = (
            part.unflatten(-1, (-1, self.form.heads, n))
            for part, n in zip(mixed.split(self._sizes, -1), (self.form.keys, self.form.keys, self.form.values), strict=True)
        )
        q, k = normalize(q.float(), dim=-1), normalize(k.float(), dim=-1)
        writing, fading = self.gates(states).float().unflatten(-1, (2, self._sets, self.form.heads)).unbind(2)
        weights, chosen, balance = self._routed(states)
        writes = writing.sigmoid() * chosen[..., None]  # 0 where a memory was not chosen: it is not written to,
        fades = -self.fading.exp() * softplus(fading + self.pace) * chosen[..., None]  # and does not fade
        with torch.autocast(states.device.type, enabled=False):  # errors in a memory stay there
            read, memories = deltas(q, k, v.float(), fades, writes, begun.memories, chunk)
        told = torch.einsum("btm,btmhv->bthv", weights, read)
        told = told * torch.rsqrt(told.square().mean(-1, keepdim=True) + 1e-6) * self.scale
        given = self.out(told.flatten(2).to(states.dtype) * silu(self.gate(states)))
        return Read(given, State(memories, tail, begun.seen + tokens), chosen.float().mean((0, 1)), balance)

    def _convolved(self, wide: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Each channel with the three tokens before, of the same sample, and what the next tokens look back at."""
        whole, tokens = torch.cat([tail, wide], 1), wide.shape[1]
        mixed = sum(self.taps[n] * whole[:, n : n + tokens] for n in range(TAPS))
        return silu(mixed), whole[:, -(TAPS - 1) :].clone()  # and not the whole text that it is a view of

    def _routed(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each memory's reading counts [B, T, M], whether a token is written to it (0 or 1), and the balance."""
        rows, tokens, _ = states.shape
        shared = torch.ones(rows, tokens, int(self.form.has_shared), device=states.device)
        if self.router is None:
            return shared, shared, shared.new_ones(())
        p = self.router(states).float().softmax(-1)
        best = p.topk(self.form.top, -1)
        chosen = torch.zeros_like(p).scatter_(-1, best.indices, 1.0)
        weights = chosen * p / best.values.sum(-1, keepdim=True)
        balance = self.form.memories * (chosen.mean((0, 1)) / self.form.top * p.mean((0, 1))).sum()
        return torch.cat([weights, shared], -1), torch.cat([chosen, shared], -1), balance


def deltas(q: Tensor, k: Tensor, v: Tensor, fades: Tensor, writes: Tensor, memories: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """The gated delta rule over q [B, T, 1, H, k], k [B, T, M or 1, H, k], v [B, T, M or 1, H, v] with ln a and b [B, T, M, H], from memories [B, M, H, k, v]: what each memory says to
    each token [B, T, M, H, v], and the memories after the last.

    With c_t the sum of ln a within a chunk and u_t what is added along k_t, S_t = e^{c_t} S_0 + sum_{s<=t} e^{c_t - c_s} k_s u_s^T, and the u solve
    (1 + L) u = b (v - e^c S_0^T k) with L_{ts} = b_t e^{c_t - c_s} k_t . k_s for s < t. One token is the rule as it is written."""
    kept = memories.shape[1]
    q, k, v = (part.expand(-1, -1, kept, -1, -1).movedim(1, 3) for part in (q, k, v))  # [B, M, H, T, .]
    fades, writes = fades.movedim(1, 3), writes.movedim(1, 3)[..., None]
    told = []
    for start in range(0, q.shape[3], chunk):
        part = slice(start, start + chunk)
        said, memories = _chunk(q[..., part, :], k[..., part, :], v[..., part, :], fades[..., part], writes[..., part, :], memories)
        told.append(said)
    return torch.cat(told, 3).movedim(3, 1), memories


def _chunk(q: Tensor, k: Tensor, v: Tensor, fades: Tensor, writes: Tensor, memories: Tensor) -> tuple[Tensor, Tensor]:
    faded = fades.cumsum(-1)  # c
    tokens = faded.shape[-1]
    is_before = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).tril()
    between = (faded[..., :, None] - faded[..., None, :]).masked_fill(~is_before, -math.inf).exp()  # e^{c_t - c_s}, 0 for what comes after
    since = faded.exp()[..., None]
    lower = writes * between * (k @ k.transpose(-1, -2))
    wanted = writes * (v - since * (k @ memories))
    # u; what is not below the diagonal is not looked at
    added = torch.linalg.solve_triangular(lower, wanted, upper=False, unitriangular=True)
    said = since * (q @ memories) + (between * (q @ k.transpose(-1, -2))) @ added
    left = (faded[..., -1:] - faded).exp()[..., None]
    return said, since[..., -1:, :] * memories + (left * k).transpose(-1, -2) @ added
