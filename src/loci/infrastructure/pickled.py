"""What a pickle says, without doing it. A pickle is a program: loading one runs what its author chose. Here its instructions are listed by
`pickletools`, which runs none of them, and only those that build plain values (text, numbers, lists, dictionaries) are followed; whatever would
import, call or make an object gives an inert `Thing`."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from typing import Any

MAX_BYTES = 1 << 24
WRONG = (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error, RecursionError)


class Thing:
    """Stands for an object that was not made. ``state`` is what it would have been given."""

    state: object = None


def read(raw: bytes) -> object:
    """The value that a pickle describes. Raises `ValueError` for what is none, or is longer than 16 MiB."""
    if len(raw) > MAX_BYTES:
        raise ValueError(f"it has {len(raw):,} bytes; the limit is {MAX_BYTES:,}")
    machine = _Machine()
    try:
        for op, given, _ in pickletools.genops(raw):
            FOLLOWED[op.name](machine, given)
        return machine.stack.pop()
    except WRONG as error:
        raise ValueError(f"it is no pickle that can be followed ({type(error).__name__})") from error


class _Machine:
    """The stack of values, the marks on it, and the memo that a pickle builds its value with."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[Any, Any] = {}

    def take(self, count: int | None) -> list[Any]:
        """The last so many values, off the stack; None: all since the mark."""
        start = self.marks.pop() if count is None else len(self.stack) - count
        if start < 0:
            raise IndexError(start)
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def fill(self, count: int | None) -> None:
        """Puts values into what they belong to; a thing that was not made takes none."""
        taken, target = self.take(count), self.stack[-1]
        if isinstance(target, list):
            target.extend(taken)
        elif isinstance(target, set):
            target.update(taken)
        elif isinstance(target, dict):
            target.update(zip(taken[::2], taken[1::2], strict=True))

    def give_state(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Thing):
            self.stack[-1].state = state


Follow = Callable[[_Machine, Any], object]


def _making(make: Callable[[list[Any]], object], count: int | None = None) -> Follow:
    """Follows an instruction that makes one value of the last so many (None: of all since the mark)."""
    return lambda machine, _: machine.stack.append(make(machine.take(count)))


FOLLOWED: dict[str, Follow] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    **dict.fromkeys(
        ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE",
         "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        lambda machine, given: machine.stack.append(given),
    ),
    "NONE": _making(lambda _: None, 0), "NEWTRUE": _making(lambda _: True, 0), "NEWFALSE": _making(lambda _: False, 0),
    "EMPTY_LIST": _making(list, 0), "EMPTY_DICT": _making(dict, 0), "EMPTY_SET": _making(set, 0), "EMPTY_TUPLE": _making(tuple, 0),
    "LIST": _making(list), "TUPLE": _making(tuple), "FROZENSET": _making(tuple),
    "TUPLE1": _making(tuple, 1), "TUPLE2": _making(tuple, 2), "TUPLE3": _making(tuple, 3),
    "DICT": _making(lambda taken: dict(zip(taken[::2], taken[1::2], strict=True))),
    "APPEND": lambda machine, _: machine.fill(1), "SETITEM": lambda machine, _: machine.fill(2),
    **dict.fromkeys(("APPENDS", "SETITEMS", "ADDITEMS"), lambda machine, _: machine.fill(None)),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)), "POP_MARK": lambda machine, _: machine.take(None),
    "POP": lambda machine, _: machine.take(1), "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "MEMOIZE": lambda machine, _: machine.memo.__setitem__(len(machine.memo), machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, given: machine.memo.__setitem__(given, machine.stack[-1])),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, given: machine.stack.append(machine.memo[given])),
    "BUILD": lambda machine, _: machine.give_state(),
    **{  # what would import, call or make something
        name: _making(lambda _: Thing(), count)
        for name, count in {
            "GLOBAL": 0, "STACK_GLOBAL": 2, "REDUCE": 2, "NEWOBJ": 2, "NEWOBJ_EX": 3, "INST": None, "OBJ": None, "PERSID": 0, "BINPERSID": 1,
            "EXT1": 0, "EXT2": 0, "EXT4": 0, "NEXT_BUFFER": 0,
        }.items()
    },
}  # fmt: skip
