"""Spans of `loci serve`, as a collector gets them over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")
pytest.importorskip("opentelemetry.sdk", reason="what traces is not installed: pip install 'loci-memos[otel]'")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from served import SECONDS, environment, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An address, and what came to it: paths and bodies."""
    came: list[tuple[str, bytes]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """It says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", came
        finally:
            listening.shutdown()


def test_a_collector_gets_a_span_a_request_without_words(tmp_path: Path) -> None:
    with collector() as (url, came):
        with serving(tmp_path / "vault", "--open", LOCI_TRACES=url) as server:
            server.call("cubes/secretname/add", messages="The code word is mandragora.", user="zenobia")
            server.http.headers["traceparent"] = f"00-{TRACE}-00f067aa0ba902b7-01"
            server.fails("cubes/secretname/get", 404, id="mandragora")
        assert {path for path, _ in came} == {"/v1/traces"}
        bodies = [body for _, body in came]
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    told = {span.name: {one.key: one.value.int_value or one.value.string_value for one in span.attributes} for span in spans}
    assert told == {
        "add": {"loci.verb": "add", "http.request.method": "POST", "http.response.status_code": 200},
        "get": {"loci.verb": "get", "http.request.method": "POST", "http.response.status_code": 404},
    }
    assert [span.trace_id.hex() == TRACE for span in spans] == [False, True], "in the trace of who traces too"
    assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in spans)
    assert not any(word in body for body in bodies for word in (b"secretname", b"zenobia", b"mandragora"))


def test_a_collector_that_is_not_there_costs_no_answer(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open", LOCI_TRACES="http://127.0.0.1:9") as server:
        assert server.call("cubes/main/add", messages="The garden is large.")["ids"]
        began = time.monotonic()
    assert time.monotonic() - began < 6, "nor does the end wait longer than for one sending"


def test_without_the_setting_nothing_of_it_is_read() -> None:
    looked = "import sys, loci.server.app, loci.cli.serve; sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", looked], env=environment(), timeout=SECONDS).returncode == 0


@pytest.mark.parametrize(("url", "code", "told"), [("localhost:4318", 2, "address of a collector"), ("http://x", 8, "loci-memos[otel]")])
def test_what_cannot_be_is_told_at_the_start(tmp_path: Path, url: str, code: int, told: str) -> None:
    """The second where the packages are missing."""
    hidden = tmp_path / "hidden" / "opentelemetry" / "sdk"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('no opentelemetry.sdk')")
    (hidden.parent / "__init__.py").write_text("")
    command = [sys.executable, "-m", "loci", "serve", "--vault", str(tmp_path / "v"), "--open", "--port", "0"]
    named = environment(LOCI_TRACES=url)
    if code == 8:
        named["PYTHONPATH"] = f"{hidden.parent.parent}:{named.get('PYTHONPATH', '')}"
    done = subprocess.run(command, env=named, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == code and told in done.stderr, done.stderr
