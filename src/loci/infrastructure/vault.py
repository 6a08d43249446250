"""A vault is a folder of cubes: one file a cube, and a small registry that says where each came from."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from loci.errors import Conflict, Invalid, Missing, Unavailable
from loci.ports import Clock, Entry, Registry, Store

SUFFIX = ".loci"
UNFINISHED = ".branching-"  # a folder in which a branch is made
ABANDONED_SECONDS = 3600
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Vault:
    """Opens cubes by name and keeps them open. ``open_store`` is handed in by `wire`."""

    def __init__(self, root: Path, clock: Clock, open_store: Callable[[Path, str, bool], Store], registry: Registry) -> None:
        self.root, self._clock, self._open, self._registry = root, clock, open_store, registry
        self._stores: dict[str, Store] = {}

    def path(self, cube: str) -> Path:
        """The file of a cube. Names are letters, digits, dot, dash and underscore, so none can leave the folder."""
        if not NAME.fullmatch(cube) or cube.endswith((".", SUFFIX)) or ".." in cube:
            raise Invalid(
                f"{cube!r} is no name for a cube: use 1 to 100 letters, digits, '-', '_' or '.', starting with a letter or digit."
            )
        return self.root / f"{cube}{SUFFIX}"

    def names(self) -> list[str]:
        """Cubes in the folder, by name."""
        return sorted(p.name.removesuffix(SUFFIX) for p in self.root.glob(f"*{SUFFIX}"))

    def store(self, cube: str, *, create: bool) -> Store:
        """The open store of a cube. Raises ``Missing`` when there is none and ``create`` is false."""
        store = self._stores.get(cube)
        if store is None:
            path = self.path(cube)
            is_new = not path.exists()
            if is_new and not create:
                near = f" There are: {', '.join(self.names()[:8])}." if self.names() else " The vault is empty."
                raise Missing(f"There is no cube {cube!r} in {self.root}.{near}")
            store = self._stores[cube] = self._open(path, cube, is_new)
            if is_new:
                self._registry.note(Entry(cube, store.id, self._clock.now()))
        return store

    def branch(self, cube: str, name: str, as_of: datetime | None, prepare: Callable[[Store], None]) -> Store:
        """A copy of a cube under a new name, as ``prepare`` leaves it; before that, nobody sees it. Raises ``Conflict`` when the name
        is taken."""
        target, origin = self.path(name), self.store(cube, create=False)
        is_taken = f"There is a cube {name!r} already. Choose another name for the branch."
        if target.exists():
            raise Conflict(is_taken)
        try:
            self.clear()
            with TemporaryDirectory(prefix=UNFINISHED, dir=self.root) as folder:
                path = Path(folder) / target.name
                origin.copy(path)
                with closing(self._open(path, name, False)) as store:
                    prepare(store)
                    entry = Entry(name, store.id, self._clock.now(), cube, as_of)
                target.hardlink_to(path)  # unlike a renaming it takes nobody's place
        except FileExistsError as error:
            raise Conflict(is_taken) from error
        except OSError as error:
            raise Unavailable(f"The branch {name!r} could not be made in {self.root}: {error.strerror}. Nothing was changed.") from error
        self._registry.note(entry)
        return self.store(name, create=False)

    def clear(self) -> None:
        """Branches that a process died over: they hold words that an erasure would not find."""
        oldest = self._clock.now().timestamp() - ABANDONED_SECONDS
        for folder in self.root.glob(f"{UNFINISHED}*"):
            if folder.stat().st_mtime < oldest:
                rmtree(folder)

    def branches(self, cube: str) -> list[str]:
        """Other cubes that share a past with this one, as branches of it, of each other or as what it was branched from."""
        kin, entries = {cube}, self._registry.entries()
        while grown := {e.cube for e in entries if e.parent in kin} | {e.parent for e in entries if e.parent and e.cube in kin}:
            if grown <= kin:
                break
            kin |= grown
        return sorted((kin - {cube}) & set(self.names()))

    def close(self) -> None:
        for store in self._stores.values():
            store.close()
        self._stores.clear()
