"""Loci beside mem0 (raw mode, Qdrant on disk), same texts, same MiniLM vectors looked up on both sides, same run.

    python -m bench.against_mem0 DATA [--memories 675 10000] [--json]

DATA is a folder of the unified format. The first set of texts is one whole conversation, with its questions for recall; larger sets
are filled up with further turns. mem0 lives in an environment of its own, that of `loci bench retrieval --beside mem0`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loci import MemOS, Message
from loci.bench import rivals
from loci.bench.latency import many, told
from loci.bench.machine import machine
from loci.drivers.minilm import MiniLM
from loci.settings import Settings

ROOT = Path(__file__).parents[1]


class LookUp:
    """Embeddings computed beforehand."""

    dimensions = 384

    def __init__(self, name: str, known: dict[str, Any]) -> None:
        self.name, self._known = name, known

    def embed(self, texts: Sequence[str]) -> Any:
        return np.stack([self._known[t] for t in texts])


def load(data: Path, memories: int) -> tuple[list[str], list[tuple[str, set[str]]]]:
    """Texts, and questions with the texts that answer them; filled up with made turns to the size wanted."""
    conversation = json.loads((data / "conversations.jsonl").read_text("utf-8").splitlines()[0])
    text_of = {t["id"]: f"{t['speaker']}: {t['text']}" for t in conversation["turns"]}
    questions = [json.loads(line) for line in (data / "questions.jsonl").read_text("utf-8").splitlines()]
    asked = [
        (q["text"], {text_of[e] for e in q["evidence"]}) for q in questions if q["conversation"] == conversation["id"] and q["evidence"]
    ]
    texts = list(dict.fromkeys(text_of.values()))
    texts += [f"{m.speaker}: {m.text}" for m in many(max(memories - len(texts), 0))]
    return texts[: max(memories, len(text_of))] if memories > len(texts) else texts[:memories], asked


def ours(home: Path, texts: list[str], questions: list[str], known: dict[str, Any], name: str) -> dict[str, Any]:
    """The same on Loci: single durable adds with the vector in the same process, a bulk import, searches."""
    embedder = LookUp(name, known)
    split = [t.split(": ", 1) for t in texts]
    said = [Message("user", text, speaker=speaker, id=str(n)) for n, (speaker, text) in enumerate(split)]
    adds = []
    with MemOS.open(home / "single", embedder=Plain(embedder), background=True) as memory:
        for message in said[:1000]:
            start = time.perf_counter()
            memory.cube("a").add(message, user="u")
            adds.append(time.perf_counter() - start)
        memory.cube("a").drain()
    with MemOS.open(home / "bulk", embedder=Plain(embedder), background=False) as memory:
        cube, path = memory.cube("a"), home / "said.jsonl"
        path.write_text("".join(json.dumps(told(message)) + "\n" for message in said), "utf-8")
        begin = time.perf_counter()
        cube.import_file(path, user="u")
        cube.drain()
        bulk = time.perf_counter() - begin
        searches, recalls = [], []
        for question in questions:
            start = time.perf_counter()
            recalls.append(cube.search(question, user="u", limit=10))
            searches.append(time.perf_counter() - start)
        found = [[f"{h.memory.speaker}: {cube.why(h.memory.id).sources[0].message.text}" for h in recall.hits] for recall in recalls]
    return {
        "memories": len(texts), "adds_per_second": len(texts) / bulk, "add_ms": 1000 * statistics.median(adds),
        "search_ms": 1000 * statistics.median(searches), "found": found,
    }  # fmt: skip


class Plain:
    """Looks up whole turns; what Loci cuts besides gets the direction of nothing, at no cost."""

    dimensions = 384

    def __init__(self, known: LookUp) -> None:
        self.name, self._known = known.name, known._known
        self._nothing = np.zeros(384, dtype=np.float32)

    def embed(self, texts: Sequence[str]) -> Any:
        return np.stack([self._known.get(t, self._nothing) for t in texts])


def recall_at_10(found: list[list[str]], gold: list[set[str]]) -> float:
    return statistics.mean(len(set(f) & g) / len(g) for f, g in zip(found, gold, strict=True))


def compare(data: Path, memories: int, model: MiniLM) -> dict[str, Any]:
    texts, asked = load(data, memories)
    questions = [q for q, _ in asked]
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as folder:
        home = Path(folder)
        vectors = model.embed(texts)
        asked_vectors = model.embed(questions)
        for name, value in (("texts", texts), ("questions", questions)):
            (home / f"{name}.json").write_text(json.dumps(value), "utf-8")
        np.save(home / "vectors.npy", vectors)
        np.save(home / "question_vectors.npy", asked_vectors)
        said = [text.split(": ", 1)[1] for text in texts]  # Loci's vectors are of what was said, without who said it
        known = dict(zip([*said, *questions], [*model.embed(said), *asked_vectors], strict=True))
        done = subprocess.run(
            [str(rivals.environment("mem0")), str(Path(__file__).with_name("mem0_side.py")), str(home)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stderr)
        theirs = json.loads(done.stdout.splitlines()[-1])
        mine = ours(home, texts, questions, known, model.name)
    gold = [g for _, g in asked]
    for side in (mine, theirs):
        side["R@10"] = recall_at_10(side.pop("found"), gold)
    ratios = {
        "bulk": mine["adds_per_second"] / theirs["adds_per_second"],
        "single": theirs["add_ms"] / mine["add_ms"],
        "search": theirs["search_ms"] / mine["search_ms"],
    }
    return {"loci": mine, "mem0": theirs, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--memories", type=int, nargs="*", default=[675, 10_000])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    model = MiniLM(Settings().cache_folder())
    results = [compare(args.data, memories, model) for memories in args.memories]
    if args.json:
        print(json.dumps({"machine": machine(), "results": results}, indent=1))
        return
    for result in results:
        for system in ("loci", "mem0"):
            row = result[system]
            print(
                f"{system:6} {row['memories']:>7,} memories  bulk {row['adds_per_second']:>8,.0f}/s  add {row['add_ms']:>6.2f} ms"
                f"  search {row['search_ms']:>6.2f} ms  R@10 {row['R@10']:.3f}"
            )
        print("ratio  " + "  ".join(f"{name} {value:.1f}x" for name, value in result["ratios"].items()))
    print(machine())


if __name__ == "__main__":
    main()
