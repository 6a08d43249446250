"""A disk that fails on purpose, between SQLite and its files: it counts the calls that change them, and does one of them wrong.

It stands inside SQLite's own way to the operating system (its VFS), so that SQLite meets what a broken disk would give it: a number, not
an exception. (A VFS written in Python raises; apsw then raises as well where SQLite has shrugged, and a commit that is done looks failed.)
Only for a process of its own: what `install` changes stays changed. The export and the branches write files without SQLite: of them it
stands before `os.fsync`, `os.link`, `os.replace` and the file that `os.fdopen` opens.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import apsw

FULL, CANTOPEN, OK = 13, 14, 0
IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE, IOERR_DELETE, IOERR_SHMSIZE = 778, 1034, 1546, 2570, 4874
OPEN_CREATE, VFS_POINTER = 0x4, 27
KILLED = 9  # the exit status of a process that this disk has killed

KINDS = ("kill", "torn", "power", "short", "full", "fsync", "eio")
"""kill: the process ends before the call. torn: after half of a write. power: it ends, and of what was not synced some is lost. short: half
of a write, then an error. full: no room for this and for everything after it. fsync: the sync fails, and what it was to save is lost.
eio: an error of a truncation, a deletion, the making of a file, or the shared memory."""
POSSIBLE = {
    "write": ("kill", "torn", "power", "short", "full"), "sync": ("kill", "power", "fsync"), "truncate": ("kill", "power", "eio"),
    "delete": ("kill", "eio"), "create": ("kill", "full", "eio"), "shm": ("eio",), "link": ("kill", "eio"), "rename": ("kill", "eio"),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which call, counted from 0."""

    kind: str
    at: int


class _Vfs(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("iVersion", "szOsFile", "mxPathname")),
        *((name, ctypes.c_void_p) for name in ("pNext", "zName", "pAppData", "xOpen", "xDelete")),
    ]  # fmt: skip


class _Methods(ctypes.Structure):
    _fields_ = [
        ("iVersion", ctypes.c_int),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock", "xCheckReservedLock", "xFileControl",
                "xSectorSize", "xDeviceCharacteristics", "xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap", "xFetch", "xUnfetch",
            )
        ),
    ]  # fmt: skip


_p, _i, _l = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
OPEN = ctypes.CFUNCTYPE(_i, _p, _p, _p, _i, _p)
DELETE = ctypes.CFUNCTYPE(_i, _p, _p, _i)
WRITE = ctypes.CFUNCTYPE(_i, _p, _p, _i, _l)
TRUNCATE = ctypes.CFUNCTYPE(_i, _p, _l)
SYNC = ctypes.CFUNCTYPE(_i, _p, _i)
SHM_MAP = ctypes.CFUNCTYPE(_i, _p, _i, _i, _i, _p)


class _Unsynced:
    """The changes of one file since it was last synced, with what was there before."""

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_RDWR)
        self._changes: list[tuple[int, bytes | None, bytes, int]] = []  # offset, new bytes (None: truncated there), old bytes, old size

    def note(self, offset: int, data: bytes | None, length: int) -> None:
        size = os.fstat(self._handle).st_size
        self._changes.append((offset, data, os.pread(self._handle, length if data is not None else max(size - offset, 0), offset), size))

    def synced(self) -> None:
        self._changes.clear()

    def lose(self, chance: random.Random | None) -> None:
        """Takes back what was not synced, all of it or, by chance, some."""
        for offset, _, before, size in reversed(self._changes):
            os.pwrite(self._handle, before, offset)
            os.ftruncate(self._handle, size)
        for offset, data, _, _ in self._changes if chance is not None else ():
            if chance is not None and chance.random() < 0.5:
                if data is None:
                    os.ftruncate(self._handle, offset)
                else:
                    os.pwrite(self._handle, data, offset)
        self._changes.clear()


class Disk:
    """Counts the calls that change files under ``folder``, and does what ``fault`` says at its turn."""

    def __init__(self, folder: Path, fault: Fault | None = None) -> None:
        self._folder, self._fault = str(folder), fault
        self.calls: list[str] = []
        self._is_full = False
        self._unsynced: dict[str, _Unsynced] = {}
        self._kept: list[Any] = []  # what C holds a pointer to
        self._paths: dict[int, str] = {}
        self._methods: dict[int, _Methods] = {}

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    def _meet(self, what: str, path: str) -> str:
        """Counts a call. Returns the kind of fault that is due, or "". Does not return from a kill."""
        number = len(self.calls)
        self.calls.append(f"{what} {Path(path).name}")
        if self._is_full and what in ("write", "create"):
            return "full"
        if self._fault is None or number != self._fault.at or self._fault.kind not in POSSIBLE[what]:
            return ""
        if self._fault.kind == "power":
            for place, file in enumerate(self._unsynced.values()):
                file.lose(random.Random(number * 1000 + place))
        if self._fault.kind in ("kill", "power"):
            self._die()
        self._is_full = self._fault.kind == "full"
        return self._fault.kind

    def _die(self) -> NoReturn:
        os._exit(KILLED)

    def _half(self, length: int) -> int:
        """Where a write of this length stops: at a sector in every second trial."""
        return length // 2 if len(self.calls) % 2 else length // 2 + 1

    def _file(self, path: str) -> _Unsynced:
        if path not in self._unsynced:
            self._unsynced[path] = _Unsynced(path)
        return self._unsynced[path]

    # -- SQLite's files ------------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Puts the disk under every file that this process opens from now on."""
        pointer = ctypes.c_void_p()
        with apsw.Connection(":memory:") as db:
            db.file_control("main", VFS_POINTER, ctypes.addressof(pointer))
        vfs = ctypes.cast(pointer, ctypes.POINTER(_Vfs)).contents
        open_file, delete = OPEN(vfs.xOpen), DELETE(vfs.xDelete)

        def x_open(this: int, name: int, file: int, flags: int, told: int) -> int:
            path = ctypes.string_at(name).decode() if name else ""
            is_ours = path.startswith(self._folder)
            if is_ours and flags & OPEN_CREATE and not Path(path).exists():
                self._unsynced.pop(path, None)
                if self._meet("create", path):
                    return CANTOPEN
            answer = int(open_file(this, name, file, flags, told))
            methods = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p)).contents
            if answer == OK and is_ours and methods.value:
                self._paths[file] = path
                methods.value = ctypes.addressof(self._wrapped(methods.value))
            return answer

        def x_delete(this: int, name: int, is_synced: int) -> int:
            path = ctypes.string_at(name).decode()
            if path.startswith(self._folder) and Path(path).exists():
                if self._meet("delete", path):
                    return IOERR_DELETE
                self._unsynced.pop(path, None)
            return int(delete(this, name, is_synced))

        self._kept += [opened := OPEN(x_open), deleted := DELETE(x_delete)]
        vfs.xOpen, vfs.xDelete = ctypes.cast(opened, _p).value, ctypes.cast(deleted, _p).value
        self._install_files()

    def _wrapped(self, address: int) -> _Methods:
        """SQLite's methods of a file, with ours where something is changed."""
        if address in self._methods:
            return self._methods[address]
        theirs = ctypes.cast(address, ctypes.POINTER(_Methods)).contents
        ours = _Methods.from_buffer_copy(theirs)
        write, truncate, sync = WRITE(theirs.xWrite), TRUNCATE(theirs.xTruncate), SYNC(theirs.xSync)
        shm_map = SHM_MAP(theirs.xShmMap) if theirs.xShmMap else None  # a journal has none

        def x_write(file: int, data: int, length: int, offset: int) -> int:
            path = self._paths[file]
            kind = self._meet("write", path)
            done = self._half(length) if kind else length
            self._file(path).note(offset, ctypes.string_at(data, done), done)
            answer = int(write(file, data, done, offset))
            if kind == "torn":
                self._die()
            return {"short": IOERR_WRITE, "full": FULL}.get(kind, answer)

        def x_truncate(file: int, size: int) -> int:
            path = self._paths[file]
            if self._meet("truncate", path):
                return IOERR_TRUNCATE
            self._file(path).note(size, None, 0)
            return int(truncate(file, size))

        def x_sync(file: int, flags: int) -> int:
            path = self._paths[file]
            if self._meet("sync", path):
                self._file(path).lose(None)
                return IOERR_FSYNC
            self._file(path).synced()
            return int(sync(file, flags))

        def x_shm_map(file: int, region: int, size: int, is_extending: int, told: int) -> int:
            if is_extending and self._meet("shm", self._paths[file]):
                return IOERR_SHMSIZE
            assert shm_map is not None
            return int(shm_map(file, region, size, is_extending, told))

        for name, kind, method in (
            ("xWrite", WRITE, x_write), ("xTruncate", TRUNCATE, x_truncate), ("xSync", SYNC, x_sync), ("xShmMap", SHM_MAP, x_shm_map),
        ):  # fmt: skip
            if getattr(theirs, name):
                self._kept.append(callback := kind(method))
                setattr(ours, name, ctypes.cast(callback, _p).value)
        self._methods[address] = ours
        return ours

    # -- other files ---------------------------------------------------------------------------------------------------

    def _install_files(self) -> None:
        fsync, link, replace = os.fsync, os.link, os.replace

        def failing_fsync(handle: int) -> None:
            if self._meet("sync", "a file"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            fsync(handle)

        def failing_link(source: Any, target: Any, **rest: Any) -> None:
            if self._meet("link", str(target)):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            link(source, target, **rest)

        def failing_replace(source: Any, target: Any) -> None:
            if self._meet("rename", str(target)):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            replace(source, target)

        def failing_file(handle: int, mode: str) -> io.BufferedIOBase:
            return io.BufferedReader(io.FileIO(handle, mode)) if mode in ("r", "rb") else io.BufferedWriter(_File(handle, mode, self))

        os.fsync, os.link, os.replace, os.fdopen = failing_fsync, failing_link, failing_replace, failing_file  # type: ignore[assignment]


class _File(io.FileIO):
    """A file that is written without SQLite, on this disk."""

    def __init__(self, handle: int, mode: str, disk: Disk) -> None:
        super().__init__(handle, mode)
        self._disk = disk

    def write(self, data: Any) -> int:
        kind = self._disk._meet("write", "a file")
        if kind:
            super().write(bytes(data)[: self._disk._half(len(data))])
            if kind == "torn":
                self._disk._die()
            number = errno.ENOSPC if kind == "full" else errno.EIO
            raise OSError(number, os.strerror(number))
        return super().write(data)
