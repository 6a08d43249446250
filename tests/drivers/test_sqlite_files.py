"""What SQLite's files can do to a cube: locked, newer, truncated, foreign, full, read-only. Typed errors, the data as it was."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from tests.conftest import open_memory
from tests.kernel.earlier import before

from loci import Message
from loci.drivers.sqlite import connection
from loci.drivers.sqlite.schema import RELATIONS
from loci.errors import Corrupt, LociError, Locked, Missing, NewerSchema, ReadOnly, StorageFull, Unavailable
from loci.system import Cube
from loci.testing import HashEmbedder, ManualClock
from loci.wire import MemOS


@pytest.fixture
def closed(open_vault: Callable[..., MemOS]) -> Path:
    """The file of a cube with a few memories, closed: no log, no other file."""
    memory = open_vault()
    memory.cube("main").add([Message("user", f"The kettle number {n} is blue.") for n in range(40)])
    path = memory._parts.vault.path("main")
    memory.close()
    assert [p.name for p in path.parent.glob("main*")] == ["main.loci"]
    return path


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections opened from now on wait 30 ms for a lock, not 15 s."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 30)
    defaults = connection.connect.__kwdefaults__ or {}
    if "timeout_ms" in defaults:
        monkeypatch.setitem(defaults, "timeout_ms", 30)


def refuses(open_vault: Callable[..., MemOS], path: Path, error: type[LociError], match: str) -> None:
    """Opening raises, and leaves every byte as it was."""
    before = path.read_bytes()
    memory = open_vault()
    with pytest.raises(error, match=match) as caught:
        memory.cube("main").list()
    assert str(path) in str(caught.value), "the message names the file"
    memory.close()
    assert path.read_bytes() == before


# -- files that are not where they were -----------------------------------------------------------------------------------


def _deleted(path: Path) -> None:
    path.unlink()


def _replaced(path: Path) -> None:
    shutil.copy(path, other := path.with_name("copy"))
    other.replace(path)


def _vault_deleted(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("take", [_deleted, _replaced, _vault_deleted])
def test_nothing_is_written_to_a_file_that_is_not_there_any_more(memory: MemOS, take: Callable[[Path], None]) -> None:
    cube = memory.cube("main")
    cube.add("The kettle is blue.")
    memory.grant("ann", "reader", cube="main")
    path = memory._parts.vault.path("main")
    assert memory.look() == 1 and memory.verify().is_clean
    take(path)
    for attempt in (lambda: cube.add("The kettle is green."), memory.look):
        with pytest.raises(Unavailable, match=f"{path}|registry") as refused:
            attempt()
        assert "while it was open here" in str(refused.value)
    assert [m.text for m in cube.list()] == ["The kettle is blue."], "what there was can be saved from here"
    assert any(fault.where == "file" for fault in cube.verify().faults)
    if not path.parent.exists():  # nor does a log that is gone look as if nothing had been done
        for looks in (memory.grants, memory.log):
            with pytest.raises(Unavailable, match="while it was open here"):
                looks()
        assert [(fault.cube, fault.where) for fault in memory.verify().faults] == [("registry", "file")]


def test_a_thread_that_comes_later_does_not_read_another_file(memory: MemOS) -> None:
    cube = memory.cube("main")
    cube.add("The kettle is blue.")
    _replaced(memory._parts.vault.path("main"))
    told: list[object] = []

    def read() -> None:
        try:
            told.extend(cube.list())
        except Unavailable as error:
            told.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert len(told) == 1 and "replaced by another file" in str(told[0])


def test_a_file_that_comes_back_is_gone_on_with(memory: MemOS) -> None:
    cube = memory.cube("main")
    cube.add("The kettle is blue.")
    path = memory._parts.vault.path("main")
    aside = path.rename(path.with_name("aside"))
    with pytest.raises(Unavailable):
        cube.add("The kettle is green.")
    aside.rename(path)
    assert cube.add("The kettle is red.").ids and len(cube.list()) == 2 and cube.verify().is_clean


# -- files that are not what they should be -----------------------------------------------------------------------------


def test_a_newer_schema_is_refused_untouched(open_vault: Callable[..., MemOS], closed: Path) -> None:
    with apsw.Connection(str(closed)) as db:
        db.execute("PRAGMA user_version=999")
    db.close()
    refuses(open_vault, closed, NewerSchema, "999.*upgrade")


@pytest.mark.parametrize("size", [100, 4096, 5000, 4096 * 5])
def test_a_truncated_file_is_corrupt(open_vault: Callable[..., MemOS], closed: Path, size: int) -> None:
    os.truncate(closed, size)
    refuses(open_vault, closed, Corrupt, "damaged|not a cube")


@pytest.mark.parametrize("size", [0, 1])
def test_a_file_truncated_to_nothing_is_corrupt(open_vault: Callable[..., MemOS], closed: Path, size: int) -> None:
    os.truncate(closed, size)
    refuses(open_vault, closed, Corrupt, "damaged|not a cube|no cube|empty")


@pytest.mark.parametrize("what", ["random", "text", "zeros"])
def test_garbage_is_corrupt(open_vault: Callable[..., MemOS], closed: Path, what: str) -> None:
    closed.write_bytes({"random": os.urandom(20_000), "text": b"Dear diary, \n" * 500, "zeros": bytes(16_384)}[what])
    refuses(open_vault, closed, Corrupt, "damaged|not a cube")


@pytest.mark.parametrize("page", [2, 5, 9])
def test_a_page_of_garbage_is_corrupt_or_named(open_vault: Callable[..., MemOS], closed: Path, page: int) -> None:
    with closed.open("r+b") as file:
        file.seek(4096 * page)
        file.write(b"\xa5" * 4096)
    memory = open_vault()
    try:
        assert not memory.cube("main").verify().is_clean
    except Corrupt as error:
        assert str(closed) in str(error)


def test_another_programs_database_is_refused(open_vault: Callable[..., MemOS], folder: Path) -> None:
    folder.mkdir()
    with apsw.Connection(str(folder / "main.loci")) as db:
        db.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    db.close()
    memory = open_vault()
    with pytest.raises(Corrupt, match="not a cube of Loci's"):
        memory.cube("main")


def test_another_programs_database_is_not_touched(open_vault: Callable[..., MemOS], folder: Path) -> None:
    folder.mkdir()
    path = folder / "main.loci"
    with apsw.Connection(str(path)) as db:
        db.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    db.close()
    refuses(open_vault, path, Corrupt, "not a cube of Loci's")


def test_a_folder_in_the_place_of_a_cube_is_an_error(open_vault: Callable[..., MemOS], folder: Path) -> None:
    (folder / "main.loci").mkdir(parents=True)
    with pytest.raises(LociError):
        open_vault().cube("main")


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no cube file"):
        connection.connect(tmp_path / "none.loci")


def test_a_vault_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LociError, match="is a file; a vault is a folder"):
        open_memory(tmp_path / "file")


def test_a_commit_is_on_the_disk_when_it_is_answered(cube: Cube) -> None:
    """What a killed process cannot show and a power cut would: a log that is synced at each commit."""
    db = cube._store._db()
    settings = {name: db.execute(f"PRAGMA {name}").fetchall()[0][0] for name in ("journal_mode", "synchronous", "secure_delete")}
    assert settings == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}


# -- locked -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def held(impatient: None, memory: MemOS, cube: Cube) -> Iterator[apsw.Connection]:
    """A cube with a memory, whose file another connection is writing to."""
    cube._store._db().set_busy_timeout(30)
    cube.add("The kettle is blue.")
    db = apsw.Connection(str(cube._store.path))
    db.execute("BEGIN IMMEDIATE")
    yield db
    db.close()


def test_a_locked_file_refuses_writes_and_answers(cube: Cube, held: apsw.Connection) -> None:
    id = cube.list()[0].id
    for write in (lambda: cube.add("More words."), lambda: cube.update(id, "More words."), lambda: cube.forget(id), lambda: cube.erase(id)):
        with pytest.raises(Locked, match=r"held by another process.*try again"):
            write()
    assert cube.search("kettle").ids == (id,) and cube.get(id).version == 1 and cube.verify().is_clean
    held.execute("ROLLBACK")
    assert cube.add("More words.").ids


def test_a_locked_file_can_be_opened_and_searched(open_vault: Callable[..., MemOS], held: apsw.Connection) -> None:
    other = open_vault().cube("main")
    assert len(other.search("kettle").hits) == 1


def test_a_search_with_work_in_the_queue_does_not_wait_for_writers(impatient: None, open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    cube._store._db().set_busy_timeout(30)
    cube.add("The kettle is blue.")
    db = apsw.Connection(str(cube._store.path))
    db.execute("BEGIN IMMEDIATE")
    try:
        recall = cube.search("kettle")
    finally:
        db.close()
    assert len(recall.hits) == 1 and "dense" in recall.trace.missing


def test_closing_while_locked_closes(impatient: None, open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault()
    cube = memory.cube("main")
    cube._store._db().set_busy_timeout(30)
    cube.add("The kettle is blue.")
    cube.search("kettle")
    db = apsw.Connection(str(cube._store.path))
    db.execute("BEGIN IMMEDIATE")
    try:
        memory.close()
    finally:
        db.close()
    assert not cube._store._opened, "every connection is closed"


def test_a_new_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    maker = apsw.Connection(str(tmp_path / "main.loci"))
    maker.execute("BEGIN IMMEDIATE")
    end = threading.Timer(0.2, lambda: maker.execute("ROLLBACK"))
    end.start()
    try:
        connection.connect(tmp_path / "main.loci", create=True).close()
    finally:
        end.join()
        maker.close()


# -- full ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 1, 2, 5, 9])
def test_a_full_disk_changes_nothing(open_vault: Callable[..., MemOS], clock: ManualClock, room: int) -> None:
    memory = open_vault(embedder=HashEmbedder())
    cube = memory.cube("main")
    porto = cube.add("I live in Porto.", user="ana").ids[0]
    cube.drain()
    before, log, found = cube._store.sizes(), cube.log(), cube.get(porto)
    clock.advance(days=1)
    db = cube._store._db()
    pages = int(db.execute("PRAGMA page_count").fetchall()[0][0])
    db.execute(f"PRAGMA max_page_count={pages + room}").fetchall()
    said = [Message("user", f"I moved to Lisbon. {n} " + "and so on " * 400) for n in range(60)]
    with pytest.raises(StorageFull, match="rolled back"):
        cube.add(said, user="ana")
    db.execute("PRAGMA max_page_count=1000000").fetchall()
    assert {**cube._store.sizes(), "bytes": 0} == {**before, "bytes": 0} and cube.log() == log and cube.get(porto) == found
    assert cube.search("Porto", user="ana").ids == (porto,) and cube.verify().is_clean
    assert len(cube.add(said, user="ana").sources) == 60, "with room again, the same call works"


def test_what_is_gathered_is_in_the_one_file(open_vault: Callable[..., MemOS], cube: Cube, tmp_path: Path) -> None:
    cube.add([Message("user", f"The kettle number {n} is blue.") for n in range(40)])
    cube._store.gather()
    (tmp_path / "alone").mkdir()
    shutil.copy(cube._store.path, tmp_path / "alone" / "main.loci")
    other = open_vault(tmp_path / "alone").cube("main")
    assert len(other.list()) == 40 and other.verify().is_clean


def test_what_cannot_be_gathered_is_no_erasure(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = apsw.Connection(str(cube._store.path))
    reader.execute("BEGIN; SELECT count(*) FROM sources").fetchall()
    cube.add("The kettle is blue.")
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 100)
    cube._store._db().set_busy_timeout(100)
    with pytest.raises(Locked, match="older state") as told:
        cube._store.gather()
    reader.close()
    assert "erased" not in str(told.value)
    cube._store.gather()


# -- read-only ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["contents SET type", "memories SET part"])
def test_a_word_that_loci_never_wrote_is_an_error_and_no_row_less(tmp_path: Path, change: str) -> None:
    with open_memory(tmp_path) as memory:
        memory.cube("main").add("I live in Porto.")
        path = memory.cube("main")._store.path
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.execute(f"UPDATE {change} = 'odd'")
    with open_memory(tmp_path) as memory, pytest.raises(Corrupt, match="never wrote"):
        memory.cube("main").search("Porto")


NOBODY_ELSE = "there is no other user in this namespace"


def as_nobody(task: Callable[[Path], str], folder: Path) -> str:
    """Runs a task in a process that may not write there, as another user where we are root."""
    here, there = multiprocessing.Pipe()

    def child() -> None:
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
        except OSError:
            there.send(NOBODY_ELSE)
            return
        try:
            there.send(task(folder))
        except BaseException as error:  # noqa: BLE001 - told to the parent
            there.send(f"raised {type(error).__name__}: {error}")

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    there.close()
    answer = here.recv() if here.poll(20) else "no answer"
    process.join()
    if answer == NOBODY_ELSE:
        pytest.skip(NOBODY_ELSE)
    return str(answer)


@pytest.fixture(params=["clean", "with a log"])
def readonly(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A vault with one cube that can be read, and not written, by others. With a log: its writer was killed."""
    folder = Path(tempfile.mkdtemp(prefix="loci-readonly-"))
    memory = open_memory(folder / "vault", embedder=HashEmbedder())
    memory.cube("main").add([Message("user", "The kettle is blue."), Message("user", "The roof leaks.")], user="ana")
    if request.param == "with a log":
        shutil.copytree(folder / "vault", folder / "killed")
        memory.close()
        shutil.rmtree(folder / "vault")
        (folder / "killed").rename(folder / "vault")
    else:
        memory.close()
    folder.chmod(0o755)
    for file in (folder / "vault").iterdir():
        file.chmod(0o444)
    (folder / "vault").chmod(0o555)
    yield folder / "vault"
    (folder / "vault").chmod(0o755)
    shutil.rmtree(folder)


def ask(folder: Path, embedder: HashEmbedder | None = None) -> str:
    memory = open_memory(folder, clock=ManualClock(), embedder=embedder)
    cube = memory.cube("main")
    found = cube.search("kettle", user="ana")
    id = found.ids[0]
    listed, told = len(cube.list()), len(cube.log())
    assert cube.get(id).text == cube.history(id)[0].text == "The kettle is blue." and cube.why(id) and cube.stats()
    return f"{listed} {told} {'dense' in found.trace.missing}"


def test_a_vault_that_cannot_be_written_answers(readonly: Path) -> None:
    assert as_nobody(ask, readonly) == "2 1 True"


def test_a_vault_that_cannot_be_written_answers_with_an_embedder_too(readonly: Path) -> None:
    assert as_nobody(lambda folder: ask(folder, HashEmbedder()), readonly) == "2 1 True"


def test_an_older_cube_that_cannot_be_written_says_what_to_do(readonly: Path) -> None:
    """It lacks columns that this version reads, and cannot be given them where it is."""
    (readonly).chmod(0o755)
    (readonly / "main.loci").chmod(0o644)
    before(RELATIONS, readonly / "main.loci")
    (readonly / "main.loci").chmod(0o444)
    (readonly).chmod(0o555)
    told = as_nobody(ask, readonly)
    assert told.startswith("raised Unavailable") and "Copy it" in told


def test_a_vault_that_cannot_be_written_refuses_writes(readonly: Path) -> None:
    def write(folder: Path) -> str:
        cube = open_memory(folder, clock=ManualClock()).cube("main")
        id = cube.list()[0].id
        told = []
        for verb in (
            lambda: cube.add("x y"),
            lambda: cube.update(id, "x y"),
            lambda: cube.forget(id),
            lambda: cube.erase(id),
            lambda: cube.branch("b"),
        ):
            try:
                verb()
                told.append("written")
            except LociError as error:
                told.append(error.code)
        return " ".join(told)

    assert as_nobody(write, readonly) == " ".join([ReadOnly.code] * 5)


def test_a_vault_that_cannot_be_written_can_be_closed_after_a_search(readonly: Path) -> None:
    def close(folder: Path) -> str:
        with open_memory(folder, clock=ManualClock()) as memory:
            memory.cube("main").search("kettle")
        return "closed"

    assert as_nobody(close, readonly) == "closed"


def test_a_vault_that_cannot_be_written_can_be_verified(readonly: Path) -> None:
    def verify(folder: Path) -> str:
        return str(open_memory(folder, clock=ManualClock()).verify().is_clean)

    assert as_nobody(verify, readonly) == "True"


def test_a_cube_that_is_not_there_is_missing_in_a_vault_that_cannot_be_written(readonly: Path) -> None:
    def look(folder: Path) -> str:
        memory = open_memory(folder, clock=ManualClock())
        try:
            memory.cube("other")
        except LociError as error:
            return error.code
        return "made"

    assert as_nobody(look, readonly) in ("missing", "read_only")


def test_a_file_that_may_not_be_read_is_an_error(readonly: Path) -> None:
    (readonly / "main.loci").chmod(0)
    answer = as_nobody(ask, readonly)
    assert "raised" in answer and "main.loci" in answer and not answer.startswith("raised PermissionError")


def test_a_thread_that_ends_takes_its_connection_with_it(cube: Cube) -> None:
    cube.add("The kettle is blue.")
    open_files = Path("/proc/self/fd")

    def ask() -> int:
        cube.search("kettle")
        return len(list(open_files.iterdir())) if open_files.exists() else 0

    def in_threads(count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()

    in_threads(3)
    before = ask()
    in_threads(40)
    assert ask() <= before + 2 and cube.search("kettle").hits


def test_an_erasure_waits_for_a_checkpoint_of_somebody_else(cube: Cube) -> None:
    path, is_over = cube._store.path, threading.Event()
    cube.add([Message("user", f"The kettle number {n} is blue.") for n in range(400)], user="ana")
    receipts = [cube.add(f"The ladder number {n} is long.", user=f"bo-{n}") for n in range(40)]

    def checkpoint() -> None:
        db = apsw.Connection(str(path))
        while not is_over.is_set():
            with contextlib.suppress(apsw.BusyError):
                db.execute("UPDATE header SET value = value WHERE key = 'created'")
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        db.close()

    others = [threading.Thread(target=checkpoint) for _ in range(3)]
    for other in others:
        other.start()
    try:
        for number in range(len(receipts)):
            cube.erase(user=f"bo-{number}")
    finally:
        is_over.set()
        for other in others:
            other.join()
    assert cube.verify().is_clean and len(cube.list(limit=1000)) == 400
