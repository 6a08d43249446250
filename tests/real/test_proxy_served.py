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
