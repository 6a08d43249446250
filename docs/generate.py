"""Writes docs/reference.md from the code: verbs, errors, settings, and the life cycle's diagram. `make docs` runs it, and a
test fails when the page is not what it would write."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

from loci import errors
from loci.policy.lifecycle import diagram
from loci.settings import PREFIX, Settings
from loci.system import Conversation, Cube, System

PAGE = Path(__file__).parent / "reference.md"
COMMANDS = {
    "import_file": "import",
    "why_not": "why-not",
    "issue_key": "key",
    "heads": "head",
    "activations": "kv list",
    "activation": "kv inspect",
    "deactivate": "kv drop",
    "profile": "kv profile",
    "server": "kv server",
    "write_off": "kv write-off",
    "jobs": "jobs list",
    "job": "jobs show",
    "retry": "jobs retry",
    "cancel": "jobs cancel",
    "pause": "jobs pause",
    "resume": "jobs resume",
    "export_activation": "kv export",
    "import_activation": "kv import",
}
TALK = {"appended", "replied", "reported", "turn"}
NOT_COMMANDS = TALK | {
    "acting",
    "authenticate",
    "call",
    "close",
    "conversation",
    "cube",
    "cubes",
    "drain",
    "paused",
    "pending",
    "prepare",
    "rank",
    "within",
}


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Reference",
            "",
            "Written by `make docs` from the code; edit the docstrings, not this page.",
            "",
            *verbs(),
            *life(),
            *faults(),
            *settings(),
        ]
    )


def verbs() -> list[str]:
    on_cube = ["## Verbs", "", "On a cube (`memory.cube(name)`); the command of the same name takes the same fields, and `--json`.", ""]
    on_vault = ["## Verbs of the vault", "", "On the vault (`memory`); the command takes the cube's name, and `--json`.", ""]
    on_talk = ["## Verbs of a conversation", "", "On what `cube.conversation(...)` gives.", ""]
    return [*on_cube, *described(Cube), *on_talk, *described(Conversation), *on_vault, *described(System)]


def described(owner: type) -> list[str]:
    lines = []
    for name, method in inspect.getmembers(owner, inspect.isfunction):
        if name.startswith("_"):
            continue
        signature = str(inspect.signature(method)).replace("self, ", "").replace("self", "")
        plain = re.sub(r"'", "", signature).replace("loci.types.", "").replace("collections.abc.", "")
        command = "" if name in NOT_COMMANDS else f" · `loci {COMMANDS.get(name, name)}`"
        lines += [f"### {name}{command}", "", f"```\n{name}{plain}\n```", "", inspect.cleandoc(method.__doc__ or "").replace("``", "`"), ""]
    return lines


def life() -> list[str]:
    return [
        "## The life of a memory",
        "",
        "```mermaid",
        diagram(),
        "```",
        "",
        "A move that is not drawn does not exist: it raises `IllegalMove`.",
        "",
    ]


def faults() -> list[str]:
    lines = ["## Errors", "", "| error | code | HTTP | exit | when |", "|---|---|---|---|---|"]
    for error in vars(errors).values():
        if inspect.isclass(error) and issubclass(error, errors.LociError):
            first = inspect.cleandoc(error.__doc__ or "").split("\n")[0].replace("``", "`")
            lines.append(f"| `{error.__name__}` | {error.code} | {error.http_status} | {error.exit_code} | {first} |")
    return [*lines, ""]


def settings() -> list[str]:
    lines = [
        "## Settings",
        "",
        "An argument wins over the environment, the environment over `loci.toml` (or the file that `LOCI_CONFIG` names).",
        "",
    ]
    lines += ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    lines += [f"| {f.name} | `{PREFIX}{f.name.upper()}` | `{f.default!r}` | {f.metadata['meaning']} |" for f in fields(Settings)]
    return [*lines, ""]


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
