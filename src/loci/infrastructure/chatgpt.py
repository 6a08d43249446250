"""A ChatGPT data export: conversations as trees of messages, of which the branch that was last seen is read."""

from __future__ import annotations

from loci.infrastructure.formats import Fields, Gathering, Row, Sheet, Transcript, values
from loci.types import ROLES, Message

WORDS = frozenset({"text", "multimodal_text", "code", "execution_output", "tether_quote"})  # content types that hold words


def chats(sheet: Sheet) -> list[Transcript]:
    """Conversations of ``conversations.json``, the oldest first, each under its id: titles change, ids do not."""
    found: dict[str, Transcript] = {}
    for line, _, value in values(sheet):
        row = Row.of(sheet, line, value, "a conversation")
        name = row.label("conversation_id", "id")
        if name is None:
            raise row.wrong("'conversation_id' is missing.")
        if name in found:
            raise row.wrong(f"the id {name!r} is that of an earlier conversation too.")
        found[name] = _chat(Row(sheet, line, row.fields, f"conversation {name}"), name)
    return sorted(found.values(), key=_begin)


def _begin(transcript: Transcript) -> float:
    return next((m.at.timestamp() for m in transcript.messages if m.at is not None), 0.0)


def _chat(row: Row, name: str) -> Transcript:
    gathered = Gathering(row.sheet)
    for id, node in branch(row):
        if node.fields.get("message") is not None:
            said = _said(id, node.row("message", f"{node.what}: 'message'"))
            if said is not None:
                gathered.add(said, row.line, id)
    return gathered.transcript(name)


def branch(row: Row) -> list[tuple[str, Row]]:
    """(id, node) from the root to the current node: what a person sees who opens the conversation."""
    tree = row.row("mapping", f"{row.what}: 'mapping'")
    id = row.label("current_node") or _only_leaf(tree)
    path: dict[str, Row] = {}
    while id is not None:
        if id in path:
            raise row.wrong(f"node {id!r} is its own ancestor.")
        if id not in tree.fields:
            raise row.wrong(f"there is no node {id!r} in 'mapping'.")
        path[id] = tree.row(id, f"{row.what}, node {id}")
        id = path[id].label("parent")
    return list(reversed(path.items()))


def _only_leaf(tree: Row) -> str | None:
    """The last node of a tree without branches; None of an empty one."""
    nodes = [tree.row(id, f"{tree.what}, node {id}") for id in tree.fields]
    parents = {node.label("parent") for node in nodes}
    leaves = [id for id in tree.fields if id not in parents]
    if len(leaves) > 1 or (tree.fields and not leaves):
        raise tree.wrong("'current_node' is missing, and there is more than one branch that it could be.")
    return leaves[0] if leaves else None


def _said(id: str, row: Row) -> Message | None:
    """The message of a node; None when there is nothing in it that a person saw."""
    author = row.row("author")
    role, metadata = author.words("role"), row.fields.get("metadata")
    if role not in ROLES:
        raise row.wrong(f"the author's role is {role!r}; it must be user, assistant, tool or system.")
    if isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation"):
        return None
    content = row.row("content")
    kind = content.words("content_type")
    if kind not in WORDS:
        row.sheet.note(f"content of type {kind!r} was not read", row.line)
        return None
    text, pictures = _parts(content, metadata if isinstance(metadata, dict) else {})
    if not text.strip() and not pictures:
        return None
    at = row.at("create_time") if row.fields.get("create_time") else None
    return Message(role, text, at, author.text("name"), "; ".join(pictures) or None, id)


def _parts(content: Row, metadata: Fields) -> tuple[str, list[str]]:
    """The words of a message, and the names of its pictures."""
    parts = content.fields.get("parts")
    if parts is None:
        return content.text("text") or "", []
    if not isinstance(parts, list):
        raise content.wrong("'parts' must be an array.")
    texts, pictures = [], []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif part is not None:
            found = Row.of(content.sheet, content.line, part, f"{content.what}, a part")
            kind = found.text("content_type") or ""
            name = _picture(found.fields, metadata)
            if "text" in found.fields:
                texts.append(found.words("text"))
            elif name is not None:
                pictures.append(name)
            else:
                content.sheet.note(f"content of type {kind!r} without words or a name was not read", content.line)
    return "\n".join(text for text in texts if text), pictures


def _picture(part: Fields, metadata: Fields) -> str | None:
    """What is known of an image: the prompt that it was made from, else the name of the file that was attached."""
    own, pointer, attached = part.get("metadata"), part.get("asset_pointer"), metadata.get("attachments")
    made = own.get("dalle") if isinstance(own, dict) else None
    if isinstance(made, dict) and isinstance(made.get("prompt"), str) and made["prompt"].strip():
        return str(made["prompt"])
    if isinstance(pointer, str) and isinstance(attached, list):
        for file in attached:
            if isinstance(file, dict) and file.get("id") and str(file["id"]) in pointer and isinstance(file.get("name"), str):
                return str(file["name"])
    return None
