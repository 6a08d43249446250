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
    for block in re.findall(r"^```(?:sh|bash)?\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    if re.search(r"^curl ", block, re.MULTILINE)
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
    assert [page for page, _ in CALLS] == ["docs/how-to/server.md"], "say below what a further page's calls are to answer"


def test_each_call_of_a_page_is_answered(tmp_path: Path) -> None:
    ((_, block),) = CALLS
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.cube("main")
        memory.grant("app", "writer", cube="main")  # the page's own lines for this run in tests/docs/test_lines.py
        key = memory.issue_key("app")[1]
    with serving(tmp_path / "vault") as server:
        script = block.replace("http://127.0.0.1:8377", server.url).replace("curl -s ", "curl --silent --show-error --fail-with-body ")
        script = f"set -euo pipefail\n{script}"
        done = subprocess.run(["bash", "-c", script], env=environment(KEY=key), capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        added, found = answers(done.stdout)
        assert found["ids"] == added["ids"] and "I live in Porto." in found["text"]
        refused = subprocess.run(["bash", "-c", script], env=environment(KEY="wrong"), capture_output=True, text=True, timeout=SECONDS)
        assert refused.returncode == 22 and answers(refused.stdout)[0]["status"] == 401
