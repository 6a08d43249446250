"""One word at every door. A verb is walked from Python to the command line, to HTTP, to the Model Context Protocol and to the page of the reference:
nothing is missing, and the fields are the same. Where a door has a field more or less, the table below says so, and why."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

pytest.importorskip("starlette", reason="what serves is not installed: pip install 'loci-memos[serve]'")

from loci.cli import COMMANDS, root
from loci.server.calls import CUBE_CALLS, LEFT_OUT, VAULT_CALLS
from loci.server.cursors import CURSOR
from loci.server.tools import CUBE, FIELDS, TOOLS
from loci.system import Cube, System, table

DOCS = Path(__file__).parents[2] / "docs"
EVERYWHERE = {
    "cube",
    "embedder",
    "engine",
    "json",
    "vault",
}  # options of every command, or of each that has a model read: where, and how it answers
MESSAGE = {"text", "role", "speaker", "at", "caption", "id"}  # a command says of what message its words are
SPELLED = {  # verb: a field in Python, and the words that a command has for it
    "add": {"messages": MESSAGE},
    "update": {"memory": {"id", "if_version"}},
    "search": {"types": {"type"}},
    "list": {"types": {"type"}},
    "count": {"types": {"type"}},
    "generate": {"activations": {"activation"}, "adapters": {"adapter", "no_adapters"}},
    "run": {"given": {"set"}},
    "grant": {"cube": {"on"}},
    "issue_key": {"cube": {"on"}},
    "encrypt": {"cube": {"name"}},
    "decrypt": {"cube": {"name"}},
    "shred": {"cube": {"name"}},
    "rekey": {"cube": {"name"}, "key_file": {"to_key_file"}, "passphrase": {"to_variable"}},  # no secret on a command line
}
ON_A_TERMINAL = {  # what only a command needs
    "search": {"explain", "text", "wait"},  # how it is shown, and whether vectors are waited for
    "log": {"jsonl", "of_vault"},
    "activate": {"episodes"},  # which makes it `activate_episodes`
    "erase": {"yes"},
    "shred": {"yes"},
}
NO_VERB = {"demo", "bench", "worker", "serve", "mcp", "settings", "tune", "keygen"}  # commands that do no verb of a vault
OVER_A_NETWORK = {"update": {"memory": {"id", "if_version"}}}


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = loaded()
OFFERED = [(Cube, verb) for verb in sorted(table.READING | table.WRITING | table.CARRYING)]
OFFERED += [(System, verb) for verb in sorted(table.VAULT_READING | table.VAULT_WRITING)]
AS_JSON = [(owner, verb) for owner, verb in OFFERED if owner is System or verb not in table.CARRYING]  # files: tests/arch/test_table.py
STAYING = [(Cube, verb) for verb in sorted(table.STAYING)] + [(System, verb) for verb in sorted(table.VAULT_STAYING)]
WITH_A_COMMAND = [one for one in [*OFFERED, *STAYING] if one[1] not in GENERATE.NOT_COMMANDS]


def fields(owner: type, verb: str, spelled: dict[str, dict[str, set[str]]]) -> set[str]:
    """The fields that a verb has in Python, in the words of a door."""
    named = set(inspect.signature(getattr(owner, verb)).parameters) - {"self"}
    return {word for name in named for word in spelled.get(verb, {}).get(name, {name})}


def command(verb: str) -> click.Command | None:
    """The command of a verb, as the reference names it."""
    found: click.Command | None = root
    for word in GENERATE.COMMANDS.get(verb, verb).split():
        found = found.get_command(click.Context(found), word) if isinstance(found, click.Group) else None
    return found


def sections(owner: type) -> dict[str, str]:
    """What the reference says of each verb of a class."""
    page = (DOCS / "reference.md").read_text("utf-8")
    title = "## Verbs\n" if owner is Cube else "## Verbs of the vault\n"
    part = page.split(title)[1].split("\n## ")[0]
    return dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", part, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize(("owner", "verb"), WITH_A_COMMAND, ids=lambda one: getattr(one, "__name__", one))
def test_a_command_has_the_fields_of_its_verb(owner: type, verb: str) -> None:
    found = command(verb)
    assert found is not None and not isinstance(found, click.Group), f"there is no `loci {GENERATE.COMMANDS.get(verb, verb)}`"
    given = {one.opts[-1].lstrip("-").replace("-", "_") for one in found.params} - EVERYWHERE
    assert given - ON_A_TERMINAL.get(verb, set()) == fields(owner, verb, SPELLED) - {"progress"}


def test_every_command_is_a_verb_or_says_that_it_is_none() -> None:
    verbs = {GENERATE.COMMANDS.get(verb, verb).split()[0] for _, verb in WITH_A_COMMAND}
    assert verbs | NO_VERB == set(COMMANDS) and not verbs & NO_VERB
    named = set(GENERATE.COMMANDS.values())
    groups = {
        name: one for name in COMMANDS if isinstance(one := root.get_command(click.Context(root), name), click.Group) and name != "bench"
    }
    within = {f"{name} {word}" for name, group in groups.items() for word in group.list_commands(click.Context(group))}
    assert within - named == {"kv verify", "pipeline check"}, "these look, and are verify and run of Python in part"


@pytest.mark.parametrize(("owner", "verb"), AS_JSON, ids=lambda one: getattr(one, "__name__", one))
def test_http_has_the_fields_of_the_verb(owner: type, verb: str) -> None:
    call = (CUBE_CALLS if owner is Cube else VAULT_CALLS)[verb]
    assert set(call.hints) == fields(owner, verb, OVER_A_NETWORK) - LEFT_OUT


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_a_tool_has_the_fields_of_its_verb(tool: object) -> None:
    named = tool.name, tool.verb  # type: ignore[attr-defined]
    assert set(FIELDS[named[0]][0]) - {CUBE, CURSOR} == fields(Cube, named[1], OVER_A_NETWORK)


@pytest.mark.parametrize("owner", [Cube, System])
def test_the_reference_names_every_verb_at_every_door(owner: type) -> None:
    told = sections(owner)
    assert set(told) == {name for name, _ in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_")}
    calls, staying = (CUBE_CALLS, table.STAYING) if owner is Cube else (VAULT_CALLS, table.VAULT_STAYING)
    for verb, section in told.items():
        before, _, after = section.partition("```text\n")
        commands = re.findall(r"`loci ([\w -]+)`", before)
        assert commands == ([] if verb in GENERATE.NOT_COMMANDS else [GENERATE.COMMANDS.get(verb, verb)]), verb
        addresses = re.findall(r"`POST /api/([^`]+)`", before)
        address = f"cubes/{{cube}}/{verb}" if owner is Cube else verb
        assert addresses == ([address] if verb in calls or (owner is Cube and verb in table.CARRYING) else []), verb
        assert ("Not over a network" in before) == (verb in staying), verb
        assert re.findall(r"tool `(\w+)`", before) == [tool.name for tool in TOOLS.values() if owner is Cube and tool.verb == verb], verb
        signature = after.split("```")[0]
        assert all(re.search(rf"\b{name}: ", signature) for name in fields(owner, verb, {})), verb
        assert after.split("```")[1].strip(), f"{verb} has no docstring"
