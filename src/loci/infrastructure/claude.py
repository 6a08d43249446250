"""A Claude data export: ``conversations.json``, each conversation a list of messages with ids and times; ``memories.json``, what Claude remembers;
``projects.json``, or a file each: what was written of them, and the documents in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from loci.infrastructure.formats import Gathering, Kept, Row, Sheet, Transcript, is_blank, objects
from loci.types import Message

SENDERS = {"human": "user", "assistant": "assistant"}
OVERALL, BY_PROJECT = "conversations_memory", "project_memories"
REMEMBERED = frozenset({OVERALL, BY_PROJECT, "account_uuid"})
PROJECT = frozenset({"prompt_template", "docs"})  # either tells one


def chats(sheet: Sheet) -> list[Transcript]:
    """The conversations and projects, each under its uuid, and what Claude remembers, as facts. What somebody attached is its own message, said by a
    tool: it is of whoever wrote it."""
    found: dict[str, Transcript] = {}
    remembered = Kept(sheet)
    for row in objects(sheet, f"{PurePath(sheet.file).name}: entry"):
        if OVERALL in row.fields or BY_PROJECT in row.fields:
            _remember(remembered, row)
            continue
        with sheet.each(row.named("uuid")):
            name = row.label("uuid")
            if name is None:
                raise row.wrong("'uuid' is missing.")
            if name in found:
                raise row.wrong(f"the uuid {name!r} is that of an earlier one too.")
            found[name] = _project(row, name) if PROJECT & row.fields.keys() else _talk(row, name)
    return [*found.values(), *remembered.transcripts()]


def _talk(row: Row, name: str) -> Transcript:
    if "chat_messages" not in row.fields:
        raise row.wrong("'chat_messages' is missing; it must be an array.")
    gathered = Gathering(row.sheet)
    for said in row.each("chat_messages", f"conversation {name}, message"):
        with row.sheet.each(said.named("uuid")):
            message = _said(said)
            gathered.add(message, row.line, message.id or "")
            with row.sheet.each(f"{message.id}/attachments"):
                for attached in _attached(said, message):
                    gathered.add(attached, row.line, attached.id or "")
    return gathered.transcript(name)


def _said(row: Row) -> Message:
    id, sender = row.label("uuid"), row.words("sender")
    if id is None:
        raise row.wrong("'uuid' is missing.")
    if sender not in SENDERS:
        raise row.wrong(f"'sender' is {sender!r}; it must be human or assistant.")
    if row.fields.get("files"):
        row.sheet.note("attached files are not in the export; only their names are", row.line)
    return Message(SENDERS[sender], _text(row), row.at("created_at"), id=id)


def _attached(row: Row, to: Message) -> Iterator[Message]:
    """The texts that were attached to a message; one that is none is refused by itself."""
    for file in row.each("attachments", f"{to.id}/attachment"):
        with row.sheet.each(file.what):
            name, text = file.text("file_name"), file.text("extracted_content")
            if text:
                yield Message("tool", text, to.at, id=f"{to.id}/{name}" if name else file.what)


def _text(row: Row) -> str:
    """The words of a message: its blocks of text, or the older field that held them all."""
    blocks = row.rows("content", f"{row.what}, block")
    texts = [block.text("text") or "" for block in blocks if block.text("type") in ("text", None)]
    for kind in sorted({block.text("type") or "text" for block in blocks} - {"text"}):
        row.sheet.note(f"content of type {kind!r} was not read", row.line)
    return "\n".join(text for text in texts if text) or row.text("text") or ""


def _remember(kept: Kept, row: Row) -> None:
    """What Claude made of all conversations, and of those of each project. It is written anew there: the ids are ours, so that further words become a
    further version."""
    sheet, account = row.sheet, row.named("account_uuid")
    if unread := sorted(name for name in row.fields.keys() - REMEMBERED if row.fields[name]):
        sheet.note(f"fields of Claude's memory that were not read: {', '.join(unread)}", row.line)
    told = [(f"memory of {account}", row, OVERALL)] if OVERALL in row.fields else []
    if row.fields.get(BY_PROJECT) is not None:
        with sheet.each(BY_PROJECT):
            by_project = row.row(BY_PROJECT)
            told += [(f"memory of project {project}", by_project, project) for project in by_project.fields]
    for id, fields, name in told:
        with sheet.each(id):
            text = fields.text(name) or ""
            if is_blank(text):
                sheet.refuse(id, "there are no words in it")
            else:
                kept.add((None, None), Message("assistant", text, None, id=id), row.line)


def _project(row: Row, name: str) -> Transcript:
    """What its owner wrote of a project, and its documents. What a model is told in it is no memory; nor is the one that every account begins with."""
    gathered, sheet = Gathering(row.sheet), row.sheet
    if row.fields.get("is_starter_project"):
        sheet.refuse(name, "the project that Claude begins with: nobody wrote it here")
        return gathered.transcript(name)
    if row.fields.get("prompt_template"):
        sheet.refuse(f"{name}/prompt_template", "a prompt: instructions for a model")
    if row.fields.get("description"):
        with sheet.each(f"{name}/description"):
            gathered.add(Message("user", row.words("description"), row.at("created_at"), id=f"{name}/description"), row.line, name)
    for doc in row.each("docs", f"{name}/document"):
        id = f"{name}/{doc.named('uuid', 'filename')}"
        with sheet.each(id):
            gathered.add(Message("tool", doc.text("content") or "", doc.at("created_at"), id=id), row.line, id)
    return gathered.transcript(name)
