"""The files of activation memory on the disk, plain and in envelopes."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from loci.drivers.keys import PageEnvelope
from loci.errors import Conflict, Corrupt, Missing
from loci.infrastructure.pages import PageFiles


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    kept = PageFiles(tmp_path / "main.kv")
    assert kept.put(b"page") == kept.put(b"page") and len(kept.names()) == 1
    name, size = kept.put(b"other page")
    assert bytes(kept.open(name, size)) == b"other page" and sum(path.stat().st_size for path in kept.folder.iterdir()) == 14
    assert (tmp_path / "main.kv").stat().st_mode & 0o077 == 0


def test_what_is_not_kept_is_overwritten_before_it_is_forgotten(tmp_path: Path) -> None:
    kept = PageFiles(tmp_path / "main.kv")
    (name, size), (gone, _) = kept.put(b"page"), kept.put(b"secret page")
    file = (tmp_path / "main.kv" / f"{gone}.safetensors").open("rb")
    link = tmp_path / "main.kv" / "link"
    link.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"not ours")
    assert kept.keep({name}) == 2 and kept.names() == {name}
    assert file.read() == bytes(11), "who still reads it reads nothing"
    assert (tmp_path / "elsewhere").read_bytes() == b"not ours" and bytes(kept.open(name, size)) == b"page"
    file.close()


def test_a_folder_among_them_is_none_of_ours_and_stops_nothing(tmp_path: Path) -> None:
    kept = PageFiles(tmp_path / "main.kv")
    gone, _ = kept.put(b"secret page")
    (kept.folder / ".snapshots").mkdir()
    (kept.folder / ".snapshots" / "notes").write_bytes(b"not ours")
    assert kept.names() == {gone} and kept.keep(()) == 1 and not kept.names()
    assert (kept.folder / ".snapshots" / "notes").read_bytes() == b"not ours"


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "main.kv").write_bytes(b"")
    with pytest.raises(Conflict, match=r"main\.kv is there already"):
        PageFiles(tmp_path / "main.kv").put(b"page")


def test_who_reads_while_it_is_destroyed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = PageFiles(tmp_path / "main.kv")
    name, size = kept.put(b"page" * 1000)
    real = bytearray

    def slow(length: int) -> bytearray:
        kept.keep(())
        return real(length)

    monkeypatch.setattr("loci.infrastructure.pages.bytearray", slow, raising=False)
    with pytest.raises(Missing, match="taken away while it was read"):
        kept.open(name, size)


def test_another_key_or_another_byte_opens_nothing(tmp_path: Path) -> None:
    key = secrets.token_bytes(32)
    kept = PageFiles(tmp_path / "main.kv", PageEnvelope(key))
    name, size = kept.put(b"the page itself")
    file = tmp_path / "main.kv" / f"{name}.safetensors"
    assert b"page itself" not in file.read_bytes() and bytes(kept.open(name, size)) == b"the page itself"
    with pytest.raises(Corrupt, match="another cube's"):
        PageFiles(tmp_path / "main.kv", PageEnvelope(secrets.token_bytes(32))).open(name, size)
    for place in range(size):
        data = bytearray(PageEnvelope(key).seal(b"the page itself"))
        data[place] ^= 1
        with pytest.raises(Corrupt):
            PageEnvelope(key).open(data)
    for short in (b"", b"x" * 11, b"x" * 12):
        with pytest.raises(Corrupt):
            PageEnvelope(key).open(short)


def test_another_name_of_a_page_keeps_nothing_of_it(tmp_path: Path) -> None:
    kept = PageFiles(tmp_path / "main.kv")
    name, _ = kept.put(b"secret page")
    other = tmp_path / "other"
    other.hardlink_to(tmp_path / "main.kv" / f"{name}.safetensors")
    assert kept.keep(set()) == 1 and other.read_bytes() == bytes(len(b"secret page"))
