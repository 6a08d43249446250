"""What became, where they are from, of memories that were imported: each change is a version here, taken once, in the order it had there.

A change is known again by the reason of its version, which names it. What was changed here since is left alone, and said: nobody's
words are overruled by a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from loci.infrastructure.formats import Sequel
from loci.operation.intake import DERIVED, Provenance
from loci.operation.lifecycle import Lifecycle
from loci.policy.lifecycle import FINDABLE
from loci.ports import Store, Transaction
from loci.types import Change, Channel, Memory, Message, Outcome, Scope

May = Callable[[str, Scope], bool]
OURS = "loci"  # the format of an export of our own: where its words came from before, it does not say
IMPORTED = re.compile(r"imported \(\w+\)")
CHANGED = "it was changed here since; `history` shows both, `update` settles it"


def imported(format: str) -> str:
    """The reason of the first version of a memory that came in a format, by which it is told later what that was."""
    return f"imported ({format})"


@dataclass(frozen=True, slots=True)
class Follower:
    """Brings memories to where they are now in the system that they are from. ``may`` says whether the caller may use a verb on a scope."""

    store: Store
    lifecycle: Lifecycle
    may: May

    def known(self, ids: Sequence[str], channel: Channel, user: str | None, format: str) -> dict[str, Memory]:
        """The memories that came by a channel under these ids, as they are now; of a user, where one is given. What is known to have come in another
        ``format`` is of another system, and only happens to be called so."""
        found: dict[str, Memory] = {}
        for id, memories in self.store.called(ids, channel).items():
            for first, *later in map(self.store.history, memories):
                latest = later[-1] if later else first
                is_theirs = user is None or latest.scope.user == user
                if is_theirs and (first.reason == imported(format) or not IMPORTED.fullmatch(first.reason)):
                    found.setdefault(id, latest)
        return found

    def says(self, memory: Memory, text: str) -> bool:
        """Whether these words, with secrets masked, are or were a memory's."""
        return self._masked(text) in {version.text for version in self.store.history(memory.id)}

    def follow(self, tx: Transaction, id: str, sequels: Sequence[Sequel], by: Provenance, now: datetime, *, is_new: bool) -> list[Change]:
        """Takes those changes of a memory which it has not taken yet. ``is_new``: it came with this import. Changes that are refused say why."""
        history = self.store.history(id)
        done = {version.reason for version in history} | {version.ending for version in history}
        changes = [Change(Outcome.IGNORED, id, f"{sequel.why}: taken already") for sequel in sequels if sequel.why in done]
        for sequel in sequels:
            if sequel.why not in done:
                memory = self.store.history(id)[-1]
                why_not = self._why_not(tx, memory, sequel, by.channel, is_new)
                changes += [Change(Outcome.REFUSED, id, f"{sequel.why}: {why_not}")] if why_not else self._take(tx, memory, sequel, by, now)
        return changes

    def _why_not(self, tx: Transaction, memory: Memory, sequel: Sequel, channel: Channel, is_new: bool) -> str:
        """Why a change is not taken; empty if it is."""
        verb = "forget" if sequel.is_deleted else "update"
        if not is_new and not self.may(verb, memory.scope):
            return f"{verb} is not granted, and the memory was here before this import"
        if tx.is_held(memory.id):
            return "the memory is in quarantine; accept it, and import again"
        if any(self.store.source(span.source).channel is not channel for span in memory.spans):
            return CHANGED
        if memory.state not in FINDABLE:
            return f"the memory is {memory.state.value} here: {memory.ending or memory.reason}"
        if sequel.text is None and not sequel.is_deleted and sequel.at and memory.valid.start and sequel.at < memory.valid.start:
            return f"it would end at {sequel.at.isoformat()}, before it began"
        return ""

    def _take(self, tx: Transaction, memory: Memory, sequel: Sequel, by: Provenance, now: datetime) -> list[Change]:
        at = max(sequel.at or now, memory.valid.start) if memory.valid.start else sequel.at or now
        if sequel.text is not None:
            if self._masked(sequel.text) == memory.text:
                return [Change(Outcome.IGNORED, memory.id, f"{sequel.why}: it says that already")]
            return list(self.lifecycle.update(tx, memory, sequel.text, "overwrite", sequel.why, by, now, at).changes)
        if sequel.is_deleted:
            return list(self.lifecycle.forget(tx, memory.id, sequel.why, by.principal, at).changes)
        if memory.valid.end is not None and memory.valid.end <= at:
            return [Change(Outcome.IGNORED, memory.id, f"{sequel.why}: it held no longer than that already")]
        number = tx.close(memory.id, at, sequel.why)
        if at <= now:
            tx.retire_claims(memory.id)
        return [Change(Outcome.SUPERSEDED, memory.id, sequel.why, number, number)]

    def derive(self, tx: Transaction, id: str, parents: Sequence[str]) -> None:
        """Names what a memory was drawn from: an erasure of that takes it too."""
        there = {link.target for link in self.store.links(id) if link.type == DERIVED and link.source == id}
        for parent in dict.fromkeys(parents):
            if parent not in there and parent != id:
                tx.link(id, parent, DERIVED, "made from it")

    def _masked(self, text: str) -> str:
        (message,), _ = self.lifecycle.intake.redactor.messages([Message("user", text)])
        return message.text
