"""Bundles of activation memory: taken in where words and model are the very same, and refused, with nothing run and nothing kept, where not."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from loci import MemOS, Message
from loci.errors import (
    Conflict,
    Corrupt,
    Denied,
    IncompatiblePayload,
    Invalid,
    LociError,
    Malformed,
    Missing,
    ReadOnly,
    TooLarge,
    Unsupported,
)
from loci.infrastructure import bundles
from loci.memories import bundle, pages
from loci.ports.engine import Tensor
from loci.system import Cube
from loci.testing import HashEngine, ManualClock, damage
from loci.types import Role

SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "The harbour opens at nine.")
QUESTION = "Where does Ann live?"
MARK = "loci-was-here"
Door = Callable[..., MemOS]


class Evil:
    """What a pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def say(cube: Cube, clock: ManualClock, user: str = "ann", texts: tuple[str, ...] = SAID) -> list[str]:
    at = clock.now().replace(year=2025)
    return [cube.add(Message("user", text, at, speaker="Ann"), user=user).ids[0] for text in texts]


@pytest.fixture
def cube(open_vault: Door, clock: ManualClock) -> Cube:
    cube = open_vault(engine=HashEngine(), audit_reads=True).cube("main")
    say(cube, clock)
    return cube


@pytest.fixture
def other(open_vault: Door, clock: ManualClock, tmp_path: Path) -> Cube:
    """Another vault, in which the same was said."""
    cube = open_vault(tmp_path / "other", engine=HashEngine(), audit_reads=True).cube("main")
    cube.add("Something else was said first.", user="ann")
    say(cube, clock)
    return cube


@pytest.fixture
def made(cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of several parts."""
    monkeypatch.setattr(bundles, "PART_BYTES", 1500)
    handle = cube.activate([memory.id for memory in cube.list(user="ann")], user="ann")
    written = cube.export_activation(handle.id, tmp_path / "bundle")
    assert written["pages"] == len(cube.activation(handle.id).pages) > 4 and len(list((tmp_path / "bundle").iterdir())) > 3
    return tmp_path / "bundle"


def kept(cube: Cube) -> list[Path]:
    folder = cube._parts.vault.pages("main").folder
    return sorted(folder.iterdir()) if folder.is_dir() else []


def numbers(cube: Cube, id: str) -> list[dict[str, bytes]]:
    """Every tensor of every page but its name here."""
    files = cube._parts.vault.pages("main")
    found = [pages.load(files.open(page.hash, page.bytes)) for page in cube.activation(id).pages]
    return [{name: bytes(tensor.data) for name, tensor in page.items() if name != "chain"} for page in found]


# -- there and back --------------------------------------------------------------------------------------------------------


def test_it_comes_in_bit_by_bit_and_answers_the_same(cube: Cube, other: Cube, made: Path) -> None:
    mine = cube.activations(user="ann")[0]
    handle = other.import_activation(made, user="ann")
    assert numbers(other, handle.id) == numbers(cube, mine.id) and handle.tokens == mine.tokens and handle.id != mine.id
    names = [{page.chain for page in c.activation(h.id).pages} for c, h in ((cube, mine), (other, handle))]
    assert not names[0] & names[1] and {q.memory for q in other.activation(handle.id).quoted} <= {m.id for m in other.list(user="ann")}
    answers = [c.generate(QUESTION, user="ann", limit=1, max_tokens=5, activations=[h.id]) for c, h in ((cube, mine), (other, handle))]
    assert [answer.attached.handle for answer in answers] == [mine.id, handle.id] and answers[1].attached.held_tokens == handle.tokens
    told = [answer.text() for answer in answers]
    assert told[0] == told[1] and other.verify().is_clean
    for path in kept(other):
        path.unlink()
    read = other.generate(QUESTION, user="ann", limit=1, max_tokens=5, activations=[handle.id])
    assert read.text() == told[1]


def test_a_trusted_one_is_not_read_again(other: Cube, made: Path) -> None:
    engine = other._activations.engine
    before = engine.read_tokens
    trusted = other.import_activation(made, user="ann", trusted=True)
    assert engine.read_tokens == before
    other.deactivate(trusted.id)
    handle = other.import_activation(made, user="ann")
    assert engine.read_tokens == before + handle.tokens


def test_ids_are_the_same_in_a_copy_of_the_cube(cube: Cube, made: Path) -> None:
    """As with a file that was copied: pages do not go along, and come by a bundle."""
    branch = cube.branch("copy")
    assert branch.activations(user="ann") == []
    handle = branch.import_activation(made, user="ann")
    assert handle.memories == cube.activations(user="ann")[0].memories and branch.verify().is_clean


def test_words_that_came_by_an_export_are_the_same_words(cube: Cube, open_vault: Door, made: Path, tmp_path: Path) -> None:
    cube.export(tmp_path / "words.jsonl")
    fresh = open_vault(tmp_path / "third", engine=HashEngine()).cube("main")
    fresh.import_file(tmp_path / "words.jsonl")
    handle = fresh.import_activation(made, user="ann")
    assert fresh.generate(QUESTION, user="ann", max_tokens=1, activations=[handle.id]).attached.held_tokens == handle.tokens


def test_erasing_the_words_kills_what_came_in(other: Cube, made: Path) -> None:
    handle = other.import_activation(made, user="ann")
    assert kept(other)
    receipt = other.erase(handle.memories[0])
    assert receipt.removed["activations"] == 1 and kept(other) == [] and other.verify().is_clean


def test_it_belongs_to_who_took_it_in(other: Cube, made: Path, clock: ManualClock) -> None:
    say(other, clock, "bob")
    mine, theirs = other.import_activation(made, user="ann"), other.import_activation(made, user="bob")
    pages_of = [{page.chain for page in other.activation(handle.id).pages} for handle in (mine, theirs)]
    assert not pages_of[0] & pages_of[1]
    assert [h.id for h in other.activations(user="ann")] == [mine.id] and [h.id for h in other.activations(user="bob")] == [theirs.id]


def test_both_are_in_the_log(cube: Cube, other: Cube, made: Path) -> None:
    read = [record for record in cube.log(verb="read") if record.detail["verb"] == "export_activation"]
    assert sorted(read[0].detail["memories"]) == sorted(memory.id for memory in cube.list(user="ann"))
    handle = other.import_activation(made, user="ann")
    record = other.log(verb="import_activation")[-1]
    told = json.loads((made / "manifest.json").read_text())
    assert record.object == handle.id and record.detail["tokens"] == handle.tokens and record.detail["trusted"] is False
    assert "from" not in record.detail and record.detail["parts"] == [part["sha256"] for part in told["parts"]]


def test_the_folder_is_there_whole_or_not_at_all(cube: Cube, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    id = cube.activations(user="ann")[0].id
    assert (made.stat().st_mode & 0o777, (made / "manifest.json").stat().st_mode & 0o777) == (0o700, 0o600)
    with pytest.raises(Conflict, match="is there already"):
        cube.export_activation(id, made)
    with pytest.raises(Missing, match="no folder"):
        cube.export_activation(id, tmp_path / "nowhere" / "bundle")
    (tmp_path / "empty").mkdir()
    cube.export_activation(id, tmp_path / "empty")
    before = set(tmp_path.iterdir())
    page = kept(cube)[2]
    damage(page)
    with pytest.raises(Corrupt, match="not as it was written"):
        cube.export_activation(id, tmp_path / "damaged")
    assert set(tmp_path.iterdir()) == before


def test_parts_and_pages_can_be_opened_by_the_format_s_own_library(made: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    found = dict(safetensors.deserialize((made / "part-00001.safetensors").read_bytes()))
    assert found and all(name.startswith("P0000") and told["dtype"] == "U8" for name, told in found.items())


# -- who may ---------------------------------------------------------------------------------------------------------------


def test_who_may(cube: Cube, open_vault: Door, made: Path, tmp_path: Path) -> None:
    id = cube.activations(user="ann")[0].id
    memory = open_vault(engine=HashEngine())
    for name, role, user in (
        ("reader", Role.READER, "ann"),
        ("curator", Role.CURATOR, "ann"),
        ("owner", Role.OWNER, "ann"),
        ("bob", Role.OWNER, "bob"),
    ):
        memory.grant(name, role, cube="main", user=user)
    assert memory.acting("reader").cube("main").export_activation(id, tmp_path / "by-reader")["id"] == id
    with pytest.raises(Missing, match="There is no activation memory"):
        memory.acting("bob").cube("main").export_activation(id, tmp_path / "by-bob")
    for name in ("reader", "curator", "bob"):
        with pytest.raises(Denied):
            memory.acting(name).cube("main").import_activation(made, user="ann")
    assert memory.acting("owner").cube("main").import_activation(made, user="ann").tokens
    with pytest.raises(Missing, match="very same words"):
        memory.acting("bob").cube("main").import_activation(made, user="bob")
    memory.cube("main").protect(read_only=True)
    with pytest.raises(ReadOnly):
        memory.cube("main").import_activation(made, user="ann")


def test_a_bundle_of_an_encrypted_cube_is_plain_and_that_is_said(
    open_vault: Door, clock: ManualClock, tmp_path: Path, other: Cube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS", "correct horse battery staple")
    secret = open_vault(tmp_path / "secret", engine=HashEngine(), passphrase_variable="WORDS").cube("main")
    handle = secret.activate(say(secret, clock), user="ann")
    with pytest.raises(Invalid, match="is encrypted, and a bundle is not"):
        secret.export_activation(handle.id, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    assert secret.export_activation(handle.id, tmp_path / "bundle", plain=True)["of_encrypted"] is True
    taken = other.import_activation(tmp_path / "bundle", user="ann")
    assert numbers(other, taken.id) == numbers(secret, handle.id)
    again = secret.import_activation(tmp_path / "bundle", user="ann")
    assert not any(b"data_offsets" in path.read_bytes() for path in kept(secret)) and numbers(secret, again.id) == numbers(
        secret, handle.id
    )


def test_what_may_not_be_shown_any_more_is_not_written(cube: Cube, tmp_path: Path) -> None:
    handle = cube.activate([memory.id for memory in cube.list(user="ann")], user="ann")
    cube.update(handle.memories[0], "I live in Lisbon.")
    with pytest.raises(Conflict, match="read otherwise"):
        cube.export_activation(handle.id, tmp_path / "bundle")
    cube.forget(handle.memories[1])
    with pytest.raises(Missing):
        cube.export_activation(handle.id, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


# -- what does not fit -----------------------------------------------------------------------------------------------------


def refused(cube: Cube, made: Path, kind: type[LociError], match: str, **options: Any) -> None:
    """With a typed error that says what is wrong; and nothing of it is in the vault, nor was anything run."""
    before, log, inside = kept(cube), len(cube.log()), sorted(path.name for path in made.parent.iterdir())
    with pytest.raises(kind, match=match) as error:
        cube.import_activation(made, user="ann", **options)
    assert type(error.value) is kind
    assert kept(cube) == before and len(cube.log()) == log and cube.verify().is_clean
    assert cube._parts.residence.bytes() == {"device": 0, "host": 0}
    assert sorted(path.name for path in made.parent.iterdir()) == inside and not (made.parent / MARK).exists()


def test_another_model_is_named(open_vault: Door, clock: ManualClock, made: Path, tmp_path: Path) -> None:
    engine = HashEngine("another")
    cube = open_vault(tmp_path / "third", engine=engine).cube("main")
    say(cube, clock)
    refused(cube, made, IncompatiblePayload, "read with model")
    told = json.loads((made / "manifest.json").read_text())
    told["fingerprint"]["tokenizer"] = "words"
    (made / "manifest.json").write_text(json.dumps(told))
    refused(cube, made, IncompatiblePayload, "read with tokenizer words, and the model at hand has bytes")
    with pytest.raises(Unsupported, match="no model"):
        open_vault(tmp_path / "third", engine=None).cube("main").import_activation(made, user="ann")


def test_other_words_are_refused(open_vault: Door, clock: ManualClock, made: Path, tmp_path: Path) -> None:
    cube = open_vault(tmp_path / "third", engine=HashEngine()).cube("main")
    refused(cube, made, Missing, "none of ann in cube main has the very same words")
    say(cube, clock, texts=("I live in Lisbon.", *SAID[1:]))
    refused(cube, made, Missing, "very same words")
    say(cube, clock, "bob")
    refused(cube, made, Missing, "very same words")
    say(cube, clock, texts=SAID[:1])  # there now, in another order
    refused(cube, made, Conflict, "differ from the")


def test_what_there_is_no_room_for_is_refused(open_vault: Door, clock: ManualClock, made: Path, tmp_path: Path) -> None:
    cube = open_vault(tmp_path / "third", engine=HashEngine(), kv_disk_bytes=5000).cube("main")
    say(cube, clock)
    refused(cube, made, TooLarge, "kv_disk_bytes")


# -- what is not what it says it is ------------------------------------------------------------------------------------------


def told(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "manifest.json").read_text())
    return found


def tell(made: Path, **fields: Any) -> None:
    """Says something else in the manifest."""
    (made / "manifest.json").write_text(json.dumps({**told(made), **fields}))


def forge(made: Path, data: bytes, place: int = 1) -> None:
    """Puts other bytes in the place of a part, and has the manifest vouch for them."""
    parts = told(made)["parts"]
    parts[place] |= {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    (made / parts[place]["file"]).write_bytes(data)
    tell(made, parts=parts)


def tensors(made: Path, place: int = 1) -> dict[str, Tensor]:
    return dict(pages.load(memoryview((made / f"part-{place:05d}.safetensors").read_bytes())))


def retell(made: Path, place: int = 1, **fields: Any) -> None:
    parts = told(made)["parts"]
    parts[place] |= fields
    tell(made, parts=parts)


def swap_for_link(made: Path, name: str) -> None:
    (made / name).rename(made.parent / f"{name}.moved")
    (made / name).symlink_to(made.parent / f"{name}.moved")


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def without_a_tensor(made: Path) -> None:
    found = tensors(made)
    found.pop(sorted(found)[0])
    forge(made, pages.dump(found))


def with_a_tensor_more(made: Path, name: str) -> None:
    forge(made, pages.dump({**tensors(made), name: Tensor("U8", (4,), b"evil")}))


def of_another_shape(made: Path) -> None:
    found = tensors(made)
    name = next(n for n in sorted(found) if n.endswith(".k"))
    forge(made, pages.dump({**found, name: Tensor("U8", (len(found[name].data),), found[name].data)}))


def with_other_numbers(made: Path) -> None:
    found = tensors(made)
    name = next(n for n in sorted(found) if n.endswith(".k"))
    forge(
        made,
        pages.dump({**found, name: Tensor("U8", found[name].shape, bytes([bytes(found[name].data)[0] ^ 1]) + bytes(found[name].data)[1:])}),
    )


def header(made: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = (made / "part-00001.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8 : 8 + size])
    change(head)
    new = json.dumps(head).encode()
    forge(made, len(new).to_bytes(8, "little") + new + raw[8 + size :])


BAD: dict[str, tuple[Callable[[Path], object], type[LociError], str]] = {
    "a pickle for a manifest": (lambda m: (m / "manifest.json").write_bytes(pickle.dumps(Evil(m.parent / MARK))), Malformed, "is not JSON"),
    "a pickle for a part": (lambda m: forge(m, pickle.dumps(Evil(m.parent / MARK))), Malformed, "no header"),
    "a pickle beside a missing part": (
        lambda m: ((m / "part-00001.safetensors").unlink(), (m / "part-00001.pkl").write_bytes(pickle.dumps(Evil(m.parent / MARK)))), Missing, "There is no part-00001"),
    "a part by the name of a pickle": (lambda m: retell(m, file="part-00001.pkl"), Malformed, "it must be part-00001.safetensors"),
    "an absolute path": (lambda m: retell(m, file="/etc/passwd"), Malformed, "in the folder itself"),
    "a path that leads out": (lambda m: retell(m, file="../../main.loci"), Malformed, "in the folder itself"),
    "a part that is a link": (lambda m: swap_for_link(m, "part-00001.safetensors"), Malformed, "is a link"),
    "a manifest that is a link": (lambda m: swap_for_link(m, "manifest.json"), Malformed, "is a link"),
    "a part that is a folder": (lambda m: ((m / "part-00001.safetensors").unlink(), (m / "part-00001.safetensors").mkdir()), Malformed, "is no file"),
    "a part that is a pipe": (lambda m: ((m / "part-00001.safetensors").unlink(), os.mkfifo(m / "part-00001.safetensors")), Malformed, "is no file"),
    "no manifest": (lambda m: (m / "manifest.json").unlink(), Missing, "There is no manifest.json"),
    "a part cut off": (lambda m: os.truncate(m / "part-00001.safetensors", 100), Malformed, "or fewer"),
    "a part added to": (lambda m: (m / "part-00001.safetensors").open("ab").write(b"x"), TooLarge, "more than"),
    "a byte changed": (lambda m: damage(m / "part-00001.safetensors"), Malformed, "was changed"),
    "a part of more than there may be": (lambda m: retell(m, bytes=(1 << 30) + 1), Malformed, "as bytes of part"),
    "more bytes than there is room for": (lambda m: tell(m, parts=[{**p, "bytes": 1 << 30} for p in told(m)["parts"]]), Malformed, "or fewer"),
    "a size below nothing": (lambda m: retell(m, bytes=-1), Malformed, "whole number"),
    "a size that is true": (lambda m: retell(m, bytes=True), Malformed, "whole number"),
    "a header longer than the part": (lambda m: forge(m, (1 << 40).to_bytes(8, "little") + b"{}"), Malformed, "no header"),
    "a header longer than any": (lambda m: forge(m, ((1 << 20) + 8).to_bytes(8, "little") + bytes(1 << 21)), Malformed, "no header"),
    "a header of brackets": (lambda m: forge(m, (50_000).to_bytes(8, "little") + b"[" * 50_000), Malformed, "not JSON"),
    "a header that says it is larger": (lambda m: header(m, lambda h: next(iter(h.values())).update(shape=[1 << 40, 16])), Malformed, "contradict"),
    "a header that points outside": (lambda m: header(m, lambda h: next(iter(h.values())).update(data_offsets=[0, 1 << 40])), Malformed, "contradict"),
    "a header with code": (lambda m: header(m, lambda h: next(iter(h.values())).update(code="import os")), Malformed, "what no page has"),
    "a type that is none": (lambda m: header(m, lambda h: next(iter(h.values())).update(dtype="PICKLE")), Malformed, "what no page has"),
    "a shape that lies": (of_another_shape, Malformed, "of another shape"),
    "a tensor less": (without_a_tensor, Malformed, "other tensors of page"),
    "a tensor more in a page": (lambda m: with_a_tensor_more(m, f"{sorted(tensors(m))[0].split('.')[0]}.L9.k"), Malformed, "other tensors of page"),
    "a tensor of no page": (lambda m: with_a_tensor_more(m, "P99999.L0.k"), Malformed, "and its pages have"),
    "a page's name for a tensor": (lambda m: with_a_tensor_more(m, f"{sorted(tensors(m))[0].split('.')[0]}.chain"), Malformed, "other tensors"),
    "numbers of another text": (with_other_numbers, Malformed, "changes this model's answers"),
    "parts in another order": (lambda m: tell(m, parts=told(m)["parts"][::-1]), Malformed, "calls a part"),
    "a part twice": (lambda m: tell(m, parts=[told(m)["parts"][0]] * 2), Malformed, "calls a part"),
    "a part less": (lambda m: tell(m, parts=told(m)["parts"][:-1]), Malformed, "pages in its parts"),
    "no parts": (lambda m: tell(m, parts=[]), Malformed, "names no parts"),
    "parts that are text": (lambda m: tell(m, parts="all"), Malformed, "names no parts"),
    "tokens less": (lambda m: tell(m, tokens={**told(m)["tokens"], "ids": [1]}), Malformed, "other tokens than it counts"),
    "tokens that are none": (lambda m: tell(m, tokens={**told(m)["tokens"], "ids": [1 << 40] * 9}), Malformed, "no tokenizer has"),
    "tokens of another text": (
        lambda m: tell(m, tokens={"count": (n := told(m)["tokens"]["count"]), "ids": [65] * n, "sha256": bundle._ids_hash([65] * n)}), Conflict, "differ from the 1. on"),
    "a newer schema": (lambda m: tell(m, schema=2), Malformed, "this Loci reads"),
    "a schema that is true": (lambda m: tell(m, schema=True), Malformed, "this Loci reads"),
    "another format": (lambda m: tell(m, format="torch"), Malformed, "this Loci reads"),
    "a codec that there is not": (lambda m: tell(m, codec={"name": "pickle", "bits": 0}), Malformed, "codec"),
    "a codec of other bits": (lambda m: tell(m, codec={"name": "raw", "bits": 8}), Malformed, "codec"),
    "a codec that does not fit its tensors": (lambda m: tell(m, codec={"name": "int8", "bits": 8}), Malformed, "other tensors"),
    "a field more": (lambda m: tell(m, run="evil"), Malformed, "it must be"),
    "a field less": (lambda m: (m / "manifest.json").write_text(json.dumps({k: v for k, v in told(m).items() if k != "tools"})), Malformed, "it must be"),
    "a place that is another": (lambda m: tell(m, position={"start": 64, "contiguous": True}), Malformed, "position"),
    "a time that is none": (lambda m: tell(m, created="yesterday"), Malformed, "no time"),
    "a time without a zone": (lambda m: tell(m, created="2026-01-01T00:00:00"), Malformed, "without its zone"),
    "no memories": (lambda m: tell(m, memories=[]), Malformed, "names no memories"),
    "a hash that is none": (lambda m: tell(m, memories=[{**told(m)["memories"][0], "line": "../x"}]), Malformed, "no SHA-256"),
    "numbers that are none": (lambda m: (m / "manifest.json").write_text(json.dumps({**told(m), "quality": {"kl": float("nan")}})), Malformed, "is no number"),
    "a model without layers": (lambda m: tell(m, fingerprint={**told(m)["fingerprint"], "layers": []}), Malformed, "without layers"),
    "a layer of code": (lambda m: tell(m, fingerprint={**told(m)["fingerprint"], "layers": [{"__class__": "os"}]}), Malformed, "layer"),
    "a model that is a list": (lambda m: tell(m, fingerprint=[]), Malformed, "fingerprint"),
    "a name twice": (lambda m: (m / "manifest.json").write_text((m / "manifest.json").read_text()[:-1] + ',"schema":1}'), Malformed, "a name twice"),
    "a manifest of brackets": (lambda m: (m / "manifest.json").write_bytes(nested(100_000)), Malformed, "not JSON"),
    "a manifest that is a list": (lambda m: (m / "manifest.json").write_text("[]"), Malformed, "says of it"),
    "a manifest of other letters": (lambda m: (m / "manifest.json").write_bytes(b"\xff\xfe{}"), Malformed, "not JSON"),
    "words for an id": (lambda m: tell(m, id="My brother Ben likes green tea."), Malformed, "as id; it must be"),
    "an id that clears the screen": (lambda m: tell(m, id="\x1b[2J"), Malformed, r"has '\\x1b\[2J' as id"),
    "half a letter for an id": (lambda m: tell(m, id="\ud800"), Malformed, "as id; it must be"),
    "a memory by a word of half a letter": (lambda m: tell(m, memories=[{**told(m)["memories"][0], "id": "a\ud800"}]), Malformed, "as id; it must be"),
    "a tool by words": (lambda m: tell(m, tools={"My brother Ben likes tea": "1"}), Malformed, "names tools, or versions"),
    "half a letter for a version": (lambda m: tell(m, tools={"torch": "\ud800"}), Malformed, "names tools, or versions"),
    "half a letter for a quality": (lambda m: tell(m, quality={"\ud800": 1}), Malformed, "numbers of quality"),
    "a number beyond measure": (lambda m: tell(m, quality={"kl": 10**400}), Malformed, "numbers of quality"),
    "a type that is a list": (lambda m: header(m, lambda h: next(iter(h.values())).update(dtype=[])), Malformed, "what no page has"),
    "a model that clears the screen": (lambda m: tell(m, fingerprint={**told(m)["fingerprint"], "tokenizer": "\x1b[2J"}), Malformed, "cannot be shown"),
    "a manifest beyond measure": (lambda m: os.truncate(m / "manifest.json", (1 << 24) + 1), TooLarge, "more than"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_what_it_says_is_refused(other: Cube, made: Path, name: str) -> None:
    change, kind, match = BAD[name]
    change(made)
    refused(other, made, kind, match)


@pytest.mark.parametrize("name", ["numbers of another text"])
def test_who_vouches_for_numbers_gets_them(other: Cube, made: Path, name: str) -> None:
    """What trusted= leaves out, and nothing else."""
    BAD[name][0](made)
    assert other.import_activation(made, user="ann", trusted=True).tokens


@pytest.mark.parametrize("most", [float("nan"), float("inf"), -1.0, "abc"])
@pytest.mark.parametrize("is_trusted", [False, True])
def test_what_a_codec_may_cost_is_a_number_of_nats(other: Cube, made: Path, most: Any, is_trusted: bool) -> None:
    refused(other, made, Invalid, "most_divergence is .* nats a token, 0 or more", most_divergence=most, trusted=is_trusted)


def test_a_folder_that_is_none_or_a_link_is_refused(other: Cube, made: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(made)
    refused(other, tmp_path / "link", Invalid, "or a link to one")
    refused(other, made / "manifest.json", Invalid, "no folder that can be read")
    refused(other, tmp_path / "nowhere", Missing, "There is no folder")


def test_files_beside_it_are_not_looked_at(other: Cube, made: Path) -> None:
    (made / "__init__.py").write_text("raise SystemExit")
    (made / "data.pkl").write_bytes(pickle.dumps(Evil(made.parent / MARK)))
    assert other.import_activation(made, user="ann").tokens and not (made.parent / MARK).exists()


def test_words_that_change_while_it_comes_in_are_noticed(other: Cube, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = HashEngine.decode

    def slow(self: HashEngine, *arguments: Any) -> Any:
        first = next(memory for memory in other.list(user="ann") if "live" in memory.text)
        if first.text == SAID[0]:
            other.update(first.id, "I live in Lisbon.")
        return right(self, *arguments)

    monkeypatch.setattr(HashEngine, "decode", slow)
    with pytest.raises(Conflict, match="changed meanwhile"):
        other.import_activation(made, user="ann")
    assert kept(other) == [] and other.activations(user="ann") == []


def test_an_erasure_while_it_comes_in_leaves_nothing(other: Cube, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = HashEngine.decode

    def slow(self: HashEngine, *arguments: Any) -> Any:
        if other.list(user="ann"):
            other.erase(user="ann")
        return right(self, *arguments)

    monkeypatch.setattr(HashEngine, "decode", slow)
    with pytest.raises(Missing):
        other.import_activation(made, user="ann")
    assert kept(other) == [] and other.verify().is_clean


def test_files_that_another_build_tidies_away_meanwhile_are_missed(other: Cube, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right, first = HashEngine.compare, next(memory.id for memory in other.list(user="ann") if "Something" in memory.text)

    def slow(self: HashEngine, *arguments: Any) -> Any:  # after the last page is written, before a row names one
        if not other.activations(user="ann"):
            other.activate([first], user="ann")
        return right(self, *arguments)

    monkeypatch.setattr(HashEngine, "compare", slow)
    with pytest.raises(Conflict, match="tidied up meanwhile"):
        other.import_activation(made, user="ann")
    assert [handle.memories for handle in other.activations(user="ann")] == [(first,)] and other.verify().let_go == ()
