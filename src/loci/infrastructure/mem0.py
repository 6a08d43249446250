"""What mem0 keeps: memories in JSON (its answers and exports), the SQLite file of their changes, and a local Qdrant folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import itemgetter
from pathlib import Path
from urllib.parse import unquote

from loci.errors import Malformed
from loci.infrastructure import pickled
from loci.infrastructure.foreign import Row as Record
from loci.infrastructure.foreign import Tables
from loci.infrastructure.formats import Fields, Kept, Row, Sequel, Sheet, Transcript, objects
from loci.types import Message, Trust

LISTS = ("results", "memories", "items")
TEXTS = ("memory", "text", "data", "content")
IDS = ("id", "memory_id")
WHOSE = ("user_id", "agent_id", "run_id")
HISTORY = ("id", "memory_id", "old_memory", "new_memory", "event", "created_at", "updated_at", "actor_id", "role")
SAID = ("id", "session_scope", "role", "content", "name", "created_at")
POINTS = "collection/*/storage.sqlite"
EXPORT = "Export with mem0's get_all to JSON, and import that"
NOT_MEMORIES = ("_entities", "migrations")  # endings of collections that hold something else


@dataclass(slots=True)
class Chain:
    """The changes of one memory, in their order. ``is_broken``: one of them could not be read, so that nobody knows what the others came to."""

    first: str | None = None
    at: datetime | None = None
    who: str | None = None
    role: str = "user"
    last: str | None = None
    sequels: list[Sequel] = field(default_factory=list)
    is_broken: bool = False


def memories(sheet: Sheet) -> list[Transcript]:
    """Memories in JSON: an array, lines, or an object with them under ``results``, ``memories`` or ``items``."""
    kept = Kept(sheet)
    for row in objects(sheet):
        name = next((name for name in LISTS if isinstance(row.fields.get(name), list)), None)
        for one in [row] if name is None else row.each(name, name):
            with sheet.each(one.named(*IDS)):
                _keep(kept, one)
    return kept.transcripts()


def _keep(kept: Kept, row: Row) -> None:
    """One memory, as `get_all` and exports tell it; where it says whose it is, there or in its metadata."""
    id = row.label(*IDS)
    if id is None:
        raise row.wrong("'id' is missing; it must be that of a memory.")
    text, more = row.text(*TEXTS), row.fields.get("metadata")
    fields: Fields = {**(more if isinstance(more, Mapping) else {}), **row.fields}
    row = replace(row, fields=fields)
    if not text or not text.strip():
        row.sheet.refuse(id, "there are no words in it")
        return
    user, agent, session = (row.label(name) for name in WHOSE)
    message = Message(_role(fields), text, row.at("updated_at", "created_at"), row.label("actor_id"), id=id, session=session)
    kept.add((user, agent), message, row.line, _ending(row, id))


def _ending(row: Row, id: str) -> list[Sequel]:
    """When it ends: after the day that a bare date names, as mem0 has it. What of its fields is not kept is told."""
    if unread := sorted(row.fields.keys() - {*IDS, *TEXTS, *WHOSE, *KNOWN}):
        row.sheet.note(f"fields that were not kept: {', '.join(unread)}")
    over = row.at("expiration_date")
    if over is None:
        return []
    is_day = len(str(row.fields["expiration_date"])) == len("2025-12-31")
    return [Sequel(id, f"mem0: to hold until {over.date()}", over + timedelta(days=1) if is_day else over)]


KNOWN = frozenset(
    {"metadata", "actor_id", "role", "attributed_to", "created_at", "updated_at", "expiration_date", "hash", "score", "text_lemmatized"}
)


def _role(fields: Fields) -> str:
    return "assistant" if "assistant" in (fields.get("role"), fields.get("attributed_to")) else "user"


# -- the folder: changes, last messages, points --------------------------------------------------------------------------------


def folder(sheet: Sheet, histories: Iterable[Tables], collections: Mapping[str, Tables]) -> list[Transcript]:
    """Memories of a Qdrant folder, and with them what the file of changes tells of each. Whose they are stands in the folder alone."""
    kept, said = Kept(sheet), Kept(sheet)
    chains: dict[str, Chain] = {}
    is_whole = True
    for tables in histories:
        _read_changes(sheet, tables, chains)
        _read_said(sheet, tables, said)
    for name, tables in collections.items():
        if name.endswith(NOT_MEMORIES):
            sheet.note(f"the collection {name} holds no memories of its own and was not read")
            continue
        for number, (blob,) in enumerate(tables.rows("points", ["point"]), 1):
            point = _point(sheet, f"point {number} of {name}", blob)
            is_whole = is_whole and point is not None
            if point is not None:
                with sheet.each(point[0]):
                    _keep_point(sheet, name, *point, kept, chains)
    chains = {id: chain for id, chain in chains.items() if not chain.is_broken}
    if chains:
        sheet.note(
            "mem0's file of changes says whose a memory is only through the Qdrant folder; give --user, or import both in one folder"
        )
    for id, chain in chains.items():
        if not is_whole and not (chain.sequels and chain.sequels[-1].is_deleted):
            sheet.refuse(id, "a point could not be read, and if it is this memory's, it says whose it is")
        elif chain.first is not None:
            kept.add((None, None), Message(chain.role, chain.first, chain.at, chain.who, id=id), 0, chain.sequels)
    return [*(replace(t, are_facts=False) for t in said.transcripts(Trust.TRUSTED)), *kept.transcripts()]


def _keep_point(sheet: Sheet, name: str, id: str, payload: Fields, kept: Kept, chains: dict[str, Chain]) -> None:
    text, chain = payload.get("data"), chains.pop(id, None)
    row = Row(sheet, 0, {**payload, "id": id}, f"point {id} of {name}")
    if chain is None or chain.first is None or chain.is_broken or not isinstance(text, str):
        _keep(kept, row)
        return
    if text not in (chain.last, chain.first if chain.last is None else None):
        chain.sequels.append(Sequel(id, "mem0: what its store says now", row.at("updated_at"), text))
    user, agent, session = (row.label(name) for name in WHOSE)
    message = Message(_role(payload), chain.first, chain.at, row.label("actor_id"), id=id, session=session)
    kept.add((user, agent), message, 0, [*chain.sequels, *_ending(row, id)])


def _point(sheet: Sheet, place: str, blob: object) -> tuple[str, Fields] | None:
    """(id, payload) of a pickled point; None where it was refused."""
    try:
        thing = pickled.read(blob) if isinstance(blob, bytes) else None
    except ValueError as error:
        sheet.refuse(place, f"it cannot be read: {error}. {EXPORT}")
        return None
    state = getattr(thing, "state", None)
    fields = state.get("__dict__") if isinstance(state, Mapping) else None
    if not isinstance(fields, Mapping) or not isinstance(fields.get("id"), str | int):
        sheet.refuse(place, f"it is none that Qdrant writes. {EXPORT}")
        return None
    id, payload = str(fields["id"]), fields.get("payload")
    if not isinstance(payload, Mapping) or not all(isinstance(key, str) for key in payload):
        sheet.refuse(id, f"{place} has no payload")
        return None
    return id, payload


def _read_changes(sheet: Sheet, tables: Tables, chains: dict[str, Chain]) -> None:
    """Old and new words of each change, in the order of their times; rows of one time stay in theirs. One that cannot be read refuses its memory: without
    it, what was deleted or replaced there would stand here."""
    rows: list[tuple[datetime, str, Row]] = []
    for record in _told(tables, "history", HISTORY):
        row = Row(sheet, 0, dict(zip(HISTORY, record, strict=True)), f"change {record[0]}")
        with _reading(row, chains):
            memory = row.label("memory_id")
            if memory is None:
                raise row.wrong("'memory_id' is missing.")
            rows.append(((row.at("updated_at", "created_at") or datetime.min).replace(tzinfo=None), memory, row))
    for _, memory, row in sorted(rows, key=itemgetter(0)):
        with _reading(row, chains):
            _follow(sheet, row, memory, chains.setdefault(memory, Chain()))


@contextmanager
def _reading(row: Row, chains: dict[str, Chain]) -> Iterator[None]:
    """What turns out to be malformed inside the block refuses all changes of the memory, or this one where it names none."""
    memory = row.named("memory_id")
    try:
        yield
    except Malformed as error:
        chains.setdefault(memory, Chain()).is_broken = True
        row.sheet.refuse(memory, f"{error.why.rstrip('.')}; without that change nobody knows what its others came to, and none was taken")


def _follow(sheet: Sheet, row: Row, memory: str, chain: Chain) -> None:
    event, old, new, at = row.label("event"), row.text("old_memory"), row.text("new_memory"), row.at("updated_at", "created_at")
    why = f"mem0: {event} {row.label('id')}"
    if chain.first is None:
        began = row.at("created_at") or at
        chain.first, chain.at, chain.who = (new, at, row.label("actor_id")) if event == "ADD" else (old, began, row.label("actor_id"))
        chain.role, chain.last = _role(row.fields), chain.first
        if chain.first is None:
            sheet.refuse(memory, f"change {row.label('id')} ({event}) tells no words")
    if event == "DELETE":
        chain.sequels.append(Sequel(memory, why, at, is_deleted=True))
    elif event in ("ADD", "UPDATE") and new and new != chain.last:
        chain.sequels.append(Sequel(memory, why, at, new))
        chain.last = new
    elif event not in ("ADD", "UPDATE", "NONE"):
        sheet.refuse(f"change {row.label('id')}", f"{event!r} is no change that is known (ADD, UPDATE, DELETE, NONE)")


def _read_said(sheet: Sheet, tables: Tables, said: Kept) -> None:
    """The last messages of each session, word for word."""
    for record in _told(tables, "messages", SAID):
        row = Row(sheet, 0, dict(zip(SAID, record, strict=True)), f"message {record[0]}")
        with sheet.each(row.named("id")):
            _hear(row, said)


def _hear(row: Row, said: Kept) -> None:
    id, role, text = row.label("id"), row.label("role"), row.text("content")
    whose = dict(part.split("=", 1) for part in (row.text("session_scope") or "").split("&") if "=" in part)
    user, agent, session = (unquote(whose[name]) if name in whose else None for name in WHOSE)
    if id is None or not text:
        row.sheet.refuse(id or "a message", "there are no words in it")
    elif role not in ("user", "assistant", "system", "tool"):
        row.sheet.refuse(id, f"its role is {role!r}")
    else:
        said.add((user, agent), Message(role, text, row.at("created_at"), row.label("name"), id=id, session=session), 0)


def _told(tables: Tables, table: str, columns: Sequence[str]) -> list[Record]:
    return tables.rows(table, columns) if tables.has(table) else []


def collections_of(path: Path) -> list[Path]:
    """The files of a local Qdrant folder, which is this one or stands in it."""
    homes = [
        home for home in (path, *sorted(p for p in path.iterdir() if p.is_dir() and not p.is_symlink())) if (home / "meta.json").is_file()
    ]
    return [file for home in homes for file in sorted(home.glob(POINTS)) if not file.is_symlink()]
