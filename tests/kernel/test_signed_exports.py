"""Signed exports: one changed byte, another key or no signature, and nothing of the file is read."""

from __future__ import annotations

import random
import subprocess
import sys
from hashlib import sha512
from pathlib import Path

import pytest

from loci import Message
from loci.drivers.signing import Ed25519
from loci.errors import Conflict, Denied, Invalid, LociError, Malformed
from loci.infrastructure import exported, formats, signature
from loci.system import Cube
from loci.wire import MemOS, keygen


@pytest.fixture
def key(tmp_path: Path) -> Path:
    keygen(tmp_path / "signer", "signing")
    return tmp_path / "signer"


@pytest.fixture
def public(key: Path) -> str:
    return key.with_name("signer.pub").read_text().strip()


@pytest.fixture
def told(cube: Cube) -> Cube:
    cube.add([Message("user", "The kettle is blue.", session="s"), Message("user", "I live in Porto.", session="s")], user="ana")
    cube.add([Message("user", f"Ladder {n} is long.\nAnd made of ash: äöü.") for n in range(20)], user="bo")
    return cube


@pytest.fixture
def signed(told: Cube, key: Path, tmp_path: Path) -> Path:
    told.export(tmp_path / "signed.jsonl", sign=key)
    return tmp_path / "signed.jsonl"


def refuses(memory: MemOS, path: Path, signed_by: str | None, kind: type[LociError] = Denied) -> str:
    """Importing raises, and brings nothing in."""
    cube = memory.cube("into")
    with pytest.raises(kind) as caught:
        cube.import_file(path, signed_by=signed_by)
    assert cube.stats()["sources"] == 0 and "Nothing was imported" in str(caught.value)
    return str(caught.value)


def test_a_signed_export_imports_as_an_unsigned_one(
    memory: MemOS, told: Cube, signed: Path, key: Path, public: str, tmp_path: Path
) -> None:
    told.export(tmp_path / "plain.jsonl")
    plain, lines = (tmp_path / "plain.jsonl").read_bytes().splitlines(), signed.read_bytes().splitlines()
    assert lines[1:-1] == plain[1:] and len(lines) == len(plain) + 1 and b'"signed":true' in lines[0]
    of = {name: memory.cube(name) for name in ("from-plain", "from-signed", "sure")}
    of["from-plain"].import_file(tmp_path / "plain.jsonl")
    noted = of["from-signed"].import_file(signed).notes
    of["sure"].import_file(signed, signed_by=public)
    assert noted == (f"signed.jsonl: signed by {public}, and unchanged since",)
    views = [sorted((m.text, m.scope.user or "") for m in cube.list(limit=1000)) for cube in of.values()]
    assert views[0] == views[1] == views[2] and len(views[0]) >= 22
    assert told.export(tmp_path / "third.jsonl", sign=str(key))["signed_by"] == public


def test_a_public_key_is_given_as_it_is_or_by_its_file(memory: MemOS, signed: Path, key: Path, public: str) -> None:
    for named in (public, public.removeprefix("ed25519:"), str(key.with_name("signer.pub"))):
        assert memory.cube("into").import_file(signed, signed_by=named).messages
    for wrong in ("", "ed25519:12", "nobody", str(key), "ed25519:" + "G" * 64):
        with pytest.raises(Invalid):
            memory.cube("into").import_file(signed, signed_by=wrong)


@pytest.mark.parametrize("is_named", [True, False])
def test_any_changed_byte_is_refused(is_named: bool, memory: MemOS, signed: Path, public: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, chance = signed.read_bytes(), random.Random(20250521)
    last = raw.rfind(b"\n", 0, len(raw) - 1) + 1
    places = {0, last - 1, last, len(raw) - 1, *chance.sample(range(len(raw)), 200), *chance.sample(range(last, len(raw)), 60)}
    if is_named:
        monkeypatch.setattr(exported, "values", lambda sheet: pytest.fail("it was read"))
        monkeypatch.setattr(formats, "values", lambda sheet: pytest.fail("it was read"))
    for place in sorted(places):
        changed = raw[place] ^ (1 << chance.randrange(8))
        signed.write_bytes(raw[:place] + bytes([changed]) + raw[place + 1 :])
        refuses(memory, signed, public if is_named else None, Denied if is_named else Malformed)


@pytest.mark.parametrize("is_named", [True, False])
def test_what_was_cut_added_or_put_in_another_order_is_refused(is_named: bool, memory: MemOS, signed: Path, public: str) -> None:
    lines = signed.read_bytes().splitlines(keepends=True)
    swapped = [*lines[:2], lines[3], lines[2], *lines[4:]]
    assert swapped != lines
    versions = {
        "a line out": lines[:3] + lines[4:], "two swapped": swapped, "one twice": [*lines[:3], lines[2], *lines[3:]], "no signature": lines[:-1],
        "half": lines[: len(lines) // 2], "line end cut": [*lines[:-1], lines[-1][:-1]], "more after": [*lines, b"\n"],
        "a line after": [*lines, lines[2]], "signed twice": [*lines, lines[-1]], "spaced": [*lines[:-1], lines[-1].replace(b":1,", b": 1,")],
        "in capitals": [*lines[:-1], lines[-1].upper()], "only the signature": lines[-1:], "nothing": [],
    }  # fmt: skip
    for what, version in versions.items():
        signed.write_bytes(b"".join(version))
        with pytest.raises(Denied if is_named else Malformed):
            memory.cube("into").import_file(signed, signed_by=public if is_named else None)
        assert memory.cube("into").stats()["sources"] == 0, what


def test_another_signer_is_refused_and_named(memory: MemOS, told: Cube, signed: Path, public: str, tmp_path: Path) -> None:
    mallory = keygen(tmp_path / "mallory", "signing")
    assert mallory is not None
    told.export(tmp_path / "hers.jsonl", sign=tmp_path / "mallory")
    assert mallory in refuses(memory, tmp_path / "hers.jsonl", public)
    content, own = signature.split(signed.read_bytes())
    _, hers = signature.split((tmp_path / "hers.jsonl").read_bytes())
    assert own is not None and hers is not None
    for forged in (signature.Signature(own.key, hers.value), signature.Signature(hers.key, own.value)):
        (tmp_path / "forged.jsonl").write_bytes(content + signature.line(forged))
        refuses(memory, tmp_path / "forged.jsonl", public)
    for elsewhere in (content, sha512(content).digest()):  # a signature for something else is none of an export
        signed_elsewhere = Ed25519().sign(tmp_path / "signer", elsewhere)
        (tmp_path / "forged.jsonl").write_bytes(content + signature.line(signed_elsewhere))
        refuses(memory, tmp_path / "forged.jsonl", public)


def test_an_unsigned_file_of_any_kind_is_refused_where_a_signature_is_wanted(
    memory: MemOS, told: Cube, public: str, tmp_path: Path
) -> None:
    told.export(tmp_path / "plain.jsonl")
    (tmp_path / "chat.txt").write_text("2025-05-01 10:00 Ana: Hello there.\n")
    (tmp_path / "chat.zip").write_bytes(b"PK\x03\x04 and so on")
    for name in ("plain.jsonl", "chat.txt", "chat.zip"):
        assert "is not signed" in refuses(memory, tmp_path / name, public)


@pytest.mark.parametrize("named", ["~nobody-of-that-name/x", "a\0b"])
def test_what_is_no_path_is_no_public_key(named: str) -> None:
    with pytest.raises(Invalid, match="no public key"):
        Ed25519().public(named)


def test_keys_are_made_once_and_for_their_owner(key: Path, tmp_path: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    keygen(tmp_path / "cubes", "cubes")
    assert (tmp_path / "cubes").stat().st_mode & 0o777 == 0o600 and (tmp_path / "cubes").stat().st_size == 32
    before = key.read_bytes()
    for purpose in ("signing", "cubes"):
        with pytest.raises(Conflict, match="there already"):
            keygen(key, purpose)
    assert key.read_bytes() == before
    with pytest.raises(Invalid, match="no folder"):
        keygen(tmp_path / "none" / "key", "cubes")


@pytest.mark.parametrize("taken", ["signer", "signer.pub"])
def test_of_two_keys_none_is_made_where_a_name_is_taken(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    with pytest.raises(Conflict, match=rf"{taken} is there already"):
        keygen(tmp_path / "signer", "signing")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(taken, "mine")]


def test_only_a_signing_key_signs(told: Cube, key: Path, tmp_path: Path) -> None:
    keygen(tmp_path / "cubes", "cubes")
    for wrong, kind in ((tmp_path / "cubes", Invalid), (key.with_name("signer.pub"), Invalid), (tmp_path / "none", Denied)):
        with pytest.raises(kind):
            told.export(tmp_path / "out.jsonl", sign=wrong)
        assert not (tmp_path / "out.jsonl").exists(), "no file without the signature that was asked for"


def test_where_it_cannot_be_checked_it_says_so(signed: Path, public: str, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None\nfrom loci import MemOS, LociError\n"
        f"with MemOS.open({str(tmp_path / 'v')!r}, embedder='none', background=False) as memory:\n"
        f" print(memory.cube('a').import_file({str(signed)!r}).notes)\n"
        f" try: memory.cube('b').import_file({str(signed)!r}, signed_by={public!r})\n"
        " except LociError as error: print(error.code, memory.cube('b').stats()['sources'])\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "the signature was not checked" in told and "unsupported 0" in told
