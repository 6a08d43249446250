"""A sample conversation of our own writing, with questions, for the demo and the tests, and as words that no cube has said."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files


@cache
def texts() -> tuple[str, ...]:
    """What is said in the conversation, turn by turn."""
    lines = (files("loci.samples") / "conversation.jsonl").read_text("utf-8").splitlines()
    return tuple(turn["text"] for line in lines for turn in json.loads(line)["turns"])
