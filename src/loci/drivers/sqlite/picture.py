"""The picture of a cube with what goes with it: the numbers of names, and the speakers by their stems.

A store has one, which follows what is committed. A transaction that has written something looks at a copy of its own, so that nobody else sees
what may still be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

import apsw

from loci.drivers.sqlite.connection import query, scalar
from loci.drivers.sqlite.view import Numbers, View
from loci.drivers.sqlite.words import stems
from loci.errors import Corrupt
from loci.text.tokens import spaced
from loci.types import ROLES


class Picture:
    """Follows one cube file. Call ``refresh`` before each use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.view = View()
        self.numbers = Numbers()
        self.names_of: dict[int, str] = {}
        self._names_at: tuple[int, int] | None = None
        self._called: dict[str, list[int]] = {}  # speakers by the stems of their names
        self._called_for = 0  # speakers
        self._whole_at = -1  # the epoch at which it was last seen to hold every version

    def apart(self) -> Picture:
        """A copy that can go another way."""
        other = copy(self)
        other.view = self.view.apart()
        other.numbers, other.names_of, other._called = Numbers(self.numbers.items()), dict(self.names_of), dict(self._called)
        return other

    def refresh(self, db: apsw.Connection, *, is_committed: bool = True) -> None:
        """Brings it up to what this connection's transaction sees."""
        self.view.refresh(db, is_committed=is_committed)
        if self.view.epoch != self._whole_at:
            self._check_whole(db)
        self._read_names(db)

    def _check_whole(self, db: apsw.Connection) -> None:
        """It is a join, and a join leaves out what lacks its other half: that must not look like nothing."""
        told, found = int(scalar(db, "SELECT count(*) FROM versions")), len(self.view.column("row"))
        if told != found:
            raise Corrupt(f"{self._path} holds {told} versions, and {told - found} lack their source or content. Run `loci verify`.")
        self._whole_at = self.view.epoch

    def _read_names(self, db: apsw.Connection) -> None:
        """Every name with its number."""
        if (self.view.last_name, self.view.epoch) != self._names_at:
            self.numbers = Numbers((str(n), int(s)) for s, n in query(db, "SELECT seq, name FROM names"))
            self.names_of = {seq: name for name, seq in self.numbers.items()}
            self._names_at = (self.view.last_name, self.view.epoch)
            self._called, self._called_for = {}, 0

    def speakers_called(self, db: apsw.Connection) -> Mapping[str, Sequence[int]]:
        """The speakers by the stems of their names."""
        speakers = self.view.speakers
        if len(speakers) != self._called_for:
            called: dict[str, list[int]] = {}
            named = {seq: self.names_of[seq] for seq in speakers - {0}}
            for speaker, name in named.items():
                for stem in set(stems(db, spaced(name))) if name not in ROLES else ():
                    called.setdefault(stem, []).append(speaker)
            self._called, self._called_for = called, len(speakers)
        return self._called
