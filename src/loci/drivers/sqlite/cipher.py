"""Encrypted files: SQLite3 Multiple Ciphers does the work, page by page, with ChaCha20-Poly1305 and the cube's raw data key."""

from __future__ import annotations

import ctypes
from pathlib import Path

import apsw

from loci.errors import Denied, Unsupported

CIPHER = "chacha20"
KEY_BYTES = 32
PLAIN = b"SQLite format 3\x00"
SEALED = slice(20, 24)  # of a header: the bytes kept back on each page, and three constants; the cipher leaves these in plain sight
SEALED_AS = bytes((32, 64, 32, 32))
INSTALL = "pip uninstall apsw && pip install --force-reinstall apsw-sqlite3mc"


def unlock(db: apsw.Connection, key: bytes) -> None:
    """Reads and writes a connection's file with this key from now on. It comes before anything else."""
    if not hasattr(apsw, "mc_version"):
        raise Unsupported(f"This cube is encrypted, and the installed apsw cannot read that: another package brought its own. {INSTALL}")
    assert len(key) == KEY_BYTES
    db.execute(f"PRAGMA cipher='{CIPHER}'").fetchall()
    db.execute(f"PRAGMA key=\"x'{key.hex()}'\"").fetchall()


def address(path: Path, key: bytes | None) -> str:
    """Where ``VACUUM INTO`` is to write: a file under this key, or a plain one."""
    return f"{path.resolve().as_uri()}?" + ("key=" if key is None else f"cipher={CIPHER}&key=raw:{key.hex()}")


def header(path: Path) -> bytes:
    """The first bytes of a file. SQLite reads them: were they read past it, closing the file would end the locks of every
    connection this process has to it."""
    try:
        file = apsw.VFSFile("", str(path), [apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB, 0])
    except (apsw.Error, OSError):
        return b""
    try:
        return bytes(file.xRead(SEALED.stop, 0)) if file.xFileSize() >= SEALED.stop else b""
    except apsw.Error:
        return b""
    finally:
        file.xClose()


def is_encrypted(path: Path) -> bool:
    """Whether a file begins as an encrypted cube does."""
    found = header(path)
    return not found.startswith(PLAIN) and found[SEALED] == SEALED_AS


def is_moved(db: apsw.Connection) -> bool:
    """Whether another file has taken the place of the one that was opened."""
    answer = ctypes.c_int(0)
    db.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(answer))
    return bool(answer.value)


def denied(path: Path, key: bytes | None) -> Denied | None:
    """Why a file that is no database to SQLite may be none: it is encrypted and there is no key, or the other way round."""
    found = header(path)
    if key is None and is_encrypted(path):
        return Denied(
            f"{path} is encrypted. Open its vault with the passphrase or key file it was made with (settings passphrase_variable, "
            "key_file). Nothing was touched."
        )
    if key is not None and found.startswith(PLAIN):
        return Denied(downgraded(path))
    return None


def downgraded(path: Path) -> str:
    return (
        f"{path} is a plain file where an encrypted one belongs: somebody may have put it there. Nothing was read from it. Restore the "
        "encrypted file or, if the plain one is meant to be there, move its key file away."
    )
