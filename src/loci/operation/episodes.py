"""Several activation memories for one conversation, each under a budget of its own: one for each of its episodes (EpiCache, arXiv 2509.17396).

A question goes on from the one that holds most of what is recalled for it; what else is recalled is read as text. What is remembered later joins the
episode that it is nearest to, and only that one is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loci.errors import Invalid, Unsupported
from loci.infrastructure.pages import PageFiles
from loci.operation.budgets import EPICACHE, Budget, Budgeted
from loci.operation.keeping import reaches
from loci.operation.lending import Lending
from loci.operation.reading import Progress
from loci.operation.redact import Redactor
from loci.operation.residence import Residence
from loci.ports import Grouping, RowFilter, Store, Transaction
from loci.ports.budgeting import Method
from loci.ports.engine import Engine, Episode, Manifest
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
        budget keep their memories; new ones join the nearest, and an episode that nothing joined is what it was. All are read before any is kept: where one loses more
        attention than is allowed, nothing is. ``progress`` is told (episodes, of)."""
        if self._grouping is None:
            raise Unsupported("This system was put together without anything that tells episodes apart. `MemOS.open` brings it.")
        judge = None if budget.method == EPICACHE else self._scorer(budget.method, (EPICACHE,))  # refused before anything is read
        found = self._present(memories, at)
        texts = self._redactor.texts([memory.text for memory in found])
        vectors = directions(texts).tolist()
        windows = {
            memory.id: (self.engine.tokenize(text), vector)
            for memory, text, vector in zip(found, texts, vectors, strict=True)
            if any(vector)
        }
        if judge is None and not windows:
            raise Invalid(
                f"The embedder gives none of these {len(found)} memories a direction, so there is nothing that {EPICACHE} could judge by."
            )
        part = Episode(most, budget.entries, budget.method, budget.layers)
        wanted = [memory.id for memory in found]
        former = self._former(wanted, windows, at, part, codec)
        groups = _told_apart(self._grouping(most), wanted, windows, [_memories(manifest) for manifest in former])
        book = self._grouping(most).book()
        keeping = []
        for place, group in enumerate(groups):
            for id in group:
                if id in windows:
                    book.remember(place, *windows[id])
            known = former[place] if place < len(former) else None
            is_anew = known is not None and (_memories(known) != group or bool(self.void(known, at)))
            keeping.append(
                self.condensed(
                    new_id() if known is None else known.id, group, at, budget, codec, most_divergence, record, judge or book.scorer(place),
                    is_anew=is_anew, episode=part,
                )
            )  # fmt: skip
            if progress is not None:
                progress(place + 1, len(groups))
        made = {manifest.id for manifest in former}
        handles: list[Handle] = []
        for keep in keeping:
            handles.append(keep(None, made | {handle.id for handle in handles}))
        return handles

    def _former(self, wanted: Collection[str], windows: Collection[str], at: RowFilter, part: Episode, codec: str) -> list[Manifest]:
        """The episodes of an earlier call of these memories, in the order in which they were first read: kept alike, and of nothing else that there still is, or that
        is out of reach; with a direction left."""
        found, taken, codecs = list[Manifest](), set[str](), ("raw", "hidden") if codec == "exact" else (codec,)
        for _, manifest in sorted(self._rows(at), key=lambda kept: kept[0].id):
            if not isinstance(manifest, Manifest) or manifest.episode != part or manifest.codec.name not in codecs:
                continue
            memories = _memories(manifest)
            left = self._store.present(memories, at).keys()
            if (
                not left.isdisjoint(windows)
                and left <= set(wanted)
                and not left & taken
                and all(reaches(self._store, id, at) for id in memories)
            ):
                found.append(manifest)
                taken |= left
        return found[: part.of]


def _told_apart(
    grouping: Grouping, wanted: Sequence[str], windows: Mapping[str, Window], former: Sequence[Sequence[str]]
) -> list[list[str]]:
    """The memories of each episode, in the order of time. What is known stays where it was; the rest is clustered where nothing is known, and else joins the nearest,
    one after the other. What has no direction belongs to what was said before it."""
    placed = {id: place for place, memories in enumerate(former) for id in memories if id in wanted}
    if former:
        book = grouping.book()
        for place, memories in enumerate(former):
            for id in memories:
                if id in windows:
                    book.remember(place, *windows[id])
        placed |= {id: book.join(*windows[id]) for id in wanted if id in windows and id not in placed}
    elif windows:
        book = grouping.clustered([tokens for tokens, _ in windows.values()], [vector for _, vector in windows.values()])
        names = list(windows)
        placed = {names[number]: place for place, numbers in enumerate(book.windows()) for number in numbers}
    before = next((placed[id] for id in wanted if id in placed), 0)
    groups: dict[int, list[str]] = {}
    for id in wanted:
        before = placed.setdefault(id, before)
        groups.setdefault(before, []).append(id)
    return [groups[place] for place in sorted(groups)]


def _memories(manifest: Manifest) -> list[str]:
    return sorted(quoted.memory for quoted in manifest.quoted)
