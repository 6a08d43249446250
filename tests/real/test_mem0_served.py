"""The real `MemoryClient` and `AsyncMemoryClient` of mem0ai against a real `loci serve`; and the routes of mem0's own server, by plain HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="what serves is not installed: pip install 'loci-memos[serve]'")
import httpx
from served import Server, serving

from loci import MemOS
from loci.server.mem0 import ROUTES
from loci.types import Role

pytestmark = pytest.mark.skipif(find_spec("mem0") is None, reason="mem0ai is not installed: `make test` installs it (the dev extra)")
PAGE = Path(__file__).parents[2] / "docs/how-to/from-mem0.md"
ITEM = {"id", "memory", "hash", "metadata", "created_at", "updated_at", "user_id", "role", "categories"}


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """mem0's client writes a folder of its own and tells its makers of each call, unless it is told not to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEM0_DIR", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MEM0_TELEMETRY", "False")
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without keys. Tests that use it have users of their own."""
    with serving(tmp_path_factory.mktemp("served") / "vault", "--open") as running:
        yield running


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.cube("main").add("I live in Porto.", user="ana")
        memory.cube("main").add("I live in Braga.", user="ben")
    return tmp_path / "vault"


def client_of(server: Server, key: str = "any") -> Any:
    from mem0 import MemoryClient

    return MemoryClient(api_key=key, host=server.url)


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    return client_of(server)


def key_for(vault: Path, name: str, role: Role, **limits: Any) -> str:
    with MemOS.open(vault, embedder="none", background=False) as memory:
        memory.grant(name, role, cube="main", **limits)
        return memory.issue_key(name)[1]


def failed(call: Callable[[], object]) -> Any:
    """The exception of mem0's that a call raises: its message is the server's ``detail``, its details the whole body."""
    from mem0.exceptions import MemoryError as Theirs

    with pytest.raises(Theirs) as raised:
        call()
    return raised.value


def refused(answer: httpx.Response, status: int) -> str:
    """What a failure is told as, in mem0's shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["error"] and "Traceback" not in told["detail"] and len(told["detail"]) > 20
    return str(told["detail"])


def texts(answer: dict[str, Any]) -> list[str]:
    return [one["memory"] for one in answer["results"]]


# -- what MemoryClient calls -------------------------------------------------------------------------------------------------


def test_a_life_of_a_memory(client: Any) -> None:
    added = client.add("I am allergic to nuts.", user_id="life", metadata={"topic": "health"})
    (new,) = added["results"]
    assert added["status"] == "PENDING" and (new["memory"], new["event"]) == ("I am allergic to nuts.", "ADD")
    assert client.get(new["id"]).keys() == ITEM and client.get(new["id"])["metadata"] == {"topic": "health"}
    (hit,) = client.search("What is life allergic to, nuts?", filters={"user_id": "life"})["results"]
    assert hit.keys() == ITEM | {"score"} and hit["id"] == new["id"] and 0 < hit["score"] <= 1
    assert client.search("nuts", filters={"AND": [{"user_id": "life"}, {"topic": "sport"}]})["results"] == []
    assert (
        client.update(new["id"], text="I am allergic to nuts and figs.", metadata={"stage": 2})["text"] == "I am allergic to nuts and figs."
    )
    assert [row["event"] for row in client.history(new["id"])] == ["ADD", "UPDATE"]
    assert client.delete(new["id"]) == {"message": "Memory deleted successfully!"}
    (row,) = client.history(new["id"])
    assert row["is_deleted"] and row["old_memory"] is None
    assert type(failed(lambda: client.get(new["id"]))).__name__ == "MemoryNotFoundError"


def test_an_event_is_readable_at_once_and_names_what_was_stored(server: Server, client: Any) -> None:
    added = client.add([{"role": "user", "content": "My dog is called Rex."}, {"role": "assistant", "content": "Noted."}], user_id="event")
    told = server.http.get(f"/v1/event/{added['event_id']}/").json()
    assert (told["id"], told["event_type"], told["status"]) == (added["event_id"], "ADD", "SUCCEEDED")
    assert told["results"] == added["results"] and texts(told) == ["My dog is called Rex.", "Noted."]
    assert "no event" in refused(server.http.get("/v1/event/00000000-0000-0000-0000-000000000000/"), 404)
    again = [client.add("The cat is called Tom.", user_id="event", timestamp=1_700_000_000) for _ in range(2)]
    assert texts(again[0]) == ["The cat is called Tom."] and again[1]["event_id"] is None and again[1]["results"] == [], (
        "it was said already"
    )
    client.delete(added["results"][0]["id"])
    told = server.http.get(f"/v1/event/{added['event_id']}/").json()
    assert told["status"] == "SUCCEEDED" and told["results"] == [] and "erased" in told["message"]


def test_the_pages_of_a_list_have_everything_once(client: Any) -> None:
    for n in range(5):
        client.add(f"Kettle {n} is blue.", user_id="pages")
    page, seen, numbers = client.get_all(filters={"user_id": "pages"}, page=1, page_size=2), list[str](), 0
    while True:
        numbers, seen = numbers + 1, seen + texts(page)
        assert page["count"] == 5 and (page["previous"] is None) == (numbers == 1)
        if page["next"] is None:
            break
        assert f"page={numbers + 1}" in page["next"]
        page = client.client.post(page["next"], json={"filters": {"user_id": "pages"}}).json()
    assert numbers == 3 and seen == [f"Kettle {n} is blue." for n in range(5)]
    assert client.get_all(filters={"user_id": "pages"})["results"][0].keys() == ITEM
    assert client.get_all(filters={"user_id": "pages"}, page=9) == {
        "count": 5,
        "next": None,
        "previous": page["previous"].replace("page=2", "page=8").replace("page_size=2", "page_size=100"),
        "results": [],
    }
    assert "at most 1,000" in str(failed(lambda: client.get_all(filters={"user_id": "pages"}, page_size=1001)))


def test_next_is_followed_with_the_body_of_before(server: Server) -> None:
    for n in range(3):
        server.http.post("/memories", json={"messages": f"Cup {n} is full.", "user_id": "following"})
    body: dict[str, Any] = {"filters": {"user_id": "following"}, "page": 1, "page_size": 2}
    page = server.http.post("/v3/memories/", json=body).json()
    assert texts(server.http.post(page["next"], json=body).json()) == ["Cup 2 is full."]


def test_next_passes_over_nothing_whatever_is_done_meanwhile(client: Any) -> None:
    ids = [client.add(f"Bowl {n} is blue.", user_id="moving")["results"][0]["id"] for n in range(6)]
    page, seen = client.get_all(filters={"user_id": "moving"}, page=1, page_size=2), list[str]()
    while True:
        seen += texts(page)
        if page["next"] is None:
            break
        client.delete(ids.pop(0))
        client.add(f"Plate {len(seen)} is white.", user_id="moving")
        page = client.client.post(page["next"], json={"filters": {"user_id": "moving"}, "page": 1, "page_size": 2}).json()
    assert seen == [f"Bowl {n} is blue." for n in range(6)]
    assert "no cursor" in str(failed(lambda: client.get_all(filters={"user_id": "moving"}, cursor="bm8=")))


def test_days_narrow_a_list(client: Any) -> None:
    client.add("I ate figs.", user_id="days", timestamp=1_700_000_000)  # 2023-11-14T22:13:20Z
    for named, count in (
        ({"start_date": "2023-11-14"}, 1), ({"start_date": "2023-11-15"}, 0), ({"end_date": "2023-11-14"}, 1), ({"end_date": "2023-11-13"}, 0),
        ({"end_date": "9999-12-31"}, 1), ({"end_date": "2023-11-14T22:13:20Z"}, 1), ({"end_date": "2023-11-14T22:13:19Z"}, 0), ({"start_date": "2023-11-14", "end_date": "2023-11-14"}, 1),
    ):  # fmt: skip
        assert client.get_all(filters={"AND": [{"user_id": "days"}]}, **named)["count"] == count, named


def test_both_spellings_of_whose_it_is(client: Any) -> None:
    from mem0.client.types import AddMemoryOptions, DeleteAllMemoryOptions, GetAllMemoryOptions, SearchMemoryOptions

    client.add("The old kettle is blue.", user_id="both", run_id="r1")
    client.add("The new kettle is red.", AddMemoryOptions(filters={"user_id": "both", "run_id": "r1"}, metadata={"new": True}))
    found = client.get_all(GetAllMemoryOptions(filters={"user_id": "both"}))
    assert texts(found) == ["The old kettle is blue.", "The new kettle is red."] and {one["run_id"] for one in found["results"]} == {"r1"}
    assert texts(client.search("red kettle", SearchMemoryOptions(filters={"run_id": "r1"}, top_k=1))) == ["The new kettle is red."]
    assert client.delete_all(DeleteAllMemoryOptions(filters={"user_id": "both"}))["message"]
    assert client.get_all(filters={"user_id": "both"})["count"] == 0
    client.add("The kettle is gone.", user_id="both")
    client.delete_all(user_id="both")
    assert client.get_all(filters={"user_id": "both"})["count"] == 0
    assert "whose" in str(failed(lambda: client.add("x", filters={"user_id": "both", "topic": "x"})))


def test_what_means_nothing_here_is_said_and_what_is_no_field_refused(client: Any) -> None:
    added = client.add(
        "The shed is green.", user_id="aside", output_format="v1.1", custom_categories=[{"a": "b"}], metadata={"user_id": "other"}
    )
    assert len(added["left_aside"]) == 3 and "identity cannot be set" in " ".join(added["left_aside"])
    assert client.get(added["results"][0]["id"])["user_id"] == "aside"
    assert "left_aside" not in client.add("The shed is old.", user_id="aside")
    assert "Did you mean 'user_id'" in str(failed(lambda: client.add("x", usr_id="a")))
    told = failed(lambda: client.search("shed", filters={"user_id": "aside"}, categories=["x"]))
    assert "metadata" in str(told) and told.debug_info["status_code"] == 501


def test_several_at_once(client: Any) -> None:
    first, second = (client.add(f"Pot {n} is full.", user_id="batch")["results"][0]["id"] for n in range(2))
    asked = [{"memory_id": first, "text": "Pot 0 is empty."}, {"memory_id": second, "metadata": {"lid": True}}]
    assert client.batch_update(asked) == {"message": "Successfully updated 2 memories"}
    assert (client.get(first)["memory"], client.get(second)["metadata"]) == ("Pot 0 is empty.", {"lid": True})
    wrong = [{"memory_id": second, "text": "Pot 1 is empty."}, {"memory_id": "absent", "text": "x"}]
    assert (
        type(failed(lambda: client.batch_update(wrong))).__name__ == "MemoryNotFoundError"
        and client.get(second)["memory"] == "Pot 1 is full."
    )
    for entry in (
        {"text": 5},
        {"text": " "},
        {"metadata": 5},
        {"metadata": {"a": "x" * 20_000}},
        {"text": None},
        {"text": "x", "user_id": "a"},
    ):
        late = [{"memory_id": first, "text": "Pot 0 is gone."}, {"memory_id": second, **entry}]
        assert failed(lambda late=late: client.batch_update(late)).debug_info["status_code"] in (413, 422), entry
        assert client.get(first)["memory"] == "Pot 0 is empty.", "the first is changed when all of them can be"
    assert "a list" in str(failed(lambda: client.batch_delete([])))
    assert (
        client.batch_delete([{"memory_id": first}, {"memory_id": first}, {"memory_id": second}])["message"]
        == "Successfully deleted 2 memories"
    )
    assert client.get_all(filters={"user_id": "batch"})["count"] == 0


def test_feedback_is_kept_with_the_memory(client: Any) -> None:
    id = client.add("The gate is shut.", user_id="feedback", metadata={"a": 1})["results"][0]["id"]
    assert client.feedback(id, "positive", "it helped") == {"id": f"{id}@2", "feedback": "POSITIVE", "feedback_reason": "it helped"}
    assert client.get(id)["metadata"] == {"a": 1, "feedback": "POSITIVE", "feedback_reason": "it helped"}
    assert len(client.get_all(filters={"user_id": "feedback", "feedback": "POSITIVE"})["results"]) == 1
    assert client.feedback(id)["feedback"] is None and client.get(id)["metadata"] == {"a": 1}
    assert type(failed(lambda: client.feedback("absent", "NEGATIVE"))).__name__ == "MemoryNotFoundError"


def test_an_export_has_every_memory_as_it_is(client: Any) -> None:
    client.add([{"role": "user", "content": f"Brick {n} is red."} for n in range(30)], user_id="export")
    made = client.create_memory_export('{"properties": {}}', filters={"user_id": "export"})
    assert "takes a model" in made["message"]
    by_id, by_filter = client.get_memory_export(memory_export_id=made["id"]), client.get_memory_export(filters={"user_id": "export"})
    assert by_id == by_filter and by_id["count"] == 30 and texts(by_id)[29] == "Brick 29 is red."
    assert "no export's" in str(failed(lambda: client.get_memory_export(memory_export_id="bm8=")))


def test_who_has_memories_and_resetting(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open") as server:
        client = client_of(server)
        client.add("I live in Porto.", user_id="a b".replace(" ", "/"), run_id="r")
        client.add("I live in Faro.", user_id="ann", agent_id="bot")
        client.add("I sell figs.", user_id="ann", app_id="shop")
        named = {(one["type"], one["name"]): one["total_memories"] for one in client.users()["results"]}
        assert named == {("user", "a/b"): 1, ("run", "r"): 1, ("user", "ann"): 2, ("agent", "bot"): 1, ("app", "shop"): 1}
        assert client.delete_users(user_id="a/b") == {"message": "Entity deleted successfully."}
        assert ("user", "a/b") not in {(one["type"], one["name"]) for one in client.users()["results"]}
        client.delete_users(app_id="shop")
        assert texts(client.get_all(filters={"user_id": "ann"})) == ["I live in Faro."]
        client.add("I sell plums.", user_id="ann", app_id="shop")
        client.reset()
        assert client.users()["results"] == [] and server.call("cubes/shop/list")["items"] == []
        assert "no entities" in refused(server.http.delete("/v2/entities/tribe/x/"), 422)


def test_what_cannot_be_had_says_what_can(client: Any) -> None:
    for call in (
        client.get_summary, lambda: client.get_profile("ann"), lambda: client.generate_profile("ann"), client.get_profile_settings,
        client.project.get, lambda: client.get_webhooks("p"), lambda: client.create_webhook("http://x", "n", "p", []),
    ):  # fmt: skip
        told = failed(call)
        assert told.debug_info["status_code"] == 501 and told.details["error"] == "unsupported" and len(str(told)) > 40
    id = client.add("The road is long.", user_id="cannot")["results"][0]["id"]
    assert failed(lambda: client.delete(id, delete_linked=True)).debug_info["status_code"] == 501
    assert failed(lambda: client.update(id, timestamp=1)).debug_info["status_code"] == 501
    assert client.history(id)[-1]["event"] == "ADD", "nothing was done"


def test_those_who_await_have_the_same(server: Server) -> None:
    from mem0 import AsyncMemoryClient

    async def walk() -> None:
        async with AsyncMemoryClient(api_key="any", host=server.url) as client:
            added = await client.add("I keep bees.", user_id="await")
            id = added["results"][0]["id"]
            found = await asyncio.gather(*(client.search("Who keeps bees?", filters={"user_id": "await"}) for _ in range(4)))
            assert all(texts(one) == ["I keep bees."] for one in found)
            await client.update(id, text="I keep many bees.")
            assert [row["event"] for row in await client.history(id)] == ["ADD", "UPDATE"]
            assert (await client.get_all(filters={"user_id": "await"}, page=1, page_size=5))["count"] == 1
            assert (await client.feedback(id, "NEGATIVE"))["feedback"] == "NEGATIVE"
            assert (await client.get_memory_export(filters={"user_id": "await"}))["count"] == 1
            assert "await" in {one["name"] for one in (await client.users())["results"]}
            await client.batch_update([{"memory_id": id, "text": "I kept bees."}])
            await client.delete(id)
            await client.delete_users(user_id="await")
            await client.delete_all(user_id="await")
            assert (await client.get_all(filters={"user_id": "await"}))["count"] == 0

    asyncio.run(walk())


# -- who may ---------------------------------------------------------------------------------------------------------------


def test_a_key_of_one_user_cannot_read_another_s(vault: Path) -> None:
    key, bens = key_for(vault, "ana", Role.OWNER, user="ana"), key_for(vault, "ben", Role.READER, user="ben")
    with serving(vault) as server:
        mine, theirs = client_of(server, key), client_of(server, bens)
        (id,) = (one["id"] for one in mine.get_all(filters={"user_id": "ana"})["results"])
        for call in (
            lambda: mine.get_all(filters={"user_id": "ben"}), lambda: mine.search("Braga", filters={"user_id": "ben"}), lambda: mine.add("x", user_id="ben"),
            lambda: mine.delete_all(user_id="ben"), lambda: mine.delete_users(user_id="ben"), mine.users, lambda: theirs.add("x", user_id="ben"),
            lambda: mine.get_all(filters={"OR": [{"user_id": "ana"}, {"user_id": "ben"}]}),
        ):  # fmt: skip
            told = failed(call)
            assert type(told).__name__ == "AuthenticationError" and told.details["error"] == "denied"
        for call in (
            lambda: theirs.get(id),
            lambda: theirs.history(id),
            lambda: theirs.delete(id),
            lambda: theirs.update(id, text="x"),
            lambda: theirs.feedback(id, "POSITIVE"),
        ):
            assert type(failed(call)).__name__ == "MemoryNotFoundError"
        event = mine.add("I live in Faro.", user_id="ana")["event_id"]
        assert server.http.get(f"/v1/event/{event}/", headers={"Authorization": f"Token {key}"}).json()["results"]
        refused(server.http.get(f"/v1/event/{event}/", headers={"Authorization": f"Token {bens}"}), 404)
        for n in range(3):
            mine.add(f"Room {n} is cold.", user_id="ana")
        assert mine.get_all(filters={"user_id": "ana"}, page=1, page_size=2)["count"] == 4, "a narrow key may count what it may list"
        mine.delete_all(user_id="ana")
        assert texts(theirs.get_all(filters={"user_id": "ben"})) == ["I live in Braga."]


def test_an_app_that_a_key_does_not_open_is_not_said_to_be_deleted(vault: Path) -> None:
    with MemOS.open(vault, embedder="none") as memory:
        memory.cube("shop").add("I sell figs.", user="ana")
    key = key_for(vault, "ana", Role.OWNER, user="ana")
    with serving(vault) as server:
        for app in ("shop", "absent"):
            answer = server.http.delete(f"/v2/entities/app/{app}/", headers={"X-API-Key": key})
            assert f"Cube {app} was refused" in refused(answer, 403), "whether it is there is not told"


@pytest.mark.parametrize("path", ["/v2/entities/user/ana/", "/v1/entities/user/ana/", "/entities/user/ana"])
def test_whom_no_cube_knows_deletes_nobody_and_is_told_so(vault: Path, path: str) -> None:
    with MemOS.open(vault, embedder="none") as memory:
        memory.cube("main").add("I live in Faro.", user="ana")
        _, key = memory.issue_key("nobody")
    with serving(vault) as server:
        assert "was refused" in refused(server.http.delete(path, headers={"X-API-Key": key}), 403)


def test_who_may_not_delete_in_one_of_several_apps_is_told_where_it_was_done(vault: Path) -> None:
    with MemOS.open(vault, embedder="none") as memory:
        memory.cube("attic").add("I live in Faro.", user="ana")
        memory.cube("shop").add("I sell figs.", user="ana")
        memory.grant("boss", Role.READER, cube="attic")
        memory.grant("boss", Role.OWNER, cube="shop")
    key = key_for(vault, "boss", Role.READER)
    with serving(vault) as server:
        told = refused(server.http.delete("/v2/entities/user/ana/", headers={"X-API-Key": key}), 403)
        assert "on cube main was refused" in told and told.endswith("in shop it was.")
        left = {
            app: client_of(server, key).get_all(filters={"user_id": "ana", "app_id": app})["count"] for app in ("main", "attic", "shop")
        }
        assert left == {"main": 1, "attic": 1, "shop": 0}


def test_a_wrong_key_makes_no_client(vault: Path) -> None:
    with serving(vault) as server:
        with pytest.raises(ValueError, match="loci key"):
            client_of(server, "loci_AAAA_BBBB")
        answer = server.http.get("/v1/ping/")
        assert "Say who you are" in refused(answer, 401) and answer.headers["www-authenticate"]
        refused(server.http.post("/search", json={"query": "x"}, headers={"X-API-Key": "nobody"}), 401)


def test_a_failing_store_is_an_error_and_never_nothing(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "broken.loci").write_bytes(b"not a database at all, but long enough to be one" * 100)
    with serving(tmp_path / "vault", "--open") as server:
        client = client_of(server)
        for call in (
            lambda: client.search("x", filters={"user_id": "a", "app_id": "broken"}), lambda: client.get_all(filters={"app_id": "broken"}),
            lambda: client.add("x", user_id="a", app_id="broken"), lambda: client.get("absent"), lambda: client.history("absent"), client.users,
        ):  # fmt: skip
            told = failed(call)
            assert told.debug_info["status_code"] == 500 and told.details["error"] == "corrupt" and "broken" in str(told)


# -- what the client does not send ---------------------------------------------------------------------------------------------


def test_the_same_addition_with_the_same_key_is_one(server: Server) -> None:
    asked = {"messages": [{"role": "user", "content": "The well is deep."}], "user_id": "once"}
    one, two = (server.http.post("/v3/memories/add/", json=asked, headers={"Idempotency-Key": "k1"}).json() for _ in range(2))
    assert one == two and len(server.http.get("/memories", params={"user_id": "once"}).json()["results"]) == 1
    assert "another call" in refused(
        server.http.post("/v3/memories/add/", json={**asked, "user_id": "twice"}, headers={"Idempotency-Key": "k1"}), 409
    )
    assert "takes none" in refused(server.http.delete("/memories", params={"user_id": "once"}, headers={"Idempotency-Key": "k2"}), 422)


def test_twenty_at_once_with_the_same_key_are_one_addition(server: Server) -> None:
    asked = {
        "messages": [{"role": "user", "content": "The lake is deep."}, {"role": "assistant", "content": "Very deep."}],
        "user_id": "twenty",
    }
    with ThreadPoolExecutor(20) as several:
        told = list(
            several.map(lambda _: server.http.post("/v3/memories/add/", json=asked, headers={"Idempotency-Key": "k20"}).text, range(20))
        )
    assert len(set(told)) == 1 and texts(json.loads(told[0])) == ["The lake is deep.", "Very deep."]
    assert server.http.get("/memories", params={"user_id": "twenty"}).json()["total"] == 2


def test_the_key_of_another_write_is_no_event(server: Server) -> None:
    id = server.http.post("/memories", json={"messages": "The barn is red.", "user_id": "other"}).json()["results"][0]["id"]
    assert server.http.post("/api/cubes/main/forget", json={"id": id}, headers={"Idempotency-Key": "k3"}).status_code == 200
    assert "no event" in refused(server.http.get("/v1/event/k3/"), 404), "what was forgotten was not added"


def test_looking_for_an_app_does_not_make_it(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open") as server:
        client, about = client_of(server), {"user_id": "a", "app_id": "shop"}
        assert client.get_all(filters=about)["count"] == 0 and client.search("figs", filters=about)["results"] == []
        client.delete_all(**about)
        assert "no operator" in str(failed(lambda: client.get_all(filters={**about, "AND": [{"x": {"lik": 1}}]})))
        assert server.call("cubes")["items"] == ["main"]
        client.add("I sell figs.", **about)
        assert server.call("cubes")["items"] == ["main", "shop"]


def test_a_call_that_is_narrower_than_its_address_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open") as server:
        http, client = server.http, client_of(server)
        id = client.add("I sell figs.", user_id="ann")["results"][0]["id"]
        client.add("I buy figs.", user_id="bob")
        assert "no field 'user_id'" in refused(http.post("/reset", json={"user_id": "carl"}), 422)
        assert "no field 'app_id'" in refused(http.delete("/v2/entities/user/ann/", params={"app_id": "shop"}), 422)
        for method, path in (
            ("PUT", f"/v1/memories/{id}/"),
            ("PUT", f"/memories/{id}"),
            ("DELETE", f"/memories/{id}"),
            ("POST", "/v1/feedback/"),
        ):
            assert "no field 'user_id'" in refused(http.request(method, path, json={"text": "x", "user_id": "bob"} if method == "PUT" else {"user_id": "bob"}), 422)  # fmt: skip
        for path, body in (("?user_id=ann&user_id=bob", {}), ("?user_id=ann", {"userId": "bob"})):
            assert "give it once" in refused(http.request("DELETE", f"/v1/memories/{path}", json=body), 422)
        for path in ("/v1/memories/?user_id=*", "/v2/entities/user/*/"):
            assert "nobody's" in refused(http.delete(path), 422)
        assert {one["name"] for one in client.users()["results"]} == {"ann", "bob"}


def test_a_stroke_at_the_end_of_a_name_is_the_name_s(client: Any, server: Server) -> None:
    for name in ("stroke", "stroke/"):
        client.add(f"I am {name}.", user_id=name)
    assert server.http.delete("/entities/user/stroke%2F").status_code == 200
    assert texts(client.get_all(filters={"user_id": "stroke"})) == ["I am stroke."]
    assert client.get_all(filters={"user_id": "stroke/"})["count"] == 0


def test_addresses_of_earlier_clients(server: Server) -> None:
    http = server.http
    id = http.post("/v1/memories/", json={"messages": [{"role": "user", "content": "Tea is at five."}], "user_id": "old"}).json()[
        "results"
    ][0]["id"]
    for path, asked in (("/v1/memories/search/", {"user_id": "old", "limit": 3}), ("/v2/memories/search/", {"filters": {"user_id": "old"}, "top_k": 3}), ("/v3/memories/search", {"filters": {"userId": "old"}})):  # fmt: skip
        assert texts(http.post(path, json={"query": "When is tea?", **asked}).json()) == ["Tea is at five."], path
    assert texts(http.post("/v2/memories/", json={"filters": {"user_id": "old"}, "page": 1, "page_size": 1}).json()) == ["Tea is at five."]
    assert texts(http.get("/v1/memories/", params={"user_id": "old", "page_size": 1}).json()) == ["Tea is at five."]
    assert http.get(f"/v1/memories/{id}").json()["id"] == id


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("POST", "/v3/memories/add/", {"user_id": "a"}, 422, "messages"), ("POST", "/v3/memories/add/", {"messages": "x"}, 422, "user_id"),
        ("POST", "/v3/memories/search/", {"query": " ", "filters": {"user_id": "a"}}, 422, "query"), ("POST", "/v3/memories/search/", {"query": "x"}, 422, "at least one"),
        ("POST", "/v3/memories/search/", {"query": "x", "filters": "a", "metadata": {}}, 422, "object"), ("POST", "/v3/memories/", {"filters": {"user_id": "a"}, "page": 0}, 422, "begin at 1"),
        ("POST", "/v3/memories/", {"filters": {"user_id": "a", "AND": 5}, "start_date": "2024-01-01"}, 422, "AND"), ("POST", "/v3/memories/", {"filters": {"user_id": "a"}, "end_date": "soon"}, 422, "end_date"),
        ("DELETE", "/v1/memories/?filters=__import__('os')", {}, 422, "filters"), ("DELETE", "/v1/memories/", {}, 422, "at least one"), ("PATCH", "/v1/memories/x/", {}, 405, "GET, PUT, DELETE"),
        ("GET", "/v1/memories/x/y/z/", {}, 404, "from-mem0"), ("GET", "/v1/events/", {}, 501, "log"), ("POST", "/configure", {"llm": {}}, 501, "settings"), ("POST", "/auth/login", {}, 501, "loci key"),
        ("GET", "/api-keys", {}, 501, "loci key"), ("PUT", "/memories/absent", {"text": "x"}, 404, "not found"), ("GET", "/memories/absent", {}, 404, "not found"), ("GET", "/memories", {}, 422, "at least one"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_in_their_shape(
    server: Server, method: str, path: str, body: dict[str, Any], status: int, told: str
) -> None:
    assert told in refused(server.http.request(method, path, json=body), status)


DEEP = '{"a":' * 400 + "1" + "}" * 400


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("GET", "/v1/memories/?user_id=a&page=" + "1" * 5000, "", "page"), ("GET", "/memories?user_id=a&filters={[]:1}", "", "filters"), ("GET", "/memories?user_id=a&show_expired=no", "", "true or false"),
        ("POST", "/v3/memories/", '{"filters":' + '{"OR":[' * 400 + '{"user_id":"a"}' + "]}" * 400 + "}", "nested"), ("POST", "/search", '{"query":"x","user_id":"a","show_expired":"no"}', "true or false"),
        ("POST", "/v3/memories/add/", r'{"messages":"\ud800","user_id":"a"}', "surrogate"), ("POST", "/v3/memories/add/", r'{"messages":"x","user_id":"\ud800"}', "surrogate"),
        ("POST", "/v3/memories/add/", r'{"messages":"x","user_id":"a","metadata":{"\ud800":1}}', "metadata"), ("POST", "/v3/memories/add/", '{"messages":"x","user_id":"a","metadata":' + DEEP + "}", "nested"),
        ("POST", "/v1/exports/get/", json.dumps({"memory_export_id": base64.urlsafe_b64encode(b"[" * 100_000).decode()}), "no export's"),
    ],
    ids=range(10),
)  # fmt: skip
def test_odd_input_is_told_and_nothing_is_done(server: Server, method: str, path: str, body: str, told: str) -> None:
    answer = server.http.request(method, path, content=body)
    assert told in refused(answer, 413 if told == "nested" else 422)


def test_an_empty_key_is_no_key_of_everybody_s(server: Server) -> None:
    asked = {"messages": "The moat is dry.", "user_id": "keyless"}
    for key in ("", "k" * 5000):
        assert "1 to" in refused(server.http.post("/v3/memories/add/", json=asked, headers={"Idempotency-Key": key}), 422)
    assert server.http.get("/memories", params={"user_id": "keyless"}).json()["total"] == 0


def test_a_body_that_is_no_object_and_a_page_of_elsewhere(server: Server) -> None:
    assert "JSON" in refused(server.http.post("/search", content=b"{"), 422)
    assert "evil" in refused(server.http.post("/search", json={}, headers={"Origin": "http://evil.example"}), 403)
    assert server.http.post("/api/cubes/main/serch", json={}).headers["content-type"] == "application/problem+json", "elsewhere it is ours"


def test_a_life_of_a_memory_at_the_addresses_of_their_server(server: Server) -> None:
    http = server.http
    asked = {"messages": [{"role": "user", "content": "I am allergic to nuts."}], "user_id": "self", "metadata": {"topic": "health"}}
    (new,) = http.post("/memories", json=asked).json()["results"]
    assert texts(http.get("/memories", params={"user_id": "self"}).json()) == ["I am allergic to nuts."]
    assert http.get(f"/memories/{new['id']}").json().keys() == ITEM - {"categories"}
    assert texts(http.post("/search", json={"query": "nuts", "user_id": "self", "top_k": 1, "threshold": 0}).json()) == [
        "I am allergic to nuts."
    ]
    assert http.put(f"/memories/{new['id']}", json={"text": "I am allergic to figs."}).json() == {"message": "Memory updated successfully!"}
    assert [row["event"] for row in http.get(f"/memories/{new['id']}/history").json()] == ["ADD", "UPDATE"]
    assert {"id": "self", "type": "user", "total_memories": 1}.items() <= next(
        one for one in http.get("/entities").json() if one["id"] == "self"
    ).items()
    http.delete(f"/memories/{new['id']}")
    refused(http.get(f"/memories/{new['id']}"), 404)
    http.post("/memories", json=asked)
    assert http.delete("/entities/user/self").json()["message"]
    http.post("/memories", json=asked)
    assert http.delete("/memories", params={"user_id": "self"}).json() == {"message": "Memories deleted successfully!"}
    assert http.get("/memories", params={"user_id": "self"}).json()["results"] == []


def test_their_server_s_reset_is_the_owner_s(vault: Path) -> None:
    owner, reader = key_for(vault, "boss", Role.OWNER), key_for(vault, "ana", Role.CURATOR, user="ana")
    with serving(vault) as server:
        refused(server.http.post("/reset", headers={"X-API-Key": reader}), 403)
        assert server.http.post("/reset", headers={"X-API-Key": owner}).json() == {"message": "All memories reset"}
        assert client_of(server, owner).users()["results"] == []


def test_every_address_comes_before_the_proxy(tmp_path: Path) -> None:
    """Without an upstream what reaches the proxy is 503: none of these does, by any method."""
    with serving(tmp_path / "vault", "--open") as server:
        for path in ROUTES:
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                answer = server.http.request(method, re.sub(r"\{.*?\}", "x", path))
                assert answer.status_code != 503 and answer.headers["content-type"] == "application/json", (method, path)
        assert server.http.get("/v1/models").status_code == 503


def test_the_blocks_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL))
    assert 'MemoryClient(api_key=KEY, host="http://127.0.0.1:8377")' in blocks
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path / "vault", "--open") as server:
        exec(compile(blocks.replace("http://127.0.0.1:8377", server.url), str(PAGE), "exec"), {"__name__": "page", "KEY": "any"})
