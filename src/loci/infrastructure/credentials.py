"""API keys: made once, shown once, and kept only as what scrypt makes of them (RFC 7914; N = 2^14, r = 8, p = 1: 16 MiB and some
fifty milliseconds a guess)."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime
from hashlib import scrypt

from loci.errors import Denied
from loci.ports import Registry, Stretched
from loci.types import Key

PREFIX = "loci"
COST, BLOCK, LANES, BYTES = 1 << 14, 8, 1, 32
NOBODY = Stretched(bytes(16), bytes(BYTES))
REFUSED = "This key is not valid here: it is unknown, has run out or was revoked. `loci keys` shows those that are in use."


def make() -> tuple[str, str, Stretched]:
    """(id, the key as its bearer has it, what is kept of it)."""
    id, words, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
    return id, f"{PREFIX}.{id}.{words}", Stretched(salt, _stretched(words, salt))


def check(registry: Registry, text: str, now: datetime) -> Key:
    """Whose key this is. Raises `Denied`, with the same words and after the same work whatever is wrong with it."""
    prefix, _, rest = text.partition(".")
    id, _, words = rest.partition(".")
    key, secret = registry.key(id if id.isascii() else "") or (None, NOBODY)
    is_right = hmac.compare_digest(_stretched(words, secret.salt), secret.hash)
    if key is None or prefix != PREFIX or not is_right or not _is_live(key, now):
        raise Denied(REFUSED)
    return key


def is_valid(registry: Registry, key: Key, now: datetime) -> bool:
    """Whether a key that came in once is still good: revoking it holds from the next call on."""
    known = registry.key(key.id)
    return known is not None and _is_live(known[0], now)


def _is_live(key: Key, now: datetime) -> bool:
    return key.revoked is None and (key.expires is None or now < key.expires)


def _stretched(words: str, salt: bytes) -> bytes:
    return scrypt(words.encode(errors="backslashreplace"), salt=salt, n=COST, r=BLOCK, p=LANES, dklen=BYTES)
