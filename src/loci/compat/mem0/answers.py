"""What the verbs answer, in mem0's dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from hashlib import md5
from typing import Any

from loci.compat.mem0.asked import DAY
from loci.types import ROLES, Change, Hit, Memory, Outcome, Record, State

Item = dict[str, Any]


def item(memory: Memory, cube: str = "") -> Item:
    """A memory as ``get`` and ``get_all`` show it; ``app_id`` where it is in another cube than ``cube``."""
    scope, said = memory.scope, memory.at or memory.recorded.start
    promoted = {
        "user_id": scope.user, "agent_id": scope.agent, "run_id": scope.session, "app_id": scope.cube if scope.cube != cube else None,
        "actor_id": _actor(memory), "role": memory.role, "expiration_date": _end(memory.expires),
    }  # fmt: skip
    return {
        "id": memory.id, "memory": memory.text, "hash": md5(memory.text.encode(), usedforsecurity=False).hexdigest(),
        "metadata": dict(memory.metadata) or None, "created_at": _iso(said), "updated_at": _iso(memory.recorded.start),
        **{name: value for name, value in promoted.items() if value is not None},
    }  # fmt: skip


def found(hit: Hit, cube: str = "", *, is_explained: bool = False) -> Item:
    """A memory as ``search`` shows it: with its score, and with what each signal gave to that."""
    return item(hit.memory, cube) | {"score": hit.score} | ({"score_details": dict(hit.shares)} if is_explained else {})


def added(memory: Memory, change: Change) -> Item:
    """A new memory as ``add`` shows it; ``outcome`` and ``reason`` are ours."""
    return {
        "id": memory.id, "memory": memory.text, "event": "ADD", "actor_id": _actor(memory), "role": memory.role,
        "outcome": change.outcome.value, "reason": change.reason,
    }  # fmt: skip


def other_changes(changes: Sequence[Change]) -> list[Item]:
    """What else a write did, to memories that were there: no field of mem0's, which has no such thing."""
    return [
        {"id": change.memory, "outcome": change.outcome.value, "reason": change.reason, "by": change.other}
        for change in changes
        if change.outcome not in (Outcome.ADDED, Outcome.QUARANTINED)
    ]


def history(versions: Sequence[Memory]) -> list[Item]:
    """A row for each version, oldest first, and one for its end where it was forgotten or expired."""
    last = {memory.version: memory for memory in versions}
    rows: list[Item] = []
    before: Memory | None = None
    for memory in last.values():
        event, old = ("ADD", None) if before is None else ("UPDATE", before.text)
        rows.append(_row(memory, f"{memory.id}@{memory.version}", old, memory.text, event, memory.valid.start) | {"reason": memory.reason})
        before = memory
    if before is not None and before.state is State.EXPIRED:
        rows.append(_row(before, f"{before.id}@end", before.text, None, "DELETE", before.valid.end) | {"reason": before.ending})
    return rows


def erased(id: str, record: Record) -> list[Item]:
    """What is left to tell of a memory that was erased: that it was, and when. No text: it is gone."""
    return [
        {
            "id": f"{id}@erased", "memory_id": id, "old_memory": None, "new_memory": None, "event": "DELETE", "created_at": None,
            "updated_at": _iso(record.at), "is_deleted": True, "actor_id": None, "role": None, "reason": "erased on request",
        }
    ]  # fmt: skip


def _row(memory: Memory, id: str, old: str | None, new: str | None, event: str, at: datetime | None) -> Item:
    return {
        "id": id, "memory_id": memory.id, "old_memory": old, "new_memory": new, "event": event,
        "created_at": _iso(memory.at or memory.recorded.start), "updated_at": _iso(at or memory.recorded.start), "is_deleted": event == "DELETE",
        "actor_id": _actor(memory), "role": memory.role,
    }  # fmt: skip


def _actor(memory: Memory) -> str | None:
    """Who spoke, where that was somebody else than the role or the user say."""
    return None if memory.speaker in (*ROLES, memory.scope.user, memory.role) else memory.speaker


def _end(expires: datetime | None) -> str | None:
    """The last day of a memory that ends with one, else the instant."""
    if expires is None:
        return None
    return (expires - DAY).date().isoformat() if expires.time() == time() else expires.isoformat()


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def answer(results: Sequence[Item], **more: object) -> dict[str, Any]:
    """``{"results": [...]}`` and, beside it, what is ours."""
    return {"results": list(results), **{name: value for name, value in more.items() if value not in (None, [], {})}}
