"""What mem0's hosted service and its server have beyond the library: pages, events, entities, batches, feedback, exports. Over the same verbs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4, uuid5

from loci.compat.mem0 import answers, asked
from loci.compat.mem0.answers import Item
from loci.compat.mem0.errors import in_habit
from loci.compat.mem0.memory import Memory
from loci.errors import Conflict, Denied, Invalid, Missing, TooLarge
from loci.interface.inputs import key_of
from loci.operation.intake import check
from loci.text.metadata import checked
from loci.types import Memory as Known
from loci.types import Message

PAGE, MOST = 100, 1_000  # memories of one page, by default and at most; entries of one batch
EVENTS = UUID("0b9f6a52-7a0c-5d0e-9d0a-6c6f63692d6d")
"""The namespace of the ids of events that were asked for by a key."""
ENTITIES = {"user": "user_id", "agent": "agent_id", "run": "run_id", "app": "app_id"}
FEEDBACK = ("POSITIVE", "NEGATIVE", "VERY_NEGATIVE")
NOTES = ("feedback", "feedback_reason")


Place = tuple[datetime, int]
"""Where a page begins: when the first was read, and the place of the last memory that was shown."""


@dataclass(frozen=True, slots=True)
class Page:
    """Memories, how many there are in all, and where the next page begins, if there may be one."""

    items: list[Item]
    count: int
    next: Place | None


class Platform(Memory):
    """mem0's ``Memory``, and the rest of what its clients call over HTTP."""

    @property
    def cube_name(self) -> str:
        """The cube that calls without ``app_id`` are about."""
        return self._name

    def remember(self, messages: object, *, filters: object = None, key: str | None = None, **given: Any) -> Item:
        """`add`, with an event: the answer is kept a day, under its id. Asked again with the same ``key``, nothing is added and the answer is the same."""
        with in_habit():
            if filters is not None:
                ids = {name: given.pop(name) for name in asked.ids_among(tuple(given))}
                about = asked.asked_of(filters, {asked.CAMEL.get(name, name): value for name, value in ids.items()}, "add")
                if about.where != asked.WHOLE:
                    raise Invalid(
                        "filters of add say whose the memory is: user_id, agent_id, run_id, app_id, and nothing else. Nothing was stored."
                    )
                given |= {name: value for name, ours in asked.IDS.items() if (value := getattr(about.whose, ours)) is not None}
            event = str(uuid4() if key is None else uuid5(EVENTS, key_of(key)))
            made = self._once(_kept_as(event)).add(messages, **given)
            if not made["results"]:
                return {"event_id": None, "status": "SUCCEEDED", "message": "Nothing in it is new, and nothing was stored.", **made}
            return {
                "event_id": event,
                "status": "PENDING",
                "message": "It is stored, and these are its ids. What may be pending is its vector.",
                **made,
            }

    def event(self, event_id: str) -> Item:
        """What became of an addition of this principal's within the last day."""
        with in_habit():
            for cube in self._cubes():
                found: Item = {"id": event_id, "event_type": "ADD", "status": "SUCCEEDED"}
                try:
                    receipt = cube.kept(_kept_as(event_id))
                    if receipt is not None:
                        return found | {"results": self._added(cube, receipt)}
                except (Conflict, Missing):  # an erasure takes every answer that was kept, and may take a memory between two looks
                    return found | {
                        "results": [],
                        "message": "Something was erased since, which took the answer. It was stored; look again.",
                    }
            raise Missing(f"There is no event {event_id:.100} of yours, or it is older than a day. The answer to `add` names the memories.")

    def page(
        self, *, page: object = 1, page_size: object = PAGE, filters: object = None, show_expired: bool = False, begun: Place | None = None,
        **given: object,
    ) -> Page:  # fmt: skip
        """A page of the memories that a filter lets through, in the order they were remembered: behind the ``next`` of the page before (``begun``), or, by the
        number of the ``page``, behind so many."""
        with in_habit():
            number, size = asked.number_of(page, "page"), asked.number_of(page_size, "page_size")
            if not number or not size:
                raise Invalid(f"page is {number} and page_size {size}; both begin at 1.")
            if size > MOST:
                raise TooLarge(f"page_size is {size:,}; a page has at most {MOST:,} memories. Ask for the next page.")
            about = asked.asked_of(filters, self._ids(given, "get_all"), "get_all")
            asked.switch_of(show_expired, "show_expired")
            try:
                cube = self._cube(about.whose)
            except Missing:  # of this app nothing was ever said
                return Page([], 0, None)
            looked: dict[str, Any] = {**about.whose.scope(), "where": about.where, "expired": show_expired}
            offset = (number - 1) * size if begun is None else 0
            moment, after = begun or (datetime.now(UTC), 0)
            found, last = cube.page(moment, after, limit=size, offset=offset, **looked)
            is_known = begun is None and len(found) < size and (found or not offset)
            count = offset + len(found) if is_known else cube.count(**looked).total
            goes_on = len(found) == size and (begun is not None or offset + size < count)
            return Page([answers.item(memory, self._name) for memory in found], count, (moment, last) if goes_on else None)

    def entities(self) -> list[Item]:
        """The users, agents, runs and apps of whom there are memories. It reads every one of them: 1,000 at a time."""
        found: dict[tuple[str, str], Item] = {}
        with in_habit():
            for cube in self._cubes():
                for memory in cube.walk(where=asked.WHOLE):
                    scope = memory.scope
                    app = None if cube.name == self._name else cube.name
                    for kind, name in (("user", scope.user), ("agent", scope.agent), ("run", scope.session), ("app", app)):
                        if name is not None:
                            _counted(found.setdefault((kind, name), {"id": name, "name": name, "type": kind, "total_memories": 0}), memory)
        return [
            {name: value.isoformat() if isinstance(value, datetime) else value for name, value in one.items()}
            for _, one in sorted(found.items())
        ]

    def delete_entity(self, kind: str, name: str) -> Item:
        """Erases everything of a user, agent or run, in every cube that the caller has to do with; of an app, its cube's memories. Raises `Denied` where the
        caller may not in one of them, when the others are done, and says which those are."""
        with in_habit():
            if kind not in ENTITIES:
                raise Invalid(f"There are no entities {kind:.100}; there are {', '.join(ENTITIES)}. Nothing was deleted.")
            whose = asked.whose_of({ENTITIES[kind]: name})
            if whose.cube is not None:
                self.delete_all(app_id=whose.cube)
                return {"message": "Entity deleted successfully!"}
            done, refusal = list[str](), None
            cubes = list(self._cubes())
            if not cubes:
                with suppress(Missing):
                    self._cube(whose)  # refuses whom no cube knows
            for cube in cubes:
                try:
                    cube.erase(**whose.scope())  # type: ignore[arg-type]
                except Missing:  # nothing of theirs is there
                    continue
                except Denied as error:
                    refusal = refusal or error
                else:
                    done.append(cube.name)
            if refusal is not None:
                raise type(refusal)(
                    f"{refusal} Nothing was deleted there" + (f"; in {', '.join(done)} it was." if done else " or elsewhere.")
                )
            return {"message": "Entity deleted successfully!"}

    def feedback(self, memory_id: object, feedback: object = None, feedback_reason: object = None) -> Item:
        """Keeps what was said of a memory in its metadata, or takes it out of there. ``POSITIVE`` also says that an answer rests on it (`cite`)."""
        with in_habit():
            value = feedback.upper() if isinstance(feedback, str) else feedback
            if value is not None and value not in FEEDBACK:
                raise Invalid(f"feedback is {feedback!r:.100}; it must be one of {', '.join(FEEDBACK)}, or null to take it back.")
            cube, known = self._found(_id(memory_id))
            said = {name: one for name, one in zip(NOTES, (value, feedback_reason), strict=True) if one is not None}
            kept = {name: one for name, one in known.metadata.items() if name not in NOTES} | said
            cube.update(known, metadata=kept, reason="feedback")
            if value == FEEDBACK[0]:
                cube.cite([known.id])
            return {"id": f"{known.id}@{cube.get(known.id).version}", "feedback": value, "feedback_reason": feedback_reason}

    def batch_update(self, memories: object) -> Item:
        """`update` of each. What is wrong with an entry is found before the first is changed; a store that fails between two leaves the rest undone."""
        with in_habit():
            entries = self._entries(memories)
            for entry, known in entries:
                text, metadata = entry.get("text"), entry.get("metadata")
                if entry.keys() - {"memory_id", "text", "metadata"} or (text is None and metadata is None):
                    raise Invalid(
                        f"A batch's entry has memory_id, and text or metadata or both; one is {entry!r:.100}. Nothing was changed."
                    )
                if text is not None:
                    check([Message("user", text)])
                checked({**known.metadata, **asked.kept_of(metadata)[0]})
            for entry, _ in entries:
                self.update(**entry)
            return {"message": f"Successfully updated {len(entries)} memories"}

    def batch_delete(self, memories: object) -> Item:
        """`delete` of each, as in `batch_update`."""
        with in_habit():
            ids = dict.fromkeys(known.id for _, known in self._entries(memories))
            for id in ids:
                self.delete(id)
            return {"message": f"Successfully deleted {len(ids)} memories"}

    def export(self, filters: object = None, **given: Any) -> Item:
        """Says which memories an export has. It is made when it is fetched."""
        self.page(page_size=1, filters=filters, **given)  # it must be one that can be
        about = base64.urlsafe_b64encode(json.dumps({"filters": filters, **given}).encode()).decode()
        return {
            "id": about,
            "message": "The export is ready. It has the memories as they are: to fill in the schema takes a model, and is left to the caller.",
        }

    def exported(self, memory_export_id: object = None, filters: object = None, **given: Any) -> Item:
        """Every memory of an export, by its id or by the same filter."""
        with in_habit():
            about = {"filters": filters, **given} if memory_export_id is None else _about(memory_export_id)
            asking = asked.asked_of(about.pop("filters", None), self._ids(about, "export"), "export")
            try:
                looked: dict[str, Any] = {**asking.whose.scope(), "where": asking.where}
                every = self._cube(asking.whose).walk(**looked)
            except Missing:  # of this app nothing was ever said
                every = iter(())
            found = [answers.item(memory, self._name) for memory in every]
            return {"count": len(found), "results": found}

    def _once(self, key: str) -> Self:
        other = copy(self)
        other._key = key
        return other

    def _entries(self, memories: object) -> list[tuple[dict[str, Any], Known]]:
        """A batch's entries, each with its memory, which is there."""
        if not isinstance(memories, list) or not memories or not all(isinstance(entry, Mapping) for entry in memories):
            raise Invalid("memories must be a list of objects with a memory_id. Nothing was done.")
        if len(memories) > MOST:
            raise TooLarge(f"A batch has at most {MOST:,} memories; this one has {len(memories):,}. Nothing was done.")
        return [(dict(entry), self._found(_id(entry.get("memory_id")))[1]) for entry in memories]


def _kept_as(event: str) -> str:
    """The key of an addition's answer: none that somebody gave another write."""
    return f"mem0 {event}"


def _id(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Invalid(f"memory_id is {value!r:.100}; it must be the id of a memory. Nothing was done.")
    return value


def _counted(entity: Item, memory: Known) -> None:
    """One more memory of an entity."""
    entity["total_memories"] += 1
    for name, at, chosen in (("created_at", memory.at or memory.recorded.start, min), ("updated_at", memory.recorded.start, max)):
        if at is not None:
            entity[name] = chosen(entity.get(name, at), at)


def _about(id: object) -> dict[str, Any]:
    try:
        about = json.loads(base64.urlsafe_b64decode(str(id).encode()))
    except (ValueError, RecursionError) as error:
        raise Invalid("memory_export_id is no export's: hand back `id` as it was given.") from error
    if not isinstance(about, dict) or about.keys() - {"filters", *asked.IDS}:
        raise Invalid("memory_export_id is no export's: hand back `id` as it was given.")
    return about
