"""What every `Store` promises, as plain functions that any driver can run. With pytest:

    @pytest.mark.parametrize("promise", PROMISES, ids=name_of)
    def test_promise(promise, tmp_path):
        with contextlib.ExitStack() as stack:
            promise(lambda name="cube": stack.enter_context(contextlib.closing(MyStore(tmp_path / name))))

The factory opens a store by name: an empty one at first, and the same again, by another handle, when it is asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from loci.errors import LociError, Missing
from loci.memories.plaintext import Header, draft_of, memory_of
from loci.ports import ClaimRow, Lent, Probe, RowFilter, Store, Transaction
from loci.testing.embedder import HashEmbedder
from loci.types import Candidate, Channel, Interval, Memory, Message, Outcome, Part, Scope, Source, State, Transition, Type

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class OpenStore(Protocol):
    """Opens a store; the same name is the same store."""

    def __call__(self, name: str = "cube") -> Store: ...


Promise = Callable[[OpenStore], None]


def name_of(promise: object) -> str:
    """The promise in words, for a test's name."""
    return getattr(promise, "__name__", str(promise)).replace("_", " ")


# -- the journal --------------------------------------------------------------------------------------------------------


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
        _source(
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
        _audit(tx)
    for handle in (store, open_store()):
        assert handle.sources() == written, "verbatim, in the order they were journaled"
        assert [handle.source(s.id) for s in written] == written
        for source in handle.sources():
            expected = next(w for w in written if w.id == source.id).message.at
            assert (source.message.at and source.message.at.utcoffset()) == (expected and expected.utcoffset()), "the zone is kept"
    assert not store.is_empty()


def the_same_message_is_journaled_once(open_store: OpenStore) -> None:
    store = open_store()
    first = _source(store, "s1", Message("user", "hello there", NOW))
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
        _audit(tx)
    with store.write(NOW + DAY) as tx:
        assert not tx.journal(replace(first, id="s4", recorded=NOW + DAY), 0)
    assert len(store.sources()) == 9


# -- transactions -------------------------------------------------------------------------------------------------------


def nothing_is_there_after_a_failed_write(open_store: OpenStore) -> None:
    store = open_store()
    _tell(store, "m0", "the kettle is blue")
    before, records = _rows(store), store.records(None, None, None, None, 100)
    try:
        with store.write(NOW + DAY) as tx:
            _put(store, tx, "m1", "the kettle is green", NOW + DAY)
            tx.close("m0", NOW + DAY, "changed", "m1")
            tx.set_state("m0", State.FROZEN, None, 3)
            tx.link("m1", "m0", "supersedes", "changed")
            tx.enqueue("embed", {"contents": [1]})
            _audit(tx)
            raise RuntimeError
    except RuntimeError:
        pass
    assert _rows(store) == before and store.records(None, None, None, None, 100) == records
    assert [m.id for m in store.select(_at(), 10)] == ["m0"] and store.get("m0", _at()).state is State.GENERATED
    assert not _found(store, "green")
    _tell(store, "m1", "the kettle is green")
    assert [m.id for m in store.select(_at(), 10)] == ["m0", "m1"]


def a_write_sees_itself_and_others_see_it_after_the_commit(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    _tell(store, "m0", "the kettle is blue")
    assert [m.id for m in other.select(_at(), 10)] == ["m0"]
    with store.write(NOW + DAY) as tx:
        _put(store, tx, "m1", "the kettle is green", NOW + DAY)
        _audit(tx)
        assert tx.current("m1")[1] == 1 and store.history("m1")[0].text == "the kettle is green"
        assert [m.id for m in other.select(_at(), 10)] == ["m0"]
    assert [m.id for m in other.select(_at(), 10)] == ["m0", "m1"] and _found(other, "green") == {"the kettle is green"}
    with other.write(NOW + 2 * DAY) as tx:
        tx.close("m0", NOW + 2 * DAY, "gone")
        tx.set_state("m0", State.EXPIRED, None, 0)
        _audit(tx)
    assert [m.id for m in store.select(_at(NOW + 3 * DAY), 10)] == ["m1"], "a change of an older row is seen as well"


def writers_wait_for_each_other(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]
    errors: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for n in range(20):
                _tell(stores[who], f"w{who}-{n:02}", f"kettle {who} {n}")
        except LociError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    assert [len(store.select(_at(), 100)) for store in stores] == [40, 40]
    assert [r.seq for r in stores[0].records(None, None, None, None, 100)] == list(range(1, 41))


# -- the filter ---------------------------------------------------------------------------------------------------------


def the_filter_comes_before_the_ranking(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for n in range(400):
            _put(store, tx, f"other-{n:03}", "kettle kettle kettle", user=f"user-{n % 7}")
        for n in range(10):
            _put(store, tx, f"mine-{n}", f"somewhere there is a kettle {n}", user="ana")
        _audit(tx)
    at = replace(_at(), user="ana")
    found = store.load(store.survey(Probe(("kettle",)), at).contents, at)
    assert {m.id for m in found.values()} == {f"mine-{n}" for n in range(10)}
    assert store.count(at) == len(store.select(at, 1000)) == store.survey(Probe(("kettle",)), at).documents == 10


def what_the_filter_leaves_out_is_nowhere(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        ana = _put(store, tx, "ana", "the kettle is blue", user="ana", agent="x", session="one")
        bea = _put(store, tx, "bea", "Is the kettle green?", NOW + DAY, user="bea", agent="y", session="two", type=Type.QUESTION)
        _audit(tx)
    now = _at(NOW + 9 * DAY)
    for narrow, only in (
        (replace(now, user="ana"), "ana"), (replace(now, agent="y"), "bea"), (replace(now, session="one"), "ana"),
        (replace(now, types=(Type.QUESTION,)), "bea"), (replace(now, since=NOW + DAY), "bea"), (replace(now, until=NOW + DAY), "ana"),
        (replace(now, as_of=NOW), "ana"), (replace(now, user="nobody"), None), (replace(now, states=frozenset({State.ARCHIVED})), None),
    ):  # fmt: skip
        expected = set() if only is None else {only}
        assert {m.id for m in store.select(narrow, 10)} == expected, narrow
        assert {m.id for m in store.load([ana, bea], narrow).values()} == expected
        assert set(store.present(["ana", "bea"], narrow)) == expected
        assert store.count(narrow) == len(expected)
        assert set(store.survey(Probe(("kettle",)), narrow).contents) == {c for c, id in ((ana, "ana"), (bea, "bea")) if id in expected}
        for id in {"ana", "bea"} - expected:
            _missing(lambda id=id, narrow=narrow: store.get(id, narrow))  # type: ignore[misc]


def pages_are_cut_from_one_order(open_store: OpenStore) -> None:
    store = open_store()
    for n in range(7):
        _tell(store, f"m{n}", f"kettle number {n}")
    assert [[m.id for m in store.select(_at(), 3, offset)] for offset in (0, 3, 6, 9)] == [
        ["m0", "m1", "m2"],
        ["m3", "m4", "m5"],
        ["m6"],
        [],
    ]


# -- versions -----------------------------------------------------------------------------------------------------------


def a_version_holds_from_its_start_to_its_end(open_store: OpenStore) -> None:
    store = open_store()
    _tell(store, "m", "the kettle is blue")
    second = NOW + 10 * DAY
    with store.write(second) as tx:
        number = tx.close("m", second, "painted")
        source = _journal(store, tx, "m-2", "the kettle is green", second)
        tx.revise(draft_of(replace(_memory(store, source, "m"), version=number + 1, reason="painted")), number + 1, Outcome.UPDATED)
        _audit(tx)
    late = _at(NOW + 99 * DAY)
    assert [(m.version, m.text, m.valid) for m in store.history("m")] == [
        (1, "the kettle is blue", Interval(NOW, second)), (2, "the kettle is green", Interval(second))
    ]  # fmt: skip
    for moment, version in ((NOW, 1), (second - timedelta(microseconds=1), 1), (second, 2), (second + DAY, 2)):
        assert store.get("m", replace(late, as_of=moment)).version == version
        assert [m.version for m in store.select(replace(late, as_of=moment), 9)] == [version]
    _missing(lambda: store.get("m", replace(late, as_of=NOW - timedelta(microseconds=1))))
    assert store.get("m", replace(late, known_at=second - DAY)).version == 1, "what we knew then"
    assert store.get("m", replace(late, known_at=second - DAY, as_of=second + DAY)).version == 1, "and took to be so later"
    assert [m.text for m in store.select(late, 9)] == ["the kettle is green"]
    assert _found(store, "blue") == set() and _found(store, "green") == {"the kettle is green"}
    assert not store.faults()[1]


def a_closed_memory_stays_in_history(open_store: OpenStore) -> None:
    store = open_store()
    _tell(store, "m", "the kettle is blue")
    with store.write(NOW + DAY) as tx:
        assert tx.close("m", NOW + DAY, "sold") == 1
        assert tx.current("m")[3] == Interval(NOW, NOW + DAY)
        _audit(tx)
    assert store.select(_at(NOW + 2 * DAY), 9) == []
    (kept,) = store.history("m")
    assert (kept.text, kept.reason, kept.ending, kept.valid) == ("the kettle is blue", "remembered", "sold", Interval(NOW, NOW + DAY))
    assert store.get("m", replace(_at(NOW + 2 * DAY), as_of=NOW)).text == "the kettle is blue"


def a_memory_without_a_time_can_end_without_one(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        source = _source(store, "s", Message("user", "the kettle is blue", None, id="1"))
        tx.journal(source, 0)
        tx.add(draft_of(_memory(store, source, "m")))
        _audit(tx)
    assert store.get("m", replace(_at(), as_of=NOW - 9999 * DAY)).valid == Interval()
    with store.write(NOW + DAY) as tx:
        tx.close("m", None, "superseded, nobody knows when")
        _audit(tx)
    assert store.select(_at(NOW + 2 * DAY), 9) == []
    assert store.history("m")[-1].text == "the kettle is blue", "nothing is lost for want of a date"


def header_fields_move_without_a_version(open_store: OpenStore) -> None:
    store = open_store()
    _tell(store, "m", "the kettle is blue")
    with store.write(NOW + DAY) as tx:
        assert tx.state("m") == (State.GENERATED, None, 0)
        tx.set_state("m", State.ARCHIVED, NOW + 9 * DAY, 4)
        assert tx.state("m") == (State.ARCHIVED, NOW + 9 * DAY, 4)
        assert tx.use({"m": 3, "unknown": 1}, NOW) == ["m"]
        tx.use({"m": 2}, NOW + DAY)
        _audit(tx)
    found = store.history("m")[-1]
    assert (found.version, found.state, found.priority, found.uses, found.last_used) == (1, State.ARCHIVED, 4, 5, NOW + DAY)
    assert store.select(_at(), 9) == [] and len(store.select(replace(_at(), states=frozenset({State.ARCHIVED})), 9)) == 1
    with store.write(NOW + 9 * DAY) as tx:
        assert tx.overdue(NOW + 8 * DAY) == [] and tx.overdue(NOW + 9 * DAY) == [("m", State.ARCHIVED, NOW + 9 * DAY, 4)]


def a_change_of_state_with_a_reason_is_told_until_its_memory_is_removed(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        source = _journal(store, tx, "m", "the kettle is blue")
        tx.add(draft_of(_memory(store, source, "m")))
        _audit(tx)
    for day, state, reason in (
        (1, State.FROZEN, "for good"),
        (2, State.FROZEN, "again"),
        (3, State.ACTIVATED, ""),
        (4, State.ARCHIVED, "old"),
    ):
        with store.write(NOW + day * DAY) as tx:
            tx.set_state("m", state, None, 0, "ana", reason)
            _audit(tx)
    told = [Transition(NOW + DAY, State.GENERATED, State.FROZEN, "ana", "for good")]
    told.append(Transition(NOW + 4 * DAY, State.ACTIVATED, State.ARCHIVED, "ana", "old"))
    assert store.transitions("m") == told and store.transitions("unknown") == []
    with store.write(NOW + 5 * DAY) as tx:
        tx.remove([source.id])
        _audit(tx)
    store.scrub([source])
    assert store.transitions("m") == [] and not store.faults()[1]


def a_time_to_live_hides_at_its_instant(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        source = _journal(store, tx, "m", "the kettle is on loan")
        tx.add(draft_of(_memory(store, source, "m", header=Header(2, NOW + DAY))))
        _audit(tx)
    assert store.count(_at(NOW + DAY - timedelta(microseconds=1))) == 1 and store.count(_at(NOW + DAY)) == 0
    assert store.history("m")[0].priority == 2


# -- claims and links ---------------------------------------------------------------------------------------------------


def claims_are_found_by_key_and_closed_once(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        _put(
            store,
            tx,
            "m0",
            "I live in Porto",
            user="ana",
            session="s",
            claims=[("ana", "residence", "porto"), ("ana", "plan/trip/rome", "june")],
        )
        _put(store, tx, "m1", "I live in Lisbon", NOW + DAY, user="ana", session="s", claims=[("ana", "residence", "lisbon")])
        _put(store, tx, "m2", "I live in Oslo", user="bea", session="s", claims=[("ana", "residence", "oslo")])

        def values(attribute: str, user: str | None = "ana") -> list[tuple[str, str | None]]:
            return [(row.value, row.closed_by) for row in tx.claims([("ana", attribute)], user)]

        assert values("residence") == [("porto", None), ("lisbon", None)], "oldest first, and of this user only"
        assert values("residence", "bea") == [("oslo", None)] and values("residence", None) == [] and values("age") == []
        assert values("plan/trip") == values("plan/trip/rome") == values("plan/trip/rome/hotel") == [("june", None)]
        assert [row.value for row in tx.spoken_claims("ana", "ana", 9)] == ["porto", "june", "lisbon"], "oldest first"
        assert [row.value for row in tx.spoken_claims("ana", "ana", 2)] == ["june", "lisbon"] and tx.spoken_claims("zoe", "ana", 9) == []
        assert tx.open_claims("m0") == 2
        tx.close_claims("m0", ("ana", "residence"), "m1", NOW + DAY)
        assert tx.open_claims("m0") == 1 and values("residence") == [("porto", "m1"), ("lisbon", None)]
        tx.link("m1", "m0", "supersedes", "moved")
        _audit(tx)
    asked: list[tuple[str | None, str]] = [("ana", "residence")]
    assert store.values(asked, _at(NOW + 2 * DAY)) == ["oslo", "lisbon"], "what holds, the newest first"
    assert store.values(asked, replace(_at(NOW + 2 * DAY), user="ana")) == ["lisbon"] and store.values([("zoe", "residence")], _at()) == []
    assert store.values(asked, replace(_at(NOW + 2 * DAY), user="ana", as_of=NOW + DAY / 2)) == ["porto"]
    assert store.values([(None, "plan/trip")], _at(NOW + 2 * DAY)) == ["june"], "of anybody, and of all that it begins"
    shown = {c.attribute: (c.value, c.closed_by, c.closed_at) for c in store.history("m0")[0].claims}
    assert shown == {"residence": ("porto", "m1", NOW + DAY), "plan/trip/rome": ("june", None, None)}
    assert [(k.source, k.target, k.type, k.reason, k.at) for k in store.links("m0")] == [("m1", "m0", "supersedes", "moved", NOW)]
    assert store.links("m1") == store.links("m0") and store.links("m2") == []
    with store.write(NOW + 2 * DAY) as tx:
        content = tx.content_of("m0", 1)
        assert tx.reopen_claims("m0", content) == ["m1"], "what had superseded it is named"
        assert tx.open_claims("m0") == 2
        tx.retire_claims("m0")
        assert tx.open_claims("m0") == 0
        _audit(tx)


# -- search, vectors and jobs -------------------------------------------------------------------------------------------


def words_are_found_by_their_stem_and_only_as_words(open_store: OpenStore) -> None:
    store = open_store()
    _tell(store, "m", "The kettles were leaking slowly")
    for term in ("kettle", "leak", "leaks", "KETTLES"):
        assert _found(store, term), term
    for term in ('"', "kettle*", "NEAR(kettle", "words:kettle", "-kettle", "kettle OR x", "", "OR", "*", "(", "scope", "u1", "\0"):
        store.survey(Probe((term,)), _at())
    assert not store.survey(Probe(()), _at()).contents


def what_somebody_said_is_found_by_their_name(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        _put(store, tx, "one", "the kettle is blue", user="Ana Lopes")
        _put(store, tx, "two", "Ana has a kettle too", user="Bea")
        _audit(tx)
    assert _told(store, "ana") == {"the kettle is blue", "Ana has a kettle too"} and _told(store, "lopes") == {"the kettle is blue"}
    with store.write(NOW) as tx:
        _put(store, tx, "three", "mine is green", user="Cem")
        _audit(tx)
    assert _told(store, "cem") == {"mine is green"}, "a speaker who came later"


def a_snapshot_is_of_one_moment(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    _tell(store, "m0", "the kettle is blue")
    with store.snapshot():
        assert store.count(_at()) == 1
        _tell(other, "m1", "the kettle is green")
        assert store.count(_at()) == 1 and len(_found(store, "kettle")) == 1, "as it was when the snapshot began"
        with store.snapshot():
            assert store.count(_at()) == 1, "a snapshot inside is the same"
    assert store.count(_at()) == 2 and len(_found(store, "kettle")) == 2


def vectors_of_two_embedders_are_never_compared(open_store: OpenStore) -> None:
    store, first, second = open_store(), HashEmbedder("first"), HashEmbedder("second")
    _tell(store, "m0", "the kettle is blue")
    _tell(store, "m1", "rex sleeps under the table")

    def ask(embedder: HashEmbedder) -> dict[str, float | None]:
        (vector,) = embedder.embed(["the kettle is blue"])
        survey = store.survey(Probe(("kettle",), vector, embedder=embedder.name), _at())
        memories = store.load(survey.contents, _at())
        missing.update(survey.missing)
        cosines = zip(survey.contents, survey.signals.get("cosine", ()), strict=True)
        return {memories[content].id: None if cosine != cosine else cosine for content, cosine in cosines}

    missing: dict[str, str] = {}
    assert set(ask(first).values()) == {None} and "dense" in missing
    with store.write(NOW) as tx:
        number = tx.generation("first", 64)
        assert tx.generation("first", 64) == number
        _embed(tx, number, first, tx.lease("embed", "w", NOW + DAY, 9, number))
        assert tx.promote(number)
    missing.clear()
    near = ask(first)
    assert not missing and near["m0"] is not None and near["m0"] > 0.99 and (near["m1"] or 0) < 0.7
    with store.write(NOW) as tx:
        later = tx.generation("second", 64)
        jobs = tx.lease("embed", "w", NOW + DAY, 9, later)
        assert later != number and jobs, "a new generation starts with a job over everything there is"
        assert not tx.promote(later), "and is not used before it covers everything"
    assert set(ask(second).values()) == {None} and "first" in missing["dense"]
    with store.write(NOW) as tx:
        _embed(tx, later, second, jobs)
        assert tx.promote(later)
    missing.clear()
    found = ask(second)
    assert not missing and found["m0"] is not None and found["m0"] > 0.99
    assert set(ask(first).values()) == {None} and "second" in missing["dense"]


def likeness_is_the_cosine_of_the_vectors_in_use(open_store: OpenStore) -> None:
    store, embedder = open_store(), HashEmbedder("first")
    texts = ("the kettle is blue", "the kettle is red", "rex sleeps under the table", "no vector yet")
    for place, text in enumerate(texts[:3]):
        _tell(store, f"m{place}", text)
    assert all(value != value for column in store.likeness([1, 2], [1]) for value in column), "nothing is known before there are vectors"
    with store.write(NOW) as tx:
        number = tx.generation("first", 64)
        _embed(tx, number, embedder, tx.lease("embed", "w", NOW + DAY, 9, number))
        assert tx.promote(number)
    _tell(store, "m3", texts[3])
    contents = {m.text: c for c, m in store.load(range(1, 9), _at()).items()}
    ordered = [contents[text] for text in texts]
    vectors = embedder.embed(list(texts))
    for wanted, column in zip((1, 2), store.likeness(ordered, [ordered[1], ordered[2]]), strict=True):
        expected = [sum(a * b for a, b in zip(vectors[wanted], vector, strict=True)) for vector in vectors]
        assert all(abs(a - b) < 1e-5 for a, b in zip(column[:3], expected, strict=False)) and column[3] != column[3]
    assert all(value != value for value in store.likeness(ordered, [ordered[3]])[0])


def a_job_is_done_by_one_worker_once(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "a"})
        tx.enqueue("embed", {"contents": [1]})
        tx.enqueue("read", {"source": "b"})
    soon = NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        held = tx.lease("read", "one", soon, 1)
        assert [job.arguments for job in held] == [{"source": "a"}] and held[0].attempts == 1
        assert [job.arguments for job in tx.lease("read", "two", soon, 9)] == [{"source": "b"}], "what is held is not given again"
        assert tx.lease("read", "three", soon, 9) == []
        assert not tx.finish([held[0].seq], "two") and len(store.jobs()) == 3
        assert tx.finish([held[0].seq], "one") and not tx.finish([held[0].seq], "one")
    assert [(job.verb, job.state) for job in store.jobs()] == [("embed", "ready"), ("read", "leased")]
    with store.write(soon + timedelta(seconds=1)) as tx:
        (again,) = tx.lease("read", "three", soon + DAY, 9)
        assert again.attempts == 2, "a worker that went away gives its job back when its time is over"
        assert not tx.finish([again.seq], "two")
        tx.retry(again.seq, "three", NOW + 2 * DAY, "no luck")
        assert tx.lease("read", "three", NOW + 3 * DAY, 9) == [], "not before it is due"
    assert [(job.verb, job.state, job.error) for job in store.jobs()] == [("embed", "ready", ""), ("read", "ready", "no luck")]
    with store.write(NOW + 2 * DAY) as tx:
        assert len(tx.lease("read", "three", NOW + 3 * DAY, 9)) == 1


def jobs_are_leased_by_what_they_take(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for size in (3, 3, 3, 100):
            tx.enqueue("embed", {"contents": list(range(size))})
    soon = NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        two = tx.lease("embed", "one", soon, 4)
        assert [len(job.arguments["contents"]) for job in two] == [3, 3], "as many as it takes, and no more"  # type: ignore[arg-type]
        two_others = tx.lease("embed", "two", soon, 4)
        assert [len(job.arguments["contents"]) for job in two_others] == [3, 100]  # type: ignore[arg-type]
        assert not tx.finish([two[0].seq, two_others[0].seq], "one") and len(store.jobs()) == 4, "all of them or none"
        assert tx.finish([job.seq for job in two], "one") and len(store.jobs()) == 2


# -- erasure and care ---------------------------------------------------------------------------------------------------


def what_is_removed_is_gone_with_all_that_rested_on_it(open_store: OpenStore) -> None:
    store, embedder = open_store(), HashEmbedder()
    with store.write(NOW) as tx:
        _put(store, tx, "m0", "I live in Porto", user="ana", session="s", claims=[("ana", "residence", "porto")])
        _put(store, tx, "m1", "the zyxquokker is in Lisbon", NOW + DAY, user="ana", session="t", claims=[("ana", "residence", "lisbon")])
        tx.close_claims("m0", ("ana", "residence"), "m1", NOW + DAY)
        tx.close("m0", NOW + DAY, "moved to the zyxquokker", "m1")
        tx.link("m1", "m0", "supersedes", "moved to the zyxquokker")
        number = tx.generation(embedder.name, 64)
        _embed(tx, number, embedder, tx.lease("embed", "w", NOW + DAY, 9, number))
        tx.promote(number)
        _audit(tx)
    with store.write(NOW + 2 * DAY) as tx:
        for by, value, expected in (("memory", "m1", ["m1-source"]), ("source", "m1-source", ["m1-source"]), ("session", "t", ["m1-source"]), ("user", "ana", ["m0-source", "m1-source"]), ("user", "nobody", [])):  # fmt: skip
            assert tx.quoting(by, value) == expected
        gone = store.source("m1-source")
        removed = tx.remove(["m1-source"])
        assert removed.counts["sources"] == removed.counts["memories"] == 1
        _audit(tx)
    assert store.scrub([gone]) > 0
    _missing(lambda: store.history("m1"))
    _missing(lambda: store.source("m1-source"))
    (kept,) = store.history("m0")
    assert kept.valid.end is None and "zyxquokker" not in kept.reason + kept.ending and kept.claims[0].closed_by is None
    assert store.links("m0") == [] and not _found(store, "zyxquokker") and not store.faults()[1]
    assert [m.id for m in store.select(_at(NOW + 9 * DAY), 9)] == ["m0"]
    with store.write(NOW + 3 * DAY) as tx:
        tx.remove(tx.quoting("user", "ana"))
        _audit(tx)
    store.scrub()
    assert store.is_empty() and {t: n for t, n in _rows(store).items() if n} == {"audit": 3} and not store.faults()[1]


def the_log_is_a_chain_and_can_be_asked(open_store: OpenStore) -> None:
    store = open_store()
    for n, verb in enumerate(("add", "update", "add", "forget")):
        with store.write(NOW + n * DAY) as tx:
            tx.audit("owner", verb, f"m{n}", {"count": n})
    every = store.records(None, None, None, None, 99)
    assert [(r.seq, r.verb, r.object, r.detail, r.at) for r in every] == [
        (n + 1, verb, f"m{n}", {"count": n}, NOW + n * DAY) for n, verb in enumerate(("add", "update", "add", "forget"))
    ]
    assert len({r.hash for r in every}) == 4
    assert [r.object for r in store.records(None, None, "add", None, 9)] == ["m0", "m2"]
    assert [r.verb for r in store.records(None, None, None, "m1", 9)] == ["update"]
    assert [r.object for r in store.records(NOW + DAY, NOW + 3 * DAY, None, None, 9)] == ["m1", "m2"], "since is in, until is out"
    assert [r.object for r in store.records(None, None, None, None, 2)] == ["m2", "m3"], "the newest, oldest first"


def what_is_lent_is_known_until_it_is_taken_back(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for name, size in (("b", 0), ("a", 5), ("b", 7)):
            tx.lend(Lent(name, "llamacpp http://127.0.0.1:8080", size))
        _audit(tx)
    assert [(lent.name, lent.bytes) for lent in store.lent()] == [("a", 5), ("b", 7)], "under a name there is one"
    with store.write(NOW) as tx:
        tx.take_back(["a", "never lent"])
        _audit(tx)
    assert [lent.server for lent in open_store().lent()] == ["llamacpp http://127.0.0.1:8080"]


def a_copy_is_a_cube_of_its_own(open_store: OpenStore) -> None:
    store = open_store()
    _tell(store, "m0", "the kettle is blue")
    with TemporaryDirectory() as folder:
        target = Path(folder) / "copy"
        store.copy(target)
        assert target.exists()
    _tell(store, "m1", "the kettle is green")
    assert len(store.select(_at(), 9)) == 2 and not store.faults()[1]


def two_cubes_have_two_secrets(open_store: OpenStore) -> None:
    first, second = open_store("first"), open_store("second")
    assert first.hash("kettle") == first.hash("kettle") == open_store("first").hash("kettle")
    assert first.hash("kettle") != second.hash("kettle") and first.id != second.id
    assert first.hash("a", "b") != first.hash("ab") != first.hash("a", None)
    _tell(first, "m", "the kettle is blue")
    assert second.is_empty() and second.select(_at(), 9) == []
    _missing(lambda: second.history("m"))


def what_is_not_there_is_missing(open_store: OpenStore) -> None:
    store = open_store()
    assert (
        store.is_empty()
        and store.people() == []
        and store.jobs() == []
        and store.sources() == []
        and store.records(None, None, None, None, 9) == []
    )
    for ask in (lambda: store.get("x", _at()), lambda: store.history("x"), lambda: store.source("x")):
        _missing(ask)
    assert store.load([1, 2], _at()) == {} and store.present(["x"], _at()) == {} and store.present([], _at()) == {}
    with store.write(NOW) as tx:
        for change in (
            lambda: tx.current("x"), lambda: tx.state("x"), lambda: tx.close("x", NOW, "r"),
            lambda: tx.set_state("x", State.FROZEN, None, 0), lambda: tx.link("x", "y", "t", "r"), lambda: tx.content_of("x", 1),
        ):  # fmt: skip
            _missing(change)
    assert store.is_empty()


def names_are_remembered_in_the_order_they_came(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for n, user in enumerate(("zoe", "ana", "zoe", "bea")):
            _put(store, tx, f"m{n}", f"kettle {n}", user=user, session=f"s{n % 2}")
        _audit(tx)
    assert store.names("user") == ["zoe", "ana", "bea"] and store.names("session") == ["s0", "s1"] and store.names("agent") == []
    assert set(store.people()) == {"zoe", "ana", "bea"}
    assert store.people(RowFilter(now=NOW, user="ana")) == ["ana"], "nobody else is known to whom the filter narrows the rows to"
    assert store.people(RowFilter(now=NOW, session="s1")) == ["ana", "bea"]
    assert store.people(RowFilter(now=NOW, known_at=NOW - DAY)) == []
    assert store.sizes()["memories"] == 4 and store.sizes()["bytes"] > 0


PROMISES: tuple[Promise, ...] = (
    what_is_journaled_is_read_back_verbatim,
    the_same_message_is_journaled_once,
    nothing_is_there_after_a_failed_write,
    a_write_sees_itself_and_others_see_it_after_the_commit,
    writers_wait_for_each_other,
    the_filter_comes_before_the_ranking,
    what_the_filter_leaves_out_is_nowhere,
    pages_are_cut_from_one_order,
    a_version_holds_from_its_start_to_its_end,
    a_closed_memory_stays_in_history,
    a_memory_without_a_time_can_end_without_one,
    header_fields_move_without_a_version,
    a_change_of_state_with_a_reason_is_told_until_its_memory_is_removed,
    a_time_to_live_hides_at_its_instant,
    claims_are_found_by_key_and_closed_once,
    words_are_found_by_their_stem_and_only_as_words,
    what_somebody_said_is_found_by_their_name,
    a_snapshot_is_of_one_moment,
    vectors_of_two_embedders_are_never_compared,
    a_job_is_done_by_one_worker_once,
    jobs_are_leased_by_what_they_take,
    what_is_removed_is_gone_with_all_that_rested_on_it,
    the_log_is_a_chain_and_can_be_asked,
    what_is_lent_is_known_until_it_is_taken_back,
    a_copy_is_a_cube_of_its_own,
    two_cubes_have_two_secrets,
    what_is_not_there_is_missing,
    names_are_remembered_in_the_order_they_came,
)


# -- plumbing -----------------------------------------------------------------------------------------------------------


def _at(now: datetime = NOW + 5 * DAY) -> RowFilter:
    return RowFilter(now=now)


def _source(store: Store, id: str, message: Message, scope: Scope | None = None, recorded: datetime = NOW) -> Source:
    """A message as it would be journaled; its scope names the session that the message names."""
    scope = scope or Scope(store.cube, session=message.session)
    message = replace(message, session=scope.session)
    return Source(id, message, scope, "owner", Channel.USER, recorded, store.hash(message.text, message.caption))


def _journal(store: Store, tx: Transaction, id: str, text: str, at: datetime = NOW) -> Source:
    source = _source(store, f"{id}-source", Message("user", text, at), recorded=at)
    assert tx.journal(source, 0)
    return source


def _memory(store: Store, source: Source, id: str, type: Type = Type.FACT, header: Header = Header()) -> Memory:  # noqa: B008 - frozen
    words = source.message.words
    candidate = Candidate(0, len(words), Part.TURN, type, source.message.speaker, None)
    return memory_of(candidate, source, id, words, store.hash(words), Interval(source.message.at), header)


def _put(
    store: Store, tx: Transaction, id: str, text: str, at: datetime = NOW, *, user: str | None = None, agent: str | None = None,
    session: str | None = None, type: Type = Type.FACT, claims: Sequence[tuple[str, str, str]] = (),
) -> int:  # fmt: skip
    """A message and the memory of all of it. Returns its content key."""
    message = Message("user", text, at, speaker=user, session=session)
    source = _source(store, f"{id}-source", message, Scope(store.cube, user, agent, session), recorded=at)
    assert tx.journal(replace(source, message=replace(message, id=id)), 0)
    rows = tuple(
        ClaimRow(id, subject, attribute, value, speaker=user, user=user, session=session, said=at) for subject, attribute, value in claims
    )
    return tx.add(draft_of(_memory(store, source, id, type), rows))


def _tell(store: Store, id: str, text: str) -> None:
    with store.write(NOW) as tx:
        _put(store, tx, id, text)
        _audit(tx)


def _audit(tx: Transaction) -> None:
    tx.audit("owner", "add", "test", {})


def _embed(tx: Transaction, generation: int, embedder: HashEmbedder, jobs: Sequence[object]) -> None:
    """Works off embedding jobs inside a transaction."""
    contents = sorted({c for job in jobs for c in job.arguments["contents"]})  # type: ignore[attr-defined]
    texts = tx.texts(contents)
    tx.put_vectors(generation, sorted(texts), embedder.embed([texts[c] for c in sorted(texts)]))
    assert tx.finish([job.seq for job in jobs], "w")  # type: ignore[attr-defined]


def _found(store: Store, term: str) -> set[str]:
    """Texts that a search for one term finds."""
    at = _at(NOW + 99 * DAY)
    survey = store.survey(Probe((term,)), at)
    holding = [content for content, nats in zip(survey.contents, survey.signals.get("words", ()), strict=True) if nats > 0]
    return {m.text for m in store.load(holding, at).values()}


def _told(store: Store, name: str) -> set[str]:
    """Texts that a search for nothing but a name finds."""
    return {m.text for m in store.load(store.survey(Probe((name,)), _at()).contents, _at()).values()}


def _rows(store: Store) -> dict[str, int]:
    return {table: count for table, count in store.sizes().items() if table != "bytes"}


def _missing(ask: Callable[[], object]) -> None:
    try:
        ask()
    except Missing as error:
        assert str(error)
    else:
        raise AssertionError("what is not there, or not to be seen, must raise Missing")
