"""Loci's own export, as `dumper` writes it, read back: the messages that its memories quote, and what was kept with these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from loci.errors import NewerSchema
from loci.infrastructure.formats import Gathering, Row, Sheet, Transcript, Whose, brief, values
from loci.policy.trust import overrules, trust_of
from loci.types import Channel, Message, Trust

VERSION = 1


def messages(sheet: Sheet) -> list[Transcript]:
    """The messages of a cube that `dumper.dump` wrote, by user and agent, each exactly as it was journaled, in their order; but for those of
    which nothing was at hand any more: it was forgotten or overwritten by hand, or its time was over."""
    rows = values(sheet)
    line, _, value = next(rows, (0, "", None))
    header = Row.of(sheet, line, value, "the header")
    version = header.fields.get("loci")
    if isinstance(version, int) and version > VERSION:
        raise NewerSchema(f"{sheet.file} was exported by a newer Loci (format {version}; this one reads {VERSION}). Upgrade.")
    if version != VERSION:
        raise header.wrong(f"'loci' is {brief(version)}; it must be {VERSION}.")
    if header.fields.get("signed") and not sheet.is_signed:
        raise header.wrong("it says that the file is signed, and the last line is no signature: it was cut short or changed.")
    dump = _Dump(sheet, sheet.aware(header.at("exported")))
    for line, _, value in rows:
        row = Row.of(sheet, line, value, "a line of the export")
        if "source" in row.fields:
            dump.add_source(row)
        elif "memory" in row.fields:
            dump.add_memory(row)
        else:
            raise row.wrong("it is neither a 'source' nor a 'memory'.")
    for what, count in (("sources", dump.sources), ("memories", dump.memories)):
        if header.fields.get(what) != count:
            raise sheet.malformed(line, f"the file has {count} {what} and its header says {brief(header.fields.get(what))}.")
    return dump.transcripts()


class _Dump:
    """The lines of an export while they are read. ``exported`` is when it was written."""

    def __init__(self, sheet: Sheet, exported: datetime | None) -> None:
        self._sheet, self._exported = sheet, exported
        self._found: dict[Whose, list[tuple[str | None, Trust, Gathering]]] = {}
        self._placed: dict[str, tuple[Gathering, int]] = {}  # by source
        self._stands, self._is_over = set[str](), set[str]()  # sources that are quoted by what stands, and by what does not
        self.sources = self.memories = self._changed = 0

    def add_source(self, row: Row) -> None:
        self.sources += 1
        said = _journaled(row.row("message", "a source's 'message'"))
        runs, came = self._found.setdefault((row.label("user"), row.label("agent")), []), (row.label("origin"), _trust(row, said.role))
        if not runs or runs[-1][:2] != came:
            runs.append((*came, Gathering(self._sheet)))
        self._placed[row.words("source")] = runs[-1][2], runs[-1][2].keep(said, row.line)

    def add_memory(self, row: Row) -> None:
        self.memories += 1
        *former, last = _versions(row)
        is_dead = _is_dead(last, self._exported)
        self._changed += not is_dead and _is_changed(last)
        (self._is_over if is_dead else self._stands).update(_quoted(last))
        self._is_over.update(source for version in former for source in _quoted(version))
        _annotate(self._placed, (*former, last))

    def transcripts(self) -> list[Transcript]:
        gone = [self._placed[source] for source in self._is_over - self._stands if source in self._placed]
        for gathering, place in gone:
            gathering.leave_out(place)
        if gone:
            why = "what they said had been forgotten or overwritten, or its time was over"
            self._sheet.note(f"{len(gone)} of {self.sources} messages were left out: {why}")
            if len(gone) == self.sources:
                raise self._sheet.malformed(0, f"it holds nothing that still stood: of its {self.sources} messages, {why}.")
        if self._changed:
            self._sheet.note(f"{self._changed} memories had been changed or marked by hand; their words are read anew, without that")
        return [
            replace(gathered.transcript("", user, agent), origin=origin, trust=trust)
            for (user, agent), runs in self._found.items()
            for origin, trust, gathered in runs
        ]


def _trust(row: Row, role: str) -> Trust:
    """What the words were trusted as, if that is less than importing them would make of them: else they stay with the rest."""
    told = row.text("trust")
    if told is not None and told not in list(Trust):
        raise row.wrong(f"'trust' is {brief(told)}; it must be one of {', '.join(Trust)}.")
    return Trust.TRUSTED if told is None or overrules(Trust(told), trust_of(Channel.IMPORT, role, Trust.TRUSTED)) else Trust(told)


def _journaled(row: Row) -> Message:
    at, id = row.at("at"), row.text("id")
    if (at is None and id is None) or (at is not None and at.tzinfo is None):
        raise row.wrong("it needs 'at', a time with its zone, or 'id'.")
    return Message(row.words("role"), row.words("text"), at, row.text("speaker"), row.text("caption"), id, row.text("session"))


def _versions(row: Row) -> list[Row]:
    """The versions of a memory by their numbers."""
    versions = row.fields.get("versions")
    if not isinstance(versions, list) or not versions:
        raise row.wrong("'versions' must be an array of one or more.")
    return sorted((Row.of(row.sheet, row.line, version, "a version") for version in versions), key=_number)


def _number(version: Row) -> int:
    number = version.fields.get("version")
    if not isinstance(number, int):
        raise version.wrong(f"'version' is {brief(number)}; it must be a whole number.")
    return number


def _quoted(version: Row) -> list[str]:
    """The sources that a version quotes."""
    spans = version.fields.get("spans")
    return [Row.of(version.sheet, version.line, span, "a span").words("source") for span in spans] if isinstance(spans, list) else []


def _annotate(placed: Mapping[str, tuple[Gathering, int]], versions: Sequence[Row]) -> None:
    """Gives messages back what was kept with the memories of them: of each that of the versions which quote it last."""
    for version in versions:
        kept = version.fields.get("metadata") or {}
        if not isinstance(kept, dict):
            raise version.wrong(f"'metadata' is {brief(kept)}; it must be an object.")
        if kept and (quoted := _quoted(version)) and quoted[-1] in placed:
            gathering, place = placed[quoted[-1]]
            gathering.annotate(place, kept)


def _is_dead(last: Row, exported: datetime | None) -> bool:
    """Whether a memory was forgotten, or its time was over when it was exported."""
    end, state = last.sheet.aware(last.at("expires")), last.fields.get("state")
    return state == "expired" or (end is not None and exported is not None and end <= exported and state != "frozen")


def _is_changed(last: Row) -> bool:
    """Whether somebody's hand was on a memory: reading its words again will not bring that back."""
    is_as_born = last.fields.get("version") == 1 and last.fields.get("state") in ("generated", "activated")
    return not is_as_born or bool(last.fields.get("priority")) or last.fields.get("expires") is not None
