"""A vault that was open at a fork belongs to the process that opened it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loci import MemOS

FORKS = """
import os, sys
from loci import MemOS
from loci.errors import Unavailable
memory = MemOS.open(sys.argv[1], embedder="none", background=False)
cube = memory.cube("a")
cube.add("Said by the parent.")
read, write = os.pipe()
if not os.fork():
    os.read(read, 1)
    try:
        cube.add("Said by the child.")
        print("acknowledged", flush=True)
    except Unavailable as error:
        print(error, flush=True)
    cube._store.close()
    try:
        with MemOS.open(sys.argv[1], embedder="none", background=False) as own:
            own.cube("a").add("Said by the child, to a vault of its own.")
        print("acknowledged", flush=True)
    except Unavailable as error:
        print(error, flush=True)
    with MemOS.open(sys.argv[3], embedder="none", background=False) as other:
        other.cube("a").add("Said by the child, elsewhere.")
    os._exit(0)
if sys.argv[2] == "closed":
    memory.close()
os.write(write, b"x")
os.wait()
memory.close()
"""


ENDS = """
import os, sys
from loci import MemOS
cube = MemOS.open(sys.argv[1], embedder="none").cube("a")
cube.add("Said by the parent.")
cube.list()
cube._scheduler._waking.acquire()  # as another thread of the parent may
child = os.fork()
if child == 0:
    sys.exit(7)
cube._scheduler._waking.release()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_that_ends_closes_nothing_of_its_parents(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ENDS, str(tmp_path / "vault")], capture_output=True, text=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == ("7\n", "")
    with MemOS.open(tmp_path / "vault", embedder="none", background=False) as memory:
        assert [record.detail["verb"] for record in memory.cube("a").log(verb="read")] == ["list"]


@pytest.mark.parametrize("parent", ["closed", "open"])
def test_a_vault_that_was_open_at_a_fork_takes_no_words_in_the_child(tmp_path: Path, parent: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path / "vault"), parent, str(tmp_path / "other")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (
        "was opened by another process; open the vault after the fork" in done.stdout and "fork before the vault is opened" in done.stdout
    )
    assert "acknowledged" not in done.stdout
    for vault, text in (("vault", "Said by the parent."), ("other", "Said by the child, elsewhere.")):
        with MemOS.open(tmp_path / vault, embedder="none", background=False) as memory:
            assert [found.text for found in memory.cube("a").list()] == [text] and memory.cube("a").verify().is_clean
