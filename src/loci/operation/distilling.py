"""From words to weights: the job that has a model learn memories, examines what it learned, and lets it answer if it passed.

The job names an adapter and nothing else. What is learned are its memories as they are when the job is worked; if they change meanwhile, nothing of it is kept and it
is tried again. How far learning has come is kept in the adapter's own row, so that a process that was killed goes on, and an erasure finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import TypeVar

from loci import samples
from loci.errors import Conflict, Corrupt, Diverged, IncompatiblePayload, Invalid, LociError, Missing, Unsupported
from loci.memories import pages, parametric
from loci.operation import pairing
from loci.operation.adapters import PRINCIPAL, Adapters
from loci.operation.reading import quoted_of
from loci.operation.schooling import lessons_of, pupil_of, questions_of
from loci.operation.work import Breath, Rest
from loci.policy import admission
from loci.policy.lifecycle import Move
from loci.ports import Chat, Clock, RowFilter, Transaction
from loci.ports.adapters import LEARN, AdapterRow, Kept, Learning, learn_key
from loci.ports.adapting import Examined, Learned, Lesson, Probe, Progress, Question, Recipe, Retained
from loci.types import Job, Memory, Message, State

MOST_UNTOUCHED = 64  # texts on which it is seen whether anything else was forgotten
FEW = 8  # of the cube's own, below which the sample conversation's are taken
PASSED = (State.ACTIVATED, State.ARCHIVED)  # of versions that may answer, or might
SPECIALS = 8  # tokens that a tokenizer may put around a text, and the end behind it
LOOK_SECONDS = 2.0  # between two looks at whether the words are still what they were
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Made:
    """What a job made: the manifest, but for the file that ``data`` will be; None where nothing is left to learn."""

    id: str
    learning: Learning | None
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class _School:
    """The memories that can be learned, what is taught of them and asked about them, and which texts the model has room for."""

    held: set[str]
    lessons: list[Lesson]
    questions: list[Question]
    fits: Callable[[str], bool]


class Distilling:
    """The kind of work that learns adapters: one at a time, with others' work let through between two steps."""

    verb = LEARN
    is_long = True
    final: tuple[type[LociError], ...] = (Diverged, Invalid, Unsupported, IncompatiblePayload)
    """What no further try would change."""

    def __init__(self, adapters: Adapters, probe: Probe | None, clock: Clock, chat: Callable[[], Chat | None] | None = None) -> None:
        self._adapters, self._probe, self._clock, self._chat_of = adapters, probe, clock, chat
        self.progress: dict[str, Progress] = {}
        self.failures: dict[str, LociError] = {}

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], str]:
        jobs = tx.lease(self.verb, worker, until, 1)
        return jobs, str(jobs[0].arguments["adapter"]) if jobs else ""

    def compute(self, given: str, breath: Breath) -> Made | None:
        try:
            return self._learn(given, breath)
        except LociError as error:
            if not self._is_there(given):
                return None
            if isinstance(error, self.final):
                self._refuse(given)
            self.failures[given] = error
            raise

    def apply(self, tx: Transaction, jobs: Sequence[Job], computed: Made | None) -> None:
        """Puts an adapter that passed to use and the former ones away; one that failed is kept, and never used, and the former ones stay as they are. What was learned is on no disk before this has
        looked at the words again: raises `Conflict` where they have changed."""
        if computed is None or not self._is_there(computed.id):  # somebody has let go of it meanwhile
            return
        id, learning = computed.id, computed.learning
        if learning is None:
            tx.drop_adapters([id])
            self._adapters.tidy()
            tx.audit(PRINCIPAL, "drop_adapter", id, {"reason": "none of its memories holds any more"})
            return
        try:
            self._check_asked(learning, self._at(learning))
        except Conflict as error:
            self.failures[id] = error
            raise
        file = Kept(*self._adapters.files.put(computed.data))
        learning = replace(learning, file=file)
        formers = [row for row in self._adapters.store.adapters() if row.id == id and row.number < learning.version]
        passed = learning.stage == "evaluated"
        state = State.ACTIVATED if passed else State.EXPIRED
        tx.put_adapter(id, learning.version, parametric.dump(learning), learning.quoted, state, file, learning.user)
        if passed:
            for former in formers:
                if former.state is State.ACTIVATED:
                    self._adapters.move(tx, former, Move.ARCHIVE, f"version {learning.version} took its place")
            if any(former.is_wanted for former in formers):
                tx.mount_adapter(id, learning.version)
        else:
            tx.move_adapter(id, learning.version, state, "; ".join(learning.faults))
        tx.drop_adapters([id], _outlived(formers, passed))
        self._adapters.tidy()
        tx.withdraw(learn_key(id))  # who asked for it while another process had it, or had died with it, has it now
        detail: dict[str, object] = {
            "version": learning.version,
            "memories": len(learning.quoted),
            "stage": learning.stage,
            "faults": list(learning.faults),
        }
        if learning.recipe.pairs == "model":
            detail |= {"pairs": sum(len(one.pairs) for one in learning.pairs), "refused": sum(one.refused for one in learning.pairs)}
        tx.audit(PRINCIPAL, "distil", id, {**detail, "file": file.hash})
        self.failures.pop(id, None)

    # -- learning ------------------------------------------------------------------------------------------------------

    def _learn(self, id: str, breath: Breath) -> Made | None:
        draft = self._next(id)
        if draft is None:
            return None
        at = self._at(draft)
        memories = self._adapters.present(draft.chosen, at)
        if not memories:
            return Made(id, None)
        if draft.recipe.pairs == "model":
            draft = self._asked(draft, memories, at, breath)
        draft, school, untouched = self._begun(draft, memories, at, breath.rest)
        start = monotonic()
        breathe = self._breathing(draft, at, breath)
        learned = self._adapters.student.learn(
            school.lessons, (), draft.recipe, _Progress(self, draft), self.progress.get(id), breathe, rest=breath.rest
        )
        report = self._examined([learned], school.questions, untouched, breath.rest)
        faults = admission.faults(report)
        stage = "failed" if faults else "evaluated"
        took = monotonic() - start
        return Made(id, replace(
            draft, stage=stage, faults=faults, report=report, steps=learned.steps, loss=learned.loss, seconds=took,
        ), pages.dump(learned.tensors))  # fmt: skip

    def _asked(self, draft: Learning, memories: Sequence[Memory], at: RowFilter, breath: Breath) -> Learning:
        """What is to be learned, with what the language model asks about each of the memories. It is asked about those alone that it was not asked about in the words that they have now, one at a time,
        and each answer is kept in the row of the draft before the next. Raises `Unsupported` where no answer is of use, or there is no model."""
        texts = self._adapters.texts(memories)
        marks = [self._adapters.mark_of(text) for text in texts]
        known = {(one.memory, one.words): one for one in draft.pairs}
        found = {memory.id: known[memory.id, mark] for memory, mark in zip(memories, marks, strict=True) if (memory.id, mark) in known}
        draft = replace(draft, quoted=quoted_of(memories), words=self._adapters.words_of(memories), pairs=tuple(found.values()))
        breathe = self._breathing(draft, at, breath)
        for memory, text, mark in zip(memories, texts, marks, strict=True):
            if memory.id not in found:
                breathe()
                found[memory.id] = pairing.ask(self._asker(), memory, text, mark)
                draft = replace(draft, pairs=tuple(found[one.id] for one in memories if one.id in found))
                self._keep(draft)
        if not any(one.pairs for one in draft.pairs):
            refused = sum(one.refused for one in draft.pairs)
            raise Unsupported(
                f"The language model gave no question about these {len(memories)} memories that their words answer ({refused} refused). Name another by the setting"
                " model, or have rules ask: pairs=rules."
            )
        return draft

    def _asker(self) -> Chat:
        """The language model that asks about memories. Raises `Unsupported` where there is none."""
        chat = self._chat_of() if self._chat_of is not None else None
        if chat is None:
            raise Unsupported(
                "There is no language model that could ask about memories. Name one by the settings endpoint and model, or have rules ask: pairs=rules."
            )
        return chat

    def _keep(self, draft: Learning) -> None:
        """What was asked so far, in the row of the draft, which names every memory that it is about: it goes when their words do."""
        with self._adapters.store.write(self._clock.now()) as tx:
            self._check_asked(draft, self._at(draft))
            tx.put_adapter(draft.id, draft.version, parametric.dump(draft), draft.quoted, State.GENERATED, draft.file, draft.user)

    def _next(self, id: str) -> Learning | None:
        """The version that is to be learned: the draft that is there, or, where a change has archived the last that passed, the one after all that there are. None where there is nothing to do
        any more: somebody has let go of it, or another job was faster."""
        rows = [row for row in self._adapters.store.adapters() if row.id == id]
        if not rows:
            return None
        if rows[-1].state is State.GENERATED:
            return self._adapters.learning(id)[1]
        passed = [row for row in rows if row.state in PASSED]
        if not passed or passed[-1].state is not State.ARCHIVED:
            return None
        return self._adapters.learning(id, passed[-1].number)[1].draft(rows[-1].number + 1)

    def _refuse(self, id: str) -> None:
        """A draft that cannot be learned does not stand in the way of the version that passed, should that have to be learned anew."""
        rows = [row for row in self._adapters.store.adapters() if row.id == id]
        if any(row.state in PASSED for row in rows) and rows[-1].state is State.GENERATED:
            with self._adapters.store.write(self._clock.now()) as tx:
                tx.drop_adapters([id], [rows[-1].number])
                self._adapters.tidy()

    def drop(self, id: str) -> None:
        """Takes back what was asked for and cannot be learned, as if nobody had: the draft, and the job that is dead."""
        with self._adapters.store.write(self._clock.now()) as tx:
            tx.drop_adapters([id], [row.number for row in self._adapters.store.adapters() if row.id == id and row.state is State.GENERATED])
            tx.withdraw(learn_key(id))
            self._adapters.tidy()

    def _is_there(self, id: str) -> bool:
        return any(row.id == id for row in self._adapters.store.adapters())

    def _check_asked(self, draft: Learning, at: RowFilter) -> None:
        """Raises `Missing` where somebody has let go of what is learned, `Conflict` where its words have changed or it was asked for in another way meanwhile."""
        row, latest = self._adapters.learning(draft.id)
        self._adapters.check_current(draft, at)
        if row.number > draft.version or (row.number == draft.version and latest.recipe != draft.recipe):
            raise Conflict(f"Adapter {draft.id} was asked for in another way while it was learned; it is learned anew in that.")

    def _breathing(self, draft: Learning, at: RowFilter, breath: Breath) -> Callable[[], None]:
        """Between two steps: calls come first, and what was changed or erased meanwhile is not learned to the end."""
        looked = monotonic()

        def breathe() -> None:
            nonlocal looked
            breath()
            if monotonic() - looked > LOOK_SECONDS:
                self._check_asked(draft, replace(at, now=self._clock.now()))
                looked = monotonic()

        return breathe

    def faults_beside(self, stack: Sequence[tuple[Learning, Learned]]) -> list[str]:
        """What is wrong with each of several adapters when all are mounted: each was learned as if it were alone."""
        told = []
        for learning, _ in stack:
            at = self._at(learning)
            memories = self._adapters.present(learning.chosen, at)
            school = self._school(memories, learning)
            found = self._examined([learned for _, learned in stack], school.questions, self._untouched(school, at))
            told += [f"{learning.id}: {fault}" for fault in admission.faults(found)]
        return told

    def retained(self, learning: Learning, learned: Learned, updates: Sequence[int], progress: Progress | None) -> tuple[Retained, ...]:
        """What it knows, and would know after so many further updates each. They are made on every other text of the sample conversation, so that adapters can be compared, on
        copies that are thrown away."""
        at = self._at(learning)
        school = self._school(self._adapters.present(learning.chosen, at), learning)
        others = [Lesson("", "", text) for text in samples.texts()[::2] if school.fits(text)]
        untouched = self._untouched(school, at, samples.texts()[1::2])
        return tuple(self._method.retention(self._adapters.student, learned, school.questions, untouched, others, updates, progress))

    def check(self, wanted: Learning) -> Learning:
        """Raises what learning it would raise before its first step: `Invalid` where nothing can be asked about its memories, or the model cannot hold what it is to be,
        `TooLarge`, `Unsupported`. Returns what would be learned, as its manifest would say it."""
        at = self._at(wanted)
        if wanted.recipe.pairs == "model":
            self._asker()  # what is missing is told before anything is queued
        begun, school, _ = self._begun(wanted, self._adapters.present(wanted.chosen, at), at)
        self._adapters.student.check_lessons(school.lessons, wanted.recipe)
        return begun

    def _begun(
        self, draft: Learning, memories: Sequence[Memory], at: RowFilter, rest: Rest | None = None
    ) -> tuple[Learning, _School, list[str]]:
        """What is to be learned of these memories, by which model; what is taught and asked of it; and texts that have nothing to do with it. Raises `Invalid` where nobody could
        say what was learned, `Unsupported` where nobody examines."""
        school = self._school(memories, draft, rest)
        untouched = self._untouched(school, at) if school.questions and self._method else []
        if not untouched:
            raise Invalid(
                "Nothing can be asked about these memories in what the model has room for, so nobody could say what it learned. They stay text."
            )
        engine, held, lessons = self._adapters.engine, [memory for memory in memories if memory.id in school.held], school.lessons
        begun = replace(
            draft, chosen=tuple(memory.id for memory in held), quoted=quoted_of(held), fingerprint=engine.fingerprint(), tools=engine.tools(),
            words=self._adapters.words_of(held), lessons=len(lessons), taught=parametric.taught(lessons),
            pairs=tuple(one for one in draft.pairs if one.memory in school.held),
        )  # fmt: skip
        return begun, school, untouched

    def _ask(self, question: str, text: str) -> str:
        return self._adapters.engine.prompt(text, [Message("user", question)])[0]

    def _school(self, memories: Sequence[Memory], learning: Learning, rest: Rest | None = None) -> _School:
        """What is taught of memories, and asked about them. One about which nothing can be asked, or whose text the model has no room for, is not learned: nobody could say whether it was, and it
        would be left out of prompts."""
        pairs = {(one.memory, one.words): one.pairs for one in learning.pairs} if learning.recipe.pairs == "model" else {}
        texts_of = zip(_each(memories, rest), self._adapters.texts(memories), strict=True)
        pupils = [pupil_of(one, text, pairs.get((one.id, self._adapters.mark_of(text)), ()) if pairs else ()) for one, text in texts_of]
        lessons, questions = lessons_of(pupils, self._ask), questions_of(pupils, self._ask)
        texts = [(lesson.memory, lesson.prompt + lesson.answer) for lesson in lessons]
        texts += [(q.memory, max(q.cue, q.told, key=len) + max((q.answer, *q.foils), key=len)) for q in questions]
        fits = self._fitting(learning.recipe)
        held = {question.memory for question in questions} - {memory for memory, text in _each(texts, rest) if not fits(text)}
        return _School(held, [one for one in lessons if one.memory in held], [one for one in questions if one.memory in held], fits)

    def _fitting(self, recipe: Recipe) -> Callable[[str], bool]:
        """Whether a text has a token that follows another, and the model has room for it, with what a cartridge takes of that."""
        engine = self._adapters.engine
        context = engine.fingerprint().context
        most = context - (recipe.tokens if recipe.form == "cartridge" else 0) - SPECIALS if context else 1 << 62
        return lambda text: 2 <= len(engine.tokenize(text)) <= most

    def _untouched(self, school: _School, at: RowFilter, spare: Sequence[str] = ()) -> list[str]:
        """Texts that have nothing to do with what is learned, of the cube's own where there are enough, of those to ``spare`` (the sample conversation's) otherwise."""
        others = [m for m in self._adapters.store.select(at, MOST_UNTOUCHED + len(school.held)) if m.id not in school.held]
        own = [text for text in self._adapters.texts(others[:MOST_UNTOUCHED]) if school.fits(text)]
        return own if len(own) >= FEW else [text for text in (spare or samples.texts())[:MOST_UNTOUCHED] if school.fits(text)]

    def _examined(
        self, learned: Sequence[Learned], questions: Sequence[Question], untouched: Sequence[str], rest: Rest | None = None
    ) -> Examined:
        student = self._adapters.student
        return self._method.examine(student.examinee(rest=rest), student.examinee(learned, rest), questions, untouched)

    @property
    def _method(self) -> Probe:
        if self._probe is None:
            raise Unsupported("There is nothing that examines adapters (`loci.methods.fewshot`), so none can be let answer.")
        return self._probe

    def _at(self, learning: Learning) -> RowFilter:
        return RowFilter(now=self._clock.now(), user=learning.user, agent=learning.agent, session=learning.session)

    def save(self, draft: Learning, data: bytes) -> None:
        """How far learning has come, in the row of the draft: with the words that went into it, so that it goes when they do."""
        store = self._adapters.store
        try:
            with store.write(self._clock.now()) as tx:
                self._check_asked(draft, self._at(draft))
                file = Kept(*self._adapters.files.put(data))
                tx.put_adapter(
                    draft.id, draft.version, parametric.dump(replace(draft, file=file)), draft.quoted, State.GENERATED, file, draft.user
                )
        finally:  # what nothing names any more: the former file, or this one where that was not committed
            with store.write(self._clock.now()):
                self._adapters.tidy()

    def saved(self, draft: Learning) -> bytes | None:
        try:
            row = self._adapters.store.adapter(draft.id, draft.version)
            return None if row.file is None else bytes(self._adapters.files.open(row.file.hash, row.file.bytes))
        except (Missing, Corrupt):
            return None  # it is learned from the beginning


def _each(found: Sequence[Found], rest: Rest | None) -> Iterator[Found]:
    """The same, with a rest before each."""
    for one in found:
        if rest is not None:
            rest()
        yield one


def _outlived(formers: Sequence[AdapterRow], passed: bool) -> list[int]:
    """The versions that are not kept beside a newer one: all but the last that passed, and, unless the newer one took its place, the one that is wanted."""
    last = max((row.number for row in formers if row.state in PASSED), default=0)
    return [row.number for row in formers if row.number != last and (passed or not row.is_wanted)]


@dataclass(frozen=True, slots=True)
class _Progress:
    """Where learning is kept while it goes on (`loci.ports.adapting.Checkpoint`)."""

    work: Distilling
    draft: Learning

    def load(self) -> bytes | None:
        return self.work.saved(self.draft)

    def save(self, data: bytes) -> None:
        self.work.save(self.draft, data)
