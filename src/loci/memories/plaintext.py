"""Plaintext memory: candidates to memories that quote their source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from loci.ports import ClaimRow, Draft
from loci.text.dates import has_time
from loci.text.speech import is_own
from loci.types import TOLD_OF_THE_PAST, Candidate, Interval, Kind, Memory, Origin, Scope, Source, Span, State, Type

RULES = "rule:reader@1"


@dataclass(frozen=True, slots=True)
class Header:
    """Header fields that a caller may set on what is added."""

    priority: int = 0
    expires: datetime | None = None
    reason: str = "remembered"


def memory_of(candidate: Candidate, source: Source, id: str, text: str, checksum: bytes, valid: Interval, header: Header) -> Memory:
    """The first version of a memory cut from ``source``."""
    return Memory(
        id=id, version=1, kind=Kind.PLAINTEXT, part=candidate.part, type=candidate.type, text=text, scope=source.scope,
        state=State.GENERATED, speaker=candidate.speaker, about=candidate.about, at=source.message.at, valid=valid,
        recorded=Interval(source.recorded), spans=(Span(source.id, candidate.start, candidate.end),),
        origin=Origin(source.principal, source.channel, source.scope.session, source.origin, source.trust), checksum=checksum.hex(), author=RULES,
        reason=header.reason, entities=candidate.entities, keywords=candidate.keywords, times=candidate.times,
        priority=header.priority, expires=header.expires, role=source.message.role, metadata=source.message.metadata,
    )  # fmt: skip


def draft_of(memory: Memory, claims: tuple[ClaimRow, ...] = ()) -> Draft:
    """The memory with what the indexes want to know of it."""
    return Draft(
        memory=memory,
        is_question="?" in memory.text,
        has_time=bool(memory.times) if memory.at is not None else has_time(memory.text),
        is_event=memory.type is Type.EVENT or memory.ending == TOLD_OF_THE_PAST or any(c.cue == "change" for c in claims),
        is_own=is_own(memory.text),
        claims=claims,
    )


def scope_of(scope: Scope, session: str | None) -> Scope:
    """The scope with a message's own session, where it names one."""
    return scope if session is None else Scope(scope.cube, scope.user, scope.agent, session)
