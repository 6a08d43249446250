"""Who may do what: one pure decision. Embedded use is the owner's, and the owner may do everything to a cube that can be
written; grants for other principals are not part of this version, so any other principal is refused."""

from __future__ import annotations

from dataclasses import dataclass

READS = frozenset({"search", "get", "list", "history", "diff", "why", "why_not", "log", "verify", "export", "stats"})
WRITES = frozenset({"add", "update", "forget", "restore", "move", "erase", "import", "branch", "encrypt", "decrypt", "rekey", "shred"})
OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or not, and why."""

    is_allowed: bool
    reason: str


def decide(principal: str, verb: str, is_writable: bool) -> Decision:
    if principal != OWNER:
        return Decision(False, f"{principal!r} has no grant on this cube; embedded use is as {OWNER!r}")
    if verb in WRITES and not is_writable:
        return Decision(False, "this vault was opened for reading only")
    if verb in READS or verb in WRITES:
        return Decision(True, "owner")
    return Decision(False, f"{verb!r} is no verb of Loci's")
