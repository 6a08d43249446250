"""The verbs of parametric memory: have a model learn memories, look after what it learned, and let it answer with that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loci.errors import Conflict, Corrupt, Invalid, LociError, Missing, OutOfTime, missing_adapter
from loci.interface import inputs
from loci.operation.adapters import MOST_CHOSEN, Adapters
from loci.operation.distilling import Distilling
from loci.operation.reading import quoted_of
from loci.policy.lifecycle import Move
from loci.ports import RowFilter
from loci.ports.adapters import AdapterRow, Learning
from loci.ports.adapting import Learned, Progress, Recipe
from loci.system.talking import Talking
from loci.types import Adapter, Scope, State

FORMS = ("lora", "cartridge")
MOST_RANK, MOST_TOKENS, MOST_EXPOSURES, MOST_MINUTES = 1024, 4096, 100_000, 7 * 24 * 60
RECIPE = Recipe()


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
        form: str = "lora",
        rank: int = RECIPE.rank,
        tokens: int = 0,
        exposures: int = RECIPE.exposures,
        rate: float = RECIPE.rate,
        replay: float = RECIPE.replay,
        minutes: float = 10.0,
        most_bytes: int = RECIPE.most_bytes,
        seed: int = 0,
        id: str | None = None,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> Adapter:
        """Has the model learn memories, by their ids, as a search ``about`` something finds them, or all of a user's; examines what it learned, and keeps it as an adapter,
        which may be mounted if it passed. ``form`` is lora (of a ``rank``) or cartridge (of so many ``tokens``). Each lesson is seen ``exposures`` times, a share ``replay`` of
        what is seen is of the model's own, so that it forgets nothing else. ``id`` learns that adapter anew, from what its memories say now. It may take ``minutes``: what was
        learned by then is kept, and the same call goes on (``id``). ``progress`` is told (steps, of). Without ``wait`` it is put into the queue, for
        whoever works it. Raises what made it fail; the memories stay as they are, and so do answers."""
        rows = self._allow("distil", inputs.scope_of(self.name, user, agent, session)).rows
        recipe = self._recipe(form, rank, tokens, exposures, rate, replay, minutes, most_bytes, seed)
        self._adapters.student  # noqa: B018  (what is missing is told before anything is queued)
        now = self._parts.clock.now()
        if id is not None:
            learning = self._again(id, rows, recipe)
        else:
            chosen = self._to_learn(rows, memories, about, limit)
            learning = Learning(
                self._parts.ids.new(now), 1, now, None, self._adapters.tenant(rows), user, agent, session, tuple(sorted(chosen)), recipe
            )
        quoted = quoted_of(self._adapters.present(learning.chosen, replace(rows, now=now)))
        if not quoted:
            raise Invalid(
                "None of these memories holds any more and is trusted, so there is nothing to learn: what came from a page or a tool stays text."
            )
        with self._store.write(now) as tx:
            self._adapters.draft(tx, replace(learning, quoted=quoted))
            detail = {"version": learning.version, "memories": len(quoted), "form": form}
            tx.audit(self._parts.governance.principal, "distil", learning.id, detail)
        if wait:
            self._learn_now(learning, progress)
        else:
            self._scheduler.wake()
        return self._shown_adapter(learning.id, rows)

    def _recipe(
        self, form: str, rank: int, tokens: int, exposures: int, rate: float, replay: float, minutes: float, most_bytes: int, seed: int
    ) -> Recipe:  # fmt: skip
        inputs.one_of(form, FORMS, "form")
        if form == "cartridge" and not tokens:
            raise Invalid("A cartridge needs to know of how many tokens it is to be: tokens=, --tokens.")
        if not isinstance(minutes, int | float) or not 0 < minutes <= MOST_MINUTES:
            raise Invalid(f"minutes is {minutes!r:.100}; it must be more than 0 and at most {MOST_MINUTES:,}.")
        if not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise Invalid(f"rate is {rate!r:.100}; it must be more than 0 and at most 1, such as 0.001.")
        return Recipe(
            form=form, rank=inputs.number(rank, "rank", 1, MOST_RANK), tokens=inputs.number(tokens, "tokens", 0, MOST_TOKENS),
            exposures=inputs.number(exposures, "exposures", 1, MOST_EXPOSURES), rate=float(rate), replay=inputs.share(replay, "replay"),
            seed=inputs.number(seed, "seed", 0, 2**31), most_seconds=60.0 * minutes, most_bytes=inputs.number(most_bytes, "most_bytes", 1, 2**40),
            alpha=2.0 * rank,
        )  # fmt: skip

    def _to_learn(self, rows: RowFilter, memories: Sequence[str], about: str | None, limit: int | None) -> Sequence[str]:
        if memories or about is not None:
            chosen = self._chosen(rows, memories, about, limit)
            found = self._store.present(chosen, rows)
            if gone := [one for one in chosen if one not in found]:
                raise Missing(f"There is no memory {gone[0]} in cube {self.name}. `list` shows the ids; it may have been erased.")
            return chosen
        found_all = [memory.id for memory in self._store.select(rows, MOST_CHOSEN if limit is None else limit)]
        if not found_all:
            raise Invalid("Nothing is remembered here, so there is nothing to learn.")
        return found_all

    def _again(self, id: str, rows: RowFilter, recipe: Recipe) -> Learning:
        """The version that is to be learned of an adapter that is there: a draft goes on by its own recipe, and more time."""
        _, latest = self._of_whom(id, rows)
        if latest.stage == "draft":
            return replace(latest, recipe=replace(latest.recipe, most_seconds=recipe.most_seconds))
        return replace(
            latest, version=latest.version + 1, stage="draft", recipe=recipe, quoted=(), taught="", file=None, report=None, faults=()
        )

    def _learn_now(self, learning: Learning, progress: Progress | None) -> None:
        """Works the queue until this is learned. Raises what made it fail."""
        work = self._distilling
        work.failures.pop(learning.id, None)
        if progress is not None:
            work.progress[learning.id] = progress

        def is_over() -> bool:
            return learning.id in work.failures or self._adapters.learning(learning.id)[1].stage != "draft"

        try:
            while not is_over():
                try:
                    did = self._scheduler.drain(is_over)
                except LociError:
                    did = 1  # of another job's, perhaps; of this one it is among the failures
                if not did and not is_over():
                    raise Conflict(f"Adapter {learning.id} is being learned by another process, or the queue is paused (`loci jobs list`).")
        finally:
            work.progress.pop(learning.id, None)
        if (failure := work.failures.pop(learning.id, None)) is not None:
            if isinstance(failure, OutOfTime):
                raise OutOfTime(f"{failure} `loci distil --id {learning.id}` goes on.") from failure
            raise failure

    def adapters(self, *, user: str | None = None, agent: str | None = None, session: str | None = None) -> list[Adapter]:
        """What the model learned of a user's memories, the latest version of each, oldest first; with the reason where it may not answer."""
        rows = self._allow("adapters", inputs.scope_of(self.name, user, agent, session)).rows
        latest = {row.id: row for row in self._store.adapters()}
        return [self._shown_adapter(id, rows) for id in latest if self._is_whose(id, rows)]

    def adapter(self, id: str, version: int | None = None) -> Learning:
        """What an adapter is, in full: the memories and the versions of them that were learned, by which model, how, and what its examination found."""
        return self._reached_adapter("adapters", id, version)[1]

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
        """Lets go of an adapter, every version of it, and every byte. The memories stay as they are."""
        self._reached_adapter("drop_adapter", id, None)
        with self._store.write(self._parts.clock.now()) as tx:
            tx.drop_adapters([id])
            tx.audit(self._parts.governance.principal, "drop_adapter", id, {})
            self._adapters.tidy()

    def export_adapter(self, id: str, path: str | Path) -> Path:
        """Writes an adapter into a new folder as peft and vLLM load it. The log keeps the hash of what was written: an erasure cannot reach it there."""
        row, learning, rows = self._reached_adapter("export_adapter", id, None)
        learned = self._adapters.ready(row, learning, rows)
        folder = self._adapters.student.export(learned, inputs.path_of(path))
        with self._store.write(self._parts.clock.now()) as tx:
            file = learning.file.hash if learning.file else ""
            tx.audit(self._parts.governance.principal, "export_adapter", id, {"version": row.number, "file": file})
        return folder

    # -- plumbing ------------------------------------------------------------------------------------------------------

    def _chosen(self, rows: RowFilter, memories: Sequence[str], about: str | None, limit: int | None) -> Sequence[str]:
        """The memories that are to be read: those named, or those that a search finds."""
        if isinstance(memories, str) or not isinstance(memories, Sequence):
            raise Invalid(f"memories is {memories!r:.100}; it must be a list of ids, such as [id], or about=, what to search for.")
        if bool(memories) == (about is not None):
            raise Invalid("Name the ids of memories, or about=, what to search for; not both.")
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
        found, wrong = [], []
        for row in self._store.adapters():
            try:
                if row.is_mounted and self._is_whose(row.id, rows, row.number):
                    found.append(self._adapters.learning(row.id, row.number))
            except Corrupt as error:
                wrong.append(str(error))
        return found, wrong

    def _check_beside(self, learning: Learning, learned: Learned, rows: RowFilter) -> None:
        others = [(row, one) for row, one in self._mounted(rows, None)[0] if row.id != learning.id]
        stack = [(row.id, self._adapters.ready(row, one, rows)) for row, one in others]
        if not stack:
            return
        wrong = self._distilling.faults_beside([*stack, (learning.id, learned)], [learning, *(one for _, one in others)])
        if wrong:
            raise Conflict(
                f"Mounted together they do not pass: {' '.join(wrong)} Unmount {others[0][0].id} first, or distil the memories of both into one."
            )

    def _shown_adapter(self, id: str, rows: RowFilter) -> Adapter:
        return self._adapters.told(*self._adapters.learning(id), replace(rows, now=self._parts.clock.now()))

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
        """One that a caller names by its id alone. What was made of anything outside the grant is, for its holder, not there."""
        row, learning = self._adapters.learning(inputs.id_of(id), version)
        if not learning.quoted:
            self._allow(verb, Scope(self.name))
        try:
            rows = self._reach(verb, learning.quoted[0].memory).rows
        except Missing:
            raise missing_adapter(id, self.name) from None
        if not all(self._parts.governance.admits(rows, quoted.memory, self._store.scope_of) for quoted in learning.quoted):
            raise missing_adapter(id, self.name)
        return row, learning, replace(rows, user=learning.user, agent=learning.agent, session=learning.session)
