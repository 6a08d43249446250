"""The verb of a cube that decides in which form its memories are kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from loci.errors import Conflict, LociError, Missing, Unsupported
from loci.interface import inputs
from loci.operation import placing
from loci.operation.placing import Placed
from loci.policy.placing import HELD, LEARNED, NAMES
from loci.ports import RowFilter
from loci.ports.placing import Made, Mover
from loci.system.carrying import Carrying
from loci.types import Kind, Scope

MOST_MOVES = 1 << 20  # of one plan


class Placing(Carrying):
    """Text, activation and weights: what is where, and what had better be elsewhere."""

    def plan(self, *, apply: bool = False, most: int | None = None) -> list[Placed]:
        """What is to become of each body of memory (of what was said in one session, what answers cited of late), why, and the numbers that say so.
        With ``apply`` the moves are done, ``most`` of them where that is given, one after the other, each with a record of before and after
        (`log(verb="place")`); one that cannot be done is passed over, and its ``left`` says why. Raises `Unsupported` without a model that runs here, whose rates decide."""
        self._allow("plan", Scope(self.name))
        if apply:
            self._parts.governance.check_writable("plan", f"cube {self.name}")
        room = MOST_MOVES if most is None else inputs.number(most, "most", 1, MOST_MOVES)
        if self._parts.server is not None:
            raise Unsupported(
                "A plan takes the rates of a model that runs here: name a folder by the setting engine. Servers keep what they like."
            )
        self._scheduler.note_uses()
        now = self._parts.clock.now()
        machine = placing.machine_of(self._activations.engine)
        found = placing.placed(self._store, self._activations, self._adapters, machine, self._parts.limits, now)
        told = []
        for one in found:
            moved = self._moved(one) if apply and room and one.decision.is_move else one
            room -= moved.is_done
            told.append(moved)
        return told

    def _moved(self, wanted: Placed) -> Placed:
        """A move, done and recorded; or why it was left."""
        decision = wanted.decision
        before = self._hash_of(decision.before, wanted)
        try:
            made = self._move_body(wanted)
        except LociError as error:
            if isinstance(error, _Failed):
                self._note_failed(wanted, str(error))
            return replace(wanted, left=f"{error.code}: {error}")
        done = replace(wanted, is_done=True, held=wanted.held if made is None else made.id)
        with self._store.write(self._parts.clock.now()) as tx:
            detail = placing.record(done, before, self._hash_of(decision.after, wanted) if made is None else made.hash)
            tx.audit(self._parts.governance.principal, placing.VERB, decision.body.id, detail)
        return done if made is not None else replace(done, held=None)

    def _note_failed(self, wanted: Placed, told: str) -> None:
        """That it stayed what it was: what failed its examination is not learned again for some days."""
        with self._store.write(self._parts.clock.now()) as tx:
            detail = {**placing.record(wanted, "", ""), "after": NAMES[wanted.decision.before], "why": told, "is_failed": True}
            tx.audit(self._parts.governance.principal, placing.VERB, wanted.decision.body.id, detail)

    def _move_body(self, wanted: Placed) -> Made | None:
        """Out of the form that it has, then into the other. What is learned keeps its KV memory until it is learned."""
        decision, held = wanted.decision, wanted.held
        made = None
        if decision.after in (HELD, LEARNED):
            anew = held if decision.before is decision.after else None
            made = self._mover(decision.after).promote(decision.body.memories, wanted.user, anew)
        if held is not None and decision.before is not decision.after:
            with suppress(Missing):  # somebody let go of it meanwhile, which is what was to be done
                self._mover(decision.before).demote(held)
        return made

    def _mover(self, form: Kind) -> Mover:
        return _Activating(self) if form is HELD else _Learning(self)

    def _hash_of(self, form: Kind, wanted: Placed) -> str:
        """What a body is in a form: a keyed hash of its words, or of the text that was read; of weights that of their file. Empty where that cannot be read."""
        with suppress(LociError):
            if form is HELD and wanted.held is not None:
                return self._activations.manifest(wanted.held).text
            if form is LEARNED:
                return next((row.file.hash for row in self._store.adapters() if row.id == wanted.held and row.is_wanted and row.file), "")
            ids = wanted.decision.body.memories
            found = self._store.present(ids, RowFilter(now=self._parts.clock.now(), user=wanted.user))
            return self._adapters.words_of([found[id] for id in ids if id in found]) if found else ""
        return ""


class _Failed(Conflict):
    """What was learned of a body failed its examination, and is kept as failed; its text serves."""

    code = "failed_examination"


@dataclass(frozen=True, slots=True)
class _Learning:
    """Adapters: learned and mounted where they pass their examination, unmounted where they no longer pay. An adapter that was unmounted is kept."""

    cube: Placing

    def promote(self, memories: Sequence[str], user: str | None, held: str | None) -> Made:
        made = self.cube.distil(memories if held is None else (), user=user, id=held)
        if made.stage != "evaluated":
            raise _Failed(f"What was learned of it failed its examination: {made.reason}")
        self.cube.mount(made.id)
        file = self.cube.adapter(made.id).file
        return Made(made.id, file.hash if file is not None else "")

    def demote(self, held: str) -> None:
        self.cube.unmount(held)


@dataclass(frozen=True, slots=True)
class _Activating:
    """KV memories, by the verbs that make them and let them go."""

    cube: Placing

    def promote(self, memories: Sequence[str], user: str | None, held: str | None) -> Made:
        handle = self.cube.activate(memories, user=user, id=held)
        return Made(handle.id, self.cube._activations.manifest(handle.id).text)

    def demote(self, held: str) -> None:
        self.cube.deactivate(held)
