"""What a budgeted KV cache asks of an eviction method: how much each entry is worth keeping. Tensors are torch's, and only named here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from loci.errors import Invalid

if TYPE_CHECKING:
    from torch import Tensor

Need = Literal["keys", "values", "attention", "probe", "surprisal"]


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """How many entries each layer may keep, and which are kept whatever they score.

    ``per_layer[l]`` entries for every KV head of layer l; the first ``sinks`` positions of the text and the last ``recent`` ones are among
    them. Raises `Invalid` where a layer could not even hold those.
    """

    per_layer: tuple[int, ...]
    sinks: int = 4
    recent: int = 0

    def __post_init__(self) -> None:
        if not self.per_layer or self.sinks < 0 or self.recent < 0:
            raise Invalid(f"A budget plan needs a layer, and no negative sinks or recent: {self}.")
        if min(self.per_layer) <= self.sinks + self.recent:
            raise Invalid(
                f"A layer's budget of {min(self.per_layer)} cannot hold {self.sinks} sinks and {self.recent} recent entries and one more; "
                "give the layer more or protect less."
            )


@dataclass(frozen=True, slots=True)
class ScoreContext:
    """What is known of a cache's entries when its layers are about to be trimmed.

    Lists have an item a layer (one, where a layer trims itself while tokens are generated). H is the number of KV heads, n the entries of the layer,
    in the order of their positions; heads may hold different positions. What a method did not name in ``needs`` is empty.
    """

    positions: Sequence[Tensor]  # int64 [H, n]
    seen: int  # tokens read so far, kept or not
    keys: Sequence[Tensor] = ()  # [H, n, d], rotated to their positions
    values: Sequence[Tensor] = ()  # [H, n, d]
    attention: Sequence[
        Tensor
    ] = ()  # float32 [H, n]: the most that any watched query gives the entry, over the queries and the head's group
    mean_attention: Sequence[Tensor] = ()  # float32 [H, n]: the same, averaged
    previous: Sequence[Tensor] = ()  # float32 [H, n]: what the method said when it was last asked; nan where the entry is new
    surprisal: Tensor | None = None  # float32 [seen]: -log p(token | what the cache held), in nats; nan where it was read elsewhere
    read_in: Tensor | None = None  # int64 [seen], with surprisal: the number of the block each position was read in, counted from 0


class Scorer(Protocol):
    """An eviction method: a pure function of tensors. The same context gives the same scores; nothing in it is changed."""

    @property
    def name(self) -> str:
        """The method and what its choices depend on; stored with what was evicted by it."""

    @property
    def needs(self) -> frozenset[Need]:
        """Which fields of the context are read. Nothing beyond ``keys`` and ``values``: a layer can trim itself at every generated token."""

    def score(self, context: ScoreContext) -> Sequence[Tensor]:
        """Float [H, n] for each layer of the context, higher is kept; finite. Ties are broken towards the later entry."""


@runtime_checkable
class Watching(Scorer, Protocol):
    """A method that needs ``attention``: that of a block's own last queries."""

    @property
    def window(self) -> int:
        """How many of them, at least 1."""


@runtime_checkable
class Probing(Scorer, Protocol):
    """A method that needs ``probe``: the attention of tokens that are read against the cache after a block, and then forgotten."""

    def probe(self, block: Sequence[int]) -> Sequence[int]:
        """The token ids to read after this block, at least one."""


class Episodes(Protocol):
    """Which of several caches a part of a conversation belongs to, and which one a question is asked of."""

    def join(self, tokens: Sequence[int], vector: Sequence[float]) -> int:
        """The episode of the next window, counted from 0, in the order in which they opened. Remembers the window."""

    def route(self, vector: Sequence[float]) -> int:
        """The episode nearest to a question. Raises `Invalid` where there is none yet."""

    def scorer(self, episode: int) -> Scorer:
        """What is worth keeping for that episode, as it is known now."""


class Book(Episodes, Protocol):
    """The same as a record, that says which windows belong together."""

    def remember(self, episode: int, tokens: Sequence[int], vector: Sequence[float]) -> None:
        """Notes a window of an episode that is known; the one after the last opens."""

    def windows(self) -> Sequence[Sequence[int]]:
        """The numbers of each episode's windows, counted from 0 in the order in which they were remembered."""


class Grouping(Protocol):
    """How a conversation is told apart into episodes."""

    def book(self) -> Book:
        """An empty record, which grows window by window."""

    def clustered(self, windows: Sequence[Sequence[int]], vectors: Sequence[Sequence[float]], seed: int = 42) -> Book:
        """The record of a conversation that is already there: its windows, of tokens, by their directions."""
