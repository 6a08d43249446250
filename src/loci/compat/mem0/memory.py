"""``Memory`` and ``AsyncMemory``: mem0's methods over the verbs of a vault."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loci.compat.mem0 import answers, asked
from loci.compat.mem0.answers import Item
from loci.compat.mem0.asked import Asked, Whose
from loci.compat.mem0.config import opened
from loci.compat.mem0.errors import in_habit
from loci.errors import Denied, Invalid, Missing
from loci.system import Cube, System
from loci.types import Memory as Known
from loci.types import Outcome, Part, Receipt, Record

GATE = 0.1  # the score that mem0 asks for where nobody says another: of meaning, there
MOST_RECORDS = 1 << 40  # of a log that is looked through for an erasure
PROCEDURAL = "procedural_memory"
UNSET = object()
LEFT_OUT = frozenset(
    {"version", "output_format", "async_mode", "enable_graph", "keyword_search", "filter_memories", "includes", "excludes"}
)
"""Keywords of other versions, and of the hosted service, that mean nothing here."""


class Memory:
    """mem0's ``Memory`` over a vault of Loci's: memories in ``MEM0_DIR/loci`` (``~/.mem0/loci``), or in the ``vault`` that is given. Settings of
    Loci's can be given by name. Errors are `loci.errors`; what is wrong with a call is a `ValueError` too, as it is in mem0."""

    def __init__(self, config: object = None, *, vault: str | Path | None = None, **settings: object) -> None:
        system, cube = opened(config, vault, settings)
        self._set(system, cube)

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any], *, vault: str | Path | None = None, **settings: object) -> Self:
        """The same of a configuration."""
        return cls(config_dict, vault=vault, **settings)

    @classmethod
    def over(cls, system: System, cube: str, told: list[str] | None = None) -> Self:
        """The same over a vault that is open, for whom it is open; calls without ``app_id`` are about this ``cube``. What is left aside is
        ``told`` there, instead of being warned of."""
        made = cls.__new__(cls)
        made._set(system, cube, told)
        return made

    def _set(self, system: System, cube: str, told: list[str] | None = None) -> None:
        self._system, self._name, self._told = system, cube, told
        self._warned: set[str] = set()
        self._key: str | None = None

    # -- taking in and finding -------------------------------------------------------------------------------------------

    def add(
        self, messages: object, *, metadata: object = None, timestamp: object = None, expiration_date: object = None, infer: bool = True,
        memory_type: str | None = None, prompt: str | None = None, **given: object,
    ) -> dict[str, Any]:  # fmt: skip
        """Remembers each message, word for word. ``timestamp`` is when it was said."""
        with in_habit():
            whose = asked.check_somebody(asked.whose_of(self._ids(given, "add")), "add")
            if memory_type not in (None, PROCEDURAL):
                raise Invalid(f"Invalid 'memory_type': {memory_type!r:.100}. It is {PROCEDURAL!r}, or left out. Nothing was stored.")
            said, left_out = asked.messages_of(messages, asked.time_of(timestamp, "timestamp"))
            kept = self._kept(metadata, "add()") | ({"memory_type": memory_type} if memory_type else {})
            expires = asked.expiry_of(expiration_date)
            if prompt is not None:
                self._warn("prompt", "no model is asked: messages are remembered as they were said", 3)
            if not said:
                return answers.answer([])
            cube = self._cube(whose, create=True)
            asking = cube if self._key is None else cube.once(self._key)
            receipt = asking.add(said, user=whose.user, agent=whose.agent, session=whose.session, metadata=kept, expires=expires)
            changes = answers.other_changes((*receipt.changes, *left_out))
            return answers.answer(self._added(cube, receipt), changes=changes, inference="rules" if infer else None)

    def search(
        self, query: str, *, top_k: int = 20, filters: object = None, threshold: float | None = GATE, rerank: bool = False, explain: bool = False,
        reference_date: object = None, show_expired: bool = False, **given: object,
    ) -> dict[str, Any]:  # fmt: skip
        """The memories that answer, best first, of those that the filter lets through. ``reference_date`` is the "now" of the question. Scores are Loci's,
        0 to 1, above ``GATE``: what is plainly about something else lies below it."""
        with in_habit():
            most = self._most(top_k, given)
            about = asked.asked_of(filters, self._ids(given, "search"), "search")
            least = asked.share_of(GATE if threshold is None else threshold)
            now = asked.time_of(reference_date, "reference_date")
            if not isinstance(query, str) or not query.strip():
                raise Invalid("Invalid query: it must be a text that is not empty.")
            if rerank:
                self._warn("rerank", "every search ranks by all of its signals already", 3)
            if not most:
                return answers.answer([])
            whose, expired = about.whose, asked.switch_of(show_expired, "show_expired")
            try:
                cube = self._cube(whose)
            except Missing:  # of this app nothing was ever said
                return answers.answer([])
            looked = partial(
                cube.search, query, user=whose.user, agent=whose.agent, session=whose.session, limit=most, where=about.where, expired=expired,
                asked_at=now,
            )  # fmt: skip
            recall = looked(pertinent=True)
            hits = [replace(hit, score=GATE + (1 - GATE) * hit.score) for hit in recall.hits]
            if least < GATE and len(hits) < most:
                near = set(recall.ids)
                far = [replace(hit, score=GATE * hit.score) for hit in looked().hits if hit.memory.id not in near]
                hits += far[: most - len(hits)]
            shown = [answers.found(hit, self._name, is_explained=explain) for hit in hits if hit.score >= least]
            return answers.answer(shown, missing=dict(recall.trace.missing))

    def get_all(self, *, filters: object = None, top_k: int = 20, show_expired: bool = False, **given: object) -> dict[str, Any]:
        """The first memories of those that the filter lets through; ``total`` says how many there are."""
        with in_habit():
            most = self._most(top_k, given)
            about = asked.asked_of(filters, self._ids(given, "get_all"), "get_all")
            found, total = self._listed(about, most, expired=show_expired)
            return {"results": found, "total": total}

    def get(self, memory_id: str) -> Item | None:
        """One memory; None where there is none with that id."""
        with in_habit():
            found = self._find(memory_id)
            return None if found is None else answers.item(found[1], self._name)

    # -- changing ----------------------------------------------------------------------------------------------------------

    def update(
        self, memory_id: str, text: str | None = None, metadata: object = None, expiration_date: object = UNSET, data: str | None = None
    ) -> dict[str, Any]:
        """A further version: other words, more metadata, another end (None: none). What is not given stays."""
        with in_habit():
            words = data if text is None else text
            if words is None and metadata is None and expiration_date is UNSET:
                raise Invalid("At least one of text, metadata, or expiration_date must be provided. Nothing was changed.")
            expires = None if expiration_date is UNSET else asked.expiry_of(expiration_date)
            cube, known = self._found(memory_id)
            kept = None if metadata is None else {**known.metadata, **self._kept(metadata, "update()")}
            cube.update(known, words, metadata=kept, expires=expires, forever=expiration_date is None)
            return {"message": "Memory updated successfully!"}

    def delete(self, memory_id: str) -> dict[str, Any]:
        """Erases a memory: its words are in no byte of the vault afterwards. `history` still says that there was one."""
        with in_habit():
            cube, _ = self._found(memory_id)
            cube.erase(memory_id)
            return {"message": "Memory deleted successfully!"}

    def delete_all(
        self, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None, *, filters: object = None, **given: object
    ) -> dict[str, Any]:
        """Erases everything of this user, agent and run: of all that are named. An ``app_id`` alone is everything in its cube."""
        with in_habit():
            named = self._ids({"user_id": user_id, "agent_id": agent_id, "run_id": run_id, **given}, "delete_all")
            about = asked.asked_of(filters, named, "delete_all")
            if about.where != asked.WHOLE:
                raise Invalid("delete_all takes user_id, agent_id, run_id and app_id, no other filter. `get_all` finds ids to delete.")
            scope = about.whose.scope()
            try:
                self._cube(about.whose).erase(**scope, whole=not scope)
            except Missing:  # nothing of theirs is there: it is as it was asked for
                return {"message": "Memories deleted successfully!"}
            return {"message": "Memories deleted successfully!"}

    def history(self, memory_id: str) -> list[Item]:
        """A row for each version, oldest first; of what was erased the row that says so, without text. No rows for an id that never was."""
        with in_habit():
            found = self._find(memory_id)
            if found is not None:
                return answers.history(found[0].history(memory_id))
            for cube in self._cubes():
                for record in _erasures(cube):
                    if memory_id in record.detail.get("memories", ()):
                        return answers.erased(memory_id, record)
            return []

    def reset(self) -> None:
        """Erases everything in the cube that calls without ``app_id`` are about."""
        with in_habit():
            try:
                self._cube(Whose()).erase(whole=True)
            except Missing:
                return  # it is empty already

    def chat(self, query: str) -> None:
        raise NotImplementedError("Nothing here answers in words, as in mem0: search, and hand what is found to your model.")

    def close(self) -> None:
        """Closes the vault."""
        self._system.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- plumbing ----------------------------------------------------------------------------------------------------------

    def _cube(self, whose: Whose, *, create: bool = False) -> Cube:
        """The cube of an app; only what adds to it makes it. Raises `Missing`."""
        return self._system.cube(whose.cube or self._name, create=create)

    def _listed(self, about: Asked, most: int, *, expired: bool) -> tuple[list[Item], int]:
        """The first of the memories that are asked for, and how many there are in all."""
        asked.switch_of(expired, "show_expired")
        try:
            cube, scope = self._cube(about.whose), about.whose.scope()
        except Missing:  # of this app nothing was ever said
            return [], 0
        looked: dict[str, Any] = {**scope, "where": about.where, "expired": expired}
        found = cube.list(**looked, limit=most)
        total = len(found) if len(found) < most else cube.count(**looked).total
        return [answers.item(memory, self._name) for memory in found], total

    @staticmethod
    def _added(cube: Cube, receipt: Receipt) -> list[Item]:
        """The new memories of a receipt, as they are now."""
        new = [change for change in receipt.changes if change.outcome in (Outcome.ADDED, Outcome.QUARANTINED) and change.memory]
        memories = [(cube.get(change.memory), change) for change in new if change.memory]
        return [answers.added(memory, change) for memory, change in memories if memory.part is Part.TURN]

    def _cubes(self) -> Iterator[Cube]:
        """The cube that is meant first, and those of other apps."""
        for name in sorted(self._system.cubes(), key=lambda name: name != self._name):
            yield self._system.cube(name, create=False)

    def _find(self, id: str) -> tuple[Cube, Known] | None:
        """A memory by its id, wherever it is."""
        for cube in self._cubes():
            try:
                return cube, cube.get(id)
            except Missing:
                continue
        return None

    def _found(self, id: str) -> tuple[Cube, Known]:
        found = self._find(id)
        if found is None:
            raise Missing(f"Memory with id {id:.100} not found. Please provide a valid 'memory_id'.")
        return found

    def _ids(self, given: Mapping[str, object], method: str) -> dict[str, object]:
        """Those keywords that say whose, under mem0's names. Raises `TypeError` for keywords that nobody has."""
        ids = asked.ids_among(given)
        for name in given.keys() - set(ids) - ({"limit"} if method in ("search", "get_all") else set()):
            if name not in LEFT_OUT:
                raise TypeError(f"{method}() got an unexpected keyword argument {name!r}")
            self._warn(name, "it means nothing here")
        return {asked.CAMEL.get(name, name): given[name] for name in ids}

    def _most(self, top_k: object, given: Mapping[str, object]) -> int:
        return asked.number_of(given["limit"], "limit") if given.get("limit") is not None else asked.number_of(top_k)

    def _kept(self, metadata: object, where: str) -> dict[str, Any]:
        kept, dropped = asked.kept_of(metadata)
        if dropped:
            self._warn(f"metadata {', '.join(dropped)} in {where}", "identity cannot be set through metadata")
        return kept

    def _warn(self, what: str, why: str, depth: int = 4) -> None:
        """Once for each thing that is left out; the line that it names is the caller's, so many frames up."""
        if self._told is not None:
            self._told.append(f"{what}: {why}")
        elif what not in self._warned:
            self._warned.add(what)
            warnings.warn(f"Loci leaves {what} aside: {why}.", stacklevel=depth)


def _erasures(cube: Cube) -> Sequence[Record]:
    """The records of erasures; none for those who may not read the log."""
    try:
        return cube.log(verb="erase", limit=MOST_RECORDS)
    except Denied:
        return ()


class AsyncMemory:
    """The same for callers that await: each call runs `Memory`'s in a thread."""

    def __init__(self, config: object = None, *, vault: str | Path | None = None, **settings: object) -> None:
        self._memory = Memory(config, vault=vault, **settings)

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any], *, vault: str | Path | None = None, **settings: object) -> Self:
        """The same of a configuration."""
        return cls(config_dict, vault=vault, **settings)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        if name not in ("add", "search", "get", "get_all", "update", "delete", "delete_all", "history", "reset", "chat"):
            raise AttributeError(f"AsyncMemory has no {name!r}")
        method = getattr(self._memory, name)

        async def called(*args: object, **named: object) -> Any:
            return await asyncio.to_thread(method, *args, **named)

        return called

    def close(self) -> None:
        """Closes the vault."""
        self._memory.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.close)
