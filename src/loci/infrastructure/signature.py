"""Signed exports: the last line of the file vouches for every byte before it.

It is a signature, and no watermark: it tells whose file this is and that nobody changed it, not where copied sentences came
from. A mark that survives a paraphrase has to lie in the choice of words, and memories quote what people said word for word:
there is no choice to put it in, and without a model none to read it out. So nothing is claimed that could not be kept.
"""

from __future__ import annotations

import json
import re
from hashlib import sha512

from loci.errors import Denied, Malformed, Unsupported
from loci.ports import Notary, Signature

VERSION = 1
LINE = re.compile(rb'\{"loci_signature":1,"algorithm":"ed25519","key":"([0-9a-f]{64})","value":"([0-9a-f]{128})"\}\n')
PURPOSE = b"loci export, signature 1\n"  # a signature given for something else can never be taken for one of these


class Digest:
    """What is signed of an export: the hash of its bytes, in the order they are written."""

    def __init__(self, content: bytes = b"") -> None:
        self._hash = sha512(content)

    def update(self, content: bytes) -> bytes:
        self._hash.update(content)
        return content

    def signed(self) -> bytes:
        return PURPOSE + self._hash.digest()


def line(signature: Signature) -> bytes:
    """The last line of a signed file."""
    fields = {"loci_signature": VERSION, "algorithm": "ed25519", "key": signature.key.hex(), "value": signature.value.hex()}
    return (json.dumps(fields, separators=(",", ":")) + "\n").encode()


def shown(key: bytes) -> str:
    """A public key as people write it."""
    return f"ed25519:{key.hex()}"


def split(raw: bytes) -> tuple[bytes, Signature | None]:
    """What a file says, and its signature if its last line is one, spelt just as `line` spells it."""
    start = raw.rfind(b"\n", 0, len(raw) - 1) + 1
    found = LINE.fullmatch(raw, start)
    if found is None:
        return raw, None
    return raw[:start], Signature(bytes.fromhex(found[1].decode()), bytes.fromhex(found[2].decode()))


def checked(name: str, raw: bytes, notary: Notary | None, signed_by: bytes | None) -> tuple[bytes, str | None]:
    """What a file says without its signature, and a note about that. With ``signed_by`` raises `Denied` unless the holder of that key
    signed just these bytes; without, `Malformed` for a signature that does not fit them. Nothing of the content is read for it."""
    content, signature = split(raw)
    if signed_by is not None and signature is None:
        raise Denied(f"{name} is not signed, or was cut short or changed since: its last line is no signature. Nothing was imported.")
    if signature is None or notary is None:
        return content, None
    if signed_by is not None and signature.key != signed_by:
        raise Denied(f"{name} is signed by {shown(signature.key)}, not by {shown(signed_by)}. Nothing was imported.")
    try:
        is_genuine = notary.is_genuine(signature, Digest(content).signed())
    except Unsupported as error:
        if signed_by is not None:
            raise
        return content, f"the signature was not checked: {error}"
    if is_genuine:
        return content, f"signed by {shown(signature.key)}, and unchanged since"
    told = f"{name} is not what {shown(signature.key)} signed: it was changed since. Nothing was imported."
    raise Malformed(told) if signed_by is None else Denied(told)
