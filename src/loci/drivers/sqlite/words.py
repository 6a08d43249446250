"""How many of a question's words each row holds, its turn's neighbours hold, and its session: by surprise, from FTS5's postings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.sqlite.connection import scalar
from loci.drivers.sqlite.vectors import best
from loci.drivers.sqlite.view import Positions, Selection

LENGTH_EXPONENT = 0.5  # how much a longer text is expected to hold any word by chance
SHORTEST = 0.05  # of the mean length: no text counts as shorter
FEWEST = 100  # texts: in a smaller memory a word counts as rare as if there were so many

Called = Mapping[str, Sequence[int]]


class Words:
    """For each row the surprise, in nats, of finding so many of the terms in a text of its length by chance: rare terms count for
    more, long texts for less. ``covered``, ``nearby`` and ``in_run`` are the same for a text of mean length, of the row alone, of the
    turns around each turn, and of each run of a session. ``attainable`` is what a text with every term would have. Names of
    speakers (who are ``present``) are no terms: who said it (``speakers``), and who is named in it, are signals of their own."""

    def __init__(
        self, db: apsw.Connection, among: Selection, terms: Sequence[str], user: int | None, called: Called, present: Collection[int]
    ) -> None:
        self._among = among
        count = len(among.rows)
        self.surprise, self.covered = np.zeros(count), np.zeros(count)
        self.nearby, self.in_run = np.zeros(len(among.turns)), np.zeros(among.runs)
        self.is_named, self._is_found = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        self._is_near = np.zeros(len(among.turns), dtype=bool)
        self.speakers: list[int] = []
        self.attainable = 0.0
        for term, stem in _distinct(db, terms).items() if count else ():
            place = among.places(_postings(db, term, user))
            named = [speaker for speaker in called.get(stem, ()) if speaker in present]
            if named:
                self.is_named[place] = True
                self.speakers.extend(named)
            else:
                self._count(place)

    def _count(self, place: Positions) -> None:
        """Adds a term that the rows at these places hold."""
        among = self._among
        share = min((len(place) + 0.5) / (max(len(among.rows), FEWEST) + 1), 0.999)
        nats = -float(np.log(share))
        self.attainable += nats
        relative = np.maximum(among.length[place] / among.mean_length, SHORTEST) ** LENGTH_EXPONENT
        self.surprise[place] -= np.log1p(-((1 - share) ** relative))
        self.covered[place] += nats
        self._is_found[place] = True
        turn = among.turn[place]
        turn = turn[turn >= 0]
        is_said, is_in_run = np.zeros(len(among.turns), dtype=bool), np.zeros(among.runs, dtype=bool)
        is_said[turn] = True
        is_near = among.near(is_said)
        self._is_near |= is_near
        self.nearby[np.flatnonzero(is_near)] += nats
        is_in_run[among.run[turn]] = True
        self.in_run += nats * is_in_run

    @property
    def found(self) -> Positions:
        """Places of the rows with any of the terms."""
        return np.flatnonzero(self._is_found)

    def best(self, count: int) -> Positions:
        """Places of the rows that hold most, the best first."""
        found = self.found
        return found[best(self.surprise[found], count)]

    def best_nearby(self, count: int) -> Positions:
        """Places of the turns around and in which most is found, the best first."""
        near = np.flatnonzero(self._is_near)
        place = self._among.turns[near]
        return place[best(self.nearby[near] + self.covered[place], count)]

    def named(self) -> Positions:
        """Places of the rows that name, or are said by, whom the question names."""
        return np.flatnonzero(self.is_named | np.isin(self._among.speaker, self.speakers))


def stems(db: apsw.Connection, text: str) -> list[str]:
    """The words of a text, folded and stemmed as the text index does it."""
    tokenizer = db.fts5_tokenizer("porter", ["unicode61"])
    return [str(token[-1]) for token in tokenizer(text.encode(), apsw.FTS5_TOKENIZE_QUERY, None)]


def _distinct(db: apsw.Connection, words: Sequence[str]) -> dict[str, str]:
    """The words that differ once stemmed; each with its stem."""
    found: dict[str, str] = {}
    for word in words:
        for stem in stems(db, word):
            found.setdefault(stem, word)
    return {word: stem for stem, word in found.items()}


def _postings(db: apsw.Connection, term: str, user: int | None) -> NDArray[np.int64]:
    """Contents that hold the term; nothing in a quoted term can be syntax. They come as one text: a common word has many."""
    quoted = '"' + term.replace("\0", " ").replace('"', '""') + '"'  # to FTS5 a NUL is the end of the query
    scope = "" if user is None else f"scope : u{user} AND "
    listed = scalar(db, "SELECT group_concat(rowid) FROM text_index WHERE text_index MATCH ?", f"{scope}words : {quoted}")
    return np.fromstring(listed, dtype=np.int64, sep=",") if listed else np.zeros(0, dtype=np.int64)
