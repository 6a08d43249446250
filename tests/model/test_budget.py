"""A cache under a budget: what is stored at every layer and step, what is protected, and that without a limit nothing changes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import model, text
from transformers import MistralConfig, MistralForCausalLM

from loci.drivers.torch_kv.attention import attending
from loci.drivers.torch_kv.budget import BudgetedCache, BudgetedLayer, best
from loci.drivers.torch_kv.prefill import read
from loci.errors import Invalid, Unsupported
from loci.methods.key_difference import KeyDifference
from loci.methods.sirllm import SirLLM
from loci.methods.snapkv import SnapKV
from loci.methods.streaming import Streaming
from loci.ports import BudgetPlan

ENDLESS = 10**9


def plan(*budgets: int, sinks: int = 4, recent: int = 8) -> BudgetPlan:
    return BudgetPlan(budgets, sinks, recent)


def forward(one, cache, ids):
    with torch.no_grad(), attending(one):
        return one(input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True).logits[0]


@pytest.fixture
def every_step(monkeypatch):
    """What each layer had stored before and after each update, as the layer itself sees it: (layer, came, handed, stored)."""
    steps = []
    update = BudgetedLayer.update

    def told(self, keys, values, *rest, **named):
        handed = update(self, keys, values, *rest, **named)
        assert self.keys.shape[-2] == self.values.shape[-2] == self.positions.shape[1] == self.scores.shape[1]
        steps.append((self, keys.shape[-2], handed[0].shape[-2], self.keys.shape[-2]))
        return handed

    monkeypatch.setattr(BudgetedLayer, "update", told)
    return steps


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_our_attention_is_the_stock_attention(family):
    one = model(family)
    ids = torch.tensor([text(120)])
    with torch.no_grad():
        stock = one(ids).logits
        with attending(one):
            assert torch.equal(one(ids).logits, stock)
        assert torch.equal(one(ids).logits, stock) and one.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("family", ["qwen3", "llama"])
@pytest.mark.parametrize("split", [1, 60, 119])
def test_a_text_in_two_parts_is_the_text(family, split):
    one, ids = model(family), text(120)
    cache = BudgetedCache(plan(ENDLESS, ENDLESS, ENDLESS), Streaming())
    parts = torch.cat([forward(one, cache, ids[:split]), forward(one, cache, ids[split:])])
    with torch.no_grad():
        whole = one(torch.tensor([ids])).logits[0]
    assert (parts - whole).abs().max() < 5e-5 and torch.equal(parts.argmax(-1), whole.argmax(-1))


@pytest.mark.parametrize("family", ["qwen3", "llama"])
@pytest.mark.parametrize("scorer", [Streaming(), KeyDifference(), SnapKV()], ids=lambda s: s.name)
def test_without_a_limit_generation_is_token_identical(family, scorer):
    one, ids = model(family), torch.tensor([text(50)])
    cache = BudgetedCache(plan(ENDLESS, ENDLESS, ENDLESS), scorer)
    with attending(one):
        ours = one.generate(ids, past_key_values=cache, max_new_tokens=60, do_sample=False)
    assert torch.equal(ours, one.generate(ids, max_new_tokens=60, do_sample=False))
    assert cache.stored == (109, 109, 109)


@pytest.mark.parametrize("scorer", [Streaming(), KeyDifference(), SnapKV(), SirLLM()], ids=lambda s: s.name)
def test_layers_with_different_budgets_generate_and_never_store_more(every_step, scorer):
    one, ids = model(num_hidden_layers=4), text(50)
    budgets = (32, 64, 96, 128)
    cache = BudgetedCache(plan(*budgets), scorer)
    with attending(one):
        made = one.generate(torch.tensor([ids]), past_key_values=cache, max_new_tokens=320, do_sample=False)
    assert made.shape[1] == 370 and cache.seen == 369 and cache.stored == budgets
    allowed = dict(zip(cache.layers, budgets, strict=True))
    assert len(every_step) == 320 * 4
    for layer, came, handed, stored in every_step:
        assert stored <= allowed[layer] and handed <= allowed[layer] + came
    for layer in cache.layers:
        assert layer.positions[:, :4].tolist() == [[0, 1, 2, 3]] * 2 and layer.positions[:, -8:].tolist() == [list(range(361, 369))] * 2
        assert (layer.positions.diff(dim=1) > 0).all()


def test_talk_does_not_push_out_what_was_judged_worth_keeping():
    """Where the method cannot judge while tokens are generated, those go first, beyond the recent ones."""
    one = model()
    cache = BudgetedCache(plan(40, 40, 40), SnapKV(8))
    read(one, cache, text(100), block=50)
    before = [layer.positions.clone() for layer in cache.layers]
    for token in text(40, seed=3):
        forward(one, cache, [token])
    for layer, kept in zip(cache.layers, before, strict=True):
        assert layer.stored == 40 and layer.seen == 140
        for head in range(2):
            now, then = set(layer.positions[head].tolist()), set(kept[head].tolist())
            assert set(range(132, 140)) <= now and len(now & then) == 32 and now - then == set(range(132, 140))


def test_a_fork_shares_until_either_changes():
    one = model()
    cache = BudgetedCache(plan(40, 40, 40), KeyDifference())
    forward(one, cache, text(60))
    was = [(layer.keys.clone(), layer.values.clone(), layer.positions.clone()) for layer in cache.layers]
    forks = [cache.fork(), cache.fork(is_open=True)]
    assert all(f.layers[0].keys.data_ptr() == cache.layers[0].keys.data_ptr() for f in forks)
    for fork in forks:
        forward(one, fork, text(30, seed=5))
    assert forks[0].stored == (40, 40, 40) and forks[1].stored == (70, 70, 70)
    with cache.peeking() as shown:
        first, again = forward(one, shown, text(30, seed=5)), forward(one, shown, text(30, seed=5))
    assert torch.equal(first, again) and shown.stored == (40, 40, 40) and cache.peaks == (70, 70, 70)
    for layer, (keys, values, positions) in zip(cache.layers, was, strict=True):
        assert torch.equal(layer.keys, keys) and torch.equal(layer.values, values) and torch.equal(layer.positions, positions)
        assert layer.seen == 60


def test_an_open_fork_answers_as_the_cache_itself_would_before_it_evicts():
    one = model()
    cache = BudgetedCache(plan(40, 40, 40), KeyDifference())
    forward(one, cache, text(60))
    question = text(10, seed=9)
    assert torch.equal(forward(one, cache.fork(is_open=True), question), forward(one, cache, question))


def test_bytes_are_those_of_the_tensors():
    cache = BudgetedCache(plan(40, 30, 20), Streaming())
    assert cache.nbytes == 0
    forward(model(), cache, text(60))
    assert cache.nbytes == (40 + 30 + 20) * 2 * 2 * 16 * 4


def test_after_a_reset_it_is_as_new():
    one, cache = model(), BudgetedCache(plan(40, 40, 40), Streaming())
    first = forward(one, cache, text(60))
    for layer in cache.layers:
        layer.reset()
    assert cache.seen == 0 and cache.stored == (0, 0, 0) and torch.equal(forward(one, cache, text(60)), first)


def test_positions_go_on_where_other_tokens_were_skipped():
    one, cache = model(), BudgetedCache(plan(40, 40, 40), Streaming())
    forward(one, cache, text(10))
    cache.skip_to(25)
    forward(one, cache, text(5, seed=2))
    assert cache.layers[0].positions[0].tolist() == [*range(10), *range(25, 30)]
    with pytest.raises(Invalid, match="seen 30"):
        cache.skip_to(29)


@pytest.mark.parametrize("budgets", [(), (12,), (40, 5)])
def test_a_plan_that_cannot_hold_what_it_protects_is_refused(budgets):
    with pytest.raises(Invalid):
        BudgetPlan(budgets, 4, 8)


class Wrong:
    name = "wrong"
    needs = frozenset()

    def __init__(self, value):
        self.value = value

    def score(self, context):
        return [torch.full(p.shape, self.value) for p in context.positions]


def test_a_score_that_is_no_number_is_refused_and_equal_scores_keep_the_later():
    one = model()
    with pytest.raises(Invalid, match="wrong gave a score that is not finite"):
        forward(one, BudgetedCache(plan(40, 40, 40), Wrong(float("nan"))), text(60))
    cache = BudgetedCache(plan(40, 40, 40, recent=0), Wrong(1.0))
    forward(one, cache, text(60))
    assert cache.layers[0].positions[0].tolist() == [0, 1, 2, 3, *range(24, 60)]


@given(st.data(), st.integers(1, 60), st.integers(0, 6), st.integers(0, 9), st.integers(1, 40))
def test_what_stays_is_what_is_protected_and_then_the_best(data, entries, sinks, recent, more):
    """For any scores and any gaps between positions: as many as the budget says, in order, no unprotected one better left out."""
    positions = torch.tensor([sorted(data.draw(st.sets(st.integers(0, 99), min_size=entries, max_size=entries)))])
    scores = torch.tensor([data.draw(st.lists(st.integers(-3, 3), min_size=entries, max_size=entries))]).float()
    budget = min(entries, sinks + recent + more)
    kept = best(scores, positions, 100, budget, BudgetPlan((sinks + recent + more,), sinks, recent))[0].tolist()
    safe = {i for i, p in enumerate(positions[0].tolist()) if p < sinks or p >= 100 - recent}
    assert kept == sorted(set(kept)) and len(kept) == budget and safe <= set(kept)
    left = [(scores[0, i].item(), i) for i in range(entries) if i not in kept]
    assert all(pair < (scores[0, i].item(), i) for pair in left for i in kept if i not in safe)


def test_what_a_budget_cannot_do_is_refused():
    one, cache = model(), BudgetedCache(plan(40, 40, 40), Streaming())
    rows = torch.tensor([text(20), text(20, seed=1)])
    with torch.no_grad(), attending(one):
        with pytest.raises(Unsupported, match="not a batch of 2"):
            one(input_ids=rows, past_key_values=cache, use_cache=True)
        padded = torch.ones(1, 20, dtype=torch.int64)
        padded[0, 0] = 0
        with pytest.raises(Unsupported, match="padding"):
            one(input_ids=rows[:1], attention_mask=padded, past_key_values=BudgetedCache(plan(40, 40, 40), Streaming()), use_cache=True)
        with pytest.raises(Unsupported, match="attention mask"):
            one(input_ids=rows[:1], attention_mask=torch.zeros(1, 1, 20, 20), use_cache=False)
    for refused in (cache.layers[0].crop, cache.layers[0].batch_repeat_interleave, cache.layers[0].batch_select_indices):
        with pytest.raises(Unsupported):
            refused(-1)


def test_a_model_with_windows_is_refused_and_left_as_it_was():
    config = MistralConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=16,
    )
    windowed = MistralForCausalLM(config)
    with pytest.raises(Unsupported, match="window"), attending(windowed):
        pass
    assert windowed.config._attn_implementation == "sdpa"
