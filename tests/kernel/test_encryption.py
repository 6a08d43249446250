"""Encrypted cubes: no word in any file, no opening without the key, and no moment at which a cube is neither old nor new."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest
from tests.conftest import ROOT

from loci import Message
from loci.drivers.keys import FileKeyring, make_key
from loci.drivers.sqlite import SqliteStore, cipher, connection
from loci.drivers.sqlite.schema import recognise
from loci.errors import Conflict, Corrupt, Denied, Invalid, Locked, Missing, Unsupported
from loci.ports import Secret
from loci.settings import Settings, load
from loci.system import Cube
from loci.testing import HashEmbedder, HashEngine, ManualClock
from loci.wire import MemOS, parts

SAID = "The zanzibar kettle has a quizzical purple spout."
WORDS = (b"zanzibar", b"Zanzibar", b"quizzical", b"quizzic", b"purple", b"CREATE TABLE", b"spout", b"ana-the-user")  # stems too

Door = Callable[..., MemOS]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "the.key"
    make_key(path)
    return path


@pytest.fixture
def door(folder: Path, clock: ManualClock, key_file: Path) -> Iterator[Door]:
    """Opens the vault with the key file, or with other settings; all are closed at the end."""
    opened: list[MemOS] = []

    def open_with(where: Path | None = None, **settings: Any) -> MemOS:
        chosen = {"key_file": str(key_file)} if not settings else {n: v for n, v in settings.items() if v is not None}
        made = parts(
            Settings(vault=str(where or folder), embedder="none", background=False, **chosen), clock=clock, embedder=HashEmbedder()
        )
        opened.append(MemOS(made))
        return opened[-1]

    yield open_with
    for memory in opened:
        memory.close()


PLAIN = {"key_file": None, "limit": 10}


def fill(cube: Cube) -> None:
    cube.add([Message("user", SAID), *(Message("user", f"Ladder {n} is long.") for n in range(30))], user="ana-the-user")
    cube.drain()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def spoken(folder: Path) -> dict[str, list[bytes]]:
    """Which words lie open, by file."""
    found = {name: [w for w in WORDS if w in raw] for name, raw in everything(folder).items() if not name.startswith("registry")}
    return {name: words for name, words in found.items() if words}


def texts(memory: MemOS, name: str = "main") -> list[str]:
    return [m.text for m in memory.cube(name, create=False).list(limit=1000)]


# -- what lies on the disk -----------------------------------------------------------------------------------------------


def test_no_word_lies_open_while_it_is_used_and_afterwards(door: Door, folder: Path) -> None:
    memory = door()
    cube = memory.cube("main")
    fill(cube)
    seen = {"main.loci", "main.loci-wal", "main.loci-shm", "main.loci.key"}
    assert seen <= everything(folder).keys() and everything(folder)["main.loci-wal"] and spoken(folder) == {}
    assert cube.search("What has the kettle?", user="ana-the-user").hits[0].memory.text == SAID
    cube.branch("other").add("A quizzical purple newt.")
    assert {"other.loci", "other.loci.key"} <= everything(folder).keys() and spoken(folder) == {}
    assert cube.verify().is_clean and cube.stats()["encrypted"] is True
    memory.close()
    assert spoken(folder) == {}
    plain = door(folder.with_name("plain"), **PLAIN)
    fill(plain.cube("main"))
    assert set(WORDS) - {b"Zanzibar"} <= {
        word for file in ("main.loci", "main.loci-wal") for word in spoken(folder.with_name("plain"))[file]
    }, "the same look finds them in a plain cube"


def test_nothing_but_the_vault_and_the_key_is_written(door: Door, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for variable in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(variable, str(temporary))
    cube = door().cube("main")
    cube.add([Message("user", f"Kettle {n} of {os.urandom(40).hex()} is blue.") for n in range(400)])
    cube.drain()
    cube.erase(cube.list()[0].id)
    cube.branch("other")
    assert list(temporary.iterdir()) == []
    assert {p.name.split(".")[0] for p in folder.iterdir()} == {"main", "other", "registry"}


def test_a_changed_page_is_noticed(door: Door, folder: Path) -> None:
    memory = door()
    fill(memory.cube("main"))
    memory.close()
    path = folder / "main.loci"
    raw = path.read_bytes()
    for page in range(1, len(raw) // 4096):
        path.write_bytes(raw[: page * 4096 + 2000] + bytes([raw[page * 4096 + 2000] ^ 1]) + raw[page * 4096 + 2001 :])
        again = door()
        assert not again.verify().is_clean, f"page {page + 1}"
        again.close()


def test_a_page_in_the_place_of_another_is_noticed(door: Door, folder: Path) -> None:
    memory = door()
    for name in ("main", "other"):
        fill(memory.cube(name))
    memory.close()
    raw, foreign = ((folder / f"{name}.loci").read_bytes() for name in ("main", "other"))
    page = [raw[n : n + 4096] for n in range(0, len(raw), 4096)]
    swapped = [*page[:5], page[6], page[5], *page[7:]]
    mixed = [*page[:5], foreign[5 * 4096 : 6 * 4096], *page[6:]]
    for pages in (swapped, mixed):
        (folder / "main.loci").write_bytes(b"".join(pages))
        memory = door()
        assert {f.cube for f in memory.verify().faults} == {"main"}
        memory.close()


# -- keys ------------------------------------------------------------------------------------------------------------------


def test_every_cube_has_a_data_key_of_its_own_also_a_branch(door: Door, folder: Path, key_file: Path) -> None:
    memory = door()
    fill(memory.cube("main"))
    branch = memory.cube("main").branch("other")
    assert SAID in [m.text for m in branch.list()]
    ring = FileKeyring(folder, folder, lambda: Secret(key_file=key_file), is_armed=True)
    assert ring.open("main") != ring.open("other")
    memory.close()
    for cube, key in (("main", ring.open("other")), ("other", ring.open("main"))):
        with pytest.raises(Corrupt):
            SqliteStore(folder / f"{cube}.loci", cube, ManualClock().now(), key=key)
        SqliteStore(folder / f"{cube}.loci", cube, ManualClock().now(), key=ring.open(cube)).close()


def test_the_file_of_a_key_tells_nothing_of_it(door: Door, folder: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "correct horse")
    for name, settings in (("by-file", {"key_file": str(key_file)}), ("by-phrase", {"passphrase_variable": "SECRET"})):
        memory = door(**settings)
        memory.cube(name)
        raw = (folder / f"{name}.loci.key").read_bytes()
        key = FileKeyring(folder, folder, memory._parts.vault._keyring._secret, is_armed=True).open(name)
        for told in (key, key.hex().encode(), key_file.read_bytes(), key_file.read_bytes().hex().encode(), b"horse"):
            assert told not in raw
        assert (folder / f"{name}.loci.key").stat().st_mode & 0o077 == 0
        assert {"loci key", "by", "nonce", "wrapped"} <= json.loads(raw).keys()


@pytest.mark.parametrize("how", ["nothing", "another key file", "another passphrase", "no passphrase"])
def test_without_the_right_secret_nothing_opens_and_nothing_is_touched(
    how: str, door: Door, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "correct horse")
    memory = door(**({"passphrase_variable": "SECRET"} if "phrase" in how else {}))
    fill(memory.cube("main"))
    memory.close()
    before = everything(folder)
    make_key(tmp_path / "other.key")
    monkeypatch.setenv("SECRET", "" if how == "no passphrase" else "battery staple")
    wrong = {
        "nothing": PLAIN, "another key file": {"key_file": str(tmp_path / "other.key")}, "another passphrase": {"passphrase_variable": "SECRET"},
        "no passphrase": {"passphrase_variable": "SECRET"},
    }[how]  # fmt: skip
    with pytest.raises(Denied) as caught:
        door(**wrong).cube("main")
    assert "passphrase" in str(caught.value) or "key_file" in str(caught.value)
    assert "horse" not in str(caught.value) and "staple" not in str(caught.value)
    report = door(**wrong).verify()
    assert [f.where for f in report.faults] == ["file"]
    shared = {"registry.db-shm", "registry.db-wal"}  # the log of the vault was read
    assert {k: v for k, v in everything(folder).items() if k not in shared} == {k: v for k, v in before.items() if k not in shared}


def test_without_its_key_file_it_says_so(door: Door, folder: Path) -> None:
    memory = door()
    fill(memory.cube("main"))
    memory.close()
    (folder / "main.loci.key").unlink()
    for settings in ({}, PLAIN):
        with pytest.raises(Denied, match="its key is not at"):
            door(**settings).cube("main")


@pytest.mark.parametrize("field", ["nonce", "wrapped", "by", "loci key"])
def test_a_changed_key_file_opens_nothing(field: str, door: Door, folder: Path) -> None:
    memory = door()
    memory.cube("main")
    memory.close()
    path = folder / "main.loci.key"
    fields = json.loads(path.read_text())
    changed = {"by": "passphrase", "loci key": 0}
    fields[field] = changed[field] if field in changed else fields[field][:-2] + ("00" if fields[field][-2:] != "00" else "01")
    path.write_text(json.dumps(fields))
    with pytest.raises(Denied):
        door().cube("main")
    for junk in ("", "{", "[]", "{}", '{"loci key": 1}'):
        path.write_text(junk)
        with pytest.raises(Corrupt, match="damaged"):
            door().cube("main")


def test_a_key_file_cannot_ask_for_endless_work(door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "correct horse")
    memory = door(passphrase_variable="SECRET")
    memory.cube("main")
    memory.close()
    path = folder / "main.loci.key"
    path.write_text(json.dumps({**json.loads(path.read_text()), "memory_kib": 1 << 30}))
    with pytest.raises(Corrupt, match="damaged"):
        door(passphrase_variable="SECRET").cube("main")


def test_a_plain_file_in_the_place_of_an_encrypted_one_is_refused(door: Door, folder: Path) -> None:
    memory = door()
    fill(memory.cube("main"))
    memory.close()
    plain = door(folder.with_name("plain"), **PLAIN)
    plain.cube("main").add("Send all the money to Eve.")
    plain.close()
    shutil.copy(folder.with_name("plain") / "main.loci", folder / "main.loci")
    before = everything(folder)
    for settings in ({}, PLAIN):
        with pytest.raises(Denied, match="not encrypted"):
            door(**settings).cube("main")
        with pytest.raises(Denied, match="not encrypted"):
            door().encrypt("main")
    assert everything(folder) == before
    with pytest.raises(Denied, match="plain file"):
        SqliteStore(folder / "main.loci", "main", ManualClock().now(), key=os.urandom(32))


def test_plain_cubes_open_as_they_are_beside_encrypted_ones(door: Door, folder: Path) -> None:
    memory = door(**PLAIN)
    fill(memory.cube("old"))
    memory.close()
    memory = door()
    memory.cube("old").add("Another ladder.")
    fill(memory.cube("new"))
    assert not (folder / "old.loci.key").exists() and memory.cube("old").stats()["encrypted"] is False
    assert (folder / "new.loci.key").exists() and memory.verify().is_clean
    memory.close()
    assert list(spoken(folder)) == ["old.loci"]


def test_a_variable_that_holds_nothing_makes_no_plain_cube(door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    with pytest.raises(Denied, match="SECRET is to hold a passphrase"):
        door(passphrase_variable="SECRET").cube("main")
    assert not (folder / "main.loci").exists()


def test_the_passphrase_is_no_setting_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"LOCI_PASSPHRASE_VARIABLE": "LOCI_PHRASE", "LOCI_PHRASE": "correct horse"}
    settings, effective = load({}, environment=environment)
    assert "horse" not in repr(settings) + repr(effective) and settings.passphrase_variable == "LOCI_PHRASE"
    assert "horse" not in repr(Secret("correct horse"))
    with pytest.raises(Invalid, match="no setting 'phrase'"):
        load({}, environment={"LOCI_PHRASE": "correct horse"})


def test_a_folder_of_keys_keeps_them_out_of_copies_of_the_vault(door: Door, folder: Path, tmp_path: Path, key_file: Path) -> None:
    settings = {"key_file": str(key_file), "key_folder": str(tmp_path / "keys")}
    memory = door(**settings)
    fill(memory.cube("main"))
    memory.close()
    assert [p.name for p in (tmp_path / "keys").iterdir()] == ["main.loci.key"] and not (folder / "main.loci.key").exists()
    assert SAID in texts(door(**settings))
    with pytest.raises(Denied, match="its key is not at"):
        door().cube("main")
    with pytest.raises(Conflict, match="key_folder of its own"):
        door(tmp_path / "second", **settings).cube("main")


def test_two_who_make_a_cube_at_once_make_one(door: Door) -> None:
    memories = [door() for _ in range(6)]
    failed: list[BaseException] = []
    start = threading.Barrier(len(memories))

    def add(memory: MemOS, number: int) -> None:
        start.wait()
        try:
            memory.cube("main").add(f"Ladder {number} is long.")
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=add, args=(memory, number)) for number, memory in enumerate(memories)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and sorted(texts(door())) == [f"Ladder {n} is long." for n in range(6)]


PROCESS = """
import sys
from loci import MemOS
with MemOS.open(sys.argv[1], key_file=sys.argv[2], embedder="none", background=False) as memory:
    cube = memory.cube("main")
    for n in range(20):
        cube.add(f"Process {sys.argv[3]} says {n}.")
"""


def test_two_processes_write_to_one_encrypted_cube(door: Door, folder: Path, key_file: Path) -> None:
    run = [subprocess.Popen([sys.executable, "-c", PROCESS, str(folder), str(key_file), who], cwd=ROOT) for who in "ab"]
    assert [p.wait(60) for p in run] == [0, 0]
    memory = door()
    assert len(texts(memory)) == 40 and memory.verify().is_clean and spoken(folder) == {}


# -- without the packages ------------------------------------------------------------------------------------------------


def test_without_the_packages_it_says_what_to_install(door: Door, folder: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = door()
    fill(memory.cube("main"))
    memory.close()
    with monkeypatch.context() as patch:
        patch.delattr(apsw, "mc_version")
        with pytest.raises(Unsupported, match="pip install"):
            door().cube("main")
    blocked = "import sys; sys.modules['cryptography'] = None\nfrom loci import MemOS, LociError\n"
    for use in ("memory.cube('main')", "memory.cube('new')", "memory.cube('plain')"):
        program = f"{blocked}with MemOS.open({str(folder)!r}, key_file={str(key_file)!r}) as memory:\n try: {use}\n except LociError as error: print(error.code, error)"
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout
        assert told.startswith("unsupported") and "loci-memos[encryption]" in told
    assert not (folder / "new.loci").exists()
    program = (
        f"{blocked}with MemOS.open({str(folder.with_name('p'))!r}) as memory: print(memory.cube('main').add('The kettle is blue.').ids)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout


# -- encrypting in place -------------------------------------------------------------------------------------------------


def test_encrypting_in_place_changes_no_word_and_leaves_none(door: Door, folder: Path) -> None:
    memory = door(**PLAIN)
    cube = memory.cube("main")
    fill(cube)
    gone = cube.add("A quizzical purple newt swims in zanzibar.").ids[0]
    cube.forget(gone)
    before, history = [(m.id, m.text) for m in cube.list(limit=1000)], cube.history(gone)
    memory.close()
    (folder / "main.loci").chmod(0o640)
    memory = door()
    memory.encrypt("main")
    assert spoken(folder) == {} and (folder / "main.loci").stat().st_mode & 0o777 == 0o640
    cube = memory.cube("main")
    assert [(m.id, m.text) for m in cube.list(limit=1000)] == before and cube.history(gone) == history
    assert cube.search("kettle", user="ana-the-user").hits and cube.verify().is_clean and cube.log(verb="encrypt")
    with pytest.raises(Conflict, match="encrypted already"):
        memory.encrypt("main")
    assert {p.name for p in folder.iterdir()} >= {"main.loci", "main.loci.key"} and not list(folder.glob("*pending*"))
    memory.decrypt("main")
    assert [(m.id, m.text) for m in memory.cube("main").list(limit=1000)] == before and not list(folder.glob("main.loci.key*"))
    memory.close()
    assert texts(door(**PLAIN)) == [text for _, text in before]
    with pytest.raises(Conflict, match="is not encrypted"):
        door().decrypt("main")


def test_encrypting_needs_a_secret_and_a_cube(door: Door) -> None:
    memory = door(**PLAIN)
    fill(memory.cube("main"))
    with pytest.raises(Invalid, match="passphrase_variable or key_file"):
        memory.encrypt("main")
    with pytest.raises(Missing):
        memory.encrypt("other")
    assert SAID in texts(memory)


def test_encrypting_waits_for_who_has_it_open_and_changes_nothing_else(door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(door(**PLAIN).cube("main"))
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 50)
    with pytest.raises(Locked, match="open elsewhere"):
        door().encrypt("main")
    assert not list(folder.glob("*.key*")) and not cipher.is_encrypted(folder / "main.loci")


def test_what_is_refused_keeps_the_activation_memories(
    open_vault: Door, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 50)
    monkeypatch.setenv("WORDS", "correct horse battery staple")
    armed = {"engine": HashEngine(), "passphrase_variable": "WORDS"}
    plain = open_vault(engine=HashEngine())
    handle = plain.cube("main").activate(plain.cube("main").add(SAID, user="ann").ids, user="ann")
    with pytest.raises(Invalid, match="nothing to encrypt with"):
        plain.encrypt("main")
    plain.cube("main").search("kettle")  # it is open there
    with pytest.raises(Locked, match="open elsewhere"):
        open_vault(**armed).encrypt("main")
    (tmp_path / "backup").hardlink_to(folder / "main.loci")
    with pytest.raises(Conflict, match="another name"):
        open_vault(**armed).encrypt("main")
    assert [kept.id for kept in plain.cube("main").activations(user="ann")] == [handle.id]
    (tmp_path / "backup").unlink()
    plain.close()
    memory = open_vault(**armed)
    assert memory.encrypt("main") == 1
    handle = memory.cube("main").activate([m.id for m in memory.cube("main").list(user="ann")], user="ann")
    with pytest.raises(Conflict, match="encrypted already"):
        memory.encrypt("main")
    memory.cube("main").search("kettle")
    with pytest.raises(Locked, match="open elsewhere"):
        open_vault(**armed).decrypt("main")
    assert [kept.id for kept in memory.cube("main").activations(user="ann")] == [handle.id] and memory.cube("main").verify().is_clean


def test_encrypting_refuses_a_file_with_a_second_name(door: Door, folder: Path, tmp_path: Path) -> None:
    memory = door(**PLAIN)
    fill(memory.cube("main"))
    memory.close()
    (tmp_path / "backup").hardlink_to(folder / "main.loci")
    before = (tmp_path / "backup").read_bytes()
    with pytest.raises(Conflict, match="another name"):
        door().encrypt("main")
    assert (tmp_path / "backup").read_bytes() == before


def test_what_was_the_plain_file_is_overwritten(door: Door, folder: Path) -> None:
    """Whoever has the old file in hand, as the disk has its blocks, finds nothing in it."""
    memory = door(**PLAIN)
    fill(memory.cube("main"))
    memory.close()
    with (folder / "main.loci").open("rb") as old:
        assert WORDS[0] in old.read()
        door().encrypt("main")
        old.seek(0)
        assert old.read().strip(b"\0") == b""


def test_who_opens_it_meanwhile_goes_on_with_the_new_file(door: Door, folder: Path, clock: ManualClock, key_file: Path) -> None:
    """A connection that waits for the exchange must not write to the file that is gone."""
    memory = door(**PLAIN)
    fill(memory.cube("main"))
    before = len(texts(memory))
    memory.close()
    failed: list[BaseException] = []
    added: list[str] = []
    settings = Settings(vault=str(folder), embedder="none", background=False, key_file=str(key_file))

    def add(number: int) -> None:
        for n in range(8):
            try:
                with MemOS(parts(settings, clock=clock)) as other:
                    other.cube("main").add(f"Thread {number} says {n}.")
                added.append(f"Thread {number} says {n}.")
            except BaseException as error:  # noqa: BLE001 - told below
                failed.append(error)

    threads = [threading.Thread(target=add, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for verb in ("encrypt", "decrypt", "encrypt"):
        with MemOS(parts(settings, clock=clock)) as memory:
            getattr(memory, verb)("main")
    for thread in threads:
        thread.join()
    assert not failed
    memory = door()
    assert len(texts(memory)) == before + 24 and set(added) <= set(texts(memory)) and memory.verify().is_clean and spoken(folder) == {}


def test_a_connection_is_to_the_file_that_is_there_when_it_opens(door: Door, folder: Path) -> None:
    """Also when another one took its place while the connection waited for it."""
    for name in ("main", "next"):
        memory = door(folder.with_name(name), **PLAIN)
        memory.cube("main").add(f"This is the {name} one.")
        memory.close()
    path, waiting = folder.with_name("main") / "main.loci", [folder.with_name("next") / "main.loci"]

    def look(db: apsw.Connection, _: Path) -> None:
        recognise(db, path)
        if waiting:
            waiting.pop().replace(path)

    db = connection.connect(path, look=look)
    assert db.execute("SELECT text FROM sources").fetchall() == [("This is the next one.",)] and not cipher.is_moved(db)
    db.close()


# -- killed in the middle ------------------------------------------------------------------------------------------------

STEPS = {"exchange.py", "keys.py", "vault.py"}


def killed_at(step: int, task: Callable[[], None]) -> bool:
    """Runs a task in a process that is killed before the given line of `STEPS`. Whether it came to that."""
    child = os.fork()
    if not child:
        seen = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal seen
            if event == "line":
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace if Path(frame.f_code.co_filename).name in STEPS else None

        sys.settrace(trace)
        try:
            task()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("verb", ["encrypt", "decrypt"])
@pytest.mark.parametrize("stride", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_killed_at_any_step_it_is_the_old_cube_or_the_new(
    verb: str, stride: int, door: Door, folder: Path, clock: ManualClock, key_file: Path
) -> None:
    first = door(**(PLAIN if verb == "encrypt" else {}))
    fill(first.cube("main"))
    kept = texts(first)
    first.close()
    as_it_was = everything(folder)
    settings = Settings(vault=str(folder), embedder="none", background=False, key_file=str(key_file))
    step, seen = 1, set()
    while True:

        def change() -> None:
            getattr(MemOS(parts(settings, clock=clock)), verb)("main")

        is_killed = killed_at(step, change)
        with MemOS(parts(settings, clock=clock)) as memory:
            assert texts(memory) == kept and memory.verify().is_clean, f"step {step}"
            is_encrypted = bool(memory.cube("main").stats()["encrypted"])
            memory.cube("main").add("And one more.")
        seen.add(is_encrypted)
        left = {p.name for p in folder.iterdir()} - {"registry.db", "registry.db-wal", "registry.db-shm"}
        assert left - {n for n in left if n.endswith(".part")} == {"main.loci"} | ({"main.loci.key"} if is_encrypted else set()), (
            f"step {step}"
        )
        assert not (is_encrypted and spoken(folder)), f"step {step}"
        if not is_killed:
            break
        for name in left:
            (folder / name).unlink()
        for name, raw in as_it_was.items():
            (folder / name).write_bytes(raw)
        step += stride
    assert seen == {True, False} and step > 50, "kills before and after the change"


# -- rekey, shred ----------------------------------------------------------------------------------------------------------


def test_rekey_wraps_the_same_key_by_another_secret(door: Door, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = door()
    fill(memory.cube("main"))
    before, wrapped = (folder / "main.loci").stat().st_ino, (folder / "main.loci.key").read_bytes()
    monkeypatch.setenv("SECRET", "correct horse")
    memory.rekey("main", passphrase="correct horse")
    memory.close()
    assert (folder / "main.loci").stat().st_ino == before and (folder / "main.loci.key").read_bytes() != wrapped
    with pytest.raises(Denied, match="passphrase_variable"):
        door().cube("main")
    again = door(passphrase_variable="SECRET")
    assert SAID in texts(again) and again.cube("main").log(verb="rekey")
    make_key(tmp_path / "next.key")
    again.rekey("main", key_file=tmp_path / "next.key")
    again.close()
    with pytest.raises(Denied, match="key_file"):
        door(passphrase_variable="SECRET").cube("main")
    assert SAID in texts(door(key_file=str(tmp_path / "next.key")))
    assert [p.name for p in folder.glob("*.key*")] == ["main.loci.key"]


def test_rekey_refuses_what_would_lock_the_owner_out(door: Door, tmp_path: Path) -> None:
    memory = door()
    fill(memory.cube("main"))
    for wrong in ({}, {"passphrase": ""}, {"passphrase": "a", "key_file": "b"}, {"key_file": tmp_path / "none"}, {"key_file": __file__}):
        with pytest.raises((Invalid, Denied)):
            memory.rekey("main", **wrong)  # type: ignore[arg-type]
    memory.close()
    assert SAID in texts(door())
    plain = door(tmp_path / "plain", **PLAIN)
    plain.cube("main")
    with pytest.raises(Conflict, match="is not encrypted"):
        plain.rekey("main", passphrase="correct horse")


def test_shredding_makes_noise_of_the_cube_and_of_every_copy(door: Door, folder: Path, tmp_path: Path) -> None:
    memory = door()
    fill(memory.cube("main"))
    memory.cube("main").branch("kept")
    memory.close()
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(folder / "main.loci", backup / "main.loci")
    with (folder / "main.loci.key").open("rb") as old:
        wrapped = old.read()
        memory = door(**PLAIN)
        shredded = memory.shred("main")
        old.seek(0)
        assert len(old.read()) == len(wrapped) and b"wrapped" not in (old.seek(0), old.read())[1], "overwritten, not only unlinked"
    assert shredded.cube == "main" and shredded.keys == (str(folder / "main.loci.key"),) and shredded.branches == ("kept",)
    assert not list(folder.glob("main.loci.key*"))
    for where in (folder, backup):
        with pytest.raises(Denied, match="shredded"):
            door(where).cube("main")
        with pytest.raises(sqlite3.DatabaseError):
            sqlite3.connect(where / "main.loci").execute("SELECT * FROM sqlite_schema").fetchall()
        raw = (where / "main.loci").read_bytes()
        assert not any(word in raw for word in WORDS)
    assert SAID in texts(door(), "kept")
    with pytest.raises(Missing, match="no key to destroy"):
        door().shred("main")


def test_a_plain_cube_cannot_be_shredded(door: Door) -> None:
    memory = door(**PLAIN)
    fill(memory.cube("main"))
    with pytest.raises(Missing, match="no key to destroy"):
        memory.shred("main")
    assert SAID in texts(memory)


# -- erasing -------------------------------------------------------------------------------------------------------------


def test_an_erasure_is_proved_on_the_pages_as_they_read(door: Door) -> None:
    cube = door().cube("main")
    fill(cube)
    id = cube.search("kettle", user="ana-the-user").ids[0]
    erased = cube.erase(id)
    assert erased.is_encrypted and erased.bytes_scanned >= 4096 and cube.verify().is_clean
    pages = cube._store._db().serialize("main")
    assert pages is not None and b"zanzibar" not in pages and b"Ladder" in pages


def test_words_that_stay_in_a_page_are_found_although_the_disk_holds_ciphertext(door: Door) -> None:
    """What the look would find where the pages had not been cleaned."""
    from loci.drivers.sqlite.erasure import pieces, residue

    cube = door().cube("main")
    fill(cube)
    db, path, key = cube._store._db(), cube._store.path, cube._store._key
    wanted = pieces([Message("user", SAID)])
    assert wanted and residue(path, wanted, key) == wanted and residue(path, wanted) == []
    db.execute("PRAGMA secure_delete=OFF").fetchall()
    long = "A quizzical purple newt swims in zanzibar. " * 400
    db.execute("CREATE TABLE scratch (words TEXT)")
    db.execute("INSERT INTO scratch VALUES (?)", (long,))
    db.execute("DROP TABLE scratch")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert int(db.execute("PRAGMA freelist_count").fetchall()[0][0]) > 2
    assert residue(path, pieces([Message("user", long)]), key), "free pages are looked through too"


def test_reading_a_file_through_keeps_the_locks_on_it(door: Door, folder: Path) -> None:
    """POSIX takes every lock of a process from a file when the process closes any handle of it."""
    memory = door(**PLAIN)
    cube = memory.cube("main")
    fill(cube)
    program = "import apsw, sys; print(apsw.Connection(sys.argv[1]).execute('PRAGMA journal_mode=DELETE').fetchall())"

    def is_alone() -> bool:
        told = subprocess.run([sys.executable, "-c", program, str(folder / "main.loci")], capture_output=True, text=True, timeout=60)
        return told.returncode == 0

    assert not is_alone()
    cube.erase(cube.list()[0].id)
    assert cipher.is_encrypted(folder / "main.loci") is False
    assert not is_alone(), "another process must see that the file is open"
