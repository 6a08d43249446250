"""`loci bench qa` end to end: a scripted model over real HTTP answers from what it is shown, and judges by the key."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loci.bench import qa
from loci.drivers import endpoint
from loci.drivers.openai import OpenAIChat
from loci.errors import Denied, Invalid, Unavailable

PLACES = ("Porto", "Ghent", "Oslo", "Turku", "Bergen", "Lyon")


class Scripted(ThreadingHTTPServer):
    """Answers with the place that the note of the asked person names, and is asked to judge by whether the key is in the answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, object]] = []
        self.keys: set[str | None] = set()
        self.failures: list[int] = []  # statuses to answer with first
        self.verdict: str | None = None
        self.elsewhere = ""  # where a redirect points to
        self.says_nothing = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.add(self.headers["Authorization"])
        if self.server.failures:
            self._reply(self.server.failures.pop(0), {"error": "as scripted"})
            return
        if self.server.elsewhere:
            self._reply(302, {}, self.server.elsewhere)
            return
        if self.server.says_nothing:
            self._reply(200, {"choices": [{"message": {"content": None}}]})
            return
        system, user = (message["content"] for message in body["messages"])
        said = self._judged(user) if "grade" in system else self._answered(user)
        self._reply(200, {"choices": [{"message": {"content": said}}]})

    def _answered(self, user: str) -> str:
        found = re.search(r"Question: Where does (\w+) live", user)
        place = found and re.search(rf"{found[1]}.* I live in (\w+)", user)
        return place[1] if place else "not mentioned"

    def _judged(self, user: str) -> str:
        key, answer = re.search(r"Key: (.*)\nAnswer: (.*)", user).groups()  # type: ignore[union-attr]
        return self.server.verdict or json.dumps({"label": "CORRECT" if key in answer else "WRONG"})

    def _reply(self, status: int, body: object, location: str = "") -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setattr(endpoint, "PAUSE_SECONDS", 0.01)
    with Scripted() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    turns = [
        {
            "id": f"t{n}",
            "session": n,
            "at": f"2026-01-{n + 1:02}T10:00:00",
            "speaker": f"Person{n}",
            "text": f"I live in {place}.",
            "caption": "",
        }
        for n, place in enumerate(PLACES)
    ]
    turns += [{**turns[0], "id": f"f{n}", "text": f"The weather was fine on day {n}, we walked for hours."} for n in range(40)]
    asked = [
        {
            "id": f"q{n}",
            "conversation": "c",
            "text": f"Where does Person{n} live?",
            "category": str(n % 2),
            "evidence": [f"t{n}"],
            "answer": place,
        }
        for n, place in enumerate(PLACES)
    ]
    asked.append({**asked[0], "id": "trap", "category": "trap"})
    asked.append({**asked[0], "id": "no key", "answer": ""})
    (folder / "conversations.jsonl").write_text(json.dumps({"id": "c", "speakers": [], "turns": turns}) + "\n", "utf-8")
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, asked)) + "\n", "utf-8")
    return folder


def ask(data: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loci", "bench", "qa", str(data), "--json", *options], capture_output=True, text=True, check=False,
        cwd=data, env={**os.environ, "LOCI_EMBEDDER": "none", **environment},
    )  # fmt: skip


def test_every_system_is_answered_and_judged_alike(data: Path, server: Scripted, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--endpoint", server.url, "--model", "scripted", "--without", "trap", "--runs", "2", "--report", str(out), "--budget", "60")
    done = ask(data, *options, OPENAI_API_KEY="secret-key")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["systems"]
    assert told["loci"]["accuracy"] == told["everything"]["accuracy"] == 1 and told["nothing"]["accuracy"] == 0
    assert all(row["questions"] == len(PLACES) and row["not judged"] == 0 for row in told.values())
    assert told["loci"]["by category"] == {"0": 1, "1": 1} and told["loci"]["F1"] == 1
    assert 0 < told["loci"]["context tokens"] <= 60 < told["everything"]["context tokens"] and told["nothing"]["context tokens"] == 0
    assert len(server.asked) == 2 * 2 * len(PLACES) * len(qa.SYSTEMS) + 1, "each answered and judged in both runs, and one test call"
    assert {body["temperature"] for body in server.asked} == {0} and server.keys == {"Bearer secret-key"}
    report = (out / "report.md").read_text("utf-8")
    assert "answered by: scripted" in report and "| loci | 100.0 ± 0.0 |" in report and qa.JUDGE in report
    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text("utf-8").splitlines()]
    assert len(answers) == 2 * len(PLACES) * len(qa.SYSTEMS) and all(a["key"] in PLACES for a in answers)
    assert "secret-key" not in done.stdout + done.stderr + report


def test_what_cannot_be_judged_is_wrong_and_counted(data: Path, server: Scripted) -> None:
    server.verdict = "I would say it is right."
    done = ask(data, "--endpoint", server.url, "--model", "scripted", "--runs", "1", "--systems", "loci", "--limit", "3")
    row = json.loads(done.stdout)["systems"]["loci"]
    assert (row["questions"], row["accuracy"], row["not judged"]) == (3, 0, 3)


def test_without_a_model_it_says_so(data: Path) -> None:
    done = ask(data)
    assert done.returncode == Unavailable.exit_code and "--endpoint" in done.stderr
    done = ask(data, "--endpoint", "http://127.0.0.1:1/v1", "--model", "m", "--systems", "magic")
    assert done.returncode == Invalid.exit_code and "magic" in done.stderr


def test_a_busy_endpoint_is_tried_again_and_a_refusal_is_not(server: Scripted) -> None:
    chat = OpenAIChat(server.url, "scripted", "k")
    server.failures = [503, 429]
    assert chat.complete("answer", "Question: Where does Ann live?") == "not mentioned" and len(server.asked) == 3
    server.failures = [401]
    with pytest.raises(Denied, match="key"):
        chat.complete("answer", "?")
    server.failures = [404]
    with pytest.raises(Invalid, match="model's name"):
        chat.complete("answer", "?")
    assert len(server.asked) == 5
    server.failures = [500] * endpoint.TRIES
    with pytest.raises(Unavailable, match="500"):
        chat.complete("answer", "?")
    with pytest.raises(Unavailable, match="Is it running"):
        OpenAIChat("http://127.0.0.1:1/v1", "m").complete("answer", "?")
    for url, name in (("localhost:80", "m"), ("http://x/v1", "")):
        with pytest.raises(Invalid):
            OpenAIChat(url, name)


def test_a_key_goes_nowhere_but_to_its_endpoint(server: Scripted) -> None:
    with Scripted() as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        server.elsewhere = other.url + "/chat/completions"
        with pytest.raises(Invalid, match="302"):
            OpenAIChat(server.url, "m", "secret-key").complete("answer", "?")
        assert not other.asked and not other.keys
        other.shutdown()
    assert "secret-key" not in repr(OpenAIChat(server.url, "m", "secret-key"))
    for key in ("secret-key\n", "sécret"):
        with pytest.raises(Invalid) as refused:
            OpenAIChat(server.url, "m", key)
        assert "cret" not in str(refused.value)


def test_an_answer_without_text_is_none(server: Scripted) -> None:
    server.says_nothing = True
    with pytest.raises(Unavailable, match="no text"):
        OpenAIChat(server.url, "m").complete("answer", "?")


def test_nothing_to_ask_is_said_and_a_key_of_nought_is_one(data: Path, server: Scripted) -> None:
    options = ("--endpoint", server.url, "--model", "m", "--runs", "1", "--systems", "nothing")
    done = ask(data, *options, "--without", "0", "--without", "1", "--without", "trap")
    assert done.returncode == Invalid.exit_code and "no question" in done.stderr
    asked = [json.loads(line) for line in (data / "questions.jsonl").read_text("utf-8").splitlines()]
    (data / "questions.jsonl").write_text(json.dumps({**asked[0], "answer": 0}) + "\n", "utf-8")
    assert json.loads(ask(data, *options).stdout)["systems"]["nothing"]["questions"] == 1


@pytest.mark.parametrize(
    ("answer", "key", "expected"),
    [
        ("the Red house", "red house!", 1.0),
        ("red", "red house", 2 / 3),
        ("blue", "red house", 0.0),
        ("", "red", 0.0),
        ("red red", "red", 2 / 3),
    ],
)
def test_f1_counts_shared_words(answer: str, key: str, expected: float) -> None:
    assert qa.f1(answer, key) == pytest.approx(expected)
