"""A conversation in several caches: what an append costs, where a question goes, and what of it stays."""

from __future__ import annotations

import pytest
import torch
from small import model, text

from loci.drivers.torch_kv.attention import attending
from loci.drivers.torch_kv.episodes import EpisodicCache
from loci.errors import Invalid
from loci.methods.epicache import EpiCache
from loci.methods.streaming import Streaming
from loci.ports import BudgetPlan

PLAN = BudgetPlan((24, 24, 24), 4, 4)
NORTH, EAST = (0.0, 1.0), (1.0, 0.0)


def conversation(block=20):
    return EpisodicCache(model(), PLAN, EpiCache(most=2, medoids=1, tau=0.5).book(), block=block)


def snapshot(cache):
    return [(layer.keys, layer.values, layer.positions) for layer in cache.layers]


def test_an_append_costs_one_block_on_one_episode():
    talk = conversation()
    for number, vector in enumerate([NORTH, EAST, NORTH, EAST]):
        talk.append(text(20, number), vector)
    before = [snapshot(cache) for cache in talk.caches]
    through = []
    hook = talk._model.model.embed_tokens.register_forward_hook(lambda module, given, made: through.append(given[0].shape[1]))
    episode, done = talk.append(text(20, 9), NORTH)
    hook.remove()
    assert episode == 0 and done.blocks == 1 and through == [20, 20] and done.forwarded == 40  # the block and its probe
    for now, then in zip(snapshot(talk.caches[1]), before[1], strict=True):
        assert all(a is b for a, b in zip(now, then, strict=True))
    assert all(a is not b for now, then in zip(snapshot(talk.caches[0]), before[0], strict=True) for a, b in zip(now, then, strict=True))


def test_positions_are_those_of_the_whole_conversation_and_every_cache_has_the_sinks():
    talk = conversation()
    for number, vector in enumerate([NORTH, EAST, NORTH]):
        talk.append(text(20, number), vector)
    north, east = (cache.layers[0].positions[0].tolist() for cache in talk.caches)
    assert north[:4] == east[:4] == [0, 1, 2, 3]
    assert set(north) <= {*range(20), *range(40, 60)} and set(range(56, 60)) <= set(north)
    assert set(east) <= {*range(4), *range(20, 40)} and talk.seen == 60


def test_stored_and_peak_stay_within_budget_block_and_probe():
    talk = conversation(block=10)
    for number in range(8):
        talk.append(text(20, number), NORTH if number % 2 else EAST)
    assert [cache.stored for cache in talk.caches] == [(24, 24, 24)] * 2
    assert all(peak <= 24 + 10 + 20 for cache in talk.caches for peak in cache.peaks)
    assert talk.nbytes == 2 * 3 * 24 * 2 * 2 * 16 * 4


def test_a_question_is_asked_of_the_nearest_episode_behind_the_conversation_and_leaves_nothing():
    talk = conversation()
    for number, vector in enumerate([NORTH, EAST, EAST]):
        talk.append(text(20, number), vector)
    before = [snapshot(cache) for cache in talk.caches]
    shown = talk.attach((0.2, 0.9))
    assert torch.equal(shown.layers[0].positions, talk.caches[0].layers[0].positions) and shown.seen == 60
    with torch.no_grad(), attending(talk._model):
        talk._model(torch.tensor([text(30, 5)]), past_key_values=shown, use_cache=True)
    assert shown.layers[0].positions[0, -1] == 89 and shown.stored == (50, 50, 50)
    for cache, then in zip(talk.caches, before, strict=True):
        assert all(a is b for now, old in zip(snapshot(cache), then, strict=True) for a, b in zip(now, old, strict=True))


def test_a_first_part_shorter_than_the_sinks_is_not_read_twice():
    talk = conversation()
    talk.append(text(2, 0), NORTH)
    talk.append(text(5, 1), EAST)
    assert talk.caches[0].layers[0].positions[0].tolist() == [0, 1]
    assert talk.caches[1].layers[0].positions[0].tolist() == list(range(7)) and talk.seen == 7


def test_a_rebuilt_episode_has_read_the_whole_conversation():
    talk, said = conversation(), [text(20, n) for n in range(4)]
    for part, vector in zip(said, [NORTH, EAST, NORTH, EAST], strict=True):
        talk.append(part, vector)
    done = talk.rebuild(1, [token for part in said for token in part])
    assert done.blocks == 4 and talk.caches[1].seen == 80 == talk.seen and talk.caches[1].stored == (24, 24, 24)
    assert talk.caches[1].read_in.tolist() == [position // 20 for position in range(80)]


@pytest.mark.parametrize("later", [EAST, NORTH])
def test_one_episode_alone_is_a_budgeted_cache(later):
    """With room for one episode, everything goes to it, whatever it is about."""
    talk = EpisodicCache(model(), PLAN, EpiCache(most=1).book(), block=20)
    assert [talk.append(text(20, n), v)[0] for n, v in enumerate([NORTH, later])] == [0, 0] and len(talk.caches) == 1


def test_episodes_that_were_not_read_are_neither_asked_nor_skipped():
    book = EpiCache(most=2).clustered([text(20, 0), text(20, 1)], [NORTH, EAST])
    talk = EpisodicCache(model(), PLAN, book, block=20)
    with pytest.raises(Invalid, match="not been read"):
        talk.attach(EAST)
    with pytest.raises(Invalid, match="0 comes before 1"):
        talk.rebuild(1, text(40))
    for episode in (0, 1):
        talk.rebuild(episode, [*text(20, 0), *text(20, 1)])
    assert talk.attach(EAST).seen == 40 and len(talk.caches) == 2


def test_a_judge_scores_every_episode_in_place_of_its_patched_prompt():
    talk = EpisodicCache(model(), PLAN, EpiCache(most=2, judge=Streaming()).book(), block=20)
    for number, vector in enumerate([NORTH, EAST, NORTH, EAST]):
        assert talk.append(text(20, number), vector)[1].forwarded == 20
    assert [c.layers[0].positions[0].tolist() for c in talk.caches] == [[0, 1, 2, 3, *range(40, 60)], [0, 1, 2, 3, *range(60, 80)]]
