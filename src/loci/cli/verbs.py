"""Remember and find: add, search, get, list, cite."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from loci.cli.place import Place, scoped, verb
from loci.cli.values import JsonObject, When, emit, standard_input
from loci.types import Kind

if TYPE_CHECKING:
    from loci.system import Cube
    from loci.types import Channel, Hit, Memory, Recall, Receipt

STDIN = "-"


@verb("add")
@click.argument("text")
@scoped
@click.option("--role", default="user", show_default=True, help="user, assistant, tool or system.")
@click.option("--speaker", metavar="NAME", help="Who says it, when the name differs from the role.")
@click.option("--at", type=When(), help="When it was said; default now.")
@click.option("--caption", metavar="TEXT", help="What a photo shared with it shows.")
@click.option("--id", metavar="ID", help="The message's own name; the same message is never remembered twice.")
@click.option("--channel", metavar="NAME", help="The way it came in: user, assistant, tool, web, file, import or derived.")
@click.option("--origin", metavar="NAME", help="The page, tool or file it is from; a URL comes by the web.")
@click.option("--derived-from", multiple=True, metavar="ID", help="A memory it was made of; may be repeated.")
@click.option("--priority", type=int, default=0, show_default=True, help="Higher is archived later.")
@click.option("--expires", type=When(is_end=True), help="When it may be forgotten by itself.")
@click.option("--metadata", type=JsonObject(), metavar="JSON", help="An object to keep with its memories, and to filter by (--where).")
def add(
    place: Place, text: str, user: str | None, agent: str | None, session: str | None, channel: str | None, origin: str | None,
    derived_from: tuple[str, ...], priority: int, expires: datetime | None, metadata: dict[str, Any] | None, as_json: bool, **said: Any,
) -> None:  # fmt: skip
    """Remember TEXT, word for word.

    '-' reads it from stdin. The receipt comes after the commit and names every outcome.
    """
    from loci.types import Message

    message = Message(text=standard_input() if text == STDIN else text, **said)
    limits: dict[str, Any] = {
        "channel": channel_of(channel),
        "derived_from": derived_from,
        "priority": priority,
        "expires": expires,
        "metadata": metadata,
    }

    def remember(cube: Cube) -> Receipt:
        return cube.add(message, user=user, agent=agent, session=session, origin=origin, **limits)

    if not place.has_cube():
        with place.rehearsal() as cube:
            remember(cube)
    with place.open_cube(is_new=True, is_writing=True) as cube:
        receipt = remember(cube)
        if as_json:
            emit(receipt)
        else:
            from loci.cli import render

            render.show_receipt(receipt)
            if expires is not None and expires <= datetime.now(UTC):
                render.note(f"its time was over on {render.moment(expires)}: no answer will show it, and `loci list --expired` does.")
        sys.stdout.flush()


def channel_of(name: str | None) -> Channel | None:
    """A channel by its name."""
    from loci.errors import Invalid
    from loci.types import Channel

    if name is not None and name not in list(Channel):
        raise Invalid(f"{name!r} is no channel; there are {', '.join(Channel)}.")
    return None if name is None else Channel(name)


@verb("search")
@click.argument("question")
@scoped
@click.option("--budget-tokens", type=int, metavar="N", help="Pack as many memories as fit into so many tokens.")
@click.option("--limit", type=int, metavar="N", help="Hits at most.")
@click.option("--as-of", type=When(), help="What was true then.")
@click.option("--known-at", type=When(), help="What was known then.")
@click.option("--since", type=When(), help="Said since.")
@click.option("--until", type=When(is_end=True), help="Said before.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="fact, preference, event, plan, ...; may be repeated.")
@click.option("--archived", is_flag=True, help="Look in the archive as well.")
@click.option(
    "--where", type=JsonObject(), metavar="JSON", help='Only memories kept with such metadata: {"topic": {"in": ["food", "wine"]}}.'
)
@click.option("--expired", is_flag=True, help="What its time to live has ended as well.")
@click.option("--asked-at", type=When(), help="What 'last week' counts from; default now.")
@click.option("--strict", is_flag=True, help="Nothing rather than the nearest there is, where memory is not sure of an answer.")
@click.option("--pertinent", is_flag=True, help="Nothing that is plainly about something else: far in meaning, without a word of QUESTION.")
@click.option("--explain", is_flag=True, help="Print the plan and each signal's share too.")
@click.option("--text", "is_text", is_flag=True, help="Print only the block for a prompt: fenced, cited, within the budget.")
@click.option("--wait", is_flag=True, help="Compute all vectors that are still queued first.")
def search(place: Place, question: str, explain: bool, is_text: bool, wait: bool, as_json: bool, **limits: Any) -> None:
    """Find the memories that answer QUESTION.

    Best first, with dates and sources. --text gives the block for a prompt, --explain the plan.
    """
    from loci.cli import render

    with place.open_cube() as cube:
        if wait:
            from loci.cli.embedding import embed

            embed(cube)
        recall = cube.search(question, **limits)
        for signal, reason in recall.trace.missing.items():
            render.note(f"the {signal} signal is missing: {reason}")
        if as_json:
            emit(recall)
        elif is_text:
            if recall.text:
                click.echo(recall.text)
        else:
            if held := recall.trace.withheld.get("quarantined"):
                render.note(
                    f"{held} memories are in quarantine or were taken back, and left out; `loci review` shows them, `--decision reverted` the latter."
                )
            if "not sure enough" in recall.trace.withheld:
                render.note(
                    f"memory is not sure that it holds an answer (confidence {recall.confidence:.2f}); without --strict it shows the nearest."
                )
            else:
                _show_hits(cube, recall.hits)
                if not recall.hits:
                    place.note_unknown(cube, limits["user"])
            if elsewhere := recall.trace.withheld.get("about something else"):
                render.note(
                    f"{elsewhere} of the nearest are about something else, and left out; without --pertinent the best of them are shown."
                )
            if explain:
                _show_plan(recall)


def _show_hits(cube: Cube, hits: Sequence[Hit]) -> None:
    from loci.cli import render

    if not hits:
        render.note("nothing was found.")
        return
    cited = citations(cube, [hit.memory for hit in hits])
    rows: list[list[render.Cell]] = [
        [str(rank), f"{hit.score:.2f}", render.day(m.at), m.speaker or "-", render.body(m, cite=cited[m.id], remark=hit.note)]
        for rank, hit in enumerate(hits, 1)
        for m in (hit.memory,)
    ]
    render.show_table(["#", "score", "when", "who", "memory"], rows, right=("#", "score"))


def _show_plan(recall: Recall) -> None:
    from loci.cli import render

    trace, call = recall.trace, recall.trace.call
    render.show_fields(
        {
            "intent": call.intent, "terms": call.terms, "people": call.people,
            "window": render.period(call.window.start, call.window.end) if call.window else "",
            "via": trace.via, "ranker": trace.ranker, "weights": _three(trace.weights), "signals": trace.signals, "missing": dict(trace.missing) or "none",
            "confidence": f"{recall.confidence:.2f}", "considered": trace.considered, "withheld": dict(trace.withheld) or "none", "tokens": recall.tokens,
            "milliseconds": _three(trace.milliseconds),
        }
    )  # fmt: skip
    if not recall.hits:
        return
    rows = [[str(rank), f"{hit.score:.3f}", _most(hit.shares), ", ".join(hit.duplicates)] for rank, hit in enumerate(recall.hits, 1)]
    render.show_table(["#", "score", "what put it there", "folded into it"], rows, right=("#", "score"))


def _most(shares: Mapping[str, float], count: int = 6) -> str:
    """The largest shares in words, the rest summed."""
    told = sorted(shares.items(), key=lambda share: -abs(share[1]))
    rest = sum(value for _, value in told[count:])
    return ", ".join(f"{name} {value:+.2f}" for name, value in [*told[:count], *([("the rest", rest)] if told[count:] else [])])


def _three(values: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{value:.3g}" for name, value in values.items()}


def citations(cube: Cube, memories: Sequence[Memory]) -> dict[str, str]:
    """Where each memory was said: the message's own name where it has one, else its session."""
    quoted = cube.quoted([memory.id for memory in memories]) if memories else {}
    named = {id: dict.fromkeys(source.message.id or source.message.session or "" for source in found) for id, found in quoted.items()}
    return {id: ", ".join(names).strip(", ") for id, names in named.items()}


@verb("get")
@click.argument("id")
@click.option("--as-of", type=When(), help="The version that was true then.")
@click.option("--known-at", type=When(), help="The version that was known then.")
def get(place: Place, id: str, as_of: datetime | None, known_at: datetime | None, as_json: bool) -> None:
    """Show one memory whole: its words and its header."""
    with place.open_cube() as cube:
        memory = cube.get(id, as_of=as_of, known_at=known_at)
        if as_json:
            emit(memory)
            return
        from loci.cli import render

        render.show(memory.text, "")
        render.show_fields(
            {
                "id": memory.id, "version": memory.version, "form": None if memory.kind is Kind.PLAINTEXT else memory.kind.value,
                "said": f"{render.moment(memory.at)} by {memory.speaker or '-'}" if memory.kind is Kind.PLAINTEXT else None,
                "source": citations(cube, [memory])[memory.id], "type": memory.type.value, "state": memory.state.value,
                "true": render.period(memory.valid.start, memory.valid.end), "known since": memory.recorded.start,
                "claims": tuple(f"{c.subject}'s {c.attribute} = {c.value}" + (" (closed)" if c.closed_by else "") for c in memory.claims),
                "times": tuple(f"{t.words} = {render.days(t.earliest, t.latest)}" for t in memory.times),
                "entities": memory.entities, "user": memory.scope.user, "agent": memory.scope.agent,
                "session": memory.scope.session, "metadata": json.dumps(memory.metadata, ensure_ascii=False) if memory.metadata else None, "priority": memory.priority or None, "expires": memory.expires,
                "found": _times(memory.uses), "cited": _cited(memory), "changed by": f"{memory.author}: {memory.reason}{render.ended(memory)}",
            }
        )  # fmt: skip


def _times(count: int) -> str:
    return "" if not count else "once" if count == 1 else f"{count} times"


def _cited(memory: Memory) -> str:
    """How often answers cited it, and how long that makes it last."""
    from loci.cli import render

    if memory.last_cited is None:
        return ""
    return f"{_times(memory.cited)}, last {render.moment(memory.last_cited)}; stable for {memory.stability_days:.1f} days"


@verb("cite")
@click.argument("memories", nargs=-1, required=True)
def cite(place: Place, memories: tuple[str, ...], as_json: bool) -> None:
    """Say that an answer was shown MEMORIES and rests on them.

    By what answers rest on, and not by what a search finds, it is decided what stays at hand and in which form (`loci plan`).
    """
    with place.open_cube(is_writing=True) as cube:
        cited = cube.cite(memories)
    if as_json:
        emit({"cited": cited})


@verb("list")
@scoped
@click.option("--as-of", type=When(), help="What was true then.")
@click.option("--known-at", type=When(), help="What was known then.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="fact, preference, event, plan, ...; may be repeated.")
@click.option("--archived", is_flag=True, help="The archive as well.")
@click.option(
    "--where", type=JsonObject(), metavar="JSON", help='Only memories kept with such metadata: {"topic": {"in": ["food", "wine"]}}.'
)
@click.option("--expired", is_flag=True, help="What its time to live has ended as well.")
@click.option("--limit", type=int, default=100, show_default=True)
@click.option("--offset", type=int, default=0, show_default=True)
def list_(place: Place, as_json: bool, **limits: Any) -> None:
    """Show memories in the order they were remembered."""
    with place.open_cube() as cube:
        memories = cube.list(**limits)
        if not memories and not as_json:
            place.note_unknown(cube, limits["user"])
    if as_json:
        emit(memories)
        return
    from loci.cli import render

    render.show_memories(memories)
    if len(memories) == limits["limit"]:
        render.note(f"these are {len(memories)}; --offset {limits['offset'] + len(memories)} shows what follows.")


@verb("count")
@scoped
@click.option("--as-of", type=When(), help="What was true then.")
@click.option("--known-at", type=When(), help="What was known then.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="fact, preference, event, plan, ...; may be repeated.")
@click.option("--archived", is_flag=True, help="The archive as well.")
@click.option("--where", type=JsonObject(), metavar="JSON", help="Only memories kept with such metadata, as of list.")
@click.option("--expired", is_flag=True, help="What its time to live has ended as well.")
def count(place: Place, as_json: bool, **limits: Any) -> None:
    """Count what list would show: by type, state, channel, user and origin."""
    with place.open_cube() as cube:
        found = cube.count(**limits)
    if as_json:
        emit(found)
        return
    from loci.cli import render

    by = {name: getattr(found, name) for name in ("types", "states", "channels", "trusts", "users", "speakers", "origins")}
    days = {"said": f"{min(found.days)} to {max(found.days)}"} if found.days else {}
    render.show_fields({"memories": found.total, **{name: _counts(counts) for name, counts in by.items()}, **days})


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'none'} {number}" for name, number in counts.items())
