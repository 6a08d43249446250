"""A student without a model: it knows by heart what it was taught, and nothing else. It keeps every promise of `loci.ports.adapting.Student` that
does not need numbers, so that lessons that ought not to be known show in its answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

from loci.errors import Diverged, IncompatiblePayload, Invalid, OutOfTime, TooLarge
from loci.ports.adapting import Checkpoint, Learned, Lesson, Progress, Recipe
from loci.ports.engine import Fingerprint, Tensor
from loci.testing.engine import HashEngine, HashPage

MOST_RANK = 64
WORSE = "the loss grows"  # a lesson with these words cannot be learned


class HashStudent:
    """Learns one exposure of all lessons a step. ``most_steps`` is what it does in the time that it is given; ``forgets`` makes it worse at other texts;
    what it learned before it goes on ``lasts`` so many exposures of something else."""

    def __init__(self, engine: HashEngine, *, most_steps: int = 1 << 30, forgets: float = 0.0, lasts: int = 1 << 30) -> None:
        self._engine, self.most_steps, self.forgets, self.lasts = engine, most_steps, forgets, lasts
        self.stacks = True  # whether several mounted together know what each does
        self.steps = 0  # since it was made
        self.parts, self.part = 1, _nothing  # of a step, and what each does

    def learn(
        self,
        lessons: Sequence[Lesson],
        replay: Sequence[str],
        recipe: Recipe,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
        breathe: Callable[[], None] | None = None,
        after: Learned | None = None,
        rest: Callable[[], None] | None = None,
    ) -> Learned:
        if after is not None and recipe.exposures <= self.lasts:
            lessons = [*_known(after), *lessons]
        known = json.dumps([asdict(lesson) for lesson in lessons], sort_keys=True).encode()
        self.check_lessons(lessons, recipe)
        if any(WORSE in lesson.answer for lesson in lessons):
            raise Diverged("The loss grew.")
        mark = sha256(known + self._engine.name.encode()).hexdigest()
        saved = json.loads(checkpoint.load() or b"{}") if checkpoint else {}
        done, begun = int(saved.get(mark, 0)), int(saved.get(mark, 0))
        while done < recipe.exposures:
            if breathe is not None:
                breathe()
            if done - begun == self.most_steps:
                if checkpoint is not None:
                    checkpoint.save(json.dumps({mark: done}).encode())
                raise OutOfTime(f"{done} of {recipe.exposures} steps were made in the time there was.")
            for _ in range(self.parts):
                if rest is not None:
                    rest()
                self.part()
            done, self.steps = done + 1, self.steps + 1
            if checkpoint is not None and done % 10 == 0:
                checkpoint.save(json.dumps({mark: done}).encode())
            if progress is not None:
                progress(done, recipe.exposures)
        return Learned(recipe, {"known": Tensor("U8", (len(known),), known), "model": _named(self._engine.name)}, done, 0.0)

    def check_lessons(self, lessons: Sequence[Lesson], recipe: Recipe) -> None:
        if not lessons:
            raise Invalid("There is nothing to learn: no lessons.")
        if recipe.rank > MOST_RANK:
            raise Invalid(f"rank is {recipe.rank}, and this model holds {MOST_RANK} at most.")
        size = len(json.dumps([asdict(lesson) for lesson in lessons], sort_keys=True).encode())
        if size > recipe.most_bytes:
            raise TooLarge(f"That takes {size} bytes, more than {recipe.most_bytes}.")

    def check(self, learned: Learned) -> None:
        found = bytes(learned.tensors["model"].data).decode()
        if found != self._engine.name:
            raise IncompatiblePayload(f"It was learned by {found}, and this is {self._engine.name}.", "model", found, self._engine.name)

    def examinee(self, adapters: Sequence[Learned] = (), rest: Callable[[], None] | None = None) -> HashExaminee:
        known = [lesson for learned in adapters for lesson in _known(learned)]
        return HashExaminee(known if self.stacks or len(adapters) < 2 else [], self.forgets if adapters else 0.0)

    def mounted(self, adapters: Sequence[Learned]) -> HashEngine:
        return LearnedEngine(self._engine.name, adapters) if adapters else self._engine

    def export(self, learned: Learned, folder: Path) -> Path:
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps(asdict(learned.recipe)))
        (folder / "adapter_model.safetensors").write_bytes(bytes(learned.tensors["known"].data))
        return folder


class HashExaminee:
    """Says what stands somewhere in what it was taught, word for word."""

    def __init__(self, known: Sequence[Lesson], forgets: float) -> None:
        self._known, self._forgets = known, forgets

    def losses(self, cues: Sequence[str], answers: Sequence[str]) -> list[float]:
        return [0.1 if self._says(answer) else 1.0 + self._forgets for _, answer in zip(cues, answers, strict=True)]

    def complete(self, cues: Sequence[str], answers: Sequence[str]) -> list[float]:
        return [float(self._says(answer)) for _, answer in zip(cues, answers, strict=True)]

    def _says(self, answer: str) -> bool:
        return any(answer.strip() in lesson.answer for lesson in self._known if answer.strip())


class LearnedEngine(HashEngine):
    """Answers what it was taught, in its words, and goes on as the engine without it does for everything else."""

    def __init__(self, model: str, adapters: Sequence[Learned]) -> None:
        super().__init__(model)
        self._adapters = adapters
        self._answers = {lesson.prompt.encode(): lesson.answer for learned in adapters for lesson in _known(learned) if lesson.prompt}

    def fingerprint(self) -> Fingerprint:
        names = tuple(sha256(bytes(learned.tensors["known"].data)).hexdigest() for learned in self._adapters)
        return replace(super().fingerprint(), adapters=names)

    def generate(
        self, state: Sequence[HashPage], ids: Sequence[int], *, max_tokens: int, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[str]:
        answer = self._answers.get(bytes(ids))
        if answer is None:
            yield from super().generate(state, ids, max_tokens=max_tokens, temperature=temperature, seed=seed)
        else:
            yield answer


def _nothing() -> None: ...


def _known(learned: Learned) -> list[Lesson]:
    return [Lesson(**lesson) for lesson in json.loads(bytes(learned.tensors["known"].data))]


def _named(name: str) -> Tensor:
    return Tensor("U8", (len(name),), name.encode())


class TeachableEngine(HashEngine):
    """The engine without a model, with a student that learns by heart."""

    def __init__(self, model: str = "hash", *, most_steps: int = 1 << 30, forgets: float = 0.0) -> None:
        super().__init__(model)
        self._student = HashStudent(self, most_steps=most_steps, forgets=forgets)

    def student(self) -> HashStudent:
        return self._student
