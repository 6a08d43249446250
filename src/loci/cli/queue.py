"""The queue of jobs: list, show, retry, cancel, pause, resume; and a worker that does nothing else."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loci.cli.place import Place, verb
from loci.cli.values import emit

if TYPE_CHECKING:
    from loci.system import Cube, System
    from loci.types import Job

F = TypeVar("F", bound=Callable[..., Any])
LOOK_SECONDS = 1.0  # between two looks at queues that were empty
TURN_SECONDS = 2.0  # of one cube, before the next one has its turn; the step in hand is finished


@click.group()
def jobs() -> None:
    """Look after the queue of jobs: list, show, retry, cancel, pause, resume."""


def jobs_verb(name: str) -> Callable[[F], F]:
    """A command of the group."""

    def decorate(function: F) -> F:
        jobs.add_command(verb(name)(function))
        return function

    return decorate


@jobs_verb("list")
@click.option("--state", metavar="STATE", help="Only ready, leased, dead or cancelled ones.")
@click.option("--limit", type=int, default=100, show_default=True, metavar="N", help="At most N.")
def list_(place: Place, state: str | None, limit: int, as_json: bool) -> None:
    """What waits, is worked on, failed too often or was cancelled, oldest first. What is done is gone."""
    from loci.cli import render

    with place.open_cube() as cube:
        found, paused = cube.jobs(state=state, limit=limit), cube.paused()
    if as_json:
        emit({"jobs": found, "paused": paused})
        return
    if paused is not None:
        render.warn(f"The queue is paused{f' ({paused})' if paused else ''}; `loci jobs resume` lets it go on.")
    if not found:
        render.note("nothing waits.")
        return
    rows: list[list[render.Cell]] = [
        [str(j.seq), j.verb, j.state, str(j.priority), j.user or "", str(j.attempts), render.moment(j.due), j.error[:60]] for j in found
    ]
    render.show_table(["job", "verb", "state", "priority", "user", "attempts", "due", "error"], rows, right=["job", "priority", "attempts"])


@jobs_verb("show")
@click.argument("number", type=int)
def show(place: Place, number: int, as_json: bool) -> None:
    """Everything about job NUMBER, with what its last attempt met."""
    with place.open_cube() as cube:
        _tell(cube.job(number), as_json)


@jobs_verb("retry")
@click.argument("number", type=int)
def retry(place: Place, number: int, as_json: bool) -> None:
    """Make job NUMBER ready, as if it had never been tried."""
    with place.open_cube(is_writing=True) as cube:
        was = cube.retry(number)
    _done(was, "ready", as_json)


@jobs_verb("cancel")
@click.argument("number", type=int)
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the log.")
def cancel(place: Place, number: int, reason: str, as_json: bool) -> None:
    """Have nobody work on job NUMBER. It stays in the list, and `loci jobs retry` brings it back."""
    with place.open_cube(is_writing=True) as cube:
        was = cube.cancel(number, reason=reason)
    _done(was, "cancelled", as_json)


@jobs_verb("pause")
@click.option("--reason", default="", metavar="TEXT", help="Why; shown, and kept in the log.")
def pause(place: Place, reason: str, as_json: bool) -> None:
    """Begin no job any more, in any process. What is added is queued; searches say what is missing."""
    from loci.cli import render

    with place.open_cube(is_writing=True) as cube:
        cube.pause(reason=reason)
    if as_json:
        emit({"paused": reason})
    else:
        render.note("the queue is paused; `loci jobs resume` lets it go on.")


@jobs_verb("resume")
def resume(place: Place, as_json: bool) -> None:
    """Let the queue go on."""
    from loci.cli import render

    with place.open_cube(is_writing=True) as cube:
        cube.resume()
    if as_json:
        emit({"paused": None})
    else:
        render.note("the queue goes on.")


@verb("worker")
@click.option("--once", is_flag=True, help="End when nothing is due.")
@click.option(
    "--plan",
    "minutes",
    type=click.FloatRange(min=0),
    metavar="MINUTES",
    help="Every so many minutes, when nothing else is due, move memories into the form that pays, as `loci plan --apply`.",
)
def worker(place: Place, once: bool, minutes: float | None, as_json: bool) -> int:
    """Work the queues of every cube, or of the one named by --cube, until interrupted.

    For a machine, or an hour, of its own: any process that has the vault open works them as well. An interrupt ends it after the
    job in hand; what failed stays queued, with the reason (`loci jobs list`). With --once it ends with the exit code of the last
    failure. A step is some jobs of one kind that are worked together, or a move of the plan. Cubes take turns of two seconds, or of one step that takes longer.
    """
    is_over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    with place.open() as memory:
        if place.cube is not None:
            memory.cube(place.cube, create=False)  # a name that nothing has is told at once
        steps, failures, left = _work(memory, place.cube, is_over, once, Plans(minutes))
    if as_json:
        emit({"steps": steps, "failures": list(failures), "left": left})
    return next(reversed(failures.values())) if failures and once else 0


@dataclass(slots=True)
class Plans:
    """When each cube is looked at next for what is in a form that does not pay; never, without ``minutes``."""

    minutes: float | None
    due: dict[str, float] = field(default_factory=dict)

    def move(self, cube: Cube) -> int:
        """Does a move of a cube, if its plan is due and has one, so that what is queued comes between two. Returns how many it did."""
        if self.minutes is None or monotonic() < self.due.get(cube.name, 0.0):
            return 0
        self.due[cube.name] = monotonic() + 60 * self.minutes
        done = sum(one.is_done for one in cube.plan(apply=True, most=1))
        if done:
            del self.due[cube.name]
        return done


@dataclass(slots=True)
class Turn:
    """Whether it is another cube's turn: after a step at least, and `TURN_SECONDS`."""

    is_over: threading.Event
    ends: float | None = None

    def __call__(self) -> bool:
        if self.ends is None:
            self.ends = monotonic() + TURN_SECONDS
            return self.is_over.is_set()
        return self.is_over.is_set() or monotonic() > self.ends


def _work(
    memory: System, cube: str | None, is_over: threading.Event, once: bool, plans: Plans
) -> tuple[int, dict[str, int], dict[str, str]]:
    """Steps that were done, what went wrong, each once, with its exit code, and what was left of each cube, and why."""
    from loci.cli import render
    from loci.errors import LociError

    steps, failures, told = 0, dict[str, int](), dict[str, str]()
    while not is_over.is_set():
        done = 0
        for name in memory.cubes() if cube is None else [cube]:
            try:
                opened = memory.cube(name, create=False)
                done += opened.drain(Turn(is_over))
                if not done and not is_over.is_set():
                    done += plans.move(opened)
                left = _left(opened)
                if left and told.get(name) != left:
                    render.note(f"{name}: {left}")
                told[name] = left
            except LociError as error:
                if str(error) not in failures:
                    failures[str(error)] = error.exit_code
                    render.warn(f"{name}: {error}")
        steps += done
        if done:
            render.note(f"{done} step{'s' if done > 1 else ''} done.")
        elif once:
            break
        else:
            is_over.wait(LOOK_SECONDS)
    return steps, failures, {name: left for name, left in told.items() if left}


def _left(cube: Cube) -> str:
    """What of a cube's queue nobody works on now, and why; empty where there is nothing."""
    paused, waiting = cube.paused(), cube.jobs()
    if paused is not None:
        return f"the queue is paused{f' ({paused})' if paused else ''}; {sum(job.state == 'ready' for job in waiting)} jobs wait."
    counts = {state: sum(job.state == state for job in waiting) for state in ("leased", "ready", "dead")}
    why = {"leased": "held by another worker", "ready": "to be tried later, or without what they take", "dead": "dead (`loci jobs list`)"}
    return ", ".join(f"{count} {why[state]}" for state, count in counts.items() if count)


def _tell(job: Job, as_json: bool) -> None:
    from loci.cli import render

    if as_json:
        emit(job)
        return
    render.show_fields({
        "job": job.seq, "verb": job.verb, "state": job.state, "priority": job.priority, "user": job.user or "nobody's", "attempts": job.attempts,
        "held until" if job.state == "leased" else "due": job.due, "error": job.error, "arguments": job.arguments,
    })  # fmt: skip


def _done(was: Job, state: str, as_json: bool) -> None:
    from loci.cli import render

    if as_json:
        emit({"job": was.seq, "was": was.state, "state": state})
    else:
        render.note(f"job {was.seq} ({was.verb}) was {was.state} and is {state} now.")
