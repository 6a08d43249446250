"""The folder of a bundle: written whole or not at all, and read as what anybody may have put there.

Nothing is followed, nothing is opened by a name that a file gives, and of every file the size is compared before it is read and
the hash before it is looked at. What is read is what was hashed: it is in memory by then.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from loci.errors import Conflict, Invalid, LociError, Malformed, Missing, TooLarge
from loci.infrastructure.files import translated, writing
from loci.infrastructure.pages import sync
from loci.memories import pages
from loci.memories.bundle import NOT_TAKEN, Part, page_prefix, part_name
from loci.ports.engine import Tensor, Tensors

MANIFEST = "manifest.json"
LONGEST_MANIFEST = 1 << 24  # bytes
PART_BYTES = 1 << 27  # that a part is filled with; whoever reads it has it in memory


def write(folder: Path, found: Iterable[Tensors], describe: Callable[[list[Part]], bytes]) -> int:
    """Writes pages, in order, and what ``describe`` says of the parts. The folder is there as a whole or not at all, for its owner alone.
    Returns the bytes. Raises `Conflict` where there is something already."""
    with translated(folder):
        if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
            raise Conflict(f"{folder} is there already, and not an empty folder. Choose another name.")
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name[:60]}.", suffix=".part", dir=folder.parent))
    try:
        parts = [_written(made, place, tensors, count) for place, (tensors, count) in enumerate(_gathered(found))]
        with writing(made / MANIFEST) as file:
            size = file.write(describe(parts))
        with translated(folder):
            made.rename(folder)
            sync(folder.parent)
    finally:
        if made.exists():
            shutil.rmtree(made)
    return size + sum(part.bytes for part in parts)


def _gathered(found: Iterable[Tensors]) -> Iterator[tuple[Tensors, int]]:
    """Pages as they go into parts, by the names that they have there, and how many."""
    part: dict[str, Tensor] = {}
    size = count = 0
    for place, page in enumerate(found):
        new = sum(len(tensor.data) for tensor in page.values())
        if count and (size + new > PART_BYTES or len(part) + len(page) > pages.MOST_TENSORS):
            yield part, count
            part, size, count = {}, 0, 0
        part.update({page_prefix(place) + name: tensor for name, tensor in page.items()})
        size, count = size + new, count + 1
    yield part, count


def _written(folder: Path, place: int, tensors: Tensors, count: int) -> Part:
    data = pages.dump(tensors)
    with writing(folder / part_name(place)) as file:
        file.write(data)
    return Part(part_name(place), len(data), sha256(data).hexdigest(), count)


class Reader:
    """The files of a bundle's folder, which is open: what is put in its place meanwhile is not looked at."""

    def __init__(self, handle: int, folder: Path) -> None:
        self._handle, self._folder = handle, folder

    def manifest(self) -> bytes:
        return bytes(self._bytes(MANIFEST, LONGEST_MANIFEST))

    def part(self, part: Part) -> Tensors:
        """The tensors of a part. Raises `Malformed` for one that is not as the manifest has it."""
        data = self._bytes(part.file, part.bytes, exactly=True)
        if sha256(data).hexdigest() != part.sha256:
            raise Malformed(f"{part.file} is not what manifest.json tells the hash of: it was changed. {NOT_TAKEN}")
        try:
            return pages.load(memoryview(data))
        except LociError as error:
            raise Malformed(f"{part.file}: {error} {NOT_TAKEN}") from error

    def _bytes(self, name: str, most: int, *, exactly: bool = False) -> bytearray:
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._handle)
        except FileNotFoundError as error:
            raise Missing(f"There is no {name} in {self._folder}. {NOT_TAKEN}") from error
        except OSError as error:
            raise Malformed(f"{name} in {self._folder} cannot be opened, or is a link: {error.strerror}. {NOT_TAKEN}") from error
        known = os.fstat(handle)
        if not stat.S_ISREG(known.st_mode):
            os.close(handle)
            raise Malformed(f"{name} in {self._folder} is no file. {NOT_TAKEN}")
        with os.fdopen(handle, "rb") as file:
            if known.st_size > most:
                raise TooLarge(f"{name} has {known.st_size:,} bytes, more than {most:,}. {NOT_TAKEN}")
            data = bytearray(known.st_size)
            if file.readinto(data) != known.st_size or (exactly and known.st_size != most):
                raise Malformed(f"{name} has {known.st_size:,} bytes, or fewer; manifest.json says {most:,}. {NOT_TAKEN}")
        return data


@contextmanager
def opened(folder: Path) -> Iterator[Reader]:
    """The folder of a bundle. Raises `Missing` or `Invalid`."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Missing(f"There is no folder {folder}. `loci kv export` writes one.") from error
    except OSError as error:
        raise Invalid(
            f"{folder} is no folder that can be read, or a link to one: {error.strerror}. Name the folder of a bundle."
        ) from error
    try:
        yield Reader(handle, folder)
    finally:
        os.close(handle)
