"""An embedder that knows the last questions."""

from __future__ import annotations

import numpy as np
import pytest

from loci.drivers import remembering
from loci.drivers.remembering import Remembering
from loci.testing.embedder import HashEmbedder


class Counting(HashEmbedder):
    """Counts the texts that it was asked for."""

    count = 0

    def embed(self, texts):  # type: ignore[no-untyped-def]
        self.count += len(texts)
        return super().embed(texts)


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_a_question_is_computed_once_and_answered_the_same(counting: Counting) -> None:
    embedder = Remembering(counting)
    first, second = (embedder.embed(["Where does Ana live?"]) for _ in range(2))
    assert counting.count == 1 and np.array_equal(first, second)
    assert np.array_equal(first, HashEmbedder().embed(["Where does Ana live?"]))
    assert (embedder.name, embedder.dimensions) == (counting.name, counting.dimensions)


def test_it_keeps_the_last_ones_and_no_words(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "KEPT", 2)
    embedder = Remembering(counting)
    for question in ("one", "two", "one", "three", "one", "two"):  # three pushed two out, for one was asked again
        embedder.embed([question])
    assert counting.count == 4
    assert "one" not in str(embedder._known) and len(embedder._known) == 2


def test_what_is_embedded_together_is_not_kept(counting: Counting) -> None:
    embedder = Remembering(counting)
    for _ in range(2):
        assert embedder.embed(["one", "two"]).shape[0] == 2
    assert counting.count == 4 and embedder.embed([]).shape[0] == 0


def test_a_kept_direction_cannot_be_changed(counting: Counting) -> None:
    with pytest.raises(ValueError):
        Remembering(counting).embed(["one \ud800 lone surrogate"])[0][0] = 1.0
