"""MoM: what is read at once is what is read token by token, memories that were not chosen stay what they are, and nothing sees another sample or what comes later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from loci.errors import Invalid
from loci.methods.mom import Form, MixtureOfMemories, State, deltas

torch.set_num_threads(1)
WIDTH = 24
FORMS = [Form(4, 2, 2, 8, 6), Form(4, 2, 2, 8, 6, own=False), Form(3, 1, 1, 5, 7, has_shared=False), Form(0, 0, 2, 8, 6)]


def layer(form: Form, seed: int = 0) -> MixtureOfMemories:
    torch.manual_seed(seed)
    return MixtureOfMemories(WIDTH, form)


def states(rows: int, tokens: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, tokens, WIDTH, generator=torch.Generator().manual_seed(seed))


def as_written(q: Tensor, k: Tensor, v: Tensor, fades: Tensor, writes: Tensor, memories: Tensor) -> tuple[Tensor, Tensor]:
    """S_t = a (1 - b k k^T) S + b k v^T and o_t = S_t^T q, sample by sample, memory by memory, head by head."""
    rows, tokens, kept, heads = fades.shape
    told, after = torch.zeros(rows, tokens, kept, heads, v.shape[-1]), memories.clone()
    for r in range(rows):
        for m in range(kept):
            for h in range(heads):
                matrix = after[r, m, h].clone()
                for t in range(tokens):
                    key, a, b = k[r, t, m % k.shape[2], h], fades[r, t, m, h].exp(), writes[r, t, m, h]
                    matrix = a * (torch.eye(len(key)) - b * torch.outer(key, key)) @ matrix + b * torch.outer(
                        key, v[r, t, m % v.shape[2], h]
                    )
                    told[r, t, m, h] = q[r, t, 0, h] @ matrix
                after[r, m, h] = matrix
    return told, after


@pytest.mark.parametrize("shared", [True, False], ids=["one projection", "own projections"])
@pytest.mark.parametrize("chunk", [1, 5, 16, 64])
def test_what_is_read_at_once_is_the_rule_as_it_is_written(chunk: int, shared: bool) -> None:
    chance = torch.Generator().manual_seed(chunk)
    sets = 1 if shared else 3
    q, k = (normalize(torch.randn(2, 19, n, 2, 6, generator=chance), dim=-1) for n in (1, sets))
    v = torch.randn(2, 19, sets, 2, 4, generator=chance)
    fades, writes = -3 * torch.rand(2, 19, 3, 2, generator=chance), torch.rand(2, 19, 3, 2, generator=chance)
    begun = torch.randn(2, 3, 2, 6, 4, generator=chance)
    for ours, written in zip(deltas(q, k, v, fades, writes, begun, chunk), as_written(q, k, v, fades, writes, begun), strict=True):
        assert float((ours - written).abs().max()) <= 1e-5


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_text_in_parts_token_by_token_and_at_once_are_the_same(form: Form) -> None:
    made, given = layer(form), states(2, 70)
    whole = made(given, chunk=32)
    one_by_one, parts = [], []
    end: State | None = None
    for t in range(70):
        read = made(given[:, t : t + 1], end, chunk=1)
        one_by_one.append(read.states)
        end = read.end
    assert end is not None and end.seen == whole.end.seen == 70
    begun: State | None = None
    for start, stop in ((0, 2), (2, 33), (33, 70)):
        read = made(given[:, start:stop], begun)
        parts.append(read.states)
        begun = read.end
    for other in (torch.cat(one_by_one, 1), torch.cat(parts, 1)):
        assert float((other - whole.states).detach().abs().max()) <= 1e-5
    assert float((end.memories - whole.end.memories).detach().abs().max()) <= 1e-5


def test_memories_that_were_not_chosen_are_the_same_to_the_last_bit() -> None:
    made = layer(FORMS[0])
    end = made(states(3, 40)).end
    given = states(3, 1, seed=1)
    chosen = made.router(given).softmax(-1).topk(2, -1).indices[:, 0]
    after = made(given, end).end.memories
    for row in range(3):
        for memory in range(5):
            is_written = memory == 4 or memory in chosen[row].tolist()
            assert torch.equal(after[row, memory], end.memories[row, memory]) is not is_written
    with torch.no_grad():  # and of many tokens at once, a memory that nobody chose
        made.router.weight[:] = 0.0
        made.router.weight[1] = 5 * given[0, 0]
        made.router.weight[3] = 4 * given[0, 0]
    read = made(given[:1].expand(1, 50, WIDTH), State(end.memories[:1], end.tail[:1], end.seen))
    assert read.load.tolist() == [0, 1, 0, 1, 1]
    assert torch.equal(read.end.memories[:, [0, 2]], end.memories[:1, [0, 2]]) and not torch.equal(
        read.end.memories[:, 1], end.memories[:1, 1]
    )


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_nothing_sees_another_sample_or_what_comes_later_in_training_too(form: Form) -> None:
    made, given = layer(form).train(), states(3, 70)
    told = made(given)
    for place in (1, 31, 32, 50, 69):
        changed = given.clone()
        changed[1, place:] = states(1, 70, seed=2)[0, place:]
        again = made(changed)
        assert torch.equal(again.states[[0, 2]], told.states[[0, 2]]), "another sample"
        assert torch.equal(again.end.memories[[0, 2]], told.end.memories[[0, 2]]), "another sample"
        assert torch.equal(again.states[1, :place], told.states[1, :place]), "what comes later"
        assert not torch.equal(again.states[1, place:], told.states[1, place:])


def test_a_state_is_kept_and_gone_on_from_and_cannot_be_cut(tmp_path: Path) -> None:
    made, given = layer(FORMS[0]), states(2, 60)
    end = made(given[:, :41]).end
    save_file({"memories": end.memories, "tail": end.tail}, tmp_path / "end.safetensors")
    kept = load_file(tmp_path / "end.safetensors")
    again = State(kept["memories"], kept["tail"], 41).at(41)
    on, off = made(given[:, 41:], end), made(given[:, 41:], again)
    assert torch.equal(on.states, off.states) and torch.equal(on.end.memories, off.end.memories) and off.end.seen == 60
    short = made(given[:, :2]).end
    for one in (end, short):  # and not a view of all that was read
        assert one.memories.untyped_storage().nbytes() == 2 * 4 * FORMS[0].numbers
        assert one.tail.untyped_storage().nbytes() == one.tail.nbytes == short.tail.nbytes and one.tail.shape[:2] == (2, 3)
    with pytest.raises(Invalid, match="read those again"):
        end.at(40)


def test_no_tokens_are_refused() -> None:
    for given, chunk in ((states(1, 0), 32), (states(1, 4), 0)):
        with pytest.raises(Invalid, match="one token or more"):
            layer(FORMS[0])(given, chunk=chunk)


def test_a_state_of_more_texts_or_of_another_form_is_refused() -> None:
    end = layer(FORMS[0])(states(2, 5)).end
    for form, rows in ((FORMS[0], 3), (FORMS[1], 2), (FORMS[2], 2)):
        with pytest.raises(Invalid, match="this state has"):
            layer(form)(states(rows, 5), end)
    shared = layer(FORMS[1])(states(2, 5)).end
    with pytest.raises(Invalid, match="this state has"):  # which differs by the memories alone
        layer(replace(FORMS[1], memories=3))(states(2, 5), shared)


def test_memories_stay_exact_where_the_rest_is_rounded() -> None:
    made, given = layer(FORMS[0]), states(1, 40)
    with torch.autocast("cpu", torch.bfloat16):
        whole, one_by_one = (made(given, chunk=chunk).end.memories for chunk in (32, 1))
    assert whole.dtype == torch.float32 and float((whole - one_by_one).detach().abs().max()) <= 1e-5


def test_what_fades_at_once_makes_no_number_that_is_none() -> None:
    made = layer(FORMS[0])
    with torch.no_grad():
        made.fading.fill_(8.0)  # e^8 a token
    read = made(states(2, 64))
    read.states.square().sum().backward()
    assert bool(read.states.isfinite().all()) and all(bool(p.grad.isfinite().all()) for p in made.parameters())


def test_keys_have_length_one_whatever_is_read() -> None:
    """Else the rule, which takes b k k^T away, would add more than it takes."""
    made = layer(FORMS[0])
    with torch.no_grad():
        made.read.weight.mul_(50)
    assert float(made(states(1, 200)).end.memories.detach().abs().max()) < 1e3


def test_the_balance_is_one_where_all_are_used_and_more_where_they_are_not() -> None:
    made = layer(Form(4, 1, 1, 4, 4))
    given = torch.eye(4).repeat(1, 6, WIDTH // 4)
    with torch.no_grad():
        made.router.weight[:] = 30 * torch.eye(4).repeat(1, WIDTH // 4) / (WIDTH // 4)
    even = made(given)
    assert even.balance.item() == pytest.approx(1, abs=1e-3) and even.load.tolist() == [0.25, 0.25, 0.25, 0.25, 1]
    assert made(given[:, :1].expand(1, 24, WIDTH)).balance.item() == pytest.approx(4, abs=1e-3)
    assert layer(FORMS[3])(given).balance.item() == 1


@pytest.mark.parametrize(
    "wrong", [{"memories": 4, "top": 5}, {"memories": 4, "top": 0}, {"memories": -1}, {"heads": 0}, {"memories": 0, "has_shared": False}]
)
def test_a_form_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        Form(**wrong)
