"""Addresses of the net, told from paths."""

from __future__ import annotations

import re

_BEGUN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def is_address(path: str) -> bool:
    """Whether it is one, also as a `Path` writes it, with one slash of two; of a drive (``c:/``) it is not."""
    return _BEGUN.match(path) is not None
