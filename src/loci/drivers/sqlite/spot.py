"""Whether a file is still in the place that it was opened at. SQLite goes on with a file that was deleted or replaced: what is written to it
then is lost with the last connection."""

from __future__ import annotations

from pathlib import Path

from loci.errors import Unavailable


class Spot:
    """The file at a path, as it was when this was made: after it was opened."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, _which(path)

    def expect(self) -> None:
        """Raises `Unavailable` when the file is gone, or another has taken its place."""
        found = _which(self._path)
        if found != self._file:
            raise Unavailable(
                f"{self._path} was {'deleted' if found is None else 'replaced by another file'} while it was open here. Nothing is written to it:"
                " that would be lost. Put the file back, or a copy of it, and open the vault again (start the server anew)."
            )


def _which(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
