"""Who may do what: one pure decision from grants. Nobody may do anything without one; the owner of an embedded vault, whose files
they are, needs none.

A grant gives a role on a cube, on the cubes below a path, on a scope or on one memory. A call that names a scope must lie inside
a grant's; a call that names a memory may touch those inside any of them. What a call may see leaves here as ``Reach``es, which
the store applies before anything is ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import quote

from loci.ports import Reach
from loci.types import NOBODY, Channel, Grant, Key, Role, Scope, Trust

OWNER = "owner"
EVERYBODY = "*"
ROLES: dict[Role, frozenset[str]] = {}
ROLES[Role.READER] = frozenset(
    {
        "search",
        "get",
        "list",
        "count",
        "history",
        "diff",
        "why",
        "why_not",
        "activations",
        "generate",
        "prepare",
        "foresee",
        "export_activation",
        "adapters",
        "export_adapter",
        "cite",
    }
)
ROLES[Role.WRITER] = ROLES[Role.READER] | {"add", "import", "activate", "distil", "probe_adapter"}
ROLES[Role.CURATOR] = ROLES[Role.WRITER] | {
    "update",
    "forget",
    "restore",
    "move",
    "review",
    "accept",
    "reject",
    "deactivate",
    "mount",
    "unmount",
    "drop_adapter",
}
ROLES[Role.AUDITOR] = frozenset({"log", "head", "verify", "stats"})
ROLES[Role.OWNER] = ROLES[Role.CURATOR] | ROLES[Role.AUDITOR] | {
    "erase", "revert", "export", "branch", "rewind", "sweep", "rank", "scan", "protect", "fingerprint", "grant", "revoke", "grants",
    "encrypt", "decrypt", "rekey", "shred", "write_off", "jobs", "job", "retry", "cancel", "pause", "resume",
    "import_activation", "plan",
}  # fmt: skip
VERBS = frozenset().union(*ROLES.values())
READS = (
    ROLES[Role.READER] | ROLES[Role.AUDITOR] | {"review", "export", "rank", "grants", "fingerprint", "plan", "jobs", "job", "probe_adapter"}
)
WRITES = VERBS - READS
WHOLE = frozenset({
    "log", "head", "verify", "stats", "export", "branch", "rewind", "sweep", "rank", "scan", "protect", "fingerprint", "revert",
    "grant", "revoke", "grants", "diff", "encrypt", "decrypt", "rekey", "shred", "write_off", "jobs", "job", "retry", "cancel", "pause",
    "resume", "plan",
})  # fmt: skip
"""Verbs that look at a cube as a whole: no filter of rows could narrow their answer."""
AUTHORITY = {Role.OWNER: Trust.TRUSTED, Role.CURATOR: Trust.TRUSTED}
"""What is written by another role is reported at best: it informs, and overrules nobody who is trusted."""
OWNS = Grant("owner", OWNER, Role.OWNER, "*")
"""What the owner of an embedded vault has without asking."""
CLOSED = (
    "this vault is open for reading only (--read-only, the setting read_only, or a folder that cannot be written); do it where it is open for "
    "writing, or ask whoever opened it"
)
HIDDEN = "hidden"
"""The reason that is never told: what a principal may not reach is, for it, not there."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or not, and why. ``within`` None means every row. ``spends`` is the grant that this call uses up once; words written by
    it come in by ``channel``, if that is set, and are trusted as far as ``trust``."""

    is_allowed: bool
    reason: str
    within: tuple[Reach, ...] | None = None
    spends: str | None = None
    channel: Channel | None = None
    trust: Trust = Trust.TRUSTED


def decide(
    principal: str, verb: str, scope: Scope, grants: Sequence[Grant], now: datetime, is_writable: bool, memory: str | None = None
) -> Decision:
    """May ``principal`` do this, to this, with these grants, now? ``scope`` is the one that a call names, or that of ``memory``."""
    if verb not in VERBS:
        return Decision(False, f"{verb!r} is no verb of Loci's")
    if verb in WRITES and not is_writable:
        return Decision(False, CLOSED)
    fitting = [g for g in grants if fits(g, principal, verb, scope.cube, now)]
    if not fitting:
        return Decision(False, f"{principal!r} has no grant for it; `{_needed(principal, verb, scope, memory)}` would be one")
    whole = [g for g in fitting if is_whole(g)]
    if whole:
        return _allowed(_first(whole), None)
    if verb in WHOLE:
        return Decision(False, f"it is about the whole cube, and the grants of {principal!r} are narrower")
    if memory is not None:
        holding = [g for g in fitting if _reaches(reach_of(g), memory, scope)]
        if not holding:
            return Decision(False, HIDDEN)
        return _allowed(_first(holding), tuple(reach_of(g) for g in fitting if g.uses is None or g in holding))
    return _decide_scoped(verb, scope, fitting)


def _needed(principal: str, verb: str, scope: Scope, memory: str | None) -> str:
    """The command of the narrowest grant that would do. Of a memory it tells neither whose it is nor its id, which the call may not have named."""
    role = next(role for role, verbs in ROLES.items() if verb in verbs)
    named = {"user": scope.user, "agent": scope.agent, "session": scope.session} if memory is None else {"memory": "ID"}
    limits = {"on": scope.cube, **({} if verb in WHOLE else named)}
    return f"loci grant {quote(principal)} {role.value} " + " ".join(f"--{word} {quote(name)}" for word, name in limits.items() if name)


def _decide_scoped(verb: str, scope: Scope, fitting: Sequence[Grant]) -> Decision:
    """A request that names no scope, or a wider one than any grant has, sees nothing; it is refused, not answered with less."""
    inside = [g for g in fitting if g.memory is None and _reaches(reach_of(g), None, scope)]
    if inside:
        chosen = _first(inside)
        return _allowed(chosen, (reach_of(chosen),))
    shared = [g for g in fitting if g.memory is not None] if verb in READS else []
    if shared:
        chosen = _first(shared)
        return _allowed(chosen, tuple(reach_of(g) for g in shared if g.uses is None) if chosen.uses is None else (reach_of(chosen),))
    named = "; ".join(dict.fromkeys(_words(g) for g in fitting if g.memory is None)) or "single memories"
    return Decision(False, f"it must say whose memory it is about, and open to it is {named}")


def narrowed(grants: Sequence[Grant], key: Key | None) -> list[Grant]:
    """The grants as far as a key lets them be used."""
    if key is None:
        return list(grants)
    found = (_narrowed(grant, key) for grant in grants)
    return [grant for grant in found if grant is not None]


def _narrowed(grant: Grant, key: Key) -> Grant | None:
    inner, role = _within(grant, Scope(key.cube or "*", key.user)), _lesser(grant.role, key.role or grant.role)
    return None if inner is None or role is None else replace(inner, role=role)


def within(grants: Sequence[Grant], bounds: Scope) -> list[Grant]:
    """The grants as far as they lie within a scope, whose cube may be a path."""
    found = (_within(grant, bounds) for grant in grants)
    return [grant for grant in found if grant is not None]


def _within(grant: Grant, bounds: Scope) -> Grant | None:
    cube = grant.cube if covers(bounds.cube, grant.cube) else bounds.cube if covers(grant.cube, bounds.cube) else None
    named = {word: name for word in ("user", "agent", "session") if (name := getattr(bounds, word)) is not None}
    is_other = any(getattr(grant, word) not in (None, name) for word, name in named.items())
    if cube is None or is_other or (named and grant.memory is not None):  # whose that memory is, the grant does not say
        return None
    return replace(grant, cube=cube, **named)


def _lesser(a: Role, b: Role) -> Role | None:
    return a if ROLES[a] <= ROLES[b] else b if ROLES[b] <= ROLES[a] else None


def covers(path: str, cube: str) -> bool:
    """Whether a cube, or a path, lies at or below this path: "team.*" has "team.alpha" and "team.alpha.*", "*" has everything."""
    return path in ("*", cube) or (path.endswith(".*") and cube.startswith(path[:-1]))


def admits(within: Sequence[Reach] | None, memory: str | None, scope: Scope) -> bool:
    """Whether a memory of this scope can be reached."""
    return within is None or any(_reaches(reach, memory, scope) for reach in within)


def is_whole(grant: Grant) -> bool:
    """Whether it is about whole cubes."""
    return grant.user is None and grant.agent is None and grant.session is None and grant.memory is None


def reach_of(grant: Grant) -> Reach:
    """The rows of a grant."""
    return Reach(grant.user, grant.agent, grant.session, grant.memory)


def _reaches(reach: Reach, memory: str | None, scope: Scope) -> bool:
    if reach.memory is not None and reach.memory != memory:
        return False
    user = NOBODY if scope.user is None else scope.user
    pairs = ((reach.user, user), (reach.agent, scope.agent), (reach.session, scope.session))
    return all(wanted is None or wanted == found for wanted, found in pairs)


def is_live(grant: Grant, principal: str, cube: str, now: datetime) -> bool:
    """Whether it is this principal's, for this cube, and neither run out nor used up."""
    is_theirs = grant.principal in (principal, EVERYBODY) and covers(grant.cube, cube)
    return is_theirs and (grant.expires is None or now < grant.expires) and (grant.uses is None or grant.uses > 0)


def fits(grant: Grant, principal: str, verb: str, cube: str, now: datetime) -> bool:
    """Whether it lets this principal do this to some of this cube."""
    return verb in ROLES[grant.role] and is_live(grant, principal, cube, now)


def _first(grants: Sequence[Grant]) -> Grant:
    """The one to use: one that is not counted, and of these the one that is trusted most."""
    return min(grants, key=lambda g: (g.uses is not None, AUTHORITY.get(g.role) is None, g.id))


def _allowed(grant: Grant, within: tuple[Reach, ...] | None) -> Decision:
    spends = None if grant.uses is None else grant.id
    return Decision(
        True, f"{grant.role.value} by grant {grant.id}", within, spends, grant.channel, AUTHORITY.get(grant.role, Trust.REPORTED)
    )


def _words(grant: Grant) -> str:
    named = {"user": grant.user, "agent": grant.agent, "session": grant.session}
    return " and ".join(f"{word} {name!r}" for word, name in named.items() if name is not None)
