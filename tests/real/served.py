"""`loci serve` as a process, for tests that meet it over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running server, its address, and a client of it that says who it is."""

    process: subprocess.Popen[str]
    url: str
    http: httpx.Client

    def call(self, path: str, **fields: Any) -> Any:
        """What a verb answers."""
        answer = self.http.post(f"/api/{path}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fails(self, path: str, status: int, **fields: Any) -> dict[str, Any]:
        """The problem that a verb answers with."""
        return problem(self.http.post(f"/api/{path}", json=fields), status)


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status and told["code"] and len(told["detail"]) > 20 and "Traceback" not in told["detail"]
    return told


def environment(**named: str) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("LOCI_")}, "LOCI_EMBEDDER": "none", **named}


@contextlib.contextmanager
def serving(vault: Path, *options: str, key: str | None = None, log: Path | None = None, **named: str) -> Iterator[Server]:
    """A server on a free port. It is ended by an interrupt, and must end well."""
    command = [sys.executable, "-m", "loci", "serve", "--vault", str(vault), "--port", "0", "--json", *options]
    with contextlib.ExitStack() as stack:
        err = stack.enter_context((log or vault.parent / "serve.log").open("w"))
        process = stack.enter_context(subprocess.Popen(command, env=environment(**named), stdout=subprocess.PIPE, stderr=err, text=True))
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (vault.parent / "serve.log").read_text()
            url = json.loads(line)["url"]
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            yield Server(process, url, stack.enter_context(httpx.Client(base_url=url, headers=headers, timeout=SECONDS)))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            code = process.wait(SECONDS)
        assert code == 0, Path(err.name).read_text()
