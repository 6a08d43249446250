"""`loci serve --processes`: several processes at one port are one server."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from served import SECONDS, Server, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes at one port need Linux")
COUNT = 3


def processes(server: Server) -> list[int]:
    """Those that the first one began."""
    return [int(pid) for pid in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ended(pids: list[int]) -> bool:
    until = time.monotonic() + SECONDS
    while any(map(is_there, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(is_there, pids))


def answered_by(server: Server) -> None:
    """Enough connections that each process has had some."""
    for _ in range(40):
        assert httpx.get(f"{server.url}/health/ready", timeout=SECONDS).json()["status"] == "ready"


def test_what_one_was_told_another_knows_and_a_key_is_done_once(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open", "--processes", str(COUNT)) as server:
        assert len(processes(server)) == COUNT - 1
        assert (tmp_path / "serve.log").read_text().count(f"serving {tmp_path / 'vault'} at {server.url} ") == 1

        def add(number: int) -> str:
            body, key = {"messages": f"The kettle number {number % 10} is blue.", "user": "ann"}, {"Idempotency-Key": f"k{number % 10}"}
            answer = httpx.post(f"{server.url}/api/cubes/main/add", json=body, headers=key, timeout=SECONDS)  # a connection of its own
            assert answer.status_code == 200, answer.text
            return str(answer.json()["ids"])

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(add, range(40)))
        assert len(set(ids)) == 10
        for _ in range(12):
            found = httpx.post(f"{server.url}/api/cubes/main/list", json={"user": "ann"}, timeout=SECONDS).json()["items"]
            assert len(found) == 10
        metrics = [httpx.get(f"{server.url}/metrics", timeout=SECONDS).text for _ in range(12)]
        assert all('loci_requests_total{status="200",verb="add"} 40.0' in text for text in metrics)
        assert all("loci_requests_waiting" in text for text in metrics)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_of_the_first_ends_all(tmp_path: Path, how: signal.Signals) -> None:
    with serving(tmp_path / "vault", "--open", "--processes", str(COUNT)) as server:
        answered_by(server)
        begun = processes(server)
        server.process.send_signal(how)
        assert server.process.wait(SECONDS) == 0 and ended(begun)


def test_a_terminal_interrupts_all_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open", "--processes", str(COUNT)) as server:
        answered_by(server)
        begun = processes(server)
        for pid in (server.process.pid, *begun):
            os.kill(pid, signal.SIGINT)
        assert server.process.wait(SECONDS) == 0 and ended(begun)


def test_where_one_is_killed_all_end_and_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ended with -9"), serving(tmp_path / "vault", "--open", "--processes", str(COUNT)) as server:
        answered_by(server)
        begun = processes(server)
        os.kill(begun[0], signal.SIGKILL)
        assert server.process.wait(SECONDS) != 0 and ended(begun)


def test_where_the_first_is_killed_none_is_left(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), serving(tmp_path / "vault", "--open", "--processes", str(COUNT), TMPDIR=str(tmp_path)) as server:
        answered_by(server)
        begun = processes(server)
        server.process.kill()
    assert ended(begun)


def test_a_port_that_is_shared_is_taken_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open", "--processes", "2") as server:
        port = server.url.rpartition(":")[2]
        with (
            pytest.raises(AssertionError, match="cannot be had"),
            serving(tmp_path / "other", "--open", "--processes", "2", "--port", port),
        ):
            pass


def test_how_many_is_checked(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="from 1 to 64"), serving(tmp_path / "vault", "--open", "--processes", "0"):
        pass


def test_nothing_of_the_counting_is_left(tmp_path: Path) -> None:
    with serving(tmp_path / "vault", "--open", "--processes", "2", TMPDIR=str(tmp_path)) as server:
        answered_by(server)
        assert list(tmp_path.glob("loci-meters-*"))
    assert not list(tmp_path.glob("loci-meters-*"))


def test_a_start_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "vault").write_text("no folder")
    with (
        pytest.raises(AssertionError, match="is a file"),
        serving(tmp_path / "vault", "--open", "--processes", str(COUNT), TMPDIR=str(tmp_path)),
    ):
        pass
    assert "Traceback" not in (tmp_path / "serve.log").read_text() and not list(tmp_path.glob("loci-meters-*"))
