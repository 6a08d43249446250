"""The recipe of a container. There is no container engine to build it with here: what it copies, installs, runs and asks is read from it, and its command and its health
check are run in a fresh folder, from the files that it copies."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

import httpx
from served import SECONDS, environment

from loci.settings import load

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LINES = [line.partition(" ")[::2] for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if line and not line.startswith("#")]
PORT = "8377"


def given(instruction: str) -> list[str]:
    """What stands behind an instruction, wherever it does."""
    return [words for name, words in LINES if name == instruction]


def copied(folder: Path) -> Path:
    """The files that the recipe copies, where it copies them to below a folder; what git does not know is not taken."""
    for words in given("COPY"):
        *names, target = words.split()
        for name in names:
            place = folder / target.lstrip("/") / (name if target.endswith("/") else "")
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, place)
    return folder / "source"


def variables(folder: Path) -> Mapping[str, str]:
    """The environment of the container, with its volume in a folder."""
    (words,) = given("ENV")
    return {name: value.replace("/data", str(folder)) for name, _, value in (word.partition("=") for word in words.split())}


def checked(port: str, **named: str) -> int:
    """How the health check ends."""
    (words,) = given("HEALTHCHECK")
    python, *arguments = json.loads(words[words.index("CMD ") + 4 :])
    assert python == "python" and PORT in arguments[-1]
    done = subprocess.run(
        [sys.executable, *arguments[:-1], arguments[-1].replace(PORT, port)], env=environment(**named), capture_output=True, timeout=SECONDS
    )
    return done.returncode


def test_it_copies_what_the_package_is_made_of_and_no_more() -> None:
    names = {name for words in given("COPY") for name in words.split()[:-1]}
    package = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    made_of = {
        "pyproject.toml",
        PROJECT["project"]["readme"],
        *PROJECT["project"]["license-files"],
        *(str(Path(one).parent) for one in package),
    }
    assert names == made_of
    ignore = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert ignore[0] == "*" and {line[1:] for line in ignore if line.startswith("!")} == names, (
        "and nothing else is sent to where it is built"
    )


def test_it_installs_what_there_is_for_the_python_that_it_takes() -> None:
    (image,) = given("FROM")
    oldest = re.fullmatch(r">=(3\.\d+)", PROJECT["project"]["requires-python"])
    assert oldest and image == f"python:{oldest[1]}-slim"
    install, _ = given("RUN")
    lines = [shlex.split(line) for line in install.split(" && ")]
    wanted = re.fullmatch(r"/source\[([a-z,]+)\]", lines[0][-1])
    assert wanted and "serve" in wanted[1] and {*wanted[1].split(",")} <= PROJECT["project"]["optional-dependencies"].keys()
    assert f":= {lines[1][-1]}\n" in (ROOT / "Makefile").read_text("utf-8") and "--no-deps" in lines[1], "as `make setup` does it"


def test_it_is_nobodys_machine_and_has_one_volume_and_one_port() -> None:
    kinds = [name for name, _ in LINES]
    assert given("USER") == ["loci"] and kinds.index("USER") < kinds.index("CMD") and given("VOLUME") == given("WORKDIR") == ["/data"]
    assert given("EXPOSE") == [PORT] and "-o loci" in given("RUN")[1]
    settings, _ = load({}, environment=variables(Path("/data")))
    assert (settings.vault, settings.cache) == ("/data/vault", "/data/cache"), "all that is kept is in the volume"


def test_its_command_serves_with_keys_and_its_health_check_tells(tmp_path: Path) -> None:
    source, volume = copied(tmp_path / "image"), tmp_path / "data"
    volume.mkdir()
    (words,) = given("CMD")
    program, *arguments = json.loads(words)
    assert (program, arguments) == ("loci", ["serve", "--host", "0.0.0.0"]) and PROJECT["project"]["scripts"]["loci"] == "loci.cli:main"
    here = [word.replace("0.0.0.0", "127.0.0.1") for word in arguments]  # nobody else's machine is to reach a test
    named = {**variables(volume), "PYTHONPATH": str(source / "src")}
    command = [sys.executable, "-c", "from loci.cli import main; main()", *here, "--port", "0", "--json"]
    process = subprocess.Popen(command, cwd=volume, env=environment(**named), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        port = told["url"].rpartition(":")[2]
        assert not told["is_open"] and checked(port) == 0
        assert checked(port, http_proxy="http://127.0.0.1:9") == 0, "and asks no proxy"
        assert httpx.post(f"{told['url']}/api/cubes/main/list", json={}, timeout=SECONDS).status_code == 401
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)  # as `docker stop` does
        assert process.wait(SECONDS) == 0 and time.monotonic() - began < SECONDS
    finally:
        if process.poll() is None:
            process.kill()
    assert checked(port) != 0
    assert (volume / "vault" / "main.loci").exists() and {path.name for path in volume.iterdir()} <= {"vault", "cache"}
    assert os.listdir(tmp_path / "image") == ["source"]
