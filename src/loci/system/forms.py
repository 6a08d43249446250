"""A memory by its id, whatever its form: what models made of memories has the header, the past, the causes and the end that words have."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from loci.errors import Corrupt, Missing
from loci.memories import derived
from loci.operation.erasure import Erased
from loci.ports.engine import Quoted
from loci.system.placing import Placing
from loci.types import Kind, Link, Memory, Scope, State

MAKERS = ("activate", "import_activation", "distil")  # verbs of the audit log that say who asked for one
SCHEDULER = "scheduler"
MOST_MADE = 1000  # times that one was made, of which the log is asked


class Forms(Placing):
    """What the ids of activation memories and adapters are answered with by the verbs that name a memory."""

    def _derived(self, verb: str, id: str) -> Sequence[Memory]:
        kind = self._kind(id)
        try:
            return () if kind is None else self._activation_header(verb, id) if kind is Kind.ACTIVATION else self._adapter_headers(verb, id)
        except Missing:
            return ()  # for who may not reach it, it is not there

    def _made_into(self, verb: str, id: str) -> Sequence[Link]:
        found: list[Link] = []
        for one in (*(row.id for row in self._store.payloads([id])), *dict.fromkeys(row.id for row in self._store.adapters())):
            with contextlib.suppress(Corrupt, Missing):  # `verify` names the one, and the other is gone, or out of reach
                if self._kind(one) is Kind.PARAMETRIC and all(quoted.memory != id for quoted in self._adapters.learning(one)[1].quoted):
                    continue
                found += [link for header in self._derived(verb, one)[-1:] for link in derived.links_of(header) if link.target == id]
        return found

    def _kind(self, id: str) -> Kind | None:
        """The form of what is derived; None for what is not, or is not there."""
        for kind, find in ((Kind.ACTIVATION, self._store.payload), (Kind.PARAMETRIC, self._store.adapter)):
            try:
                find(id)
            except Missing:
                continue
            return kind
        return None

    def _activation_header(self, verb: str, id: str) -> Sequence[Memory]:
        manifest, rows = self._reached(verb, id)
        row, user = self._store.payload(id), self._user_of(manifest)
        made = derived.Made(self._words(manifest.quoted), self._asker(id, row.number))
        void = self._activations.void(manifest, replace(rows, user=user))
        return (derived.of_activation(row, manifest, Scope(self.name, user), made, void),)

    def _adapter_headers(self, verb: str, id: str) -> Sequence[Memory]:
        """Of the versions all of whose memories are within reach."""
        found = []
        for number in sorted(row.number for row in self._store.adapters() if row.id == id):
            with contextlib.suppress(Missing):
                found.append(self._reached_adapter(verb, id, number)[:2])
        headers = []
        for place, (row, learning) in enumerate(found):
            scope = Scope(self.name, learning.user, learning.agent, learning.session)
            until = found[place + 1][0].created if place + 1 < len(found) else None
            headers.append(
                derived.of_adapter(row, learning, scope, derived.Made(self._words(learning.quoted), self._asker(id, row.number), until))
            )
        return headers

    def _words(self, quoted: Sequence[Quoted]) -> list[Memory]:
        """The memories in the versions that were read, as far as they are still there."""
        every = replace(self._everything(), states=frozenset(State), is_past=True, has_expired=True)
        latest = self._store.present([one.memory for one in quoted], every)
        found = []
        for one in quoted:
            memory = latest.get(one.memory)
            if memory is not None and memory.version != one.version:
                memory = next((version for version in self._store.history(one.memory) if version.version == one.version), memory)
            found += [] if memory is None else [memory]
        return found

    def _asker(self, id: str, version: int) -> str:
        """Who had this version made, as the log has it; what was made anew without anybody's asking was by the scheduler."""
        made = (record for verb in MAKERS for record in self._store.records(None, None, verb, id, MOST_MADE))
        return next((record.principal for record in made if record.detail.get("version") == version), SCHEDULER)

    def _erase_derived(self, id: str) -> Erased | None:
        """Lets go of what was derived, down to the bytes of the files; the memories stay. None for an id of no such thing that is within reach."""
        kind = self._kind(id)
        if kind is None:
            return None
        with contextlib.suppress(Corrupt):  # whoever is told so may erase anybody's
            if not self._derived("erase", id):
                return None
        left: tuple[str, ...] = ()
        if kind is Kind.ACTIVATION:
            record, left = self._let_go("erase", id)
        else:
            record = self._drop("erase", id)
        scanned = self._store.scrub()  # manifests hold the tokens of what was read
        removed = {"activations" if kind is Kind.ACTIVATION else "adapters": 1}
        return Erased((), removed, (), scanned, (), self._store.is_encrypted, record, left, kind)
