"""What people's files say, as messages: JSON shapes. Pure functions from text; `loader` opens files and chooses among them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from loci.errors import Malformed
from loci.infrastructure.chats import ROLES, instead_of_words, only, words_of
from loci.types import Message, Trust

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECONDS_FROM = 100_000_000_000  # as seconds that would be the year 5138
LINES_NAMED = 5
SHOWN_CHARS = 500
MARKS = "\ufeff\u200b\u200e\u200f\u202a\u202b\u202c\u2068\u2069"  # invisible; chat apps put them around what they write

SPELLINGS = {
    "role": ("role",), "speaker": ("speaker", "name"), "text": ("text", "content"), "caption": ("caption",), "id": ("id",),
    "at": ("at", "timestamp", "date", "created_at"), "session": ("session",), "user": ("user", "user_id"), "metadata": ("metadata",),
}  # fmt: skip

Fields = Mapping[str, object]
Placed = tuple[int, str, object]


@dataclass(frozen=True, slots=True)
class Sequel:
    """What became, where it is from, of the memory that the message ``of`` made: further words, else a deletion, else an end of what was true,
    at ``at``. ``why`` names the change there; it is kept as the reason of the version that it makes, by which it is known again."""

    of: str
    why: str
    at: datetime | None = None
    text: str | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """One conversation as a file tells it, or (``are_facts``) what another system remembers: there a message's id is that of a memory, and one
    that is known by it is not taken for a further one when its words have changed.

    ``name`` is the session of those messages that name none; empty means they have none. ``user`` and ``agent`` are set
    when the file says whose it is, ``origin`` and ``trust`` when it says where the words were from: what was not trusted where it was
    exported is not trusted for being imported. ``lines`` is where each message begins; ``notes``, on the first of a file, what was
    decided or left out in reading it, and ``refused``, on the same, what in it was not taken and why. ``sequels`` follow the messages, in
    their order; ``made_of`` names, for the id of a message, those of the messages that it was drawn from. ``is_foreign``: another system
    wrote it, so that what cannot be stored of it is refused by itself; of what people write themselves all is taken, or nothing. ``format`` is that of
    the file (`loader.FORMATS`).
    """

    name: str
    messages: tuple[Message, ...]
    lines: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    user: str | None = None
    agent: str | None = None
    file: str = ""
    origin: str | None = None
    trust: Trust = Trust.TRUSTED
    are_facts: bool = False
    refused: tuple[tuple[str, str], ...] = ()
    sequels: tuple[Sequel, ...] = ()
    made_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_foreign: bool = False
    format: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The text of a file without its signature, the name that errors call it by, and what is to be told of it: notes with their lines."""

    file: str
    name: str
    text: str
    told: dict[str, list[int]] = field(default_factory=dict)
    is_signed: bool = False
    refused: list[tuple[str, str]] = field(default_factory=list)

    def malformed(self, line: int, what: str) -> Malformed:
        where = f"{self.file}, line {line}" if line else self.file
        return Malformed(f"{where}: {what} Nothing was imported.", line, what)

    def note(self, what: str, line: int = 0) -> None:
        """Something the caller should know; told once, with the first lines it is true of."""
        self.told.setdefault(printable(what), []).append(line)

    def refuse(self, item: str, why: str) -> None:
        """One thing that the file holds and that is not taken."""
        self.refused.append((shown(item), shown(why)))

    @contextmanager
    def each(self, item: str) -> Iterator[None]:
        """One of many: what turns out to be malformed inside the block refuses this one alone, with the reason."""
        try:
            yield
        except Malformed as error:
            self.refuse(item, error.why.removeprefix(item).lstrip(": ").rstrip("."))

    def aware(self, at: datetime | None) -> datetime | None:
        """The time with a zone: UTC where it names none, which is noted."""
        if at is None or at.tzinfo is not None:
            return at
        self.note("times without a zone were read as UTC")
        return at.replace(tzinfo=UTC)

    def notes(self) -> tuple[str, ...]:
        return tuple(f"{what}{_where(lines)}" for what, lines in self.told.items())


class Gathering:
    """Messages of one transcript while it is read. Gives those without an id what keeps a second reading from adding them
    again: an undated one its place in the file; a dated one nothing, as its time tells, unless it repeats an earlier one."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._messages: list[Message] = []
        self._lines: list[int] = []
        self._said: Counter[tuple[object, ...]] = Counter()
        self._left_out: set[int] = set()

    def add(self, message: Message, line: int, place: str) -> None:
        """One more message; an empty one is left out, and the notes say so."""
        if is_blank(message.text) and is_blank(message.caption or ""):
            self._sheet.note("empty messages were left out", line)
            return
        at, id = self._sheet.aware(message.at), message.id
        if id is None and at is None:
            id = place
        elif id is None:
            said = (message.role, message.speaker, message.text, message.caption, at, message.session)
            self._said[said] += 1
            id = f"repeat {self._said[said]}" if self._said[said] > 1 else None
        if at is not message.at or id is not message.id:
            message = replace(message, at=at, id=id)
        self.keep(message, line)

    def keep(self, message: Message, line: int) -> int:
        """One more message, exactly as it is. Returns its place."""
        self._messages.append(message)
        self._lines.append(line)
        return len(self._lines) - 1

    def annotate(self, place: int, metadata: Mapping[str, object]) -> None:
        """Keeps metadata with the memories of a message that is there."""
        self._messages[place] = replace(self._messages[place], metadata=metadata)

    def leave_out(self, place: int) -> None:
        """Takes a message that is there back."""
        self._left_out.add(place)

    def transcript(self, name: str, user: str | None = None, agent: str | None = None) -> Transcript:
        kept = [place for place in range(len(self._lines)) if place not in self._left_out]
        messages, lines = tuple(self._messages[place] for place in kept), tuple(self._lines[place] for place in kept)
        return Transcript(name, messages, lines, (), user, agent, self._sheet.file)


Whose = tuple[str | None, str | None]  # user, agent


class Kept:
    """Facts of another system while they are read, by whose they are. They count as reported: a model put them into words."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self._by: dict[Whose, Gathering] = {}
        self._sequels: dict[Whose, list[Sequel]] = {}
        self._made_of: dict[Whose, dict[str, tuple[str, ...]]] = {}
        self._ids: set[tuple[Whose, str]] = set()

    def add(self, whose: Whose, message: Message, line: int, sequels: Sequence[Sequel] = (), made_of: tuple[str, ...] = ()) -> None:
        """One more memory, what became of it, and what it was drawn from."""
        assert message.id is not None
        if (whose, message.id) in self._ids:
            self.sheet.refuse(message.id, "an earlier item has the same id")
            return
        self._ids.add((whose, message.id))
        self._by.setdefault(whose, Gathering(self.sheet)).add(message, line, message.id)
        self._sequels.setdefault(whose, []).extend(replace(sequel, at=self.sheet.aware(sequel.at)) for sequel in sequels)
        if made_of:
            self._made_of.setdefault(whose, {})[message.id] = made_of

    def transcripts(self, trust: Trust = Trust.REPORTED) -> list[Transcript]:
        return [
            replace(
                gathered.transcript("", *whose), trust=trust, are_facts=True, sequels=tuple(self._sequels[whose]), made_of=self._made_of.get(whose, {})
            )
            for whose, gathered in self._by.items()
        ]  # fmt: skip


def printable(text: str) -> str:
    """The text with unpaired surrogates, which cannot be written anywhere, spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(text: str) -> str:
    """A name or a reason as a receipt holds it: printable, and cut off where it is very long."""
    told = printable(text)
    return told if len(told) <= SHOWN_CHARS else f"{told[: SHOWN_CHARS - 3]}..."


def is_blank(text: str) -> bool:
    """Whether there is nothing to read in it: white space and the invisible marks that chat apps put around text."""
    return not text.strip().strip(MARKS).strip()


def _where(lines: Sequence[int]) -> str:
    known = list(dict.fromkeys(line for line in lines if line))
    if not known:
        return ""
    named = ", ".join(map(str, known[:LINES_NAMED])) + (", …" if len(known) > LINES_NAMED else "")
    return f" ({len(lines)}: line {named})"


# -- JSON ------------------------------------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
SPACE = re.compile(r"[ \t\r\n]*")


def values(sheet: Sheet) -> Iterator[Placed]:
    """(line, place, value) of each JSON value: the elements of one array, the lines of JSON Lines, or one object."""
    start = SPACE.match(sheet.text)
    assert start is not None
    return _elements(sheet, start.end()) if sheet.text.startswith("[", start.end()) else _lines(sheet)


def _lines(sheet: Sheet) -> Iterator[Placed]:
    is_first = True
    for number, line in enumerate(sheet.text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            if is_first and isinstance(error, json.JSONDecodeError) and error.pos >= len(line.rstrip()):
                yield number, f"line {number}", _whole(sheet, number)  # an object that goes on over several lines
                return
            raise sheet.malformed(number, _why(error)) from error
        yield number, f"line {number}", value
        is_first = False


def _whole(sheet: Sheet, line: int) -> object:
    try:
        return DECODER.decode(sheet.text)
    except json.JSONDecodeError as error:
        raise sheet.malformed(error.lineno, _why(error)) from error
    except (ValueError, RecursionError) as error:
        raise sheet.malformed(line, _why(error)) from error


def _elements(sheet: Sheet, start: int) -> Iterator[Placed]:
    text, place, counted, line, number = sheet.text, _skip(sheet.text, start + 1), 0, 1, 0
    is_over = text.startswith("]", place)
    while not is_over:
        line, counted, number = line + text.count("\n", counted, place), place, number + 1
        try:
            value, place = DECODER.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise sheet.malformed(error.lineno, _why(error)) from error
        except (ValueError, RecursionError) as error:
            raise sheet.malformed(line, _why(error)) from error
        yield line, f"message {number}", value
        place = _skip(text, place)
        is_over = text.startswith("]", place)
        if not is_over and not text.startswith(",", place):
            raise sheet.malformed(1 + text.count("\n", 0, place), "after an element of the array there must be ',' or ']'.")
        place = place if is_over else _skip(text, place + 1)
    end = _skip(text, place + 1)
    if end < len(text):
        raise sheet.malformed(1 + text.count("\n", 0, end), "there is more after the end of the array.")


def _skip(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    assert found is not None
    return found.end()


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"this is not JSON: {error.msg} at column {error.colno}."
    return "it is nested too deeply." if isinstance(error, RecursionError) else f"{error}."


def objects(sheet: Sheet, what: str = "item") -> Iterator[Row]:
    """The JSON values that are objects, each called by its number; any other is refused by itself."""
    for number, (line, _, value) in enumerate(values(sheet), 1):
        if isinstance(value, dict):
            yield Row(sheet, line, value, f"{what} {number}")
        else:
            sheet.refuse(f"{what} {number}", f"it must be an object in braces, and is {brief(value)}")


@dataclass(frozen=True, slots=True)
class Row:
    """A JSON object with the place it stands at, which every complaint about it names."""

    sheet: Sheet
    line: int
    fields: Fields
    what: str

    @classmethod
    def of(cls, sheet: Sheet, line: int, value: object, what: str) -> Row:
        if not isinstance(value, dict):
            raise sheet.malformed(line, f"{what} must be an object in braces, and is {brief(value)}.")
        return cls(sheet, line, value, what)

    def wrong(self, what: str) -> Malformed:
        return self.sheet.malformed(self.line, f"{self.what}: {what}")

    def named(self, *names: str) -> str:
        """What to call it: its id, where that can be read; else its place."""
        _, value = self.first(names)
        return str(value) if value and isinstance(value, str | int) and not isinstance(value, bool) else self.what

    def row(self, name: str, what: str | None = None) -> Row:
        """The object under a key."""
        return Row.of(self.sheet, self.line, self.fields.get(name), what or f"{self.what}: {name!r}")

    def first(self, names: Sequence[str]) -> tuple[str, object]:
        """The first of these keys that says something, and what."""
        return next(((n, self.fields[n]) for n in names if self.fields.get(n) is not None), (names[0], None))

    def text(self, *names: str) -> str | None:
        name, value = self.first(names)
        if value is not None and not isinstance(value, str):
            raise self.wrong(f"{name!r} is {brief(value)}; it must be a string.")
        return value

    def rows(self, name: str, what: str) -> list[Row]:
        """The objects of the array under a key; none where there is none."""
        return [Row.of(self.sheet, self.line, entry, f"{what} {number}") for number, entry in enumerate(self._array(name), 1)]

    def each(self, name: str, what: str) -> list[Row]:
        """The same, but for what in it is no object: that is refused by itself."""
        found = []
        for number, entry in enumerate(self._array(name), 1):
            with self.sheet.each(f"{what} {number}"):
                found.append(Row.of(self.sheet, self.line, entry, f"{what} {number}"))
        return found

    def _array(self, name: str) -> list[object]:
        value = self.fields.get(name)
        if value is not None and not isinstance(value, list):
            raise self.wrong(f"{name!r} is {brief(value)}; it must be an array.")
        return value or []

    def names(self, name: str) -> tuple[str, ...]:
        """The strings of the array under a key; none where there is none."""
        value = self.fields.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(entry, str) for entry in value)):
            raise self.wrong(f"{name!r} is {brief(value)}; it must be an array of strings.")
        return tuple(value or ())

    def words(self, *names: str) -> str:
        text = self.text(*names)
        if text is None:
            raise self.wrong(f"{names[0]!r} is missing; it must be a string.")
        return text

    def label(self, *names: str) -> str | None:
        """An id or a name: a string, or a whole number, which is read as one."""
        name, value = self.first(names)
        if value is None or isinstance(value, str):
            return value or None
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise self.wrong(f"{name!r} is {brief(value)}; it must be a string or a whole number.")

    def at(self, *names: str) -> datetime | None:
        """A time: ISO 8601, or seconds or milliseconds since 1970. Without a zone it stays naive."""
        name, value = self.first(names)
        if value is None:
            return None
        try:
            if isinstance(value, str):
                if not re.fullmatch(r"[0-9]{9,}", value):
                    return datetime.fromisoformat(value)
                value = int(value)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return EPOCH + (timedelta(milliseconds=value) if abs(value) >= MILLISECONDS_FROM else timedelta(seconds=value))
        except (ValueError, OverflowError):
            pass
        raise self.wrong(f"{name!r} is {brief(value)}; it must be a time such as 2024-05-12T14:33:00+01:00, or seconds since 1970.")


def brief(value: object) -> str:
    told = {type(None): "null", dict: "an object", list: "an array"}.get(type(value))
    if told is None:  # databases and pickles hold more than JSON does
        told = json.dumps(value, ensure_ascii=False) if isinstance(value, str | int | float) else f"of type {type(value).__name__}"
    return printable(told if len(told) <= 60 else f"{told[:57]}...")


# -- messages: one object each -----------------------------------------------------------------------------------------------


def messages(sheet: Sheet) -> list[Transcript]:
    """JSON Lines or an array of messages, each with who (role, speaker or name) and what (text or content), and whose memory it is where it says
    so (user)."""
    found, known, unread = dict[str | None, Gathering](), {"audio", *(n for names in SPELLINGS.values() for n in names)}, set[str]()
    for line, place, value in values(sheet):
        row = Row.of(sheet, line, value, "a message")
        kinds = instead_of_words(row.fields)
        if kinds is not None:
            if kinds:
                sheet.refuse(place, f"it has no words{only(kinds)}")
            else:
                sheet.note("empty messages were left out", line)
            continue
        found.setdefault(row.label(*SPELLINGS["user"]), Gathering(sheet)).add(message(row), line, place)
        unread |= row.fields.keys() - known
    if unread:
        sheet.note(f"keys that were not read: {', '.join(sorted(unread))}")
    return [gathered.transcript(sheet.name, user) for user, gathered in found.items()]


def message(row: Row) -> Message:
    """The message that an object tells."""
    named, given = row.label(*SPELLINGS["speaker"]), row.text("role")
    if named is None and given is None:
        raise row.wrong("nobody said it; it needs 'role' (user, assistant, tool or system) or 'speaker' (a name).")
    if given is not None and given.lower() not in ROLES:
        raise row.wrong(f"'role' is {given!r}; it must be user, assistant, tool or system. A name goes under 'speaker'.")
    role, speaker = who(named)
    kept = row.fields.get("metadata") or {}
    if not isinstance(kept, dict):
        raise row.wrong(f"'metadata' is {brief(kept)}; it must be an object.")
    return Message(
        role=ROLES[given.lower()] if given is not None else role, text=words_of(row.fields) or row.words(*SPELLINGS["text"]), at=row.at(*SPELLINGS["at"]),
        speaker=speaker, caption=row.text("caption"), id=row.label("id"), session=row.label("session"), metadata=kept,
    )  # fmt: skip


def who(name: str | None) -> tuple[str, str | None]:
    """(role, speaker) of somebody called so: 'assistant' and the like are roles, everything else is a person's name."""
    role = ROLES.get((name or "user").lower())
    return (role, None) if role else ("user", name)


# -- conversations: the format of bench ----------------------------------------------------------------------------------------


def conversations(sheet: Sheet) -> list[Transcript]:
    """Conversations of turns: ``{"id", "speakers", "turns": [{"id", "session", "at", "speaker", "text", "caption"}]}``."""
    found: dict[str, Transcript] = {}
    for line, _, value in values(sheet):
        row = Row.of(sheet, line, value, "a conversation")
        name, turns = row.label("id"), row.fields.get("turns")
        if name is None:
            raise row.wrong("'id' is missing; it names the conversation.")
        if name in found:
            raise row.wrong(f"the id {name!r} is that of an earlier conversation too.")
        if not isinstance(turns, list):
            raise row.wrong(f"'turns' is {brief(turns)}; it must be an array.")
        found[name] = _turns(sheet, line, name, turns)
    return list(found.values())


def _turns(sheet: Sheet, line: int, name: str, turns: Sequence[object]) -> Transcript:
    gathered, ids = Gathering(sheet), set[str]()
    for number, value in enumerate(turns, 1):
        row = Row.of(sheet, line, value, f"conversation {name}, turn {number}")
        id, speaker, session = row.label("id"), row.label("speaker"), row.label("session")
        if id is None or id in ids:
            raise row.wrong("'id' is missing." if id is None else f"the id {id!r} is that of an earlier turn too.")
        if speaker is None:
            raise row.wrong("'speaker' is missing; it says who spoke.")
        ids.add(id)
        role, named = who(speaker)
        named_session = None if session is None else f"{name}/{session}"
        gathered.add(Message(role, row.words("text"), row.at("at"), named, row.text("caption"), id, named_session), line, id)
    return gathered.transcript(name)
