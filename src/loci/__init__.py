"""Loci: a memory operating system for language models.

from loci import MemOS, Message

with MemOS.open("vault") as memory:
    alice = memory.cube("alice")
    alice.add([Message("user", "I moved from Porto to Lisbon in May.")], user="alice")
    print(alice.search("Where does Alice live?", user="alice").text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loci.errors import LociError
from loci.types import Change, Channel, Hit, Interval, Kind, Memory, Message, Outcome, Recall, Receipt, Source, State, Type

if TYPE_CHECKING:
    from loci.remote import connect
    from loci.wire import MemOS

__version__ = "0.1.0"
__all__ = [
    "Change",
    "Channel",
    "Hit",
    "Interval",
    "Kind",
    "LociError",
    "MemOS",
    "Memory",
    "Message",
    "Outcome",
    "Recall",
    "Receipt",
    "Source",
    "State",
    "Type",
    "__version__",
    "connect",
]


def __getattr__(name: str) -> object:
    """`MemOS` and `connect` are read at their first use, so that importing Loci reads no engine."""
    if name == "MemOS":
        from loci.wire import MemOS

        return MemOS
    if name == "connect":
        from loci.remote import connect

        return connect
    raise AttributeError(f"module 'loci' has no attribute {name!r}")
