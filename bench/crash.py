"""The crash walk: a process that writes is killed at random moments, again and again; then everything it had acknowledged must be
there, nothing half done may show, and `verify` must be clean.

    python bench/crash.py --kills 1000 --seed 1
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from loci import Message
from loci.errors import Missing
from loci.system import Cube
from loci.testing import HashEmbedder
from loci.wire import MemOS

CUBE = "walk"
KILLS_PER_VAULT = 25
BATCH = 8  # messages of a batch: all of them are there, or none
LOOKED_AT = 200  # additions looked at one by one after each kill; of older ones, that they are there
LONGEST_S = 0.25  # a writer lives at most this long after its first acknowledgement
Note = tuple[str, str, tuple[str, ...]]  # verb, tag, ids


@dataclass
class Walk:
    """What a walk saw. ``lost``, ``partial`` and ``faults`` must be empty."""

    kills: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.partial or self.faults)


@dataclass
class Ledger:
    """What the writers of one vault said was done."""

    added: dict[str, tuple[str, ...]] = field(default_factory=dict)  # tag: memories
    updated: dict[str, str] = field(default_factory=dict)  # memory: the words it was given last
    forgotten: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)  # tags

    def note(self, verb: str, tag: str, ids: tuple[str, ...]) -> None:
        match verb:
            case "add" | "batch":
                self.added[tag] = ids
            case "update":
                self.updated[ids[0]] = tag
            case "forget":
                self.forgotten.add(ids[0])
            case "erase":
                self.erased.add(tag)


def crash_walk(folder: Path, kills: int, seed: int) -> Walk:
    """Kills ``kills`` writers, one after the other, and checks the vault after each."""
    spawn = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload(["loci.wire", "loci.testing"])
    chance, walk, start = random.Random(seed), Walk(), time.perf_counter()
    vault, ledger = folder / "0", Ledger()
    for kill in range(kills):
        if kill % KILLS_PER_VAULT == 0:
            vault, ledger = folder / str(kill), Ledger()
        here, there = spawn.Pipe(duplex=False)
        writer = spawn.Process(target=write, args=(vault, chance.randrange(1 << 32), there))
        writer.start()
        there.close()
        notes = _until_killed(here, writer, chance)
        for note in notes:
            ledger.note(*note)
        walk.kills += 1
        walk.acknowledged += len(notes)
        _look(vault, ledger, f"kill {kill}", walk)
        if kill % KILLS_PER_VAULT == KILLS_PER_VAULT - 1:
            shutil.rmtree(vault)
    walk.seconds = time.perf_counter() - start
    return walk


def _until_killed(notes: Connection, writer: multiprocessing.process.BaseProcess, chance: random.Random) -> list[Note]:
    """Lets the writer work for a random time, kills it, and returns what it had acknowledged."""
    said: list[Note] = []
    if chance.random() < 0.9:  # else it may die while it still opens the vault
        notes.poll(10)
    time.sleep(chance.random() ** 2 * LONGEST_S)
    writer.kill()
    writer.join()
    try:
        while notes.poll():
            said.append(notes.recv())
    except (EOFError, OSError):  # the last note was cut off: it was not acknowledged
        pass
    return said


def write(vault: Path, seed: int, notes: Connection) -> None:
    """The writer: adds, updates, forgets and erases, and says so after each. Embeds in the background. Never ends by itself."""
    chance = random.Random(seed)
    cube = MemOS.open(vault, embedder=HashEmbedder()).cube(CUBE)
    mine: list[tuple[str, tuple[str, ...]]] = []
    for step in range(10**9):
        tag = f"tag{seed:08x}x{step}"
        dice = chance.random()
        if dice < 0.6 or not mine:
            ids = cube.add(_message(tag, 0), user=tag).ids
            mine.append((tag, ids))
            notes.send(("add", tag, ids))
        elif dice < 0.75:
            ids = cube.add([_message(tag, n) for n in range(BATCH)], user=tag).ids
            mine.append((tag, ids))
            notes.send(("batch", tag, ids))
        elif dice < 0.9:
            id = chance.choice(mine)[1][0]
            cube.update(id, f"It was changed by {tag} afterwards.", mode="overwrite", reason="crash walk")
            notes.send(("update", f"It was changed by {tag} afterwards.", (id,)))
        elif dice < 0.95:
            tag, ids = mine.pop(chance.randrange(len(mine)))
            cube.forget(ids[0])
            notes.send(("forget", tag, (ids[0],)))
        else:
            tag, ids = mine.pop(chance.randrange(len(mine)))
            cube.erase(user=tag)
            notes.send(("erase", tag, ids))


def _message(tag: str, number: int) -> Message:
    return Message("user", f"Note {number} of {tag}. I live in Porto since {number} days, and the kettle whistles.")


def _look(vault: Path, ledger: Ledger, when: str, walk: Walk) -> None:
    """Opens the vault as the next process would, and checks it against the ledger."""
    with MemOS.open(vault, embedder="none", background=False) as memory:
        cube = memory.cube(CUBE)
        walk.faults += [f"{when}: {fault.where}: {fault.what}" for fault in cube.verify().faults]
        walk.lost += [f"{when}: {what}" for what in _lost(cube, ledger)]
        walk.partial += [f"{when}: {what}" for what in _partial(cube, ledger)]
    files = b"".join(file.read_bytes() for file in vault.glob(f"{CUBE}*"))
    walk.partial += [f"{when}: words of {tag}, erased, are in the file" for tag in ledger.erased if f"of {tag}.".encode() in files]


def _lost(cube: Cube, ledger: Ledger) -> Iterator[str]:
    """What was acknowledged and is not so. A writer may have been killed between the commit of an erasure and its acknowledgement."""
    journal = {source.message.text for source in cube._store.sources()}
    users = set(cube._store.names("user"))
    unheard = [tag for tag in ledger.added if tag not in users and tag not in ledger.erased]
    if len(unheard) > len(cube.log(verb="erase", limit=1 << 30)) - len(ledger.erased):
        yield f"{unheard} were added and are not there"
    yield from (f"{tag} was erased and has words" for tag in ledger.erased & users)
    for tag in list(ledger.added)[-LOOKED_AT:]:
        if tag not in users:
            continue
        for id in ledger.added[tag]:
            try:
                found = cube.get(id)
            except Missing:
                yield f"memory {id} of {tag} is not there"
                continue
            if found.scope.user != tag or not found.text:
                yield f"memory {id} of {tag} is {found}"
            if id in ledger.updated and (ledger.updated[id] not in journal or found.version < 2):
                yield f"memory {id} was given {ledger.updated[id]!r}, and says {found.text!r}"
    present = {memory.id for memory in cube.list(limit=1 << 30)} if ledger.forgotten else set()
    yield from (f"memory {id} was forgotten and is there" for id in ledger.forgotten & present)


def _partial(cube: Cube, ledger: Ledger) -> Iterator[str]:
    """Changes that show in part: a batch without some of its messages, words that are listed and not found."""
    notes: dict[str, set[str]] = {}
    for source in cube._store.sources():
        if source.message.text.startswith("Note "):
            notes.setdefault(source.scope.user or "", set()).add(source.message.text.split()[1])
    yield from (f"{tag} has {len(numbers)} of {BATCH} messages" for tag, numbers in notes.items() if len(numbers) not in (1, BATCH))
    for tag in list(notes)[-5:]:
        if cube.list(user=tag) and not cube.search("Who changed the note of the kettle that whistles?", user=tag).hits:
            yield f"{tag} is listed and not found"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="loci-crash-") as folder:
        walk = crash_walk(Path(folder), given.kills, given.seed)
    print("| kills | acknowledged writes | lost | partial | faults of verify | seconds | machine |")
    print("|---|---|---|---|---|---|---|")
    machine = f"{platform.machine()}, {multiprocessing.cpu_count()} cores, Python {platform.python_version()}"
    print(
        f"| {walk.kills} | {walk.acknowledged} | {len(walk.lost)} | {len(walk.partial)} | {len(walk.faults)} | {walk.seconds:.0f} | {machine} |"
    )
    for line in (*walk.lost, *walk.partial, *walk.faults):
        print(line, file=sys.stderr)
    return 0 if walk.is_clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
