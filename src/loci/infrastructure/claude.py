"""A Claude data export: ``conversations.json``, each conversation a list of messages with ids and times."""

from __future__ import annotations

from loci.infrastructure.formats import Gathering, Row, Sheet, Transcript, values
from loci.types import Message

SENDERS = {"human": "user", "assistant": "assistant"}


def chats(sheet: Sheet) -> list[Transcript]:
    """The conversations, each under its uuid. What somebody attached is its own message, said by a tool: it is of whoever wrote it."""
    found: dict[str, Transcript] = {}
    for line, _, value in values(sheet):
        row = Row.of(sheet, line, value, "a conversation")
        name = row.label("uuid")
        if name is None:
            raise row.wrong("'uuid' is missing.")
        if name in found:
            raise row.wrong(f"the uuid {name!r} is that of an earlier conversation too.")
        gathered = Gathering(sheet)
        for said in row.rows("chat_messages", f"conversation {name}, message"):
            for message in _said(said):
                gathered.add(message, line, message.id or "")
        found[name] = gathered.transcript(name)
    return list(found.values())


def _said(row: Row) -> list[Message]:
    id, sender = row.label("uuid"), row.words("sender")
    if id is None:
        raise row.wrong("'uuid' is missing.")
    if sender not in SENDERS:
        raise row.wrong(f"'sender' is {sender!r}; it must be human or assistant.")
    at, files = row.at("created_at"), row.rows("attachments", f"{row.what}, attachment")
    given = [(file.text("file_name") or f"attachment {number}", file.text("extracted_content")) for number, file in enumerate(files, 1)]
    if row.fields.get("files"):
        row.sheet.note("attached files are not in the export; only their names are", row.line)
    said = [Message(SENDERS[sender], _text(row), at, id=id)]
    return said + [Message("tool", text, at, caption=None, id=f"{id}/{name}") for name, text in given if text]


def _text(row: Row) -> str:
    """The words of a message: its blocks of text, or the older field that held them all."""
    blocks = row.rows("content", f"{row.what}, block")
    texts = [block.text("text") or "" for block in blocks if block.text("type") in ("text", None)]
    for kind in sorted({block.text("type") or "text" for block in blocks} - {"text"}):
        row.sheet.note(f"content of type {kind!r} was not read", row.line)
    return "\n".join(text for text in texts if text) or row.text("text") or ""
