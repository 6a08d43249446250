"""Kinds of work that the queue of a cube knows: what is computed outside of any transaction, and what the one that ends the jobs does.

An effect and the end of its job are one commit, so whatever happens in between, it happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from loci.operation.pace import Pace
from loci.ports import Embedder, Store, Transaction
from loci.types import Job

BATCH = 256  # contents embedded between two commits
PIECE = 8  # contents of the first call of an embedder that was not timed yet
PIECE_SECONDS = 0.025  # what a call of it may take: so long does a foreground call wait for it at most
READS = 16  # messages read again between two commits

Reread = Callable[[Store, Transaction, Job], None]


class Work(Protocol):
    """A kind of job, by its ``verb``."""

    verb: str

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], Any]:
        """Jobs to be worked together, and what they are computed from. No jobs: none is due."""

    def compute(self, given: Any, pace: Pace | None) -> Any:
        """Outside of any transaction; ``pace`` says when others come first. Raises what makes the jobs fail."""

    def apply(self, tx: Transaction, jobs: Sequence[Job], computed: Any) -> None:
        """The effect, in the transaction that ends the jobs."""


class Embedding:
    """Vectors of what was said, for the generation of one embedder."""

    verb = "embed"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder, self._seconds = embedder, PIECE_SECONDS / PIECE

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], Mapping[int, str]]:
        generation = tx.generation(self._embedder.name, self._embedder.dimensions)
        jobs = tx.lease(self.verb, worker, until, BATCH, generation)
        return jobs, tx.texts([content for job in jobs for content in contents_of(job)])

    def compute(self, given: Mapping[int, str], pace: Pace | None) -> tuple[list[int], Any]:
        """In pieces that take about as long as a foreground call may wait for one; all at once where nobody waits."""
        contents = sorted(given)
        vectors: list[Any] = []
        while len(vectors) < len(contents):
            size = len(contents) if pace is None else max(1, min(BATCH, int(PIECE_SECONDS / self._seconds)))
            if pace is not None:
                pace.wait()
            piece = [given[content] for content in contents[len(vectors) : len(vectors) + size]]
            start = perf_counter()
            vectors.extend(self._embedder.embed(piece))
            self._seconds = max((perf_counter() - start) / len(piece), 1e-7)
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

    def __init__(self, store: Store, reread: Reread, enqueue_vectors: Callable[[Transaction], None]) -> None:
        self._store, self._reread, self._enqueue_vectors = store, reread, enqueue_vectors

    def lease(self, tx: Transaction, worker: str, until: datetime) -> tuple[list[Job], None]:
        return tx.lease(self.verb, worker, until, READS), None

    def compute(self, given: None, pace: Pace | None) -> None:
        if pace is not None:
            pace.wait()

    def apply(self, tx: Transaction, jobs: Sequence[Job], computed: None) -> None:
        for job in jobs:
            before = len(tx.new_contents)
            self._reread(self._store, tx, job)
            if made := len(tx.new_contents) - before:  # a record of it is also what tells other readers to look again
                tx.audit("scheduler", "read", str(job.arguments["source"]), {"memories": made})
        self._enqueue_vectors(tx)


def contents_of(job: Job) -> list[int]:
    """What a job is about to embed."""
    contents = job.arguments["contents"]
    assert isinstance(contents, list)
    return contents
