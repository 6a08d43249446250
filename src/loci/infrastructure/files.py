"""Files that get their name only when they are whole, durably; and what a file system says, as Loci's errors."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from loci.errors import Conflict, Invalid, Missing, NotDurable, ReadOnly, StorageFull, Unavailable

PART = ".part"  # ending of a file that is being written


def publish(temporary: Path, path: Path, *, overwrite: bool = False) -> None:
    """Gives a file its name, durably. A link, unlike a rename, fails when somebody else took the name meanwhile: `FileExistsError`."""
    try:
        if overwrite:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    except OSError as error:
        if overwrite or error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        temporary.replace(path)  # a file system without links
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        raise NotDurable(f"{path} is there, but a power cut may take its name away ({error.strerror}). Look at the disk.") from error
    finally:
        os.close(folder)


@contextlib.contextmanager
def writing(path: Path, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """A file beside ``path`` that takes its place when the block ends well, and is gone when it does not. It is readable by
    its owner alone."""
    with translated(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:60]}.", suffix=PART, dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            publish(temporary, path, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)


def there(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Those of these paths that are there, each with what the file system says of it: others may remove some meanwhile."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            yield path, path.stat()


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of the file system as Loci's, each with the next step."""
    try:
        yield
    except FileExistsError as error:
        raise Conflict(f"{path} is there already. Choose another name, or overwrite it.") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing(f"There is no folder {path.parent} to write {path.name} to. Make it first.") from error
    except IsADirectoryError as error:
        raise Invalid(f"{path} is a folder. Give the name of a file in it.") from error
    except PermissionError as error:
        raise ReadOnly(f"{path} cannot be written: {error.strerror}. Choose another folder.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"The disk is full: {path} was not written. Free some space and try again.") from error
        if error.errno == errno.ENAMETOOLONG:
            raise Invalid(f"{path} is longer than a name of a file may be. Choose a shorter one.") from error
        if error.errno == errno.EROFS:
            raise ReadOnly(f"{path} cannot be written: {error.strerror}. Choose another folder.") from error
        raise Unavailable(f"{path} was not written: {error.strerror}.") from error
