"""The calls of curl on the pages, made by curl to a real server, with a key."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from served import SECONDS, environment, serving

from loci import MemOS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CALLS = [
    (str(page.relative_to(ROOT)), block)
    for page in PAGES
    for language, block in re.findall(r"^```([^\n`]*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    if language in ("", "sh", "bash") and re.search(r"^curl ", block, re.MULTILINE)
]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")


def answers(text: str) -> list[dict[str, Any]]:
    """JSON documents one after another."""
    found, rest = [], text.lstrip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found.append(document)
        rest = rest[end:].lstrip()
    return found


def test_there_are_calls() -> None:
    assert [page for page, _ in CALLS] == ["README.md", "docs/how-to/server.md"], "say below what a further page's calls are to answer"


@pytest.mark.parametrize(("page", "block"), CALLS, ids=[page for page, _ in CALLS])
def test_the_calls_of_a_page_are_answered(page: str, block: str, tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.cube("main")
        memory.grant("app", "writer", cube="main")  # lines of loci run in tests/docs/test_lines.py
        key = memory.issue_key("app")[1]
    calls = "".join(line for line in block.splitlines(keepends=True) if not line.startswith("loci "))
    with serving(tmp_path / "vault", *(["--open"] if "loci serve --open" in block else [])) as server:
        script = calls.replace("http://127.0.0.1:8377", server.url).replace("curl -s ", "curl --silent --show-error --fail-with-body ")
        added, found = answers(curled(script, key, 0))
        assert found["ids"] == added["ids"] and len(found["ids"]) == 1 and found["text"]
        if "$KEY" in block:
            assert answers(curled(script, "wrong", 22))[0]["status"] == 401


def curled(script: str, key: str, code: int) -> str:
    """What the calls print."""
    command = ["bash", "-c", f"set -euo pipefail\n{script}"]
    done = subprocess.run(command, env=environment(KEY=key), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout
