"""Activation memory under a budget, in a cube: approximate only for who asks, refused where it lost too much, and gone with its words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest
import torch

from loci import MemOS, Message
from loci.drivers.torch_kv.attention import attending
from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.prefill import read
from loci.errors import Conflict, Denied, Invalid, Missing, TooLarge, TooLossy, Unsupported
from loci.memories import activation, pages
from loci.operation import budgets, keeping
from loci.operation.activation import nearest
from loci.policy.eviction import shared
from loci.ports import BudgetPlan
from loci.ports.engine import Tensor
from loci.system import Cube
from loci.testing import HashEngine, ManualClock, damage
from loci.testing.models import make_model, make_tokenizer
from loci.types import Role, Scope
from loci.wire import METHODS

EngineOf = Callable[..., TorchEngine]
Door = Callable[..., MemOS]
Overtaken = Callable[[Cube, str, Sequence[str]], list[str]]
SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "The harbour opens at nine.")
QUESTION = "Where does Ann live?"
BUDGET = 64
LAYERS = 3


@pytest.fixture
def door(open_vault: Callable[..., MemOS], engine_of: EngineOf) -> Door:
    """Opens the vault for a model as a process of its own would: nothing is at hand."""

    def opened(engine: Any = "usual", **named: Any) -> MemOS:
        return open_vault(engine=engine_of() if isinstance(engine, str) else engine, **named)

    return opened


@pytest.fixture
def cube(door: Door, clock: ManualClock) -> Cube:
    return filled(door().cube("main"), clock)


def filled(cube: Cube, clock: ManualClock, times: int = 1) -> Cube:
    for text in SAID:
        clock.advance(1)
        cube.add(Message("user", " ".join([text] * times), clock.now(), speaker="Ann"), user="ann", session="s")
    return cube


def ids(cube: Cube, user: str = "ann") -> list[str]:
    return [memory.id for memory in cube.list(user=user)]


def activate(cube: Cube, **options: Any) -> Any:
    """All of Ann's under a budget; a random model looks everywhere, so it loses much."""
    return cube.activate(ids(cube), user="ann", **{"budget": BUDGET, "most_evicted": 1.0, **options})


def answer(cube: Cube, question: str = QUESTION, **options: Any) -> tuple[str, str | None, str, bool]:
    """(the answer, the activation memory that was used, why, whether it is approximate)"""
    found = cube.generate(question, user="ann", **{"max_tokens": 8, "approximate": True, **options})
    return found.text(), found.attached.handle, found.attached.reason, found.attached.is_approximate


def files(folder: Path) -> list[Path]:
    return sorted((folder / "main.kv").glob("*"))


def live(engine: TorchEngine, ids: Sequence[int], budgets: Sequence[int], method: str = "sirllm") -> tuple[Any, BudgetedCache]:
    """The cache that was never stored, and a model of its own that it is read by."""
    model = make_model("qwen3", dtype=engine.model.dtype)
    cache = BudgetedCache(BudgetPlan(tuple(budgets), 4, 32), METHODS[method](engine.tokenize))
    read(model, cache, ids, block=512)
    return model, cache


# -- what is answered from it --------------------------------------------------------------------------------------------


def test_temperature_and_seed_reach_the_model(cube: Cube) -> None:
    handle = activate(cube)
    warm = [answer(cube, temperature=2.0, seed=seed) for seed in (1, 1, 2)]
    assert {(used, is_rough) for _, used, _, is_rough in warm} == {(handle.id, True)}
    assert warm[0][0] == warm[1][0] != warm[2][0] and answer(cube, seed=1)[0] == answer(cube, seed=2)[0]


@pytest.mark.parametrize(("method", "dtype"), [*((method, torch.float32) for method in METHODS), ("sirllm", torch.bfloat16)])
def test_a_stored_leaf_answers_bit_by_bit_as_the_live_cache(
    door: Door, engine_of: EngineOf, clock: ManualClock, method: str, dtype: torch.dtype
) -> None:
    """Greedy generation by transformers itself from a fork of the cache that was never stored, and ours from the files, in another process's place."""
    engine = engine_of(dtype=dtype)
    cube = filled(door(engine).cube("main"), clock)
    handle = activate(cube, method=method)
    manifest = cube.activation(handle.id)
    model, cache = live(engine, manifest.ids, (BUDGET,) * LAYERS, method)
    assert (handle.method, handle.kept, manifest.eviction and manifest.eviction.scorer) == (method, BUDGET, cache.scorer.name)
    prompt = [*manifest.ids, *engine.tokenize("\n\nWhere does Ann live?<|end|>\n<|assistant|>\n")]
    with attending(model), torch.no_grad():
        made = model.generate(
            torch.tensor([prompt]),
            past_key_values=cache.fork(is_open=True),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=engine.tokenizer.eos_token_id,
        )[0, len(prompt) :]
        logits = model(torch.tensor([prompt[len(manifest.ids) :]]), past_key_values=cache.fork(is_open=True)).logits[0].float()
    stored = door(engine).cube("main")._activations._load_leaf(manifest, 0)
    for layer, kept in enumerate(cache.layers):
        assert torch.equal(stored.keys[layer], kept.keys[0]) and torch.equal(stored.values[layer], kept.values[0])
        assert torch.equal(stored.positions[layer], kept.positions)
    assert torch.equal(engine.condenser().logits(stored, prompt[len(manifest.ids) :]), logits)
    ours = "".join(engine.condenser().generate(stored, prompt[len(manifest.ids) :], max_tokens=24))
    assert ours == engine.tokenizer.decode(made, skip_special_tokens=True) and ours
    text, used, why, said = answer(door(engine).cube("main"))
    assert used == handle.id and why.endswith("from the disk") and text
    assert said and f"approximate: {method} kept {BUDGET} of {handle.tokens} tokens in a layer and evicted up to 0." in why


def test_positions_go_on_at_the_tokens_that_were_seen(cube: Cube, engine_of: EngineOf) -> None:
    handle = activate(cube)
    manifest = cube.activation(handle.id)
    leaf = cube._activations._load_leaf(manifest, 0)
    model, cache = live(engine_of(), manifest.ids, (BUDGET,) * LAYERS)
    with attending(model), torch.no_grad():
        at = torch.tensor([[len(manifest.ids)]])
        placed = model(torch.tensor([[7]]), past_key_values=cache.fork(is_open=True), position_ids=at).logits[0]
        wrong = model(torch.tensor([[7]]), past_key_values=cache.fork(is_open=True), position_ids=at - 50).logits[0]
    found = engine_of().condenser().logits(leaf, [7])
    assert torch.equal(found, placed) and not torch.allclose(found, wrong, atol=1e-3)


def test_without_asking_nobody_is_given_an_approximate_answer(cube: Cube) -> None:
    text = answer(cube, approximate=False)
    handle = activate(cube)
    assert answer(cube, approximate=False) == text and text[1] is None and not text[3]
    assert cube.search(QUESTION, user="ann").handles == (handle,), "a search tells of it, and that it is not all"
    rough = answer(cube)
    assert rough[1] == handle.id and rough[3]


def test_what_was_let_go_of_since_the_search_is_read_as_text(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    handle, recall = activate(cube), Cube._recall

    def late(self: Cube, *given: Any, **named: Any) -> Any:
        found = recall(self, *given, **named)
        cube.deactivate(handle.id)
        return found

    monkeypatch.setattr(Cube, "_recall", late)
    text, used, why, is_rough = answer(cube)
    assert text and used is None and "no activation memory" in why and not is_rough


def test_an_exact_one_of_the_same_memories_comes_first(cube: Cube) -> None:
    exact, rough = cube.activate(ids(cube), user="ann"), activate(cube)
    assert answer(cube)[1::2] == (exact.id, False) and answer(cube, approximate=False)[1] == exact.id
    cube.deactivate(exact.id)
    assert answer(cube)[1] == rough.id
    less = cube.activate(ids(cube)[:1], user="ann")
    assert answer(cube)[1] == rough.id and answer(cube, approximate=False)[1] == less.id


def test_of_those_that_hold_as_much_the_exact_one_is_nearest(cube: Cube) -> None:
    """Whichever is shorter or newer; what holds more of what was recalled comes before either."""
    exact = cube.activate(ids(cube)[:2], user="ann")
    for rough in (replace(exact, method="sirllm", tokens=exact.tokens + n, created=exact.created + timedelta(n)) for n in (-9, 0, 9)):
        assert nearest([rough, exact], exact.memories) == nearest([exact, rough], exact.memories) == exact
        more = replace(rough, memories=(*exact.memories, "another"))
        assert nearest([exact, more], more.memories) == more


def test_a_text_no_longer_than_the_budget_is_kept_exactly(cube: Cube) -> None:
    text = answer(cube, approximate=False)[0]
    handle = activate(cube, budget=1000)
    assert (handle.method, handle.kept, handle.codec) == ("", 0, "raw") and cube.activation(handle.id).eviction is None
    assert answer(cube)[:2] == answer(cube, approximate=False)[:2] == (text, handle.id) and not answer(cube)[3]


@pytest.mark.parametrize("shape", ["qwen3", "llama"])
@pytest.mark.parametrize("method", METHODS)
def test_a_budget_that_holds_everything_changes_nothing(engine_of: EngineOf, shape: str, method: str) -> None:
    """In several blocks, so that everything but the evicting is done."""
    engine = engine_of(shape)
    condenser, tokens = engine.condenser(), engine.tokenize("She works as a baker in Oslo. " * 12)
    leaf, mass = condenser.read(tokens, BudgetPlan((len(tokens),) * LAYERS, 4, 8), METHODS[method](engine.tokenize), 40)
    asked = engine.tokenize(QUESTION)
    exact, ours = engine.logits(engine.read(tokens), asked), condenser.logits(leaf, asked)
    assert mass == 0 and (exact - ours).abs().max() < 2e-5 and torch.equal(exact.argmax(-1), ours.argmax(-1))
    assert "".join(condenser.generate(leaf, asked, max_tokens=16)) == "".join(engine.generate(engine.read(tokens), asked, max_tokens=16))


def test_use_does_not_change_it(cube: Cube, folder: Path) -> None:
    used_by_threads(cube, folder, 24)


@pytest.mark.slow
def test_a_thousand_uses_do_not_change_it(cube: Cube, folder: Path) -> None:
    used_by_threads(cube, folder, 1000)


def used_by_threads(cube: Cube, folder: Path, uses: int) -> None:
    """Beside exact answers from the same model, which must not notice."""
    rough, exact = activate(cube), cube.activate(ids(cube)[:1], user="ann")
    before = {file.name: file.read_bytes() for file in files(folder)}
    one, two = answer(cube)[:2], answer(cube, approximate=False)[:2]
    assert (one[1], two[1]) == (rough.id, exact.id)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: answer(cube, approximate=bool(n % 2))[:2], range(uses)))
    assert found == [two, one] * (uses // 2)
    assert {file.name: file.read_bytes() for file in files(folder)} == before and cube.verify().is_clean
    assert sum(h.uses for h in cube.activations(user="ann")) in (0, uses + 2)  # counted later, or now


def test_a_longer_text_is_read_in_blocks_and_no_layer_holds_more(door: Door, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "READ", 100)
    cube = filled(door().cube("main"), clock, times=8)
    caches: list[BudgetedCache] = []
    right = BudgetedCache.__init__

    def noted(self: BudgetedCache, *arguments: Any) -> None:
        right(self, *arguments)
        caches.append(self)

    monkeypatch.setattr(BudgetedCache, "__init__", noted)
    handle = activate(cube)
    assert handle.tokens > 500 and max(caches[0].peaks) == BUDGET + 100 and caches[0].stored == (BUDGET,) * LAYERS
    assert 0 < handle.quality["evicted_mass"] <= 1 and handle.bytes < 0.3 * cube.activate(ids(cube), user="ann").bytes
    kept = cube._activations._load_leaf(cube.activation(handle.id), 0).positions
    for positions in kept:
        assert (
            positions[:, :4].tolist() == [[0, 1, 2, 3]] * 2
            and positions[:, -32:].tolist() == [[*range(handle.tokens - 32, handle.tokens)]] * 2
        )


# -- the meter -----------------------------------------------------------------------------------------------------------


def test_what_lost_too_much_is_refused_with_the_number(cube: Cube, folder: Path) -> None:
    with pytest.raises(TooLossy, match=r"0\.\d\d of the attention .* more than the 0\.10 allowed.*larger budget.*another method") as error:
        activate(cube, most_evicted=0.1)
    assert files(folder) == [] and cube.activations(user="ann") == []
    mass = error.value.evicted_mass
    assert error.value.as_dict()["most_evicted"] == 0.1 and 0.1 < mass <= 1
    handle = activate(cube, most_evicted=mass)
    assert handle.quality["evicted_mass"] == mass
    with pytest.raises(TooLossy):
        activate(cube, most_evicted=mass - 1e-6)
    record = next(r for r in cube.log(verb="activate") if r.object == handle.id)
    assert record.detail["method"] == "sirllm" and record.detail["evicted_mass"] == mass


def test_who_allows_less_has_the_text_read(cube: Cube) -> None:
    text = answer(cube, approximate=False)[0]
    handle = activate(cube)
    mass = handle.quality["evicted_mass"]
    assert answer(cube, most_evicted=mass)[1] == handle.id
    found, used, why, said = answer(cube, most_evicted=mass - 1e-6)
    assert (found, used, said) == (text, None, False) and f"{mass:.2f} of the attention" in why
    exact = cube.activate(ids(cube)[:1], user="ann")
    assert answer(cube, most_evicted=0.0)[1] == exact.id, "what else there is is used"


def test_an_answer_from_codes_says_by_which_and_what_they_cost(cube: Cube) -> None:
    handle = activate(cube, codec="int8", most_divergence=1.0)
    assert f"kept as int8, which changes answers by {handle.quality['kl']:.2g} nats a token" in answer(cube)[2]


@pytest.mark.parametrize("codec", ["raw", "int8"])
def test_what_another_build_tidies_away_is_written_again(cube: Cube, overtaken: Overtaken, codec: str) -> None:
    other = overtaken(cube, "_write_leaf", ids(cube)[:1])
    handle = activate(cube, codec=codec, most_divergence=1.0)
    assert {h.id for h in cube.activations(user="ann")} == {handle.id, *other}
    report = cube.verify()
    assert report.is_clean and report.let_go == (), "none lacks a file"


@pytest.mark.parametrize("option", [{"method": "streaming"}, {"layers": "profile"}, {"most_evicted": 0.2}])
def test_what_is_of_a_budget_needs_one(cube: Cube, option: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=rf"{next(iter(option))} is .* needs a budget \(budget=, --budget\)"):
        cube.activate(ids(cube), user="ann", **option)
    assert cube.activations(user="ann") == []


def test_what_is_of_approximate_answers_needs_one(cube: Cube) -> None:
    with pytest.raises(Invalid, match=r"most_evicted is 0.2, and needs approximate=True \(--approximate\)"):
        answer(cube, approximate=False, most_evicted=0.2)


# -- layers --------------------------------------------------------------------------------------------------------------


def test_layers_share_by_their_profile_to_the_entry(cube: Cube) -> None:
    told = cube.profile(ids(cube), user="ann", budget=BUDGET)
    handle = activate(cube, layers="profile")
    eviction = cube.activation(handle.id).eviction
    assert eviction is not None and eviction.layers == "profile"
    assert eviction.per_layer == told.budgets == shared(told.weights, BUDGET, 36) and sum(told.budgets) == LAYERS * BUDGET
    assert len(set(told.budgets)) > 1 and max(told.weights) == 1 and min(told.divergence) > 0
    assert answer(cube)[1] == handle.id and told.tokens == handle.tokens and "beginning" in told.probe
    assert len(cube.activations(user="ann")) == 1, "a profile keeps nothing"
    assert cube.profile(ids(cube), user="ann", budget=BUDGET, method="streaming").divergence != told.divergence


def test_who_had_memories_profiled_is_in_the_log(door: Door, clock: ManualClock) -> None:
    cube = filled(door(audit_reads=True).cube("main"), clock)
    cube.profile(ids(cube), user="ann", budget=BUDGET)
    found = cube.log(verb="read")[-1].detail
    assert found["verb"] == "profile" and sorted(found["memories"]) == sorted(ids(cube))


def test_a_question_is_what_layers_are_judged_by(cube: Cube, engine_of: EngineOf) -> None:
    """Behind the memories as it would stand in a prompt."""
    told = cube.profile(about=QUESTION, user="ann", budget=BUDGET)
    handle = cube.activate(about=QUESTION, user="ann", budget=BUDGET, layers="profile", most_evicted=1.0)
    manifest = cube.activation(handle.id)
    assert manifest.eviction is not None and manifest.eviction.per_layer == told.budgets and told.probe == "the question"
    engine = engine_of()
    whole = engine.tokenize(engine.prompt(block(cube, handle.memories), [Message("user", QUESTION)])[0])
    assert whole[: len(manifest.ids)] == manifest.ids
    plan, rest = BudgetPlan((BUDGET,) * LAYERS, 4, 32), whole[len(manifest.ids) :]
    assert told.divergence == engine.condenser().sensitivity(manifest.ids, plan, METHODS["sirllm"](engine.tokenize), 512, [rest])
    assert told.divergence != cube.profile(handle.memories, user="ann", budget=BUDGET).divergence


def test_of_a_long_text_the_beginning_is_looked_at_under_its_share(door: Door, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "PROFILED", 150)
    cube = filled(door().cube("main"), clock, times=6)
    told = cube.profile(ids(cube), user="ann", budget=200)
    assert told.tokens == 150 and sum(told.budgets) == LAYERS * 200 and min(told.divergence) > 0
    manifest = cube.activation(cube.activate(ids(cube), user="ann").id)
    plan = BudgetPlan((round(200 * 150 / len(cube._activations._head(block(cube, ids(cube))))),) * LAYERS, 4, 32)
    condenser = cube._activations._condenser()
    assert told.divergence == condenser.sensitivity(manifest.ids[:150], plan, METHODS["sirllm"](lambda words: ()), 512, [manifest.ids[:64]])
    whole = cube.profile(ids(cube), user="ann", budget=2000)
    assert whole.divergence == (0, 0, 0) and whole.budgets == (2000,) * LAYERS, "nothing is evicted, and all layers are alike"


def block(cube: Cube, memories: Sequence[str]) -> str:
    """Memories of Ann's as they stand in a prompt."""
    activations, rows = cube._activations, cube._allow("generate", Scope("main", "ann")).rows
    return activations._block(activations._present(memories, rows), rows.now)


# -- bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"budget": 36}, "4 sinks and 32 recent"),
        ({"budget": 0}, "budget is 0"),
        ({"budget": 64.5}, "budget is 64.5"),
        ({"method": "snapkw"}, "sirllm, key_difference, kvzip, snapkv, key_norm, streaming. Did you mean 'snapkv'"),
        ({"method": "epicaches"}, "method is 'epicaches'; it must be one of"),
        ({"layers": "pyramid"}, "equal or profile"),
        ({"codec": "hidden"}, "raw, int8, int4"),
        ({"most_evicted": 1.5}, "a share, from 0 to 1"),
        ({"budget": 36, "layers": "profile"}, "4 sinks and 32 recent"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(cube: Cube, folder: Path, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        activate(cube, **wrong)
    assert files(folder) == [] and cube.activations(user="ann") == []
    with pytest.raises(Invalid, match="most_evicted"):
        answer(cube, most_evicted=-0.1)
    with pytest.raises(Invalid, match="4 sinks and 32 recent"):
        cube.profile(ids(cube), user="ann", budget=30)


@pytest.mark.parametrize("shape", ["mistral", "gemma"])
def test_a_model_with_windows_is_refused(door: Door, engine_of: EngineOf, clock: ManualClock, folder: Path, shape: str) -> None:
    cube = filled(door(engine_of(shape)).cube("main"), clock)
    for attempt in (lambda: activate(cube), lambda: cube.profile(ids(cube), user="ann", budget=BUDGET)):
        with pytest.raises(Unsupported, match="budgets need full attention in all"):
            attempt()
    assert files(folder) == [] and cube.activate(ids(cube), user="ann").method == ""


def test_an_engine_without_budgets_is_refused(door: Door, clock: ManualClock) -> None:
    cube = filled(door(HashEngine()).cube("main"), clock)
    with pytest.raises(Unsupported, match="takes a model of transformers"):
        activate(cube)
    assert answer(cube)[1] is None
    with pytest.raises(Unsupported, match="no model that could read"):
        activate(door(None).cube("main"))


def test_another_models_leaf_is_not_used(cube: Cube, door: Door) -> None:
    activate(cube)
    other = TorchEngine(make_model("qwen3", seed=1), make_tokenizer())
    fresh = door(other).cube("main")
    found, used, why, said = answer(fresh)
    assert used is None and "read with model" in why and not said and found == answer(fresh, approximate=False)[0]


def test_what_is_changed_in_place_and_looked_at_again_is_another_model(cube: Cube, door: Door) -> None:
    model = make_model("qwen3")
    engine = TorchEngine(model, make_tokenizer())
    engine._rates = cube._activations.engine.rates()
    fresh = door(engine).cube("main")
    handle = activate(cube)
    assert answer(fresh)[1] == handle.id
    with torch.no_grad():
        model.lm_head.weight.mul_(1.5)
    engine.refresh(is_full_hash=True)
    assert answer(fresh)[1] is None


# -- as a whole or not at all ----------------------------------------------------------------------------------------------


def test_a_prompt_that_does_not_begin_with_all_its_tokens_is_read(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words that follow are tokenised with the memories' last, and nothing can be cut off what a budget left."""
    asked = "\nWhere does Ann live?"
    with monkeypatch.context() as patched:
        patched.setattr(keeping, "STARTS", ("?", "A"))
        short_sighted = activate(cube)
    found, used, why, _ = answer(cube, asked)
    assert used is None and "cannot be cut" in why and answer(cube)[1] == short_sighted.id
    assert found == answer(cube, asked, approximate=False)[0]
    handle = activate(cube, id=short_sighted.id)
    assert handle.tokens < short_sighted.tokens and answer(cube, asked)[1] == answer(cube)[1] == handle.id


def test_nothing_of_it_is_shared_with_an_exact_one_or_another_method(cube: Cube, folder: Path) -> None:
    names = []
    for options in (
        {"budget": None, "most_evicted": None},
        {},
        {"method": "streaming"},
        {"budget": 80},
        {"codec": "int8", "most_divergence": 9.0},
    ):
        handle = activate(cube, **options)
        manifest = cube.activation(handle.id)
        names += [{page.chain for page in manifest.pages}, {page.hash for page in manifest.pages}]
    assert len(set.union(*names)) == sum(map(len, names))
    same = activate(cube)
    assert same.is_reused and {page.hash for page in cube.activation(same.id).pages} == names[3]
    again = cube.activation(activate(cube, id=same.id).id)
    assert again.version == 2 and {page.hash for page in again.pages} == names[3], "the same text, method and plan are the same files"
    assert len(files(folder)) == sum(map(len, names[1::2])) and cube.verify().is_clean


def test_by_its_id_alone_it_is_built_anew_as_it_was(cube: Cube) -> None:
    handle = activate(cube, method="streaming", codec="int8", most_divergence=1.0)
    again = cube.activate(user="ann", id=handle.id, most_evicted=1.0, most_divergence=1.0)
    assert (again.version, again.method, again.kept, again.codec) == (2, "streaming", handle.kept, "int8")
    assert cube.activate(user="ann", id=handle.id, codec="raw", most_evicted=1.0).codec == "raw"


def test_one_that_lost_more_than_is_allowed_is_refused_though_it_is_there(cube: Cube) -> None:
    handle = activate(cube)
    with pytest.raises(TooLossy, match="Nothing was kept"):
        activate(cube, most_evicted=handle.quality["evicted_mass"] / 2)
    assert activate(cube) == handle and len(cube.activations(user="ann")) == 1


def test_an_exact_one_is_never_built_upon_it(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(cube)
    read_tokens: list[int] = []
    right = TorchEngine.read
    monkeypatch.setattr(
        TorchEngine, "read", lambda self, tokens, after=(): (read_tokens.append(len(tokens)), right(self, tokens, after))[1]
    )
    assert read_tokens == [] and cube.activate(ids(cube), user="ann").tokens == read_tokens[0]


def test_it_is_not_cut_and_not_put_together_with_others(cube: Cube) -> None:
    """Whoever asks for pages of it, as what puts several activation memories together does."""
    manifest = cube.activation(activate(cube).id)
    for count in (1, LAYERS):
        with pytest.raises(Conflict, match="not put together with others"):
            cube._activations._take(manifest, count)


def test_what_changed_or_was_forgotten_is_not_used(cube: Cube) -> None:
    handle = activate(cube)
    cube.update(ids(cube)[0], "I live in Lisbon.")
    _, used, why, said = answer(cube)
    assert used is None and "read otherwise" in why and not said
    again = activate(cube, id=handle.id)
    assert (again.id, again.version) == (handle.id, 2) and answer(cube)[1] == handle.id
    cube.forget(ids(cube)[2])
    assert ["forgotten" in listed.void for listed in cube.activations(user="ann")] == [True] and answer(cube)[1] is None


def test_a_change_while_the_model_reads_is_noticed(cube: Cube, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loci.drivers.torch_kv.condenser import TorchCondenser

    right = TorchCondenser.read

    def slow(self: TorchCondenser, *arguments: Any) -> Any:
        cube.update(ids(cube)[0], "I live in Lisbon.")
        return right(self, *arguments)

    monkeypatch.setattr(TorchCondenser, "read", slow)
    with pytest.raises(Conflict, match="changed meanwhile"):
        activate(cube)
    assert cube.activations(user="ann") == [] and files(folder) == []


# -- the house: gate, erasure, caps, encryption, damage --------------------------------------------------------------------


def test_it_belongs_to_one_user_and_passes_the_gate(cube: Cube, door: Door) -> None:
    memory = door()
    handle = activate(cube)
    for one in cube.list(user="ann"):
        cube.add(Message("user", one.text, one.at, speaker="Ann"), user="bob", session="s")
    other = cube.activate(ids(cube, "bob"), user="bob", budget=BUDGET, most_evicted=1.0)
    one, two = cube.activation(handle.id), cube.activation(other.id)
    assert one.ids == two.ids and not {p.hash for p in one.pages} & {p.hash for p in two.pages}
    assert [h.id for h in cube.activations(user="bob")] == [other.id]
    memory.grant("reader", Role.READER, cube="main", user="bob")
    reader = memory.acting("reader").cube("main")
    assert reader.generate(QUESTION, user="bob", max_tokens=1, approximate=True).attached.handle == other.id
    for attempt in (
        lambda: reader.activate(ids(cube, "bob"), user="bob", budget=BUDGET), lambda: reader.profile(ids(cube), user="ann"),
        lambda: reader.activation(handle.id), lambda: reader.generate("x", user="ann", approximate=True), lambda: reader.profile(ids(cube), user="bob"),
    ):  # fmt: skip
        with pytest.raises((Denied, Missing)):
            attempt()
    assert reader.profile(ids(cube, "bob"), user="bob", budget=BUDGET).tokens == len(two.ids)


def test_erasing_a_memory_takes_what_was_left_of_it(cube: Cube, folder: Path) -> None:
    handle = activate(cube)
    lost = files(folder)[0].read_bytes()[-512:]
    receipt = cube.erase(ids(cube)[3])
    assert receipt.removed["activations"] == 1 and cube.activations(user="ann") == [] and files(folder) == []
    assert not any(lost in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert cube._parts.residence.bytes()["device"] == 0 and cube.verify().is_clean
    with pytest.raises(Missing):
        cube.activation(handle.id)


def test_files_go_before_the_erasure_commits(cube: Cube, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(cube)
    seen: list[int] = []
    right = type(cube._activations).tidy

    def tidied(self: Any, tx: Any) -> int:
        count = right(self, tx)
        with apsw.Connection(str(folder / "main.loci"), flags=apsw.SQLITE_OPEN_READONLY) as db:  # who is outside the transaction
            seen.append(db.execute("SELECT count(*) FROM payloads").fetchall()[0][0])
        assert files(folder) == []
        return count

    monkeypatch.setattr(type(cube._activations), "tidy", tidied)
    cube.erase(user="ann")
    assert seen[0] == 1


def test_it_is_encrypted_with_its_cube(folder: Path, door: Door, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDS", "correct horse battery staple")
    cube = filled(door(passphrase_variable="WORDS").cube("main"), clock)
    handle = activate(cube)
    assert files(folder) and not any(b"data_offsets" in file.read_bytes() for file in files(folder))
    text = answer(cube)
    fresh = door(passphrase_variable="WORDS").cube("main")
    assert answer(fresh)[:2] == text[:2] == (text[0], handle.id) and fresh.verify().is_clean


def test_what_is_kept_fits_into_the_room_there_is(door: Door, clock: ManualClock, folder: Path) -> None:
    cube = filled(door(kv_disk_bytes=250_000).cube("main"), clock)
    first = activate(cube)
    second = activate(cube, method="streaming")
    assert [h.id for h in cube.activations(user="ann")] == [first.id, second.id] and sum(h.bytes for h in (first, second)) < 250_000
    third = activate(cube, method="key_norm")
    kept = cube.activations(user="ann")
    assert third.id in [h.id for h in kept] and sum(h.bytes for h in kept) <= 250_000 and len(kept) == 2
    assert sum(file.stat().st_size for file in files(folder)) <= 250_000 and cube.verify().is_clean
    with pytest.raises(TooLarge, match="kv_disk_bytes"):
        activate(door(kv_disk_bytes=1000).cube("main"), method="snapkv")
    assert cube.verify().is_clean


@pytest.mark.parametrize(("codec", "share"), [("int8", 0.45), ("int4", 0.33)])
def test_codes_take_less_room_and_say_what_they_cost(cube: Cube, door: Door, folder: Path, codec: str, share: float) -> None:
    raw = activate(cube, budget=100)
    coded = activate(cube, budget=100, codec=codec, most_divergence=1.0)
    assert coded.bytes < share * raw.bytes and coded.codec == codec and coded.quality["evicted_mass"] == raw.quality["evicted_mass"]
    assert 0 < coded.quality["key_error"] <= coded.quality["key_bound"] * 1.001 and 0 < coded.quality["kl"] < 0.1
    cube.deactivate(raw.id)
    first = answer(cube)
    assert first[1] == coded.id and answer(door().cube("main"))[:2] == first[:2] and cube.verify().is_clean
    count = len(files(folder))
    with pytest.raises(Unsupported, match="nats a token, more than"):
        activate(cube, budget=90, codec=codec, most_divergence=1e-12)
    assert len(files(folder)) == count


def test_what_takes_longer_to_load_than_to_read_is_read(cube: Cube, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from loci.ports.engine import Rates, Tier

    monkeypatch.setattr(TorchEngine, "rates", lambda engine: Rates(0.001, 1e-6, 0.0, 0.0, Tier(0.0, 1e12), Tier(1.0, 1e3)))
    handle = activate(cube)
    assert answer(cube)[1] == handle.id, "what is at hand need not be loaded"
    found, used, why, _ = answer(door().cube("main"))
    assert used is None and "the text was read" in why and found == answer(cube, approximate=False)[0]


def test_a_damaged_file_is_not_used_and_is_named(cube: Cube, folder: Path, door: Door) -> None:
    handle = activate(cube)
    file = files(folder)[0]
    damage(file)
    fresh = door().cube("main")
    found, used, why, said = answer(fresh)
    assert used is None and "not as it was written" in why and not said and found == answer(fresh, approximate=False)[0]
    assert [fault.where for fault in fresh.verify().faults] == [f"activation {handle.id}"]
    again = activate(fresh, id=handle.id)
    assert fresh.verify().is_clean and answer(fresh)[1] == again.id


def unsorted(kept: torch.Tensor) -> torch.Tensor:
    return torch.cat([kept[:, :5], kept[:, [6, 5]], kept[:, 7:]], dim=1)


def beyond(kept: torch.Tensor) -> torch.Tensor:
    return torch.cat([kept[:, :-1], kept[:, -1:] + 1000], dim=1)


def twice(kept: torch.Tensor) -> torch.Tensor:
    return torch.cat([kept[:, :6], kept[:, 5:6], kept[:, 7:]], dim=1)


TAMPERED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "out of order": unsorted, "beyond the text": beyond, "negative": lambda kept: torch.cat([kept[:, :1] - 1, kept[:, 1:]], dim=1),
    "one twice": twice, "one less": lambda kept: kept[:, 1:], "another head's count": lambda kept: kept[:1],
    "without a sink": lambda kept: torch.cat([kept[:, 1:5], kept[:, 4:5] + 1, kept[:, 5:]], dim=1)[:, : kept.shape[1]].sort(dim=1).values,
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_positions_that_no_budget_leaves_are_refused(cube: Cube, folder: Path, door: Door, name: str) -> None:
    """Whoever tampers with them, and with the hashes of the files too, has the text read, and learns why."""
    handle = activate(cube)
    manifest = cube.activation(handle.id)
    page = manifest.pages[1]
    path = folder / "main.kv" / f"{page.hash}.safetensors"
    tensors = dict(pages.load(memoryview(path.read_bytes())))
    kept = torch.frombuffer(bytearray(tensors["L1.p"].data), dtype=torch.int32).reshape(tensors["L1.p"].shape)
    wrong = TAMPERED[name](kept).contiguous()
    assert wrong.shape != kept.shape or not torch.equal(wrong, kept)
    data = pages.dump({**tensors, "L1.p": Tensor("I32", tuple(wrong.shape), wrong.numpy().tobytes())})
    put_in_its_place(folder, manifest, page, data)
    fresh = door().cube("main")
    found, used, why, _ = answer(fresh)
    assert used is None and "L1.p" in why and "Build the memory again" in why and found == answer(fresh, approximate=False)[0]


def put_in_its_place(folder: Path, manifest: Any, page: Any, data: bytes) -> None:
    """A file under the hash that it has, in the manifest and in the table of files."""
    found = sha256(data).hexdigest()
    (folder / "main.kv" / f"{found}.safetensors").write_bytes(data)
    told = activation.dump(manifest).replace(page.hash, found).replace(f'"bytes":{page.bytes},"chain":"{page.chain}"', f'"bytes":{len(data)},"chain":"{page.chain}"')  # fmt: skip
    with apsw.Connection(str(folder / "main.loci")) as db:
        db.execute("UPDATE payloads SET manifest = ?", (told,))
        db.execute("UPDATE payload_pages SET hash = ?, bytes = ? WHERE hash = ?", (found, len(data), page.hash))


@pytest.mark.parametrize("change", ["per_layer", "sinks", "evicted_mass"])
def test_a_manifest_that_was_edited_is_noticed(cube: Cube, folder: Path, door: Door, change: str) -> None:
    handle = activate(cube)
    told = json.loads(activation.dump(cube.activation(handle.id)))
    if change == "evicted_mass":
        told["quality"]["evicted_mass"] = 0.0
    else:
        told["eviction"][change] = [65, 64, 63] if change == "per_layer" else 3
    with apsw.Connection(str(folder / "main.loci")) as db:
        db.execute("UPDATE payloads SET manifest = ?", (activation.canonical(told).decode(),))
    fresh = door().cube("main")
    assert any(fault.where == f"activation {handle.id}" for fault in fresh.verify().faults)
    if change != "evicted_mass":
        assert answer(fresh)[1] is None


# -- beside what is exact ------------------------------------------------------------------------------------------------


def test_a_leaf_is_neither_composed_nor_carried_nor_brought_ahead(cube: Cube, tmp_path: Path) -> None:
    leaf, exact = activate(cube), cube.activate(ids(cube)[:1], user="ann")
    for compose in ("prefix", "block", "blend"):
        named = [leaf.id] if compose == "prefix" else [leaf.id, exact.id]
        found = cube.generate(QUESTION, user="ann", max_tokens=8, activations=named, compose=compose)
        assert (
            found.attached.handle is None
            and not found.attached.is_approximate
            and "ask with approximate (--approximate), without naming it" in found.attached.reason
        )
    with pytest.raises(Unsupported, match="kept under a budget, and cannot be exported"):
        cube.export_activation(leaf.id, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    errand = cube.prepare(activations=[leaf.id], user="ann")
    assert errand.ids == () and "not kept in pages of all its tokens" in errand.wait()


def test_what_is_named_and_what_is_looked_for_are_two_wishes(cube: Cube) -> None:
    leaf = activate(cube)
    with pytest.raises(Invalid, match="one of the two"):
        cube.generate(QUESTION, user="ann", activations=[leaf.id], approximate=True)
