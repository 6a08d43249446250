"""MemDumper: a cube as JSON Lines that `loader` reads back. Nothing is interpreted: what was journaled, what is remembered."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from loci.errors import Conflict, Invalid, Missing, ReadOnly, StorageFull, Unavailable
from loci.infrastructure.formats import VERSION
from loci.ports import RowFilter, Store
from loci.types import Memory, Source, State

PAGE = 2000  # memories read at once


def dump(store: Store, path: Path, now: datetime, *, overwrite: bool = False) -> Mapping[str, int]:
    """Writes a cube to ``path``: a header, a line for each source, a line for each memory with all its versions.

    The file is there whole or not at all, readable by its owner alone. Returns how many of each. Raises `Conflict` when
    there is a file and ``overwrite`` is false.
    """
    with translated(path):
        if not overwrite and path.exists():
            raise FileExistsError(path)
    memories, sources = _memories(store), store.sources()  # in this order: every memory's source is among those read after
    kept = {source.id for source in sources}
    memories = {id: versions for id, versions in memories.items() if all(span.source in kept for m in versions for span in m.spans)}
    counts = {"sources": len(sources), "memories": len(memories)}
    with _writing(path, overwrite) as file:
        file.write(_line({"loci": VERSION, "cube": store.cube, "exported": now, **counts}))
        for source in sources:
            file.write(_line(_source(source)))
        for id, versions in memories.items():
            links = [asdict(link) for link in store.links(id)]
            file.write(_line({"memory": id, "versions": [asdict(m) for m in versions], "links": links}))
    return counts


def _memories(store: Store) -> dict[str, list[Memory]]:
    """Every memory with its versions, whatever its state and whether it still holds, in the order they were remembered."""
    everything = RowFilter(now=datetime.min.replace(tzinfo=UTC), states=frozenset(State), is_past=True)
    found: dict[str, list[Memory]] = {}
    offset = 0
    while page := store.select(everything, PAGE, offset):
        offset += len(page)
        for memory in page:
            found.setdefault(memory.id, []).append(memory)
    return found


def _source(source: Source) -> dict[str, object]:
    scope = source.scope
    return {
        "source": source.id, "message": asdict(source.message), "user": scope.user, "agent": scope.agent,
        "principal": source.principal, "channel": source.channel, "recorded": source.recorded, "hash": source.hash.hex(),
    }  # fmt: skip


def _line(fields: Mapping[str, object]) -> bytes:
    return (json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=datetime.isoformat) + "\n").encode()


@contextlib.contextmanager
def _writing(path: Path, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file beside ``path`` that takes its place when the block ends well, and is gone when it does not."""
    with translated(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:60]}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _publish(temporary, path, overwrite)
        finally:
            temporary.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path, overwrite: bool) -> None:
    """Gives the file its name, durably. A link, unlike a rename, fails when somebody else took the name meanwhile."""
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
    finally:
        os.close(folder)


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
