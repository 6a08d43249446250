"""Activation memory of models behind llama.cpp, vLLM and SGLang (T-AC-14): scripted servers over real HTTP, as their documentation says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import BLOCK, KEY, LlamaCpp, PrefixCache, Scripted, number, read, spell

from loci import MemOS, Message
from loci.drivers import endpoint
from loci.drivers.endpoint import Endpoint
from loci.drivers.llamacpp import LlamaServer
from loci.drivers.prefix_server import PrefixServer
from loci.errors import Conflict, Corrupt, Denied, IncompatiblePayload, Invalid, Missing, TooLarge, Unavailable, Unsupported
from loci.memories import activation
from loci.operation.served import Served
from loci.ports.serving import Hits, Server
from loci.system import Cube
from loci.testing import ManualClock
from loci.types import Attached, Role
from loci.wire import server_at

SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "The harbour opens at nine.")
QUESTION = "Where does Ann live?"
KINDS = ("llamacpp", "vllm", "sglang")
Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PAUSE_SECONDS", 0.001)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The folder of the llama.cpp server's slot files."""
    (tmp_path / "slots").mkdir()
    return tmp_path / "slots"


@pytest.fixture
def start(shelf: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(kind: str, **options: Any) -> Scripted:
            made = LlamaCpp(**{"folder": shelf, **options}) if kind == "llamacpp" else PrefixCache(kind, **options)
            server = stack.enter_context(made)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield begin


@pytest.fixture
def door(open_vault: Callable[..., MemOS]) -> Callable[..., Cube]:
    """The cube as a process of its own would have it, with a server for its engine."""

    def opened(server: Scripted | None, **named: Any) -> Cube:
        return open_vault(engine=None if server is None else f"{server.url}/v1/", **named).cube("main")

    return opened


@pytest.fixture
def tell(clock: ManualClock) -> Callable[..., Cube]:
    def told(cube: Cube, user: str = "ann") -> Cube:
        for text in SAID:
            clock.advance(1)
            cube.add(Message("user", text, clock.now(), speaker="Ann"), user=user, session="s")
        return cube

    return told


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, start: Start) -> Scripted:
    found = start(request.param)
    assert isinstance(found, Scripted)
    return found


@pytest.fixture
def cube(server: Scripted, door: Callable[..., Cube], tell: Callable[..., Cube]) -> Cube:
    return tell(door(server))


@pytest.fixture
def llama(start: Start) -> LlamaCpp:
    found = start("llamacpp")
    assert isinstance(found, LlamaCpp)
    return found


@pytest.fixture
def slotted(llama: LlamaCpp, door: Callable[..., Cube], tell: Callable[..., Cube]) -> Cube:
    """A cube whose engine is llama.cpp's server on another machine: its folder is out of reach."""
    return tell(door(llama))


def ids(cube: Cube, user: str = "ann") -> list[str]:
    return [memory.id for memory in cube.list(user=user)]


def ask(cube: Cube, question: str = QUESTION, user: str = "ann") -> tuple[str, Attached]:
    found = cube.generate(question, user=user, max_tokens=4)
    return found.text(), found.attached


def completions(server: Scripted) -> list[Any]:
    return server.asked("/completion") if server.kind == "llamacpp" else server.asked("/v1/completions")


def right(server: Scripted) -> str:
    """What reading the last prompt from its first token would have had it answer."""
    return server.said(read(server.weights, 0, completions(server)[-1]["prompt"])[-1])


def files(folder: Path) -> list[str]:
    """Slot files that hold a token."""
    return sorted(path.name for path in folder.iterdir() if json.loads(path.read_bytes()) and path.name != "loci-probe.bin")


# -- warmed, kept, gone on from ------------------------------------------------------------------------------------------


def test_what_was_activated_is_not_read_again_and_the_answer_is_that_of_the_text(
    server: Scripted, cube: Cube, door: Callable[..., Cube]
) -> None:
    handle = cube.activate(ids(cube)[:3], user="ann")
    for asked in (cube, door(server)):
        text, attached = ask(asked)
        assert attached.handle == handle.id and text == right(server)
        assert attached.held_tokens >= handle.tokens - BLOCK and attached.held_tokens > attached.read_tokens
        assert attached.held_tokens + attached.read_tokens == len(completions(server)[-1]["prompt"])
        asked.close()  # which counts the use
    assert cube.activations(user="ann")[0].uses == 2 and cube.verify().is_clean
    assert door(None).activation(handle.id).remote.server == f"{server.kind} {server.url}"


def test_the_warm_up_is_exactly_how_the_next_prompt_begins(server: Scripted, cube: Cube) -> None:
    handle = cube.activate(ids(cube), user="ann")
    warmed = completions(server)[-1]
    for question in (QUESTION, "Ann?", "And where does Ben live?"):
        ask(cube, question)
        asked = completions(server)[-1]
        whole, head = spell(asked["prompt"]), spell(warmed["prompt"])
        assert asked["prompt"][: handle.tokens] == warmed["prompt"] and len(warmed["prompt"]) == handle.tokens
        assert whole.encode().startswith(head.encode()) and head.startswith("<|user|>\n") and all(text in head for text in SAID)
        assert whole.endswith(f"{question}<|end|>\n<|assistant|>\n")
    assert warmed.get("n_predict", 0) == 0 and warmed.get("max_tokens", 1) == 1


def test_a_question_that_merges_with_what_stands_before_it_is_cut_there(slotted: Cube, llama: LlamaCpp) -> None:
    handle = slotted.activate(ids(slotted), user="ann")
    text, attached = ask(slotted, "\n\nWhere does Ann live?")
    assert (attached.handle, attached.held_tokens) == (handle.id, handle.tokens - 1) and text == right(llama)


def test_a_conversation_goes_on_from_it(server: Scripted, cube: Cube) -> None:
    handle = cube.activate(ids(cube), user="ann")
    turns = [Message("user", "Who is Ben?"), Message("assistant", "Her brother."), Message("user", QUESTION)]
    found = cube.generate(turns, user="ann", max_tokens=4, temperature=0.5, seed=7)
    assert found.attached.handle == handle.id and found.text() == right(server)
    asked = completions(server)[-1]
    assert (asked["temperature"], asked["seed"], asked.get("n_predict", asked.get("max_tokens"))) == (0.5, 7, 4)
    assert "<|assistant|>\nHer brother.<|end|>" in spell(asked["prompt"])


def test_without_an_activation_the_text_is_read(server: Scripted, cube: Cube) -> None:
    text, attached = ask(cube)
    assert text == right(server) and (attached.handle, attached.held_tokens) == (None, 0) and "no activation memory" in attached.reason
    assert attached.read_tokens == len(completions(server)[-1]["prompt"])


def test_what_was_forgotten_since_the_search_is_no_beginning(server: Scripted, cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, recall = ids(cube)[0], Cube._recall
    cube.activate(ids(cube)[:3], user="ann")

    def late(self: Cube, *given: Any, **named: Any) -> Any:
        found = recall(self, *given, **named)
        cube.forget(gone)
        return found

    monkeypatch.setattr(Cube, "_recall", late)
    text, attached = ask(cube)
    assert attached.handle is None and gone in attached.reason and text == right(server)


def test_a_server_that_does_not_tell_is_not_believed_to_hold_anything(
    door: Callable[..., Cube], tell: Callable[..., Cube], start: Start
) -> None:
    for kind, flag in (("vllm", "--enable-prompt-tokens-details"), ("sglang", "--enable-cache-report")):
        server = start(kind)
        cube = tell(door(server), kind)
        cube.activate(ids(cube, kind), user=kind)
        server.tells = False
        text, attached = ask(cube, user=kind)
        assert text == right(server) and (attached.handle, attached.held_tokens) == (None, 0) and flag in attached.reason


# -- users share nothing -------------------------------------------------------------------------------------------------


def test_two_users_with_the_same_words_share_nothing(server: Scripted, cube: Cube, tell: Callable[..., Cube], shelf: Path) -> None:
    cube.activate(ids(cube), user="ann")
    ask(cube)
    tell(cube, "bob")
    first = ask(cube, user="bob")[1]
    assert (first.handle, first.held_tokens) == (None, 0) and first.read_tokens > 50
    handle = cube.activate(ids(cube, "bob"), user="bob")
    assert ask(cube, user="bob")[1].handle == handle.id
    salts = {body["cache_salt"] for body in server.asked("/v1/completions")}
    if server.kind == "llamacpp":
        assert len(files(shelf)) == 2 and all(name.startswith("loci-") and len(name) == 41 for name in files(shelf))
    else:
        assert len(salts) == 2 and all(len(salt) == 64 for salt in salts) and not any("ann" in salt or "bob" in salt for salt in salts)


def test_what_somebody_else_left_in_a_slot_is_not_reused(slotted: Cube, llama: LlamaCpp) -> None:
    _, plain = ask(slotted)
    assert ask(slotted)[1] == plain, "the same question again finds nothing in the slot"
    llama.wrong = {"reuses"}
    with pytest.raises(Unsupported, match="reuse nothing"):
        ask(slotted)


def test_two_cubes_of_a_vault_have_two_salts(start: Start, open_vault: Callable[..., MemOS], tell: Callable[..., Cube]) -> None:
    server = start("vllm")
    memory = open_vault(engine=server.url)
    for name in ("one", "two"):
        cube = tell(memory.cube(name))
        cube.activate(ids(cube), user="ann")
    cube.branch("three")
    memory.cube("three").activate(ids(cube), user="ann")
    assert len({body["cache_salt"] for body in completions(server)}) == 3


def test_a_grant_reaches_no_further(server: Scripted, cube: Cube, open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault(engine=server.url)
    handle = memory.cube("main").activate(ids(cube), user="ann")
    memory.grant("reader", Role.READER, cube="main", user="bob")
    reader = memory.acting("reader").cube("main")
    before = len(server.seen)
    for attempt in (
        lambda: reader.activate(ids(cube), user="bob"), lambda: reader.generate(QUESTION, user="ann"), lambda: reader.deactivate(handle.id),
        lambda: reader.activation(handle.id),
    ):  # fmt: skip
        with pytest.raises((Denied, Missing)):
            attempt()
    for refused in (reader.server, lambda: reader.write_off("loci-any.bin")):
        with pytest.raises(Denied):
            refused()
    assert len(server.seen) == before


# -- a slot file that does not fit is refused before it is restored ------------------------------------------------------


def _other_address(server: LlamaCpp, start: Start) -> LlamaCpp:
    moved = start("llamacpp", weights=server.weights)
    assert isinstance(moved, LlamaCpp)
    return moved


MISFITS: dict[str, tuple[Callable[[LlamaCpp], object], str]] = {
    "another file of weights": (lambda server: setattr(server, "name", "models/other.gguf"), "model"),
    "weights of another size": (lambda server: setattr(server, "params", 2000), "model"),
    "another vocabulary": (lambda server: setattr(server, "vocabulary", 64000), "tokenizer"),
    "another context": (lambda server: setattr(server, "context", 2048), "context"),
    "another type of cache": (lambda server: setattr(server, "token_bytes", 272), "dtype"),
    "another build": (lambda server: setattr(server, "build", "b9002-fedcba"), "attention"),
    "another template": (lambda server: setattr(server, "template", "<|{role}|>\n{content}<|end|>\n\n"), "template"),
    "an adapter": (lambda server: setattr(server, "adapters", [{"id": 0, "path": "style.gguf", "scale": 1.0}]), "adapters"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_slot_that_does_not_fit_is_refused_before_it_is_restored(
    slotted: Cube, llama: LlamaCpp, door: Callable[..., Cube], name: str
) -> None:
    handle = slotted.activate(ids(slotted), user="ann")
    change, field = MISFITS[name]
    change(llama)
    fresh, before = door(llama), len(llama.seen)
    text, attached = ask(fresh)
    assert text == right(llama) and attached.handle is None and f"with {field} " in attached.reason
    assert not [path for path, _ in llama.seen[before:] if "action=restore" in path]
    assert [h.id for h in fresh.activations(user="ann")] == [handle.id], "it may fit again"


def test_a_slot_at_another_address_is_refused(slotted: Cube, llama: LlamaCpp, start: Start, door: Callable[..., Cube]) -> None:
    slotted.activate(ids(slotted), user="ann")
    moved = _other_address(llama, start)
    text, attached = ask(door(moved))
    assert text == right(moved) and attached.handle is None and f"the server at hand is llamacpp {moved.url}" in attached.reason


def test_other_weights_under_the_same_name_are_seen_where_the_file_is_here(
    llama: LlamaCpp, door: Callable[..., Cube], tell: Callable[..., Cube], shelf: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "tiny.gguf"
    weights.write_bytes(bytes(3 << 20))
    llama.name = str(weights)
    cube = tell(door(llama, slot_folder=str(shelf)))
    cube.activate(ids(cube), user="ann")
    assert ask(cube)[1].handle
    with weights.open("r+b") as file:
        file.write(b"other")
    llama.weights = 2
    text, attached = ask(door(llama, slot_folder=str(shelf)))
    assert text == right(llama) and attached.handle is None and "with model " in attached.reason


def test_what_the_manifest_compares_is_all_that_the_server_tells(llama: LlamaCpp) -> None:
    before = LlamaServer(Endpoint(llama.url)).fingerprint()
    assert (before.dtype, before.context, before.adapters) == ("512 bytes a token", 4096, ())
    with pytest.raises(IncompatiblePayload) as refused:
        activation.check_fit(replace(before, context=8192), before)
    assert refused.value.field == "context"


# -- what a restored slot is worth is what the server then reads ---------------------------------------------------------


@pytest.mark.parametrize("fault", ["forgets", "skips"])
def test_a_wrong_count_drops_the_slot_and_reads_the_text(slotted: Cube, llama: LlamaCpp, shelf: Path, fault: str) -> None:
    handle = slotted.activate(ids(slotted), user="ann")
    assert len(files(shelf)) == 1
    llama.wrong = {fault}
    text, attached = ask(slotted)
    assert text == right(llama), "an answer from a slot that is not what it should be is not given"
    assert attached.handle is None and "was dropped, and the text was read" in attached.reason and attached.held_tokens == 0
    assert slotted.activations(user="ann") == [] and files(shelf) == []
    record = slotted.log(verb="deactivate")[-1]
    assert (record.object, record.principal) == (handle.id, "activation")


@pytest.mark.parametrize("damage", ["gone", "other tokens", "longer"])
def test_a_damaged_slot_file_is_dropped(slotted: Cube, llama: LlamaCpp, shelf: Path, damage: str) -> None:
    slotted.activate(ids(slotted), user="ann")
    path = shelf / files(shelf)[0]
    if damage == "gone":
        path.unlink()
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b" " * 512)
    else:
        held = json.loads(path.read_bytes())
        held[20][0] += 1
        path.write_bytes(json.dumps(held).encode().ljust(path.stat().st_size))
    text, attached = ask(slotted)
    assert text == right(llama) and attached.handle is None and "was dropped" in attached.reason and files(shelf) == []


def test_a_slot_file_of_other_tokens_is_not_gone_on_from(slotted: Cube, llama: LlamaCpp, tell: Callable[..., Cube], shelf: Path) -> None:
    """Somebody gives one user's file another's name: the server compares tokens, and what it then reads gives it away."""
    slotted.add(Message("user", "My secret is seventeen.", speaker="Bob"), user="bob", session="b")
    slotted.activate(ids(slotted), user="ann")
    ann = files(shelf)
    slotted.activate(ids(slotted, "bob"), user="bob")
    bob = next(name for name in files(shelf) if name not in ann)
    (shelf / bob).write_bytes((shelf / ann[0]).read_bytes())
    text, attached = ask(slotted, "What is my secret?", user="bob")
    assert text == right(llama) and attached.handle is None and "was dropped" in attached.reason


@pytest.mark.parametrize(("fault", "told"), [("whole", "context is too short"), ("cache_n", "contradicts itself")])
def test_a_server_that_contradicts_itself_is_refused(slotted: Cube, llama: LlamaCpp, fault: str, told: str) -> None:
    llama.wrong = {fault}
    with pytest.raises(Unsupported, match=told):
        ask(slotted)


def test_a_slot_that_saves_other_than_was_read_is_not_kept(slotted: Cube, llama: LlamaCpp, shelf: Path) -> None:
    ask(slotted)
    llama.wrong = {"saves less"}
    with pytest.raises(Unsupported, match="cannot be trusted"):
        slotted.activate(ids(slotted), user="ann")
    assert slotted.activations(user="ann") == []


# -- servers that are lost, or not what they say -------------------------------------------------------------------------


def test_a_lost_server_is_unavailable_and_what_was_lent_stays_written_down(server: Scripted, cube: Cube) -> None:
    handle = cube.activate(ids(cube), user="ann")
    server.shutdown()
    server.server_close()
    for attempt in (lambda: ask(cube), lambda: cube.activate(ids(cube)[:1], user="ann"), cube.server):
        with pytest.raises(Unavailable, match="Is it running"):
            attempt()
    assert [h.id for h in cube.activations(user="ann")] == [handle.id]
    if server.kind == "llamacpp":
        left = cube.deactivate(handle.id)
        assert left and all("Is it running" in told for told in left) and not cube.verify().is_clean


def test_a_server_that_is_none_that_is_known_is_refused(start: Start) -> None:
    server = start("vllm")
    server.wrong = {"owner"}
    with pytest.raises(Unsupported, match="says that it is 'somebody'"):
        server_at(Endpoint(server.url))
    with pytest.raises(Unsupported, match="404"):
        server_at(Endpoint(f"{server.url}/elsewhere"))
    server = start("llamacpp")
    server.wrong = {"props"}
    with pytest.raises(Unsupported, match="nothing of 'model_path'"):
        server_at(Endpoint(server.url))


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
@pytest.mark.parametrize(("fault", "told"), [("version", "404"), ("old", "upgrade it"), ("whole", "changes prompts")])
def test_a_server_that_is_not_what_it_says_is_refused(
    start: Start, door: Callable[..., Cube], tell: Callable[..., Cube], kind: str, fault: str, told: str
) -> None:
    server = start(kind)
    server.wrong = {fault}
    cube = tell(door(server))
    with pytest.raises((Unsupported, Invalid), match=told):
        cube.activate(ids(cube), user="ann")
    assert cube.activations(user="ann") == []


def test_a_template_that_leaves_no_beginning_is_refused(server: Scripted, cube: Cube) -> None:
    server.wrong = {"template"}
    with pytest.raises(Unsupported, match="does not put what stands first"):
        cube.activate(ids(cube), user="ann")


def test_a_llama_server_without_slot_files_answers_and_keeps_nothing(
    start: Start, door: Callable[..., Cube], tell: Callable[..., Cube]
) -> None:
    server = start("llamacpp", folder=None)
    cube = tell(door(server))
    with pytest.raises(Unsupported, match="slot-save-path"):
        cube.activate(ids(cube), user="ann")
    text, attached = ask(cube)
    assert text == right(server) and attached.handle is None and cube.activations(user="ann") == []


def test_a_prompt_that_is_too_long_is_cut_down_or_refused_by_who_knows(slotted: Cube, llama: LlamaCpp, door: Callable[..., Cube]) -> None:
    text, attached = ask(slotted)
    llama.context = context = attached.read_tokens - 1
    with pytest.raises(Invalid, match="exceeds the available context"):
        ask(slotted)  # which asked the server how much it reads before that changed
    cube = door(llama)
    text, attached = ask(cube)
    assert text == right(llama) and attached.handle is None and attached.read_tokens + 4 <= context
    assert f"what this model reads ({context} tokens" in attached.reason
    llama.context = 20
    with pytest.raises(Invalid, match="more than"):
        cube.activate(ids(cube), user="ann")


def test_codecs_are_not_the_servers(server: Scripted, cube: Cube) -> None:
    with pytest.raises(Invalid, match="must be raw"):
        cube.activate(ids(cube), user="ann", codec="int8")


# -- keys ----------------------------------------------------------------------------------------------------------------


def test_a_key_goes_along_and_follows_no_redirect(
    server: Scripted, start: Start, door: Callable[..., Cube], tell: Callable[..., Cube], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.wants_key = True
    monkeypatch.setenv("OPENAI_API_KEY", "of-somebody-else")
    with pytest.raises(Denied, match="Check the key"):
        ask(tell(door(server)))
    monkeypatch.setenv("SERVER_KEY", KEY)
    cube = door(server, engine_key_variable="SERVER_KEY")
    assert ask(cube)[0] == right(server)
    assert server.keys == {None, f"Bearer {KEY}"}, "the key of another endpoint is not sent to this one"
    other = start(server.kind)
    server.elsewhere = other.url + "/v1/models"
    with pytest.raises(Invalid, match="302"):
        ask(cube)
    assert not other.seen and not other.keys
    assert KEY not in repr(Endpoint(server.url, KEY))


# -- it dies with its words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_here", [True, False])
def test_erasing_leaves_no_slot_file(
    llama: LlamaCpp, door: Callable[..., Cube], tell: Callable[..., Cube], shelf: Path, is_here: bool
) -> None:
    cube = tell(door(llama, slot_folder=str(shelf) if is_here else ""))
    many = ids(cube)
    kept, gone = cube.activate(many[:2], user="ann"), cube.activate(many, user="ann")
    assert len(files(shelf)) == 2 and ask(cube, "When does the harbour open?")[1].handle == gone.id
    receipt = cube.erase(many[3])
    assert receipt.removed["activations"] == 1 and receipt.left == ()
    assert [h.id for h in cube.activations(user="ann")] == [kept.id] and len(files(shelf)) == 1
    assert len([path for path in shelf.iterdir() if path.name != "loci-probe.bin"]) == (1 if is_here else 2)
    harbour = number(" harbour")[0]
    assert not any(f"[{harbour}," in path.read_text() for path in shelf.iterdir())
    assert not any(token == harbour for slot in llama.contents for token, _ in slot)
    assert cube.erase(user="ann").left == () and files(shelf) == [] and cube.verify().is_clean


def test_erasing_resets_a_prefix_cache_or_says_that_it_could_not(
    start: Start, door: Callable[..., Cube], tell: Callable[..., Cube]
) -> None:
    for kind in ("vllm", "sglang"):
        server = start(kind)
        cube = tell(door(server), kind)
        cube.activate(ids(cube, kind), user=kind)
        cube.activate(ids(cube, kind)[:1], user=kind)
        assert server.blocks and cube.erase(ids(cube, kind)[3]).left == () and not server.blocks
        if kind == "vllm":
            assert [path for path, _ in server.seen if path.startswith("/reset")] == ["/reset_prefix_cache?reset_external=true"]
        cube.activate(ids(cube, kind), user=kind)
        server.resets = False
        (told,) = cube.erase(ids(cube, kind)[2]).left
        assert told.startswith(f"{kind} {server.url} may still hold") and "restart it" in told and not cube.verify().is_clean
        server.resets, server.wrong = True, {"busy"} if kind == "vllm" else set()
        assert cube.verify().is_clean == (kind == "sglang")
        server.wrong = set()
        assert cube.verify().is_clean and not server.blocks


def test_letting_go_of_a_prefix_leaves_the_cache_of_others_alone(
    start: Start, door: Callable[..., Cube], tell: Callable[..., Cube]
) -> None:
    server = start("sglang")
    cube = tell(door(server))
    handle = cube.activate(ids(cube), user="ann")
    cube.activate(ids(cube)[:3], user="ann", id=handle.id)
    assert cube.deactivate(handle.id) == () and server.blocks and not server.asked("/flush_cache") and cube.verify().is_clean


def test_what_nobody_could_delete_is_said_and_is_deleted_when_somebody_can(
    slotted: Cube, llama: LlamaCpp, door: Callable[..., Cube], shelf: Path
) -> None:
    slotted.activate(ids(slotted), user="ann")
    blind = door(None)
    (told,) = blind.erase(ids(blind)[0]).left
    assert f"llamacpp {llama.url} may still hold what it read, as {files(shelf)[0]}" in told and "not the server at hand" in told
    report = blind.verify()
    assert not report.is_clean and [fault.what for fault in report.faults] == [told]
    with pytest.raises(Missing):
        door(llama).erase("M9999")
    assert files(shelf) == [] and blind.verify().is_clean


def test_a_slot_folder_alone_is_enough_to_delete(slotted: Cube, door: Callable[..., Cube], shelf: Path) -> None:
    slotted.activate(ids(slotted), user="ann")
    assert door(None, slot_folder=str(shelf)).erase(ids(slotted)[0]).left == () and files(shelf) == []


def test_a_file_that_was_destroyed_here_needs_no_server_for_it(
    llama: LlamaCpp, door: Callable[..., Cube], tell: Callable[..., Cube], shelf: Path
) -> None:
    cube = tell(door(llama, slot_folder=str(shelf)))
    for many in (ids(cube), ids(cube)[:2]):
        cube.activate(many, user="ann")
    llama.shutdown()
    llama.server_close()
    assert cube.erase(user="ann").left == () and files(shelf) == [] and cube.verify().is_clean


def test_letting_go_or_activating_anew_leaves_no_slot_file(slotted: Cube, shelf: Path) -> None:
    handle = slotted.activate(ids(slotted), user="ann")
    first = files(shelf)
    again = slotted.activate(ids(slotted)[:2], user="ann", id=handle.id)
    assert again.version == 2 and len(files(shelf)) == 1 and files(shelf) != first
    assert slotted.deactivate(handle.id) == () and files(shelf) == []
    with pytest.raises(Missing):
        slotted.activation(handle.id)


def test_the_same_is_read_again_and_kept_once(server: Scripted, cube: Cube, door: Callable[..., Cube]) -> None:
    """What a server still holds nobody can tell: who asks for it wants it warm."""
    first = cube.activate(ids(cube), user="ann")
    asked = len(completions(server))
    again = door(server).activate(ids(cube), user="ann")
    assert (again.id, again.version, again.is_reused) == (first.id, 2, False) and len(completions(server)) > asked
    assert [handle.id for handle in cube.activations(user="ann")] == [first.id] and len(cube.server().lent) == 1
    assert ask(cube)[1].handle == first.id and cube.verify().is_clean


def test_a_change_while_the_server_reads_keeps_nothing(
    slotted: Cube, llama: LlamaCpp, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, right_act = ids(slotted), LlamaCpp._act

    def slow(self: LlamaCpp, slot: int, action: str, body: Any) -> tuple[int, Any]:
        if action == "save" and body["filename"] != "loci-probe.bin" and SAID[0] in [m.text for m in slotted.list(user="ann")]:
            slotted.update(many[0], "I live in Lisbon.")
        return right_act(self, slot, action, body)

    monkeypatch.setattr(LlamaCpp, "_act", slow)
    with pytest.raises(Conflict, match="changed meanwhile"):
        slotted.activate(many, user="ann")
    assert slotted.activations(user="ann") == [] and files(shelf) == []


def test_an_erasure_while_the_server_reads_leaves_nothing(slotted: Cube, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By somebody else, once the server has written the file, and before a row names it."""
    many, right_warmed, written = ids(slotted), Served._warmed, []

    def slow(self: Served, *arguments: Any) -> Any:
        done = right_warmed(self, *arguments)
        written.extend(files(shelf))
        slotted.erase(many[0])
        return done

    monkeypatch.setattr(Served, "_warmed", slow)
    with pytest.raises(Missing):
        slotted.activate(many, user="ann")
    many = ids(slotted)
    with pytest.raises(Conflict, match="taken away meanwhile"):  # by an erasure of something else
        slotted.activate(many[1:], user="ann")
    assert len(written) == 2 and slotted.activations(user="ann") == [] and files(shelf) == [] and slotted.verify().is_clean


def test_who_activates_meanwhile_takes_nothing_away(slotted: Cube, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many, right_warmed = ids(slotted), Served._warmed

    def slow(self: Served, *arguments: Any) -> Any:
        done = right_warmed(self, *arguments)
        monkeypatch.setattr(Served, "_warmed", right_warmed)
        slotted.deactivate(slotted.activate(many[:1], user="ann").id)
        assert slotted.verify().is_clean
        return done

    monkeypatch.setattr(Served, "_warmed", slow)
    handle = slotted.activate(many, user="ann")
    assert ask(slotted)[1].handle == handle.id and len(files(shelf)) == 1


def test_what_changed_is_not_used(server: Scripted, cube: Cube) -> None:
    cube.activate(ids(cube), user="ann")
    cube.update(ids(cube)[0], "I live in Lisbon.")
    text, attached = ask(cube)
    assert text == right(server) and attached.handle is None and "read otherwise" in attached.reason


def test_what_is_named_is_gone_on_from_and_nothing_is_moved(server: Scripted, cube: Cube) -> None:
    one, two = (cube.activate(some, user="ann") for some in (ids(cube)[:2], ids(cube)[2:]))
    for chosen in ([one.id], [two.id], [two.id, one.id]):
        found = cube.generate(QUESTION, user="ann", max_tokens=4, activations=chosen)
        assert found.text() == right(server) and found.attached.handle in chosen and not found.attached.is_approximate
    for mode in ("block", "blend"):
        found = cube.generate(QUESTION, user="ann", max_tokens=4, activations=[one.id, two.id], compose=mode)
        prompt = spell(completions(server)[-1]["prompt"])
        assert found.text() == right(server) and found.attached.handle is None and not found.attached.is_approximate
        assert "puts no states behind one another" in found.attached.reason
        assert prompt.count("<memory") == 1 and all(prompt.count(text) == 1 for text in SAID)
    cube.update(ids(cube)[0], "I live in Lisbon.")
    found = cube.generate(QUESTION, user="ann", max_tokens=4, activations=[one.id])
    assert found.text() == right(server) and found.attached.handle is None and "read otherwise" in found.attached.reason


def test_what_a_server_keeps_is_not_carried(server: Scripted, cube: Cube, tmp_path: Path) -> None:
    handle = cube.activate(ids(cube), user="ann")
    for attempt in (
        lambda: cube.export_activation(handle.id, tmp_path / "bundle"), lambda: cube.import_activation(tmp_path, user="ann"),
        lambda: cube.prepare(QUESTION, user="ann"),
    ):  # fmt: skip
        with pytest.raises(Unsupported, match="its form and its memory are its own"):
            attempt()
    assert not (tmp_path / "bundle").exists()


# -- room, care, other engines -------------------------------------------------------------------------------------------


def test_slot_files_used_longest_ago_go_first(
    llama: LlamaCpp, door: Callable[..., Cube], tell: Callable[..., Cube], shelf: Path, clock: ManualClock
) -> None:
    cube = tell(door(llama))
    size = cube.activate(ids(cube)[:1], user="ann").bytes
    cube = door(llama, kv_disk_bytes=size * 5 // 2)
    (first,) = cube.activations(user="ann")
    clock.advance(1)
    second = cube.activate(ids(cube)[1:2], user="ann")
    clock.advance(1)
    assert ask(cube, "Where do I live?")[1].handle == first.id
    clock.advance(1)
    third = cube.activate(ids(cube)[3:], user="ann")
    assert {h.id for h in cube.activations(user="ann")} == {first.id, third.id} and second.id not in {
        h.id for h in cube.activations(user="ann")
    }
    assert len(files(shelf)) == 2 and sum((shelf / name).stat().st_size for name in files(shelf)) <= size * 5 // 2
    with pytest.raises(TooLarge, match="kv_disk_bytes"):
        door(llama, kv_disk_bytes=size // 2).activate(ids(cube)[2:3], user="ann")
    assert len(files(shelf)) == 2


def test_verify_looks_at_every_byte_of_a_slot_file_that_is_here(
    llama: LlamaCpp, door: Callable[..., Cube], tell: Callable[..., Cube], shelf: Path
) -> None:
    cube = tell(door(llama, slot_folder=str(shelf)))
    handle = cube.activate(ids(cube), user="ann")
    path = shelf / files(shelf)[0]
    whole = path.read_bytes()
    assert cube.verify().is_clean
    for damaged, told in ((whole[:-1], "were written"), (whole[:-1] + b"\n", "not as it was written")):
        path.write_bytes(damaged)
        (fault,) = cube.verify().faults
        assert fault.where == f"activation {handle.id}" and path.name in fault.what and told in fault.what
    path.write_bytes(whole)
    assert cube.verify().is_clean and ask(cube)[1].handle == handle.id


def test_a_slot_folder_that_is_another_is_noticed(
    slotted: Cube, llama: LlamaCpp, door: Callable[..., Cube], shelf: Path, tmp_path: Path
) -> None:
    with pytest.raises(Unsupported, match="check the setting slot_folder"):
        door(llama, slot_folder=str(tmp_path)).activate(ids(slotted), user="ann")
    assert files(shelf) == []
    with pytest.raises(Invalid, match="there is no folder"):
        door(llama, slot_folder=str(tmp_path / "nowhere"))


def test_the_server_is_told_of(server: Scripted, cube: Cube) -> None:
    handle = cube.activate(ids(cube), user="ann")
    before = cube.server()
    assert (before.kind, before.url, before.context, len(before.lent)) == (server.kind, server.url, 4096, 1)
    ask(cube)
    hits = cube.server().hits
    if server.kind == "llamacpp":
        assert hits is None and before.lent[0].bytes == handle.bytes > 0
    else:
        assert isinstance(hits, Hits) and 0 < handle.tokens - BLOCK <= hits.cached_tokens < hits.tokens


def test_an_encrypted_cube_keeps_no_slot_file(
    llama: LlamaCpp, open_vault: Callable[..., MemOS], tell: Callable[..., Cube], tmp_path: Path, shelf: Path
) -> None:
    (tmp_path / "key").write_bytes(bytes(range(32)))
    memory = open_vault(engine=llama.url)
    cube = tell(memory.cube("main"))
    handle = cube.activate(ids(cube), user="ann")
    memory.close()
    memory = open_vault(engine=llama.url, key_file=str(tmp_path / "key"))
    with pytest.raises(Conflict, match="Let go of it first"):
        memory.encrypt("main")
    memory.cube("main").deactivate(handle.id)
    memory.encrypt("main")
    with pytest.raises(Unsupported, match="would not be"):
        memory.cube("main").activate(ids(memory.cube("main")), user="ann")
    assert files(shelf) == []


def test_a_branch_has_lent_nothing(slotted: Cube, shelf: Path) -> None:
    slotted.activate(ids(slotted), user="ann")
    branch = slotted.branch("what-if")
    assert branch.activations(user="ann") == [] and branch.verify().is_clean
    branch.erase(user="ann")
    assert len(files(shelf)) == 1 and ask(slotted)[1].handle


def test_both_drivers_are_servers(start: Start) -> None:
    llama, vllm = server_at(Endpoint(start("llamacpp").url)), server_at(Endpoint(start("vllm").url))
    assert isinstance(llama, LlamaServer) and isinstance(vllm, PrefixServer) and isinstance(llama, Server) and isinstance(vllm, Server)
    assert llama.warm([1, 2, 3], "salt").tokens == vllm.warm([1, 2, 3], "salt").tokens == 3
    with pytest.raises(Corrupt, match="cannot restore"):
        llama.restore("nothing.bin")


def test_the_command_line_names_a_server_as_it_names_a_model(llama: LlamaCpp, tmp_path: Path, shelf: Path) -> None:
    def loci(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LOCI_EMBEDDER": "none", "LOCI_ENGINE": llama.url, "COLUMNS": ""}
        command = [sys.executable, "-m", "loci", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == code, done.stderr
        return done

    loci("add", "I live in Oslo.", "--user", "ann")
    made = json.loads(loci("activate", "--about", "Where do I live?", "--user", "ann", "--engine", f"{llama.url}/", "--json").stdout)
    assert made["codec"] == "slot" and made["bytes"] > 0
    told = loci("generate", "Where do I live?", "--user", "ann")
    assert (
        told.stdout.strip() == right(llama) and f"were held by {made['id']}" in told.stderr and "restored from a slot file" in told.stderr
    )
    assert "slot" in loci("kv", "list", "--user", "ann").stdout and f"llamacpp {llama.url}" in loci("kv", "inspect", made["id"]).stdout
    assert (
        json.loads(loci("kv", "server", "--json").stdout)["lent"][0]["bytes"] == made["bytes"]
        and "tiny.gguf" in loci("kv", "server").stdout
    )
    llama.shutdown()
    llama.server_close()
    memory = json.loads(loci("list", "--json").stdout)[0]["id"]
    (name,) = files(shelf)
    gone = loci("erase", memory, "--yes")
    assert "warning:" in gone.stderr and f"llamacpp {llama.url} may still hold what it read, as {name}" in gone.stderr
    assert "may still hold" in loci("verify", "--json", code=7).stdout
    for file in shelf.iterdir():
        file.unlink()
    assert "may still hold" in loci("kv", "verify", code=7).stdout, "that somebody has deleted it by hand is not to be seen from here"
    loci("kv", "write-off", "loci-other.bin", code=Missing.exit_code)
    loci("kv", "write-off", name, "--reason", "its disk was wiped")
    loci("verify")
    assert json.loads(loci("log", "--verb", "write_off", "--json").stdout)[0]["object"] == name


def test_a_budget_takes_a_model_that_runs_here(cube: Cube, server: Scripted) -> None:
    before = len(completions(server))
    for attempt in (
        lambda: cube.activate(ids(cube), user="ann", budget=64), lambda: cube.profile(ids(cube), user="ann"),
        lambda: cube.generate(QUESTION, user="ann", approximate=True),
    ):  # fmt: skip
        with pytest.raises(Unsupported, match="takes a model that runs here"):
            attempt()
    assert len(completions(server)) == before and cube.activations(user="ann") == []


def test_a_server_keeps_what_it_likes(cube: Cube, server: Scripted) -> None:
    with pytest.raises(Unsupported, match="leave out keep"):
        cube.generate(QUESTION, user="ann", keep=True)
    assert cube.generate(QUESTION, user="ann", max_tokens=2).text()
