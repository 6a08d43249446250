"""T20: nothing gets out of the tests, and nothing that tries goes unseen."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import egress
import pytest

TRIES = {
    "an address": "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
    "an address of six": "import socket; socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "a name": "import socket; socket.getaddrinfo('x.example', 80)",
    "a datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "a page": "import urllib.request; urllib.request.urlopen('http://x.example/', timeout=1)",
}
SWALLOWED = "try:\n    exec({!r})\nexcept OSError:\n    pass\n"


def run(arguments: list[str], ledger: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env={**os.environ, egress.LEDGER: str(ledger)}
    )


@pytest.mark.parametrize("way", TRIES)
def test_an_attempt_in_another_process_is_refused_and_written_down(tmp_path: Path, way: str) -> None:
    ended = run(["-c", SWALLOWED.format(TRIES[way])], tmp_path / "ledger", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert any(host in (tmp_path / "ledger").read_text() for host in ("192.0.2.1", "2001:db8::1", "x.example"))
    ended = run(["-c", TRIES[way]], tmp_path / "ledger", tmp_path)
    assert ended.returncode and "the tests let nothing out" in ended.stderr


def test_a_run_fails_over_an_attempt_that_was_swallowed(tmp_path: Path) -> None:
    inner = tmp_path / "test_inner.py"
    for body, code in ((f"exec({SWALLOWED.format(TRIES['an address'])!r})", 1), ("pass", 0)):
        inner.write_text(f"def test_inner():\n    {body}\n")
        ended = run(["-m", "pytest", "-q", "-p", "egress", "-p", "no:cacheprovider", str(inner)], tmp_path / "ledger", tmp_path)
        assert ended.returncode == code and "1 passed" in ended.stdout, ended.stdout
        assert ("192.0.2.1" in ended.stdout) == bool(code)


def test_this_machine_may_be_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("s")
        server.listen()
        client.connect("s")
    assert socket.getaddrinfo("localhost", 80)


@pytest.mark.parametrize(("host", "is_here"), [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), (None, True), (b"localhost", True), ("", True), ("128.0.0.1", False),
    ("127.evil.example", False), ("localhost.evil.example", False), ("10.0.0.1", False), ("169.254.169.254", False), ("x", False)])  # fmt: skip
def test_what_is_here(host: object, is_here: bool) -> None:
    assert egress.is_here(host) == is_here
