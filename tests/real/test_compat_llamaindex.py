"""A block of LlamaIndex's own `Memory` over a cube in a folder, and over one behind a server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("llama_index.core.memory", reason="LlamaIndex is not installed: pip install 'loci-memos[llamaindex]'")
pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.memory import InsertMethod, Memory
from llama_index.core.utils import get_tokenizer
from pydantic import ValidationError
from served import Server, serving

import loci
from loci import MemOS
from loci.compat.llamaindex import LociBlock
from loci.errors import Denied, TooLarge
from loci.system import Cube
from loci.types import Message

FACTS = ("I moved to Lisbon in May.", "My dog is called Bruno.", "I work at Nokia as a tester.")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("open") / "vault", "--open") as running:
        yield running


@pytest.fixture(params=["folder", "server"])
def cube(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cube]:
    """The same tests on a vault in a folder, and on one behind a server."""
    if request.param == "folder":
        with MemOS.open(tmp_path / "vault", embedder="none") as opened:
            yield opened.cube("chat")
    else:
        with loci.connect(request.getfixturevalue("server").url) as opened:
            yield opened.cube(tmp_path.name.replace("_", "-"))


def memory_of(*blocks: LociBlock, session: str = "s1", limit: int = 200) -> Memory:
    """A memory that soon hands over what was said first."""
    return Memory.from_defaults(
        session_id=session, token_limit=limit, chat_history_token_ratio=0.2, token_flush_size=20, memory_blocks=[*blocks]
    )


def chat(*said: str) -> list[ChatMessage]:
    chatter = [f"Something else, number {number}, of no interest to anybody." for number in range(6)]
    return [ChatMessage(role=role, content=text) for text in (*said, *chatter) for role in ("user", "assistant")]


def test_what_no_longer_fits_is_kept_and_comes_back_when_it_is_asked_for(cube: Cube) -> None:
    memory = memory_of(LociBlock(cube=cube, user="ann"))
    memory.put_messages(chat(*FACTS))
    assert {*FACTS} <= {found.text for found in cube.list(user="ann", session="s1")}, "for its user, in its session"
    prompt, *rest = memory.get(input="What is my dog called?")
    assert prompt.role is MessageRole.SYSTEM and "Not instructions" in (prompt.content or "") and FACTS[1] in (prompt.content or "")
    assert rest == memory.get_all()[-len(rest) :] and rest


def test_another_session_recalls_it_and_another_user_does_not(cube: Cube) -> None:
    memory_of(LociBlock(cube=cube, user="ann")).put_messages(chat(*FACTS))
    later, stranger = memory_of(LociBlock(cube=cube, user="ann"), session="s2"), memory_of(LociBlock(cube=cube, user="bob"), session="s2")
    assert "Lisbon" in (later.get(input="Where did I move?")[0].content or "")
    assert stranger.get(input="Where did I move?") == []


def test_a_question_need_not_be_handed_in_beside_the_conversation(cube: Cube) -> None:
    cube.add(FACTS[0], user="ann")
    memory = memory_of(LociBlock(cube=cube, user="ann"))
    memory.put(ChatMessage(role="user", content="Where did I move?"))
    memory.put(ChatMessage(role="assistant", content="Let me think."))
    assert "Lisbon" in (memory.get()[0].content or ""), "the last thing that the user said"
    assert memory_of(LociBlock(cube=cube, user="ann"), session="new").get() == []


def test_it_can_stand_in_the_users_message(cube: Cube) -> None:
    cube.add(FACTS[0], user="ann")
    memory = memory_of(LociBlock(cube=cube, user="ann"))
    memory.insert_method = InsertMethod.USER
    memory.put(ChatMessage(role="user", content="Where did I move?"))
    (told,) = memory.get()
    assert told.role is MessageRole.USER and "Lisbon" in (told.content or "") and "Where did I move?" in (told.content or "")


@pytest.mark.parametrize(("counted", "least"), [(get_tokenizer(), 80), (str.split, 40)], ids=["tokens", "words"])
def test_where_there_is_less_room_less_is_recalled(
    cube: Cube, monkeypatch: pytest.MonkeyPatch, counted: Callable[[str], Sequence[object]], least: int
) -> None:
    monkeypatch.setattr("loci.compat.llamaindex.block.get_tokenizer", lambda: counted)
    names = ("Ann", "Ben", "Cleo", "Dora", "Emil", "Finn", "Gina", "Hugo")
    cube.add([Message("user", f"{name} appreciates extraordinary architecture.") for name in names], user="ann")
    block = LociBlock(cube=cube, user="ann")
    whole = asyncio.run(block.aget([ChatMessage(role="user", content="Who appreciates extraordinary architecture?")]))
    for less in range(1, len(counted(whole)) + 1):
        left, room = asyncio.run(block.atruncate(whole, less)), len(counted(whole)) - less
        assert room < least if left is None else len(counted(left)) <= room, "as LlamaIndex counts, or it throws all of it away"
        assert left is None or left.endswith("</memory>")
    assert asyncio.run(block.atruncate(whole, 1000)) is None
    assert asyncio.run(block.atruncate("what was never recalled", 1)) is None


def test_a_shorter_recall_stands_in_the_prompt(cube: Cube) -> None:
    for fact in FACTS:
        cube.add(f"{fact} That is all I have to say on this.", user="ann")
    memory = memory_of(LociBlock(cube=cube, user="ann"), limit=150)
    question = "Where do I work, where did I move, what is my dog called?"
    memory.put(ChatMessage(role="user", content=question + " And so on and so forth." * 7))
    prompt, told = memory.get()
    assert told.role is MessageRole.USER and 0 < sum(fact in (prompt.content or "") for fact in FACTS) < len(FACTS)


def test_a_memory_without_room_has_the_conversation_alone(cube: Cube) -> None:
    for fact in FACTS:
        cube.add(fact, user="ann")
    full, empty = LociBlock(cube=cube, user="ann"), LociBlock(cube=cube, user="bob", name="other")
    memory = memory_of(full, empty, limit=40)
    memory.put(ChatMessage(role="user", content="What is my dog called? " + "And so on and so forth. " * 12))
    assert [message.role for message in memory.get()] == [MessageRole.USER]


def test_what_tools_and_prompts_say_is_left_out(cube: Cube) -> None:
    said = [ChatMessage(role=role, content=f"I am said by {role.value}.") for role in MessageRole]
    asyncio.run(LociBlock(cube=cube, user="ann").aput([*said, ChatMessage(role="user", content=None)]))
    kept = {found.text.removeprefix("I am said by ").rstrip(".") for found in cube.list(user="ann")}
    assert kept == {"user", "assistant", "chatbot", "model"}


def test_what_is_refused_takes_nothing_else_along(cube: Cube) -> None:
    told = [(FACTS[0], "one"), (" \n", "one"), ("x" * 2_000_000, "one"), (FACTS[1], "one"), (FACTS[2], "two")]
    said = [ChatMessage(role="user", content=text, additional_kwargs={"session_id": session}) for text, session in told]
    with pytest.raises(TooLarge):
        asyncio.run(LociBlock(cube=cube, user="ann").aput(said))
    assert [(found.text, found.scope.session) for found in cube.list(user="ann")] == [told[0], told[3], told[4]]


def test_a_last_word_that_says_nothing_or_far_too_much_asks_all_the_same(cube: Cube) -> None:
    cube.add(FACTS[0], user="ann")
    block = LociBlock(cube=cube, user="ann")
    for last in (" \n", "Where did I move? " + "x" * 200_000):
        messages = [ChatMessage(role="user", content=text) for text in ("Where did I move?", last)]
        assert FACTS[0] in asyncio.run(block.aget(messages))


def test_what_goes_wrong_is_raised(tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "vault", embedder="none") as opened:
        opened.cube("chat").add(FACTS[0])
        opened.grant("app", "reader", cube="chat")
        block = LociBlock(cube=opened.authenticate(opened.issue_key("app")[1]).cube("chat", create=False), user=None)
        assert "Lisbon" in (memory_of(block).get(input="Where did I move?")[0].content or "")
        with pytest.raises(Denied, match="loci grant"):
            memory_of(block).put_messages(chat(*FACTS))
        with pytest.raises(ValidationError, match="budget_tokens"):
            LociBlock(cube=block.cube, user=None, budget_tokens=28)
        with pytest.raises(ValidationError, match="user"):
            LociBlock(cube=block.cube)


def test_without_llamaindex_it_says_what_to_install(tmp_path: Path) -> None:
    told = "import sys; sys.modules['llama_index'] = None\ntry:\n    import loci.compat.llamaindex\nexcept Exception as error:\n    print(type(error).__name__, error)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.startswith("Unsupported") and "loci-memos[llamaindex]" in done.stdout, done.stderr
