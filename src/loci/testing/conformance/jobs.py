"""Jobs: held by one worker at a time, done once."""

from __future__ import annotations

from datetime import timedelta

from loci.testing.conformance.scene import DAY, NOW, OpenStore


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
