"""Raw signals of a search over one cube: words, vectors, neighbours and what the header says. Fusion is not done here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from loci.drivers.sqlite.codec import FLAG_OWN, FLAG_QUESTION, FLAG_TIME, to_micros
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.view import NEVER, Positions, Selection, View
from loci.ports import Probe, RowFilter, Survey

TOP = 70  # of each signal: the candidates
SEEDS = 20  # of each signal: those whose neighbours are candidates too
LENGTH_EXPONENT = 0.5  # how much a longer text is expected to hold any word by chance
SHORT = 90  # words: a message no longer than that is shown whole
SHORTEST = 0.05  # of the mean length: no text counts as shorter
NEAR = 3  # turns to either side that a text's words are looked for in
FEWEST = 100  # texts: in a smaller memory a word counts as rare as if there were so many
SPREAD, SPREAD_WEIGHT = 0.1, 20  # what cosines are taken to spread before there are many to tell, and how many texts that is worth
CLAIMS = 1000  # of a key: what a search looks at
LATER = """OR (closed_by = memory AND closed_at > :known)
  OR NOT EXISTS (SELECT 1 FROM versions v WHERE v.memory = claims.closed_by AND v.recorded_from <= :known)"""
"""A claim was still open if what closed it was not known yet."""
APART = (1, 2, 3)  # messages between neighbours: sessions of several people may be interleaved in one file

Called = Mapping[str, Sequence[int]]


def survey(db: apsw.Connection, view: View, names: Mapping[str, int], called: Called, probe: Probe, at: RowFilter) -> Survey:
    """Every row the filter lets through is scored by every signal; the best of each, what answers the key asked for, and the
    turns beside them are candidates. The filter is applied before anything is ranked. ``called`` has the speakers by the stems
    of their names: a text is found by who said it, too."""
    scores = Scores(view.select(at, names))
    missing = dict(probe.missing)
    scores.read_words(db, probe.terms, None if at.user is None else names.get(at.user, 0), called)
    if probe.vector is not None and view.embedder in (probe.embedder, ""):
        missing.update(scores.read_vectors(view, np.asarray(probe.vector, dtype=np.float32)))
    elif probe.vector is not None:
        missing["dense"] = f"vectors are still of {view.embedder}; they are being rebuilt for {probe.embedder}"
    among = scores.among
    claiming = [content for content, _, _ in claimed(db, probe.keys, at, names)]
    answering = among.places(claiming) if claiming else np.zeros(0, dtype=np.int64)
    chosen = scores.candidates(answering)
    return Survey(
        contents=among.content[chosen].tolist(),
        wholes=scores.wholes(chosen).tolist(),
        sources=among.source[chosen].tolist(),
        sessions=among.session[chosen].tolist(),
        signals=scores.describe(chosen, [names.get(p, -1) for p in probe.people], answering),
        documents=len(among.rows),
        attainable=scores.attainable,
        best_surprise=float(scores.words.max(initial=0.0)),
        best_nearby=float(scores.nearby.max(initial=0.0)),
        cosine_best=float(np.nanmax(scores.cosine)) if scores.cosine_deviation else 0.0,
        cosine_mean=scores.cosine_mean,
        cosine_deviation=scores.cosine_deviation,
        missing=missing,
        counts={"words": int(np.count_nonzero(scores.words)), "dense": int(np.count_nonzero(~np.isnan(scores.cosine)))},
    )


class Scores:
    """Scores of the rows of one search by words and by meaning, and what each row's neighbours have."""

    def __init__(self, among: Selection) -> None:
        self.among = among
        self.words = np.zeros(len(among.rows))
        self.covered = np.zeros(len(among.rows))
        self.nearby, self.session = np.zeros(len(among.turns)), np.zeros(len(among.turns))
        self.is_named, self.is_theirs = np.zeros(len(among.rows), dtype=bool), np.zeros(len(among.rows), dtype=bool)
        self.attainable = 0.0
        self.cosine = np.full(len(among.rows), np.nan, dtype=np.float32)
        self.cosine_mean, self.cosine_deviation = 0.0, 0.0

    def read_words(self, db: apsw.Connection, terms: Sequence[str], user: int | None, called: Called) -> None:
        """For each row the surprise, in nats, of finding so many of the terms in a text of its length by chance: rare terms
        count for more, long texts for less. ``covered``, ``nearby`` and ``session`` are the same for a text of mean length, of the
        row alone, of the turns around each turn, and of its session. ``attainable`` is what a text with every term would have.
        Names of speakers are no terms: who said it, and who is named in it, are signals of their own."""
        among, count = self.among, len(self.among.rows)
        if not count:
            return
        mean = max(float(among.length.mean()), 1.0)
        said = np.zeros(len(among.turns), dtype=bool)
        for term, stem in _distinct(db, terms).items():
            place = among.places(_postings(db, term, user))
            if stem in called:
                self.is_named[place] = True
                self.is_theirs[place] = True
                self.is_theirs |= np.isin(among.speaker, called[stem])
                continue
            share = min((len(place) + 0.5) / (max(count, FEWEST) + 1), 0.999)
            nats = -float(np.log(share))
            self.attainable += nats
            relative = np.maximum(among.length[place] / mean, SHORTEST) ** LENGTH_EXPONENT
            self.words[place] -= np.log1p(-((1 - share) ** relative))
            self.covered[place] += nats
            said[:] = False
            turn = among.turn[place]
            said[turn[turn >= 0]] = True
            self.nearby += nats * among.near(said, NEAR)
            self.session += nats * among.near(said, None)

    def read_vectors(self, view: View, vector: NDArray[np.float32]) -> dict[str, str]:
        """Cosine with every row that has a vector. Returns why some or all could not be compared."""
        among = self.among
        if len(among.with_vector):
            known = among.compare(view, vector)
            self.cosine[among.with_vector] = known
            spread = len(known) * float(known.var()) + SPREAD_WEIGHT * SPREAD**2
            self.cosine_mean, self.cosine_deviation = float(known.mean()), float(np.sqrt(spread / (len(known) + SPREAD_WEIGHT)))
        lacking = len(among.rows) - len(among.with_vector)
        return {"dense": f"{lacking} of {len(among.rows)} memories have no vector yet"} if lacking else {}

    def candidates(self, answering: Positions) -> Positions:
        """The best by each signal, the turns beside the very best, and those that answer. Where a question is nothing but the name of
        somebody, the latest that they said or that names them."""
        among = self.among
        is_chosen = np.zeros(len(self.words), dtype=bool)
        is_seed = np.zeros(len(self.words), dtype=bool)
        is_chosen[answering] = True
        if not self.attainable:
            is_chosen[np.flatnonzero(self.is_theirs)[-TOP:]] = True
        compared = np.flatnonzero(~np.isnan(self.cosine))
        around = _top(self.nearby + self.covered[among.turns], np.flatnonzero(self.nearby))
        for places in (_top(self.words, np.flatnonzero(self.words)), _top(self.cosine, compared), among.turns[around]):
            is_chosen[places] = True
            is_seed[places[:SEEDS]] = True
        for beside in self._neighbours(np.flatnonzero(is_seed)):
            is_chosen[beside[beside >= 0]] = True
        return np.flatnonzero(is_chosen)

    def describe(self, chosen: Positions, people: Sequence[int], answering: Positions) -> dict[str, list[float]]:
        """The raw signals of the chosen rows. Neighbours are turns of the same session just before and after."""
        if not len(chosen):
            return {}
        among = self.among
        flags, at, turn = among.flags[chosen], among.at[chosen], among.turn[chosen]
        before, after = self._neighbours(chosen)
        has_before, has_after, has_turn = before >= 0, after >= 0, turn >= 0
        columns: dict[str, NDArray[Any]] = {
            "words": self.words[chosen],
            "covered": self.covered[chosen],
            "nearby": np.where(has_turn, self.nearby[turn], 0.0) if len(self.nearby) else np.zeros(len(chosen)),
            "session": np.where(has_turn, self.session[turn], 0.0) if len(self.session) else np.zeros(len(chosen)),
            "cosine": self.cosine[chosen],
            "time": (flags & FLAG_TIME) > 0,
            "own": (flags & FLAG_OWN) > 0,
            "question": (flags & FLAG_QUESTION) > 0,
            "named": self.is_named[chosen],
            "length": among.length[chosen],
            "at": np.where(at == NEVER, np.nan, at),
            "words_before": np.where(has_before, self.words[before], 0.0),
            "words_after": np.where(has_after, self.words[after], 0.0),
            "cosine_before": np.where(has_before, self.cosine[before], np.nan),
            "cosine_after": np.where(has_after, self.cosine[after], np.nan),
            "question_before": has_before & ((among.flags[before] & FLAG_QUESTION) > 0),
            "words_session": _best_of_group(among.session[chosen], self.words[chosen]),
            "cosine_session": _best_of_group(among.session[chosen], np.nan_to_num(self.cosine[chosen], nan=-1.0).astype(float)),
            "spoke_before": has_before & (among.speaker[before] == among.speaker[chosen]),
        }
        if people:
            columns["speaker"] = np.isin(among.speaker[chosen], people)
        if len(answering):
            columns["claim"] = np.isin(chosen, answering)
        return {name: column.tolist() for name, column in columns.items()}

    def wholes(self, chosen: Positions) -> NDArray[np.int64]:
        """For each chosen row the content of its whole message, where that is short and among the rows; else its own."""
        among = self.among
        turn = among.turn_of(among.source[chosen])
        is_short = (turn >= 0) & (among.length[turn] <= SHORT) if len(chosen) else turn >= 0
        return np.where(is_short, among.content[turn], among.content[chosen]) if len(chosen) else turn

    def _neighbours(self, chosen: Positions) -> NDArray[np.int64]:
        """For each chosen row, the turns just before and just after its message in the same session; -1 where there is none.
        Shape (2, chosen)."""
        among = self.among
        source, session = np.tile(among.source[chosen], 2), np.tile(among.session[chosen], 2)
        step = np.repeat((-1, 1), len(chosen))
        found = np.full(len(step), -1, dtype=np.int64)
        left = np.arange(len(step))
        for distance in APART:
            turn = among.turn_of(source[left] + step[left] * distance)
            fits = (turn >= 0) & (among.session[turn] == session[left])
            found[left[fits]] = turn[fits]
            left = left[~fits]
        return found.reshape(2, -1)


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


def _postings(db: apsw.Connection, term: str, user: int | None) -> list[int]:
    """Contents that hold the term; nothing in a quoted term can be syntax."""
    quoted = '"' + term.replace('"', '""') + '"'
    scope = "" if user is None else f"scope : u{user} AND "
    return [row[0] for row in query(db, "SELECT rowid FROM text_index WHERE text_index MATCH ?", f"{scope}words : {quoted}")]


def claimed(
    db: apsw.Connection, keys: Sequence[tuple[str | None, str]], at: RowFilter, names: Mapping[str, int]
) -> list[tuple[int, str, bool]]:
    """Contents that claim one of these keys for this user and had not been superseded in it by then, as far as was known, with the
    value and whether it is affirmed; the newest first."""
    whose = "" if at.user is None else "AND user = :user"
    later = "" if at.known_at is None else LATER
    values = {"user": names.get(at.user or "", 0), "at": to_micros(at.as_of or at.now), "known": to_micros(at.known_at)}
    found: list[tuple[int, str, bool]] = []
    for subject, attribute in keys:
        about = "attribute" if subject is None else "subject = :subject AND attribute"
        rows = db.execute(
            f"SELECT content, value, polarity FROM claims WHERE seq IN (SELECT seq FROM claims WHERE {about} = :attribute UNION ALL"
            f" SELECT seq FROM claims WHERE {about} BETWEEN :attribute || '/' AND :attribute || '0') {whose}"
            f" AND (closed_by IS NULL OR closed_at > :at {later}) AND (tense = 'now' OR attribute LIKE 'plan/%')"
            f" ORDER BY seq DESC LIMIT {CLAIMS}",
            {**values, "subject": subject, "attribute": attribute},
        )
        found.extend((int(content), str(value), bool(polarity)) for content, value, polarity in rows)
    return found


def _best_of_group(groups: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each element the largest value in its group."""
    order = np.lexsort((-values, groups))
    ordered = groups[order]
    is_first = np.empty(len(order), dtype=bool)
    is_first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    best = np.empty_like(values)
    best[order] = values[order][is_first][np.cumsum(is_first) - 1]
    return best


def _top(scores: NDArray[Any], places: Positions) -> Positions:
    """Of these places those with the best scores, the best first."""
    found = scores[places]
    if len(found) > TOP:
        best = np.argpartition(found, -TOP)[-TOP:]
        places, found = places[best], found[best]
    return places[np.argsort(-found)]
