"""Reading ahead: a second process reads the next messages of a long import while this one stores those before.

Reading by rules is half of what an import without a model costs, and needs nothing but the words. The second process holds
nothing and touches no file; it saves time and changes nothing else.
"""

from __future__ import annotations

import copyreg
import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType

from loci.interface.reader import MemReader
from loci.operation.intake import Heard, Reader
from loci.text.facts import Fact
from loci.types import Candidate, Message, TimeSpan

SMALLEST = 300_000  # bytes of a file, about 2,000 messages: fewer are read before a process has started

BROKEN = (OSError, EOFError, ValueError, TypeError, AttributeError, ImportError, LookupError, pickle.PickleError)
"""What ends the second process: it is gone, a caller's own types do not pass between processes, or something else came out of it."""

Asked = tuple[Sequence[Message], Sequence[str]]
Key = tuple[Message, object]


class Ahead:
    """A reader for the import of one ``file``. What it was not told to expect, and what the second process could not read, is read
    here as by ``reader`` alone. A context manager."""

    def __init__(self, reader: Reader, file: Path) -> None:
        self._reader = reader
        self._coming: deque[Asked] = deque()
        self._people: Sequence[str] = ()
        self._known: Mapping[Key, Heard] = {}
        self._helper = _start() if _is_long(file) and type(reader) is MemReader and (os.cpu_count() or 1) > 1 else None

    def expect(self, messages: Sequence[Message], people: Sequence[str]) -> None:
        """These will be asked for next, after those expected before."""
        if self._helper is not None and self._helper.stdin is not None:
            try:
                _Pickler(self._helper.stdin).dump((messages, people))
                self._helper.stdin.flush()
                self._coming.append((messages, people))
            except BROKEN:
                self._end()

    def read(self, message: Message, people: Collection[str]) -> Heard:
        key = _key(message)
        heard = self._known.get(key)
        while self._coming and (heard is None or people != self._people):
            messages, self._people = self._coming.popleft()
            self._known = self._receive(messages)
            heard = self._known.get(key)
        return self._reader.read(message, people) if heard is None or people != self._people else heard

    def _receive(self, messages: Sequence[Message]) -> Mapping[Key, Heard]:
        """What the second process made of these; nothing if it has ended. What ended it is met again when they are read here."""
        if self._helper is None or self._helper.stdout is None:
            return {}
        try:
            return dict(zip(map(_key, messages), pickle.load(self._helper.stdout), strict=True))
        except BROKEN:
            self._end()
            return {}

    def _end(self) -> None:
        if self._helper is not None:
            self._helper.kill()
            self._helper.communicate()
            self._helper = None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()


def _call(fields: Callable[[object], tuple[object, ...]], noun: object) -> tuple[type, tuple[object, ...]]:
    return type(noun), fields(noun)


class _Pickler(pickle.Pickler):
    """Writes what passes between the processes as calls with its fields in order. A dataclass by itself goes through its fields by name,
    at twice the cost for both sides."""

    dispatch_table = copyreg.dispatch_table | {
        noun: partial(_call, attrgetter(*noun.__slots__)) for noun in (Message, Heard, Candidate, Fact, TimeSpan)
    }


def _is_long(file: Path) -> bool:
    try:
        return file.is_file() and file.stat().st_size >= SMALLEST
    except OSError:  # what is wrong with it, the loader says
        return False


def _key(message: Message) -> Key:
    """Equal messages are read alike, unless their clocks differ: "yesterday" does."""
    return message, message.at and message.at.utcoffset()


def _start() -> subprocess.Popen[bytes] | None:
    """The second process, which takes no module from the folder it is started in. None where this one is not run by a Python that
    could be started again, as in a frozen application, and where none can be started."""
    if getattr(sys, "frozen", False) or not Path(sys.executable or "").name.startswith("python"):
        return None
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen([sys.executable, "-P", "-m", __name__], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    except OSError:
        return None


def _serve() -> None:
    """Reads what comes until nothing more can come. It always listens, so that whoever asks never waits for it to have answered."""
    asked: SimpleQueue[Asked | None] = SimpleQueue()
    Thread(target=_listen, args=(asked,), daemon=True).start()
    reader, out = MemReader(), sys.stdout.buffer
    while (question := asked.get()) is not None:
        messages, people = question
        _Pickler(out).dump([reader.read(message, people) for message in messages])
        out.flush()


def _listen(asked: SimpleQueue[Asked | None]) -> None:
    """Until nothing more can come or be understood; then the process ends, and whoever waits for it knows."""
    try:
        while True:
            asked.put(pickle.load(sys.stdin.buffer))
    except EOFError:
        pass
    finally:
        asked.put(None)


if __name__ == "__main__":
    _serve()
