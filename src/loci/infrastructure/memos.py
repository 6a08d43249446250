"""A cube of the official MemOS as it dumps it: ``textual_memory.json``, a graph of nodes and edges or a list of items. What lies beside it (KV caches,
adapters) is pickled, and is refused: to load a pickle is to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from loci.errors import Malformed
from loci.infrastructure.chats import ROLES
from loci.infrastructure.formats import Fields, Kept, Row, Sequel, Sheet, Transcript, objects
from loci.types import Message, Trust

CONFIG, TEXT = "config.json", "textual_memory.json"
AWAY_NAMED = 5
PICKLES = {".pickle", ".pkl", ".adapter", ".pt", ".bin"}
MADE = frozenset({"MERGED_TO", "INFERS"})  # edges from what something was made of to what came of it
MADE_OF = frozenset({"PARENT", "AGGREGATES"})  # edges from what a model made of others, a summary or a concept, to each of those
PICKLED = "a pickle, or weights: to load it is to run it. Loci makes its own from the words (loci activate, loci distil)"
ALONE = (
    "a pickle: to open it would run whatever its author put in, and Loci opens none. Give the words instead: "
    f"{TEXT} of the same cube of MemOS, or the folder with it and {CONFIG}; of other programs, what they export as JSON"
)


def cube(sheet: Sheet) -> list[Transcript]:
    """The nodes as facts, with their former words as versions; what somebody said, which they name as sources, as messages."""
    kept, said = Kept(sheet), Kept(sheet)
    nodes: list[Row] = []
    drawn: dict[str, list[str]] = {}
    for row in objects(sheet):
        nodes += row.each("nodes", "node") if "nodes" in row.fields else [row]
        unkept = set[str]()
        for edge in row.each("edges", "edge"):
            with sheet.each(edge.what):
                unkept |= _draw(drawn, edge)
        if unkept:
            sheet.note(f"edges that were not kept: {', '.join(sorted(unkept))}")
    users = {node.named("id"): _user(node) for node in nodes}
    if away := sorted({id for source, others in drawn.items() for id in (source, *others)} - users.keys()):
        sheet.note(f"edges name nodes that are not in it, and hold where those are here already: {', '.join(away[:AWAY_NAMED])}")
    known = set[tuple[object, ...]]()
    for node in nodes:
        with sheet.each(node.named("id")):
            _keep(kept, said, node, drawn, users, known)
    return [*(replace(t, are_facts=False) for t in said.transcripts(Trust.TRUSTED)), *kept.transcripts()]


def _draw(drawn: dict[str, list[str]], edge: Row) -> set[str]:
    """Notes which node an edge says was drawn from which. Returns its type where it says nothing of the kind."""
    kind, source, target = edge.text("type") or "?", edge.words("source"), edge.words("target")
    if kind in MADE:
        drawn.setdefault(target, []).append(source)
    elif kind in MADE_OF:
        drawn.setdefault(source, []).append(target)
    else:
        return {kind}
    return set()


def _user(node: Row) -> str | None:
    more = node.fields.get("metadata")
    user = more.get("user_id") if isinstance(more, dict) else None
    return user if isinstance(user, str) and user else None


def _keep(
    kept: Kept, said: Kept, node: Row, drawn: Mapping[str, list[str]], users: Mapping[str, str | None], known: set[tuple[object, ...]]
) -> None:  # fmt: skip
    id, text = node.label("id"), node.words("memory")
    if id is None:
        raise node.wrong("'id' is missing.")
    more = node.row("metadata") if node.fields.get("metadata") is not None else Row(node.sheet, node.line, {}, node.what)
    if not text.strip():
        node.sheet.refuse(id, "there are no words in it")
        return
    others = drawn.get(id, ())
    whose = {users[other] for other in others if other in users}
    user = more.label("user_id") or (whose.pop() if len(whose) == 1 else None)  # MemOS writes none on a summary
    session = more.label("session_id")
    began, changed = more.at("created_at", "updated_at"), more.at("updated_at", "created_at")
    former = [old for old in more.rows("history", f"{node.what}, version") if (old.text("memory") or "").strip()]
    words = [
        (old.words("memory"), old.at("created_at"), f"version {old.label('version') or number}") for number, old in enumerate(former, 1)
    ]
    words.append((text, changed if former else began, f"version {more.label('version') or len(words) + 1}"))
    sequels = [Sequel(id, f"memos: {which}", at, now) for (before, _, _), (now, at, which) in pairwise(words) if now != before]
    status = more.text("status")
    if status in ("archived", "deleted"):
        sequels.append(Sequel(id, f"memos: {status}", changed, is_deleted=status == "deleted"))
    made_of = (*others, *_sources(said, more, id, user, session, known))
    kept.add((user, None), Message("assistant", words[0][0], words[0][1] or began, id=id, session=session), node.line, sequels, made_of)


def _sources(said: Kept, more: Row, node: str, user: str | None, session: str | None, known: set[tuple[object, ...]]) -> list[str]:
    """The ids of the messages that a node was drawn from; each is kept once, whatever names it."""
    found = []
    for number, source in enumerate(_told(more), 1):
        place = f"{node}/source {number}"
        with more.sheet.each(place):
            role, text = source.text("role"), source.text("content")
            if role not in ROLES or not text or not text.strip():
                continue  # a document or a link: nothing that somebody said
            id = source.label("message_id") or place
            found.append(id)
            if (user, id) not in known:
                known.add((user, id))
                said.add((user, None), Message(ROLES[role], text, _time(source), id=id, session=session), more.line)
    return found


def _told(more: Row) -> list[Row]:
    """The sources that are objects; a string names a document."""
    value = more.fields.get("sources")
    sources: list[Fields] = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    return [Row(more.sheet, more.line, entry, f"{more.what}, source") for entry in sources]


def _time(row: Row) -> datetime | None:
    """When it was said. MemOS takes any string there; what is no time of ISO 8601 is left out, and said."""
    try:
        return row.at("chat_time")
    except Malformed:
        row.sheet.note("a source's chat_time that is no ISO time was left out", row.line)
        return None


def parts(folder: Path) -> tuple[Path | None, list[tuple[str, str]]]:
    """(the text, what else was dumped and why it is refused) of a cube's folder."""
    text = folder / TEXT
    others = sorted(p for p in folder.iterdir() if p.name not in (CONFIG, TEXT) and not p.name.startswith("."))
    return (text if text.is_file() else None), [
        (p.name, PICKLED if p.suffix in PICKLES else "no part of a cube that holds words") for p in others
    ]


def is_pickle(name: str, raw: bytes) -> bool:
    """Whether a file is a pickle by its name, or by its first bytes, with which no text begins."""
    return Path(name).suffix.lower() in (".pickle", ".pkl") or (raw[:1] == b"\x80" and raw[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))
