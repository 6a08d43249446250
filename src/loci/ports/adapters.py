"""What the kernel asks of a store for parametric memory: the rows that adapters stand in, and what becomes of them when a memory changes.

An adapter is made of versions of memories. When one of these no longer holds in the words that were learned, the very transaction that changed it archives
the adapter and puts a job into the queue that learns anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from loci.ports.adapting import Examined, Recipe, Retained
from loci.ports.engine import Fingerprint, Quoted
from loci.types import State

LEARN = "distil"  # the verb of the job that learns an adapter, or learns it anew: {"adapter": id}


def learn_key(adapter: str) -> str:
    """The key under which that job is queued."""
    return f"{LEARN} {adapter}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A file by the hash of its bytes (SHA-256), and how many there are."""

    hash: str
    bytes: int


@dataclass(frozen=True, slots=True)
class AdapterRow:
    """A version of an adapter as stored. ``manifest`` is the text of one (`loci.memories.parametric`); ``file`` holds its weights, or, while it is
    learned, how far that has come; ``user`` is whose it is. Of one id at most one version is wanted for answers; it is mounted while its state lets it."""

    id: str
    number: int
    created: datetime
    manifest: str
    state: State
    reason: str
    is_wanted: bool
    file: Kept | None = None
    uses: int = 0
    last_used: datetime | None = None
    user: str | None = None

    @property
    def is_mounted(self) -> bool:
        return self.is_wanted and self.state is State.ACTIVATED


@dataclass(frozen=True, slots=True)
class Pair:
    """Ways to ask for one thing, of which the last is for examinations where there are several; and the answer, in words of the memory."""

    questions: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a language model ``model`` asked about a memory, whose words have this keyed hash; and how many pairs were ``refused``, since the words do not carry them."""

    memory: str
    words: str
    model: str
    pairs: tuple[Pair, ...] = ()
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Learning:
    """What an adapter is, in full. ``chosen`` are the memories that it is to hold; ``quoted`` the versions of them that were learned, ``words`` a keyed hash of how
    they read, and ``taught`` one of every lesson. ``pairs`` is what a language model was asked for about them, where the recipe says so: learning anew does not ask
    again. ``stage`` is draft until it was examined, then evaluated, or failed, for ``faults``. ``seconds`` is what learning took. ``retained`` is what probes found that
    it would still know after so many further updates, fewest first."""

    id: str
    version: int
    created: datetime
    fingerprint: Fingerprint | None
    tenant: str
    user: str | None
    agent: str | None
    session: str | None
    chosen: tuple[str, ...]
    recipe: Recipe
    quoted: tuple[Quoted, ...] = ()
    words: str = ""
    taught: str = ""
    lessons: int = 0
    stage: str = "draft"
    file: Kept | None = None
    steps: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    report: Examined | None = None
    faults: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    pairs: tuple[Asked, ...] = ()
    schema: int = 1
    retained: tuple[Retained, ...] = ()

    def retaining(self, found: Sequence[Retained]) -> Learning:
        """With what a probe found, in the place of what one found before after as many updates."""
        by_updates = {one.updates: one for one in (*self.retained, *found)}
        return replace(self, retained=tuple(by_updates[count] for count in sorted(by_updates)))

    def draft(self, version: int) -> Learning:
        """A version that is still to be learned, as this one was."""
        nothing = Learning(self.id, version, self.created, None, self.tenant, self.user, self.agent, self.session, self.chosen, self.recipe)
        return replace(nothing, quoted=self.quoted, pairs=self.pairs)


class AdapterWrites(Protocol):
    """What a transaction does with adapters."""

    def put_adapter(
        self, id: str, number: int, manifest: str, quoted: Sequence[Quoted], state: State, file: Kept | None, user: str | None = None
    ) -> None:
        """Keeps a version of an adapter, in the place of the same version, and wanted if that was; ``user`` is who its jobs take turns for. Raises ``Missing`` when a source of what it was made of is not there any more. ``remove`` drops every version that was
        made of the sources that it removes."""

    def amend_adapter(self, id: str, number: int, manifest: str) -> None:
        """Keeps another manifest of a version, of the same words and weights; nothing else of it changes. Raises ``Missing``."""

    def move_adapter(self, id: str, number: int, state: State, reason: str) -> None:
        """Gives a version another state: what is archived or expired is not mounted while it is. Raises ``Missing``."""

    def mount_adapter(self, id: str, number: int | None) -> None:
        """Mounts one version of an adapter in the place of any other of it; None: none. Raises ``Missing``."""

    def drop_adapters(self, ids: Collection[str], numbers: Collection[int] | None = None) -> int:
        """Forgets adapters, or these versions of them. Returns how many versions there were."""


class AdapterReads(Protocol):
    """What a store tells of them."""

    def adapters(self) -> list[AdapterRow]:
        """Every version of every adapter, oldest first."""

    def adapter(self, id: str, number: int | None = None) -> AdapterRow:
        """One version of an adapter, or its latest. Raises ``Missing``."""
