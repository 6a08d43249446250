"""T-PA-8: the bank of compressed documents. The model stays as it is, entries know nothing of each other, and what was removed was never there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import torch
from torch import Tensor

from loci.drivers.torch_bank.compressor import Recipe, TorchCompressor
from loci.drivers.torch_kv.fingerprint import look
from loci.drivers.torch_kv.twin import bare_copy
from loci.errors import Corrupt, Invalid, Missing, Unsupported
from loci.methods.cmt import CMT, Bank, bytes_of, concatenated, summed
from loci.ports.banking import Entry
from loci.testing.models import make_model, make_tokenizer

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
QUESTION = (7, 8, 9)
WAYS = [CMT(k=3, way="concatenation"), CMT(k=3)]


@dataclass(frozen=True)
class Paper:
    id: str
    at: datetime | None = None


def text(length: int, seed: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(5, 400) for _ in range(length)]


@pytest.fixture(scope="module")
def compressor() -> TorchCompressor:
    """With deltas as after some training: fresh ones change nothing."""
    made = TorchCompressor(make_model("qwen3"), make_tokenizer(), Recipe(tokens=4, rank=4), seed=3)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in made.learned().values():
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=draw))
    return made


def filled(compressor: TorchCompressor, numbers: Iterator[int] | range | list[int], method: CMT | None = None) -> Bank:
    bank = Bank(compressor, method)
    for number in numbers:
        bank.add(Paper(f"d{number:04d}", BEGIN + timedelta(hours=number)), text(6 + number % 9, number))
    return bank


def answers(compressor: TorchCompressor, bank: Bank) -> list[tuple[list[tuple[str, float]], Tensor]]:
    """What is matched and what the model then says, to the last bit."""
    told = []
    for seed in range(6):
        question = text(5, 1000 + seed)
        matches = bank.match(compressor.ask(question))
        prefix = bank.prefix(matches)
        told.append((matches, compressor.logits(prefix.states[None], torch.tensor([question]))))
    return told


def are_equal(one: list[tuple[list[tuple[str, float]], Tensor]], two: list[tuple[list[tuple[str, float]], Tensor]]) -> bool:
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in zip(one, two, strict=True))


# -- the model -----------------------------------------------------------------------------------------------------------


def unchanged_after(adds: int) -> None:
    model = make_model("qwen3")
    before = look(model, is_full=True).hash
    told = [(name, id(p), p.requires_grad, p.grad) for name, p in model.named_parameters()]
    modules = [(name, id(module), type(module)) for name, module in model.named_modules()]
    row = torch.tensor([text(20, 1)])
    with torch.inference_mode():
        said = model(input_ids=row).logits
    made = TorchCompressor(model, make_tokenizer(), Recipe(tokens=2, rank=2))
    bank = filled(made, range(adds), CMT(k=2))
    made.answer(bank.prefix(bank.match(made.ask(QUESTION))).states, QUESTION, 3)
    assert len(bank) == adds and look(model, is_full=True).hash == before
    assert [(name, id(p), p.requires_grad, p.grad) for name, p in model.named_parameters()] == told
    assert [(name, id(module), type(module)) for name, module in model.named_modules()] == modules
    with torch.inference_mode():
        assert torch.equal(model(input_ids=row).logits, said)


def test_the_model_is_the_same_after_fifty_adds() -> None:
    unchanged_after(50)


@pytest.mark.slow
def test_the_model_is_the_same_after_a_thousand_adds() -> None:
    unchanged_after(1000)


def test_the_hash_sees_a_weight_that_changed() -> None:
    """So that the test above can fail."""
    model = make_model("qwen3")
    before = look(model, is_full=True).hash
    with torch.no_grad():
        next(model.parameters())[3, 5] += 1e-6
    assert look(model, is_full=True).hash != before


def test_deltas_are_active_only_while_compressing(compressor: TorchCompressor) -> None:
    ids = text(12, 2)
    with torch.inference_mode():
        plain = compressor.model(input_ids=torch.tensor([ids])).logits
        compressor.compress(ids)
        assert torch.equal(compressor.model(input_ids=torch.tensor([ids])).logits, plain)
        assert torch.equal(compressor.logits(None, torch.tensor([ids])), plain)
    fresh = TorchCompressor(compressor.model, compressor.tokenizer, compressor.recipe, seed=3)
    assert not torch.allclose(fresh.compress(ids)[0], compressor.compress(ids)[0], atol=1e-3)  # they do something there


def test_a_copy_takes_no_room_and_has_no_parameter_of_the_models() -> None:
    model = make_model("llama")
    made = bare_copy(model)
    for one, two in zip(model.parameters(), made.parameters(), strict=True):
        assert one is not two and one.data_ptr() == two.data_ptr() and one.requires_grad and not two.requires_grad


# -- entries -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", WAYS, ids=lambda m: m.way)
def test_adding_one_leaves_the_others_bitwise_the_same(compressor: TorchCompressor, method: CMT) -> None:
    bank = filled(compressor, range(20), method)
    kept = {id: (entry.states.clone(), entry.key.clone()) for id, entry in bank.entries.items()}
    scores = dict(bank.match(compressor.ask(QUESTION), 20))
    bank.prefix(bank.match(compressor.ask(QUESTION)))
    for number in range(20, 41):
        bank.add(Paper(f"d{number:04d}"), text(5, number))
        now = bank.entries
        assert all(torch.equal(now[id].states, states) and torch.equal(now[id].key, key) for id, (states, key) in kept.items())
    later = dict(bank.match(compressor.ask(QUESTION), 41))
    assert {id: later[id] for id in scores} == scores  # a score is its own entry's alone


@pytest.mark.parametrize("method", WAYS, ids=lambda m: m.way)
def test_what_was_removed_was_never_there(compressor: TorchCompressor, method: CMT) -> None:
    """For every document in turn, whatever order they were added in: what is matched, in which order, with which scores, and every logit."""
    whole, missed = filled(compressor, range(12), method), 0
    for gone in range(12):
        bank = Bank(compressor, method)
        for entry in reversed(whole.entries.values()):
            bank.put(entry)
        bank.match(compressor.ask(QUESTION))
        bank.remove(f"d{gone:04d}")
        never = Bank(compressor, method)
        for number in range(12):
            if number != gone:
                never.put(whole.entries[f"d{number:04d}"])
        told = answers(compressor, never)
        assert are_equal(answers(compressor, bank), told)
        missed += not are_equal(answers(compressor, whole), told)
    assert missed >= 3  # who was among the best is missed


def test_what_was_removed_can_be_added_again_and_is_the_same(compressor: TorchCompressor) -> None:
    bank = filled(compressor, range(8))
    before = answers(compressor, bank)
    bank.remove("d0003")
    bank.add(Paper("d0003", BEGIN + timedelta(hours=3)), text(6 + 3, 3))
    assert are_equal(answers(compressor, bank), before)


def test_an_entry_takes_the_bytes_of_the_formula(compressor: TorchCompressor) -> None:
    (entry,) = filled(compressor, range(1)).entries.values()
    assert entry.states.shape == (3, 2, 2, 4, 32) and entry.key.shape == (64,)
    assert entry.bytes == bytes_of(3, 2, 4, 32, 64, 4) == 2 * 3 * 2 * 4 * 32 * 4 + 64 * 4
    assert bytes_of(36, 8, 16, 128, 4096, 2) == 2_359_296 + 16_384  # 16 tokens of Qwen3-8B, as keys and values


def test_what_a_document_is_found_by_changes_nothing_of_what_it_tells() -> None:
    """The learned matrix of the key is beside the entry, so being found can be taught without moving the entry's states."""
    made, ids = TorchCompressor(make_model("qwen3"), make_tokenizer(), Recipe(tokens=4)), text(9, 1)
    states, mean = made.compress(ids)
    turned = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.key.copy_(turned)
    again, other = made.compress(ids)
    assert torch.equal(states, again) and torch.allclose(other, mean @ turned, atol=1e-4) and not torch.allclose(other, mean, atol=0.1)


# -- places --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["qwen3", "llama"])
def test_an_entry_made_at_one_place_serves_at_another(shape: str) -> None:
    """Keys that are turned by p are those of the document read p places later; values do not change. And memory tokens at 0 are those of
    the document from 0 on, turned back."""
    made = TorchCompressor(make_model(shape), make_tokenizer(), Recipe(tokens=4))
    ids = text(11, 4)
    with torch.no_grad():
        here, later, natural = (made.compress_all([ids], start)[0][0] for start in (0, 57, len(ids)))
    for other, places in ((later, 57), (natural, len(ids))):
        assert float((made.turn(here[:, 0], places) - other[:, 0]).abs().max()) < 2e-5
        assert float((here[:, 1] - other[:, 1]).abs().max()) < 2e-5
        assert float((here[:, 0] - other[:, 0]).abs().max()) > 0.1  # not turned, they are others


def test_memory_tokens_begin_alike_one_place_after_another() -> None:
    """In the first layer nothing but its place tells a token from another, wherever in the document it stood."""
    made = TorchCompressor(make_model("qwen3"), make_tokenizer(), Recipe(tokens=4))
    for length in (2, 4, 11):
        first = made.compress(text(length, 4))[0][0]
        for place in range(4):
            assert float((made.turn(first[0, :, :1], place) - first[0, :, place : place + 1]).abs().max()) < 2e-5
            assert float((first[1, :, place] - first[1, :, 0]).abs().max()) < 2e-5
        assert float((first[0, :, 1] - first[0, :, 0]).abs().max()) > 0.1


@pytest.mark.parametrize("length", [3, 4, 11, 16])
def test_a_memory_token_sees_the_document_up_to_its_part(compressor: TorchCompressor, length: int) -> None:
    """Of 4 tokens, token j stands behind the part that ends at ceil(length (j + 1) / 4): what changes later changes nothing of it, what changes there does."""
    ids, m = text(length, 7), 4
    states = compressor.compress(ids)[0]
    for changed in range(length):
        other = compressor.compress([*ids[:changed], 499, *ids[changed + 1 :]])[0]
        is_same = [bool((states[1:, 1, :, j] - other[1:, 1, :, j]).abs().max() < 2e-5) for j in range(m)]
        assert is_same == [-(-length * (j + 1) // m) <= changed for j in range(m)]


def test_compressed_alone_is_as_compressed_among_longer_ones(compressor: TorchCompressor) -> None:
    with torch.no_grad():
        several, means = compressor.compress_all([text(5, 1), text(23, 2), text(9, 3)])
    for row, (length, seed) in enumerate(((5, 1), (23, 2), (9, 3))):
        states, mean = compressor.compress(text(length, seed))
        assert float((states - several[row]).abs().max()) < 2e-5 and float((mean - means[row]).abs().max()) < 2e-5


def test_concatenation_is_ordered_by_time_whatever_order_the_matches_come_in(compressor: TorchCompressor) -> None:
    bank = filled(compressor, range(6), CMT(k=3, way="concatenation"))
    bank.add(Paper("undated"), text(5, 9))
    matches = [("d0004", 1.0), ("undated", 2.0), ("d0001", 3.0)]
    prefix = bank.prefix(matches)
    assert prefix.documents == ("undated", "d0001", "d0004") and prefix.states.shape == (3, 2, 2, 12, 32)
    assert torch.equal(prefix.states, bank.prefix(matches[::-1]).states)
    last = bank.entries["d0004"].states
    assert torch.equal(prefix.states[:, 1, :, 8:], last[:, 1]) and torch.equal(prefix.states[:, 0, :, 8:], compressor.turn(last[:, 0], 8))


def test_the_weighted_sum_is_permutation_invariant(compressor: TorchCompressor) -> None:
    bank = filled(compressor, range(7), CMT(k=7, tau=1.0, sharp=3.0))
    matches = bank.match(compressor.ask(QUESTION))
    states = bank.prefix(matches).states
    assert states.shape == (3, 2, 2, 4, 32)  # m tokens, whatever k is
    chance = random.Random(1)
    for _ in range(20):
        assert torch.equal(bank.prefix(chance.sample(matches, 7)).states, states)
    weights = (3 * torch.tensor([score for _, score in matches])).softmax(0)
    by_hand = sum(w * bank.entries[id].states for w, (id, _) in zip(weights, matches, strict=True))
    assert float((by_hand - states).abs().max()) < 1e-5
    assert float((summed(torch.stack([e.states for e in bank.entries.values()]), torch.full((7,), 1 / 7)) - states).abs().max()) > 1e-4


def test_a_sum_is_the_best_entry_alone_where_it_is_far_ahead_and_a_mixture_where_several_are_alike() -> None:
    entries, method = torch.eye(2).reshape(2, 1, 1, 1, 1, 2), CMT(k=2)

    def weights(ahead: float) -> list[float]:
        found: list[float] = method.aggregated(entries, torch.tensor([ahead, 0.0]), lambda keys, places: keys).flatten().tolist()
        return found

    assert weights(4.0)[0] > 1 - 1e-8 and weights(0.0) == [0.5, 0.5] and 0.5 < weights(0.1)[0] < 0.7


def test_one_entry_is_itself_either_way(compressor: TorchCompressor) -> None:
    (entry,) = filled(compressor, range(1)).entries.values()
    assert torch.equal(concatenated(entry.states[None], compressor.turn), entry.states)
    assert torch.equal(summed(entry.states[None], torch.ones(1)), entry.states)


# -- matching ------------------------------------------------------------------------------------------------------------


def test_the_best_come_first_and_of_equal_ones_the_first_by_id(compressor: TorchCompressor) -> None:
    bank = Bank(compressor, CMT(k=2, tau=0.5))
    states = torch.zeros(3, 2, 2, 4, 32)
    axes = torch.eye(64)
    for id, key in (("c", axes[0]), ("b", axes[1]), ("a", axes[1])):
        bank.put(Entry(id, None, states, key))
    assert bank.match(axes[1] * 5) == [("a", 2.0), ("b", 2.0)]
    assert bank.match(axes[0] + axes[1] * 0.5, 9)[0][0] == "c" and len(bank.match(axes[0], 9)) == 3
    assert Bank(compressor).match(axes[0]) == []


@pytest.mark.parametrize("width", [64, 96, 300])
def test_a_score_is_its_own_entrys_to_the_last_bit_however_many_there_are(width: int) -> None:
    """A matrix product's are not: it rounds another way for another number of rows."""
    draw, method = torch.Generator().manual_seed(0), CMT()
    keys, question = method.direction(torch.randn(80, width, generator=draw)), torch.randn(1, width, generator=draw)
    whole = method.scores(question, keys)
    assert float((whole - method.direction(question) @ keys.T / method.tau).abs().max()) < 1e-4
    for count in range(1, 80):
        assert torch.equal(method.scores(question, keys[:count]), whole[:, :count])
        assert torch.equal(method.scores(question, keys[count:]), whole[:, count:])


# -- bad input -----------------------------------------------------------------------------------------------------------


def test_what_makes_no_sense_is_refused(compressor: TorchCompressor) -> None:
    bank = filled(compressor, range(3))
    for attempt in (
        lambda: bank.add(Paper("d0001"), text(5, 1)), lambda: bank.add(Paper("new"), []), lambda: bank.add(Paper("new"), [5, 512]),
        lambda: bank.add(Paper("new"), [5, -1]), lambda: bank.add(Paper("new"), [5] * 4097), lambda: bank.match(torch.ones(63)), lambda: bank.match(torch.zeros(64)),
        lambda: bank.match(torch.full((64,), torch.nan)), lambda: bank.prefix([]), lambda: bank.prefix([("d0001", 1.0), ("d0001", 2.0)]),
        lambda: bank.match(torch.ones(64), 0),
        lambda: bank.put(Entry("new", None, torch.zeros(3, 2, 2, 5, 32), torch.eye(64)[0])), lambda: compressor.ask([]), lambda: compressor.answer(None, [], 3), lambda: compressor.ask([512]),
        lambda: compressor.answer(None, [5] * 2040, 9), lambda: compressor.ask([5] * 2049),
        lambda: CMT(k=0), lambda: CMT(tau=0.0), lambda: CMT(sharp=0.0), lambda: CMT(way="mean"), lambda: CMT(contrast=-1.0), lambda: Recipe(tokens=0), lambda: Recipe(targets=()),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            attempt()
    for attempt in (lambda: bank.remove("d0009"), lambda: bank.prefix([("d0009", 1.0)])):
        with pytest.raises(Missing, match="d0009"):
            attempt()
    nothing = torch.full((3, 2, 2, 4, 32), torch.nan)
    for states, key in ((nothing, torch.eye(64)[0]), (torch.zeros_like(nothing), torch.zeros(64))):
        with pytest.raises(Corrupt):
            bank.put(Entry("new", None, states, key))
    assert len(bank) == 3


def test_what_is_matched_can_be_the_states_of_a_layer_within() -> None:
    """Of questions, as the model itself has them there; nothing of an entry depends on it."""
    model = make_model("qwen3")
    last, within = (TorchCompressor(model, make_tokenizer(), Recipe(tokens=4, matched=matched)) for matched in (-1, 1))
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([QUESTION]), output_hidden_states=True).hidden_states
    assert torch.allclose(within.ask(QUESTION), states[1][0].mean(0), atol=1e-5) and torch.allclose(
        last.ask(QUESTION), states[-1][0].mean(0), atol=1e-5
    )
    one, two = last.compress([5, 6, 7]), within.compress([5, 6, 7])
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    with pytest.raises(Invalid, match="after layer 4"):
        TorchCompressor(model, make_tokenizer(), Recipe(matched=4))


def test_models_that_cannot_are_refused() -> None:
    with pytest.raises(Unsupported, match="see a window"):
        TorchCompressor(make_model("mistral"), make_tokenizer())
    with pytest.raises(Unsupported, match="w_nothing"):
        TorchCompressor(make_model("qwen3"), make_tokenizer(), Recipe(targets=("q_proj", "w_nothing")))
