"""The verbs of parametric memory: have a model learn memories, look after what it learned, and let it answer with that."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loci.errors import Conflict, Corrupt, Diverged, Invalid, Missing, OutOfTime, TooLarge, Unavailable, Unsupported, missing_adapter
from loci.interface import inputs
from loci.memories import parametric
from loci.operation.activation import GIVES_WAY
from loci.operation.adapters import MOST_CHOSEN, Adapters
from loci.operation.distilling import Distilling
from loci.operation.keeping import gone
from loci.operation.reading import quoted_of
from loci.policy.lifecycle import Move
from loci.ports import RowFilter
from loci.ports.adapters import AdapterRow, Learning, learn_key
from loci.ports.adapting import Learned, Progress, Recipe, Retained
from loci.system.talking import Talking
from loci.types import Adapter, Head, Scope, State

MINUTES = 10.0


class Adapting(Talking):
    """What a cube does with the weights of a model that runs here."""

    _adapters: Adapters
    _distilling: Distilling

    def distil(
        self,
        memories: Sequence[str] = (),
        *,
        about: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        limit: int | None = None,
        form: str | None = None,
        rank: int | None = None,
        tokens: int | None = None,
        exposures: int | None = None,
        rate: float | None = None,
        replay: float | None = None,
        minutes: float = MINUTES,
        most_bytes: int | None = None,
        seed: int | None = None,
        pairs: str | None = None,
        id: str | None = None,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> Adapter:
        """Has the model learn memories, by their ids, as a search ``about`` something finds them, or all of a user's; examines what it learned, and keeps it as an adapter,
        which may be mounted if it passed. ``form`` is lora (of a ``rank``, 8) or cartridge (of so many ``tokens``). Each lesson is seen ``exposures`` times (60) at a ``rate`` (0.001), a share
        ``replay`` (0.25) of what is seen is of the model's own, so that it forgets nothing else. Who asks about the memories says ``pairs``: rules, or a model (of the settings endpoint and model, which is sent each memory by itself, masked and fenced), whose
        questions are taught where the memory's own words answer them, and asked for once: learning anew has them. ``id`` learns that adapter anew, from what its own memories say now, and as before in
        everything that is not said anew; until that has passed, the version that is mounted stays so. What was learned by the same recipe of the same words is the answer (``is_reused``), as it would be the same again, and what was cut short is gone on
        with. It may take ``minutes``: what was learned by then is kept, and learning it by its ``id`` goes on. ``progress`` is told (steps, of). Without ``wait`` it is put into the queue, for
        whoever works it. Raises what made it fail; the memories stay as they are, and so do answers."""
        if id is not None and (memories or about is not None or limit is not None):
            raise Invalid("An adapter is learned anew from the memories that it has: leave out memories, about and limit, or id.")
        named = inputs.scope_of(self.name, user, agent, session)
        latest, rows = self._learned_before(id, named)
        before = Recipe() if latest is None else latest.recipe
        said = {
            "form": form, "rank": rank, "tokens": tokens, "exposures": exposures, "rate": rate, "replay": replay, "most_bytes": most_bytes, "seed": seed,
            "pairs": pairs,
        }  # fmt: skip
        recipe = inputs.recipe_of(before, said, minutes)
        self._adapters.student  # noqa: B018  (what is missing is told before anything is queued)
        now = self._parts.clock.now()
        if latest is not None:
            learning = self._again(latest, recipe)
        else:
            chosen = self._to_learn(rows, memories, about, limit)
            learning = Learning(
                self._parts.ids.new(now), 1, now, None, self._adapters.tenant(rows), user, agent, session, tuple(sorted(chosen)), recipe
            )
        present = self._adapters.present(learning.chosen, replace(rows, now=now))
        quoted = quoted_of(present)
        learning = replace(learning, pairs=self._adapters.asked_before(learning, present) if recipe.pairs == "model" else ())
        if not quoted:
            raise Invalid(
                "None of these memories holds any more and is trusted, so there is nothing to learn: what came from a page or a tool stays text."
            )
        begun = self._distilling.check(learning)  # before anything is stored
        if latest is None:
            learning = self._known(learning, begun)
            if learning.stage != "draft":
                return replace(self._shown_adapter(learning.id, rows), is_reused=True)
        with self._store.write(now) as tx:
            self._adapters.draft(tx, replace(learning, quoted=quoted))
            detail = {"version": learning.version, "memories": len(quoted), "form": recipe.form}
            tx.audit(self._parts.governance.principal, "distil", learning.id, detail)
        if wait:
            self._learn_now(learning, progress)
        else:
            self._scheduler.wake()
        return self._shown_adapter(learning.id, rows)

    def _to_learn(self, rows: RowFilter, memories: Sequence[str], about: str | None, limit: int | None) -> Sequence[str]:
        if memories or about is not None:
            chosen = self._chosen(rows, memories, about, limit)
            found = self._store.present(chosen, rows)
            if lacking := [one for one in chosen if one not in found]:
                raise gone(self._store, lacking[0], rows)
            return chosen
        most = MOST_CHOSEN if limit is None else inputs.number(limit, "limit", 1, MOST_CHOSEN)
        if limit is None and (count := self._store.count(rows)) > most:
            raise TooLarge(f"There are {count:,} memories, and an adapter learns {most:,} at the most: say which (about, limit).")
        found_all = [memory.id for memory in self._store.select(rows, most)]
        if not found_all:
            raise Invalid("Nothing is remembered here, so there is nothing to learn.")
        return found_all

    def _learned_before(self, id: str | None, named: Scope) -> tuple[Learning | None, RowFilter]:
        """The adapter that is to be learned anew, if one is, and the rows it may learn: of the scope that is named, else of its own."""
        if id is not None and (named.user, named.agent, named.session) == (None, None, None):
            with contextlib.suppress(Missing):  # of the cube as a whole, or with a memory that is gone
                return self._reached_adapter("distil", id, None)[1:]
        rows = self._allow("distil", named).rows
        return None if id is None else self._of_whom(id, rows)[1], rows

    def _known(self, wanted: Learning, begun: Learning) -> Learning:
        """What was learned by the same recipe of the same lessons, and would be again; else a draft of just this, which was cut short and is gone on from; else what is wanted.
        ``begun`` is how that would be learned now."""

        def asked(one: Learning) -> tuple[object, ...]:
            return one.tenant, one.user, one.agent, one.session, replace(one.recipe, most_seconds=0.0)

        drafts = []
        for row in {row.id: row for row in self._store.adapters()}.values():
            with contextlib.suppress(Corrupt):
                known = self._adapters.learning(row.id, row.number)[1]
                if asked(known) != asked(wanted) or row.state is State.ARCHIVED:
                    continue
                if known.stage == "draft" and known.version == 1 and known.chosen in (wanted.chosen, begun.chosen):
                    drafts.append(replace(known, recipe=wanted.recipe))
                made = (known.quoted, known.words, known.taught, known.fingerprint) == (
                    begun.quoted,
                    begun.words,
                    begun.taught,
                    begun.fingerprint,
                )
                if known.stage != "draft" and made and self._adapters.is_whole(known):
                    return known
        return drafts[0] if drafts else wanted

    def _again(self, latest: Learning, recipe: Recipe) -> Learning:
        """The version that is to be learned of an adapter that is there. A draft goes on from where it is, if its recipe is the same."""
        return replace(latest if latest.stage == "draft" else latest.draft(latest.version + 1), recipe=recipe)

    def _learn_now(self, learning: Learning, progress: Progress | None) -> None:
        """Works the queue until this is learned. Raises what made it fail."""
        work = self._distilling
        work.failures.pop(learning.id, None)
        if progress is not None:
            work.progress[learning.id] = progress

        def is_over() -> bool:
            return learning.id in work.failures or self._adapters.learning(learning.id)[1].stage != "draft"

        try:
            self._scheduler.work(is_over)
            if not is_over():
                for job in self._store.jobs(1, ("ready",), key=learn_key(learning.id)):
                    if job.error:
                        told = f"Learning adapter {learning.id} met {job.error}. It is tried again later; `loci distil --id {learning.id}` tries now."
                        met, self._scheduler.failure = self._scheduler.failure, None
                        raise Unavailable(told) from met
                raise Conflict(f"Adapter {learning.id} is being learned by another process, or the queue is paused (`loci jobs list`).")
        finally:
            work.progress.pop(learning.id, None)
        if (failure := work.failures.pop(learning.id, None)) is not None:
            if self._scheduler.failure is failure:
                self._scheduler.failure = None  # it is told here, and not once more by whoever drains the queue next
            if isinstance(failure, work.final) and not isinstance(failure, Diverged):
                work.drop(learning.id)  # no other try would change it; what diverged may do by another recipe
            if isinstance(failure, OutOfTime):
                raise OutOfTime(f"{failure} `loci distil --id {learning.id}` goes on.") from failure
            raise failure

    def adapters(self, *, user: str | None = None, agent: str | None = None, session: str | None = None) -> list[Adapter]:
        """What the model learned of a user's memories, the latest version of each and the one that answers where that is another, oldest first; with the reason where it may not
        answer. One that nobody can read is not among them: `verify` names it."""
        rows = self._allow("adapters", inputs.scope_of(self.name, user, agent, session)).rows
        kept = self._store.adapters()
        latest = {row.id: row.number for row in kept}
        found = []
        for row in kept:
            with contextlib.suppress(Corrupt):
                if (row.is_mounted or row.number == latest[row.id]) and self._is_whose(row.id, rows, row.number):
                    found.append(self._shown_adapter(row.id, rows, row.number))
        return found

    def adapter(self, id: str, version: int | None = None) -> Learning:
        """What an adapter is, in full: the memories and the versions of them that were learned, by which model, how, and what its examination found."""
        return self._adapters.shown(self._reached_adapter("adapters", id, version)[1])

    def probe_adapter(
        self, id: str, version: int | None = None, *, updates: Sequence[int] = (10, 100, 1000), progress: Progress | None = None
    ) -> tuple[Retained, ...]:
        """What an adapter knows now, and what would be left of that after each of so many further ``updates``: copies of it are trained on other texts, at the rate that it was learned at,
        and thrown away, so this takes as long as so many steps of learning it. ``progress`` is told (updates, of). It is kept with the adapter (``retained`` of `adapter`), unless nothing may be
        changed; the adapter stays as it is, and whether it may answer does not depend on it: it says how deep the weights hold it, should somebody train on them. Raises `Conflict` for an adapter that could not be mounted, `Unsupported` for a cartridge, which is not trained on."""
        row, learning, rows = self._reached_adapter("probe_adapter", id, version)
        wanted = inputs.updates_of(updates)
        if learning.recipe.form != "lora":
            raise Unsupported(
                f"Adapter {id} is a {learning.recipe.form}, which cannot be trained on. What its examination found: `loci adapter inspect {id}`."
            )
        learned = self._adapters.ready(row, learning, rows)
        found = self._distilling.retained(learning, learned, wanted, progress)
        if self._parts.governance.is_writable:
            self._keep_retained(learning, found)
        return found

    def _keep_retained(self, probed: Learning, found: Sequence[Retained]) -> None:
        """Puts down what a probe found, unless its adapter was let go of or learned anew meanwhile."""
        with contextlib.suppress(Missing), self._store.write(self._parts.clock.now()) as tx:
            row, learning = self._adapters.learning(probed.id, probed.version)
            if learning.file == probed.file:
                tx.amend_adapter(row.id, row.number, parametric.dump(learning.retaining(found)))
                detail = {"version": row.number, "updates": [one.updates for one in found if one.updates]}
                tx.audit(self._parts.governance.principal, "probe_adapter", row.id, detail)

    def mount(self, id: str, version: int | None = None) -> Adapter:
        """From now on answers are given with this adapter mounted, beside others that are; of its versions the latest, or the one named. Raises `Conflict` for one that did
        not pass its examination, or whose memories changed, and where several would not pass together: each was learned as if it were alone."""
        row, learning, rows = self._reached_adapter("mount", id, version)
        learned = self._adapters.ready(row if row.state is not State.ARCHIVED else replace(row, state=State.ACTIVATED), learning, rows)
        self._check_beside(learning, learned, rows)
        with self._store.write(self._parts.clock.now()) as tx:
            if row.state is State.ARCHIVED:  # a former version, whose memories are as they were
                self._adapters.move(tx, row, Move.RESTORE, "")
            tx.mount_adapter(id, row.number)
            tx.audit(self._parts.governance.principal, "mount", id, {"version": row.number})
        return self._adapters.told(*self._adapters.learning(id, row.number), rows)

    def unmount(self, id: str) -> Adapter:
        """Answers are given without it again, as if it had never been mounted."""
        rows = self._reached_adapter("unmount", id, None)[2]
        with self._store.write(self._parts.clock.now()) as tx:
            tx.mount_adapter(id, None)
            tx.audit(self._parts.governance.principal, "unmount", id, {})
        return self._adapters.told(*self._adapters.learning(id), rows)

    def drop_adapter(self, id: str) -> None:
        """Lets go of an adapter, every version of it, and every byte. The memories stay as they are. One that nobody can read is its cube's owner's to let go of."""
        self._drop("drop_adapter", id)

    def _drop(self, verb: str, id: str) -> Head:
        """The record of it."""
        with contextlib.suppress(Corrupt):  # which is raised to whoever may let go of anybody's alone
            self._reached_adapter(verb, id, None)
        with self._store.write(self._parts.clock.now()) as tx:
            tx.drop_adapters([id])
            tx.audit(self._parts.governance.principal, verb, id, {})
            self._adapters.tidy()
            return self._store.head()

    def export_adapter(self, id: str, path: str | Path, *, plain: bool = False) -> Path:
        """Writes an adapter into a new folder as peft loads it, and vLLM where it is a lora (it has no layout for a cartridge). The log keeps the hash of it before anything is written: an erasure cannot reach it there. Of an encrypted cube
        it needs ``plain``."""
        row, learning, rows = self._reached_adapter("export_adapter", id, None)
        learned = self._adapters.ready(row, learning, rows)
        if self._store.is_encrypted and not plain:
            raise Invalid(
                f"Cube {self.name} is encrypted, and its exported adapter is not: it says what it learned. plain=True (`--plain`) says that you know."
            )
        folder = inputs.path_of(path)
        with self._store.write(self._parts.clock.now()) as tx:
            file = learning.file.hash if learning.file else ""
            tx.audit(self._parts.governance.principal, "export_adapter", id, {"version": row.number, "file": file})
        return self._adapters.student.export(learned, folder)

    # -- plumbing ------------------------------------------------------------------------------------------------------

    def _chosen(self, rows: RowFilter, memories: Sequence[str], about: str | None, limit: int | None) -> Sequence[str]:
        """The memories that are to be read: those named, or those that a search finds."""
        if isinstance(memories, str) or not isinstance(memories, Sequence):
            raise Invalid(f"memories is {memories!r:.100}; it must be a list of ids, such as [id], or about: what to search for.")
        if bool(memories) == (about is not None):
            raise Invalid("Name the ids of memories, or what to search for (about); not both.")
        chosen = [inputs.id_of(memory) for memory in memories] or self._recall(rows, about or "", limit=limit).ids
        if not chosen:
            raise Invalid(f"Nothing is remembered about {about!r}, so there is nothing to read.")
        return chosen

    def _mounted(self, rows: RowFilter, named: Sequence[str] | None) -> tuple[list[tuple[AdapterRow, Learning]], list[str]]:
        """The adapters that an answer is to be given with: those named, or those that are mounted; and what is wrong with those of which nobody can read whose
        they are."""
        if named is not None:
            if isinstance(named, str) or not isinstance(named, Sequence) or len(set(named)) != len(named):
                raise Invalid(f"adapters is {named!r:.100}; it must be a list of ids, each once.")
            return [self._of_whom(one, rows) for one in named], []
        if self._parts.server is not None:
            return [], []  # a server's model is not the one that learned
        found, wrong = [], []
        for row in self._store.adapters():
            try:
                if row.is_mounted and self._is_whose(row.id, rows, row.number):
                    found.append(self._adapters.learning(row.id, row.number))
            except Corrupt as error:
                wrong.append(str(error))
        return found, wrong

    def _check_beside(self, learning: Learning, learned: Learned, rows: RowFilter) -> None:
        """Raises `Conflict` where it would not pass beside those that answer now, or one of those not beside it."""
        beside = {learning.id: (learning, learned)}
        for row, one in self._mounted(rows, None)[0]:
            with contextlib.suppress(*GIVES_WAY):  # one that gives way to its text is beside nobody
                beside.setdefault(row.id, (one, self._adapters.ready(row, one, rows)))
        if len(beside) == 1:
            return
        if wrong := self._distilling.faults_beside(list(beside.values())):
            others = ", ".join(id for id in beside if id != learning.id)
            raise Conflict(
                f"Mounted together they do not pass: {' '.join(wrong)} Unmount {others} first, or distil all their memories into one."
            )

    def _shown_adapter(self, id: str, rows: RowFilter, version: int | None = None) -> Adapter:
        return self._adapters.told(*self._adapters.learning(id, version), replace(rows, now=self._parts.clock.now()))

    def _is_whose(self, id: str, rows: RowFilter, version: int | None = None) -> bool:
        _, learning = self._adapters.learning(id, version)
        if learning.tenant != self._adapters.tenant(rows):
            return False
        admits, find = self._parts.governance.admits, self._store.scope_of
        return all(admits(rows, quoted.memory, find) for quoted in learning.quoted)

    def _of_whom(self, id: str, rows: RowFilter) -> tuple[AdapterRow, Learning]:
        """An adapter of whom a call is for, all of whose memories its grant reaches."""
        found = self._adapters.learning(inputs.id_of(id))
        if not self._is_whose(id, rows):
            raise missing_adapter(id, self.name)
        return found

    def _reached_adapter(self, verb: str, id: str, version: int | None) -> tuple[AdapterRow, Learning, RowFilter]:
        """One that a caller names by its id alone. What was made of anything outside the grant is, for its holder, not there; nor is what nobody can read,
        but for who may see the whole cube."""
        number = None if version is None else inputs.number(version, "version", 1, inputs.MAX_PAGE)
        try:
            row, learning = self._adapters.learning(inputs.id_of(id), number)
        except Corrupt:
            self._check_unreadable(verb, missing_adapter(id, self.name))
            raise
        try:
            rows = self._reach(verb, learning.quoted[0].memory).rows
        except Missing:
            raise missing_adapter(id, self.name) from None
        if not all(self._parts.governance.admits(rows, quoted.memory, self._store.scope_of) for quoted in learning.quoted):
            raise missing_adapter(id, self.name)
        return row, learning, replace(rows, user=learning.user, agent=learning.agent, session=learning.session)
