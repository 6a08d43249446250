"""No egress: in every process of the tests, a connection to anything but this machine is refused, written down, and fails the run, whoever
swallows the refusal. A pytest plugin; `sitecustomize` beside it brings the watch to the processes that tests start."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest import Session

LEDGER = "TESTS_EGRESS_LEDGER"  # the environment variable with the file in which attempts are written down
TO = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}  # the address among the arguments of the event
NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
HERE = re.compile(r"|localhost|ip6-localhost|::1?|0\.0\.0\.0|(?:::ffff:)?127(?:\.[0-9]{1,3}){3}", re.IGNORECASE)


def is_here(host: object) -> bool:
    """Whether a host is this machine."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    return name is None or (isinstance(name, str) and HERE.fullmatch(name) is not None)


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: what Python is about to do."""
    if event in TO:
        address = arguments[TO[event]]
        host = address[0] if isinstance(address, tuple) else None  # a path of a Unix socket, or none of a connected one
    elif event in NAMES:
        host = arguments[0]
    else:
        return
    if not is_here(host):
        with open(os.environ[LEDGER], "a") as ledger:
            ledger.write(f"{event} {host!r} in {' '.join(sys.argv)[:200]}\n")
        raise ConnectionRefusedError(f"the tests let nothing out: {event} {host!r}")


def begin() -> None:
    """Watches this process and those that it starts."""
    if LEDGER not in os.environ:
        handle, os.environ[LEDGER] = tempfile.mkstemp(prefix="loci-egress-")
        os.close(handle)
    here = str(Path(__file__).parent)
    others = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder and folder != here]
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *others])
    if not hasattr(sys, "_loci_is_watched"):
        sys._loci_is_watched = True  # type: ignore[attr-defined]
        sys.addaudithook(watch)


def pytest_configure() -> None:
    begin()


def pytest_sessionfinish(session: Session) -> None:
    """The run fails if anything tried to get out."""
    ledger = Path(os.environ[LEDGER])
    attempts = ledger.read_text() if ledger.exists() else ""
    if attempts:
        session.exitstatus = 1
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"\nFAILED: something tried to connect elsewhere:\n{attempts}", red=True)
    ledger.unlink(missing_ok=True)
