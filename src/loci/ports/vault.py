"""What the kernel asks of a vault: which cubes there are, who may do what, the files of cubes, their keys, signatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from loci.ports.store import Store
from loci.types import Fault, Grant, Head, Key, Record


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the registry: a cube and, for a branch, the cube and the time it was made from."""

    cube: str
    id: str
    created: datetime
    parent: str | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stretched:
    """What is kept of an API key: a salt, and what a password hash makes of both."""

    salt: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Act:
    """What is written into the vault's log: who did what to what, when."""

    at: datetime
    principal: str
    verb: str
    object: str
    detail: Mapping[str, Any] = field(default_factory=dict)


class Registry(Protocol):
    """Remembers which cubes a vault has had, who may do what to them, and what was done about that. It is not the truth about cubes: the
    files are. Every change is durable when it returns, and one with its record in the log."""

    def note(self, entry: Entry) -> None:
        """Noting a cube again replaces its line."""

    def entries(self) -> list[Entry]: ...

    def grants(self, *principals: str) -> list[Grant]:
        """The grants of these principals, or all; oldest first."""

    def add_grant(self, grant: Grant, act: Act) -> Grant:
        """Adds it, unless one that is not counted gives the very same already. Returns the one that is in force, which is then the older."""

    def end_grant(self, id: str, act: Act) -> None:
        """Raises ``Missing``."""

    def spend(self, id: str) -> bool:
        """Takes one use from a counted grant. False when none is left; two callers never get the same one."""

    def give_back(self, id: str) -> None:
        """Gives back a use that was taken, of a grant that is there still."""

    def issued(self) -> list[tuple[Key, Stretched]]:
        """Every key, oldest first."""

    def key(self, id: str) -> tuple[Key, Stretched] | None: ...

    def add_key(self, key: Key, secret: Stretched, act: Act) -> None: ...

    def end_key(self, id: str, act: Act) -> None:
        """Raises ``Missing``."""

    def audit(self, act: Act) -> None:
        """Appends to the vault's own log, which is chained as a cube's is."""

    def records(
        self, since: datetime | None, until: datetime | None, verb: str | None, object: str | None, limit: int, principal: str | None = None,
        before: int | None = None, changes: bool = False,
    ) -> list[Record]:  # fmt: skip
        """The newest ``limit`` records that match, of those before the number ``before``, oldest first."""

    def head(self) -> Head: ...

    def faults(self, kept: Head | None = None) -> list[Fault]:
        """What is wrong with the log, and with it in the light of a head that was kept."""

    def close(self) -> None: ...


class Files(Protocol):
    """The files of a vault's cubes, plain or encrypted."""

    def open(self, path: Path, cube: str, *, create: bool, key: bytes | None) -> Store:
        """The store in a file. Raises ``Denied`` for an encrypted file without its key, and for a plain one with a key."""

    def is_encrypted(self, path: Path) -> bool:
        """Whether a file is there and begins as an encrypted cube does."""

    def check_exchange(self, path: Path, before: bytes | None) -> None:
        """Raises ``Locked`` while somebody else has the file open, and ``Conflict`` where it has a second name."""

    def exchange(self, path: Path, before: bytes | None, prepare: Callable[[], bytes | None], settle: Callable[[], None]) -> None:
        """Puts the same cube under another key, or under none, in the place of the file. ``prepare`` gives the key once nobody else
        has the file open, ``settle`` is called when the new file is in its place; a process that dies in between leaves the old file
        or the new one, whole. What the old one held is overwritten. Raises as `check_exchange` does."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What wraps data keys: a passphrase, or the file of a key."""

    passphrase: str = field(default="", repr=False)
    key_file: Path | None = None


class Envelope(Protocol):
    """Keeps what lies beside an encrypted cube, under a key of its own that comes of the cube's."""

    def seal(self, data: bytes) -> bytes:
        """Ciphertext that nobody else can read, or make."""

    def open(self, data: bytes | bytearray) -> bytes:
        """What was sealed. Raises ``Corrupt`` for anything else."""


class Keyring(Protocol):
    """The data keys of a vault's cubes: random, one a cube, kept wrapped by a secret. A key is *pending* while its cube's file is
    being changed: then the file says whether it counts."""

    @property
    def is_armed(self) -> bool:
        """Whether there is a secret. New cubes are encrypted then."""

    def has(self, cube: str) -> bool:
        """Whether the cube has a key that is not pending. Its file must be encrypted then."""

    def open(self, cube: str) -> bytes:
        """The data key of an encrypted cube, pending or not. Raises ``Denied`` without the right secret, or when there is no key."""

    def claim(self, cube: str) -> bytes:
        """The data key of a cube to be made; of all who claim it at once, one makes it. Durable when it returns."""

    def prepare(self, cube: str) -> bytes:
        """A new data key, pending. Only for who holds the cube's file alone."""

    def retire(self, cube: str) -> None:
        """Makes the cube's key pending."""

    def settle(self, cube: str, *, is_encrypted: bool) -> None:
        """Makes a pending key the cube's if its file is encrypted, and destroys it if not."""

    def rewrap(self, cube: str, secret: Secret) -> None:
        """Wraps the data key by another secret, in one step. The data key stays."""

    def envelope(self, key: bytes) -> Envelope:
        """For the files beside the cube that has this data key."""

    def destroy(self, cube: str) -> list[Path]:
        """Overwrites and removes every key of the cube's, durably. Returns the files that were."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed something, by public key, and the proof."""

    key: bytes
    value: bytes


class Notary(Protocol):
    """Signs, and tells whose signature it is."""

    def sign(self, key_file: Path, content: bytes) -> Signature:
        """A signature by the private key in a file."""

    def is_genuine(self, signature: Signature, content: bytes) -> bool:
        """Whether the holder of the signature's key signed just this. Raises ``Unsupported`` where it cannot be told."""

    def public(self, named: str) -> bytes:
        """A public key by itself, or in the file of that name. Raises ``Invalid``."""
