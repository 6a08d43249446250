"""The TypeScript client, built from the OpenAPI document and run by node against a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from served import environment, serving

from loci import MemOS

CLIENT = Path(__file__).parents[2] / "clients" / "typescript"
SECONDS = 300

pytestmark = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm on this machine"),
    pytest.mark.skipif(
        not (CLIENT / "node_modules").exists(), reason="clients/typescript/node_modules is not there: `npm ci` there brings it"
    ),
]


def run(*command: str, folder: Path, **named: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(**named), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, built anew from what the code says now."""
    folder = tmp_path_factory.mktemp("client")
    for name in ("src", "test", "package.json", "tsconfig.json", "generate.mjs"):
        there = CLIENT / name
        shutil.copytree(there, folder / name) if there.is_dir() else shutil.copy(there, folder / name)
    (folder / "node_modules").symlink_to(CLIENT / "node_modules")
    (folder / "openapi.json").write_text(run("python", "-m", "loci", "serve", "--describe", folder=folder, PATH=path()))
    run("npm", "run", "build", folder=folder)
    return folder


def path() -> str:
    """With the Python that runs these tests first."""
    import sys

    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def test_the_client_does_what_the_server_does(built: Path, tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "locked", embedder="none") as memory:
        memory.cube("main").add("I live in Braga.", user="ann")
        memory.grant("ann", "reader", cube="main", user="ann")
        key = memory.issue_key("ann")[1]
    with serving(tmp_path / "open", "--open") as server, serving(tmp_path / "locked") as locked:
        told = run("node", "--test", "test/", folder=built, LOCI_TEST_URL=server.url, LOCI_TEST_LOCKED=locked.url, LOCI_TEST_KEY=key)
    assert "# fail 0" in told and "# pass 10" in told, told


def test_a_wrong_field_does_not_compile(built: Path) -> None:
    wrong = built / "src" / "wrong.ts"
    wrong.write_text(
        'import { connect } from "./index.js";\n'
        'const cube = connect("http://127.0.0.1:1").cube("main");\n'
        'export const right = async () => (await cube.search({ question: "x" })).text.length;\n'
        'export const wrong = () => cube.search({ qestion: "x" });\n'
    )
    done = subprocess.run(["npx", "tsc", "--noEmit"], cwd=built, capture_output=True, text=True, timeout=SECONDS)
    wrong.unlink()
    assert done.returncode != 0 and "qestion" in done.stdout and done.stdout.count("error TS") == 1, done.stdout


def test_the_block_of_the_page_compiles_and_runs(built: Path, tmp_path: Path) -> None:
    page = (CLIENT.parents[1] / "docs" / "how-to" / "server.md").read_text("utf-8")
    (block,) = re.findall(r"```ts\n(.*?)```", page, re.DOTALL)
    with MemOS.open(tmp_path / "vault", embedder="none") as memory:
        memory.cube("main")
        memory.grant("app", "writer", cube="main")
        key = memory.issue_key("app")[1]
    with serving(tmp_path / "vault") as server:
        block = block.replace('"loci-memos"', '"./index.js"').replace("http://127.0.0.1:8377", server.url)
        (built / "src" / "page.ts").write_text(f"const key = {json.dumps(key)};\n{block}\nconsole.log(text);\n")
        run("npx", "tsc", folder=built)
        assert "I live in Porto." in run("node", "dist/page.js", folder=built)
