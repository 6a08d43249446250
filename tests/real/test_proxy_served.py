"""The proxy as people run it: `loci serve --upstream` as a process, with keys, ended by an interrupt; and the page about it."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="what serves is not installed: pip install 'loci-memos[serve]'")
pytest.importorskip("openai", reason="the clients are not installed: pip install 'loci-memos[dev]'")

import openai
from scripted_models import Models, Script
from served import serving

from loci import MemOS
from loci.types import Role

PAGE = Path(__file__).parents[2] / "docs/how-to/proxy.md"
URL = "http://127.0.0.1:8377"


@pytest.fixture
def models() -> Iterator[Models]:
    with Models() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def words(vault: Path, user: str | None = "ann") -> list[str]:
    with MemOS.open(vault, embedder="none", background=False) as memory:
        return [found.text for found in memory.cube("main").list(user=user) if found.part.value == "turn"]


def test_the_python_blocks_of_the_page_run_against_a_server(tmp_path: Path, models: Models, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    assert len(blocks) == 3 and all(URL in block or "client." in block for block in blocks)
    with serving(tmp_path / "vault", "--open", "--upstream", models.url) as server:
        places = {"__name__": "page"}
        for block in blocks:
            exec(compile(block.replace(URL, server.url), str(PAGE), "exec"), places)
            time.sleep(0.5)
    told, answer = capsys.readouterr().out.splitlines()
    assert told.startswith("recalled=") and "recalled=0" not in told and answer == "Noted."
    assert "I moved to Porto in March." in models.calls[1].raw.decode()
    assert words(tmp_path / "vault").count("I moved to Porto in March.") == 1


def test_with_keys_each_application_has_its_own_memory_and_the_servers_key_stays_here(tmp_path: Path, models: Models) -> None:
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.cube("main").add("I live in Ghent.", user="bob")
        memory.grant("app", Role.WRITER, cube="main", user="ann")
        _, key = memory.issue_key("app")
    with serving(
        tmp_path / "vault", key=key, LOCI_UPSTREAM=models.url, LOCI_UPSTREAM_KEY_VARIABLE="SECRET", SECRET="sk-of-the-server"
    ) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)
        common = {"model": "m", "messages": [{"role": "user", "content": "Where do I live?"}]}
        mine = client.chat.completions.with_raw_response.create(**common, user="ann")
        theirs = client.chat.completions.with_raw_response.create(**common, user="bob")
        assert mine.headers["x-loci-memory"].startswith("recalled=") and theirs.headers["x-loci-memory"] == "failed; code=denied"
        assert [model.id for model in client.models.list()] == ["m"]
        with pytest.raises(openai.AuthenticationError, match="loci key"):
            client.with_options(api_key="sk-something-else").chat.completions.create(**common)
        own = client.with_options(api_key="sk-of-the-client", default_headers={"X-Loci-Key": key})
        own.chat.completions.create(**common, user="ann")
    assert [call.headers["authorization"] for call in models.calls] == [*["Bearer sk-of-the-server"] * 3, "Bearer sk-of-the-client"]
    sent = "".join(f"{call.headers}{call.raw!r}" for call in models.calls)
    assert key not in sent and key.split(".")[2] not in sent and "Ghent" not in sent
    assert words(tmp_path / "vault") == ["Where do I live?", "Noted."] and words(tmp_path / "vault", "bob") == ["I live in Ghent."]


SECRET = "My safe opens with 4711."
FOLLOWING = {
    "as the client says it": '{"model": "m", "input": "What did I say?", "previous_response_id": "resp_of_ann"}',
    "as another spelling of JSON": '{"model": "m", "input": "What did I say?", "previous\\u005fresponse_id": "resp\\u005fof_ann"}',
    "twice": '{"model": "m", "input": "What did I say?", "previous_response_id": "resp_of_ann", "previous_response_id": null}',
    "as a conversation": '{"model": "m", "input": "What did I say?", "conversation": "conv_of_ann"}',
    "as an object": '{"model": "m", "input": "What did I say?", "conversation": {"id": "conv_of_ann", "id": "x"}}',
    "in a stream": '{"model": "m", "input": "What did I say?", "stream": true, "previous_response_id": "resp_of_ann"}',
}


@pytest.mark.parametrize("memory_of", ["the same user", "users of their own"])
def test_nobody_goes_on_from_an_answer_that_another_was_given(tmp_path: Path, models: Models, memory_of: str) -> None:
    """What upstream keeps is one account's: a name out of a log would open it."""
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.cube("main")
        keys = {}
        for name in ("ann", "bob"):
            memory.grant(name, Role.WRITER, cube="main", user="both" if memory_of == "the same user" else name)
            keys[name] = memory.issue_key(name, user="both" if memory_of == "the same user" else name)[1]
    models.scripts = [Script("Noted.", id="resp_of_ann"), Script("In a conversation.", id="resp_2"), Script("It is 4711.", id="resp_3")]
    settings = {
        "LOCI_UPSTREAM": models.url,
        "LOCI_UPSTREAM_KEY_VARIABLE": "SECRET",
        "SECRET": "sk-of-the-server",
        "LOCI_CACHE": str(tmp_path / "cache"),
    }
    with serving(tmp_path / "vault", **settings) as server:
        ann, bob = (openai.OpenAI(base_url=f"{server.url}/v1", api_key=keys[name], max_retries=0) for name in ("ann", "bob"))
        first = ann.responses.create(model="m", input=SECRET, extra_headers={"X-Loci-Memory": "off"})
        ann.responses.create(model="m", input="And I said:", conversation="conv_of_ann")
    with serving(tmp_path / "vault", **settings) as server:  # after a restart, too
        ann, bob = (openai.OpenAI(base_url=f"{server.url}/v1", api_key=keys[name], max_retries=0) for name in ("ann", "bob"))
        with pytest.raises(openai.NotFoundError, match="no answer"):
            bob.responses.create(model="m", input="What did I say?", previous_response_id=first.id)
        for headers in ({}, {"X-Loci-Memory": "off"}):
            for body in FOLLOWING.values():
                answer = server.http.post("/v1/responses", content=body, headers={"Authorization": f"Bearer {keys['bob']}", **headers})
                assert answer.status_code == 404 and answer.json()["error"]["type"] == "invalid_request_error", body
        own = {"Authorization": "Bearer sk-anything", "X-Loci-Key": keys["bob"]}
        assert server.http.get("/v1/responses/resp_of_ann", headers=own).status_code == 404
        assert len(models.calls) == 2, "nothing of it went on"
        assert ann.responses.create(model="m", input="What did I say?", previous_response_id=first.id).output_text == "It is 4711."
        bob.responses.create(model="m", input="Hello.", previous_response_id="resp_of_nobody")
        assert models.calls[-1].body["previous_response_id"] == "resp_of_nobody", "what is not known is upstream's to refuse"
    kept = b"".join(file.read_bytes() for file in (tmp_path / "cache").rglob("answers/*.json"))
    assert kept and b"ann" not in kept


def test_an_interrupt_ends_no_answer_and_what_was_said_is_kept(tmp_path: Path, models: Models) -> None:
    gate = threading.Event()
    models.scripts = [Script("You told me that you live in Porto by the river.", gate=gate)]
    with serving(tmp_path / "vault", "--open", LOCI_ENDPOINT=models.url) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        stream = client.chat.completions.create(
            model="m", user="ann", stream=True, messages=[{"role": "user", "content": "Where do I live?"}]
        )
        first = next(chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        gate.set()
        rest = [chunk.choices[0].delta.content or "" for chunk in stream]
        assert first + "".join(rest) == models.scripts[0].words
        server.process.wait(30)
    assert words(tmp_path / "vault") == ["Where do I live?", models.scripts[0].words]


def test_without_an_upstream_the_rest_is_served_and_v1_says_what_is_missing(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open") as server:
        told = server.http.post("/v1/chat/completions", json={})
        assert told.status_code == 503 and "--upstream" in told.json()["detail"] and told.headers["retry-after"]
        assert server.http.get("/health/ready").status_code == 200


@pytest.mark.parametrize("url", ["api.openai.com", "http://user:secret@x/v1"])
def test_an_upstream_that_is_no_address_is_said_at_once(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    from loci.cli import run

    assert run(["serve", "--open", "--port", "0", "--vault", str(tmp_path / "vault"), "--upstream", url]) == 2
    told = capsys.readouterr().err
    assert "upstream" in told and "secret" not in told
