"""A cube of the official MemOS as it dumps it: ``textual_memory.json``, a graph of nodes and edges or a list of items. What lies beside it (KV caches,
adapters) is pickled, and is refused: to load a pickle is to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from loci.errors import Malformed
from loci.infrastructure.formats import ROLES, Fields, Kept, Row, Sequel, Sheet, Transcript, values
from loci.types import Message, Trust

CONFIG, TEXT = "config.json", "textual_memory.json"
PICKLES = {".pickle", ".pkl", ".adapter", ".pt", ".bin"}
MERGED = "MERGED_TO"  # an edge from what was merged to what came of it
PICKLED = "a pickle, or weights: to load it is to run it. Loci makes its own from the words (loci activate, loci distil)"


def cube(sheet: Sheet) -> list[Transcript]:
    """The nodes as facts, with their former words as versions; what somebody said, which they name as sources, as messages."""
    kept, said = Kept(sheet), Kept(sheet)
    nodes: list[Row] = []
    merged: dict[str, list[str]] = {}
    for line, place, value in values(sheet):
        row = Row.of(sheet, line, value, place)
        nodes += row.rows("nodes", "node") if "nodes" in row.fields else [row]
        kinds = set[str]()
        for edge in row.rows("edges", "edge"):
            if edge.text("type") == MERGED:
                merged.setdefault(edge.words("target"), []).append(edge.words("source"))
            else:
                kinds.add(edge.text("type") or "?")
        if kinds:
            sheet.note(f"edges that were not kept: {', '.join(sorted(kinds))}")
    known = set[tuple[object, ...]]()
    for node in nodes:
        _keep(kept, said, node, merged, known)
    return [*(replace(t, are_facts=False) for t in said.transcripts(Trust.TRUSTED)), *kept.transcripts()]


def _keep(kept: Kept, said: Kept, node: Row, merged: Mapping[str, list[str]], known: set[tuple[object, ...]]) -> None:
    id, text = node.label("id"), node.words("memory")
    if id is None:
        raise node.wrong("'id' is missing.")
    more = node.row("metadata") if "metadata" in node.fields else Row(node.sheet, node.line, {}, node.what)
    if not text.strip():
        node.sheet.refuse(id, "there are no words in it")
        return
    user, session = more.label("user_id"), more.label("session_id")
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
    drawn = tuple(merged.get(id, ())) + tuple(_sources(said, more, id, user, session, known))
    kept.add((user, None), Message("assistant", words[0][0], words[0][1] or began, id=id, session=session), node.line, sequels, drawn)


def _sources(said: Kept, more: Row, node: str, user: str | None, session: str | None, known: set[tuple[object, ...]]) -> list[str]:
    """The ids of the messages that a node was drawn from; each is kept once, whatever names it."""
    found = []
    for number, source in enumerate(_told(more), 1):
        role, text = source.text("role"), source.text("content")
        if role not in ROLES or not text or not text.strip():
            continue  # a document or a link: nothing that somebody said
        id = source.label("message_id") or f"{node}/source {number}"
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
