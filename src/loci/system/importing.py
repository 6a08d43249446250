"""What an import asks of a cube, through the gate that the import passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loci.infrastructure.governance import Allowed
from loci.interface.ahead import Ahead
from loci.memories.plaintext import Header
from loci.operation.following import OURS, Follower, imported
from loci.operation.importing import Followed
from loci.operation.intake import Intake, Provenance, Told, people_of, told
from loci.policy import access
from loci.policy.trust import least
from loci.types import Change, Channel, Memory, Message, Receipt, Scope, Trust

if TYPE_CHECKING:
    from loci.system.cube import Cube


@dataclass(frozen=True, slots=True)
class Imports:
    """A cube while it takes in a file: `loci.operation.importing.Taking`."""

    cube: Cube
    allowed: Allowed
    intake: Intake
    reader: Ahead
    channel: Channel
    name: str | None
    format: str

    def add(self, messages: Sequence[Message], scope: Scope, origin: str | None, trust: Trust, told: Told) -> Receipt:
        header = Header() if self.format == OURS else Header(reason=imported(self.format))
        return self.cube._add(
            self.allowed, self.intake, messages, scope, self.channel, header, origin=origin or self.name, trust=trust, told=told
        )  # fmt: skip

    def expect(self, messages: Sequence[Message], scope: Scope) -> None:
        now = self.cube._parts.clock.now()
        self.reader.expect([told(message, scope, now) for message in messages], people_of(messages, scope))

    def known(self, ids: Sequence[str], user: str | None) -> Mapping[str, Memory]:
        found = self._follower().known(ids, self.allowed.channel or self.channel, user, self.format)
        within = self.allowed.rows.within
        return {id: memory for id, memory in found.items() if access.admits(within, memory.id, memory.scope)}

    def says(self, memory: Memory, text: str) -> bool:
        return self._follower().says(memory, text)

    def follow(self, memories: Sequence[Followed]) -> list[list[Change]]:
        cube, follower, now = self.cube, self._follower(), self.cube._parts.clock.now()
        found = []
        with cube._store.write(now) as tx:
            for one in memories:
                by = Provenance(
                    cube._parts.governance.principal, self.allowed.channel or self.channel, self.name, least((self.allowed.trust, one.trust)),
                    self.allowed.rows.within,
                )  # fmt: skip
                follower.derive(tx, one.memory, one.parents)
                changes = follower.follow(tx, one.memory, one.sequels, by, now, is_new=one.is_new)
                taken = Receipt(tuple(changes))
                if any(change.after is not None for change in changes):
                    cube._record(tx, "update", one.memory, taken, scope=one.scope)
                found.append(changes)
        cube._scheduler.wake()
        return found

    def _follower(self) -> Follower:
        return Follower(self.cube._store, self.cube._lifecycle, self.cube._parts.governance.may)
