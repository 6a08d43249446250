"""MemLoader: the files that people have, read to messages. Nothing is guessed silently: what is wrong raises `Malformed`
with the line, what was decided stands in the notes."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from loci.errors import Denied, Invalid, Malformed, Missing, TooLarge
from loci.infrastructure import formats, signature
from loci.infrastructure.chatgpt import chats
from loci.infrastructure.chatlog import chatlog
from loci.infrastructure.formats import Sheet, Transcript
from loci.ports import Notary

__all__ = ["FORMATS", "MAX_FILE_BYTES", "Transcript", "read"]

MAX_FILE_BYTES = 1 << 30  # of a file, and of what an archive holds when unpacked
PIECE_BYTES = 1 << 20
MAX_RATIO = 200  # of unpacked to packed; text packs to a tenth, a bomb to a thousandth
RATIO_FROM_BYTES = 1 << 24  # below this the ratio does not matter
PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes before they give a byte
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, ArithmeticError, LookupError)
"""What `zipfile` raises on an archive that was cut short, forged or locked: it trusts the places and lengths that it reads."""

Parse = Callable[[Sheet], list[Transcript]]
FORMATS: dict[str, tuple[str, Parse]] = {
    "chatgpt": ("ChatGPT's data export: conversations.json, or the .zip it comes in", chats),
    "transcript": ("lines of 'Name: text' with dates: WhatsApp, ISO times, or under date lines", chatlog),
    "messages": ("JSON Lines or an array of messages: role or speaker, text, at; session, caption, id", formats.messages),
    "conversations": ("JSON Lines of conversations with turns: id, session, at, speaker, text, caption", formats.conversations),
    "loci": ("an export of Loci's own, by `loci export`", formats.export),
}
ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
MEMBER = re.compile(r"(?:.*/)?conversations(?:-\d+)?\.json")
JSON = re.compile(r"[ \t\r\n]*(?:\{|\[[ \t\r\n]*[{\[\]\"])")


def read(path: Path, format: str | None = None, *, notary: Notary | None = None, signed_by: bytes | None = None) -> list[Transcript]:
    """The conversations in a file, of the format that it is in, or that is named (one of ``FORMATS``).

    A signature is checked before anything else is read; with ``signed_by`` there must be one, by that key. Files are UTF-8 and at
    most 1 GiB. Raises `Malformed` with the line for anything that cannot be read.
    """
    if format is not None and format not in FORMATS:
        raise Invalid(f"format is {format!r}; it must be one of {', '.join(FORMATS)}.")
    raw, note = signature.checked(path.name, _bytes(path), notary, signed_by)
    if raw.startswith(b"PK\x03\x04"):
        if format not in (None, "chatgpt"):
            raise Malformed(f"{path.name} is an archive; only ChatGPT's export is read from one. Unpack it first.")
        sheets, format = _unpack(path.name, raw), "chatgpt"
    else:
        sheets = [Sheet(path.name, path.stem, _decode(path.name, raw), is_signed=note is not None)]
    if note is not None:
        sheets[0].note(note)
    found = [transcript for sheet in sheets for transcript in _parsed(sheet, format or detect(sheet))]
    if not found:
        raise Malformed(f"{path.name} holds no message. Nothing was imported.")
    return found


def _parsed(sheet: Sheet, format: str) -> list[Transcript]:
    """The transcripts that have messages, the first with the notes of the file."""
    found = [transcript for transcript in FORMATS[format][1](sheet) if transcript.messages]
    return [replace(found[0], notes=sheet.notes()), *found[1:]] if found else []


def detect(sheet: Sheet) -> str:
    """The format of a text, by what is in it."""
    if not JSON.match(sheet.text):
        return "transcript"
    _, _, first = next(formats.values(sheet), (0, "", None))
    keys = first.keys() if isinstance(first, dict) else set[str]()
    by_key = {"loci": "loci", "mapping": "chatgpt", "turns": "conversations"}
    return next((format for key, format in by_key.items() if key in keys), "messages")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            pieces, size = [], 0
            while size <= MAX_FILE_BYTES and (piece := file.read(PIECE_BYTES)):  # to ask for all at once would take the room for it
                pieces.append(piece)
                size += len(piece)
    except FileNotFoundError as error:
        raise Missing(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise Invalid(f"{path} is a folder. Give a file in it.") from error
    except PermissionError as error:
        raise Denied(f"{path} cannot be read: {error.strerror}.") from error
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from error
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


def _unpack(name: str, raw: bytes) -> list[Sheet]:
    """The conversations of an export's archive. Nothing is written to disk, and sizes are checked before and after."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = sorted((m for m in archive.infolist() if MEMBER.fullmatch(m.filename)), key=lambda m: m.filename)
            _check_sizes(name, members, len(raw))
            found = [(f"{name}/{member.filename}", _member(archive, member)) for member in members]
    except DAMAGED as error:
        raise Malformed(f"{name} is a damaged or locked archive ({error}). Download it again. Nothing was imported.") from error
    return [Sheet(inside, Path(inside).stem, _decode(inside, text)) for inside, text in found]


def _check_sizes(name: str, members: Sequence[zipfile.ZipInfo], most: int) -> None:
    """That an archive of so many bytes holds conversations, and unpacks to no more than a file may have. Members may overlap,
    so that what they are packed in is never more than the archive."""
    if not members:
        raise Malformed(f"{name} holds no conversations.json; it is no export of ChatGPT's. Nothing was imported.")
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
