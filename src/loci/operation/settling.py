"""What becomes of claims when words are taken back, and when they are brought back: design/003.

Words are taken back by forgetting their memory, by restoring it to a version from before it said so, by erasing or reverting their source. What they
had superseded holds again from then on, as a further version, unless something else supersedes it as well. An update takes nothing back:
the former words held until it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from loci.operation.intake import claim_of, known_of, rejudge, supersede
from loci.policy import conflict
from loci.policy.trust import overrules
from loci.ports import ClaimRow, Transaction
from loci.types import Change, Interval, Outcome, State

AGAIN = "holds again: what had superseded it was taken back"


def reopened(tx: Transaction, claims: Iterable[ClaimRow], keys: Iterable[tuple[str, str, str | None]], author: str, now: datetime) -> None:
    """After sources went: judges the ``claims`` that hold again without them, of which those of a memory that was forgotten meanwhile are
    taken back with it; then opens what their ``keys`` (subject, attribute, user) alone had still kept closed."""
    for claim in claims:
        state, expires, _ = tx.state(claim.memory)
        if state is State.EXPIRED and (expires is None or expires > now):
            tx.retire_claims(claim.memory)
        else:
            rejudge(tx, claim)
    for subject, attribute, user in keys:
        hold_again(tx, [(subject, attribute)], user, author, now)


def hold_again(
    tx: Transaction, keys: Iterable[tuple[str, str]], user: str | None, author: str, since: datetime, among: Collection[str] | None = None
) -> list[Change]:
    """Opens what was superseded under these keys by words that are taken back, its memory valid from ``since``. ``among``: only these memories."""
    changes: list[Change] = []
    for row in reversed(tx.freed_claims(keys, user)):
        if (among is None or row.memory in among) and not _is_over(tx, row.memory, since) and not _is_overruled(tx, row):
            changes.append(_hold_again(tx, row, author, since))
    return changes


def _hold_again(tx: Transaction, row: ClaimRow, author: str, since: datetime) -> Change:
    tx.open_claim(row)
    _, number, content, valid = tx.current(row.memory)
    if valid.end is None:  # it says other things that held all along
        return Change(Outcome.RESTORED, row.memory, AGAIN, number, number, other=row.closed_by)
    if valid.end > since:
        tx.close(row.memory, since, AGAIN)
    tx.version(row.memory, number + 1, content, Interval(since), Outcome.RESTORED, author, AGAIN, None)
    return Change(Outcome.RESTORED, row.memory, AGAIN, number, number + 1, other=row.closed_by)


def _is_over(tx: Transaction, memory: str, now: datetime) -> bool:
    state, expires, _ = tx.state(memory)
    return state is State.EXPIRED or (expires is not None and expires <= now and state is not State.FROZEN)


def _is_overruled(tx: Transaction, row: ClaimRow) -> bool:
    """Whether any other claim supersedes this one. What was forgotten after it had been superseded itself supersedes nothing."""
    known = [
        claim_of(other)
        for other in known_of(tx, row)
        if other.seq != row.seq
        and overrules(other.trust, row.trust)
        and not (other.closed_by and tx.state(other.memory)[0] is State.EXPIRED)
    ]
    return conflict.resolve(replace(claim_of(row), closed=False, valid_to=None), known).superseded_by is not None


def settle(tx: Transaction, memory: str, now: datetime, linked: Collection[str]) -> list[Change]:
    """What a memory that is restored says supersedes from ``now`` on what was said before it and holds. What was said after it stays: both
    stand then, as a possible conflict; those ``linked`` are so already."""
    changes: list[Change] = []
    for row in tx.said_by(memory):
        known = known_of(tx, row)
        holding = [claim_of(other) for other in known if other.closed_by is None and overrules(row.trust, other.trust)]
        verdict = conflict.resolve(claim_of(row), holding, [claim_of(other) for other in known])
        for action in verdict.actions:
            if isinstance(action, conflict.Supersede):
                supersede(tx, memory, verdict.claim, replace(action, valid_to=now), changes)
        if verdict.superseded_by is not None and verdict.superseded_by not in linked:
            tx.link(memory, verdict.superseded_by, "possible_conflict", "restored by hand after other was said")
            changes.append(
                Change(Outcome.POSSIBLE_CONFLICT, verdict.superseded_by, "said after what was restored; both stand now", other=memory)
            )
    return changes
