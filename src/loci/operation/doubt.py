"""What is done about words that are not trusted: the quarantine and its review, and taking back all that came from somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b

from loci.errors import Conflict, Invalid, Missing
from loci.operation.erasure import check_free, derived_sources
from loci.operation.intake import DERIVED, Intake
from loci.operation.settling import reopened
from loci.policy.access import admits
from loci.ports import Reach, RowFilter, Store, Transaction
from loci.types import Change, Link, Memory, Outcome, Receipt, Source, State, Suspect

SUPERSEDES = "supersedes"
DECISIONS = ("", "rejected", "reverted")


@dataclass(frozen=True, slots=True)
class Reverted:
    """The receipt of a reversion: the sources whose words no longer count, and the memories that are out of every present answer."""

    sources: tuple[str, ...]
    memories: tuple[str, ...]
    reopened: int


def review(store: Store, intake: Intake, rows: RowFilter, decision: str) -> list[Suspect]:
    """What is in quarantine, oldest first, as far as the caller may see it; with how many others say the same, each principal once."""
    if decision not in DECISIONS:
        raise Invalid(f"{decision!r} is no decision; it must be empty (none yet), rejected or reverted.")
    found = []
    for suspect in store.suspects(decision):
        memory = suspect.memory
        wanted = ((rows.user, memory.scope.user), (rows.agent, memory.scope.agent), (rows.session, memory.scope.session))
        if all(asked is None or asked == known for asked, known in wanted) and admits(rows.within, memory.id, memory.scope):
            found.append(replace(suspect, corroborated_by=_others(store, intake, memory)))
    return found


def _others(store: Store, intake: Intake, memory: Memory) -> int:
    """How many principals but its own claim what it says, in the same user's scope."""
    source = store.source(memory.spans[0].source)
    heard = intake.reader.read(source.message, {source.message.speaker or source.message.role})
    claimed = {(f.subject, f.attribute, f.value) for said in heard.facts for f in said if f.subject and f.attribute and f.polarity}
    others: set[str] = set()
    for subject, attribute, value in claimed:
        others |= store.claimants(subject, attribute, value, memory.scope.user)
    return len(others - {source.principal})


def accept(store: Store, intake: Intake, tx: Transaction, id: str, reason: str, within: tuple[Reach, ...] | None = None) -> Receipt:
    """Lets a message out of quarantine, in all its parts: from now on it claims what it says, and overrules as a person decided,
    as far as that person's grants go (``within``). Its origin stays what it is."""
    changes: list[Change] = []
    for memory, source in _held_with(store, id):
        heard = intake.reader.read(source.message, {source.message.speaker or source.message.role})
        tx.release(memory.id, "accepted")
        span = memory.spans[-1]
        for candidate, said in zip(heard.candidates, heard.facts, strict=True):
            if (candidate.start, candidate.end) == (span.start, span.end) and said and memory.valid.end is None:
                changes.extend(intake.read_again(tx, source, memory, candidate, said, reason, within, is_decided=True))
        changes.append(Change(Outcome.ACCEPTED, memory.id, reason))
    return Receipt(tuple(changes))


def reject(store: Store, tx: Transaction, id: str, reason: str) -> Receipt:
    """Keeps a message out for good, in all its parts. It stays in its history."""
    changes = []
    for memory, _ in _held_with(store, id):
        tx.hold(memory.id, "", "rejected")
        changes.append(Change(Outcome.FORGOTTEN, memory.id, reason))
    return Receipt(tuple(changes))


def _held_with(store: Store, id: str) -> list[tuple[Memory, Source]]:
    """The memories in quarantine that are cut from the same message as this one, which must be one of them."""
    wanted = store.history(id)[-1].spans[0].source
    found = [s.memory for decision in DECISIONS for s in store.suspects(decision, wanted) if s.memory.spans[0].source == wanted]
    if id not in {memory.id for memory in found}:
        raise Conflict(f"Memory {id} is not in quarantine. `loci review` shows what is.")
    return [(memory, store.source(wanted)) for memory in found]


def revert(store: Store, tx: Transaction, by: Mapping[str, str], reason: str, author: str, now: datetime) -> Reverted:
    """Takes back what was learnt from an origin, a session or a principal, and all that was made of it: the present is as if it had never
    been said. What was known of it stays in the past, as it was known then. Raises `Missing` when that names nothing."""
    chosen = tx.coming_from(by)
    sources = derived_sources(tx, chosen)
    if not sources:
        named = ", ".join(f"{word} {name!r}" for word, name in by.items())
        raise Missing(f"Nothing to revert: cube {store.cube} has no words of {named}.")
    check_free(tx, sources, "taken back")
    keys = tx.keys_of(sources)
    gone, open_again = tx.revert(sources, reason)
    reopened(tx, open_again, keys, author, now)
    return Reverted(tuple(sources), tuple(gone), len(open_again))


def fingerprint(store: Store, at: RowFilter) -> str:
    """A hash of the present: of every memory with its words, times, claims, links and vector, and of nothing else. Two cubes that hold the
    same have the same one, whatever their ids, and whatever either was told in between. Which of several claims closed another first is
    history: that it is closed, and since when, is in it."""
    memories = store.select(replace(at, states=frozenset(State) - {State.EXPIRED}), limit=1 << 40)
    texts = {memory.id: memory.text for memory in memories}
    claiming = {memory.id for memory in memories if memory.claims}
    digest = blake2b(digest_size=16)
    for memory, vector in zip(memories, store.vectors_of([memory.id for memory in memories]), strict=True):
        claims = sorted((c.subject, c.attribute, c.value, c.closed_by is not None, str(c.closed_at)) for c in memory.claims)
        links = sorted(_link(link, memory.id, texts) for link in store.links(memory.id) if _holds(link, claiming))
        digest.update(repr((_plain(memory), claims, links, vector.hex())).encode())
    return digest.hexdigest()


def _holds(link: Link, claiming: set[str]) -> bool:
    """Whether a link says something of the present: confirmation does as long as both ends still claim what is confirmed."""
    return link.type != SUPERSEDES and (link.type == DERIVED or {link.source, link.target} <= claiming)


def _link(link: Link, memory: str, texts: Mapping[str, str]) -> tuple[str, str, bool, str]:
    is_from = link.source == memory
    return link.type, link.reason, is_from, texts.get(link.target if is_from else link.source, "")


def _plain(memory: Memory) -> Sequence[object]:
    state = State.GENERATED if memory.state is State.ACTIVATED else memory.state  # that it was read is no change of what it says
    return (
        memory.text, memory.part.value, memory.type.value, memory.speaker, memory.about, str(memory.at), str(memory.valid.start),
        str(memory.valid.end), memory.ending, state.value, memory.origin.trust.value, memory.origin.channel.value, memory.origin.name,
        memory.scope.user, memory.scope.agent, memory.scope.session, memory.entities, memory.keywords, memory.priority, str(memory.expires),
    )  # fmt: skip
