"""Jobs: held by one worker at a time, done once."""

from __future__ import annotations

from datetime import timedelta

from loci.testing.conformance.scene import DAY, NOW, OpenStore, expect_conflict, expect_missing

HOUR = timedelta(hours=1)


def a_job_is_done_by_one_worker_once(open_store: OpenStore) -> None:
    store = open_store()
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "a"})
        tx.enqueue("embed", {"contents": [1]})
        tx.enqueue("read", {"source": "b"})
    soon = NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        held = tx.lease("read", "one", soon, 1)
        assert [job.arguments for job in held] == [{"source": "a"}] and held[0].attempts == 0
        assert [job.arguments for job in tx.lease("read", "two", soon, 9)] == [{"source": "b"}], "what is held is not given again"
        assert tx.lease("read", "three", soon, 9) == []
        assert not tx.finish([held[0].seq], "two") and len(store.jobs()) == 3
        assert tx.finish([held[0].seq], "one") and not tx.finish([held[0].seq], "one")
    assert [(job.verb, job.state) for job in store.jobs()] == [("embed", "ready"), ("read", "leased")]
    with store.write(soon + timedelta(seconds=1)) as tx:
        assert tx.lease("read", "three", soon + HOUR, 9) == []
        (late,) = tx.gone()
        tx.retry(late.seq, None, soon, "its worker was gone")
        assert tx.gone() == [] and tx.prolong([late.seq], "two", NOW), "nobody has begun it since"
        tx.retry(late.seq, None, soon, "and again")
        (again,) = tx.lease("read", "three", soon + HOUR, 9)
        assert (again.attempts, again.error) == (2, "and again"), "its job is anybody's when its time is over"
        tx.retry(again.seq, None, NOW, "it is held")
        assert not tx.finish([again.seq], "two") and not tx.prolong([again.seq], "two", soon + HOUR)
        tx.retry(again.seq, "three", NOW + 2 * HOUR, "no luck")
        tx.retry(again.seq, "three", NOW, "not held any more")
        assert tx.lease("read", "three", NOW + HOUR, 9) == [], "not before it is due"
    assert [(job.verb, job.state, job.error) for job in store.jobs()] == [("embed", "ready", ""), ("read", "ready", "no luck")]
    with store.write(NOW + 2 * HOUR) as tx:
        assert len(tx.lease("read", "three", NOW + 3 * HOUR, 9)) == 1


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


def no_number_of_a_job_is_given_twice(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    seen: set[int] = set()
    for _ in range(3):
        with store.write(NOW) as tx:
            tx.enqueue("read", {"source": "a"})
        with store.write(NOW) as tx:
            (job,) = tx.lease("read", "one", soon, 9)
            assert job.seq not in seen and tx.finish([job.seq], "one")
        seen.add(job.seq)
    assert store.jobs() == [] and store.jobs(9, ("done",)) != []


def what_is_urgent_goes_first_and_users_take_turns(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        for number in range(4):
            tx.enqueue("read", {"source": f"a{number}"}, user="ana")
        for user in ("bo", "cem"):
            tx.enqueue("read", {"source": user}, user=user)
        tx.enqueue("read", {"source": "urgent"}, user="ana", priority=5)
        tx.enqueue("read", {"source": "idle"}, user="dee", priority=-5)

    def lease(count: int) -> list[object]:
        with store.write(NOW) as tx:
            return [job.arguments["source"] for job in tx.lease("read", "one", soon, count)]

    assert lease(1) == ["urgent"] and lease(3) == ["bo", "cem", "a0"], "each comes after who was served last"
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "late"}, user="bo")
    assert lease(1) == ["late"] and lease(9) == ["a1", "a2", "a3"], "who comes late does not wait for all that was there before"
    assert lease(9) == ["idle"]
    assert {job.user for job in store.jobs()} == {"ana", "bo", "cem", "dee"}


def sessions_of_a_user_take_turns_and_give_a_user_no_more_of_them(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        for number in range(6):
            tx.enqueue("read", {"source": f"a{number}"}, user="ana", session="long")
        for session, agent in (("short", None), ("long", "bot"), (None, None)):
            tx.enqueue("read", {"source": f"{session} {agent}"}, user="ana", session=session, agent=agent)
        for number in range(2):
            tx.enqueue("read", {"source": f"b{number}"}, user="bo", session="short")

    def lease(count: int) -> list[object]:
        with store.write(NOW) as tx:
            return [job.arguments["source"] for job in tx.lease("read", "one", soon, count)]

    one_by_one = [lease(1)[0] for _ in range(6)]
    assert {"b0", "b1"} < set(one_by_one) and sum(str(one).startswith("b") for one in one_by_one[:4]) == 2, "users first"
    own = [one for one in one_by_one if not str(one).startswith("b")]
    assert len(own) == 4 and set(own) == {"a0", "short None", "long bot", "None None"}, "each of what is ana's"
    assert lease(9) == ["a1", "a2", "a3", "a4", "a5"]


def a_key_is_queued_once(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        for priority in (0, 3, 1):
            tx.enqueue("read", {"source": "a"}, key="a", priority=priority)
        tx.enqueue("read", {"source": "b"}, key="b")
        tx.enqueue("read", {"source": "c"})
        tx.enqueue("read", {"source": "c"})
    assert [(job.arguments["source"], job.priority) for job in store.jobs()] == [("a", 3), ("b", 0), ("c", 0), ("c", 0)]
    assert [job.arguments["source"] for job in store.jobs(key="b")] == ["b"] and store.jobs(key="c") == []
    with store.write(NOW) as tx:
        (begun,) = tx.lease("read", "one", soon, 1)
        tx.enqueue("read", {"source": "a"}, key="a")
    assert len(store.jobs()) == 5, "what was begun may have seen less than is there now"
    with store.write(NOW) as tx:
        tx.retry(begun.seq, "one", NOW, "no luck")
    assert [job.seq for job in store.jobs() if job.arguments["source"] == "a"] != [begun.seq] and len(store.jobs()) == 4


def a_key_whose_worker_is_gone_is_done_once(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    for _ in range(3):
        with store.write(NOW) as tx:
            tx.enqueue("read", {"source": "a"}, key="a")
            tx.lease("read", "one", soon, 9)
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "a"}, key="a")
        tx.enqueue("read", {"source": "b"})
    with store.write(soon + timedelta(seconds=1)) as tx:
        for gone in tx.gone():
            tx.retry(gone.seq, None, soon, "gone")
        assert [job.arguments["source"] for job in tx.lease("read", "two", soon + DAY, 9)] == ["a", "b"]
    assert len(store.jobs()) == 2


def what_is_asked_for_anew_is_not_finished_by_who_began_it_before(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "a"}, key="a")
        (held,) = tx.lease("read", "slow", soon, 9)
    with store.write(soon + DAY) as tx:
        tx.retry(held.seq, None, soon, "gone")
        tx.enqueue("read", {"source": "a"}, key="a")
        assert not tx.finish([held.seq], "slow") and len(store.jobs()) == 1


def who_is_still_at_it_holds_its_jobs_for_longer(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "a"})
        (held,) = tx.lease("read", "one", soon, 9)
        assert tx.prolong([held.seq], "one", soon + HOUR) and not tx.prolong([held.seq], "two", soon + HOUR)
    assert store.due(["read"], NOW) == soon + HOUR and store.due(["embed"], NOW) is None
    with store.write(soon + timedelta(minutes=1)) as tx:
        assert tx.lease("read", "two", soon + HOUR, 9) == [] and tx.finish([held.seq], "one")
        assert not tx.prolong([held.seq], "one", soon + HOUR)
    assert store.due(["read"], NOW) is None


def no_job_waits_for_a_clock_that_was_put_back(open_store: OpenStore) -> None:
    """By days: what has never failed, what waits for another try, and what somebody holds who is gone."""
    store, back = open_store(), NOW - 9 * DAY
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "a"})
        tx.audit("tester", "note", "x", {})  # what is recorded does not go back
    with store.write(back) as tx:
        assert store.due(["read"], back) == back
        (job,) = tx.lease("read", "one", back + HOUR, 9)
        tx.retry(job.seq, "one", back + HOUR, "no luck")
        assert tx.lease("read", "one", back + HOUR, 9) == []
        tx.enqueue("embed", {"contents": [1]})
        assert len(tx.lease("embed", "one", back + HOUR, 9)) == 1
    assert store.due(["read"], back) == store.due(["embed"], back) == back + HOUR
    with store.write(back - 9 * DAY) as tx:
        assert store.due(["read"], back - 9 * DAY) == store.due(["embed"], back - 9 * DAY) == back - 9 * DAY
        assert [gone.verb for gone in tx.gone()] == ["embed"] and len(tx.lease("read", "two", back - 9 * DAY + HOUR, 9)) == 1


def one_key_can_be_leased_alone(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        for name in "abc":
            tx.enqueue("read", {"source": name}, user=name, key=name)
        assert [job.arguments["source"] for job in tx.lease("read", "one", soon, 1, key="b")] == ["b"]
        assert tx.lease("read", "two", soon, 1, key="b") == []


def what_is_urgent_goes_before_what_failed(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "failed"})
    for _ in range(2):
        with store.write(NOW) as tx:
            (job,) = tx.lease("read", "one", soon, 9)
            tx.retry(job.seq, "one", NOW, "no luck")
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "urgent"}, priority=9)
        assert [[job.arguments["source"] for job in tx.lease("read", "one", soon, 9)] for _ in range(2)] == [["urgent"], ["failed"]]


def what_failed_is_tried_alone_and_what_is_dead_waits_for_somebody(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        for name in "abc":
            tx.enqueue("read", {"source": name})
    for _ in range(2):
        with store.write(NOW) as tx:
            for job in tx.lease("read", "one", soon, 9):
                tx.retry(job.seq, "one", NOW, f"{job.arguments['source']} failed")
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "new"})
        (alone,) = tx.lease("read", "one", soon, 9)
        assert alone.attempts == 2 and alone.error == "a failed"
        expect_conflict(lambda: tx.requeue(alone.seq))
        expect_conflict(lambda: tx.cancel(alone.seq))
        assert not tx.bury(alone.seq, "two", "not held") and tx.bury(alone.seq, "one", "given up")
        others = [job.seq for job in store.jobs()]
        tx.cancel(others[0])
    with store.write(NOW + DAY) as tx:
        leased = [tx.lease("read", "one", NOW + 2 * DAY, 9) for _ in range(4)]
    assert [[job.arguments["source"] for job in some] for some in leased] == [["c"], ["new"], [], []]
    assert [(job.state, job.error) for job in store.jobs(9, ("dead", "cancelled"))] == [("dead", "given up"), ("cancelled", "b failed")]
    with store.write(NOW + DAY) as tx:
        assert tx.requeue(alone.seq).state == "dead"
        (again,) = tx.lease("read", "two", NOW + 2 * DAY, 9)
    assert (again.seq, again.attempts) == (alone.seq, 0)
    expect_missing(lambda: store.job(10**6))


def what_is_asked_for_no_more_leaves_the_queue_whoever_holds_it(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        for key in "ab":
            tx.enqueue("read", {"source": "held"}, key=key)
        held = {job.seq for job in tx.lease("read", "one", soon, 9)}
        tx.enqueue("read", {"source": "dead"}, key="a")
        (dead,) = tx.lease("read", "two", soon, 9)
        tx.bury(dead.seq, "two", "no luck")
        tx.enqueue("read", {"source": "waiting"}, key="a")
        tx.withdraw("a", ("dead",))
        assert [job.state for job in store.jobs(9, ("ready", "leased", "dead"), key="a")] == ["leased", "ready"]
        tx.withdraw("a")
        assert store.jobs(9, ("ready", "leased", "dead"), key="a") == [] and [job.seq in held for job in store.jobs()] == [True]
        assert not tx.finish(sorted(held), "one"), "what its worker makes of it is not committed"


def what_a_job_holds_can_be_taken_away(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "secret"}, user="ana", key="a")
        (held,) = tx.lease("read", "one", soon, 9)
        tx.empty(held.seq, "erased")
        assert not tx.finish([held.seq], "one")
        tx.retry(held.seq, "one", NOW, "secret")
        tx.enqueue("read", {"source": "another"}, key="a")
    (job,) = store.jobs(9, ("cancelled",))
    assert (job.seq, job.arguments, job.user, job.error) == (held.seq, {}, None, "erased") and len(store.jobs()) == 1


def a_paused_queue_gives_nothing(open_store: OpenStore) -> None:
    store, soon = open_store(), NOW + timedelta(minutes=5)
    with store.write(NOW) as tx:
        tx.enqueue("read", {"source": "a"})
        tx.pause("backup")
    assert store.paused() == "backup"
    with store.write(NOW) as tx:
        assert tx.lease("read", "one", soon, 9) == []
        tx.enqueue("read", {"source": "b"})
        tx.pause(None)
        assert len(tx.lease("read", "one", soon, 9)) == 2
    assert store.paused() is None
