"""What Graphiti and Zep keep: episodes, word for word, and the edges that a model drew from them, each with the times in which it was true."""

from __future__ import annotations

import re

from loci.infrastructure.formats import Gathering, Kept, Row, Sequel, Sheet, Transcript, objects
from loci.types import Message, Trust

SAID = re.compile(r"(?P<name>[^\n:()]{0,80}?)\s*(?:\((?P<role>user|assistant|system|tool|human|ai)\))?:\s*(?P<text>.*)", re.DOTALL)
TURN = re.compile(r"^[^\n:]{1,80}:\s", re.MULTILINE)
ROLES = {"human": "user", "ai": "assistant"}
LISTS = ("episodes", "edges", "facts", "nodes", "entity_edges")


def graph(sheet: Sheet) -> list[Transcript]:
    """Episodes as messages, edges as facts drawn from them. An object with ``episodes`` and ``edges`` (or ``facts``), an array, or lines."""
    episodes: dict[Trust, Gathering] = {}
    edges, groups = Kept(sheet), set[str]()
    for row in objects(sheet):
        lists = [name for name in LISTS if isinstance(row.fields.get(name), list) and "uuid" not in row.fields]
        for one in [entry for name in lists for entry in row.each(name, name)] if lists else [row]:
            with sheet.each(one.named("uuid")):
                group = one.label("group_id") or ""
                if "fact" in one.fields:
                    _keep_edge(edges, one)
                elif "content" in one.fields:
                    message, trust = _episode(one)
                    episodes.setdefault(trust, Gathering(sheet)).add(message, one.line, message.id or one.what)
                else:
                    sheet.refuse(_id(one), "an entity or a community: what a model made of the episodes; Loci finds its own")
                groups.add(group)
    if len(groups - {""}) > 1:
        sheet.note("several groups are in it; each was kept as a session. Cubes of their own keep them further apart")
    said = [Transcript("", t.messages, t.lines, file=sheet.file, trust=trust) for trust, g in episodes.items() for t in [g.transcript("")]]
    return [*said, *edges.transcripts()]


def _id(row: Row) -> str:
    id = row.label("uuid")
    if id is None:
        raise row.wrong("'uuid' is missing; it must be that of an episode or an edge.")
    return id


def _episode(row: Row) -> tuple[Message, Trust]:
    """An episode, and its trust: what is not said by somebody (a document, JSON) counts as reported."""
    text, source, at = row.words("content"), row.text("source"), row.at("valid_at", "created_at")
    role, name = row.label("role_type") or "user", row.label("role")
    said = SAID.fullmatch(text) if source == "message" and name is None and len(TURN.findall(text)) == 1 else None
    if said:
        role, name, text = said["role"] or _role(said["name"]), said["name"].strip() or None, said["text"]
    role = ROLES.get(role, role if role in ("user", "assistant", "system", "tool") else "user")
    name = None if name is None or name.lower() in ("user", "assistant", "system", "tool", "human", "ai") else name
    trust = Trust.TRUSTED if source == "message" or row.fields.get("role_type") else Trust.REPORTED
    return Message(role, text, at, name, id=_id(row), session=row.label("thread_id", "group_id")), trust


def _role(name: str) -> str:
    return name.strip().lower() if name.strip().lower() in ("user", "assistant", "system", "tool", *ROLES) else "user"


def _keep_edge(kept: Kept, row: Row) -> None:
    """A fact: true from ``valid_at`` to ``invalid_at``. When Graphiti knew it (``created_at``, ``expired_at``) is not when this cube did: it is
    kept as the reason of the version that ends it."""
    id, until, expired = _id(row), row.at("invalid_at"), row.at("expired_at")
    row.at("created_at"), row.at("valid_at")  # both must be times, whichever is used
    message = Message("assistant", row.words("fact"), row.at("valid_at", "created_at"), id=id, session=row.label("group_id"))
    sequels = []
    if until is not None or expired is not None:
        known = f", known there since {expired.isoformat()}" if expired else ""
        sequels = [Sequel(id, f"graphiti: no longer true{known}", until or expired)]
    kept.add((None, None), message, row.line, sequels, row.names("episodes"))
