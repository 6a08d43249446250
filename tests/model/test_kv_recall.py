"""The benchmark of budgets: its language says what it claims to say, every method runs, and a trained model tells them apart."""

from __future__ import annotations

import json
import random
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner

from loci.bench.kv_beside import PRESSES, beside
from loci.bench.kv_language import BOS, FILLERS, WINDOW, Language, stream
from loci.bench.kv_model import ASKED, Shape, batch, build, train
from loci.bench.kv_recall import EPISODIC, FULL, POLICIES, SHARES, Oracle, Row, Setting, run, scorer_of, setting
from loci.bench.kv_recall_report import targets, write
from loci.cli import run as loci
from loci.cli.bench import bench
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.errors import Invalid
from loci.ports import ScoreContext

torch.set_num_threads(1)  # on tensors this small, threads wait for each other

LANGUAGE = Language(keys=24, values=4)
SMALL = Shape(width=32, heads=2, kv_heads=1, steps=2, batch=2, length=32)


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("seed", range(5))
def test_a_stream_holds_its_facts_where_it_says_each_in_a_window_of_its_topic(filler, seed):
    made = stream(LANGUAGE, 192, 12, 2, filler, seed)
    assert len(made.tokens) == 192 and made.tokens[0] == BOS and len(made.facts) == 12
    for key, value in made.facts.items():
        assert made.tokens[made.places[key]] == LANGUAGE.fact(key, value)
        assert made.topics[made.places[key] // WINDOW] == made.topic_of[key]
        assert LANGUAGE.key_of(LANGUAGE.fact(key, value)) == key == LANGUAGE.key_of(LANGUAGE.question(key))
    assert sum(LANGUAGE.key_of(t) is not None for t in made.tokens) == 12
    assert sorted(list(made.topic_of.values()).count(t) for t in (0, 1)) == [6, 6]
    assert made == stream(LANGUAGE, 192, 12, 2, filler, seed) != stream(LANGUAGE, 192, 12, 2, filler, seed + 1)


def test_no_fact_takes_the_place_of_the_first_token():
    made = [stream(Language(), 192, 90, 2, "noise", seed) for seed in range(10)]
    assert all(min(one.places.values()) >= 1 and len(set(one.tokens)) > 90 and one.tokens[0] == BOS for one in made)


def test_no_two_kinds_of_token_share_an_id():
    ranges = [
        {BOS}, {LANGUAGE.question(k) for k in range(24)}, {LANGUAGE.value(v) for v in range(4)},
        {LANGUAGE.fact(k, v) for k in range(24) for v in range(4)}, *(set(LANGUAGE.filler(f, 900, random.Random(1))) for f in FILLERS[:3]),
    ]  # fmt: skip
    assert len(set().union(*ranges)) == sum(map(len, ranges)) == LANGUAGE.vocabulary
    mixed = LANGUAGE.filler("mixed", 900, random.Random(1))
    assert set(mixed) <= ranges[4] | ranges[6] and 0.25 < sum(t >= LANGUAGE.first_strange for t in mixed) / 900 < 0.35


def test_training_texts_ask_for_what_they_told_and_hold_no_strange_token():
    texts = batch(LANGUAGE, SMALL, torch.Generator().manual_seed(1))
    assert texts.shape == (2, 32 + 2 * ASKED) and int(texts.max()) < LANGUAGE.first_strange
    for row in texts.tolist():
        told = {LANGUAGE.key_of(t): (t - LANGUAGE.first_fact) % 4 for t in row[:32] if LANGUAGE.first_fact <= t < LANGUAGE.first_cycle}
        assert told and all(LANGUAGE.value(told[LANGUAGE.key_of(q)]) == a for q, a in zip(row[32::2], row[33::2], strict=True))


def test_a_seed_gives_the_same_model_and_the_same_rows():
    told = []
    for _ in range(2):
        model = build(LANGUAGE, SMALL)
        train(model, LANGUAGE, SMALL, lambda step, steps, right: None)
        told.append(run(model, LANGUAGE, [Setting(128, 8, 2, "noise", (6, 20), 2)], POLICIES, lambda done, count: None))
    assert repr(told[0]) == repr(told[1]) and len(told[0]) == 1 + 2 * (len(POLICIES) - 1)


def test_every_method_stores_its_budget_and_full_kv_everything():
    model = build(LANGUAGE, SMALL)
    rows = run(model, LANGUAGE, [Setting(128, 8, 2, "predictable", (6, 20), 1)], POLICIES, lambda done, count: None)
    for row in rows:
        episodes = 2 if row.policy in EPISODIC else 1
        assert row.stored == (128 if row.policy == FULL else row.budget * episodes), row
        if row.policy in ("streaming", "key difference", "sirllm (blended)", "one cache, oracle"):
            assert row.peak == row.budget + 16 and row.forwarded == 1.0


def test_layers_share_a_budget_as_they_are_told_to():
    """To the entry in total; an episodic method has no one cache to judge by, and is left out where shares are not equal."""
    model = build(LANGUAGE, SMALL)
    kinds = [Setting(128, 8, 2, "noise", (20,), 1, shares=shares) for shares in SHARES]
    caches = []
    made = BudgetedCache.__init__

    def noted(self, plan, scorer):
        made(self, plan, scorer)
        caches.append(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BudgetedCache, "__init__", noted)
        rows = run(model, LANGUAGE, kinds, ("streaming", EPISODIC[0]), lambda done, count: None)
    assert [(r.setting.shares, r.policy) for r in rows] == [
        ("equal", "streaming"),
        ("equal", EPISODIC[0]),
        *((s, "streaming") for s in SHARES[1:]),
    ]
    plans = {cache.plan.per_layer for cache in caches if max(cache.plan.per_layer) < 128}
    assert all(sum(plan) == 2 * 20 for plan in plans) and (20, 20) in plans and len(plans) > 1


def test_the_oracle_knows_the_places_of_facts_and_the_lot_nothing():
    made = stream(LANGUAGE, 192, 12, 2, "noise", 0)
    context = ScoreContext([torch.arange(100)[None]], 100)
    scores = scorer_of("one cache, oracle", LANGUAGE, made, 0).score(context)[0][0]
    assert set(scores.nonzero()[:, 0].tolist()) == {p for p in made.places.values() if p < 100}
    lots = [scorer_of("random", LANGUAGE, made, seed).score(context)[0] for seed in (1, 1, 2)]
    assert torch.equal(lots[0], lots[1]) and not torch.equal(lots[0], lots[2])
    assert isinstance(scorer_of("one cache, oracle", LANGUAGE, made, 0), Oracle)


def row(policy, budget, recall, one):
    return Row(one, policy, budget, recall, 0.01, budget or one.length, 99, 1.0, 0.5)


def test_targets_are_judged_by_what_was_measured(tmp_path):
    one = Setting(400, 128, 4, "predictable", (80,), 2)
    rows = [row(FULL, None, 1.0, one), row("streaming", 80, 0.2, one), row("surprisal", 80, 0.59, one), row("key difference", 80, 0.6, one),
            row("episodic, questions as probe", 80, 0.96, one), row("episodic, incremental, sirllm", 80, 0.695, one)]  # fmt: skip
    told = [line.split(" | ") for line in targets(rows)[2:]]
    assert [(line[1].split(",")[0], line[2], line[4].strip(" |")) for line in told] == [
        ("episodic", "96.0%", "met"), ("episodic", "+36.0", "met"), ("episodic", "69.5%", "missed"), ("episodic", "+9.5", "missed"),
        ("surprisal", "+39.0", "missed"),
    ]  # fmt: skip
    strange = Setting(400, 128, 4, "adversarial", (80,), 2)
    rows = [row("streaming", 80, 0.2, strange), row("sirllm (blended)", 80, 0.175, strange)]
    assert targets(rows)[2:][0].endswith("-2.5 | >= -2 | missed |")
    write(tmp_path, rows, "About.")
    assert "never to be quoted" in (tmp_path / "report.md").read_text() and len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2
    ElementTree.parse(tmp_path / "adversarial-400.svg")


@pytest.mark.parametrize("wrong", [{"facts": 81}, {"topics": 3}, {"budgets": (2, 9)}], ids=str)
def test_conversations_that_cannot_be_are_refused(wrong):
    with pytest.raises(Invalid):
        setting(160, "noise", 1, **wrong)


def test_the_command_trains_keeps_the_weights_and_writes_a_report(tmp_path):
    small = ["kv-recall", "--length", "128", "--filler", "noise", "--facts", "8", "--budgets", "8,16", "--streams", "1", "--steps", "1", "--width", "48", "--layers", "3", "--device", "cpu",
             "--method", FULL, "--method", "streaming", "--shares", "keys", "--weights", str(tmp_path / "w.safetensors"), "--report", str(tmp_path / "r"), "--json"]  # fmt: skip
    first = CliRunner().invoke(bench, small, catch_exceptions=False)
    again = CliRunner().invoke(bench, small, catch_exceptions=False)
    rows = json.loads(first.stdout)["rows"]
    assert [(r["policy"], r["budget"]) for r in rows] == [(FULL, None), ("streaming", 8), ("streaming", 16)]
    assert json.loads(again.stdout) == json.loads(first.stdout)
    with pytest.raises(Invalid, match="name another file"):
        CliRunner().invoke(bench, [*small, "--layers", "1"], catch_exceptions=False)
    assert (tmp_path / "r/report.md").exists() and loci(["bench", "kv-recall", "--budgets", "8,x"]) == Invalid.exit_code


@pytest.mark.slow
def test_a_trained_model_tells_the_methods_apart():
    """About a minute. What the report claims at its coarsest: full KV recalls, an oracle fills its budget, the newest alone do not, episodes hold more than one cache."""
    language, shape = Language(keys=32, values=8), Shape(steps=600, width=64, heads=2, kv_heads=1)
    model = build(language, shape)
    train(model, language, shape, lambda step, steps, right: None)
    rows = run(
        model, language, [Setting(160, 12, 2, "predictable", (8, 40), 5)],
        (FULL, "streaming", "key difference", "one cache, oracle", "episodic, questions as probe"), lambda done, count: None,
    )  # fmt: skip
    at = {(r.policy, r.budget): r.recall for r in rows}
    assert at[FULL, None] > 0.95 and at["streaming", 40] < 0.5 and at["one cache, oracle", 8] < 0.7
    assert at["one cache, oracle", 40] > 0.9 and at["episodic, questions as probe", 8] > at["one cache, oracle", 8] + 0.1


@pytest.mark.slow
def test_kvpress_reads_the_same_conversations():
    """In its own environment, which the first use makes from PyPI. Its newest-only press and ours are the same selection, and so is their recall."""
    language, one = Language(keys=24, values=4), Setting(128, 8, 2, "predictable", (12, 40), 2)
    model = build(language, SMALL)
    told = {(r.policy, r.budget): r for r in beside(model, language, [one], lambda done, count: None)}
    ours = {(r.policy, r.budget): r for r in run(model, language, [one], ["streaming"], lambda done, count: None)}
    assert len(told) == 2 * len(PRESSES) and {r.peak for r in told.values()} == {128}
    assert {r.recall for r in told.values()} <= {i / 16 for i in range(17)}
    for budget in one.budgets:
        assert told["kvpress StreamingLLMPress", budget].recall == pytest.approx(ours["streaming", budget].recall, abs=0.126)
