"""What a system is put together from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from loci.infrastructure.governance import Governance
from loci.infrastructure.shelf import Shelf
from loci.infrastructure.vault import Vault
from loci.operation.intake import Reader
from loci.operation.pace import Pace
from loci.operation.porter import Porter
from loci.operation.residence import Residence
from loci.policy.fusion import Ranker
from loci.policy.placing import Limits
from loci.policy.redacting import Rules
from loci.policy.retention import Retention
from loci.ports import Chat, Clock, Embedder, Grouping, Ids, Notary, Registry
from loci.ports.adapting import Probe
from loci.ports.budgeting import Method
from loci.ports.engine import Engine
from loci.ports.serving import Server
from loci.types import MemoryCall


class CallReader(Reader, Protocol):
    """A reader that also reads questions."""

    def call(self, question: str, now: datetime, people: Sequence[str], speaker: str | None) -> MemoryCall: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a system is made of; `wire` puts it together."""

    vault: Vault
    registry: Registry
    governance: Governance
    reader: CallReader
    embedder: Embedder | None
    clock: Clock
    ids: Ids
    ranker: Ranker
    limit: int = 10
    capacity: int = 0
    is_background: bool = True
    is_auditing: bool = True
    rules: Rules = field(default_factory=Rules)
    quota: int = 0
    notary: Notary | None = None
    engine: Callable[[], Engine[Any]] | None = None
    residence: Residence = field(default_factory=lambda: Residence(None, 0, 0))
    server: Callable[[], Server] | None = None
    shelf: Shelf = field(default_factory=lambda: Shelf(None, 0))
    pace: Pace = field(default_factory=Pace)
    porter: Porter = field(default_factory=Porter)
    probe: Probe | None = None
    chat: Callable[[], Chat | None] | None = None
    methods: Mapping[str, Method] = field(default_factory=dict)
    grouping: Callable[[int], Grouping] | None = None
    retention: Retention | None = None
    limits: Limits = field(default_factory=lambda: Limits(4 << 30, 32 << 30))
