"""Lines of a shell on the pages: every command, option, target, extra, setting and file that they name is there, and what can be run is run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import tomllib
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
from blocks import PAGES, ROOT, SHELL, blocks, read, said, spans

from loci.cli import root, run
from loci.cli.place import Place
from loci.settings import PREFIX, Settings

EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
SETTINGS = {f"{PREFIX}{field.name.upper()}" for field in fields(Settings)} | {f"{PREFIX}CONFIG"}
HOSTS = {"claude", "codex", "code"}  # their own lines, with one of loci's behind `--`; tests/real/test_mcp.py reads their JSON too
RECIPES = {
    "docs/explanation/servers.md": {"cat", "vllm", "python", "llama-server"}
}  # of other people's servers; the page says that none is tested here


def faults(words: list[str], *, is_whole: bool) -> str:
    """What is wrong with a command, or nothing. One that is not whole may leave arguments out, as words of a text do."""
    match words:
        case ["loci", *rest]:
            return faults_of_loci(rest, is_whole=is_whole)
        case ["make", *targets]:
            named = [one for one in targets if "=" not in one]
            return "" if all(re.search(rf"^{one}:", MAKEFILE, re.MULTILINE) for one in named) else "there is no such target"
        case ["pip", "install", *rest]:
            named = [word for word in rest if not word.startswith("-")]
            wanted = {extra for word in named if "[" in word for extra in word[word.index("[") + 1 : word.index("]")].split(",")}
            others = {word for word in named if not word.startswith(("loci-memos", ".["))}
            return "" if wanted <= EXTRAS and all(f":= {word}\n" in MAKEFILE for word in others) else "there is no such extra or package"
        case ["python", "-m", module, *_] if module.startswith("bench."):
            return "" if find_spec(module) else "there is no such module"
        case ["pytest", *paths]:
            return "" if all((ROOT / path).exists() for path in paths if "/" in path) else "there is no such test"
        case ["export", *given]:
            named = {one.partition("=")[0] for one in given}
            return "" if {one for one in named if one.startswith(PREFIX)} <= SETTINGS else "there is no such setting"
        case ["docker", "exec", _, "loci", *rest]:
            return faults_of_loci(rest, is_whole=is_whole)
        case ["docker", "build" | "run", *rest]:  # tests/real/test_container.py reads the recipe
            return faults_of_loci(rest[rest.index("loci", rest.index("loci") + 1) + 1 :], is_whole=True) if rest.count("loci") > 1 else ""
        case [host, *_] if host in HOSTS:
            return faults_of_loci(words[words.index("--") + 2 :], is_whole=True) if "--" in words else ""
        case [name, *_]:
            return f"nobody looks at lines of {name}"
        case _:
            return ""


def faults_of_loci(words: list[str], *, is_whole: bool) -> str:
    command: click.Command = root
    context = click.Context(root)
    while isinstance(command, click.Group):
        if not words:
            return ""  # a group by its name
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            return f"there is no {name}"
        command, context = found, click.Context(found, parent=context, info_name=name)
    try:
        command.make_context(command.name, words, obj=Place())
    except (click.MissingParameter, click.BadOptionUsage) as error:
        return str(error) if is_whole else ""
    except click.BadParameter as error:
        return "" if isinstance(getattr(error.param, "type", None), click.Path) else str(error)  # the file is the reader's
    except click.UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, *SHELL)])
def test_the_lines_of_a_page_name_what_there_is(page: str) -> None:
    for block in blocks(page, *SHELL):
        if page in RECIPES and block.text.split()[0] in RECIPES[page]:
            lines = [words for line in block.text.splitlines() if re.match("loci |export ", line) for words in said(line)]
        else:
            lines = [words for words in said(block.text) if words[0] != "curl"]  # tests/real/test_curl.py makes these
        for words in lines:
            assert not (fault := faults(words, is_whole=True)), f"{block}: {' '.join(words)}: {fault}"


def test_what_runs_on_a_gpu_names_what_there_is() -> None:
    """Nobody sees it fail where there is no GPU."""
    lines = re.findall(r"^\t *\$\(BIN\)/loci (bench [^$\n]*--device cuda[^$\n]*)", MAKEFILE, re.MULTILINE)
    named = [line.split()[1] for line in lines]
    assert named == ["kv", "kv", "kv", "kv-memory", "kv-recall", "kv-recall", "kv-recall", "adapters", "bank", "mom", "mom", "memo"]
    for line in lines:
        words = line.removesuffix("--report ").split()
        assert not (fault := faults_of_loci(words, is_whole=True)), f"make bench-gpu: {line}: {fault}"


@pytest.mark.parametrize("page", [page for page in PAGES if spans(page)])
def test_the_commands_in_a_text_are_there(page: str) -> None:
    for span in spans(page):
        if not re.match(r"(loci|make|pytest|python -m bench\.\w+) [a-z]|pip install ['l]", span):
            continue
        for words in alternatives(re.sub(r"\b[A-Z]+\b", "1", span)):  # NAME, MINUTES: the reader's
            assert not (fault := faults(words, is_whole=False)), f"{page}: `{span}`: {fault}"


def alternatives(span: str) -> list[list[str]]:
    """`loci kv list | drop`: one command for each of the last words."""
    first, *others = (next(iter(said(part))) for part in re.split(r" \| ", span))
    return [first, *([*first[:-1], *other] for other in others)]


# -- run ------------------------------------------------------------------------------------------------------------------


class Shell:
    """Runs the lines of a page in a folder, in this process. What stands for something of the reader's is filled in."""

    def __init__(self, page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.page, self._monkeypatch, self._ids = page, monkeypatch, [""]
        for name in SETTINGS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("LOCI_EMBEDDER", "none")
        monkeypatch.setenv("LOCI_BACKGROUND", "no")
        monkeypatch.chdir(folder)

    def asked(self, *words: str) -> Any:
        """What a command answers, as JSON."""
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            code = run([*words, "--json"])
        assert code == 0, f"{self.page}: loci {' '.join(words)}: exit {code}"
        return json.loads(told.getvalue())

    def line(self, words: list[str]) -> None:
        if words[0] == "export":
            for one in words[1:]:
                name, _, value = one.partition("=")
                self._monkeypatch.setenv(name, os.path.expanduser(value))
            return
        filled = self.filled(words[1:]) + ["--yes"] * (words[1] in ("erase", "shred"))  # which a person is asked
        code = run(filled)
        assert code == 0, f"{self.page}: {' '.join(words)} (loci {' '.join(filled)}): exit {code}"

    def filled(self, words: list[str]) -> list[str]:
        """ID is that of the newest memory, 12 that of a job."""
        if "ID" not in words and "12" not in words:
            return words
        if words[0] == "jobs":
            return [str(self.asked("jobs", "list")["jobs"][0]["seq"]) if word == "12" else word for word in words]
        if words[0] == "kv" or "--activation" in words:
            left = [handle["id"] for handle in self.asked("kv", "list", "--user", "ann")]
            return [left.pop() if word == "ID" else word for word in words]
        self._ids = [one["id"] for one in self.asked("list")] or self._ids  # what was forgotten is restored by its id
        return [self._ids[-1] if word == "ID" else word for word in words]


def _with_a_model(folder: Path) -> None:
    pytest.importorskip("transformers", reason="the page wants a model: pip install 'loci-memos[activation]'")
    from loci.testing.models import make_model, make_tokenizer

    make_model("qwen3").save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)


def is_ending(words: list[str]) -> bool:
    """Servers and workers go on until they are interrupted: tests/real/test_serve.py, test_mcp.py, test_workers.py."""
    return words[1] not in ("serve", "mcp") and (words[1] != "worker" or "--once" in words)


NOT_RUN = {  # pages whose lines are looked at and not run here, and what runs the like
    "docs/how-to/from-mem0.md": "tests/real/test_mem0_served.py",
    "docs/how-to/adapters.md": "tests/model/test_distil.py",  # learning takes minutes
    "docs/how-to/import.md": "tests/real/test_import_systems.py",  # of every system that it names
    "docs/explanation/servers.md": "tests/real/test_servers.py",  # against scripted servers
}
RUN = {  # pages whose lines are run, and the files that a reader would have
    "README.md": {"conversations.json": "chatgpt.json"},
    "docs/how-to.md": {"conversations.json": "chatgpt.json", "chat.txt": "whatsapp_dash.txt", "messages.jsonl": "messages.jsonl"},
    "docs/explanation/encryption.md": {},
    "docs/explanation/placement.md": {},
    "docs/how-to/activation.md": {},
    "docs/how-to/mcp.md": {},
    "docs/how-to/page.md": {},
    "docs/how-to/pipelines.md": {},
    "docs/how-to/proxy.md": {},
    "docs/how-to/server.md": {},
}
FIRST = {  # what has happened before a block, in the reader's vault
    ("README.md", 1): "loci add 'Tea is at five.' --origin https://page.example --channel web",
    ("docs/how-to.md", 1): "export LOCI_EMBEDDER=auto; loci add 'The piano is in the hall.'",  # a vector waits for its worker
    ("docs/explanation/encryption.md", 0): "loci add 'The piano is in the hall.'",
    ("docs/explanation/encryption.md", 1): "export LOCI_VAULT=another; loci add 'The piano is in the hall.'",
    ("docs/how-to/activation.md", 0): "export LOCI_ENGINE=~/models/qwen3-0.6b; loci add 'My brother Ben lives in Rome.' --user ann; "
    "loci activate --about 'my brother' --user ann; loci add 'My family lives in Oslo.' --user ann",
    (
        "docs/how-to/activation.md",
        1,
    ): "export LOCI_EMBEDDER=auto; loci add 'My family in Bern lives by the river, and likes green tea.' --user ann",
    ("docs/how-to/mcp.md", 0): "loci add 'The piano is in the hall.' --user ann",
    ("docs/how-to/pipelines.md", 0): "loci add 'The old piano is in the hall.' --user ann",
    ("docs/how-to/proxy.md", 0): "loci add 'The piano is in the hall.' --user ann",
    ("docs/how-to/server.md", 0): "loci add 'The piano is in the hall.' --user ann",
    ("docs/explanation/placement.md", 0): "export LOCI_ENGINE=~/models/qwen3-0.6b; loci add 'The piano is in the hall.'",
}


@pytest.mark.parametrize("page", RUN)
def test_the_lines_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell(page, tmp_path, monkeypatch)
    if "LOCI_ENGINE=~" in read(page) + FIRST.get((page, 0), ""):
        _with_a_model(tmp_path / "models" / "qwen3-0.6b")
    for name, data in RUN[page].items():
        shutil.copy(ROOT / "tests/data" / data, tmp_path / name)
    if page == "docs/how-to/pipelines.md":
        names: dict[str, Any] = {}
        exec(blocks(page, "python")[0].text, names)
        names["memory"].close()
        (tmp_path / "tidy.json").write_text(json.dumps(names["TIDY"]))
    for number, block in enumerate(blocks(page, *SHELL)):
        for words in [*said(FIRST.get((page, number), "")), *said(block.text)]:
            if words[0] == "export" or (words[0] == "loci" and is_ending(words)):
                shell.line(words)


def test_no_line_goes_unrun() -> None:
    with_lines = {page for page in PAGES for block in blocks(page, *SHELL) for words in said(block.text) if words[0] == "loci"}
    assert with_lines == RUN.keys() | NOT_RUN.keys() and not RUN.keys() & NOT_RUN.keys()
    assert all((ROOT / test).exists() for test in NOT_RUN.values())
