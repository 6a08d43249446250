"""Writes docs/reference.md from the code: verbs with their name at every door, the life of a memory, errors, settings. `make docs` runs it, and a
test fails when the page is not what it would write. `tests/arch/test_doors.py` holds what it says of the doors against the doors."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import fields
from pathlib import Path

from loci import errors
from loci.policy.access import ROLES, WHOLE
from loci.policy.lifecycle import MOVES
from loci.server.calls import CUBE_CALLS, VAULT_CALLS
from loci.server.tools import TOOLS
from loci.settings import PREFIX, Settings
from loci.system import Conversation, Cube, System
from loci.system.table import CARRYING, STAYING, VAULT_STAYING
from loci.text import fence

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
    "adapters": "adapter list",
    "adapter": "adapter inspect",
    "probe_adapter": "adapter probe",
    "mount": "adapter mount",
    "unmount": "adapter unmount",
    "drop_adapter": "adapter drop",
    "export_adapter": "adapter export",
    "run": "pipeline run",
}
NOT_COMMANDS = {
    "acting",
    "activate_episodes",
    "as_read",
    "authenticate",
    "call",
    "close",
    "conversation",
    "cube",
    "cubes",
    "drain",
    "kept",
    "look",
    "once",
    "page",
    "paused",
    "pending",
    "prepare",
    "rank",
    "quoted",
    "walk",
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
            *lines_of_a_recall(),
            *life(),
            *roles(),
            *faults(),
            *settings(),
        ]
    )


def verbs() -> list[str]:
    on_cube = [
        "## Verbs",
        "",
        "On a cube (`memory.cube(name)`). A verb has the same word and the same fields at every door; below its name stand the command, which takes `--json` too, the address over HTTP, and the tool of",
        "the Model Context Protocol where there is one ([which has which fields](how-to/mcp.md#what-a-host-gets)). Commands spell a field with hyphens, and name the cube by `--cube`.",
        "",
    ]
    on_vault = ["## Verbs of the vault", "", "On the vault (`memory`); the command takes the cube's name.", ""]
    on_talk = ["## Verbs of a conversation", "", "On what `cube.conversation(...)` gives.", ""]
    return [*on_cube, *described(Cube), *on_talk, *described(Conversation), *on_vault, *described(System)]


def described(owner: type) -> list[str]:
    lines = []
    for name, method in inspect.getmembers(owner, inspect.isfunction):
        if name.startswith("_"):
            continue
        told = inspect.cleandoc(method.__doc__ or "").replace("``", "`")
        lines += [f"### {name}", "", *doors(owner, name), f"```text\n{name}{fields_of(method)}\n```", "", told, ""]
    return lines


def fields_of(method: object) -> str:
    """The signature as it is read: types without quotes and modules, defaults as they are written, broken between fields."""
    signature = re.sub(r"(: |-> )'((?:[^'\\]|\\.)*)'", r"\1\2", str(inspect.signature(method)))  # type: ignore[arg-type]
    signature = re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", signature)
    for long, short in (("(self, ", "("), ("(self)", "()"), ("loci.types.", ""), ("collections.abc.", "")):
        signature = signature.replace(long, short)
    fields = re.split(r"(?<=,) (?=\*, |\w+: )", signature)
    return textwrap.fill(" ".join(one.replace(" ", "\0") for one in fields), 110, subsequent_indent="    ", break_on_hyphens=False).replace(
        "\0", " "
    )


def doors(owner: type, name: str) -> list[str]:
    """How a verb is called from elsewhere than Python, or why it is not."""
    if owner is Conversation:
        return []
    calls, staying, path = (CUBE_CALLS, STAYING, "cubes/{cube}/") if owner is Cube else (VAULT_CALLS, VAULT_STAYING, "")
    at = [] if name in NOT_COMMANDS else [f"`loci {COMMANDS.get(name, name)}`"]
    at += [f"`POST /api/{path}{name}`"] if name in calls or (owner is Cube and name in CARRYING) else []
    at += [f"tool `{tool.name}`" for tool in TOOLS.values() if owner is Cube and tool.verb == name]
    why = f"Not over a network: {staying[name][0].lower()}{staying[name][1:]}" if name in staying else ""
    return [" · ".join(at) + "\n"] * bool(at) + [why + "\n"] * bool(why)


def lines_of_a_recall() -> list[str]:
    """What `loci.text.fence` says of them."""
    parts = inspect.cleandoc(fence.__doc__ or "").split("\n\n")
    shown = (f"```text\n{textwrap.dedent(part)}\n```" if part.startswith("    ") else part for part in parts)
    return ["## The lines of a recall", "", "\n\n".join(shown), ""]


def life() -> list[str]:
    """The table of `loci.policy.lifecycle`, a row a state."""
    lines = ["## The life of a memory", "", "`add` makes a memory *generated*. What may happen to it then, and what it is afterwards:", ""]
    lines += ["| state | move, and what it becomes |", "|---|---|"]
    for state, moves in MOVES.items():
        ways = (
            f"{', '.join(m.value for m, to in moves.items() if to is target)} → {target.value}" for target in dict.fromkeys(moves.values())
        )
        lines.append(f"| {state.value} | {'; '.join(ways)} |")
    return [*lines, "", "A move that is not listed does not exist: it raises `IllegalMove`.", ""]


def roles() -> list[str]:
    """The verbs of `loci.policy.access`, a row a role: those that it has beyond the roles within it."""
    lines = ["## Roles", "", "What a [grant](explanation/trust.md#who-may-do-what) of a role allows.", ""]
    lines += ["| role | may, of what the grant is on | may, on a whole cube alone |", "|---|---|---|"]
    for role, verbs in ROLES.items():
        held = [other for other in ROLES if ROLES[other] < verbs]
        largest = [f"what *{one}* may" for one in held if not any(ROLES[one] < ROLES[other] for other in held)]
        beyond = sorted(verbs.difference(*(ROLES[one] for one in held)))
        some, whole = ([f"`{verb}`" for verb in beyond if (verb in WHOLE) is is_whole] for is_whole in (False, True))
        lines.append(f"| {role} | {', '.join([*largest, *some])} | {', '.join(whole)} |")
    return [*lines, ""]


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
