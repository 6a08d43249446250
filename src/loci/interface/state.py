"""What a conversation keeps between turns, as plain JSON and back. It holds ids, versions, positions, counts and keyed hashes, and not a
word of any memory or message. Raises `Invalid` for what is no such state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from loci.errors import Invalid
from loci.policy.caching import Anchors, Mark
from loci.policy.layout import Block, Correction, Entry, Layout, Standing

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """Where everything stands, and the prompt that was rendered last: its marks, how many of them are to stay as they are, when it was,
    and what of it the cache knew. ``held`` and ``anchors`` are the marks and counts of the last prompt that the provider reported on."""

    layout: Layout = field(default_factory=Layout)
    sent: tuple[Mark, ...] = ()
    stable: int = 0
    sent_at: datetime | None = None
    prefix: int = 0
    anchors: Anchors = ()
    held: tuple[Mark, ...] = ()


def state_of(kept: Kept, key: str) -> dict[str, Any]:
    """The state; ``key`` says of which conversation."""
    layout = kept.layout
    return {
        "format": FORMAT, "conversation": key,
        "core": [_row(entry) for entry in layout.core], "core_version": layout.core_version,
        "blocks": [[block.at, [_row(row) for row in block.rows]] for block in layout.blocks],
        "cited": layout.cited, "asked_at": layout.asked_at, "turns": layout.turns,
        "recalls": {memory: list(counts) for memory, counts in layout.recalls.items()},
        "reused": layout.reused, "carried": layout.carried, "behind": layout.behind,
        "sent": _marks(kept.sent), "held": _marks(kept.held),
        "sent_at": None if kept.sent_at is None else kept.sent_at.isoformat(),
        "stable": kept.stable, "prefix": kept.prefix, "anchors": [list(anchor) for anchor in kept.anchors],
    }  # fmt: skip


def kept_of(state: Mapping[str, Any], key: str, messages: int) -> Kept:
    """What a state says, for a history of so many messages: blocks beyond its end are left out."""
    if not isinstance(state, Mapping) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, Mapping) else state
        raise Invalid(f"The state has format {found!r:.100}; it must be what `Conversation.state` gave, of format {FORMAT}.")
    if state.get("conversation") != key:
        raise Invalid("The state is of another conversation: give the session, user and agent that it was made with.")
    try:
        layout = Layout(
            core=tuple(_entry(row) for row in state["core"]), core_version=int(state["core_version"]),
            blocks=tuple(Block(int(at), tuple(map(_row_of, rows))) for at, rows in state["blocks"] if int(at) < messages),
            cited=int(state["cited"]), asked_at=int(state["asked_at"]), turns=int(state["turns"]),
            recalls={str(memory): (int(count), int(tokens)) for memory, (count, tokens) in state["recalls"].items()},
            reused=int(state["reused"]), carried=int(state["carried"]), behind=int(state.get("behind", 0)),  # which states before it do not have
        )  # fmt: skip
        at = None if state["sent_at"] is None else datetime.fromisoformat(state["sent_at"])
        sent, held = (tuple(Mark(str(h), int(n), bool(is_marked)) for h, n, is_marked in state[name]) for name in ("sent", "held"))
        anchors = tuple((int(estimated), int(counted)) for estimated, counted in state["anchors"])
        return Kept(layout, sent, int(state["stable"]), at, int(state["prefix"]), anchors, held)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"The state cannot be read ({error!r:.200}); hand in what `Conversation.state` gave, unchanged.") from error


def _marks(marks: Sequence[Mark]) -> list[list[Any]]:
    return [[mark.hash, mark.tokens, int(mark.is_breakpoint)] for mark in marks]


def _row(row: Entry | Correction) -> list[Any]:
    if isinstance(row, Entry):
        return [row.cite, row.memory, row.version, list(row.places)]
    return [row.cite, row.standing.value, row.by]


def _entry(row: Sequence[Any]) -> Entry:
    cite, memory, version, places = row
    if not isinstance(memory, str):
        raise ValueError(f"a memory is {memory!r}")
    return Entry(int(cite), memory, int(version), tuple(map(int, places)))


def _row_of(row: Sequence[Any]) -> Entry | Correction:
    if len(row) == 4:
        return _entry(row)
    cite, standing, by = row
    return Correction(int(cite), Standing(standing), int(by))
