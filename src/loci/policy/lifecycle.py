"""The life of a memory as one literal table (MemOS v3 §5.4.3, with the gaps of the paper closed).

A move that is not in the table does not exist: `after` raises `IllegalMove` and says which moves there are. What the paper
leaves open is decided here: a memory that nobody used may be archived; a merged one that is used is active again; what comes
back from the archive or from being forgotten is active; what is frozen can be read and thawed, and nothing else; expired is
not erased, and can be restored until it is.
"""

from __future__ import annotations

from enum import StrEnum

from loci.errors import IllegalMove
from loci.types import State


class Move(StrEnum):
    """What can happen to a memory."""

    USE = "use"
    REVISE = "revise"
    MERGE = "merge"
    ARCHIVE = "archive"
    EXPIRE = "expire"
    RESTORE = "restore"
    FREEZE = "freeze"
    THAW = "thaw"


G, A, M, R, E, F = State.GENERATED, State.ACTIVATED, State.MERGED, State.ARCHIVED, State.EXPIRED, State.FROZEN

MOVES: dict[State, dict[Move, State]] = {
    G: {Move.USE: A, Move.REVISE: G, Move.MERGE: M, Move.ARCHIVE: R, Move.EXPIRE: E, Move.RESTORE: G, Move.FREEZE: F},
    A: {Move.USE: A, Move.REVISE: A, Move.MERGE: M, Move.ARCHIVE: R, Move.EXPIRE: E, Move.RESTORE: A, Move.FREEZE: F},
    M: {Move.USE: A, Move.REVISE: M, Move.MERGE: M, Move.ARCHIVE: R, Move.EXPIRE: E, Move.RESTORE: M, Move.FREEZE: F},
    R: {Move.EXPIRE: E, Move.RESTORE: A},
    E: {Move.RESTORE: A},
    F: {Move.USE: F, Move.THAW: A},
}

DONE = {
    Move.USE: "used", Move.REVISE: "changed", Move.MERGE: "merged", Move.ARCHIVE: "archived", Move.EXPIRE: "forgotten", Move.RESTORE: "restored",
    Move.FREEZE: "frozen", Move.THAW: "thawed",
}  # fmt: skip

FINDABLE = frozenset({G, A, M, F})


def after(state: State, move: Move, memory: str) -> State:
    """The state that follows. Raises `IllegalMove`, naming what would be possible instead."""
    allowed = MOVES[state]
    if move is Move.EXPIRE and state is E:
        raise IllegalMove(
            f"Memory {memory} is expired: it was forgotten already, or its time is over. `loci restore {memory}` would bring it back."
        )
    if move not in allowed:
        ways = ", ".join(sorted(m.value for m in allowed)) or "nothing"
        hint = {F: " Thaw it first.", R: " Restore it first.", E: " Restore it first."}.get(state, "")
        raise IllegalMove(f"Memory {memory} is {state.value}: it cannot be {DONE[move]}; possible: {ways}.{hint}")
    return allowed[move]
