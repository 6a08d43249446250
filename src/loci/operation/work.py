"""Kinds of work that the queue of a cube knows: what is computed outside of any transaction, and what the one that ends the jobs does.

An effect and the end of its job are one commit, so whatever happens in between, it happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import perf_counter, process_time
from typing import Any, Protocol

import numpy as np

from loci.errors import EmbedderFailed, LociError
from loci.ports import Embedder, Store, Transaction
from loci.ports.queue import Whose
from loci.types import Job, Scope

BATCH = 256  # contents embedded between two commits
PIECE = 8  # contents of the first call of an embedder that was not timed yet
LONGEST = 5.0  # seconds that a piece may take wherever it is computed: between two the jobs are held for longer

Rest = Callable[[], None]
Reread = Callable[[Store, Transaction, Job], None]


class Breath(Protocol):
    """What lies between two pieces of work: ``seconds`` is what a piece may take, and a call lets others come first, and keeps the jobs; so does ``rest``, which
    works on no other job meanwhile, and so may be called anywhere in a piece. It is None where somebody waits for the work itself."""

    @property
    def seconds(self) -> float: ...

    def __call__(self) -> None: ...

    @property
    def rest(self) -> Rest | None: ...


class Work(Protocol):
    """A kind of job, by its ``verb``. What ``is_long`` lets others through between two pieces; an error of a ``final`` kind is none that another try would mend:
    the job is dead at once."""

    verb: str
    is_long: bool
    final: tuple[type[LociError], ...]

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], Any]:
        """Jobs to be worked together, and what they are computed from. No jobs: none is due."""

    def compute(self, given: Any, breath: Breath) -> Any:
        """Outside of any transaction, with a breath before each piece. Raises what makes the jobs fail."""

    def apply(self, tx: Transaction, jobs: Sequence[Job], computed: Any) -> None:
        """The effect, in the transaction that ends the jobs."""


class Embedding:
    """Vectors of what was said, for the generation of one embedder."""

    verb = "embed"
    is_long = False
    final: tuple[type[LociError], ...] = ()

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._spent = self._took = 0.0  # seconds a content: of this machine, and in all

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], Mapping[int, str]]:
        generation = tx.generation(self._embedder.name, self._embedder.dimensions)
        jobs = tx.lease(self.verb, worker, until, BATCH, generation)
        return jobs, tx.texts([content for job in jobs for content in contents_of(job)])

    def compute(self, given: Mapping[int, str], breath: Breath) -> tuple[list[int], Any]:
        """In pieces that take about as long as they may, by what the last one took of this machine: a model that is elsewhere takes nearly nothing of it."""
        contents, done = sorted(given), 0
        vectors: list[Any] = []
        while done < len(contents):
            size = max(1, min(BATCH, int(breath.seconds / self._spent), int(LONGEST / self._took))) if self._took else PIECE
            breath()
            piece = [given[content] for content in contents[done : done + size]]
            start, spent = perf_counter(), process_time()
            found = self._embedder.embed(piece)
            if len(found) != len(piece):
                raise EmbedderFailed(f"The embedder {self._embedder.name} answered {len(found)} vectors for {len(piece)} texts.")
            self._took = max((perf_counter() - start) / len(piece), 1e-7)
            self._spent = max(min(self._took, (process_time() - spent) / len(piece)), 1e-7)
            vectors.extend(found)
            done += len(piece)
        return contents, np.array(vectors, dtype=np.float32)

    def apply(self, tx: Transaction, jobs: Sequence[Job], computed: tuple[list[int], Any]) -> None:
        contents, vectors = computed
        generation = tx.generation(self._embedder.name, self._embedder.dimensions)
        if contents:
            tx.put_vectors(generation, contents, vectors)
        tx.promote(generation)


class Rereading:
    """Messages that are read once more, with what was found out meanwhile."""

    verb = "read"
    is_long = False
    final: tuple[type[LociError], ...] = ()

    def __init__(self, store: Store, reread: Reread, enqueue_vectors: Callable[[Transaction], None]) -> None:
        self._store, self._reread, self._enqueue_vectors = store, reread, enqueue_vectors

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], None]:
        return tx.lease(self.verb, worker, until, 1), None  # it is read while nobody else can write: one at a time

    def compute(self, given: None, breath: Breath) -> None:
        breath()

    def apply(self, tx: Transaction, jobs: Sequence[Job], computed: None) -> None:
        for job in jobs:
            before = len(tx.new_contents)
            self._reread(self._store, tx, job)
            if made := len(tx.new_contents) - before:  # a record of it is also what tells other readers to look again
                tx.audit("scheduler", "read", str(job.arguments["source"]), {"memories": made})
        self._enqueue_vectors(tx)


def turn_of(scope: Scope | None) -> Whose:
    """Who a job of a scope's takes turns for."""
    return {} if scope is None else {"user": scope.user, "agent": scope.agent, "session": scope.session}


def contents_of(job: Job) -> list[int]:
    """What a job is about to embed."""
    contents = job.arguments["contents"]
    assert isinstance(contents, list)
    return contents
