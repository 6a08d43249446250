"""What is said is kept, verbatim and once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from loci.ports import RowFilter
from loci.testing.conformance.scene import DAY, NOW, OpenStore, log, put, said
from loci.types import Message, Scope


def what_is_journaled_is_read_back_verbatim(open_store: OpenStore) -> None:
    store = open_store()
    texts = ["plain", " spaced ", "a\0b", "שלום\u200f", "👩‍👩‍👧", "e\u0301", "line\r\nline", "'; DROP TABLE x; --", "x" * 100_000]
    zone = timezone(timedelta(hours=5, minutes=45))
    times = [
        None,
        NOW,
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2020, 5, 1, 9, tzinfo=zone),
    ]
    written = [
        said(
            store,
            f"s{n}",
            Message("user", text, times[n % len(times)], text[:50], text[:20], f"m{n}", "one"),
            Scope(store.cube, text[:9], "bot", "one"),
        )
        for n, text in enumerate(texts)
    ]
    with store.write(NOW) as tx:
        for source in written:
            assert tx.journal(source, 0)
        log(tx)
    for handle in (store, open_store()):
        assert handle.sources() == written, "verbatim, in the order they were journaled"
        assert [handle.source(s.id) for s in written] == written
        for source in handle.sources():
            expected = next(w for w in written if w.id == source.id).message.at
            assert (source.message.at and source.message.at.utcoffset()) == (expected and expected.utcoffset()), "the zone is kept"
    assert not store.is_empty()


def the_same_message_is_journaled_once(open_store: OpenStore) -> None:
    store = open_store()
    first = said(store, "s1", Message("user", "hello there", NOW))
    with store.write(NOW) as tx:
        assert tx.journal(first, 0)
        assert not tx.journal(replace(first, id="s2"), 0)
        assert tx.journal(replace(first, id="s3"), 1), "an equal one in the same call is another"
        for n, other in enumerate(
            (
                replace(first, message=replace(first.message, text="hello there.")), replace(first, scope=Scope(store.cube, "ana")),
                replace(first, message=replace(first.message, at=NOW + DAY)), replace(first, message=replace(first.message, speaker="ana")),
                replace(first, message=replace(first.message, caption="a kite")), replace(first, message=replace(first.message, role="tool")),
                replace(first, message=replace(first.message, id="m1")),
            )
        ):  # fmt: skip
            assert tx.journal(replace(other, id=f"t{n}"), 0), "what differs in anything that was said is another message"
        log(tx)
    with store.write(NOW + DAY) as tx:
        assert not tx.journal(replace(first, id="s4", recorded=NOW + DAY), 0)
    assert len(store.sources()) == 9


def names_are_remembered_in_the_order_they_came(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for n, user in enumerate(("zoe", "ana", "zoe", "bea")):
            put(store, tx, f"m{n}", f"kettle {n}", user=user, session=f"s{n % 2}")
        log(tx)
    assert store.names("user") == ["zoe", "ana", "bea"] and store.names("session") == ["s0", "s1"] and store.names("agent") == []
    assert set(store.people()) == {"zoe", "ana", "bea"}
    assert store.people(RowFilter(now=NOW, user="ana")) == ["ana"], "nobody else is known to whom the filter narrows the rows to"
    assert store.people(RowFilter(now=NOW, session="s1")) == ["ana", "bea"]
    assert store.people(RowFilter(now=NOW, known_at=NOW - DAY)) == []
    assert store.sizes()["memories"] == 4 and store.sizes()["bytes"] > 0
