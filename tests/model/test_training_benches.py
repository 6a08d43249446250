"""`loci bench mom` and `loci bench memo`: texts ask for what they told, arms differ in what they are said to, gradients are compared, and the commands do it all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner

from loci.bench import memo, mom
from loci.bench.memo_report import kept, plans, steps
from loci.bench.memo_trace import traced
from loci.bench.mom_report import compared, table
from loci.cli import run as loci
from loci.cli.bench import bench
from loci.errors import Invalid
from loci.methods.memo import most_alive

torch.set_num_threads(1)
SMALL = mom.Setting(pairs=(2, 4), length=24, width=16, keys=4, values=16, words=12, steps=3, batch=4)


def nothing(*_: int) -> None:
    """Nobody looks."""


@pytest.mark.parametrize("pairs", [1, 4, 6])
def test_a_text_tells_pairs_and_asks_for_each_once(pairs: int) -> None:
    tokens, wanted = mom.texts(SMALL, pairs, mom.drawn("x"), 50)
    for row, asked in zip(tokens.tolist(), wanted.tolist(), strict=True):
        told = dict(zip(row[0 : 2 * pairs : 2], row[1 : 2 * pairs : 2], strict=True))
        assert len(told) == pairs and max(told) < 12 <= min(told.values()) and max(told.values()) < 24
        places = [place for place, value in enumerate(asked) if value != -100]
        assert min(places) >= 2 * pairs and sorted(row[p] for p in places) == sorted(told)
        assert all(told[row[p]] == asked[p] for p in places)
        assert all(row[p] == 24 for p in range(2 * pairs, 24) if p not in places)
    assert len({tuple(row) for row in tokens.tolist()}) == 50


def test_arms_are_what_they_are_compared_as() -> None:
    weights = {arm: sum(p.numel() for p in mom.Model(SMALL, arm).parameters()) for arm in mom.ARMS}
    state = {arm: mom.state_bytes(SMALL, arm) for arm in mom.ARMS}
    assert state[mom.MOM] == state[mom.OWN] == state[mom.WIDE] == 5 * state[mom.ONE] == 5 * 4 * 4 * 16
    assert 0 < weights[mom.MOM] - weights[mom.ONE] == 2 * 4 * 16 < weights[mom.OWN] - weights[mom.MOM]  # two layers' routers
    assert state[mom.FULL] == 4 * 2 * 24 * 16
    with pytest.raises(Invalid, match="do not fit"):
        replace(SMALL, pairs=(7,))


def test_as_many_processes_as_one_likes_find_the_same() -> None:
    one, two = (mom.run(SMALL, 1, (mom.ONE, mom.MOM), nothing, workers) for workers in (1, 2))
    assert [replace(o, seconds=0) for o in one] == [replace(o, seconds=0) for o in two]
    assert [(o.arm, o.rate) for o in one] == [(arm, rate) for arm in (mom.ONE, mom.MOM) for rate in SMALL.rates]
    assert one[2].least + one[2].most > 0 and one[0].least == one[0].most == 1


@pytest.mark.slow
def test_one_wide_memory_learns_to_recall() -> None:
    """So that zeros of the others are not the lessons' fault."""
    found = mom.measured(mom.Setting(pairs=(2, 4), steps=500), mom.WIDE, 0, 1e-2)
    assert min(found.right) > 0.8


def trained(arm: str, seed: int, rate: float, right: float, chosen_by: float) -> mom.Trained:
    return mom.Trained(seed, arm, rate, (right, right / 2), chosen_by, 100, 400, 1.0, 0.2, 0.7)


def test_a_rate_is_chosen_before_the_examination_and_arms_are_compared_by_seed() -> None:
    found = [trained(mom.ONE, 0, 0.1, 0.9, 0.2), trained(mom.ONE, 0, 0.2, 0.5, 0.3), trained(mom.ONE, 1, 0.1, 0.4, 0.3), trained(mom.ONE, 1, 0.2, 0.8, 0.2),
             *(trained(mom.MOM, seed, 0.1, 0.6, 0.1) for seed in (0, 1))]  # fmt: skip
    assert [one.rate for one in mom.best(found, mom.ONE)] == [0.2, 0.1]
    rows = compared(SMALL, found)[1]
    assert [row[:2] for row in rows] == [[mom.MOM, mom.ONE]] and rows[0][3:] == ["+15.0 (+10.0)", "+7.5 (+5.0)"]
    assert table(SMALL, found)[1][0][3] == "45.0 ± 7.1" and table(SMALL, found)[1][1][-2] == "0.20 to 0.70"


def test_the_command_trains_compares_and_reports(tmp_path: Path) -> None:
    words = ["mom", "--pairs", "2", "--length", "8", "--width", "8", "--keys", "2", "--words", "4", "--steps", "1", "--batch", "2", "--seeds", "1",
             "--workers", "1"]  # fmt: skip
    told = json.loads(CliRunner().invoke(bench, [*words, "--report", str(tmp_path), "--json"], catch_exceptions=False).stdout)
    assert [one["arm"] for one in told["models"][::2]] == list(mom.ARMS) and "nothing about the quality" in told["caveat"]
    report = (tmp_path / "report.md").read_text("utf-8")
    assert all(arm in report for arm in mom.ARMS) and len((tmp_path / "rows.jsonl").read_text().splitlines()) == 10
    ElementTree.parse(tmp_path / "recall.svg")
    assert mom.OWN in CliRunner().invoke(bench, words, catch_exceptions=False).output
    for wrong in (["--pairs", "200"], ["--heads", "3"], ["--device", "cuda"]):
        assert loci(["bench", "mom", *wrong]) != 0


# -- MEMO ----------------------------------------------------------------------------------------------------------------


def test_every_way_gives_the_same_gradients_and_more_alpha_keeps_more() -> None:
    found = memo.run(memo.Setting("1m", 2, (60,), tries=1), nothing)
    assert [row["way"] for row in found["steps"]] == list(memo.WAYS)
    assert all(row["differ"] < 1e-5 and row["ms"] > 0 for row in found["steps"])
    split = [row["bytes"] for row in found["kept"] if row["way"] == "split"]
    plain, again = (next(row["bytes"] for row in found["kept"] if row["way"] == way) for way in (memo.PLAIN, memo.AGAIN))
    assert split == sorted(split) and again < split[0] < plain / 2 and split[-1] == pytest.approx(plain, rel=0.01)
    for row in found["plans"]:
        assert 0 <= row["by size"] <= 0.02 and row["by size"] <= row["online"]  # the gate of the plan
    assert len(steps(found)[1]) == 6 and kept(found)[1][0][-1] == "1.000" and len(plans(found)[1]) == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_split_that_is_wrong_shows_in_the_gradients(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, text = memo.Bench(memo.Setting("1m", 2, (40,), dtype=dtype, tries=1)), torch.arange(40)[None]
    made.cell(memo.PLAIN, text, None)
    right = made.cell(memo.ALL, text, None)["differ"]
    assert right < (1e-5 if dtype == "float32" else 0.05)
    pieces = memo.TokenSplit.pieces

    def without_keys(self: Any, each: Any, *tokens: Any) -> Any:
        found = pieces(self, each, *tokens)
        return (found[0], found[1].detach() + 0 * found[1], found[2]) if len(found) == 3 else found

    monkeypatch.setattr(memo.TokenSplit, "pieces", without_keys)
    assert made.cell(memo.ALL, text, None)["differ"] > 0.5  # the keys' gradients are gone


def test_what_is_kept_of_long_texts_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "COUNTED", 30)
    monkeypatch.setattr(memo, "WAYS", ())
    found = memo.run(memo.Setting("1m", 1, (20, 40, 60), tries=1), nothing)
    assert [row["tokens"] for row in found["kept"] if row["way"] == memo.PLAIN] == [20, 30]


def test_what_does_not_fit_is_said_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = memo.Bench(memo.Setting("1m", 3, (40,), tries=1, host=10))
    text = torch.zeros(1, 40, dtype=torch.int64)
    assert made.planned(text) is None and made.cell(memo.BEST, text, None)["ms"] is None

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(made, "step", full)
    row = made.cell(memo.PLAIN, text, 0.5)
    assert row["ms"] is None
    shown = steps({"steps": [row, {**row, "way": memo.AGAIN, "ms": 3.0}]})[1]
    assert shown[0][3:] == ["did not fit", "-", "-", "-"] and shown[1][3:5] == ["3", "1.00x"]


def test_tensors_are_followed_from_when_they_are_made_to_when_they_are_let_go() -> None:
    weight = torch.ones(10, 10, requires_grad=True)

    def work() -> torch.Tensor:
        first = torch.ones(5, 10) @ weight  # 200 bytes each: kept for nobody,
        second = first.sin()  # which keeps `first`,
        return (second * 2).sum()

    lives = traced(work)
    sizes = [one.size for one in lives]
    assert sizes.count(400) >= 1 and sizes.count(200) >= 4  # the weight's gradient; the ones, first, second, its double
    assert all(one.begin <= one.end for one in lives) and len({one.begin for one in lives}) > 3
    assert 600 <= most_alive(lives) < sum(sizes)


def test_the_memo_command_reports(tmp_path: Path) -> None:
    words = ["memo", "--shape", "1m", "--layers", "1", "--tokens", "20", "--tries", "1"]
    told = json.loads(CliRunner().invoke(bench, [*words, "--report", str(tmp_path), "--json"], catch_exceptions=False).stdout)
    assert len(told["steps"]) == 6 and json.loads((tmp_path / "found.json").read_text())["layers"] == 1
    assert "Plans for the tensors" in (tmp_path / "report.md").read_text("utf-8")
    assert memo.AGAIN in CliRunner().invoke(bench, words, catch_exceptions=False).output
    for wrong in (["--shape", "hybrid-30m"], ["--dtype", "int8"], ["--device", "cuda"]):
        assert loci(["bench", "memo", *wrong]) != 0
