"""`loci bench layout`: what a prompt's layout costs with a provider's cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from loci.bench.layout import World
    from loci.bench.layout_report import Told

KNOBS = {
    "turns": "of a conversation", "memories": "that there are", "topics": "that they are about", "change": "chance that the topic changes, a turn",
    "noise": "in what is recalled", "top": "memories recalled a turn", "memory_tokens": "of a memory", "system_tokens": "of the system prompt",
    "history_tokens": "that a turn adds to the history", "user_tokens": "of what the user says",
}  # fmt: skip
PRICES = {
    "write": (1.25, "price of a token written to the cache"), "read": (0.1, "price of one read from it"), "minimum": (1024, "tokens that are cached at least"),
    "step": (128, "tokens that a hit is a multiple of"),
}  # fmt: skip


def knobs(command: Any) -> Any:
    """The simulation's parameters as options, with its defaults."""
    from loci.bench.layout import World

    world = World()
    for name, meaning in reversed(KNOBS.items()):
        value = getattr(world, name)
        command = click.option(
            f"--{name.replace('_', '-')}", type=type(value), default=value, show_default=True, help=f"Simulated: {meaning}."
        )(command)
    for name, (value, meaning) in reversed(PRICES.items()):
        command = click.option(f"--{name}", type=type(value), default=value, show_default=True, help=f"Provider: {meaning}.")(command)
    return command


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True, help="Simulated conversations.")
@click.option("--sensitivity", is_flag=True, help="Simulate also with less change, with a long system prompt, and with both.")
@click.option(
    "--transcripts", is_flag=True, help="Hold the conversations of FOLDERS again, session by session, instead of asking their questions."
)
@click.option("--budget", type=click.IntRange(50), default=600, show_default=True, help="Tokens that a turn recalls, of FOLDERS.")
@click.option(
    "--session",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Questions of FOLDERS to a session; 0 for all of a conversation's.",
)
@click.option(
    "--limit", type=click.IntRange(0), default=0, help="The first so many questions, or sessions, of each conversation; 0 for all."
)
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write the tables and a picture here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
@knobs
def layout(
    folders: Sequence[Path], seeds: int, sensitivity: bool, transcripts: bool, budget: int, session: int, limit: int, report: Path | None,
    as_json: bool, **world: Any,
) -> None:  # fmt: skip
    """Count what prompts cost by where memories stand in them.

    Without FOLDERS conversations are simulated, by token counts. With folders of data sets (conversations.jsonl and questions.jsonl) each
    conversation is taken in and its questions are asked in a session, with what Loci recalls; the cache is simulated over the
    prompts' bytes, a token being four. It is arithmetic of cost: it says nothing of how good the answers are.
    """
    from loci.bench.layout_report import rows, write
    from loci.cli.render import show_table

    made = _world(world)
    simulated: dict[str, Any] = {} if folders else _simulate(made, seeds, sensitivity)
    replays: list[Told] = []
    for folder in folders:
        replays.append(_replay(folder, made, budget, transcripts, session, limit))
    if report is not None:
        write(report, simulated, replays, _about(made, budget))
    told = {replay.name: replay.replayed.figures() for replay in replays}
    if as_json:
        click.echo(json.dumps(told or simulated, indent=1))
        return
    for title, figures in {**simulated, **{name: found["layouts"] for name, found in told.items()}}.items():
        columns = ["layout", "", "prompt tokens", "cached", "cost a turn", "over A", "over A uncached"]
        show_table(columns, rows(figures), right=columns[2:], title=title)


def _world(world: dict[str, Any]) -> World:
    from loci.bench.layout import World
    from loci.policy.caching import Provider

    prices = {name: world.pop(name) for name in PRICES}
    return World(**world, provider=Provider("simulated", prices["write"], prices["read"], prices["minimum"], prices["step"]))


def _simulate(world: World, seeds: int, is_sensitive: bool) -> dict[str, Any]:
    from loci.bench.layout import run, sensitivity
    from loci.cli.render import progress

    with progress("simulated conversations") as advance:
        found = {"as set": run(world, seeds, advance)}
    if is_sensitive:
        with progress("and in other worlds") as advance:
            found |= sensitivity(world, seeds, advance)
    return found


def _replay(folder: Path, world: World, budget: int, is_transcript: bool, session: int, limit: int) -> Told:
    from loci.bench.layout_report import Told
    from loci.bench.replay import Plan, run
    from loci.cli.render import progress
    from loci.settings import load
    from loci.wire import embedder_of

    plan = Plan(world.provider, is_transcript, budget, world.system_tokens, session, limit)
    with progress(folder.name) as advance:
        replayed = run(folder, plan, embedder_of(load()[0]), advance)
    return Told(folder.name, "sessions held again" if is_transcript else "questions asked in a session", replayed)


def _about(world: World, budget: int) -> str:
    provider = world.provider
    return (
        f"Written by `loci bench layout`. A token is four bytes; one written to the cache costs {provider.write}, one read from it {provider.read}, what is not"
        f" found is written. A hit is at least {provider.minimum_tokens} tokens and a multiple of {provider.step_tokens}. In replays a turn recalls up to {budget} tokens,"
        f" and the system prompt has {world.system_tokens}. Cost arithmetic, not quality; prices change."
    )
