"""The command line: one command for each verb, with the same words and fields.

Answers go to stdout, talk (progress, notes, errors) to stderr. With ``--json`` every command prints exactly one JSON document
on stdout, and an error is one JSON document on stderr. The exit code is that of the error's family (see ``loci.errors``).
Commands are imported when they are used; nothing here reads numpy, rich or an engine.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

import click

from loci.cli.place import Place, placed
from loci.errors import Invalid, LociError

# A command is `module:name` below this package; a group (bench) is listed like any other. The sections are those of `--help`.
SECTIONS: dict[str, dict[str, str]] = {
    "Remember and find": {
        "add": "verbs:add", "search": "verbs:search", "foresee": "scene:foresee", "get": "verbs:get", "list": "verbs:list_", "count": "verbs:count", "cite": "verbs:cite",
    },
    "Change": {
        "update": "changes:update", "forget": "changes:forget", "restore": "changes:restore", "move": "changes:move",
        "erase": "changes:erase",
    },
    "Look back": {"history": "past:history", "diff": "past:diff", "branch": "past:branch"},
    "Explain": {"why": "explain:why", "why-not": "explain:why_not", "log": "explain:log"},
    "Care": {
        "import": "transfer:import_", "export": "transfer:export", "mirror": "transfer:mirror", "verify": "care:verify", "stats": "care:stats",
        "tune": "care:tune", "settings": "care:settings",
    },
    "Trust": {
        "grant": "access:grant", "revoke": "access:revoke", "grants": "access:grants", "key": "access:key", "keys": "access:keys",
        "review": "doubt:review", "accept": "doubt:accept", "reject": "doubt:reject", "revert": "doubt:revert", "head": "care:head", "sweep": "care:sweep",
        "fingerprint": "care:fingerprint", "scan": "guard:scan", "protect": "guard:protect",
        "encrypt": "keys:encrypt", "decrypt": "keys:decrypt", "rekey": "keys:rekey", "shred": "keys:shred", "keygen": "keys:keygen",
    },
    "Activation": {"activate": "activation:activate", "generate": "activation:generate", "kv": "activation:kv", "plan": "plan:plan"},
    "Adapters": {"distil": "adapters:distil", "adapter": "adapters:adapter"},
    "Queue": {"jobs": "queue:jobs", "worker": "queue:worker", "pipeline": "pipeline:pipeline"},
    "Serve": {"serve": "serve:serve", "mcp": "mcp:mcp"},
    "Try": {"demo": "demo:demo", "bench": "bench:bench"},
}  # fmt: skip
COMMANDS = {name: where for section in SECTIONS.values() for name, where in section.items()}
INTERRUPTED, BROKEN_PIPE = 130, 141  # as a shell reports the two signals


class Verbs(click.Group):
    """Finds a command in `COMMANDS` and imports its module only then."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command = getattr(import_module(f"loci.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and (like := get_close_matches(args[0], COMMANDS, 1)):
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {like[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                found = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name.ljust(width), command.get_short_help_str(100)) for name, command in found if command])


def _version(ctx: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not ctx.resilient_parsing:
        from loci import __version__

        click.echo(f"loci {__version__}")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@placed
@click.option("--json", "is_json", is_flag=True, help="Print one JSON document.")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version and exit.")
@click.pass_context
def root(ctx: click.Context, is_json: bool) -> None:
    """Loci, a memory operating system: it remembers, finds, corrects, looks back in time, explains, and forgets for good.

    A vault is a folder of cubes; a cube is one file. Answers go to stdout, talk to stderr; --json on any command gives one JSON
    document. `loci demo` shows everything in a minute.
    """
    ctx.obj = replace(ctx.ensure_object(Place), is_json=is_json)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process with the exit code of what came of it."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str], place: Place | None = None) -> int:
    """Runs one command line. Returns its exit code; says on stderr what went wrong."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    is_json = "--json" in arguments
    try:
        code = root.main(args=list(arguments), prog_name="loci", standalone_mode=False, obj=place)
        sys.stdout.flush()
    except LociError as error:
        return _fail(error, is_json)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Invalid.exit_code
    except click.ClickException as error:
        return _fail(Invalid(_usage(error)), is_json)
    except click.Abort:
        click.echo("stopped.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code if isinstance(code, int) else 0


def _fail(error: LociError, is_json: bool) -> int:
    if is_json:
        import json

        click.echo(json.dumps(error.as_dict()), err=True)
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
    return error.exit_code


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = f" `{context.command_path} --help` shows how." if context is not None else ""
    return f"{error.format_message()}{hint}"
