"""MemLoader: the files that people have, read to messages. Nothing is guessed silently: what is wrong raises `Malformed`
with the line, what was decided stands in the notes."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from loci.errors import Denied, Invalid, Malformed, Missing, TooLarge
from loci.infrastructure import chatgpt, claude, exported, foreign, formats, graphiti, langgraph, letta, mem0, memos, signature
from loci.infrastructure.chatlog import chatlog
from loci.infrastructure.formats import Sheet, Transcript
from loci.infrastructure.vault import SUFFIX
from loci.ports import Notary

__all__ = ["FORMATS", "MAX_FILE_BYTES", "Transcript", "read"]

MAX_FILE_BYTES = 1 << 30  # of a file, and of what an archive or a folder holds
PIECE_BYTES = 1 << 20
OURS = b"LOCI"  # what a cube's file says that it is
MAX_RATIO = 200  # of unpacked to packed; text packs to a tenth, a bomb to a thousandth
RATIO_FROM_BYTES = 1 << 24  # below this the ratio does not matter
PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes before they give a byte
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, ArithmeticError, LookupError)
"""What `zipfile` raises on an archive that was cut short, forged or locked: it trusts the places and lengths that it reads."""

Parse = Callable[[Sheet], list[Transcript]]
FORMATS: dict[str, tuple[str, Parse]] = {
    "chatgpt": ("ChatGPT's data export: the .zip, the folder it was unpacked to, or conversations.json", chatgpt.chats),
    "claude": (
        "Claude's data export: the .zip, the folder it was unpacked to, conversations.json, memories.json or projects.json",
        claude.chats,
    ),
    "mem0": ("mem0: JSON of memories, its history.db, its local Qdrant folder, or a folder with both", mem0.memories),
    "graphiti": ("Graphiti or Zep: JSON of episodes and edges", graphiti.graph),
    "memos": ("a cube that MemOS dumped: its folder, or textual_memory.json", memos.cube),
    "letta": ("Letta: an agent file (.af), or JSON of memory blocks", letta.agents),
    "langgraph": ("a LangGraph store: JSON of items with namespace, key and value", langgraph.items),
    "transcript": ("lines of 'Name: text' with dates: WhatsApp, ISO times, or under date lines", chatlog),
    "messages": ("JSON Lines or an array of messages: role or speaker, text, at; session, caption, id", formats.messages),
    "conversations": ("JSON Lines of conversations with turns: id, session, at, speaker, text, caption", formats.conversations),
    "loci": ("an export of Loci's own, by `loci export`", exported.messages),
}
ZIPPED = ("chatgpt", "claude")
OWN = ("transcript", "messages", "conversations", "loci")  # what people or Loci wrote: all of it is taken, or nothing
BY_KEYS: tuple[tuple[str, frozenset[str]], ...] = (  # the first whose keys the first object of a file has
    ("loci", frozenset({"loci"})), ("chatgpt", frozenset({"mapping"})), ("claude", frozenset({"chat_messages"})),
    ("claude", frozenset({"conversations_memory"})), ("claude", frozenset({"project_memories"})), ("claude", frozenset({"uuid", "prompt_template"})),
    ("claude", frozenset({"uuid", "docs"})),
    ("conversations", frozenset({"turns"})), ("letta", frozenset({"agents", "blocks"})), ("letta", frozenset({"label", "value", "limit"})),
    ("langgraph", frozenset({"namespace", "key", "value"})), ("graphiti", frozenset({"uuid", "fact"})), ("graphiti", frozenset({"uuid", "content"})),
    ("graphiti", frozenset({"episodes", "edges"})), ("graphiti", frozenset({"facts"})), ("memos", frozenset({"nodes", "edges"})),
    ("mem0", frozenset({"results"})), ("mem0", frozenset({"memories"})), ("mem0", frozenset({"id", "memory", "created_at"})),
    ("mem0", frozenset({"id", "memory", "hash"})), ("memos", frozenset({"id", "memory", "metadata"})), ("mem0", frozenset({"id", "memory"})),
)  # fmt: skip
ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
REFUSED_NAMED = 5
LEFT_NAMED = 100
MEMBER = re.compile(r"(?:.*/)?conversations(?:-\d+)?\.json")
HOMES = ("memories", "projects")  # in an export of Claude's: a file, or a folder of them
BESIDE = re.compile(rf"(?:.*/)?(?:{'|'.join(HOMES)})(?:-\d+|/[^/]+)?\.json")
JSON = re.compile(r"[ \t\r\n]*(?:\{|\[[ \t\r\n]*[{\[\]\"])")


def read(path: Path, format: str | None = None, *, notary: Notary | None = None, signed_by: bytes | None = None) -> list[Transcript]:
    """The conversations in a file, of the format that it is in, or that is named (one of ``FORMATS``).

    A signature is checked before anything else is read; with ``signed_by`` there must be one, by that key. Files are UTF-8 and at
    most 1 GiB. Raises `Malformed` with the line for anything that cannot be read.
    """
    if format is not None and format not in FORMATS:
        raise Invalid(f"format is {format!r}; it must be one of {', '.join(FORMATS)}.")
    if path.is_dir():
        if signed_by is not None:
            raise Invalid(f"{path} is a folder, and only a file is signed.")
        return _held(path.name, _folder(path, format))
    raw, note = signature.checked(path.name, _bytes(path), notary, signed_by)
    if memos.is_pickle(path.name, raw):
        raise Malformed(f"{path.name} is {memos.ALONE}. Nothing was imported.")
    if raw.startswith(foreign.MAGIC):
        if raw[foreign.APPLICATION] == OURS:
            raise Invalid(
                f"{path} is a cube of Loci's: put it into the folder of a vault (`loci --vault {path.parent} --cube {path.stem} list`), or export it there."
            )
        if format not in (None, "mem0"):
            raise Malformed(f"{path.name} is an SQLite file; only mem0's is read (--format mem0). Export it to JSON first.")
        return _held(path.name, _mem0(path.name, {path: raw}, {}))
    if raw.startswith(b"PK\x03\x04"):
        if format not in (None, *ZIPPED):
            raise Malformed(f"{path.name} is an archive; only the exports of ChatGPT and Claude are read from one. Unpack it first.")
        sheets = _unpack(path.name, raw, format)
    else:
        sheets = [Sheet(path.name, path.stem, _decode(path.name, raw), is_signed=note is not None)]
    if note is not None:
        sheets[0].note(note)
    return _held(path.name, _exported(sheets, format))


def _held(name: str, found: list[Transcript]) -> list[Transcript]:
    """What was found, if there is anything to take. Raises `Malformed`, with what was refused, if not."""
    if not any(transcript.messages for transcript in found):
        refused = [f"{item}: {why}" for transcript in found for item, why in transcript.refused]
        told = f" Refused: {'; '.join(refused[:REFUSED_NAMED])}." if refused else ""
        raise Malformed(f"{name} holds no message.{told} Nothing was imported.")
    return found


def _exported(sheets: Sequence[Sheet], format: str | None) -> list[Transcript]:
    """What the files of one export say. What lies beside conversations is Claude's, whatever is in it."""
    return [
        transcript
        for sheet in sheets
        for transcript in _parsed(sheet, format or ("claude" if len(sheets) > 1 and _is_beside(sheet.file) else detect(sheet)))
    ]


def _parsed(sheet: Sheet, format: str) -> list[Transcript]:
    return _marked(sheet, FORMATS[format][1](sheet), format)


def _marked(sheet: Sheet, transcripts: Sequence[Transcript], format: str) -> list[Transcript]:
    """The transcripts that have messages, as of a format, the first with the notes of the file and what was refused of it."""
    is_foreign = format not in OWN
    found = [replace(transcript, is_foreign=is_foreign, format=format) for transcript in transcripts if transcript.messages]
    if not found and (sheet.refused or sheet.told):
        found = [Transcript("", (), file=sheet.file, format=format)]
    return [replace(found[0], notes=sheet.notes(), refused=tuple(sheet.refused)), *found[1:]] if found else []


# -- folders, and the database that mem0 keeps ---------------------------------------------------------------------------------


def _folder(path: Path, format: str | None) -> list[Transcript]:
    """What another system keeps in a folder, told by what is in it."""
    if format in (None, "memos") and (path / memos.CONFIG).is_file() and (path / memos.TEXT).is_file():
        text, refused = memos.parts(path)
        assert text is not None
        sheet = Sheet(text.name, path.name, _decode(text.name, _bytes(text)), refused=refused)
        return _parsed(sheet, "memos")
    if any(path.glob(f"*{SUFFIX}")):
        raise Invalid(f"{path} is a vault of Loci's: `loci --vault {path} export FILE` writes a cube of it to be imported here.")
    inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    sheets = _unpacked(path, inside, format) if format in (None, *ZIPPED) else []
    if sheets:
        return _exported(sheets, format)
    points = mem0.collections_of(path)
    histories = [file for file in sorted(path.glob("*.db")) if file.is_file() and not file.is_symlink()]
    if format in (None, "mem0") and (points or histories):
        for file in points:
            foreign.check_unlocked(file.parents[2] / ".lock")
        raws = {file: _bytes(file) for file in (*histories, *points)}
        if sum(map(len, raws.values())) > MAX_FILE_BYTES:
            raise TooLarge(f"{path} holds more than {MAX_FILE_BYTES:,} bytes. Export to JSON and split it; nothing was imported.")
        return _mem0(path.name, {file: raws[file] for file in histories}, {file: raws[file] for file in points})
    pickles = [p.name for p in inside if p.is_file() and (p.suffix in memos.PICKLES or memos.is_pickle(p.name, _head(p)))]
    if pickles:
        raise Malformed(f"{path} holds no words, and {', '.join(pickles[:REFUSED_NAMED])}: {memos.ALONE}. Nothing was imported.")
    raise Invalid(
        f"{path} is a folder, and neither mem0's (history.db, or a Qdrant folder with meta.json), nor a cube of MemOS ({memos.CONFIG}, {memos.TEXT}), nor an "
        "export of ChatGPT or Claude (conversations.json). Give a file in it; a folder of Markdown is kept in step by `loci mirror`."
    )


def _unpacked(path: Path, inside: Sequence[Path], format: str | None) -> list[Sheet]:
    """The files of an export that was unpacked to a folder, and to those of its folders that are part of one; none where no conversations are there."""
    homes = [p for p in inside if p.name in HOMES and p.is_dir() and not p.is_symlink()]
    there = [*(p for p in inside if p not in homes), *(p for home in homes for p in sorted(home.iterdir()))]
    named = {p.relative_to(path).as_posix(): p for p in there}
    taken = _taken([name for name, p in named.items() if p.is_file() and not p.is_symlink()], format)
    if not any(MEMBER.fullmatch(name) for name in taken):
        return []
    raws = {name: _bytes(named[name]) for name in taken}
    if sum(map(len, raws.values())) > MAX_FILE_BYTES:
        raise TooLarge(f"{path} holds more than {MAX_FILE_BYTES:,} bytes. Give its files one by one; nothing was imported.")
    sheets = [Sheet(name, Path(name).stem, _decode(name, raw)) for name, raw in raws.items()]
    _tell_left(sheets[0], [f"{name}/" if p.is_dir() else name for name, p in named.items() if name not in raws])
    return sheets


def _taken(names: Sequence[str], format: str | None) -> list[str]:
    """Those files of an export that are read: conversations first, then what lies beside those of Claude."""
    beside = sorted(name for name in names if _is_beside(name)) if format != "chatgpt" else []
    return [*sorted(name for name in names if MEMBER.fullmatch(name)), *beside]


def _is_beside(name: str) -> bool:
    return BESIDE.fullmatch(name) is not None and not MEMBER.fullmatch(name)


def _tell_left(sheet: Sheet, names: Sequence[str]) -> None:
    """Names the files of an export that nothing was read of."""
    if names:
        more = f" and {len(names) - LEFT_NAMED} more" if len(names) > LEFT_NAMED else ""
        sheet.note(f"files of the export that were left out: {', '.join(names[:LEFT_NAMED])}{more}")


def _mem0(name: str, histories: Mapping[Path, bytes], points: Mapping[Path, bytes]) -> list[Transcript]:
    """The memories of mem0's own files, which must be those of nobody who is writing."""
    sheet = Sheet(name, "", "")
    for file in (*histories, *points):
        foreign.check_idle(file)
    with ExitStack() as opened:
        changes = [opened.enter_context(foreign.opened(file.name, raw)) for file, raw in histories.items() if raw.startswith(foreign.MAGIC)]
        collections = {
            file.parent.name: opened.enter_context(foreign.opened(f"{file.parent.name}/{file.name}", raw)) for file, raw in points.items()
        }
        if not points and not any(tables.has("history") for tables in changes):
            raise Malformed(f"{name} is an SQLite file without mem0's table 'history'. Nothing was imported.")
        return _marked(sheet, mem0.folder(sheet, changes, collections), "mem0")


def detect(sheet: Sheet) -> str:
    """The format of a text, by what is in it."""
    if not JSON.match(sheet.text):
        return "transcript"
    _, _, first = next(formats.values(sheet), (0, "", None))
    keys = first.keys() if isinstance(first, dict) else set[str]()
    return next((format for format, needed in BY_KEYS if needed <= keys), "messages")


@contextmanager
def opening(path: Path) -> Iterator[BinaryIO]:
    """A file to be read inside the block. Raises `Missing`, `Denied` or `Invalid` where it cannot be."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise Missing(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise Invalid(f"{path} is a folder. Give a file in it.") from error
    except PermissionError as error:
        raise Denied(f"{path} cannot be read: {error.strerror}.") from error
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from error


def _head(path: Path) -> bytes:
    with opening(path) as file:
        return file.read(2)


def _bytes(path: Path) -> bytes:
    with opening(path) as file:
        pieces, size = [], 0
        while size <= MAX_FILE_BYTES and (piece := file.read(PIECE_BYTES)):  # to ask for all at once would take the room for it
            pieces.append(piece)
            size += len(piece)
    if size > MAX_FILE_BYTES:
        raise TooLarge(f"{path.name} is larger than {MAX_FILE_BYTES:,} bytes. Split it; nothing was imported.")
    return b"".join(pieces)


def _decode(name: str, raw: bytes) -> str:
    """The text of a file in UTF-8, with a byte order mark or without."""
    mark = ENCODINGS.get(raw[:2])
    if mark:
        raise Malformed(f"{name}, byte 0: this is {mark}. Save it as UTF-8. Nothing was imported.", 1)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Malformed(
            f"{name}, line {line}: byte {error.start} (0x{raw[error.start]:02x}) is not UTF-8. Save the file as UTF-8. "
            "Nothing was imported.",
            line,
        ) from error
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise Malformed(f"{name} is empty. Nothing was imported.")
    return text


def _unpack(name: str, raw: bytes, format: str | None) -> list[Sheet]:
    """The conversations of an export's archive. Nothing is written to disk, and sizes are checked before and after."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            held = [member for member in archive.infolist() if not member.is_dir()]
            names = {inside: place for place, inside in enumerate(_taken([member.filename for member in held], format))}
            members = sorted((member for member in held if member.filename in names), key=lambda member: names[member.filename])
            _check_sizes(name, members, len(raw))
            found = [(member.filename, _member(archive, member)) for member in members]
    except DAMAGED as error:
        raise Malformed(f"{name} is a damaged or locked archive ({error}). Download it again. Nothing was imported.") from error
    sheets = [Sheet(f"{name}/{inside}", Path(inside).stem, _decode(f"{name}/{inside}", text)) for inside, text in found]
    _tell_left(sheets[0], [member.filename for member in held if member.filename not in names])
    return sheets


def _check_sizes(name: str, members: Sequence[zipfile.ZipInfo], most: int) -> None:
    """That an archive of so many bytes holds conversations, and unpacks to no more than a file may have. Members may overlap,
    so that what they are packed in is never more than the archive."""
    if not any(MEMBER.fullmatch(member.filename) for member in members):
        raise Malformed(f"{name} holds no conversations.json; it is no export of ChatGPT or Claude. Nothing was imported.")
    odd = next((m for m in members if m.compress_type not in PACKED_BY), None)
    if odd is not None:
        raise Malformed(f"{name}: {odd.filename} is packed by method {odd.compress_type}; pack it with Deflate. Nothing was imported.")
    size, packed = sum(m.file_size for m in members), min(most, sum(m.compress_size for m in members))
    if size > MAX_FILE_BYTES or size > max(RATIO_FROM_BYTES, packed * MAX_RATIO):
        raise TooLarge(
            f"{name} unpacks to {size:,} bytes, from {packed:,}; the limit is {MAX_FILE_BYTES:,}, and {MAX_RATIO} "
            "times its size. Nothing was imported."
        )


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """What is packed in it, unpacked no further than the length that it says: to read it all at once would unpack it all first."""
    with archive.open(member) as file:
        return file.read(member.file_size + 1)
