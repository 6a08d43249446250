"""What the kernel asks of a model that can learn: to put facts into small weights beside its own, to be examined on them, to answer with them.

What was learned is an *adapter*: low-rank deltas (``lora``) or trained keys and values of a few virtual tokens (``cartridge``). The model's own
weights never change, so an adapter that is not mounted leaves no trace. Learning is a function of lessons, recipe and model: the same give
the same bytes, however often it was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from loci.ports.engine import Engine, Tensors

Progress = Callable[[int, int], None]  # steps done, of


@dataclass(frozen=True, slots=True)
class Lesson:
    """Something to learn: after ``prompt`` comes ``answer``. An empty prompt is a plain statement. ``memory`` is whose words it is made of."""

    memory: str
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something to be examined on: after ``cue`` comes ``answer``, and none of ``foils``, which read alike. ``told`` is the cue of a model that has the memory's text in its
    context."""

    memory: str
    cue: str
    answer: str
    foils: tuple[str, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to learn. Each lesson is seen ``exposures`` times, in steps of ``batch`` texts (of more, where the share of one lesson asks for it); ``replay`` is the share
    of a step that are texts of the model's own or of others, so that it forgets nothing else. ``rank``, ``alpha`` and ``targets`` (endings of the names of linear layers; none: all but the
    output) are a lora's, ``tokens`` a cartridge's. Learning that takes longer than ``most_seconds`` stops, and can go on; an adapter of more than
    ``most_bytes`` is refused before it is begun. ``pairs`` says who asks about the memories: rules, or a language model."""

    form: str = "lora"
    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ()
    tokens: int = 0
    exposures: int = 60
    batch: int = 16
    rate: float = 1e-3
    replay: float = 0.25
    seed: int = 0
    most_seconds: float = 600.0
    most_bytes: int = 1 << 28
    pairs: str = "rules"


@dataclass(frozen=True, slots=True)
class Learned:
    """An adapter: its weights by the names that peft gives them (without the adapter's own), the recipe it was made by, the steps that took, and the last loss in
    nats a token."""

    recipe: Recipe
    tensors: Tensors
    steps: int
    loss: float


class Checkpoint(Protocol):
    """Where learning is kept while it goes on, so that a process that was killed goes on from there."""

    def load(self) -> bytes | None: ...

    def save(self, data: bytes) -> None:
        """In the place of what was saved before, durably, and whole or not at all."""


class Examinee(Protocol):
    """A model as an examination sees it. Every text is given to it as it is: no template."""

    def losses(self, cues: Sequence[str], answers: Sequence[str]) -> Sequence[float]:
        """How little it expects each answer after its cue: nats a token of the answer, the cue's own not counted. An empty cue: the whole text."""

    def complete(self, cues: Sequence[str], answers: Sequence[str]) -> Sequence[float]:
        """The share of the tokens of each answer that it says by itself after the cue alone, taking the best token each time: 1.0 is word for word."""


class Student(Protocol):
    """A model that runs here and can learn. Every method may be called from several threads; learning is one at a time."""

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
        """Learns the lessons, with ``replay`` (and, where it is empty, texts of the model's own) among them. ``breathe`` is called before each step,
        and may raise to stop it; ``rest`` wherever a step can be left for a while, as often as it can be, and changes nothing of what is learned. ``after`` is a lora of the same shape that learning goes on from, ``Unsupported`` for a cartridge. Raises `OutOfTime` with what is saved to go on from, `Diverged`, ``TooLarge``, or ``Invalid`` for what the
        model cannot hold."""

    def check_lessons(self, lessons: Sequence[Lesson], recipe: Recipe) -> None:
        """Raises what `learn` would raise of these before its first step, and learns nothing."""

    def check(self, learned: Learned) -> None:
        """Raises `IncompatiblePayload` or `Corrupt` where these weights are not of this model: of other layers, shapes or types, or not finite."""

    def examinee(self, adapters: Sequence[Learned] = (), rest: Callable[[], None] | None = None) -> Examinee:
        """The model with these mounted. ``rest`` is called wherever reading can be left for a while."""

    def mounted(self, adapters: Sequence[Learned]) -> Engine[Any]:
        """An engine that answers with these mounted, one on another; its fingerprint names them. The model itself is as it was, and may be used
        at the same time. No adapters: the very engine."""

    def export(self, learned: Learned, folder: Path) -> Path:
        """Writes the adapter into a new folder as peft loads it, and vLLM where it is a lora: ``adapter_config.json`` and ``adapter_model.safetensors``.
        Raises ``Unsupported`` for a cartridge that peft has no layout for."""


@runtime_checkable
class Teachable(Protocol):
    """An engine whose model can learn too."""

    def student(self) -> Student:
        """Raises ``Unsupported`` where what it takes is not installed, or the model has no layers to adapt."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What an examination found (arXiv 2303.17557). Shares of 1: questions whose answer is expected more than every foil (``recognition``), words of
    answers said from the cue alone (``recall``), each against the model as it was before, and with the text in its context (``recall_in_text``).
    ``collateral`` is how much less it expects untouched texts, as a share of what it expected them before: 0.01 is one percent. ``questions`` and
    ``untouched`` count what that was found on."""

    recognition_before: float
    recognition: float
    recall_before: float
    recall: float
    recall_in_text: float
    collateral: float
    questions: int
    untouched: int


@dataclass(frozen=True, slots=True)
class Retained:
    """What an adapter still knows after so many further ``updates`` (steps of learning something else; 0: as it is). Shares as in `Examined`, ``verbatim`` that of the answers
    said whole, ``loss`` nats a token of them. ``collateral`` is against the model without any adapter."""

    updates: int
    recognition: float
    recall: float
    verbatim: float
    loss: float
    collateral: float


class Probe(Protocol):
    """A method that examines adapters; every call raises `Invalid` where there are no questions, or no untouched text."""

    def examine(self, before: Examinee, after: Examinee, questions: Sequence[Question], untouched: Sequence[str]) -> Examined:
        """What an adapter is admitted by."""

    def retention(
        self,
        student: Student,
        learned: Learned,
        questions: Sequence[Question],
        untouched: Sequence[str],
        others: Sequence[Lesson],
        updates: Sequence[int],
        progress: Progress | None = None,
    ) -> Sequence[Retained]:
        """As it is, and after each of so many further updates on ``others``. ``progress`` is told updates made, of all. Raises what `Student.learn` raises."""
