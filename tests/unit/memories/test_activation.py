"""Which state belongs to which tokens, model and words."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.errors import Corrupt, IncompatiblePayload
from loci.memories.activation import CODECS, agreed, chain, check_fit, dump, fault_of, is_whole, leaf, load
from loci.ports.engine import BLOCK, Codec, Eviction, Fingerprint, LayerShape, Manifest, Page, Quoted, Remote

MODEL = Fingerprint("m" * 64, "t" * 64, "p" * 64, (), "float32", "sdpa", ("default", 10000.0, "{}"), (LayerShape("full", 2, 32),) * 2, 2048)
IDS = tuple(range(BLOCK + 10))


def manifest(ids: tuple[int, ...] = IDS, model: Fingerprint = MODEL, tenant: str = "ann", codec: Codec = CODECS["raw"]) -> Manifest:
    sizes = [min(BLOCK, len(ids) - start) for start in range(0, len(ids), BLOCK)]
    pages = tuple(
        Page(name, f"{place:064x}", 100, size)
        for place, (name, size) in enumerate(zip(chain(model, tenant, codec, ids), sizes, strict=True))
    )
    quoted = (Quoted("01A", 1, "cc", ("01S",)),)
    return Manifest(
        "01K", 1, datetime(2026, 1, 1, tzinfo=UTC), "hash", ids, model, quoted, tenant, codec, pages, {}, {"read_ms": 9.0, "load_ms": 1.0}
    )


tokens = st.lists(st.integers(0, 3), max_size=200)


@given(tokens, tokens.filter(bool))
def test_what_is_held_is_a_beginning_and_leaves_a_token_to_read(held: list[int], prompt: list[int]) -> None:
    n = agreed(held, prompt)
    assert held[:n] == prompt[:n] and n < len(prompt)
    assert n == min(len(held), len(prompt) - 1) or held[n] != prompt[n]


@given(tokens, tokens)
def test_pages_have_the_same_name_exactly_where_all_tokens_so_far_are_the_same(one: list[int], two: list[int]) -> None:
    names = chain(MODEL, "ann", CODECS["raw"], one), chain(MODEL, "ann", CODECS["raw"], two)
    for place, (a, b) in enumerate(zip(*names, strict=False)):
        assert (a == b) == (one[: (place + 1) * BLOCK] == two[: (place + 1) * BLOCK])


def test_another_model_tenant_or_codec_shares_no_page() -> None:
    others = [
        chain(replace(MODEL, model="x"), "ann", CODECS["raw"], IDS), chain(MODEL, "bob", CODECS["raw"], IDS), chain(MODEL, "ann", CODECS["int8"], IDS),
        chain(replace(MODEL, adapters=("a:1",)), "ann", CODECS["raw"], IDS), chain(MODEL, "ann", CODECS["raw"], IDS),
    ]  # fmt: skip
    assert len({name for names in others for name in names}) == 2 * len(others)


CHANGES = {
    "model": "x" * 64, "tokenizer": "x" * 64, "template": "x" * 64, "adapters": ("style:1",), "dtype": "bfloat16", "attention": "eager",
    "rope": ("linear", 10000.0, '{"factor": 2}'), "layers": (LayerShape("full", 2, 32),), "context": 4096,
}  # fmt: skip


@pytest.mark.parametrize("field", [f.name for f in fields(Fingerprint)])
def test_whatever_differs_is_named(field: str) -> None:
    check_fit(MODEL, MODEL)
    with pytest.raises(IncompatiblePayload, match=f"read with {field}") as error:
        check_fit(MODEL, replace(MODEL, **{field: CHANGES[field]}))
    assert error.value.field == field and error.value.stored != error.value.current


def test_a_manifest_comes_back_as_it_was() -> None:
    assert load(dump(manifest())) == manifest() and not fault_of(manifest())


def test_what_is_kept_in_another_way_is_not_whole() -> None:
    whole = manifest()
    assert is_whole(whole)
    for pages in ((), whole.pages[:-1], whole.pages[::-1], tuple(replace(page, chain="0" * 64) for page in whole.pages)):
        assert not is_whole(replace(whole, pages=pages))


LIES = {
    "schema": 2, "ids": [1, 2, 3], "pages": [], "tenant": "bob", "codec": {"name": "int8", "bits": 8}, "created": "yesterday", "fingerprint": {}, "quoted": [{}], "costs": {},
}  # fmt: skip


@pytest.mark.parametrize("field", LIES)
def test_a_manifest_that_contradicts_itself_is_refused(field: str) -> None:
    told = json.loads(dump(manifest()))
    with pytest.raises(Corrupt):
        load(json.dumps({**told, field: LIES[field]}))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"id": 1}', "[" * 100_000])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(Corrupt):
        load(text)


@pytest.mark.parametrize(
    "page", [{"hash": "../../etc/passwd"}, {"hash": "A" * 64}, {"tokens": 63}, {"chain": "0" * 64}, {"hash": "/" + "0" * 63}]
)
def test_a_page_by_another_name_is_refused(page: dict[str, object]) -> None:
    told = json.loads(dump(manifest()))
    told["pages"][0] |= page
    with pytest.raises(Corrupt):
        load(json.dumps(told))


def test_another_rotation_in_the_manifest_breaks_its_chain() -> None:
    """Who edits a manifest to look as if it fitted has other names for its pages than the tokens give."""
    told = json.loads(dump(manifest()))
    told["fingerprint"] = asdict(replace(MODEL, rope=("linear", 1.0, "{}")))
    with pytest.raises(Corrupt, match="not of its tokens"):
        load(json.dumps(told))


# -- under a budget ------------------------------------------------------------------------------------------------------

KEPT = Eviction("sirllm", "sirllm 1", (40, 200), 4, 8, 512, "profile")


def rough(eviction: Eviction = KEPT, **changed: object) -> Manifest:
    names = leaf(MODEL, "ann", CODECS["raw"], IDS, eviction)
    files = tuple(
        Page(name, f"{place:064x}", 100, min(budget, len(IDS)))
        for place, (name, budget) in enumerate(zip(names, eviction.per_layer, strict=True))
    )
    return replace(manifest(), **{"pages": files, "eviction": eviction, "quality": {"evicted_mass": 0.3}, **changed})


def test_what_a_budget_left_comes_back_as_it_was() -> None:
    assert load(dump(rough())) == rough() and not fault_of(rough())
    assert [page.tokens for page in rough().pages] == [40, len(IDS)]


def test_a_leaf_is_called_by_all_that_it_depends_on_and_as_no_page_is() -> None:
    names = [
        leaf(MODEL, "ann", CODECS["raw"], IDS, KEPT), leaf(replace(MODEL, model="x"), "ann", CODECS["raw"], IDS, KEPT), leaf(MODEL, "bob", CODECS["raw"], IDS, KEPT),
        leaf(MODEL, "ann", CODECS["int8"], IDS, KEPT), leaf(MODEL, "ann", CODECS["raw"], IDS[:-1], KEPT), chain(MODEL, "ann", CODECS["raw"], IDS),
        *(leaf(MODEL, "ann", CODECS["raw"], IDS, replace(KEPT, **{f.name: changed(getattr(KEPT, f.name))})) for f in fields(Eviction)),
    ]  # fmt: skip
    assert len({name for each in names for name in each}) == 2 * len(names)
    assert leaf(MODEL, "ann", CODECS["raw"], IDS, replace(KEPT)) == names[0]


def changed(value: object) -> object:
    return value + 1 if isinstance(value, int) else f"{value}x" if isinstance(value, str) else (41, 199)


WRONG_PLANS = {
    "layers": {"per_layer": (40,)}, "none": {"per_layer": ()}, "a word": {"per_layer": ("40", 200)}, "a share": {"per_layer": (40.5, 200)},
    "negative": {"sinks": -1}, "protects all": {"recent": 36}, "protects more": {"sinks": 60}, "no block": {"block": 0}, "a truth": {"sinks": True},
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_PLANS)
def test_a_plan_that_cannot_be_is_refused(name: str) -> None:
    told = json.loads(dump(rough()))
    told["eviction"] |= {k: list(v) if isinstance(v, tuple) else v for k, v in WRONG_PLANS[name].items()}
    with pytest.raises(Corrupt, match=r"layers than its model has|more than a layer may keep"):
        load(json.dumps(told))


@pytest.mark.parametrize(
    "change",
    [
        {"quality": {}}, {"quality": {"evicted_mass": 1.5}}, {"quality": {"evicted_mass": None}}, {"codec": {"name": "hidden", "bits": 0}}, {"eviction": None},
        {"eviction": []}, {"eviction": {"method": "x"}}, {"eviction": "sirllm"}, {"pages": []}, {"tenant": "bob"}, {"ids": [1, 2, 3]}, {"costs": {}},
    ],
    ids=str,
)  # fmt: skip
def test_a_manifest_of_a_leaf_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Corrupt):
        load(json.dumps({**json.loads(dump(rough())), **change}))


@pytest.mark.parametrize("field", ["per_layer", "sinks", "recent", "block", "method", "scorer", "layers"])
def test_another_plan_in_the_manifest_breaks_its_names(field: str) -> None:
    told = json.loads(dump(rough()))
    value = changed(getattr(KEPT, field))
    told["eviction"][field] = list(value) if isinstance(value, tuple) else value
    with pytest.raises(Corrupt, match=r"not of its tokens|other sizes"):
        load(json.dumps(told))


def test_a_server_keeps_no_leaf() -> None:
    assert fault_of(rough(remote=Remote("vllm http://x", "n", 0, "", 1.0), codec=Codec("prefix")))
