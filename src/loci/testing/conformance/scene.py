"""What the promises are told with: messages and memories of them, and what a search finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from loci.errors import Conflict, Missing
from loci.memories.plaintext import Header, draft_of, memory_of
from loci.ports import ClaimRow, Probe, RowFilter, Store, Transaction
from loci.testing.embedder import HashEmbedder
from loci.types import Candidate, Channel, Interval, Memory, Message, Part, Scope, Source, Type

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class OpenStore(Protocol):
    """Opens a store; the same name is the same store."""

    def __call__(self, name: str = "cube") -> Store: ...


def seen_at(now: datetime = NOW + 5 * DAY) -> RowFilter:
    return RowFilter(now=now)


def said(store: Store, id: str, message: Message, scope: Scope | None = None, recorded: datetime = NOW) -> Source:
    """A message as it would be journaled; its scope names the session that the message names."""
    scope = scope or Scope(store.cube, session=message.session)
    message = replace(message, session=scope.session)
    return Source(id, message, scope, "owner", Channel.USER, recorded, store.hash(message.text, message.caption))


def journaled(store: Store, tx: Transaction, id: str, text: str, at: datetime = NOW) -> Source:
    source = said(store, f"{id}-source", Message("user", text, at), recorded=at)
    assert tx.journal(source, 0)
    return source


def remembered(store: Store, source: Source, id: str, type: Type = Type.FACT, header: Header = Header()) -> Memory:  # noqa: B008 - frozen
    words = source.message.words
    candidate = Candidate(0, len(words), Part.TURN, type, source.message.speaker, None)
    return memory_of(candidate, source, id, words, store.hash(words), Interval(source.message.at), header)


def put(
    store: Store, tx: Transaction, id: str, text: str, at: datetime = NOW, *, user: str | None = None, agent: str | None = None,
    session: str | None = None, type: Type = Type.FACT, claims: Sequence[tuple[str, ...]] = (), **origin: Any,
) -> int:  # fmt: skip
    """A message and the memory of all of it; ``claims`` are subject, attribute, value and, where there is one, relation; ``origin`` sets fields of the source, its principal say. Returns its content key."""
    message = Message("user", text, at, speaker=user, session=session)
    source = said(store, f"{id}-source", message, Scope(store.cube, user, agent, session), recorded=at)
    source = replace(source, message=replace(message, id=id), **origin)
    assert tx.journal(source, 0)
    rows = tuple(
        ClaimRow(id, subject, attribute, value, speaker=user, user=user, session=session, said=at, relation=next(iter(relation), None))
        for subject, attribute, value, *relation in claims
    )
    return tx.add(draft_of(remembered(store, source, id, type), rows))


def tell(store: Store, id: str, text: str) -> None:
    with store.write(NOW) as tx:
        put(store, tx, id, text)
        log(tx)


def log(tx: Transaction) -> None:
    tx.audit("owner", "add", "test", {})


def embed(tx: Transaction, generation: int, embedder: HashEmbedder, jobs: Sequence[object]) -> None:
    """Works off embedding jobs inside a transaction."""
    contents = sorted({c for job in jobs for c in job.arguments["contents"]})  # type: ignore[attr-defined]
    texts = tx.texts(contents)
    tx.put_vectors(generation, sorted(texts), embedder.embed([texts[c] for c in sorted(texts)]))
    assert tx.finish([job.seq for job in jobs], "w")  # type: ignore[attr-defined]


def texts_with(store: Store, term: str) -> set[str]:
    """Texts that a search for one term finds."""
    at = seen_at(NOW + 99 * DAY)
    survey = store.survey(Probe((term,)), at)
    holding = [content for content, nats in zip(survey.contents, survey.signals.get("words", ()), strict=True) if nats > 0]
    return {m.text for m in store.load(holding, at).values()}


def texts_of(store: Store, name: str) -> set[str]:
    """Texts that a search for nothing but a name finds."""
    return {m.text for m in store.load(store.survey(Probe((name,)), seen_at()).contents, seen_at()).values()}


def row_counts(store: Store) -> dict[str, int]:
    return {table: count for table, count in store.sizes().items() if table != "bytes"}


def expect_missing(ask: Callable[[], object]) -> None:
    try:
        ask()
    except Missing as error:
        assert str(error)
    else:
        raise AssertionError("what is not there, or not to be seen, must raise Missing")


def expect_conflict(ask: Callable[[], object]) -> None:
    try:
        ask()
    except Conflict as error:
        assert str(error)
    else:
        raise AssertionError("what somebody works on must raise Conflict")
