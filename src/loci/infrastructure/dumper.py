"""MemDumper: a cube as JSON Lines that `loader` reads back. Nothing is interpreted: what was journaled, what is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from loci.errors import Conflict
from loci.infrastructure.exported import VERSION
from loci.infrastructure.files import translated, writing
from loci.infrastructure.signature import Digest, line, shown
from loci.ports import RowFilter, Signature, Store
from loci.text.plain import plain
from loci.types import Link, Memory, Source, State

PAGE = 2000  # memories read at once


def dump(
    store: Store, path: Path, now: datetime, *, overwrite: bool = False, sign: Callable[[bytes], Signature] | None = None
) -> Mapping[str, object]:
    """Writes a cube to ``path``: a header, a line for each source, a line for each memory with all its versions, and the
    signature of all that where there is a ``sign``. It is plain text, also of an encrypted cube.

    The file is there whole or not at all, readable by its owner alone. Returns how many of each. Raises `Conflict` when
    there is a file and ``overwrite`` is false.
    """
    with translated(path):
        if not overwrite and path.exists():
            raise Conflict(f"{path} is there already. Choose another name, or say that it is to be replaced (--overwrite, overwrite=True).")
    memories, sources = _memories(store), store.sources()  # in this order: every memory's source is among those read after
    links: dict[str, list[Link]] = {}
    for link in store.links():
        for end in {link.source, link.target}:
            links.setdefault(end, []).append(link)
    kept = {source.id for source in sources}
    memories = {id: versions for id, versions in memories.items() if all(span.source in kept for m in versions for span in m.spans)}
    counts = {"sources": len(sources), "memories": len(memories)}
    with writing(path, overwrite=overwrite) as file:
        digest = Digest()

        def write(fields: Mapping[str, object]) -> None:
            file.write(digest.update(_line(fields)))

        write({"loci": VERSION, "cube": store.cube, "exported": now, **counts, **({"signed": True} if sign else {})})
        for source in sources:
            write(_source(source))
        for id, versions in memories.items():
            write({"memory": id, "versions": versions, "links": links.get(id, ())})
        if sign is None:
            return counts
        signature = sign(digest.signed())
        file.write(line(signature))
    return {**counts, "signed_by": shown(signature.key)}


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
        "source": source.id, "message": source.message, "user": scope.user, "agent": scope.agent,
        "principal": source.principal, "channel": source.channel, "origin": source.origin, "trust": source.trust, "recorded": source.recorded, "hash": source.hash.hex(),
    }  # fmt: skip


def _line(fields: Mapping[str, object]) -> bytes:
    return (json.dumps(plain(fields), ensure_ascii=False, separators=(",", ":")) + "\n").encode()
