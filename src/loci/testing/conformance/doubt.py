"""Words that are not trusted: what is said of them, quarantine, and taking back what came from somewhere."""

from __future__ import annotations

from dataclasses import replace

from loci.memories.plaintext import draft_of
from loci.ports import Probe
from loci.testing.conformance.scene import DAY, NOW, OpenStore, embed, expect_missing, log, put, remembered, seen_at, tell, texts_with
from loci.testing.embedder import HashEmbedder
from loci.types import Interval, State, Trust

TRIP = [("ana", "residence", "porto"), ("ana", "plan/trip", "june")]


# -- what is asked before words are believed ----------------------------------------------------------------------------


def what_is_said_already_is_known_word_for_word(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        put(store, tx, "m0", 'Ana said "the kettle is blue", twice', user="ana")
        put(store, tx, "m1", "we moved to Porto", user="ana")
        put(store, tx, "m2", "nobody says whose this is")
        assert tx.says("ana", ["the kettle is blue"]) and tx.says("ana", ['said "the kettle']), "within the write that put it there"
        log(tx)
    with store.write(NOW) as tx:
        assert tx.says("ana", ["the kettle is blue", "moved to Porto"]), "each of them by any memory"
        assert not tx.says("ana", ["the kettle is blue", "moved to Lisbon"]), "but all of them"
        assert not tx.says("ana", ["blue is the kettle"]) and not tx.says("ana", ["kettle blue"]), "in a row, and in this order"
        assert not tx.says("ana", ["twice we moved"]), "not across memories"
        assert not tx.says("bea", ["the kettle is blue"]) and not tx.says(None, ["the kettle is blue"]), "by this user's memories"
        assert tx.says(None, ["whose this is"]) and not tx.says("ana", ["whose this is"])
        for query in ('"', "the NOT kettle", "the kettle*", "words : porto", "\0"):
            tx.says("ana", [query])


def a_session_is_tainted_by_what_is_not_trusted(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        put(store, tx, "m0", "the page says so", user="ana", session="one", trust=Trust.UNTRUSTED)
        put(store, tx, "m1", "I say so", user="ana", session="two")
        put(store, tx, "m2", "the assistant says so", user="ana", session="two", trust=Trust.REPORTED)
        put(store, tx, "m3", "a page says so to nobody", session="three", trust=Trust.UNTRUSTED)
        assert tx.is_tainted("ana", "one"), "within the write that did it"
        log(tx)
    with store.write(NOW) as tx:
        assert tx.is_tainted("ana", "one") and not tx.is_tainted("ana", "two") and not tx.is_tainted("ana", "four")
        assert not tx.is_tainted("bea", "one") and not tx.is_tainted(None, "one"), "the same name is another's session"
        assert tx.is_tainted(None, "three") and not tx.is_tainted("ana", "three")
        assert not tx.is_tainted("ana", None)


def who_claims_the_same_is_told_by_principal(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for n, (principal, user, value) in enumerate(
            (("owner", "ana", "porto"), ("bot", "ana", "porto"), ("bot", "ana", "porto"), ("cem", "bea", "porto"), ("dan", "ana", "oslo"))
        ):
            put(store, tx, f"m{n}", f"kettle {n}", user=user, claims=[("ana", "residence", value)], principal=principal)
        denied = remembered(store, store.source("m4-source"), "denied")
        claim = replace(tx.claims([("ana", "residence")], "ana")[0], memory="denied", polarity=False, seq=0)
        tx.add(draft_of(denied, (claim,)))
        log(tx)
    assert store.claimants("ana", "residence", "porto", "ana") == {"owner", "bot"}, "each once, and none who denies it"
    assert store.claimants("ana", "residence", "porto", "bea") == {"cem"} and store.claimants("ana", "residence", "oslo", "ana") == {"dan"}
    assert store.claimants("bea", "residence", "porto", "ana") == store.claimants("ana", "name", "porto", "ana") == set()
    assert store.claimants("ana", "residence", "rome", "ana") == store.claimants("ana", "residence", "porto", None) == set()


# -- quarantine ---------------------------------------------------------------------------------------------------------


def what_is_held_is_in_no_present_answer(open_store: OpenStore) -> None:
    store, other = open_store(), open_store()
    with store.write(NOW) as tx:
        held = put(store, tx, "m0", "the kettle gives orders", user="eve", claims=[("ana", "kettle", "bossy")])
        put(store, tx, "m1", "the kettle is blue", user="ana")
        log(tx)
    assert store.count(seen_at()) == 2 and store.survey(Probe(("kettle",)), seen_at()).held == 0
    with store.write(NOW + DAY) as tx:
        assert not tx.is_held("m0")
        tx.hold("m0", "it gives orders")
        assert tx.is_held("m0") and not tx.is_held("m1")
        log(tx)
    now = seen_at(NOW + 2 * DAY)
    for handle in (store, other):
        assert [m.id for m in handle.select(now, 9)] == ["m1"] and handle.count(now) == 1
        assert set(handle.present(["m0", "m1"], now)) == {"m1"} and held not in handle.load([held], now)
        expect_missing(lambda handle=handle: handle.get("m0", now))  # type: ignore[misc]
        survey = handle.survey(Probe(("kettle",)), now)
        assert held not in survey.contents and survey.held == 1, "left out before it is ranked, and counted"
        assert handle.values([("ana", "kettle")], now) == [] and handle.people(now) == ["ana"], "nor what it claims, nor who said it"
        assert handle.get("m0", replace(now, known_at=NOW + DAY / 2)).id == "m0", "what was known before, was known"
        assert handle.history("m0")[-1].text == "the kettle gives orders"
    (suspect,) = other.suspects("")
    assert (suspect.memory.id, suspect.reason, suspect.at, suspect.decision) == ("m0", "it gives orders", NOW + DAY, "")
    assert not store.faults()[1]


def what_is_decided_of_what_is_held_is_kept(open_store: OpenStore) -> None:
    store = open_store()
    for id in ("m0", "m1", "m2"):
        tell(store, id, f"kettle {id}")
    with store.write(NOW + DAY) as tx:
        tx.hold("m1", "first")
        tx.release("m2", "accepted")
        log(tx)
    with store.write(NOW + 2 * DAY) as tx:
        tx.hold("m0", "second")
        log(tx)
    assert [(s.memory.id, s.at) for s in store.suspects("")] == [("m1", NOW + DAY), ("m0", NOW + 2 * DAY)], "the oldest first"
    held, free = (store.history(id)[-1].spans[0].source for id in ("m1", "m2"))
    assert [s.memory.id for s in store.suspects("", held)] == ["m1"] and not store.suspects("", free), "those that quote a source"
    assert store.suspects("accepted") == [], "what was never held was not released"
    with store.write(NOW + 3 * DAY) as tx:
        tx.hold("m1", "", "rejected")
        tx.release("m0", "accepted")
        log(tx)
    (rejected,), (accepted,) = store.suspects("rejected"), store.suspects("accepted")
    assert (rejected.memory.id, rejected.reason, rejected.at) == ("m1", "first", NOW + DAY), "why and since when stay"
    assert (accepted.memory.id, accepted.reason) == ("m0", "second") and store.suspects("") == []
    assert [m.id for m in store.select(seen_at(NOW + 9 * DAY), 9)] == ["m0", "m2"]
    then = replace(seen_at(NOW + 9 * DAY), known_at=NOW + 2.5 * DAY)
    assert [m.id for m in store.select(then, 9)] == ["m2"], "as it was known between"
    with store.write(NOW + 4 * DAY) as tx:
        assert tx.is_held("m1") and not tx.is_held("m0")
        tx.hold("m0", "again")
        assert tx.is_held("m0")
        log(tx)
    (again,) = store.suspects("")
    assert (again.memory.id, again.at) == ("m0", NOW + 4 * DAY), "held anew, from now on"
    assert not store.faults()[1]


# -- taking back --------------------------------------------------------------------------------------------------------


def where_words_come_from_is_asked_by_what_is_named(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        put(store, tx, "m0", "kettle 0", user="ana", session="one", origin="https://x.example")
        put(store, tx, "m1", "kettle 1", user="ana", session="two", principal="bot")
        put(store, tx, "m2", "kettle 2", user="bea", session="one", principal="bot", origin="https://x.example")
        log(tx)
    with store.write(NOW) as tx:
        for by, expected in (
            ({"origin": "https://x.example"}, ["m0", "m2"]), ({"session": "one"}, ["m0", "m2"]), ({"user": "ana"}, ["m0", "m1"]),
            ({"principal": "bot"}, ["m1", "m2"]), ({"principal": "bot", "session": "one"}, ["m2"]), ({"origin": "https://x.example", "user": "ana"}, ["m0"]),
            ({"user": "nobody"}, []), ({"origin": "ana"}, []), ({"session": "one", "user": "nobody"}, []),
        ):  # fmt: skip
            assert tx.coming_from(by) == [f"{id}-source" for id in expected], by


def what_was_made_of_words_is_found_by_them(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for id in ("m0", "m1", "m2", "m3"):
            put(store, tx, id, f"kettle {id}")
        tx.link("m1", "m0", "derived", "made from it")
        tx.link("m3", "m1", "derived", "made from it")
        tx.link("m2", "m0", "evidence", "says the same")
        assert tx.made_of(["m0-source"]) == ["m1-source"], "one step, and only what was made of it"
        assert tx.made_of(["m1-source", "m0-source"]) == ["m1-source", "m3-source"] and tx.made_of(["m3-source"]) == []
        tx.set_state("m0", State.FROZEN, None, 0)
        tx.set_state("m3", State.FROZEN, None, 0)
        tx.set_state("m2", State.ARCHIVED, None, 0)
        assert tx.frozen(["m3-source", "m0-source", "m1-source"]) == ["m0", "m3"] and tx.frozen(["m1-source", "m2-source"]) == []
        log(tx)


def what_is_reverted_leaves_the_present_and_stays_in_the_past(open_store: OpenStore) -> None:
    store, without, embedder = open_store("told"), open_store("never told"), HashEmbedder()
    for cube in (store, without):
        with cube.write(NOW) as tx:
            put(cube, tx, "m0", "I live in Porto", user="ana", session="s", claims=TRIP)
            log(tx)
    with store.write(NOW + DAY) as tx:
        put(
            store,
            tx,
            "m1",
            "Ana lives in Lisbon",
            NOW + DAY,
            user="ana",
            session="s",
            claims=[("ana", "residence", "lisbon")],
            origin="https://x.example",
        )
        for key in (("ana", "residence"), ("ana", "plan/trip")):
            tx.close_claims("m0", key, "m1", NOW + DAY)
        tx.link("m1", "m0", "supersedes", "moved")
        tx.close("m0", NOW + DAY, "moved", "m1")
        log(tx)
    with store.write(NOW + 2 * DAY) as tx:
        gone, reopened = tx.revert(["m1-source"], "the page was wrong")
        assert gone == ["m1"] and {(row.memory, row.attribute, row.value) for row in reopened} == {("m0", a, v) for _, a, v in TRIP}
        assert tx.is_held("m1") and tx.open_claims("m0") == 2
        assert [row.value for row in tx.claims([("ana", "residence")], "ana")] == ["porto"], "nothing is held against what it claimed"
        log(tx)
    now, before = seen_at(NOW + 3 * DAY), replace(seen_at(NOW + 3 * DAY), known_at=NOW + 1.5 * DAY)
    ours, theirs = store.select(now, 9), without.select(now, 9)
    assert [(m.id, m.text, m.valid, m.ending) for m in ours] == [(m.id, m.text, m.valid, m.ending) for m in theirs]
    assert [(c.attribute, c.value, c.closed_by) for c in ours[0].claims] == [(c.attribute, c.value, c.closed_by) for c in theirs[0].claims]
    assert store.values([("ana", "residence")], now) == ["porto"] and store.links("m0") == [] and texts_with(store, "lisbon") == set()
    assert [(m.id, m.valid) for m in store.select(replace(before, as_of=NOW + DAY / 2), 9)] == [("m0", Interval(NOW, NOW + DAY))]
    assert [m.id for m in store.select(before, 9)] == ["m1"], "what was known then, was known"
    assert store.source("m1-source").origin == "https://x.example" and store.history("m1")[-1].text == "Ana lives in Lisbon"
    assert [(s.memory.id, s.reason, s.decision) for s in store.suspects("reverted")] == [("m1", "the page was wrong", "reverted")]
    with store.write(NOW + 4 * DAY) as tx:
        number = tx.generation(embedder.name, 64)
        embed(tx, number, embedder, tx.lease("embed", "w", NOW + 9 * DAY, 9, number))
        assert tx.promote(number), "and is still one of the memories that there are"
        log(tx)
    assert not store.faults()[1]
