"""Speed: a durable add beside one fsynced SQLite insert, imports with and without a model, searches beside exact dense search.

Every figure is a median of one process and one disk; ratios are within the same run.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from loci.ports import Embedder
from loci.text.sentences import sentences
from loci.types import Message
from loci.wire import MemOS

LONG, SHORT = 30_000, 10_000  # turns of an imported file
BATCH = 5000  # messages of a large cube between two commits
QUESTIONS = ("Where does Runa live?", "When did Casimir get engaged?", "What did they say about the wedding in Durbuy?", "Who is allergic to nuts?",
             "What is the cat called?", "How much does the sound editor earn?", "Which film premiered in November?", "Why did he stop running?")  # fmt: skip
TIMES = 6  # that each question is asked

Advance = Callable[[int, int], None]


def run(folder: Path | None, model: Embedder, memories: Sequence[int], advance: Advance) -> Mapping[str, Any]:
    """The figures, on the disk of ``folder``. ``model`` embeds questions and the sample; large cubes get directions that cost nothing."""
    steps = 2 + len(memories)
    advance(0, steps)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".loci-bench-") as name:
        home = Path(name)
        found: dict[str, Any] = {"add": durable_add(home)}
        advance(1, steps)
        found["import"] = imports(home, model)
        advance(2, steps)
        found["search"] = []
        for place, count in enumerate(memories, 3):
            found["search"].append(searches(home, model, count))
            advance(place, steps)
    return found


class Split:
    """Real directions for questions; for bulk, directions that cost nothing, other ones for other texts, so that a large cube is there in seconds."""

    dimensions = 384

    def __init__(self, engine: Embedder) -> None:
        self.name, self._engine, self.seconds = engine.name, engine, 0.0

    def embed(self, texts: Sequence[str]) -> Any:
        if len(texts) == 1:
            start = time.perf_counter()
            found = self._engine.embed(texts)
            self.seconds = time.perf_counter() - start
            return found
        made = np.random.default_rng(zlib.crc32("".join(texts).encode())).standard_normal((len(texts), 384)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


class Timed:
    """An embedder whose time is counted."""

    dimensions = 384

    def __init__(self, engine: Embedder) -> None:
        self.name, self._engine, self.seconds = engine.name, engine, 0.0

    def embed(self, texts: Sequence[str]) -> Any:
        start = time.perf_counter()
        found = self._engine.embed(texts)
        self.seconds += time.perf_counter() - start
        return found


def turns() -> list[Message]:
    """The sample conversation as messages."""
    line = (files("loci.samples") / "conversation.jsonl").read_text("utf-8").splitlines()[0]
    return [
        Message("user", t["text"], datetime.fromisoformat(t["at"]), t["speaker"], t["caption"], t["id"], f"s{t['session']}")
        for t in json.loads(line)["turns"]
    ]


def many(count: int, seed: int = 7) -> Iterator[Message]:
    """As many chat turns as wanted: sentences of the sample in new company, so that words keep their frequencies."""
    chance = random.Random(seed)
    said = turns()
    pool = [t.text[a:b] for t in said for a, b in sentences(t.text)]
    names = [f"{a}{b}" for a in ("Mar", "Tob", "Lin", "Os", "Vel", "Kir") for b in ("en", "ias", "a", "win", "da", "ko")]
    at = datetime(2024, 1, 1, tzinfo=UTC)
    for number in range(count):
        text = f"{chance.choice(pool)} {chance.choice(names)} {number}."
        yield Message(
            "user", text, at + timedelta(minutes=number), chance.choice(("Runa", "Casimir")), id=str(number), session=f"s{number // 40}"
        )


def told(message: Message) -> dict[str, object]:
    """The message as a line of JSONL."""
    at = None if message.at is None else message.at.isoformat()
    return {"id": message.id, "role": message.role, "speaker": message.speaker, "at": at, "session": message.session, "text": message.text}


def durable_add(folder: Path) -> dict[str, float]:
    """One message, acknowledged after the commit, and one row in a bare table of the same SQLite, turn by turn."""
    db = apsw.Connection(str(folder / "bare.db"))
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, words TEXT)")
    said = [t for t in turns() if len(t.text) < 400]
    bare, ours = [], []
    with MemOS.open(folder / "add", embedder="none") as memory:
        cube = memory.cube("a")
        for message in said:
            start = time.perf_counter()
            db.execute("INSERT INTO t (words) VALUES (?)", (message.text,))
            middle = time.perf_counter()
            cube.add(message)
            bare.append(middle - start)
            ours.append(time.perf_counter() - middle)
    return {
        "insert_ms": 1000 * statistics.median(bare),
        "add_ms": 1000 * statistics.median(ours),
        "ratio": statistics.median(ours) / statistics.median(bare),
    }


def imports(folder: Path, model: Embedder) -> dict[str, float]:
    """Turns a second of a long and a shorter file without a model, and with one the share of the time that the model takes."""
    plain = []
    for count in (LONG, SHORT):
        path = folder / f"{count}.jsonl"
        path.write_text("".join(json.dumps(told(message)) + "\n" for message in many(count)), "utf-8")
        with MemOS.open(folder / f"plain{count}", embedder="none") as memory:
            start = time.perf_counter()
            assert memory.cube("a").import_file(path).added == count
            plain.append(count / (time.perf_counter() - start))
    timed = Timed(model)
    real = turns()
    with MemOS.open(folder / "model", embedder=timed, background=False) as memory:
        start = time.perf_counter()
        memory.cube("a").add(real)
        memory.cube("a").drain()
        whole = time.perf_counter() - start
    return {
        "turns_per_second": plain[0],
        "turns_per_second_shorter": plain[1],
        "turns_per_second_with_model": len(real) / whole,
        "share_in_model": timed.seconds / whole,
    }


def searches(folder: Path, model: Embedder, memories: int) -> dict[str, float]:
    """Searches in a scope of that many memories, in one of a tenth of it and in both at once, beside exact dense search over as many
    vectors as the first has: medians in milliseconds."""
    split = Split(model)

    def taken(ask: Callable[[str], object]) -> tuple[float, float]:
        """Of every question: what it took with its embedding, and beyond."""
        times = []
        for text in QUESTIONS * TIMES:
            start = time.perf_counter()
            ask(text)
            times.append((time.perf_counter() - start, split.seconds))
        return 1000 * statistics.median(w for w, _ in times), 1000 * statistics.median(w - q for w, q in times)

    with MemOS.open(folder / f"s{memories}", embedder=split, background=False) as memory:
        cube = memory.cube("a")
        said = many(2 * memories)
        for user, count in (("most", memories), ("few", memories + memories // 10)):
            while (left := count - int(str(cube.stats()["memories"]))) > 0:
                cube.add([m for _, m in zip(range(min(left, BATCH)), said, strict=False)], user=user)
                cube.drain()
        start = time.perf_counter()
        cube.search(QUESTIONS[0], user="most")
        first = time.perf_counter() - start
        whole, beyond = taken(lambda text: cube.search(text, user="most"))
        few, _ = taken(lambda text: cube.search(text, user="few"))
        both, _ = taken(cube.search)
        vectors = split.embed([""] * max(memories, 2))
        dense, _ = taken(lambda text: np.argpartition(np.vecdot(vectors, split.embed([text])[0]), -10)[-10:])
        after = []
        for number, text in enumerate(QUESTIONS * TIMES):
            cube.add(f"{text} I asked that for the {number}th time.", user="most")
            start = time.perf_counter()
            cube.search(text, user="most")
            after.append(time.perf_counter() - start)
    return {
        "memories": memories, "search_ms": whole, "beyond_embedding_ms": beyond, "exact_dense_ms": dense, "over_exact_dense": whole / dense,
        "of_a_tenth_ms": few, "unscoped_ms": both, "first_ms": 1000 * first, "after_an_add_ms": 1000 * statistics.median(after),
    }  # fmt: skip
