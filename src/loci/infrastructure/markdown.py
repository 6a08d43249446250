"""A folder of Markdown as a mirror of memories: one file a session, one paragraph a memory, above it a comment that says which, at which version.

    <!-- loci 01M8XK2Q9V0T4B1JZ5R7C3N6PD 2 (Ana, 2025-05-02) -->
    I live in Lisbon now.

A paragraph without such a comment is somebody's own: a memory that is to be. Headings, rules and front matter are nobody's, and stay where they are. An
empty line within a memory is written as a backslash, for an empty line ends it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from loci.errors import Conflict, Invalid, Malformed, TooLarge
from loci.infrastructure.files import there, translated, writing
from loci.types import Memory

MANIFEST = ".loci-mirror.json"
VERSION = 1
MAX_FILE_BYTES = 1 << 24
MAX_FILES = 100_000
NOTES = "notes"  # the file of what belongs to no session
MARK = re.compile(r"<!-- loci (?P<id>[^\s>]+) (?P<version>\d{1,9})(?: \([^()>]*\))? -->")
HEAD = re.compile(r"<!-- loci (?P<scope>\{.*\}) -->")
ESCAPED = ("\\", "<!--", "#", "---", "***", "___")
NO_FILE = (0, 0)
FRONT = re.compile(
    r"---[ \t]*\n(?=#|\w[\w .-]*:(?:\s)|---)(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)"
)  # YAML begins with a key; a rule does not
HEADING = re.compile(r"#{1,6}(\s|$)")
NOBODYS = ("#", "---", "***", "___", "<!--")
Whose = tuple[str | None, str | None, str | None]  # user, agent, session


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A run of lines of a file. ``id`` and ``version`` are those of the memory that it says, None where it says none; ``is_text`` whether it is
    a memory or to be one."""

    line: int
    lines: tuple[str, ...]
    id: str | None = None
    version: int = 0
    is_text: bool = True

    @property
    def text(self) -> str:
        return "\n".join("" if line == "\\" else _bare(line) for line in self.lines)


@dataclass(frozen=True, slots=True)
class Page:
    """A file of the folder by its path in it, whose memories it holds, and what is in it. ``front`` is its front matter, which programs look for on the
    first line alone."""

    path: str
    whose: Whose
    paragraphs: tuple[Paragraph, ...] = ()
    stamp: tuple[int, int] = NO_FILE  # bytes, and nanoseconds of the last change
    front: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the mirror held when it was last brought up to date: the version of each memory. ``cube`` and ``whose`` are what it mirrors."""

    cube: str
    whose: Whose
    versions: Mapping[str, int] = field(default_factory=dict)


# -- paragraphs ------------------------------------------------------------------------------------------------------------------


def shown(text: str) -> tuple[str, ...]:
    """The lines of a memory in a file."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n").split("\n")
    return tuple("\\" if not line.strip() else f"\\{line}" if line.startswith(ESCAPED) else line.rstrip() for line in lines)


def _bare(line: str) -> str:
    return line[1:] if line.startswith("\\") and line[1:].startswith(ESCAPED) else line


def block(memory: Memory) -> Paragraph:
    """A memory as a paragraph."""
    return Paragraph(0, shown(memory.text), memory.id, memory.version)


def marked(paragraph: Paragraph, memory: Memory | None) -> list[str]:
    """The lines of a paragraph as they are written, the comment above it."""
    if memory is None:
        return list(paragraph.lines)
    who = re.sub(r"[^\w .'-]", "", memory.speaker or "").replace("--", "")
    about = ", ".join(part for part in (who, f"{memory.at.date()}" if memory.at else "") if part)
    return [f"<!-- loci {memory.id} {memory.version}{f' ({about})' if about else ''} -->", *shown(memory.text)]


def parse(path: str, raw: bytes, whose: Whose, stamp: tuple[int, int] = NO_FILE) -> Page:
    """A file of the mirror. Raises `Malformed` with the line."""
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Malformed(
            f"{path}, line {line}: byte {error.start} is not UTF-8. Save the file as UTF-8. Nothing was changed.", line
        ) from error
    found = FRONT.match(text)
    front = found[0] if found else ""
    paragraphs = []
    for place, (line, lines) in enumerate(_runs(text[len(front) :].split("\n"), front.count("\n") + 1)):
        head = HEAD.fullmatch(lines[0]) if place == 0 else None
        if head:
            whose = _whose(path, line, head["scope"])
        elif lines[0].startswith("<!-- loci "):
            mark = MARK.fullmatch(lines[0].rstrip())
            if mark is None:
                raise Malformed(
                    f"{path}, line {line}: the comment that names a memory is damaged. Take it off to make this a new memory.", line
                )
            paragraphs.append(Paragraph(line, tuple(entry.rstrip() for entry in lines[1:]), mark["id"], int(mark["version"])))
        elif paragraphs and paragraphs[-1].id is not None and not paragraphs[-1].lines and not lines[0].startswith(NOBODYS):
            paragraphs[-1] = replace(
                paragraphs[-1], lines=tuple(entry.rstrip() for entry in lines)
            )  # an editor put an empty line below the comment
        else:
            paragraphs.append(Paragraph(line, tuple(entry.rstrip() for entry in lines), is_text=not lines[0].startswith(NOBODYS)))
    return Page(path, whose, tuple(paragraphs), stamp, front)


def _runs(lines: Sequence[str], first: int) -> Iterator[tuple[int, list[str]]]:
    """(line, lines) of what stands between empty lines; ``first`` is the number of the first line."""
    start, run = 0, list[str]()
    for number, line in enumerate([*lines, ""], first):
        if line.strip():
            start = start if run else number
            run.append(line)
        elif run:
            yield from _apart(start, run)
            run = []


def _apart(start: int, run: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The comment that says whose memories these are, and headings, stand by themselves, whatever is written right below them."""
    count = 1 if HEAD.fullmatch(run[0]) else next((n for n, line in enumerate(run) if not HEADING.match(line)), len(run))
    if count:
        yield start, run[:count]
    if count < len(run):
        yield from _apart(start + count, run[count:]) if count else ((start, run),)


def _whose(path: str, line: int, told: str) -> Whose:
    try:
        scope = json.loads(told)
        found = tuple(scope.get(name) for name in ("user", "agent", "session"))
        if all(value is None or isinstance(value, str) for value in found):
            return found[0], found[1], found[2]
    except (ValueError, AttributeError, RecursionError):
        pass
    raise Malformed(f"{path}, line {line}: the comment that says whose memories these are is damaged. Nothing was changed.", line)


def rendered(page: Page, memories: Sequence[tuple[Paragraph, Memory | None]]) -> bytes:
    """A file with these paragraphs, each with the memory that it says."""
    scope = dict(zip(("user", "agent", "session"), page.whose, strict=True))
    head = (
        f"<!-- loci {json.dumps({k: v for k, v in scope.items() if v is not None}, ensure_ascii=True).replace('>', chr(92) + 'u003e')} -->"
    )
    body = "\n\n".join([head, *("\n".join(marked(p, m)) for p, m in memories)])
    return (f"{page.front.rstrip()}\n\n{body}\n" if page.front else f"{body}\n").encode()


def path_of(whose: Whose) -> str:
    """Where the memories of a user, agent and session stand."""
    user, agent, session = whose
    parts = [quote(part, safe=" @+=,").replace(".", "%2E")[:120] for part in (user, agent) if part]  # no name leads out of the folder
    return "/".join([*parts, quote(session or NOTES, safe=" @+=,").replace(".", "%2E")[:120]]) + ".md"


# -- the folder --------------------------------------------------------------------------------------------------------------------


def read(folder: Path, whose: Whose) -> list[Page]:
    """The Markdown files of a folder, in the order of their paths. What is hidden, or a link, is left alone. A file without a word of whose it is
    counts as ``whose``, under its own name as the session."""
    pages = []
    for place, path in enumerate(sorted(folder.rglob("*.md"))):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or any(
            folder.joinpath(*inside.parts[:n]).is_symlink() for n in range(1, len(inside.parts) + 1)
        ):
            continue
        if place >= MAX_FILES:
            raise TooLarge(
                f"{folder} holds more than {MAX_FILES:,} files of Markdown. Mirror into a folder of its own. Nothing was changed."
            )
        with translated(path):
            found = path.stat()
            if found.st_size > MAX_FILE_BYTES:
                raise TooLarge(f"{inside} is larger than {MAX_FILE_BYTES:,} bytes. Split it; nothing was changed.")
            raw = path.read_bytes()
        name = PurePosixPath(inside).with_suffix("").as_posix()
        own = (whose[0], whose[1], whose[2] or (None if inside.stem == NOTES else name))
        pages.append(parse(PurePosixPath(inside).as_posix(), raw, own, (found.st_size, found.st_mtime_ns)))
    return pages


def stamp_of(folder: Path, path: str) -> tuple[int, int]:
    """(bytes, time of the last change) of a file; zeros where there is none."""
    for _, found in there([folder / path]):
        return (found.st_size, found.st_mtime_ns)
    return NO_FILE


def write(folder: Path, path: str, raw: bytes, stamp: tuple[int, int] | None = None) -> bool:
    """Gives a file its new words, if they are new. Folders are made; a link is refused. Raises `Conflict` for one that somebody has saved since it had
    this ``stamp``."""
    file = folder / path
    for part in (file, *file.parents):
        if part == folder:
            break
        if part.is_symlink():
            raise Invalid(f"{part} is a link, and a mirror writes to none. Take it out of the folder.")
    with translated(file):
        if file.exists() and file.read_bytes() == raw:
            return False
        file.parent.mkdir(parents=True, exist_ok=True)
        with writing(file, overwrite=True) as target:
            target.write(raw)
            if stamp is not None:
                check(folder, path, stamp)
    return True


def check(folder: Path, path: str, stamp: tuple[int, int]) -> None:
    """Raises `Conflict` for a file that is another than it was."""
    if stamp_of(folder, path) != stamp:
        raise Conflict(f"{path} was changed while the mirror was at it. The cube has what it said before; mirror again.")


def manifest(folder: Path) -> Manifest | None:
    """What the folder mirrors; None where it is none yet."""
    file = folder / MANIFEST
    if not file.exists():
        return None
    with translated(file):
        raw = file.read_bytes()
    try:
        told = json.loads(raw)
        if told["loci-mirror"] == VERSION and all(isinstance(v, int) for v in told["versions"].values()):
            return Manifest(str(told["cube"]), (told["user"], told["agent"], told["session"]), told["versions"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise Malformed(f"{MANIFEST} in {folder} is damaged, or of a newer Loci. Mirror into another folder. Nothing was changed.")


def keep(folder: Path, kept: Manifest) -> None:
    """Writes down what the folder mirrors."""
    user, agent, session = kept.whose
    told = {"loci-mirror": VERSION, "cube": kept.cube, "user": user, "agent": agent, "session": session, "versions": dict(kept.versions)}
    write(folder, MANIFEST, json.dumps(told, indent=0, sort_keys=True).encode())
