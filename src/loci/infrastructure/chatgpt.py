"""A ChatGPT data export: conversations as trees of messages, of which the branch that was last seen is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from loci.infrastructure.formats import Fields, Gathering, Row, Sheet, Transcript, brief, objects
from loci.types import ROLES, Message

WORDS = frozenset({"text", "multimodal_text", "code", "execution_output", "tether_quote"})  # content types that hold words


def chats(sheet: Sheet) -> list[Transcript]:
    """Conversations of ``conversations.json``, the oldest first, each under its id: titles change, ids do not."""
    found: dict[str, Transcript] = {}
    for row in objects(sheet, "conversation"):
        with sheet.each(row.named("conversation_id", "id")):
            name = row.label("conversation_id", "id")
            if name is None:
                raise row.wrong("'conversation_id' is missing.")
            if name in found:
                raise row.wrong(f"the id {name!r} is that of an earlier conversation too.")
            found[name] = _chat(Row(sheet, row.line, row.fields, f"conversation {name}"), name)
    return sorted(found.values(), key=_begin)


def _begin(transcript: Transcript) -> float:
    return next((m.at.timestamp() for m in transcript.messages if m.at is not None), 0.0)


def _chat(row: Row, name: str) -> Transcript:
    gathered = Gathering(row.sheet)
    for id, node in branch(row, name):
        if node.fields.get("message") is not None:
            with row.sheet.each(id):
                said = _said(id, node.row("message", f"{node.what}: 'message'"))
                if said is not None:
                    gathered.add(said, row.line, id)
    return gathered.transcript(name)


def branch(row: Row, name: str) -> list[tuple[str, Row]]:
    """(id, node) from the root to the current node: what a person sees who opens the conversation. Where a node of it is not there, or is none, that is
    refused, and the branch goes on at the one node that has the one after it among its children; else it begins there."""
    sheet, tree = row.sheet, replace(row.row("mapping"), what=row.what)
    id, last = row.label("current_node"), ""
    if id is None or _node(tree, id) is None:
        if id is not None:
            sheet.refuse(f"{name}/{id}", "'current_node' names it, and there is no such node")
        id = _only_leaf(tree)
    path: dict[str, Row] = {}
    before: Mapping[str, str] | None = None
    while id is not None:
        node = _node(tree, id)
        if id in path:
            sheet.refuse(f"{name}/{id}", f"node {last!r} names it as its parent, and comes after it: what was before is left out")
            break
        if node is None:
            before = _before(tree) if before is None else before
            goes_on = before.get(last)
            found = (
                f"the branch goes on at {goes_on!r}, which has {last!r} among its children" if goes_on else "what was before is left out"
            )
            sheet.refuse(f"{name}/{id}", f"node {last!r} names it as its parent, and there is no such node: {found}")
            id = goes_on
        else:
            path[id], last, id = node, id, _parent(node)
    return list(reversed(path.items()))


def _node(tree: Row, id: str) -> Row | None:
    """A node by its id; None where there is none that is an object."""
    fields = tree.fields.get(id)
    return Row(tree.sheet, tree.line, fields, f"{tree.what}, node {id}") if isinstance(fields, dict) else None


def _parent(node: Row) -> str | None:
    """The id of the node before it, as it is written; None of a root."""
    value = node.fields.get("parent")
    return (value or None) if isinstance(value, str) or value is None else brief(value)


def _before(tree: Row) -> Mapping[str, str]:
    """For the nodes that exactly one node has among its children: that one."""
    found: dict[str, set[str]] = {}
    for id in tree.fields:
        children = node.fields.get("children") if (node := _node(tree, id)) else None
        for child in children if isinstance(children, list) else ():
            if isinstance(child, str):
                found.setdefault(child, set()).add(id)
    return {child: next(iter(ids)) for child, ids in found.items() if len(ids) == 1}


def _only_leaf(tree: Row) -> str | None:
    """The last node of a tree without branches; None of an empty one."""
    nodes = {id: node for id in tree.fields if (node := _node(tree, id))}
    parents = {_parent(node) for node in nodes.values()}
    leaves = [id for id in nodes if id not in parents]
    if len(leaves) > 1 or (nodes and not leaves):
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
