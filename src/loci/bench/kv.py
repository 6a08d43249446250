"""`loci bench kv`: what activation memory saves, and whether it is exact, on a model with random weights in the shape of a real one.

Random weights say nothing about what a model answers; how long it takes to read, load and go on from a state does not depend on them.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig, Qwen3Config, Qwen3ForCausalLM

from loci.drivers.torch_kv.clocks import measure
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import KVPage
from loci.errors import Unsupported
from loci.infrastructure.pages import PageFiles
from loci.memories import pages as files
from loci.memories.activation import CODECS
from loci.operation.residence import Residence
from loci.policy.placement import load_seconds, read_seconds
from loci.ports.engine import BLOCK, Rates
from loci.testing.models import make_tokenizer

Progress = Callable[[int, int], None]
CONTEXTS = (583, 2773, 6064)
QUERIES = (167, 303, 953)
ASKED = 20  # tokens of a question after a restart
PAGES = "pages"  # the folder of their files
PUBLISHED = {
    (6064, 953): 79.1, (6064, 303): 91.1, (6064, 167): 94.2, (2773, 953): 64.6, (2773, 303): 85.1, (2773, 167): 89.7,
    (583, 953): 23.0, (583, 303): 55.6, (583, 167): 71.3,
}  # fmt: skip
"""Percent of the time to the first token that MemOS reports saved for Qwen3-8B on an H800 (its documentation of KV cache memory)."""
SHAPES: Mapping[str, Mapping[str, int]] = {
    "1m": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
           "head_dim": 16, "vocab_size": 1000},
    "30m": {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4,
            "head_dim": 64, "vocab_size": 16_000},
    "hybrid-30m": {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4,
                   "head_dim": 64, "vocab_size": 16_000, "linear_num_key_heads": 4, "linear_num_value_heads": 8, "linear_key_head_dim": 64,
                   "linear_value_head_dim": 64},
    "qwen3-8b": {"hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8,
                 "head_dim": 128, "vocab_size": 151_936},
    "qwen3-14b": {"hidden_size": 5120, "intermediate_size": 17_408, "num_hidden_layers": 40, "num_attention_heads": 40,
                  "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936},
}  # fmt: skip
"""Of Qwen3's kind; the hybrid of Qwen3.5's, three of four layers of which hold one state of the whole text."""
POSITIONS = 40_960  # of Qwen3-8B and -14B
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Bench:
    """An engine, and how often each thing is timed."""

    engine: TorchEngine
    tries: int

    def seconds(self, call: Callable[[], object], before: Callable[[], object] | None = None) -> float:
        """The median of some tries on a GPU, the fastest on a CPU, where others share the cores; ``warm`` before them do not count, nor what is done ``before``
        each."""
        taken = []
        for _ in range(self.tries + self.warm):
            if before is not None:
                before()
                self.wait()
            start = perf_counter()
            call()
            self.wait()
            taken.append(perf_counter() - start)
        counted = taken[self.warm :]
        return median(counted) if self.engine.device.type == "cuda" else min(counted)

    @property
    def warm(self) -> int:
        return 3 if self.engine.device.type == "cuda" else 1

    def wait(self) -> None:
        if self.engine.device.type == "cuda":
            torch.cuda.synchronize(self.engine.device)

    def ids(self, count: int, seed: int = 0) -> list[int]:
        chance = torch.Generator().manual_seed(seed)
        return [int(i) for i in torch.randint(5, 300, (count,), generator=chance)]


def make(shape: str, device: str, dtype: str, tries: int, longest: int = 0, attention: str = "sdpa") -> Bench:
    """A model of the shape with random weights, seeded, that reads what real ones do, or ``longest`` tokens where that is more. Raises `Unsupported` for an
    attention that is not installed."""
    torch.manual_seed(0)
    configs, models = (
        (Qwen3_5TextConfig, Qwen3_5ForCausalLM) if "linear_num_key_heads" in SHAPES[shape] else (Qwen3Config, Qwen3ForCausalLM)
    )
    config = configs(
        **SHAPES[shape], max_position_embeddings=max(POSITIONS, longest), tie_word_embeddings=not shape.startswith("qwen"), dtype=dtype
    )
    try:
        with torch.device(device):
            model = models._from_config(config, attn_implementation=attention).to(getattr(torch, dtype))
    except (ImportError, ValueError) as error:
        raise Unsupported(f"The attention {attention} cannot be had: {error}") from error
    return Bench(TorchEngine(model, make_tokenizer()), tries)


def run(
    shape: str,
    device: str,
    dtype: str,
    tries: int,
    contexts: Sequence[int],
    queries: Sequence[int],
    advance: Progress,
    attention: str = "sdpa",
) -> dict[str, Any]:
    """Everything that is measured, as it is reported."""
    longest = 2 * max(contexts) + max(queries)  # the rates are measured at up to half of what it reads
    bench = make(shape, device, dtype, tries, longest, attention)
    parameters = sum(p.numel() for p in bench.engine.model.parameters())
    total = len(contexts) * len(queries) + 3
    advance(0, total)
    rates = measure(bench.engine, max(contexts))
    cells: list[dict[str, Any]] = []
    for context in contexts:
        with tempfile.TemporaryDirectory(prefix="loci-kv-") as folder:
            cells += grid(bench, rates, PageFiles(Path(folder)), context, queries)
        advance(len(cells), total)
    found = {
        "shape": shape, "attention": attention, "parameters": parameters, "device": device_name(device), "dtype": dtype, "threads": torch.get_num_threads(),
        "rates": {"start_ms": 1e3 * rates.start_s, "token_us": 1e6 * rates.token_s, "pair_ns": 1e9 * rates.pair_s, "held_us": 1e6 * rates.held_s,
                  "host_GB_per_s": rates.host.bytes_per_s / 1e9, "disk_GB_per_s": rates.disk.bytes_per_s / 1e9},
        "first token": cells, "tiers": decisions(cells), "uses": uses(bench, 1000), "codec speed": codec_speed(bench, max(contexts)),
    }  # fmt: skip
    advance(total - 1, total)
    found["restart"] = restart(shape, dtype, max(contexts)) if device == "cpu" else None
    advance(total, total)
    return found


def grid(
    bench: Bench,
    rates: Rates,
    kept: PageFiles,
    context: int,
    queries: Sequence[int],
) -> list[dict[str, Any]]:
    """The time to the first token after a memory of ``context`` tokens: its text read, and its state from each tier, raw and int8. What comes from the disk is
    warm, in the system's page cache, but for ``disk cold``, which is there only where the system lets go of files."""
    engine, memory = bench.engine, bench.ids(context)
    build = bench.seconds(lambda: engine.read(memory))
    state = engine.read(memory)
    parked = [engine.park(page) for page in state]
    size = sum(page.bytes for page in state)
    stored = {codec: store(engine, kept, state, codec) for codec in ("raw", "int8")}
    cells = []
    read = {codec: partial(loaded, engine, kept, memory, pages, codec) for codec, pages in stored.items()}
    moves: dict[str, Callable[[], Sequence[KVPage]]] = {
        "host": lambda: [engine.fetch(page) for page in parked],
        "disk": read["raw"],
        "disk int8": read["int8"],
    }
    before: dict[str, Callable[[], object]] = {}
    if can_chill(kept.folder):
        moves["disk cold"], before["disk cold"] = read["raw"], partial(chill, kept.folder)
    for length in queries:
        query = bench.ids(length, seed=length)
        whole = [*memory, *query]
        arms: dict[str, Callable[[], object]] = {
            "text": lambda whole=whole: engine.logits((), whole, 1),  # type: ignore[misc]
            "query alone": lambda query=query: engine.logits((), query, 1),  # type: ignore[misc]
            "device": lambda query=query: engine.logits(state, query, 1),  # type: ignore[misc]
            **{arm: lambda move=move, query=query: engine.logits(move(), query, 1) for arm, move in moves.items()},  # type: ignore[misc]
        }
        seconds = {arm: bench.seconds(call, before.get(arm)) for arm, call in arms.items()}
        transfer = {arm: bench.seconds(move, before.get(arm)) for arm, move in moves.items()}
        difference = float((engine.logits(state, query, 1) - engine.logits((), whole, 1)).abs().max())
        is_same = int(engine.logits(state, query, 1).argmax()) == int(engine.logits((), whole, 1).argmax())
        predicted_text, floor = read_seconds(rates, context + length), read_seconds(rates, length, context)
        predicted = {
            "device": floor, "host": floor + load_seconds(rates.host, size), "disk": floor + load_seconds(rates.disk, size),
        }  # fmt: skip
        saved = {arm: 100 * (1 - seconds[arm] / seconds["text"]) for arm in ("device", *moves)}
        cells.append({
            "context": context, "query": length, "build_ms": 1e3 * build, "bytes": size, "ms": {arm: 1e3 * s for arm, s in seconds.items()},
            "saved": saved, "published": PUBLISHED.get((context, length)),
            "predicted": {arm: 100 * (1 - s / predicted_text) for arm, s in predicted.items()},
            "uses to pay": {arm: build / (seconds["text"] - seconds[arm]) if seconds[arm] < seconds["text"] else None for arm in saved},
            "over the query alone": seconds["device"] / seconds["query alone"],
            "transfer_ms": {arm: 1e3 * s for arm, s in transfer.items()},
            "over transfer and query": {arm: seconds[arm] / (transfer[arm] + seconds["query alone"]) for arm in transfer},
            "difference": difference, "same token": is_same,
        })  # fmt: skip
    return cells


def codec_speed(bench: Bench, context: int) -> dict[str, dict[str, float]]:
    """How fast a state of so many tokens becomes bytes and is made of them again, in memory, where the model runs: GB of the state a second."""
    engine, memory = bench.engine, bench.ids(context)
    state = engine.read(memory)
    size, found = sum(page.bytes for page in state) / 1e9, dict[str, dict[str, float]]()
    for name in ("raw", "int8", "int4"):
        codec = CODECS[name]
        told = [engine.encode(page, codec) for page in state]
        out = bench.seconds(lambda codec=codec: [engine.encode(page, codec) for page in state])  # type: ignore[misc]
        back = bench.seconds(
            lambda codec=codec, told=told: [  # type: ignore[misc]
                engine.decode(page.ids, place * BLOCK, codec, one) for place, (page, one) in enumerate(zip(state, told, strict=True))
            ]
        )
        found[name] = {"encode_GB_per_s": size / out, "decode_GB_per_s": size / back}
    return found


def store(engine: TorchEngine, kept: PageFiles, state: Sequence[KVPage], codec: str) -> list[tuple[str, int]]:
    """Writes the pages of a state: (name, bytes) of each."""
    written = []
    for page in state:
        written.append(kept.put(files.dump(engine.encode(page, CODECS[codec]))))
    return written


def loaded(engine: TorchEngine, kept: PageFiles, ids: Sequence[int], stored: Sequence[tuple[str, int]], codec: str) -> list[KVPage]:
    """The state as a process finds it that has nothing at hand: read, hashed, decoded, by several threads as `Residence` does."""
    fresh, unread = Residence(lambda: engine, 1 << 60, 0), PageFiles(kept.folder)  # which looks at the hash of what it never read

    def load(place: int) -> KVPage:
        name, size = stored[place]
        return engine.decode(ids[place * BLOCK : (place + 1) * BLOCK], place * BLOCK, CODECS[codec], files.load(unread.open(name, size)))

    parts = [tuple(ids[place * BLOCK : (place + 1) * BLOCK]) for place in range(len(stored))]  # none of the end
    return list(fresh.take([str(place) for place in range(len(parts))], parts, load).pages)


def can_chill(folder: Path) -> bool:
    """Whether the system lets go of what it keeps of a file of this folder; no where it cannot be asked, or does not tell."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return False
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        path = Path(inside) / "probe"
        path.write_bytes(os.urandom(1 << 16))
        chill(path.parent)
        handle = os.open(path, os.O_RDONLY)
        try:
            os.preadv(handle, [bytearray(1)], 0, os.RWF_NOWAIT)  # answered at once where it is in memory still
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(handle)
    return False


def chill(folder: Path) -> None:
    """Has the system let go of what it keeps of the files of a folder in memory, as far as it does that when it is asked."""
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def decisions(cells: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How often the cost model chooses the faster of reading and loading, over all cells and tiers, and what its choices cost above the
    best ones, in percent."""
    right, chosen, best = [], 0.0, 0.0
    for cell in cells:
        for tier in ("device", "host", "disk"):
            is_loaded = cell["predicted"][tier] > 0
            taken = {True: cell["ms"][tier], False: cell["ms"]["text"]}
            right.append(taken[is_loaded] <= min(taken.values()))
            chosen, best = chosen + taken[is_loaded], best + min(taken.values())
    return {"right": sum(right) / len(right), "regret": 100 * (chosen / best - 1)}


def uses(bench: Bench, times: int, threads: int = 4) -> dict[str, Any]:
    """Uses a state again and again, from several threads: whether its bytes and the answers stay the same."""
    state, query = bench.engine.read(bench.ids(200)), bench.ids(3, seed=9)
    before, first = digest(state), bench.engine.logits(state, query, 1)
    with ThreadPoolExecutor(threads) as pool:
        same = list(pool.map(lambda _: bool(torch.equal(bench.engine.logits(state, query, 1), first)), range(times)))
    return {"uses": times, "threads": threads, "same answers": sum(same), "same bytes": digest(state) == before}


def digest(state: Sequence[KVPage]) -> str:
    found = hashlib.sha256()
    for page in state:
        for tensor in (*page.keys, *page.values, *page.ends.values()):
            found.update(tensor.contiguous().reshape(-1).view(torch.uint8).cpu().numpy().tobytes())
    return found.hexdigest()


def device_name(device: str) -> str:
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return "cpu"


# -- after a restart -----------------------------------------------------------------------------------------------------


def restart(shape: str, dtype: str, context: int) -> dict[str, float]:
    """A memory kept by one process and used by the next: the first token from the disk, and from the text, each in a process that has
    just loaded the model. From the disk warm, its files in the system's page cache as after a restart of the process alone, and, where the system lets go
    of them, ``cold``, as after one of the machine. Also the largest difference of their logits."""
    with tempfile.TemporaryDirectory(prefix="loci-kv-") as folder:
        _elsewhere("keep", shape, dtype, context, folder)
        pages, told = Path(folder) / PAGES, {}
        if can_chill(Path(folder)):
            chill(pages)
            told["cold"] = _elsewhere("held", shape, dtype, context, folder)
        told |= {way: _elsewhere(way, shape, dtype, context, folder) for way in ("held", "text")}
    text = told.pop("text")
    found = {f"{way}_ms": one["ms"] for way, one in told.items()} | {"text_ms": text["ms"]}
    found |= {f"times_faster{'_cold' if way == 'cold' else ''}": text["ms"] / one["ms"] for way, one in told.items()}
    return {**found, "difference": max(abs(a - b) for one in told.values() for a, b in zip(one["logits"], text["logits"], strict=True))}


def _elsewhere(way: str, shape: str, dtype: str, context: int, folder: str) -> dict[str, Any]:
    told = [way, shape, dtype, str(context), folder, str(torch.get_num_threads())]
    done = subprocess.run([sys.executable, "-m", "loci.bench.kv", *told], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _after_restart(way: str, shape: str, dtype: str, context: int, folder: Path) -> dict[str, Any]:
    """What one of the processes does."""
    bench = make(shape, "cpu", dtype, 1, context + ASKED)
    memory, query, kept, listed = bench.ids(context), bench.ids(ASKED, seed=3), PageFiles(folder / PAGES), folder / "pages.json"
    bench.engine.logits((), query, 1)  # what the first forward pass of any process takes is not what is measured
    if way == "keep":
        listed.write_text(json.dumps(store(bench.engine, kept, bench.engine.read(memory), "raw")), "utf-8")
        return {}
    stored = [(str(name), int(size)) for name, size in json.loads(listed.read_text("utf-8"))]
    start = perf_counter()
    if way == "held":
        logits = bench.engine.logits(loaded(bench.engine, kept, memory, stored, "raw"), query, 1)
    else:
        logits = bench.engine.logits((), [*memory, *query], 1)
    taken = perf_counter() - start
    return {"ms": 1e3 * taken, "logits": logits[0].tolist()}


if __name__ == "__main__":
    _way, _shape, _dtype, _context, _folder, _threads = sys.argv[1:]
    torch.set_num_threads(int(_threads))
    sys.stdout.write(json.dumps(_after_restart(_way, _shape, _dtype, int(_context), Path(_folder))))
