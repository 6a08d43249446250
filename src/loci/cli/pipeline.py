"""Pipelines: run one, or check one without running it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loci.cli.place import Place, verb
from loci.cli.values import emit, standard_input
from loci.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from loci.interface.pipeline import Pipeline

F = TypeVar("F", bound=Callable[..., Any])
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


@click.group()
def pipeline() -> None:
    """Run several verbs of a cube as one: run, check."""


def pipeline_verb(name: str) -> Callable[[F], F]:
    """A command of the group."""

    def decorate(function: F) -> F:
        pipeline.add_command(verb(name)(function))
        return function

    return decorate


_file = click.argument("pipeline", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
_set = click.option(
    "--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter; ids and texts as JSON, or with commas between."
)


@pipeline_verb("run")
@_file
@_set
def run(place: Place, pipeline: Path, given: Sequence[str], as_json: bool) -> None:
    """Run the pipeline in the JSON file PIPELINE ('-': stdin): all of it, or nothing.

    A model call cuts it into stages, each of which happens once; what is left when this ends is in the queue.
    """
    from loci.cli import render
    from loci.interface.pipeline import pipeline_of

    plan = pipeline_of(_read(pipeline))
    with place.open_cube(is_writing=True) as cube:
        ran = cube.run(plan, parameters(plan, given))
    if as_json:
        emit(ran)
        return
    rows = [[done.step, done.verb, _told(done.answer)] for done in ran.steps]
    render.show_table(["step", "verb", "answer"], rows)
    if ran.job is None:
        render.note(f"run {ran.id}: {len(ran.steps)} steps, as one.")
    else:
        render.note(f"run {ran.id}: the rest is job {ran.job} of the queue; `loci jobs show {ran.job}` tells of it.")


@pipeline_verb("check")
@_file
@_set
def check(place: Place, pipeline: Path, given: Sequence[str], as_json: bool) -> None:
    """Check the pipeline in the JSON file PIPELINE ('-': stdin), and the parameters if any are given. Nothing is run."""
    from loci.cli import render
    from loci.interface.pipeline import check as checked
    from loci.interface.pipeline import document_of, model_calls, pipeline_of

    plan = pipeline_of(_read(pipeline))
    checked(plan, parameters(plan, given) if given else None)
    cuts = [place + 1 for place in model_calls(plan)]
    if as_json:
        emit({"pipeline": document_of(plan), "models": cuts, "stages": len(cuts) + 1})
    else:
        told = f"; a model is called in step {', '.join(map(str, cuts))}" if cuts else ", one transaction"
        render.note(f"{plan.name}: {len(plan.steps)} steps{told}.")


def parameters(plan: Pipeline, pairs: Sequence[str]) -> Mapping[str, Any]:
    """What ``--set`` gives, as the kinds of the parameters say."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, is_there, text = pair.partition("=")
        if not is_there:
            raise Invalid(f"--set {pair!r:.60} has no =; write --set name=value.")
        parameter = plan.parameters.get(name)
        found[name] = text if parameter is None else _value(text, parameter.kind, name)
    return found


def _value(text: str, kind: str, name: str) -> Any:
    if kind == "flag" and text.lower() in (*TRUE, *FALSE):
        return text.lower() in TRUE
    if kind in ("ids", "texts") and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind in ("ids", "texts", "number"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise Invalid(f"--set {name}={text!r:.60} is of no kind {kind}.") from None
    return text


def _read(path: Path) -> str:
    if str(path) == "-":
        return standard_input("Nothing was run.")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{path} cannot be read: {error}.") from error


def _told(answer: Any) -> str:
    """An answer in a few words."""
    if isinstance(answer, list):
        return f"{len(answer)} answers"
    if hasattr(answer, "changes"):
        return ", ".join(f"{change.outcome.value} {change.memory or ''}".strip() for change in answer.changes[:3]) or "nothing changed"
    if hasattr(answer, "hits"):
        return f"{len(answer.hits)} memories, {answer.tokens} tokens"
    return str(getattr(answer, "text", answer))[:80]
