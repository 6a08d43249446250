"""Reading block by block: the peak, the probe that leaves no trace, surprisal, and the meter of what was evicted."""

from __future__ import annotations

import pytest
import torch
from small import model, text

from loci.drivers.torch_kv import prefill
from loci.drivers.torch_kv.attention import attending, attention_of, watching
from loci.drivers.torch_kv.budget import BudgetedCache, BudgetedLayer
from loci.drivers.torch_kv.prefill import read
from loci.errors import Invalid, TooLarge
from loci.methods.epicache import Patched
from loci.methods.kvzip import KVzip
from loci.methods.sirllm import SirLLM
from loci.methods.snapkv import SnapKV
from loci.methods.streaming import Streaming
from loci.ports import BudgetPlan

PLAN = BudgetPlan((48, 32, 64), 4, 6)


@pytest.mark.parametrize("scorer", [Streaming(), SnapKV(8), SirLLM(), KVzip((1, 2)), Patched(tuple(text(20, 4)))], ids=lambda s: s.name)
@pytest.mark.parametrize("block", [7, 50])
def test_no_layer_ever_holds_more_than_budget_and_block_and_probe(monkeypatch, scorer, block):
    probe = {"kvzip 2": block + 2, "epicache, a probe of 20": 20}.get(scorer.name.partition(" (")[0], 0)
    handed = []
    update = BudgetedLayer.update

    def told(self, keys, values, *rest, **named):
        result = update(self, keys, values, *rest, **named)
        handed.append((self.budget, result[0].shape[-2], self.keys.shape[-2], self.is_peeking))
        return result

    monkeypatch.setattr(BudgetedLayer, "update", told)
    cache = BudgetedCache(PLAN, scorer)
    done = read(model(), cache, text(201), block=block)
    assert cache.stored == PLAN.per_layer and cache.seen == 201
    assert done.blocks == -(-201 // block) and len(handed) >= 3 * done.blocks
    for budget, given, stored, is_peeking in handed:
        assert stored <= budget + block and given <= budget + block + (probe if is_peeking else 0)
    assert all(peak <= budget + block + probe for peak, budget in zip(cache.peaks, PLAN.per_layer, strict=True))


@pytest.mark.parametrize("scorer", [Streaming(), SnapKV(8), SirLLM(), KVzip()], ids=lambda s: s.name)
def test_sinks_and_recent_ones_are_always_there(scorer):
    cache = BudgetedCache(PLAN, scorer)
    for start in range(0, 200, 20):
        read(model(), cache, text(200)[start : start + 20], block=20)
        for layer in cache.layers:
            for head in layer.positions.tolist():
                assert head[:4] == [0, 1, 2, 3] and head[-6:] == list(range(start + 14, start + 20)) and head == sorted(set(head))


def test_a_probe_leaves_no_trace():
    """With a budget that nothing reaches, reading with a probe stores just what plain reading does."""
    one, ids, endless = model(), text(90), BudgetPlan((10**6,) * 3, 4, 6)
    plain, probed = BudgetedCache(endless, Streaming()), BudgetedCache(endless, KVzip())
    read(one, plain, ids, block=30)
    done = read(one, probed, ids, block=30)
    assert done.forwarded == 180
    for a, b in zip(plain.layers, probed.layers, strict=True):
        assert torch.equal(a.keys, b.keys) and torch.equal(a.values, b.values) and a.seen == b.seen == 90


def test_kept_entries_are_the_models_own_at_their_positions():
    """What one block leaves is a selection of what a plain pass computes."""
    one, ids = model(), text(40)
    cache = BudgetedCache(BudgetPlan((16,) * 3, 2, 2), SnapKV(8))
    read(one, cache, ids, block=40)
    with torch.no_grad():
        stock = one(torch.tensor([ids]), use_cache=True).past_key_values
    for layer, plain in zip(cache.layers, stock.layers, strict=True):
        for head, places in enumerate(layer.positions):
            assert torch.equal(layer.keys[0, head], plain.keys[0, head, places]) and torch.equal(
                layer.values[0, head], plain.values[0, head, places]
            )


def test_surprisal_is_that_of_the_plain_model_whatever_the_block(monkeypatch):
    one, ids = model(), text(90)
    monkeypatch.setattr(prefill, "SLICE", 16)
    with torch.no_grad():
        told = torch.log_softmax(one(torch.tensor([ids])).logits[0], -1)
    plain = -told[:-1].gather(1, torch.tensor(ids)[1:, None])[:, 0]
    for block in (90, 37):
        cache = BudgetedCache(BudgetPlan((10**6,) * 3, 4, 6), SirLLM())
        read(one, cache, ids, block=block)
        assert torch.allclose(cache.surprisal[1:], plain, atol=1e-4) and len(cache.surprisal) == 90
        assert cache.surprisal[0] == cache.surprisal[1:block].max()
        assert cache.read_in.tolist() == [p // block for p in range(90)]


def test_logits_are_never_held_for_more_than_a_slice(monkeypatch):
    sizes = []
    one = model()
    hook = one.lm_head.register_forward_hook(lambda module, given, made: sizes.append(made.shape[1]))
    read(one, BudgetedCache(PLAN, SirLLM()), text(400), block=400)
    hook.remove()
    assert max(sizes) == 128 and sum(sizes) == 400


def test_a_new_window_of_queries_spans_slices():
    """A block read in slices still has its last queries together."""
    one, ids = model(), torch.tensor([text(30)])
    with torch.no_grad(), attending(one), watching(10) as whole:
        one(ids)
    with torch.no_grad(), attending(one), watching(10) as parts:
        cache = BudgetedCache(BudgetPlan((10**6,) * 3), Streaming())
        one(ids[:, :25], past_key_values=cache, use_cache=True)
        one(ids[:, 25:], past_key_values=cache, use_cache=True)
    for layer in range(3):
        assert whole.of[layer].shape == (4, 10, 16) and torch.allclose(whole.of[layer], parts.of[layer], atol=1e-5)


def test_an_output_moves_by_the_evicted_mass_times_the_distance_and_no_more():
    """o_full - o_kept = m (o_evicted - o_kept), hence |o_full - o_kept| <= 2 m max |v|, on the model's own queries, keys and values."""
    one, ids = model(), text(80)
    cache = BudgetedCache(BudgetPlan((10**6,) * 3), Streaming())
    with torch.no_grad(), attending(one), watching(1) as queries:
        one(torch.tensor([ids]), past_key_values=cache, use_cache=True)
    evicted = torch.rand(80, generator=torch.Generator().manual_seed(1)) < 0.6
    for index, layer in enumerate(cache.layers):
        keys, values = layer.keys[0].double(), layer.values[0].double()
        given = attention_of(queries.of[index], keys, queries.scaling[index]).double()[:, :, 0]  # [H, g, n]
        mass = given[..., evicted].sum(-1, keepdim=True)
        full = given @ values
        kept = (given[..., ~evicted] / (1 - mass)) @ values[:, ~evicted]
        gone = (given[..., evicted] / mass) @ values[:, evicted]
        assert torch.allclose(full - kept, mass * (gone - kept), atol=1e-6) and mass.min() > 0.01
        assert ((full - kept).norm(dim=-1) <= 2 * mass[..., 0] * values.norm(dim=-1).max() + 1e-9).all()


def test_the_meter_reads_the_attention_of_the_last_queries_on_what_was_evicted():
    one, ids, watched = model(), text(60), 5
    cache = BudgetedCache(BudgetPlan((30,) * 3, 2, 5), Streaming())
    done = read(one, cache, ids, block=60, watched=watched)
    one.set_attn_implementation("eager")
    with torch.no_grad():
        plain = one(torch.tensor([ids]), output_attentions=True).attentions
    one.set_attn_implementation("sdpa")
    gone = [p for p in range(60) if p not in cache.layers[0].positions[0].tolist()]
    assert gone == list(range(2, 32))
    masses = torch.cat([a[0, :, -watched:, gone].sum(-1).flatten() for a in plain])
    assert done.evicted_mass == pytest.approx((float(masses.quantile(0.99)),), abs=1e-5)


def test_the_meter_of_a_probe_reads_the_probes_queries():
    one = model()
    cache = BudgetedCache(BudgetPlan((30,) * 3, 2, 5), Patched(tuple(text(9, 4))))
    done = read(one, cache, text(60), block=60)
    assert len(done.evicted_mass) == 1 and 0 < done.evicted_mass[0] < 0.6  # it keeps what the probe attends to most
    assert read(one, BudgetedCache(BudgetPlan((60,) * 3, 2, 5), Streaming()), text(60), block=60).evicted_mass == ()


def test_a_probe_sees_what_the_model_would_give_it():
    """The score is the attention of the probe's queries as the model itself computes it, over what is stored, the largest of a head's group."""
    one, ids, probe = model(), text(40), text(6, 4)
    cache = BudgetedCache(BudgetPlan((10**6,) * 3), Patched(tuple(probe)))
    read(one, cache, ids, block=40)
    one.set_attn_implementation("eager")
    with torch.no_grad():
        plain = one(torch.tensor([ids + probe]), output_attentions=True).attentions
    one.set_attn_implementation("sdpa")
    for layer, told in zip(cache.layers, plain, strict=True):
        past = told[0, :, 40:, :40]
        past = past / past.sum(-1, keepdim=True)
        assert torch.allclose(layer.scores, past.view(2, 2, 6, 40).amax(dim=(1, 2)), atol=1e-5)


class Confused:
    name = "confused"

    def __init__(self, *needs):
        self.needs = frozenset(needs)

    def score(self, context):
        return [p.float() for p in context.positions][:1]


def test_methods_that_do_not_keep_their_word_are_refused():
    for needs, said in (
        (("attention",), "attention goes with a `window`"),
        (("probe",), "a probe with a method"),
        ((), "scored 1 layers of 3"),
    ):
        with pytest.raises(Invalid, match=said):
            read(model(), BudgetedCache(PLAN, Confused(*needs)), text(60), block=60)


class Silent(Patched):
    def probe(self, block):
        return ()


def test_an_empty_probe_and_an_empty_block_are_refused():
    with pytest.raises(Invalid, match="empty probe"):
        read(model(), BudgetedCache(PLAN, Silent((1,))), text(60))
    with pytest.raises(Invalid, match="at least one token"):
        read(model(), BudgetedCache(PLAN, Streaming()), text(60), block=0)


def test_positions_beyond_the_models_are_refused_before_anything_is_read():
    cache = BudgetedCache(PLAN, Streaming())
    read(model(), cache, text(2000), block=500)
    with pytest.raises(TooLarge, match="2048 positions"):
        read(model(), cache, text(49))
    assert cache.seen == 2000
