"""The slot files of a llama.cpp server, where its folder is one of this machine: they can be looked at, and destroyed."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from loci.infrastructure.files import there, translated
from loci.infrastructure.pages import destroy, sync


class Shelf:
    """``folder`` is the server's ``--slot-save-path`` as this machine sees it; None where it is out of reach. ``room`` is how many bytes
    the files of a cube may take there."""

    def __init__(self, folder: Path | None, room: int) -> None:
        self.folder, self.room = folder, room

    def size(self, name: str) -> int | None:
        """In bytes; None where there is no such file, or no folder that could be looked into."""
        path = self._path(name)
        return None if path is None else next((known.st_size for _, known in there([path])), None)

    def hash(self, name: str) -> str:
        """SHA-256 of a file; empty where `size` is None."""
        path = self._path(name)
        if path is None:
            return ""
        digest = sha256()
        with translated(path), path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def destroy(self, name: str) -> bool:
        """Overwrites a file and takes it away, durably. False where there was none, or no folder."""
        path = self._path(name)
        if path is None:
            return False
        destroy(path)
        sync(path.parent)
        return True

    def _path(self, name: str) -> Path | None:
        assert name == Path(name).name, name
        if self.folder is None:
            return None
        path = self.folder / name
        return path if path.is_file() and not path.is_symlink() else None
