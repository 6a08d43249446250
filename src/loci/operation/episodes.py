"""Several activation memories for one conversation, each under a budget of its own: one for each of its episodes (EpiCache, arXiv 2509.17396).

A question attends to the one that holds most of what is recalled for it, and to nothing else of the conversation. What is remembered later joins the
episode that it is nearest to, and only that one is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loci.errors import LociError, Unsupported
from loci.infrastructure.pages import PageFiles
from loci.operation.budgets import EPICACHE, Budget, Budgeted
from loci.operation.lending import Lending
from loci.operation.reading import Progress
from loci.operation.redact import Redactor
from loci.operation.residence import Residence
from loci.ports import Book, Grouping, RowFilter, Store, Transaction
from loci.ports.budgeting import Method
from loci.ports.engine import Engine, Manifest
from loci.types import Handle

Directions = Callable[[Sequence[str]], NDArray[np.float32]]
"""Where texts lie in meaning: a vector each."""
Window = tuple[Sequence[int], Sequence[float]]
"""A memory as an episode remembers it: its tokens, and where it lies in meaning."""


class Episodic(Budgeted):
    """The activation memories of a cube whose model runs here, those of episodes among them."""

    def __init__(
        self, store: Store, engine: Callable[[], Engine[Any]] | None, files: PageFiles, redactor: Redactor, residence: Residence, lending: Lending,
        methods: Mapping[str, Method], grouping: Callable[[int], Grouping] | None,
    ) -> None:  # fmt: skip
        super().__init__(store, engine, files, redactor, residence, lending, methods)
        self._grouping = grouping

    def condense_episodes(
        self,
        memories: Sequence[str],
        most: int,
        at: RowFilter,
        budget: Budget,
        codec: str,
        most_divergence: float,
        directions: Directions,
        record: Callable[[Transaction, Manifest], None],
        new_id: Callable[[], str],
        progress: Progress | None = None,
    ) -> list[Handle]:
        """An activation memory for each of at most so many episodes of these memories, in the order in which the episodes began. Those of an earlier call with the same
        budget keep their memories; new ones join the nearest, and an episode that nothing joined is what it was. ``progress`` is told (episodes, of).
        Where one cannot be kept, none of the new ones is: raises what `condense` does."""
        if self._grouping is None:
            raise Unsupported("This system was put together without anything that tells episodes apart. `MemOS.open` brings it.")
        if budget.method != EPICACHE:
            self._scorer(budget.method)  # what is wrong with it is told before anything is read
        found = self._present(memories, at)
        texts = self._redactor.texts([memory.text for memory in found])
        tokens = [self.engine.tokenize(text) for text in texts]
        windows = {memory.id: pair for memory, pair in zip(found, zip(tokens, directions(texts).tolist(), strict=True), strict=True)}
        former = self._former(windows, most, at, budget)
        book, order = _told_apart(self._grouping(most), windows, [[id for id in _memories(one) if id in windows] for one in former])
        handles: list[Handle] = []
        try:
            for episode, numbers in enumerate(book.windows()):
                known = former[episode] if episode < len(former) else None
                chosen = sorted(order[number] for number in numbers)
                is_anew = known is not None and (_memories(known) != chosen or bool(self.void(known, at)))
                scorer = book.scorer(episode) if budget.method == EPICACHE else None
                id = new_id() if known is None else known.id
                handles.append(
                    self.condense(id, chosen, at, budget, codec, most_divergence, record, is_anew=is_anew, scorer=scorer, episodes=most)
                )
                if progress is not None:
                    progress(episode + 1, len(book.windows()))
        except LociError:
            self._take_back([handle.id for handle in handles if handle.version == 1 and not handle.is_reused], at)
            raise
        return handles

    def _former(self, wanted: Collection[str], most: int, at: RowFilter, budget: Budget) -> list[Manifest]:
        """The episodes of an earlier call of these memories, in the order in which they were first read: of as many at most, with the same budget, and of nothing
        else that there still is."""
        found, taken = list[Manifest](), set[str]()
        for _, manifest in sorted(self._rows(at), key=lambda kept: kept[0].id):
            if isinstance(manifest, Manifest) and manifest.episodes == most and _fits(manifest, budget):
                left = self._store.present(_memories(manifest), at).keys()
                if left and left <= set(wanted) and not left & taken:
                    found.append(manifest)
                    taken |= left
        return found[:most]

    def _take_back(self, ids: Sequence[str], at: RowFilter) -> None:
        """Lets go of what was built before something went wrong."""
        if ids:
            with self._store.write(at.now) as tx:
                for id in ids:
                    self.let_go(tx, id)
                self.tidy(tx)


def _told_apart(grouping: Grouping, windows: Mapping[str, Window], former: Sequence[Sequence[str]]) -> tuple[Book, list[str]]:
    """The record of the episodes, and the memory of each of its windows by its number. What is known belongs where it was; the rest is
    clustered where nothing is known, and else joins the nearest in the order of time."""
    if not former:
        return grouping.clustered([tokens for tokens, _ in windows.values()], [vector for _, vector in windows.values()]), list(windows)
    book, order = grouping.book(), list[str]()
    for episode, memories in enumerate(former):
        for id in memories:
            book.remember(episode, *windows[id])
            order.append(id)
    for id in [id for id in windows if id not in set(order)]:
        book.join(*windows[id])
        order.append(id)
    return book, order


def _memories(manifest: Manifest) -> list[str]:
    return sorted(quoted.memory for quoted in manifest.quoted)


def _fits(manifest: Manifest, budget: Budget) -> bool:
    """Whether it was read under this budget, or is no longer than it."""
    eviction = manifest.eviction
    if eviction is None:
        return len(manifest.ids) <= budget.entries
    return (eviction.method, eviction.layers, round(fmean(eviction.per_layer))) == (budget.method, budget.layers, budget.entries)
