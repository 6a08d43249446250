"""Letta's agent files (.af): memory blocks and messages. Tools, settings and prompts in them are an agent's, no memories; none of it is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from loci.infrastructure.formats import Gathering, Kept, Row, Sheet, Transcript, objects
from loci.types import Message

SAYS = "send_message"  # the tool by which older agents speak


def agents(sheet: Sheet) -> list[Transcript]:
    """The blocks of each agent as facts, its messages as a session of its name. A list of blocks alone is read too."""
    found: list[Transcript] = []
    blocks = Kept(sheet)
    for row in objects(sheet):
        if "agents" not in row.fields:
            with sheet.each(row.named("id", "label")):
                _keep_block(blocks, row, None, row.label("id") or row.words("label"))
            continue
        by_id = {block.named("id"): block for block in row.each("blocks", "block")}
        for agent in row.each("agents", "agent"):
            with sheet.each(agent.named("name", "id")):
                name = agent.words("name")
                found.append(_talk(agent, name))
                for id in agent.names("block_ids"):
                    _keep_named(blocks, by_id, name, id)
        for kind, why in (("tools", "code is not kept and never run"), ("files", "a document: import the file itself")):
            with sheet.each(kind):
                for one in row.each(kind, kind):
                    sheet.refuse(one.named("name", "file_name", "id"), why)
    return [*found, *blocks.transcripts()]


def _keep_named(kept: Kept, by_id: Mapping[str, Row], agent: str, id: str) -> None:
    """The block of an agent that it names by its id, which is a number within the file."""
    with kept.sheet.each(f"{agent}/{id}"):
        if id not in by_id:
            kept.sheet.refuse(f"{agent}/{id}", "there is no such block in 'blocks'")
        else:
            _keep_block(kept, by_id[id], agent, f"{agent}/{by_id[id].words('label')}")


def _keep_block(kept: Kept, row: Row, agent: str | None, id: str) -> None:
    text = row.words("value").strip()
    if text:
        kept.add((None, agent), Message("assistant", text, None, id=id), row.line)
    else:
        row.sheet.refuse(id, "an empty block")


def _talk(agent: Row, name: str) -> Transcript:
    gathered = Gathering(agent.sheet)
    for row in agent.each("messages", f"agent {name}, message"):
        with agent.sheet.each(f"{name}/{row.named('id')}"):
            id, role = row.label("id") or "", row.words("role")
            text = _spoken(row) if role == "assistant" else _unwrapped(_content(row)) if role == "user" else ""
            if text:
                gathered.add(Message(role, text, row.at("created_at")), row.line, f"{name}/{id}")  # a dated message is known by its time
            else:
                why = {"system": "a prompt: instructions for an agent", "tool": "what a tool answered"}.get(role, "nothing was said in it")
                agent.sheet.refuse(f"{name}/{id}", why)
    return replace(gathered.transcript(name), agent=name)


def _content(row: Row) -> str:
    if isinstance(row.fields.get("content"), str):
        return row.words("content")
    return "\n".join(part.text("text") or "" for part in row.rows("content", f"{row.what}, part") if part.text("type") == "text").strip()


def _spoken(row: Row) -> str:
    """What the agent said to somebody: by the tool it speaks with, or outright."""
    said = [_argument(call) for call in row.rows("tool_calls", f"{row.what}, call")]
    return "\n".join(text for text in said if text) or _content(row)


def _argument(call: Row) -> str:
    function = call.fields.get("function")
    if not isinstance(function, Mapping) or function.get("name") != SAYS:
        return ""
    message = _object(function.get("arguments")).get("message")
    return message if isinstance(message, str) else ""


def _unwrapped(text: str) -> str:
    """What a person said, out of the JSON that some agents wrap it in; empty for a login or a heartbeat."""
    wrapped = _object(text)
    if "type" not in wrapped:
        return text
    message = wrapped.get("message")
    return message if wrapped["type"] == "user_message" and isinstance(message, str) else ""


def _object(text: object) -> Mapping[str, object]:
    """The JSON object that a string is; empty for anything else."""
    try:
        value = json.loads(text) if isinstance(text, str) and text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
