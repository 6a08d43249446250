"""What words may do by where they came from. Origin is bound when words are written and never changes; what is derived has the least
trust of all it was derived from (arXiv 2606.24322: trust by content or lineage alone is laundered).

Trusted words authorise. Reported ones (an assistant's, a writer's who is not the owner) inform. Untrusted ones (a page, a tool, a
file) inform, are marked as such wherever they are shown, take at most a third of an answer, and go into quarantine where they
give orders or contradict what is trusted more; there a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loci.types import Channel, Trust

RANK = {trust: rank for rank, trust in enumerate(Trust)}
BY_CHANNEL = {
    Channel.USER: Trust.TRUSTED, Channel.IMPORT: Trust.TRUSTED, Channel.ASSISTANT: Trust.REPORTED, Channel.DERIVED: Trust.REPORTED,
    Channel.TOOL: Trust.UNTRUSTED, Channel.WEB: Trust.UNTRUSTED, Channel.FILE: Trust.UNTRUSTED,
}  # fmt: skip
BY_ROLE = {"assistant": Trust.REPORTED, "system": Trust.REPORTED, "tool": Trust.UNTRUSTED, "function": Trust.UNTRUSTED}
SHARE = 3
"""Of an answer's memories, at most one in so many is untrusted while there are others to take its place."""


def least(trusts: Iterable[Trust]) -> Trust:
    """The least of them; of none, trusted."""
    return min(trusts, key=RANK.__getitem__, default=Trust.TRUSTED)


def trust_of(channel: Channel, role: str, cap: Trust, parents: Iterable[Trust] = ()) -> Trust:
    """The trust of words that come in: no more than their channel's, their role's, the writer's, and what they were derived from."""
    return least((BY_CHANNEL[channel], BY_ROLE.get(role, Trust.TRUSTED), cap, *parents))


def is_made_up(channel: Channel, role: str) -> bool:
    """Whether an assistant says it, or a program made it: such words may be made of whatever was said in the session before."""
    return channel in (Channel.ASSISTANT, Channel.DERIVED) or role == "assistant"


def overrules(new: Trust, old: Trust) -> bool:
    """Whether words of the one trust may supersede those of the other."""
    return RANK[new] >= RANK[old]


def quarantine(trust: Trust, is_order: bool, contradicted: Sequence[Trust]) -> str:
    """Why words are kept out of every answer until somebody decides; empty if they are not."""
    if trust is not Trust.UNTRUSTED:
        return ""
    if is_order:
        return "of untrusted origin, and it gives orders"
    if any(not overrules(trust, other) for other in contradicted):
        return "of untrusted origin, and it contradicts what is trusted more"
    return ""


def capped(untrusted: Sequence[bool], limit: int) -> list[int]:
    """Places in order, such that of the first ``limit`` at most one in `SHARE` (and never less than one) is untrusted while others are left
    to take its place."""
    most = max(1, limit // SHARE)
    taken, spare, count = [], [], 0
    for place, is_untrusted in enumerate(untrusted):
        if is_untrusted and count >= most:
            spare.append(place)
        else:
            count += is_untrusted
            taken.append(place)
    return taken[:limit] + sorted(spare + taken[limit:])
