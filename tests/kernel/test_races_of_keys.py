"""What two do to one cube's key at once: a destroyed key stays destroyed, and a cube that is sound opens."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loci.drivers import keys
from loci.errors import Conflict, Missing
from loci.ports import Secret
from loci.wire import MemOS

Open = Callable[..., MemOS]


@pytest.fixture
def door(open_vault: Open, tmp_path: Path) -> Callable[[], MemOS]:
    """Opens the vault with a key file."""
    keys.make_key(tmp_path / "the.key")
    return lambda: open_vault(key_file=str(tmp_path / "the.key"))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another key file."""
    keys.make_key(tmp_path / "other.key")
    return tmp_path / "other.key"


def test_a_key_that_is_shredded_while_it_is_wrapped_anew_stays_destroyed(
    door: Callable[[], MemOS], other: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, written = door(), door(), keys._written
    one.cube("main").add("The kettle is quibblewicked.", user="ana")
    shredding = threading.Thread(target=two.shred, args=("main",))

    @contextlib.contextmanager
    def hold_up(path: Path, content: bytes) -> Iterator[Path]:
        with written(path, content) as temporary:
            shredding.start()
            shredding.join(0.5)
            yield temporary

    monkeypatch.setattr(keys, "_written", hold_up)
    one._parts.vault.rekey("main", Secret("", other))
    shredding.join()
    assert not list(folder.glob("*.key*"))


def test_a_key_that_was_shredded_before_it_was_wrapped_anew_is_not_there_again(
    door: Callable[[], MemOS], other: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, wrap = door(), door(), keys._wrap
    one.cube("main").add("The kettle is quibblewicked.", user="ana")

    def wrap_and_shred(key: bytes, secret: Secret, place: str | None) -> bytes:
        two.shred("main")
        return wrap(key, secret, place)

    monkeypatch.setattr(keys, "_wrap", wrap_and_shred)
    with pytest.raises(Conflict, match="was destroyed"):
        one.rekey("main", key_file=other)
    assert not list(folder.glob("*.key*"))


def test_a_key_that_was_changed_before_it_was_wrapped_anew_stays_as_it_was_changed(
    door: Callable[[], MemOS], other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, wrap = door(), door(), keys._wrap
    one.cube("main").add("The kettle is quibblewicked.", user="ana")
    one.close()
    one = door()

    def wrap_and_change(key: bytes, secret: Secret, place: str | None) -> bytes:
        monkeypatch.undo()
        two.decrypt("main")
        two.encrypt("main")
        two.close()
        return wrap(key, secret, place)

    monkeypatch.setattr(keys, "_wrap", wrap_and_change)
    with pytest.raises(Conflict, match="or changed"):
        one._parts.vault.rekey("main", Secret("", other))
    assert [m.text for m in door().cube("main").list()] == ["The kettle is quibblewicked."]


def test_a_cube_whose_encryption_ends_while_it_is_opened_opens(
    door: Callable[[], MemOS], open_vault: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_vault() as plain:
        plain.cube("main").add("The kettle is quibblewicked.", user="ana")
    one, two, settle, read = door(), door(), keys.FileKeyring.settle, keys._read
    is_replaced, is_read, is_settled = threading.Event(), threading.Event(), threading.Event()
    encrypting = threading.Thread(target=one.encrypt, args=("main",))

    def hold_up_the_end(keyring: keys.FileKeyring, cube: str, *, is_encrypted: bool) -> None:
        if is_ending := is_encrypted and threading.current_thread() is encrypting:
            is_replaced.set()
            is_read.wait(10)
        settle(keyring, cube, is_encrypted=is_encrypted)
        if is_ending:
            is_settled.set()

    def read_in_the_moment_before(path: Path) -> keys.Fields | None:
        found = read(path)
        if threading.current_thread() is not encrypting and not is_read.is_set():
            is_read.set()
            assert found is None and is_settled.wait(10)
        return found

    monkeypatch.setattr(keys.FileKeyring, "settle", hold_up_the_end)
    monkeypatch.setattr(keys, "_read", read_in_the_moment_before)
    encrypting.start()
    assert is_replaced.wait(10)
    assert [m.text for m in two.cube("main").list()] == ["The kettle is quibblewicked."]
    encrypting.join()


def test_a_cube_that_is_decrypted_while_it_is_opened_opens(door: Callable[[], MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, opened = door(), door(), keys.FileKeyring.open
    one.cube("main").add("The kettle is quibblewicked.", user="ana")

    def decrypt_and_open(keyring: keys.FileKeyring, cube: str) -> bytes:
        monkeypatch.undo()
        one.decrypt("main")
        return opened(keyring, cube)

    monkeypatch.setattr(keys.FileKeyring, "open", decrypt_and_open)
    assert [m.text for m in two.cube("main").list()] == ["The kettle is quibblewicked."]


def test_of_two_shreds_at_once_one_destroys_the_key_and_the_other_finds_none(
    door: Callable[[], MemOS], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, destroy = door(), door(), keys._destroy
    one.cube("main").add("The kettle is quibblewicked.", user="ana")

    def shred_first(path: Path) -> None:
        monkeypatch.undo()
        assert two.shred("main").keys == (str(path),)
        destroy(path)

    monkeypatch.setattr(keys, "_destroy", shred_first)
    with pytest.raises(Missing, match="no key to destroy"):
        one.shred("main")


def test_two_threads_open_keys_by_a_passphrase_at_once() -> None:
    """In a process of its own, which is ended if they wait for each other: in OpenSSL nothing else ends them."""
    script = """
import json, threading
from loci.drivers.keys import _unwrap, _wrap
from loci.ports import Secret

def turn():
    for _ in range(3):
        secret = Secret("correct horse", None)
        assert _unwrap(json.loads(_wrap(bytes(32), secret, None)), secret, None) == bytes(32)

threads = [threading.Thread(target=turn) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
