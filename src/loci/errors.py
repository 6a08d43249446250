"""One tree of errors, grouped by whose move is next.

    LociError
    ├── Invalid        the caller: the request itself is wrong
    │   ├── TooLarge       beyond a documented limit
    │   └── Malformed      a file that cannot be read; names the line
    ├── Denied         the caller: not allowed, and why
    │   ├── ReadOnly       the cube or its folder cannot be written
    │   ├── Refused        words that the cube was told not to take in
    │   └── OverQuota      more than the cube may hold of one user
    ├── Missing        the caller: no such cube, memory, source or version
    ├── Conflict       the caller: the world moved on; look again
    │   ├── VersionConflict  somebody else wrote a version in between; holds both
    │   ├── MirrorConflict   a file and its cube were both changed; names where
    │   ├── IllegalMove      the life cycle has no such transition
    │   └── IncompatiblePayload  what another model has read; names what differs
    ├── Unavailable    nobody, or time: the same call may work later
    │   ├── Locked         others hold the file
    │   ├── StorageFull    no room on the disk
    │   ├── NotDurable     the disk failed at the commit: there or not, look again
    │   ├── EmbedderFailed the embedder raised; words are safe
    │   ├── JobFailed      a job met what it was not made for; it is tried again
    │   └── OutOfTime      learning took longer than it may; the same call goes on
    ├── Corrupt        the operator: data on disk is not what was written
    └── Unsupported    the operator: install or choose something
        ├── NewerSchema    the file was written by a newer Loci
        ├── TooLossy       a KV budget gave up more attention than was allowed; names how much
        └── Diverged       learning came to nothing

Every class carries ``code`` (stable, for machines), ``http_status`` and ``exit_code``. The message holds the offending
value and the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar


class LociError(Exception):
    """The root: catch it to catch everything Loci raises on purpose."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def as_dict(self) -> dict[str, object]:
        """The error as every door shows it: ``{"error": code, "message": text, ...details}``."""
        return {"error": self.code, "message": str(self), **self.details()}

    def details(self) -> dict[str, object]:
        """Machine-readable facts beside the message; empty unless a leaf has some."""
        return {}


class Invalid(LociError):
    """The request is wrong in itself; the message says which value and what would be right."""

    code = "invalid"
    http_status = 422
    exit_code = 2


class TooLarge(Invalid):
    """Something is beyond its documented limit; nothing of it was stored."""

    code = "too_large"
    http_status = 413


class Malformed(Invalid):
    """A file could not be read; ``line`` is where (1-based, 0 when the file as a whole is wrong). Nothing was imported."""

    code = "malformed"

    def __init__(self, message: str, line: int = 0, why: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.why = why or message  # without the file and the line

    def details(self) -> dict[str, object]:
        return {"line": self.line}


class Denied(LociError):
    """Not allowed; the message says by what."""

    code = "denied"
    http_status = 403
    exit_code = 3


class ReadOnly(Denied):
    """The cube, or the folder it is in, cannot be written."""

    code = "read_only"


class Refused(Denied):
    """The words hold what the cube was told to refuse, a password say; nothing of them was stored."""

    code = "refused"
    http_status = 422


class OverQuota(Denied):
    """The user has as many messages in the cube as its quota allows; nothing was stored."""

    code = "over_quota"
    http_status = 429


class Missing(LociError):
    """There is nothing with that name or id here."""

    code = "missing"
    http_status = 404
    exit_code = 4


def missing(memory: str, cube: str) -> Missing:
    """What is said of a memory that is not there, and in the very same words of one that the caller may not reach."""
    return Missing(f"There is no memory {memory} in cube {cube}. `list` shows the ids; it may have been erased.")


def missing_activation(id: str, cube: str) -> Missing:
    """The same for an activation memory."""
    return Missing(
        f"There is no activation memory {id} in cube {cube}. `loci kv list` shows the ids; it may have been let go of, or what it was built of erased."
    )


def missing_adapter(id: str, cube: str) -> Missing:
    """The same for an adapter."""
    return Missing(
        f"There is no adapter {id} in cube {cube}. `loci adapter list` shows the ids; it may have been let go of, as when all that it was made of was "
        "archived, forgotten or erased."
    )


class Conflict(LociError):
    """The request was right once, but what it builds on has changed."""

    code = "conflict"
    http_status = 409
    exit_code = 5


class VersionConflict(Conflict):
    """Somebody else wrote a version in between; ``expected`` and ``found`` are the two version numbers."""

    code = "version_conflict"

    def __init__(self, message: str, expected: int, found: int) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found

    def details(self) -> dict[str, object]:
        return {"expected": self.expected, "found": self.found}


class MirrorConflict(Conflict):
    """A folder and its cube were both changed in the same place; ``places`` names each. Nothing was changed on either side."""

    code = "mirror_conflict"

    def __init__(self, message: str, places: Sequence[Mapping[str, object]]) -> None:
        super().__init__(message)
        self.places = list(places)

    def details(self) -> dict[str, object]:
        return {"places": self.places}


class IllegalMove(Conflict):
    """The life cycle table has no such transition from the memory's present state."""

    code = "illegal_move"


class IncompatiblePayload(Conflict):
    """What is kept was read by another model, or in another way; ``field`` says in what, ``stored`` and ``current`` how they differ.

    It is never attached. The text is used instead; activating the memory again makes one that fits."""

    code = "incompatible_payload"

    def __init__(self, message: str, field: str, stored: str, current: str) -> None:
        super().__init__(message)
        self.field, self.stored, self.current = field, stored, current

    def details(self) -> dict[str, object]:
        return {"field": self.field, "stored": self.stored, "current": self.current}


class Unavailable(LociError):
    """Not now; nothing is wrong with the request, and the same call may work later."""

    code = "unavailable"
    http_status = 503
    exit_code = 6


class Locked(Unavailable):
    """Others wrote to the file for longer than the busy timeout; nothing was changed."""

    code = "locked"


class StorageFull(Unavailable):
    """The disk is full; the change was rolled back and the data is as it was."""

    code = "storage_full"
    http_status = 507


class NotDurable(Unavailable):
    """The disk failed at the commit: the change is there as a whole or not at all, and only reading it again tells.

    The connection is dropped, and the next call opens another. Sending the same again is safe: what is in the journal already is not
    taken twice."""

    code = "not_durable"


class EmbedderFailed(Unavailable):
    """The embedder raised. The words are stored and found by text; vectors are retried."""

    code = "embedder_failed"


class JobFailed(Unavailable):
    """A job of the queue met something that it was not made for. Nothing of it was kept; it is tried again later."""

    code = "job_failed"


class OutOfTime(Unavailable):
    """Learning took longer than it was allowed; what is learned so far is saved, and the same call goes on from there."""

    code = "out_of_time"


class Corrupt(LociError):
    """Data on disk is not what was written; the message names the file and the first bad record."""

    code = "corrupt"
    http_status = 500
    exit_code = 7


class Unsupported(LociError):
    """This build or machine lacks something; the message says what to install or choose."""

    code = "unsupported"
    http_status = 501
    exit_code = 8


class NewerSchema(Unsupported):
    """The file was written by a newer Loci; it was not touched."""

    code = "newer_schema"


class TooLossy(Unsupported):
    """What was kept of a text under a KV budget has lost more of the model's attention than was allowed: ``evicted_mass`` of ``most_evicted``,
    shares of 1. Nothing was kept, or the text is read instead."""

    code = "too_lossy"

    def __init__(self, message: str, evicted_mass: float, most_evicted: float) -> None:
        super().__init__(message)
        self.evicted_mass, self.most_evicted = evicted_mass, most_evicted

    def details(self) -> dict[str, object]:
        return {"evicted_mass": self.evicted_mass, "most_evicted": self.most_evicted}


class Diverged(Unsupported):
    """Learning came to nothing: the loss grew, or is no number. Nothing was kept; a smaller rate or another seed may do."""

    code = "diverged"


def kinds(above: type[LociError] = LociError) -> list[type[LociError]]:
    """Every kind of error that is defined so far, those above before those below."""
    return [above, *(kind for below in above.__subclasses__() for kind in kinds(below))]


def shown(value: object, most: int = 100) -> str:
    """The beginning of a value, as an error says it, whatever that is."""
    try:
        return repr(value)[:most]
    except (ValueError, RecursionError):
        return "a number too long to be shown, or lists too deep"


ELSEWHERE = {
    "query": "question", "q": "question", "query_text": "question", "top_k": "limit", "k": "limit", "max_tokens": "budget_tokens", "user_id": "user",
    "agent_id": "agent", "run_id": "session", "session_id": "session", "memory_id": "id", "filters": "where", "reference_date": "asked_at", "data": "text",
}  # fmt: skip
"""What fields are called in other memory systems, and here."""


def meant(word: str, known: Iterable[str], otherwise: str = "", *, likeness: float = 0.6) -> str:
    """What an error adds about a word that is none of the known ones: the nearest of them, or ``otherwise`` where none is as like it (from 0 to 1)."""
    known = list(known)
    near = [ELSEWHERE[word]] if ELSEWHERE.get(word) in known else difflib.get_close_matches(word, known, 1, likeness)
    return f" Did you mean {near[0]!r}?" if near else otherwise
