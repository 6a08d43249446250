"""How many memories a filter lets through, and of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import apsw
import numpy as np

from loci.drivers.sqlite.codec import EPOCH, TRUSTS, time_of
from loci.drivers.sqlite.connection import query
from loci.drivers.sqlite.picture import Picture
from loci.drivers.sqlite.view import NEVER, STATES, TYPES, Column
from loci.ports import RowFilter
from loci.ports.retaining import Strength
from loci.types import Counts

DAY_MICROS = 86_400_000_000
MOST_NAMED = 100  # users, speakers and origins in one answer, those with the most memories first
WARM = """
SELECT u.memory, m.id, u.last_cited, u.stability, u.cited, u.heat FROM usage u JOIN memories m ON m.seq = u.memory
WHERE u.last_cited IS NOT NULL AND u.heat > 0
"""


def counted(db: apsw.Connection, picture: Picture, at: RowFilter) -> Counts:
    """The columns of the picture, counted; the ways in are read from the journal."""
    rows = picture.view.select(at, picture.numbers).rows

    def of(name: str) -> dict[int, int]:
        return _tally(picture.view.column(name)[rows])

    def called(name: str) -> dict[str, int]:
        return _most({picture.names_of.get(seq, ""): count for seq, count in of(name).items()})

    sources = np.unique(picture.view.column("source")[rows], return_counts=True)
    channels, origins = _ways_in(db, dict(zip(sources[0].tolist(), sources[1].tolist(), strict=True)))
    said = picture.view.column("at")[rows]
    days = _tally(said[said != NEVER] // DAY_MICROS)
    return Counts(
        total=len(rows), types=_named(TYPES, of("type")), states=_named(STATES, of("state")), channels=channels,
        trusts={TRUSTS[rank].value: count for rank, count in of("trust").items()},
        users=called("user"), speakers=called("speaker"),
        origins=_most({picture.names_of.get(seq, ""): count for seq, count in origins.items()}),
        days={f"{(EPOCH + timedelta(days=day)).date()}": count for day, count in days.items()},
    )  # fmt: skip


def warm(db: apsw.Connection, picture: Picture, at: RowFilter) -> dict[str, Strength]:
    """What answers made of the memories that they cited, by id."""
    seqs = picture.view.memories(at, picture.numbers)
    found = {}
    for seq, id, last, stability, cited, heat in query(db, WARM):
        used = time_of(last)
        if seq in seqs and used is not None:
            found[str(id)] = Strength(used, float(stability), int(cited), float(heat))
    return found


def _ways_in(db: apsw.Connection, quoted: Mapping[int, int]) -> tuple[dict[str, int], dict[int, int]]:
    """By channel, and by the number of the page, tool or file (0: none), of these sources with so many memories each."""
    channels, origins = Counter[str](), Counter[int]()
    for seq, channel, origin in query(db, "SELECT seq, channel, coalesce(origin, 0) FROM sources"):
        if count := quoted.get(seq):
            channels[channel] += count
            origins[origin] += count
    return dict(channels.most_common()), dict(origins)


def _tally(column: Column) -> dict[int, int]:
    values, counts = np.unique(column, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _named(numbers: Mapping[str, int], counts: Mapping[int, int]) -> dict[str, int]:
    return {name: counts[number] for name, number in numbers.items() if number in counts}


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:MOST_NAMED])
