"""Headers of what models made of memories. An activation memory and an adapter are memories of another form: who asks for one by its id, for its past
or its causes, is told so in the same header as of words. Pure.

Neither has words of its own: ``text`` says what it is, ``spans`` are where the words are that it was made of, and ``metadata`` holds what only its form has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from loci.policy.trust import least
from loci.ports import PayloadRow
from loci.ports.adapters import AdapterRow, Learning
from loci.ports.engine import Manifest, Quoted
from loci.types import Channel, Interval, Kind, Link, Memory, Origin, Part, Scope, State, Type

MADE_OF = "made_of"


@dataclass(frozen=True, slots=True)
class Made:
    """Of what a version of it was made, and by whom: the memories as they read then, the principal that asked for it, and since when another version is in its place."""

    words: Sequence[Memory]
    by: str
    until: datetime | None = None


def of_activation(row: PayloadRow, manifest: Manifest, scope: Scope, made: Made, void: str) -> Memory:
    """The header of an activation memory; one that cannot be used (``void`` says why) is archived."""
    details = {
        "tokens": len(manifest.ids), "bytes": manifest.bytes, "codec": manifest.codec.name, "dtype": manifest.fingerprint.dtype,
        "model": manifest.fingerprint.model,
    }  # fmt: skip
    if manifest.eviction is not None:
        details |= {"method": manifest.eviction.method, "evicted_mass": manifest.quality["evicted_mass"]}
    told = f"What a model made of {_several(len(manifest.quoted), 'memory', 'memories')} that it read: {len(manifest.ids):,} tokens, kept as {manifest.codec.name}."
    return _header(
        Kind.ACTIVATION, row.id, row.number, told, scope, State.ARCHIVED if void else State.ACTIVATED, row.created, manifest.text, made,
        "kept of an answer" if manifest.is_kept else "read by a model", void, row.uses, row.last_used, manifest.quoted, details,
    )  # fmt: skip


def of_adapter(row: AdapterRow, learning: Learning, scope: Scope, made: Made) -> Memory:
    """The header of a version of an adapter."""
    details = {
        "bytes": learning.file.bytes if learning.file else 0, "form": learning.recipe.form, "stage": learning.stage, "is_mounted": row.is_mounted,
        "lessons": learning.lessons, "steps": learning.steps, "model": learning.fingerprint.model if learning.fingerprint else "",
    }  # fmt: skip
    quoted = learning.quoted
    count = _several(len(quoted or learning.chosen), "memory", "memories")
    told = f"What a model {'is to learn' if learning.stage == 'draft' else 'learned'} of {count}, as a {learning.recipe.form}."
    passed = {
        "draft": "to be learned",
        "evaluated": "learned, and passed its examination",
        "failed": "learned, and did not pass its examination",
    }
    ending = row.reason or "; ".join(learning.faults)
    return _header(
        Kind.PARAMETRIC, row.id, row.number, told, scope, row.state, row.created, learning.words, made, passed[learning.stage], ending, row.uses,
        row.last_used, quoted, details,
    )  # fmt: skip


def links_of(header: Memory) -> tuple[Link, ...]:
    """To the memories that it was made of."""
    sure = header.recorded.start
    assert sure is not None  # a header has it
    kept = header.metadata["memories"]
    assert isinstance(kept, list)
    return tuple(Link(header.id, one["id"], MADE_OF, f"version {one['version']}", sure) for one in kept)


def _header(
    kind: Kind, id: str, version: int, text: str, scope: Scope, state: State, created: datetime, checksum: str, made: Made, reason: str, ending: str,
    uses: int, last_used: datetime | None, quoted: Sequence[Quoted], details: Mapping[str, object],
) -> Memory:  # fmt: skip
    types = Counter(memory.type for memory in made.words)
    return Memory(
        id=id, version=version, kind=kind, part=Part.TURN, type=types.most_common(1)[0][0] if types else Type.FACT, text=text, scope=scope,
        state=state, speaker=None, about=None, at=None, valid=Interval(created, made.until), recorded=Interval(created, made.until),
        spans=tuple(dict.fromkeys(span for memory in made.words for span in memory.spans)),
        origin=Origin(made.by, Channel.DERIVED, scope.session, trust=least(memory.origin.trust for memory in made.words)), checksum=checksum,
        author=made.by, reason=reason, ending=ending, uses=uses, last_used=last_used,
        metadata={"memories": [{"id": one.memory, "version": one.version} for one in quoted], **details},
    )  # fmt: skip


def _several(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
