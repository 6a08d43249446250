"""Ed25519 signatures, by the package cryptography: who holds a private key vouches for a file, and anybody can tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from loci.errors import Denied, Invalid, Unsupported
from loci.ports import Signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

INSTALL = "pip install 'loci-memos[encryption]'"
PUBLIC = re.compile(r"(?:ed25519:)?([0-9a-f]{64})")
MAX_FILE_BYTES = 4096


class Ed25519:
    """A `Notary`. Private keys are PEM files as `openssl genpkey -algorithm ed25519` writes them too."""

    def sign(self, key_file: Path, content: bytes) -> Signature:
        key = _private(key_file)
        return Signature(key.public_key().public_bytes_raw(), key.sign(content))

    def is_genuine(self, signature: Signature, content: bytes) -> bool:
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError as error:
            raise _unsupported() from error
        try:
            Ed25519PublicKey.from_public_bytes(signature.key).verify(signature.value, content)
        except (InvalidSignature, ValueError):
            return False
        return True

    def public(self, named: str) -> bytes:
        text = named.strip()
        if not PUBLIC.fullmatch(text):
            try:
                with Path(named).expanduser().open("rb") as file:
                    text = file.read(MAX_FILE_BYTES).decode("ascii", "replace").strip()
            except (OSError, RuntimeError, ValueError) as error:  # no file, no such home, no name of a file
                raise Invalid(f"{named!r} is no public key (ed25519:, then 64 hexadecimal digits), and no file that holds one.") from error
        found = PUBLIC.fullmatch(text)
        if found is None:
            raise Invalid(
                f"{named} holds no public key (ed25519:, then 64 hexadecimal digits). `loci keygen` writes one beside the private."
            )
        return bytes.fromhex(found[1])


def make_signer() -> tuple[bytes, bytes]:
    """A new private key as PEM, and its public key."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    except ImportError as error:
        raise _unsupported() from error
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), key.public_key().public_bytes_raw()


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise _unsupported() from error
    try:
        with path.open("rb") as file:
            key = load_pem_private_key(file.read(MAX_FILE_BYTES), password=None)
    except OSError as error:
        raise Denied(f"The signing key {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(f"{path} is no signing key. `loci keygen FILE` makes one.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid(f"{path} is a key of another kind; it must be Ed25519. `loci keygen FILE` makes one.")
    return key


def _unsupported() -> Unsupported:
    return Unsupported(f"Signatures need the package cryptography, which is not installed here. Install it: {INSTALL}")
