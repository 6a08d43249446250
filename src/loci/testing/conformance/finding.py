"""Finding by words, by names and by vectors."""

from __future__ import annotations

from dataclasses import replace

from loci.ports import Probe
from loci.testing.conformance.scene import DAY, NOW, OpenStore, embed, log, put, seen_at, tell, texts_of, texts_with
from loci.testing.embedder import HashEmbedder
from loci.types import Interval


def words_are_found_by_their_stem_and_only_as_words(open_store: OpenStore) -> None:
    store = open_store()
    tell(store, "m", "The kettles were leaking slowly")
    for term in ("kettle", "leak", "leaks", "KETTLES"):
        assert texts_with(store, term), term
    for term in ('"', "kettle*", "NEAR(kettle", "words:kettle", "-kettle", "kettle OR x", "", "OR", "*", "(", "scope", "u1", "\0"):
        store.survey(Probe((term,)), seen_at())
    assert not store.survey(Probe(()), seen_at()).contents


def what_somebody_said_is_found_by_their_name(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        put(store, tx, "one", "the kettle is blue", user="Ana Lopes")
        put(store, tx, "two", "Ana has a kettle too", user="Bea")
        log(tx)
    assert texts_of(store, "ana") == {"the kettle is blue", "Ana has a kettle too"} and texts_of(store, "lopes") == {"the kettle is blue"}
    with store.write(NOW) as tx:
        put(store, tx, "three", "mine is green", user="Cem")
        log(tx)
    assert texts_of(store, "cem") == {"mine is green"}, "a speaker who came later"


def what_was_said_in_the_time_asked_about_is_a_candidate(open_store: OpenStore) -> None:
    store, then = open_store(), NOW - 300 * DAY
    with store.write(NOW) as tx:
        put(store, tx, "then", "at last the roof is tight", then)
        for day in range(200):
            put(store, tx, f"m{day}", f"my achievement of day {day}", NOW - day * DAY)
        log(tx)
    probe = Probe(("achievement",))
    for window, is_expected in ((None, False), (Interval(then - DAY, then + DAY), True), (Interval(then + DAY, then + 9 * DAY), False)):
        memories = store.load(store.survey(replace(probe, window=window), seen_at()).contents, seen_at())
        assert ("then" in {m.id for m in memories.values()}) is is_expected, window


def vectors_of_two_embedders_are_never_compared(open_store: OpenStore) -> None:
    store, first, second = open_store(), HashEmbedder("first"), HashEmbedder("second")
    tell(store, "m0", "the kettle is blue")
    tell(store, "m1", "rex sleeps under the table")

    def ask(embedder: HashEmbedder) -> dict[str, float | None]:
        (vector,) = embedder.embed(["the kettle is blue"])
        survey = store.survey(Probe(("kettle",), vector, embedder=embedder.name), seen_at())
        memories = store.load(survey.contents, seen_at())
        missing.update(survey.missing)
        cosines = zip(survey.contents, survey.signals.get("cosine", ()), strict=True)
        return {memories[content].id: None if cosine != cosine else cosine for content, cosine in cosines}

    missing: dict[str, str] = {}
    assert set(ask(first).values()) == {None} and "dense" in missing
    with store.write(NOW) as tx:
        number = tx.generation("first", 64)
        assert tx.generation("first", 64) == number
        embed(tx, number, first, tx.lease("embed", "w", NOW + DAY, 9, number))
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
        embed(tx, later, second, jobs)
        assert tx.promote(later)
    missing.clear()
    found = ask(second)
    assert not missing and found["m0"] is not None and found["m0"] > 0.99
    assert set(ask(first).values()) == {None} and "second" in missing["dense"]


def likeness_is_the_cosine_of_the_vectors_in_use(open_store: OpenStore) -> None:
    store, embedder = open_store(), HashEmbedder("first")
    texts = ("the kettle is blue", "the kettle is red", "rex sleeps under the table", "no vector yet")
    for place, text in enumerate(texts[:3]):
        tell(store, f"m{place}", text)
    assert all(value != value for column in store.likeness([1, 2], [1]) for value in column), "nothing is known before there are vectors"
    with store.write(NOW) as tx:
        number = tx.generation("first", 64)
        embed(tx, number, embedder, tx.lease("embed", "w", NOW + DAY, 9, number))
        assert tx.promote(number)
    tell(store, "m3", texts[3])
    contents = {m.text: c for c, m in store.load(range(1, 9), seen_at()).items()}
    ordered = [contents[text] for text in texts]
    vectors = embedder.embed(list(texts))
    for wanted, column in zip((1, 2), store.likeness(ordered, [ordered[1], ordered[2]]), strict=True):
        expected = [sum(a * b for a, b in zip(vectors[wanted], vector, strict=True)) for vector in vectors]
        assert all(abs(a - b) < 1e-5 for a, b in zip(column[:3], expected, strict=False)) and column[3] != column[3]
    assert all(value != value for value in store.likeness(ordered, [ordered[3]])[0])
