"""What two do to one cube's key at once: a destroyed key stays destroyed, and a cube that is sound opens."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loci.drivers import keys
from loci.errors import Conflict
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
