"""Claims and links."""

from __future__ import annotations

from dataclasses import replace

from loci.memories.plaintext import draft_of
from loci.ports import ClaimRow
from loci.testing.conformance.scene import DAY, NOW, OpenStore, log, put, seen_at
from loci.types import Interval, Outcome, State


def claims_are_found_by_key_and_closed_once(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        put(
            store,
            tx,
            "m0",
            "I live in Porto",
            user="ana",
            session="s",
            claims=[("ana", "residence", "porto"), ("ana", "plan/trip/rome", "june")],
        )
        put(store, tx, "m1", "I live in Lisbon", NOW + DAY, user="ana", session="s", claims=[("ana", "residence", "lisbon")])
        put(store, tx, "m2", "I live in Oslo", user="bea", session="s", claims=[("ana", "residence", "oslo")])

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
        log(tx)
    asked: list[tuple[str | None, str]] = [("ana", "residence")]
    assert store.values(asked, seen_at(NOW + 2 * DAY)) == ["oslo", "lisbon"], "what holds, the newest first"
    assert (
        store.values(asked, replace(seen_at(NOW + 2 * DAY), user="ana")) == ["lisbon"]
        and store.values([("zoe", "residence")], seen_at()) == []
    )
    assert store.values(asked, replace(seen_at(NOW + 2 * DAY), user="ana", as_of=NOW + DAY / 2)) == ["porto"]
    assert store.values([(None, "plan/trip")], seen_at(NOW + 2 * DAY)) == ["june"], "of anybody, and of all that it begins"
    for part, found in (("/*rom", ["june"]), ("/*oslo", []), ("/*%", []), ("/*_", [])):
        assert store.values([("ana", f"plan{part}")], seen_at(NOW + 2 * DAY)) == found, "what has that part in it, letter for letter"
    shown = {c.attribute: (c.value, c.closed_by, c.closed_at) for c in store.history("m0")[0].claims}
    assert shown == {"residence": ("porto", "m1", NOW + DAY), "plan/trip/rome": ("june", None, None)}
    assert [(k.source, k.target, k.type, k.reason, k.at) for k in store.links("m0")] == [("m1", "m0", "supersedes", "moved", NOW)]
    assert store.links("m1") == store.links("m0") and store.links("m2") == []
    assert store.links() == store.links("m0")
    with store.write(NOW + 2 * DAY) as tx:
        content = tx.content_of("m0", 1)
        assert tx.reopen_claims("m0", content) == ["m1"], "what had superseded it is named"
        assert tx.open_claims("m0") == 2
        assert sorted(tx.retire_claims("m0")) == [("ana", "plan/trip/rome"), ("ana", "residence")]
        assert tx.open_claims("m0") == 0 and tx.said_by("m0") == [] and [row.value for row in tx.said_by("m1")] == ["lisbon"]
        assert tx.keys_of(["m0-source", "m2-source"]) == [
            ("ana", "residence", "ana"), ("ana", "plan/trip/rome", "ana"), ("ana", "residence", "bea"),
        ]  # fmt: skip
        log(tx)


def of_several_values_one_is_closed(open_store: OpenStore) -> None:
    store, allergy = open_store(), ("ana", "allergy")
    with store.write(NOW) as tx:
        put(store, tx, "m0", "allergic to eggs and nuts", user="ana", claims=[(*allergy, "eggs"), (*allergy, "nuts")])
        put(store, tx, "m1", "no longer to eggs", NOW + DAY, user="ana")
        assert tx.close_claims("m0", allergy, "m1", NOW + DAY, "eggs")
        assert [(row.value, row.closed_by) for row in tx.claims([allergy], "ana")] == [("eggs", "m1"), ("nuts", None)]
        assert not tx.close_claims("m0", allergy, "m1", NOW + DAY, "milk") and tx.open_claims("m0") == 1
        assert tx.close_claims("m0", allergy, "m1", NOW + DAY) and tx.open_claims("m0") == 0
        log(tx)


def who_is_called_so_is_found_by_relation_and_by_name(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        for place, (user, *claim) in enumerate(
            [
                ("ana", "tom", "residence", "paris", "ana/brother"),
                ("ana", "tom", "residence", "rome"),
                ("ana", "ana", "attr/colleague", "tom"),
                ("ana", "ana", "partner", "tom"),
                ("ana", "ana", "pet_name/dog", "tom"),
                ("ana", "eva", "partner", "tom"),
                ("eva", "tom", "residence", "oslo", "ana/boss"),
            ]
        ):
            put(store, tx, f"m{place}", "as it was said", user=user, claims=[tuple(claim)])
        found = tx.namesakes("tom", "ana", "ana")
        assert [row.memory for row in found] == ["m0", "m2", "m3"] and found[0].relation == "ana/brother"
        assert [row.memory for row in tx.namesakes("tom berg", "ana", "ana")] == ["m2", "m3"], "a first name is a name"
        assert tx.namesakes("tom", "ana", None) == tx.namesakes("eva", "ana", "ana") == []
        log(tx)


def what_was_superseded_by_words_that_are_taken_back_is_found(open_store: OpenStore) -> None:
    store = open_store()
    residence = ("ana", "residence")
    with store.write(NOW) as tx:
        put(store, tx, "m0", "I live in Porto", user="ana", claims=[(*residence, "porto")])
        first = put(store, tx, "m1", "I love tea", NOW + DAY, user="ana")
        log(tx)
    with store.write(NOW + DAY) as tx:
        tx.close("m1", NOW + DAY, "changed")
        draft = draft_of(store.history("m1")[0], (ClaimRow("m1", *residence, "lisbon", speaker="ana", user="ana"),))
        tx.revise(draft, 2, Outcome.UPDATED)
        tx.close_claims("m0", residence, "m1", NOW + DAY)
        assert tx.freed_claims([residence], "ana") == [], "it still says so"
        log(tx)
    with store.write(NOW + 2 * DAY) as tx:
        tx.retire_claims("m1")
        assert tx.freed_claims([residence], "ana") == [], "that it says so no more takes nothing back"
        tx.set_state("m1", State.EXPIRED, None, 0)
        (row,) = tx.freed_claims([residence], "ana")
        assert (row.memory, row.closed_by) == ("m0", "m1") and tx.freed_claims([residence], "nobody") == []
        tx.set_state("m1", State.ACTIVATED, None, 0)
        tx.close("m1", NOW + 2 * DAY, "restored")
        tx.version("m1", 3, first, Interval(NOW + 2 * DAY), Outcome.RESTORED, "owner", "restored", None)
        (row,) = tx.freed_claims([residence], "ana")
        tx.open_claim(row)
        assert tx.freed_claims([residence], "ana") == [] and tx.open_claims("m0") == 1
        log(tx)
