"""The files of activation memory, beside their cube: named by the hash of their bytes, written once, never changed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from loci.errors import Corrupt, Missing, Unavailable
from loci.infrastructure.files import PART, translated, writing
from loci.ports import Envelope

SUFFIX = ".safetensors"
TRIES = 3
AGAIN = "Its text is used instead; `loci activate` builds it again."


class PageFiles:
    """A folder of pages, in envelopes where their cube is encrypted. It may hold files that no row needs any more, or not yet; what rows
    need, it should hold."""

    def __init__(self, folder: Path, envelope: Envelope | None = None) -> None:
        self.folder, self._envelope = folder, envelope
        self._checked: set[tuple[str, int, int]] = set()

    def put(self, data: bytes) -> tuple[str, int]:
        """Keeps a page, durably. Returns its name and size, by which it is asked for. The same bytes are kept once, unless they are
        encrypted."""
        data = data if self._envelope is None else self._envelope.seal(data)
        name = sha256(data).hexdigest()
        path = self._path(name)
        if self.is_whole(name, len(data)):
            return name, len(data)
        with translated(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(TRIES):
            with contextlib.suppress(Missing):  # somebody tidied away what no row names yet
                with writing(path, overwrite=True) as file:
                    file.write(data)
                return name, len(data)
        raise Unavailable(f"{path} was taken away {TRIES} times while it was written. Try again when less is erased.")

    def is_whole(self, name: str, size: int) -> bool:
        """Whether it is there, in every byte: one that is not is written anew."""
        try:
            self.open(name, size, is_checked=True)
        except (Missing, Corrupt):
            return False
        return True

    def is_there(self, name: str) -> bool:
        """Whether there is anything of that name."""
        return os.path.lexists(self._path(name))

    def names(self) -> set[str]:
        """Of the files in the folder; of one that is no page, its own."""
        return {path.name.removesuffix(SUFFIX) for path in self._all()}

    def has(self, name: str, size: int) -> bool:
        """Whether the page is there in its full length."""
        try:
            known = self._path(name).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(known.st_mode) and known.st_size == size

    def open(self, name: str, size: int, *, is_checked: bool = False, again: str = AGAIN) -> memoryview:
        """The bytes of a page. Its length is compared each time, its hash when this process reads it first, or as ``is_checked`` says.
        Raises `Missing` or `Corrupt` for one that is not as it was written, with what makes it ``again``."""
        path = self._path(name)
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except FileNotFoundError as error:
            raise Missing(f"{path} is not there. {again}") from error
        except OSError as error:
            raise Corrupt(f"{path} cannot be opened: {error.strerror}. {again}") from error
        with file:
            known = os.fstat(file.fileno())
            if known.st_size != size:
                raise Corrupt(f"{path} has {known.st_size} bytes; {size} were written. {again}")
            data = bytearray(size)
            if file.readinto(data) != size:
                raise Corrupt(f"{path} became shorter while it was read. {again}")
            if not os.fstat(file.fileno()).st_nlink:  # destroyed meanwhile: its bytes may be zeros already
                raise Missing(f"{path} was taken away while it was read. {again}")
        mark = (name, known.st_ino, known.st_mtime_ns)
        if is_checked or mark not in self._checked:
            if sha256(data).hexdigest() != name:
                raise Corrupt(f"{path} is not as it was written. {again}")
            self._checked.add(mark)
        return memoryview(data if self._envelope is None else bytearray(self._envelope.open(data)))

    def keep(self, names: Collection[str]) -> int:
        """Destroys every other file in the folder: overwritten, then removed, durably. Returns how many there were."""
        gone = [path for path in self._all() if path.name.removesuffix(SUFFIX) not in names]
        for path in gone:
            destroy(path)
        if gone:
            sync(self.folder)
        return len(gone)

    def _all(self) -> list[Path]:
        """Its files. A folder in it is none of ours: snapshots of a file system, say."""
        if not self.folder.is_dir():
            return []
        with os.scandir(self.folder) as entries:
            return [self.folder / entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]

    def _path(self, name: str) -> Path:
        assert len(name) == 64 and name.isalnum(), name
        return self.folder / f"{name}{SUFFIX}"


def destroy(path: Path) -> None:
    """Takes a file's name away first, so that who is reading it can tell, and then its bytes."""
    with translated(path):
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return  # somebody else was faster
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            path.unlink(missing_ok=True)
            return
        with os.fdopen(handle, "r+b") as file:
            path.unlink(missing_ok=True)
            if path.suffix == PART and os.fstat(handle).st_nlink:  # it is whole, and has its own name since
                return
            size = os.fstat(handle).st_size
            for start in range(0, size, 1 << 20):
                file.write(bytes(min(1 << 20, size - start)))
            file.flush()
            os.fsync(handle)


def sync(folder: Path) -> None:
    """Makes what was named and unnamed in a folder durable."""
    with translated(folder):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
