"""A memory by its id, whatever its form: what models made of memories has the header, the past, the causes and the end that words have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loci.errors import Corrupt, Missing
from loci.memories import derived
from loci.operation.erasure import Erased
from loci.ports.engine import Quoted
from loci.system.placing import Placing
from loci.types import Kind, Memory, Scope, State

MAKERS = ("activate", "import_activation", "distil")  # verbs of the audit log that say who asked for one
SCHEDULER = "scheduler"


class Forms(Placing):
    """What the ids of activation memories and adapters are answered with by the verbs that name a memory."""

    def _derived(self, verb: str, id: str) -> Sequence[Memory]:
        kind = self._kind(id)
        try:
            return () if kind is None else self._activation_header(verb, id) if kind is Kind.ACTIVATION else self._adapter_headers(verb, id)
        except Missing:
            return ()  # for who may not reach it, it is not there

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
        self._reached_adapter(verb, id, None)
        kept = [row.number for row in self._store.adapters() if row.id == id]
        found = [self._adapters.learning(id, number) for number in sorted(kept)]
        until = [row.created for row, _ in found[1:]]
        headers = []
        for (row, learning), end in zip(found, (*until, None), strict=True):
            scope = Scope(self.name, learning.user, learning.agent, learning.session)
            made = derived.Made(self._words(learning.quoted), self._asker(id, row.number), end)
            headers.append(derived.of_adapter(row, learning, scope, made))
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
        for record in self._store.records(None, None, None, id, 100):
            if record.verb in MAKERS and record.detail.get("version") == version:
                return record.principal
        return SCHEDULER

    def _erase_derived(self, id: str) -> Erased | None:
        """Lets go of what was derived, every byte of it; the memories stay. None for an id of no such thing."""
        kind = self._kind(id)
        if kind is None:
            return None
        left: tuple[str, ...] = ()
        try:
            headers = self._derived("erase", id)
        except Corrupt:  # whose it is cannot be told
            headers = ()
            self._allow("erase", Scope(self.name))
        else:
            if not headers:
                return None
        if kind is Kind.ACTIVATION:
            left = self._let_go("erase", id)
        else:
            self._drop("erase", id)
        removed = {"activations" if kind is Kind.ACTIVATION else "adapters": max(len(headers), 1)}
        return Erased((), removed, (), 0, (), self._store.is_encrypted, self._store.head(), left, kind)
