"""The fault walk: a fault at every call that changes a file, in turn, over every verb that writes. After each, the vault is opened on a
sound disk: `verify` must be clean, the vault must be as it stood after some commit of the verb, to the last row, and if the verb
had answered, after its last one.

    python -m bench.faults --verbs all
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import apsw

from bench.disk import KILLED, KINDS, POSSIBLE, Disk, Fault
from loci import Message
from loci.errors import LociError
from loci.infrastructure import rankers
from loci.ports.adapters import LEARN
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, ManualClock, TeachableEngine
from loci.testing.clock import START
from loci.wire import MemOS

SECRET = "quibblewicked"  # a word of what is erased, and of nothing else
BEFORE, THEN, LATER = START, START + timedelta(days=10), START + timedelta(days=20)
AFTERWARDS = ("leave", "close", "again")  # what a process does that has met an error: one of these, in turn
VOLATILE = {"cubes": ("id",), "jobs": ("state", "attempts", "due", "leased_by", "leased_until", "error")}  # by chance, or of one try
KEYED = ("hash", "checksum", "identity", "seal")  # columns that depend on a cube's secret; `verify` checks them
State = tuple[tuple[str, tuple[str, ...]], ...]  # file, its rows


@dataclass(frozen=True)
class Verb:
    """A verb to walk over: what is done before on a sound disk, and what then meets the fault."""

    run: Callable[[MemOS, Path], object]
    prepare: Callable[[Cube], object] = lambda cube: None
    erases: bool = False
    notes: bool = False  # only uses, at closing, if that can be: nothing that its answer promises
    settles: bool = False  # an answer in it embeds what waits, if that can be; if not, it goes on waiting


def _said(number: int, who: str = "ana", session: str = "s9") -> Message:
    text = f"Note {number}: I live in Porto, and the kettle number {number} whistles."
    return Message("user", text, at=THEN - timedelta(hours=1), id=f"m{number}", speaker=who, session=session)


def _id(memory: MemOS, word: str) -> str:
    return next((m.id for m in memory.cube("main").list(archived=True) if word in m.text), "gone")


def _adapter(memory: MemOS) -> str:
    return memory.cube("main").log(verb="distil")[-1].object


def _export(memory: MemOS, folder: Path) -> None:
    memory.cube("main").export(folder / "out.jsonl")


def _import(memory: MemOS, folder: Path) -> None:
    """Conversations among different people: a transaction each."""
    talks = [
        {"id": who, "speakers": [who, "Bo"], "turns": [
            {"id": f"{who}{n}", "session": 1, "at": None, "speaker": who, "text": f"{who} tells of beach {n}.", "caption": None} for n in range(6)
        ]} for who in ("Ana", "Cem", "Dan")
    ]  # fmt: skip
    (folder / "in.jsonl").write_text("\n".join(map(json.dumps, talks)))
    memory.cube("main").import_file(folder / "in.jsonl")


def _tune(memory: MemOS, folder: Path) -> None:
    rankers.save(folder / "ranker.json", memory.cube("main").ranker, {"tuned": "now"})


def _search(memory: MemOS, folder: Path) -> None:
    memory.cube("main").search("Who has a kettle?")


def _bundle(cube: Cube) -> None:
    """Something to take in, of what is no activation memory here any more."""
    handle = cube.activate([m.id for m in cube.list(user="ana")], user="ana")
    cube.export_activation(handle.id, cube._parts.vault.root / "bundle")
    cube.deactivate(handle.id)


PIPELINE: dict[str, object] = {
    "name": "tidy",
    "steps": [
        {"verb": "search", "name": "found", "with": {"question": "ladder", "user": "ana", "limit": 2}},
        {"verb": "add", "name": "said", "with": {"messages": "Note 9: I live in Porto.", "user": "ana"}},
        {"verb": "update", "with": {"memory": "$found.first", "text": "The ladder is short."}},
        {"verb": "move", "each": "$found.ids", "with": {"id": "$each", "move": "archive"}},
        {"verb": "forget", "with": {"id": "$said.first"}},
    ],
}
STAGED: dict[str, object] = {
    "name": "ask",
    "steps": [
        {"verb": "add", "name": "said", "with": {"messages": "Note 9: I live in Porto.", "user": "ana"}},
        {"verb": "generate", "name": "answer", "with": {"question": "Where does Ana live?", "user": "ana", "max_tokens": 3}},
        {"verb": "add", "with": {"messages": "$answer.text", "user": "ana"}},
        {"verb": "forget", "with": {"id": "$said.first"}},
    ],
}
VERBS: dict[str, Verb] = {
    "add": Verb(lambda memory, _: memory.cube("main").add(_said(1), user="ana")),
    "add a batch": Verb(lambda memory, _: memory.cube("main").add([_said(n) for n in range(12)], user="ana")),
    "update": Verb(lambda memory, _: memory.cube("main").update(_id(memory, "ladder"), "The ladder is short.")),
    "forget": Verb(lambda memory, _: memory.cube("main").forget(_id(memory, "ladder"))),
    "restore": Verb(
        lambda memory, _: memory.cube("main").restore(memory.cube("main").log(verb="forget")[-1].object),
        lambda cube: cube.forget(next(m.id for m in cube.list() if "ladder" in m.text)),
    ),
    "restore the cube": Verb(lambda memory, _: memory.cube("main").restore(to=BEFORE + timedelta(days=1, hours=1))),
    "move": Verb(lambda memory, _: memory.cube("main").move(_id(memory, "ladder"), "archive")),
    "erase a memory": Verb(lambda memory, _: memory.cube("main").erase(_id(memory, SECRET)), erases=True),
    "erase a user": Verb(lambda memory, _: memory.cube("main").erase(user="bo"), erases=True),
    "erase a session": Verb(lambda memory, _: memory.cube("main").erase(session="s2"), erases=True),
    "import": Verb(_import),
    "branch": Verb(lambda memory, _: memory.cube("main").branch("other")),
    "branch of the past": Verb(lambda memory, _: memory.cube("main").branch("other", as_of=BEFORE + timedelta(days=1, hours=1))),
    "export": Verb(_export),
    "sweep": Verb(
        lambda memory, _: memory.cube("main").sweep(),
        lambda cube: cube.add("The milk is fresh.", user="ana", expires=BEFORE + timedelta(days=6)),
    ),
    "drain": Verb(lambda memory, _: memory.cube("main").drain(), lambda cube: cube.add([_said(n) for n in range(3)], user="ana")),
    "tune": Verb(_tune, lambda cube: rankers.save(cube._parts.vault.root / "ranker.json", cube.ranker, {"tuned": "before"})),
    "search": Verb(_search, notes=True),
    "activate": Verb(lambda memory, _: memory.cube("main").activate([_id(memory, "kettle"), _id(memory, "ladder")], user="ana")),
    "deactivate": Verb(
        lambda memory, _: memory.cube("main").deactivate(memory.cube("main").log(verb="activate")[-1].object),
        lambda cube: cube.activate([m.id for m in cube.list(user="ana")], user="ana"),
    ),
    "erase what was activated": Verb(
        lambda memory, _: memory.cube("main").erase(user="bo"),
        lambda cube: cube.activate([m.id for m in cube.list(user="bo")], user="bo"),
        erases=True,
    ),
    "write an activation": Verb(
        lambda memory, folder: memory.cube("main").export_activation(
            memory.cube("main").log(verb="activate")[-1].object, folder / "bundle"
        ),
        lambda cube: cube.activate([m.id for m in cube.list(user="ana")], user="ana"),
    ),
    "take in an activation": Verb(lambda memory, folder: memory.cube("main").import_activation(folder / "bundle", user="ana"), _bundle),
    "distil": Verb(lambda memory, _: memory.cube("main").distil(user="ana", wait=False)),
    "learn": Verb(lambda memory, _: memory.cube("main").drain(), lambda cube: cube.distil(user="ana", wait=False)),
    "mount": Verb(lambda memory, _: memory.cube("main").mount(_adapter(memory)), lambda cube: cube.distil(user="ana")),
    "let go of an adapter": Verb(
        lambda memory, _: memory.cube("main").drop_adapter(_adapter(memory)), lambda cube: cube.distil(user="ana")
    ),
    "change what was learned": Verb(
        lambda memory, _: memory.cube("main").update(_id(memory, "ladder"), "The ladder is short."),
        lambda cube: cube.distil([next(m.id for m in cube.list() if "ladder" in m.text)], user="ana"),
    ),
    "erase what was learned": Verb(
        lambda memory, _: memory.cube("main").erase(user="bo"), lambda cube: cube.distil(user="bo"), erases=True
    ),
    "run a pipeline": Verb(lambda memory, _: memory.cube("main").run(PIPELINE)),
    "run a pipeline with a model": Verb(lambda memory, _: memory.cube("main").run(STAGED), settles=True),
    "cancel": Verb(
        lambda memory, _: memory.cube("main").cancel(memory.cube("main").jobs()[0].seq), lambda cube: cube.add(_said(1), user="ana")
    ),
    "pause": Verb(lambda memory, _: memory.cube("main").pause(reason="backup")),
    "a new cube": Verb(lambda memory, _: memory.cube("fresh").add(_said(1), user="ana")),
    "a new vault": Verb(lambda memory, folder: _door(folder / "new", THEN).cube("fresh").add(_said(1), user="ana")),
}


@dataclass
class Walk:
    """What a walk saw. ``lost``, ``partial``, ``faults`` and ``untyped`` must be empty."""

    trials: Counter[tuple[str, str]] = field(default_factory=Counter)  # (verb, kind)
    calls: dict[str, int] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)  # the answer of the verb, or the code of its error
    lost: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    untyped: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        return [*self.lost, *self.partial, *self.faults, *self.untyped]


def walk(folder: Path, verbs: Sequence[str], kinds: Sequence[str] = KINDS, stride: int = 1) -> Walk:
    """Every possible fault of these kinds, over these verbs; or one in ``stride`` of them, drawn once and for all."""
    found, start = Walk(), time.perf_counter()
    with _door(folder / "base", BEFORE) as memory:
        _furnish(memory)
    for verb in verbs:
        _walk_verb(folder, verb, kinds, stride, found)
    found.seconds = time.perf_counter() - start
    return found


def _walk_verb(folder: Path, name: str, kinds: Sequence[str], stride: int, found: Walk) -> None:
    verb, base, vault = VERBS[name], folder / "prepared", folder / "vault"
    shutil.copytree(folder / "base", base)
    with _door(base, BEFORE + timedelta(days=5)) as memory:
        verb.prepare(memory.cube("main"))
    shutil.copytree(base, vault)
    calls, chain, answer = _sound(verb, vault)
    chain = [_state(base), *chain, _state(vault)]
    chain = [_covered(state) for state in chain] if verb.settles else chain
    words = [_words(state) for state in chain]
    found.calls[name] = len(calls)
    if answer != ["done", "closed"]:
        raise AssertionError(f"{name} fails on a sound disk: {answer}")
    shutil.rmtree(vault)
    trials = [(kind, at) for at, call in enumerate(calls) for kind in kinds if kind in POSSIBLE[call.split()[0]]]
    random.Random(name).shuffle(trials)
    for place, (kind, at) in enumerate(trials[::stride]):
        shutil.copytree(base, vault)
        afterwards = AFTERWARDS[place % len(AFTERWARDS)]
        status, told = _in_a_process(partial(_meet, verb, vault, Fault(kind, at), afterwards))
        case = f"{name}: {kind} at call {at} ({calls[at]}), then {afterwards if status != KILLED else 'dead'}"
        found.trials[name, kind] += 1
        found.told[told[0].split(":")[0] if told else "killed"] += 1
        found.untyped += [f"{case}: {line}" for line in told if line.startswith("raised")]
        if status not in (0, KILLED):
            found.untyped.append(f"{case}: the process ended with {status}")
        _look(vault, verb, chain, words, told, case, found)
        shutil.rmtree(vault)
    shutil.rmtree(base)


# -- the process that meets the fault -----------------------------------------------------------------------------------


def _sound(verb: Verb, vault: Path) -> tuple[list[str], list[State], list[str]]:
    """The verb on a sound disk: its calls, and the vault as it stood before each of its commits."""

    def work(say: Callable[[str], None]) -> None:
        disk, chain = Disk(vault), []

        def note() -> bool:
            before = len(disk.calls)
            with contextlib.suppress(apsw.BusyError, apsw.CantOpenError):
                chain.append(_state(vault))
            del disk.calls[before:]  # to look is no call of the verb's
            return False

        disk.install()
        apsw.connection_hooks.append(lambda db: db.set_commit_hook(note))
        _run(verb, vault, say, "close")
        apsw.connection_hooks.clear()
        say(json.dumps([disk.calls, chain]))

    status, told = _in_a_process(work)
    if status != 0:
        raise AssertionError(f"a sound disk ends a process with {status}: {told}")
    calls, chain = json.loads(told.pop())
    return calls, [tuple((file, tuple(rows)) for file, rows in state) for state in chain], told


def _meet(verb: Verb, vault: Path, fault: Fault, afterwards: str, say: Callable[[str], None]) -> None:
    Disk(vault, fault).install()
    _run(verb, vault, say, afterwards)


def _run(verb: Verb, vault: Path, say: Callable[[str], None], afterwards: str) -> None:
    """Opens the vault, does the verb and says what came of it; then goes on as a process would."""
    memory: MemOS | None = None
    try:
        memory = _door(vault, THEN)
        verb.run(memory, vault)
        say("done")
    except LociError as error:
        say(f"{error.code}: {error}")
        if afterwards == "leave":
            return
        with contextlib.suppress(LociError):
            _door(vault, THEN).cube("main").list()
        if afterwards == "again":
            _again(verb, vault, memory, say)
    if memory is not None:
        memory.close()
        say("closed")


def _again(verb: Verb, vault: Path, memory: MemOS | None, say: Callable[[str], None]) -> None:
    """The same verb once more, in the process that met the fault."""
    try:
        verb.run(memory or _door(vault, THEN), vault)
        say("done again")
    except LociError as error:
        say(f"again {error.code}: {error}")


def _in_a_process(work: Callable[[Callable[[str], None]], None]) -> tuple[int, list[str]]:
    """Does it in a process that may die of it. Returns its exit status and the lines that it said."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(here)

        def say(line: str) -> None:
            os.write(there, f"{' '.join(line.splitlines())}\n".encode())

        try:
            work(say)
        except BaseException:  # noqa: BLE001 - told to the walk
            say(f"raised {traceback.format_exc(limit=-4)}")
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), lines


# -- what is looked at afterwards ---------------------------------------------------------------------------------------


def _look(vault: Path, verb: Verb, chain: list[State], words: list[object], told: list[str], case: str, found: Walk) -> None:
    """Opens the vault on a sound disk, as the next process would."""
    is_done = "done" in told and not verb.notes
    is_twice = any(line.startswith(("done again", "again")) for line in told)
    early = _holding(vault) if verb.erases and (is_done or any(line.startswith("again missing") for line in told)) else []
    for root in (vault, vault / "new"):
        if root.exists():
            with _door(root, LATER) as memory:
                found.faults += [f"{case}: {fault.cube}, {fault.where}: {fault.what}" for fault in memory.verify().faults]
    try:
        state = _covered(_state(vault)) if verb.settles else _state(vault)
    except apsw.Error as error:
        found.partial.append(f"{case}: {told}; {error}")
        return
    if is_twice:  # ids and times of a second try differ: what is said and what holds must not
        if _words(state) not in words:
            found.partial.append(f"{case}: {told}")
        elif "done again" in told and _words(state) != words[-1]:
            found.lost.append(f"{case}: {told}")
    elif state not in chain:
        found.partial.append(f"{case}: {told}; {_difference(state, chain)}")
    elif is_done and state != chain[-1]:
        found.lost.append(f"{case}: {told}")
    if verb.erases and (early or (state != chain[0] and not is_twice and _holding(vault))):
        found.partial.append(f"{case}: erased words are in {early or _holding(vault)}")


def _holding(vault: Path) -> list[str]:
    return [file.name for file in vault.iterdir() if file.is_file() and SECRET.encode() in file.read_bytes()]


def _state(folder: Path) -> State:
    """Every row of every file of the vault, less what is drawn by chance; and what was exported."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for path in sorted([*folder.glob("*.loci"), *folder.glob("registry.db"), *folder.glob("new/*.loci")]):
        with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
            rows = tuple(row for row in _rows(db) if path.suffix == ".loci" or _is_there(folder, row))
        if rows:
            found.append((str(path.relative_to(folder)), rows))
    found += [(file.name, tuple(sorted(file.read_text().splitlines()[1:]))) for file in sorted(folder.glob("out.jsonl"))]
    found += [(file.name, (file.read_text(),)) for file in sorted(folder.glob("ranker.json"))]
    return tuple(found)


def _is_there(folder: Path, row: str) -> bool:
    """Whether a line of the registry is of a cube: one of no file says nothing."""
    return (folder / f"{json.loads(row)['cube']}.loci").exists()


def _rows(db: apsw.Connection) -> Iterator[str]:
    """Each as JSON, but for what is said elsewhere as well or checked by `verify`; and what can be built again, which a crash may lose."""
    skipped = "'header', 'text_index', 'touched', 'names', 'payloads', 'payload_sources', 'payload_pages', 'adapters', 'adapter_sources', 'adapter_memories'"
    tables = [str(r[0]) for r in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")]
    for table in sorted(t for t in tables if not t.startswith(("text_index_", "sqlite_")) and f"'{t}'" not in skipped):
        columns = [str(r[1]) for r in db.execute(f"PRAGMA table_info({table})")]
        kept = [c for c in columns if c not in VOLATILE.get(table, ()) and c not in KEYED]
        for row in db.execute(f"SELECT {', '.join(kept)} FROM {table} ORDER BY 1, 2"):
            told = {"table": table, **dict(zip(kept, row, strict=True))}
            if told.get("verb") != LEARN:  # nor the job that builds it
                yield json.dumps(told, default=bytes.hex)


def _words(state: State) -> object:
    """What was said, in each file."""
    rows = {file: [json.loads(line) for line in lines] for file, lines in state if file.endswith(".loci")}
    return {file: sorted(row["text"] for row in found if row["table"] == "sources") for file, found in rows.items()}


def _covered(state: State) -> State:
    """The same, where of the contents that have a vector and those that wait for one only is told which they are."""
    return tuple((file, tuple(_cover(rows)) if file.endswith(".loci") else rows) for file, rows in state)


def _cover(rows: Sequence[str]) -> Iterator[str]:
    covered = set[int]()
    for line in rows:
        row = json.loads(line)
        if row["table"] == "vectors":
            covered.add(row["content"])
        elif row["table"] == "jobs" and row["verb"] == "embed":
            covered.update(json.loads(row["arguments"]).get("contents", ()))  # one that is done has none
        else:
            yield line
    yield json.dumps({"table": "vectors", "contents": sorted(covered)})


def _difference(state: State, chain: Sequence[State]) -> str:
    """The rows that are not those of the nearest state that there should be."""
    here = {(file, row) for file, rows in state for row in rows}
    there = min(({(file, row) for file, rows in known for row in rows} for known in chain), key=lambda rows: len(rows ^ here))
    return f"too many: {sorted(here - there)[:3]}, missing: {sorted(there - here)[:3]}"


def _door(vault: Path, now: object) -> MemOS:
    return MemOS.open(
        vault,
        clock=ManualClock(now),
        ids=CountingIds(),
        embedder=HashEmbedder(),
        engine=TeachableEngine(),
        background=False,
        audit_reads=False,
    )  # type: ignore[arg-type]


def _furnish(memory: MemOS) -> None:
    """A cube of two people's words over a few days, updated and embedded."""
    clock, cube = memory._parts.clock, memory.cube("main")
    assert isinstance(clock, ManualClock)
    for number, (user, session, text) in enumerate((
        ("ana", "s1", "I live in Porto. My dog Rex loves the long beach."), ("ana", "s1", "The ladder is long."),
        ("bo", "s2", f"My password is {SECRET}, and I live in Rome."), ("ana", "s1", "The kettle is blue."),
    )):  # fmt: skip
        clock.advance(hours=20)
        cube.add(Message("user", text, at=clock.now(), id=str(number)), user=user, session=session)
    cube.update(next(m.id for m in cube.list() if "kettle" in m.text), "The kettle is green.")
    clock.advance(days=1)
    cube.add(Message("user", "I moved to Lisbon.", at=clock.now(), id="9"), user="ana", session="s3")
    cube.drain()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbs", default="all", help=f"all, or some of: {', '.join(VERBS)}")
    parser.add_argument("--kinds", default="all", help=f"all, or some of: {', '.join(KINDS)}")
    parser.add_argument("--stride", type=int, default=1, help="only one in so many faults")
    given = parser.parse_args(arguments)
    verbs = list(VERBS) if given.verbs == "all" else [v.strip() for v in given.verbs.split(",")]
    kinds = list(KINDS) if given.kinds == "all" else [k.strip() for k in given.kinds.split(",")]
    with tempfile.TemporaryDirectory(prefix="loci-faults-") as folder:
        found = walk(Path(folder), verbs, kinds, given.stride)
    print(f"| verb | calls | {' | '.join(kinds)} |")
    print(f"|---|---|{'---|' * len(kinds)}")
    for verb in verbs:
        print(f"| {verb} | {found.calls[verb]} | {' | '.join(str(found.trials[verb, kind]) for kind in kinds)} |")
    print(f"\nAnswers: {', '.join(f'{what} {count}' for what, count in found.told.most_common())}.")
    print(
        f"Trials {found.trials.total()}; lost {len(found.lost)}, partial {len(found.partial)}, faults of verify {len(found.faults)},"
        f" errors that are not Loci's {len(found.untyped)}; {found.seconds:.0f} s"
        f" ({platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()})."
    )
    for line in found.wrong:
        print(line, file=sys.stderr)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
