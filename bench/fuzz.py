"""Coverage-guided fuzzing of what reads strangers' words: the files that are imported, and the questions that are asked. Any
exception that is no `LociError` is a finding, and so is an input that takes longer than the patience given.

    pip install -e '.[fuzz]'
    python bench/fuzz.py importers --minutes 30 --corpus /tmp/importers
    python bench/fuzz.py questions --minutes 30 --corpus /tmp/questions
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

SEEDS = Path(__file__).resolve().parent.parent / "tests" / "data" / "fuzz"
NOW = datetime(2026, 5, 2, 14, 30, tzinfo=UTC)
LONGEST = 4096  # bytes of an input
PATIENCE_S = 20
APART = "\x1f"  # between the question and the names of the people in an input
Target = Callable[[bytes], None]
TraceFunction = Callable[[FrameType, str, object], object]


def importers(folder: Path) -> Target:
    """Reads an input as a file: its first byte chooses the format, the rest is what is in the file."""
    from loci.errors import LociError
    from loci.infrastructure import loader
    from loci.operation import importing
    from loci.types import Scope, Trust

    formats = (None, *loader.FORMATS)
    path = folder / "given"

    def target(data: bytes) -> None:
        path.write_bytes(data[1:])
        try:
            found = loader.read(path, formats[data[0] % len(formats)] if data else None)
            importing.validate(found)
        except LociError:
            return
        importing.batches(found, Scope("main"), lambda *_: Trust.UNTRUSTED)

    return target


def questions(_: Path) -> Target:
    """Reads an input as a question among people, as something that one of them said, and as a memory that is recalled and comes back."""
    from loci.errors import LociError
    from loci.interface.reader import MemReader
    from loci.policy import packing
    from loci.text.excerpt import excerpt
    from loci.text.recalled import recalled
    from loci.types import Message

    reader = MemReader()

    def target(data: bytes) -> None:
        question, *people = data.decode("utf-8", "surrogateescape").split(APART)
        speaker = people[0] if people else None
        try:
            call = reader.call(question, NOW, people, speaker)
            reader.read(Message("user", question, NOW, speaker, question[:20]), people)
        except LociError:
            return
        excerpt(question, call.terms, 24)
        recalled(question)
        items = [packing.Item(question, speaker, NOW), packing.Item(question[::-1], None, NOW, question, question, is_trusted=False)]
        lines = packing.parse(packing.pack(items, None, call.terms).text)
        assert [(line.text, line.speaker, line.note, line.origin, line.is_trusted) for line in lines] == [
            (item.text, item.speaker, item.note, item.origin, item.is_trusted) for item in items
        ], "what was packed reads back otherwise"

    return target


TARGETS: dict[str, Callable[[Path], Target]] = {"importers": importers, "questions": questions}


def dictionary() -> list[str]:
    """Words that wake the rules: those that the regular expressions of the readers are written with."""
    from loci.infrastructure import formats
    from loci.text.timing.reading import MONTHS, WEEKDAYS

    keys = [f'"{name}"' for names in formats.SPELLINGS.values() for name in names]
    keys += [
        '"mapping"',
        '"turns"',
        '"loci"',
        '"parts"',
        '"author"',
        '"content_type"',
        '"current_node"',
        '"parent"',
        '"source"',
        '"memory"',
    ]
    talk = [
        "when did ",
        "what is ",
        " last ",
        " ago",
        "my brother",
        "'s ",
        "used to",
        "how many ",
        "actually",
        "I moved to ",
        "```",
        "[1] ",
    ]
    return [
        *keys,
        *list(MONTHS)[:12],
        *list(WEEKDAYS)[:7],
        *talk,
        "2024-05-12",
        "14:33",
        "Ana: ",
        "\u2028",
        "\u200b",
        "\ud7ff",
        "<memory",
        "</memory>",
    ]


def edges(target: Target, data: bytes) -> set[tuple[str, int, int]]:
    """The steps from line to line of Loci's code that an input takes."""
    seen: set[tuple[str, int, int]] = set()

    def enter(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        if f"{os.sep}loci{os.sep}" not in frame.f_code.co_filename:
            return None
        name, before = frame.f_code.co_filename, 0

        def step(frame: FrameType, event: str, argument: object) -> TraceFunction:
            nonlocal before
            seen.add((name, before, frame.f_lineno))
            before = frame.f_lineno
            return step

        return step

    sys.settrace(enter)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return seen


def keep(target: Target, corpus: Path, folder: Path) -> None:
    """Copies what each takes a step that none of the shorter ones takes, into a folder."""
    known: set[tuple[str, int, int]] = set()
    folder.mkdir(parents=True, exist_ok=True)
    for data in sorted({file.read_bytes() for file in corpus.iterdir()}, key=lambda data: (len(data), data)):
        new = edges(target, data) - known
        if new:
            known |= new
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument(
        "--corpus", type=Path, required=True, help="a folder where inputs that reach new code are kept, and beside it findings"
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="fuzz nothing: copy what of the corpus is worth replaying into this folder")
    given = parser.parse_args(arguments)
    given.corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="loci-fuzz-") as folder:
        if given.keep is not None:
            keep(TARGETS[given.target](Path(folder)), given.corpus, given.keep)
        else:
            fuzz(given.target, Path(folder), given.corpus, given.minutes, given.seed)
    return 0


def fuzz(name: str, folder: Path, corpus: Path, minutes: float, seed: int) -> None:
    """Does not return: libFuzzer ends the process, with 77 for a finding."""
    import atheris

    with atheris.instrument_imports(include=["loci"]):
        target = TARGETS[name](folder)
        words = folder / "words"
        words.write_bytes(b"".join(b'"%b"\n' % re.sub(rb"[^ -~]|[\"\\]", _spelled, word.encode()) for word in dictionary()))
    options = [
        f"-timeout={PATIENCE_S}",
        f"-artifact_prefix={corpus}.",
        f"-dict={words}",
        f"-max_len={LONGEST}",
        f"-seed={seed}",
        "-len_control=0",
    ]
    options += [f"-max_total_time={60 * minutes:.0f}", "-print_final_stats=1", str(corpus), str(SEEDS / name)]
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


def _spelled(found: re.Match[bytes]) -> bytes:
    return b"\\x%02x" % found[0][0]


if __name__ == "__main__":
    raise SystemExit(main())
