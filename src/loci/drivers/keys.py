"""Data keys in files: for each cube 32 random bytes, wrapped by a passphrase (Argon2id) or by the 32 bytes of a key file.

The file is JSON: how the wrapping key is come by, and the data key under AES-256-GCM with everything else in the file bound to
it. It is public as far as its secret is strong, and without it nothing opens the cube: who destroys it destroys every copy of
the cube that the file did not go along with.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from loci.errors import Conflict, Corrupt, Denied, Invalid, NewerSchema, ReadOnly, Unavailable, Unsupported
from loci.ports import Secret

INSTALL = "pip install 'loci-memos[encryption]'"
SUFFIX = ".loci.key"
PENDING = ".pending"
VERSION = 1  # a data key of 32 bytes for chacha20 of SQLite3 Multiple Ciphers
KEY_BYTES = 32
NONCE_BYTES = 12
PAGES = b"loci: pages of activation memory"  # what their key is derived for
KDF = {"kdf": "argon2id", "iterations": 3, "lanes": 4, "memory_kib": 1 << 16}  # the second recommendation of RFC 9106
MOST = {"iterations": 64, "lanes": 64, "memory_kib": 1 << 21}  # beyond it a file is not one of ours but a trap
MAX_FILE_BYTES = 4096
BY_PASSPHRASE, BY_KEY_FILE = "passphrase", "key file"
HOW = {BY_PASSPHRASE: "the setting passphrase_variable", BY_KEY_FILE: "the setting key_file"}
DERIVING = threading.Lock()  # two derivations at once, of four lanes each, were seen never to end (cryptography 50.0.2)

Fields = Mapping[str, Any]


class PageEnvelope:
    """AES-256-GCM under a key that HKDF makes of a cube's data key, with a nonce of 12 random bytes before each ciphertext."""

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ImportError as error:
            raise _unsupported() from error
        self._cipher = _cipher(HKDF(SHA256(), KEY_BYTES, None, PAGES).derive(key))

    def seal(self, data: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + bytes(self._cipher.encrypt(nonce, data, None))

    def open(self, data: bytes | bytearray) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(self._cipher.decrypt(bytes(data[:NONCE_BYTES]), bytes(data[NONCE_BYTES:]), None))
        except (InvalidTag, ValueError) as error:
            raise Corrupt("A page does not open with the key of its cube: it was changed, or is another cube's.") from error


class FileKeyring:
    """The keys of the cubes in ``vault``, in ``folder``, which may be the same. The secret is asked for when it is needed."""

    def __init__(self, vault: Path, folder: Path, secret: Callable[[], Secret], *, is_armed: bool) -> None:
        self._folder, self._secret, self._is_armed = folder, secret, is_armed
        self._place = None if folder == vault else str(vault.resolve())

    @property
    def is_armed(self) -> bool:
        return self._is_armed

    def path(self, cube: str) -> Path:
        """The file of a cube's key."""
        return self._folder / f"{cube}{SUFFIX}"

    def has(self, cube: str) -> bool:
        return self.path(cube).exists()

    def open(self, cube: str) -> bytes:
        named, pending = self.path(cube), self._pending(cube)
        for path in (named, pending, named):  # an encryption that ends meanwhile gives the second the first one's name
            if (found := _read(path)) is not None:
                return _unwrap(found, self._secret(), path)
        raise Denied(
            f"Cube {cube!r} is encrypted, and its key is not at {self.path(cube)}. Put the key file back, or set key_folder to where it "
            "is. If the cube was shredded, nothing can open it any more: delete the file."
        )

    def envelope(self, key: bytes) -> PageEnvelope:
        return PageEnvelope(key)

    def claim(self, cube: str) -> bytes:
        path = self.path(cube)
        with _translated(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                with contextlib.suppress(FileExistsError), _written(path, self._new(secrets.token_bytes(KEY_BYTES))) as temporary:
                    path.hardlink_to(temporary)  # unlike a renaming it takes nobody's place
                _sync(self._folder)
        found = _read(path)
        if found is None or found.get("place") != self._place:
            raise Conflict(
                f"{path} belongs to a cube in {(found or {}).get('place') or 'another vault'}. Give each vault a key_folder of its own."
            )
        return _unwrap(found, self._secret(), path)

    def prepare(self, cube: str) -> bytes:
        key = secrets.token_bytes(KEY_BYTES)
        path = self._pending(cube)
        with _translated(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            with _written(path, self._new(key)) as temporary:
                temporary.replace(path)
            _sync(self._folder)
        return key

    def retire(self, cube: str) -> None:
        with _translated(self.path(cube)), _held(self.path(cube)):
            self.path(cube).replace(self._pending(cube))
            _sync(self._folder)

    def settle(self, cube: str, *, is_encrypted: bool) -> None:
        pending = self._pending(cube)
        if not pending.exists() or not os.access(self._folder, os.W_OK):
            return
        with _translated(pending), contextlib.suppress(FileNotFoundError):  # somebody else was faster
            if not is_encrypted or self.has(cube):
                _destroy(pending)
            else:
                pending.replace(self.path(cube))
            _sync(self._folder)

    def rewrap(self, cube: str, secret: Secret) -> None:
        path = self.path(cube)
        before = _read(path)
        wrapped = _wrap(self.open(cube), secret, self._place)
        with _translated(path), contextlib.suppress(FileNotFoundError), _held(path) as old:
            if _read(path) == before:
                with _written(path, wrapped) as temporary:
                    temporary.replace(path)
                _sync(self._folder)
                if os.fstat(old).st_nlink == 0:
                    _overwrite(old)
                return
        raise Conflict(
            f"The key in {path} was destroyed or changed in this moment, and is not wrapped anew. `loci stats` shows what is there."
        )

    def destroy(self, cube: str) -> list[Path]:
        gone: list[Path] = []
        with _translated(self.path(cube)):
            for path in (self.path(cube), self._pending(cube), self.path(cube)):
                with contextlib.suppress(FileNotFoundError):  # there is none, or somebody else was faster
                    _destroy(path)
                    gone.append(path)
            if gone:
                _sync(self._folder)
        return gone

    def _pending(self, cube: str) -> Path:
        path = self.path(cube)
        return path.with_name(path.name + PENDING)

    def _new(self, key: bytes) -> bytes:
        return _wrap(key, self._secret(), self._place)


def _wrap(key: bytes, secret: Secret, place: str | None) -> bytes:
    """The content of a key file."""
    is_by_file = secret.key_file is not None
    salt = {} if is_by_file else {**KDF, "salt": secrets.token_hex(16)}
    fields = {"loci key": VERSION, "by": BY_KEY_FILE if is_by_file else BY_PASSPHRASE, **salt, "nonce": secrets.token_hex(12)}
    if place is not None:
        fields["place"] = place
    wrapped = _cipher(_wrapping(fields, secret)).encrypt(bytes.fromhex(str(fields["nonce"])), key, _bound(fields))
    return (json.dumps({**fields, "wrapped": wrapped.hex()}, indent=1) + "\n").encode()


def _unwrap(fields: Fields, secret: Secret, path: Path) -> bytes:
    try:
        from cryptography.exceptions import InvalidTag
    except ImportError as error:
        raise _unsupported() from error
    by = fields["by"]
    if not (secret.passphrase if by == BY_PASSPHRASE else secret.key_file):
        raise Denied(f"The key in {path} is wrapped by a {by}. Name it in {HOW[by]} and open the vault again. Nothing was touched.")
    try:
        nonce, wrapped = bytes.fromhex(fields["nonce"]), bytes.fromhex(fields["wrapped"])
        key = _cipher(_wrapping(fields, secret)).decrypt(nonce, wrapped, _bound(fields))
    except InvalidTag as error:
        raise Denied(
            f"The {by} does not open the key in {path}: it is another one, or the file was changed. Check {HOW[by]}. Nothing was touched."
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path) from error
    return bytes(key)


def _wrapping(fields: Fields, secret: Secret) -> bytes:
    """The key that wraps the data key."""
    if fields["by"] == BY_KEY_FILE:
        return key_in(secret.key_file)
    if not secret.passphrase:
        raise Invalid("A passphrase is empty. Give one that nobody guesses.")
    if not all(isinstance(fields[name], int) and 0 < fields[name] <= most for name, most in MOST.items()):
        raise ValueError("the work of the passphrase is out of bounds")
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    except ImportError as error:
        raise _unsupported() from error
    passphrase = unicodedata.normalize("NFC", secret.passphrase).encode()
    work = {"iterations": fields["iterations"], "lanes": fields["lanes"], "memory_cost": fields["memory_kib"]}
    try:
        with DERIVING:
            return bytes(Argon2id(salt=bytes.fromhex(fields["salt"]), length=KEY_BYTES, **work).derive(passphrase))
    except UnsupportedAlgorithm as error:
        raise Unsupported(f"The installed cryptography has no Argon2id. Upgrade it: {INSTALL} --upgrade") from error


def key_in(path: Path | None) -> bytes:
    """The 32 bytes of a key file."""
    assert path is not None
    try:
        with path.open("rb") as file:
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise Denied(f"The key file {path} cannot be read: {error.strerror}. Check the setting key_file.") from error
    if len(key) != KEY_BYTES:
        raise Denied(f"{path} is no key file: it must hold exactly {KEY_BYTES} bytes. `loci keygen FILE --for cubes` makes one.")
    return key


def make_key(path: Path) -> None:
    """A new key file, readable by its owner alone. Raises `Conflict` when there is a file."""
    save_new(path, secrets.token_bytes(KEY_BYTES))


def save_new(path: Path, content: bytes) -> None:
    """A file that was not there, readable by its owner alone."""
    with _translated(path), _written(path, content) as temporary:
        try:
            path.hardlink_to(temporary)
        except FileExistsError as error:
            raise Conflict(f"{path} is there already, and a key is never overwritten. Choose another name.") from error
        _sync(path.parent)


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise _unsupported() from error
    return AESGCM(key)


def _unsupported() -> Unsupported:
    return Unsupported(f"Encrypted cubes need the package cryptography, which is not installed here. Install it: {INSTALL}")


def _bound(fields: Fields) -> bytes:
    """What is authenticated with the wrapped key: every other field, spelt in one way."""
    kept = {name: value for name, value in fields.items() if name != "wrapped"}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()


def _read(path: Path) -> Fields | None:
    """The fields of a key file; None when there is none. Raises for what is not one."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Denied(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    try:
        fields = json.loads(raw)
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(fields, dict) or not isinstance(fields.get("loci key"), int):
        raise _damaged(path)
    if fields["loci key"] > VERSION:
        raise NewerSchema(f"{path} was written by a newer Loci. It was not touched: upgrade with `pip install -U loci-memos`.")
    if fields.get("by") not in HOW:
        raise _damaged(path)
    return fields


def _damaged(path: Path) -> Corrupt:
    return Corrupt(
        f"{path} is damaged: it is not the key file that was written. Restore a copy of it; without it the cube cannot be opened."
    )


@contextlib.contextmanager
def _written(path: Path, content: bytes) -> Iterator[Path]:
    """A durable file beside ``path`` that is gone after the block unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _destroy(path: Path) -> None:
    with _held(path) as key:
        _overwrite(key)
        path.unlink()


@contextlib.contextmanager
def _held(path: Path) -> Iterator[int]:
    """The key file at ``path``, which nobody else wraps anew, moves or destroys in the block. Raises `FileNotFoundError` when there is none."""
    while True:
        with path.open("r+b") as file:
            _lock(file.fileno())
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file.fileno()
                return


def _lock(handle: int) -> None:
    """Locks an open file until it is closed, where the system and the file system have such locks."""
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)


def _overwrite(handle: int) -> None:
    os.pwrite(handle, secrets.token_bytes(os.fstat(handle).st_size), 0)
    os.fsync(handle)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise ReadOnly(f"{path} cannot be written: {error.strerror}. Check the permissions of its folder.") from error
    except FileNotFoundError as error:
        raise Invalid(f"There is no folder {path.parent} to write {path.name} to. Make it first.") from error
    except OSError as error:
        raise Unavailable(f"{path} was not written: {error.strerror}. Nothing was changed.") from error
