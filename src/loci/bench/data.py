"""Data in the unified format: conversations with turns, questions with the turns that answer them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from loci.errors import Malformed
from loci.types import Message


def render(turn: Mapping[str, Any]) -> str:
    """A turn as it is shown to a reader: with its date, its speaker and what its photo shows."""
    caption = f" [shares a photo: {turn['caption']}]" if turn.get("caption") else ""
    date = f"[{turn['at'][:10]}] " if turn.get("at") else ""
    return f"{date}{turn['speaker']}: {turn['text']}{caption}"


def cost_of(turn: Mapping[str, Any]) -> int:
    """What a reader is charged for a turn: tokens of four bytes."""
    return -(-len(render(turn).encode()) // 4)


def message_of(turn: Mapping[str, Any]) -> Message:
    """A turn as it is added to a memory."""
    at = datetime.fromisoformat(turn["at"]) if turn.get("at") else None
    role = turn["speaker"] if turn["speaker"] in ("user", "assistant") else "user"
    caption = turn.get("caption") or None
    text = turn["text"] if turn["text"].strip() or caption else "(nothing)"
    return Message(role, text, at, turn["speaker"], caption, turn["id"], str(turn["session"]))


def rows_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The objects of a file of JSON lines. Raises `Malformed` with the line."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise Malformed(f"{path}, line {number}: this is not JSON ({error.msg}).", number) from error
