"""What the kernel asks of a model that runs here: to read tokens once, to give what it made of them as bytes, and to go on from there.

A *state* is what a model holds after it has read a text (keys and values of every layer), in *pages* of ``BLOCK`` tokens, each with all
layers. Pages never change: whoever goes on from a state makes new ones, and states with the same beginning share theirs. On the disk a
page is a file, and a `Manifest` names those of a state. Some layers keep no keys but one state that every token changes: what they hold at the
*end* of a text is one more page, of no tokens, and then the text's state has no beginnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from loci.types import Message

BLOCK = 64  # tokens of a page


@dataclass(frozen=True, slots=True)
class LayerShape:
    """A layer's cache: ``kind`` is full, window, end (no keys, but a state at the end of a text), both of these, or none; ``heads`` how many keys a token has, ``width``
    of each, ``window`` in tokens (0: none), ``values`` the width of its values (0: as of keys)."""

    kind: str
    heads: int
    width: int
    window: int = 0
    values: int = 0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Everything a state depends on besides its tokens. States of two fingerprints that differ anywhere are never mixed.

    ``model`` is a hash of configuration and weights, ``adapters`` of what is mounted on them; ``rope`` is (type, theta, scaling);
    ``context`` the longest text in tokens.
    """

    model: str
    tokenizer: str
    template: str
    adapters: tuple[str, ...]
    dtype: str
    attention: str
    rope: tuple[str, float, str]
    layers: tuple[LayerShape, ...]
    context: int

    @property
    def has_end(self) -> bool:
        """Whether a state is of a whole text, and of none of its beginnings."""
        return any(layer.kind in ("end", "both") for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Codec:
    """How numbers are kept: ``raw`` as they are, ``int8`` and ``int4`` in groups of a page's tokens or of channels, ``hidden`` as the
    inputs of attention, from which keys and values are computed again."""

    name: str = "raw"
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Quoted:
    """A memory that was read: its version, the keyed hash of its words, and the sources that it quotes."""

    memory: str
    version: int
    checksum: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A file of at most ``BLOCK`` tokens; under a budget, of what a layer kept of each head. ``chain`` names these tokens and all before
    them, ``hash`` the bytes (SHA-256)."""

    chain: str
    hash: str
    bytes: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Remote:
    """A state that an inference server keeps instead of us: where, and under which name; of a slot file its size and, where it is on this
    machine, the hash of its bytes (SHA-256). ``seconds`` is what reading took."""

    server: str  # kind and address
    name: str
    bytes: int
    hash: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Eviction:
    """How a state came to hold less than its tokens gave: the ``method`` by its name, and by all that its choices depend on (``scorer``); the
    entries that each layer was to keep of each head, with the first ``sinks`` and the last ``recent`` tokens always among them; how the budget
    was shared among ``layers``, and how many tokens were read at a time."""

    method: str
    scorer: str
    per_layer: tuple[int, ...]
    sinks: int
    recent: int
    block: int
    layers: str


@dataclass(frozen=True, slots=True)
class Episode:
    """That a state is one of ``of`` episodes of a conversation at the most, each read under a budget of so many ``entries``, by which method, and
    how layers share it."""

    of: int
    entries: int
    method: str
    layers: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a stored state is, in full: nothing is attached that differs from it. ``quality`` was measured when it was built: the
    divergence (``kl``, nats a token), the largest difference of logits, the largest errors and what the codec had promised of them, and under a
    budget the attention that was evicted (``evicted_mass``). ``costs`` are what reading it again and loading it from the disk take where it was
    built, in milliseconds. It has pages, a file for each layer where it was read under a budget (``eviction``), or a server keeps it (``remote``).
    Nobody asked for one that ``is_kept``: an answer read it, and it was worth keeping. ``episode`` is of one of several of a conversation."""

    id: str
    version: int
    created: datetime
    text: str  # the hash of the prompt's head that was read
    ids: tuple[int, ...]
    fingerprint: Fingerprint
    quoted: tuple[Quoted, ...]
    tenant: str
    codec: Codec
    pages: tuple[Page, ...]
    quality: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    schema: int = 1
    remote: Remote | None = None
    eviction: Eviction | None = None
    is_kept: bool = False
    episode: Episode | None = None

    @property
    def bytes(self) -> int:
        return sum(page.bytes for page in self.pages) + (self.remote.bytes if self.remote else 0)


@dataclass(frozen=True, slots=True)
class Tensor:
    """Numbers in a file: their type as safetensors spells it (F32, BF16, U8, I32 ...), their shape, and their bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


Tensors = Mapping[str, Tensor]


class Held(Protocol):
    """A page as the engine holds it: what the model made of its tokens. It never changes."""

    @property
    def ids(self) -> tuple[int, ...]: ...

    @property
    def bytes(self) -> int:
        """In memory."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A place that states come from: what one costs to ask for, and how fast it comes. Two numbers are enough (measured)."""

    latency_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What this machine and model take, measured once. Reading n tokens after m others costs ``start_s + n token_s + n (m + n / 2) pair_s
    + m held_s`` seconds: the weights, the attention, the copy of what is held. Pages come from the ``disk`` or from the ``host``'s memory."""

    start_s: float
    token_s: float
    pair_s: float
    held_s: float
    host: Tier
    disk: Tier


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is told: ``max_tokens`` at the most, by chance of that ``temperature`` (0: always the likeliest token) and ``seed``."""

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0


P = TypeVar("P", bound=Held)


def reread_of(share: float, tokens: int) -> int:
    """How many of ``tokens`` that follow the first state ``blend`` reads again."""
    return round(share * tokens)


class Engine(Protocol[P]):
    """A model that runs here. Every method may be called from several threads."""

    @property
    def name(self) -> str: ...

    def tools(self) -> Mapping[str, str]:
        """The libraries that it runs on, and their versions."""

    def fingerprint(self) -> Fingerprint:
        """As the model is now: an adapter that was mounted meanwhile shows."""

    def prompt(self, memory: str, messages: Sequence[Message]) -> tuple[str, str]:
        """The whole prompt as the model's template spells it, and its head, which ends with ``memory`` and is the same whatever the
        messages are. The first message is the user's."""

    def tokenize(self, text: str) -> tuple[int, ...]:
        """With the special tokens that the text spells, and those that the tokenizer puts before every text."""

    def read(self, ids: Sequence[int], after: Sequence[P] = ()) -> Sequence[P]:
        """The state after these tokens, which follow those of ``after``, whose whole pages it shares."""

    def read_hidden(self, ids: Sequence[int]) -> Sequence[P]:
        """The same of a text from its beginning, with what the codec ``hidden`` keeps. Raises ``Unsupported``."""

    def is_hidden_smaller(self) -> bool:
        """Whether the codec ``hidden`` takes less room than ``raw`` with this model."""

    def cut(self, state: Sequence[P], tokens: int) -> Sequence[P]:
        """The state as it was after its first tokens. Raises ``Invalid`` for less than the whole of one that has an end."""

    def compose(self, states: Sequence[Sequence[P]], mode: str, share: float = 0.15, head: int = 0) -> Sequence[P]:
        """States behind one another. All begin with the same ``head`` tokens, which stay with the first alone. ``block``: each sees
        itself and the head; ``blend``: `reread_of` what follows the first is read again, with all before it in view. Neither is what
        reading the joined text gives. Raises ``Unsupported`` for a model whose states cannot be moved."""

    def encode(self, page: P, codec: Codec) -> Tensors:
        """A page as it is kept. Raises ``Unsupported`` where the codec cannot hold what is in it."""

    def decode(self, ids: Sequence[int], start: int, codec: Codec, tensors: Tensors) -> P:
        """The page of these tokens, the first of which is the text's ``start``-th, where the model runs. Raises ``Corrupt`` where the tensors are not what they should be."""

    def park(self, page: P) -> P:
        """The same in the host's memory, from where it comes back fast. Where the model runs there, the same object."""

    def fetch(self, page: P) -> P:
        """A parked page where the model runs."""

    def rates(self) -> Rates:
        """Measured at the first call, which takes about two seconds."""

    def compare(self, state: Sequence[P], other: Sequence[P]) -> Mapping[str, float]:
        """How much the model's answers after ``other`` differ from those after ``state``: ``kl``, ``logits`` and ``argmax``."""

    def generate(
        self, state: Sequence[P], ids: Sequence[int], *, max_tokens: int, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[str]:
        """The answer to these tokens, which follow those of the state, as it comes."""
