"""A file that is not as it was written."""

from __future__ import annotations

from pathlib import Path


def damage(file: Path) -> None:
    """Changes the last byte of a file, whatever it was."""
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
