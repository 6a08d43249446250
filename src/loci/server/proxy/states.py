"""Where recalled memories stand in the prompts that were sent, by what was said up to there: ids, counts and keyed hashes, and no words.

A client sends its whole history at each turn and keeps nothing of what was put before its messages; this does. It is derived: whoever loses it pays
for one prompt that no cache knows.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loci.infrastructure.files import there

MOST = 2048  # of them that are kept

Record = Mapping[str, Any]


class States:
    """The latest ``most`` records by their names, at hand and in a folder, which several processes may share; without one, as long as the process lives."""

    def __init__(self, folder: Path | None = None, most: int = MOST) -> None:
        self._folder, self._most, self._lock = folder, most, threading.Lock()
        self._known: OrderedDict[str, Record | None] = OrderedDict()  # None: it is in its file
        if folder is not None and folder.is_dir():
            files = sorted(there(folder.glob("*.json")), key=lambda file: file[1].st_mtime_ns)
            self._known.update((file.stem, None) for file, _ in files)

    def beside(self, name: str) -> States:
        """Others, as many, in a folder of this one."""
        return States(None if self._folder is None else self._folder / name, self._most)

    def get(self, name: str) -> Record | None:
        """The record of this name, if there is one that can be read."""
        with self._lock:
            found = self._at_hand(name)
        if found is not None or self._folder is None:
            return found
        read = _read(self._folder / f"{name}.json")  # which another process of the server may have written
        with self._lock:
            found = self._at_hand(name)
            if found is None and read is not None:
                self._known[name] = read
                return self._at_hand(name)
            if found is None:
                self._known.pop(name, None)
        return found

    def _at_hand(self, name: str) -> Record | None:
        found = self._known.get(name)
        if found is not None:
            self._known.move_to_end(name)
        return found

    def put(self, name: str, record: Record) -> None:
        """Has it at hand from now on; `save` writes it."""
        with self._lock:
            self._known[name] = record
            self._known.move_to_end(name)

    def save(self, name: str) -> None:
        """Writes a record to its file, and lets go of those that nobody asked for longest. Raises `OSError`."""
        with self._lock:
            record = self._known.get(name)
            gone = [self._known.popitem(last=False)[0] for _ in range(len(self._known) - self._most)]
        if self._folder is None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in gone:
            (self._folder / f"{old}.json").unlink(missing_ok=True)
        if record is not None and name not in gone:
            beside = self._folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(record, file)
            beside.replace(self._folder / f"{name}.json")


def _read(file: Path) -> Record | None:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):  # of another process that let go of it, or cut off
        return None
    return found if isinstance(found, dict) else None
