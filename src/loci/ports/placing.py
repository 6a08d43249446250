"""What the kernel asks of whoever brings a body of memory into a form, and takes it out again. There is one for each form but text, which is always
there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a body: its id, and a hash of what it was made of, for the log."""

    id: str
    hash: str


class Mover(Protocol):
    """Of one form. Each call is a change of its own, with its own record."""

    def promote(self, memories: Sequence[str], user: str | None, held: str | None) -> Made:
        """Makes the form of these memories of a user's; of ``held``, what is there, a further version. Raises `Unsupported` where it cannot be
        done here, `Missing` or `Conflict` where the memories are not what they were."""

    def demote(self, held: str) -> None:
        """Lets go of what was made. The text is not touched. Raises `Missing` where it is not there."""
