"""Whom a vault is open for, by their keys."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict

from loci.system import System

MAX_KEYS = 256  # of which it is remembered that they were right
NO_KEY = "Say who you are: `Authorization: Bearer KEY`. `loci key NAME` makes a key, `loci grant NAME ROLE --on CUBE` says what it may."


FOREIGN = (
    "Keys of Loci's begin with `loci.`; if this is a model provider's, send Loci's beside it as `X-Loci-Key`. `loci serve --open` wants none, for programs on this "
    "machine alone."
)


class Keys:
    """A key that was right is remembered by a keyed hash, for to stretch one takes 50 ms; whether it is still good is asked at each request."""

    def __init__(self, system: System) -> None:
        self._system, self._secret, self._lock = system, secrets.token_bytes(32), threading.Lock()
        self._known: OrderedDict[bytes, System] = OrderedDict()

    def known(self, key: str) -> System | None:
        """The vault for the bearer of a key that was right before and is still good."""
        name = self._name(key)
        with self._lock:
            found = self._known.get(name)
        return found if found is not None and found.is_live else None

    def opened(self, key: str) -> System:
        """The vault for the bearer of a key. Raises `Denied`."""
        if (found := self.known(key)) is None:
            found = self._system.authenticate(key)
            with self._lock:
                self._known[self._name(key)] = found
                if len(self._known) > MAX_KEYS:
                    self._known.popitem(last=False)
        return found

    def _name(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode(errors="backslashreplace"), key=self._secret).digest()
