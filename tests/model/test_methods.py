"""Every method on every family in one matrix, and what each paper's mechanism is told to prefer."""

from __future__ import annotations

import math

import pytest
import torch
from small import model, text

from loci.drivers.torch_kv.attention import attending
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.prefill import read
from loci.errors import Invalid
from loci.methods.epicache import EpiCache, Patched, kmeans
from loci.methods.key_difference import KeyDifference
from loci.methods.key_norm import KeyNorm
from loci.methods.kvzip import KVzip
from loci.methods.sirllm import SirLLM
from loci.methods.snapkv import SnapKV
from loci.methods.streaming import Streaming
from loci.policy.eviction import allocate
from loci.ports import BudgetPlan, Probing, ScoreContext, Watching

METHODS = [
    Streaming(), KeyNorm(), KeyDifference(), SnapKV(8, 3), SirLLM(), SirLLM(gamma=0.7, blend=0, clip=0), KVzip((3, 4)), Patched(tuple(text(12, 8))),
]  # fmt: skip


@pytest.mark.parametrize("family", ["qwen3", "llama"])
@pytest.mark.parametrize("scorer", METHODS, ids=lambda s: s.name)
def test_every_method_on_every_family(family, scorer):
    """Reads under uneven exact budgets, keeps what is protected, answers, and gives the same twice."""
    one, budgets = model(family), allocate([1, 3, 2], 40)
    kept = []
    for _ in range(2):
        cache = BudgetedCache(BudgetPlan(budgets, 3, 5), scorer)
        done = read(one, cache, text(150), block=40)
        assert cache.stored == budgets and sum(budgets) == 120 and done.blocks == 4 and all(0 <= m <= 1 for m in done.evicted_mass)
        kept.append([layer.positions for layer in cache.layers])
        for positions in kept[-1]:
            assert positions[:, :3].tolist() == [[0, 1, 2]] * 2 and positions[:, -5:].tolist() == [list(range(145, 150))] * 2
        with attending(one):
            asked = torch.tensor([text(150) + text(6, 2)])
            made = one.generate(asked, past_key_values=cache.fork(is_open=True), max_new_tokens=5, do_sample=False)
        assert made.shape[1] == 161 and cache.seen == 150 and cache.stored == budgets
    assert all(torch.equal(a, b) for a, b in zip(*kept, strict=True))
    assert isinstance(scorer, Watching) is ("attention" in scorer.needs) and isinstance(scorer, Probing) is ("probe" in scorer.needs)


def context(**known):
    """A layer of one head and six entries, at positions 0 to 5."""
    return ScoreContext([torch.arange(6)[None]], 6, **known)


def order(scores):
    """Places, the most worth keeping first."""
    return scores[0][0].argsort(descending=True, stable=True).tolist()


def test_streaming_prefers_the_newest():
    assert order(Streaming().score(context())) == [5, 4, 3, 2, 1, 0]


def test_key_norm_prefers_short_keys():
    lengths = torch.tensor([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert order(KeyNorm().score(context(keys=[torch.eye(6)[None] * lengths[None, :, None]]))) == [1, 2, 0, 5, 4, 3]


def test_key_difference_prefers_the_key_unlike_the_others_whatever_its_length():
    keys = torch.ones(1, 6, 4)
    keys[0, 3] = torch.tensor([1.0, 1.0, -1.0, -1.0]) * 9
    keys[0, 1] = torch.tensor([1.0, 1.0, 1.0, -0.2])
    assert order(KeyDifference().score(context(keys=[keys])))[:2] == [3, 1]


def test_snapkv_smooths_over_neighbours():
    mean = torch.tensor([[0.0, 0.0, 0.9, 0.0, 0.0, 0.5]])
    pooled = SnapKV(4, 3).score(context(mean_attention=[mean]))[0][0]
    assert pooled.tolist() == pytest.approx([0, 0.3, 0.3, 0.3, 0.5 / 3, 0.25])
    assert SnapKV(4, 1).score(context(mean_attention=[mean]))[0][0].tolist() == pytest.approx(mean[0].tolist())


def test_kvzip_remembers_the_best_an_entry_was_given():
    scores = KVzip().score(
        context(attention=[torch.tensor([[0.1, 0.2, 0.3, 0, 0, 0]])], previous=[torch.tensor([[0.5, 0.1, torch.nan, 0, 0, 0]])])
    )
    assert scores[0][0].tolist() == pytest.approx([0.5, 0.2, 0.3, 0, 0, 0])
    assert KVzip((7,)).probe([1, 2]) == (7, 1, 2)


SURPRISAL = torch.tensor([0.1, 5.0, 0.2, 9.0, 0.3, 4.0])


def test_surprisal_alone_prefers_what_surprised_and_forgets_by_blocks():
    blocks = torch.tensor([0, 0, 1, 1, 2, 2])
    plain = SirLLM(blend=0, clip=0).score(context(surprisal=SURPRISAL, read_in=blocks))
    assert order(plain) == [3, 1, 5, 4, 2, 0]
    faded = SirLLM(gamma=0.5, blend=0, clip=0, lost=math.inf).score(context(surprisal=SURPRISAL, read_in=blocks))[0][0]
    expected = torch.tensor([0.025, 1.25, 0.1, 4.5, 0.3, 4.0])  # in deviations: a straight line through these
    assert torch.allclose(faded, (expected - expected.mean()) / expected.std(unbiased=False), atol=1e-5)


def test_what_was_read_elsewhere_has_no_surprise():
    told = torch.tensor([torch.nan, 5.0, 0.2, 9.0, 0.3, 4.0])
    assert order(SirLLM(blend=0, clip=0).score(context(surprisal=told, read_in=torch.zeros(6, dtype=torch.int64))))[-1] == 0


def test_the_most_surprising_count_as_equally_surprising():
    told = SirLLM(blend=0, clip=0.4).score(context(surprisal=SURPRISAL, read_in=torch.zeros(6, dtype=torch.int64)))[0][0]
    assert told[1] == told[3] == told[5] > told[4] > told[2] > told[0]


def test_where_the_typical_token_surprises_surprisal_is_not_trusted():
    """At the median's limit all are equal, and of equals the newest stay; halfway its say is half."""
    blocks = torch.zeros(6, dtype=torch.int64)
    lost = SirLLM(blend=0, lost=0.2).score(context(surprisal=SURPRISAL, read_in=blocks))[0]
    assert not lost.any()
    full, half = (SirLLM(blend=0, lost=at).score(context(surprisal=SURPRISAL, read_in=blocks))[0] for at in (math.inf, 2 * 0.3))
    assert torch.allclose(half, full / 2)


def test_junk_that_is_stranger_than_the_facts_does_not_win_over_keys_unlike_the_rest():
    """The adversary: a third of the entries are far more surprising than the fact, but their keys are all alike."""
    surprisal = torch.cat([torch.full((40,), 0.5), torch.full((20,), 14.0), torch.tensor([9.0])])
    keys = torch.nn.functional.normalize(
        torch.ones(1, 61, 8) + 0.1 * torch.randn(1, 61, 8, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    keys[0, 60] = torch.nn.functional.normalize(torch.tensor([1.0, -1, 1, -1, 1, -1, 1, -1]), dim=0)
    given = ScoreContext([torch.arange(61)[None]], 61, keys=[keys], surprisal=surprisal, read_in=torch.zeros(61, dtype=torch.int64))
    assert order(SirLLM().score(given))[0] == 60
    assert 60 not in order(SirLLM(blend=0).score(given))[:20]


@pytest.mark.parametrize(
    "wrong", [{"gamma": 0}, {"gamma": 1.1}, {"blend": -1}, {"clip": 1}, {"lost": 0}], ids=str
)  # fmt: skip
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(Invalid):
        SirLLM(**wrong)


@pytest.mark.parametrize(
    "make", [lambda: SnapKV(0), lambda: SnapKV(8, 4), lambda: EpiCache(most=0), lambda: EpiCache(longest=2, instruction=(1, 2))]
)
def test_methods_without_sense_are_refused(make):
    with pytest.raises(Invalid):
        make()


# -- episodes ----------------------------------------------------------------------------------------------------------


def points(*angles):
    return [[torch.tensor(a).cos().item(), torch.tensor(a).sin().item()] for a in angles]


def test_clusters_are_those_of_direction_and_the_same_each_time():
    vectors = torch.tensor(points(0.1, 1.6, 0.0, 3.1, 1.5, 0.2, 3.0)) * torch.tensor([[1.0], [9], [2], [1], [5], [3], [1]])
    assert kmeans(vectors, 3, 42) == [0, 1, 0, 2, 1, 0, 2] == kmeans(vectors, 3, 42)
    assert kmeans(vectors[:2], 2, 1) == [0, 1] and kmeans(vectors, 1, 1) == [0] * 7


def test_a_window_joins_the_nearest_episode_or_opens_one_while_there_is_room():
    book = EpiCache(most=2, tau=0.9).book()
    assert [book.join((i,), v) for i, v in enumerate(points(0.0, 0.1, 1.5, 0.2, 3.0))] == [0, 0, 1, 0, 1]
    assert book.route(points(-0.3)[0]) == 0 and book.route(points(2.0)[0]) == 1


def test_the_patched_prompt_is_the_most_typical_windows_in_the_order_of_time():
    method = EpiCache(most=1, medoids=2, instruction=(9, 9), longest=5)
    book = method.book()
    for tokens, vector in zip([(1, 1), (2, 2), (3, 3)], points(0.9, 0.3, 0.31), strict=True):
        book.join(tokens, vector)
    assert book.patched(0) == (9, 9, 2, 2, 3)
    assert book.scorer(0).probe([5]) == (9, 9, 2, 2, 3)


def test_a_conversation_that_is_over_is_clustered_as_a_whole():
    book = EpiCache(most=2).clustered([(1,), (2,), (3,), (4,)], points(0.0, 1.5, 0.1, 1.6))
    assert [[w.tokens for w in e] for e in book.episodes] == [[(1,), (3,)], [(2,), (4,)]]


def test_a_question_before_anything_and_a_vector_without_direction_are_refused():
    with pytest.raises(Invalid, match="no episode"):
        EpiCache().book().route([1.0])
    with pytest.raises(Invalid, match="no direction"):
        EpiCache().book().join((1,), [0.0, 0.0])
