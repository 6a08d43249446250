"""Parametric memory at work: adapters as they are kept, and prompts that are answered with them.

The words are the truth. An adapter answers for its memories only while every one of them holds in the version that was learned, for the model that learned it,
and if it passed its examination; what it holds is then left out of the prompt. In every other case the text is in the prompt, and the reason is told.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from time import perf_counter
from typing import Any

from loci.errors import Conflict, Corrupt, Missing, Unsupported
from loci.infrastructure.pages import PageFiles
from loci.memories import pages, parametric
from loci.memories.activation import check_fit
from loci.operation.activation import GIVES_WAY
from loci.operation.keeping import gone, tenant_of
from loci.operation.operator import closers, current_share, pack
from loci.operation.redact import Redactor
from loci.policy.lifecycle import Move, after
from loci.ports import RowFilter, Store, Transaction
from loci.ports.adapters import LEARN, AdapterRow, Asked, Learning, Pair, learn_key
from loci.ports.adapting import Learned, Student, Teachable
from loci.ports.engine import Engine, Sampling
from loci.ports.queue import Whose
from loci.types import Adapter, Attached, Memory, Message, Recall, State, Trust

MOST_CHOSEN = 10_000  # memories of one adapter
MOST_FOLLOWED = 100  # steps from a memory to what superseded it
MOST_AT_HAND = 8  # adapters whose weights are kept in memory
PRINCIPAL = "scheduler"
AGAIN = "`loci distil --id {id}` learns it anew."


class Adapters:
    """What models have learned of one cube's memories. Safe to use from several threads and processes."""

    def __init__(self, store: Store, engine: Callable[[], Engine[Any]] | None, files: PageFiles, redactor: Redactor) -> None:
        self.store, self._engine, self.files, self._redactor = store, engine, files, redactor
        self._learned: dict[str, Learned] = {}
        self._swaps: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def engine(self) -> Engine[Any]:
        if self._engine is None:
            raise Unsupported(
                "There is no model that could learn. Name a folder with one by the setting engine, or give one to `MemOS.open(engine=...)`;"
                " `pip install 'loci-memos[parametric]'` brings what it takes. A server's weights are not ours to add to."
            )
        return self._engine()

    @property
    def student(self) -> Student:
        engine = self.engine
        if not isinstance(engine, Teachable):
            raise Unsupported(f"The engine {engine.name} cannot learn. Name a folder with a model by the setting engine.")
        return engine.student()

    # -- rows ----------------------------------------------------------------------------------------------------------

    def learning(self, id: str, version: int | None = None) -> tuple[AdapterRow, Learning]:
        """A version, or the latest. Raises `Missing`, or `Corrupt` for a manifest that cannot be read."""
        row = self.store.adapter(id, version)
        learning = parametric.load(row.manifest)
        if (learning.id, learning.version, learning.file) != (row.id, row.number, row.file):
            raise Corrupt(
                f"The manifest of adapter {row.id}, version {row.number}, is of {learning.id!r}, version {learning.version}. {parametric.AGAIN}"
            )
        return row, learning

    def draft(self, tx: Transaction, learning: Learning) -> None:
        """Puts down what is to be learned, of which versions of memories, with the job that does, in the place of one that is dead."""
        tx.withdraw(learn_key(learning.id), ("dead",))
        tx.put_adapter(
            learning.id, learning.version, parametric.dump(learning), learning.quoted, State.GENERATED, learning.file, learning.user
        )
        whose: Whose = {"user": learning.user, "agent": learning.agent, "session": learning.session}
        tx.enqueue(LEARN, {"adapter": learning.id}, **whose, key=learn_key(learning.id))

    def move(self, tx: Transaction, row: AdapterRow, move: Move, reason: str) -> State:
        """By the one table of lives. Raises `IllegalMove`."""
        state = after(row.state, move, row.id)
        tx.move_adapter(row.id, row.number, state, reason)
        return state

    def told(self, row: AdapterRow, learning: Learning, at: RowFilter) -> Adapter:
        """As it is shown."""
        reason, is_valid = row.reason or "; ".join(learning.faults), False
        if row.state is State.GENERATED:
            reason = self._why_still(row.id)
        if learning.stage == "evaluated" and row.state is State.ACTIVATED:
            try:
                self.check_current(learning, at)
                if learning.file is not None and not self.files.has(learning.file.hash, learning.file.bytes):
                    self.files.open(learning.file.hash, learning.file.bytes, again=AGAIN.format(id=row.id))  # says what is wrong with it
                is_valid = True
            except GIVES_WAY as error:
                reason = str(error)
        found = {} if learning.report is None else {name: float(value) for name, value in asdict(learning.report).items()}
        found |= {f"recall_after_{one.updates}": one.recall for one in learning.retained if one.updates}
        return Adapter(
            id=row.id, version=row.number, memories=learning.chosen, form=learning.recipe.form, stage=learning.stage, state=row.state,
            is_mounted=row.is_mounted and is_valid, is_valid=is_valid, reason=reason, bytes=learning.file.bytes if learning.file else 0,
            lessons=learning.lessons, steps=learning.steps, seconds=learning.seconds, created=row.created, found=found, faults=learning.faults,
            uses=row.uses, last_used=row.last_used,
        )  # fmt: skip

    def _why_still(self, id: str) -> str:
        """What has come of learning a draft so far; empty where nothing went wrong. What was met is the owner's to see: it may quote words."""
        job = next(iter(self.store.jobs(1, ("ready", "dead"), key=learn_key(id))), None)
        if job is None or not job.error:
            return ""
        code, _, told = job.error.partition(": ")
        return f"Learning it {f'met {code} (`loci jobs list`)' if told else 'was cut short'}. `loci distil --id {id}` goes on, or begins anew by another recipe."

    def tenant(self, at: RowFilter) -> str:
        """Whose it is, as a keyed hash."""
        return tenant_of(self.store, at.user)

    # -- words ---------------------------------------------------------------------------------------------------------

    def present(self, chosen: Sequence[str], at: RowFilter) -> list[Memory]:
        """What can be learned of the chosen memories as they are now: those that hold in every word, and in the place of one that was superseded what superseded it. In the
        order of their ids. What is not trusted is not learned: in a prompt it is marked as what it is, and in weights nothing is."""
        found: dict[str, Memory] = {}
        open_, steps = list(dict.fromkeys(chosen)), 0
        while open_ and steps < MOST_FOLLOWED:
            held = self.store.present(open_, at)
            found.update(held)
            gone = [id for id in open_ if id not in held or current_share(held[id], at.now) < 1]
            past = self.store.present(gone, replace(at, is_past=True)) if gone else {}
            open_ = [newer for id in gone if id in past for newer in closers(past[id], at.now) if newer not in found]
            steps += 1
        whole = [found[id] for id in sorted(found) if current_share(found[id], at.now) == 1]
        return [memory for memory in whole if memory.origin.trust is not Trust.UNTRUSTED]

    def texts(self, memories: Sequence[Memory]) -> list[str]:
        return self._redactor.texts([memory.text for memory in memories])

    def check_current(self, learning: Learning, at: RowFilter) -> None:
        """Raises `Conflict` where a memory does not hold in the words that were learned."""
        found = self.store.present([quoted.memory for quoted in learning.quoted], at)
        for quoted in learning.quoted:
            memory = found.get(quoted.memory)
            if memory is None and self.store.present([quoted.memory], replace(at, agent=learning.agent, session=learning.session)):
                raise Conflict(f"Adapter {learning.id} holds memory {quoted.memory}, which is not in the scope that was asked about.")
            if memory is None:
                raise Conflict(f"{gone(self.store, quoted.memory, at)} Adapter {learning.id} learned it, and is learned anew without it.")
            if memory.checksum != quoted.checksum or current_share(memory, at.now) < 1:
                raise Conflict(
                    f"Memory {quoted.memory} changed since adapter {learning.id} learned it; it is learned anew from what holds now."
                )
        if learning.words and learning.words != self.words_of([found[quoted.memory] for quoted in learning.quoted]):
            raise Conflict(
                f"The memories of {learning.id} read otherwise than when it learned them, since other things are masked now."
                f" `loci distil --id {learning.id}` learns it anew."
            )

    def words_of(self, memories: Sequence[Memory]) -> str:
        """A keyed hash of how memories may be shown."""
        return self.store.hash("adapter", *self.texts(memories)).hex()

    def mark_of(self, text: str) -> str:
        """A keyed hash of how one memory may be shown: what was asked about it holds as long as that."""
        return self.store.hash("asked", text).hex()

    def asked_before(self, learning: Learning, memories: Sequence[Memory]) -> tuple[Asked, ...]:
        """What a language model was asked about these memories in the words that they have now, for this adapter or for another of the same user's."""
        wanted = dict(zip((memory.id for memory in memories), map(self.mark_of, self.texts(memories)), strict=True))
        found = {one.memory: one for one in learning.pairs if wanted.get(one.memory) == one.words}
        for row in self.store.adapters():
            with contextlib.suppress(Corrupt):
                known = parametric.load(row.manifest)
                if known.tenant == learning.tenant:
                    found = {one.memory: one for one in known.pairs if wanted.get(one.memory) == one.words} | found
        return tuple(found[id] for id in wanted if id in found)

    def shown(self, learning: Learning) -> Learning:
        """A manifest whose words are masked as they are now."""
        texts = iter(
            self._redactor.texts([text for one in learning.pairs for pair in one.pairs for text in (*pair.questions, pair.answer)])
        )
        return replace(learning, pairs=tuple(
            replace(one, pairs=tuple(Pair(tuple(next(texts) for _ in pair.questions), next(texts)) for pair in one.pairs)) for one in learning.pairs
        ))  # fmt: skip

    # -- answering -----------------------------------------------------------------------------------------------------

    def weights(self, learning: Learning) -> Learned:
        """As they were learned. Raises `Missing` or `Corrupt`."""
        assert learning.file is not None
        with self._lock:
            known = self._learned.get(learning.file.hash)
        if known is not None and self.files.has(learning.file.hash, learning.file.bytes):
            return known
        again = AGAIN.format(id=learning.id)
        tensors = pages.load(self.files.open(learning.file.hash, learning.file.bytes, again=again), again)
        learned = Learned(learning.recipe, tensors, learning.steps, learning.loss)
        self.student.check(learned)
        with self._lock:
            self._learned[learning.file.hash] = learned
            for old in list(self._learned)[:-MOST_AT_HAND]:
                del self._learned[old]
        return learned

    def is_whole(self, learning: Learning) -> bool:
        """Whether its weights are there, in every byte."""
        return learning.file is not None and self.files.is_whole(learning.file.hash, learning.file.bytes)

    def ready(self, row: AdapterRow, learning: Learning, at: RowFilter) -> Learned:
        """An adapter that may answer now. Raises what it gives way for otherwise."""
        if learning.stage != "evaluated":
            raise Conflict(_why_not(learning))
        if row.state is not State.ACTIVATED:
            raise Conflict(f"Adapter {row.id} is {row.state.value}: {row.reason or 'it was put away'}.")
        self.check_current(learning, at)
        self._check_model(learning)
        return self.weights(learning)

    def _check_model(self, learning: Learning) -> None:
        assert learning.fingerprint is not None
        check_fit(learning.fingerprint, self.engine.fingerprint(), "learned", AGAIN.format(id=learning.id))

    def swap_seconds(self, row: AdapterRow, learning: Learning, at: RowFilter) -> float:
        """What mounting an adapter takes an answer while it is among the last that were: measured once in a process. Raises as `ready`."""
        assert learning.file is not None
        self._check_model(learning)
        known = self._swaps.get(learning.file.hash)
        if known is not None:
            return known
        stack = [self.ready(row, learning, at)]
        self.student.mounted(stack)
        begun = perf_counter()
        self.student.mounted(stack)
        return self._swaps.setdefault(learning.file.hash, perf_counter() - begun)

    def answer(
        self, chosen: Sequence[tuple[AdapterRow, Learning]], recall: Recall, messages: Sequence[Message], at: RowFilter,
        budget_tokens: int | None, sampling: Sampling, wrong: Sequence[str] = (),
    ) -> tuple[Iterator[str], Attached]:  # fmt: skip
        """The answer to a conversation with these adapters mounted, one on another. What they learned is not in the prompt; what else was recalled is. One
        that may not answer gives way to its text, and the reason says why, after what was ``wrong`` before."""
        mounted, held, why = [], set[str](), list(wrong)
        for row, learning in chosen:
            try:
                mounted.append((row.id, self.ready(row, learning, at)))
                held.update(quoted.memory for quoted in learning.quoted)
            except (*GIVES_WAY, Unsupported) as error:
                why.append(f"{error} Its memories' text was read.")
        engine = self.student.mounted([learned for _, learned in mounted]) if mounted else self.engine
        hits = [hit for hit in recall.hits if hit.memory.id not in held]
        text = pack(hits, self._redactor, budget_tokens, recall.trace.call.terms).text
        ids = engine.tokenize(engine.prompt(text, messages)[0])
        reason = "; ".join(why) or f"{len(recall.hits) - len(hits)} of {len(recall.hits)} recalled memories are in what is mounted"
        pieces = engine.generate((), ids, **asdict(sampling))
        return pieces, Attached(None, 0, len(ids), reason, adapters=tuple(id for id, _ in mounted))

    # -- care ----------------------------------------------------------------------------------------------------------

    def mend(self, now: datetime) -> list[str]:
        """Has adapters whose files are gone, as after a crash in an erasure, learned anew; of a former version that nobody wants, that version alone is let go of. Returns
        their ids."""
        rows = self.store.adapters()
        latest = {row.id: row for row in rows}
        gone = {(row.id, row.number): row for row in rows if row.file is not None and not self.files.is_there(row.file.hash)}
        if gone:
            with self.store.write(now) as tx:
                for row in gone.values():
                    last = latest[row.id]
                    if row is last:
                        self._relearn(tx, row, row.number, ())
                        continue
                    if row.is_wanted and (row.id, last.number) not in gone:
                        self._relearn(tx, row, last.number + 1, ())
                    tx.drop_adapters([row.id], [row.number])
                self._want(tx, {row.id for row in gone.values() if row.is_wanted})
        return list(dict.fromkeys(row.id for row in gone.values()))

    def _relearn(self, tx: Transaction, row: AdapterRow, version: int, erased: Collection[str]) -> None:
        """Puts down that a version is learned anew, as if what quotes the erased sources had never been there. Where nothing else went into it, the adapter is gone; where nobody can read what
        did, the version is."""
        try:
            learning = parametric.load(row.manifest)
        except Corrupt:
            tx.drop_adapters([row.id], [row.number])
            return
        left = tuple(quoted for quoted in learning.quoted if not set(quoted.sources) & set(erased) and _is_there(tx, quoted.memory))
        if not left:
            tx.drop_adapters([row.id])
            return
        chosen = tuple(quoted.memory for quoted in left)
        pairs = tuple(one for one in learning.pairs if one.memory in chosen)
        self.draft(tx, replace(learning.draft(version), chosen=chosen, quoted=left, pairs=pairs))

    def _want(self, tx: Transaction, ids: Collection[str]) -> None:
        """Adapters whose wanted version went are wanted in the latest, as far as they are there."""
        for row in {row.id: row for row in self.store.adapters() if row.id in ids}.values():
            tx.mount_adapter(row.id, row.number)

    def forget(self, tx: Transaction, before: Sequence[AdapterRow], erased: Collection[str], user: str | None) -> None:
        """After an erasure, of all versions that there were ``before``: what had learned of the ``erased`` sources learns anew without them, and is still wanted if it was; a ``user`` who was
        erased has no adapters, of whatever they were made."""
        of_user = {row.id for row in before if user is not None and _user_of(row) == user}
        tx.drop_adapters(of_user)
        left = {(row.id, row.number) for row in self.store.adapters()}
        for row in {row.id: row for row in before if row.id not in of_user}.values():
            if (row.id, row.number) not in left:
                self._relearn(tx, row, row.number + 1, erased)
        self._want(tx, {row.id for row in before if row.is_wanted and (row.id, row.number) not in left})

    def faults(self) -> list[tuple[str, str]]:
        """Every file of every adapter, byte by byte: (id, what is wrong)."""
        found = []
        for row in self.store.adapters():
            try:
                learning = self.learning(row.id, row.number)[1]
                if row.file is not None:
                    again = AGAIN.format(id=row.id)
                    data = self.files.open(row.file.hash, row.file.bytes, is_checked=True, again=again)
                    if learning.stage != "draft":  # how far learning has come is as the model writes it
                        pages.load(data, again)
            except (Missing, Corrupt) as error:
                found.append((row.id, str(error)))
        return found

    def tidy(self) -> None:
        """Destroys files that no row names."""
        self.files.keep(self.store.page_files())


def _user_of(row: AdapterRow) -> str | None:
    try:
        return parametric.load(row.manifest).user
    except Corrupt:
        return row.user


def _is_there(tx: Transaction, memory: str) -> bool:
    try:
        tx.current(memory)
    except Missing:
        return False
    return True


def _why_not(learning: Learning) -> str:
    """Why what was not examined, or failed, may not answer, and what to do."""
    if learning.stage != "failed":
        return f"Adapter {learning.id} is not learned yet: `loci distil --id {learning.id}` goes on."
    return (
        f"Adapter {learning.id} failed its examination: {'; '.join(learning.faults)}. `loci adapter inspect {learning.id}` has the figures; `loci distil --id {learning.id}` "
        "with more exposures, or a higher rank, learns it anew."
    )
