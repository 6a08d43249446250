"""A vault is a folder of cubes: one file a cube, and a small registry that says where each came from."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from loci.errors import Conflict, Corrupt, Denied, Invalid, Missing, ReadOnly, Unavailable
from loci.infrastructure.files import publish, there, translated
from loci.infrastructure.pages import PageFiles
from loci.ports import Clock, Entry, Files, Keyring, Registry, Secret, Store

SUFFIX = ".loci"
PAGES = ".kv"  # folder of a cube's pages
UNFINISHED = ".branching-"  # a folder of what is on its way: a cube that is made, a file that comes in or goes out
ABANDONED_SECONDS = 3600
EXCHANGES = 3  # of a cube's file, in the time that it takes to open it
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Shredded:
    """The receipt of a destroyed key: the key files that were overwritten and removed. From now on nothing opens the cube's file or a
    copy of it, wherever it is, but for a process that has it open, and for copies of the key files themselves. ``branches`` are
    other cubes of the same past, with keys of their own: they may hold the same words, and are as readable as before.
    """

    cube: str
    keys: tuple[str, ...]
    branches: tuple[str, ...]


class Unfinished(TemporaryDirectory[str]):
    """A folder in a vault for what is on its way. Until it is cleaned up, or its process ends, it is locked, so that `Vault.clear` leaves it
    alone."""

    def __init__(self, vault: Path) -> None:
        super().__init__(prefix=UNFINISHED, dir=vault)
        self._handle: int | None = os.open(self.name, os.O_RDONLY)
        _lock(self._handle, is_patient=True)

    def cleanup(self) -> None:
        super().cleanup()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Vault:
    """Opens cubes by name and keeps them open, with their keys where they are encrypted."""

    def __init__(self, root: Path, clock: Clock, files: Files, registry: Registry, keyring: Keyring) -> None:
        self.root, self._clock, self._files, self._registry, self._keyring = root, clock, files, registry, keyring
        self._stores: dict[str, Store] = {}
        self._is_closed = False

    def path(self, cube: str) -> Path:
        """The file of a cube. Names are letters, digits, dot, dash and underscore, so none can leave the folder."""
        if not NAME.fullmatch(cube) or cube.endswith((".", SUFFIX)) or ".." in cube:
            raise Invalid(
                f"{cube!r} is no name for a cube: use 1 to 100 letters (a to z), digits, '-', '_' or '.', starting with a letter or digit."
            )
        return self.root / f"{cube}{SUFFIX}"

    def pages(self, cube: str) -> PageFiles:
        """The files of a cube's activation memories, beside it."""
        path = self.path(cube)
        key = self._key(path, cube) if path.exists() else None
        return PageFiles(path.with_suffix(PAGES), None if key is None else self._keyring.envelope(key))

    def names(self) -> list[str]:
        """Cubes in the folder, by name."""
        return sorted(p.name.removesuffix(SUFFIX) for p in self.root.glob(f"*{SUFFIX}"))

    def look(self) -> int:
        """How many cubes there are, having looked at the file of each, of open ones also where it is gone. Raises what is wrong with one."""
        names = sorted({*self.names(), *self._stores})
        for name in names:
            self.store(name, create=False).look()
        return len(names)

    def store(self, cube: str, *, create: bool) -> Store:
        """The open store of a cube. Raises ``Missing`` when there is none and ``create`` is false, and ``Unavailable`` once the vault was closed."""
        if self._is_closed:
            raise Unavailable(f"The vault {self.root} was closed; open it again.")
        store = self._stores.get(cube)
        if store is None:
            path = self.path(cube)
            is_new = not path.exists()
            if is_new and not create:
                near = f" There are: {', '.join(self.names()[:8])}." if self.names() else " The vault is empty."
                raise Missing(f"There is no cube {cube!r} in {self.root}.{near}")
            is_made = is_new and self._make(path, cube)
            store = self._stores[cube] = self._open(path, cube)
            if is_made:
                self._registry.note(Entry(cube, store.id, self._clock.now()))
        return store

    def branch(self, cube: str, name: str, as_of: datetime | None, prepare: Callable[[Store], None]) -> Store:
        """A copy of a cube under a new name, as ``prepare`` leaves it; before that, nobody sees it. Raises ``Conflict`` when the name
        is taken, or when something was erased from the cube meanwhile."""
        target, origin = self.path(name), self.store(cube, create=False)
        is_taken = f"There is a cube {name!r} already. Choose another name for the branch."
        if target.exists():
            raise Conflict(is_taken)
        try:
            self.clear()
            with Unfinished(self.root) as folder:
                path, key = Path(folder) / target.name, self._new_key(name)
                origin.copy(path, key)
                with closing(self._files.open(path, name, create=False, key=key)) as store:
                    with store.write(self._clock.now()) as tx:
                        copied = tx.epoch
                    prepare(store)
                    store.gather()
                    entry = Entry(name, store.id, self._clock.now(), cube, as_of)
                with self._unerased(origin, copied), self._naming():
                    if target.exists():
                        raise Conflict(is_taken)
                    self._registry.note(entry)  # before there is one: an erasure's receipt would leave out a branch that nobody knows of
                    publish(path, target)
        except FileExistsError as error:
            raise Conflict(is_taken) from error
        except OSError as error:
            raise Unavailable(f"The branch {name!r} could not be made in {self.root}: {error.strerror}. Nothing was changed.") from error
        return self.store(name, create=False)

    @contextlib.contextmanager
    def _unerased(self, origin: Store, copied: int) -> Iterator[None]:
        """A block in which nothing is erased from a cube. Raises ``Conflict`` when something was since the epoch ``copied``."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(ReadOnly):  # nobody erases from a file that nobody writes
                if held.enter_context(origin.write(self._clock.now())).epoch != copied:
                    raise Conflict(
                        f"Something was erased from cube {origin.cube!r}, or reverted in it, while it was being branched, and the branch would have kept "
                        "it. No branch was made; branch again."
                    )
            yield

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """A block in which no other process or thread gives a cube's file its name: it ends with one owner of the name, here and in the
        registry."""
        folder = os.open(self.root, os.O_RDONLY)
        try:
            _lock(folder, is_patient=True)
            yield
        finally:
            os.close(folder)

    def clear(self) -> None:
        """What a process died over: a cube before it had a name, a file on its way. It holds words that an erasure would not find."""
        oldest = self._clock.now().timestamp() - ABANDONED_SECONDS
        for folder, known in there(self.root.glob(f"{UNFINISHED}*")):
            if known.st_mtime < oldest:
                with contextlib.suppress(FileNotFoundError):  # another process is at it, too
                    handle = os.open(folder, os.O_RDONLY)
                    try:
                        if _lock(handle, is_patient=False):
                            rmtree(folder)
                    finally:
                        os.close(handle)

    def branches(self, cube: str) -> list[str]:
        """Other cubes that share a past with this one, as branches of it, of each other or as what it was branched from."""
        kin, entries = {cube}, self._registry.entries()
        while grown := {e.cube for e in entries if e.parent in kin} | {e.parent for e in entries if e.parent and e.cube in kin}:
            if grown <= kin:
                break
            kin |= grown
        return sorted((kin - {cube}) & set(self.names()))

    # -- keys ----------------------------------------------------------------------------------------------------------

    def encrypt(self, cube: str, clear: Callable[[], int]) -> int:
        """Encrypts a plain cube in place, with a key of its own. What is open of it here is closed. ``clear`` destroys what lies beside the
        file, and is called once nothing speaks against it; returns its answer."""
        if self._key(self._closed(cube), cube) is not None:
            raise Conflict(f"Cube {cube!r} is encrypted already. `loci rekey` gives it another passphrase or key file.")
        if not self._keyring.is_armed:
            raise Invalid("There is nothing to encrypt with. Set passphrase_variable or key_file (`loci settings` explains them).")
        return self._exchange(cube, None, self._keyring.prepare, clear)

    def decrypt(self, cube: str, clear: Callable[[], int]) -> int:
        """Makes an encrypted cube a plain one, in place, and destroys its key; ``clear`` as for `encrypt`."""
        key = self._key(self._closed(cube), cube)
        if key is None:
            raise Conflict(f"Cube {cube!r} is not encrypted. Nothing was changed.")
        return self._exchange(cube, key, self._keyring.retire, clear)

    def _exchange(self, cube: str, before: bytes | None, prepare: Callable[[str], bytes | None], clear: Callable[[], int]) -> int:
        self._files.check_exchange(self.path(cube), before)
        gone = clear()  # which may open it

        def settle() -> None:
            self._keyring.settle(cube, is_encrypted=before is None)

        self._files.exchange(self._closed(cube), before, lambda: prepare(cube), settle)
        return gone

    def rekey(self, cube: str, secret: Secret) -> None:
        """Wraps the cube's data key by another secret. The cube's file stays as it is."""
        if self._key(self.path(cube), cube) is None:
            raise Conflict(f"Cube {cube!r} is not encrypted: `loci encrypt` does that. Nothing was changed.")
        self._keyring.rewrap(cube, secret)

    def shred(self, cube: str) -> list[Path]:
        """Destroys the cube's key; needs no secret. Returns the key files that were."""
        path = self.path(cube)
        if store := self._stores.pop(cube, None):
            store.close()
        gone = self._keyring.destroy(cube) if not path.exists() or self._files.is_encrypted(path) or self._keyring.has(cube) else []
        if not gone:
            raise Missing(f"Cube {cube!r} has no key to destroy in {self.root}. `loci erase` takes words out of a plain cube.")
        return gone

    def _closed(self, cube: str) -> Path:
        """The file of a cube that is not open here any more."""
        path = self.path(cube)
        if not path.exists():
            raise Missing(f"There is no cube {cube!r} in {self.root}. `loci stats` shows what is there.")
        if store := self._stores.pop(cube, None):
            store.close()
        return path

    def _open(self, path: Path, cube: str) -> Store:
        for _ in range(EXCHANGES):
            key = self._key(path, cube)
            try:
                store = self._files.open(path, cube, create=False, key=key)
            except (Denied, Corrupt):
                if self._key(path, cube) == key:
                    raise
                continue  # it was encrypted, or decrypted, while it was being opened
            self._keyring.settle(cube, is_encrypted=key is not None)
            return store
        raise Unavailable(f"Cube {cube!r} is being encrypted or decrypted. Try again when that is over.")

    def _make(self, path: Path, cube: str) -> bool:
        """A new cube's file. It gets its name when it is whole: a file of that name is a cube at any moment, or a damaged one. False where
        another process was faster: its file it is."""
        self.clear()
        with translated(path), Unfinished(self.root) as folder:
            made = Path(folder) / path.name
            with closing(self._files.open(made, cube, create=True, key=self._new_key(cube))) as store:
                store.gather()
            try:
                with self._naming():
                    publish(made, path)
            except FileExistsError:
                return False
        return True

    def _new_key(self, cube: str) -> bytes | None:
        """The key of a cube to be made; None where cubes are plain."""
        return self._keyring.claim(cube) if self._keyring.is_armed or self._keyring.has(cube) else None

    def _key(self, path: Path, cube: str) -> bytes | None:
        """The key of a cube that is there; None when it is plain. Raises ``Denied`` where it should not be, or cannot be opened."""
        if self._files.is_encrypted(path):
            try:
                return self._keyring.open(cube)
            except Denied:
                if self._files.is_encrypted(path):
                    raise  # and was not decrypted in this moment
        if self._keyring.has(cube) and not self._files.is_encrypted(path):
            raise Denied(
                f"{path} is not encrypted and a key of cube {cube!r} says that it must be: somebody may have put another file in its place. "
                "It was not opened. Restore the encrypted file or, if this one is right, move the key file away."
            )
        return None

    def close(self) -> None:
        self._is_closed = True
        for store in self._stores.values():
            store.close()
        self._stores.clear()


def _lock(handle: int, *, is_patient: bool) -> bool:
    """Locks an open file or folder until it is closed. False where somebody else has the lock, unless one waits for it. Where the system
    or the file system has no such locks it is true at once."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX if is_patient else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
