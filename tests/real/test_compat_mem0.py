"""mem0's library and ours, by the same assertions: where they differ, it says so, and `docs/how-to/from-mem0.md` says why.

The other one is the real `mem0ai`, with Qdrant in a folder and an embedder that is a hash: no key that is used, no network."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import open_memory

from loci.compat.mem0 import AsyncMemory, Memory
from loci.compat.mem0.asked import Whose
from loci.compat.mem0.errors import BadCall, NotThere, TooMuch, legacy
from loci.errors import Corrupt, Denied, Invalid, LociError, Missing
from loci.testing import ManualClock
from loci.types import Role

DIMENSIONS = 64
COMMON = {"id", "memory", "hash", "metadata", "created_at", "updated_at", "user_id", "role"}
HISTORY = {"id", "memory_id", "old_memory", "new_memory", "event", "created_at", "updated_at", "is_deleted", "actor_id", "role"}


class Hashed:
    """An embedder for mem0: a bag of words, hashed, so that words in common are near."""

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        vector = [0.0] * DIMENSIONS
        for word in re.findall(r"\w+", text.lower()):
            vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % DIMENSIONS] += 1.0
        norm = sum(value * value for value in vector) ** 0.5 or 1.0
        return [value / norm for value in vector]

    def embed_batch(self, texts: list[str], memory_action: str | None = None) -> list[list[float]]:
        return [self.embed(text) for text in texts]


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Any]:
    if find_spec("mem0") is None:
        pytest.skip("mem0ai is not installed: `make test` installs it (the dev extra)")
    home = tmp_path_factory.mktemp("home")
    changed = {"MEM0_DIR": str(home), "MEM0_TELEMETRY": "False", "ANONYMIZED_TELEMETRY": "False", "OPENAI_API_KEY": "unused"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changed.items():
            patch.setenv(name, value)
        import mem0

        def opened(folder: Path) -> Any:
            store = {"collection_name": "c", "path": str(folder / "qdrant"), "embedding_model_dims": DIMENSIONS, "on_disk": True}
            with pytest.MonkeyPatch.context() as inner:
                inner.setenv("OPENAI_API_KEY", "unused")
                memory = mem0.Memory.from_config(
                    {"vector_store": {"provider": "qdrant", "config": store}, "history_db_path": str(folder / "history.db")}
                )
            memory.embedding_model = Hashed()
            return memory

        return opened


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Memory]:
    with Memory(vault=tmp_path / "vault", embedder="none", background=False) as memory:
        yield memory


@pytest.fixture(params=["loci", "mem0ai"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "loci":
        yield request.getfixturevalue("ours")
        return
    made = request.getfixturevalue("theirs")(tmp_path)
    yield made
    made.close()


def told(memory: Any, text: str, **named: Any) -> str:
    """Adds one text; returns its id."""
    (new,) = memory.add(text, **{"user_id": "alice", "infer": False, **named})["results"]
    return str(new["id"])


def texts(answer: dict[str, Any]) -> list[str]:
    return [one["memory"] for one in answer["results"]]


# -- the table of section 2: both ------------------------------------------------------------------------------------------


def test_add_answers_with_every_message(memory: Any) -> None:
    said = [
        {"role": "system", "content": "You are a cook."}, {"role": "user", "content": "I like figs.", "name": "Ann"},
        {"role": "assistant", "content": "Figs are noted."},
    ]  # fmt: skip
    first, second = memory.add(said, user_id="alice", infer=False)["results"]
    assert {k: first[k] for k in ("memory", "event", "actor_id", "role")} == {
        "memory": "I like figs.", "event": "ADD", "actor_id": "Ann", "role": "user",
    }  # fmt: skip
    assert (second["memory"], second["event"], second["actor_id"], second["role"]) == ("Figs are noted.", "ADD", None, "assistant")
    assert memory.get(first["id"])["actor_id"] == "Ann" and "actor_id" not in memory.get(second["id"])
    assert len(memory.add({"role": "user", "content": "One dictionary."}, user_id="alice", infer=False)["results"]) == 1
    assert memory.add([], user_id="alice", infer=False)["results"] == []


TRANSCRIPT = [
    {"role": "user", "content": "How is the weather in Rome?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "user", "content": "I like figs."},
]


def test_messages_that_call_tools_are_passed_over(memory: Any) -> None:
    """With ``infer``, as most have it, mem0 passes them over; without it raises at the first."""
    if isinstance(memory, Memory):
        answer = memory.add(TRANSCRIPT, user_id="alice")
        assert texts(answer) == ["How is the weather in Rome?", "I like figs."]
        assert [(one["outcome"], one["reason"]) for one in answer["changes"]] == [("refused", "Message 2 has no text in its content.")]
        with pytest.raises(ValueError, match="no other has"):
            memory.add(TRANSCRIPT[1:2], user_id="alice")
    else:
        from mem0.memory.utils import parse_messages

        assert parse_messages(TRANSCRIPT) == "user: How is the weather in Rome?\nuser: I like figs.\n"


def test_items_that_say_nothing_are_passed_over(ours: Memory) -> None:
    silent: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""}, {"role": "tool", "tool_call_id": "1", "content": ""}, {"type": "reasoning", "summary": []},
        {"role": "assistant", "content": None, "refusal": "no"},
    ]  # fmt: skip
    heard = {"role": "assistant", "content": None, "audio": {"transcript": "Figs are noted."}}
    answer = ours.add([TRANSCRIPT[2], *silent, heard], user_id="alice")
    assert texts(answer) == ["I like figs.", "Figs are noted."]
    assert [one["reason"] for one in answer["changes"]] == [f"Message {place} has no text in its content." for place in (2, 3, 4, 5)]
    with pytest.raises(ValueError, match="no other has"):
        ours.add(silent, user_id="alice")
    with pytest.raises(ValueError, match="is empty"):
        ours.add([TRANSCRIPT[2], {"role": "user", "content": ""}], user_id="alice")


@pytest.mark.parametrize("field", ["categories", "keywords", "memory"])
def test_a_filter_that_nothing_answers_to_is_refused(ours: Memory, field: str) -> None:
    told(ours, "I like pizza.", metadata={field: ["food"]})
    for asked in ({"user_id": "alice", field: {"contains": "food"}}, {"AND": [{"user_id": "alice"}, {"NOT": [{field: {"in": ["food"]}}]}]}):
        with pytest.raises(ValueError, match=field):
            ours.get_all(filters=asked)
    assert len(ours.get_all(filters={"user_id": "alice", "metadata": {field: {"contains": "food"}}})["results"]) == 1


def test_a_memory_is_this_dictionary(memory: Any) -> None:
    id = told(memory, "I like figs.", agent_id="bot", run_id="r1", metadata={"topic": "food", "stars": 4})
    found = memory.get(id)
    assert found.keys() - {"score"} == COMMON | {"agent_id", "run_id"}
    assert (found["id"], found["memory"], found["user_id"], found["agent_id"], found["run_id"]) == (
        id,
        "I like figs.",
        "alice",
        "bot",
        "r1",
    )
    assert found["metadata"] == {"topic": "food", "stars": 4} and found["hash"] == hashlib.md5(b"I like figs.").hexdigest()
    for name in ("created_at", "updated_at"):
        assert abs(datetime.fromisoformat(found[name]) - datetime.now(UTC)) < timedelta(minutes=5)
    (listed,) = memory.get_all(filters={"user_id": "alice"})["results"]
    assert listed.keys() == COMMON | {"agent_id", "run_id"} and listed["id"] == id
    (hit,) = memory.search("figs", filters={"user_id": "alice"}, threshold=0.0)["results"]
    assert hit.keys() == COMMON | {"agent_id", "run_id", "score"} and 0 <= hit["score"] <= 1 and isinstance(hit["score"], float)
    (hit,) = memory.search("figs", filters={"user_id": "alice"}, threshold=0.0, explain=True)["results"]
    assert hit["score_details"]
    plain = memory.get(told(memory, "No metadata."))
    assert plain["metadata"] is None
    assert memory.get("00000000-0000-0000-0000-000000000000") is None


def test_the_default_threshold_leaves_out_what_is_about_something_else_and_nothing_that_ranks_low(tmp_path: Path) -> None:
    with Memory(vault=tmp_path / "vault", embedder="minilm", background=False) as memory:
        for text in ("I play chess on Sundays.", "My sister lives in Porto.", "I am allergic to nuts."):
            told(memory, text)
        told(memory, "We went to the lake with the kayak again, and the kayak leaked.")
        for day in range(30):
            told(memory, f"On day {day} we went to the lake and the weather was fine.")
        memory._cube(Whose()).drain()

        def found(query: str, **given: Any) -> list[dict[str, Any]]:
            return memory.search(query, filters={"user_id": "alice"}, **given)["results"]

        assert found("zzzzqqq") == found("quantum chromodynamics lattice") == []
        far, whole = found("quantum chromodynamics lattice", threshold=0), found("the weather at the lake", threshold=0)
        assert len(far) == len(whole) == 20 and all(0 <= hit["score"] < 0.1 for hit in far)
        assert "chess" in found("board games")[0]["memory"] and found("board games")[0]["score"] > 0.5
        assert len(found("the weather at the lake")) == 20, "what ranks low is about it all the same"
        for hits in (far, whole):
            assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


def test_update_merges_metadata_and_tells_history(memory: Any) -> None:
    id = told(memory, "I like figs.", metadata={"topic": "food", "stars": 4})
    assert memory.update(id, text="I like dates.", metadata={"stars": 5}) == {"message": "Memory updated successfully!"}
    found = memory.get(id)
    assert (found["memory"], found["metadata"]) == ("I like dates.", {"topic": "food", "stars": 5})
    assert found["created_at"] < found["updated_at"]
    memory.update(id, data="I like pears.")
    memory.update(id, metadata={"seen": True})
    assert (memory.get(id)["memory"], memory.get(id)["metadata"]) == ("I like pears.", {"topic": "food", "stars": 5, "seen": True})
    rows = memory.history(id)
    assert all(row.keys() >= HISTORY for row in rows)
    assert [(row["event"], row["old_memory"], row["new_memory"], row["is_deleted"]) for row in rows] == [
        ("ADD", None, "I like figs.", False), ("UPDATE", "I like figs.", "I like dates.", False),
        ("UPDATE", "I like dates.", "I like pears.", False), ("UPDATE", "I like pears.", "I like pears.", False),
    ]  # fmt: skip
    assert {row["memory_id"] for row in rows} == {id} and len({row["id"] for row in rows}) == 4
    assert [row["updated_at"] for row in rows] == sorted(row["updated_at"] for row in rows)
    assert memory.history("00000000-0000-0000-0000-000000000000") == []


def test_delete_and_delete_all(memory: Any) -> None:
    first, kept = told(memory, "I like figs."), told(memory, "I like chess.")
    other, run = told(memory, "Bob likes go.", user_id="bob"), told(memory, "A run of alice's.", run_id="r1")
    assert memory.delete(first) == {"message": "Memory deleted successfully!"}
    assert memory.get(first) is None and memory.get(kept)["memory"] == "I like chess."
    last = memory.history(first)[-1]
    assert (last["event"], last["is_deleted"], last["new_memory"], last["memory_id"]) == ("DELETE", True, None, first)
    assert memory.delete_all(user_id="alice", run_id="r1") == {"message": "Memories deleted successfully!"}
    assert memory.get(run) is None and memory.get(kept) is not None
    assert memory.delete_all(user_id="nobody") == {"message": "Memories deleted successfully!"}
    memory.delete_all(user_id="alice")
    assert memory.get(kept) is None and memory.get(other) is not None
    memory.reset()
    assert memory.get_all(filters={"user_id": "bob"})["results"] == []


def test_lists_are_cut_at_twenty_and_by_top_k(memory: Any) -> None:
    for number in range(25):
        told(memory, f"The kettle number {number} is blue.")
    assert len(memory.get_all(filters={"user_id": "alice"})["results"]) == 20
    assert len(memory.get_all(filters={"user_id": "alice"}, top_k=3)["results"]) == 3
    assert len(memory.search("blue kettle", filters={"user_id": "alice"}, threshold=0.0)["results"]) == 20
    assert len(memory.search("blue kettle", filters={"user_id": "alice"}, top_k=3, threshold=0.0)["results"]) == 3
    assert memory.search("blue kettle", filters={"user_id": "alice"}, top_k=0)["results"] == []


def test_scopes_are_apart(memory: Any) -> None:
    told(memory, "Alice likes figs.")
    told(memory, "Bob likes figs.", user_id="bob")
    told(memory, "The bot likes figs.", user_id="alice", agent_id="bot")
    for filters, expected in (
        ({"user_id": "alice"}, {"Alice likes figs.", "The bot likes figs."}), ({"user_id": "bob"}, {"Bob likes figs."}),
        ({"agent_id": "bot"}, {"The bot likes figs."}), ({"user_id": "bob", "agent_id": "bot"}, set()), ({"user_id": "alic"}, set()),
    ):  # fmt: skip
        assert set(texts(memory.get_all(filters=filters))) == expected
        assert set(texts(memory.search("likes figs", filters=filters, threshold=0.0))) == expected
    assert texts(memory.get_all(filters={"user_id": " bob "})) == ["Bob likes figs."]
    told(memory, "Seven.", user_id=7)
    assert texts(memory.get_all(filters={"user_id": 7})) == ["Seven."]


def test_expired_is_hidden_unless_asked_for(memory: Any) -> None:
    today = datetime.now(UTC).date()
    told(memory, "Old figs.", expiration_date=(today - timedelta(days=2)).isoformat())
    told(memory, "Figs of today.", expiration_date=today)
    id = told(memory, "New figs.")
    assert set(texts(memory.get_all(filters={"user_id": "alice"}))) == {"Figs of today.", "New figs."}
    assert set(texts(memory.search("figs", filters={"user_id": "alice"}, threshold=0.0))) == {"Figs of today.", "New figs."}
    shown = memory.get_all(filters={"user_id": "alice"}, show_expired=True)
    assert {one["memory"]: one.get("expiration_date") for one in shown["results"]} == {
        "Old figs.": (today - timedelta(days=2)).isoformat(), "Figs of today.": today.isoformat(), "New figs.": None,
    }  # fmt: skip
    assert "Old figs." in texts(memory.search("figs", filters={"user_id": "alice"}, threshold=0.0, show_expired=True))
    memory.update(id, expiration_date=date(2020, 1, 1))
    assert texts(memory.get_all(filters={"user_id": "alice"})) == ["Figs of today."]
    memory.update(id, expiration_date=None)
    assert memory.get(id).get("expiration_date") is None and "New figs." in texts(memory.get_all(filters={"user_id": "alice"}))


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"topic": "food"}, "figs wine"), ({"topic": {"eq": "food"}}, "figs wine"), ({"topic": {"ne": "food"}}, "go"),
    ({"stars": {"gt": 2}}, "figs go"), ({"stars": {"gte": 2}}, "figs go wine"), ({"stars": {"lt": 5}}, "figs wine"),
    ({"stars": {"lte": 2}}, "wine"), ({"stars": {"gte": 2, "lt": 4}}, "wine"), ({"topic": {"in": ["food", "x"]}}, "figs wine"),
    ({"topic": {"nin": ["food"]}}, "go"), ({"OR": [{"topic": "game"}, {"stars": 2}]}, "go wine"), ({"NOT": [{"topic": "food"}]}, "go"),
    ({"AND": [{"topic": "food"}, {"stars": {"gt": 2}}]}, "figs"),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "expected"), FILTERS, ids=str)
def test_metadata_filters(memory: Any, filters: dict[str, Any], expected: str) -> None:
    for text, metadata in (
        ("figs", {"topic": "food", "stars": 4}),
        ("wine", {"topic": "food", "stars": 2}),
        ("go", {"topic": "game", "stars": 5}),
    ):
        told(memory, text, metadata=metadata)
    found = memory.search("figs wine go", filters={"user_id": "alice", **filters}, threshold=0.0)
    assert sorted(texts(found)) == expected.split()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("add", {"messages": 5, "user_id": "alice"}), ("add", {"messages": "x"}), ("add", {"messages": "x", "user_id": " "}),
        ("add", {"messages": "x", "user_id": "a b"}), ("add", {"messages": "x", "user_id": "alice", "memory_type": "other"}),
        ("add", {"messages": "x", "user_id": "alice", "expiration_date": "soon"}), ("search", {"query": "x"}), ("search", {"query": "x", "filters": {}}),
        ("search", {"query": " ", "filters": {"user_id": "alice"}}), ("search", {"query": "x", "filters": {"user_id": "alice"}, "threshold": 2}),
        ("search", {"query": "x", "filters": {"user_id": "alice"}, "top_k": -1}), ("search", {"query": "x", "filters": {"user_id": "a b"}}),
        ("search", {"query": "x", "filters": {"user_id": "alice", "OR": []}}), ("search", {"query": "x", "filters": {"user_id": "a", "k": {"in": [1], "like": 2}}}),
        ("get_all", {}), ("get_all", {"filters": {"topic": "food"}}), ("get_all", {"filters": {"user_id": "alice"}, "top_k": "5"}),
        ("update", {"memory_id": "00000000-0000-0000-0000-000000000000", "text": "x"}), ("update", {"memory_id": "x"}),
        ("delete", {"memory_id": "00000000-0000-0000-0000-000000000000"}), ("delete_all", {}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_call_raises_and_is_a_value_error(memory: Any, method: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(Exception) as raised:  # mem0's own validation error is no ValueError
        getattr(memory, method)(**arguments)
    assert isinstance(raised.value, ValueError) or type(raised.value).__name__ == "ValidationError", raised.value


def test_chat_is_not_there(memory: Any) -> None:
    with pytest.raises(NotImplementedError):
        memory.chat("hello")


def test_identity_is_not_set_through_metadata(memory: Any) -> None:
    id = memory.add("I like figs.", user_id="alice", infer=False, metadata={"user_id": "bob", "agent_id": "x", "topic": "food"})["results"][
        0
    ]["id"]
    assert (memory.get(id)["user_id"], memory.get(id)["metadata"], memory.get(id).get("agent_id")) == ("alice", {"topic": "food"}, None)
    memory.update(id, metadata={"user_id": "bob", "run_id": "r"})
    assert memory.get_all(filters={"user_id": "bob"})["results"] == [] and memory.get(id).get("run_id") is None


# -- what is otherwise here: the second table ---------------------------------------------------------------------------------


def test_both_spellings_give_the_same(ours: Memory) -> None:
    for n in range(5):
        ours.add(f"The kettle number {n} is blue.", user_id="alice", run_id="r1")
    pairs: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
        (lambda: ours.search("blue", user_id="alice", limit=3), lambda: ours.search("blue", filters={"user_id": "alice"}, top_k=3)),
        (lambda: ours.search(query="blue", user_id="alice", run_id="r1", threshold=None), lambda: ours.search("blue", filters={"userId": "alice", "runId": "r1"})),
        (lambda: ours.get_all(user_id="alice", limit=2), lambda: ours.get_all(filters={"AND": [{"user_id": "alice"}]}, top_k=2)),
        (lambda: ours.get_all(user_id="alice", filters={"run_id": "r1"}), lambda: ours.get_all(filters={"user_id": {"eq": "alice"}, "run_id": "r1"})),
        (lambda: ours.delete_all(run_id="r1"), lambda: ours.delete_all(filters={"run_id": "r1"})),
    ]  # fmt: skip
    for old, new in pairs:
        assert old() == new() != {"results": []}
    with pytest.raises(BadCall, match="give it once"):
        ours.search("x", user_id="alice", filters={"user_id": "bob"})
    with pytest.raises(TypeError, match="usr_id"):
        ours.search("x", usr_id="alice")


def test_keywords_of_other_versions_are_left_aside_and_said_once(ours: Memory) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            ours.add("x y z", user_id="a", version="v2", output_format="v1.1", async_mode=True, prompt="p", metadata={"user_id": "b"})
            ours.search("x", user_id="a", enable_graph=True, rerank=True)
    named = [str(one.message) for one in said]
    assert len(named) == len(set(named)) == 7 and all("aside" in one for one in named)
    assert {one.filename for one in said} == {__file__}


def test_what_contradicts_supersedes_and_is_named(ours: Memory) -> None:
    first = ours.add("I live in Porto.", user_id="alice")
    assert first["inference"] == "rules" and "changes" not in first
    second = ours.add("I moved to Lisbon.", user_id="alice", timestamp=datetime.now(UTC).isoformat())
    assert [c["outcome"] for c in second["changes"]] == ["superseded"] and second["results"][0]["event"] == "ADD"
    assert second["changes"][0]["id"] == first["results"][0]["id"] and second["changes"][0]["by"] == second["results"][0]["id"]
    assert texts(ours.get_all(user_id="alice")) == ["I moved to Lisbon."] and ours.get_all(user_id="alice")["total"] == 1


def test_times_are_answered(ours: Memory) -> None:
    id = ours.add("I ate figs.", user_id="alice", timestamp=1_700_000_000)["results"][0]["id"]
    found = ours.get(id)
    assert found is not None and found["created_at"].startswith("2023-11-14T22:13:20")
    for filters, count in (
        ({"created_at": {"lt": "2024-01-01"}}, 1),
        ({"created_at": {"gte": "2024-01-01"}}, 0),
        ({"updated_at": {"gte": "2024-01-01"}}, 1),
    ):
        assert len(ours.get_all(filters={"user_id": "alice", **filters})["results"]) == count
    assert texts(ours.search("Were there figs last week?", user_id="alice", reference_date="2023-11-20")) == ["I ate figs."]
    for wrong in ("soon", object(), 1e30, True):
        with pytest.raises(BadCall, match="timestamp"):
            ours.add("x", user_id="a", timestamp=wrong)


def test_deleted_means_gone(ours: Memory, tmp_path: Path) -> None:
    id = told(ours, "Zyxquokkering of the vlorptangles.", metadata={"note": "Graspomond of the plinthosaurus"})
    ours.update(id, text="Wuxlimander of the frimblejants.")
    ours.delete(id)
    for file in (tmp_path / "vault").rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        assert not any(word in data for word in (b"Zyxquok", b"Graspom", b"Wuxlim")), file
    (row,) = ours.history(id)
    assert row["is_deleted"] and row["old_memory"] is row["new_memory"] is None
    other = told(ours, "Figs.")
    ours.delete_all(user_id="alice")
    assert ours.history(other)[0]["event"] == "DELETE"


def test_long_messages_are_one_memory(ours: Memory) -> None:
    words = "I like figs. My sister Ada lives in Rome. We went to the lake in May and it rained every day. " * 3
    (new,) = ours.add(words, user_id="alice")["results"]
    assert texts(ours.get_all(user_id="alice")) == [words] == texts(ours.search("Where does Ada live?", user_id="alice", threshold=0))
    ours.delete(new["id"])
    assert ours.get_all(user_id="alice") == {"results": [], "total": 0}


def test_filters_of_the_platform(ours: Memory) -> None:
    told(ours, "figs", metadata={"tags": ["food", "sweet"], "note": "A Fig"}, agent_id="bot")
    told(ours, "go", metadata={"tags": ["game"]}, user_id="bob")
    for filters, expected in (
        ({"AND": [{"user_id": "alice"}, {"tags": {"contains": "sweet"}}]}, ["figs"]),
        ({"user_id": "alice", "note": {"icontains": "fig"}}, ["figs"]), ({"user_id": "alice", "note": {"contains": "fig"}}, []),
        ({"user_id": "alice", "note": "*"}, ["figs"]), ({"user_id": "bob", "note": "*"}, []), ({"OR": [{"user_id": "bob"}, {"agent_id": "bot"}]}, ["figs", "go"]),
        ({"user_id": {"in": ["alice", "bob"]}}, ["figs", "go"]), ({"user_id": "alice", "metadata": {"note": "A Fig"}}, ["figs"]),
        ({"AND": [{"user_id": "alice"}, {"NOT": {"tags": "food"}}]}, []),
    ):  # fmt: skip
        assert texts(ours.get_all(filters=filters)) == expected, filters
    for wrong, match in (
        ({"OR": [{"user_id": "bob"}, {"note": "*"}]}, "at least one"), ({"NOT": [{"user_id": "bob"}]}, "at least one"), ({"user_id": {"ne": "bob"}}, "at least one"),
        ({"user_id": "a", "k": {"gtee": 1}}, "'gte'"), ({"user_id": "a", "role": "user"}, "cannot be filtered"), ({"user_id": "a", "$user": "b"}, "no field"),
        ({"AND": [{"user_id": "a"}, {"user_id": "b"}]}, "OR"), ({"user_id": "a", "OR": [{"app_id": "x"}]}, "stands alone"), ("alice", "object"),
        ({"user_id": ["bob"]}, "compares 'user_id' with"), ({"run_id": {"gte": []}}, "compares 'run_id' with"),
    ):  # fmt: skip
        with pytest.raises(BadCall, match=match):
            ours.get_all(filters=wrong)
    deep: Any = {"user_id": "a"}
    for _ in range(3000):
        deep = {"NOT": [deep]}
    with pytest.raises(TooMuch):
        ours.get_all(filters={"user_id": "a", "NOT": [deep]})


def test_an_app_is_a_cube(ours: Memory) -> None:
    here, there = told(ours, "Figs here."), told(ours, "Figs there.", app_id="shop")
    assert texts(ours.get_all(user_id="alice")) == ["Figs here."]
    assert texts(ours.search("figs", filters={"user_id": "alice", "app_id": "shop"}, threshold=0)) == ["Figs there."]
    found = ours.get(there)
    assert found is not None and found["app_id"] == "shop" and "app_id" not in (ours.get(here) or {})
    ours.update(there, text="Plums there.")
    ours.delete_all(app_id="shop")
    assert ours.get(there) is None and ours.get(here) is not None and ours.history(there)[0]["is_deleted"]


def test_a_key_does_no_more_than_it_may(tmp_path: Path) -> None:
    with open_memory(tmp_path) as system:
        mine = Memory.over(system, "main")
        id = told(mine, "Alice likes figs.")
        told(mine, "Bob likes go.", user_id="bob")
        system.grant("bob", Role.WRITER, cube="main", user="bob")
        bobs = Memory.over(system.acting("bob"), "main")
        assert texts(bobs.get_all(user_id="bob")) == ["Bob likes go."]
        assert bobs.get(id) is None and bobs.history(id) == []
        told(bobs, "Bob likes tea.", user_id="bob")
        assert bobs.get_all(user_id="bob", top_k=1)["total"] == 2
        with pytest.raises(NotThere):
            bobs.delete(id)
        for ask in (
            lambda: bobs.get_all(user_id="alice"),
            lambda: bobs.search("figs", user_id="alice"),
            lambda: bobs.add("x", user_id="alice"),
        ):
            with pytest.raises(Denied):
                ask()


def test_a_failing_store_is_an_error_and_never_nothing(ours: Memory, tmp_path: Path) -> None:
    told(ours, "Figs.")
    ours.close()
    (tmp_path / "vault" / "main.loci").write_bytes(b"not a database at all, but long enough to be one" * 100)
    with Memory(vault=tmp_path / "vault", embedder="none") as broken:
        for ask in (
            lambda: broken.get_all(user_id="alice"),
            lambda: broken.search("figs", user_id="alice"),
            lambda: broken.get("x"),
            lambda: broken.history("x"),
        ):
            with pytest.raises(Corrupt):
                ask()


def test_errors_have_the_legacy_shape_and_are_no_success() -> None:
    for error in (BadCall("a"), TooMuch("b"), NotThere("c"), Corrupt("d"), Denied("e")):
        status, body = legacy(error)
        assert status >= 400 and body["detail"] == str(error) and body["error"] == error.code
    assert issubclass(BadCall, Invalid) and issubclass(NotThere, Missing) and issubclass(NotThere, LociError)


# -- configuration -------------------------------------------------------------------------------------------------------------


def test_the_home_is_mem0s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEM0_DIR", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith("LOCI_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with Memory(embedder="none") as memory:
        told(memory, "Figs.")
    assert (tmp_path / "home" / "loci" / "main.loci").exists()
    monkeypatch.setenv("LOCI_VAULT", str(tmp_path / "other"))
    with Memory(embedder="none") as memory:
        assert memory.get_all(user_id="alice")["results"] == []
    assert (tmp_path / "other").is_dir()


def test_a_configuration_is_read_as_far_as_it_means_something(tmp_path: Path) -> None:
    config = {
        "version": "v1.1", "vector_store": {"provider": "qdrant", "config": {"path": "/nowhere"}}, "llm": {"provider": "openai", "config": {"model": "x"}},
        "embedder": {"provider": "huggingface", "config": {"model": "sentence-transformers/all-MiniLM-L6-v2"}}, "custom_instructions": None, "nonsense": 1,
    }  # fmt: skip
    with pytest.warns(UserWarning, match="leaves llm, nonsense, vector_store of the configuration aside") as said:
        Memory.from_config(config, vault=tmp_path, background=False).close()
    assert len(said) == 1
    with pytest.warns(UserWarning, match="embedder"):
        Memory(
            {"embedder": {"provider": "openai", "config": {"model": "text-embedding-3-small"}}}, vault=tmp_path, background=False
        ).close()
    with pytest.raises(BadCall, match="dictionary"):
        Memory("config.json", vault=tmp_path)


def test_their_own_configuration_object_will_do(theirs: Any, tmp_path: Path) -> None:
    from mem0.configs.base import MemoryConfig

    with pytest.warns(UserWarning, match="vector_store"):
        Memory(MemoryConfig(), vault=tmp_path, embedder="none", background=False).close()


def test_callers_that_await_get_the_same(tmp_path: Path) -> None:
    async def walk() -> list[str]:
        async with AsyncMemory.from_config({}, vault=tmp_path, embedder="none", background=False) as memory:
            added = await memory.add("Figs.", user_id="alice")
            await memory.update(added["results"][0]["id"], "Plums.")
            assert [row["event"] for row in await memory.history(added["results"][0]["id"])] == ["ADD", "UPDATE"]
            found = await asyncio.gather(*(memory.search("plums", user_id="alice", threshold=0) for _ in range(4)))
            assert all(one == found[0] for one in found)
            with pytest.raises(BadCall):
                await memory.get_all()
            with pytest.raises(AttributeError):
                memory.nothing  # noqa: B018
            return texts(await memory.get_all(user_id="alice"))

    assert asyncio.run(walk()) == ["Plums."]


def test_an_instant_is_an_instant(tmp_path: Path, clock: ManualClock) -> None:
    with open_memory(tmp_path, clock=clock) as system:
        memory = Memory.over(system, "main")
        end = clock.now() + timedelta(hours=2)
        id = told(memory, "Figs.", expiration_date=end.isoformat())
        assert (memory.get(id) or {})["expiration_date"] == end.isoformat()
        clock.advance(hours=3)
        assert memory.get_all(user_id="alice")["results"] == []
        assert texts(memory.get_all(user_id="alice", show_expired=True)) == ["Figs."]
