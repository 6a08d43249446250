"""`loci bench`: measures of Loci, for anybody to repeat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from loci.bench.rivals import RIVALS
from loci.cli.bench_adapters import adapters
from loci.cli.bench_bank import bank
from loci.cli.bench_kv import kv, kv_cube, kv_memory
from loci.cli.bench_methods import memo, mom
from loci.cli.bench_placing import placement, retention
from loci.cli.bench_proxy import proxy
from loci.cli.bench_serve import serve
from loci.cli.layout import layout
from loci.cli.scene import scene


@click.group()
def bench() -> None:
    """Measure Loci on your data, and beside other systems."""


bench.add_command(adapters)
bench.add_command(bank)
bench.add_command(kv)
bench.add_command(kv_cube)
bench.add_command(kv_memory)
bench.add_command(layout)
bench.add_command(memo)
bench.add_command(mom)
bench.add_command(placement)
bench.add_command(proxy)
bench.add_command(retention)
bench.add_command(scene)
bench.add_command(serve)


@bench.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--predictions", type=click.Path(dir_okay=False, path_type=Path), help="Write Loci's rankings here, a JSON line a question.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write a report here: intervals, categories, curves.")
@click.option("--baselines/--no-baselines", default=True, help="Rank by words alone, by vectors alone, and by their rank fusion as well.")
@click.option("--beside", type=click.Choice(list(RIVALS)), multiple=True, help="Another memory system; first use installs it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def retrieval(
    folders: Sequence[Path], predictions: Path | None, report: Path | None, baselines: bool, beside: Sequence[str], as_json: bool
) -> None:
    """Take in each conversation of FOLDERS once, ask its questions with nothing but their text, and score the turns found.

    A folder holds conversations.jsonl and questions.jsonl. No model judges anything: a question scores by how many of the
    turns marked as its evidence are found.
    """
    from loci.bench.data import rows_of
    from loci.bench.report import Answered, write
    from loci.bench.retrieval import SYSTEMS, measures, run, score
    from loci.cli.render import progress, show_table

    systems = (*(SYSTEMS if baselines else SYSTEMS[:1]), *dict.fromkeys(beside))
    answered: list[Answered] = []
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for folder in folders:
        with progress(folder.name) as advance:
            ran = run(folder, systems, advance)
        if predictions is not None:
            target = predictions if len(folders) == 1 else predictions.with_name(f"{folder.name}-{predictions.name}")
            lines = (json.dumps({"question": q, "ranked": turns}) for q, turns in ran.rankings["loci"].items())
            target.write_text("\n".join(lines) + "\n", "utf-8")
        measured = {s: measures(folder, ranked, ran.shows if s == "loci" else None) for s, ranked in ran.rankings.items()}
        tables[folder.name] = {system: score(rows) for system, rows in measured.items()}
        if report is not None:
            asked = [q for q in rows_of(folder / "questions.jsonl") if q["evidence"]]
            for place, question in enumerate(asked):
                found = {system: told[place] for system, told in measured.items()}
                answered.append(Answered(folder.name, question["conversation"], str(question.get("category", "")), found))
    if report is not None:
        write(report, answered, _about(folders))
    if as_json:
        click.echo(json.dumps(tables, indent=1))
        return
    metrics = ["R@1", "R@10", "all@10", "nDCG@10", "R@500t", "R@1000t", "R@2000t", "text@1000t"]
    rows = [
        [name, system, str(int(row["n"])), *(f"{100 * row[m]:.1f}" if m in row else "" for m in metrics)]
        for name, systems in tables.items()
        for system, row in systems.items()
    ]
    show_table(["set", "system", "n", *metrics], rows)


def _about(folders: Sequence[Path]) -> str:
    """What a report is of: the data by their hashes, and the machine."""
    from hashlib import sha256

    from loci.bench.machine import machine

    hashes = {
        folder.name: sha256(b"".join((folder / f"{name}.jsonl").read_bytes() for name in ("conversations", "questions"))).hexdigest()[:16]
        for folder in folders
    }
    data = ", ".join(f"{name} {digest}" for name, digest in hashes.items())
    return (
        "Written by `loci bench retrieval`; intervals are of a bootstrap over conversations, seeded. No language model was used.\n\n"
        f"Data, by the hash of their conversations and questions: {data}. {machine()}."
    )


@bench.command()
@click.option("--streams", type=click.IntRange(1), default=20, show_default=True, help="Streams of each kind.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--bank", type=click.Choice(["DEV", "HELD"]), default="HELD", show_default=True, help="The wordings of everyday streams.")
@click.option(
    "--letters",
    type=click.Choice(["written", "sentence", "small"]),
    default="written",
    show_default=True,
    help="How everyday streams are typed: with capitals, at the beginning of sentences only, with none.",
)
@click.option("--facts", type=click.IntRange(0), default=0, help="And one long stream of so many numbered facts.")
@click.option("--rules", is_flag=True, help="The rules alone, without a memory around them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def conflict(streams: int, seed: int, bank: str, letters: str, facts: int, rules: bool, as_json: bool) -> None:
    """Say streams in which facts change, from a seed, and ask what holds.

    Numbered facts, later wins, one hop and two; everyday talk with corrections, restatements and other people's facts; facts with
    their years, asked as of one; and questions about what was never said. No model judges: what holds is known, because it was written so.
    """
    from loci.bench.conflict import run
    from loci.bench.machine import machine
    from loci.bench.streams import evaluate_rules
    from loci.cli.render import note, progress, show_fields, show_table
    from loci.settings import load
    from loci.wire import embedder_of

    if rules:
        told = evaluate_rules(seed, streams, bank, letters=letters)
        if as_json:
            click.echo(json.dumps(told, indent=1))
        else:
            show_fields(told)
        return
    with progress("streams") as advance:
        found = run(streams, seed, bank, facts, embedder_of(load()[0]) or "none", advance, letters)
    if as_json:
        click.echo(json.dumps({**found, "seed": seed, "bank": bank, "letters": letters, "machine": machine()}, indent=1))
        return
    rows = [[kind, f"{row['asked']:,}", f"{row['right']:.1%}", str(row["stale"])] for kind, row in found["kinds"].items()]
    show_table(["stream, question", "asked", "first hit right", "stale first, unmarked"], rows, right=("asked", "first hit right"))
    area = found["never said, area under ROC"]
    wrong = ", ".join(f"{n} {what}" for what, n in found["wrong changes"].items()) or "none"
    note(f"wrong changes: {wrong}; never said against said, area under ROC: {'-' if area is None else f'{area:.3f}'}; {machine()}")


@bench.command()
@click.option("--memories", type=click.IntRange(100), multiple=True, default=(10_000, 100_000), show_default=True, help="Sizes of a scope.")
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="On whose disk; the temporary folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def latency(memories: Sequence[int], folder: Path | None, as_json: bool) -> None:
    """Time durable adds, imports and searches, each beside what the machine can do at best.

    Needs an embedding model. Timings vary from run to run: compare ratios within one.
    """
    from loci.bench.latency import LONG, SHORT, run
    from loci.bench.machine import machine
    from loci.cli.render import note, progress, show_table
    from loci.errors import Unavailable
    from loci.settings import load
    from loci.wire import embedder_of

    model = embedder_of(load()[0])
    if model is None:
        raise Unavailable("Latency is measured with an embedding model, and none is installed: `loci settings` says how.")
    with progress("steps") as advance:
        found = run(folder, model, memories, advance)
    if as_json:
        click.echo(json.dumps({**found, "machine": machine()}, indent=1))
        return
    add, taken = found["add"], found["import"]
    rows = [
        ["durable add", f"{add['add_ms']:.2f} ms", f"{add['ratio']:.1f}x one fsynced insert"],
        [f"import of {LONG:,} turns, no model", f"{taken['turns_per_second']:,.0f} turns/s", ""],
        [f"import of {SHORT:,} turns, no model", f"{taken['turns_per_second_shorter']:,.0f} turns/s", ""],
        ["import with the model", f"{taken['turns_per_second_with_model']:,.0f} turns/s", f"{taken['share_in_model']:.0%} in the model"],
    ]
    for row in found["search"]:
        beside = f"{row['beyond_embedding_ms']:.1f} ms beyond the embedding; {row['over_exact_dense']:.1f}x exact dense search"
        rows.append([f"search of {row['memories']:,}", f"{row['search_ms']:.1f} ms", beside])
        others = {"first_ms": "the first of a process", "after_an_add_ms": "right after an add", "of_a_tenth_ms": "in a scope of a tenth",
                  "unscoped_ms": "over both, unscoped"}  # fmt: skip
        rows.extend([f"  {what}", f"{row[key]:.1f} ms", ""] for key, what in others.items())
    show_table(["what", "median", "beside"], rows, right=("median",))
    note(machine())


@bench.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--endpoint", help="Base address of an OpenAI-compatible API; the setting `endpoint`.")
@click.option("--model", help="The model that answers; the setting `model`.")
@click.option("--judge", help="The model that judges, at the same endpoint; the one that answers.")
@click.option("--systems", default="loci,bm25,dense,rank fusion,everything,nothing", show_default=True, help="Whose contexts, by commas.")
@click.option("--budget", type=click.IntRange(50), default=1000, show_default=True, help="Tokens of context for every system.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="How often everything is answered and judged.")
@click.option("--without", multiple=True, metavar="CATEGORY", help="Leave a category out (LoCoMo's published runs: 5).")
@click.option("--limit", type=click.IntRange(1), help="The first so many questions only.")
@click.option("--workers", type=click.IntRange(1), default=4, show_default=True, help="Calls at a time.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.md and every answer with its context here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def qa(
    folder: Path, endpoint: str | None, model: str | None, judge: str | None, systems: str, budget: int, runs: int, without: Sequence[str],
    limit: int | None, workers: int, report: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Have a language model answer FOLDER's questions from each system's context, and judge the answers.

    One prompt and one budget for all; the whole conversation and no memory at all are the controls.
    """
    from loci.bench import qa as answers
    from loci.cli.render import progress, show_table
    from loci.errors import Invalid, Unavailable
    from loci.settings import load
    from loci.wire import chat_of, embedder_of

    chosen = tuple(name.strip() for name in systems.split(","))
    if unknown := set(chosen) - set(answers.SYSTEMS):
        raise Invalid(f"There is no system {', '.join(sorted(unknown))}; there are {', '.join(answers.SYSTEMS)}.")
    settings = load({"endpoint": endpoint, "model": model})[0]
    reader, grader = chat_of(settings), chat_of(load({"endpoint": endpoint, "model": judge or model})[0])
    if reader is None or grader is None:
        raise Unavailable("Answers need a language model: give --endpoint and --model. `loci bench retrieval` measures without one.")
    for chat in dict.fromkeys((reader, grader)):
        chat.complete("You are being tested.", "Reply with: ready", max_tokens=8)  # before anything is taken in, not after
    told = list(answers.tasks(folder, chosen, budget, frozenset(without), limit, embedder_of(settings)))
    log = None
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
        log = report / "answers.jsonl"
        log.write_text("", "utf-8")
    with progress(folder.name) as advance:
        found = answers.table(answers.run(told, reader, grader, runs, workers, log, advance))
    about = {
        "data": folder.name, "answered by": reader.name, "judged by": grader.name, "budget": f"{budget} tokens of four bytes", "runs": runs,
        "left out": ", ".join(without) or "nothing",
    }  # fmt: skip
    if report is not None:
        answers.report(report, found, about)
    if as_json:
        click.echo(json.dumps({**about, "systems": found}, indent=1))
        return
    rows = [
        [name, f"{100 * row['accuracy']:.1f} ± {100 * row['spread']:.1f}", f"{100 * row['F1']:.1f}", f"{row['context tokens']:,.0f}",
         answers.milliseconds(row["search ms"]), f"{row['answer ms']:,.0f}", str(row["not judged"])]
        for name, row in found.items()
    ]  # fmt: skip
    show_table(["context by", "accuracy", "F1", "context tokens", "search ms", "answer ms", "not judged"], rows)


@bench.command("kv-recall")
@click.option(
    "--length", "lengths", type=click.IntRange(64), multiple=True, default=(160, 512), show_default=True, help="Tokens of a conversation."
)
@click.option(
    "--filler", "fillers", type=click.Choice(["predictable", "noise", "adversarial", "mixed"]), multiple=True, help="Between facts; all."
)
@click.option("--facts", type=click.IntRange(2, 128), help="Facts told, then asked for; 12 below 512 tokens, 128 from there.")
@click.option("--topics", type=click.IntRange(1, 8), help="Topics that they belong to; 2 below 512 tokens, 4 from there.")
@click.option("--budgets", help="Entries a layer keeps, by commas; by default eight to half of the conversation.")
@click.option("--block", type=click.IntRange(1), help="Tokens read at a time; a tenth of the conversation, at least 16.")
@click.option("--method", "methods", multiple=True, help="Some methods only, by their names in the table.")
@click.option(
    "--shares",
    type=click.Choice(["equal", "profile", "questions", "keys"]),
    multiple=True,
    default=("equal",),
    show_default=True,
    help="How layers share a budget: profile and questions by how the model goes on, keys as EpiCache.",
)
@click.option("--streams", type=click.IntRange(1), default=10, show_default=True, help="Conversations of each kind.")
@click.option("--layers", type=click.IntRange(1), default=2, show_default=True, help="Of the model.")
@click.option("--width", type=click.IntRange(32), default=96, show_default=True, help="Of the model.")
@click.option("--steps", type=click.IntRange(1), default=2000, show_default=True, help="Of its training; some minutes on one core.")
@click.option("--device", default="cpu", show_default=True, help="Where it is trained and read, as torch spells it.")
@click.option("--weights", type=click.Path(dir_okay=False, path_type=Path), help="Trained weights; written here if the file is not there.")
@click.option("--beside", type=click.Choice(["kvpress"]), help="Other people's code for the same; first use installs it.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.md, pictures and rows.jsonl here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
def kv_recall(
    lengths: Sequence[int], fillers: Sequence[str], facts: int | None, topics: int | None, budgets: str | None, block: int | None,
    methods: Sequence[str], shares: Sequence[str], streams: int, layers: int, width: int, steps: int, device: str, weights: Path | None,
    beside: str | None, report: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Train a small model on made-up facts, read conversations under KV budgets by every method, and ask for the facts.

    Needs the extra `activation`. Says which entries of a cache a method keeps and what that takes in memory, nothing about language.
    """
    from loci.cli.bench_kv import check_torch
    from loci.errors import Unsupported

    check_torch(device)
    try:
        from loci.cli.kv_recall import measured
    except ImportError as error:
        raise Unsupported(f"This needs torch and transformers ({error}): pip install 'loci-memos[activation]'.") from error
    measured(
        lengths=lengths, fillers=fillers, facts=facts, topics=topics, budgets=budgets, block=block, methods=methods, shares=shares, streams=streams,
        layers=layers, width=width, steps=steps, device=device, weights=weights, is_beside=beside is not None,
        report=report, as_json=as_json,
    )  # fmt: skip
