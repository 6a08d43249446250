"""The verb that runs pipelines: several verbs of a cube as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Never

from loci.errors import Conflict, Denied, EmbedderFailed, Invalid, LociError, Missing, Unavailable, Unsupported
from loci.interface import inputs
from loci.interface import pipeline as pipelines
from loci.interface.pipeline import EACH, MOST_EACH, VERBS, Pipeline, Step, reference_of
from loci.operation.noting import Together
from loci.operation.work import Breath
from loci.policy import access
from loci.ports import Embedder, RowFilter, Transaction
from loci.ports.queue import OPEN, Whose
from loci.system.activating import Generation
from loci.system.carrying import Carrying
from loci.system.queued import STATES
from loci.text.residue import holds, pieces
from loci.types import Attached, Job, Memory, Message, Recall, Receipt, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Results = dict[str, dict[str, Any]]  # by step and part
MOST_JOBS = 1 << 20
SCOPE = ("user", "agent", "session")
ACROSS = ("ids", "id", "number")  # kinds that a model call lets through


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was run: its name, or its place, and what its verb answered; a list where it ran for each of several."""

    step: str
    verb: str
    answer: Any


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model answered: its words, the memories whose words it was shown or had learned, and what of the prompt an activation memory held."""

    text: str
    memories: tuple[str, ...]
    attached: Attached


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a run. ``steps`` are those that were run in this process. Where ``job`` is not None, the rest is in the queue under that
    number, and any worker goes on with it."""

    id: str
    pipeline: str
    steps: tuple[Done, ...]
    job: int | None = None

    @property
    def is_done(self) -> bool:
        return self.job is None


@dataclass(slots=True)
class Course:
    """A run on its way: what it was given, what its steps gave so far, and the place of the next one."""

    id: str
    pipeline: Pipeline
    given: Mapping[str, Any]
    results: Results
    next: int = 0

    def whose(self) -> Whose:
        """Whose it is, as far as the next step says."""
        given = self.pipeline.steps[self.next].given
        said = {name: None if given.get(name) is None else self.value(given[name]) for name in SCOPE}
        told = {name: "".join(map(str, found)) if isinstance(found, list) else found for name, found in said.items()}
        return {"user": told["user"], "agent": told["agent"], "session": told["session"]}

    def value(self, said: Any, item: Any = None) -> Any:
        """What a value stands for. Raises `Missing` where it stands for nothing."""
        if isinstance(said, list):
            return [self.value(part, item) for part in said]
        wanted = reference_of(said)
        if wanted is None:
            return said[1:] if isinstance(said, str) and said.startswith("$$") else said
        if wanted.name == EACH:
            return item
        if not wanted.part:
            return self.given[wanted.name]
        found = self.results[wanted.name].get(wanted.part)
        if found is None:
            raise Missing(f"{said} is nothing: step {wanted.name} found no memory.")
        return found

    def arguments(self, step: Step, item: Any = None) -> dict[str, Any]:
        """What a step's verb is called with; words that were recalled or generated as derived from where they are from."""
        verb, found = VERBS[step.verb], dict[str, Any]()
        for name, said in step.given.items():
            kind, value = verb.takes[name].rstrip("!"), self.value(said, item)
            if kind == "text" and isinstance(value, list):
                value = "".join(map(str, value))
            if kind == "time" and isinstance(value, str):
                value = pipelines.time_of(value)
            found[name] = value
        if verb.words:
            self._derive(step, found)
        return found

    def _derive(self, step: Step, found: dict[str, Any]) -> None:
        """Words of memories are derived from these; words of a model's are its own, and of the memories that it was shown."""
        verbs = {one.name: one.verb for one in self.pipeline.steps}
        used = [
            wanted.name for name, wanted in pipelines.references(step)
            if name == VERBS[step.verb].words and wanted.part and VERBS[verbs[wanted.name]].gives.get(wanted.part) == "words"
        ]  # fmt: skip
        if not used:
            return
        parents = [id for name in used for id in self.results[name].get("ids", ())]
        found["derived_from"] = list(dict.fromkeys([*found.get("derived_from", ()), *parents]))
        role = "assistant" if any(VERBS[verbs[name]].is_model for name in used) else "user"
        found["messages"] = Message(role, found["messages"])


class Known:
    """An embedder that answers what was computed before, and nothing else: where others wait to write, no model is called."""

    def __init__(self, embedder: Embedder, texts: Sequence[str]) -> None:
        self.name, self.dimensions = embedder.name, embedder.dimensions
        self._vectors = dict(zip(texts, embedder.embed(texts), strict=True)) if texts else {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        if unknown := [text for text in texts if text not in self._vectors]:
            raise EmbedderFailed(
                f"{unknown[0]!r:.60} was read otherwise than before the pipeline began, and no model is called within one."
            )
        return np.stack([self._vectors[text] for text in texts])


class Piping(Carrying):
    """Verbs in a row, as one."""

    _piped: Piped

    def run(self, pipeline: Pipeline | Mapping[str, Any] | str, given: Mapping[str, Any] | None = None) -> Ran:
        """Runs a pipeline (`loci.interface.pipeline`) with the parameters that it is ``given``: checked as a whole before anything is done, then
        all of its steps in one transaction, or none of them; each passes the gate as it would alone. A model call cuts it: what is before is durable,
        the call is made outside of any transaction, and what comes of it goes with the steps behind, once, whoever is killed in between."""
        plan = pipelines.pipeline_of(pipeline)
        found = pipelines.check(plan, {} if given is None else given)
        if pipelines.model_calls(plan):  # words will wait in the queue
            plan, found = pipelines.with_words(plan, found, self._redacted)
        course = Course(self._parts.ids.new(self._parts.clock.now()), plan, found, {})
        if not _only_looks(plan.steps):
            self._parts.governance.check_writable("run", f"cube {self.name}")
        self._check_models(course)
        with self._parts.pace.foreground():
            steps, job = self._together(course)
        if job is None:
            return Ran(course.id, plan.name, tuple(steps))
        return self._go_on(course, steps)

    def _redacted(self, text: str) -> str:
        """As it may be stored. Raises `Refused`."""
        return self._redactor.messages([Message("user", text)])[0][0].text

    def _check_models(self, course: Course) -> None:
        """Raises what a model call would, as far as can be told before anything is done: what cannot be is not queued."""
        for place, step in enumerate(course.pipeline.steps, 1):
            named = {name: said for name, said in step.given.items() if name in SCOPE}
            if not VERBS[step.verb].is_model or any(wanted.part for _, wanted in pipelines.references(replace(step, given=named))):
                continue
            with _step(course, place, step):
                scope = inputs.scope_of(self.name, **course.arguments(replace(step, given=named)))
                if not self._parts.governance.may(step.verb, scope):  # which spends nothing
                    self._allow(step.verb, scope)
                if self._parts.engine is None and self._parts.server is None:
                    raise Unsupported("There is no model that could answer. Name one by the setting engine. Nothing was done.")

    def _together(self, course: Course) -> tuple[list[Done], int | None]:
        """The steps up to the next model call, or to the end, in one transaction; and the number of the job that the rest is, if any."""
        steps = course.pipeline.steps[course.next :]
        if _only_looks(steps) and not course.next:
            self._settle()
            within = self._without_models(course)
            with self._store.snapshot():
                return self._stage(course, within)[0], None
        within = self._without_models(course)
        with self._scheduler.together() as used, self._store.write(self._parts.clock.now()) as tx:
            done, is_over = self._stage_in(tx, course, within)
            self._scheduler.put_together(tx, used)
        if is_over:
            return done, None
        job = self._job_of(course.id)
        return done, None if job is None else job.seq

    def _stage_in(self, tx: Transaction, course: Course, within: Piping) -> tuple[list[Done], bool]:
        """A stage in a transaction that is open; at a model call the rest becomes a job of it. Says whether it is over."""
        tx.tell({"pipeline": course.pipeline.name, "run": course.id})
        done, is_over = within._stage(course, within)
        detail = {"steps": [step.verb for step in course.pipeline.steps], "done": course.next}
        tx.audit(self._parts.governance.principal, "run", course.id, detail)
        if not is_over:
            tx.enqueue("pipeline", self._arguments(course), **course.whose(), key=_key(course.id))
        return done, is_over

    def _stage(self, course: Course, within: Piping) -> tuple[list[Done], bool]:
        done: list[Done] = []
        while course.next < len(course.pipeline.steps):
            step = course.pipeline.steps[course.next]
            if VERBS[step.verb].is_model:
                return done, False
            done.append(_take(course, step, within))
            course.next += 1
        return done, True

    def _arguments(self, course: Course) -> dict[str, object]:
        """What a job must know to go on: nothing that a memory or a model said, and of the parameters those that are still needed."""
        left = course.pipeline.steps[course.next :]
        needed = {wanted.name for step in left for _, wanted in pipelines.references(step)}
        across = {
            step.name: {part: value for part, value in course.results[step.name].items() if VERBS[step.verb].gives.get(part) in ACROSS}
            for step in course.pipeline.steps[: course.next] if step.name in needed
        }  # fmt: skip
        given = {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in course.given.items() if name in needed
        }
        key = self._parts.governance.key
        return {
            "run": course.id, "pipeline": pipelines.document_of(course.pipeline), "given": given, "results": across, "next": course.next,
            "principal": self._parts.governance.principal, "key": None if key is None else key.id,
        }  # fmt: skip

    def _go_on(self, course: Course, steps: list[Done]) -> Ran:
        """Works what is left of a run here, as long as nobody else has it in hand. Raises what a step raised; the run stays in the queue then."""
        told, own = list(steps), self._piped.of(course.id)
        self._piped.told[course.id] = told
        try:
            is_worked = True
            while (job := self._job_of(course.id)) is not None and is_worked and job.state in OPEN and not job.error:
                is_worked = self._scheduler.step(own)
        finally:
            del self._piped.told[course.id]
        if job is None:
            self._check_done(course)
            return Ran(course.id, course.pipeline.name, tuple(told))
        if job.error or job.state not in OPEN:
            self._stopped(course, job)
        self._scheduler.wake()
        return Ran(course.id, course.pipeline.name, tuple(told), job.seq)

    def _stopped(self, course: Course, job: Job) -> Never:
        failure, self._scheduler.failure = self._scheduler.failure, None
        told = f"{failure or job.error or 'It was cancelled.'} Run {course.id} stopped, and what comes before is done. Job {job.seq}"
        again = f"`loci jobs retry {job.seq}`"
        match job.state:
            case "cancelled":
                raise Conflict(f"{told} was cancelled; {again} has it go on.")
            case "dead" if failure is not None:
                failure.args = (f"{told} is dead, since no other try would mend that; {again} tries all the same.",)
                raise failure
            case "dead":
                raise Conflict(f"{told} is dead; {again} tries it again.")
            case _:
                raise Unavailable(f"{told} tries again later; `loci jobs cancel {job.seq}` ends it.") from failure

    def _check_done(self, course: Course) -> None:
        """Raises `Conflict` where a run is not in the queue any more, and not done."""
        (told,) = self._store.records(None, None, "run", course.id, 1)
        if told.detail["done"] != len(course.pipeline.steps):
            raise Conflict(f"What run {course.id} was given was erased meanwhile. It stopped, and what comes before is done.")

    def _job_of(self, run: str) -> Job | None:
        return next(iter(self._store.jobs(1, STATES, key=_key(run))), None)

    def _queued_of(self, by: str, value: str, erased: Sequence[Source]) -> list[int]:
        """The runs in the queue that hold words of what is erased, and those that name the user or session that is: none of them was journaled."""
        return [
            job.seq for job in self._store.jobs(MOST_JOBS, STATES)
            if job.verb == "pipeline" and "pipeline" in job.arguments and _is_of(job.arguments, by, value, erased)
        ]  # fmt: skip

    def _without_models(self, course: Course) -> Piping:
        """This cube, with what the questions of a run are to be embedded as computed before its transaction begins."""
        embedder = self._operator.embedder
        if embedder is None:
            return self
        texts: list[str] = []
        for step in course.pipeline.steps[course.next :]:
            if VERBS[step.verb].is_model:
                break
            if step.verb != "search" or any(wanted.part for _, wanted in pipelines.references(step)):
                continue
            for item in course.value(step.each) if step.each else [None]:
                given = course.arguments(step, item)
                rows = RowFilter(self._parts.clock.now(), given.get("user"), given.get("agent"), given.get("session"))
                call = self._call(inputs.question(given["question"]), rows)
                texts += [call.text, call.voiced or call.text]
        other = copy(self)
        other._operator = replace(self._operator, embedder=_known(embedder, texts))
        return other


def _only_looks(steps: Sequence[Step]) -> bool:
    """Whether steps write nothing: no verb of theirs changes anything, and none waits in the queue for a model."""
    return all(step.verb in access.READS and not VERBS[step.verb].is_model for step in steps)


Answer = tuple[Piping, Piping, Course, Done, Together]
"""Of a model call: the cube at the gate of who asked, the same without models, the run, what the step answered, and what it used."""


class Piped:
    """Work: what is left of a pipeline, from a model call on."""

    verb = "pipeline"
    is_long = True  # a model is loaded for it, and asked
    final: tuple[type[LociError], ...] = (Denied, Invalid, Missing, Unsupported)

    def __init__(self, cube: Piping) -> None:
        self._cube = cube
        self.told: dict[str, list[Done]] = {}  # by run, of those that somebody waits for here
        self.key: str | None = None  # of the one run that is worked, where it is for somebody who waits

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], Job | None]:
        jobs = tx.lease(self.verb, worker, until, 1, key=self.key)
        return jobs, jobs[0] if jobs else None

    def of(self, run: str) -> Piped:
        """The same, of one run alone."""
        one = copy(self)
        one.key = _key(run)
        return one

    def compute(self, given: Job | None, breath: Breath) -> Answer:
        """The model call, as whoever asked for the run, with the rights that they have now; and what the questions behind it are embedded as."""
        assert given is not None
        cube, course = self._of(given)
        breath()
        step = course.pipeline.steps[course.next]
        with cube._scheduler.together() as used:
            done = _take(course, step, cube, breath)
        course.next += 1
        return cube, cube._without_models(course), course, done, used

    def apply(self, tx: Transaction, jobs: Sequence[Job], computed: Answer) -> None:
        cube, within, course, done, shown = computed
        with cube._scheduler.together() as used:
            told, _ = cube._stage_in(tx, course, within)
            cube._scheduler.put_together(tx, shown, used)
        if course.id in self.told:  # nothing of the transaction is left to fail but the commit; then the job is there still, and says so
            self.told[course.id] += [done, *told]

    def _of(self, job: Job) -> tuple[Piping, Course]:
        said: Mapping[str, Any] = job.arguments
        if "pipeline" not in said:
            raise Invalid(f"Job {job.seq} held words that were erased, and cannot go on. `loci jobs cancel {job.seq}` puts it away.")
        parts = self._cube._parts
        found = None if said["key"] is None else parts.registry.key(str(said["key"]))
        if said["key"] is not None and found is None:
            raise Missing(f"The key {said['key']} by which run {said['run']} came in is not known any more.")
        governance = replace(parts.governance, principal=str(said["principal"]), key=None if found is None else found[0])
        plan = pipelines.pipeline_of(said["pipeline"])
        results = {str(name): dict(gave) for name, gave in said["results"].items()}
        return self._cube.acting(governance), Course(str(said["run"]), plan, dict(said["given"]), results, int(said["next"]))


def _key(run: str) -> str:
    return f"pipeline {run}"


def _is_of(run: Mapping[str, Any], by: str, value: str, erased: Sequence[Source]) -> bool:
    """Whether a run is of the user or session that is erased, or holds words of what is. Words so short that anybody may have said them are
    looked for only where it names the same user."""
    said = pipelines.texts_of(pipelines.pipeline_of(run["pipeline"]), run["given"])
    if by in ("user", "session") and value in (*said, *([run["principal"]] if by == "user" else [])):
        return True
    words = [
        text for source in erased for text in (source.message.text, source.message.caption or "")
        if pieces(text) or source.scope.user is None or source.scope.user in said
    ]  # fmt: skip
    return any(holds(one, text) for text in words for one in said)


def _known(embedder: Embedder, texts: Sequence[str]) -> Embedder:
    try:
        return Known(embedder, list(dict.fromkeys(texts)))
    except LociError:  # its signal is missing then, and the answer says so
        return Known(embedder, ())


def _take(course: Course, step: Step, cube: Any, breath: Callable[[], None] = lambda: None) -> Done:
    """Runs a step, and keeps what it gave. What is wrong is raised with the step."""
    name = step.name or str(course.next + 1)
    with _step(course, course.next + 1, step):
        if not step.each:
            answer = _called(cube, step, course.arguments(step), breath)
            gave = _gave(answer)
        else:
            items = course.value(step.each)
            if len(items) > MOST_EACH:
                raise Invalid(f"{step.each} are {len(items)}; {MOST_EACH} are the most.")
            answer = [_called(cube, step, course.arguments(step, item), breath) for item in items]
            ids = [id for one in answer for id in _gave(one)["ids"]]
            gave = {"ids": ids, "count": len(ids)}
    course.results[step.name] = gave
    return Done(name, step.verb, answer)


@contextmanager
def _step(course: Course, place: int, step: Step) -> Iterator[None]:
    """What is raised in this is raised with the step."""
    try:
        yield
    except LociError as error:
        error.args = (f"Step {place} ({step.name or step.verb}) of the pipeline {course.pipeline.name}: {error}",)
        raise


def _called(cube: Any, step: Step, arguments: Mapping[str, Any], breath: Callable[[], None]) -> Any:
    answer = getattr(cube, step.verb)(**arguments)
    if not isinstance(answer, Generation):
        return answer
    pieces = []
    for piece in answer:
        breath()  # a model may take longer than a job is held for
        pieces.append(piece)
    return Answered("".join(pieces), answer.memories, answer.attached)


def _gave(answer: Any) -> dict[str, Any]:
    """What later steps may refer to."""
    match answer:
        case Recall():
            told = {"text": answer.text, "tokens": answer.tokens, "confidence": answer.confidence}
            return {**_these(answer.ids), **told}
        case Memory():
            return {**_these([answer.id]), "text": answer.text, "version": answer.version}
        case list():
            return _these([memory.id for memory in answer])
        case Answered():
            return {**_these(answer.memories), "text": answer.text}
        case Receipt():
            changed = answer.ids or tuple(dict.fromkeys(change.memory for change in answer.changes if change.memory))
            return {**_these(changed), "sources": list(answer.sources)}
        case _:
            return _these(answer.memories)


def _these(ids: Sequence[str]) -> dict[str, Any]:
    return {"ids": list(ids), "first": ids[0] if ids else None, "count": len(ids)}
