"""The command line as people and programs meet it: a process with arguments, stdout, stderr and an exit code."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

from loci import MemOS, Message
from loci.cli import COMMANDS, root, run
from loci.system import Cube

NOT_OF_A_CUBE = {
    "settings", "demo", "bench", "tune", "encrypt", "decrypt", "rekey", "shred", "keygen", "grant", "revoke", "grants", "key", "keys",
    "kv", "kv verify", "jobs", "worker", "adapter", "pipeline", "pipeline check", "mcp", "serve",
}  # fmt: skip
NOT_VERBS = {
    "call",
    "rank",
    "quoted",
    "drain",
    "pending",
    "page",
    "paused",
    "close",
    "baselines",
    "acting",
    "activate_episodes",
    "as_read",
    "once",
    "conversation",
    "prepare",
    "kept",
    "walk",
}  # fmt: skip  (plumbing of the Python door)
SPELLED = {
    "import": "import_file", "why-not": "why_not", "kv list": "activations", "kv inspect": "activation", "kv drop": "deactivate", "kv profile": "profile", "kv server": "server", "kv write-off": "write_off",
    "kv export": "export_activation", "kv import": "import_activation",
    "adapter list": "adapters", "adapter inspect": "adapter", "adapter probe": "probe_adapter", "adapter mount": "mount", "adapter unmount": "unmount", "adapter drop": "drop_adapter",
    "adapter export": "export_adapter",
    "jobs list": "jobs", "jobs show": "job", "jobs retry": "retry", "jobs cancel": "cancel", "jobs pause": "pause", "jobs resume": "resume", "pipeline run": "run",
}  # fmt: skip
RENAMED = {"messages": "text", "memory": "id"}
FAMILIES = {"Invalid": 2, "Denied": 3, "Missing": 4, "Conflict": 5, "Unavailable": 6, "Corrupt": 7, "Unsupported": 8}
HEAVY = ("rich", "numpy", "apsw", "onnxruntime", "loci.system", "loci.wire")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """Runs `loci` on one vault, with search by words alone, which starts fast."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "vault" / "main.loci"

    def __call__(self, *arguments: str, stdin: str | int | None = None, preexec: Any = None, **environment: str) -> Ended:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LOCI_")}
        done = subprocess.run(
            [sys.executable, "-m", "loci", *arguments],
            cwd=self.folder,
            env={**clean, "LOCI_EMBEDDER": "none", "PYTHONUTF8": "1", **environment},
            input=stdin if isinstance(stdin, str) else None,
            stdin=stdin if isinstance(stdin, int) else subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=preexec,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def here(self, *arguments: str, **environment: str) -> Ended:
        """The same without a process of its own, for what needs none."""
        with (
            chdir(self.folder),
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
            pytest.MonkeyPatch.context() as patch,
        ):
            for name, value in {"LOCI_EMBEDDER": "none", **environment}.items():
                patch.setenv(name, value)
            code = run([*arguments])
        return Ended(code, out.getvalue(), err.getvalue())

    def add(self, text: str, *, user: str | None = None, session: str | None = None, **said: Any) -> str:
        """Remembers a text. Returns the id of its turn."""
        with MemOS.open(self.file.parent, embedder="none") as memory:
            return memory.cube("main").add(Message("user", text, **said), user=user, session=session).ids[0]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LOCI_"):
            monkeypatch.delenv(name)


@pytest.fixture
def loci(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, str, str]:
    """A cube that knows where Alice lived and lives; tests that use it change nothing."""
    loci = Shell(tmp_path_factory.mktemp("told"))
    old = loci.add("I live in Porto.", speaker="Alice", user="alice", at=datetime(2025, 1, 5), id="a1")
    new = loci.add("I live in Lisbon now.", speaker="Alice", user="alice", at=datetime(2025, 5, 20, 9), session="s2")
    return loci, old, new


def commands() -> dict[str, click.Command]:
    context = click.Context(root)
    found = {name: root.get_command(context, name) for name in COMMANDS}
    for group in ("kv", "jobs", "adapter", "pipeline"):
        command = found[group]
        assert isinstance(command, click.Group)
        found |= {f"{group} {name}": inner for name, inner in command.commands.items()}
    return {name: command for name, command in found.items() if command is not None}


# -- the same words ------------------------------------------------------------------------------------------------------


def test_a_grant_or_key_that_makes_a_vault_says_so(loci: Shell) -> None:
    first, second = loci.here("key", "app"), loci.here("grant", "app", "reader", "--on", "main")
    assert first.code == second.code == 0 and "vault is a new vault" in first.err and "new vault" not in second.err


@pytest.mark.parametrize(
    "command",
    [
        ["add", ""],
        ["add", "I live in Porto.", "--derived-from", "01M83W19CJR8C4REJMYT6EX744"],
        ["add", "I live in Porto.", "--cube", "a/b"],
        ["import", "nofile"],
        ["import", "odd.txt"],
        ["import", "said.jsonl", "--dry-run"],
        ["mirror", "notes", "--dry-run"],
        ["mirror", "said.jsonl"],
    ],
)
def test_what_fails_or_is_a_dry_run_makes_no_vault_and_no_cube(loci: Shell, command: list[str]) -> None:
    (loci.folder / "said.jsonl").write_text('{"role": "user", "text": "I live in Porto."}\n', "utf-8")
    (loci.folder / "odd.txt").write_text("{", "utf-8")
    (loci.folder / "notes").mkdir()
    done = loci.here(*command)
    assert bool(done.code) == ("--dry-run" not in command) and not loci.file.parent.exists() and "new vault" not in done.err, done.err
    loci.add("There is a vault.")
    kept = loci.here("--cube", "other", *command)
    assert kept.code == done.code and [path.name for path in loci.file.parent.glob("*.loci")] == ["main.loci"]


def test_whoever_makes_a_vault_is_told_once(loci: Shell) -> None:
    (loci.folder / "said.jsonl").write_text('{"role": "user", "text": "I live in Porto."}\n', "utf-8")
    for vault, *first in (["a", "add", "I live in Porto.", "--json"], ["b", "import", "said.jsonl"]):
        told = [loci.here("--vault", vault, *command) for command in (first, first, ["add", "Tea.", "--cube", "other"])]
        assert [end.err.count(f"note: {vault} is a new vault; --vault names another.") for end in told] == [1, 0, 0]
        assert "vault" not in told[0].out


def test_a_grant_is_confirmed_as_narrow_as_it_is_and_made_once(loci: Shell) -> None:
    id = loci.add("I live in Porto.", user="alice")
    limits = ("--user", "alice", "--agent", "a", "--session", "s", "--memory", id, "--expires", "2199-01-01", "--channel", "web")
    first, again = (loci.here("grant", "bob", "reader", "--on", "main", *limits) for _ in range(2))
    assert f"user alice, agent a, session s, memory {id}" in first.out and "2199-01-01" in first.out and "web" in first.out
    assert again.out == first.out and "granted already" in again.err and "granted already" not in first.err
    assert len(loci.here("grants", "--json").json) == 1
    counted = [loci.here("grant", "bob", "reader", "--on", "main", "--uses", "3") for _ in range(2)]
    assert all(re.search(r"uses +3", told.out) and not told.err for told in counted) and len(loci.here("grants", "--json").json) == 3


def test_a_mistyped_command_or_user_is_told_what_was_meant(loci: Shell) -> None:
    loci.add("I live in Porto.", user="alice")
    assert "Did you mean 'search'?" in loci.here("serch", "Porto").err
    for command in (["search", "Porto"], ["list"]):
        assert "of a user 'alcie'; there is 'alice'." in loci.here(*command, "--user", "alcie").err
        assert "user 'zed'." in loci.here(*command, "--user", "zed").err
        assert "of a user" not in loci.here(*command, "--user", "alice").err
        assert "of a user" not in loci.here(*command, "--user", "alcie", LOCI_PRINCIPAL="bob").err, "only the owner may know"
    before, after = (loci.here(*words).json for words in (["--json", "list"], ["list", "--json"]))
    assert before == after and len(before) == 1


def test_an_export_goes_to_stdout_and_never_to_a_file_of_that_name(loci: Shell) -> None:
    loci.add("I live in Porto.")
    out = loci("export", "-").out
    assert loci.here("export", "kept.jsonl").code == 0 and not (loci.folder / "-").exists()
    assert [json.loads(line).get("text") for line in out.splitlines()[1:]] == [
        json.loads(line).get("text") for line in (loci.folder / "kept.jsonl").read_text("utf-8").splitlines()[1:]
    ]
    assert loci("export", "-", "--json").code == FAMILIES["Invalid"]
    assert "--overwrite" in loci.here("export", "kept.jsonl").err


def test_a_person_who_starts_mcp_is_told_what_it_waits_for(loci: Shell) -> None:
    person, terminal = os.openpty()
    os.write(person, b"\x04")
    ended = loci("mcp", stdin=terminal)
    os.close(person)
    os.close(terminal)
    assert ended.code == 0 and "to a host that starts it" in ended.err and ended.out == ""
    assert "host" not in loci("mcp").err, "a host knows"


def test_what_comes_by_stdin_is_utf_8_or_refused(loci: Shell) -> None:
    (loci.folder / "said").write_bytes("I like café".encode("latin1"))
    with (loci.folder / "said").open() as odd:
        refused = loci("add", "-", stdin=odd.fileno())
    assert refused.code == FAMILIES["Invalid"] and "byte 0xe9 at 11" in refused.err and not loci.file.exists()
    (loci.folder / "said").write_text("I like café", "utf-8")
    with (loci.folder / "said").open() as right:
        assert loci("add", "-", stdin=right.fileno(), LC_ALL="C").code == 0
    assert loci.here("list", "--json").json[0]["text"] == "I like café"


def test_a_period_in_words_is_shown_by_its_last_day(loci: Shell) -> None:
    shown = [loci.here("get", loci.add(f"I was in Rome {when}.")).out for when in ("in May 2025", "on 5 May 2025")]
    assert "= 2025-05-01 to 2025-05-31" in shown[0] and "= 2025-05-05\n" in re.sub(" +\n", "\n", shown[1])


def test_every_verb_of_a_cube_is_a_command_and_every_command_a_verb() -> None:
    verbs = {name for name, _ in inspect.getmembers(Cube, inspect.isfunction) if not name.startswith("_")} - NOT_VERBS
    assert {SPELLED.get(name, name) for name in commands() if name not in NOT_OF_A_CUBE} == verbs


@pytest.mark.parametrize("name", sorted(set(commands()) - NOT_OF_A_CUBE))
def test_a_command_has_the_fields_of_its_verb(name: str) -> None:
    signature = inspect.signature(getattr(Cube, SPELLED.get(name, name)))
    fields = {RENAMED.get(p, p) for p in signature.parameters} - {"self", "progress"}
    assert fields <= {p.name for p in commands()[name].params}


def test_every_command_can_answer_in_json_and_says_what_it_does() -> None:
    for name, command in commands().items():
        if not isinstance(command, click.Group):
            assert "as_json" in {p.name for p in command.params}, name
        assert command.help, name


def test_help_reads_no_engine() -> None:
    program = f"import sys; from loci.cli import run; run(['--help']); sys.exit(str([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"
    assert all(re.search(rf"^  {name} ", done.stdout, re.MULTILINE) for name in COMMANDS)


# -- each verb -----------------------------------------------------------------------------------------------------------


def test_a_pipeline_is_checked_and_run(loci: Shell, tmp_path: Path) -> None:
    loci.add("The kettle is blue.", user="ann")
    steps = [
        {"name": "found", "verb": "search", "with": {"question": "$about", "user": "ann", "limit": "$most"}},
        {"verb": "move", "each": "$found.ids", "with": {"id": "$each", "move": "archive"}},
    ]
    parameters = {"about": "text", "most": {"kind": "number", "default": 5}}
    file = tmp_path / "tidy.json"
    file.write_text(json.dumps({"name": "tidy", "parameters": parameters, "steps": steps}))
    assert loci.here("pipeline", "check", str(file), "--json").json["stages"] == 1
    failed(loci.here("pipeline", "run", str(file), "--json"), "Invalid", "invalid")
    failed(loci.here("pipeline", "run", str(file), "--set", "about", "--json"), "Invalid", "invalid")
    failed(loci.here("pipeline", "run", str(file), "--set", f"most={'9' * 5000}", "--json"), "Invalid", "invalid")
    failed(loci("pipeline", "run", "-", "--json", stdin="[" * 100_000), "Invalid", "invalid")
    ran = loci.here("pipeline", "run", str(file), "--set", "about=kettle", "--set", "most=1", "--json").json
    assert [done["step"] for done in ran["steps"]] == ["found", "2"] and ran["job"] is None
    assert loci.here("list", "--user", "ann", "--json").json == []
    assert "as one" in loci("pipeline", "run", "-", "--set", "about=kettle", stdin=file.read_text()).err
    file.write_text('{"name": "tidy", "steps": [{"verb": "erase"}]}')
    failed(loci.here("pipeline", "check", str(file), "--json"), "Invalid", "invalid")


def test_foresee_shows_what_it_guesses_and_why(told: tuple[Shell, str, str]) -> None:
    loci, _, _ = told
    found = loci("foresee", "Where does Alice live?", "--user", "alice", "--budget-tokens", "300", "--json").json
    assert found["guesses"] and found["tokens"] <= 300 and all({"memory", "share", "why"} <= set(guess) for guess in found["guesses"])
    assert set(found["missing"]) == {"question"} and abs(sum(found["weights"].values()) - 1) < 1e-9
    ended = loci("foresee", "Where does Alice live?", "--user", "alice")
    assert found["guesses"][0]["memory"] in ended.out and "ways of guessing" in ended.err


def test_add_answers_with_a_receipt_and_takes_stdin(loci: Shell) -> None:
    receipt = loci(
        "add", "-", "--role", "user", "--priority", "2", "--expires", "2099-01-01", "--json", stdin="The code word is heron."
    ).json
    assert receipt["changes"][0] == {
        "outcome": "added", "memory": receipt["ids"][0], "reason": "remembered", "before": None, "after": 1, "other": None,
    }  # fmt: skip
    assert len(receipt["sources"]) == 1
    memory = loci("get", receipt["ids"][0], "--json").json
    assert (memory["text"], memory["priority"], memory["expires"]) == ("The code word is heron.", 2, "2099-01-01T00:00:00+00:00")


def test_search_answers_with_hits_and_says_what_is_missing(told: tuple[Shell, str, str]) -> None:
    loci, _, new = told
    ended = loci("search", "Where does Alice live?", "--user", "alice", "--json")
    assert ended.json["hits"][0]["memory"]["id"] == ended.json["ids"][0] == new
    assert set(ended.json) == {"hits", "text", "tokens", "trace", "ids", "confidence", "handles"}
    assert re.fullmatch(r"note: the dense signal is missing: .+\n", ended.err)


def test_a_strict_search_says_that_it_withholds(told: tuple[Shell, str, str]) -> None:
    loci, _, _ = told
    ended = loci("search", "Which volcanoes did Alice climb in Iceland?", "--strict")
    assert not ended.out and "not sure that it holds an answer" in ended.err and ended.code == 0


def test_search_looks_at_another_time(told: tuple[Shell, str, str]) -> None:
    loci, old, _ = told
    assert loci.here("search", "Where does Alice live?", "--as-of", "2025-03-01", "--json").json["ids"] == [old]
    assert loci.here("search", "Where does Alice live?", "--known-at", "2025-03-01", "--json").json["ids"] == []


def test_search_shows_a_table_with_date_speaker_source_and_plan(told: tuple[Shell, str, str]) -> None:
    loci, old, _ = told
    out = loci.here("search", "Where does Alice live?", "--as-of", "2025-03-01", "--explain").out
    assert all(word in out for word in ("2025-01-05", "Alice", "I live in Porto.", f"a1 · {old}", "intent", "weights", "milliseconds"))


def test_what_a_table_shows_beside_a_hit_is_no_look_of_its_own(loci: Shell) -> None:
    loci.add("I live in Porto.", user="ann", id="a1")
    assert "a1" in loci.here("search", "Where does Ann live?").out
    reads = [record["detail"]["verb"] for record in loci.here("log", "--json").json if record["verb"] == "read"]
    assert reads == ["search"]


def test_search_prints_the_block_for_a_prompt_and_nothing_else(told: tuple[Shell, str, str]) -> None:
    loci, _, _ = told
    ended = loci("search", "Where does Alice live?", "--text", "--budget-tokens", "200")
    assert ended.out.startswith("<memory ") and ended.out.endswith("</memory>\n")


def test_list_shows_what_holds(told: tuple[Shell, str, str]) -> None:
    loci, old, new = told
    assert [m["id"] for m in loci("list", "--as-of", "2025-03-01", "--json").json] == [old]
    assert loci.here("list", "--session", "s2", "--json").json[0]["id"] == new
    assert "I live in Lisbon now." in loci.here("list").out


def test_history_shows_each_version(told: tuple[Shell, str, str]) -> None:
    loci, old, _ = told
    versions = loci("history", old, "--json").json
    assert [v["version"] for v in versions] == [1]
    assert versions[0]["valid"]["end"].startswith("2025-05-20")
    assert "I live in Porto." in loci.here("history", old).out


def test_diff_shows_what_changed_between_two_times(told: tuple[Shell, str, str]) -> None:
    loci, old, new = told
    found = loci("diff", "2025-03-01", "2025-06-01", "--json").json
    assert ([m["id"] for m in found["added"]], [m["id"] for m in found["removed"]]) == ([new], [old])
    assert "added: 1" in loci.here("diff", "2025-03-01", "2025-06-01").out


def test_why_quotes_the_source(told: tuple[Shell, str, str]) -> None:
    loci, old, new = told
    found = loci("why", old, "--json").json
    assert found["sources"][0]["message"]["text"] == "I live in Porto."
    assert [(link["type"], link["source"]) for link in found["links"]] == [("supersedes", new)]
    assert "superseded by" in loci.here("why", old).out


def test_why_not_names_the_step(told: tuple[Shell, str, str]) -> None:
    loci, old, _ = told
    found = loci("why-not", "Where does Alice live?", old, "--json").json
    assert not found["is_in"] and "2025-05-20" in found["reason"]
    assert "filter" in loci.here("why-not", "Where does Alice live?", old).out


@pytest.mark.parametrize(
    ("options", "kept"),
    [([], slice(None)), (["--limit", "5"], slice(-5, None)), (["--limit", "0"], slice(0)), (["--before", "4"], slice(3))],
)
def test_a_log_of_any_length_is_written_a_page_at_a_time(
    loci: Shell, monkeypatch: pytest.MonkeyPatch, options: list[str], kept: slice
) -> None:
    for n in range(8):
        loci.add(f"House {n} is blue.")
    told = loci.here("log", "--json").json
    asked, log = list[int](), Cube.log

    def noted(cube: Cube, **limits: Any) -> Any:
        asked.append(limits["limit"])
        found = log(cube, **limits)
        if len(asked) == 1:
            cube.add("House 8 was added meanwhile.")
        return found

    monkeypatch.setattr("loci.cli.explain.WALKED", 3)
    monkeypatch.setattr(Cube, "log", noted)
    ended = loci.here("log", "--jsonl", "log.jsonl", *options, "--json")
    assert [json.loads(line) for line in (loci.folder / "log.jsonl").read_text().splitlines()] == told[kept]
    assert ended.json == {"file": "log.jsonl", "records": len(told[kept])} and max(asked, default=0) <= 3


def test_log_stats_and_settings(told: tuple[Shell, str, str]) -> None:
    loci, _, _ = told
    assert [r["verb"] for r in loci.here("log", "--verb", "add", "--json").json] == ["add", "add"]
    assert "owner" in loci.here("log").out
    assert loci.here("stats", "--json").json["sources"] == 2
    assert loci.here("count", "--json").json["types"] == {
        kind: sum(m["type"] == kind for m in loci.here("list", "--json").json) for kind in loci.here("count", "--json").json["types"]
    }
    assert "alice" in loci.here("count").out and loci.here("count", "--as-of", "2020-01-01", "--json").json["total"] == 0
    settings = {s["name"]: s for s in loci.here("settings", "--json").json}
    assert (settings["embedder"]["value"], settings["embedder"]["origin"]) == ("none", "LOCI_EMBEDDER")
    assert loci.here("settings", "--vault", "else", "--json").json[0]["origin"] == "argument"


def test_update_restore_and_forget(loci: Shell) -> None:
    id = loci.add("The meeting is at nine.")
    assert loci("update", id, "The meeting is at ten.", "--reason", "moved", "--json").json["changes"][0]["after"] == 2
    assert loci.here("get", id, "--json").json["text"] == "The meeting is at ten."
    assert loci("restore", id, "--to", "1", "--json").json["changes"][0]["outcome"] == "restored"
    assert loci.here("get", id, "--json").json["text"] == "The meeting is at nine."
    assert loci("forget", id, "--reason", "over", "--json").json["changes"][0]["outcome"] == "forgotten"
    assert loci.here("list", "--json").json == []


def test_restore_brings_back_the_whole_cube(loci: Shell) -> None:
    id = loci.add("The meeting is at nine.")
    at = loci.here("get", id, "--json").json["recorded"]["start"]
    loci.here("forget", id)
    loci.add("It rains.")
    assert {c["outcome"] for c in loci("restore", "--to", at, "--json").json["changes"]} == {"restored", "forgotten"}
    assert [m["text"] for m in loci.here("list", "--json").json] == ["The meeting is at nine."]


def test_move_archives_and_brings_back(loci: Shell) -> None:
    id = loci.add("An old address.")
    assert loci("move", id, "archive", "--json").json["changes"][0]["outcome"] == "moved"
    assert loci.here("list", "--json").json == []
    assert loci.here("list", "--archived", "--json").json[0]["state"] == "archived"


def test_cite_counts_and_a_plan_wants_a_model(loci: Shell) -> None:
    id = loci.add("The meeting is at nine.")
    assert loci.here("cite", id, "--json").json == {"cited": [id]}
    assert loci.here("get", id, "--json").json["cited"] == 1 and "once, last" in loci.here("get", id).out
    assert loci.here("cite", "01NONE").code == FAMILIES["Missing"]
    refused = loci.here("plan", "--apply")
    assert refused.code == FAMILIES["Unsupported"] and "engine" in refused.err and not refused.out


def test_branch_is_a_cube_of_its_own(loci: Shell) -> None:
    loci.add("I live in Porto.")
    assert loci("branch", "what-if", "--json").json["cube"] == "what-if"
    assert loci.here("add", "I live in Oslo.", "--cube", "what-if").code == 0
    assert "Oslo" in loci.here("--cube", "what-if", "list").out
    assert [m["text"] for m in loci.here("list", "--json").json] == ["I live in Porto."]


@pytest.mark.parametrize("command", [["list"], ["grants"], ["grant", "ann", "reader", "--on", "main"], ["serve"]])
def test_a_vault_that_is_no_path_is_told(loci: Shell, command: list[str]) -> None:
    found = loci.here("--vault", "~nobody-of-that-name/x", *command)
    assert found.code == FAMILIES["Invalid"] and "no path" in found.err


def test_verify_takes_the_head_of_a_cube_for_its_own_whatever_it_is_called(loci: Shell) -> None:
    loci.here("add", "I live in Porto.", "--cube", "registry")
    kept = loci.folder / "heads.json"
    kept.write_text(loci.here("head", "--json").out, "utf-8")
    loci.here("add", "I live in Oslo.", "--cube", "registry")
    for only in ([], ["--cube", "registry"]):
        assert loci.here("verify", "--kept", str(kept), *only).code == 0


def test_erase_leaves_no_byte_and_verify_is_clean(loci: Shell) -> None:
    loci.add("The weather is fine.")
    id = loci.add("The vault code is Xylophone-7.", user="alice")
    erased = loci("erase", id, "--json", "--yes").json
    assert len(erased["sources"]) == 1 and erased["bytes_scanned"] > 0
    assert not any(b"Xylophone" in path.read_bytes() for path in loci.file.parent.iterdir())
    report = loci("verify", "--json").json
    assert report["is_clean"] and report["checked"]["cubes"] == 1
    assert loci.here("erase", id, "--yes").code == FAMILIES["Missing"]


def test_erase_asks_a_person_and_refuses_where_nobody_is(loci: Shell) -> None:
    id = loci.add("Nothing much.")
    for asked in ([id], [id, "--json"], ["--user", "zed", "--json"]):
        assert loci("erase", *asked).code == FAMILIES["Invalid"], "an output format is no consent"
    person, terminal = os.openpty()
    os.write(person, b"n\n")
    refused = loci("erase", id, stdin=terminal)
    assert refused.code == 130 and "Nothing much." in refused.err and refused.out == ""
    os.write(person, b"y\n")
    assert "bytes_scanned" in loci("erase", id, "--json", stdin=terminal).json
    os.close(person)
    os.close(terminal)


def test_a_cube_is_encrypted_rekeyed_and_shredded(loci: Shell) -> None:
    loci.add("The zanzibar kettle is blue.", user="alice")
    secret, other = {"LOCI_PASSPHRASE_VARIABLE": "SECRET", "SECRET": "correct horse"}, {"NEXT": "battery staple"}
    assert loci.here("encrypt", "main", "--json", **secret).json == {"cube": "main", "encrypted": True, "activations_let_go": 0}
    assert b"zanzibar" not in loci.file.read_bytes() and loci.here("list", "--json").code == FAMILIES["Denied"]
    listed = loci.here("list", **secret)
    assert "zanzibar" in listed.out and "horse" not in loci.here("settings", **secret).out
    exported = loci.here("export", "out.jsonl", **secret)
    assert exported.code == 0 and "plain text" in exported.err and "zanzibar" in (loci.folder / "out.jsonl").read_text()
    assert loci.here("rekey", "main", **secret).code == FAMILIES["Invalid"], "nobody is there to type one"
    assert loci.here("rekey", "main", "--to-variable", "NEXT", "--json", **secret, **other).json["rekeyed"] is True
    assert loci.here("list", **secret).code == FAMILIES["Denied"]
    secret["SECRET"] = other["NEXT"]
    assert loci.here("decrypt", "main", **secret).code == 0 and "zanzibar" in loci.here("list").out
    assert loci.here("encrypt", "main", **secret).code == 0
    assert loci.here("shred", "main").code == FAMILIES["Invalid"] and loci.here("list", **secret).code == 0
    assert loci("shred", "main", "--json").code == FAMILIES["Invalid"], "an output format is no consent"
    assert loci.here("shred", "main", "--yes", "--json").json["keys"] == ["vault/main.loci.key"]
    assert "shredded" in loci.here("list", **secret).err and loci.here("shred", "main", "--yes").code == FAMILIES["Missing"]


def test_an_export_is_signed_and_checked(loci: Shell) -> None:
    loci.add("The kettle is blue.", user="alice")
    public = loci.here("keygen", "signer", "--json").json["public"]
    assert loci.here("export", "out.jsonl", "--sign", "signer", "--json").json["signed_by"] == public
    assert loci.here("import", "out.jsonl", "--signed-by", "signer.pub", "--cube", "second", "--json").json["messages"] == 1
    path = loci.folder / "out.jsonl"
    path.write_text(path.read_text().replace("kettle is blue", "kettle is grey"))
    told = loci.here("import", "out.jsonl", "--signed-by", public, "--cube", "third")
    assert told.code == FAMILIES["Denied"] and "changed since" in told.err
    assert loci.here("import", "out.jsonl", "--cube", "third").code == FAMILIES["Invalid"]
    assert loci.here("keygen", "signer").code == FAMILIES["Conflict"]
    assert loci.here("keygen", "cubes.key", "--for", "cubes").code == 0 and (loci.folder / "cubes.key").stat().st_size == 32


def test_long_work_says_on_a_terminal_what_it_does_and_leaves_the_answer_alone(loci: Shell) -> None:
    loci("add", "The kettle is blue.")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "loci", "--vault", str(loci.file.parent), "--embedder", "none", "verify", "--json"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}, check=True)
    os.close(theirs)
    assert json.loads(ran.stdout)["is_clean"] and b"checking" in os.read(ours, 65536)
    os.close(ours)


def test_import_then_export(loci: Shell) -> None:
    (loci.folder / "chat.jsonl").write_text(
        '{"role": "user", "content": "I live in Porto.", "speaker": "Alice", "at": "2025-01-05T10:00:00+00:00"}\n'
        '{"role": "user", "content": "How far is it to Lisbon?", "speaker": "Bob", "at": "2025-01-05T10:01:00+00:00"}\n'
    )
    first = loci("import", "chat.jsonl", "--user", "alice", "--json")
    assert (first.json["added"], first.json["known"]) == (2, 0) and "reading" in first.err
    assert loci.here("import", str(loci.folder / "chat.jsonl"), "--user", "alice", "--json").json["added"] == 0
    assert loci("export", "out.loci", "--json").json["sources"] == 2
    assert loci.here("export", str(loci.folder / "out.loci")).code == FAMILIES["Conflict"]
    assert loci.here("export", str(loci.folder / "out.loci"), "--overwrite").code == 0
    assert loci.here("import", str(loci.folder / "out.loci"), "--cube", "copy", "--json").json["added"] == 2


def test_an_import_that_is_interrupted_says_what_is_kept_and_goes_on(loci: Shell) -> None:
    said = [{"role": "user", "content": f"Room {number} is cold."} for number in range(12_000)]
    (loci.folder / "talk.json").write_text(json.dumps(said))
    begun = [sys.executable, "-m", "loci", "import", "talk.json", "--user", "ann", "--embedder", "none"]
    log = loci.file.with_name(f"{loci.file.name}-wal")
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what is begun in the background without job control heeds none
    with subprocess.Popen(begun, cwd=loci.folder, stderr=subprocess.PIPE, text=True, preexec_fn=heeding) as process:
        while process.poll() is None and not (log.exists() and log.stat().st_size > 1 << 20):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130 and "what came in so far is kept" in told and told.endswith("stopped.\n")
    kept = loci.here("count", "--json").json["total"]
    assert 0 < kept < 12_000 and loci.here("verify").code == 0
    again = loci("import", "talk.json", "--user", "ann", "--json").json
    assert again["known"] == kept and again["added"] == 12_000 - kept and loci.here("count", "--json").json["total"] == 12_000


def test_demo_walks_through_every_step(loci: Shell) -> None:
    shown = loci("demo", "--vault", "friends", "--json").json
    assert len(shown["steps"]) == 13 and all(step["commands"] for step in shown["steps"])
    forgotten = next(step for step in shown["steps"] if "bytes_after" in step)
    own = [sum(counts) for name, counts in forgotten["bytes_after"].items() if name.startswith("main.loci")]
    before = [sum(counts) for name, counts in forgotten["bytes_before"].items() if name.startswith("main.loci")]
    assert sum(before) >= 3 and sum(own) == 0
    assert shown["steps"][-1]["commands"][0]["answer"]["is_clean"]
    assert loci.here("demo", "--vault", str(loci.folder / "friends")).code == FAMILIES["Conflict"]


# -- errors --------------------------------------------------------------------------------------------------------------


def failed(ended: Ended, family: str, code: str) -> dict[str, Any]:
    """The error document of a command that failed as it should: nothing on stdout, one document on stderr."""
    assert ended.code == FAMILIES[family], ended.err
    assert ended.out == ""
    found = json.loads(ended.err)
    assert found["error"] == code
    assert isinstance(found, dict)
    return found


def test_invalid(told: tuple[Shell, str, str]) -> None:
    loci, _, _ = told
    failed(loci("search", " ", "--json"), "Invalid", "invalid")
    failed(loci.here("list", "--as-of", "whenever", "--json"), "Invalid", "invalid")
    failed(loci.here("get", "--json"), "Invalid", "invalid")
    failed(loci.here("list", "--cube", "../x", "--json"), "Invalid", "invalid")
    failed(loci("add", "-", "--json", stdin="x" * 1_000_001), "Invalid", "too_large")
    failed(loci("list", "--json", LOCI_VALT="x"), "Invalid", "invalid")


def test_malformed_names_the_line(loci: Shell) -> None:
    (loci.folder / "bad.jsonl").write_text('{"role": "user", "content": "Fine."}\n{"role": \n')
    ended = loci("import", "bad.jsonl", "--json")
    assert (ended.code, ended.out) == (FAMILIES["Invalid"], "")
    assert json.loads(ended.err.splitlines()[-1])["line"] == 2
    assert not loci.file.parent.exists()


def test_denied(told: tuple[Shell, str, str]) -> None:
    loci, _, _ = told
    failed(loci("list", "--json", LOCI_PRINCIPAL="guest"), "Denied", "denied")


def test_missing(told: tuple[Shell, str, str], tmp_path: Path) -> None:
    loci, _, _ = told
    failed(loci("get", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "--json"), "Missing", "missing")
    failed(loci.here("list", "--cube", "nobody", "--json"), "Missing", "missing")
    failed(loci.here("list", "--vault", str(tmp_path / "nowhere"), "--json"), "Missing", "missing")
    assert not (tmp_path / "nowhere").exists()


def test_conflict(loci: Shell) -> None:
    id = loci.add("The meeting is at nine.")
    loci.here("update", id, "The meeting is at ten.")
    found = failed(loci("update", id, "At eleven.", "--if-version", "1", "--json"), "Conflict", "version_conflict")
    assert {found["expected"], found["found"]} == {1, 2}
    loci.here("move", id, "freeze")
    failed(loci.here("update", id, "At noon.", "--json"), "Conflict", "illegal_move")


def test_unavailable(loci: Shell) -> None:
    loci.add("Before.")
    size = loci.file.stat().st_size

    def is_full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40_000, size + 40_000))

    ended = loci("add", "-", "--json", stdin="word " * 100_000, preexec=is_full)
    assert ended.code == FAMILIES["Unavailable"], ended.err
    assert [m["text"] for m in loci.here("list", "--json").json] == ["Before."]


def test_corrupt(loci: Shell) -> None:
    loci.add("Whole.")
    loci.file.write_bytes(b"not a cube at all" * 1000)
    failed(loci("list", "--json"), "Corrupt", "corrupt")
    checked = loci("verify", "--json")
    assert checked.code == FAMILIES["Corrupt"] and json.loads(checked.out)["faults"][0]["cube"] == "main"
    assert "restore a copy of the cube's file" in checked.err


def test_unsupported(loci: Shell) -> None:
    import apsw

    loci.add("Old.")
    with apsw.Connection(str(loci.file)) as db:
        db.execute("PRAGMA user_version = 999").fetchall()
    failed(loci("list", "--json"), "Unsupported", "newer_schema")


def test_without_json_an_error_is_one_clear_line(told: tuple[Shell, str, str]) -> None:
    loci, _, _ = told
    ended = loci.here("get", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert (ended.code, ended.out) == (FAMILIES["Missing"], "")
    assert re.fullmatch(r"error: There is no memory 01ARZ3NDEKTSV4RRFFQ69G5FAV .+\n", ended.err)


# -- manners -------------------------------------------------------------------------------------------------------------


def test_stored_text_has_no_power_over_the_terminal(loci: Shell) -> None:
    id = loci.add("\x1b[31mred\x1b[0m [bold]not markup[/bold] \u202eevil")
    for ended in (loci.here(*line) for line in (["list"], ["get", id], ["why", id], ["history", id], ["search", "markup"])):
        assert "\x1b" not in ended.out and "\u202e" not in ended.out
        assert "[bold]not markup[/bold]" in ended.out
    assert "\x1b[31mred" in loci.here("get", id, "--json").json["text"]


def test_odd_text_comes_through_json(loci: Shell) -> None:
    text = "Naïve 🙂 שלום"
    assert loci("get", loci.add(text), "--json").json["text"] == text


def test_a_reader_that_goes_away_ends_it_quietly(told: tuple[Shell, str, str]) -> None:
    loci, _, _ = told
    line = f"{sys.executable} -m loci list --vault {loci.folder / 'vault'} --embedder none | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 141) and done.stderr == ""


def test_version(loci: Shell) -> None:
    assert re.fullmatch(r"loci \d+\.\d+\.\d+\n", loci("--version").out)
