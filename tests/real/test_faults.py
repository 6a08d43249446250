"""A fault at every call that changes a file loses nothing that was acknowledged and leaves nothing half done.
`python -m bench.faults` does every one of them; here it is one in so many, drawn once and for all."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.disk import KINDS
from bench.faults import VERBS, Walk, walk


def is_clean(found: Walk) -> bool:
    assert not found.wrong, "\n".join(found.wrong)
    return True


def test_a_fault_at_any_call_of_any_verb_breaks_nothing(tmp_path: Path) -> None:
    found = walk(tmp_path, list(VERBS), stride=40)
    assert is_clean(found) and found.trials.total() > 150
    assert {kind for _, kind in found.trials} == set(KINDS) and {verb for verb, _ in found.trials} == set(VERBS)
    assert {"killed", "done", "storage_full", "not_durable"} <= set(found.told), "the faults must have been felt"


@pytest.mark.parametrize("verb", ["update", "erase a user"])
def test_a_failed_sync_is_told_and_the_next_call_works(tmp_path: Path, verb: str) -> None:
    found = walk(tmp_path, [verb], ["fsync"])
    assert is_clean(found) and found.told["not_durable"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_many_faults_break_nothing(tmp_path: Path, verb: str) -> None:
    assert is_clean(walk(tmp_path, [verb], stride=4))
