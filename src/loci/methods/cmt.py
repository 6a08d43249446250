"""CMT (Li et al., AAAI 2025, arXiv 2412.07393): documents as a few soft tokens each in a bank beside a frozen model; a question is answered from the
entries that match it best.

The paper's, as its abstract tells it: documents are compressed into a memory bank; a memory-aware objective, self-matching and top-k aggregation;
the model's own weights never change. No equations and no code of it were known to us. **Everything that can be computed from this file is ours**, named after the paper's
three techniques, and is not to be called the same as CMT:

- an entry is the keys and values of m memory tokens in every layer, [L, 2, H, m, w]: a trained prefix, not an embedding;
- self-matching: cosine of the normalised mean of the compressor's last states at the memory tokens, times a learned matrix, with that of the model's own states over the question
  (the last, or an earlier layer's), divided by ``tau``;
- aggregation of the k best: the sum weighted by the softmax of ``sharp`` times their scores (m tokens, whatever k is), or behind one another in the
  order of time (k m tokens);
- the objective: the answer, plus InfoNCE over the bank's hardest negatives, plus the divergence from the document in context, plus the document itself.

Entries know nothing of each other. Adding one changes no other, removing one leaves no trace, and the same bank gives the same answers
whatever it held before. Exact strings are what is lost first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.functional import cross_entropy, kl_div, normalize

from loci.errors import Corrupt, Invalid, Missing
from loci.ports.banking import LEFT_OUT, Compressor, Document, Entry, Trial, Turn

if TYPE_CHECKING:
    from torch import Tensor

Way = Literal["concatenation", "sum"]
WAYS: tuple[Way, ...] = ("sum", "concatenation")


@dataclass(frozen=True, slots=True)
class CMT:
    """``k`` entries are aggregated in one ``way``; ``tau`` divides the cosines, and a sum is weighted by the softmax of ``sharp`` times that: near to the best
    entry alone where one is far ahead, a mixture where several are alike. ``contrast``, ``distil`` and ``rebuild`` weigh what is trained for
    beside the answer."""

    k: int = 4
    way: Way = "sum"
    tau: float = 0.01
    sharp: float = 5.0
    contrast: float = 0.5
    distil: float = 1.0
    rebuild: float = 0.0

    def __post_init__(self) -> None:
        weights = (self.contrast, self.distil, self.rebuild)
        if (
            self.k < 1
            or self.way not in WAYS
            or not all(0 < x < math.inf for x in (self.tau, self.sharp))
            or not all(0 <= w < math.inf for w in weights)
        ):
            raise Invalid(
                f"CMT needs an entry, a way of {', '.join(WAYS)}, a tau and a sharpness above 0 and weights that are not below: {self}."
            )

    # -- matching and aggregating --------------------------------------------------------------------------------------------

    def direction(self, states: Tensor) -> Tensor:
        """Float32 [..., d] of length 1."""
        return normalize(states.float(), dim=-1)

    def scores(self, questions: Tensor, keys: Tensor) -> Tensor:
        """cos / tau, float32 [Q, N], of states [Q, d] and keys [N, d] of length 1. Each score is computed by itself: a matrix product may round
        another way when a row is added, and then a bank would not be what it was before."""
        return (self.direction(questions)[:, None] * keys[None]).sum(-1) / self.tau

    def aggregated(self, entries: Tensor, scores: Tensor, turn: Turn) -> Tensor:
        """One prefix [..., L, 2, H, n, w] of entries [..., k, L, 2, H, m, w] with these scores [..., k]."""
        return concatenated(entries, turn) if self.way == "concatenation" else summed(entries, (self.sharp * scores).softmax(-1))

    # -- what a compressor is taught for -------------------------------------------------------------------------------------

    def chosen(self, scores: Tensor, gold: Tensor) -> Tensor:
        """The k best of scores [Q, N] with the ``gold`` one of each row forced in, int64 [Q, k], ascending: as if numbers were times."""
        marked = scores.detach().clone().scatter_(1, gold[:, None], math.inf)
        return marked.topk(min(self.k, scores.shape[1]), dim=1).indices.sort(1).values

    def hardest(self, keys: Tensor, anchors: Tensor, count: int) -> Tensor:
        """The ``count`` entries whose keys [N, d] are nearest to those of each anchor [A], itself not among them: int64 [A, count]."""
        near = keys[anchors] @ keys.T
        return near.scatter_(1, anchors[:, None], -math.inf).topk(count, dim=1).indices

    def loss(self, trial: Trial) -> Tensor:
        """-log p of the answer, InfoNCE, KL(p(. | document, q) || p(. | Z, q)) and -log p of the document, weighted; nats a token, or a question."""
        parts = [surprisal(trial.said, trial.wanted)]
        if self.contrast:
            parts.append(self.contrast * cross_entropy(trial.scores, trial.gold))
        if self.distil:
            parts.append(self.distil * divergence(trial.taught, trial.said, trial.wanted))
        if self.rebuild:
            parts.append(self.rebuild * surprisal(trial.rebuilt, trial.documents))
        return torch.stack(parts).sum()


def concatenated(entries: Tensor, turn: Turn) -> Tensor:
    """Entries [..., k, L, 2, H, m, w] behind one another, each turned from place 0 to its own: [..., L, 2, H, k m, w]."""
    m = entries.shape[-2]
    keys = torch.cat([turn(entries[..., place, :, 0, :, :, :], place * m) for place in range(entries.shape[-6])], -2)
    values = torch.cat(entries[..., 1, :, :, :].unbind(-5), -2)
    return torch.stack([keys, values], -4)


def summed(entries: Tensor, weights: Tensor) -> Tensor:
    """sum a_i Z_i of entries [..., k, L, 2, H, m, w], all at place 0: [..., L, 2, H, m, w]."""
    return (entries * weights[..., None, None, None, None, None].to(entries.dtype)).sum(-6)


def surprisal(logits: Tensor, targets: Tensor) -> Tensor:
    """-log p of targets [Q, T] under logits [Q, T, V], nats a token; those that are `LEFT_OUT` do not count. Of answers, and of a document that is rebuilt."""
    return cross_entropy(logits.flatten(0, -2).float(), targets.flatten(), ignore_index=LEFT_OUT)


def divergence(teacher: Tensor, student: Tensor, targets: Tensor) -> Tensor:
    """KL(teacher || student) of logits [Q, T, V] where targets [Q, T] are not `LEFT_OUT`, nats a token."""
    counts = targets != LEFT_OUT
    p, q = (logits[counts].float().log_softmax(-1) for logits in (teacher, student))
    return kl_div(q, p, log_target=True, reduction="batchmean")


# -- the bank ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What a question is answered after: ``states`` [L, 2, H, n, w] at places 0 to n - 1, made of these documents in this order. A cartridge's payload."""

    documents: tuple[str, ...]
    states: Tensor


def bytes_of(layers: int, heads: int, tokens: int, width: int, states: int, element: int) -> int:
    """The bytes of an entry: 2 L H m w numbers of ``element`` bytes, and a key of ``states`` float32."""
    return 2 * layers * heads * tokens * width * element + 4 * states


class Bank:
    """Compressed documents by their ids. Not for several threads at once."""

    def __init__(self, compressor: Compressor, method: CMT | None = None) -> None:
        self.method = method or CMT()
        self._compressor = compressor
        self._entries: dict[str, Entry] = {}
        self._keys: tuple[tuple[str, ...], Tensor] | None = None  # ids in order, and their keys; made when it is first asked for

    @property
    def entries(self) -> Mapping[str, Entry]:
        return dict(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, document: Document, ids: Sequence[int]) -> Entry:
        """Compresses a document's tokens and keeps what comes of it. Raises `Invalid` for one that is there already, or has no tokens."""
        if document.id in self._entries:
            raise Invalid(f"The bank holds document {document.id!r} already; remove it first, and what is added then takes its place.")
        states, mean = self._compressor.compress(ids)
        made = Entry(document.id, document.at, states, self.method.direction(mean))
        self.put(made)
        return made

    def put(self, entry: Entry) -> None:
        """Keeps an entry that the same compressor made before. Raises `Invalid` for one that is there already or has another shape, `Corrupt` for one with
        numbers that are none."""
        if entry.id in self._entries:
            raise Invalid(f"The bank holds document {entry.id!r} already; remove it first.")
        other = next(iter(self._entries.values()), entry)
        if entry.states.shape != other.states.shape or entry.key.shape != other.key.shape:
            raise Invalid(
                f"The bank has entries of shape {list(other.states.shape)}, and {entry.id!r} has {list(entry.states.shape)}; compress it anew."
            )
        if not bool(entry.states.isfinite().all()) or not abs(float(entry.key.norm()) - 1) < 1e-3:
            raise Corrupt(f"Document {entry.id!r} was compressed to numbers that are none, or to a key of no direction; compress it anew.")
        self._entries[entry.id] = entry
        self._keys = None

    def remove(self, id: str) -> None:
        """Takes a document out: from then on the bank is one that never had it. Raises `Missing`."""
        if id not in self._entries:
            raise Missing(f"The bank holds no document {id!r}.")
        del self._entries[id]
        self._keys = None

    def match(self, question: Tensor, k: int | None = None) -> list[tuple[str, float]]:
        """The documents whose keys are nearest to the mean state of a question, [d], with their scores, best first, ``k`` of them (the method's). Of
        equal ones the first by id. Raises `Invalid` for a question of another width or of no direction."""
        if k is not None and k < 1:
            raise Invalid(f"At least one document is matched, not {k}.")
        if not self._entries:
            return []
        ids, keys = self._table()
        if question.shape != keys.shape[1:] or not bool(question.isfinite().all()) or not bool(question.any()):
            raise Invalid(f"A question is a state of {keys.shape[1]} finite numbers, not all 0; this has shape {list(question.shape)}.")
        scores = self.method.scores(question[None].to(keys.device), keys)[0]
        best = scores.sort(descending=True, stable=True)
        count = min(k or self.method.k, len(ids))
        return [(ids[place], score) for place, score in zip(best.indices[:count].tolist(), best.values[:count].tolist(), strict=True)]

    def prefix(self, matches: Sequence[tuple[str, float]]) -> Prefix:
        """The matches as one prefix, whatever order they come in: by time (those without one first), then by id. Raises `Missing`, or `Invalid` for none or one twice."""
        unknown = [id for id, _ in matches if id not in self._entries]
        if unknown:
            raise Missing(f"The bank holds no document {unknown[0]!r}; match again.")
        scores = dict(matches)
        if not matches or len(scores) < len(matches):
            raise Invalid(f"A prefix is made of at least one document, each once, not of {[id for id, _ in matches]}.")
        ordered = sorted((self._entries[id] for id in scores), key=lambda e: (e.at is not None, e.at.timestamp() if e.at else 0.0, e.id))
        entries = torch.stack([entry.states for entry in ordered])
        weights = torch.tensor([scores[entry.id] for entry in ordered], device=entries.device)
        return Prefix(tuple(e.id for e in ordered), self.method.aggregated(entries, weights, self._compressor.turn))

    def _table(self) -> tuple[tuple[str, ...], Tensor]:
        if self._keys is None:
            ids = tuple(sorted(self._entries))
            self._keys = ids, torch.stack([self._entries[id].key for id in ids])
        return self._keys
